"""What must be true of every stored instance, whatever crashed: a checker over rows and histories.

Reads the SQLite file directly, so that it sees what is stored and not what some reader makes of
it. Each broken rule is one sentence in the answer; an empty answer means that all is well.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenuto.model.codec import decode_turn
from tenuto.model.events import (
    ContinueAsNew,
    EventSent,
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

_SCHEDULED = (TaskScheduled, SubOrchestrationInstanceCreated, TimerCreated, EventSent)
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
    def output(self) -> Any:
        text = self.row["output"]
        return None if text is None else json.loads(text)


def read_instances(path: Path) -> list[StoredInstance]:
    """Every instance in a store."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.row_factory = sqlite3.Row
        turns: dict[int, list[StoredTurn]] = {}
        for row in connection.execute(
            "SELECT iid, generation, turn, CAST(events AS BLOB) AS events FROM history "
            "ORDER BY iid, generation, turn"
        ):
            turn = StoredTurn(row["generation"], row["turn"], decode_turn(row["events"]))
            turns.setdefault(row["iid"], []).append(turn)
        rows = [dict(row) for row in connection.execute("SELECT * FROM instance")]
    connection.close()
    orphans = turns.keys() - {row["iid"] for row in rows}
    assert not orphans, f"history rows of instances that do not exist: {sorted(orphans)}"
    return [StoredInstance(row, turns.get(row["iid"], [])) for row in rows]


def count_rows(path: Path, table: str) -> int:
    """How many rows a table holds."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    connection.close()
    return int(count)


def faults_of(instance: StoredInstance) -> list[str]:
    """What is wrong with an instance; empty when nothing is."""
    return [f"{instance.instance_id}: {fault}" for fault in _faults(instance)]


def faults_in(path: Path) -> list[str]:
    """What is wrong with a store."""
    return [fault for instance in read_instances(path) for fault in faults_of(instance)]


def _faults(instance: StoredInstance) -> Iterator[str]:
    turns = instance.turns
    yield from _numbering(instance)
    yield from _times(turns)
    events = [event for turn in turns for event in turn.events]
    yield from _work(events, is_completed=instance.status is RuntimeStatus.COMPLETED)
    yield from _row(instance, events)


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


def _work(events: Sequence[HistoryEvent], *, is_completed: bool) -> Iterator[str]:
    """Exactly one answer for each scheduled id, none for canceled ones."""
    ids = Counter(event.event_id for event in events if isinstance(event, _SCHEDULED))
    for event_id, count in ids.items():
        if count > 1:
            yield f"event id {event_id} was given {count} times"
    wanted: dict[int, str] = {}
    for event in events:
        if isinstance(event, TaskScheduled):
            wanted[event.event_id] = "Task"
        elif isinstance(event, TimerCreated):
            wanted[event.event_id] = "Timer"
        elif isinstance(event, SubOrchestrationInstanceCreated) and not event.detached:
            wanted[event.event_id] = "SubOrchestrationInstance"
        elif isinstance(event, TaskCanceled):
            if wanted.pop(event.task_id, None) is None:
                yield f"{event.task_id} was canceled but was not open"
        elif isinstance(event, _ANSWERS):
            event_id = event.timer_id if isinstance(event, TimerFired) else event.task_scheduled_id
            kind = wanted.pop(event_id, None)
            if kind is None:
                yield f"{type(event).__name__} answers {event_id}, which is not open"
            elif not type(event).__name__.startswith(kind):
                yield f"{type(event).__name__} answers {event_id}, a {kind}"
    if is_completed and wanted:
        yield f"completed without answers to {sorted(wanted)}"


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
    if started and not isinstance(events[-1], ContinueAsNew):
        if started[-1].execution_id != row["execution_id"]:
            yield "row and history name different executions"
    if not status.is_finished and instance.turns:
        yield from _waiting(instance, events)


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


def _waiting(instance: StoredInstance, events: Sequence[HistoryEvent]) -> Iterator[str]:
    """Whether the row says when the instance must be woken (else it is stuck after a crash)."""
    activities: set[int] = set()
    timers: dict[int, int] = {}
    is_suspended = False
    for event in events:
        match event:
            case TaskScheduled(event_id=key):
                activities.add(key)
            case TaskCompleted(task_scheduled_id=key) | TaskFailed(task_scheduled_id=key):
                activities.discard(key)
            case TimerCreated(event_id=key, fire_at=fire_at):
                timers[key] = fire_at
            case TimerFired(timer_id=key):
                timers.pop(key, None)
            case TaskCanceled(task_id=key):
                activities.discard(key)
                timers.pop(key, None)
            case ExecutionSuspended():
                is_suspended = True
            case ExecutionResumed():
                is_suspended = False
            case _:
                pass
    expected: int | None = None
    if isinstance(events[-1], ContinueAsNew) or activities:
        expected = 0
    elif timers:
        expected = min(timers.values())
    if is_suspended:
        expected = None
    if (instance.status is RuntimeStatus.SUSPENDED) != is_suspended:
        yield f"is {instance.status.label}, history says suspended: {is_suspended}"
    if instance.row["wake_at"] != expected:
        yield f"wakes at {instance.row['wake_at']}, history says {expected}"
