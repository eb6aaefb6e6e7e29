"""What must be true of every stored instance, whatever crashed: a checker over rows and histories.

Reads the SQLite file directly, so that it sees what is stored and not what some reader makes of
it. Each broken rule is one sentence in the answer; an empty answer means that all is well.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from tenuto.model.codec import decode_turn
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventSent,
    EventTaken,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
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
from tenuto.model.status import RuntimeStatus

_SCHEDULED = (
    TaskScheduled,
    SubOrchestrationInstanceCreated,
    TimerCreated,
    EventSent,
    EventAwaited,
)
_ANSWERS = (
    TaskCompleted,
    TaskFailed,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TimerFired,
)


@dataclass(frozen=True)
class StoredTurn:
    generation: int
    number: int
    events: list[HistoryEvent]


@dataclass(frozen=True)
class StoredInstance:
    """An instance as its row and its history rows say."""

    row: dict[str, Any]
    turns: list[StoredTurn]

    @property
    def instance_id(self) -> str:
        return str(self.row["instance_id"])

    @property
    def status(self) -> RuntimeStatus:
        return RuntimeStatus(self.row["status"])

    @property
    def output(self) -> object:
        text = self.row["output"]
        return None if text is None else json.loads(text)


def read_instances(path: Path, *, only_unfinished: bool = False) -> list[StoredInstance]:
    """Every instance in a store, all of one moment."""
    chosen = "WHERE status NOT IN (1, 3, 4, 5)" if only_unfinished else ""
    # The same library as the store's: two copies of SQLite in one process undo each other's locks.
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5_000)
    try:
        with connection:
            rows = _rows(connection, f"SELECT * FROM instance {chosen}")
            turns = _turns(connection, chosen)
    finally:
        connection.close()
    orphans = turns.keys() - {row["iid"] for row in rows}
    assert not orphans, f"history rows of instances that do not exist: {sorted(orphans)}"
    return [StoredInstance(row, turns.get(row["iid"], [])) for row in rows]


def _rows(connection: apsw.Connection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.cursor()
    cursor.row_trace = lambda _cursor, row: dict(
        zip((column[0] for column in cursor.get_description()), row, strict=True)
    )
    return list(cursor.execute(sql))


def _turns(connection: apsw.Connection, chosen: str) -> dict[int, list[StoredTurn]]:
    turns: dict[int, list[StoredTurn]] = {}
    among = f"WHERE iid IN (SELECT iid FROM instance {chosen})" if chosen else ""
    for iid, generation, turn, events in connection.execute(
        "SELECT iid, generation, turn, CAST(events AS BLOB) FROM history "
        f"{among} ORDER BY iid, generation, turn"
    ):
        turns.setdefault(iid, []).append(StoredTurn(generation, turn, decode_turn(events)))
    return turns


def count_rows(path: Path, table: str) -> int:
    """How many rows a table holds."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return len(_rows(connection, f"SELECT rowid FROM {table}"))
    finally:
        connection.close()


def faults_of(instance: StoredInstance) -> list[str]:
    """What is wrong with an instance; empty when nothing is."""
    return [f"{instance.instance_id}: {fault}" for fault in _faults(instance)]


def _faults(instance: StoredInstance) -> Iterator[str]:
    turns = instance.turns
    yield from _numbering(instance)
    yield from _times(turns)
    events = [event for turn in turns for event in turn.events]
    work = _Work()
    for event in events:
        work.follow(event)
    yield from work.faults
    if instance.status is RuntimeStatus.COMPLETED and work.open:
        yield f"completed without answers to {sorted(work.open)}"
    yield from _row(instance, events)
    if not instance.status.is_finished and turns:
        yield from _waiting(instance, events, work)


def _numbering(instance: StoredInstance) -> Iterator[str]:
    generation = instance.row["generation"]
    current = [turn.number for turn in instance.turns if turn.generation == generation]
    if current != list(range(len(current))):
        yield f"turns are not gapless: {current}"
    if current and len(current) != len(instance.turns):
        yield "history of an older generation was not deleted"
    newer = [turn.generation for turn in instance.turns if turn.generation > generation]
    if newer:
        yield f"history of generations {newer} that the row does not know"


def _times(turns: Sequence[StoredTurn]) -> Iterator[str]:
    last = 0
    for turn in turns:
        first = turn.events[0]
        if not isinstance(first, OrchestratorStarted):
            yield f"turn {turn.number} begins with {type(first).__name__}"
            continue
        if any(isinstance(event, OrchestratorStarted) for event in turn.events[1:]):
            yield f"turn {turn.number} has two beginnings"
        if first.timestamp <= last:
            yield f"the time of turn {turn.number} is not after the one before"
        last = first.timestamp
        for event in turn.events:
            if isinstance(event, TimerFired) and event.fire_at > first.timestamp:
                yield f"timer {event.timer_id} fired before its time"


