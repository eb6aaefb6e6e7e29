"""What one step took in and brought out."""

import pytest

from tenuto.insight.step_events import StepEvent, StepEvents
from tenuto.model.events import (
    EventAwaited,
    EventRaised,
    EventRefused,
    EventTaken,
    HistoryEvent,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
    TopicAwaited,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import MessageId
from tenuto.model.topics import wait_name
from tests.support.runs import EXECUTION, at, opening, turn


def found(number: int, *turns: list[HistoryEvent], unread: list[EventRaised]) -> list[StepEvent]:
    events = StepEvents(number, at(0), unread)
    for one in turns:
        events.read(one)
    return events.found


def told(number: int, *turns: list[HistoryEvent]) -> list[HistoryEvent]:
    return [one.event for one in found(number, *turns, unread=[])]


def test_a_call_has_all_its_attempts_and_the_pauses_between_them() -> None:
    calls = TaskScheduled(1, "book", '"Oslo"'), TaskScheduled(2, "other")
    failed = TaskFailed(1, FailureDetails("OSError", "no line"))
    pause, over = TimerCreated(3, at(9), "retry", 1), TimerFired(3, at(9))
    again = TaskScheduled(4, "book", '"Oslo"', 2, 1)
    done = TaskCompleted(4, '"yes"')
    turns = (
        opening(*calls),
        turn(2, failed, pause, TaskCompleted(2, "0")),
        turn(9, over, again),
        turn(10, done),
    )
    assert told(1, *turns) == [calls[0], failed, pause, over, again, done]
    assert told(2, *turns) == [calls[1], TaskCompleted(2, "0")]
    assert told(99, *turns) == []
    (first, *_, last) = found(1, *turns, unread=[])
    assert (first.turn, first.at, last.turn, last.at) == (1, at(0), 4, at(10))


def test_a_wait_has_the_event_that_it_took_also_when_that_came_earlier() -> None:
    early, late = EventRaised("Paid", "1"), EventRaised("paid", "2")
    awaited = EventAwaited(1, "paid"), EventAwaited(2, "paid")
    turns = (
        opening(early),
        turn(2, *awaited, late, EventTaken(1)),
        turn(3, EventTaken(2)),
    )
    assert told(1, *turns) == [early, awaited[0], EventTaken(1)]
    assert told(2, *turns) == [awaited[1], late, EventTaken(2)]
    assert told(-2, *turns) == [late], "as it came"


def test_an_event_that_was_left_by_an_earlier_generation_has_no_turn() -> None:
    left = EventRaised("paid", "1")
    (raised, awaited, taken) = found(
        1, opening(EventAwaited(1, "paid")), turn(2, EventTaken(1)), unread=[left]
    )
    assert (raised.turn, raised.at, raised.event) == (0, at(0), left)
    assert (awaited.turn, taken.turn) == (1, 2)


def test_an_event_that_did_not_fit_is_not_what_the_wait_took() -> None:
    wrong, right = EventRaised("paid", '"x"'), EventRaised("paid", "2")
    refused = EventRefused(2, "paid", MessageId("m"), "no number")
    turns = opening(EventAwaited(1, "paid")), turn(2, wrong, refused), turn(3, right, EventTaken(1))
    assert told(1, *turns) == [EventAwaited(1, "paid"), right, EventTaken(1)]
    assert told(-1, *turns) == [wrong, refused]


@pytest.mark.parametrize("number", [1, -1])
def test_an_event_of_a_topic_says_itself_whose_it_is(number: int) -> None:
    raised = EventRaised(wait_name(EXECUTION, 1), '{"id":"e"}')
    awaited = TopicAwaited(1, "flights", "rome")
    turns = opening(awaited), turn(2, raised, EventTaken(1))
    wanted = [awaited, raised, EventTaken(1)] if number == 1 else [raised]
    assert told(number, *turns) == wanted
