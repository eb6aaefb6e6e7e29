"""Near timers: what comes due within the horizon, in packed integers (ENGINE rules 22 and 26)."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from tenuto.engine.ports import Clock, TimerHandle
from tenuto.model.timing import Microseconds

HORIZON: Final[Microseconds] = 600_000_000
RELOAD: Final[Microseconds] = 240_000_000
_BITS = 64
_OFFSET = 1 << (_BITS - 1)
_MASK = (1 << _BITS) - 1


class TimerQueue:
    """Tells which instances have something due. One integer of heap per entry.

    An entry says only "look at this instance at this time"; what is due is decided from the
    instance's own state, so that stale entries of canceled timers are harmless.
    """

    def __init__(self, clock: Clock, on_due: Callable[[list[int]], None]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._heap: list[int] = []
        self._handle: TimerHandle | None = None
        self._armed_for = 0
        self._next_compaction = 100_000

    def __len__(self) -> int:
        return len(self._heap)

    def due(self, now: Microseconds) -> int:
        """How many entries are late at this time."""
        heap = self._heap
        if not heap or heap[0] >> _BITS > now:
            return 0
        return sum(entry >> _BITS <= now for entry in heap)

    def arm(self, when: Microseconds, iid: int) -> None:
        """Look at the instance at ``when`` (microseconds)."""
        heappush(self._heap, (max(when, 0) << _BITS) | (iid + _OFFSET))
        if len(self._heap) > self._next_compaction:
            self._compact()
        if self._handle is None or when < self._armed_for:
            self._schedule()

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _compact(self) -> None:
        self._heap = list(set(self._heap))
        heapify(self._heap)
        self._next_compaction = max(100_000, 2 * len(self._heap))

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._heap:
            self._armed_for = self._heap[0] >> _BITS
            self._handle = self._clock.call_at(self._armed_for, self._fire)

    def _fire(self) -> None:
        self._handle = None
        now = self._clock.now()
        due: dict[int, None] = {}
        heap = self._heap
        while heap and heap[0] >> _BITS <= now:
            due[(heappop(heap) & _MASK) - _OFFSET] = None
        self._schedule()
        if due:
            self._on_due(list(due))
