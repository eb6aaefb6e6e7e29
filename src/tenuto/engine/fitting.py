"""Fitting: whether code fits an instance, found out without carrying anything out.

Does with an instance what a host does that brings it into memory and lets it take its next turn:
the same state, the same replay, the same session, the same names of what is wrong. What the turn
decides is dropped. So it says of a deployment beforehand whom it would hold (``engine.holding``).
Must never start an activity and never write.
"""

import gc
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from tenuto.engine.arrivals import due_timers, restored, seeded, waiting_in
from tenuto.engine.holding import hold_of
from tenuto.engine.ports import LateTurn, LoadedInstance, PutsOff, Runner, Session
from tenuto.engine.retention import live_session
from tenuto.engine.state import InstanceState, start_event
from tenuto.engine.turns.orchestration import prepare
from tenuto.model.codec import decode_turn
from tenuto.model.errors import UnknownFunctionError
from tenuto.model.events import (
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionTerminated,
    HistoryEvent,
    Incoming,
    TaskScheduled,
    TimerCreated,
)
from tenuto.model.hold import Hold
from tenuto.model.limits import Limits
from tenuto.model.messages import Message, Resume, Start
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds

_ENDED_BY_THE_ENGINE: Final = frozenset(
    {"LimitError", "NonDeterminismError", "UnknownFunctionError"}
)


def misfit_of(
    loaded: LoadedInstance, runner: Runner, limits: Limits, now: Microseconds
) -> Hold | None:
    """How an instance would be held with this code; None when it would go on.

    One that has ended is replayed to its end. One that is suspended or held is looked at as if it
    were resumed, one that is to begin later as if its time had come. Not to be called inside a
    task: sessions run here (ENGINE rule 3).

    Args:
        loaded: The instance, with its history and what waits for it.
        runner: Has the code; nothing is started on it.
        limits: What one orchestration may use up.
        now: The present: what is due by then counts as due.

    Raises:
        MsgspecError, UnicodeDecodeError: what is stored of it cannot be read.
    """
    state = restored(loaded)
    inbox = [] if state.is_finished else _next_inbox(state, loaded, runner, now)
    collecting = gc.isenabled()
    gc.disable()  # nothing of strangers inside a turn (ENGINE rule 40)
    try:
        _check_served(state, runner)
        if state.is_finished:
            _replay_to_the_end(state, loaded, runner, limits)
        else:
            _take_turn(state, inbox, loaded, runner, limits, now)
            if state.work.timers:
                turns = map(decode_turn, loaded.turns)
                _check_activities(runner, _tried_again(state.work.timers, turns))
    except Exception as error:  # noqa: BLE001 - a host holds the instance, whatever it is
        return hold_of(error, now)
    finally:
        if collecting:
            gc.enable()
    return None


def _next_inbox(
    state: InstanceState, loaded: LoadedInstance, runner: Runner, now: Microseconds
) -> list[Message]:
    """All that its next turn would take in."""
    openings: list[Message] = []
    if not state.next_turn:
        openings = seeded(state, loaded, runner.runtime)
        openings = openings or [Start(event=start_event(state, runner.runtime))]
    resumed = [Resume()] if state.is_stopped else []
    return [*openings, *waiting_in(loaded), *resumed, *due_timers(state, now)]


def _check_served(state: InstanceState, runner: Runner) -> None:
    """What its host looks for before it takes a turn."""
    if not runner.serves(state.facts.name):
        raise UnknownFunctionError("orchestrator", state.facts.name, runner.orchestrators)
    if not state.is_finished:
        _check_activities(runner, [work.name for work in state.work.activities.values()])


def _check_activities(runner: Runner, names: Iterable[str]) -> None:
    for name in names:
        if not runner.serves_activity(name):
            raise UnknownFunctionError("activity", name, list(runner.activity_limits))


def _tried_again(timers: Collection[int], turns: Iterable[Sequence[HistoryEvent]]) -> Iterator[str]:
    names: dict[int, str] = {}
    for turn in turns:
        for event in turn:
            if isinstance(event, TaskScheduled):
                names[event.event_id] = event.name
            elif isinstance(event, TimerCreated) and event.purpose == "retry":
                name = None if event.of is None else names.get(event.of)
                if event.event_id in timers and name is not None:
                    yield name


def _take_turn(
    state: InstanceState,
    inbox: list[Message],
    loaded: LoadedInstance,
    runner: Runner,
    limits: Limits,
    now: Microseconds,
) -> None:
    """Have the session, and let it take the inbox in as it would in replay: it logs nothing."""
    prepared = prepare(state, inbox, now)
    if prepared.inbox.is_terminated:
        return  # it ends without its code
    session = live_session(runner, state, loaded.turns, limits)
    try:
        if prepared.asks:
            _ask(session, prepared.timestamp, prepared.inbox.incoming)
    finally:
        session.close()


def _replay_to_the_end(
    state: InstanceState, loaded: LoadedInstance, runner: Runner, limits: Limits
) -> None:
    rows = loaded.turns
    if rows and is_ended_from_outside(decode_turn(rows[-1])):
        rows = rows[:-1]
    if rows:  # else no decision of the code is recorded
        session = live_session(runner, state, rows, limits)
        try:
            if isinstance(session, PutsOff):
                session.rebuild()
        finally:
            session.close()


def is_ended_from_outside(turn: Sequence[HistoryEvent]) -> bool:
    """Whether the engine ended the execution in this turn, its last: by a request, a limit, or
    because replay failed.
    """
    last = turn[-1]
    if not isinstance(last, ExecutionCompleted):
        return False
    if any(isinstance(event, ExecutionTerminated | ExecutionFailed) for event in turn):
        return True
    failure = last.failure_details
    return (
        last.orchestration_status is RuntimeStatus.FAILED
        and failure is not None
        and failure.error_type.rpartition(".")[2] in _ENDED_BY_THE_ENGINE
    )


def _ask(session: Session, timestamp: Microseconds, incoming: Sequence[Incoming]) -> None:
    answer = session.run_turn(timestamp, incoming, replaying=True)
    if isinstance(answer, LateTurn):  # it runs elsewhere: what it would say is not waited for
        answer.recall()
