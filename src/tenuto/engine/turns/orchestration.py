"""The turn of an orchestration: how it takes its inbox in and moves on.

``prepare`` sorts the inbox (what is a duplicate, what must wait, what ends the instance) and
changes nothing. The session answers, at once or later. ``finish`` records the answer and returns
everything that has to be written and done. Reads no clock, does no I/O, and changes only the state
it is given, so that a turn that went wrong, or was recalled, can be taken again. Continue-as-new,
termination, suspension are transitions here and nowhere else. Keeps the promises
``exactly_once_turns`` and ``at_least_once_activities``.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import UNSET, Struct, structs

from tenuto.engine.ports import DoorKeeper, LateTurn, Runtime, Session
from tenuto.engine.state import FOLLOW, InstanceState, start_event
from tenuto.engine.turns.effects import NOTHING, Send, decided, reply_to_parent
from tenuto.engine.turns.links import link_rows
from tenuto.engine.turns.sorting import SortedInbox, is_wanted, refuse_finished, sort_inbox
from tenuto.engine.turns.step import Step
from tenuto.engine.turns.topics import topic_wait_rows
from tenuto.engine.turns.unread import unread_at_the_end
from tenuto.model.actions import Action, TurnActions
from tenuto.model.codec import encode_turn
from tenuto.model.errors import LimitError
from tenuto.model.events import (
    ContinueAsNew,
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
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits, limit_error
from tenuto.model.messages import (
    Message,
    Start,
    TaskResult,
    Terminate,
)
from tenuto.model.spans import SpanRules
from tenuto.model.status import AT_ONCE, RuntimeStatus
from tenuto.model.timing import Microseconds

_MINUTE: Final[Microseconds] = 60_000_000
_CHILD = SubOrchestrationInstanceCreated
_ENDINGS: Final = (ExecutionCompleted, ContinueAsNew)
_RUNNING = RuntimeStatus.RUNNING
_FOR_THE_ENGINE = frozenset((ExecutionSuspended, ExecutionResumed))
"""Events that no orchestrator sees: a turn of them alone needs no session."""


class TurnRules(Struct, frozen=True):
    """What bounds a turn: the limits, and how many more descendants the root may have; and which
    traces have spans, if any.
    """

    limits: Limits
    runtime: Runtime
    descendants_left: Callable[[InstanceId], int]
    spans: SpanRules | None = None


class Prepared(Struct):
    """The first half of a turn.

    Attributes:
        inbox: What becomes of each message.
        timestamp: The orchestrator's clock for all of the turn.
        answer: What the engine knows itself: of an end from outside, or a pause.
        asks: Whether user code has to run.
        wants_session: Whether a session must be had: for that, or because what was held goes on
            with this turn, which only what fits does.
    """

    inbox: SortedInbox
    timestamp: Microseconds
    answer: TurnActions | None = None
    asks: bool = False
    wants_session: bool = False


def prepare(
    state: InstanceState, inbox: Sequence[Message], now: Microseconds, misfit: Hold | None = None
) -> Prepared:
    """Sort the whole inbox of an instance, for one turn. Changes nothing.

    Args:
        state: The instance.
        inbox: Its messages, oldest first.
        now: The host's clock in microseconds.
        misfit: Why the session could not take just this inbox in: the instance is held for it.
    """
    if state.is_finished:
        result = SortedInbox()
        for message in inbox:
            refuse_finished(state, message, state.status, result)
        return Prepared(result, now)
    if (
        len(inbox) == 1
        and type(inbox[0]) is TaskResult
        and state.status is _RUNNING
        and state.hold is None
        and misfit is None
    ):
        return _prepare_for_answer(state, inbox[0], now)
    result = sort_inbox(state, inbox, misfit)
    incoming = result.incoming
    goes_on = state.hold is not None and result.hold is None and state.next_turn > 0
    if not incoming:
        return Prepared(result, now, None, False, goes_on)
    # Strictly later than the turn before, never before a timer that fires (ENGINE rule 21).
    timestamp = max(now, state.last_time + 1)
    if state.work.timers:
        timestamp = _not_before_timers(incoming, timestamp)
    answer = None
    if result.is_terminated:
        answer = TurnActions([_ended_from_outside(incoming)])
    elif type(incoming[0]) in _FOR_THE_ENGINE and _is_for_the_engine(incoming):
        answer = TurnActions([])
    asks = answer is None
    return Prepared(result, timestamp, answer, asks, asks or goes_on)


def _prepare_for_answer(state: InstanceState, answer: TaskResult, now: Microseconds) -> Prepared:
    """For the inbox that most turns have: nothing to put in order, nothing it could repeat."""
    is_plain = not answer.message_id
    if is_wanted(state, answer):
        inbox = SortedInbox([answer.event], [answer], is_plain)
        earliest = state.last_time + 1
        timestamp = now if now > earliest else earliest  # noqa: FURB136 - a call costs more
        return Prepared(inbox, timestamp, None, True, True)
    return Prepared(SortedInbox([], [answer], is_plain), now)


def finish(
    state: InstanceState, prepared: Prepared, answer: TurnActions | None, rules: TurnRules
) -> Step:
    """Record the answer to a turn, and move on.

    Args:
        state: The instance, as it was when the turn was prepared; moved forward.
        prepared: The first half.
        answer: What was decided; None when nothing was taken in.
        rules: Limits.
    """
    inbox = prepared.inbox
    if answer is None:
        return _finish_without_events(state, inbox, prepared.timestamp)
    if answer.refused:
        inbox.refuse_offered(answer.refused)
        if not inbox.incoming and not answer.actions:  # nothing has happened
            return _finish_without_events(state, inbox, prepared.timestamp)
    timestamp, limits, actions = prepared.timestamp, rules.limits, answer.actions
    events: list[HistoryEvent] = [OrchestratorStarted(timestamp), *inbox.incoming, *actions]
    if prepared.asks and (
        state.event_count + len(events) > limits.history_events or _CHILD in map(type, actions)
    ):
        error = _crossed_limit(state, actions, len(events), rules)
        if error is not None:  # it ends the instance instead of what it decided
            answer.actions = [_failed_by(error)]
            events = [events[0], *inbox.incoming, *answer.actions]
    row = encode_turn(events)
    size = len(row)
    if size > limits.turn_bytes or state.history_bytes + size > limits.history_bytes:
        row = _keep_short(state, events, row, answer, limits)
    # All at once: a field that is set later costs as much as ten.
    turn = Step(
        events,
        state.facts.generation,
        state.next_turn,
        inbox,
        row,
        len(answer.actions),
        NOTHING,
        answer.logs,
        timestamp - state.last_time if state.next_turn else 0,
    )
    _advance(state, turn, answer, timestamp, rules)
    return turn


def take_turn(
    state: InstanceState,
    inbox: Sequence[Message],
    session: Callable[[], Session],
    now: Microseconds,
    rules: TurnRules,
    misfit: Hold | None = None,
) -> Step:
    """Both halves of a turn that is answered at once; arguments are theirs.

    ``session`` gives the live session; it is asked only when one must be had.
    """
    prepared = prepare(state, inbox, now, misfit)
    answer = prepared.answer
    if prepared.wants_session:
        found = session()
        if prepared.asks:
            given = ask(found, prepared)
            assert not isinstance(given, LateTurn)
            answer = given
    return finish(state, prepared, answer, rules)


def ask(session: Session, prepared: Prepared) -> TurnActions | LateTurn:
    """Have user code run for the events of a turn; who is asked at the door sees what it can."""
    inbox = prepared.inbox
    if inbox.offered and isinstance(session, DoorKeeper):
        return session.run_offered(prepared.timestamp, inbox.incoming, inbox.offered)
    return session.run_turn(prepared.timestamp, inbox.incoming)


def _finish_without_events(state: InstanceState, inbox: SortedInbox, now: Microseconds) -> Step:
    turn = Step([], state.facts.generation, state.next_turn, inbox)
    if state.is_finished:
        for message in inbox.taken:
            if isinstance(message, TaskResult) and state.ends_call(message):
                turn.row_changed = state.wake_at is None
    elif inbox.status is not state.status or inbox.hold is not state.hold:
        _change_standing(state, turn, now)
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


def _change_standing(state: InstanceState, turn: Step, now: Microseconds) -> None:
    """It is paused or held, or no longer, and nothing of it is for history."""
    was_stopped = state.is_stopped
    state.status = turn.inbox.status
    state.hold = turn.inbox.hold
    state.wake_at = state.due_at()
    state.updated_at = max(now, state.updated_at)
    turn.row_changed = True
    turn.resumes = was_stopped and not state.is_stopped


def failed_turn(
    state: InstanceState, inbox: Sequence[Message], failure: FailureDetails, now: Microseconds
) -> Step:
    """The turn that ends an instance whose session cannot go on (replay failed, poison)."""
    timestamp = max(now, state.last_time + 1)
    ending = ExecutionCompleted(RuntimeStatus.FAILED, None, failure)
    events: list[HistoryEvent] = [OrchestratorStarted(timestamp), ending]
    turn = Step(
        events,
        state.facts.generation,
        state.next_turn,
        SortedInbox(taken=list(inbox)),
        encode_turn(events),
        1,
        waited=timestamp - state.last_time if state.next_turn else 0,
        has_ended=True,
    )
    _end(state, ending, timestamp)
    turn.topic_waits = topic_wait_rows(state, is_over=True)
    _tell_parent(state, turn, [])
    state.keep_last_calls(())
    state.next_turn += 1
    turn.row_changed = True
    return turn


# --- moving on ----------------------------------------------------------------------------------


def _not_before_timers(incoming: Sequence[Incoming], timestamp: Microseconds) -> Microseconds:
    for event in incoming:
        if type(event) is TimerFired and event.fire_at > timestamp:
            timestamp = event.fire_at
    return timestamp


def _ended_from_outside(incoming: Sequence[Incoming]) -> ExecutionCompleted:
    last = incoming[-1]
    if isinstance(last, ExecutionFailed):
        words = "ended as failed by an operator"
        reason = (last.reason or "").strip()
        text = f"{words}: {last.reason}" if reason else words
        return ExecutionCompleted(
            RuntimeStatus.FAILED, None, FailureDetails("OrchestrationFailed", text)
        )
    assert isinstance(last, ExecutionTerminated)
    return ExecutionCompleted(RuntimeStatus.TERMINATED, last.input)


def _failed_by(error: LimitError) -> ExecutionCompleted:
    failure = failure_of(error, with_traceback=False)
    return ExecutionCompleted(RuntimeStatus.FAILED, None, failure)


def _crossed_limit(
    state: InstanceState, actions: Sequence[Action], events: int, rules: TurnRules
) -> LimitError | None:
    limits = rules.limits
    size = state.event_count + events
    if size > limits.history_events:
        return limit_error(
            "history_events",
            limits.history_events,
            f"the history of {_who(state)} would hold {size:,} events; "
            "use continue_as_new in long loops",
        )
    children = sum(type(action) is _CHILD for action in actions)
    if children > rules.descendants_left(state.facts.root_id):
        return limit_error(
            "open_descendants",
            limits.open_descendants,
            f"{_who(state)} starts {children:,} more instances below the root "
            f"{state.facts.root_id!r}",
        )
    return None


def _who(state: InstanceState) -> str:
    return f"instance {state.instance_id!r} ({state.facts.name!r})"


def _advance(
    state: InstanceState,
    turn: Step,
    answer: TurnActions,
    timestamp: Microseconds,
    rules: TurnRules,
) -> None:
    inbox, actions, work = turn.inbox, answer.actions, state.work
    state.last_time = timestamp
    state.next_turn += 1
    state.event_count += len(turn.events)
    state.history_bytes += len(turn.row)
    for event in inbox.incoming:
        follow = FOLLOW.get(type(event))
        if follow is not None:
            follow(work, event, state)
    last = None
    if actions:
        last = actions[-1]
        turn.effects = decided(
            state, actions, timestamp, rules.runtime, answer.put_aside, rules.spans
        )
    if work.links or turn.effects.letters:
        turn.links = link_rows(state, inbox.incoming)
    kind = type(last)
    if work.topics is not None or kind in _ENDINGS:
        turn.topic_waits = topic_wait_rows(state, is_over=kind in _ENDINGS)
    is_changed = False
    if inbox.status is not state.status or inbox.hold is not state.hold:
        is_changed = _stands_otherwise(state, turn)
    custom_status = answer.custom_status
    if custom_status is not UNSET and custom_status != state.custom_status:
        state.custom_status = custom_status
        is_changed = True
    if kind is ExecutionCompleted:
        _complete(state, turn, answer, timestamp, rules)
        return
    if kind is ContinueAsNew:
        _continue(state, turn, answer, timestamp, rules)
        return
    due_at = None
    if inbox.is_open:
        due_at = AT_ONCE if work.activities else work.wake_at()
    if is_changed or due_at != state.wake_at:
        state.wake_at = due_at
        state.updated_at = timestamp
        turn.row_changed = True


def _stands_otherwise(state: InstanceState, turn: Step) -> bool:
    """Messages have had it paused or held, or have let it go on; whether its row says otherwise."""
    inbox = turn.inbox
    is_changed = inbox.status is not state.status or inbox.hold != state.hold
    turn.resumes = is_changed and inbox.is_open and state.is_stopped
    state.status, state.hold = inbox.status, inbox.hold
    return is_changed


def _complete(
    state: InstanceState,
    turn: Step,
    answer: TurnActions,
    timestamp: Microseconds,
    rules: TurnRules,
) -> None:
    last = answer.actions[-1]
    assert isinstance(last, ExecutionCompleted)
    if turn.inbox.is_terminated:
        turn.logs = unread_at_the_end(state, rules.runtime)
    turn.has_ended = turn.row_changed = True
    _end(state, last, timestamp)
    if state.work.activities:
        state.keep_last_calls(answer.actions)
    if turn.inbox.is_terminated or state.facts.parent is not None:
        _tell_others(state, turn)


def _end(state: InstanceState, ending: ExecutionCompleted, timestamp: Microseconds) -> None:
    state.status = ending.orchestration_status
    state.output = ending.result
    state.failure = ending.failure_details
    state.completed_at = state.updated_at = timestamp
    state.wake_at = None
    state.hold = None


def _tell_others(state: InstanceState, turn: Step) -> None:
    """Its end is to reach what it has called, if so asked, and whoever has called it."""
    sends: list[Send] = []
    incoming = turn.inbox.incoming
    if turn.inbox.is_terminated and any(
        isinstance(event, ExecutionTerminated) and event.recurse for event in incoming
    ):
        # Said to itself, so that a crash loses nothing.
        word = Terminate(recurse=True, child_of=state.facts.execution_id)
        sends.append(Send(state.instance_id, word))
    _tell_parent(state, turn, sends)


def _tell_parent(state: InstanceState, turn: Step, sends: list[Send]) -> None:
    reply = reply_to_parent(state)
    if reply is not None:
        sends.append(reply)
    if sends:
        effects = turn.effects
        turn.effects = structs.replace(effects, sends=[*effects.sends, *sends])


def _continue(
    state: InstanceState,
    turn: Step,
    answer: TurnActions,
    timestamp: Microseconds,
    rules: TurnRules,
) -> None:
    ending = answer.actions[-1]
    assert isinstance(ending, ContinueAsNew)
    turn.has_ended = turn.row_changed = True
    turn.unread = answer.unread or ()
    error = _too_quick(state, turn, ending, timestamp, rules.limits)
    if error is not None:
        failed = _failed_by(error)
        turn.events[-1] = failed
        turn.row = encode_turn(turn.events)
        turn.unread = ()
        _end(state, failed, timestamp)
        state.keep_last_calls(())
        _tell_others(state, turn)
        return
    turn.taken_unread = ending.taken
    state.begin_generation(ending, rules.spans)
    if turn.unread or ending.taken:
        state.keep_unread(turn.unread, ending.taken)
    state.wake_at = AT_ONCE if turn.inbox.is_open else None
    state.updated_at = timestamp
    turn.seed = seed(state, ending, rules.runtime)


def seed(state: InstanceState, ending: ContinueAsNew, runtime: Runtime) -> list[Message]:
    """The messages that open the generation after a continue-as-new."""
    start = structs.replace(
        start_event(state, runtime), webhooks=ending.webhooks, places=ending.places
    )
    return [Start(event=start)]


def _too_quick(
    state: InstanceState, turn: Step, ending: ContinueAsNew, timestamp: Microseconds, limits: Limits
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
