"""Replay: rebuilding a session from history, and telling when it cannot be done.

Compares actions turn by turn by what they are (kind, id, name, target), not by payload or due
time: a code change that only alters an input must not strand running instances. Keeps the promise
``replay_is_pure``.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar, get_args

import msgspec

from tenuto.model.actions import Action, TurnActions
from tenuto.model.built_in import plain_name
from tenuto.model.errors import NonDeterminismError
from tenuto.model.events import (
    Decision,
    Ending,
    EventAwaited,
    EventPublished,
    EventRefused,
    EventSent,
    EventTaken,
    ExecutionStarted,
    HistoryEvent,
    Incoming,
    MessageQueued,
    OrchestratorStarted,
    QuestionLinked,
    SubOrchestrationInstanceCreated,
    TaskCanceled,
    TaskScheduled,
    TopicAwaited,
)
from tenuto.model.execution import ExecutionInfo
from tenuto.model.timing import Microseconds
from tenuto.orchestration.runtime import RUNTIME
from tenuto.orchestration.session import Session

T = TypeVar("T")

_ACTIONS = frozenset(get_args(Decision) + get_args(Ending))


class RecordedTurn(msgspec.Struct, frozen=True):
    """A turn of history, taken apart."""

    timestamp: Microseconds
    incoming: list[Incoming]
    actions: list[Action]


def split_turn(events: Sequence[HistoryEvent]) -> RecordedTurn:
    """Take a recorded turn apart into its time, what came in, and what was decided."""
    first = events[0]
    if not isinstance(first, OrchestratorStarted):
        raise NonDeterminismError(f"history is damaged: a turn begins with {describe(first)}")
    incoming: list[Incoming] = []
    actions: list[Action] = []
    for event in events[1:]:
        (actions if type(event) in _ACTIONS else incoming).append(event)  # type: ignore[arg-type]
    return RecordedTurn(first.timestamp, incoming, actions)


def replay(
    turns: Sequence[Sequence[HistoryEvent]], open_session: Callable[[bool], Session]
) -> Session:
    """Rebuild the live session of an execution from its recorded turns.

    Args:
        turns: The history, oldest first.
        open_session: Makes a fresh session; called with True to have source lines traced.

    Raises:
        NonDeterminismError: the code decides otherwise than history recorded; the message shows
            both, the position and the source line.
        GuardError: it does so because it now does something that cannot be replayed.
    """
    session = open_session(False)
    try:
        for number in range(len(turns)):
            _replay_turn(session, turns, number, open_session)
    except BaseException:
        session.close()
        raise
    return session


def _replay_turn(
    session: Session,
    turns: Sequence[Sequence[HistoryEvent]],
    number: int,
    open_session: Callable[[bool], Session],
) -> None:
    recorded = split_turn(turns[number])
    produced = run_again(session, recorded)
    if differs(recorded.actions, produced):
        _raise_violation(session, recorded, produced)
        raise _explain(turns, number, produced, open_session)


def _raise_violation(session: Session, recorded: RecordedTurn, produced: Sequence[Action]) -> None:
    """What the guard refused is the reason why the two differ, if it refused something."""
    violation = session.loop.violation
    if violation is not None:
        old = _at(recorded.actions, _first_difference(recorded.actions, produced))
        violation.recorded, violation.produced = describe(old), str(violation)
        raise violation


def retrace(session: Session, turn: Sequence[HistoryEvent], number: int) -> TurnActions:
    """Lead a session through its next recorded turn, and give what the code decided in it.

    Args:
        session: It has taken all turns before, and traces source lines.
        turn: The turn.
        number: Which one of the history it is, from 0.

    Raises:
        NonDeterminismError: the code decides otherwise than history recorded.
        GuardError: it does so because it now does something that cannot be replayed.
    """
    recorded = split_turn(turn)
    answer = answer_again(session, recorded)
    produced = answer.actions
    if differs(recorded.actions, produced):
        _raise_violation(session, recorded, produced)
        index = _first_difference(recorded.actions, produced)
        where = _decided_at(session, index, produced)
        raise _parted(session.info, (number, index), recorded, produced, where)
    return answer


def run_again(session: Session, recorded: RecordedTurn) -> list[Action]:
    """What the code decides in a recorded turn."""
    return answer_again(session, recorded).actions


def answer_again(session: Session, recorded: RecordedTurn) -> TurnActions:
    """All that the code answers in a recorded turn.

    Which events were refused is a fact and no decision: code that asks for other data by now must
    not take what has become a dead letter since.
    """
    session.refusals = {
        one.which: one.reason
        for one in recorded.actions
        if isinstance(one, EventRefused) and one.which
    }
    try:
        return session.run_turn(recorded.timestamp, recorded.incoming, replaying=True)
    finally:
        session.refusals = {}


def differs(recorded: Sequence[Action], produced: Sequence[Action]) -> bool:
    """Whether two lists of actions are not the same work."""
    if len(recorded) != len(produced):
        return True
    return any(identity(old) != identity(new) for old, new in zip(recorded, produced, strict=True))


def identity(action: Action) -> tuple[object, ...]:
    """What makes an action the same in every replay."""
    kind = type(action)
    if isinstance(action, TaskScheduled):
        return (kind, action.event_id, action.name, action.attempt)
    if isinstance(action, SubOrchestrationInstanceCreated):
        return (kind, action.event_id, action.name, action.instance_id)
    if isinstance(action, EventSent):
        return (kind, action.event_id, action.instance_id, action.name)
    if isinstance(action, EventPublished):
        return (kind, action.event_id, action.topic, action.key)
    if isinstance(action, MessageQueued):
        return (kind, action.event_id, action.queue)
    if isinstance(action, TopicAwaited):
        return (kind, action.event_id, action.topic, action.key, action.after)
    if isinstance(action, EventAwaited | EventRefused):
        return (kind, action.event_id, action.name)
    if isinstance(action, TaskCanceled | EventTaken | QuestionLinked):
        return (kind, action.task_id)
    return (kind, getattr(action, "event_id", None), getattr(action, "orchestration_status", None))


def describe(event: object | None) -> str:
    """An event or action for people: ``TaskScheduled #3 'book_flight'``."""
    if event is None:
        return "nothing"
    text = type(event).__name__
    number = getattr(event, "event_id", getattr(event, "task_id", None))
    if number is not None:
        text = f"{text} #{number}"
    place = getattr(event, "topic", getattr(event, "queue", None))
    name = getattr(event, "name", getattr(event, "title", place))
    return text if name is None else f"{text} {plain_name(name)!r}"


