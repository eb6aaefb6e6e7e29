"""Turns in words: what came in, and what was decided."""

from typing import get_args

import pytest

from tenuto.insight.turn_words import _HANDLERS, TurnWords, WordsOfTurns
from tenuto.model.events import (
    ContinueAsNew,
    Decision,
    Ending,
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
    Incoming,
    MessageQueued,
    QuestionAnswered,
    QuestionAsked,
    QuestionLinked,
    SubOrchestrationInstanceCompleted,
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
from tenuto.model.status import RuntimeStatus
from tenuto.model.topics import wait_name
from tests.support.runs import BEGAN, EXECUTION, at, child_call, opening, turn

SOLD_OUT = FailureDetails("SoldOut", "no seat")
TOPIC = wait_name(EXECUTION, 1)


def words(*turns: list[HistoryEvent]) -> list[TurnWords]:
    reads = WordsOfTurns(BEGAN)
    return [reads.read(one) for one in turns]


def last(*turns: list[HistoryEvent]) -> tuple[list[str], list[str]]:
    told = words(*turns)[-1]
    return list(told.arrived), list(told.decided)


def test_every_kind_of_event_has_its_words() -> None:
    assert set(_HANDLERS) == set(get_args(Incoming) + get_args(Decision) + get_args(Ending))


def test_a_turn_is_counted_from_one_and_has_its_time_and_the_number_of_its_events() -> None:
    first, second = words(opening(TaskScheduled(1, "book")), turn(2, TaskCompleted(1)))
    assert (first.turn, first.at, first.events) == (1, at(0), 2)
    assert (second.turn, second.at, second.events) == (2, at(2), 1)


def test_a_history_that_does_not_begin_a_turn_is_told_all_the_same() -> None:
    (told,) = words([TaskCompleted(9)])
    assert (told.at, told.arrived) == (BEGAN, ("completed #9",))


@pytest.mark.parametrize(
    ("before", "events", "arrived", "decided"),
    [
        ([], [ExecutionStarted("tour", EXECUTION)], ["began tour"], []),
        (
            [],
            [ExecutionStarted("tour", EXECUTION, generation=2)],
            ["began generation 2 of tour"],
            [],
        ),
        ([], [TaskScheduled(1, "book")], [], ["called book"]),
        ([], [TaskScheduled(3, "book", None, 2, 1)], [], ["called book, attempt 2"]),
        ([TaskScheduled(1, "book")], [TaskCompleted(1)], ["completed book"], []),
        (
            [TaskScheduled(1, "book")],
            [TaskFailed(1, SOLD_OUT), TimerCreated(2, at(3), "retry", 1)],
            ["failed book: SoldOut: no seat"],
            ["waits until 2026-01-01 00:00:03Z before the next attempt of book"],
        ),
        (
            [TaskScheduled(1, "book"), TimerCreated(2, at(3), "retry", 1)],
            [TimerFired(2, at(3))],
            ["the pause before the next attempt of book is over"],
            [],
        ),
        ([], [child_call(1, "pay-1")], [], ["called orchestration pay"]),
        ([], [child_call(1, "pay-1", detached=True)], [], ["started orchestration pay"]),
        (
            [child_call(1, "pay-1")],
            [SubOrchestrationInstanceCompleted(1)],
            ["completed pay"],
            [],
        ),
        (
            [TimerCreated(1, at(60))],
            [TimerFired(1, at(60)), TimerCreated(2, at(90), "poll")],
            ["the timer for 2026-01-01 00:01:00Z is over"],
            ["waits until 2026-01-01 00:01:30Z before an HTTP call asks again"],
        ),
        ([], [TimerCreated(1, at(60))], [], ["set a timer for 2026-01-01 00:01:00Z"]),
        (
            [],
            [TimerCreated(1, at(60), "timeout")],
            [],
            ["set the time limit: 2026-01-01 00:01:00Z"],
        ),
        (
            [EventAwaited(1, "paid")],
            [TimerCreated(2, at(60), "timeout", 1)],
            [],
            ["set the time limit of event 'paid': 2026-01-01 00:01:00Z"],
        ),
        ([], [EventAwaited(1, "paid")], [], ["waits for event 'paid'"]),
        (
            [EventAwaited(1, "paid")],
            [EventRaised("paid"), EventTaken(1)],
            ["event 'paid' came"],
            ["took event 'paid'"],
        ),
        (
            [TopicAwaited(1, "hotels", "7")],
            [EventRaised(TOPIC), EventRefused(2, TOPIC, MessageId("m"), "no int", 1)],
            ["event of topic 'hotels' with key '7' came"],
            ["put event of topic 'hotels' with key '7' aside: no int"],
        ),
        (
            [],
            [EventRefused(2, "paid", MessageId("m"), "no int", 1)],
            [],
            ["put 'paid' aside: no int"],
        ),
        ([], [QuestionAsked(1, "Ship?", Form(()))], [], ["asked 'Ship?'"]),
        (
            [QuestionAsked(1, "Ship?", Form(()))],
            [QuestionAnswered(1, at(2), "true", "Ada"), QuestionLinked(1, "d", "u"), EventTaken(1)],
            ["question 'Ship?' was answered by Ada"],
            ["took question 'Ship?'"],
        ),
        (
            [QuestionAsked(1, "Ship?", Form(()))],
            [QuestionAnswered(1, at(2)), TaskCanceled(1)],
            ["question 'Ship?' was answered"],
            ["gave up question 'Ship?'"],
        ),
        (
            [],
            [
                EventSent(1, InstanceId("other"), "hello"),
                EventPublished(2, "orders"),
                MessageQueued(3, "mails", at(1)),
                WebhookOpened(4, "paid", "digest", at(9)),
            ],
            [],
            [
                "sent event 'hello' to other",
                "published to topic 'orders'",
                "put a message into queue 'mails'",
                "opened a webhook for event 'paid'",
            ],
        ),
        (
            [],
            [ExecutionSuspended("lunch"), ExecutionResumed(), ExecutionFailed("no use")],
            ["was suspended: lunch", "was resumed", "was ended as failed: no use"],
            [],
        ),
        (
            [],
            [ExecutionTerminated(), ExecutionCompleted(RuntimeStatus.TERMINATED)],
            ["was terminated"],
            ["terminated"],
        ),
        (
            [],
            [ExecutionCompleted(RuntimeStatus.FAILED, None, SOLD_OUT)],
            [],
            ["failed: SoldOut: no seat"],
        ),
        ([], [ContinueAsNew(ExecutionId("next"))], [], ["continued as new"]),
    ],
)
def test_events_in_words(
    before: list[HistoryEvent],
    events: list[HistoryEvent],
    arrived: list[str],
    decided: list[str],
) -> None:
    assert last(turn(0, *before), turn(2, *events)) == (arrived, decided)
