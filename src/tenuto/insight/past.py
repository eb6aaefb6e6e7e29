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
from tenuto.insight.steps import Run, Story
from tenuto.insight.turn_words import TurnWords, WordsOfTurns
from tenuto.model.code_frames import CodePlaces
from tenuto.model.codec import decode_turn
from tenuto.model.events import HistoryEvent, QuestionAsked
from tenuto.model.execution import ExecutionInfo
from tenuto.model.facts import facts_of_row
from tenuto.model.limits import Limits
from tenuto.model.status import InstanceRecord, RuntimeStatus

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
    """

    def __init__(
        self, loaded: LoadedInstance, runner: Runner, limits: Limits, forbidden: str = ""
    ) -> None:
        self.loaded: LoadedInstance = loaded
        self.size: int = sum(map(len, loaded.turns))
        self._runner = runner
        self._limits = limits
        self._forbidden = forbidden
        self._session: PastSession | None = None
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

    def go(self, turn: int, seconds: float) -> bool:
        """Go on towards a turn; whether it is there. Not to be called inside a task.

        Args:
            turn: From 1.
            seconds: About how long to be at it; one turn is always taken.
        """
        if turn < self._at or self._is_closed:
            self.close()
            self._begin()
        end = time.monotonic() + seconds
        while self._at < turn:
            self._take()
            if time.monotonic() > end:
                break
        return self._at == turn

    def run(self) -> Run:
        """The steps as they were after the turn at which this stands."""
        return self._story.told(self._row())

    def moment(self, run: Run) -> Moment:
        """What was so after the turn at which this stands. Not to be called inside a task.

        Args:
            run: The steps of then.
        """
        assert self._words is not None, "it has gone to a turn"
        shows = self._session is not None and not self._why
        return Moment(
            words=self._words,
            generation=self.record.generation,
            run=run,
            custom_status=self._status(),
            places=self._session.places() if self._session and shows else None,
            why=self._why,
            fits_through=self._fits_through,
            awaited=self._session.awaited() if self._session and shows else {},
            asked=dict(self._asked),
        )

    def close(self) -> None:
        """Throw the session away; who goes on begins anew. Not to be called inside a task."""
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            session.close()

    # --- turn by turn ---------------------------------------------------------------------------

    def _begin(self) -> None:
        record = self.record
        events = unread_of(self.loaded)
        self._is_closed = False
        self._at = 0
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
        turn = decode_turn(self.loaded.turns[self._at])
        self._words = self._reads.read(turn)
        self._story.read(turn)
        self._asked |= {one.event_id: one for one in turn if isinstance(one, QuestionAsked)}
        if self._session is not None and not self._why:
            if is_ended_from_outside(turn):
                self._why = _OUTSIDE
            else:
                self._retrace(self._session, turn)
        self._at += 1

    def _retrace(self, session: PastSession, turn: Sequence[HistoryEvent]) -> None:
        try:
            status = session.take(turn, self._at)
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
