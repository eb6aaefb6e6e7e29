"""A host with very many open instances dies: how soon another one has them."""

import time
from collections.abc import Sequence
from typing import Final

import asyncpg
from msgspec import Raw

from tenuto.engine.rows import InboxRow
from tenuto.model.codec import encode
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, MessageId, new_execution_id, partition_of
from tenuto.model.messages import RaiseEvent
from tenuto.model.status import AT_ONCE, InstanceRecord
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.access import add_messages
from tenuto.storage.postgres.address import address_of
from tenuto.storage.postgres.connection import Session
from tests.cluster.living_hub import LEASE_SECONDS, PARTITIONS, LivingHub
from tests.cluster.rounds import often

INSTANCES: Final = 20_000
_SAMPLE: Final = 200


async def fill(session: Session, names: Sequence[str]) -> None:
    """Start instances that wait, all in one transaction."""
    now = time.time_ns() // 1000
    async with session.together():
        for name in names:
            one = InstanceId(name)
            record = InstanceRecord(
                iid=0,
                instance_id=one,
                partition=partition_of(one, PARTITIONS),
                name="waits",
                execution_id=new_execution_id(now),
                created_at=now,
                updated_at=now,
                root_id=one,
                wake_at=AT_ONCE,
            )
            columns = zip(packing.INSTANCE_NAMES, packing.instance_columns(record), strict=True)
            await session.value(
                "start_instance", **{name: value for name, value in columns if name != "iid"}
            )


async def raise_on(session: Session, names: Sequence[str]) -> None:
    """Tell these that they may end."""
    rows = []
    for name in names:
        one, key = InstanceId(name), MessageId(f"go-{name}")
        event = RaiseEvent(message_id=key, event=EventRaised("go", "0"))
        rows.append(InboxRow(key, partition_of(one, PARTITIONS), one, Raw(encode(event))))
    async with session.together():
        await add_messages(session, rows)


@often
async def test_10_000_open_instances_are_taken_over_soon(hub: LivingHub) -> None:
    await hub.start(load=False, hosts=2)
    wire = await asyncpg.connect(address_of(hub.url).dsn)
    session = Session(wire, hub.schema)
    names = [f"waits-{number}" for number in range(INSTANCES)]
    await fill(session, names)

    async def all_wait() -> bool:
        rows = await hub.ask("SELECT count(*) AS n FROM hub.instance WHERE status = 6")
        return not rows[0]["n"]

    await hub.until(all_wait, "not all have begun", seconds=600)
    victim = hub.hosts[1]
    lost = (await hub.owned())[victim.pid]
    theirs = [name for name in names if partition_of(InstanceId(name), PARTITIONS) in lost]
    began = time.monotonic()
    await victim.kill()
    hub.hit(victim.pid, began)
    left = await hub.ask(
        "SELECT extract(epoch FROM max(lease_until) - clock_timestamp())::float8 AS seconds"
        " FROM hub.owner WHERE owner IN"
        " (SELECT owner FROM hub.partition WHERE partition = ANY ($1::int[]))",
        lost,
    )
    end = time.monotonic() + left[0]["seconds"]
    sample = theirs[:: len(theirs) // _SAMPLE]
    await raise_on(session, sample)
    await wire.close()

    async def all_ended() -> bool:
        rows = await hub.ask(
            "SELECT count(*) AS n FROM hub.instance WHERE status = 1 AND instance_id = ANY ($1)",
            sample,
        )
        return bool(rows[0]["n"] == len(sample))

    await hub.until(all_ended, "instances do not go on")
    hub.note(
        "takeover of many", time.monotonic() - end, instances=len(theirs), partitions=len(lost)
    )
    hub.hosts = hub.hosts[:1]
    assert left[0]["seconds"] <= LEASE_SECONDS
    hub.is_finished = True  # the others wait for good
