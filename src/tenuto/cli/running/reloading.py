"""``tenuto start --reload``: the server in a process of its own, started anew when files change.

What is in the store is not touched: the process is stopped as by SIGTERM, so that instances go on
where they were with the new code. Looks at the Python files below the current folder and at those
settings files that stand in it; for an Azure Functions app, at the code and the settings in its
folder, what is built included.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.running.stopping import stop_signals

if sys.platform != "win32":
    from tenuto.functions.lifeline import Lifeline, when_broken

_PAUSE_SECONDS: Final = 0.3
_SETTLE_SECONDS: Final = 0.1
"""A change counts once nothing has changed for so long: a file may be written in pieces."""
_SETTINGS_FILES: Final = ("/tenuto.toml", "/pyproject.toml")
_PACKAGES: Final = frozenset({"__pycache__", "node_modules", "site-packages"})

RELOADED: Final = "_TENUTO_RELOADED"
"""Holds, for the process that the server runs in, the descriptor of its line to this one; nothing
where there can be none."""

Stamps = dict[str, tuple[int, int]]


class Watched(Struct, frozen=True, kw_only=True):
    """The files whose changes count.

    Attributes:
        folder: Where they are. Folders whose names begin with a dot, and virtual environments, are
            passed over.
        endings: Of files at any depth; with a slash they are whole names.
        at_the_top: Endings of files that count in the folder itself.
        skipped: Names of folders that are passed over as well.
    """

    folder: Path
    endings: tuple[str, ...] = (".py",)
    at_the_top: tuple[str, ...] = _SETTINGS_FILES
    skipped: frozenset[str] = _PACKAGES | {"build", "dist"}


def files_of_azure_app(folder: Path) -> Watched:
    """What counts in the folder of an Azure Functions app.

    Other JSON than that of settings does not: apps write such files themselves.
    """
    return Watched(
        folder=folder,
        endings=(".py", ".js", ".mjs", ".cjs", "/function.json"),
        at_the_top=(".json", *_SETTINGS_FILES),
        skipped=_PACKAGES,
    )


def serve_and_reload(watched: Watched) -> int:
    """Run the same command without ``--reload``, again and again; the last exit code."""
    # The words of this very command, so that every option holds in the other process too.
    words = [word for word in sys.argv[1:] if word != "--reload"]
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        return _watch(watched, _Process([sys.executable, "-m", "tenuto", *words]), stopping)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_reloaded() -> bool:
    """Whether another process runs this server and starts it anew.

    When that one is gone, whatever way it ends, this one is told to stop. Asked once: commands that
    are started here are not meant.
    """
    line = os.environ.pop(RELOADED, None)
    if line and sys.platform != "win32":
        when_broken(int(line), lambda: os.kill(os.getpid(), signal.SIGTERM))
    return line is not None


class _Process:
    """The server's process, as it is at the moment."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._end_is_said = False
        self._line = None if sys.platform == "win32" else Lifeline()
        self._process = self._begin()

    def _begin(self) -> "subprocess.Popen[bytes]":
        # A session of its own: Ctrl-C reaches this process alone, which passes it on once.
        theirs = () if self._line is None else (self._line.theirs,)
        return subprocess.Popen(  # noqa: S603 - this very program
            self._command,
            env={**os.environ, RELOADED: "".join(map(str, theirs))},
            start_new_session=os.name == "posix",
            pass_fds=theirs,
        )

    def look(self) -> None:
        """Say it when the server has ended by itself."""
        if self._process.poll() is not None and not self._end_is_said:
            self._end_is_said = True
            terminal.note("the server has ended; it starts anew when a file changes")

    def end(self) -> int:
        """Stop the server as by SIGTERM; its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait()

    def begin_anew(self) -> None:
        """Stop it and start it."""
        self.end()
        self._end_is_said = False
        # A browser that is open goes on by itself.
        self._command = [word for word in self._command if word != "--open"]
        self._process = self._begin()


def _watch(watched: Watched, process: _Process, stopping: list[int]) -> int:
    before = stamps(watched)
    while not stopping:
        time.sleep(_PAUSE_SECONDS)
        now = stamps(watched)
        if now != before:
            now = _settled(watched, now)
            terminal.note(f"{_changed(before, now)} changed; starting anew")
            before = now
            process.begin_anew()
        process.look()
    return process.end()


def _settled(watched: Watched, seen: Stamps) -> Stamps:
    while True:
        time.sleep(_SETTLE_SECONDS)
        before, seen = seen, stamps(watched)
        if seen == before:
            return seen


def _changed(before: Stamps, now: Stamps) -> str:
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def stamps(watched: Watched) -> Stamps:
    """Time and size of each file that counts."""
    return dict(_files(watched, watched.folder, ""))


def _files(watched: Watched, folder: Path, prefix: str) -> Iterator[tuple[str, tuple[int, int]]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # it went away
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            is_environment = (Path(entry.path) / "pyvenv.cfg").exists()
            is_skipped = entry.name.startswith(".") or entry.name in watched.skipped
            if not is_skipped and not is_environment:
                yield from _files(watched, Path(entry.path), f"{name}/")
        elif f"/{name}".endswith(watched.endings + (() if prefix else watched.at_the_top)):
            try:
                facts = entry.stat()
            except OSError:
                continue
            yield name, (facts.st_mtime_ns, facts.st_size)
