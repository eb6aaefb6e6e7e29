"""Turns and sorting of what is paused or held, inboxes that are too long, and limits in bytes."""

import random
from collections.abc import Sequence

import pytest
from msgspec import structs

from tenuto.engine.ports import Session
from tenuto.engine.state import InstanceState, OpenWork, start_event
from tenuto.engine.turns.orchestration import TurnRules, failed_turn, take_turn
from tenuto.engine.turns.sorting import cut_inbox, sort_inbox
from tenuto.engine.turns.step import Step
from tenuto.model.actions import Action, TurnActions
from tenuto.model.errors import (
    InstanceFinishedError,
    InstanceStateError,
    NonDeterminismError,
)
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    EventSent,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionSuspended,
    Incoming,
    SubOrchestrationInstanceCompleted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerFired,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import AnyMessageId, ExecutionId, InstanceId, MemoryId, MessageId
from tenuto.model.limits import Limits
from tenuto.model.messages import (
    ChangeHold,
    ChildResult,
    Fail,
    Message,
    Purge,
    RaiseEvent,
    Resume,
    Start,
    Suspend,
    TaskResult,
    TimerDue,
)
from tenuto.model.status import RuntimeStatus
from tests.unit.engine.test_take_turn import EXECUTION, NOW, RULES, Recorder, due, never, waiting

FIRST = MemoryId(1)
SECOND = MemoryId(2)
THIRD = MemoryId(3)
NEXT = ExecutionId("e2")

MISFIT = Hold(HoldReason.DECISIONS, "does not fit", NOW)
CRASHED = Hold(HoldReason.CRASHED, "crashed", NOW)
PENDING, RUNNING, SUSPENDED = (
    RuntimeStatus.PENDING,
    RuntimeStatus.RUNNING,
    RuntimeStatus.SUSPENDED,
)


class Decider(Recorder):
    """A session that decides the same in every turn."""

    def __init__(self, *actions: Action) -> None:
        super().__init__()
        self.actions = actions

    def run_turn(
        self, timestamp: int, events: Sequence[Incoming], *, replaying: bool = False
    ) -> TurnActions:
        super().run_turn(timestamp, events, replaying=replaying)
        return TurnActions(list(self.actions))

    @property
    def events(self) -> list[Incoming]:
        return [event for _, events in self.fed for event in events]


def pending(scheduled_at: int | None = None) -> InstanceState:
    """An instance that has not begun."""
    state = waiting()
    state.facts = structs.replace(state.facts, scheduled_at=scheduled_at)
    return structs.replace(state, status=PENDING, next_turn=0, wake_at=scheduled_at or 0)


def held(hold: Hold = MISFIT) -> InstanceState:
    """A running instance that is held, with a timer that is due."""
    return structs.replace(waiting((1, NOW)), hold=hold, wake_at=None)


def start_of(state: InstanceState, message_id: AnyMessageId = None) -> Start:
    return Start(message_id=message_id, event=start_event(state, "python 3.11"))


def event(number: int, text: str | None = None) -> RaiseEvent:
    return RaiseEvent(
        message_id=MessageId(f"m{number}"), event=EventRaised("e", text or str(number))
    )


def take(state: InstanceState, *inbox: Message, session: Session | None = None) -> Step:
    return take_turn(state, inbox, never if session is None else lambda: session, NOW, RULES)


# --- pauses of what has not begun ----------------------------------------------------------------


@pytest.mark.parametrize("scheduled_at", [None, NOW + 500])
def test_a_pause_of_what_has_not_begun_and_its_end(scheduled_at: int | None) -> None:
    state = pending(scheduled_at)
    turn = take(state, Suspend(message_id=FIRST))
    assert (state.status, state.wake_at, state.next_turn) == (SUSPENDED, None, 0)
    assert (turn.events, turn.row_changed, turn.resumes) == ([], True, False)
    # Its start, when the time has come, is derived again; what it is sent waits.
    start = start_of(state)
    turn = take(state, start, event(1))
    assert (turn.inbox.taken, turn.inbox.held) == ([start], [event(1)])
    assert not turn.row_changed
    turn = take(state, Suspend(message_id=SECOND))
    (refusal,) = turn.inbox.refused
    assert isinstance(refusal.error, InstanceStateError)
    # The end of the pause, before its time: pending as ever.
    turn = take(state, Resume(message_id=THIRD))
    assert (state.status, state.wake_at) == (PENDING, scheduled_at or 0)
    assert (turn.events, turn.resumes) == ([], True)
    session = Decider()
    turn = take(state, event(1), start, session=session)
    assert session.events == [start.event, EventRaised("e", "1")]
    assert state.status is RUNNING


