"""The Session port over the contract: an orchestrator that runs in a worker.

A turn's events are translated, a worker is asked once, and its answer becomes decisions. The
worker keeps the package's executor alive between turns where it can; then only new events go over,
and this side keeps no copy of what went before. When that executor is gone the turn is given back:
the session is rebuilt from history, which asks nobody, and the next turn takes all of it along.

A long history is read in slices, between which the host's loop does what else there is to do.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tenuto.engine.ports import GivenBack, LateTurn
from tenuto.interop.contract import actions as kinds
from tenuto.interop.contract.actions import Action, read_action
from tenuto.interop.contract.dialect import Dialect
from tenuto.interop.contract.events import as_played
from tenuto.interop.contract.execution import Execution
from tenuto.interop.contract.failures import package_failure
from tenuto.interop.contract.sizes import TurnSizes
from tenuto.interop.workers.errands import TurnAnswer, TurnRequest, TurnTaker
from tenuto.interop.workers.executed import FunctionLog
from tenuto.interop.workers.protocol import Failed, Turned
from tenuto.model.actions import TurnActions
from tenuto.model.errors import InputError, LimitError, NonDeterminismError, WorkerProtocolError
from tenuto.model.events import ContinueAsNew, Ending, ExecutionCompleted, Incoming
from tenuto.model.execution import ExecutionInfo
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import check_instance_id
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.unread import UnreadEvent, unread_line
from tenuto.orchestration.names import child_execution_id

_NEVER_SPLIT: Final = "36500.00:00:00"
"""A hundred years: packages split a timer that is longer than what they are told here."""
_SLICE_SECONDS: Final = 0.002
"""How long the host's loop is held up at once to rebuild a session."""
_TURNS: Final = FunctionLog(logging.DEBUG)
_SCHEMA: Final = 1
_NEWEST_SCHEMA: Final = 3
_encode: Final = msgspec.json.Encoder().encode


class SessionOptions(Struct, frozen=True, kw_only=True):
    """How sessions of one program work.

    Attributes:
        dialect: Of its package.
        poll_pause: Between two requests over HTTP, when the server does not say.
        is_compared: Whether what an executor answers is compared with the plain call.
    """

    dialect: Dialect
    poll_pause: Microseconds
    is_compared: bool = False


