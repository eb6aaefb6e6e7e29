"""The turn: how one instance takes its inbox in and moves on. Reads no clock, does no I/O.

``take_turn`` sorts the inbox (what is a duplicate, what must wait, what ends the instance), feeds
the rest to the session, and returns everything that has to be written and done. It changes only
the state it is given, and only after the session has answered, so that a turn that went wrong can
be taken again. Continue-as-new, termination, suspension are transitions here and nowhere else.
Keeps the promises ``exactly_once_turns`` and ``at_least_once_activities``.
"""

import logging
from collections.abc import Callable, Sequence

from msgspec import UNSET, Struct, structs

from tenuto.engine.ports import Session
from tenuto.engine.sorting import SortedInbox, refuse_finished, sort_inbox
from tenuto.engine.state import InstanceState, start_event
from tenuto.model.actions import Action, TurnActions
from tenuto.model.codec import encode_turn
from tenuto.model.errors import LimitError
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
    Incoming,
    OrchestratorStarted,
    SubOrchestrationInstanceCreated,
    TimerFired,
)
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.hold import Hold
from tenuto.model.limits import Limits, limit_error
from tenuto.model.messages import (
    Message,
    Start,
    TaskResult,
)
from tenuto.model.status import RuntimeStatus
from tenuto.model.unread import UnreadEvent

_MINUTE = 60_000_000
_SUSPENDED = RuntimeStatus.SUSPENDED
_FOR_THE_ENGINE = frozenset((ExecutionSuspended, ExecutionResumed))
"""Events that no orchestrator sees: a turn of them alone needs no session."""


class Turn(Struct):
    """What a turn came to.

    Attributes:
        events: The turn as history records it; empty when nothing was taken in.
        generation: The generation that the events belong to.
        number: Their place in its history, from 0.
        inbox: What became of each message.
        row: The events as JSON, as history keeps them.
        actions: The decisions among the events, in order.
        logs: Log lines to show once the turn is committed.
        unread: Events that it leaves to the next generation, if it ends this one.
        put_aside: Events that did not fit what their waiters asked for, by message id.
        ending: The event that closed the execution, if it did.
        seed: The messages that open the next generation.
        row_changed: Whether the instance's row must be written.
        resumes: Whether it was paused or held, and goes on now.
    """

    events: list[HistoryEvent]
    generation: int
    number: int
    inbox: SortedInbox
    row: bytes | bytearray = b""
    actions: Sequence[Action] = ()
    logs: list[logging.LogRecord] | None = None
    put_aside: dict[str, EventRaised] | None = None
    ending: ExecutionCompleted | ContinueAsNew | None = None
    seed: Sequence[Message] = ()
    row_changed: bool = False
    resumes: bool = False
    unread: Sequence[UnreadEvent] = ()


class TurnRules(Struct, frozen=True):
    """What bounds a turn: the limits, and how many more descendants the root may have."""

    limits: Limits
    runtime: str
    descendants_left: Callable[[str], int]


def take_turn(
    state: InstanceState,
    inbox: Sequence[Message],
    session: Callable[[], Session],
    now: int,
    rules: TurnRules,
    misfit: Hold | None = None,
) -> Turn:
    """Take the whole inbox of an instance in as one turn.

    Args:
        state: The instance; moved forward when the turn succeeds.
        inbox: Its messages, oldest first.
        session: Gives the live session; asked only when user code has to run.
        now: The host's clock in microseconds.
        rules: Limits.
        misfit: Why the session could not take just this inbox in: the instance is held for it.
    """
    if state.is_finished:
        return _refuse_all(state, inbox)
    inbox_sorted = sort_inbox(state, inbox, misfit)
    incoming = inbox_sorted.incoming
    if state.hold is not None and inbox_sorted.hold is None and state.next_turn:
        session()  # only what fits goes on
    if not incoming:
        turn = Turn([], state.generation, state.next_turn, inbox_sorted)
        if inbox_sorted.status is not state.status or inbox_sorted.hold is not state.hold:
            _change_standing(state, turn, now)
        return turn
    timestamp = _timestamp(state, incoming, now)
    if inbox_sorted.is_terminated:
        answer = TurnActions([_ended_from_outside(incoming)])
    elif type(incoming[0]) in _FOR_THE_ENGINE and _is_for_the_engine(incoming):
        answer = TurnActions([])
    else:
        answer = session().run_turn(timestamp, incoming)
        error = _crossed_limit(state, answer.actions, len(incoming), rules)
        if error is not None:  # it ends the instance instead of what it decided
            answer.actions = [_failed_by(error)]
    events = [OrchestratorStarted(timestamp), *incoming, *answer.actions]
    row = encode_turn(events)
    size, limits = len(row), rules.limits
    if size > limits.turn_bytes or state.history_bytes + size > limits.history_bytes:
        row = _keep_short(state, events, row, answer, limits)
    # All at once: a field that is set later costs as much as ten.
    turn = Turn(
        events,
        state.generation,
        state.next_turn,
        inbox_sorted,
        row,
        answer.actions,
        answer.logs,
        answer.put_aside,
    )
    _advance(state, turn, answer, timestamp, rules)
    return turn


