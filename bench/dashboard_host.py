"""A host in a process of its own, for a dashboard to look at: ``bench.dashboard_host STORE``.

Prints its address, and then answers each line of its input with one of JSON:

* ``start COUNT``: that many instances that go on with each event;
* ``beat RATE all|one``: from now on so many of them a second go on, in turn, or always the first;
* ``hellos LANES``: from now on hello sequences, so many at a time;
* ``count``: the sequences done, and the processor time of the loop and of the process.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Coroutine
from typing import Any

from bench.app import app
from tenuto import Context, Settings
from tenuto.host.own_loop import run_on_fast_loop
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings

_RUNNING = "pulse-"
_BEFORE_NEW = 3_000


@app.orchestrator
async def pulse(ctx: Context) -> None:
    """Goes on with each event, and says how often it has."""
    for number in range(_BEFORE_NEW):
        await ctx.wait_for_external_event("beat")
        ctx.set_custom_status(number)
    ctx.continue_as_new()


class _Loads:
    """What goes on in the host."""

    def __init__(self, server: Server) -> None:
        self._client = server.host.client
        self._count = 0
        self._done = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def carry_out(self, verb: str, *words: str) -> dict[str, float]:
        match verb, words:
            case "start", (count,):
                self._count = int(count)
                for number in range(self._count):
                    await self._client.start("pulse", instance_id=f"{_RUNNING}{number}")
            case "beat", (rate, which):
                self._spawn(self._beat(float(rate), self._count if which == "all" else 1))
            case "hellos", (lanes,):
                for _ in range(int(lanes)):
                    self._spawn(self._hellos())
            case "stop", ():
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                self._tasks.clear()
            case _:
                pass
        return {
            "done": self._done,
            "at": time.perf_counter(),
            "loop": time.thread_time(),
            "process": time.process_time(),
        }

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _beat(self, rate: float, among: int) -> None:
        began = time.perf_counter()
        for number in itertools.count():
            await asyncio.sleep(began + number / rate - time.perf_counter())
            await self._client.raise_event(f"{_RUNNING}{number % among}", "beat", number)

    async def _hellos(self) -> None:
        while True:
            handle = await self._client.start("hello_3")
            await handle.result()
            self._done += 1


async def _serve(storage: str) -> None:
    settings = Settings(storage=storage, http=HttpSettings(port=0))
    async with Server(app, settings=settings) as server:
        loads = _Loads(server)
        print(json.dumps({"url": server.url}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await loads.carry_out(*line.split())), flush=True)
        await loads.carry_out("stop")


if __name__ == "__main__":
    run_on_fast_loop(_serve(sys.argv[1]))