def test_pause_and_end_of_the_pause_with_the_start_in_one_turn() -> None:
    state = pending()
    session = Decider()
    start = start_of(state, MessageId("s"))
    take(state, Suspend(message_id=FIRST), Resume(message_id=SECOND), start, session=session)
    # The start comes first, whatever came before it; then the instance has begun.
    assert [type(one).__name__ for one in session.events] == [
        "ExecutionStarted", "ExecutionSuspended", "ExecutionResumed",
    ]  # fmt: skip
    assert state.status is RUNNING


def test_a_second_start_of_what_has_begun_is_a_duplicate() -> None:
    state = waiting((1, NOW + 9))
    turn = take(state, start_of(state, MessageId("s")))
    assert (turn.inbox.taken, turn.events) == ([start_of(state, MessageId("s"))], [])


@pytest.mark.parametrize("ends", [False, True])
def test_a_pause_outlives_the_end_of_its_generation(ends: bool) -> None:
    """F2: what a generation is seeded with comes after the pause, once."""
    again = ContinueAsNew(NEXT, '"next"')
    state = waiting((1, NOW))
    inbox: list[Message] = [due(1, NOW), Suspend(message_id=FIRST, reason="why")]
    if ends:
        inbox.append(Resume(message_id=SECOND))
    turn = take(state, *inbox, session=Decider(again))
    assert state.facts.generation == 1
    assert [type(one) for one in turn.seed] == [Start]
    if ends:
        assert (state.status, state.wake_at) == (RUNNING, 0)
        return
    assert (state.status, state.wake_at, state.next_turn) == (SUSPENDED, None, 0)
    # What opens it, and what arrives, waits: the seed is derived again from history.
    kept = take(state, *turn.seed, event(9))
    assert kept.inbox.held == [event(9)]
    assert kept.inbox.taken == list(turn.seed)
    session = Decider()
    gone_on = take(state, *turn.seed, event(9), Resume(message_id=THIRD), session=session)
    assert gone_on.inbox.held == []
    assert state.status is RUNNING
    raised = [one.input for one in session.events if isinstance(one, EventRaised)]
    assert raised == ["9"]


# --- holds ---------------------------------------------------------------------------------------


def test_a_misfit_keeps_what_it_came_with_and_uses_up_what_asked_for_the_try() -> None:
    state = waiting((1, NOW))
    inbox: list[Message] = [Resume(message_id=FIRST), ChangeHold(), event(1), due(1, NOW)]
    turn = take_turn(state, inbox, never, NOW, RULES, MISFIT)
    assert state.hold is MISFIT
    assert (state.status, state.wake_at) == (RUNNING, None)
    assert turn.inbox.held == [event(1)]
    assert turn.inbox.taken == [inbox[0], inbox[1], due(1, NOW)]
    assert (turn.events, turn.row_changed, turn.resumes) == ([], True, False)


def test_a_misfit_that_was_paused_is_paused_no_more_when_a_resume_asked_for_the_try() -> None:
    state = structs.replace(held(), status=SUSPENDED)
    session = Decider()
    turn = take_turn(state, [Resume(message_id=FIRST)], never, NOW, RULES, MISFIT)
    assert (state.status, state.hold) == (RUNNING, MISFIT)
    assert turn.events[1:] == [ExecutionResumed(None)]
    assert session.fed == []


