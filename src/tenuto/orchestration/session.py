"""A session: one orchestrator, live, on its own deterministic loop.

Fed one history event at a time (ENGINE rule 1), hot and in replay alike, it answers each turn
with actions. Never reads a clock, never touches the world; keeps the promise ``replay_is_pure``.
"""

import logging
import sys
from asyncio import CancelledError
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar, Final, NoReturn, Protocol

from msgspec import UNSET, UnsetType

from tenuto.model.actions import Action, TurnActions
from tenuto.model.built_in import plain_name
from tenuto.model.errors import (
    GuardError,
    InputError,
    LimitError,
    PayloadError,
    PayloadMisfitError,
    SessionDiscarded,
)
from tenuto.model.events import (
    ContinueAsNew,
    EventAwaited,
    EventRaised,
    EventRefused,
    EventTaken,
    ExecutionCompleted,
    ExecutionStarted,
    Incoming,
    QuestionAnswered,
    QuestionAsked,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
    TimerPurpose,
    TopicAwaited,
)
from tenuto.model.execution import ExecutionInfo
from tenuto.model.failure import FailureDetails, failure_of, failure_of_type
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.interrupts import is_from_keyboard
from tenuto.model.limits import check_payload, limit_error
from tenuto.model.payload import encode
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import LATEST, Microseconds, to_datetime
from tenuto.model.unread import UnreadEvent, unread_line
from tenuto.model.webhook import OpenWebhook
from tenuto.orchestration.asyncio_inside.anyio_scopes import install_if_loaded
from tenuto.orchestration.context import Context
from tenuto.orchestration.futures import SessionTask
from tenuto.orchestration.generators import as_coroutine
from tenuto.orchestration.guard.calls import CallWatch, end_watch
from tenuto.orchestration.logger import is_plain, put_into_words
from tenuto.orchestration.loop import Callback, LoopTimer, SessionLoop, running_loop
from tenuto.orchestration.mailbox import Mailbox
from tenuto.orchestration.names import child_execution_id
from tenuto.orchestration.parking import park
from tenuto.orchestration.positions import (
    deciding_position,
    ending_position,
    place_of,
    trim_traceback,
    waiting_position,
)
from tenuto.orchestration.preparation import prepare_process
from tenuto.orchestration.publishing import TopicPlaces
from tenuto.orchestration.questions import Question
from tenuto.orchestration.references import AnyActivity, AnyOrchestrator
from tenuto.orchestration.tasks import CallTask, DurableTask, EventTask, LoopTimerEntry
from tenuto.orchestration.unawaited import thrown_away, unawaited

_WAITS: Final = (TimerCreated, EventAwaited, QuestionAsked, TopicAwaited)
_LIVE: Final[set["Session"]] = set()
"""Sessions that have begun and are not closed. Were one dropped, the garbage collector would run
its ``finally`` blocks in the middle of somebody else's turn (ENGINE rule 5)."""


class Directory(Protocol):
    """Finds registered functions by name, for calls that give only a name."""

    def find_activity(self, name: str) -> AnyActivity | None:
        """The activity of that name, if it is registered here."""

    def find_orchestrator(self, name: str) -> AnyOrchestrator | None:
        """The orchestrator of that name, if it is registered here."""


