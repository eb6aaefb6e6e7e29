"""What one step took in and brought out: the events of a history that are about it. Pure.

The numbers of steps are those of ``insight.steps``; which wait has taken an event is told apart as
there.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from tenuto.model.events import (
    EventAwaited,
    EventRaised,
    EventRefused,
    EventTaken,
    HistoryEvent,
    OrchestratorStarted,
)
from tenuto.model.timing import Microseconds
from tenuto.model.topics import is_of_wait, wait_number

_NAMES_OF_STEPS: Final = ("event_id", "task_scheduled_id", "task_id", "timer_id")
_NAMES_OF_CALLS: Final = ("call_id", "of")


class StepEvent(Struct, frozen=True):
    """One event, with its turn.

    Attributes:
        turn: Which one, from 1; 0 for what earlier generations have left.
        at: The time of that turn.
        event: As it is stored.
    """

    turn: int
    at: Microseconds
    event: HistoryEvent


class StepEvents:
    """Finds the events of one step in a history that is read turn by turn.

    Args:
        number: Of the step; below zero, counted downwards, for events as they came.
        created_at: When the instance was created.
        unread: Events that earlier generations have left.
    """

    def __init__(
        self, number: int, created_at: Microseconds, unread: Iterable[EventRaised] = ()
    ) -> None:
        self._number = number
        self._numbers = {number}
        self._found: list[StepEvent] = []
        self._turn = 0
        self._at = created_at
        self._arrived = 0
        self._awaited: dict[int, str] = {}
        self._unclaimed: dict[str, deque[tuple[int, StepEvent]]] = {}
        for event in unread:
            self._raised(event)

    @property
    def found(self) -> list[StepEvent]:
        """Those of the turns that were read, in their order; empty when there is no such step."""
        return sorted(self._found, key=lambda one: one.turn)

    def read(self, turn: Sequence[HistoryEvent]) -> None:
        """Take in the next turn."""
        self._turn += 1
        for event in turn:
            if isinstance(event, OrchestratorStarted):
                self._at = event.timestamp
            elif isinstance(event, EventRaised):
                self._raised(event)
            else:
                self._other(event)

    def _raised(self, event: EventRaised) -> None:
        self._arrived += 1
        one = StepEvent(self._turn, self._at, event)
        if is_of_wait(event.name):  # from a topic: it says whose it is
            is_meant = self._number in {-self._arrived, wait_number(event.name)}
        else:
            is_meant = self._number == -self._arrived
            unclaimed = self._unclaimed.setdefault(event.name.casefold(), deque())
            unclaimed.append((-self._arrived, one))
        if is_meant:
            self._found.append(one)

    def _other(self, event: HistoryEvent) -> None:
        match event:
            case EventAwaited(event_id=number, name=name):
                self._awaited[number] = name
            case EventTaken(task_id=number) if number in self._awaited:
                self._claimed(self._awaited[number], by=number)
            case EventRefused(name=name) if not is_of_wait(name):
                self._refused(event)
            case _:
                pass
        numbers = {getattr(event, name, None) for name in _NAMES_OF_STEPS}
        if any(getattr(event, name, None) == self._number for name in _NAMES_OF_CALLS):
            self._numbers.update(one for one in numbers if one is not None)
        if not numbers.isdisjoint(self._numbers):
            self._found.append(StepEvent(self._turn, self._at, event))

    def _claimed(self, name: str, by: int) -> None:
        """The oldest event of that name that nobody had is what the wait was given."""
        waiting = self._unclaimed.get(name.casefold())
        if waiting:
            _, event = waiting.popleft()
            if by == self._number:
                self._found.append(event)

    def _refused(self, event: EventRefused) -> None:
        waiting = self._unclaimed.get(event.name.casefold())
        if waiting and waiting.popleft()[0] == self._number:
            self._found.append(StepEvent(self._turn, self._at, event))