def test_pauses_that_come_and_go_in_one_turn_need_no_session() -> None:
    """Whoever is held takes them in as well: there is no session then."""
    state = structs.replace(held(), status=SUSPENDED)
    inbox: list[Message] = [Resume(message_id=FIRST), Suspend(message_id=SECOND)]
    turn = take_turn(state, inbox, never, NOW, RULES, MISFIT)
    assert turn.events[1:] == [ExecutionResumed(None), ExecutionSuspended(None)]
    assert (state.status, state.hold) == (SUSPENDED, MISFIT)


def test_one_that_has_not_begun_is_held_and_pending() -> None:
    state = pending()
    start = start_of(state, MessageId("s"))
    turn = take_turn(state, [event(1), start], never, NOW, RULES, MISFIT)
    assert (state.status, state.hold, state.wake_at) == (PENDING, MISFIT, None)
    assert turn.inbox.held == [event(1)]
    assert turn.inbox.taken == [start]
    session = Decider()
    turn = take(state, start, event(1), Resume(message_id=FIRST), session=session)
    assert session.events == [start.event, EventRaised("e", "1")]
    assert (state.status, state.hold) == (RUNNING, None)
    assert turn.resumes


@pytest.mark.parametrize("hold", [MISFIT, CRASHED])
@pytest.mark.parametrize("is_resume", [False, True])
def test_what_is_harmful_is_tried_again_only_by_a_resume(hold: Hold, is_resume: bool) -> None:
    state = held(hold)
    session = Decider()
    word = Resume(message_id=FIRST) if is_resume else ChangeHold()
    turn = take(state, word, event(1), due(1, NOW), session=session)
    goes_on = is_resume or hold is MISFIT
    assert (state.hold is None, turn.resumes) == (goes_on, goes_on)
    assert bool(session.events) == goes_on
    assert turn.inbox.held == ([] if goes_on else [event(1)])


def test_only_what_fits_goes_on_even_if_there_is_nothing_for_it() -> None:
    def misfit() -> Session:
        raise NonDeterminismError("other decisions")

    state = structs.replace(held(), work=OpenWork())
    with pytest.raises(NonDeterminismError):
        take_turn(state, [ChangeHold()], misfit, NOW, RULES)
    assert state.record().hold is MISFIT
    turn = take(state, ChangeHold(), session=Decider())
    assert state.record().hold is None
    assert (turn.events, turn.resumes) == ([], True)


def test_resume_of_what_is_neither_paused_nor_held_is_refused() -> None:
    turn = take(waiting((1, NOW + 9)), Resume(message_id=FIRST))
    (refusal,) = turn.inbox.refused
    assert "cannot resume" in str(refusal.error)


def test_suspend_of_what_is_held_is_kept_in_history_and_costs_no_session() -> None:
    state = held()
    turn = take(state, Suspend(message_id=FIRST, reason="why"))
    assert turn.events[1:] == [ExecutionSuspended("why")]
    assert (state.status, state.hold, state.wake_at) == (SUSPENDED, MISFIT, None)
    assert turn.row_changed
    turn = take(state, ChangeHold(), session=Decider())
    assert (state.status, state.hold, state.wake_at) == (SUSPENDED, None, None)
    assert not turn.resumes


def test_a_hold_comes_between_messages() -> None:
    """What came before it is taken in, what comes after it waits."""
    state = waiting((1, NOW + 9))
    session = Decider()
    turn = take(state, event(1), ChangeHold(hold=CRASHED), event(2), session=session)
    assert session.events == [EventRaised("e", "1")]
    assert turn.inbox.held == [event(2)]
    assert (state.hold, state.wake_at) == (CRASHED, None)


@pytest.mark.parametrize("reason", [None, "", " ", "of no use"])
def test_an_operator_ends_what_is_held_as_failed(reason: str | None) -> None:
    state = held()
    turn = take(state, event(1), Fail(message_id=FIRST, reason=reason), event(2))
    assert state.status is RuntimeStatus.FAILED
    assert state.hold is None
    assert state.failure is not None
    words = "ended as failed by an operator"
    is_given = reason is not None and reason.strip()
    assert state.failure.error_message == (f"{words}: {reason}" if is_given else words)
    assert turn.events[1] == ExecutionFailed(reason)
    assert turn.has_ended
    assert isinstance(turn.events[-1], ExecutionCompleted)
    # The event that waited, and the one that came too late, are answered.
    assert {one.message_id for one in turn.inbox.taken} | {
        one.message_id for one in turn.inbox.held
    } == {"m1", FIRST, "m2"}
    late = take(state, Fail(message_id=SECOND))
    assert isinstance(late.inbox.refused[0].error, InstanceFinishedError)


