"""The history as Durable Functions shows it: what a store can hold and a test rarely makes."""

from typing import cast

from tenuto.http.durable_functions.history import HistoryProjection, moment_text
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventRaised,
    EventRefused,
    EventTaken,
    HistoryEvent,
    OrchestratorStarted,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TimerCreated,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, MessageId

START = OrchestratorStarted(timestamp=1_000_000)


def _shown(*events: HistoryEvent) -> list[dict[str, object]]:
    projection = HistoryProjection(show_input=False, show_output=False)
    projection.take([START, *events])
    return projection.events


def test_a_result_without_its_schedule_is_shown_all_the_same() -> None:
    shown = _shown(TaskCompleted(task_scheduled_id=7, result="1"))
    assert shown == [{"EventType": "TaskCompleted", "Timestamp": "1970-01-01T00:00:01.000000Z"}]


def test_a_failure_shows_its_properties() -> None:
    inner = FailureDetails("SoldOut", "no seat", properties={"seat": "1a"})
    shown = _shown(TaskFailed(7, FailureDetails("Failed", "no", inner_failure=inner)))
    details = cast("dict[str, dict[str, object]]", shown[0]["FailureDetails"])
    assert "Properties" not in details
    assert details["InnerFailure"]["Properties"] == {"seat": "1a"}


def test_a_failure_shows_its_notes_and_what_was_being_handled() -> None:
    mistake = FailureDetails(
        "KeyError", "'x'", None, FailureDetails("SoldOut", "no"), notes=("a",), while_handling=True
    )
    details = cast("dict[str, object]", _shown(TaskFailed(7, mistake))[0]["FailureDetails"])
    assert (details["WhileHandling"], details["Notes"]) == (True, ["a"])
    assert (
        not {"WhileHandling", "Notes"} & cast("dict[str, object]", details["InnerFailure"]).keys()
    )


def test_what_was_given_up_is_hidden_with_what_it_gave_up() -> None:
    assert _shown(TimerCreated(event_id=1, fire_at=5), TaskCanceled(task_id=1)) == []


def test_what_is_ours_alone_is_hidden_with_the_timer_of_a_wait_that_is_over() -> None:
    for end in (EventTaken(1), TaskCanceled(1)):
        wait = (EventAwaited(1, "paid"), TimerCreated(2, 5, "timeout", 1))
        shown = _shown(
            *wait, EventRaised("paid"), EventRefused(3, "paid", MessageId("m"), "why"), end
        )
        assert [one["EventType"] for one in shown] == ["EventRaised"]


def test_a_generation_that_ended_says_so() -> None:
    shown = _shown(ContinueAsNew(execution_id=ExecutionId("x"), input="1"))
    assert shown[0]["OrchestrationStatus"] == "ContinuedAsNew"
    assert "Input" not in shown[0]


def test_moments_keep_their_microseconds() -> None:
    assert moment_text(1_700_000_000_123_456) == "2023-11-14T22:13:20.123456Z"
