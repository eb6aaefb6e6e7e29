"""Topics beside orchestrations: publishing, two subscriptions, and hello sequences in one process.

Also a thousand subscriptions of other topics on a host that has nothing to do.
"""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path

from bench.app import CITIES, greet
from bench.catalogue import Plan
from bench.loads import Job, Values, in_lanes
from tenuto import App, Client, Context, Event, Host

_KEYS = 50
_HELLOS_AT_ONCE = 200
_SUBSCRIBERS = 2
_SLICES = 5
_SLOWER = 20


class _Load:
    """What is published, delivered and greeted, on one host."""

    def __init__(self, others: int = 0) -> None:
        self.app = App()
        self.delivered = [0] * _SUBSCRIBERS
        self.published = 0
        activity = self.app.activity(greet.function)

        @self.app.orchestrator
        async def hello(ctx: Context) -> list[str]:
            return [await ctx.call_activity(activity, city) for city in CITIES[:3]]

        self.hello = hello
        for number in range(_SUBSCRIBERS):
            self._subscribe("bench", number)
        for number in range(others):
            self._subscribe(f"other-{number}", 0)

    def _subscribe(self, topic: str, number: int) -> None:
        @self.app.subscribe(topic, name=f"{topic}-{number}")
        async def take(event: Event) -> None:
            self.delivered[number] += event.data["one"]

    def publish(self, client: Client) -> Job:
        async def job() -> None:
            self.published += 1
            await client.publish("bench", {"one": 1}, key=f"key-{self.published % _KEYS}")

        return job

    def greet(self, client: Client) -> Job:
        async def job() -> None:
            await (await client.start(self.hello)).result()

        return job

    async def all_delivered(self) -> None:
        # As little beside what is measured as can be.
        while min(self.delivered) < self.published:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class _Times:
    """What the slices of one kind have done together."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.acknowledged_seconds = 0.0
        self.cpu = 0.0

    @property
    def rate(self) -> float:
        """A second."""
        return self.count / self.seconds


async def measure(plan: Plan, folder: Path) -> Values:
    """Publish ``count`` events, ``concurrency`` at a time, alone and beside hello sequences.

    In slices that take turns: what else the machine does meanwhile is in all of them.
    """
    load = _Load()
    hellos, events, both, awaited = _Times(), _Times(), _Times(), _Times()
    async with Host(load.app, storage=f"sqlite:///{folder / 'bench.db'}") as host:
        publish, greet_all = load.publish(host.client), load.greet(host.client)
        await in_lanes(plan.concurrency, plan.warm_up, publish)
        await in_lanes(_HELLOS_AT_ONCE, plan.warm_up, greet_all)
        await load.all_delivered()
        for _ in range(_SLICES):
            count = plan.count // _SLICES
            await _timed(hellos, in_lanes(_HELLOS_AT_ONCE, count // 4, greet_all), count // 4)
            await _timed(events, _publish(load, plan.concurrency, count, publish, events), count)
            await _beside(plan, load, publish, greet_all, both)
            count = max(1, count // _SLOWER)
            await _timed(awaited, _publish(load, 1, count, publish, awaited), count)
    share = events.cpu / both.cpu
    return {
        "rate": events.count / events.acknowledged_seconds,
        "awaited": awaited.count / awaited.acknowledged_seconds,
        "deliveries": _SUBSCRIBERS * events.rate,
        "hello_alone": hellos.rate,
        "hello_beside": both.rate,
        "hello_kept": 100 * both.rate / (hellos.rate * (1 - share)),
        "idle_cpu": await _idle(plan, folder),
        "cpu_us": 1_000_000 * events.cpu / events.count,
    }


async def _timed(times: _Times, work: Coroutine[None, None, None], count: int) -> None:
    began, used = time.perf_counter(), time.process_time()
    await work
    times.seconds += time.perf_counter() - began
    times.cpu += time.process_time() - used
    times.count += count


async def _publish(load: _Load, lanes: int, count: int, publish: Job, times: _Times) -> None:
    began = time.perf_counter()
    await in_lanes(lanes, count, publish)
    times.acknowledged_seconds += time.perf_counter() - began
    await load.all_delivered()


async def _beside(plan: Plan, load: _Load, publish: Job, greet_all: Job, times: _Times) -> None:
    """Hello sequences beside as many events; those that end meanwhile count."""
    is_over = False

    async def greet_on() -> None:
        while not is_over:
            await greet_all()
            times.count += not is_over

    async def publish_all() -> None:
        nonlocal is_over
        await in_lanes(plan.concurrency, plan.count // _SLICES, publish)
        await load.all_delivered()
        is_over = True

    group = [asyncio.create_task(greet_on()) for _ in range(_HELLOS_AT_ONCE)]
    await _timed(times, publish_all(), 0)
    await asyncio.gather(*group)


async def _idle(plan: Plan, folder: Path) -> float:
    """Processor time of a host with ``width`` subscriptions and nothing to do, in percent."""
    load = _Load(others=plan.width)
    async with Host(load.app, storage=f"sqlite:///{folder / 'idle.db'}"):
        await asyncio.sleep(1)
        used = time.process_time()
        await asyncio.sleep(plan.idle_seconds)
        return 100 * (time.process_time() - used) / plan.idle_seconds
