"""A deploy drill: load running, code changed badly in several ways, rolled back, changed well.

Real hosts, one after another, on one file. No instance is lost, no step runs twice, nothing that
was sent is dropped; and the check had named all that were held before the bad code came, exactly.
"""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tenuto import Client, InstanceFilter, RuntimeStatus
from tests.integration.test_cli_start import url_of
from tests.support.terminal import Command, tenuto

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

EACH: Final = 40
"""Instances of each kind."""

GOOD: Final = """
from datetime import timedelta
from pathlib import Path
from tenuto import App, Context, RetryPolicy

app = App()


def note(text: str) -> None:
    with Path("steps").open("a") as file:
        file.write(text + "\\n")


@app.activity
def book(who: str) -> str:
    note(f"{who} book")
    return who


@app.activity
def weigh(who: str) -> str:
    note(f"{who} weigh")
    return who


@app.activity
def pack(who: str) -> str:
    note(f"{who} pack")
    return who


@app.activity
def thank(who: str) -> str:
    note(f"{who} thank")
    return who


@app.activity(retry=RetryPolicy(max_attempts=1000, first_interval=timedelta(seconds=0.5)))
def moody(who: str) -> str:
    if not Path("mended").exists():
        raise OSError("not yet")
    note(f"{who} moody")
    return who


@app.orchestrator
async def order(ctx: Context) -> str:
    who = await ctx.call_activity(book, ctx.instance_id)
    amount = await ctx.wait_for_external_event("paid", int)
    await ctx.call_activity(pack, who)
    return f"{who} {amount}"


@app.orchestrator
async def reminder(ctx: Context) -> str:
    who = await ctx.call_activity(book, ctx.instance_id)
    await ctx.create_timer(timedelta(seconds=5))
    return await ctx.call_activity(pack, who)


@app.orchestrator
async def part(ctx: Context) -> str:
    who = await ctx.call_activity(weigh, ctx.instance_id)
    await ctx.wait_for_external_event("paid", int)
    return who


@app.orchestrator
async def whole(ctx: Context) -> str:
    who = await ctx.call_sub_orchestrator(part.options(instance_id=f"part-of-{ctx.instance_id}"))
    return await ctx.call_activity(pack, who)


@app.orchestrator
async def rounds(ctx: Context, number: int) -> int:
    await ctx.wait_for_external_event("paid", int)
    await ctx.call_activity(book, f"{ctx.instance_id}.{number}")
    if number < 2:
        ctx.continue_as_new(number + 1)
    return number


@app.orchestrator
async def retries(ctx: Context) -> str:
    return await ctx.call_activity(moody, ctx.instance_id)


@app.orchestrator
async def quick(ctx: Context) -> str:
    return await ctx.call_activity(pack, await ctx.call_activity(book, ctx.instance_id))
"""


