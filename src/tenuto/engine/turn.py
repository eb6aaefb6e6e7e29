"""The turn: how one instance takes its inbox in and moves on. Reads no clock, does no I/O.

``take_turn`` sorts the inbox (what is a duplicate, what must wait, what ends the instance), feeds
the rest to the session, and returns everything that has to be written and done. It changes only
the state it is given, and only after the session has answered, so that a turn that went wrong can
be taken again. Continue-as-new, termination, suspension are transitions here and nowhere else.
Keeps the promises ``exactly_once_turns`` and ``at_least_once_activities``.
"""

import logging
from collections.abc import Callable, Sequence
from typing import assert_never

from msgspec import UNSET, Struct, field

from tenuto.engine.ports import Session
from tenuto.engine.state import InstanceState, start_event
from tenuto.model.actions import Action, TurnActions
from tenuto.model.errors import InstanceFinishedError, InstanceStateError, LimitError, TenutoError
from tenuto.model.events import (
    ContinueAsNew,
    ExecutionCompleted,
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
from tenuto.model.limits import Limits, limit_error
from tenuto.model.messages import (
    ChildResult,
    Message,
    Purge,
    RaiseEvent,
    Resume,
    Start,
    Suspend,
    TaskResult,
    Terminate,
    TimerDue,
)
from tenuto.model.status import RuntimeStatus

_MINUTE = 60_000_000


class Refusal(Struct, frozen=True):
    """A client's request that does not fit the state; the client gets the error."""

    message_id: str
    error: TenutoError


class Turn(Struct):
    """What a turn came to.

    Attributes:
        events: The turn as history records it; empty when nothing was taken in.
        generation: The generation that the events belong to.
        number: Their place in its history, from 0.
        actions: The decisions among the events, in order.
        taken: Messages that this turn used up, duplicates and dropped ones included.
        held: Messages that must wait until the instance can take them.
        refused: Requests of clients that do not fit.
        ending: The event that closed the execution, if it did.
        seed: The messages that open the next generation.
        logs: Log lines to show once the turn is committed.
        row_changed: Whether the instance's row must be written.
        purge: Whether the instance is to be deleted.
    """

    events: list[HistoryEvent]
    generation: int
    number: int
    actions: Sequence[Action] = ()
    taken: list[Message] = field(default_factory=list)
    held: list[Message] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ending: ExecutionCompleted | ContinueAsNew | None = None
    seed: list[Message] = field(default_factory=list)
    logs: list[logging.LogRecord] | None = None
    row_changed: bool = False
    purge: bool = False


class _Sorted(Struct):
    """The inbox, sorted."""

    incoming: list[Incoming] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    held: list[Message] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    status: RuntimeStatus = RuntimeStatus.RUNNING
    terminated: bool = False
    purge: bool = False


class TurnRules(Struct, frozen=True):
    """What bounds a turn: the limits, and how many more descendants the root may have."""

    limits: Limits
    python: str
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
    sorted_inbox = _sort(state, inbox)
    turn = Turn(
        [],
        state.generation,
        state.next_turn,
        taken=sorted_inbox.taken,
        held=sorted_inbox.held,
        refused=sorted_inbox.refused,
        purge=sorted_inbox.purge,
    )
    incoming = sorted_inbox.incoming
    if not incoming:
        return turn
    timestamp = _timestamp(state, incoming, now)
    if sorted_inbox.terminated:
        ending = _terminated(incoming)
        answer = TurnActions([ending])
    else:
        answer = session().run_turn(timestamp, incoming)
        answer = _within_limits(state, answer, incoming, rules)
    turn.events = [OrchestratorStarted(timestamp), *incoming, *answer.actions]
    turn.actions = answer.actions
    turn.logs = answer.logs
    _advance(state, turn, sorted_inbox, answer, timestamp, rules)
    return turn


def failed_turn(state: InstanceState, failure: FailureDetails, now: int) -> Turn:
    """The turn that ends an instance whose session cannot go on (replay failed, poison)."""
    timestamp = max(now, state.last_time + 1)
    ending = ExecutionCompleted(RuntimeStatus.FAILED, None, failure)
    turn = Turn([OrchestratorStarted(timestamp), ending], state.generation, state.next_turn)
    turn.actions = [ending]
    turn.ending = ending
    _end(state, ending, timestamp)
    state.next_turn += 1
    turn.row_changed = True
    return turn


# --- sorting the inbox --------------------------------------------------------------------------


def _sort(state: InstanceState, inbox: Sequence[Message]) -> _Sorted:
    result = _Sorted(status=state.status)
    if state.status is RuntimeStatus.PENDING:
        inbox = sorted(inbox, key=lambda message: not isinstance(message, Start))
    answered: set[tuple[type, int]] = set()
    _sort_messages(state, inbox, result, answered)
    if result.held and _can_run(result) and not result.terminated:
        held, result.held = result.held, []
        _sort_messages(state, held, result, answered)
    return result


def _sort_messages(
    state: InstanceState,
    messages: Sequence[Message],
    result: _Sorted,
    answered: set[tuple[type, int]],
) -> None:
    for message in messages:
        if result.terminated:
            result.taken.append(message)
        elif isinstance(message, TaskResult | ChildResult | TimerDue):
            _sort_answer(state, message, result, answered)
        elif isinstance(message, Start):
            result.taken.append(message)
            if state.next_turn == 0 and not result.incoming:
                result.incoming.append(message.event)
                result.status = RuntimeStatus.RUNNING
        elif isinstance(message, RaiseEvent):
            if _can_run(result):
                result.taken.append(message)
                result.incoming.append(message.event)
            else:
                result.held.append(message)
        else:
            _sort_control(state, message, result)


def _can_run(result: _Sorted) -> bool:
    return result.status is RuntimeStatus.RUNNING


def _sort_answer(
    state: InstanceState,
    message: TaskResult | ChildResult | TimerDue,
    result: _Sorted,
    answered: set[tuple[type, int]],
) -> None:
    """Answers count once, for the execution and the attempt that asked (ENGINE rules 16, 17)."""
    work = state.work
    if isinstance(message, TaskResult):
        task_id = message.event.task_scheduled_id
        open_activity = work.activities.get(task_id)
        wanted = open_activity is not None and open_activity.sequence == message.sequence
    elif isinstance(message, ChildResult):
        task_id = message.event.task_scheduled_id
        wanted = task_id in work.children
    else:
        task_id = message.event.timer_id
        wanted = work.timers.get(task_id) == message.event.fire_at
    key = (type(message), task_id)
    if not wanted or message.execution_id != state.execution_id or key in answered:
        result.taken.append(message)
    elif _can_run(result):
        answered.add(key)
        result.taken.append(message)
        result.incoming.append(message.event)
    elif isinstance(message, TimerDue):
        result.taken.append(message)  # derived again from history at the resume
    else:
        result.held.append(message)


def _sort_control(
    state: InstanceState, message: Terminate | Suspend | Resume | Purge, result: _Sorted
) -> None:
    result.taken.append(message)
    match message:
        case Terminate(reason=reason):
            result.incoming.append(ExecutionTerminated(reason))
            result.terminated = True
        case Suspend(reason=reason):
            if result.status is RuntimeStatus.RUNNING:
                result.incoming.append(ExecutionSuspended(reason))
                result.status = RuntimeStatus.SUSPENDED
            else:
                _refuse_state(state, message, result, "suspend")
        case Resume(reason=reason):
            if result.status is RuntimeStatus.SUSPENDED:
                result.incoming.append(ExecutionResumed(reason))
                result.status = RuntimeStatus.RUNNING
            else:
                _refuse_state(state, message, result, "resume")
        case Purge(force=True):
            result.incoming.append(ExecutionTerminated('"purged"'))
            result.terminated = True
            result.purge = True
        case Purge():
            error = InstanceStateError(
                state.instance_id, "is still going; terminate it first, or purge it with force"
            )
            result.refused.append(Refusal(message.message_id, error))
        case _:
            assert_never(message)


def _refuse_state(
    state: InstanceState, message: Suspend | Resume, result: _Sorted, verb: str
) -> None:
    error = InstanceStateError(
        state.instance_id, f"is {result.status.label}, so it cannot {verb}"
    )
    result.refused.append(Refusal(message.message_id, error))


def _refuse_all(state: InstanceState, inbox: Sequence[Message]) -> Turn:
    turn = Turn([], state.generation, state.next_turn, taken=list(inbox))
    for message in inbox:
        if isinstance(message, Purge):
            turn.purge = True
        elif isinstance(message, RaiseEvent | Terminate | Suspend | Resume):
            error = InstanceFinishedError(
                state.instance_id, f"has already ended ({state.status.label})"
            )
            turn.refused.append(Refusal(message.message_id, error))
    return turn


# --- moving on ----------------------------------------------------------------------------------


def _timestamp(state: InstanceState, incoming: Sequence[Incoming], now: int) -> int:
    """Strictly later than the turn before, never before a timer that fires (ENGINE rule 21)."""
    timestamp = max(now, state.last_time + 1)
    for event in incoming:
        if isinstance(event, TimerFired) and event.fire_at > timestamp:
            timestamp = event.fire_at
    return timestamp


def _terminated(incoming: Sequence[Incoming]) -> ExecutionCompleted:
    reason = next(
        (event.input for event in incoming if isinstance(event, ExecutionTerminated)), None
    )
    return ExecutionCompleted(RuntimeStatus.TERMINATED, reason)


def _within_limits(
    state: InstanceState, answer: TurnActions, incoming: Sequence[Incoming], rules: TurnRules
) -> TurnActions:
    error = _crossed_limit(state, answer.actions, len(incoming), rules)
    if error is None:
        return answer
    failure = failure_of(error, with_traceback=False)
    answer.actions = [ExecutionCompleted(RuntimeStatus.FAILED, None, failure)]
    return answer


def _crossed_limit(
    state: InstanceState, actions: Sequence[Action], incoming: int, rules: TurnRules
) -> LimitError | None:
    limits = rules.limits
    who = f"instance {state.instance_id!r} ({state.name!r})"
    size = state.event_count + 1 + incoming + len(actions)
    if size > limits.history_events:
        return limit_error(
            "history_events",
            limits.history_events,
            f"the history of {who} would hold {size:,} events; use continue_as_new in long loops",
        )
    if len(actions) < 1:
        return None
    children = sum(1 for action in actions if type(action) is SubOrchestrationInstanceCreated)
    if children and children > rules.descendants_left(state.root_id):
        return limit_error(
            "open_descendants",
            limits.open_descendants,
            f"{who} starts {children:,} more instances below the root {state.root_id!r}",
        )
    return None


def _advance(
    state: InstanceState,
    turn: Turn,
    sorted_inbox: _Sorted,
    answer: TurnActions,
    timestamp: int,
    rules: TurnRules,
) -> None:
    before = (state.status, state.wake_at, state.custom_status)
    state.last_time = timestamp
    state.next_turn += 1
    state.event_count += len(turn.events)
    state.work.apply(sorted_inbox.incoming)
    state.work.apply(turn.actions)  # type: ignore[arg-type]  # actions are history events
    state.status = sorted_inbox.status
    if answer.custom_status is not UNSET:
        state.custom_status = answer.custom_status
    last = turn.actions[-1] if turn.actions else None
    if isinstance(last, ExecutionCompleted):
        turn.ending = last
        _end(state, last, timestamp)
    elif isinstance(last, ContinueAsNew):
        turn.ending = last
        _continue(state, turn, last, sorted_inbox.incoming, timestamp, rules)
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
    incoming: Sequence[Incoming],
    timestamp: int,
    rules: TurnRules,
) -> None:
    error = _too_quick(state, incoming, timestamp, rules.limits)
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
    turn.seed = seed(state, ending, rules.python)


def seed(state: InstanceState, ending: ContinueAsNew, python: str) -> list[Message]:
    """The messages that open the generation after a continue-as-new."""
    return [
        Start(event=start_event(state, python)),
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
        f"instance {state.instance_id!r} ({state.name!r}) continues as new over and over without "
        "waiting for a timer, an event or an activity",
    )
