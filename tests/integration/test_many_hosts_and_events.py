"""Several hosts on one hub in a real PostgreSQL: what events start, while partitions move."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from tenuto import App, Client, Context, Event, Host, QueueMessage, TimerInfo
from tenuto.host.settings import Settings
from tests.support.postgres import Postgres
from tests.support.waiting import until, until_given

SETTINGS = Settings(lease_seconds=1, drain_seconds=5)
QUEUES = [f"queue-{number}" for number in range(6)]
SUBSCRIPTIONS = [f"subscription-{number}" for number in range(6)]


class Hub:
    """Hosts on one hub, with functions that events start.

    Attributes:
        ran: How often each queue's message, or each subscription's event, was run for.
        order: What each subscription was given of each key.
        gate: Waited for in each function.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.ran: Counter[tuple[str, int]] = Counter()
        self.order: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self.gate = asyncio.Event()
        self.gate.set()
        self.running: set[tuple[str, int]] = set()
        self.app = App()
        for queue in QUEUES:
            self._add_queue(queue)
        for name in SUBSCRIPTIONS:
            self._add_subscription(name)
        self.hosts: list[Host] = []

    def _add_queue(self, queue: str) -> None:
        @self.app.queue(queue, name=queue)
        async def work(message: QueueMessage) -> None:
            await self._run(queue, message.data)

    def _add_subscription(self, name: str) -> None:
        @self.app.subscribe("numbers", name=name, from_beginning=True)
        async def hear(event: Event) -> None:
            assert event.key is not None
            self.order[name, event.key].append(event.data)
            await self._run(name, event.data)

    async def _run(self, who: str, number: int) -> None:
        self.ran[who, number] += 1
        self.running.add((who, number))
        await asyncio.sleep(0.005)
        await self.gate.wait()
        self.running.discard((who, number))

    async def host(self) -> Host:
        host = Host(self.app, storage=self.url, settings=SETTINGS)
        await host.start()
        self.hosts.append(host)
        return host

    async def is_done(self) -> bool:
        storage = self.hosts[-1].engine.storage
        standing = await storage.subscriptions()
        queues = await storage.queues(0)
        return not any(one.lag for one in standing) and not any(
            one.ready or one.delayed or one.in_work for one in queues
        )


@pytest.fixture
async def hub(postgres: Postgres) -> AsyncIterator[Hub]:
    hub = Hub(postgres.fresh_url())
    yield hub
    for host in hub.hosts:
        await host.stop()


async def feed(client: Client, first: int, count: int) -> None:
    for number in range(first, first + count):
        await client.publish("numbers", number, key=f"key-{number % 3}")
        for queue in QUEUES:
            await client.enqueue(queue, number)


async def test_nothing_runs_twice_when_hosts_come_and_go_as_they_should(hub: Hub) -> None:
    await hub.host()
    async with Client.open(hub.url, hub.app) as client:
        feeding = asyncio.create_task(feed(client, 0, 120))
        second = await hub.host()
        await asyncio.sleep(0.4)
        third = await hub.host()
        await asyncio.sleep(0.4)
        await hub.hosts[0].stop()
        await asyncio.sleep(0.2)
        await second.stop()
        await feeding
    await until_given(hub.is_done)
    assert third.engine.partitions
    assert set(hub.ran) == {
        (who, number) for who in (*QUEUES, *SUBSCRIPTIONS) for number in range(120)
    }
    assert max(hub.ran.values()) == 1
    for numbers in hub.order.values():
        assert numbers == sorted(numbers)


async def test_what_runs_is_waited_for_before_its_partition_goes(hub: Hub) -> None:
    first = await hub.host()
    hub.gate.clear()
    async with Client.open(hub.url, hub.app) as client:
        await feed(client, 0, 1)
        await until(lambda: len(hub.running) == len(QUEUES) + len(SUBSCRIPTIONS))
    second = await hub.host()
    await asyncio.sleep(0.5)
    hub.gate.set()
    await until(lambda: len(first.engine.partitions) == len(second.engine.partitions))
    assert set(hub.ran.values()) == {1}
    assert not hub.running


async def test_what_a_dead_host_had_in_work_runs_on_another(hub: Hub) -> None:
    first = await hub.host()
    second = await hub.host()
    await until(lambda: len(first.engine.partitions) == len(second.engine.partitions))
    hub.gate.clear()
    async with Client.open(hub.url, hub.app) as client:
        await feed(client, 0, 3)
        await until(lambda: len(hub.running) > len(QUEUES) + len(SUBSCRIPTIONS))
    await first.abandon()
    hub.gate.set()
    await until_given(hub.is_done)
    assert set(hub.ran) == {
        (who, number) for who in (*QUEUES, *SUBSCRIPTIONS) for number in range(3)
    }


async def test_a_timer_fires_once_for_all_hosts_while_they_come_and_go(hub: Hub) -> None:
    fired: list[datetime] = []

    @hub.app.timer("* * * * * *")
    async def tick(info: TimerInfo) -> None:
        fired.append(info.due_at)
        await asyncio.sleep(0.05)

    await hub.host()
    await hub.host()
    await asyncio.sleep(1.5)
    await hub.hosts[0].stop()
    await hub.host()
    await asyncio.sleep(1.5)
    await hub.hosts[1].stop()
    await asyncio.sleep(1.5)
    assert len(fired) == len(set(fired))
    assert len(fired) >= 3


async def test_one_host_keeps_a_link_up_and_another_when_it_has_gone(hub: Hub) -> None:
    first, second = await hub.host(), await hub.host()
    await until(lambda: len(first.engine.partitions) == len(second.engine.partitions))
    await first.links.dial("http://127.0.0.1:9", called="us", key="k" * 43, name="them")
    await until(lambda: dialling(first) + dialling(second) == 1)
    who, other = (first, second) if dialling(first) else (second, first)
    await who.stop()
    await until(lambda: dialling(other) == 1)


def dialling(host: Host) -> int:
    return len(host.links._dialling)


async def test_an_event_starts_orchestrations_wherever_they_belong(hub: Hub) -> None:
    seen: list[int] = []

    @hub.app.subscribe("orders", name="ordered", from_beginning=True)
    @hub.app.orchestrator
    async def ordered(ctx: Context, number: int) -> int:
        seen.append(number)
        return number

    first, second = await hub.host(), await hub.host()
    await until(lambda: len(first.engine.partitions) == len(second.engine.partitions))
    for number in range(30):
        await first.client.publish("orders", number)
    await until(lambda: set(seen) == set(range(30)))
    assert await second.engine.storage.failed_deliveries() == []
