"""A host that runs an orchestration which ends its process, among neighbours that do not.

Arguments: storage URL, kind (``turn`` or ``activity``), way (``segfault``, ``exit``, ``kill`` or
``none``), seconds before that, and how many instances to start (0: none, they are there). Says
``armed`` when they are started, then ``held`` or ``done`` when nobody else is unfinished, and ends.
"""

import asyncio
import ctypes
import os
import signal
import sys
from dataclasses import dataclass

from tenuto import App, Context, Host, InstanceFilter
from tenuto.model.ids import InstanceId
from tests.support.load_process import UNFINISHED

app = App()
PAUSE = 1.0


@dataclass
class Plan:
    """What this process is told to do."""

    kind: str = "turn"
    way: str = "none"
    delay: float = 0.0


plan = Plan()


def die() -> None:
    system = ctypes.CDLL(None)  # unseen by the guard
    if plan.way != "none" and plan.delay:
        system.usleep(round(plan.delay * 1_000_000))
    if plan.way == "segfault":
        ctypes.string_at(0)
    elif plan.way == "exit":
        os._exit(3)
    elif plan.way == "kill":
        system.kill(system.getpid(), signal.SIGKILL)


@app.activity
def work(number: int) -> int:
    return number


@app.activity
def deadly() -> None:
    die()


@app.orchestrator
async def good(ctx: Context, number: int) -> int:
    first = await ctx.call_activity(work, number)
    await asyncio.sleep(PAUSE)
    return first + await ctx.call_activity(work, number)


@app.orchestrator
async def evil(ctx: Context) -> str:
    await asyncio.sleep(PAUSE)
    if plan.kind == "turn":
        die()
    await ctx.call_activity(deadly)
    return "lived"


def say(word: str) -> None:
    print(word, flush=True)  # noqa: T201 - what the test reads


async def main(url: str, count: int) -> None:
    async with Host(app, storage=url) as host:
        await asyncio.gather(
            *(host.client.start(good, n, instance_id=f"good-{n:04}") for n in range(count))
        )
        if count:
            await host.client.start(evil, instance_id="evil")
        say("armed")
        which = InstanceFilter(statuses=UNFINISHED, payloads=False)
        while True:
            open_ = [status.instance_id async for status in host.client.query(which)]
            record = await host.engine.storage.get(InstanceId("evil"))
            is_idle = host.engine.is_idle and host.engine.careful is None
            if open_ == ["evil"] and is_idle and record is not None and record.hold is not None:
                say("held")
                return
            if not open_:
                say("done")
                return
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    plan.kind, plan.way, plan.delay = sys.argv[2], sys.argv[3], float(sys.argv[4])
    asyncio.run(main(sys.argv[1], int(sys.argv[5])))
