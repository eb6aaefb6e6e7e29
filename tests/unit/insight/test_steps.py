"""From histories to steps: what began and ended when, and what is waited for."""

import pytest

from tenuto.cli.picture.items import step_detail
from tenuto.insight.labels import step_label
from tenuto.insight.steps import Attempt, Run, Step, StepKind, StepState, Story, nested, run_of
from tenuto.model.events import (
    EventAwaited,
    EventPublished,
    EventRaised,
    EventRefused,
    EventSent,
    EventTaken,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    HistoryEvent,
    MessageQueued,
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
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.status import RuntimeStatus
from tenuto.model.topics import wait_name
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
        opening(EventSent(1, InstanceId("other-1"), "hello")),
        turn(2, EventRaised("paid"), EventRaised("paid")),
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
PAUSE = turn(1, TaskFailed(1, SOLD_OUT), TimerCreated(2, at(3), "retry", 1))
SECOND = turn(3, TimerFired(2, at(3)), TaskScheduled(3, "book", None, 2, 1))


def test_attempts_are_one_step_and_the_timer_between_them_is_none() -> None:
    step = only(running(FIRST, PAUSE, SECOND))
    assert (step.state, step.attempt, step.failure) == (StepState.RUNNING, 2, SOLD_OUT)
    assert (step.begun_at, step.changed_at, step.ended_at) == (at(0), at(3), None)
    done = only(running(FIRST, PAUSE, SECOND, turn(4, TaskCompleted(3))))
    assert (done.state, done.attempt, done.ended_at) == (StepState.COMPLETED, 2, at(4))


def test_a_pause_between_attempts_belongs_to_the_step() -> None:
    step = only(running(FIRST, PAUSE))
    assert (step.state, step.due_at, step.ended_at) == (StepState.RETRYING, at(3), None)
    assert step.failure == SOLD_OUT
    given_up = only(running(FIRST, PAUSE, turn(2, TaskCanceled(2))))
    assert (given_up.state, given_up.ended_at) == (StepState.CANCELED, at(2))


def test_attempts_of_a_child_are_one_step_too() -> None:
    run = running(
        opening(child_call(1, "pay-1")),
        turn(1, SubOrchestrationInstanceFailed(1, SOLD_OUT), TimerCreated(2, at(3), "retry", 1)),
        turn(
            3,
            TimerFired(2, at(3)),
            SubOrchestrationInstanceCreated(
                3, "pay", InstanceId("pay-2"), ExecutionId("e"), attempt=2, call_id=1
            ),
        ),
    )
    step = only(run)
    assert (step.kind, step.attempt, step.instance_id) == (StepKind.CHILD, 2, "pay-2")
    assert (step.state, step.failure) == (StepState.RUNNING, SOLD_OUT)


def test_a_timer_of_the_orchestrators_own_stays_beside_the_attempts() -> None:
    own = opening(TaskScheduled(1, "book"), TimerCreated(9, at(3)))
    run = running(own, PAUSE, turn(3, TimerFired(9, at(3)), *SECOND[1:]))
    assert [(step.kind, step.number) for step in run.steps] == [
        (StepKind.ACTIVITY, 1),
        (StepKind.TIMER, 9),
    ]


# --- waiting for events ------------------------------------------------------------------------

AWAITED = opening(EventAwaited(1, "paid"), TimerCreated(2, at(9), "timeout", 1))


def test_a_wait_and_its_time_limit_are_one_step() -> None:
    step = only(running(AWAITED))
    assert (step.kind, step.name, step.state) == (StepKind.EVENT, "paid", StepState.WAITING)
    assert (step.begun_at, step.due_at, step.ended_at) == (at(0), at(9), None)


@pytest.mark.parametrize(
    ("end", "state", "is_expired"),
    [
        (turn(5, EventRaised("PAID"), EventTaken(1)), StepState.COMPLETED, False),
        (turn(5, TimerFired(2, at(9))), StepState.CANCELED, True),
        (turn(5, TaskCanceled(1)), StepState.CANCELED, False),
    ],
)
def test_a_wait_ends_as_one_step(
    end: list[HistoryEvent], state: StepState, is_expired: bool
) -> None:
    step = only(running(AWAITED, end))
    assert (step.state, step.is_expired, step.ended_at) == (state, is_expired, at(5))


def test_an_event_that_was_refused_is_a_step_and_the_wait_goes_on() -> None:
    refused = EventRefused(3, "paid", MessageId("m"), "does not fit")
    wait, event = running(AWAITED, turn(5, EventRaised("paid", "1"), refused)).steps
    assert (wait.number, wait.state) == (1, StepState.WAITING)
    assert (event.state, event.ended_at) == (StepState.FAILED, at(5))
    assert event.failure is not None
    assert event.failure.error_message == "does not fit"


def test_an_event_of_a_topic_that_was_put_aside_is_a_step_and_the_wait_goes_on() -> None:
    name = wait_name(ExecutionId("exec"), 1)
    refused = EventRefused(2, name, MessageId("m"), "does not fit")
    awaited = opening(TopicAwaited(1, "flights", "rome"))
    news = turn(5, EventRaised(name, "1"), refused, TopicAwaited(1, "flights", "rome", 7))
    wait, event = running(awaited, news).steps
    assert (wait.number, wait.state) == (1, StepState.WAITING)
    assert (event.state, event.ended_at) == (StepState.FAILED, at(5))
    assert step_label(wait) == step_label(event) == "event of topic 'flights' with key 'rome'"
    wait, event = running(awaited, news, turn(6, EventRaised(name, "2"), EventTaken(1))).steps
    assert (wait.state, event.state) == (StepState.COMPLETED, StepState.FAILED)


def test_a_wait_for_a_topic_takes_no_event_of_its_name() -> None:
    """Which is one that somebody has raised on the instance itself."""
    awaited = opening(TopicAwaited(1, "flights", "rome"))
    found = EventRaised(wait_name(ExecutionId("exec"), 1), "1")
    run = running(awaited, turn(5, EventRaised("flights"), found, EventTaken(1)))
    assert [step.name for step in run.steps] == ["flights", "flights"]


def test_what_goes_to_topics_and_queues_says_where() -> None:
    run = running(
        opening(
            EventPublished(1, "reports", "1", "rome"),
            EventPublished(2, "reports"),
            MessageQueued(3, "plates", at(1)),
            EventSent(4, InstanceId("other-1"), "hello"),
        )
    )
    assert [step_label(step) for step in run.steps] == [
        "event to topic 'reports', with key 'rome'",
        "event to topic 'reports'",
        "message to queue 'plates'",
        "event 'hello' to other-1",
    ]


@pytest.mark.parametrize("status", [RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED])
def test_an_event_that_nobody_has_asked_for_is_no_success(status: RuntimeStatus) -> None:
    """Of two with one name the younger is left: the wait was given the older."""
    start = ExecutionStarted("pay", ExecutionId("exec"), runtime="python 3.11")
    history = [
        [*opening(), start, EventAwaited(1, "paid")],
        turn(2, EventRaised("piad"), EventRaised("paid"), EventTaken(1)),
        turn(3, EventRaised("Paid")),
    ]
    run = run_of(record(status), history, [EventRaised("old")])
    assert [(step.name, step.state) for step in run.steps] == [
        ("old", StepState.UNREAD),
        ("paid", StepState.COMPLETED),
        ("piad", StepState.UNREAD),
        ("Paid", StepState.UNREAD),
    ]
    assert step_detail(run.steps[0]) == "came when nobody waited for it"


def test_programs_that_keep_their_waits_to_themselves_have_no_unread_events() -> None:
    assert only(running(turn(2, EventRaised("paid")))).state is StepState.COMPLETED


def test_events_of_which_history_lacks_the_arrival_are_told_as_far_as_they_go() -> None:
    """Those that came a generation ago."""
    assert (
        running(opening(EventRefused(1, "paid", MessageId("m"), "why"), EventTaken(9))).steps == []
    )


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


# --- attempts and turns, each by itself ----------------------------------------------------------


def test_each_attempt_keeps_when_it_began_and_ended_and_why_it_failed() -> None:
    step = only(running(FIRST, PAUSE, SECOND, turn(5, TaskCompleted(3))))
    assert step.attempts == [
        Attempt(attempt=1, begun_at=at(0), ended_at=at(1), failure=SOLD_OUT),
        Attempt(attempt=2, begun_at=at(3), ended_at=at(5)),
    ]
    assert (step.turn, step.ended_turn) == (1, 4)


def test_in_the_pause_between_two_attempts_none_goes_on_and_the_step_has_no_end() -> None:
    step = only(running(FIRST, PAUSE))
    assert [one.ended_at for one in step.attempts] == [at(1)]
    assert (step.state, step.ended_at, step.ended_turn) == (StepState.RETRYING, None, None)


def test_an_attempt_that_is_given_up_ends_with_the_orchestration() -> None:
    step = only(completed(opening(TaskScheduled(1, "book"))))
    assert step.attempts == [Attempt(attempt=1, begun_at=at(0), ended_at=at(4))]
    assert (step.state, step.ended_turn) == (StepState.CANCELED, 1)


def test_what_was_left_by_an_earlier_generation_is_of_no_turn() -> None:
    (step,) = run_of(record(), [opening()], [EventRaised("paid")]).steps
    assert (step.turn, step.ended_turn) == (0, 0)


def test_a_run_that_was_told_does_not_change_when_the_story_goes_on() -> None:
    story = Story(record().created_at)
    story.read(FIRST)
    before = story.told(record())
    story.read(PAUSE)
    story.read(turn(2, EventRaised("paid")))
    after = story.told(record())
    assert before.steps == running(FIRST).steps
    assert [step.state for step in after.steps] == [StepState.RETRYING, StepState.COMPLETED]
    story.read(turn(4, EventAwaited(5, "other")))
    assert story.told(record()).steps[0].attempts is not after.steps[0].attempts
