"""Rows of the Azure Storage provider, read as an instance of ours with its history. Pure.

For looking at, not for going on: numbers are the provider's, and what it keeps elsewhere (messages
in queues, the state of entities) is not there.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from tenuto.interop.azure_storage.task_hub.layout import SENTINEL, unescaped
from tenuto.model.errors import InputError
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
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
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tenuto.model.timing import Microseconds, to_microseconds
from tenuto.model.trace import TraceContext, checked_trace

Entity = Mapping[str, Any]
"""A row as the packages give it, its long texts back in their columns."""

_STATUSES: Final = {one.label: one for one in RuntimeStatus}


def execution_rows(rows: Iterable[Entity]) -> list[Entity]:
    """The rows of the current execution, in order: what a longer one has left behind is cut off."""
    ordered = sorted(rows, key=lambda row: str(row["RowKey"]))
    current = [row["ExecutionId"] for row in ordered if row["RowKey"] == SENTINEL]
    found: list[Entity] = []
    for row in ordered:
        if row["RowKey"] == SENTINEL or (current and row.get("ExecutionId") != current[0]):
            break
        found.append(row)
    return found


def turns_of(rows: Iterable[Entity]) -> list[list[HistoryEvent]]:
    """The events of an execution, turn by turn. Those of kinds that we do not have are left out."""
    turns: list[list[HistoryEvent]] = []
    for row in rows:
        kind = str(row.get("EventType"))
        if kind == "OrchestratorStarted" or not turns:
            turns.append([OrchestratorStarted(_time(row, "_Timestamp") or 0)])
        read = _READERS.get(kind)
        if read is not None:
            turns[-1].append(read(row))
    return turns


def record_of(row: Entity, turns: list[list[HistoryEvent]], iid: int) -> InstanceRecord:
    """An instance that nothing ever wakes.

    Args:
        row: Of the table of instances.
        turns: Its history.
        iid: Its number in the store.
    """
    events = [event for turn in turns for event in turn]
    status = _STATUSES.get(str(row.get("RuntimeStatus")), RuntimeStatus.RUNNING)
    output = _text(row, "Output")
    failure = None
    if status is RuntimeStatus.FAILED:
        failure, output = _why(events, output), None
    elif status is RuntimeStatus.TERMINATED:
        output = _reason(output)
    instance_id = unescaped(str(row["PartitionKey"]))
    created_at = _time(row, "CreatedTime") or 0
    status_text = _text(row, "CustomStatus")
    return InstanceRecord(
        iid=iid,
        instance_id=instance_id,
        partition=0,
        name=str(row.get("Name", "")),
        execution_id=ExecutionId(str(row.get("ExecutionId", ""))),
        created_at=created_at,
        root_id=instance_id,
        version=_text(row, "Version") or None,
        status=status,
        wake_at=None,
        updated_at=_time(row, "LastUpdatedTime") or created_at,
        completed_at=_time(row, "CompletedTime") if status.is_finished else None,
        scheduled_at=_time(row, "ScheduledStartTime"),
        parent=next((one.parent for one in events if isinstance(one, ExecutionStarted)), None),
        input=_text(row, "Input"),
        output=output,
        failure=failure,
        custom_status=None if status_text == "null" else status_text,
        tags=_tags(row),
    )


def _why(events: list[HistoryEvent], output: str | None) -> FailureDetails:
    for event in reversed(events):
        if isinstance(event, ExecutionCompleted) and event.failure_details is not None:
            return event.failure_details
    return FailureDetails("Exception", output or "")


# --- an event of each kind ---------------------------------------------------------------------


def _started(row: Entity) -> ExecutionStarted:
    return ExecutionStarted(
        name=str(row.get("Name", "")),
        execution_id=ExecutionId(str(row.get("ExecutionId", ""))),
        input=_text(row, "Input"),
        version=_text(row, "Version") or None,
        parent=_parent(row),
        tags=_tags(row),
        scheduled_start=_time(row, "ScheduledStartTime"),
        trace=_trace(row),
    )


def _completed(row: Entity) -> ExecutionCompleted:
    status = _STATUSES.get(str(row.get("OrchestrationStatus")), RuntimeStatus.COMPLETED)
    result = _text(row, "Result")
    if status is RuntimeStatus.FAILED:
        told = _document(row, "FailureDetails")
        failure = FailureDetails("Exception", result or "") if told is None else _failure(told)
        return ExecutionCompleted(status, failure_details=failure)
    is_terminated = status is RuntimeStatus.TERMINATED
    return ExecutionCompleted(status, _reason(result) if is_terminated else result)


def _child(row: Entity) -> SubOrchestrationInstanceCreated:
    return SubOrchestrationInstanceCreated(
        event_id=_number(row, "EventId"),
        name=str(row.get("Name", "")),
        instance_id=InstanceId(str(row.get("InstanceId", ""))),
        execution_id=ExecutionId(""),
        input=_text(row, "Input"),
        version=_text(row, "Version") or None,
        tags=_tags(row),
    )


def _task(row: Entity) -> TaskScheduled:
    return TaskScheduled(
        _number(row, "EventId"),
        str(row.get("Name", "")),
        _text(row, "Input"),
        version=_text(row, "Version") or None,
        tags=_tags(row),
    )


_READERS: Final[dict[str, Callable[[Entity], HistoryEvent]]] = {
    "ExecutionStarted": _started,
    "ExecutionCompleted": _completed,
    "ExecutionTerminated": lambda row: ExecutionTerminated(_reason(_text(row, "Input"))),
    "ExecutionSuspended": lambda row: ExecutionSuspended(_text(row, "Reason")),
    "ExecutionResumed": lambda row: ExecutionResumed(_text(row, "Reason")),
    "ContinueAsNew": lambda row: ContinueAsNew(ExecutionId(""), _text(row, "Result")),
    "TaskScheduled": _task,
    "TaskCompleted": lambda row: TaskCompleted(
        _number(row, "TaskScheduledId"), _text(row, "Result")
    ),
    "TaskFailed": lambda row: TaskFailed(_number(row, "TaskScheduledId"), _failed(row)),
    "SubOrchestrationInstanceCreated": _child,
    "SubOrchestrationInstanceCompleted": lambda row: SubOrchestrationInstanceCompleted(
        _number(row, "TaskScheduledId"), _text(row, "Result")
    ),
    "SubOrchestrationInstanceFailed": lambda row: SubOrchestrationInstanceFailed(
        _number(row, "TaskScheduledId"), _failed(row)
    ),
    "TimerCreated": lambda row: TimerCreated(_number(row, "EventId"), _time(row, "FireAt") or 0),
    "TimerFired": lambda row: TimerFired(_number(row, "TimerId"), _time(row, "FireAt") or 0),
    "EventSent": lambda row: EventSent(
        _number(row, "EventId"),
        InstanceId(str(row.get("InstanceId", ""))),
        str(row.get("Name", "")),
        _text(row, "Input"),
    ),
    "EventRaised": lambda row: EventRaised(str(row.get("Name", "")), _text(row, "Input")),
}


# --- columns -----------------------------------------------------------------------------------


def _text(row: Entity, column: str) -> str | None:
    value = row.get(column)
    return None if value is None else str(value)


def _number(row: Entity, column: str) -> int:
    value = row.get(column)
    return value if isinstance(value, int) else -1


def _time(row: Entity, column: str) -> Microseconds | None:
    value = row.get(column)
    return to_microseconds(value) if isinstance(value, datetime) else None


def _document(row: Entity, column: str) -> dict[str, Any] | None:
    """A JSON object in a column; what is none counts as not there."""
    try:
        found = msgspec.json.decode(str(row.get(column, "null")))
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def _reason(text: str | None) -> str | None:
    """A plain text as the JSON that payloads are."""
    return None if text is None else msgspec.json.encode(text).decode()


def _tags(row: Entity) -> dict[str, str] | None:
    found = _document(row, "Tags")
    if found is None:
        return None
    # .NET tells its own type in such an object.
    return {key: str(value) for key, value in found.items() if key != "$type"} or None


def _parent(row: Entity) -> ParentInstance | None:
    found = _document(row, "ParentInstance")
    if found is None:
        return None
    instance = found.get("OrchestrationInstance")
    where = instance if isinstance(instance, dict) else {}
    number = found.get("TaskScheduleId")
    return ParentInstance(
        InstanceId(str(where.get("InstanceId", ""))),
        ExecutionId(str(where.get("ExecutionId", ""))),
        str(found.get("Name", "")),
        number if isinstance(number, int) else -1,
    )


def _trace(row: Entity) -> TraceContext | None:
    found = _document(row, "ParentTraceContext")
    if found is None:
        return None
    state = found.get("TraceState")
    try:
        return checked_trace(
            TraceContext(str(found.get("TraceParent")), state if isinstance(state, str) else None)
        )
    except InputError:
        return None


def _failed(row: Entity) -> FailureDetails:
    """How a call failed; older hubs have two texts instead."""
    told = _document(row, "FailureDetails")
    if told is not None:
        return _failure(told)
    return FailureDetails("Exception", _text(row, "Reason") or "", _text(row, "Details"))


def _failure(told: dict[str, Any]) -> FailureDetails:
    inner = told.get("InnerFailure")
    return FailureDetails(
        str(told.get("ErrorType", "Exception")),
        str(told.get("ErrorMessage", "")),
        str(told["StackTrace"]) if told.get("StackTrace") else None,
        _failure(inner) if isinstance(inner, dict) else None,
        bool(told.get("IsNonRetriable", False)),
    )
