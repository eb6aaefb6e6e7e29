"""The turn as a pure function: what the integration tests cannot set up."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from tenuto.engine.ports import Session
from tenuto.engine.state import InstanceState, OpenWork
from tenuto.engine.turns.orchestration import TurnRules, take_turn
from tenuto.engine.turns.step import Step
from tenuto.model.actions import TurnActions
from tenuto.model.errors import WebhookClosedError
from tenuto.model.events import (
    EventAwaited,
    EventRaised,
    EventRefused,
    EventTaken,
    Incoming,
    OrchestratorStarted,
    TaskCanceled,
    TaskCompleted,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId, MemoryId, MessageId
from tenuto.model.limits import Limits
from tenuto.model.messages import (
    RaiseEvent,
    RedeemWebhook,
    Suspend,
    TaskResult,
    Terminate,
    TimerDue,
)
from tenuto.model.status import ParentInstance, RuntimeStatus
from tenuto.model.webhook import OpenWebhook
from tests.support.facts import facts

EXECUTION = ExecutionId("e")

NOW = 1_000_000
RULES = TurnRules(Limits(), "python 3.11", lambda _root: 10)


class Recorder:
    """A session that decides nothing and remembers what it was fed."""

    def __init__(self) -> None:
        self.fed: list[tuple[int, Sequence[Incoming]]] = []

    def run_turn(
        self, timestamp: int, events: Sequence[Incoming], *, replaying: bool = False
    ) -> TurnActions:
        self.fed.append((timestamp, events))
        return TurnActions([])

    def close(self) -> int:
        return 0


def never() -> Session:
    raise AssertionError("no user code is to run")


def waiting(*timers: tuple[int, int]) -> InstanceState:
    """A running instance with open timers (id, due)."""
    return InstanceState(
        iid=1,
        partition=0,
        created_at=0,
        facts=facts("i", "e", "sleeper"),
        status=RuntimeStatus.RUNNING,
        next_turn=1,
        last_time=NOW,
        work=OpenWork(timers=dict(timers)),
    )


def due(task_id: int, fire_at: int) -> TimerDue:
    """The message that a timer has come due."""
    return TimerDue(execution_id=EXECUTION, event=TimerFired(task_id, fire_at))


def started(turn: Step) -> int:
    """The time that a turn records."""
    first = turn.events[0]
    assert isinstance(first, OrchestratorStarted)
    return first.timestamp


def test_a_turn_is_never_earlier_than_the_timer_that_fires_in_it() -> None:
    """ENGINE rule 21: the host's clock may have been set back since."""
    session = Recorder()
    state = waiting((1, NOW + 500), (2, NOW + 900))
    turn = take_turn(
        state, [due(1, NOW + 500), due(2, NOW + 900)], lambda: session, NOW - 100, RULES
    )
    assert started(turn) == NOW + 900
    assert [event for _, events in session.fed for event in events] == [
        TimerFired(1, NOW + 500),
        TimerFired(2, NOW + 900),
    ]
    assert not state.work.timers


def test_a_timer_fires_at_the_time_that_it_is_set_for() -> None:
    state = waiting((1, NOW + 500))
    assert not take_turn(state, [due(1, NOW)], never, NOW, RULES).events
    assert take_turn(state, [due(1, NOW + 500)], Recorder, NOW + 500, RULES).events


def test_a_turn_is_strictly_later_than_the_one_before() -> None:
    session = Recorder()
    turn = take_turn(waiting((1, NOW)), [due(1, NOW)], lambda: session, NOW - 5, RULES)
    assert started(turn) == NOW + 1


def test_a_timer_that_comes_due_behind_a_suspension_is_not_kept_but_derived_again() -> None:
    session = Recorder()
    state = waiting((1, NOW))
    turn = take_turn(
        state, [Suspend(message_id=MemoryId(1)), due(1, NOW)], lambda: session, NOW + 5, RULES
    )
    assert state.status is RuntimeStatus.SUSPENDED
    assert turn.inbox.held == []
    assert len(turn.inbox.taken) == 2
    assert state.work.timers == {1: NOW}


