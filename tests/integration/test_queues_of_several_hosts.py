"""Of several hosts on one store, one works on a queue."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tenuto import App, Client, QueueMessage
from tenuto.client.engine_gateway import EngineGateway
from tenuto.functions.outbound import OutboundSettings
from tenuto.host.programs import program_of
from tenuto.host.triggers import HostTriggers, check_triggered
from tenuto.messaging import suspects
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits
from tenuto.model.topics import QueuedMessage
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster, Member

QUEUES = [f"queue-{number}" for number in range(8)]


class QueueCluster:
    """Two members that both have functions for all the queues, each for one message at a time."""

    def __init__(self) -> None:
        self.app = App()
        self.told: list[tuple[str, str, int]] = []
        self.hanging: dict[str, asyncio.Event] = {}
        self.failing: set[str] = set()
        self.running: set[str] = set()
        for queue in QUEUES:
            self._add(queue)
        self.cluster = Cluster(SharedHub(8), self.app, ["left", "right"])
        self.triggers: list[HostTriggers] = []
        self.outside = self.cluster.hub.handle()

    def _add(self, queue: str) -> None:
        @self.app.queue(queue, concurrency=1, name=queue)
        async def run(message: QueueMessage) -> None:
            self.told.append((queue, message.data, message.attempt))
            if message.data in self.hanging:
                await self.hanging[message.data].wait()
            if message.data in self.failing:
                raise ValueError(message.data)

    async def triggers_on(self, member: Member) -> None:
        program = program_of(self.app)
        client = Client(EngineGateway(member.commands, member.engine.storage), program, Limits())
        functions = check_triggered(program.triggered)
        triggers = HostTriggers(functions, member.engine, client, OutboundSettings())
        await triggers.start()
        self.triggers.append(triggers)

    async def put(self, *data: str, queues: list[str] = QUEUES) -> None:
        now = self.cluster.clock.now()
        await self.outside.publish(
            [],
            [
                QueuedMessage(f"{queue}-{one}", queue, now, now, None, 0, f'"{one}"')
                for one in data
                for queue in queues
            ],
        )
        await self.cluster.rounds(200)

    async def left_over(self) -> int:
        found = await self.outside.queues(self.cluster.clock.now())
        return sum(one.ready + one.delayed + one.in_work + one.failed for one in found)

    def queues_of(self, member: Member) -> list[str]:
        return [one for one in QUEUES if member.engine.number_of(InstanceId(one)) in member.owned]


@pytest.fixture(autouse=True)
def no_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time does not pass in these tests."""
    monkeypatch.setattr(suspects, "_QUIET_SECONDS", 0.0)


@pytest.fixture
async def queued() -> AsyncIterator[QueueCluster]:
    queued = QueueCluster()
    await queued.cluster.start()
    await queued.outside.open()
    for member in queued.cluster.members:
        await queued.triggers_on(member)
    await queued.cluster.rounds(80)
    yield queued
    for triggers in queued.triggers:
        await triggers.abandon()
    await queued.outside.close()
    await queued.cluster.stop()


def once_each(data: str, attempt: int = 1) -> list[tuple[str, str, int]]:
    return [(queue, data, attempt) for queue in QUEUES]


async def test_each_queue_is_worked_on_by_the_owner_of_its_partition(queued: QueueCluster) -> None:
    await queued.put("a", "b")
    assert sorted(queued.told) == sorted(once_each("a") + once_each("b"))
    assert await queued.left_over() == 0
    for member in queued.cluster.members:
        assert {name for name, _ in member.observer.deliveries} == set(queued.queues_of(member))
        assert member.observer.problems == []


async def test_a_partition_that_is_taken_brings_its_queues_along(queued: QueueCluster) -> None:
    left, right = queued.cluster.members
    theirs = queued.queues_of(right)
    for partition in right.owned:
        right.engine.drop(partition)
    await queued.put("a")
    assert {queue for queue, _, _ in queued.told} == set(queued.queues_of(left))
    await left.lifecycle.take(range(8))
    await queued.cluster.rounds(200)
    assert sorted(queued.told) == sorted(once_each("a"))
    assert set(theirs) <= {name for name, _ in left.observer.deliveries}
    assert await queued.left_over() == 0


