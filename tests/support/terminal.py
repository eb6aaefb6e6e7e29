"""The command `tenuto` in processes of its own: with pipes, or on a terminal."""

import errno
import io
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import Self

from tenuto.cli.command import run_command_line

TENUTO = (sys.executable, "-m", "tenuto")
_SILENT_SECONDS = 45


def environment(**more: str) -> dict[str, str]:
    """That of this process, without what changes output or settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TENUTO_") and name not in {"FORCE_COLOR", "NO_COLOR", "COLUMNS"}
    }
    return {**kept, "PYTHONIOENCODING": "utf-8", "PYTHONFAULTHANDLER": "1", **more}


def tenuto(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*TENUTO, *arguments],
        cwd=folder,
        env=environment(**(env or {})),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        check=False,
    )


def tenuto_here(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The same in this process, in a tenth of the time: for commands that load no app."""
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        os.environ.clear()
        os.environ.update(environment(**(env or {})))
        try:
            code = run_command_line(list(arguments))
        finally:
            os.environ.clear()
            os.environ.update(before)
    return subprocess.CompletedProcess([*arguments], code, out.getvalue(), err.getvalue())


@contextmanager
def in_background() -> Iterator[None]:
    """What is started here has interrupts ignored, as a shell does it for ``program &``."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Program:
    """A program that is running; its output goes to files, so that it never blocks."""

    def __init__(
        self, folder: Path, *command: str | Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._out = folder / f"{time.monotonic_ns()}.out"
        self._err = self._out.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(**(env or {})),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def until(self, text: str) -> None:
        """Wait until it has said something; after a wait in vain, fail with its stacks."""
        last = time.monotonic() + _SILENT_SECONDS
        while text not in self.out + self.err:
            if time.monotonic() > last:
                self.send(signal.SIGABRT)  # faulthandler tells where each thread is
                self.process.wait()
            assert self.process.poll() is None, f"it ended: {self.out}\n{self.err}"
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; the exit code. After a wait in vain, fail with its stacks."""
        try:
            return self.process.wait(_SILENT_SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"it did not end: {self.out}\n{self.err}") from None


class Command(Program):
    """The command ``tenuto`` in such a program."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder, *TENUTO, *arguments)


def on_terminal(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a command on a terminal of 100 x 30; exit code and everything it wrote."""
    with Terminal(folder, *arguments, env=env) as terminal:
        return terminal.end(), terminal.written


class Terminal:
    """A command on a terminal of 100 x 30, to type at."""

    def __init__(self, folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*TENUTO, *arguments],
            cwd=folder,
            env=environment(
                **{"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **(env or {})}
            ),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._written = bytearray()
        self._read = 0

    @property
    def written(self) -> str:
        """Everything that it has written, and what was typed."""
        return self._written.decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def until(self, *texts: str) -> None:
        """Wait until it writes these, in any order, after what was waited for before."""
        ends = []
        for text in texts:
            wanted = text.encode()
            while (found := self._written.find(wanted, self._read)) < 0:
                assert self._receive(), f"no {text!r} in {self.written}"
            ends.append(found + len(wanted))
        self._read = max(ends)

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._master, f"{text}\n".encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._receive():
            pass
        return self.process.wait(_SILENT_SECONDS)

    def _receive(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], _SILENT_SECONDS)
        assert ready, f"silent for {_SILENT_SECONDS} seconds: {self.written}"
        try:
            part = os.read(self._master, 65_536)
        except OSError as error:  # as above
            assert error.errno == errno.EIO  # noqa: PT017 - an end, not a failure under test
            part = b""
        self._written += part
        return bool(part)
