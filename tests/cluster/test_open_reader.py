"""Somebody reads an old snapshot, or leaves a transaction open, while hosts commit: it costs them
nothing.
"""

import asyncio
import json
import random
import uuid
from typing import Any, Final

import asyncpg
from msgspec import Raw

from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import CommitBatch, InboxRow, Lease
from tenuto.model.codec import encode
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, MessageId, partition_of
from tenuto.model.messages import RaiseEvent
from tenuto.storage import Sharing
from tenuto.storage.postgres.access import add_messages
from tenuto.storage.postgres.address import address_of
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.store import PostgresStorage
from tests.cluster.living_hub import PARTITIONS, LivingHub
from tests.cluster.load_process import ACCOUNTS, HOPS, account_id
from tests.cluster.rounds import MANY, often, rounds
from tests.support.postgres import Postgres

COMMITS: Final = 20_000
FEW_COMMITS: Final = 1_500
_FENCE: Final = """
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
SELECT 1 FROM hub.partition AS mine JOIN unnest($1::int[], $2::bigint[]) AS fence (partition, epoch)
    ON mine.partition = fence.partition AND mine.epoch = fence.epoch
WHERE mine.owner = $3 ORDER BY mine.partition FOR SHARE OF mine"""
_LANDED: Final = """
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
INSERT INTO hub.landed (owner, number, batch_id, refused)
    SELECT $1, $2::bigint, 'x', NULL FROM hub.landed WHERE owner = $1 AND number = $2::bigint - 1
    ON CONFLICT DO NOTHING"""
_SETTINGS: Final = Sharing(lease_seconds=1.0)  # leases are renewed often meanwhile


async def pages(wire: Any, schema: str, sql: str, *values: object) -> int:  # noqa: ANN401
    """How many pages a statement touches; it is undone."""
    transaction = wire.transaction()
    await transaction.start()
    try:
        text = await wire.fetchval(sql.replace("hub.", f'"{schema}".'), *values)
    finally:
        await transaction.rollback()
    plan = json.loads(text)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def fence_beside_an_open_reader(server: Postgres, commits: int) -> list[tuple[int, int]]:
    """Pages that the fence and its row touch, before so many commits and after them."""
    address = address_of(server.fresh_url())
    storage = PostgresStorage(address, partitions=4, sharing=_SETTINGS)
    await storage.open()
    leases = await storage.acquire(HostIdentity(owner="me", description="me"))
    reader = await asyncpg.connect(address.dsn)
    asking = await asyncpg.connect(address.dsn)
    found = []
    try:
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            await reader.fetch(f'SELECT * FROM "{address.schema}".landed')
            for number in range(1, commits + 1):
                await storage.commit(_batch(number, leases[number % len(leases)]))
                if number in {100, commits}:
                    one = leases[0]
                    fence = ([one.partition], [one.epoch], one.owner)
                    found.append(
                        (
                            await pages(asking, address.schema, _FENCE, *fence),
                            await pages(asking, address.schema, _LANDED, "me", number + 1),
                        )
                    )
    finally:
        await reader.close()
        await asking.close()
        await storage.close()
    return found


def _batch(number: int, lease: Lease) -> CommitBatch:
    nothing: dict[str, Any] = {
        name: []
        for name in (
            *("instances", "replaced", "updates", "history", "forget"),
            *("inbox", "consumed", "purged", "dead_letters"),
        )
    }
    return CommitBatch(
        batch_id=uuid.uuid4().hex, owner="me", number=number, fences=[lease], **nothing
    )


def check_constant(found: list[tuple[int, int]]) -> None:
    """The fence touches as many pages as before; the tree of its rows may have grown."""
    (fence, row), (fence_then, row_then) = found
    assert fence_then <= fence + 1, found
    assert row_then <= row + 12, found


async def test_a_few_commits_beside_an_open_reader_cost_what_they_did(postgres: Postgres) -> None:
    check_constant(await fence_beside_an_open_reader(postgres, FEW_COMMITS))


@often
async def test_20_000_commits_beside_an_open_reader_cost_what_they_did(postgres: Postgres) -> None:
    found = await fence_beside_an_open_reader(postgres, COMMITS)
    print(f"pages of the fence and of its row, before and after {COMMITS:,} commits: {found}")  # noqa: T201
    check_constant(found)


# --- a caller's transaction -----------------------------------------------------------------------


async def open_transaction(hub: LivingHub, chance: random.Random) -> None:
    """An event stays in its sender's transaction; others go on, and then it is there, once."""
    account = InstanceId(account_id(chance.randrange(ACCOUNTS)))
    key = MessageId(f"open-{uuid.uuid4().hex}")
    event = RaiseEvent(message_id=key, event=EventRaised("coin", str(HOPS)))
    row = InboxRow(key, partition_of(account, PARTITIONS), account, Raw(encode(event)))
    wire = await asyncpg.connect(address_of(hub.url).dsn)
    try:
        async with wire.transaction():
            await add_messages(Session(wire, hub.schema), [row])
            hub.note("open transaction", await hub.until_all_beat(await hub.beats()))
            await asyncio.sleep(chance.uniform(0.5, 5))
            await hub.until_all_beat(await hub.beats())
        hub.further_coins += 1
    finally:
        await wire.close()


@often
async def test_others_go_on_while_transactions_stay_open_again_and_again(hub: LivingHub) -> None:
    await hub.start()
    await rounds(hub, [open_transaction], MANY)
