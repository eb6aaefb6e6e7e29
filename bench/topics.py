"""Topics beside orchestrations: publishing, two subscriptions, and hello sequences in one process.

Also a thousand subscriptions of other topics on a host that has nothing to do.
"""

import asyncio
import time
from pathlib import Path

from bench.app import CITIES, greet
from bench.catalogue import Plan
from bench.loads import Job, Values, in_lanes
from tenuto import App, Client, Context, Event, Host

_KEYS = 50
_HELLOS_AT_ONCE = 200
_SUBSCRIBERS = 2


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


async def measure(plan: Plan, folder: Path) -> Values:
    """Publish ``count`` events, ``concurrency`` at a time, alone and beside hello sequences."""
    load = _Load()
    async with Host(load.app, storage=f"sqlite:///{folder / 'bench.db'}") as host:
        publish, greet_all = load.publish(host.client), load.greet(host.client)
        await in_lanes(plan.concurrency, plan.warm_up, publish)
        await in_lanes(_HELLOS_AT_ONCE, plan.warm_up, greet_all)
        await load.all_delivered()

        began = time.perf_counter()
        await in_lanes(_HELLOS_AT_ONCE, plan.count // 4, greet_all)
        hello_alone = plan.count // 4 / (time.perf_counter() - began)

        began, used = time.perf_counter(), time.process_time()
        await in_lanes(plan.concurrency, plan.count, publish)
        acknowledged = time.perf_counter() - began
        await load.all_delivered()
        delivered = time.perf_counter() - began
        used = time.process_time() - used

        beside, share = await _beside(plan, load, publish, greet_all, used)
    return {
        "rate": plan.count / acknowledged,
        "deliveries": _SUBSCRIBERS * plan.count / delivered,
        "hello_alone": hello_alone,
        "hello_beside": beside,
        "hello_kept": 100 * beside / (hello_alone * (1 - share)),
        "idle_cpu": await _idle(plan, folder),
        "cpu_us": 1_000_000 * used / plan.count,
    }


async def _beside(
    plan: Plan, load: _Load, publish: Job, greet_all: Job, topics_cpu: float
) -> tuple[float, float]:
    """Hello sequences a second beside the same events, and those events' share of the processor."""
    hellos = 0
    is_over = False

    async def greet_on() -> None:
        nonlocal hellos
        while not is_over:
            await greet_all()
            hellos += 1

    began, used = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(_HELLOS_AT_ONCE):
            group.create_task(greet_on())
        await in_lanes(plan.concurrency, plan.count, publish)
        await load.all_delivered()
        seconds, counted = time.perf_counter() - began, hellos
        used = time.process_time() - used
        is_over = True
    return counted / seconds, topics_cpu / used


async def _idle(plan: Plan, folder: Path) -> float:
    """Processor time of a host with ``width`` subscriptions and nothing to do, in percent."""
    load = _Load(others=plan.width)
    async with Host(load.app, storage=f"sqlite:///{folder / 'idle.db'}"):
        await asyncio.sleep(1)
        used = time.process_time()
        await asyncio.sleep(plan.idle_seconds)
        return 100 * (time.process_time() - used) / plan.idle_seconds