def test_a_webhook_is_decided_also_for_an_instance_that_must_wait_for_another_app() -> None:
    """Whoever uses it gets an answer now; what was accepted waits as the event it raises."""
    state = waiting((1, NOW + 500))
    state.work.webhooks["d"] = OpenWebhook("paid", "d", NOW + 10)
    requests = [
        RedeemWebhook(message_id=MessageId(name), digest="d", requested_at=NOW, input="1")
        for name in "ab"
    ]
    hold = Hold(HoldReason.NOT_SERVED, "not here", NOW)
    turn = take_turn(state, [due(1, NOW + 500), *requests], never, NOW, RULES, hold)
    assert turn.inbox.held == [
        RaiseEvent(message_id=MessageId("a"), event=EventRaised("paid", "1", "d"))
    ]
    (refusal,) = turn.inbox.refused
    assert refusal.message_id == "b"
    assert isinstance(refusal.error, WebhookClosedError)
    assert turn.inbox.taken == [requests[1], due(1, NOW + 500)]
    assert not turn.events
    assert state.hold is hold
    assert state.wake_at is None


def test_history_tells_which_events_are_awaited_and_until_when() -> None:
    state = waiting()
    work = state.work
    state.apply(
        [
            EventAwaited(1, "paid"),
            TimerCreated(2, NOW, "timeout", 1),
            EventAwaited(3, "sent"),
            TimerCreated(4, NOW + 5, "timeout", 3),
            EventAwaited(5, "lost"),
            TimerCreated(6, NOW + 9, "timeout", 5),
            EventAwaited(7, "open"),
            TimerCreated(8, NOW + 7, "retry", 9),
        ]
    )
    assert [(wait.name, wait.timer_id) for wait in work.awaits.values()] == [
        ("paid", 2),
        ("sent", 4),
        ("lost", 6),
        ("open", None),
    ]
    state.apply([EventRaised("paid"), EventRaised("sent")])
    state.apply([EventTaken(1), EventRefused(10, "sent", MessageId("m"), "why"), TaskCanceled(5)])
    assert list(work.awaits) == [3, 7]
    assert work.timers == {4: NOW + 5, 8: NOW + 7}
    state.apply([TimerFired(4, NOW + 5), EventTaken(7), TaskCanceled(8)])
    assert (work.awaits, work.timers, work.deadlines) == ({}, {}, {})


@pytest.mark.parametrize(
    ("parent", "is_ended"),
    [
        (ParentInstance(InstanceId("p"), ExecutionId("e0"), "parent", 4), True),
        (ParentInstance(InstanceId("p"), ExecutionId("e0"), "parent", 5), False),
        (ParentInstance(InstanceId("p"), ExecutionId("e1"), "parent", 4), False),
        (None, False),
    ],
)
def test_a_parent_ends_its_own_child_and_nobody_who_has_taken_its_id(
    parent: ParentInstance | None, is_ended: bool
) -> None:
    state = waiting((1, NOW))
    state.facts = structs.replace(state.facts, parent=parent)
    word = Terminate(
        message_id=MessageId("m"), reason='"why"', child_of=ExecutionId("e0"), task_id=4
    )
    turn = take_turn(state, [word], Recorder, NOW, RULES)
    assert state.is_finished is is_ended
    assert turn.inbox.taken == [word]
    assert turn.inbox.refused == []


def test_an_answer_counts_for_the_attempt_that_asked() -> None:
    """ENGINE rules 16 and 17: not for another attempt, another execution, or a second time."""
    state = waiting()
    state.apply([TaskScheduled(5, "work")])
    sequence = state.work.activities[5].sequence

    def answered(**changes: Any) -> Step:
        answer = TaskResult(
            execution_id=state.facts.execution_id, sequence=sequence, event=TaskCompleted(5, "1")
        )
        changed = structs.replace(answer, **changes)
        return take_turn(state, [changed], Recorder, NOW, RULES)

    assert not answered(sequence=sequence + 1).events
    assert not answered(execution_id="another").events
    assert not answered(event=TaskCompleted(6, "1")).events
    assert answered().events[1:] == [TaskCompleted(5, "1")]
    assert not answered().events
