"""A host on a store of eight partitions that others write to all the time.

Each commit of theirs makes the host read its inboxes, where it finds its own messages too, and rows
that it has seen before. ``exactly_once_turns``: whatever it finds, each message counts once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Self

import pytest
from msgspec import Raw

from tenuto import App, Context, SubOrchestrationError
from tenuto.client import gateway
from tenuto.engine.rows import CommitBatch, CommitResult, InboxRow
from tenuto.model.codec import encode
from tenuto.model.errors import (
    FencedError,
    StorageError,
    StorageUnavailableError,
)
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, MessageId, partition_of
from tenuto.model.messages import RaiseEvent
from tenuto.testing import TestHost
from tests.support.held import holding
from tests.support.histories import check_invariants, kinds
from tests.support.inboxes import waiting_in
from tests.support.shared_store import SharedHub, SharedStorage
from tests.support.waiting import until

COLLECTOR = InstanceId("c")

PARTITIONS = 8

app = App()


@app.orchestrator
async def collects(ctx: Context, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("item", int) for _ in range(count)]


@app.orchestrator
async def sends(ctx: Context, ids: list[str]) -> None:
    for number, one in enumerate(ids):
        ctx.send_event(one, "item", number)


@app.orchestrator
async def waits(ctx: Context) -> str:
    return await ctx.wait_for_external_event("go", str)


@app.orchestrator
async def calls(ctx: Context, ids: list[str]) -> list[str]:
    """Calls children whose ids may be taken, so that their starts are messages."""
    children = [ctx.call_sub_orchestrator(waits.options(instance_id=one)) for one in ids]
    try:
        return await asyncio.gather(*children)
    except SubOrchestrationError as error:
        return [str(error)]


class Outsider:
    """Another process, as the host sees it. It writes something as often as the loop goes round."""

    def __init__(self, storage: SharedStorage) -> None:
        self._storage = storage
        self._writing: asyncio.Task[None] | None = None
        self.written = 0

    async def __aenter__(self) -> Self:
        await self._storage.open()
        self._writing = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._writing is not None
        self._writing.cancel()
        await asyncio.wait([self._writing])
        await self._storage.close()

    async def _write(self) -> None:
        while True:
            number = self.written
            await self.send(f"outside-{number}", f"nobody-{number}", "noise", 0)
            self.written += 1

    async def send(self, message_id: str, instance_id: str, name: str, value: object) -> None:
        key, to = MessageId(message_id), InstanceId(instance_id)
        event = RaiseEvent(message_id=key, event=EventRaised(name, encode(value).decode()))
        partition = partition_of(to, PARTITIONS)
        await self._storage.append([InboxRow(key, partition, to, Raw(encode(event)))])


@pytest.fixture(params=[0, 5, 1_000], ids=["no row again", "some again", "all again"])
def hub(request: pytest.FixtureRequest) -> SharedHub:
    return SharedHub(PARTITIONS, repeats=request.param)


@pytest.fixture
async def test(hub: SharedHub) -> AsyncIterator[TestHost]:
    async with TestHost(app, storage=hub.handle()) as test:
        yield test


async def test_exactly_once_turns_what_it_sends_itself_counts_once(
    hub: SharedHub, test: TestHost
) -> None:
    collectors = [await test.start(collects, 4, instance_id=f"c{n}") for n in range(10)]
    async with Outsider(hub.handle()) as outsider:
        ids = [one.instance_id for one in collectors]
        for _ in range(4):
            await asyncio.gather(*(test.client.start(sends, ids[n::2]) for n in (0, 1)))
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            for number, one in enumerate(collectors):
                assert await test.host.client.handle(one.instance_id).result() == [number // 2] * 4
    assert outsider.written > 20
    for one in collectors:
        history = await test.client.history(one.instance_id)
        check_invariants(history)
        assert kinds(history).count("EventRaised") == 4
    await test.idle()
    assert await waiting_in(test.host.engine.storage) == []
    letters = await test.host.engine.storage.dead_letters(100_000)
    assert len({one.message_id for one in letters}) == len(letters) == outsider.written


async def test_exactly_once_a_start_by_message_is_decided_once(
    hub: SharedHub, test: TestHost
) -> None:
    """A second copy of it would find the id taken, and the parent be told that the call failed."""
    ids = [f"child-{n}" for n in range(12)]
    async with Outsider(hub.handle()):
        parent = await test.client.start(calls, ids)
        async with asyncio.timeout(20):
            for one in ids:
                while await test.client.get_status(one) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                await test.host.client.raise_event(one, "go", one)
            assert await test.host.client.handle(parent.instance_id).result() == ids
    await test.idle()
    assert await waiting_in(test.host.engine.storage) == []


async def test_no_silent_drop_a_message_of_its_own_that_comes_from_outside(
    hub: SharedHub, test: TestHost
) -> None:
    """Sent to a partition of another, which has become its own since: only its id is known."""
    handle = await test.start(collects, 1)
    await test.idle()
    outsider = Outsider(hub.handle())
    await outsider._storage.open()
    await outsider.send(f"{test.host.engine.origin}:77", handle.instance_id, "item", 5)
    assert await handle.result() == [5]


@pytest.mark.parametrize("method", ["fetch_inbox", "commit"])
async def test_exactly_once_a_message_to_nobody_that_is_read_again_before_it_is_used_up(
    hub: SharedHub, test: TestHost, method: str
) -> None:
    """It becomes one dead letter: while the commit that uses it up is on its way, it is known."""
    storage = test.host.engine.storage
    outsider = Outsider(hub.handle())
    await outsider._storage.open()
    async with holding(storage, method, "after", only_first=True) as held:
        await outsider.send("lost", "nobody", "item", 1)
        await asyncio.wait_for(held.arrived.wait(), 10)
        for number in range(20):
            await outsider.send(f"more-{number}", "nobody", "item", 1)
            await asyncio.sleep(0)
        held.let_go()
        await test.idle()
    letters = await storage.dead_letters()
    assert sorted(one.message_id for one in letters) == sorted(
        ["lost", *(f"more-{number}" for number in range(20))]
    )
    assert await waiting_in(storage) == []


async def test_one_owner_a_commit_is_fenced_for_what_it_touches(
    hub: SharedHub, test: TestHost
) -> None:
    fenced: list[set[int]] = []
    commit = hub.commit

    def seen(batch: object) -> object:
        fenced.append({fence.partition for fence in batch.fences})  # type: ignore[attr-defined]
        return commit(batch)  # type: ignore[arg-type]

    hub.commit = seen  # type: ignore[method-assign, assignment]
    await test.run(sends, ["nobody"], instance_id="s")
    await test.idle()
    mine, nobody = (partition_of(InstanceId(one), PARTITIONS) for one in ("s", "nobody"))
    assert fenced[0] == {mine}
    assert set().union(*fenced) == {mine, nobody}


async def test_one_owner_a_partition_that_is_taken_away_is_named(
    hub: SharedHub, test: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is gone for this host, and the others stay. What is asked of it waits for its owner."""
    monkeypatch.setattr(gateway, "_OWNER_SECONDS", 0.2)
    handle = await test.start(collects, 1, instance_id="c")
    others = [await test.start(collects, 1, instance_id=f"other-{n}") for n in range(20)]
    await test.idle()
    partition = partition_of(COLLECTOR, PARTITIONS)
    hub.places[partition].take("another", hub.handle())
    told = [handle.raise_event("item", 1)]
    places = [partition_of(InstanceId(one.instance_id), PARTITIONS) for one in others]
    mine = [one for one, place in zip(others, places, strict=True) if place != partition]
    told += [one.raise_event("item", 2) for one in mine]
    outcomes = await asyncio.gather(*told, return_exceptions=True)
    assert set(outcomes) == {None}
    assert [row.instance_id for row in hub.inbox.values()] == ["c"]
    assert [await one.result() for one in mine] == [[2]] * len(mine)
    assert 10 <= len(mine) < 20
    assert hub.places[partition].owner == "another"
    assert test.host.engine.partitions.keys() == set(range(PARTITIONS)) - {partition}
    assert test.host.engine.pipeline.leases.keys() == test.host.engine.partitions.keys()
    ending = asyncio.create_task(handle.terminate())
    await until(lambda: len(hub.inbox) == 2)
    ending.cancel()


