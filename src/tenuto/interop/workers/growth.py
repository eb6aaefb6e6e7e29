"""How many workers a program has, while that may change: what a pool tells the one who decides.

Calls that a worker has beyond its room wait inside it, unseen; they count as waiting here.
"""

from collections.abc import Sequence
from typing import Final

from tenuto.engine.scaling import PoolBounds, PoolSample, PoolScaler
from tenuto.interop.workers.link import WorkerLink
from tenuto.model.timing import MICROSECONDS, Microseconds

_WEIGHT: Final = 0.1
"""Of one call in the average."""


class Growth:
    """Decides for a pool, from what its workers have to do.

    Args:
        bounds: Between what the number of workers grows and shrinks.
    """

    def __init__(self, bounds: PoolBounds) -> None:
        self._bounds = bounds
        self._scaler = PoolScaler(bounds)
        self._call_seconds: float | None = None
        self._queued_since: Microseconds | None = None
        self.wanted: int = bounds.least

    @property
    def is_possible(self) -> bool:
        """Whether the number may change at all."""
        return self._bounds.most > self._bounds.least

    def took(self, duration: Microseconds) -> None:
        """A call was answered so long after it was sent."""
        seconds = duration / MICROSECONDS
        known = seconds if self._call_seconds is None else self._call_seconds
        self._call_seconds = known + _WEIGHT * (seconds - known)

    def is_full(self, link: WorkerLink) -> bool:
        """Whether a worker has enough to do."""
        return len(link.out) >= self._bounds.room

    def look(
        self, now: Microseconds, links: Sequence[WorkerLink], starting: int, waiting: int
    ) -> None:
        """Decide anew.

        Args:
            now: The moment.
            links: Workers that are there.
            starting: Workers that will be.
            waiting: Calls that were given to none.
        """
        room = self._bounds.room
        running = sum(min(room, len(link.out)) for link in links)
        queued = waiting + sum(max(0, len(link.out) - room) for link in links)
        if not queued:
            self._queued_since = None
        elif self._queued_since is None:
            self._queued_since = now
        since = now if self._queued_since is None else self._queued_since
        sample = PoolSample(
            now=now,
            workers=len(links),
            starting=starting,
            running=running,
            queued=queued,
            waited=(now - since) / MICROSECONDS,
            work_seconds=self._call_seconds,
        )
        self.wanted = max(self._bounds.least, self._scaler.wanted(sample))
