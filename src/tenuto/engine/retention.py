"""Retention: who stays in memory, with or without a live session.

Owns the live sessions (opened, rebuilt by replay, closed), their bounds, and the unloading of what
only waits (``waiting_costs_nothing``, ENGINE rule 26).
"""

from collections.abc import Sequence
from typing import Final, overload

from tenuto.engine.parts import Parts
from tenuto.engine.ports import (
    Runner,
    Session,
)
from tenuto.engine.resident import Resident
from tenuto.engine.state import InstanceState
from tenuto.model.codec import decode_turn
from tenuto.model.events import HistoryEvent
from tenuto.model.execution import ExecutionInfo
from tenuto.model.limits import Limits
from tenuto.model.timing import Microseconds

_SOON: Final[Microseconds] = 1_000_000


class RecordedTurns(Sequence[Sequence[HistoryEvent]]):
    """The turns of a history, each decoded when it is asked for: together they may be long."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Sequence[HistoryEvent]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sequence[HistoryEvent]]: ...

    def __getitem__(
        self, index: int | slice
    ) -> Sequence[HistoryEvent] | Sequence[Sequence[HistoryEvent]]:
        if isinstance(index, slice):
            return RecordedTurns(self._rows[index])
        return decode_turn(self._rows[index])


def live_session(
    runner: Runner, state: InstanceState, rows: Sequence[bytes], limits: Limits
) -> Session:
    """A session of an execution: a fresh one, or as its recorded turns have left it.

    Args:
        runner: Has its orchestrator.
        state: The instance.
        rows: The turns of its current generation, as they are stored.
        limits: What it may use up.
    """
    info = ExecutionInfo(facts=state.facts, limits=limits, unread=state.unread)
    if state.next_turn == 0:
        return runner.open_session(info)
    return runner.replay_session(info, RecordedTurns(rows))


class Retention:
    """Decides for an engine which instances and sessions stay.

    Attributes:
        session_bytes: Roughly the memory of the live sessions; booking adds what histories grow by.
    """

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._sessions = 0
        self.session_bytes: int = 0
        self._sweep_scheduled = False

    @property
    def sessions(self) -> int:
        """How many sessions are live."""
        return self._sessions

    def session(self, resident: Resident) -> Session:
        """The live session of an instance: as it is, fresh, or rebuilt from its history."""
        engine = self._engine
        if resident.session is None:
            rows, limits = resident.recorded or (), engine.options.limits
            resident.session = live_session(engine.runner, resident.state, rows, limits)
            if resident.state.next_turn:
                resident.recorded = None
            self._sessions += 1
            self.session_bytes += resident.size
        return resident.session

    def close(self, resident: Resident) -> None:
        """Discard the live session, if there is one (ENGINE rule 5); its turn is recalled."""
        engine = self._engine
        if resident.out is not None:
            engine.turning.recall(resident)
        if resident.session is not None:
            self._sessions -= 1
            self.session_bytes -= resident.size
            before, engine.busy_with = engine.busy_with, resident
            refused = resident.close_session()
            engine.busy_with = before
            if refused:
                engine.observer.problem(
                    resident.state.instance_id,
                    "a coroutine refused to end when its session was discarded; it is kept",
                )
        resident.recorded = None

    def settle(self, resident: Resident) -> None:
        """Unload what only waits (ENGINE rule 26)."""
        engine = self._engine
        state = resident.state
        if engine.careful is not None and engine.careful.waits_for(resident):
            return
        if state.is_finished or state.is_stopped:
            self.unload(resident)
            return
        wake_at = state.work.wake_at()
        if state.next_turn == 0:
            wake_at = state.facts.scheduled_at
        if wake_at is None or state.work.children:
            self._sweep_soon()
        elif wake_at > engine.clock.now() + _SOON:
            self.unload(resident)

    def unload(self, resident: Resident) -> None:
        """Take an instance out of memory; everything of it is in the store."""
        self.close(resident)
        resident.home.delivery.leaves(resident.held)
        resident.home.residents.remove(resident)

    def _sweep_soon(self) -> None:
        engine = self._engine
        if not self._sweep_scheduled:
            self._sweep_scheduled = True
            engine.clock.call_later(_SOON, self._sweep)

    def _sweep(self) -> None:
        """Unload instances that have been waiting for a message for a second or more."""
        engine = self._engine
        self._sweep_scheduled = False
        limit = engine.clock.now() - _SOON
        for home in engine.partitions.values():
            for resident in home.residents.oldest():
                if not resident.is_idle or resident.state.work.activities:
                    continue
                if resident.state.last_time > limit:
                    self._sweep_soon()
                    break
                self.unload(resident)

    def _has_too_many_sessions(self) -> bool:
        engine = self._engine
        options = engine.options
        return (
            self._sessions > options.hot_sessions or self.session_bytes > options.hot_session_bytes
        )

    def bound_sessions(self) -> None:
        """Discard the least recently used sessions when there are too many."""
        engine = self._engine
        if not self._has_too_many_sessions():
            return
        for resident in engine.residents.oldest():
            if resident.session is None or resident.is_busy:
                continue
            self.close(resident)
            if resident.is_idle:
                self.unload(resident)
            if not self._has_too_many_sessions():
                return
