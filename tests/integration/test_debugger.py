"""A debugger may stop an orchestrator for as long as it likes: nothing is repeated."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tenuto.cli.running.breakpoints import _audit, making_room_at_breakpoints
from tests.support.terminal import Terminal, tenuto

PROGRAM = """
import logging
from datetime import timedelta
from pathlib import Path
from tenuto import App, Context

logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
app = App()

@app.activity
def note(text: str) -> None:
    with Path("ledger").open("a") as file:
        file.write(f"{text}\\n")

@app.activity
def ask(text: str) -> None:
    note.function(text)
    breakpoint()

@app.orchestrator
async def steps(ctx: Context) -> str:
    await ctx.call_activity(note, "one")
    breakpoint()
    await ctx.call_activity(note, "two")
    breakpoint()
    await ctx.create_timer(timedelta(milliseconds=1))
    await ctx.call_activity(note, "three")
    return "done"

@app.orchestrator
async def asking(ctx: Context) -> None:
    await ctx.call_activity(ask, "asked")
"""

WATCHED = {"TENUTO_BLOCKED_TURN_SECONDS": "0.1", "TENUTO_BLOCKED_LOOP_SECONDS": "0.1"}
PAUSE = "import time; time.sleep(1.0); print('slept' + ' well')"
"""Ten times as long as anything of the host is patient."""

COMPLAINTS = ("has kept this host busy", "has blocked this host")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prog.py").write_text(PROGRAM)
    return tmp_path


def ledger(folder: Path) -> list[str]:
    return (folder / "ledger").read_text().split()


def ask(terminal: Terminal, command: str, answer: str) -> None:
    """Type a command, and wait for its answer and the next prompt: what is typed before may go."""
    terminal.type(command)
    terminal.until(answer)
    terminal.until("(Pdb) ")


def calls_after(written: str) -> list[str]:
    """The call that comes next at each line at which the debugger has stopped.

    Some CPythons from 3.13 on stop at the line of a `breakpoint()` itself, others one further.
    """
    lines = PROGRAM.splitlines()
    stops = re.findall(r"> \S*prog\.py\((\d+)\)", written)
    at = [int(one) - 1 for one in stops]
    return [lines[one + 1 if "breakpoint()" in lines[one] else one].strip() for one in at]


def test_exactly_once_turns_a_breakpoint_is_hit_once_however_long_it_lasts(folder: Path) -> None:
    with Terminal(folder, "run", "prog.py:steps", "--id", "a", env=WATCHED) as terminal:
        # The host says so as soon as it sees it, perhaps before the prompt.
        terminal.until("(Pdb) ", "tenuto.host: a debugger is at ")
        ask(terminal, PAUSE, "slept well")
        # The store stays with the host that stands still.
        other = tenuto(folder, "run", "prog.py:steps", "--id", "b")
        assert "TN-1604" in other.stderr
        ask(terminal, "p ctx.instance_id + '!'", "'a!'")
        ask(terminal, "c", "prog.py(")
        ask(terminal, PAUSE, "slept well")
        terminal.type("c")
        assert terminal.end() == 0
    assert calls_after(terminal.written) == [
        'await ctx.call_activity(note, "two")',
        "await ctx.create_timer(timedelta(milliseconds=1))",
    ]
    assert ledger(folder) == ["one", "two", "three"]
    assert terminal.written.count("a debugger is at ") == 1
    for complaint in (*COMPLAINTS, "failed", "tried again"):
        assert complaint not in terminal.written
    # The picture has made room: a cursor is seen at the prompt.
    begun, _, at_prompt = terminal.written.partition("(Pdb) ")
    assert begun.rfind("\x1b[?25h") > begun.rfind("\x1b[?25l")
    assert "\x1b[?25l" not in at_prompt
    shown = tenuto(folder, "run", "prog.py:steps", "--id", "a")
    assert shown.returncode == 0
    assert ledger(folder) == ["one", "two", "three"]


def test_a_breakpoint_in_an_activity_is_hit_once_and_its_effects_are_not_repeated(
    folder: Path,
) -> None:
    with Terminal(folder, "run", "prog.py:asking", env=WATCHED) as terminal:
        terminal.until("(Pdb) ")
        ask(terminal, "p text * 2", "'askedasked'")
        ask(terminal, PAUSE, "slept well")
        terminal.type("c")
        assert terminal.end() == 0
    assert terminal.written.count("p text * 2") == 1
    assert ledger(folder) == ["asked"]
    assert not any(complaint in terminal.written for complaint in COMPLAINTS)


def test_stepping_through_an_orchestrator_goes_from_step_to_step(folder: Path) -> None:
    with Terminal(folder, "run", "prog.py:steps", env=WATCHED) as terminal:
        terminal.until("(Pdb) ")
        terminal.type("n")
        terminal.until("(Pdb) ")
        terminal.type("c")
        terminal.until("(Pdb) ")
        terminal.type("c")
        assert terminal.end() == 0
    assert ledger(folder) == ["one", "two", "three"]


# --- making room ---------------------------------------------------------------------------------


@pytest.fixture
def hits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: found.append("debugger"))
    return found


def test_room_is_made_before_the_debugger_comes_and_only_while_it_is_asked_for(
    hits: list[str],
) -> None:
    with making_room_at_breakpoints(lambda: hits.append("room")):
        breakpoint()  # noqa: T100 - under test
    breakpoint()  # noqa: T100 - under test
    assert hits == ["room", "debugger", "debugger"]


def test_making_room_is_no_deed_of_the_orchestrator_that_has_the_breakpoint() -> None:
    loop = asyncio.new_event_loop()
    seen: list[object] = []
    asyncio._set_running_loop(loop)
    try:
        with making_room_at_breakpoints(lambda: seen.append(asyncio._get_running_loop())):
            _audit("builtins.breakpoint", ())
            _audit("open", ())
        _audit("builtins.breakpoint", ())
        assert asyncio._get_running_loop() is loop
    finally:
        asyncio._set_running_loop(None)
        loop.close()
    assert seen == [None]
