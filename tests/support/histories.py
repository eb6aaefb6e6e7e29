"""What must hold for every history, whatever the orchestration did."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from tenuto.model.events import (
    ContinueAsNew,
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)

E = TypeVar("E")


def of_type(events: Sequence[HistoryEvent], kind: type[E]) -> list[E]:
    """The events of one kind, in order."""
    return [event for event in events if isinstance(event, kind)]


def kinds(events: Sequence[HistoryEvent]) -> list[str]:
    """Names of the events, turn marks left out."""
    return [type(event).__name__ for event in events if not isinstance(event, OrchestratorStarted)]


def check_invariants(events: Sequence[HistoryEvent]) -> None:
    """Fail for a history that cannot be: ``exactly_once_turns`` seen from its record."""
    times = [event.timestamp for event in of_type(events, OrchestratorStarted)]
    assert all(later > earlier for earlier, later in pairwise(times)), times
    assert isinstance(events[0], OrchestratorStarted)
    starts = of_type(events, ExecutionStarted)
    assert len(starts) <= 1
    if starts:
        assert events[1] is starts[0]
    endings = [event for event in events if isinstance(event, ExecutionCompleted | ContinueAsNew)]
    assert len(endings) <= 1
    if endings:
        assert events[-1] is endings[0]
    _check_answers(events)


def _check_answers(events: Sequence[HistoryEvent]) -> None:
    """Each answer has its question before it, and each question at most one answer."""
    now = 0
    open_tasks: set[int] = set()
    open_children: set[int] = set()
    open_timers: dict[int, int] = {}
    numbers: set[int] = set()
    for event in events:
        number = getattr(event, "event_id", None)
        if number is not None:
            assert number not in numbers, f"event id {number} was given twice"
            numbers.add(number)
        match event:
            case OrchestratorStarted(timestamp=timestamp):
                now = timestamp
            case TaskScheduled():
                open_tasks.add(event.event_id)
            case TaskCompleted() | TaskFailed():
                open_tasks.remove(event.task_scheduled_id)
            case SubOrchestrationInstanceCreated(detached=False):
                open_children.add(event.event_id)
            case SubOrchestrationInstanceCompleted() | SubOrchestrationInstanceFailed():
                open_children.remove(event.task_scheduled_id)
            case TimerCreated():
                open_timers[event.event_id] = event.fire_at
            case TimerFired():
                assert open_timers.pop(event.timer_id) == event.fire_at
                assert now >= event.fire_at, "a timer fired early"
            case TaskCanceled():
                open_tasks.discard(event.task_id)
                open_children.discard(event.task_id)
                open_timers.pop(event.task_id, None)
            case _:
                pass
