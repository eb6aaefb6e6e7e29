"""Instances in rows of the Azure Storage provider, and back: every kind of event, no secrets."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from tenuto.interop.azure_storage.task_hub.events import record_of, turns_of
from tenuto.interop.azure_storage.task_hub.layout import (
    Row,
    TaskHub,
    escaped,
    task_hub,
    unescaped,
    unpacked,
)
from tenuto.interop.azure_storage.task_hub.mirrored_hub import _batches
from tenuto.interop.azure_storage.task_hub.rows import image_of
from tenuto.model.codec import encode_turn
from tenuto.model.errors import TaskHubError
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
    WebhookOpened,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.form import Form
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tenuto.model.trace import TraceContext
from tenuto.model.webhook import OpenWebhook

NOW = 1_800_000_000_123_456
SECRET = "d1" * 32
TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b")
WHY = FailureDetails("ValueError", "no", "at x", FailureDetails("KeyError", "'k'"), True)
PARENT = ParentInstance(InstanceId("above"), ExecutionId("e0"), "Above", 7)
TAGS = {"shop": "north"}

SHARED: list[HistoryEvent] = [
    OrchestratorStarted(NOW),
    ExecutionStarted("Order", ExecutionId("e1"), '"in"', "v1", PARENT, TAGS, NOW + 1, trace=TRACE),
    TaskCompleted(3, '"out"'),
    TaskFailed(4, WHY),
    SubOrchestrationInstanceCompleted(5),
    SubOrchestrationInstanceFailed(6, WHY),
    TimerFired(7, NOW + 2),
    EventRaised("go", "{}"),
    ExecutionSuspended("a break"),
    ExecutionResumed("on"),
    TaskScheduled(8, "pay", "1", version="2", tags=TAGS),
    SubOrchestrationInstanceCreated(
        9, "Ship", InstanceId("below"), ExecutionId(""), "2", "3", TAGS
    ),
    TimerCreated(10, NOW + 3),
    EventSent(11, InstanceId("other"), "hello", "4"),
]
"""What both sides have, as far as both say the same of it."""

OURS: list[HistoryEvent] = [
    TaskCanceled(8, InstanceId("below")),
    WebhookOpened(12, "paid", SECRET, NOW),
    EventAwaited(13, "go"),
    EventTaken(13),
    EventRefused(13, "go", MessageId(SECRET), "no number"),
    QuestionAsked(14, "Ship?", Form(())),
    QuestionLinked(14, SECRET, f"https://example.com/{SECRET}"),
    QuestionAnswered(14, NOW, "true", "Ann"),
    EventPublished(15, "orders", "1", "k", "paid"),
    MessageQueued(16, "parcels", NOW, "2"),
    TopicAwaited(17, "flights", "trip-1"),
    ExecutionFailed("an operator"),
]
ENDINGS: list[HistoryEvent] = [
    ExecutionCompleted(RuntimeStatus.COMPLETED, "5"),
    ExecutionCompleted(RuntimeStatus.FAILED, failure_details=WHY),
    ExecutionCompleted(RuntimeStatus.TERMINATED, '"why"'),
    ContinueAsNew(ExecutionId(""), "6"),
]


def record(**more: Any) -> InstanceRecord:
    facts: dict[str, Any] = {
        "iid": 1,
        "instance_id": "one",
        "partition": 0,
        "name": "Order",
        "execution_id": "e1",
        "created_at": NOW,
        "root_id": "one",
        "status": RuntimeStatus.RUNNING,
        "wake_at": None,
        "updated_at": NOW + 5,
    }
    return InstanceRecord(**(facts | more))


def rows_of(*events: HistoryEvent) -> list[Row]:
    turn = [*events] if isinstance(events[0], OrchestratorStarted) else [SHARED[0], *events]
    return image_of(record(), [bytes(encode_turn(turn))], "Hub").events


def test_what_both_sides_have_comes_back_as_it_was() -> None:
    rows = rows_of(*SHARED)
    assert turns_of(rows) == [SHARED]
    assert [row["EventType"] for row in rows[:-1]] == [type(one).__name__ for one in SHARED]
    assert rows[-1]["EventType"] == "OrchestratorCompleted"


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_end_comes_back_as_it_was(ending: HistoryEvent) -> None:
    rows = rows_of(*SHARED, ending)
    assert rows[-2]["EventId"] == 12
    assert turns_of(rows)[0][-1] == ending
    assert turns_of(rows_of(ExecutionTerminated('"why"'))) == [
        [SHARED[0], ExecutionTerminated('"why"')]
    ]


def test_every_event_has_a_row_and_none_has_what_opens_something() -> None:
    every = {type(one) for one in (*SHARED, *OURS, *ENDINGS)} | {ExecutionTerminated}
    assert every == set(all_kinds(HistoryEvent))
    rows = rows_of(*OURS)[1:-1]
    assert {row["EventType"] for row in rows} == {"GenericEvent"}
    assert len(rows) == len(OURS) - 1
    assert SECRET not in repr(rows)
    data = [json.loads(str(row["Data"])) for row in rows]
    assert data[0] == {"type": "TaskCanceled", "taskId": 8, "child": "below"}
    assert data[-1] == {"type": "ExecutionFailed", "reason": "an operator"}
    assert turns_of(rows_of(*OURS)) == [[SHARED[0]]]


def all_kinds(union: Any) -> Iterator[type]:  # noqa: ANN401 - a form of types
    inner = get_args(union)
    if not inner:
        yield union
    for one in inner:
        yield from all_kinds(one)


def test_open_webhooks_stay_in_the_store() -> None:
    opened = (OpenWebhook("paid", SECRET, NOW),)
    started = ExecutionStarted("Order", ExecutionId("e1"), webhooks=opened)
    rows = rows_of(started, ContinueAsNew(ExecutionId("e2"), webhooks=opened))
    assert SECRET not in repr(rows)


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ({"status": RuntimeStatus.COMPLETED, "output": "[1]"}, "[1]"),
        ({"status": RuntimeStatus.FAILED, "failure": WHY}, "ValueError: no"),
        ({"status": RuntimeStatus.TERMINATED, "output": '"why"'}, "why"),
        ({"status": RuntimeStatus.TERMINATED, "output": "{}"}, "{}"),
        ({"status": RuntimeStatus.TERMINATED, "output": "no JSON"}, "no JSON"),
        ({"status": RuntimeStatus.PENDING}, None),
    ],
)
def test_the_row_of_an_instance(given: dict[str, Any], output: str | None) -> None:
    row = image_of(record(**given), [], "Hub").instance
    assert row.get("Output") == output
    assert row["RuntimeStatus"] == given["status"].label
    assert row["CustomStatus"] == "null"
    again = record_of(row, [], 1)
    assert (again.status, again.name, again.created_at) == (given["status"], "Order", NOW)


def test_texts_are_moved_where_azure_has_its_limit() -> None:
    fits, long = "ä" * 30_720, "\U0001f600" * 15_361
    rows = rows_of(TaskCompleted(1, fits), TaskCompleted(2, long))
    assert rows[1]["Result"] == fits
    assert rows[2]["Result"] == ""
    image = image_of(record(input=long, output=fits, custom_status=long), [], "Hub")
    assert image.instance["Output"] == fits
    assert image.instance["Input"] == ""
    assert image.long_input is not None
    assert unpacked(image.blobs[image.long_input]) == long
    assert "too long" in str(image.instance["CustomStatus"])
    json.loads(str(image.instance["CustomStatus"]))


def test_transactions_are_as_large_as_azure_takes_them() -> None:
    small: list[Row] = [{"PartitionKey": "k", "RowKey": str(n)} for n in range(250)]
    assert [len(one) for one in _batches(small)] == [99, 99, 52]
    large: list[Row] = [{"Result": "x" * 30_720, "Input": "y" * 30_720} for _ in range(60)]
    sizes = [len(one) for one in _batches(large)]
    assert sum(sizes) == 60
    assert all(size * 123_904 <= 3 * 1024 * 1024 for size in sizes)
    assert list(_batches([])) == []


def test_keys_are_spelled_as_the_provider_spells_them() -> None:
    given = InstanceId("a^b/c\\d#e?f\x00g\x1f\x7f\x9f")
    assert escaped(given) == "a^^b^0c^1d^2e^3f^\xc0g^\xdf^\u013f^\u015f"
    assert unescaped(escaped(given)) == given
    assert unescaped("^x") == "^x"


@pytest.mark.parametrize("name", ["", "ab", "1abc", "a-b", "ä12", "a" * 46, "abc\n"])
def test_names_of_hubs_are_checked(name: str) -> None:
    with pytest.raises(TaskHubError, match="no name of a task hub"):
        task_hub(name)
    assert task_hub("abc") == TaskHub("abc")
