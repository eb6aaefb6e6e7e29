"""Which waits for events are open, and the events that the host holds for those to come."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Event = dict[str, Any]

_EVENT_RAISED = 15


class OpenWaits:
    """The waits of one execution, by name; events end them in the order of their making.

    Names are compared without their case, as the host does.
    """

    def __init__(self) -> None:
        self._open: defaultdict[str, deque[str]] = defaultdict(deque)

    def add(self, name: str) -> None:
        """A wait is open."""
        self._open[name.casefold()].append(name)

    def tell(self, events: Iterable[Event]) -> None:
        """The package was told these events of a history."""
        for event in events:
            name = event.get("Name")
            if event["EventType"] == _EVENT_RAISED and name is not None and self.is_open(name):
                self.end(name)

    def is_open(self, name: str) -> bool:
        return bool(self._open.get(name.casefold()))

    def end(self, name: str) -> str:
        """End the oldest wait of that name; the name as it spells it."""
        return self._open[name.casefold()].popleft()


def feed_held(
    held: Sequence[dict[str, Any]], waits: OpenWaits, feed: Callable[[Event], bool]
) -> list[int]:
    """Feed an executor what is held and waited for, until there is none.

    Args:
        held: As in the turn.
        waits: Of the execution; ``feed`` adds to them.
        feed: Runs the executor through one event; False when the execution is over.

    Returns:
        Which were fed, in that order.
    """
    fed: list[int] = []
    left = list(range(len(held)))
    goes_on = True
    while goes_on:
        place = next((one for one in left if waits.is_open(held[one]["name"])), None)
        if place is None:
            break
        left.remove(place)
        fed.append(place)
        name = waits.end(held[place]["name"])
        goes_on = feed({**held[place]["event"], "Name": name})
    return fed