def changed(code: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    return code


BAD: Final = changed(
    GOOD,
    # Another activity where one was recorded.
    (
        "who = await ctx.call_activity(book, ctx.instance_id)\n    amount",
        "who = await ctx.call_activity(pack, ctx.instance_id)\n    amount",
    ),
    # An orchestrator under another name.
    ("async def reminder(", "async def remind("),
    # A type that the recorded result does not fit.
    ("def weigh(who: str) -> str:", "def weigh(who: str) -> dict[str, int]:"),
    # What cannot be replayed.
    (
        "async def rounds(ctx: Context, number: int) -> int:\n",
        "async def rounds(ctx: Context, number: int) -> int:\n    import random; random.random()\n",
    ),
)
REASONS: Final = {
    "order": "decisions",
    "reminder": "not_served",
    "part": "payload",
    "rounds": "guard",
}
"""Why the bad code holds those of an orchestrator; the others it fits."""

BETTER: Final = changed(
    GOOD,
    # Behind the point that everybody has reached.
    (
        '    return f"{who} {amount}"',
        '    await ctx.call_activity(thank, who)\n    return f"{who} {amount}"',
    ),
    # Another input.
    (
        "return await ctx.call_activity(pack, who)\n\n\n@app.orchestrator\nasync def rounds",
        "return await ctx.call_activity(pack, f'{who}!')\n\n\n@app.orchestrator\nasync def rounds",
    ),
)


class Drill:
    """The folder of the app, and what is to come of each instance."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, str] = {}
        """The orchestrator of each instance."""
        self.steps: Counter[str] = Counter()
        """The steps that are to have run, each once."""

    def ids(self, name: str) -> list[str]:
        return [one for one, orchestrator in self.names.items() if orchestrator == name]

    def expect(self, name: str, instance_id: str, *steps: str) -> None:
        self.names[instance_id] = name
        self.steps.update(f"{who} {step}" for who, _, step in (one.partition(" ") for one in steps))

    def held_by_bad_code(self) -> dict[str, str]:
        return {one: REASONS[name] for one, name in self.names.items() if name in REASONS}

    def deploy(self, code: str) -> None:
        (self.folder / "shop.py").write_text(code)

    def check(self, code: str) -> dict[str, str]:
        """Whom the check names, with the reasons."""
        (self.folder / "next.py").write_text(code)
        done = tenuto(self.folder, "check-replay", "next.py", "--json")
        report = json.loads(done.stdout)
        assert done.returncode == (0 if report["fits"] else 1), done.stderr
        return dict(_named(report["orchestrators"]))

    @asynccontextmanager
    async def serving(self, code: str) -> AsyncIterator[tuple[Command, Client]]:
        """A host with this code; it is stopped as a deployment does it."""
        self.deploy(code)
        with Command(self.folder, "start", "shop.py", "--port", "0") as command:
            async with Client(url_of(command)) as client:
                yield command, client
            command.send(signal.SIGTERM)
            assert await asyncio.to_thread(command.end) in {0, 128 + signal.SIGTERM}

    # --- load ---------------------------------------------------------------------------------

    async def begin(self, client: Client) -> None:
        """Hundreds of instances, each to its wait."""
        later = datetime.now(UTC) + timedelta(seconds=5)
        starts = []
        for number in range(EACH):
            for name in ("order", "reminder", "retries"):
                one = f"{name}-{number}"
                first = f"{one} moody" if name == "retries" else f"{one} book"
                last = () if name == "retries" else (f"{one} pack",)
                self.expect(name, one, first, *last)
                starts.append(client.start(name, instance_id=one))
            self.expect("whole", f"whole-{number}", f"part-of-whole-{number} pack")
            starts.append(client.start("whole", instance_id=f"whole-{number}"))
            self.expect("part", f"part-of-whole-{number}", f"part-of-whole-{number} weigh")
            one = f"rounds-{number}"
            self.expect("rounds", one, *(f"{one}.{turn} book" for turn in range(3)))
            starts.append(client.start("rounds", 0, instance_id=one))
            one = f"later-{number}"
            self.expect("reminder", one, f"{one} book", f"{one} pack")
            starts.append(client.start("reminder", instance_id=one, start_at=later))
        await asyncio.gather(*starts)
        # Some are paused, some rounds are in a later generation.
        await until(lambda: self.ran(" book") >= 2 * EACH and self.ran(" weigh") >= EACH)
        for number in range(0, EACH, 4):
            await client.suspend(f"order-{number}")
            await client.raise_event(f"rounds-{number}", "paid", number)
        await until(lambda: self.ran(".0 book") >= len(range(0, EACH, 4)))

    async def run_quick_ones(self, client: Client, phase: str) -> None:
        """Load that no version holds."""
        names = [f"quick-{phase}-{number}" for number in range(EACH)]
        for one in names:
            self.expect("quick", one, f"{one} book", f"{one} pack")
        handles = await asyncio.gather(*(client.start("quick", instance_id=one) for one in names))
        assert await asyncio.gather(*(one.result() for one in handles)) == names

    def ran(self, ending: str) -> int:
        return sum(one.endswith(ending) for one in self.done)

    @property
    def done(self) -> list[str]:
        return (self.folder / "steps").read_text().splitlines()


def _named(orchestrators: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    for fit in orchestrators:
        for misfit in fit["misfits"]:
            for one in misfit["instanceIds"]:
                yield one, misfit["reason"]


async def until(condition: Any) -> None:  # noqa: ANN401 - a question without arguments
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - other processes tell nobody
            await asyncio.sleep(0.05)


async def held(client: Client) -> dict[str, str]:
    found = {}
    async for status in client.query(InstanceFilter(held=True)):
        assert status.hold is not None
        assert status.hold.recorded, "both sides are shown"
        assert status.hold.produced
        found[status.instance_id] = str(status.hold.reason)
    return found


@pytest.mark.timeout(300)
async def test_a_deploy_loses_nothing_the_drill(tmp_path: Path) -> None:
    drill = Drill(tmp_path)
    async with drill.serving(GOOD) as (_, client):
        await drill.run_quick_ones(client, "good")
        await drill.begin(client)

    # Before the bad code comes, all whom it will hold are named, and nothing happens to them.
    before = drill.done
    expected = drill.held_by_bad_code()
    assert len(expected) == 5 * EACH
    assert drill.check(BAD) == expected
    assert drill.check(GOOD) == drill.check(BETTER) == {}
    assert drill.done == before

    # The bad code: what it holds keeps all that comes, the rest goes on.
    async with drill.serving(BAD) as (command, client):
        await drill.run_quick_ones(client, "bad")
        told = f"; {3 * EACH} are held, their code has changed, {2 * EACH} are held, they name"
        await asyncio.to_thread(command.until, told)
        assert await held(client) == expected
        for number in range(0, EACH, 2):
            for one in (f"order-{number}", f"rounds-{number}", f"part-of-whole-{number}"):
                await client.raise_event(one, "paid", number)
        await asyncio.sleep(5)  # the timers come due, and the starts that were put off
        assert await held(client) == expected
        assert not await client.dead_letters()
    assert drill.check(BAD) == expected

    # Rolled back, everybody goes on with what has come meanwhile.
    assert drill.check(GOOD) == {}
    async with drill.serving(GOOD) as (_, client):
        await drill.run_quick_ones(client, "again")
        await asyncio.gather(*(client.wait(one) for one in drill.ids("reminder")))
        await asyncio.gather(*(client.wait(f"whole-{number}") for number in range(0, EACH, 2)))
        await client.wait("order-2")
        assert await held(client) == {}

    # Changed well.
    assert drill.check(BETTER) == {}
    (tmp_path / "mended").touch()
    async with drill.serving(BETTER) as (_, client):
        await finish(drill, client)
        statuses = [status async for status in client.query()]
        assert not await client.dead_letters()
    assert {status.instance_id for status in statuses} == set(drill.names)
    assert {status.runtime_status for status in statuses} == {RuntimeStatus.COMPLETED}
    assert Counter(drill.done) == drill.steps, "each step once"


async def finish(drill: Drill, client: Client) -> None:
    """What is still to come for those who wait."""
    for number in range(0, EACH, 4):
        await client.resume(f"order-{number}")
    for number in range(EACH):
        if number % 2:
            await client.raise_event(f"order-{number}", "paid", number)
            await client.raise_event(f"part-of-whole-{number}", "paid", number)
            drill.steps[f"order-{number} thank"] += 1
        # Three rounds want three events.
        for _ in range(3 - (not number % 4) - (not number % 2)):
            await client.raise_event(f"rounds-{number}", "paid", number)
    for number in range(0, EACH, 4):  # paused while the old code ran
        drill.steps[f"order-{number} thank"] += 1
    await asyncio.gather(*(client.wait(one) for one in drill.names))
    for number in range(EACH):
        if number % 2:  # they have packed with the changed input
            drill.steps[f"part-of-whole-{number} pack"] -= 1
            drill.steps[f"part-of-whole-{number}! pack"] += 1
    drill.steps = +drill.steps
