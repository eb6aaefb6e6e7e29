"""A queue: messages put in, and worked on, in one process and one run."""

import asyncio
import time
from pathlib import Path

from bench.catalogue import Plan
from bench.loads import Job, Values, in_lanes
from tenuto import App, Client, Host


class _Load:
    """What is put into a queue and worked on, on one host."""

    def __init__(self) -> None:
        self.app = App()
        self.sent = 0
        self.worked = 0

        @self.app.queue("bench", concurrency=64)
        async def work(one: int) -> None:
            self.worked += one

    def send(self, client: Client) -> Job:
        async def job() -> None:
            self.sent += 1
            await client.enqueue("bench", 1)

        return job

    async def all_worked_on(self) -> None:
        # As little beside what is measured as can be.
        while self.worked < self.sent:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def measure(plan: Plan, folder: Path) -> Values:
    """Put ``count`` messages in, ``concurrency`` at a time, while the same host works on them."""
    load = _Load()
    async with Host(load.app, storage=f"sqlite:///{folder / 'bench.db'}") as host:
        send = load.send(host.client)
        await in_lanes(plan.concurrency, plan.warm_up, send)
        await load.all_worked_on()
        began, used = time.perf_counter(), time.process_time()
        await in_lanes(plan.concurrency, plan.count, send)
        acknowledged = time.perf_counter() - began
        await load.all_worked_on()
        seconds = time.perf_counter() - began
        used = time.process_time() - used
    return {
        "rate": plan.count / acknowledged,
        "worked": plan.count / seconds,
        "cpu_us": 1_000_000 * used / plan.count,
    }
