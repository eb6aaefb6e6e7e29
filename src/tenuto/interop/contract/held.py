"""External events that came before anybody waited, and the waits for those to come.

A package is given an event only when a wait for it is open, one for each, first in, first out:
some lose or repeat events that come early. Names ignore case; the package is told the name as the
wait spells it. Of several waits of one name the oldest is ended.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, TypeVar

from msgspec import Struct

from tenuto.interop.contract.event_names import event_key
from tenuto.model.events import EventRaised
from tenuto.model.unread import UnreadEvent, UnreadEvents

_One = TypeVar("_One")
_MOST_OFFERED: Final = 64
"""So many events of one name go to a worker with each turn; few turns take more at once."""


class OpenWait(Struct, frozen=True):
    """A wait for an event.

    Attributes:
        event_id: Of the event that recorded it.
        name: As the orchestrator spells it.
    """

    event_id: int
    name: str


class HeldEvents:
    """Events and waits of one execution.

    Args:
        carried: What earlier generations have left unread; taken first.
    """

    def __init__(self, carried: UnreadEvents | None) -> None:
        # No deque is ever empty: whoever takes the last one out takes the deque with it.
        self._waits: dict[str, deque[OpenWait]] = {}
        self._held: dict[str, deque[UnreadEvent]] = {}
        self._keys: dict[int, str] = {}
        self._carried: frozenset[int] = frozenset()
        self._last = 0
        self._taken: list[int] = []
        if carried is not None:
            self._last = carried.last
            self._carried = frozenset(carried.numbers())
            for number, event in zip(carried.numbers(), carried.events, strict=True):
                self._keep(UnreadEvent(number, event))

    def _keep(self, one: UnreadEvent) -> None:
        key = event_key(one.event.name)
        self._keys[one.number] = key
        self._held.setdefault(key, deque()).append(one)

    # --- what is there ---------------------------------------------------------------------------

    @property
    def unread(self) -> list[UnreadEvent]:
        """Events of this generation that nobody has taken, oldest first."""
        return _by_age(one for one in self._all() if one.number not in self._carried)

    @property
    def left(self) -> list[str]:
        """The names of all events that nobody has taken."""
        return [one.event.name for one in self._all()]

    @property
    def taken(self) -> tuple[int, ...]:
        """Numbers of events of earlier generations that were taken."""
        return tuple(self._taken)

    @property
    def waits(self) -> list[OpenWait]:
        """The waits that are open, oldest first."""
        found = (wait for waits in self._waits.values() for wait in waits)
        return sorted(found, key=lambda one: one.event_id)

    def offered(self) -> list[UnreadEvent]:
        """Those that are next to be taken, oldest first."""
        return _by_age(
            held[place]
            for held in self._held.values()
            for place in range(min(len(held), _MOST_OFFERED))
        )

    def _all(self) -> Iterator[UnreadEvent]:
        return (one for held in self._held.values() for one in held)

    # --- what comes ------------------------------------------------------------------------------

    def arrived(self, event: EventRaised) -> OpenWait | None:
        """The wait that the event ends; None when it is held for one to come."""
        key = event_key(event.name)
        if key in self._waits:
            return _first(self._waits, key)
        self._last += 1
        self._keep(UnreadEvent(self._last, event))
        return None

    def wait(self, wait: OpenWait) -> None:
        """A wait is open."""
        self._waits.setdefault(event_key(wait.name), deque()).append(wait)

    # --- what is taken ---------------------------------------------------------------------------

    def match(self) -> tuple[OpenWait, EventRaised] | None:
        """The oldest event for which a wait is open, and that wait; both are done with."""
        keys = (key for key in self._waits if key in self._held)
        key = min(keys, key=lambda one: self._held[one][0].number, default=None)
        return None if key is None else self._taken_for(key)

    def take(self, number: int) -> tuple[OpenWait, EventRaised] | None:
        """This event and the wait that it ends; None unless one is open and this event is next."""
        key = self._keys.get(number)
        if key is None or key not in self._waits or self._held[key][0].number != number:
            return None
        return self._taken_for(key)

    def take_for(self, event_id: int) -> tuple[OpenWait, EventRaised] | None:
        """This wait and the event that ends it; None unless it is the next of its name to end."""
        for key, waits in self._waits.items():
            if waits[0].event_id == event_id:
                return self._taken_for(key) if key in self._held else None
        return None

    def _taken_for(self, key: str) -> tuple[OpenWait, EventRaised]:
        found = _first(self._held, key)
        del self._keys[found.number]
        if found.number in self._carried:
            self._taken.append(found.number)
        return _first(self._waits, key), found.event


def _first(queues: dict[str, deque[_One]], key: str) -> _One:
    queue = queues[key]
    found = queue.popleft()
    if not queue:
        del queues[key]
    return found


def _by_age(events: Iterator[UnreadEvent]) -> list[UnreadEvent]:
    return sorted(events, key=lambda one: one.number)