class Session:
    """Runs one execution of an orchestrator."""

    def __init__(
        self,
        info: ExecutionInfo,
        orchestrator: AnyOrchestrator,
        directory: Directory,
        *,
        trace: bool = False,
        watch: CallWatch | None = None,
    ) -> None:
        prepare_process()
        install_if_loaded()
        self.info = info
        self.directory = directory
        self.loop: SessionLoop = SessionLoop(self)  # type: ignore[abstract]  # the rest is refused by name
        self.replaying: bool = False
        self.trace: list[str] | None = [] if trace else None
        self.orchestrator = orchestrator
        self._watch = watch
        self._ids = 0
        self._first_id = 1
        self._calls: dict[int, CallTask[Any]] = {}
        self._timers: dict[int, Callable[[], None]] = {}
        self._mailbox = Mailbox(info.unread)
        self.webhooks: dict[str, OpenWebhook] = {}
        self.topics: TopicPlaces = TopicPlaces()
        self.questions: dict[int, Question[Any]] = {}
        self._next_generation: tuple[str | None, bool] | None = None
        self._failure: FailureDetails | None = None
        self._actions: list[Action] = []
        self._put_aside: dict[MessageId, EventRaised | QuestionAnswered] | None = None
        self.refusals: Mapping[int, str] = {}
        self._unread: list[UnreadEvent] | None = None
        self._withdrawn: set[int] = set()
        self._turn_characters = 0
        self._most_characters = info.limits.turn_bytes
        self._surely_short = info.limits.payload_bytes // 4
        self._custom_status: str | UnsetType | None = UNSET
        self._has_more = False
        self._offered: dict[int, int] = {}
        self._refused: dict[int, PayloadError] = {}
        self._logs: list[logging.LogRecord] | None = None
        self._is_ended = False
        self._is_closed = False

    @property
    def is_dead(self) -> bool:
        """Whether user code may do nothing more."""
        return self.loop.dead

    # --- the Session port ----------------------------------------------------------------------

    def run_turn(
        self, timestamp: Microseconds, events: Sequence[Incoming], *, replaying: bool = False
    ) -> TurnActions:
        """Feed the events of one turn, each to its end, and return what was decided."""
        if self._is_closed:
            raise RuntimeError(f"the session of instance {self.info.instance_id!r} is closed")
        loop = self.loop
        self.replaying = replaying
        self._actions = []
        self._turn_characters = 0
        self._first_id = self._ids + 1
        if self.trace is not None:
            self.trace.clear()
        numbers = loop.numbers
        loop.now = timestamp
        if loop.origin is None:
            loop.origin = timestamp
        watching = self._watch is not None and self._watch.begin(replaying=replaying)
        try:
            loop.run(loop.context, self._feed, events)
        finally:
            if watching:
                end_watch()
        if loop.violation is not None and not self._is_ended:
            self._break_off(loop.violation)
        if self._withdrawn:
            self._drop_withdrawn()
        if loop.dead and not self._is_ended:
            self._is_ended = True
            if not self.replaying and self._failure is None:
                self._warn_of_unawaited(numbers)
            if self._actions:
                self._withdraw_work()
            ending = self._ending()
            self._actions.append(ending)
            if not self.replaying and isinstance(ending, ExecutionCompleted):
                self._warn_of_unread()
        if self._has_more:
            return self._with_more()
        return TurnActions(self._actions)

    def run_offered(
        self, timestamp: Microseconds, events: Sequence[Incoming], offered: Collection[int]
    ) -> TurnActions:
        """The same, of which those at these places are only offered (``DoorKeeper``)."""
        # By identity: the list keeps them alive, and no order hangs on it.
        self._offered = {id(events[place]): place for place in offered}
        try:
            answer = self.run_turn(timestamp, events)
        finally:
            refused, self._refused, self._offered = self._refused, {}, {}
        answer.refused = refused or None
        return answer

    def _with_more(self) -> TurnActions:
        """What a turn leaves besides its actions, as few do."""
        self._has_more = False
        status, self._custom_status = self._custom_status, UNSET
        logs, self._logs = self._logs, None
        put_aside, self._put_aside = self._put_aside, None
        return TurnActions(self._actions, status, logs, put_aside, self._unread)

    def close(self) -> int:
        """Discard the session; the number of coroutines that refused to end."""
        self._is_closed = True
        refused = self.loop.discard()
        for one in refused:
            park(one)
        _LIVE.discard(self)
        # Without these circles the session is freed here and now, not by a pass of the collector.
        self._calls.clear()
        self._timers.clear()
        self._mailbox.forget()
        self.questions.clear()
        return len(refused)

    def _feed(self, events: Sequence[Incoming]) -> None:
        loop = self.loop
        try:
            for event in events:
                if loop.dead:
                    # Ended: what nobody has read goes along to the next generation.
                    if type(event) is EventRaised:
                        self._close_webhook(event)
                        self._mailbox.keep(event)
                    continue
                handler = self._HANDLERS.get(type(event))
                if handler is not None:
                    handler(self, event)
                    loop.run_ready()
        except SessionDiscarded as signal:
            if self._failure is None:  # somebody raised ours by hand
                self._failure = failure_of(signal)
            loop.end()

    # --- what the context and the tasks use ----------------------------------------------------

    @property
    def current_time(self) -> datetime:
        """The orchestrator's clock."""
        return to_datetime(self.loop.now)

    def next_id(self) -> int:
        """The next event id of this execution; ids count from 1 over all kinds of work."""
        self._ids += 1
        return self._ids

    def record(self, action: Action) -> None:
        """Note an action; stops an orchestrator that decides too much in one turn."""
        if not self.loop.is_open or self.loop is not running_loop():
            self._refuse()
            return
        if self.trace is not None:
            self.trace.append(deciding_position(sys._getframe(1)))  # noqa: SLF001 - error reports only
        self._actions.append(action)
        limit = self.info.limits.actions_per_turn
        if len(self._actions) - len(self._withdrawn) > limit:
            error = limit_error(
                "actions_per_turn",
                limit,
                f"orchestrator {self.info.facts.name!r} decided more actions in one turn than "
                "allowed",
            )
            self._break_off(error, with_traceback=False)
            raise SessionDiscarded

    def _is_running(self) -> bool:
        """Whether a call may do something; False, or an error, when it may not."""
        if self.loop.is_open and self.loop is running_loop():
            return True
        self._refuse()
        return False

    def _refuse(self) -> None:
        if self.loop.dead:
            self.loop.refuse()
            return
        raise GuardError(
            f"the context of instance {self.info.instance_id!r} was used outside its "
            "orchestrator; call it only while the orchestrator runs"
        )

    def open_call(self, call: CallTask[Any]) -> int:
        """The next event id of this execution; answers to it go to this call."""
        self._ids += 1
        self._calls[self._ids] = call
        return self._ids

    def set_timer(
        self,
        fire_at: Microseconds,
        on_fired: Callable[[], None],
        purpose: TimerPurpose = "timer",
        of: int | None = None,
    ) -> int:
        """Create a durable timer; ``of`` is the event id of what it belongs to."""
        if fire_at > LATEST:
            raise InputError("a durable timer cannot be set past the year 9999")
        task_id = self.next_id()
        self.record(TimerCreated(task_id, fire_at, purpose, of))
        self._timers[task_id] = on_fired
        return task_id

    def set_loop_timer(self, when: Microseconds, callback: Callback) -> LoopTimer:
        """Create the durable timer behind ``loop.call_at``."""
        return LoopTimerEntry(self, when, callback)

    def cancel_work(self, task_id: int, child: InstanceId | None = None) -> None:
        """Give up open work, and have a child end. Made and given up in one turn, it leaves no
        trace but its id.
        """
        if not self._is_running():
            return
        self._calls.pop(task_id, None)
        self._timers.pop(task_id, None)
        if task_id >= self._first_id:
            self._withdrawn.add(task_id)
        else:
            self.record(TaskCanceled(task_id, child))

    def wait_for_event(self, waiter: EventTask[Any]) -> None:
        """Give the waiter the oldest unread event of its name, or the next that arrives."""
        if self._is_running():
            self._mailbox.wait(waiter)

    def stop_waiting(self, waiter: EventTask[Any]) -> None:
        """The waiter wants no event any more."""
        if not self.loop.dead:
            self._mailbox.leave(waiter)

    def end_wait(self, action: EventTaken | TaskCanceled, timer_id: int | None) -> None:
        """A wait for an event is over, and so is the timer that bounds it. Begun and ended in one
        turn, it leaves no trace but its ids.
        """
        if not self._is_running():
            return
        if timer_id is not None:
            self._timers.pop(timer_id, None)
        if action.task_id < self._first_id:
            self.record(action)
            return
        self._withdrawn.add(action.task_id)
        if timer_id is not None:
            self._withdrawn.add(timer_id)

    def refuse_event(
        self, event: EventRaised | QuestionAnswered, name: str, which: int, error: PayloadError
    ) -> bool:
        """What came does not fit what was asked for: tell its sender, or put it aside, and then
        history knows of it.
        """
        place = self._offered.get(id(event))
        if place is not None:
            self._refused[place] = error
            self._mailbox.arrivals -= 1  # history never knows of it
            return False
        reason = str(error)
        number = self.next_id()
        message = MessageId(f"{self.info.facts.execution_id}:refused:{number}")
        self.record(EventRefused(number, name, message, reason, which))
        self._has_more = True
        if self._put_aside is None:
            self._put_aside = {}
        self._put_aside[message] = event
        return True

    def refused_in_history(self, which: int) -> str | None:
        """In a recorded turn, why an event was refused in it; None when it was not."""
        return self.refusals.get(which)

    def set_custom_status(self, status: str | None) -> None:
        """The custom status as JSON text; None clears it."""
        if self._is_running():
            self._has_more = True
            self._custom_status = status

    def continue_as_new(self, text: str | None, *, keep_events: bool) -> None:
        """Start over with a new input once the orchestrator returns."""
        if self._is_running():
            self._next_generation = (text, keep_events)

    def log(self, record: logging.LogRecord) -> None:
        """Hold a log record until the turn is committed; silent in replay."""
        if self.replaying or self.loop.dead:
            return
        if not is_plain(record):
            ids, numbers = self._ids, self.loop.numbers
            put_into_words(record, self.loop)
            self._ids, self.loop.numbers = ids, numbers  # calls that were refused had taken some
        self._hold(record)

    def _hold(self, record: logging.LogRecord) -> None:
        record.execution_id = self.info.facts.execution_id
        record.orchestrator = self.info.facts.name
        self._has_more = True
        if self._logs is None:
            self._logs = []
        self._logs.append(record)

    def fail(self, error: BaseException) -> None:
        """End the orchestration with an error that nobody of its own code could catch."""
        self._failure = failure_of(trim_traceback(error))
        self.loop.end()

    def spins(self, functions: Sequence[Callable[..., object]]) -> None:
        """End the orchestration, because these callbacks follow too many others of one event."""
        tasks = [getattr(function, "__self__", None) for function in functions]
        places = [waiting_position(one.coroutine) for one in tasks if isinstance(one, SessionTask)]
        place = next(filter(None, places), None)
        if place is None:
            name = getattr(functions[0], "__qualname__", "a callback")
            place = f"{name}, while it waits at {'; '.join(self.positions()[:3])}"
        self._stop_spinning(place)

    def spins_in_place(self, generator: Generator[Any, Any, Any]) -> NoReturn:
        """The same for a generator that yields and yields and waits for nothing."""
        self._stop_spinning(waiting_position(generator) or f"{generator!r}")
        with suppress(BaseException):  # whatever user code raises while it is thrown away
            generator.close()
        if getattr(generator, "gi_frame", None) is not None:
            park(generator)
        raise SessionDiscarded

    def _stop_spinning(self, place: str) -> None:
        limit = self.info.limits.callbacks_per_event
        what = f"orchestrator {self.info.facts.name!r} goes on and on without waiting, at {place}"
        error = limit_error("callbacks_per_event", limit, what)
        self._break_off(error, with_traceback=False)

    def report(self, context: dict[str, Any]) -> None:
        """Log an error that nobody can catch any more."""
        message, task = context.get("message"), context.get("future")
        if isinstance(task, DurableTask) and task.made is not None:
            message = f"{message}: {task.what} made at {place_of(task.made)}"
        record = _record(logging.ERROR, "instance %s: %s", self.info.instance_id, message)
        error = context.get("exception")
        if isinstance(error, BaseException):
            record.exc_info = (type(error), error, error.__traceback__)
        self.log(record)

    def encode(self, value: object, what: str, write: Callable[[object], str] = encode) -> str:
        """A payload as JSON text, refused when too long."""
        try:
            text = write(value)
        except PayloadError as error:
            raise error.of(f"{what} of orchestrator {self.info.facts.name!r}") from None
        return self.check_size(text, what)

    def _stop_too_long(self) -> None:
        limit = self.info.limits.turn_bytes
        words = f"orchestrator {self.info.facts.name!r} decided more bytes in one turn than allowed"
        self._break_off(limit_error("turn_bytes", limit, words), with_traceback=False)
        raise SessionDiscarded

    def check_size(self, text: str, what: str, name: str = "") -> str:
        """Refuse a payload that is over the limit, and stop a turn that decides too many bytes.

        Args:
            text: The payload.
            what: What it is, for the error: ``the input of activity``.
            name: Of the function that it is for.
        """
        length = len(text)
        self._turn_characters += length
        if self._turn_characters > self._most_characters:
            self._stop_too_long()
        if length > self._surely_short:  # else the words alone would cost something for each
            limit = self.info.limits.payload_bytes
            whose = f"orchestrator {self.info.facts.name!r} (instance {self.info.instance_id!r})"
            check_payload(text, limit, f"{whose}: {what} {name!r}" if name else f"{whose}: {what}")
        return text

    # --- for those who watch --------------------------------------------------------------------

    def positions(self) -> list[str]:
        """Where the orchestrator's coroutines wait now, as ``file:line in function``."""
        found = [waiting_position(task.coroutine) for task in self.loop.tasks.values()]
        return [position for position in found if position is not None]

    def awaited_types(self) -> dict[int, object]:
        """As what the data of each event are asked for that it waits for, by the wait's event id;
        None for anything.
        """
        waits = ((one.event_id, one.data_type) for one in self._mailbox.waiters)
        return {number: kind for number, kind in waits if number is not None}

    # --- events ---------------------------------------------------------------------------------

    def _on_started(self, event: ExecutionStarted) -> None:
        _LIVE.add(self)
        if event.places:
            self.topics.take_over(event.places)
        if event.webhooks:
            self.webhooks = {one.digest: one for one in event.webhooks}
        try:
            try:
                arguments = self.orchestrator.signature.decode_arguments(event.input)
            except PayloadError as error:
                raise PayloadMisfitError("the input", event.input, error) from error
            coroutine = as_coroutine(self.orchestrator.function(Context(self), *arguments), self)
        except (SessionDiscarded, PayloadMisfitError):
            raise
        except BaseException as error:
            # Whatever a plain function raises, or a type of users that builds its input.
            if is_from_keyboard(error):
                raise
            self.fail(error)
            return
        self.loop.root = SessionTask(
            coroutine, self.loop, name=self.info.facts.name, context=self.loop.context
        )

    def _on_task_completed(self, event: TaskCompleted) -> None:
        call = self._calls.pop(event.task_scheduled_id, None)
        if call is not None:
            call.completed(event.result)

    def _on_task_failed(self, event: TaskFailed) -> None:
        call = self._calls.pop(event.task_scheduled_id, None)
        if call is not None:
            call.failed(event.failure_details)

    def _on_timer_fired(self, event: TimerFired) -> None:
        on_fired = self._timers.pop(event.timer_id, None)
        if on_fired is not None:
            on_fired()

    def _on_event_raised(self, event: EventRaised) -> None:
        self._mailbox.arrived(event)
        if not self._refused or self._offered.get(id(event)) not in self._refused:
            self._close_webhook(event)

    def _on_question_answered(self, event: QuestionAnswered) -> None:
        question = self.questions.get(event.task_id)
        if question is not None:
            self._mailbox.arrivals += 1
            question.answered(event, self._mailbox.arrivals)

    def _close_webhook(self, event: EventRaised) -> None:
        if event.webhook is not None:
            self.webhooks.pop(event.webhook, None)

    _HANDLERS: ClassVar[dict[type, Callable[["Session", Any], None]]] = {
        ExecutionStarted: _on_started,
        TaskCompleted: _on_task_completed,
        TaskFailed: _on_task_failed,
        SubOrchestrationInstanceCompleted: _on_task_completed,
        SubOrchestrationInstanceFailed: _on_task_failed,
        TimerFired: _on_timer_fired,
        EventRaised: _on_event_raised,
        QuestionAnswered: _on_question_answered,
    }
    """What a session reacts to. Pauses, ends from outside and turn marks are the engine's."""

    # --- endings --------------------------------------------------------------------------------

    def _break_off(self, error: LimitError | GuardError, *, with_traceback: bool = True) -> None:
        """Fail; what this turn decided besides does not happen."""
        self._actions.clear()
        self._withdrawn.clear()
        if self.trace is not None:
            self.trace.clear()
        self._failure = failure_of(trim_traceback(error), with_traceback=with_traceback)
        self.loop.end()

    def _withdraw_work(self) -> None:
        """What was asked for in the very turn that ends, and what nobody waits for now.

        Waits and timers are cancelled before they were set, and leave no trace (ENGINE rules 9 and
        11). Calls do go out, as children and events do: each runs, and nobody gets its answer. Not
        so when the instance goes on as new: its next generation may well make them again.
        """
        is_over = not self._continues()
        kinds = _WAITS if is_over else (*_WAITS, TaskScheduled)
        self._withdrawn = {action.event_id for action in self._actions if isinstance(action, kinds)}
        calls = [action.name for action in self._actions if isinstance(action, TaskScheduled)]
        if calls and not is_over and not self.replaying:
            self._warn_of(calls)
        self._drop_withdrawn()

    def _continues(self) -> bool:
        root = self.loop.root
        if self._failure is not None or root is None or root.cancelled():
            return False
        return self._next_generation is not None and root.exception() is None

    def _warn_of(self, calls: Sequence[str]) -> None:
        """Calls of the turn that continues as new do not run: that must not pass in silence."""
        names = ", ".join(repr(plain_name(name)) for name in dict.fromkeys(calls))
        text = (
            "instance %s: %d calls do not run, since the orchestrator %r continued as new in the "
            "turn that made them: await %s"
        )
        values = (self.info.instance_id, len(calls), self.info.facts.name, names)
        record = logging.LogRecord(
            "tenuto.orchestration", logging.WARNING, __file__, 0, text, values, None
        )
        self._hold(record)

    def _warn_of_unawaited(self, numbers: int) -> None:
        """What was asked for and never looked at, when the orchestrator ends.

        Args:
            numbers: How many futures there were before this turn.
        """
        root = self.loop.root
        works = [
            *self._calls.values(),
            *(getattr(on_fired, "__self__", None) for on_fired in self._timers.values()),
            *self._mailbox.waiters,
            *self.questions.values(),
        ]
        if not (works or self.loop.tasks):
            return
        if self._next_generation is not None:  # which warns of what does not run
            return
        if root is None or root.cancelled():
            return
        if root.exception() is None:
            how, found = "returned", unawaited(works, self.loop.tasks.values(), numbers)
        else:
            how, found = "failed", thrown_away(works)
        name = self.info.facts.name
        for what, place in found:
            text = (
                "instance %s: orchestrator %r has %s, and nobody has awaited the %s made at "
                "%s: what comes of it is lost. Is an `await` missing?"
            )
            whose = (self.info.instance_id, name, how)
            self._hold(_record(logging.WARNING, text, *whose, what, place))

    def _warn_of_unread(self) -> None:
        """Events that came and that nobody asked for, when the instance ends: often a typing error.

        They are no dead letters: a duplicate that comes late is common, and harms nobody.
        """
        left = self._mailbox.left
        if not left:
            return
        what = "has ended, and nobody has asked for %d of the events that came for it"
        self._hold(unread_line(self.info.instance_id, self.info.facts.name, Counter(left), what))

    def _drop_withdrawn(self) -> None:
        kept = [
            index
            for index, action in enumerate(self._actions)
            if getattr(action, "event_id", None) not in self._withdrawn
        ]
        self._actions = [self._actions[index] for index in kept]
        if self.trace is not None:
            self.trace[:] = [self.trace[index] for index in kept]
        self._withdrawn.clear()

    def _ending(self) -> ExecutionCompleted | ContinueAsNew:
        root = self.loop.root
        if self._failure is not None or root is None:
            return self._failed(self._failure or FailureDetails("RuntimeError", "never started"))
        if root.cancelled():
            return self._failed(failure_of_type(CancelledError, "the orchestrator was cancelled"))
        error = root.exception()
        if self.replaying and isinstance(error, MemoryError):
            raise error  # when it ran there was enough: what it decides otherwise is not known
        if error is not None:
            return self._failed(failure_of(trim_traceback(error)), error)
        if self._next_generation is not None:
            self._trace_ending(None)
            return self._continued(*self._next_generation)
        try:
            result = self.encode(
                root.result(), "the result", self.orchestrator.signature.encode_result
            )
        except BaseException as refused:
            # A result that cannot be stored, in whatever way its class refuses.
            if is_from_keyboard(refused):
                raise
            return self._failed(failure_of(refused))
        self._trace_ending(None)
        return ExecutionCompleted(RuntimeStatus.COMPLETED, result)

    def _continued(self, text: str | None, keep_events: bool) -> ContinueAsNew:  # noqa: FBT001 - a pair's half
        mailbox = self._mailbox
        self._has_more = True
        self._unread = mailbox.unread if keep_events else []
        taken, carried = mailbox.taken, self.info.unread
        if carried is not None and not keep_events:
            taken = carried.numbers()
        places = self.topics.as_tuple()
        forgotten = self.topics.forgotten(len(places))
        if forgotten and not self.replaying:
            self._warn_of_forgotten(forgotten, len(places))
        return ContinueAsNew(
            child_execution_id(self.info.facts.execution_id, 0, self.loop.now),
            text,
            unread=tuple(one.number for one in self._unread),
            taken=taken,
            webhooks=tuple(one for one in self.webhooks.values() if one.expires_at > self.loop.now),
            places=places,
        )

    def _warn_of_forgotten(self, forgotten: int, kept: int) -> None:
        """Said when it begins: an instance that is eternal forgets some in each generation."""
        text = (
            "instance %s: orchestrator %r has taken events of %d keys of topics, and remembers "
            "over generations how far it was with the %d of the newest events: a wait for another "
            "one of them gets its old events again. Have an instance for each key instead, or for "
            "some of them"
        )
        whose = (self.info.instance_id, self.info.facts.name)
        self._hold(_record(logging.WARNING, text, *whose, kept + forgotten, kept))

    def _failed(
        self, failure: FailureDetails, error: BaseException | None = None
    ) -> ExecutionCompleted:
        self._trace_ending(error)
        return ExecutionCompleted(RuntimeStatus.FAILED, None, failure)

    def _trace_ending(self, error: BaseException | None) -> None:
        if self.trace is not None:
            self.trace.append(ending_position(self.orchestrator.function, error))


def _record(level: int, text: str, *values: object) -> logging.LogRecord:
    """A line of our own for the log of an instance."""
    return logging.LogRecord("tenuto.orchestration", level, __file__, 0, text, values, None)
