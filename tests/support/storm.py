"""A process that commits without end, and when each commit was acknowledged.

Commit n writes turn n of each instance, its output, and message n in the place of the one before:
so half a commit shows.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tenuto.storage.sqlite import SqliteStorage
from tests.support.inboxes import waiting_in

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "faults" / "storage_process.py"


class Storm:
    """Such a process.

    Attributes:
        told: Number of each acknowledged commit, and when it was read that it was: in microseconds.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.told: list[tuple[int, int]] = []
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), "storm", str(path), str(size)],
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told.append((int(line), time.time_ns() // 1000))

    def until_told(self) -> None:
        """Wait for the first acknowledged commit."""
        while not self.told:
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL; all that it has said is read."""
        self._process.kill()
        self._process.wait()
        self._reading.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    def acknowledged_before(self, moment: int) -> int:
        """The last commit that was acknowledged by then; 0 without one."""
        return max((number for number, at in list(self.told) if at < moment), default=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.kill()


async def landed_in(path: Path, size: int) -> int:
    """The last commit that a store holds, all of it and nothing of the next."""
    storage = SqliteStorage(path, create=False)
    await storage.open()
    try:
        loaded = await storage.load_instances(list(range(1, size + 1)))
        if not loaded:
            return 0
        landed = len(loaded[0].turns)
        assert len(loaded) == size
        for one in loaded:
            assert one.record.output == str(landed)
            assert one.turns == [b'[{"turn":%d}]' % n for n in range(1, landed + 1)]
        assert [row.message_id for row in await waiting_in(storage)] == [f"m{landed}"]
        return landed
    finally:
        await storage.close()
