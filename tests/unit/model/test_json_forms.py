"""The JSON forms of histories, messages and instances.

Stores and foreign SDKs hold them for years: a test that fails here says that old stores can no
longer be read. Fields may be added with a default; none may be renamed, moved or dropped.
"""

import json
from typing import Any, get_args

import msgspec
import pytest

from tenuto.engine.state import state_of
from tenuto.model.actions import TurnActions
from tenuto.model.codec import decode_message, decode_turn, encode
from tenuto.model.errors import (
    InstanceNotFoundError,
    InvalidInstanceIdError,
    OrchestrationFailedError,
    RegistrationError,
    SignatureError,
    UnknownFunctionError,
)
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventPublished,
    EventRaised,
    EventRefused,
    EventSent,
    EventTaken,
    ExecutionCompleted,
    ExecutionFailed,
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
    TopicPlace,
    WebhookOpened,
)
from tenuto.model.facts import InstanceFacts, facts_of_row, facts_started, pending_row, started
from tenuto.model.failure import FailureDetails
from tenuto.model.form import Field, FieldKind, Form
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.limits import Limits, limit_error
from tenuto.model.messages import (
    AnswerQuestion,
    ChangeHold,
    ChildResult,
    Fail,
    Message,
    Purge,
    RaiseEvent,
    RedeemWebhook,
    Resume,
    Start,
    Suspend,
    TaskResult,
    Terminate,
    TimerDue,
)
from tenuto.model.retry import RetryFacts
from tenuto.model.status import FINISHED, InstanceRecord, ParentInstance, RuntimeStatus
from tenuto.model.timing import LATEST, span, to_datetime, to_microseconds
from tenuto.model.trace import TraceContext
from tenuto.model.webhook import OpenWebhook

E0, E1, E2, E4, E7 = map(ExecutionId, ("e0", "e1", "e2", "e4", "e7"))
I4, I7, TRIP, ROOT = map(InstanceId, ("i4", "i7", "trip-1", "r"))
M1, M2, M3, M4, M5, M6, M7, M8, M9 = (MessageId(f"m{number}") for number in range(1, 10))

FAILURE = FailureDetails("shop.SoldOut", "no seat", "trace", FailureDetails("OSError", "x"), True)
FAILURE_JSON = {
    "errorType": "shop.SoldOut",
    "errorMessage": "no seat",
    "stackTrace": "trace",
    "innerFailure": {"errorType": "OSError", "errorMessage": "x"},
    "isNonRetriable": True,
}
PARENT = ParentInstance(InstanceId("above"), E0, "outer", 4)
PARENT_JSON = {
    "instanceId": "above",
    "executionId": "e0",
    "name": "outer",
    "taskScheduledId": 4,
}

