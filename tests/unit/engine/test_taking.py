"""Partitions that are let go of and taken in rare orders: each test holds one thing in place.

What goes on in a partition when it goes, what a read brings that was asked for before, what a take
leaves behind that fails. ``test_two_hosts.py`` plays all of it at random.
"""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from tenuto import (
    InstanceExistsError,
    StorageError,
    StorageUnavailableError,
)
from tenuto.engine.careful import MANY_DEATHS, SERVED
from tenuto.engine.ports import InboxPage, Wake
from tenuto.engine.rows import CommitBatch, InboxRow
from tenuto.model.errors import StorageOwnedError
from tenuto.model.events import EventRaised
from tenuto.model.hold import HoldReason
from tenuto.model.ids import ExecutionId, InstanceId, partition_of
from tenuto.model.messages import RaiseEvent, Suspend
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tests.support.facts import asks
from tests.support.partitions import (
    PARTITIONS,
    Slowness,
    at_commit,
    named,
    outcome,
    pass_seconds,
    take_the_id_of,
)
from tests.support.two_hosts import Cluster

FRESH = InstanceId("fresh")
ROOT = InstanceId("root")
LATER = InstanceId("later")

# --- what is on its way to the store when a partition goes ----------------------------------------


@pytest.mark.parametrize("goes", [False, True])
async def test_a_parent_hears_that_the_id_of_its_child_is_taken_also_when_its_partition_goes(
    cluster: Cluster, slowness: Slowness, *, goes: bool
) -> None:
    member = cluster.members[0]
    root = named("root", 0)
    children: list[InstanceRecord] = []
    takes: list[asyncio.Task[None]] = []

    def is_elsewhere(batch: CommitBatch) -> bool:
        children[:] = [one for one in batch.instances if one.depth and one.partition]
        return bool(children)

    def take_its_id() -> None:
        child = children[0]
        take_the_id_of(cluster, child)
        if goes:
            takes.append(asyncio.create_task(member.lifecycle.take([child.partition])))

    at_commit(member, is_elsewhere, take_its_id)
    slowness.rounds = 4
    for attempt in range(50):
        root = named(f"root{attempt}-", 0)
        await cluster.begin("has_child", root, "null")
        await cluster.rounds(200)
        if children:
            break
    await asyncio.gather(*takes)
    await pass_seconds(cluster, 5)
    status, output = outcome(cluster, root)
    assert status is RuntimeStatus.COMPLETED
    assert "is taken" in (output or "")
    assert {len(home.open_by_root) for home in member.engine.partitions.values()} == {0}


async def test_whoever_starts_a_fresh_id_that_was_taken_is_told(cluster: Cluster) -> None:
    member = cluster.members[0]
    fresh = asks(instance_id="fresh", execution_id="one", name="works", input="null", is_fresh=True)

    def take_its_id() -> None:
        now = cluster.clock.now()
        cluster.hub.start(
            InstanceRecord(
                iid=0,
                instance_id=FRESH,
                partition=partition_of(FRESH, PARTITIONS),
                name="waits",
                execution_id=ExecutionId("other"),
                created_at=now,
                updated_at=now,
                root_id=FRESH,
                input="null",
            )
        )

    at_commit(member, lambda batch: bool(batch.instances), take_its_id)
    with pytest.raises(InstanceExistsError, match="taken"):
        await asyncio.wait_for(member.commands.start(fresh), 5)


