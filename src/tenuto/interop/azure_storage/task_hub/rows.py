"""An instance with its history, in the rows of the Azure Storage provider. Pure.

Every event has the type and the columns that the provider gives it. What only Tenuto knows (waits
that were given up, webhooks, questions) becomes a ``GenericEvent``, whose ``Data`` say what it was;
addresses that open something are left out.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from tenuto.interop.azure_storage.task_hub.layout import (
    SENTINEL,
    Row,
    Value,
    escaped,
    is_long,
    long_name,
    moved,
    packed,
    row_key,
)
from tenuto.interop.contract.failures import failure_parts
from tenuto.model.codec import decode_turn
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
    QuestionLinked,
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
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tenuto.model.timing import Microseconds, to_datetime
from tenuto.model.trace import TraceContext

_LONG_COLUMNS: Final = (
    "Name", "Input", "Result", "Reason", "Details", "FailureDetails", "Tags", "Data",
)  # fmt: skip
_OF_OURS: Final = (
    "type", "eventId", "taskId", "name", "title", "text", "reason", "child", "input", "by",
    "expiresAt", "answeredAt", "topic", "key", "kind", "subject", "queue", "visibleAt",
)  # fmt: skip
"""What is told of an event of Tenuto's own: no addresses, and nothing that belongs to them."""

_Columns = dict[str, Value | None]


class InstanceImage(Struct, frozen=True):
    """What the tables hold of an instance.

    Attributes:
        instance: Its row.
        events: The rows of its current execution, in order; empty while it has not begun.
        sentinel: The row behind them.
        blobs: Long texts of the rows, packed, by the name of the blob.
        long_input: The name of the blob with its input, when that is long. Where that is, only
            who knows the account can say.
        long_output: The same of its output.
    """

    instance: Row
    events: list[Row]
    sentinel: Row
    blobs: dict[str, bytes]
    long_input: str | None = None
    long_output: str | None = None

    @property
    def execution_id(self) -> str:
        """Whose rows they are."""
        return str(self.instance["ExecutionId"])

    def sum_of(self, count: int) -> int:
        """What the first rows amount to: another number when one of them is another."""
        total = 0
        for row in self.events[:count]:
            total = zlib.crc32(repr(row).encode(), total)
        return total


def image_of(record: InstanceRecord, turns: Sequence[bytes], hub: str) -> InstanceImage:
    """An instance as the tables hold it.

    Args:
        record: Its row.
        turns: The history of its current execution.
        hub: The name of the task hub.
    """
    key = escaped(record.instance_id)
    blobs: dict[str, bytes] = {}
    events: list[Row] = []
    for kind, columns in _all_events(record, turns):
        row: Row = {"PartitionKey": key, "RowKey": row_key(len(events)), "EventType": kind}
        row |= {name: value for name, value in columns.items() if value is not None}
        row["ExecutionId"] = record.execution_id
        blobs |= moved(row, kind, _LONG_COLUMNS)
        events.append(row)
    instance = _instance(record, key, hub)
    long: dict[str, str | None] = {}
    for column in ("Input", "Output"):
        text = instance.get(column)
        long[column] = None
        if isinstance(text, str) and is_long(text):
            long[column] = name = long_name(key, row_key(0), column, column, text)
            blobs[name] = packed(text)
            instance[column] = ""
    blobs |= moved(instance, "Tags", ("Tags",))
    changed_at = to_datetime(record.updated_at or record.created_at)
    sentinel: Row = {
        "PartitionKey": key,
        "RowKey": SENTINEL,
        "ExecutionId": record.execution_id,
        "IsCheckpointComplete": True,
        "CheckpointCompletedTimestamp": changed_at,
    }
    return InstanceImage(instance, events, sentinel, blobs, long["Input"], long["Output"])


# --- the row of an instance --------------------------------------------------------------------


def _instance(record: InstanceRecord, key: str, hub: str) -> Row:
    columns: _Columns = {
        "PartitionKey": key,
        "RowKey": "",
        "ExecutionId": record.execution_id,
        "Name": record.name,
        "Version": record.version or "",
        "Input": record.input,
        "Output": _output(record),
        "CustomStatus": _custom_status(record.custom_status),
        "CreatedTime": to_datetime(record.created_at),
        "LastUpdatedTime": to_datetime(record.updated_at or record.created_at),
        "CompletedTime": _moment(record.completed_at),
        "ScheduledStartTime": _moment(record.scheduled_at),
        "RuntimeStatus": record.status.label,
        "TaskHubName": hub,
        "Generation": 0,  # how often clients have used the id again, which purges it here
        "Tags": _json(record.tags),
    }
    return {name: value for name, value in columns.items() if value is not None}


def _output(record: InstanceRecord) -> str | None:
    if record.status is RuntimeStatus.FAILED and record.failure is not None:
        return str(record.failure)
    if record.status is RuntimeStatus.TERMINATED:
        return _plain(record.output)
    return record.output


def _plain(text: str | None) -> str | None:
    """A reason as the provider has it: the text itself, where ours is a JSON string."""
    try:
        found = None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return found if isinstance(found, str) else text


def _custom_status(text: str | None) -> str:
    if text is not None and is_long(text):
        return f'"(left out here: {len(text):,} characters, too long for a column)"'
    return "null" if text is None else text


# --- the rows of a history ---------------------------------------------------------------------


