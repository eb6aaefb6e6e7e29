"""A run in plain lines: each thing once, in the order of time."""

from msgspec import structs

from tenuto.cli.picture.progress import Progress
from tenuto.model.events import (
    EventAwaited,
    EventRaised,
    EventSent,
    EventTaken,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import InstanceId
from tests.support.runs import activities, at, opening, running, turn, with_child

SOLD_OUT = FailureDetails("SoldOut", "no seat")


def test_each_change_is_told_once_with_the_time_since_the_beginning() -> None:
    progress = Progress()
    call = opening(TaskScheduled(1, "book"))
    assert progress.lines(running(call)) == ["        0 ms  started    book#1"]
    assert progress.lines(running(call)) == []
    done = running(call, turn(2, TaskCompleted(1)))
    assert progress.lines(done) == ["       2.0 s  completed  book#1  (2.0 s)"]
    assert progress.lines(done) == []


def test_a_step_seen_only_at_its_end_has_one_line() -> None:
    run = running(opening(TaskScheduled(1, "book")), turn(1, TaskFailed(1, SOLD_OUT)))
    assert Progress().lines(run) == ["       1.0 s  failed     book#1  SoldOut: no seat  (1.0 s)"]


def test_a_hold_is_told_when_it_comes() -> None:
    progress = Progress()
    run = running(opening(EventAwaited(1, "go")))
    progress.lines(run)
    hold = Hold(reason=HoldReason.NOT_SERVED, message="no orchestrator 'x'", since=at(2))
    held = structs.replace(run, record=structs.replace(run.record, hold=hold))
    assert progress.lines(held) == ["       2.0 s  held       not_served: no orchestrator 'x'"]
    assert progress.lines(held) == []
    assert progress.lines(run) == []


def test_attempts_are_told_one_by_one() -> None:
    history = [opening(TaskScheduled(1, "book"))]
    progress = Progress()
    told = progress.lines(running(*history))
    history.append(turn(1, TaskFailed(1, SOLD_OUT), TimerCreated(2, at(3), "retry", 1)))
    told += progress.lines(running(*history))
    history.append(turn(3, TimerFired(2, at(3)), TaskScheduled(3, "book", None, 2, 1)))
    told += progress.lines(running(*history))
    assert told == [
        "        0 ms  started    book#1",
        "       1.0 s  retrying   book#1  SoldOut: no seat  (again in 2.0 s)",
        "       3.0 s  started    book#1  attempt 2, after SoldOut: no seat",
    ]


def test_waits_and_arrivals_have_words_of_their_own() -> None:
    progress = Progress()
    begun = opening(EventSent(1, InstanceId("b"), "hello"), EventAwaited(2, "paid"))
    assert progress.lines(running(begun)) == [
        "        0 ms  sent       event 'hello' to b",
        "        0 ms  waiting    event 'paid'",
    ]
    begun = turn(5, EventRaised("Paid"), EventRaised("paid"), EventTaken(2))
    arrived = running(
        opening(EventSent(1, InstanceId("b"), "hello"), EventAwaited(2, "paid")), begun
    )
    assert progress.lines(arrived) == [
        "       5.0 s  received   event 'paid'  (5.0 s)",
        "       5.0 s  received   event 'paid'",
    ]


def test_the_steps_of_children_say_whose_they_are() -> None:
    child = activities(2, done=1)
    lines = Progress().lines(with_child(child, done=False))
    assert lines == [
        "        0 ms  started    pay#1  trip-1",
        "        0 ms  started    pay#1 > charge#2",
        "       1.0 s  completed  pay#1 > charge#1  (1.0 s)",
    ]


def test_what_was_seen_of_one_child_is_not_taken_for_anothers() -> None:
    child = activities(1, done=1)
    run = with_child(child, done=False)
    (step,) = run.steps
    both = structs.replace(run, steps=[step, structs.replace(step, number=2)])
    assert [line for line in Progress().lines(both) if "charge" in line] == [
        "       1.0 s  completed  pay#1 > charge#1  (1.0 s)",
        "       1.0 s  completed  pay#2 > charge#1  (1.0 s)",
    ]


def test_calls_of_one_function_are_told_apart() -> None:
    lines = Progress().lines(activities(2, done=1))
    assert lines == [
        "        0 ms  started    charge#2",
        "       1.0 s  completed  charge#1  (1.0 s)",
    ]


def test_what_was_given_up_is_called_so_once() -> None:
    run = running(
        opening(TaskScheduled(1, "ask"), TimerCreated(2, at(60))),
        turn(2, TaskCanceled(1), TaskCanceled(2)),
    )
    assert Progress().lines(run) == [
        "       2.0 s  canceled   ask#1  (2.0 s)",
        "       2.0 s  canceled   timer 1 min 00 s  (2.0 s)",
    ]