async def test_callers_of_a_partition_that_goes_are_answered_when_its_batch_is_refused_as_well(
    cluster: Cluster, slowness: Slowness
) -> None:
    """Their requests were decided, and what another instance decided spoils the batch."""
    member = cluster.members[0]
    paused, takes = named("paused", 0), list[asyncio.Task[None]]()
    await cluster.begin("waits", paused, "null")
    await cluster.rounds(100)
    await cluster.send(paused, lambda key: Suspend(message_id=key))
    await cluster.rounds(100)
    slowness.rounds = 6

    def is_answered_and_spoiled(batch: CommitBatch) -> bool:
        flying = member.engine.pipeline.unwritten[0]
        statuses = [one.custom_status for one in batch.instances]
        statuses += [one.custom_status for one in batch.updates]
        return any(statuses) and any(
            one[0].instance_id == paused for one in flying.answered.values()
        )

    def go() -> None:
        takes.append(asyncio.create_task(member.lifecycle.take([0])))

    at_commit(member, is_answered_and_spoiled, go)
    asked: list[asyncio.Task[None]] = []
    for number in range(20):
        await cluster.begin("spoils", named(f"spoiled{number}-", 1), "null")
        for _ in range(5):
            raising = member.commands.tell(
                paused, RaiseEvent(event=EventRaised("other", str(number)))
            )
            asked.append(asyncio.create_task(raising))
            await cluster.rounds(3)
        if takes:
            break
    assert takes, "the two have met in a batch"
    await asyncio.wait_for(asyncio.gather(*asked, *takes, return_exceptions=True), 10)
    assert member.engine.callers.requests == 0


async def test_a_start_from_the_inbox_of_a_partition_that_goes_is_not_refused(
    cluster: Cluster, slowness: Slowness
) -> None:
    """Its row is still there for whoever has the partition now: nobody may answer for it."""
    member = cluster.members[0]
    parent = next(
        name
        for name in (InstanceId(f"parent{n}") for n in range(99))
        if partition_of(name, 3) != partition_of(InstanceId(f"{name}-child"), 3)
    )
    number = partition_of(InstanceId(f"{parent}-child"), 3)
    slowness.rounds = 5
    await cluster.begin("chooses", parent, "null")
    pipeline = member.engine.pipeline
    while not (pipeline.unwritten[0].starts and pipeline.batch.is_empty):
        await cluster.rounds(1)
    member.engine.drop(number)
    assert number not in pipeline.batch.consumed.values()
    assert not pipeline.batch.produced
    await member.lifecycle.take([number])
    await cluster.settle()
    assert outcome(cluster, parent) == (RuntimeStatus.COMPLETED, "5")


# --- what goes on in others -----------------------------------------------------------------------


async def test_taking_partitions_puts_off_no_timer_of_others(two: Cluster) -> None:
    """One that is set beyond the horizon is armed by the next reload, however often we take."""
    sleeper = named("sleeper", 0)
    await two.begin("sleeps", sleeper, "null")
    await two.rounds(200)
    for second in range(655):
        if second in {230, 460}:
            await two.members[0].lifecycle.take([1])
        await pass_seconds(two, 1)
    assert outcome(two, sleeper)[0] is RuntimeStatus.COMPLETED


async def test_a_busy_host_takes_partitions_all_the_same(two: Cluster) -> None:
    """There is always a batch in the making; only what was decided before is waited for."""
    for number in range(20):
        await two.begin("goes_on", named(f"busy{number}-", 0), "0")
    await two.rounds(200)
    taking = asyncio.create_task(two.members[0].lifecycle.take([1]))
    await two.rounds(300)
    assert taking.done()
    await taking
    assert sorted(two.members[0].engine.partitions) == [0, 1, 2]


async def test_open_descendants_are_counted_once_however_often_their_partition_is_taken(
    cluster: Cluster,
) -> None:
    member = cluster.members[0]
    await cluster.begin("has_waiting_child", ROOT, "null")
    await cluster.rounds(100)
    child = next(one for one in cluster.hub.instances.values() if one.depth)

    def below() -> int:
        return sum(home.open_by_root.get(ROOT, 0) for home in member.engine.partitions.values())

    assert below() == 1
    for number in (child.partition, partition_of(ROOT, PARTITIONS), child.partition):
        await member.lifecycle.take([number])
        assert below() == 1
        await cluster.rounds(100)
        assert below() == 1
    await cluster.begin("spoils", "spoiler", "null")  # then everything is read anew
    await cluster.rounds(200)
    assert below() == 1
    member.engine.drop(child.partition)
    assert below() == 0
    await member.lifecycle.take([child.partition])
    await cluster.tell(child.instance_id, "go", "1")
    await cluster.rounds(200)
    assert below() == 0