def _is_for_the_engine(incoming: Sequence[Incoming]) -> bool:
    return all(type(event) in _FOR_THE_ENGINE for event in incoming)


def _keep_short(
    state: InstanceState,
    events: list[HistoryEvent],
    row: bytearray,
    answer: TurnActions,
    limits: Limits,
) -> bytearray:
    """The row of a turn that the store can be given: too long a one ends the instance."""
    error = _too_long(state, answer.actions, len(row), limits)
    if error is None:
        return row
    del events[len(events) - len(answer.actions) :]
    answer.actions = [_failed_by(error)]
    answer.put_aside = None
    events += answer.actions
    return encode_turn(events)


def _too_long(
    state: InstanceState, actions: Sequence[Action], size: int, limits: Limits
) -> LimitError | None:
    decided = len(encode_turn(actions))
    if decided > limits.turn_bytes:  # what came in is no fault of the orchestrator
        return limit_error(
            "turn_bytes", limits.turn_bytes, f"{_who(state)} decided {decided:,} bytes in one turn"
        )
    if state.history_bytes + size <= limits.history_bytes:
        return None
    return limit_error(
        "history_bytes",
        limits.history_bytes,
        f"the history of {_who(state)} would take {state.history_bytes + size:,} bytes; "
        "use continue_as_new in long loops",
    )


def _change_standing(state: InstanceState, turn: Turn, now: int) -> None:
    """It is paused or held, or no longer, and nothing of it is for history."""
    was_stopped = state.is_stopped
    state.status = turn.inbox.status
    state.hold = turn.inbox.hold
    state.wake_at = state.due_at()
    state.updated_at = max(now, state.updated_at)
    turn.row_changed = True
    turn.resumes = was_stopped and not state.is_stopped


def failed_turn(
    state: InstanceState, inbox: Sequence[Message], failure: FailureDetails, now: int
) -> Turn:
    """The turn that ends an instance whose session cannot go on (replay failed, poison)."""
    timestamp = max(now, state.last_time + 1)
    ending = ExecutionCompleted(RuntimeStatus.FAILED, None, failure)
    events: list[HistoryEvent] = [OrchestratorStarted(timestamp), ending]
    turn = Turn(
        events,
        state.generation,
        state.next_turn,
        SortedInbox(taken=list(inbox)),
        encode_turn(events),
        [ending],
        ending=ending,
    )
    _end(state, ending, timestamp)
    state.keep_last_calls(())
    state.next_turn += 1
    turn.row_changed = True
    return turn


def _refuse_all(state: InstanceState, inbox: Sequence[Message]) -> Turn:
    result = SortedInbox()
    turn = Turn([], state.generation, state.next_turn, result)
    for message in inbox:
        if isinstance(message, TaskResult) and state.ends_call(message):
            turn.row_changed = state.wake_at is None
        refuse_finished(state, message, state.status, result)
    return turn


# --- moving on ----------------------------------------------------------------------------------


def _timestamp(state: InstanceState, incoming: Sequence[Incoming], now: int) -> int:
    """Strictly later than the turn before, never before a timer that fires (ENGINE rule 21)."""
    timestamp = max(now, state.last_time + 1)
    if state.work.timers:
        for event in incoming:
            if type(event) is TimerFired and event.fire_at > timestamp:
                timestamp = event.fire_at
    return timestamp


def _ended_from_outside(incoming: Sequence[Incoming]) -> ExecutionCompleted:
    last = incoming[-1]
    if isinstance(last, ExecutionFailed):
        words = "ended as failed by an operator"
        text = words if last.reason is None else f"{words}: {last.reason}"
        return ExecutionCompleted(
            RuntimeStatus.FAILED, None, FailureDetails("OrchestrationFailed", text)
        )
    assert isinstance(last, ExecutionTerminated)
    return ExecutionCompleted(RuntimeStatus.TERMINATED, last.input)


def _failed_by(error: LimitError) -> ExecutionCompleted:
    failure = failure_of(error, with_traceback=False)
    return ExecutionCompleted(RuntimeStatus.FAILED, None, failure)


