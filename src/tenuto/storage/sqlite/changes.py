"""Notices that another process has written, without asking the database while nothing happens.

Looks at the files' sizes and times, which costs no query; only after a change it asks SQLite
whether it was another connection, and whether the files are still the store's. Unless the change
was our own it asks again and again then, ever more rarely: the files change when a commit is
written, but it counts only once the disk has taken it, perhaps long after, and that is told in
shared memory, where no file time shows it. Keeps the promise ``waiting_costs_nothing``.
"""

import asyncio
from collections.abc import Callable

from tenuto.model.errors import StorageError, StorageLostError

_SECONDS = 0.05
_CALM_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 30.0
"""Between two questions while nothing changes. A commit that the disk takes its time for is seen
after at most twice that time."""


class ChangeWatcher:
    """Calls back on the running loop when ``data_version`` has changed.

    Args:
        signature: What changes when something has happened to the files.
        data_version: SQLite's number; fails with StorageLostError when the files are lost.
        is_ours: Whether nobody else had written after ourselves when that number was read.
    """

    def __init__(
        self,
        signature: Callable[[], object],
        data_version: Callable[[], asyncio.Future[int]],
        is_ours: Callable[[], bool],
    ) -> None:
        self._files = signature
        self._is_ours = is_ours
        self._data_version = data_version
        self._callbacks: list[Callable[[], None]] = []
        self._new: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._on_lost: list[Callable[[StorageError], None]] = []
        self._signature: object = None
        self._version: int | None = None
        self._ask = True
        self._ask_at = 0.0
        self._pause = _SECONDS
        self._asking: asyncio.Future[int] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, callback: Callable[[], None]) -> None:
        """Call this one too; once in any case, when it is known from where changes count.

        Whoever reads the store and registers then would miss what is written in between.
        """
        self._callbacks.append(callback)
        self._new.append(callback)
        self._ask = True
        if self._timer is None:
            self._look()

    def add_lost(self, callback: Callable[[StorageError], None]) -> None:
        """Call this one once, when the files are lost."""
        self._on_lost.append(callback)
        if self._timer is None:
            self._look()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._callbacks.clear()
        self._new.clear()
        self._on_lost.clear()

    def _look(self) -> None:
        self._timer = self._loop.call_later(_SECONDS, self._look)
        signature = self._files()
        now = self._loop.time()
        if signature != self._signature or self._ask:
            self._ask_at, self._pause = now, _SECONDS
        if now >= self._ask_at and self._asking is None:
            # Also after the last change: file times are coarse, so two writes can share one.
            self._ask = signature != self._signature
            self._signature = signature
            self._ask_at = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            self._asking = self._data_version()
            self._asking.add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[int]) -> None:
        self._asking = None
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, StorageLostError):
            lost, self._on_lost = self._on_lost, []
            self.stop()
            for tell in lost:
                tell(error)
            return
        if isinstance(error, StorageError | MemoryError):
            self._ask = True  # the commits report it; look again
            return
        version = future.result()
        if self._is_ours():  # or written in the same tick of the file times as ours
            self._pause = max(self._pause, _CALM_SECONDS)
            self._ask_at = self._loop.time() + self._pause
        is_changed = self._version is not None and version != self._version
        self._version = version
        told = list(self._callbacks) if is_changed else self._new
        self._new = []
        for callback in told:
            callback()
