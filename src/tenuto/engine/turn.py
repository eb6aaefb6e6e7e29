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
from tenuto.engine.sorting import SortedInbox, hold_all, refuse_finished, sort_inbox
from tenuto.engine.state import InstanceState, start_event
from tenuto.model.actions import Action, TurnActions
from tenuto.model.errors import LimitError
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionTerminated,
    HistoryEvent,
    Incoming,
    OrchestratorStarted,
    SubOrchestrationInstanceCreated,
    TimerFired,
)
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.limits import Limits, limit_error
from tenuto.model.messages import (
    Message,
    RaiseEvent,
    Start,
)
from tenuto.model.status import RuntimeStatus

_MINUTE = 60_000_000


class Turn(Struct):
    """What a turn came to.

    Attributes:
        events: The turn as history records it; empty when nothing was taken in.
        generation: The generation that the events belong to.
        number: Their place in its history, from 0.
        inbox: What became of each message.
        actions: The decisions among the events, in order.
        ending: The event that closed the execution, if it did.
        seed: The messages that open the next generation.
        logs: Log lines to show once the turn is committed.
        put_aside: Events that did not fit what their waiters asked for, by message id.
        row_changed: Whether the instance's row must be written.
    """

    events: list[HistoryEvent]
    generation: int
    number: int
    inbox: SortedInbox
    actions: Sequence[Action] = ()
    ending: ExecutionCompleted | ContinueAsNew | None = None
    seed: Sequence[Message] = ()
    logs: list[logging.LogRecord] | None = None
    put_aside: dict[str, EventRaised] | None = None
    row_changed: bool = False


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
) -> Turn:
    """Take the whole inbox of an instance in as one turn.

    Args:
        state: The instance; moved forward when the turn succeeds.
        inbox: Its messages, oldest first.
        session: Gives the live session; asked only when user code has to run.
        now: The host's clock in microseconds.
        rules: Limits.
    """
    if state.is_finished:
        return _refuse_all(state, inbox)
    inbox_sorted = sort_inbox(state, inbox)
    turn = Turn([], state.generation, state.next_turn, inbox_sorted)
    incoming = inbox_sorted.incoming
    if not incoming:
        return turn
    timestamp = _timestamp(state, incoming, now)
    if inbox_sorted.is_terminated:
        answer = TurnActions([_terminated(incoming)])
    else:
        answer = session().run_turn(timestamp, incoming)
        _keep_within_limits(state, answer, len(incoming), rules)
    turn.events = [OrchestratorStarted(timestamp), *incoming, *answer.actions]
    turn.actions = answer.actions
    turn.logs = answer.logs
    turn.put_aside = answer.put_aside
    _advance(state, turn, answer, timestamp, rules)
    return turn


def waiting_turn(state: InstanceState, inbox: Sequence[Message]) -> Turn:
    """No turn at all: the messages are kept, but for those that are derived again anyway."""
    return Turn([], state.generation, state.next_turn, hold_all(state, inbox))


def failed_turn(
    state: InstanceState, inbox: Sequence[Message], failure: FailureDetails, now: int
) -> Turn:
    """The turn that ends an instance whose session cannot go on (replay failed, poison)."""
    timestamp = max(now, state.last_time + 1)
    ending = ExecutionCompleted(RuntimeStatus.FAILED, None, failure)
    turn = Turn(
        [OrchestratorStarted(timestamp), ending],
        state.generation,
        state.next_turn,
        SortedInbox(taken=list(inbox)),
        [ending],
        ending=ending,
    )
    _end(state, ending, timestamp)
    state.next_turn += 1
    turn.row_changed = True
    return turn


def _refuse_all(state: InstanceState, inbox: Sequence[Message]) -> Turn:
    result = SortedInbox()
    for message in inbox:
        refuse_finished(state, message, state.status, result)
    return Turn([], state.generation, state.next_turn, result)


# --- moving on ----------------------------------------------------------------------------------


def _timestamp(state: InstanceState, incoming: Sequence[Incoming], now: int) -> int:
    """Strictly later than the turn before, never before a timer that fires (ENGINE rule 21)."""
    timestamp = max(now, state.last_time + 1)
    if state.work.timers:
        for event in incoming:
            if type(event) is TimerFired and event.fire_at > timestamp:
                timestamp = event.fire_at
    return timestamp


def _terminated(incoming: Sequence[Incoming]) -> ExecutionCompleted:
    reason = next(
        (event.input for event in incoming if isinstance(event, ExecutionTerminated)), None
    )
    return ExecutionCompleted(RuntimeStatus.TERMINATED, reason)


def _keep_within_limits(
    state: InstanceState, answer: TurnActions, incoming: int, rules: TurnRules
) -> None:
    """A crossed limit ends the instance instead of what it decided."""
    error = _crossed_limit(state, answer.actions, incoming, rules)
    if error is not None:
        failure = failure_of(error, with_traceback=False)
        answer.actions = [ExecutionCompleted(RuntimeStatus.FAILED, None, failure)]


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
    before = (state.status, state.wake_at, state.custom_status)
    state.last_time = timestamp
    state.next_turn += 1
    state.event_count += len(turn.events)
    state.work.apply(turn.inbox.incoming)
    state.work.apply(turn.actions)
    state.status = turn.inbox.status
    if answer.custom_status is not UNSET:
        state.custom_status = answer.custom_status
    last = turn.actions[-1] if turn.actions else None
    if isinstance(last, ExecutionCompleted):
        turn.ending = last
        _end(state, last, timestamp)
    elif isinstance(last, ContinueAsNew):
        turn.ending = last
        _continue(state, turn, last, timestamp, rules)
        turn.row_changed = True
        return
    else:
        state.wake_at = None if state.is_suspended else state.work.wake_at()
    if before != (state.status, state.wake_at, state.custom_status):
        state.updated_at = timestamp
        turn.row_changed = True


def _end(state: InstanceState, ending: ExecutionCompleted, timestamp: int) -> None:
    state.status = ending.orchestration_status
    state.output = ending.result
    state.failure = ending.failure_details
    state.completed_at = state.updated_at = timestamp
    state.wake_at = None


def _continue(
    state: InstanceState,
    turn: Turn,
    ending: ContinueAsNew,
    timestamp: int,
    rules: TurnRules,
) -> None:
    error = _too_quick(state, turn.inbox.incoming, timestamp, rules.limits)
    if error is not None:
        failure = failure_of(error, with_traceback=False)
        turn.ending = ExecutionCompleted(RuntimeStatus.FAILED, None, failure)
        turn.events[-1] = turn.ending
        turn.actions = [*turn.actions[:-1], turn.ending]
        _end(state, turn.ending, timestamp)
        return
    state.begin_generation(ending.execution_id, ending.input)
    state.wake_at = 0
    state.updated_at = timestamp
    turn.seed = seed(state, ending, rules.runtime)


def seed(state: InstanceState, ending: ContinueAsNew, runtime: str) -> list[Message]:
    """The messages that open the generation after a continue-as-new."""
    start = structs.replace(start_event(state, runtime), webhooks=ending.webhooks)
    return [
        Start(event=start),
        *(RaiseEvent(event=event) for event in ending.carryover_events),
    ]


def _too_quick(
    state: InstanceState, incoming: Sequence[Incoming], timestamp: int, limits: Limits
) -> LimitError | None:
    """Generations that follow each other without waiting for anything are a runaway loop."""
    if state.next_turn > 1 or len(incoming) > 1 or timestamp - state.quick_since > _MINUTE:
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