async def test_one_owner_who_has_lost_its_partition_and_does_not_know_takes_nothing(
    queued: QueueCluster,
) -> None:
    left, right = queued.cluster.members
    await left.lifecycle.take(right.owned)
    assert right.engine.partitions, "it has not heard of it"
    await queued.put("a")
    await queued.put("b")
    assert sorted(queued.told) == sorted(once_each("a") + once_each("b"))
    assert right.observer.deliveries == []
    assert right.observer.problems == []


async def test_one_owner_what_outlives_the_ownership_notes_nothing(queued: QueueCluster) -> None:
    left, right = queued.cluster.members
    theirs = queued.queues_of(right)
    queued.hanging["a"] = held = asyncio.Event()
    await queued.put("a", queues=theirs)
    del queued.hanging["a"]
    await left.lifecycle.take(right.owned)
    await queued.cluster.rounds(200)
    assert sorted(queued.told) == sorted((one, "a", n) for one in theirs for n in (1, 2))
    assert await queued.left_over() == 0
    queued.hanging["b"] = other = asyncio.Event()
    await queued.put("b", queues=theirs)
    held.set()
    await queued.cluster.rounds(200)
    found = await queued.outside.queues(queued.cluster.clock.now())
    assert [one.in_work for one in found] == [1] * len(theirs)
    other.set()
    await queued.cluster.rounds(200)
    assert await queued.left_over() == 0


async def test_one_owner_what_failed_in_the_time_of_another_counts_no_more(
    queued: QueueCluster,
) -> None:
    left, right = queued.cluster.members
    theirs, partitions = queued.queues_of(right)[:1], right.owned
    first, second = asyncio.Event(), asyncio.Event()
    queued.hanging["a"] = first
    await queued.put("a", queues=theirs)
    queued.hanging["a"] = second
    await left.lifecycle.take(partitions)
    await queued.cluster.rounds(200)
    queued.failing.add("a")
    first.set()
    await queued.cluster.rounds(200)
    queued.failing.clear()
    del queued.hanging["a"]
    await right.lifecycle.take(partitions)
    await queued.cluster.rounds(200)
    assert [attempt for _, _, attempt in queued.told] == [1, 2, 3]
    assert await queued.left_over() == 0
    second.set()
    await queued.cluster.rounds(200)


async def test_a_member_that_has_died_is_followed_by_one_that_takes_up(
    queued: QueueCluster,
) -> None:
    theirs = queued.queues_of(queued.cluster.members[1])
    queued.hanging["a"] = asyncio.Event()
    await queued.put("a", "b", queues=theirs)
    await queued.triggers[1].abandon()
    del queued.hanging["a"]
    await queued.cluster.crash(1)
    await queued.triggers_on(queued.cluster.members[1])
    await queued.cluster.rounds(300)
    told = [(one, data, n) for one in theirs for data, n in (("a", 1), ("a", 2), ("b", 1))]
    assert sorted(queued.told) == sorted(told)
    assert await queued.left_over() == 0


async def test_a_queue_that_comes_back_is_not_worked_on_twice_at_once(
    queued: QueueCluster,
) -> None:
    left, right = queued.cluster.members
    theirs, partitions = queued.queues_of(right), right.owned
    queued.hanging["a"] = held = asyncio.Event()
    await queued.put("a", "b", queues=theirs)
    for partition in partitions:
        right.engine.drop(partition)
    await right.lifecycle.take(partitions)
    await queued.cluster.rounds(200)
    assert len(queued.told) == len(theirs), "it still runs"
    held.set()
    await queued.cluster.rounds(300)
    assert sorted(queued.told) == sorted((one, data, 1) for one in theirs for data in "ab")
    assert await queued.left_over() == 0
    assert left.observer.problems == right.observer.problems == []
