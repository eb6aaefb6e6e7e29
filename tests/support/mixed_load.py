"""A mixed load of everything that the engine does, with the results that it must come to.

``python mixed_load.py STORE --waves FIRST LAST [--crash POINT HIT] [--note FILE]`` runs a host on
it, says ``up``, and stops gracefully when its input ends. It starts half of each wave itself; the
other half, the events and the requests come from outside, through the store (``drive``).
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tenuto import (
    ActivityContext,
    ActivityError,
    App,
    Client,
    Context,
    Host,
    IdReuse,
    InstanceExistsError,
    RetryPolicy,
    RuntimeStatus,
    Settings,
)
from tenuto.testing import KillAt

POLL_SECONDS = 0.1

app = App()
notes: list[Path] = []
"""Where activities note that they ran, when somebody wants to know."""


class NotYetError(Exception):
    """Raised by activities that are to be tried again."""


def note(activity: ActivityContext) -> None:
    for path in notes:
        with path.open("a") as file:
            file.write(f"{activity.idempotency_key} {activity.attempt}\n")


# --- activities ---------------------------------------------------------------------------------


@app.activity
def add(activity: ActivityContext, left: int, right: int) -> int:
    note(activity)
    return left + right


@app.activity
async def slow(activity: ActivityContext, milliseconds: int, value: int) -> int:
    await asyncio.sleep(milliseconds / 1000)
    note(activity)
    return value


@app.activity(retry=RetryPolicy(max_attempts=3, first_interval=timedelta(milliseconds=5)))
def third_time_lucky(activity: ActivityContext, value: int) -> int:
    note(activity)
    if activity.attempt < 3:
        raise NotYetError(f"attempt {activity.attempt}")
    return value * 3


@app.activity(retry=RetryPolicy(max_attempts=2, first_interval=timedelta(milliseconds=5)))
def hopeless(activity: ActivityContext) -> int:
    note(activity)
    raise NotYetError("never")


# --- orchestrators ------------------------------------------------------------------------------


@app.orchestrator
async def sequence(ctx: Context, n: int) -> int:
    total = 0
    for index in range(4):
        total = await ctx.call_activity(add, total, n + index)
    return total


@app.orchestrator
async def fan_out(ctx: Context, n: int) -> list[int]:
    calls = [ctx.call_activity(slow, 5 * (index % 3), n + index) for index in range(8)]
    return list(await asyncio.gather(*calls))


@app.orchestrator
async def timers(ctx: Context, n: int) -> str:
    for _ in range(3):
        await asyncio.sleep(0.02)
    try:
        async with asyncio.timeout(0.03):
            await ctx.wait_for_external_event("never")
    except TimeoutError:
        return f"{n} timed out"
    return "got what nobody sent"


@app.orchestrator
async def events(ctx: Context, _n: int) -> list[int]:
    return [await ctx.wait_for_external_event("value", int) for _ in range(3)]


@app.orchestrator
async def children(ctx: Context, n: int) -> list[int]:
    calls = [ctx.call_sub_orchestrator(sequence, n + index) for index in range(3)]
    middle = await asyncio.gather(*calls)
    return [*middle, *await ctx.call_sub_orchestrator(fan_out, n)]


@app.orchestrator
async def generations(ctx: Context, n: int, left: int, total: int) -> int:
    if left:
        total = await ctx.call_activity(add, total, n)
        ctx.continue_as_new(n, left - 1, total)
        return 0
    # Raised at any time, perhaps many generations ago.
    return total + await ctx.wait_for_external_event("bonus", int)


@app.orchestrator
async def retries(ctx: Context, n: int) -> int:
    tripled = await ctx.call_activity(third_time_lucky, n)
    try:
        await ctx.call_activity(hopeless)
    except ActivityError:
        return await ctx.call_activity(add, tripled, 1)
    return -1


@app.orchestrator
async def pausing(ctx: Context, n: int) -> int:
    first = ctx.call_activity(slow, 30, n)
    go = await ctx.wait_for_external_event("go", int)
    return go + await first


@app.orchestrator
async def endless(ctx: Context, _n: int) -> None:
    await ctx.wait_for_external_event("never")


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
async def pong(ctx: Context, peer: str, n: int) -> str:
    for _ in range(3):
        got = await ctx.wait_for_external_event("ping", int)
        ctx.send_event(peer, "pong", got + n)
    return f"ponged {peer}"


@app.orchestrator
async def race(ctx: Context, n: int) -> int:
    late = ctx.call_activity(slow, 400, -1)
    soon = ctx.create_timer(timedelta(milliseconds=20))
    first = await ctx.task_any([late, soon])
    for task in (late, soon):
        if task is not first:
            task.cancel()
    return n


# --- what is started, and what must come of it ----------------------------------------------------


def _sequence(n: int) -> int:
    return 4 * n + 6


def _fan_out(n: int) -> list[int]:
    return list(range(n, n + 8))


EXPECTED: dict[str, Callable[[int], Any]] = {
    "sequence": _sequence,
    "fan_out": _fan_out,
    "timers": lambda n: f"{n} timed out",
    "events": lambda n: [n, n + 1, n + 2],
    "children": lambda n: [*(_sequence(n + index) for index in range(3)), *_fan_out(n)],
    "generations": lambda n: 3 * n + 1000,
    "retries": lambda n: 3 * n + 1,
    "pausing": lambda n: n + 7,
    "endless": lambda n: f"enough of {n}",
    "ping": lambda n: 3 * n + 3,
    "race": lambda n: n,
}


@dataclass(frozen=True)
class Item:
    """One instance of the load."""

    kind: str
    n: int

    @property
    def instance_id(self) -> str:
        return f"{self.kind}-{self.n}"

    @property
    def arguments(self) -> tuple[int, ...]:
        return (self.n, 3, 0) if self.kind == "generations" else (self.n,)

    @property
    def is_from_outside(self) -> bool:
        return self.n % 2 == 1

    @property
    def status(self) -> RuntimeStatus:
        return RuntimeStatus.TERMINATED if self.kind == "endless" else RuntimeStatus.COMPLETED

    @property
    def output(self) -> object:
        return EXPECTED[self.kind](self.n)


def wave(number: int) -> list[Item]:
    """Two of each kind: one that the host starts, one from outside."""
    return [Item(kind, n) for kind in EXPECTED for n in (2 * number, 2 * number + 1)]


# --- from outside ---------------------------------------------------------------------------------


async def drive(client: Client, item: Item) -> None:
    """Start an instance, if that is ours to do, and ask for what it needs, each thing once."""
    if item.is_from_outside:
        await client.start(item.kind, *item.arguments, instance_id=item.instance_id)
    instance_id = item.instance_id
    match item.kind:
        case "events":
            await _status(client, instance_id)
            for offset in range(3):
                await client.raise_event(instance_id, "value", item.n + offset)
        case "generations":
            await _status(client, instance_id)
            await client.raise_event(instance_id, "bonus", 1000)
        case "pausing":
            await _status(client, instance_id, RuntimeStatus.RUNNING)
            await client.suspend(instance_id)
            await client.raise_event(instance_id, "go", 7)
            await _status(client, instance_id, RuntimeStatus.SUSPENDED)
            await client.resume(instance_id)
        case "endless":
            await _status(client, instance_id)
            await client.terminate(instance_id, f"enough of {item.n}")
        case _:
            pass


async def _status(client: Client, instance_id: str, wanted: RuntimeStatus | None = None) -> None:
    """Wait until the instance is there, or has the status."""
    while True:
        status = await client.get_status(instance_id)
        if status is not None and wanted in {None, status.runtime_status}:
            return
        await asyncio.sleep(POLL_SECONDS)


# --- the host's process ---------------------------------------------------------------------------


async def run_host(arguments: argparse.Namespace) -> None:
    """Run a host, start our half of the waves, and stop when the input ends."""
    observer = None
    if arguments.crash:
        observer = KillAt(arguments.crash[0], int(arguments.crash[1]))
    settings = Settings(drain_seconds=30.0)
    async with Host(
        app, f"sqlite:///{arguments.store}", settings=settings, observer=observer
    ) as host:
        say("up")
        for number in range(*arguments.waves):
            for item in wave(number):
                if not item.is_from_outside:
                    await _start_once(host.client, item)
        say("started")
        await asyncio.to_thread(sys.stdin.read)
    say("down")


async def _start_once(client: Client, item: Item) -> None:
    with suppress(InstanceExistsError):  # a host before us did it
        await client.start(
            item.kind, *item.arguments, instance_id=item.instance_id, reuse=IdReuse.NEVER
        )


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("--waves", nargs=2, type=int, default=(0, 0))
    parser.add_argument("--crash", nargs=2)
    parser.add_argument("--note", type=Path)
    arguments = parser.parse_args()
    if arguments.note:
        notes.append(arguments.note)
    asyncio.run(run_host(arguments))


if __name__ == "__main__":
    main()
