"""Crash points: stopping a host at a named place, as a power cut or a kill would.

The engine names the places between its writes (``Observer.crash_point``); here are observers that
do not come back from one of them. What a test then shows is ``exactly_once_turns`` and
``durable_before_visible``: nothing lost, nothing done twice, nothing seen too early.
"""

import asyncio
import os
import signal
from typing import Final

from tenuto.testing.observer import RecordingObserver

CRASH_POINTS: Final = ("before_commit", "after_commit", "after_release")
"""The places of a host's life that matter: a batch is made, it is durable, it has taken effect."""


class PowerCut(asyncio.CancelledError):
    """Ends the host's commits for good. Cancels the task it is raised in, so nothing reports it."""


class _AtHit(RecordingObserver):
    def __init__(self, point: str, hit: int = 1) -> None:
        super().__init__()
        if point not in CRASH_POINTS:
            raise ValueError(f"no crash point {point!r}; there are {', '.join(CRASH_POINTS)}")
        self.point = point
        self.hits_left: int = hit

    def is_hit(self, name: str) -> bool:
        """Count down; True at the hit that counts."""
        if name != self.point:
            return False
        self.hits_left -= 1
        return self.hits_left == 0


class CrashAt(_AtHit):
    """Cuts the power of a host in this process, at the n-th hit of a crash point.

    From then on the host commits nothing, answers nothing and releases nothing, like a process
    that is gone. ``TestHost.crash()`` throws away what is left of it and starts the next one.

    Example:
        ::

            crash = CrashAt("after_commit", hit=2)
            async with TestHost(app, observer=crash) as test:
                handle = await test.start(book_trip, trip)
                await crash.happened()
                await test.crash()
                assert await handle.result() == ...
    """

    def __init__(self, point: str, hit: int = 1) -> None:
        super().__init__(point, hit)
        self._happened: asyncio.Event = asyncio.Event()

    async def happened(self) -> None:
        """Wait for the cut."""
        await self._happened.wait()

    def crash_point(self, name: str) -> None:
        """Raise ``PowerCut`` at the hit that counts."""
        if self.is_hit(name):
            self._happened.set()
            raise PowerCut(name)


class KillAt(_AtHit):
    """Kills this process with SIGKILL at the n-th hit of a crash point. For subprocesses."""

    def crash_point(self, name: str) -> None:
        """Do not come back from the hit that counts."""
        if self.is_hit(name):
            _kill()


def _kill() -> None:
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    else:  # pragma: no cover - Windows ends a process at once, without cleaning up, this way
        os._exit(137)