async def test_one_owner_a_host_that_has_lost_everything_ends(
    hub: SharedHub, test: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_OWNER_SECONDS", 0.2)
    handle = await test.start(collects, 1, instance_id="c")
    await test.idle()
    for place in hub.places:
        place.take("another", hub.handle())
    await handle.raise_event("item", 1)  # it is durable, for whoever serves its instance
    assert [row.instance_id for row in hub.inbox.values()] == ["c"]
    taken = []
    for number in range(20):  # durable, until it has found out that nothing is its own any more
        with suppress(StorageError):
            await test.client.start(collects, 0, instance_id=f"c{number}")
            taken.append(f"c{number}")
    lost = await test.host.until_lost()
    assert isinstance(lost, FencedError)
    assert len(lost.partitions) == 1
    assert set(taken) <= hub.iids.keys()
    with pytest.raises(StorageError):
        await test.client.start(collects, 0, instance_id="late")


async def test_many_messages_are_read_in_pages_at_the_start(hub: SharedHub) -> None:
    async with TestHost(app, storage=hub.handle()) as test:
        handle = await test.start(collects, 2_500, instance_id="c")
        await test.idle()
        outsider = Outsider(hub.handle())
        await outsider._storage.open()
        await test.host.abandon()
        for number in range(2_500):
            await outsider.send(f"m{number}", "c", "item", number)
        await test.restart()
        assert await handle.result() == list(range(2_500))
        await until(lambda: not hub.inbox)


@pytest.mark.parametrize("has_landed", [True, False])
async def test_a_batch_in_doubt_is_asked_for_until_the_store_answers(
    hub: SharedHub, test: TestHost, *, has_landed: bool
) -> None:
    """ENGINE rule 15; what is asked about may be away as well."""
    storage = test.host.engine.storage
    calls: list[str] = []
    batches: list[str] = []
    commit, landed = storage.commit, storage.landed

    async def commit_and_break(batch: CommitBatch) -> CommitResult:
        calls.append("commit")
        batches.append(batch.batch_id)
        if len(calls) > 1:
            return await commit(batch)
        if has_landed:
            await commit(batch)
        raise StorageUnavailableError("it went away")

    async def landed_at_last(batch: CommitBatch) -> CommitResult | None:
        calls.append("landed")
        if len(calls) < 4:
            raise StorageUnavailableError("it is away still")
        return await landed(batch)

    storage.commit = commit_and_break  # type: ignore[method-assign]
    storage.landed = landed_at_last  # type: ignore[method-assign]
    starting = asyncio.ensure_future(test.start(collects, 0, instance_id="c"))
    while not starting.done():
        await test.advance(timedelta(seconds=1), with_activities=False)
    assert await (await starting).result() == []
    assert calls[:4] == ["commit", "landed", "landed", "landed"]
    assert batches.count(batches[0]) == (1 if has_landed else 2)


async def test_numbers_of_instances_do_not_run_out(
    hub: SharedHub, test: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next block comes in the background, also when the store is away for a while."""
    monkeypatch.setattr("tenuto.engine.reading.BLOCK", 8)
    await test.restart()
    storage = test.host.engine.storage
    reserve = storage.reserve_iids
    away = [StorageUnavailableError("it is away")]

    async def sometimes(count: int) -> range:
        if away:
            raise away.pop()
        return await reserve(count)

    storage.reserve_iids = sometimes  # type: ignore[method-assign]
    for _ in range(5):
        for _ in range(3):
            await test.run(collects, 0)
        await test.advance(timedelta(seconds=2))
    assert any("no numbers for instances" in text for _, text in test.problems)
    assert len(hub.instances) == 15


async def test_a_partition_is_given_back_by_the_commit_that_is_its_last(
    hub: SharedHub, test: TestHost
) -> None:
    pipeline = test.host.engine.pipeline
    await test.run(collects, 0, instance_id="c")
    pipeline.batch.released.add(partition_of(COLLECTOR, PARTITIONS))
    await pipeline.flush()
    owners = {number: place.owner for number, place in enumerate(hub.places)}
    assert [number for number, owner in owners.items() if owner is None] == [
        partition_of(COLLECTOR, PARTITIONS)
    ]
    assert pipeline.leases.keys() == {number for number, owner in owners.items() if owner}
    # What would be written for it now is not even sent.
    await test.client.start(collects, 0, instance_id="other-than-c")
    starting = asyncio.create_task(test.client.start(collects, 0, instance_id="c"))
    await until(lambda: [row.instance_id for row in hub.inbox.values()] == ["c"])
    assert not starting.done()
    starting.cancel()
    assert await test.run(collects, 0, instance_id="another-than-c") == []
