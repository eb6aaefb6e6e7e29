"""External events that came before anybody waited, and the waits for those to come.

A package is given an event only when a wait for it is open, one for each, first in, first out:
some lose or repeat events that come early. Names ignore case; the package is told the name as the
wait spells it.
"""

from collections import deque

from msgspec import Struct

from tenuto.model.events import EventRaised
from tenuto.model.unread import UnreadEvent, UnreadEvents


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
        self._waits: dict[str, deque[OpenWait]] = {}
        self._held: dict[str, deque[UnreadEvent]] = {}
        self._carried: frozenset[int] = frozenset()
        self._last = 0
        self._taken: list[int] = []
        if carried is not None:
            self._last = carried.last
            self._carried = frozenset(carried.numbers())
            for number, event in zip(carried.numbers(), carried.events, strict=True):
                self._keep(UnreadEvent(number, event))

    def _keep(self, one: UnreadEvent) -> None:
        self._held.setdefault(one.event.name.casefold(), deque()).append(one)

    @property
    def unread(self) -> list[UnreadEvent]:
        """Events of this generation that nobody has taken, oldest first."""
        mine = [
            one for held in self._held.values() for one in held if one.number not in self._carried
        ]
        return sorted(mine, key=lambda one: one.number)

    @property
    def left(self) -> list[str]:
        """The names of all events that nobody has taken."""
        return [one.event.name for held in self._held.values() for one in held]

    @property
    def taken(self) -> tuple[int, ...]:
        """Numbers of events of earlier generations that were taken."""
        return tuple(self._taken)

    def arrived(self, event: EventRaised) -> OpenWait | None:
        """The wait that the event ends; None when it is held for one to come."""
        waits = self._waits.get(event.name.casefold())
        if waits:
            return waits.popleft()
        self._last += 1
        self._keep(UnreadEvent(self._last, event))
        return None

    def wait(self, wait: OpenWait) -> None:
        """A wait is open."""
        self._waits.setdefault(wait.name.casefold(), deque()).append(wait)

    def match(self) -> tuple[OpenWait, EventRaised] | None:
        """A wait that is open and the oldest event held for it; both are done with."""
        for key, held in self._held.items():
            waits = self._waits.get(key)
            if waits and held:
                found = held.popleft()
                if not held:
                    del self._held[key]
                if found.number in self._carried:
                    self._taken.append(found.number)
                return waits.popleft(), found.event
        return None
