"""Of several hosts on one store, one runs a timer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tenuto import App, Client
from tenuto.client.engine_gateway import EngineGateway
from tenuto.host.programs import program_of
from tenuto.host.timers import HostTimers, timers_of
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster, Member

NAMES = [f"timer-{number}" for number in range(12)]


class TimedCluster:
    """Two members that both have all the timers."""

    def __init__(self) -> None:
        self.app = App()
        self.runs: list[str] = []
        self.waits_for: dict[str, asyncio.Event] = {}
        for name in NAMES:
            self._add(name)
        self.cluster = Cluster(SharedHub(8), self.app, ["left", "right"])
        self.timers: list[HostTimers] = []
        self.start = self.cluster.clock.now()

    def _add(self, name: str) -> None:
        @self.app.timer("0 * * * * *", name=name)
        async def run() -> None:
            self.runs.append(name)
            if name in self.waits_for:
                await self.waits_for[name].wait()

    def timers_on(self, member: Member) -> HostTimers:
        program = program_of(self.app)
        gateway = EngineGateway(member.commands, member.engine.storage)
        client = Client(gateway, program, Limits())
        timers = HostTimers(timers_of(program.timers), member.engine, client)
        timers.start()
        self.timers.append(timers)
        return timers

    async def minute(self) -> Counter[str]:
        """A minute passes; who has run in it."""
        self.runs.clear()
        for _ in range(12):
            self.cluster.pass_time(5)
            await self.cluster.rounds(80)
        return Counter(self.runs)

    def number_of(self, name: str) -> int:
        return self.cluster.members[0].engine.number_of(InstanceId(name))


@pytest.fixture
async def timed() -> AsyncIterator[TimedCluster]:
    timed = TimedCluster()
    await timed.cluster.start()
    for member in timed.cluster.members:
        timed.timers_on(member)
    await timed.cluster.rounds(80)
    yield timed
    for timers in timed.timers:
        await timers.abandon()
    await timed.cluster.stop()


ONCE_EACH = Counter(NAMES)


async def test_each_timer_runs_on_the_owner_of_its_partition(timed: TimedCluster) -> None:
    for _ in range(3):
        assert await timed.minute() == ONCE_EACH
    seen = [len(member.observer.timers) for member in timed.cluster.members]
    assert sum(seen) == 3 * len(NAMES)
    assert all(seen)
    for member in timed.cluster.members:
        owned = {timed.number_of(name) for name, _ in member.observer.timers}
        assert owned <= set(member.owned)


async def test_a_partition_that_is_taken_brings_its_timers_along(timed: TimedCluster) -> None:
    left, right = timed.cluster.members
    await timed.minute()
    for partition in right.owned:
        right.engine.drop(partition)
    assert await timed.minute() != ONCE_EACH
    await left.lifecycle.take(range(8))
    left.observer.timers.clear()
    found = await timed.minute()
    # Those that nobody had for a minute have made up for it.
    assert set(found) == set(NAMES)
    assert len(left.observer.timers) == sum(found.values())
    assert await timed.minute() == ONCE_EACH


async def test_one_owner_who_has_lost_its_partition_and_does_not_know_runs_nothing(
    timed: TimedCluster,
) -> None:
    left, right = timed.cluster.members
    await timed.minute()
    await left.lifecycle.take(right.owned)
    assert right.engine.partitions, "it has not heard of it"
    right.observer.timers.clear()
    for _ in range(2):
        assert await timed.minute() == ONCE_EACH
    assert right.observer.timers == []
    assert right.observer.problems == []


async def test_a_member_that_has_died_is_followed_by_one_that_makes_up(timed: TimedCluster) -> None:
    await timed.minute()
    await timed.timers[1].abandon()
    await timed.cluster.crash(1)
    await timed.minute()
    timed.timers_on(timed.cluster.members[1])
    await timed.cluster.rounds(80)
    found = await timed.minute()
    assert set(found) == set(NAMES)
    assert await timed.minute() == ONCE_EACH


async def test_a_partition_that_comes_back_is_read_again(timed: TimedCluster) -> None:
    left, right = timed.cluster.members
    await timed.minute()
    theirs = right.owned
    await left.lifecycle.take(theirs)
    for partition in theirs:
        right.engine.drop(partition)
    assert await timed.minute() == ONCE_EACH
    await right.lifecycle.take(theirs)
    for partition in theirs:
        left.engine.drop(partition)
    right.observer.timers.clear()
    assert await timed.minute() == ONCE_EACH
    assert right.observer.timers


async def test_one_owner_a_run_that_outlives_the_ownership_notes_nothing(
    timed: TimedCluster,
) -> None:
    left, right = timed.cluster.members
    name = next(one for one in NAMES if timed.number_of(one) in right.owned)
    await timed.minute()
    timed.waits_for[name] = asyncio.Event()
    timed.cluster.pass_time(60)
    await timed.cluster.rounds(80)  # it runs on the right now, and does not end
    theirs = right.owned
    await left.lifecycle.take(theirs)
    held = timed.waits_for.pop(name)
    await timed.cluster.rounds(80)  # its new owner has it run again, to the end
    assert (name, None) in left.observer.timers
    noted = (await left.engine.storage.notes([f"timer/{name}"]))[f"timer/{name}"]
    held.set()
    await timed.cluster.rounds(80)
    assert (name, None) in right.observer.timers
    assert await left.engine.storage.notes([f"timer/{name}"]) == {f"timer/{name}": noted}
    right.observer.timers.clear()
    assert await timed.minute() == ONCE_EACH
    assert right.observer.timers == []
