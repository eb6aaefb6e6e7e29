"""External events of one execution: those that came early, and the waits for those to come.

Waits and events of one name meet first in, first out; names ignore case. A wait that was cancelled
or timed out consumes nothing.
"""

from collections import deque
from typing import Any

from tenuto.model.events import EventRaised
from tenuto.orchestration.tasks import EventTask


class Mailbox:
    """Brings events and waits together.

    Attributes:
        unread: Events that nobody has waited for yet, oldest first.
    """

    __slots__ = ("_waiters", "unread")

    def __init__(self) -> None:
        self.unread: list[EventRaised] = []
        self._waiters: dict[str, deque[EventTask[Any]]] = {}

    def wait(self, waiter: EventTask[Any]) -> None:
        """Give the waiter the oldest unread event of its name, or the next that arrives."""
        key = waiter.name.casefold()
        for index, event in enumerate(self.unread):
            if event.name.casefold() == key:
                del self.unread[index]
                waiter.completed(event.input)
                return
        self._waiters.setdefault(key, deque()).append(waiter)

    def leave(self, waiter: EventTask[Any]) -> None:
        """The waiter wants no event any more."""
        self._waiters[waiter.name.casefold()].remove(waiter)

    def arrived(self, event: EventRaised) -> None:
        """Give the event to whoever has waited longest, or keep it."""
        waiters = self._waiters.get(event.name.casefold(), ())
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():  # user code may have set it
                waiter.completed(event.input)
                return
        self.unread.append(event)

    def awaited(self) -> list[str]:
        """Names of the events that are waited for, which history does not record."""
        return [waiter.name for waiters in self._waiters.values() for waiter in waiters]
