"""What turns mean for topics and queues: what they publish, and the rows of what they wait for."""

import json
from collections.abc import Sequence

from msgspec import Raw

from tenuto.engine.batch import Batch
from tenuto.engine.ports import Session
from tenuto.engine.rows import ALL_TOPIC_WAITS, TopicWaitRow
from tenuto.engine.state import InstanceState, OpenWork
from tenuto.engine.turns.orchestration import TurnRules, failed_turn, seed, take_turn
from tenuto.engine.turns.step import Step
from tenuto.model.actions import Action, TurnActions
from tenuto.model.events import (
    ContinueAsNew,
    EventPublished,
    EventRaised,
    EventTaken,
    ExecutionCompleted,
    ExecutionStarted,
    Incoming,
    MessageQueued,
    TaskCanceled,
    TimerCreated,
    TimerFired,
    TopicAwaited,
    TopicPlace,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, MemoryId
from tenuto.model.limits import Limits
from tenuto.model.messages import Message, RaiseEvent, Start, TimerDue
from tenuto.model.status import RuntimeStatus
from tenuto.model.topics import PublishedEvent, QueuedMessage, wait_name
from tests.support.facts import facts

NOW = 1_000_000
RULES = TurnRules(Limits(), "python 3.11", lambda _root: 10)
OVER = TopicWaitRow(7, ALL_TOPIC_WAITS, 3, None)


class Decides:
    """A session that decides these actions."""

    def __init__(self, *actions: Action) -> None:
        self._actions = [*actions]

    def run_turn(
        self, timestamp: int, events: Sequence[Incoming], *, replaying: bool = False
    ) -> TurnActions:
        return TurnActions(self._actions)

    def close(self) -> int:
        return 0


def running() -> InstanceState:
    return InstanceState(
        iid=7,
        partition=3,
        created_at=0,
        facts=facts("i", "e", "waits"),
        status=RuntimeStatus.RUNNING,
        next_turn=1,
        last_time=NOW - 5,
        work=OpenWork(),
    )


def turn(state: InstanceState, *actions: Action, message: Message | None = None) -> Step:
    session: Session = Decides(*actions)
    given = message or RaiseEvent(message_id=MemoryId(1), event=EventRaised("go"))
    return take_turn(state, [given], lambda: session, NOW, RULES)


def rows(step: Step) -> list[TopicWaitRow]:
    return [*step.topic_waits]


def test_what_a_turn_publishes_and_queues_is_among_its_effects() -> None:
    step = turn(
        running(),
        EventPublished(1, "orders", '{"id":7}', "k", "order.placed", "order/7", {"a": "b"}),
        MessageQueued(2, "plates", NOW + 9, "[1]"),
        EventPublished(3, "orders"),
        MessageQueued(4, "plates", NOW),
    )
    first, second = step.effects.published
    assert json.loads(bytes(first.event)) == {
        "data": {"id": 7},
        "type": "order.placed",
        "source": "instance/i",
        "subject": "order/7",
        "attributes": {"a": "b"},
    }
    assert first == PublishedEvent("e-1", "orders", "k", NOW, "instance:i", 7, first.event)
    assert json.loads(bytes(second.event)) == {"source": "instance/i"}
    assert step.effects.queued == [
        QueuedMessage("e-2", "plates", NOW + 9, NOW, "instance:i", 7, "[1]"),
        QueuedMessage("e-4", "plates", 0, NOW, "instance:i", 7, "null"),
    ]
    assert rows(step) == []


def test_a_wait_is_a_row_from_its_turn_until_it_is_over() -> None:
    state = running()
    step = turn(state, TopicAwaited(1, "flights", "k"), TopicAwaited(2, "hotels", "j", 5))
    assert rows(step) == [
        TopicWaitRow(7, 1, 3, "flights", "k", 0),
        TopicWaitRow(7, 2, 3, "hotels", "j", 5),
    ]
    assert state.work.awaits[1].name == wait_name("e", 1)
    assert rows(turn(state)) == []  # told once
    assert rows(turn(state, EventTaken(1))) == [TopicWaitRow(7, 1, 3, None)]
    assert rows(turn(state, TaskCanceled(2))) == [TopicWaitRow(7, 2, 3, None)]
    assert state.work.awaits == {}


def test_a_wait_ends_with_its_timer() -> None:
    state = running()
    turn(state, TopicAwaited(1, "flights", "k"), TimerCreated(2, NOW + 5, "timeout", 1))
    fired = TimerDue(execution_id=ExecutionId("e"), event=TimerFired(2, NOW + 5))
    session: Session = Decides()
    step = take_turn(state, [fired], lambda: session, NOW + 5, RULES)
    assert rows(step) == [TopicWaitRow(7, 1, 3, None)]


def test_a_wait_that_goes_on_keeps_its_timer() -> None:
    state = running()
    turn(state, TopicAwaited(1, "flights", "k"), TimerCreated(2, NOW + 5, "timeout", 1))
    step = turn(state, TopicAwaited(1, "flights", "k", 9))
    assert rows(step) == [TopicWaitRow(7, 1, 3, "flights", "k", 9)]
    assert state.work.deadlines == {2: 1}
    turn(state, EventTaken(1))
    assert (state.work.timers, state.work.deadlines) == ({}, {})


def test_whatever_is_waited_for_is_over_with_the_execution() -> None:
    state = running()
    turn(state, TopicAwaited(1, "flights", "k"))
    assert rows(turn(state, ExecutionCompleted(RuntimeStatus.COMPLETED))) == [OVER]
    # Begun and left in one turn, too, and nothing when nothing is waited for.
    both = (TopicAwaited(1, "flights", "k"), ExecutionCompleted(RuntimeStatus.COMPLETED))
    assert rows(turn(running(), *both)) == [OVER]
    assert rows(turn(running(), ExecutionCompleted(RuntimeStatus.COMPLETED))) == []
    # The row of one that ends in the last turn goes with it.
    taking = running()
    turn(taking, TopicAwaited(1, "flights", "k"))
    last = (EventTaken(1), ExecutionCompleted(RuntimeStatus.COMPLETED))
    assert rows(turn(taking, *last)) == [OVER]
    failing = running()
    turn(failing, TopicAwaited(1, "flights", "k"))
    assert rows(failed_turn(failing, [], FailureDetails("E", "no"), NOW)) == [OVER]


def test_the_next_generation_begins_with_the_places() -> None:
    state = running()
    turn(state, TopicAwaited(1, "flights", "k"))
    places = (TopicPlace("flights", "k", 5),)
    step = turn(state, ContinueAsNew(ExecutionId("e2"), places=places))
    assert rows(step) == [OVER]
    assert state.facts.execution_id == "e2"
    (opening,) = seed(state, ContinueAsNew(ExecutionId("e2"), places=places), "python 3.11")
    assert isinstance(opening, Start)
    assert opening.event.places == places


def test_events_of_waits_are_not_counted_as_early_ones() -> None:
    """They are unread by nobody: the topic has them still."""
    state = running()
    turn(state, TopicAwaited(1, "flights", "k"))
    event = EventRaised(wait_name("e", 1), "{}")
    turn(state, EventTaken(1), message=RaiseEvent(message_id=MemoryId(2), event=event))
    turn(state, message=RaiseEvent(message_id=MemoryId(3), event=event))
    assert {one.name for one in (state.work.early or {}).values()} == {"go"}


def test_what_is_read_again_is_no_news() -> None:
    state = running()
    state.follow([[ExecutionStarted("waits", ExecutionId("e")), TopicAwaited(1, "flights", "k")]])
    assert state.work.topics is None
    assert state.work.awaits[1].topic == TopicAwaited(1, "flights", "k")


def test_of_one_wait_a_batch_has_the_last_word() -> None:
    batch = Batch()
    begun, on, other = (
        TopicWaitRow(7, 1, 3, "flights", "k", 0),
        TopicWaitRow(7, 1, 3, "flights", "k", 9),
        TopicWaitRow(8, 1, 3, "flights", "k", 0),
    )
    was_empty = batch.writes_nothing
    batch.change_topic_waits([begun, other])
    assert (was_empty, batch.writes_nothing) == (True, False)
    batch.change_topic_waits([on])
    assert [*batch.topic_waits.values()] == [on, other]
    batch.change_topic_waits([OVER, begun])
    assert [*batch.topic_waits.values()] == [other, OVER, begun]
    batch.change_topic_waits([OVER])
    assert [*batch.topic_waits.values()] == [other, OVER]


def test_what_is_too_heavy_is_seen_in_what_is_published() -> None:
    batch = Batch()
    long = Raw(b'"' + b"x" * 17_000_000 + b'"')
    batch.published.append(PublishedEvent("a", "orders", None, NOW, None, 7, long))
    refusal = batch.too_heavy()
    assert refusal is not None
    assert refusal.instances.keys() == {7}
    batch.published.clear()
    batch.queued.append(QueuedMessage("a", "plates", NOW, NOW, None, 8, "x" * 17_000_000))
    refusal = batch.too_heavy()
    assert refusal is not None
    assert refusal.instances.keys() == {8}