EVENTS: list[tuple[HistoryEvent, dict[str, Any]]] = [
    (OrchestratorStarted(1), {"timestamp": 1}),
    (ExecutionStarted("trip", E1), {"name": "trip", "executionId": "e1"}),
    (
        ExecutionStarted("trip", E1, "{}", "2", PARENT, {"a": "b"}, 7, 3, "python 3.11"),
        {
            "name": "trip",
            "executionId": "e1",
            "input": "{}",
            "version": "2",
            "parent": PARENT_JSON,
            "tags": {"a": "b"},
            "scheduledStart": 7,
            "generation": 3,
            "runtime": "python 3.11",
        },
    ),
    (TaskScheduled(3, "book"), {"eventId": 3, "name": "book"}),
    (
        TaskScheduled(3, "book", '"x"', 2, 1, 5_000_000),
        {
            "eventId": 3,
            "name": "book",
            "input": '"x"',
            "attempt": 2,
            "callId": 1,
            "timeout": 5_000_000,
        },
    ),
    (
        TaskScheduled(3, "book", retry=RetryFacts(3, 5, 2.0, 7, 9)),
        {
            "eventId": 3,
            "name": "book",
            "retry": {
                "maxAttempts": 3,
                "firstInterval": 5,
                "backoff": 2.0,
                "maxInterval": 7,
                "timeout": 9,
            },
        },
    ),
    (
        TaskScheduled(3, "book", version="2", tags={"a": "b"}, trace=TraceContext("00-1-2-03")),
        {
            "eventId": 3,
            "name": "book",
            "version": "2",
            "tags": {"a": "b"},
            "trace": {"parent": "00-1-2-03"},
        },
    ),
    (
        TaskFailed(
            4, FailureDetails("E", "no", properties={"code": 7, "more": [None, {"a": 1.5}]})
        ),
        {
            "taskScheduledId": 4,
            "failureDetails": {
                "errorType": "E",
                "errorMessage": "no",
                "properties": {"code": 7, "more": [None, {"a": 1.5}]},
            },
        },
    ),
    (TaskCompleted(3, "[1]"), {"taskScheduledId": 3, "result": "[1]"}),
    (TaskCompleted(3), {"taskScheduledId": 3}),
    (TaskFailed(3, FAILURE), {"taskScheduledId": 3, "failureDetails": FAILURE_JSON}),
    (
        SubOrchestrationInstanceCreated(4, "trip", I4, E4),
        {"eventId": 4, "name": "trip", "instanceId": "i4", "executionId": "e4"},
    ),
    (
        SubOrchestrationInstanceCreated(4, "trip", I4, E4, retry=RetryFacts(2, 0)),
        {
            "eventId": 4,
            "name": "trip",
            "instanceId": "i4",
            "executionId": "e4",
            "retry": {"maxAttempts": 2, "firstInterval": 0},
        },
    ),
    (
        SubOrchestrationInstanceCreated(4, "trip", I4, E4, "1", "2", {"a": "b"}, True),
        {
            "eventId": 4,
            "name": "trip",
            "instanceId": "i4",
            "executionId": "e4",
            "input": "1",
            "version": "2",
            "tags": {"a": "b"},
            "detached": True,
        },
    ),
    (
        SubOrchestrationInstanceCreated(
            7, "trip", I7, E7, attempt=2, call_id=4, trace=TraceContext("00-1-2-03", "v=1")
        ),
        {
            "eventId": 7,
            "name": "trip",
            "instanceId": "i7",
            "executionId": "e7",
            "attempt": 2,
            "callId": 4,
            "trace": {"parent": "00-1-2-03", "state": "v=1"},
        },
    ),
    (SubOrchestrationInstanceCompleted(4, "1"), {"taskScheduledId": 4, "result": "1"}),
    (
        SubOrchestrationInstanceFailed(4, FAILURE),
        {"taskScheduledId": 4, "failureDetails": FAILURE_JSON},
    ),
    (TimerCreated(5, 99), {"eventId": 5, "fireAt": 99}),
    (
        TimerCreated(5, 99, "retry", 3),
        {"eventId": 5, "fireAt": 99, "purpose": "retry", "of": 3},
    ),
    (TimerFired(5, 99), {"timerId": 5, "fireAt": 99}),
    (TaskCanceled(5), {"taskId": 5}),
    (TaskCanceled(4, I4), {"taskId": 4, "child": "i4"}),
    (EventAwaited(6, "paid"), {"eventId": 6, "name": "paid"}),
    (EventTaken(6), {"taskId": 6}),
    (
        EventRefused(7, "paid", MessageId("e1:refused:7"), "why"),
        {"eventId": 7, "name": "paid", "message": "e1:refused:7", "reason": "why"},
    ),
    (
        QuestionAsked(8, "Ship?", Form((Field("a", "A", FieldKind.TEXT),)), "Now.", 99),
        {
            "eventId": 8,
            "title": "Ship?",
            "form": {"fields": [{"name": "a", "label": "A", "kind": "text"}]},
            "text": "Now.",
            "expiresAt": 99,
        },
    ),
    (
        QuestionLinked(8, "a1", "https://x.org/callbacks/i/t"),
        {"taskId": 8, "digest": "a1", "url": "https://x.org/callbacks/i/t"},
    ),
    (
        QuestionAnswered(8, 77, "true", "ada"),
        {"taskId": 8, "answeredAt": 77, "input": "true", "by": "ada"},
    ),
    (
        EventSent(6, InstanceId("other"), "paid", "1"),
        {"eventId": 6, "instanceId": "other", "name": "paid", "input": "1"},
    ),
    (EventPublished(6, "orders"), {"eventId": 6, "topic": "orders"}),
    (
        EventPublished(6, "orders", "1", "k", "order.placed", "order/7", {"tenant": "x"}),
        {
            "eventId": 6,
            "topic": "orders",
            "input": "1",
            "key": "k",
            "kind": "order.placed",
            "subject": "order/7",
            "attributes": {"tenant": "x"},
        },
    ),
    (
        MessageQueued(6, "plates", 99, "1"),
        {"eventId": 6, "queue": "plates", "visibleAt": 99, "input": "1"},
    ),
    (TopicAwaited(6, "trips", "t-7"), {"eventId": 6, "topic": "trips", "key": "t-7"}),
    (
        TopicAwaited(6, "trips", "t-7", 41),
        {"eventId": 6, "topic": "trips", "key": "t-7", "after": 41},
    ),
    (EventRaised("paid", "1"), {"name": "paid", "input": "1"}),
    (EventRaised("paid", None, "a1"), {"name": "paid", "webhook": "a1"}),
    (
        WebhookOpened(7, "paid", "a1", 99),
        {"eventId": 7, "name": "paid", "digest": "a1", "expiresAt": 99},
    ),
    (
        ExecutionStarted("trip", E1, webhooks=(OpenWebhook("paid", "a1", 99),)),
        {
            "name": "trip",
            "executionId": "e1",
            "webhooks": [{"name": "paid", "digest": "a1", "expiresAt": 99}],
        },
    ),
    (
        ContinueAsNew(E2, webhooks=(OpenWebhook("paid", "a1", 99),)),
        {
            "executionId": "e2",
            "webhooks": [{"name": "paid", "digest": "a1", "expiresAt": 99}],
        },
    ),
    (
        ExecutionStarted("trip", E1, places=(TopicPlace("trips", "t-7", 41),)),
        {"name": "trip", "executionId": "e1", "places": [["trips", "t-7", 41]]},
    ),
    (
        ContinueAsNew(E2, places=(TopicPlace("trips", "t-7", 41),)),
        {"executionId": "e2", "places": [["trips", "t-7", 41]]},
    ),
    (ExecutionSuspended("why"), {"reason": "why"}),
    (ExecutionResumed(), {}),
    (ExecutionFailed("why"), {"reason": "why"}),
    (ExecutionTerminated('"why"'), {"input": '"why"'}),
    (
        ExecutionCompleted(RuntimeStatus.COMPLETED, "1"),
        {"orchestrationStatus": 1, "result": "1"},
    ),
    (
        ExecutionCompleted(RuntimeStatus.FAILED, None, FAILURE),
        {"orchestrationStatus": 3, "failureDetails": FAILURE_JSON},
    ),
    (
        ContinueAsNew(E2, version="3", tags={}),
        {"executionId": "e2", "version": "3", "tags": {}},
    ),
    (
        ContinueAsNew(E2, "1", unread=(4, 6), taken=(1,)),
        {
            "executionId": "e2",
            "input": "1",
            "unread": [4, 6],
            "taken": [1],
        },
    ),
]

