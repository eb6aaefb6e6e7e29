"""Looks into a service of Azure again and again, while its work is ours.

Owns the pauses between two looks: short while there is something, longer and longer while there is
nothing or the service does not answer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from tenuto.interop.azure_services.connections import Accounts, reason
from tenuto.messaging.listening import ListenerMeans, Tasks
from tenuto.model.timing import Microseconds

SHORTEST: Final[Microseconds] = 100_000
_GROWTH: Final = 1.5


class Polling:
    """What listeners of Azure have in common.

    Args:
        name: Of the function: the host that owns its partition looks, no other.
        what: Is looked into, for people.
        means: The host.
        longest: The longest pause between two looks.
        look: Looks once, begins what is to be done; True when there was something. What it raises
            is told, and it is asked again.
    """

    def __init__(
        self,
        name: str,
        what: str,
        means: ListenerMeans,
        longest: Microseconds,
        look: Callable[[], Awaitable[bool]],
    ) -> None:
        self._name = name
        self._what = what
        self._means = means
        self._longest = max(SHORTEST, longest)
        self._look = look
        self._is_stopping = False
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self.tasks: Tasks = Tasks()
        """What runs for it."""
        self.accounts: Accounts = Accounts()

    @property
    def is_ours(self) -> bool:
        """Whether this host is the one to look, and goes on."""
        return not self._is_stopping and self._means.lease_for(self._name) is not None

    def take_up(self) -> bool:
        """Begin to look, if that is ours now; whether it begins."""
        if not self.is_ours or (self._running is not None and not self._running.done()):
            return False
        self._running = self._means.begin(self._run(), f"tenuto-azure-{self._name}")
        return True

    async def stop(self, seconds: float) -> None:
        """Look no more, and wait for what runs, at most this long."""
        began = time.monotonic()
        self._is_stopping = True
        self._means.end_pauses(self.tasks)
        self._wake.set()
        if self._running is not None:  # a look that is under way may have fetched something
            await asyncio.wait([self._running], timeout=seconds)
        await self._end(max(0.0, seconds - (time.monotonic() - began)))

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        self._is_stopping = True
        await self._end(0)

    async def _end(self, seconds: float) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self.tasks.end(seconds)
        await self.accounts.close()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that was found; when it ends there is another look."""
        task = self._means.begin(work, f"tenuto-azure-{self._name}")
        self.tasks.add(task)  # which forgets it before the look begins
        task.add_done_callback(lambda _: self._wake.set())

    async def wait(self, longest: Microseconds | None = None) -> None:
        """Wait until somebody wakes it, or for this long."""
        self._wake.clear()
        if self._is_stopping:
            return
        handle = None
        if longest is not None:
            handle = self._means.clock.call_later(longest, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if handle is not None:
                handle.cancel()

    async def _run(self) -> None:
        pause, failures = SHORTEST, 0
        while self.is_ours:
            try:
                found = await self._look()
                if failures:
                    self._means.observer.notice(f"{self._what} can be read again")
                failures = 0
                pause = SHORTEST if found else self._longer(pause)
            except Exception as error:  # noqa: BLE001 - of the service, the network: it goes on
                failures += 1
                if failures == 1:
                    self._means.observer.problem(
                        None,
                        f"{self._what} cannot be read for function {self._name!r}: "
                        f"{reason(error)}; it is tried again and again",
                    )
                pause = self._longer(pause)
            await self.wait(pause)

    def _longer(self, pause: Microseconds) -> Microseconds:
        return min(round(pause * _GROWTH), self._longest)
