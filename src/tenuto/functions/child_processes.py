"""Child processes that code of users has started and that outlive this one.

Nothing ends them: Python does not, and neither do we, since a program may start a service of its
own on purpose. But an activity that was given up is run again, and its child beside the old one, so
whoever stops a host is told of them. Looks, and touches nothing.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

_OURS: Final = (
    "tenuto.functions.worker_process",
    "multiprocessing.resource_tracker",
    "multiprocessing.forkserver",
)
"""What stands in the commands of those that end with this process by themselves."""

_MOST_NAMED: Final = 10
_MOST_CHARACTERS: Final = 80
_PROC: Final = Path("/proc")


class ChildProcess(NamedTuple):
    """One that runs.

    Attributes:
        pid: Its number.
        command: The program and what it was given first, unless that is an option; more may be
            secret.
    """

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.pid} ({self.command})"


def moment() -> float:
    """The present, as ``child_processes`` takes it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else 0.0


def child_processes(since: float = 0.0, *, is_killed: bool = True) -> list[ChildProcess]:
    """Those that outlive this process. Outside Linux only those of ``multiprocessing`` are seen.

    Args:
        since: Those are left out that have begun before this ``moment``.
        is_killed: This process ends without Python's own end, at which ``multiprocessing`` ends its
            daemons.
    """
    found = _by_the_system()
    multiprocessing = sys.modules.get("multiprocessing")
    for process in () if multiprocessing is None else multiprocessing.active_children():
        # One that a server of forks has made is no child of this process.
        seen = found.pop(process.pid, _Seen("", since))
        if is_killed or not process.daemon:
            found[process.pid] = _Seen(process.name, seen.begun_by)
    return sorted(
        ChildProcess(pid, seen.command) for pid, seen in found.items() if seen.begun_by >= since
    )


def children_left(children: Sequence[ChildProcess]) -> str:
    """The line of a log that names them."""
    many = "1 child process goes" if len(children) == 1 else f"{len(children)} child processes go"
    names = ", ".join(map(str, children[:_MOST_NAMED]))
    more = f" and {len(children) - _MOST_NAMED} more" if len(children) > _MOST_NAMED else ""
    return f"{many} on without this program: {names}{more}"


class _Seen(NamedTuple):
    command: str
    begun_by: float


def _by_the_system() -> dict[int, _Seen]:
    """Those that the system knows to be children, by their numbers."""
    if sys.platform != "linux":
        return {}
    found = {int(folder.name): _child(folder) for folder in _PROC.glob("[0-9]*")}
    return {pid: seen for pid, seen in found.items() if seen is not None}


def _child(folder: Path) -> _Seen | None:
    """The process of a folder in ``/proc``, if it is a child of this one, runs, and is not ours."""
    try:
        name, _, rest = (folder / "stat").read_text("utf-8", "replace").rpartition(")")
        state, parent, *numbers = rest.split()
        if int(parent) != os.getpid() or state in "ZX":
            return None
        # Times are rounded down there.
        begun_by = (int(numbers[_BEGUN_AT]) + 1) / os.sysconf("SC_CLK_TCK")
        words = [*(folder / "cmdline").read_text("utf-8", "replace").split("\0"), ""]
    except (OSError, ValueError, IndexError):  # it has ended, or its folder is hidden
        return None
    if any(own in word for word in words for own in _OURS):
        return None
    program = Path(words[0]).name or name.partition("(")[2]
    first = "" if words[1].startswith("-") else words[1]
    return _Seen(" ".join([program, *first.split()])[:_MOST_CHARACTERS], begun_by)


_BEGUN_AT: Final = 22 - 5
"""Where ``/proc/PID/stat`` has the time of its beginning, after state and parent (man proc)."""
