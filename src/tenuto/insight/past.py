"""The past of one execution: what it was after each of its turns, read forward turn by turn.

Goes through a history once, with the steps, the words and, where its runner can look back, the code
itself in a session of its own. Steps back by beginning anew. Must never touch the live session and
never carry anything out.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType, structs

from tenuto.engine.arrivals import unread_of
from tenuto.engine.fitting import is_ended_from_outside
from tenuto.engine.holding import hold_of
from tenuto.engine.looking_back import LooksBack, PastSession
from tenuto.engine.ports import LoadedInstance, Runner
from tenuto.insight.breaking_off import BreaksOff, BrokenOffError
from tenuto.insight.steps import Run, Story
from tenuto.insight.turn_words import TurnWords, WordsOfTurns
from tenuto.model.code_frames import CodePlaces
from tenuto.model.codec import decode_turn
from tenuto.model.events import HistoryEvent, QuestionAsked
from tenuto.model.execution import ExecutionInfo
from tenuto.model.facts import facts_of_row
from tenuto.model.limits import Limits
from tenuto.model.status import InstanceRecord, RuntimeStatus

PATIENCE_SECONDS: Final = 5.0
_CLOSINGS: Final = 3
_LONG_TURN_BYTES: Final = 64 * 1024
_OUTSIDE: Final = "it was ended from outside in this turn, and not by its code"
_OVER: Final = "its code had come to its end by then"


class Moment(Struct, frozen=True, kw_only=True):
    """What an orchestrator knew after one of its turns.

    Attributes:
        words: The turn.
        generation: Which one it belongs to.
        run: The steps as they were then.
        custom_status: As JSON text; None when there was none, or nobody knows.
        places: Where its code waited; None when that cannot be shown.
        why: Why it cannot.
        fits_through: The last turn that its code fits, when it does not fit all.
        awaited: What open waits for events ask for, as JSON schemas, by the number of the step.
        asked: The questions so far, by the number of the step.
    """

    words: TurnWords
    generation: int
    run: Run
    custom_status: str | None = None
    places: CodePlaces | None = None
    why: str = ""
    fits_through: int | None = None
    awaited: Mapping[int, Mapping[str, Any] | None] = {}
    asked: Mapping[int, QuestionAsked] = {}


class Past:
    """One execution and its history.

    Args:
        loaded: The instance, which has begun.
        runner: Of the host: it may have the code.
        limits: What one orchestration may use up.
        forbidden: Why its code must not be tried here; empty when it may.
        patience: For so many seconds its code may run without a pause.

    Attributes:
        loaded: The instance.
        size: Bytes of its history.
        has_held_up: Whether its code had to be broken off.
        is_closed: Whether its session was thrown away; the next turn begins anew.
        stayed: How many coroutines did not end when they were thrown away; they stay in memory.
    """

    def __init__(
        self,
        loaded: LoadedInstance,
        runner: Runner,
        limits: Limits,
        forbidden: str = "",
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.loaded: LoadedInstance = loaded
        self.size: int = sum(map(len, loaded.turns))
        self._runner = runner
        self._limits = limits
        self._forbidden = forbidden
        self._session: PastSession | None = None
        self._breaks_off = BreaksOff(patience)
        self.has_held_up: bool = False
        self.stayed: int = 0
        self.is_closed: bool = False
        self._why: str = ""
        self._next: Sequence[HistoryEvent] | None = None
        self._begin()

    @property
    def record(self) -> InstanceRecord:
        """Its row, as it was read with the history."""
        return self.loaded.record

    @property
    def turns(self) -> int:
        """How many there are."""
        return len(self.loaded.turns)

    @property
    def at(self) -> int:
        """The turn after which this stands; 0 at the beginning."""
        return self._at

    def grown(self, loaded: LoadedInstance) -> bool:
        """Take in what was read anew; False when that is another execution."""
        before = self.record
        is_same = loaded.record.execution_id == before.execution_id
        if not is_same or len(loaded.turns) < self._at or loaded.record.hold != before.hold:
            return False
        self.loaded = loaded
        self.size = sum(map(len, loaded.turns))
        return True

    @property
    def runs_code(self) -> bool:
        """Whether there is a session of its code, or will be."""
        return self._session is not None or not self._why

    def forbid(self, why: str) -> None:
        """Do not run its code any more; empty changes nothing."""
        self._forbidden = why or self._forbidden
        self._why = why or self._why

    def go(self, turn: int, seconds: float) -> bool:
        """Go on towards a turn; whether it is there. Not to be called inside a task.

        Args:
            turn: From 1.
            seconds: About how long to be at it; one turn is always taken.
        """
        if turn < self._at or self.is_closed:
            self.close()
            self._begin()
        end = time.monotonic() + seconds
        while self._at < turn:
            self._take()
            if time.monotonic() > end or self.is_long_next:
                break
        return self._at == turn

    @property
    def is_long_next(self) -> bool:
        """Whether the next turn is so long that it is read in a thread first."""
        rows = self.loaded.turns
        return (
            self._next is None and self._at < len(rows) and len(rows[self._at]) > _LONG_TURN_BYTES
        )

    def read_next(self) -> None:
        """Read the next turn, as far as no code of users is needed for that."""
        self._next = self._read()

    def run(self) -> Run:
        """The steps as they were after the turn at which this stands."""
        return self._story.told(self._row())

    def places(self) -> CodePlaces | None:
        """Where its code waits then; None when that is not known. Runs no code of users."""
        return None if self._session is None or self._why else self._session.places()

    def moment(self, run: Run, places: CodePlaces | None) -> Moment:
        """What was so after the turn at which this stands. Not to be called inside a task.

        Args:
            run: The steps of then.
            places: Where its code waited then.
        """
        assert self._words is not None, "it has gone to a turn"
        awaited = self._awaited()
        return Moment(
            words=self._words,
            generation=self.record.generation,
            run=run,
            custom_status=self._status(),
            places=None if self._why else places,
            why=self._why,  # after what is awaited: that may be broken off
            fits_through=self._fits_through,
            awaited=awaited,
            asked=dict(self._asked),
        )

    def close(self) -> None:
        """Throw the session away; who goes on begins anew. Not to be called inside a task."""
        self.is_closed = True
        session, self._session = self._session, None
        if session is None:
            return
        for _ in range(_CLOSINGS):
            try:
                self.stayed += self._breaks_off.within(session.close)
            except BrokenOffError:
                self.has_held_up = True
            else:
                return

    def leave(self) -> object:
        """Let the session be as it is: freeing it would run its code, so it must be kept."""
        self.is_closed = True
        session, self._session = self._session, None
        return session

    # --- turn by turn ---------------------------------------------------------------------------

    def _begin(self) -> None:
        record = self.record
        events = unread_of(self.loaded)
        self.is_closed = False
        self._at = 0
        self._next = None
        self._words: TurnWords | None = None
        self._reads = WordsOfTurns(record.created_at)
        self._story = Story(record.created_at, events.events)
        self._custom_status: str | UnsetType | None = UNSET
        self._fits_through: int | None = None
        self._asked: dict[int, QuestionAsked] = {}
        self._why = self._forbidden or self._open(
            ExecutionInfo(facts=facts_of_row(record), limits=self._limits, unread=events)
        )

    def _open(self, info: ExecutionInfo) -> str:
        """Have a session; why there is none, or nothing."""
        name, runner = info.facts.name, self._runner
        if not runner.serves(name):
            return f"this host has no orchestrator {name!r}"
        if isinstance(runner, LooksBack):
            try:
                self._session = runner.open_past(info)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the code
                return hold_of(error, 0).message
        if self._session is None:
            return "its code runs in another program, which cannot be looked into"
        return ""

    def _take(self) -> None:
        turn = self._next or self._read()
        self._next = None
        if self._session is not None and not self._why:
            if is_ended_from_outside(turn):
                self._why = _OUTSIDE
            else:
                self._retrace(self._session, turn)
        self._at += 1

    def _awaited(self) -> Mapping[int, Mapping[str, Any] | None]:
        """What it waits for; the classes of that may run code."""
        session = self._session
        if session is None or self._why:
            return {}
        try:
            return self._breaks_off.within(session.awaited)
        except BrokenOffError as error:
            self._break_off(error)
            return {}

    def _break_off(self, error: BrokenOffError) -> None:
        self.has_held_up = True
        self._why = f"its code was broken off: {error}"

    def _read(self) -> Sequence[HistoryEvent]:
        turn = decode_turn(self.loaded.turns[self._at])
        self._words = self._reads.read(turn)
        self._story.read(turn)
        self._asked |= {one.event_id: one for one in turn if isinstance(one, QuestionAsked)}
        return turn

    def _retrace(self, session: PastSession, turn: Sequence[HistoryEvent]) -> None:
        try:
            status = self._breaks_off.within(lambda: session.take(turn, self._at))
        except BrokenOffError as error:
            self._break_off(error)
            return
        except Exception as error:  # noqa: BLE001 - whatever the code does otherwise by now
            self._why = f"its code does not fit any more: {hold_of(error, 0).message}"
            self._fits_through = self._at
            return
        if status is not UNSET:
            self._custom_status = status
        if session.is_over:
            self._why = _OVER

    # --- what is shown --------------------------------------------------------------------------

    def _row(self) -> InstanceRecord:
        """The row as it was then, as far as it tells of steps."""
        if self._at == self.turns:
            return self.record
        return structs.replace(
            self.record,
            status=RuntimeStatus.RUNNING,
            completed_at=None,
            output=None,
            failure=None,
            hold=None,
        )

    def _status(self) -> str | None:
        if self._at == self.turns:
            return self.record.custom_status
        return None if self._custom_status is UNSET else self._custom_status
