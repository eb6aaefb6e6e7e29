"""A host of a living hub, in a process of its own that tests kill, stop and cut off.

``python load_process.py URL LOG [--ahead SECONDS] [--version NAME] [--lease SECONDS]`` runs a host
with the load's app, says ``up``, starts nothing more itself after a first line of input, and
stops gracefully when its input ends. Each run of a function is
a line in the log, which all processes share: who began what, and when.
"""

import argparse
import asyncio
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from tenuto import ActivityContext, App, Client, Context, Event, Host, QueueMessage, TimerInfo
from tenuto.host.clock import SystemClock
from tenuto.host.settings import Settings
from tenuto.model.errors import TenutoError
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.telemetry.log_observer import LogObserver

ACCOUNTS = 6
HOPS = 5
STEPS = 4
BEAT_SECONDS = 0.25
OWN_SECONDS = 0.5

app = App()


class Journal:
    """The shared log of all runs.

    Attributes:
        path: Where it is; None while nobody wants to know.
    """

    path: Path | None = None

    def note(self, *words: object) -> None:
        """One line, whole, whoever else writes."""
        if self.path is None:
            return
        line = " ".join(map(str, (f"{time.monotonic():.3f}", os.getpid(), *words)))
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)


journal = Journal()


def account_id(number: int) -> str:
    """Of an account of the ring."""
    return f"account-{number % ACCOUNTS}"


# --- activities and functions ---------------------------------------------------------------------


@app.activity
async def work(activity: ActivityContext, value: int) -> int:
    journal.note("run", activity.idempotency_key)
    await asyncio.sleep(0.02)
    return value + 1


@app.activity
def in_thread(activity: ActivityContext, value: int) -> int:
    journal.note("run", activity.idempotency_key)
    return 2 * value


@app.queue("coins")
async def count_coin(message: QueueMessage) -> None:
    journal.note("message", message.data)


@app.subscribe("coins", name="noted", from_beginning=True)
async def note_coin(event: Event) -> None:
    journal.note("event", event.data)


@app.timer("0 * * * * *")
async def each_minute(timer: TimerInfo) -> None:
    journal.note("timer", timer.due_at.isoformat())


# --- orchestrators --------------------------------------------------------------------------------


@app.orchestrator
async def chain(ctx: Context, n: int) -> int:
    for _ in range(STEPS):
        n = await ctx.call_activity(work, n)
    return n


@app.orchestrator
async def fan(ctx: Context, n: int) -> list[int]:
    """Its children are in other partitions."""
    calls = [ctx.call_sub_orchestrator(leaf, n + index) for index in range(4)]
    return list(await asyncio.gather(*calls))


@app.orchestrator
async def leaf(ctx: Context, n: int) -> int:
    return await ctx.call_activity(in_thread, await ctx.call_activity(work, n))


@app.orchestrator
async def timers(ctx: Context, n: int) -> int:
    for _ in range(3):
        await ctx.create_timer(timedelta(milliseconds=100))
        n = await ctx.call_activity(work, n)
    return n


@app.orchestrator
async def generations(ctx: Context, n: int, left: int) -> int:
    if left:
        ctx.continue_as_new(await ctx.call_activity(work, n), left - 1)
        return 0
    return n


@app.orchestrator
async def ping(ctx: Context, n: int) -> int:
    partner = f"{ctx.instance_id}-pong"
    ctx.start_orchestrator(pong.options(instance_id=partner), ctx.instance_id, n)
    total = 0
    for index in range(3):
        ctx.send_event(partner, "ping", index)
        total += await ctx.wait_for_external_event("pong", int)
    return total


@app.orchestrator
async def pong(ctx: Context, peer: str, n: int) -> int:
    for _ in range(3):
        ctx.send_event(peer, "pong", n + await ctx.wait_for_external_event("ping", int))
    return n


@app.orchestrator
async def coin(ctx: Context, n: int) -> int:
    """Throws a coin into the ring, a queue and a topic."""
    ctx.send_event(account_id(n), "coin", HOPS)
    await ctx.enqueue("coins", n)
    await ctx.publish("coins", n, key=account_id(n))
    return n


@app.orchestrator
async def account(ctx: Context, number: int, rested: int, passed: int) -> list[int]:
    """Passes each coin on until it has made its hops; gives how many rest here, and have passed."""
    for _ in range(8):
        hops = await ctx.wait_for_external_event("coin", int)
        if hops < 0:
            return [rested, passed]
        if hops:
            passed += 1
            ctx.send_event(account_id(number + 1), "coin", hops - 1)
        else:
            rested += 1
        ctx.set_custom_status([rested, passed])
    ctx.continue_as_new(number, rested, passed)
    return []


@app.activity
async def nap() -> None:
    await asyncio.sleep(BEAT_SECONDS)


@app.orchestrator
async def pulse(ctx: Context, beats: int) -> int:
    """Beats until it is told to stop: by it one sees from outside that its partition goes on.

    Without a timer, which depends on the clocks of hosts.
    """
    stop = ctx.wait_for_external_event("stop")
    for _ in range(4):
        await ctx.call_activity(nap)
        beats += 1
        ctx.set_custom_status(beats)
        if stop.done():
            return beats
    ctx.continue_as_new(beats)
    return 0


@app.orchestrator
async def waits(ctx: Context) -> int:
    return await ctx.wait_for_external_event("go", int)


@app.orchestrator
async def tell(ctx: Context, instance_id: str, name: str, data: int) -> None:
    """Sends an event once, however often it is started."""
    ctx.send_event(instance_id, name, data)


# --- the process ----------------------------------------------------------------------------------


class Ahead(SystemClock):
    """A clock that is wrong."""

    def __init__(self, seconds: float) -> None:
        self._ahead = round(seconds * MICROSECONDS)

    def now(self) -> Microseconds:
        """The present, as it believes."""
        return super().now() + self._ahead


class Telling(LogObserver):
    """Writes into the log what explains that something runs again."""

    def problem(self, instance_id: str | None, text: str) -> None:
        """A partition is lost, or was given while something ran on."""
        super().problem(instance_id, text)  # type: ignore[arg-type]
        if text.startswith("partition "):
            journal.note("hit", text)


async def keep_starting(client: Client) -> None:
    """Start a few by the host's own client, wherever they belong; note those that are promised."""
    number = 0
    while True:
        name = f"own-{os.getpid()}-{number}"
        number += 1
        try:
            await client.start(chain, number, instance_id=name)
        except TenutoError as error:
            journal.note("refused", name, type(error).__name__)
        else:
            journal.note("started", name)
        await asyncio.sleep(OWN_SECONDS)


async def run_host(arguments: argparse.Namespace) -> None:
    """Run a host until the input ends."""
    settings = Settings(
        lease_seconds=arguments.lease,
        drain_seconds=10,
        app_version=arguments.version,
        partitions=arguments.partitions,
    )
    host = Host(
        app,
        arguments.url,
        settings=settings,
        clock=Ahead(arguments.ahead) if arguments.ahead else None,
        observer=Telling(),
    )
    async with host:
        say("up")
        own = asyncio.create_task(keep_starting(host.client))
        await asyncio.to_thread(sys.stdin.readline)
        own.cancel()
        await asyncio.to_thread(sys.stdin.read)
    say("down")


def say(word: str) -> None:
    """For the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Of the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--ahead", type=float, default=0)
    parser.add_argument("--version", default="")
    parser.add_argument("--lease", type=float, default=2)
    parser.add_argument("--partitions", type=int, default=12)
    arguments = parser.parse_args()
    journal.path = arguments.journal
    asyncio.run(run_host(arguments))


if __name__ == "__main__":
    main()