async def test_an_engine_that_takes_is_not_idle(two: Cluster, slowness: Slowness) -> None:
    slowness.rounds = 10
    engine = two.members[0].engine
    await two.rounds(300)
    idle = [engine.is_idle]
    taking = asyncio.create_task(two.members[0].lifecycle.take([1]))
    await two.rounds(1)
    while not taking.done():
        idle.append(engine.is_idle)
        await two.rounds(1)
    assert idle.pop(0)
    assert not any(idle)


# --- the order of messages ------------------------------------------------------------------------


async def test_what_is_sent_while_a_partition_is_taken_is_not_overtaken(
    two: Cluster, slowness: Slowness
) -> None:
    """A start is stored after the partition was read, and before it is ours; events follow."""
    member = two.members[0]
    receiver, sender = named("receiver", 1), named("sender", 0)
    storage = member.engine.storage
    misfits, fetch = storage.misfits, storage.fetch_inbox

    async def slow(cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        await two.rounds(300)
        return await fetch(cursors, after)

    async def late(partitions: Collection[int], reason: HoldReason | None = None) -> list[int]:
        found = await misfits(partitions, reason)
        await two.begin("chooses_and_sends", sender, f'"{receiver}"')
        while not [row for row in two.hub.inbox.values() if row.instance_id == receiver]:
            await two.rounds(1)
        await two.rounds(5)  # its sender knows that it is stored
        storage.fetch_inbox = slow  # type: ignore[method-assign]
        return found

    storage.misfits = late  # type: ignore[method-assign]
    await member.lifecycle.take([1])
    await two.settle()
    assert outcome(two, receiver) == (RuntimeStatus.COMPLETED, "[0,1,2,3,4,5]")
    assert not two.hub.letters


async def test_what_an_instance_has_sent_is_not_overtaken_when_it_comes_to_us(two: Cluster) -> None:
    """Its messages from before are in our inbox, and not read yet."""
    member = two.members[0]
    receiver, sender = named("receiver", 0), named("sender", 1)
    await two.begin("collects", receiver, "6")
    await two.rounds(50)
    storage = member.engine.storage
    fetch = storage.fetch_inbox
    polls = 0

    async def late(cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        nonlocal polls
        polls += 1
        if polls == 1:
            await two.rounds(300)
        return await fetch(cursors, after)

    storage.fetch_inbox = late  # type: ignore[method-assign]
    await two.begin("sends", sender, f'{{"receiver":"{receiver}","count":6}}')
    while not [row for row in two.hub.inbox.values() if row.instance_id == receiver]:
        await two.rounds(1)
    await member.lifecycle.take([1])
    await two.settle()
    assert outcome(two, receiver) == (RuntimeStatus.COMPLETED, "[0,1,2,3,4,5]")


# --- a partition that is taken is served like any other -------------------------------------------


async def test_after_a_while_a_taken_partition_was_served(two: Cluster) -> None:
    await pass_seconds(two, 100)
    await two.members[0].lifecycle.take([1])
    await pass_seconds(two, SERVED // 1_000_000 - 5)
    assert not two.hub.places[1].served
    await pass_seconds(two, 10)
    assert two.hub.places[1].served


async def test_a_partition_that_goes_meanwhile_was_not_served(two: Cluster) -> None:
    await two.rounds(50)
    await two.members[1].lifecycle.take([0])
    await pass_seconds(two, SERVED // 1_000_000 - 5)
    await two.members[0].lifecycle.take([0])
    await pass_seconds(two, 10)
    assert not two.hub.places[0].served


async def test_care_is_taken_of_a_partition_whose_owners_have_died_and_of_no_other(
    two: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    member = two.members[0]
    old, new = named("old", 0), named("new", 1)
    await two.begin("waits", old, "null")
    await two.begin("waits", new, "null")
    await two.rounds(100)
    await two.tell(new, "go", "2")
    await two.members[1].lifecycle.abandon()
    two.hub.places[1].served = False
    two.hub.places[1].deaths = MANY_DEATHS - 1
    taking = asyncio.create_task(member.lifecycle.take([1]))
    while (careful := member.engine.careful) is None:
        await two.rounds(1)
    await taking
    assert [careful.looks_after(member.engine.partitions[n]) for n in (0, 1, 2)] == [
        False,
        True,
        False,
    ]
    await member.commands.tell(old, RaiseEvent(event=EventRaised("go", "1")))
    assert outcome(two, old)[0] is RuntimeStatus.COMPLETED
    while member.engine.careful is not None:
        await two.rounds(10)
    await two.settle()
    assert outcome(two, new) == (RuntimeStatus.COMPLETED, "2")
    assert (
        "2 hosts in a row have died soon after they had taken partitions 1 of this store"
        in caplog.text
    )


async def test_what_was_tried_of_a_partition_that_has_gone_is_not_noted(two: Cluster) -> None:
    member = two.members[0]
    await two.begin("waits", name := named("waits", 0), "null")
    await two.rounds(100)
    resident = member.engine.residents.named(name)
    assert resident is not None
    member.engine.drop(0)
    resident.state.deliveries = 3
    await member.engine.holding.note_deliveries([resident])
    record = two.hub.named(name)
    assert record is not None
    assert record.deliveries == 0


# --- takes that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("read", ["load_partition", "due", "misfits"])
async def test_a_take_that_fails_leaves_nothing_and_can_be_tried_again(
    two: Cluster, read: str
) -> None:
    member = two.members[0]
    await two.members[1].lifecycle.abandon()
    await two.begin("works", name := named("works", 1), "null")
    storage = member.engine.storage
    real = getattr(storage, read)

    async def fails(*_: object) -> object:
        setattr(storage, read, real)
        raise StorageUnavailableError("it is away")

    setattr(storage, read, fails)
    with pytest.raises(StorageUnavailableError, match="it is away"):
        await member.lifecycle.take([1])
    assert 1 not in member.engine.partitions
    assert 1 not in member.engine.pipeline.leases
    assert two.hub.places[1].owner is None
    await member.lifecycle.take([1])
    await two.settle()
    assert outcome(two, name) == (RuntimeStatus.COMPLETED, "5")


async def test_two_takes_of_one_partition_come_one_after_another(
    two: Cluster, slowness: Slowness
) -> None:
    member = two.members[0]
    await two.begin("works", name := named("works", 1), "null")
    slowness.rounds = 7
    takes = [asyncio.create_task(member.lifecycle.take([1])) for _ in range(2)]
    await two.rounds(9)
    takes.append(asyncio.create_task(member.lifecycle.take([1, 2])))
    await asyncio.gather(*takes)
    await two.settle()
    assert outcome(two, name) == (RuntimeStatus.COMPLETED, "5")
    assert member.owned == [0, 1, 2]


async def test_a_host_that_stops_gives_back_what_it_is_about_to_take(
    two: Cluster, slowness: Slowness
) -> None:
    member = two.members[0]
    slowness.rounds = 7
    taking = asyncio.create_task(member.lifecycle.take([1]))
    await two.rounds(10)
    assert member.owned == [0, 1, 2]
    await member.lifecycle.stop(1.0)
    with pytest.raises(StorageUnavailableError, match="stopping"):
        await taking
    assert member.owned == []


# --- who asks, and who listens --------------------------------------------------------------------


@pytest.mark.parametrize("started", [False, True])
async def test_nobody_waits_in_vain_for_an_instance_of_another_host(
    two: Cluster, *, started: bool
) -> None:
    theirs = named("theirs", 1)
    await two.begin("waits", theirs, "null")
    if started:  # it stays pending
        await two.members[1].lifecycle.abandon()
        await two.begin("waits", theirs := named("pending", 1), "null")
    await two.rounds(50)
    with pytest.raises(StorageOwnedError, match="another host"):
        await asyncio.wait_for(two.members[0].commands.wait(theirs, started=started), 5)


async def test_an_end_is_told_by_any_host(two: Cluster) -> None:
    await two.begin("works", theirs := named("theirs", 1), "null")
    await two.settle()
    for member in two.members:
        assert (await member.commands.wait(theirs)).output == "5"
        assert (await member.commands.wait(theirs, started=True)).output == "5"


@pytest.mark.parametrize("started", [False, True])
async def test_who_waits_is_told_when_the_partition_goes(
    cluster: Cluster, *, started: bool
) -> None:
    member = cluster.members[0]
    request = asks(
        instance_id="later",
        execution_id="execution",
        name="waits",
        input="null",
        scheduled_at=cluster.clock.now() + 3_600_000_000,
    )
    await member.commands.start(request)
    waiting = asyncio.create_task(member.commands.wait(LATER, started=started))
    await cluster.rounds(20)
    member.engine.drop(partition_of(LATER, PARTITIONS))
    with pytest.raises(StorageError, match="another host"):
        await asyncio.wait_for(waiting, 5)


async def test_listeners_hear_on_when_a_partition_has_gone(cluster: Cluster) -> None:
    engine = cluster.members[0].engine
    here, gone = named("here", 0), named("gone", 1)
    await cluster.begin("waits", here, "null")
    await cluster.begin("waits", gone, "null")
    await cluster.rounds(100)
    listens_here, listens_there = engine.updates.subscribe(here), engine.updates.subscribe(gone)
    listens_to_all = engine.updates.subscribe()
    engine.drop(1)
    assert (await asyncio.wait_for(anext(listens_to_all), 5)).is_reset
    comes_later = engine.updates.subscribe(gone, after="new")
    assert (await asyncio.wait_for(anext(comes_later), 5)).is_reset
    await cluster.tell(here, "go", "1")
    update = await asyncio.wait_for(anext(listens_here), 5)
    assert update.instance_id == here
    async with asyncio.timeout(5):
        while (update := await anext(listens_to_all)).is_reset:
            pass  # others write, too
    assert update.instance_id == here
    await cluster.members[0].lifecycle.take([1])
    await cluster.tell(gone, "go", "1")
    for one in (listens_there, comes_later):
        update = await asyncio.wait_for(anext(one), 5)
        assert (update.instance_id, update.has_ended, update.turn) == (gone, True, 1)
    for one in (listens_here, listens_there, comes_later, listens_to_all):
        one.close()


# --- pages that were asked for before -------------------------------------------------------------


async def test_a_page_from_before_a_partition_was_taken_anew_brings_nothing_of_it(
    two: Cluster,
) -> None:
    """Meanwhile another host has used its message up: nobody here knows of that."""
    first, second = two.members
    name = named("waits", 0)
    storage = first.engine.storage
    fetch, returned = storage.fetch_inbox, asyncio.Event()
    routed: list[str] = []
    route = first.engine.arrivals.route

    async def late(cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        page = await fetch(cursors, after)
        if any(row.instance_id == name and row.message_id for row in page.rows):
            await returned.wait()
        return page

    await two.begin("waits", name, "null")
    await two.rounds(100)
    storage.fetch_inbox = late  # type: ignore[method-assign]
    await two.tell(name, "other", "1")
    await two.rounds(20)
    await second.lifecycle.take([0])
    await two.rounds(100)
    assert not two.hub.inbox
    await first.lifecycle.take([0])
    cursor = first.engine.partitions[0].cursor

    def noting(row: InboxRow) -> None:
        routed.append(str(row.message_id))
        route(row)

    first.engine.arrivals.route = noting  # type: ignore[method-assign]
    storage.fetch_inbox = fetch  # type: ignore[method-assign]
    returned.set()
    await two.rounds(50)
    assert routed == []
    assert first.engine.partitions[0].cursor >= cursor


async def test_times_that_were_read_of_a_partition_that_goes_meanwhile_are_not_armed(
    two: Cluster,
) -> None:
    first, second = two.members
    await two.begin("sleeps", name := named("sleeper", 0), "null")
    await two.rounds(100)
    storage = first.engine.storage
    due, returned = storage.due, asyncio.Event()

    async def late(partitions: Collection[int], after: int | None, until: int) -> list[Wake]:
        found = await due(partitions, after, until)
        await returned.wait()
        return found

    storage.due = late  # type: ignore[method-assign]
    await pass_seconds(two, 300)
    first.engine.drop(0)
    await second.lifecycle.take([0])
    returned.set()
    await pass_seconds(two, 400)
    assert outcome(two, name)[0] is RuntimeStatus.COMPLETED
    assert 0 not in first.engine.partitions