class _Work:
    """What is asked for and not answered yet: exactly one answer for each scheduled id."""

    def __init__(self) -> None:
        self.open: dict[int, HistoryEvent] = {}
        self.faults: list[str] = []
        self._ids: set[int] = set()

    def follow(self, event: HistoryEvent) -> None:
        if isinstance(event, _SCHEDULED):
            if event.event_id in self._ids:
                self.faults.append(f"event id {event.event_id} was given twice")
            self._ids.add(event.event_id)
            if not isinstance(event, EventSent) and not getattr(event, "detached", False):
                self.open[event.event_id] = event
        elif isinstance(event, EventTaken):
            if not isinstance(self.open.get(event.task_id), EventAwaited):
                self.faults.append(f"an event was taken by {event.task_id}, which is no open wait")
            self._end(event.task_id)
        elif isinstance(event, TaskCanceled):
            if self._end(event.task_id) is None:
                self.faults.append(f"{event.task_id} was canceled but was not open")
        elif isinstance(event, _ANSWERS):
            event_id = event.timer_id if isinstance(event, TimerFired) else event.task_scheduled_id
            question = self.open.pop(event_id, None)
            if not _fits(question, event):
                self.faults.append(f"{type(event).__name__} answers {event_id}, which is not open")
            bounded = question.of if isinstance(question, TimerCreated) else None
            if bounded is not None and isinstance(self.open.get(bounded), EventAwaited):
                del self.open[bounded]

    def _end(self, event_id: int) -> HistoryEvent | None:
        """Close what was asked for; a wait takes the timer that bounds it along."""
        ended = self.open.pop(event_id, None)
        if isinstance(ended, EventAwaited):
            for timer in list(self.open.values()):
                if isinstance(timer, TimerCreated) and timer.of == event_id:
                    del self.open[timer.event_id]
        return ended


def _fits(question: HistoryEvent | None, answer: HistoryEvent) -> bool:
    match question:
        case TaskScheduled():
            return isinstance(answer, TaskCompleted | TaskFailed)
        case TimerCreated(fire_at=fire_at):
            return isinstance(answer, TimerFired) and answer.fire_at == fire_at
        case SubOrchestrationInstanceCreated():
            return isinstance(
                answer, SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed
            )
        case _:
            return False


def _row(instance: StoredInstance, events: Sequence[HistoryEvent]) -> Iterator[str]:
    row, status = instance.row, instance.status
    endings = [event for event in events if isinstance(event, ExecutionCompleted)]
    if len(endings) != (1 if status.is_finished else 0):
        yield f"is {status.label} with {len(endings)} ends in history"
    if any(isinstance(event, ContinueAsNew) for event in events[:-1]):
        yield "history goes on after ContinueAsNew"
    if endings:
        yield from _ending(instance, endings[-1], events[-1])
    started = [event for event in events if isinstance(event, ExecutionStarted)]
    was_ended = any(isinstance(event, ExecutionTerminated) for event in events)
    if instance.turns and len(started) != 1 and not was_ended:
        yield f"history has {len(started)} starts"
    is_current = started and not isinstance(events[-1], ContinueAsNew)
    if is_current and started[-1].execution_id != row["execution_id"]:
        yield "row and history name different executions"
    if status is RuntimeStatus.PENDING and started:
        yield "is Pending though it has begun"


def _ending(
    instance: StoredInstance, ending: ExecutionCompleted, last: HistoryEvent
) -> Iterator[str]:
    row = instance.row
    if last is not ending:
        yield f"history goes on after its end with {type(last).__name__}"
    if ending.orchestration_status is not instance.status:
        yield f"is {instance.status.label}, history says {ending.orchestration_status.label}"
    if ending.result != row["output"]:
        yield f"row has output {row['output']!r}, history {ending.result!r}"
    if (ending.failure_details is None) != (row["failure"] is None):
        yield "row and history disagree about a failure"
    if row["completed_at"] is None or row["wake_at"] is not None:
        yield f"ended, with completed_at {row['completed_at']} and wake_at {row['wake_at']}"


def _waiting(
    instance: StoredInstance, events: Sequence[HistoryEvent], work: _Work
) -> Iterator[str]:
    """Whether the row says when the instance must be woken (else it is stuck after a crash)."""
    pauses = [one for one in events if isinstance(one, ExecutionSuspended | ExecutionResumed)]
    is_suspended = bool(pauses) and isinstance(pauses[-1], ExecutionSuspended)
    if (instance.status is RuntimeStatus.SUSPENDED) != is_suspended:
        yield f"is {instance.status.label}, history says suspended: {is_suspended}"
    timers = [event.fire_at for event in work.open.values() if isinstance(event, TimerCreated)]
    expected = min(timers, default=None)
    if any(isinstance(event, TaskScheduled) for event in work.open.values()):
        expected = 0
    if is_suspended:
        expected = None
    if isinstance(events[-1], ContinueAsNew):
        expected = 0
    if instance.row["wake_at"] != expected:
        yield f"wakes at {instance.row['wake_at']}, history says {expected}"
