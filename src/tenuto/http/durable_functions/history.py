"""A history as Durable Functions shows it over HTTP. Pure.

What was scheduled is folded into how it ended (``ScheduledTime``, ``FunctionName``), the frames of
turns are left out, and so are numbers that only the engine needs. What is still open stays.
"""

from collections.abc import Iterable
from datetime import UTC
from typing import Any, Final

from tenuto.http.payloads import raw
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventPublished,
    EventRaised,
    EventRefused,
    EventSent,
    EventTaken,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
    MessageQueued,
    OrchestratorStarted,
    QuestionAnswered,
    QuestionAsked,
    QuestionLinked,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
    TopicAwaited,
    WebhookOpened,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.timing import to_datetime

Shown = dict[str, Any]

_SCHEDULED: Final = (TaskScheduled, SubOrchestrationInstanceCreated, TimerCreated)
_OUTCOMES: Final = (
    TaskCompleted,
    TaskFailed,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TimerFired,
)
_OURS: Final = (
    WebhookOpened,
    EventPublished,
    MessageQueued,
    TopicAwaited,
    EventAwaited,
    EventRefused,
    QuestionAsked,
    QuestionLinked,
    QuestionAnswered,
)
"""No program for Durable Functions knows them."""

_KEPT: Final = ("FunctionName", "Input")


class HistoryProjection:
    """Takes events one by one, oldest first.

    Args:
        show_input: Whether what functions were given is shown.
        show_output: Whether what they returned is shown.
    """

    def __init__(self, *, show_input: bool, show_output: bool) -> None:
        self._show_input = show_input
        self._show_output = show_output
        self._timestamp = ""
        self._count = 0
        self._shown: dict[int, Shown] = {}
        self._open: dict[int, int] = {}
        self._deadlines: dict[int, int] = {}

    @property
    def events(self) -> list[Shown]:
        """What is shown of all events taken so far."""
        return list(self._shown.values())

    def take(self, events: Iterable[HistoryEvent]) -> None:
        """Add the events of a turn."""
        for event in events:
            if isinstance(event, OrchestratorStarted):
                self._timestamp = moment_text(event.timestamp)
            elif isinstance(event, TaskCanceled | EventTaken):
                self._fold(self._deadlines.pop(event.task_id, event.task_id))
            elif not isinstance(event, _OURS):
                self._add(event)

    def _add(self, event: HistoryEvent) -> None:
        shown: Shown = {"EventType": type(event).__name__}
        if isinstance(event, _OUTCOMES):
            number = event.timer_id if isinstance(event, TimerFired) else event.task_scheduled_id
            shown |= self._fold(number)
        shown |= self._facts(event)
        shown["Timestamp"] = self._timestamp
        self._count += 1
        self._shown[self._count] = shown
        if isinstance(event, TimerCreated) and event.purpose == "timeout" and event.of is not None:
            self._deadlines[event.of] = event.event_id
        if isinstance(event, _SCHEDULED):
            self._open[event.event_id] = self._count

    def _fold(self, number: int) -> Shown:
        """Take away what was scheduled; how it ended shows what is left of it."""
        position = self._open.pop(number, None)
        if position is None:
            return {}
        scheduled = self._shown.pop(position)
        kept: Shown = {name: scheduled[name] for name in _KEPT if name in scheduled}
        return {**kept, "ScheduledTime": scheduled["Timestamp"]}

    def _facts(self, event: HistoryEvent) -> Shown:
        match event:
            case ExecutionStarted(name=name, input=given) | TaskScheduled(name=name, input=given):
                return {"FunctionName": name, **self._input(given)}
            case SubOrchestrationInstanceCreated(name=name, input=given, instance_id=child):
                return {"FunctionName": name, "InstanceId": child, **self._input(given)}
            case EventSent(name=name, instance_id=to, input=given):
                return {"Name": name, "InstanceId": to, **self._input(given)}
            case EventRaised(name=name, input=given):
                return {"Name": name, **self._input(given)}
            case TimerCreated(fire_at=fire_at) | TimerFired(fire_at=fire_at):
                return {"FireAt": moment_text(fire_at)}
            case _:
                return self._outcome(event)

    def _outcome(self, event: HistoryEvent) -> Shown:
        match event:
            case TaskCompleted(result=result) | SubOrchestrationInstanceCompleted(result=result):
                return self._result(result)
            case (
                TaskFailed(failure_details=failure)
                | SubOrchestrationInstanceFailed(failure_details=failure)
            ):
                return _failure(failure)
            case ExecutionCompleted(orchestration_status=status, result=result):
                why = event.failure_details
                failed = {} if why is None else _failure(why)
                return {"OrchestrationStatus": status.label, **failed, **self._result(result)}
            case ContinueAsNew(input=given):
                return {"OrchestrationStatus": "ContinuedAsNew", **self._input(given)}
            case ExecutionSuspended(reason=reason) | ExecutionResumed(reason=reason):
                return {"Reason": reason}
            case ExecutionTerminated(input=reason):
                return {"Reason": raw(reason)}
            case _:  # no more than that it happened
                return {}

    def _input(self, text: str | None) -> Shown:
        return {"Input": raw(text)} if self._show_input else {}

    def _result(self, text: str | None) -> Shown:
        return {"Result": raw(text)} if self._show_output else {}


def moment_text(microseconds: int) -> str:
    """A time to the microsecond, UTC."""
    moment = to_datetime(microseconds).astimezone(UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _failure(failure: FailureDetails) -> Shown:
    return {
        "Reason": failure.error_message,
        "Details": failure.stack_trace,
        "FailureDetails": _details(failure),
    }


def _details(failure: FailureDetails) -> Shown:
    inner = failure.inner_failure
    return {
        "ErrorType": failure.error_type,
        "ErrorMessage": failure.error_message,
        "StackTrace": failure.stack_trace,
        "InnerFailure": None if inner is None else _details(inner),
        "IsNonRetriable": failure.is_non_retriable,
        **({"Bases": list(failure.bases)} if failure.bases else {}),
        **({"Properties": failure.properties} if failure.properties else {}),
        **({"WhileHandling": True} if failure.while_handling else {}),
        **({"Notes": list(failure.notes)} if failure.notes else {}),
    }
