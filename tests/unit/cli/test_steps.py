"""From histories to steps: what began and ended when, and what the history alone does not say."""

import pytest

from tenuto.cli.steps import Run, Step, StepKind, StepState, Waits, nested, run_of
from tenuto.model.events import (
    EventRaised,
    EventSent,
    ExecutionResumed,
    ExecutionSuspended,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.status import RuntimeStatus
from tests.support.runs import at, child_call, completed, opening, record, running, turn

SOLD_OUT = FailureDetails("SoldOut", "no seat")


def only(run: Run) -> Step:
    (step,) = run.steps
    return step


# --- one kind after the other ------------------------------------------------------------------


def test_an_activity_lasts_from_the_turn_that_called_it_to_the_turn_that_learned_of_its_end() -> (
    None
):
    step = only(running(opening(TaskScheduled(1, "book")), turn(2, TaskCompleted(1))))
    assert (step.kind, step.name, step.state) == (StepKind.ACTIVITY, "book", StepState.COMPLETED)
    assert (step.begun_at, step.ended_at, step.changed_at) == (at(0), at(2), at(2))


def test_an_activity_without_an_answer_is_running() -> None:
    run = running(opening(TaskScheduled(1, "book")))
    step = only(run)
    assert (step.state, step.ended_at) == (StepState.RUNNING, None)
    assert run.open_steps() == [step]


def test_a_failed_activity_keeps_its_failure() -> None:
    step = only(running(opening(TaskScheduled(1, "book")), turn(1, TaskFailed(1, SOLD_OUT))))
    assert (step.state, step.failure, step.ended_at) == (StepState.FAILED, SOLD_OUT, at(1))


def test_a_timer_waits_until_it_fires() -> None:
    waiting = only(running(opening(TimerCreated(1, at(60)))))
    assert (waiting.kind, waiting.state, waiting.due_at) == (
        StepKind.TIMER,
        StepState.WAITING,
        at(60),
    )
    fired = only(running(opening(TimerCreated(1, at(60))), turn(60, TimerFired(1, at(60)))))
    assert (fired.state, fired.ended_at) == (StepState.COMPLETED, at(60))


def test_what_was_canceled_ends_at_that_turn() -> None:
    history = opening(TimerCreated(1, at(60)), TaskScheduled(2, "book"))
    run = running(history, turn(5, EventRaised("paid"), TaskCanceled(1), TaskCanceled(2)))
    states = [(step.kind, step.state, step.ended_at) for step in run.steps]
    assert states == [
        (StepKind.TIMER, StepState.CANCELED, at(5)),
        (StepKind.ACTIVITY, StepState.CANCELED, at(5)),
        (StepKind.EVENT, StepState.COMPLETED, at(5)),
    ]


def test_events_that_arrive_and_are_sent_are_steps_of_no_length() -> None:
    run = running(
        opening(EventSent(1, "other-1", "hello")), turn(2, EventRaised("paid"), EventRaised("paid"))
    )
    sent, first, second = run.steps
    assert (sent.kind, sent.name, sent.instance_id) == (StepKind.MESSAGE, "hello", "other-1")
    assert (first.kind, first.begun_at, first.ended_at) == (StepKind.EVENT, at(2), at(2))
    assert first.number != second.number


def test_a_child_is_a_step_with_its_instance_id() -> None:
    call = opening(child_call(1, "pay-1"))
    going = only(running(call))
    assert (going.kind, going.instance_id, going.state) == (
        StepKind.CHILD,
        "pay-1",
        StepState.RUNNING,
    )
    assert only(running(call, turn(2, SubOrchestrationInstanceCompleted(1)))).ended_at == at(2)
    failed = only(running(call, turn(2, SubOrchestrationInstanceFailed(1, SOLD_OUT))))
    assert (failed.state, failed.failure) == (StepState.FAILED, SOLD_OUT)


def test_steps_stand_in_the_order_of_their_beginning() -> None:
    run = running(
        opening(TaskScheduled(1, "a"), TaskScheduled(2, "b")),
        turn(1, TaskCompleted(2), TaskScheduled(3, "c")),
        turn(2, TaskCompleted(1)),
    )
    assert [step.name for step in run.steps] == ["a", "b", "c"]


def test_answers_to_unknown_calls_and_other_events_are_no_steps() -> None:
    run = running(
        opening(), turn(1, ExecutionSuspended(), TaskCompleted(9)), turn(2, ExecutionResumed())
    )
    assert run.steps == []


# --- attempts ----------------------------------------------------------------------------------

FIRST = opening(TaskScheduled(1, "book"))
PAUSE = turn(1, TaskFailed(1, SOLD_OUT), TimerCreated(2, at(3)))
SECOND = turn(3, TimerFired(2, at(3)), TaskScheduled(3, "book", None, 2, 1))


def test_attempts_are_one_step_and_the_timer_between_them_is_none() -> None:
    step = only(running(FIRST, PAUSE, SECOND))
    assert (step.state, step.attempt, step.failure) == (StepState.RUNNING, 2, SOLD_OUT)
    assert (step.begun_at, step.changed_at, step.ended_at) == (at(0), at(3), None)
    done = only(running(FIRST, PAUSE, SECOND, turn(4, TaskCompleted(3))))
    assert (done.state, done.attempt, done.ended_at) == (StepState.COMPLETED, 2, at(4))


def test_a_pause_that_the_session_told_of_belongs_to_the_step() -> None:
    step = only(running(FIRST, PAUSE, waits=Waits(retry_pauses={2: 1})))
    assert (step.state, step.due_at, step.ended_at) == (StepState.RETRYING, at(3), None)
    assert step.failure == SOLD_OUT


def test_a_pause_that_nobody_told_of_is_a_timer() -> None:
    failed, timer = running(FIRST, PAUSE).steps
    assert (failed.state, timer.state) == (StepState.FAILED, StepState.WAITING)


def test_a_timer_of_the_orchestrators_own_stays_beside_the_attempts() -> None:
    own = opening(TaskScheduled(1, "book"), TimerCreated(9, at(3)))
    run = running(own, PAUSE, turn(3, TimerFired(9, at(3)), *SECOND[1:]))
    assert [(step.kind, step.number) for step in run.steps] == [
        (StepKind.ACTIVITY, 1),
        (StepKind.TIMER, 9),
    ]


def test_what_was_told_of_steps_that_are_not_committed_yet_is_ignored() -> None:
    assert only(running(FIRST, waits=Waits(retry_pauses={2: 1, 3: 8}))).state is StepState.RUNNING


# --- waiting for events ------------------------------------------------------------------------


def test_events_that_the_session_waits_for_are_steps() -> None:
    waits = Waits(events=(("paid", at(1)), ("sent", at(2))))
    run = running(opening(TaskScheduled(1, "book")), turn(1, TaskCompleted(1)), waits=waits)
    assert [(step.name, step.state, step.begun_at) for step in run.steps[1:]] == [
        ("paid", StepState.WAITING, at(1)),
        ("sent", StepState.WAITING, at(2)),
    ]


def test_a_run_without_open_work_waits_for_an_event_whose_name_nobody_knows() -> None:
    history = opening(TaskScheduled(1, "book"))
    assert only(running(history, waits=None)).kind is StepKind.ACTIVITY
    unknown = running(history, turn(1, TaskCompleted(1)), waits=None).steps[-1]
    assert (unknown.kind, unknown.name, unknown.state) == (StepKind.EVENT, "", StepState.WAITING)
    assert unknown.begun_at == at(1)


@pytest.mark.parametrize("status", [RuntimeStatus.PENDING, RuntimeStatus.SUSPENDED])
def test_an_instance_that_does_not_run_waits_for_no_event(status: RuntimeStatus) -> None:
    assert run_of(record(status), [opening()]).steps == []


# --- the end -----------------------------------------------------------------------------------


def test_at_the_end_open_work_is_given_up_but_not_what_nobody_waits_for() -> None:
    run = completed(
        opening(
            TaskScheduled(1, "book"),
            TimerCreated(2, at(60)),
            child_call(3, "pay-1"),
            child_call(4, "log-1", detached=True),
        ),
        ended=4,
    )
    assert [(step.state, step.ended_at) for step in run.steps] == [
        (StepState.CANCELED, at(4)),
        (StepState.CANCELED, at(4)),
        (StepState.CANCELED, at(4)),
        (StepState.RUNNING, None),
    ]
    assert run.open_steps() == []


def test_a_child_that_somebody_waits_for_has_the_state_that_its_caller_knows() -> None:
    step = only(running(opening(child_call(1, "pay-1"))))
    child = run_of(record(RuntimeStatus.COMPLETED, ended=2), [])
    both = nested(step, child)
    assert (both.run, both.state) == (child, StepState.RUNNING)
    assert step.run is None


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (RuntimeStatus.COMPLETED, StepState.COMPLETED),
        (RuntimeStatus.FAILED, StepState.FAILED),
        (RuntimeStatus.TERMINATED, StepState.FAILED),
    ],
)
def test_a_child_that_nobody_waits_for_has_the_state_of_its_own_row(
    status: RuntimeStatus, state: StepState
) -> None:
    step = only(running(opening(child_call(1, "log-1", detached=True))))
    ended = nested(step, run_of(record(status, ended=9, failure=SOLD_OUT), []))
    assert (ended.state, ended.ended_at, ended.failure) == (state, at(9), SOLD_OUT)
    given_up = only(completed(opening(child_call(1, "pay-1"))))
    going = nested(given_up, run_of(record(), []))
    assert (going.state, going.ended_at) == (StepState.RUNNING, None)
