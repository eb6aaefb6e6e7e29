"""A host in a process of its own, as the test that does harm to it sees it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Final, Self

ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 60.0


class HostProcess:
    """One host. ``log`` collects what all of them write to stderr."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self.process = process
        self._log = log

    @classmethod
    async def begin(
        cls, program: str | None, log: Path, *arguments: object, before: tuple[str, ...] = ()
    ) -> Self:
        """Begin one; it is not up yet.

        Args:
            program: The file that it runs.
            log: Where its stderr goes.
            *arguments: Of the program.
            before: Words before the command, such as those that enter a namespace.
        """
        written = log.open("ab")
        process = await asyncio.create_subprocess_exec(
            *before,
            sys.executable,
            str(program),
            *map(str, arguments),
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=written,
        )
        return cls(process, written)

    @property
    def pid(self) -> int:
        """Its process; that of the namespace's command becomes it."""
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self.process.returncode is not None

    async def said(self, word: str) -> bool:
        """Wait until it says the word; False when it ends without."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := await self.process.stdout.readline():
                if line.decode().strip() == word:
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

    async def stop(self) -> None:
        """Stop gracefully, as a deployment does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert await self.ended() == 0
