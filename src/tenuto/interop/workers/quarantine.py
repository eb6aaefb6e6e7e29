"""A worker of its own for what is suspected of killing workers, one at a time."""

from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from tenuto.interop.workers.errands import AnyErrand
from tenuto.interop.workers.link import WorkerLink
from tenuto.model.timing import MICROSECONDS, Microseconds

_SLICE: Final[Microseconds] = 10 * MICROSECONDS
"""A suspect that has run for so long without harm no longer keeps the next one waiting."""


class Warden(Protocol):
    """What the quarantine needs of the pool."""

    @property
    def now(self) -> Microseconds:
        """Real time that passes."""

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more begins."""

    def send_alone(self, link: WorkerLink, errand: AnyErrand) -> None:
        """Send what is suspected to the worker that is kept for that."""

    async def start_alone(self) -> WorkerLink | None:
        """A worker for suspects; None when there cannot be one."""

    def let_go(self, link: WorkerLink) -> None:
        """The worker is not needed any more."""

    def spawn(self, step: Coroutine[Any, Any, None]) -> None:
        """Run a step in the background."""


class Quarantine:
    """Suspects, and the worker that runs them.

    Args:
        pool: Whose.
    """

    def __init__(self, pool: Warden) -> None:
        self._pool = pool
        self._queue: deque[AnyErrand] = deque()
        self._link: WorkerLink | None = None
        self._is_starting = False
        self._idle_since: Microseconds | None = None

    @property
    def links(self) -> list[WorkerLink]:
        """Its worker, while there is one."""
        return [] if self._link is None else [self._link]

    @property
    def queued(self) -> int:
        """Calls that wait for it."""
        return sum(not one.is_turn for one in self._queue)

    def add(self, errand: AnyErrand) -> None:
        """Suspect this."""
        self._queue.append(errand)
        self.go_on()

    def drop(self, errand: AnyErrand) -> None:
        """Nobody waits for it any more."""
        if errand in self._queue:
            self._queue.remove(errand)

    def go_on(self) -> None:
        """Begin with the next, if its time has come."""
        link = self._link
        if not self._queue or self._pool.is_stopping:
            return
        if link is None:
            if not self._is_starting:
                self._is_starting = True
                self._pool.spawn(self._start())
            return
        now = self._pool.now
        if any(now - out.since < _SLICE for out in link.out.values()):
            return
        self._idle_since = None
        self._pool.send_alone(link, self._queue.popleft())

    async def _start(self) -> None:
        link = await self._pool.start_alone()
        self._is_starting = False
        self._link = link
        if link is None:
            return  # tried again with the next look
        if link.is_gone:
            self._link = None
        else:
            link.then = self.go_on
        self.go_on()

    def gone(self, link: WorkerLink) -> None:
        """A worker is no longer there, perhaps this one."""
        if link is self._link:
            self._link = None
            self.go_on()

    def look(self, now: Microseconds) -> None:
        """Go on after a while; let the worker go when nobody is suspected any more."""
        link = self._link
        if self._queue:
            self.go_on()
        elif link is not None and not link.out:
            if self._idle_since is None:
                self._idle_since = now
            elif now - self._idle_since > _SLICE:
                self._link = None
                self._idle_since = None
                self._pool.let_go(link)
