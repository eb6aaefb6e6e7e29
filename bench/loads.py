"""The loads: what is asked of a host. Each returns the values that only it knows."""

import statistics
import time
from asyncio import TaskGroup
from collections.abc import Awaitable, Callable

from bench.app import expected
from bench.catalogue import Plan
from tenuto import Client

Values = dict[str, float]
Load = Callable[[Client, Plan], Awaitable[Values]]
Job = Callable[[], Awaitable[object]]

_WARM_UP_WIDTH = 2_000


async def closed_loop(client: Client, plan: Plan) -> Values:
    """Keep ``concurrency`` orchestrations going until ``count`` have ended."""
    await in_lanes(plan.concurrency, plan.count, _run(client, plan.orchestrator, plan.width))
    return {}


async def starts(client: Client, plan: Plan) -> Values:
    """Keep ``concurrency`` start requests going; each returns when its start is durable."""
    await in_lanes(plan.concurrency, plan.count, lambda: client.start(plan.orchestrator))
    return {}


async def latency(client: Client, plan: Plan) -> Values:
    """One orchestration after the other, from the request to the result."""
    run = _run(client, plan.orchestrator, plan.width)
    milliseconds = []
    for _ in range(plan.count):
        began = time.perf_counter()
        await run()
        milliseconds.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50_ms": cuts[49], "p95_ms": cuts[94]}


async def sequential(client: Client, plan: Plan) -> Values:
    """A long chain, and one twice as long: the cost of a step must not grow with the history."""
    seconds = []
    for width in (plan.width, 2 * plan.width):
        began = time.perf_counter()
        await _run(client, plan.orchestrator, width)()
        seconds.append(time.perf_counter() - began)
    return {
        "seconds": seconds[0],
        "twice_seconds": seconds[1],
        "growth": seconds[1] / seconds[0],
    }


LOADS: dict[str, Load] = {
    "closed_loop": closed_loop,
    "raw_store": closed_loop,  # makes the rows
    "starts": starts,
    "latency": latency,
    "sequential": sequential,
}


def units(plan: Plan) -> int:
    """How many things the measured part does: activities when there is a width."""
    if plan.load == "sequential":
        return 3 * plan.width
    return plan.count * (plan.width or 1)


async def warm_up(client: Client, plan: Plan) -> None:
    """Load the code, start the threads, fill the caches."""
    job = (
        _run(client, plan.orchestrator, min(plan.width, _WARM_UP_WIDTH))
        if plan.load != "starts"
        else lambda: client.start(plan.orchestrator)
    )
    await in_lanes(min(plan.concurrency, plan.warm_up), plan.warm_up, job)


async def in_lanes(lanes: int, count: int, job: Job) -> None:
    """Do a job ``count`` times, ``lanes`` of them at once; the first failure ends it all."""
    remaining = iter(range(count))

    async def lane() -> None:
        for _ in remaining:
            await job()

    try:
        async with TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(lane())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _run(client: Client, orchestrator: str, width: int) -> Job:
    """Run one orchestration and look at its result; what gives a wrong one measures nothing."""
    arguments = (width,) if width else ()
    right = expected(orchestrator, width)

    async def run() -> None:
        handle = await client.start(orchestrator, *arguments)
        result = await handle.result()
        if result != right:
            raise AssertionError(f"{orchestrator} gave a wrong result: {result!r}")

    return run
