"""External events of one execution: those that came early, and the waits for those to come.

Waits and events of one name meet first in, first out; names ignore case. A wait that was cancelled
or timed out consumes nothing. An event that does not fit what its waiter asks for is refused by the
waiter, which goes on waiting in its place. Nothing here is looked for by going through all names:
an instance may hold twenty thousand unread events.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any

from tenuto.model.events import EventRaised
from tenuto.model.topics import is_of_wait
from tenuto.model.unread import UnreadEvent, UnreadEvents
from tenuto.orchestration.tasks import EventTask


class Mailbox:
    """Brings events and waits together.

    Args:
        carried: What earlier generations have left unread; read first, and never changed here.
    """

    __slots__ = ("_carried", "_kept", "_places", "_taken", "_unread", "_waiters", "arrivals")

    def __init__(self, carried: UnreadEvents | None = None) -> None:
        self._carried = carried
        self._places: dict[str, Iterator[tuple[int, EventRaised]]] = {}
        self._taken: list[int] = []
        self._kept = 0 if carried is None else carried.last
        self._unread: dict[str, deque[tuple[int, int, EventRaised]]] = {}
        self.arrivals: int = 0
        """How many events and answers have come, which names each of them."""
        self._waiters: dict[str, OrderedDict[EventTask[Any], None]] = {}

    def forget(self) -> None:
        """The session is closed: let go of who waits, and of what was read."""
        self._places.clear()
        self._unread.clear()
        self._waiters.clear()

    @property
    def unread(self) -> list[UnreadEvent]:
        """Events of this generation that nobody has waited for yet, oldest first."""
        numbered = [entry for entries in self._unread.values() for entry in entries]
        numbered.sort(key=lambda entry: entry[0])
        return [UnreadEvent(number, event) for number, _, event in numbered]

    @property
    def left(self) -> list[str]:
        """The names of all events that nobody has waited for yet, oldest first."""
        if self._carried is None and not self._unread:  # as in most executions
            return []
        taken = set(self._taken)
        carried = () if self._carried is None else self._carried.numbers()
        events = () if self._carried is None else self._carried.events
        old = [one.name for number, one in zip(carried, events, strict=True) if number not in taken]
        return old + [one.event.name for one in self.unread]

    @property
    def taken(self) -> tuple[int, ...]:
        """Numbers of the carried events that somebody has read."""
        return tuple(self._taken)

    @property
    def waiters(self) -> list[EventTask[Any]]:
        """The waits that are open."""
        if not self._waiters:
            return []
        return [one for waiters in self._waiters.values() for one in waiters]

    def wait(self, waiter: EventTask[Any]) -> None:
        """Give the waiter the oldest unread event of its name, or the next that arrives."""
        key = waiter.name.casefold()
        while (oldest := self._oldest(key)) is not None:
            which, event = oldest
            if waiter.accepts(event, which):
                return
        waiter.opened()
        self._waiters.setdefault(key, OrderedDict())[waiter] = None

    def leave(self, waiter: EventTask[Any]) -> None:
        """The waiter wants no event any more."""
        key = waiter.name.casefold()
        waiters = self._waiters[key]
        del waiters[waiter]
        if not waiters:
            del self._waiters[key]

    def arrived(self, event: EventRaised) -> None:
        """Give the event to whoever has waited longest, or keep it."""
        key = event.name.casefold()
        self.arrivals = which = self.arrivals + 1
        waiters = self._waiters.get(key)
        while waiters:
            waiter = next(iter(waiters))
            is_set = waiter.done()  # user code may set any future
            if is_set or waiter.accepts(event, which):
                del waiters[waiter]
                if not waiters:
                    del self._waiters[key]
            if not is_set:
                return
        self._keep(key, which, event)

    def keep(self, event: EventRaised) -> None:
        """Keep the event unread: the orchestrator has ended and waits for nothing."""
        self._keep(event.name.casefold(), 0, event)

    def _keep(self, key: str, which: int, event: EventRaised) -> None:
        if is_of_wait(key):
            return
        self._kept += 1
        self._unread.setdefault(key, deque()).append((self._kept, which, event))

    def _oldest(self, key: str) -> tuple[int, EventRaised] | None:
        """Take the oldest unread event of that name out, and say which it is."""
        if self._carried is not None:
            carried = self._oldest_carried(key, self._carried)
            if carried is not None:
                return carried
        unread = self._unread.get(key)
        if unread is None:
            return None
        _, which, event = unread.popleft()
        if not unread:
            del self._unread[key]
        return which, event

    def _oldest_carried(self, key: str, carried: UnreadEvents) -> tuple[int, EventRaised] | None:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = carried.named(key)
        for number, event in place:
            self._taken.append(number)
            return -number, event
        return None
