"""No process outlives the test that started it, and every one of them can be interrupted.

``tests/conftest.py`` takes the hooks from here. They see every process below this one, however a
test has started it: in a session of its own, by a process that has ended since, by a worker.

A test that fails, or runs into its timeout, has its processes killed. One that passes and leaves
some behind fails for it.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

import pytest

__all__ = ["nothing_is_left_running", "pytest_configure", "pytest_runtest_makereport"]

_PROC: Final = Path("/proc")
_SET_CHILD_SUBREAPER: Final = 36
_PATIENCE_SECONDS: Final = 10.0
"""How long a process may take to end by itself once its test has passed."""
_POLL_SECONDS: Final = 0.005

SERVERS: Final[set[int]] = set()
"""Servers that outlive a test: they are not looked at, nor what comes and goes below them."""

_HAS_FAILED: Final = pytest.StashKey[bool]()


def pytest_configure() -> None:
    """Adopt orphans, and let no process inherit that interrupts are ignored."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # In the background. A handler that does nothing ignores them here as well, but, unlike
        # SIG_IGN, does not pass on to the processes that tests start and press Ctrl-C in.
        signal.signal(signal.SIGINT, _stay)


def _stay(_number: int, _frame: FrameType | None) -> None:
    """Ignore a signal."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_HAS_FAILED] = True
    return report


@pytest.fixture(autouse=True)
def nothing_is_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """End what a test has started. Set up before all others of a test, so it ends after them."""
    before = {one.pid for one in descendants()}
    yield
    patience = 0.0 if request.node.stash.get(_HAS_FAILED, False) else _PATIENCE_SECONDS
    left = end_descendants(before, patience_seconds=patience)
    if left and patience:
        pytest.fail("the test has left processes behind:\n" + "\n".join(left))


class Process(NamedTuple):
    """A process as the system lists it."""

    pid: int
    parent: int
    has_ended: bool
    words: str


def descendants() -> list[Process]:
    """All processes below this one but servers, also those that have ended and wait for nobody."""
    if not _has_children():
        return []
    children: dict[int, list[Process]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (process := _look(int(entry.name))) is not None:
            children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    parents = [os.getpid()]
    while parents:
        below = children.pop(parents.pop(), [])
        below = [one for one in below if one.pid not in SERVERS]
        found += below
        parents += [one.pid for one in below]
    return found


def _has_children() -> bool:
    """Who has no children, but for servers, has no descendants: orphans are adopted.

    Looking at all processes of the system, twice for each test, took minutes of a whole run.
    """
    if sys.platform != "linux":
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    try:
        lists = [one.read_text() for one in (_PROC / "self" / "task").glob("*/children")]
    except OSError:  # a thread has ended meanwhile
        return True
    return not lists or not SERVERS.issuperset(int(pid) for one in lists for pid in one.split())


def _look(pid: int) -> Process | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
        words = (_PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has ended in this moment, which reading finds out in either way
    state, parent = stat.rpartition(")")[2].split()[:2]
    command = words.replace(b"\0", b" ").decode(errors="replace")
    return Process(pid, int(parent), state in "ZX", command)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and not only what is left of it until it is waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not _PROC.exists():
        return True
    process = _look(pid)
    return process is not None and not process.has_ended


def end_descendants(besides: set[int], *, patience_seconds: float) -> list[str]:
    """Wait for processes below this one, then kill them; who had to be killed.

    Args:
        besides: Who may stay.
        patience_seconds: How long they may take to end by themselves.
    """
    killed: dict[int, str] = {}
    last = time.monotonic() + patience_seconds
    while living := [one for one in _swept() if one.pid not in besides]:
        if time.monotonic() >= last:
            assert time.monotonic() < last + _PATIENCE_SECONDS, f"cannot be killed: {living}"
            for one in living:
                killed[one.pid] = f"  {one.pid}: {one.words[:200]}"
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return list(killed.values())


def _swept() -> list[Process]:
    """All processes below this one that have not ended. Those that have are waited for."""
    living = []
    for one in descendants():
        if not one.has_ended:
            living.append(one)
        elif one.parent == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one.pid, os.WNOHANG)
    return living
