"""Events that nobody has read yet when an orchestrator continues as new.

They stay where they are over generations: a generation says which it leaves unread and which of
the older ones it has taken, and only that is written. Found by name, oldest first.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from tenuto.model.events import EventRaised

_NAMED: Final = 5
"""So many names stand in one log line."""


class UnreadEvent(Struct, frozen=True):
    """An event that waits for a reader; numbers of one instance grow with time."""

    number: int
    event: EventRaised


class UnreadEvents:
    """The unread events at the beginning of a generation; it does not change while that goes on."""

    __slots__ = ("_by_name", "_by_number", "size")

    def __init__(self, events: Iterable[UnreadEvent] = ()) -> None:
        self._by_number: dict[int, EventRaised] = {}
        self._by_name: dict[str, dict[int, EventRaised]] = {}
        self.size: int = 0
        self.add(events)

    def __len__(self) -> int:
        return len(self._by_number)

    @property
    def last(self) -> int:
        """The number of the youngest; 0 when there is none."""
        return next(reversed(self._by_number), 0)

    @property
    def events(self) -> list[EventRaised]:
        """All of them, oldest first."""
        return list(self._by_number.values())

    def numbers(self) -> tuple[int, ...]:
        """The numbers of all."""
        return tuple(self._by_number)

    def named(self, key: str) -> Iterator[tuple[int, EventRaised]]:
        """Those whose name is this one once its case is folded, oldest first."""
        return iter(self._by_name.get(key, {}).items())

    def add(self, events: Iterable[UnreadEvent]) -> None:
        """These are unread from now on; they are younger than all others."""
        for one in events:
            event = one.event
            self._by_number[one.number] = event
            self._by_name.setdefault(event.name.casefold(), {})[one.number] = event
            self.size += _size(event)

    def remove(self, numbers: Iterable[int]) -> None:
        """These were taken."""
        for number in numbers:
            event = self._by_number.pop(number)
            key = event.name.casefold()
            named = self._by_name[key]
            del named[number]
            if not named:
                del self._by_name[key]
            self.size -= _size(event)


def _size(event: EventRaised) -> int:
    """Roughly its bytes in memory."""
    return 200 + len(event.name) + len(event.input or "")


def unread_line(
    instance_id: str, name: str, counts: Mapping[str, int], what: str
) -> logging.LogRecord:
    """A warning for the log of an instance.

    Args:
        instance_id: The instance.
        name: Of its orchestrator.
        counts: How many events there are of each name.
        what: What is said of them, with a place for their number: ``nobody has asked for %d``.
    """
    names = [f"{event!r} ({count})" for event, count in counts.items()]
    more = f" and {len(names) - _NAMED} more names" if len(names) > _NAMED else ""
    listed = ", ".join(names[:_NAMED]) + more
    values = (instance_id, name, sum(counts.values()), listed)
    text = f"instance %s: orchestrator %r {what}: %s"
    return logging.LogRecord(
        "tenuto.orchestration", logging.WARNING, __file__, 0, text, values, None
    )