def _crossed_limit(
    state: InstanceState, actions: Sequence[Action], incoming: int, rules: TurnRules
) -> LimitError | None:
    limits = rules.limits
    size = state.event_count + 1 + incoming + len(actions)
    if size > limits.history_events:
        return limit_error(
            "history_events",
            limits.history_events,
            f"the history of {_who(state)} would hold {size:,} events; "
            "use continue_as_new in long loops",
        )
    children = 0
    for action in actions:
        if type(action) is SubOrchestrationInstanceCreated:
            children += 1
    if children and children > rules.descendants_left(state.root_id):
        return limit_error(
            "open_descendants",
            limits.open_descendants,
            f"{_who(state)} starts {children:,} more instances below the root {state.root_id!r}",
        )
    return None


def _who(state: InstanceState) -> str:
    return f"instance {state.instance_id!r} ({state.name!r})"


def _advance(
    state: InstanceState,
    turn: Turn,
    answer: TurnActions,
    timestamp: int,
    rules: TurnRules,
) -> None:
    inbox = turn.inbox
    status, wake_at, hold = state.status, state.wake_at, state.hold
    is_changed = False
    state.last_time = timestamp
    state.next_turn += 1
    state.event_count += len(turn.events)
    state.history_bytes += len(turn.row)
    state.work.apply(turn.events)
    if inbox.status is not status:
        state.status = inbox.status
        is_changed = True
    if inbox.hold is not hold:
        state.hold = inbox.hold
    custom_status = answer.custom_status
    if custom_status is not UNSET and custom_status != state.custom_status:
        state.custom_status = custom_status
        is_changed = True
    last = turn.actions[-1] if turn.actions else None
    if isinstance(last, ExecutionCompleted):
        turn.ending = last
        _end(state, last, timestamp)
        if state.work.activities:
            state.keep_last_calls(turn.actions)
        is_changed = True
    elif isinstance(last, ContinueAsNew):
        turn.ending = last
        turn.unread = answer.unread or ()
        _continue(state, turn, last, timestamp, rules)
        turn.row_changed = True
        return
    else:
        due_at = state.work.wake_at() if inbox.is_open else None
        if due_at != wake_at:
            state.wake_at = due_at
            is_changed = True
    if is_changed or inbox.hold != hold:
        state.updated_at = timestamp
        turn.row_changed = True
        if hold is not None or status is _SUSPENDED:
            turn.resumes = inbox.is_open


def _end(state: InstanceState, ending: ExecutionCompleted, timestamp: int) -> None:
    state.status = ending.orchestration_status
    state.output = ending.result
    state.failure = ending.failure_details
    state.completed_at = state.updated_at = timestamp
    state.wake_at = None
    state.hold = None


def _continue(
    state: InstanceState,
    turn: Turn,
    ending: ContinueAsNew,
    timestamp: int,
    rules: TurnRules,
) -> None:
    error = _too_quick(state, turn, ending, timestamp, rules.limits)
    if error is not None:
        turn.ending = _failed_by(error)
        turn.events[-1] = turn.ending
        turn.row = encode_turn(turn.events)
        turn.actions = [*turn.actions[:-1], turn.ending]
        _end(state, turn.ending, timestamp)
        state.keep_last_calls(())
        return
    state.begin_generation(ending)
    if turn.unread or ending.taken:
        state.keep_unread(turn.unread, ending.taken)
    state.wake_at = 0 if turn.inbox.is_open else None
    state.updated_at = timestamp
    turn.seed = seed(state, ending, rules.runtime)


def seed(state: InstanceState, ending: ContinueAsNew, runtime: str) -> list[Message]:
    """The messages that open the generation after a continue-as-new."""
    start = structs.replace(start_event(state, runtime), webhooks=ending.webhooks)
    return [Start(event=start)]


def _too_quick(
    state: InstanceState, turn: Turn, ending: ContinueAsNew, timestamp: int, limits: Limits
) -> LimitError | None:
    """Generations that follow each other without waiting for anything are a runaway loop."""
    has_taken = len(turn.inbox.incoming) > 1 or ending.taken
    if state.next_turn > 1 or has_taken or timestamp - state.quick_since > _MINUTE:
        state.quick_generations = 0
        state.quick_since = timestamp
    state.quick_generations += 1
    if state.quick_generations <= limits.generations_per_minute:
        return None
    return limit_error(
        "generations_per_minute",
        limits.generations_per_minute,
        f"{_who(state)} continues as new over and over without "
        "waiting for a timer, an event or an activity",
    )