MESSAGES: list[tuple[Message, dict[str, Any]]] = [
    (
        Start(message_id=M1, event=ExecutionStarted("trip", E1), root_id=ROOT, depth=2),
        {
            "messageId": "m1",
            "event": {"type": "ExecutionStarted", "name": "trip", "executionId": "e1"},
            "rootId": "r",
            "depth": 2,
        },
    ),
    (Suspend(message_id=M1, awaits_answer=True), {"messageId": "m1", "awaitsAnswer": True}),
    (
        TaskResult(execution_id=E1, sequence=7, event=TaskCompleted(3)),
        {
            "executionId": "e1",
            "sequence": 7,
            "event": {"type": "TaskCompleted", "taskScheduledId": 3},
        },
    ),
    (
        ChildResult(
            message_id=M2, execution_id=E1, event=SubOrchestrationInstanceCompleted(4, "1")
        ),
        {
            "messageId": "m2",
            "executionId": "e1",
            "event": {
                "type": "SubOrchestrationInstanceCompleted",
                "taskScheduledId": 4,
                "result": "1",
            },
        },
    ),
    (
        TimerDue(execution_id=E1, event=TimerFired(5, 99)),
        {"executionId": "e1", "event": {"type": "TimerFired", "timerId": 5, "fireAt": 99}},
    ),
    (
        RaiseEvent(message_id=M3, event=EventRaised("paid")),
        {"messageId": "m3", "event": {"type": "EventRaised", "name": "paid"}},
    ),
    (
        RedeemWebhook(message_id=M8, digest="a1", requested_at=5, input="1"),
        {"messageId": "m8", "digest": "a1", "requestedAt": 5, "input": "1"},
    ),
    (
        AnswerQuestion(message_id=M8, question=8, execution_id=E1, requested_at=5, input="1"),
        {
            "messageId": "m8",
            "question": 8,
            "executionId": "e1",
            "requestedAt": 5,
            "input": "1",
        },
    ),
    (Fail(message_id=M4, reason="no"), {"messageId": "m4", "reason": "no"}),
    (ChangeHold(), {}),
    (
        ChangeHold(hold=Hold(HoldReason.GUARD, "why", 9)),
        {"hold": {"reason": "guard", "message": "why", "since": 9}},
    ),
    (Terminate(message_id=M4, reason='"no"'), {"messageId": "m4", "reason": '"no"'}),
    (
        Terminate(message_id=M9, child_of=E0, task_id=4),
        {"messageId": "m9", "childOf": "e0", "taskId": 4},
    ),
    (Suspend(message_id=M5), {"messageId": "m5"}),
    (Resume(message_id=M6, reason="why"), {"messageId": "m6", "reason": "why"}),
    (Purge(message_id=M7, force=True), {"messageId": "m7", "force": True}),
]