def test_purge_of_what_is_held_needs_force() -> None:
    turn = take(held(), Purge(message_id=FIRST))
    assert isinstance(turn.inbox.refused[0].error, InstanceStateError)
    state = held()
    assert take(state, Purge(message_id=SECOND, force=True)).inbox.purge
    assert state.is_finished


def test_a_failed_turn_ends_the_hold() -> None:
    state = held()
    turn = failed_turn(state, [event(1)], FailureDetails("E", "why"), NOW)
    assert (state.status, state.hold) == (RuntimeStatus.FAILED, None)
    assert (turn.inbox.taken, turn.row_changed) == ([event(1)], True)


def test_since_when_it_is_held_for_a_reason() -> None:
    later = structs.replace(MISFIT, since=NOW + 5, message="as before")
    assert later.after(None) is later
    assert later.after(CRASHED) is later
    assert later.after(MISFIT) == structs.replace(later, since=NOW, tried=NOW + 5)


# --- long inboxes --------------------------------------------------------------------------------

MEBI = 1024 * 1024


def long_event(number: int, mebibytes: int) -> RaiseEvent:
    return event(number, f"{number}{'x' * (mebibytes * MEBI)}")


def test_what_is_short_is_taken_whole() -> None:
    inbox: list[Message] = [event(number) for number in range(10)]
    assert cut_inbox(waiting(), inbox) == (inbox, [])


def test_what_is_long_is_cut_and_nothing_is_lost_or_reordered() -> None:
    inbox: list[Message] = [long_event(number, 1) for number in range(7)]
    turns = []
    left = inbox
    while left:
        now, left = cut_inbox(waiting(), left)
        assert now
        turns.append(now)
    assert [len(turn) for turn in turns] == [3, 3, 1]
    assert [one for turn in turns for one in turn] == inbox


def test_one_message_that_is_longer_than_all_is_taken_alone() -> None:
    inbox: list[Message] = [long_event(1, 17), event(2)]
    assert cut_inbox(waiting(), inbox) == (inbox[:1], inbox[1:])


def test_results_and_failures_count() -> None:
    def result(number: int, length: int) -> Message:
        return TaskResult(
            message_id=MessageId(str(number)), execution_id=EXECUTION, sequence=number,
            event=TaskCompleted(number, "x" * length),
        )  # fmt: skip

    def child(number: int, length: int) -> Message:
        answer = SubOrchestrationInstanceCompleted(number, "x" * length)
        return ChildResult(message_id=MessageId(str(number)), execution_id=EXECUTION, event=answer)

    failure = TaskFailed(3, FailureDetails("E", "m"))
    many = [TaskResult(execution_id=EXECUTION, sequence=3, event=failure)] * 20_000
    now, left = cut_inbox(waiting(), [result(1, 9 * MEBI), child(2, 9 * MEBI)])
    assert (len(now), len(left)) == (1, 1)
    now, left = cut_inbox(waiting(), list(many))
    assert len(now) == 4 * MEBI // 1_000
    assert len(now) + len(left) == len(many)


@pytest.mark.parametrize("state", [held(), structs.replace(waiting(), status=SUSPENDED), pending()])
def test_what_is_only_kept_is_not_cut(state: InstanceState) -> None:
    inbox: list[Message] = [long_event(number, 9) for number in range(3)]
    assert cut_inbox(state, inbox) == (inbox, [])


def test_what_opens_an_instance_comes_first() -> None:
    state = structs.replace(pending(), status=SUSPENDED)
    seed: list[Message] = [start_of(state)]
    kept: list[Message] = [long_event(3, 3), long_event(4, 3)]
    now, left = cut_inbox(state, [kept[0], *seed, kept[1], Resume(message_id=FIRST)])
    assert now == [*seed, Resume(message_id=FIRST), kept[0]]
    assert left == [kept[1]]


