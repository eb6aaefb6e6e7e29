"""The drill of the page of operations, followed word by word, and then the emergency."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.terminal import TENUTO, Program, environment, tenuto

if sys.platform == "win32":
    pytest.skip("a shell of POSIX", allow_module_level=True)

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"

APP = """
from tenuto import App, Context

app = App()


@app.orchestrator
async def book_trip(ctx: Context) -> str:
    return await ctx.wait_for_external_event("paid", str)
"""


def blocks(heading: str) -> list[list[str]]:
    """The commands below a heading, block by block."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    return [one.strip().splitlines() for one in re.findall(r"```\n(.*?)```", section, re.DOTALL)]


def commands_in_path(folder: Path) -> dict[str, str]:
    """A `tenuto` that is the one under test, as a shell finds it."""
    script = folder / "bin" / "tenuto"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\nexec {" ".join(TENUTO)} "$@"\n')
    script.chmod(0o755)
    return environment(PATH=f"{script.parent}{os.pathsep}{os.environ['PATH']}")


def typed(folder: Path, lines: list[str]) -> str:
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(lines)],
        cwd=folder,
        env=commands_in_path(folder),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def typed_and_running(folder: Path, line: str, *more: str) -> Iterator[Program]:
    words = line.split()
    assert words[0] == "tenuto"
    with Program(folder, *TENUTO, *words[1:], *more) as program:
        yield program


def test_the_drill_and_the_emergency_word_by_word(tmp_path: Path) -> None:
    (tmp_path / "trips.py").write_text(APP)
    ((follow,),) = blocks("A continuous copy")
    drill, (restore, start) = blocks("A drill")
    with typed_and_running(tmp_path, start, "--port", "0") as host:
        host.until("listening")
        with typed_and_running(tmp_path, follow) as follower:
            follower.until("up to date")
            store = ("--storage", "sqlite:///trips.db")
            begun = tenuto(tmp_path, "instances", "start", "book_trip", "--id", "t-1", *store)
            assert begun.returncode == 0, begun.stderr
            wait_for_copy(tmp_path, "t-1")
            assert "t-1" in typed(tmp_path, drill)
            assert not (tmp_path / "drill").exists()
            host.send(signal.SIGKILL)
            host.end()
            follower.send(signal.SIGTERM)
            assert follower.end() == 0
    for lost in ("trips.db", "trips.db-wal", "trips.db-shm"):
        (tmp_path / lost).unlink(missing_ok=True)
    refused = typed(tmp_path, [restore.replace(" --accept-loss", ""), f"! {start}"])
    assert "reaches to" in refused
    assert "reaches to" in typed(tmp_path, [restore])
    with typed_and_running(tmp_path, start, "--port", "0") as host:
        host.until("listening")
        paid = ("raise-event", "t-1", "paid", "--data", '"yes"')
        assert tenuto(tmp_path, "instances", *paid, *store).returncode == 0
        done = tenuto(tmp_path, "instances", "watch", "t-1", *store)
        assert done.returncode == 0, done.stdout + done.stderr


def wait_for_copy(folder: Path, instance_id: str) -> None:
    """Until the copy holds an instance: a second at most, but on a busy machine."""
    said = ""
    for number in range(60):
        target = f"seen-{number}.db"
        assert tenuto(folder, "restore", "backup", target).returncode == 0
        found = tenuto(folder, "instances", "show", instance_id, "--storage", f"sqlite:///{target}")
        (folder / target).unlink()
        if found.returncode == 0 and "waits for event" in found.stdout:
            return
        said = found.stdout + found.stderr
    raise AssertionError(said)
