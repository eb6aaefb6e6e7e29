"""Which waits for events are open, and the events that the host holds for those to come."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Event = dict[str, Any]

_EVENT_RAISED = 15
_SCRIPTS = (("\u0080", "\u058f"), ("\u1e00", "\u1fff"), ("\uff00", "\uffef"))


def event_key(name: str) -> str:
    """The same text for all names that are one for the host."""
    return name.upper() if name.isascii() else "".join(map(_capital, name))


def _capital(character: str) -> str:
    found = character.upper()
    if character < "\u0080":
        return found
    is_known = len(found) == 1 and _is_of_scripts(character) and _is_of_scripts(found)
    return found if is_known else character


def _is_of_scripts(character: str) -> bool:
    return any(first <= character <= last for first, last in _SCRIPTS)


class OpenWaits:
    """The waits of one execution, by name; events end them in the order of their making.

    Names are compared without their case, as the host does (``event_names`` there says how).
    """

    def __init__(self) -> None:
        self._open: defaultdict[str, deque[str]] = defaultdict(deque)

    def add(self, name: str) -> None:
        """A wait is open."""
        self._open[event_key(name)].append(name)

    def tell(self, events: Iterable[Event]) -> None:
        """The package was told these events of a history."""
        for event in events:
            name = event.get("Name")
            if event["EventType"] == _EVENT_RAISED and name is not None and self.is_open(name):
                self.end(name)

    def is_open(self, name: str) -> bool:
        return bool(self._open.get(event_key(name)))

    def end(self, name: str) -> str:
        """End the oldest wait of that name; the name as it spells it."""
        return self._open[event_key(name)].popleft()


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