def test_cut_inboxes_at_random_keep_every_message_and_the_order_of_each_source() -> None:
    chance = random.Random(3)
    for _ in range(12):
        state = chance.choice([held(), structs.replace(held(), status=SUSPENDED), waiting()])
        inbox: list[Message] = [
            structs.replace(long_event(number, 0), message_id=f"{chance.choice('ab')}{number}")
            if chance.random() < 0.6
            else long_event(number, chance.choice([1, 7, 17]))
            for number in range(12)
        ]
        inbox.insert(chance.randrange(12), Resume(message_id=FIRST))
        left, seen = inbox, []
        while left:
            now, left = cut_inbox(state, left)
            assert now
            seen += now
            state = waiting()
        events = [one for one in inbox if isinstance(one, RaiseEvent)]
        assert [one for one in seen if isinstance(one, RaiseEvent)] == events
        assert len(seen) == len(inbox)


# --- limits in bytes -----------------------------------------------------------------------------


def limited(turn_bytes: int = 10_000, history_bytes: int = 100_000) -> TurnRules:
    limits = Limits(turn_bytes=turn_bytes, history_bytes=history_bytes)
    return TurnRules(limits, "python 3.11", lambda _root: 10)


def failure_of(state: InstanceState) -> str:
    assert state.failure is not None
    assert state.failure.error_type == "tenuto.model.errors.LimitError"
    return state.failure.error_message


def test_what_a_turn_decides_is_limited_and_the_setting_named() -> None:
    state = waiting((1, NOW))
    session = Decider(TaskScheduled(2, "big", "x" * 10_001))
    turn = take_turn(state, [due(1, NOW)], lambda: session, NOW, limited())
    assert state.status is RuntimeStatus.FAILED
    assert "limits.turn_bytes" in failure_of(state)
    assert "instance 'i'" in failure_of(state)
    assert len(turn.row) < 3_000
    assert len(turn.events) == 3
    assert turn.effects.works == ()
    assert turn.effects.letters == ()


def test_what_comes_in_is_no_fault_of_the_orchestrator() -> None:
    state = waiting((1, NOW + 9))
    turn = take_turn(state, [event(1, "x" * 50_000)], Decider, NOW, limited())
    assert state.status is RUNNING
    assert len(turn.row) > 50_000
    assert state.history_bytes == len(turn.row)


def test_the_history_of_an_execution_is_limited_in_bytes() -> None:
    state = waiting((1, NOW + 9))
    rules = limited(history_bytes=1_000)
    for number in range(1, 30):
        take_turn(state, [event(number, "x" * 100)], Decider, NOW, rules)
        if state.is_finished:
            break
    assert 3 < number < 10
    assert "limits.history_bytes" in failure_of(state)
    assert "continue_as_new" in failure_of(state)


def test_a_new_generation_begins_with_an_empty_history() -> None:
    state = waiting((1, NOW))
    state.history_bytes = 900
    again = Decider(ContinueAsNew(NEXT, "1"))
    take_turn(state, [due(1, NOW)], lambda: again, NOW, limited(history_bytes=2_000))
    assert (state.facts.generation, state.history_bytes) == (1, 0)


# --- sorting -------------------------------------------------------------------------------------


def test_answers_wait_while_it_is_held_and_count_once() -> None:
    state = held()
    state.apply([TaskScheduled(5, "a")])
    answer = TaskResult(execution_id=EXECUTION, sequence=1, event=TaskCompleted(5, "1"))
    result = sort_inbox(
        state, [answer, answer, TimerDue(execution_id=EXECUTION, event=TimerFired(1, NOW))]
    )
    assert result.held == [answer, answer]
    session = Decider()
    take(state, *result.held, Resume(message_id=FIRST), session=session)
    assert session.events == [answer.event]


def test_what_has_waited_comes_before_what_comes_after_the_resume() -> None:
    state = held()
    session = Decider(EventSent(2, InstanceId("other"), "e", "1"))
    take(state, event(1), Resume(message_id=FIRST), event(2), session=session)
    assert session.events == [EventRaised("e", "1"), EventRaised("e", "2")]
