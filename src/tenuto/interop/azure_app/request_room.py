"""How many requests an app has at once: so many run, others wait, and for more there is no room.

What a request holds is held until its function has ended, also when its caller has gone: one that a
worker cannot cancel still runs there. So who asks and hangs up gets no more room than who waits.
"""

from msgspec import Struct

from tenuto.interop.workers.errands import CallErrand
from tenuto.interop.workers.pool import WorkerPool


class RequestBounds(Struct, frozen=True, kw_only=True):
    """How many requests there may be.

    Attributes:
        running: Those that workers have; None for no bound.
        outstanding: Those that run or wait; None for no bound.
    """

    running: int | None = 100
    outstanding: int | None = 200


class NoRoomError(Exception):
    """There are as many requests as there may be."""


class RequestRoom:
    """The requests of an app, on their way to its workers.

    Args:
        pool: The workers.
        bounds: How many there may be.

    Example:
        ``room.call(errand)``, and ``room.left(errand)`` once it has ended.
    """

    def __init__(self, pool: WorkerPool, bounds: RequestBounds) -> None:
        self._pool = pool
        self._bounds = bounds
        self._running: set[CallErrand] = set()
        self._waiting: dict[CallErrand, None] = {}

    def call(self, errand: CallErrand) -> None:
        """Have a function run, now or when there is room.

        Raises:
            NoRoomError: too many wait already.
        """
        most = self._bounds.outstanding
        if most is not None and len(self._running) + len(self._waiting) >= most:
            raise NoRoomError
        self._waiting[errand] = None
        self._fill()

    def cancel(self, errand: CallErrand) -> None:
        """Nobody waits for it any more: what has not begun never will, what runs is told."""
        if errand in self._waiting:
            del self._waiting[errand]
            errand.is_over = True
        elif self._pool.cancel(errand):
            self.left(errand)

    def left(self, errand: CallErrand) -> None:
        """A call has ended: whoever waits may be next."""
        self._running.discard(errand)
        self._fill()

    def _fill(self) -> None:
        most = self._bounds.running
        while self._waiting and (most is None or len(self._running) < most):
            errand = next(iter(self._waiting))
            del self._waiting[errand]
            self._running.add(errand)
            self._pool.call(errand)
