"""A host's process, as the test that does harm to it sees it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

from tests.cluster import load_process

ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 60.0


class HostProcess:
    """One host. ``log`` collects what all of them write to stderr."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self.process = process
        self._log = log

    @classmethod
    async def start(
        cls, url: str, journal: Path, *options: object, before: tuple[str, ...] = ()
    ) -> "HostProcess":
        """Begin one; it is not up yet.

        Args:
            url: Of the store.
            journal: Where runs are noted.
            *options: Of ``load_process``.
            before: Words before the command, such as those that enter a namespace.
        """
        log = journal.with_suffix(".err").open("ab")
        process = await asyncio.create_subprocess_exec(
            *before,
            sys.executable,
            str(load_process.__file__),
            *map(str, (url, journal, *options)),
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        return cls(process, log)

    @property
    def pid(self) -> int:
        """Its process; that of the namespace's command becomes it."""
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self.process.returncode is not None

    async def is_up(self) -> bool:
        """Wait until it serves; False when it ends before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := await self.process.stdout.readline():
                if line.decode().strip() == "up":
                    return True
        return False

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        self.process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL: no farewell, nothing flushed."""
        if not self.has_ended:
            self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        """Wait for its end; its exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.process.communicate()
        self._log.close()
        assert self.process.returncode is not None
        return self.process.returncode

    def quiet(self) -> None:
        """Have it start nothing more by itself."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    async def stop(self) -> None:
        """Stop gracefully, as a deployment does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert await self.ended() == 0
