"""Partitions that move while something else goes wrong: found by a review, each kept as a test."""

import asyncio
from collections.abc import Collection
from pathlib import Path

import pytest
from msgspec import Raw

from tenuto import StorageError, StorageUnavailableError
from tenuto.engine.commands import Commands
from tenuto.engine.engine import Engine
from tenuto.engine.lifecycle import Lifecycle
from tenuto.engine.options import EngineOptions
from tenuto.engine.ports import HostIdentity, PartitionPage
from tenuto.engine.program import RunnerMeans
from tenuto.engine.rows import CommitBatch, CommitResult, InboxRow
from tenuto.host.programs import program_of
from tenuto.model.errors import RowsRefusedError, StorageOwnedError
from tenuto.model.events import EventRaised
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId, MessageId, partition_of
from tenuto.model.limits import Limits
from tenuto.model.messages import RaiseEvent
from tenuto.model.requests import DeadLetter
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing import RecordingObserver
from tenuto.testing.clock import VirtualClock
from tests.support.facts import asks
from tests.support.partitions import (
    PARTITIONS,
    Slowness,
    app,
    at_commit,
    named,
    outcome,
    pass_seconds,
    take_the_id_of,
)
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster, Member


def event(text: str, name: str = "go") -> RaiseEvent:
    return RaiseEvent(event=EventRaised(name, text))


def below(member: Member, root: InstanceId) -> int:
    return sum(home.open_by_root.get(root, 0) for home in member.engine.partitions.values())


async def open_child(cluster: Cluster, partition: int) -> InstanceRecord:
    """A child that waits, in this partition."""
    for number in range(40):
        root = named(f"root{number}-", 0)
        await cluster.begin("has_waiting_child", root, "null")
        await cluster.rounds(150)
        for one in cluster.hub.instances.values():
            if one.root_id == root and one.depth and one.partition == partition:
                return one
    raise AssertionError("no child there")


# --- a take that fails ----------------------------------------------------------------------------


async def test_a_host_that_has_given_everything_back_takes_and_commits_again(
    tmp_path: Path,
) -> None:
    """The store may have forgotten how many commits it has made."""
    clock = VirtualClock()
    storage = SqliteStorage(tmp_path / "store.db")
    hub = await storage.open()
    means = RunnerMeans(clock=clock, limits=Limits(), webhook_base=lambda: "http://127.0.0.1:7071")
    lost: list[StorageError] = []
    engine = Engine(
        storage,
        clock,
        program_of(app).make_runner(means),
        RecordingObserver(),
        EngineOptions(),
        lost.append,
    )
    lifecycle, commands = Lifecycle(engine), Commands(engine)
    everything = range(hub.partitions)
    await lifecycle.start(HostIdentity(owner="a", description="a"), hub_partitions=hub.partitions)
    load = storage.load_partition

    async def fails(_partition: int, _after: str | None, _limit: int) -> PartitionPage:
        storage.load_partition = load  # type: ignore[method-assign]
        raise StorageUnavailableError("it is away")

    for number in range(3):
        request = asks(
            instance_id=f"i{number}", execution_id=f"e{number}", name="works", input="null"
        )
        await commands.start(request)
        assert (await asyncio.wait_for(commands.wait(InstanceId(f"i{number}")), 10)).output == "5"
        storage.load_partition = fails  # type: ignore[method-assign,assignment]
        with pytest.raises(StorageUnavailableError):
            await lifecycle.take(everything)
        await lifecycle.take(everything)
    assert not lost
    await lifecycle.stop(1.0)


async def test_takes_that_fail_are_no_deaths(two: Cluster) -> None:
    member = two.members[0]
    await two.members[1].lifecycle.stop(1.0)
    storage = member.engine.storage
    load, release = storage.load_partition, storage.release

    async def fails(*_: object) -> None:
        raise StorageUnavailableError("it is away")

    for _ in range(3):
        storage.load_partition = storage.release = fails  # type: ignore[method-assign,assignment]
        with pytest.raises(StorageUnavailableError):
            await member.lifecycle.take([1])
        storage.load_partition, storage.release = load, release  # type: ignore[method-assign]
    await member.lifecycle.take([1])
    assert two.hub.places[1].deaths == 0
    assert member.engine.careful is None


