"""The checker behind the fault tests finds what it looks for."""

from dataclasses import replace
from typing import Any

import pytest

from tenuto import FailureDetails, RuntimeStatus
from tenuto.model.events import (
    EventAwaited,
    EventTaken,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionSuspended,
    HistoryEvent,
    OrchestratorStarted,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.ids import ExecutionId
from tests.support.stored_histories import StoredInstance, StoredTurn, faults_of

STARTED = ExecutionStarted("book", ExecutionId("exec"))
TIMER = TimerCreated(1, 90)
ASKED = TaskScheduled(1, "a")
DONE = ExecutionCompleted(RuntimeStatus.COMPLETED, "1")


def turns(*events: list[HistoryEvent]) -> list[StoredTurn]:
    return [
        StoredTurn(0, number, [OrchestratorStarted(100 * (number + 1)), *rest])
        for number, rest in enumerate(events)
    ]


def instance(history: list[StoredTurn], **changes: Any) -> StoredInstance:
    row = {
        "instance_id": "trip",
        "status": RuntimeStatus.COMPLETED,
        "generation": 0,
        "execution_id": "exec",
        "output": "1",
        "failure": None,
        "completed_at": 200,
        "wake_at": None,
    }
    return StoredInstance(row | changes, history)


GOOD = turns(
    [STARTED, ASKED, TimerCreated(2, 150)],
    [TaskCompleted(1, "1"), TimerFired(2, 150), DONE],
)
# A wait that is bounded by a timer ends by what comes, by the timer, or is given up.
AWAITED: list[HistoryEvent] = [STARTED, EventAwaited(1, "go"), TimerCreated(2, 150, "timeout", 1)]
RUNNING = {"status": RuntimeStatus.RUNNING, "output": None, "completed_at": None}


def test_a_right_history_has_no_faults() -> None:
    assert faults_of(instance(GOOD)) == []
    assert faults_of(instance(GOOD[:1], wake_at=0, **RUNNING)) == []


@pytest.mark.parametrize("ended", [EventTaken(1), TaskCanceled(1), TimerFired(2, 150)])
def test_a_wait_and_the_timer_that_bounds_it_end_together(ended: HistoryEvent) -> None:
    assert faults_of(instance(turns(AWAITED, [ended, DONE]))) == []
    assert faults_of(instance(turns(AWAITED), wake_at=150, **RUNNING)) == []
    assert faults_of(instance(turns(AWAITED, [ended]), **RUNNING)) == []


@pytest.mark.parametrize(
    ("history", "fault"),
    [
        (turns([STARTED, ASKED], [TaskCompleted(1), TaskCompleted(1), DONE]), "1, w"),
        (turns([STARTED, ASKED], [TaskCompleted(1)], [TaskCompleted(1), DONE]), "1, w"),
        (turns([STARTED, ASKED], [TimerFired(1, 5), DONE]), "not open"),
        (turns([STARTED, TaskCompleted(7), DONE]), "not open"),
        (turns([STARTED, TIMER, TaskCanceled(1)], [TimerFired(1, 90), DONE]), "not open"),
        (turns([STARTED, ASKED, TimerCreated(1, 5)], [DONE]), "given twice"),
        (turns([STARTED, ASKED], [DONE]), "without answers to [1]"),
        (turns([STARTED, TaskCanceled(3), DONE]), "was not open"),
        (turns(AWAITED, [EventTaken(1), EventTaken(1), DONE]), "no open wait"),
        (turns(AWAITED, [TimerFired(2, 150), EventTaken(1), DONE]), "no open wait"),
        (turns(AWAITED, [EventTaken(1), TimerFired(2, 150), DONE]), "2, which is not open"),
        (turns([STARTED, ASKED], [EventTaken(1), DONE]), "no open wait"),
        (turns(AWAITED, [DONE]), "without answers to [1, 2]"),
        (turns([STARTED, TimerCreated(1, 500)], [TimerFired(1, 500), DONE]), "before its time"),
        (turns([STARTED], [DONE, ASKED, TaskCompleted(1)]), "goes on after its end"),
        (turns([STARTED, DONE], [DONE]), "2 ends"),
        (turns([STARTED], []), "0 ends"),
        (turns([STARTED], [STARTED, DONE]), "2 starts"),
        ([replace(GOOD[0], number=1), replace(GOOD[1], number=2)], "not gapless"),
        ([GOOD[0], replace(GOOD[1], generation=1)], "generations [1]"),
        ([replace(GOOD[0], generation=-1), replace(GOOD[1], number=0)], "was not deleted"),
        ([GOOD[0], StoredTurn(0, 1, [OrchestratorStarted(100), *GOOD[1].events[1:]])], "not after"),
        ([GOOD[0], StoredTurn(0, 1, GOOD[1].events[1:])], "begins with TaskCompleted"),
        ([GOOD[0], StoredTurn(0, 1, [*GOOD[1].events[:2], *GOOD[1].events])], "two beginnings"),
    ],
)  # fmt: skip
def test_a_wrong_history_is_found(history: list[StoredTurn], fault: str) -> None:
    assert any(fault in found for found in faults_of(instance(history)))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"output": "2"}, "row has output '2'"),
        ({"status": RuntimeStatus.FAILED}, "is Failed, history says Completed"),
        ({"failure": "{}"}, "disagree about a failure"),
        ({"wake_at": 0}, "wake_at 0"),
        ({"completed_at": None}, "completed_at None"),
        ({"execution_id": "other"}, "different executions"),
        (RUNNING, "is Running with 1 ends"),
    ],
)
def test_a_row_that_does_not_fit_its_history_is_found(changes: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults_of(instance(GOOD, **changes)))


@pytest.mark.parametrize(
    ("events", "changes", "fault"),
    [
        ([ASKED], {"wake_at": None}, "history says 0"),
        ([TimerCreated(1, 700)], {"wake_at": None}, "history says 700"),
        ([TimerCreated(1, 700), ExecutionSuspended()], {"wake_at": 700}, "suspended: True"),
        ([], {"wake_at": 0}, "history says None"),
        ([], {"wake_at": None, "status": RuntimeStatus.PENDING}, "Pending though it has begun"),
    ],
)
def test_a_row_that_would_never_wake_its_instance_is_found(
    events: list[HistoryEvent], changes: dict[str, Any], fault: str
) -> None:
    waiting = instance(turns([STARTED, *events]), **{**RUNNING, **changes})

    assert any(fault in found for found in faults_of(waiting))


def test_a_failure_in_history_must_stand_in_the_row() -> None:
    failed = ExecutionCompleted(RuntimeStatus.FAILED, None, FailureDetails("E", "why"))
    history = turns([STARTED, ASKED], [TaskFailed(1, FailureDetails("E", "why")), failed])
    row = {"status": RuntimeStatus.FAILED, "output": None}

    assert faults_of(instance(history, failure="{}", **row)) == []
    assert any("disagree" in fault for fault in faults_of(instance(history, **row)))