def _all_events(record: InstanceRecord, turns: Sequence[bytes]) -> Iterator[tuple[str, _Columns]]:
    """The events of all turns, each closed as the provider closes it."""
    numbers = _Numbers()
    for turn in turns:
        now = to_datetime(0)
        for event in decode_turn(turn):
            if isinstance(event, OrchestratorStarted):
                now = to_datetime(event.timestamp)
            if isinstance(event, QuestionLinked):
                continue  # an address, and no more
            kind, columns = _event(event, record)
            yield kind, {**_frame(numbers.of(event)), "_Timestamp": now, **columns}
        yield "OrchestratorCompleted", {**_frame(-1), "_Timestamp": now}


class _Numbers:
    """Counts what orchestrators decide, as the provider does; the end is the last of them."""

    def __init__(self) -> None:
        self._last = -1

    def of(self, event: HistoryEvent) -> int:
        if isinstance(event, ExecutionCompleted | ContinueAsNew):
            return self._last + 1
        number = getattr(event, "event_id", None)
        if number is None:
            return -1
        self._last = max(self._last, number)
        return int(number)


def _frame(number: int) -> _Columns:
    return {"EventId": number, "IsPlayed": False}


def _event(event: HistoryEvent, record: InstanceRecord) -> tuple[str, _Columns]:
    """The type of an event, and its own columns."""
    kind = type(event).__name__
    match event:
        case OrchestratorStarted():
            return kind, {}
        case ExecutionStarted():
            return kind, _started(event, record)
        case TaskScheduled():
            return kind, {
                "Name": event.name,
                "Version": event.version or "",
                "Input": event.input,
                "ParentTraceContext": _trace(event.trace),
                "Tags": _json(event.tags),
            }
        case SubOrchestrationInstanceCreated():
            return kind, {
                "Name": event.name,
                "Version": event.version or "",
                "InstanceId": event.instance_id,
                "Input": event.input,
                "Tags": _json(event.tags),
            }
        case TimerCreated():
            return kind, {"FireAt": to_datetime(event.fire_at)}
        case EventSent():
            return kind, {
                "InstanceId": event.instance_id, "Name": event.name, "Input": event.input,
            }  # fmt: skip
        case EventRaised():
            return kind, {
                "Name": event.name, "Input": event.input, "ParentTraceContext": "null",
            }  # fmt: skip
        case _:
            return _outcome(event, kind)


def _outcome(event: HistoryEvent, kind: str) -> tuple[str, _Columns]:
    match event:
        case TaskCompleted() | SubOrchestrationInstanceCompleted():
            return kind, {"TaskScheduledId": event.task_scheduled_id, "Result": event.result}
        case TaskFailed() | SubOrchestrationInstanceFailed():
            failure = event.failure_details
            return kind, {
                "TaskScheduledId": event.task_scheduled_id,
                "Reason": failure.error_message,
                "Details": failure.stack_trace,
                "FailureDetails": _failure(failure),
            }
        case TimerFired():
            return kind, {"TimerId": event.timer_id, "FireAt": to_datetime(event.fire_at)}
        case ExecutionSuspended() | ExecutionResumed():
            return kind, {"Reason": event.reason}
        case ExecutionTerminated():
            return kind, {"Input": _plain(event.input)}
        case ExecutionCompleted():
            why = event.failure_details
            return kind, {
                "OrchestrationStatus": event.orchestration_status.label,
                "Result": _result(event),
                "FailureDetails": _failure(why),
            }
        case ContinueAsNew():
            return kind, {
                "OrchestrationStatus": RuntimeStatus.CONTINUED_AS_NEW.label,
                "Result": event.input,
                "FailureDetails": "null",
            }
        case _:
            return "GenericEvent", {"Data": _of_ours(event)}


def _result(event: ExecutionCompleted) -> str | None:
    if event.failure_details is not None:
        return str(event.failure_details)
    is_terminated = event.orchestration_status is RuntimeStatus.TERMINATED
    return _plain(event.result) if is_terminated else event.result


def _started(event: ExecutionStarted, record: InstanceRecord) -> _Columns:
    parent = event.parent
    return {
        "OrchestrationInstance": _json(
            {"InstanceId": record.instance_id, "ExecutionId": event.execution_id}
        ),
        "ParentInstance": "null" if parent is None else _json(_parent(parent)),
        "Name": event.name,
        "Version": event.version or "",
        "Input": event.input,
        "Tags": _json(event.tags),
        "ParentTraceContext": _trace(event.trace),
        "ScheduledStartTime": _moment(event.scheduled_start),
        "Generation": 0,
        "GenerateNewTrace": False,
    }


def _parent(parent: ParentInstance) -> dict[str, Any]:
    return {
        "Name": parent.name,
        "OrchestrationInstance": {
            "InstanceId": parent.instance_id,
            "ExecutionId": parent.execution_id,
        },
        "TaskScheduleId": parent.task_scheduled_id,
        "Version": "",
    }


def _trace(trace: TraceContext | None) -> str:
    if trace is None:
        return "null"
    return _json({"TraceParent": trace.parent, "TraceState": trace.state})


def _failure(failure: FailureDetails | None) -> str:
    return "null" if failure is None else _json(failure_parts(failure))


def _of_ours(event: HistoryEvent) -> str:
    told = msgspec.to_builtins(event)
    return _json({name: told[name] for name in _OF_OURS if name in told})


def _json(value: object) -> str:
    """What is no plain value, as text; none as ``null``."""
    return msgspec.json.encode(value).decode()


def _moment(time: Microseconds | None) -> Value | None:
    return None if time is None else to_datetime(time)