class ContractSession:
    """A running orchestrator of a package.

    Args:
        info: Its execution.
        taker: Who has turns run.
        key: Of this session; no other of the taker has it.
        options: Of its program.
        function: What its workers call the orchestrator, where that is another name than the one
            under which it was started.
    """

    def __init__(
        self,
        info: ExecutionInfo,
        taker: TurnTaker,
        key: int,
        options: SessionOptions,
        function: str | None = None,
    ) -> None:
        self._info = info
        self._function = function or info.facts.name
        self._taker = taker
        self._key = key
        self._options = options
        self.execution: Execution = Execution(info, options.dialect, options.poll_pause)
        self._rebuilding: Iterator[None] | None = None
        self._past: list[Raw] | None = []
        self._newest: list[Raw] = []
        self._offered: list[UnreadEvent] = []
        self._late: LateTurn | None = None
        self._is_kept = False
        self._turns = 0
        self._asked_at = 0.0
        self._status: str | UnsetType | None = UNSET
        self._had_status = False

    # --- the Session port ------------------------------------------------------------------------

    def run_turn(
        self, timestamp: Microseconds, events: Sequence[Incoming], *, replaying: bool = False
    ) -> TurnActions | LateTurn:
        """Feed one turn's events; answered later, unless there is nothing for the package.

        Whoever is only replaying hears nothing: user code would run, and not for the first time.
        """
        if replaying:
            self.rebuild()
            return LateTurn()
        if not self._is_rebuilt():
            self._late = late = LateTurn()
            self._soon(late, timestamp, events)
            return late
        return self._run(LateTurn(), timestamp, events)

    def rebuild(self) -> None:
        """Be rebuilt now, all at once.

        Raises:
            NonDeterminismError: this version of Tenuto reads the history otherwise than the one
                that wrote it.
        """
        for _ in self._rebuilding or ():
            pass
        self._rebuilding = None

    def close(self) -> int:
        """Discard the session; nothing of it refuses."""
        self._late = self._rebuilding = None
        self._taker.forget(self._key)
        return 0

    def _run(
        self, late: LateTurn, timestamp: Microseconds, events: Sequence[Incoming]
    ) -> TurnActions | LateTurn:
        self._status = UNSET
        news = self.execution.take_in(timestamp, events)
        if not news:
            return TurnActions(self.execution.decided)
        self._turns += 1
        self._late = late
        self._ask(news)
        return late

    # --- history ---------------------------------------------------------------------------------

    def put_off(self, rebuilding: Iterator[None]) -> None:
        """Be rebuilt before the first turn, by this."""
        self._rebuilding = rebuilding

    def _is_rebuilt(self) -> bool:
        """Whether it is, after one slice more."""
        end = perf_counter() + _SLICE_SECONDS
        for _ in self._rebuilding or ():
            if perf_counter() > end:
                return False
        self._rebuilding = None
        return True

    def _soon(self, late: LateTurn, timestamp: Microseconds, events: Sequence[Incoming]) -> None:
        asyncio.get_running_loop().call_soon(self._go_on, late, timestamp, events)

    def _go_on(self, late: LateTurn, timestamp: Microseconds, events: Sequence[Incoming]) -> None:
        """Rebuild one slice more; run the turn when that was the last."""
        if self._late is not late:
            return  # closed meanwhile
        try:
            if not self._is_rebuilt():
                self._soon(late, timestamp, events)
                return
            answer = self._run(late, timestamp, events)
        except Exception as error:  # noqa: BLE001 - the engine says what becomes of the turn
            late.answer(error)
            return
        if not isinstance(answer, LateTurn):
            self._late = None
            late.answer(answer)

    def remember(self, news: list[Raw]) -> None:
        """These events were told to the package in a turn before."""
        if self._past is not None:
            self._past += map(as_played, news)

    def was_told_status(self) -> None:
        """A turn before may have set the custom status. That of a generation before stays, though,
        until it is overwritten.
        """
        self._had_status = self._info.facts.generation == 0

    # --- asking ----------------------------------------------------------------------------------

    def _ask(self, news: list[Raw]) -> None:
        self._asked_at = perf_counter()
        past = self._past
        if past is not None:
            self.remember(self._newest)
            self._newest = news
        is_compared = self._is_kept and past is not None and _is_power_of_two(self._turns)
        needs_history = past is not None and (not self._is_kept or is_compared)
        facts = self._info.facts
        self._offered, held = self.execution.offered()
        self._taker.take(
            TurnRequest(
                self._function,
                facts.instance_id,
                self._key,
                news,
                [*past, *news] if past is not None and needs_history else None,
                self._start() if needs_history else None,
                len(self.execution.seen),
                is_compared,
                held,
            ),
            self._answered,
        )

    def _start(self) -> Raw:
        facts = self._info.facts
        parent = facts.parent
        return Raw(
            _encode(
                {
                    "input": _input(facts.input, self._options.dialect),
                    "instanceId": facts.instance_id,
                    "parentInstanceId": None if parent is None else parent.instance_id,
                    "upperSchemaVersion": _SCHEMA,
                    "upperSchemaVersionNew": _NEWEST_SCHEMA,
                    "longRunningTimerIntervalDuration": _NEVER_SPLIT,
                    "maximumShortTimerDuration": _NEVER_SPLIT,
                    "defaultHttpAsyncRequestSleepTimeMillseconds": self._options.poll_pause // 1000,
                }
            )
        )

    # --- answers ---------------------------------------------------------------------------------

    def _answered(self, answer: TurnAnswer) -> None:
        late = self._late
        if late is None:
            return
        if isinstance(answer, GivenBack):
            late.answer(answer)
            return
        self._log(answer)
        try:
            actions = self._taken(answer)
        except Exception as error:  # noqa: BLE001 - the engine says what becomes of the turn
            late.answer(error)
            return
        if actions is not None:
            self._late = None
            late.answer(actions)

    def _log(self, answer: Turned | Failed) -> None:
        facts = self._info.facts
        _TURNS.executed(
            facts.name,
            f"{facts.instance_id}/{self._turns}",
            int((perf_counter() - self._asked_at) * MICROSECONDS),
            error=f"{answer.error_type}: {answer.message}" if isinstance(answer, Failed) else None,
            instance_id=facts.instance_id,
        )

    def _taken(self, answer: Turned | Failed) -> TurnActions | None:
        """What the turn has decided; None when the package is to be told more first."""
        if isinstance(answer, Failed):
            text = f"{answer.error_type}: {answer.message}"
            return self._ended(self._failed(text, answer.stack or None))
        self._keeps(is_kept=answer.is_kept)
        try:
            continued = self._decide(answer)
        except InputError as error:
            return self._ended(self._failed(str(error)))
        except LimitError as error:
            return self._ended(self._failed(f"LimitError: {error}"))
        if answer.custom_status is not None:
            self._status = answer.custom_status
            self._had_status = True
        elif self._had_status:
            self._status = None
        ending = self._ending(answer, continued)
        if ending is not None:
            return self._ended(ending)
        news = self.execution.late()
        if news:  # a worker without executors does not feed what is held
            self._ask(news)
            return None
        return TurnActions(self.execution.decided, self._status)

    def _keeps(self, *, is_kept: bool) -> None:
        self._is_kept = is_kept
        if is_kept and not self._options.is_compared:
            self._past = None  # the executor has it
            self._newest = []

    def _decide(self, answer: Turned) -> Action | None:
        """Take the new actions in; the one that continues as new, if any."""
        execution = self.execution
        known = len(execution.seen)
        if not 0 <= answer.first <= known:
            raise WorkerProtocolError(
                f"a worker answered with actions from place {answer.first} on; {known} are known"
            )
        actions = [read_action(one) for one in answer.actions]
        again = known - answer.first
        self._check(answer.first, actions[:again])
        sizes = TurnSizes(self._info)
        sizes.check(answer.output, "the result")
        sizes.check(answer.custom_status, "the custom status")
        sizes.check_actions(actions[again:])
        continued = None
        for action in actions[again:]:
            if action.chosen_id is not None:
                check_instance_id(action.chosen_id)
            execution.decide(action)
            if action.action_type == kinds.CONTINUE_AS_NEW:
                continued = action
        for place in answer.canceled:
            execution.cancel(place)
        self._take_fed(answer.fed)
        return continued

    def _take_fed(self, places: Sequence[int]) -> None:
        """The package was told these events that were held, in this order."""
        for place in places:
            told = None
            if 0 <= place < len(self._offered):
                told = self.execution.give_held(self._offered[place].number)
            if told is None:
                raise WorkerProtocolError(
                    f"a worker has fed event {place} of those that were held, for which there is "
                    "no wait"
                )
            if self._past is not None:
                self._newest = [*self._newest, told]

    def _check(self, first: int, actions: Sequence[Action]) -> None:
        """See that the orchestrator asks again for what it has asked for before."""
        seen = self.execution.seen
        produced = [(one.action_type, one.name) for one in actions]
        expected = seen[first:]
        for place, action in enumerate(actions[: len(expected)]):
            if action.action_type in kinds.WITH_RETRY and produced[place] == expected[place]:
                self.execution.check_retries(first + place, action.retry_facts.max_attempts)
        if produced == expected:
            return
        place = next(
            (
                place
                for place, (old, new) in enumerate(zip(expected, produced, strict=False))
                if old != new
            ),
            min(len(expected), len(produced)),
        )
        old = _words(expected[place]) if place < len(expected) else "nothing"
        new = _words(produced[place]) if place < len(produced) else "nothing"
        facts = self._info.facts
        raise NonDeterminismError(
            f"replay of instance {facts.instance_id!r} ({facts.name!r}) went another way at action "
            f"{first + place + 1}: history recorded {old}, the code produced {new}. Either the "
            "orchestrator was changed while this instance ran (restore the old code, or restart "
            "the instance), or it uses something that is not the same in every run (time, random "
            "numbers, global state).",
            old,
            new,
        )

    # --- ends ------------------------------------------------------------------------------------

    def _ending(self, answer: Turned, continued: Action | None) -> Ending | None:
        if answer.error is not None:
            return self._failed(answer.error, details=answer.failure_details)
        if not answer.is_done:
            return None
        if continued is None:
            return ExecutionCompleted(RuntimeStatus.COMPLETED, answer.output)
        held = self.execution.held
        return ContinueAsNew(
            child_execution_id(self._info.facts.execution_id, 0, self.execution.now),
            continued.input_text,
            unread=tuple(one.number for one in held.unread),
            taken=held.taken,
        )

    def _failed(
        self, text: str, stack: str | None = None, details: str | None = None
    ) -> ExecutionCompleted:
        message = f"Orchestrator function '{self._info.facts.name}' failed: {text}"
        inner = None if details is None else package_failure(details)
        failure = FailureDetails("OrchestratorFailed", message, stack, inner)
        return ExecutionCompleted(RuntimeStatus.FAILED, None, failure)

    def _ended(self, ending: Ending) -> TurnActions:
        unread: list[UnreadEvent] | None = None
        logs = None
        held = self.execution.held
        if isinstance(ending, ContinueAsNew):
            unread = held.unread
        elif held.left:
            facts = self._info.facts
            what = "has ended; nobody has waited for %d of the events that came for it"
            logs = [unread_line(facts.instance_id, facts.name, Counter(held.left), what)]
        actions = [*self.execution.decided, ending]
        return TurnActions(actions, self._status, logs, unread=unread)


def _input(text: str | None, dialect: Dialect) -> object:
    """An orchestrator's input as its package takes it; what is no JSON is taken as a text.

    The package of Python reads JSON in a text: its own client sends a text with JSON in it. Whoever
    else starts an orchestrator sends plain JSON, which is put into a text here.
    """
    if text is None:
        return None
    if not _is_json(text):
        return _encode(text).decode() if dialect.reads_text else text
    if not dialect.reads_text:
        return Raw(text.encode())
    if text.startswith('"'):
        inner: str = msgspec.json.decode(text)
        if _is_json(inner):
            return inner
    return text


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=Raw)
    except (ValueError, RecursionError):
        return False
    return True


def _words(seen: tuple[int, str]) -> str:
    kind, name = seen
    what = kinds.WORDS.get(kind, f"action {kind}")
    return f"{what} {name!r}" if name else what


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