def _explain(
    turns: Sequence[Sequence[HistoryEvent]],
    number: int,
    produced: Sequence[Action],
    open_session: Callable[[bool], Session],
) -> NonDeterminismError:
    """Run again with source lines traced, to say where the two part."""
    session = open_session(True)
    again: Sequence[Action] = ()
    recorded = split_turn(turns[number])
    index = _first_difference(recorded.actions, produced)
    try:
        for turn in turns[: number + 1]:
            again = run_again(session, split_turn(turn))
        where = _decided_at(session, index, produced)
    finally:
        session.close()
    if differs(produced, again):
        where = "a place that changes: it did something else when it was run once more"
    error = _parted(session.info, (number, index), recorded, produced, where)
    return NonDeterminismError(f"{error} {_advice(turns)}", error.recorded, error.produced)


def _decided_at(session: Session, index: int, produced: Sequence[Action]) -> str:
    """The line that decided an action; where the code waits, when there is none."""
    if _at(produced, index) is not None:
        return _at(session.trace or (), index) or "an unknown place"
    return "; ".join(session.positions()) or "an unknown place"


def _parted(
    info: ExecutionInfo,
    place: tuple[int, int],
    recorded: RecordedTurn,
    produced: Sequence[Action],
    where: str,
) -> NonDeterminismError:
    """History and code do not agree, at a place: turn and action, each from 0."""
    turn, index = place
    recorded_words = describe(_at(recorded.actions, index))
    produced_words = describe(_at(produced, index))
    message = (
        f"replay of instance {info.instance_id!r} ({info.facts.name!r}) went another way "
        f"in turn {turn + 1}, action {index + 1}: history recorded {recorded_words}, the "
        f"code produced {produced_words} at {where}."
    )
    return NonDeterminismError(message, recorded_words, f"{produced_words} at {where}")


def _first_difference(recorded: Sequence[Action], produced: Sequence[Action]) -> int:
    for index, (old, new) in enumerate(zip(recorded, produced, strict=False)):
        if identity(old) != identity(new):
            return index
    return min(len(recorded), len(produced))


def _at(found: Sequence[T], index: int) -> T | None:
    return found[index] if index < len(found) else None


def _advice(turns: Sequence[Sequence[HistoryEvent]]) -> str:
    started = next((event for event in turns[0] if isinstance(event, ExecutionStarted)), None)
    if started is not None and started.runtime not in {"", RUNTIME}:
        return (
            f"The history was recorded on {started.runtime}, this is {RUNTIME}: run "
            "the instance on the version that recorded it, or restart it."
        )
    return (
        "Either the orchestrator was changed while this instance ran (restore the old code under "
        "its name, or restart the instance), or it uses something that is not the same in every "
        "run (time, random numbers, sets of plain objects, global state)."
    )
