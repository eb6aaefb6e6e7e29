"""What waits to be delivered to a subscription: those of one key one after another.

Owns what is in memory of them. When that is much, of those that wait behind another of their key
nothing is kept but their positions, and they are read again when they have their turn: so a key
that does not go on, and what comes of it meanwhile, is in nobody's way. Pure.
"""

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from tenuto.messaging.budget import Budget, Share
from tenuto.model.topics import StoredEvent

Waiting: TypeAlias = StoredEvent | int
"""An event, or its position where it is to be read again."""


class Lanes:
    """The events of one subscription that were read and are not done with.

    Args:
        most_events: So many are in memory.
        most_bytes: As long may they be together.
        budget: What the host may have in hand.
        wake: Called when the budget has something again (see ``Share``).

    Attributes:
        share: What is in memory counts there.
    """

    def __init__(
        self, most_events: int, most_bytes: int, budget: Budget, wake: Callable[[], None]
    ) -> None:
        self.share: Share = Share(budget, wake, self._set_apart)
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._ready: deque[tuple[str | None, Waiting]] = deque()
        self._lanes: dict[str, deque[Waiting]] = {}
        self._apart: set[str] = set()
        self._events = 0
        self._bytes = 0

    @property
    def ready(self) -> int:
        """How many may be delivered at once."""
        return len(self._ready)

    def make_room(self) -> int:
        """How many more may be read; what waits for its key makes room, if it must."""
        if self._is_full:
            self._set_apart()
        return 0 if self._is_full else self._most_events - self._events

    @property
    def _is_full(self) -> bool:
        return self._events >= self._most_events or self._bytes >= self._most_bytes

    def offer(self, event: StoredEvent) -> None:
        """An event was read; it comes behind those of its key that are not done with."""
        key = event.key
        if key is not None:
            lane = self._lanes.get(key)
            if lane is not None:
                if key in self._apart:
                    lane.append(event.position)
                    return
                self.came(event)
                if not lane:
                    self.share.can_let_go()
                lane.append(event)
                return
            self._lanes[key] = deque()
        self.came(event)
        self._ready.append((key, event))

    def take(self) -> tuple[str | None, Waiting]:
        """The next that is ready, with its key."""
        return self._ready.popleft()

    def came(self, event: StoredEvent) -> None:
        """An event is in memory."""
        size = size_of(event)
        self._events += 1
        self._bytes += size
        self.share.came(size)

    def went(self, event: StoredEvent) -> None:
        """It is not any more."""
        size = size_of(event)
        self._events -= 1
        self._bytes -= size
        self.share.went(size)

    def next_of(self, key: str | None) -> bool:
        """One of a key is done with, and the next has its turn; whether there is one."""
        if key is None:
            return False
        lane = self._lanes[key]
        if lane:
            self._ready.append((key, lane.popleft()))
            return True
        del self._lanes[key]
        self._apart.discard(key)
        return False

    def clear(self) -> None:
        """Let all go that waits."""
        self._ready.clear()
        self._lanes.clear()
        self._apart.clear()
        self._events = self._bytes = 0

    def _set_apart(self) -> None:
        for key, lane in self._lanes.items():
            for place, one in enumerate(lane):
                if not isinstance(one, int):
                    self.went(one)
                    lane[place] = one.position
            if lane:
                self._apart.add(key)


def size_of(event: StoredEvent) -> int:
    """How long an event is."""
    return memoryview(event.event).nbytes + len(event.cause or "")