def kind(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize(("event", "form"), EVENTS, ids=kind)
def test_an_event_of_history_has_the_frameworks_name_and_fields(
    event: HistoryEvent, form: dict[str, Any]
) -> None:
    written = encode([event])
    assert json.loads(written) == [{"type": kind(event), **form}]
    assert decode_turn(written) == [event]


@pytest.mark.parametrize(("message", "form"), MESSAGES, ids=kind)
def test_a_message_keeps_its_form(message: Message, form: dict[str, Any]) -> None:
    written = encode(message)
    assert json.loads(written) == {"type": kind(message), **form}
    assert decode_message(written) == message


def test_every_event_and_every_message_is_pinned() -> None:
    assert {type(event) for event, _ in EVENTS} == set(get_args(HistoryEvent))
    assert {type(message) for message, _ in MESSAGES} == set(get_args(Message))


def test_fields_of_a_newer_version_are_passed_over_and_unknown_events_are_not() -> None:
    newer = b'[{"type":"TimerCreated","eventId":5,"fireAt":99,"colour":"red"}]'
    assert decode_turn(newer) == [TimerCreated(5, 99)]
    with pytest.raises(msgspec.ValidationError, match="TimerRepainted"):
        decode_turn(b'[{"type":"TimerRepainted","eventId":5}]')


def test_a_failure_keeps_its_form_to_the_last_cause() -> None:
    assert json.loads(msgspec.json.encode(FAILURE)) == FAILURE_JSON


def test_an_instance_keeps_its_form() -> None:
    record = InstanceRecord(1, TRIP, 0, "trip", E1, 5, TRIP)
    form = {
        "iid": 1,
        "instanceId": "trip-1",
        "partition": 0,
        "name": "trip",
        "executionId": "e1",
        "createdAt": 5,
        "rootId": "trip-1",
    }
    assert json.loads(msgspec.json.encode(record)) == form
    more = {
        "version": "2",
        "generation": 1,
        "status": 7,
        "wakeAt": None,
        "updatedAt": 6,
        "completedAt": 7,
        "scheduledAt": 8,
        "parent": PARENT_JSON,
        "depth": 3,
        "input": "1",
        "output": "2",
        "failure": FAILURE_JSON,
        "customStatus": "3",
        "tags": {"a": "b"},
        "hold": {"reason": "payload", "message": "does not fit", "since": 9},
        "deliveries": 2,
    }
    full = msgspec.convert({**form, **more}, InstanceRecord)
    assert (full.status, full.parent, full.failure) == (RuntimeStatus.SUSPENDED, PARENT, FAILURE)
    assert (full.hold, full.deliveries) == (Hold(HoldReason.PAYLOAD, "does not fit", 9), 2)
    assert json.loads(msgspec.json.encode(full)) == {**form, **more}


# --- values that other things hang on -------------------------------------------------------------


def test_statuses_have_the_frameworks_numbers_and_spelling() -> None:
    assert {status.label: int(status) for status in RuntimeStatus} == {
        "Running": 0,
        "Completed": 1,
        "ContinuedAsNew": 2,
        "Failed": 3,
        "Canceled": 4,
        "Terminated": 5,
        "Pending": 6,
        "Suspended": 7,
    }
    assert {status for status in RuntimeStatus if status.is_finished} == FINISHED
    assert {int(status) for status in FINISHED} == {1, 3, 4, 5}


def test_limits_are_those_of_the_design_and_name_their_setting() -> None:
    assert msgspec.structs.asdict(Limits()) == {
        "payload_bytes": 4 * 1024 * 1024,
        "history_events": 1_000_000,
        "history_bytes": 1024 * 1024 * 1024,
        "actions_per_turn": 250_000,
        "turn_bytes": 256 * 1024 * 1024,
        "callbacks_per_event": 2_500_000,
        "nesting_depth": 50,
        "open_descendants": 100_000,
        "generations_per_minute": 600,
    }
    assert str(limit_error("nesting_depth", 1_234, "it went too deep")) == (
        "it went too deep; the limit is 1,234 "
        "(setting limits.nesting_depth, environment TENUTO_LIMITS_NESTING_DEPTH)"
    )


def test_times_are_microseconds_since_1970_and_come_back_whole() -> None:
    assert to_datetime(1_767_225_600_123_456).isoformat() == "2026-01-01T00:00:00.123456+00:00"
    for moment in (0, 1, -1, LATEST, 1_767_225_600_123_456):
        assert to_microseconds(to_datetime(moment)) == moment
    with pytest.raises(OverflowError):
        to_datetime(LATEST + 1)
    assert span(to_datetime(5_000_001) - to_datetime(1)) == 5_000_000


FACTS = InstanceFacts(
    TRIP,
    E1,
    "trip",
    ROOT,
    version="2",
    parent=PARENT,
    depth=3,
    tags={"a": "b"},
    trace=TraceContext("00-a-b-01"),
    scheduled_at=9,
    input='"in"',
)


def test_facts_go_into_the_forms_that_others_read_and_come_back_whole() -> None:
    """Whoever adds a fact: no field may be left out on the way."""
    row = pending_row(FACTS, partition=0, created_at=5)
    assert (row.created_at, row.wake_at, facts_of_row(row)) == (5, 9, FACTS)
    event = started(FACTS, "python 3.11")
    assert event.runtime == "python 3.11"
    assert facts_started(TRIP, event, ROOT, 3) == FACTS
    state = state_of(row)
    assert (state.facts, state.record()) == (FACTS, row)
    names = {field.name for field in msgspec.structs.fields(InstanceFacts)}
    assert {name for name in names if getattr(FACTS, name)} == names - {"generation"}
    later = msgspec.structs.replace(FACTS, generation=4)
    assert facts_of_row(pending_row(later, partition=0, created_at=5)) == later
    assert started(later, "").generation == 4


def test_a_turn_that_touched_nothing_says_so() -> None:
    answer = TurnActions([])
    assert (answer.custom_status, answer.logs) == (msgspec.UNSET, None)


# --- what errors say ------------------------------------------------------------------------------


def test_messages_of_errors_say_what_happened_where_and_what_next() -> None:
    assert str(UnknownFunctionError("activity", "bok", ["send", "book"])) == (
        "no activity named 'bok' is registered; did you mean 'book'? registered: book, send"
    )
    assert str(UnknownFunctionError("activity", "x", [])) == (
        "no activity named 'x' is registered; registered: none"
    )
    assert str(InstanceNotFoundError("trip-1")) == (
        "instance 'trip-1' does not exist in this store"
    )
    long = str(InvalidInstanceIdError("x" * 300, "it is too long"))
    assert long == f"instance id '{'x' * 76}... is not allowed: it is too long"


def test_a_failed_orchestration_carries_its_failure() -> None:
    error = OrchestrationFailedError("trip-1", "trip", FAILURE)
    assert (error.instance_id, error.name, error.failure) == ("trip-1", "trip", FAILURE)
    assert str(error) == (
        "orchestration 'trip' (instance 'trip-1') failed: OSError: x; it led to "
        "shop.SoldOut: no seat"
    )


def test_a_signature_error_is_a_registration_error_and_a_type_error() -> None:
    assert issubclass(SignatureError, RegistrationError)
    assert issubclass(SignatureError, TypeError)
    assert SignatureError.code == "TN-1107"
