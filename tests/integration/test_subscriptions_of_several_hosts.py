"""Of several hosts on one store, one serves a subscription."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tenuto import App, Client, Event
from tenuto.client.engine_gateway import EngineGateway
from tenuto.client.publishing import Stamp, event_of_text
from tenuto.functions.outbound import OutboundSettings
from tenuto.host.programs import program_of
from tenuto.host.triggers import HostTriggers, check_triggered
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits
from tenuto.model.topics import EventHead
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster, Member

NAMES = [f"one-{number}" for number in range(8)]


class Subscribed:
    """Two members that both have eight subscriptions of one topic."""

    def __init__(self) -> None:
        self.app = App()
        self.told: list[tuple[str, int]] = []
        self.hanging: asyncio.Event | None = None
        for name in NAMES:
            self._add(name)
        self.cluster = Cluster(SharedHub(8), self.app, ["left", "right"])
        self.triggers: list[HostTriggers] = []
        self.outside = self.cluster.hub.handle()

    def _add(self, name: str) -> None:
        @self.app.subscribe("orders", name=name)
        async def run(event: Event) -> None:
            self.told.append((name, event.data))
            if self.hanging is not None:
                await self.hanging.wait()

    async def triggers_on(self, member: Member) -> None:
        program = program_of(self.app)
        client = Client(EngineGateway(member.commands, member.engine.storage), program, Limits())
        functions = check_triggered(program.triggered)
        triggers = HostTriggers(functions, member.engine, client, OutboundSettings())
        await triggers.start()
        self.triggers.append(triggers)

    async def publish(self, *data: int) -> None:
        stamp = Stamp(self.cluster.clock.now(), None, 1_000)
        head = EventHead(key="one")
        events = [
            event_of_text("orders", str(one), head, event_id=f"e{one}", stamp=stamp) for one in data
        ]
        await self.outside.publish(events, [])
        await self.cluster.rounds(200)

    def of(self, member: Member) -> set[str]:
        engine = member.engine
        return {one for one in NAMES if engine.number_of(InstanceId(one)) in member.owned}


@pytest.fixture
async def subscribed() -> AsyncIterator[Subscribed]:
    subscribed = Subscribed()
    await subscribed.cluster.start()
    await subscribed.outside.open()
    for member in subscribed.cluster.members:
        await subscribed.triggers_on(member)
    await subscribed.cluster.rounds(80)
    yield subscribed
    for triggers in subscribed.triggers:
        await triggers.abandon()
    await subscribed.outside.close()
    await subscribed.cluster.stop()


def once_each(*data: int) -> list[tuple[str, int]]:
    return sorted((name, one) for name in NAMES for one in data)


async def test_each_subscription_is_served_by_the_owner_of_its_partition(
    subscribed: Subscribed,
) -> None:
    await subscribed.publish(1, 2)
    assert sorted(subscribed.told) == once_each(1, 2)
    for member in subscribed.cluster.members:
        assert {name for name, _ in member.observer.deliveries} == subscribed.of(member)
        assert member.observer.problems == []
    assert all(one.lag == 0 for one in await subscribed.outside.subscriptions())


async def test_a_partition_that_moves_brings_its_subscriptions_and_their_places(
    subscribed: Subscribed,
) -> None:
    left, right = subscribed.cluster.members
    await subscribed.publish(1)
    theirs = subscribed.of(right)
    partitions = right.owned
    for partition in partitions:
        right.engine.drop(partition)
    await subscribed.publish(2)
    assert {name for name, data in subscribed.told if data == 2} == subscribed.of(left)
    await left.lifecycle.take(partitions)
    await subscribed.cluster.rounds(200)
    assert sorted(subscribed.told) == once_each(1, 2)
    assert theirs <= {name for name, _ in left.observer.deliveries}


async def test_one_owner_who_has_lost_a_partition_begins_nothing_more_of_it(
    subscribed: Subscribed,
) -> None:
    _, right = subscribed.cluster.members
    theirs = subscribed.of(right)
    subscribed.hanging = asyncio.Event()
    await subscribed.publish(1, 2)  # of one key: the second waits for the first
    for partition in right.owned:
        right.engine.drop(partition)
    subscribed.hanging.set()
    await subscribed.cluster.rounds(200)
    assert {name for name, data in subscribed.told if data == 2} == set(NAMES) - theirs


async def test_what_was_under_way_when_its_partition_was_taken_is_delivered_again(
    subscribed: Subscribed,
) -> None:
    left, right = subscribed.cluster.members
    theirs = subscribed.of(right)
    subscribed.hanging = asyncio.Event()
    await subscribed.publish(1)
    assert sorted(subscribed.told) == once_each(1)
    await left.lifecycle.take(right.owned)  # whose fence the other one meets when it notes
    await subscribed.cluster.rounds(100)
    subscribed.hanging.set()
    subscribed.hanging = None
    await subscribed.cluster.rounds(300)
    again = {name for name, data in subscribed.told if subscribed.told.count((name, data)) == 2}
    assert again == theirs
    assert all(one.lag == 0 for one in await subscribed.outside.subscriptions())
