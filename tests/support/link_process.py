"""One end of a link in a process of its own, for tests that kill it.

``python link_process.py hub STORE`` or ``device STORE``. The hub says where it listens.
"""

import asyncio
import sys
from dataclasses import dataclass, replace

from tenuto import App, Context, Settings
from tenuto.host.host import Host
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.link.options import LinkSettings

EVENTS_PER_TURN = 10
CONFIRMED = 3
"""Events that the hub publishes to the device for each key."""

hub = App()
device = App()


@dataclass(frozen=True)
class Counted:
    """What a consumer has seen of one key.

    Attributes:
        left: How many events are to come.
        next: The number that comes next.
        faults: What came instead of it.
    """

    left: int
    next: int = 0
    faults: int = 0


@hub.orchestrator
async def count(ctx: Context, seen: Counted) -> Counted:
    for _ in range(min(seen.left, 50)):
        number = await ctx.wait_for_external_event("reading", int)
        is_fault = number != seen.next
        seen = Counted(seen.left - 1, max(seen.next, number + 1), seen.faults + is_fault)
    if seen.left:
        ctx.continue_as_new(seen)
    return seen


@hub.orchestrator
async def confirm(ctx: Context, key: int) -> int:
    for number in range(CONFIRMED):
        await ctx.publish("box/confirmed", number, key=str(key))
    return key + 1


@dataclass(frozen=True)
class Emitting:
    key: int
    events: int
    sent: int = 0


@device.orchestrator
async def emit(ctx: Context, work: Emitting) -> int:
    if work.sent < work.events:
        upto = min(work.events, work.sent + EVENTS_PER_TURN)
        for number in range(work.sent, upto):
            ctx.send_event(f"hub/count-{work.key}", "reading", number)
            await ctx.publish("hub/readings", number, key=str(work.key))
        ctx.continue_as_new(replace(work, sent=upto))
        return 0
    return int(await ctx.call_sub_orchestrator("confirm", work.key, on="hub"))


async def run_hub(store: str) -> None:
    http = HttpSettings(port=0)
    async with Server(hub, settings=Settings(storage=store, http=http)) as server:
        sys.stdout.write(f"up {server.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


async def run_device(store: str) -> None:
    links = LinkSettings(longest_pause_seconds=0.2)
    async with Host(device, settings=Settings(storage=store, links=links)):
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    which, where = sys.argv[1:]
    asyncio.run({"hub": run_hub, "device": run_device}[which](where))