async def test_what_could_not_be_brought_up_is_not_ours(
    two: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = two.members[0]

    def fails(*_: object) -> None:
        raise StorageUnavailableError("whatever it is")

    with monkeypatch.context() as patched:
        patched.setattr("tenuto.engine.reading.Reading.bring_up", fails)
        with pytest.raises(StorageUnavailableError):
            await member.lifecycle.take([1])
    assert sorted(member.engine.partitions) == sorted(member.engine.pipeline.leases) == member.owned
    assert 1 not in member.owned


async def test_a_message_that_cannot_be_read_stops_neither_a_take_nor_others(
    two: Cluster,
) -> None:
    member = two.members[0]
    await two.members[1].lifecycle.abandon()
    await two.begin("waits", name := named("strange", 1), "null")
    two.hub.add([InboxRow(MessageId("from-the-future"), 1, name, Raw(b'{"type":"FromTheFuture"}'))])
    await member.lifecycle.take([1])
    await two.begin("works", other := named("works", 0), "null")
    await pass_seconds(two, 5)
    assert outcome(two, other) == (RuntimeStatus.COMPLETED, "5")
    assert any("'from-the-future' stays in the inbox" in one for _, one in member.observer.problems)
    assert sorted(member.engine.partitions) == member.owned


async def test_nothing_is_taken_by_who_cannot_write_any_more() -> None:
    cluster = Cluster(SharedHub(PARTITIONS), app, ["a", "b", "c"])
    await cluster.start()
    first, _, third = cluster.members
    await cluster.begin("waits", name := named("waits", 0), "null")
    await cluster.rounds(100)
    storage = first.engine.storage
    misfits, goes_on = storage.misfits, asyncio.Event()

    async def late(partitions: Collection[int], reason: HoldReason | None = None) -> list[int]:
        found = await misfits(partitions, reason)
        await goes_on.wait()
        return found

    storage.misfits = late  # type: ignore[method-assign]
    taking = asyncio.create_task(first.lifecycle.take([1]))
    await cluster.rounds(50)
    await third.lifecycle.take([0])
    first.engine.pipeline.batch.held.add(0)
    first.engine.pipeline.batch.dead_letters.append(letter())
    first.engine.pipeline.kick()
    await cluster.rounds(50)
    assert first.lost
    goes_on.set()
    with pytest.raises(StorageUnavailableError, match="cannot write"):
        await taking
    assert cluster.hub.places[1].owner is None
    assert outcome(cluster, name)[0] is RuntimeStatus.RUNNING
    await cluster.stop()


def letter() -> "DeadLetter":
    return DeadLetter(MessageId("m"), InstanceId("nobody"), "why", 1, Raw(b"{}"))


# --- what is decided twice, or lost ---------------------------------------------------------------


async def test_a_start_that_was_read_while_its_commit_was_in_doubt_is_decided_once(
    cluster: Cluster,
) -> None:
    """Refused, and then free: the parent must not hear that it failed, and have it all the same."""
    member = cluster.members[0]
    storage = member.engine.storage
    commit = storage.commit
    taken = "parent-child"
    await cluster.begin("waits", taken, "null")
    await cluster.rounds(100)

    async def in_doubt(batch: CommitBatch) -> CommitResult:
        result = await commit(batch)
        if any(row.instance_id == taken for row in batch.inbox):
            storage.commit = commit  # type: ignore[method-assign]
            raise StorageUnavailableError("its answer was lost")
        return result

    storage.commit = in_doubt  # type: ignore[method-assign]
    await cluster.begin("chooses", "parent", "null")
    await cluster.rounds(60)
    await cluster.begin("waits", "other", "null")  # a poll
    await cluster.rounds(60)
    await cluster.tell(taken, "go", "1")  # it ends, in the batch in the making
    await pass_seconds(cluster, 10)
    child = cluster.hub.named(taken)
    assert child is not None
    assert child.generation == 0
    assert child.parent is None
    assert outcome(cluster, "parent")[0] is RuntimeStatus.FAILED


async def test_a_parent_hears_that_the_id_is_taken_although_the_word_was_taken_back(
    cluster: Cluster, slowness: Slowness
) -> None:
    member = cluster.members[0]
    await cluster.begin("waits", busy := named("busy", 1), "null")
    await cluster.rounds(100)
    children: list[InstanceRecord] = []
    asked: list[asyncio.Task[None]] = []

    def is_elsewhere(batch: CommitBatch) -> bool:
        children[:] = [one for one in batch.instances if one.depth and one.partition == 1]
        return bool(children)

    def go() -> None:
        take_the_id_of(cluster, children[0])
        asked.append(asyncio.create_task(member.commands.tell(busy, event("1", "other"))))

        async def take_soon() -> None:
            await cluster.rounds(4)  # a turn of the busy one is in the batch in the making
            await member.lifecycle.take([1])

        asked.append(asyncio.create_task(take_soon()))

    at_commit(member, is_elsewhere, go)
    slowness.rounds = 8
    root = ""
    for number in range(40):
        await cluster.begin("has_child", root := named(f"root{number}-", 0), "null")
        await cluster.rounds(300)
        if children:
            break
    await asyncio.gather(*asked, return_exceptions=True)
    await pass_seconds(cluster, 20)
    status, output = outcome(cluster, root)
    assert status is RuntimeStatus.COMPLETED
    assert "is taken" in (output or "")


async def test_open_descendants_are_right_when_a_take_ends_while_a_batch_is_taken_back(
    two: Cluster,
) -> None:
    child = await open_child(two, 1)
    member = two.members[0]
    storage = member.engine.storage
    misfits, find = storage.misfits, storage.find
    goes_on = asyncio.Event()

    async def late(partitions: Collection[int], reason: HoldReason | None = None) -> list[int]:
        found = await misfits(partitions, reason)
        await goes_on.wait()
        return found

    storage.misfits = late  # type: ignore[method-assign]
    taking = asyncio.create_task(member.lifecycle.take([1]))
    await two.rounds(50)
    hold = member.engine.takeback._hold

    async def hold_when_taken(*given: object) -> None:
        goes_on.set()
        await taking
        await hold(*given)  # type: ignore[arg-type]

    member.engine.takeback._hold = hold_when_taken  # type: ignore[method-assign,assignment]
    await two.begin("spoils", named("spoiled", 0), "null")
    await asyncio.wait_for(taking, 10)
    storage.misfits, storage.find = misfits, find  # type: ignore[method-assign]
    await two.rounds(300)
    assert below(member, child.root_id) == 1
    await two.tell(child.instance_id, "go", "1")
    await two.rounds(300)
    assert below(member, child.root_id) == 0


async def test_everything_is_read_anew_once_when_the_guilty_one_has_gone_as_well(
    cluster: Cluster, slowness: Slowness
) -> None:
    child = await open_child(cluster, 1)
    member = cluster.members[0]
    recover, recovered = member.engine.takeback.reload, 0
    assert recover is not None

    async def counting() -> None:
        nonlocal recovered
        recovered += 1
        await recover()

    member.engine.takeback.reload = counting
    slowness.rounds = 3
    at_commit(
        member,
        lambda batch: any(one.custom_status for one in batch.updates),
        lambda: member.engine.drop(2),
    )
    await cluster.begin("spoils", named("spoiled", 2), "null")
    await cluster.rounds(600)
    assert recovered == 1
    assert below(member, child.root_id) == 1


# --- fences ---------------------------------------------------------------------------------------


async def test_what_is_kept_for_an_instance_is_fenced(cluster: Cluster) -> None:
    """Whoever has lost the partition, and does not know, must not accept for it."""
    member = cluster.members[0]
    await cluster.begin("waits", name := named("waits", 1), "null")
    await cluster.rounds(100)
    resident = member.engine.residents.named(name)
    assert resident is not None
    member.engine.booking.keep(resident, event("1", "other"))
    assert member.engine.pipeline.batch.touched() == {1}
    member.engine.pipeline.batch.put_by.clear()
    await member.engine.pipeline.flush()


class LetterlessHub(SharedHub):
    """A store that can hold no dead letters."""

    def _check(self, batch: CommitBatch) -> None:
        letters = dict.fromkeys(range(len(batch.dead_letters)), "no letters here")
        if letters:
            raise RowsRefusedError("the store cannot hold some rows", letters=letters)
        super()._check(batch)


async def test_a_batch_that_is_sent_once_more_is_fenced_for_all_that_it_writes(
    slowness: Slowness,
) -> None:
    """Refused for a dead letter alone; meanwhile one of its partitions has gone."""
    cluster = Cluster(LetterlessHub(PARTITIONS, rounds=slowness), app, ["a", "b"])
    await cluster.start()
    first, second = cluster.members
    await cluster.begin("waits", name := named("waits", 0), "null")
    await cluster.rounds(100)
    slowness.rounds = 5
    storage = first.engine.storage
    commit = storage.commit
    fences: list[list[int]] = []

    async def watched(batch: CommitBatch) -> CommitResult:
        fences.append([fence.partition for fence in batch.fences])
        try:
            return await commit(batch)
        except RowsRefusedError:
            first.engine.drop(0)
            cluster.hub.places[0].take("b", second.engine.storage)  # type: ignore[arg-type]
            raise

    storage.commit = watched  # type: ignore[method-assign]
    asked = asyncio.create_task(first.commands.tell(name, event("1", "other")))
    while not first.engine.pipeline.batch.turns:
        await cluster.rounds(1)
    first.engine.pipeline.batch.dead_letters.append(letter())
    first.engine.pipeline.batch.held.add(2)
    await asyncio.wait([asked], timeout=5)
    await cluster.rounds(200)
    assert fences[0] == [0, 2]
    assert len(fences) == 1, "there is no lease for all of it any more"
    assert len(cluster.hub.turns[next(iter(cluster.hub.turns))]) == 1
    await cluster.stop()


# --- who waits ------------------------------------------------------------------------------------


async def test_who_waits_for_what_is_being_made_elsewhere_is_told_so(
    cluster: Cluster, slowness: Slowness
) -> None:
    member = cluster.members[0]
    storage = member.engine.storage
    commit = storage.commit

    async def once(_batch: CommitBatch) -> CommitResult:
        storage.commit = commit  # type: ignore[method-assign]
        raise StorageUnavailableError("it is away")

    storage.commit = once  # type: ignore[method-assign,assignment]
    request = asks(instance_id="i", execution_id="e", name="waits", input="null", is_fresh=True)
    starting = asyncio.create_task(member.commands.start(request))
    await cluster.rounds(10)
    slowness.rounds = 6
    waiting = asyncio.create_task(member.commands.wait(InstanceId("i"), started=True))
    await cluster.rounds(3)
    taking = asyncio.create_task(member.lifecycle.take([partition_of(InstanceId("i"), PARTITIONS)]))
    await cluster.rounds(10)
    await pass_seconds(cluster, 3)
    await asyncio.wait_for(taking, 5)
    for task in (starting, waiting):
        with pytest.raises(StorageOwnedError):
            await asyncio.wait_for(task, 5)
