"""A session: one orchestrator, live, on its own deterministic loop.

Fed one history event at a time (ENGINE rule 1), hot and in replay alike, it answers each turn
with actions. Never reads a clock, never touches the world; keeps the promise ``replay_is_pure``.
"""

import asyncio
import inspect
import logging
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from types import CoroutineType, FrameType, GeneratorType
from typing import Any, Final, Protocol

from msgspec import UNSET, UnsetType

from tenuto.model.actions import Action, TurnActions
from tenuto.model.errors import GuardError, LimitError, SessionDiscarded
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    Incoming,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TimerCreated,
    TimerFired,
)
from tenuto.model.execution import ExecutionInfo
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.limits import limit_error
from tenuto.model.payload import encode
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import to_datetime
from tenuto.orchestration import asyncio_functions
from tenuto.orchestration.context import Context
from tenuto.orchestration.loop import Callback, LoopTimer, SessionLoop, SessionTask
from tenuto.orchestration.names import child_execution_id
from tenuto.orchestration.references import AnyActivity, AnyOrchestrator
from tenuto.orchestration.tasks import CallTask, EventTask, LoopTimerEntry

asyncio_functions.install()

_OURS: Final = (
    __file__.rpartition("orchestration")[0],
    str(asyncio.__file__).rpartition("__init__")[0],
)
_KEPT: Final[list[Any]] = []
"""Coroutines that refused to end; never given to the garbage collector (ENGINE rule 5)."""


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
    ) -> None:
        self.info = info
        self.directory = directory
        self.loop = SessionLoop(self._set_loop_timer)
        self.loop.on_unhandled = self._report
        self.replaying = False
        self.trace: list[str] | None = [] if trace else None
        self.orchestrator = orchestrator
        self._root: SessionTask[Any] | None = None
        self._ids = 0
        self._calls: dict[int, CallTask[Any]] = {}
        self._timers: dict[int, Callable[[], None]] = {}
        self._waiters: dict[str, deque[EventTask[Any]]] = {}
        self._spellings: dict[str, str] = {}
        self._mailbox: list[EventRaised] = []
        self._next_generation: tuple[str | None, bool] | None = None
        self._failure: FailureDetails | None = None
        self._actions: list[Action] = []
        self._custom_status: str | None | UnsetType = UNSET
        self._logs: list[logging.LogRecord] | None = None
        self._ended = False

    # --- the Session port ----------------------------------------------------------------------

    def run_turn(
        self, timestamp: int, events: Sequence[Incoming], *, replaying: bool = False
    ) -> TurnActions:
        """Feed the events of one turn, each to its end, and return what was decided."""
        loop = self.loop
        self.replaying = replaying
        self._actions = actions = []
        self._custom_status = UNSET
        self._logs = None
        loop.set_time(timestamp)
        entered = loop.enter()
        try:
            for event in events:
                handler = _HANDLERS.get(type(event))
                if handler is not None:
                    handler(self, event)
                    loop.run_ready()
        except SessionDiscarded:
            if self._failure is None:
                raise
        finally:
            loop.leave(entered)
        if not self._ended and (self._failure is not None or (self._root and self._root.done())):
            self._ended = True
            actions.append(self._ending())
        return TurnActions(actions, self._custom_status, self._logs)

    def close(self) -> int:
        """Discard the session; the number of coroutines that refused to end."""
        refused = self.loop.discard()
        _KEPT.extend(refused)
        # Without these circles the session is freed here and now, not by a pass of the collector.
        self._root = None
        self._calls.clear()
        self._timers.clear()
        self._waiters.clear()
        return len(refused)

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
        if self.loop.dead:
            raise SessionDiscarded
        if self.loop is not asyncio_functions.session_loop():
            raise GuardError(
                f"the context of instance {self.info.instance_id!r} was used outside its "
                "orchestrator; call it only while the orchestrator runs"
            )
        if self.trace is not None:
            self.trace.append(user_position(sys._getframe(1)))  # noqa: SLF001 - error reports only
        self._actions.append(action)
        if len(self._actions) > self.info.limits.actions_per_turn:
            self._fail(
                limit_error(
                    "actions_per_turn",
                    self.info.limits.actions_per_turn,
                    f"orchestrator {self.info.name!r} decided more actions in one turn than allowed",
                )
            )

    def open_call(self, task_id: int, call: "CallTask[Any]") -> None:
        """Answers to ``task_id`` go to this call."""
        self._calls[task_id] = call

    def set_timer(self, fire_at: int, on_fired: Callable[[], None]) -> int:
        """Create a durable timer."""
        task_id = self.next_id()
        self.record(TimerCreated(task_id, fire_at))
        self._timers[task_id] = on_fired
        return task_id

    def cancel_work(self, task_id: int) -> None:
        """Give up open work. Made and given up in one turn, it leaves no trace but its id."""
        if self.loop.dead:
            raise SessionDiscarded
        self._calls.pop(task_id, None)
        self._timers.pop(task_id, None)
        for index in range(len(self._actions) - 1, -1, -1):
            if getattr(self._actions[index], "event_id", None) == task_id:
                del self._actions[index]
                if self.trace is not None:
                    del self.trace[index]
                return
        self.record(TaskCanceled(task_id))

    def wait_for_event(self, name: str, waiter: "EventTask[Any]") -> None:
        """Give the waiter the oldest unread event of that name, or the next that arrives."""
        key = name.casefold()
        for index, event in enumerate(self._mailbox):
            if event.name.casefold() == key:
                del self._mailbox[index]
                waiter.completed(event.input)
                return
        self._spellings[key] = name
        self._waiters.setdefault(key, deque()).append(waiter)

    def stop_waiting(self, name: str, waiter: "EventTask[Any]") -> None:
        """Take a waiter out of its queue."""
        queue = self._waiters.get(name.casefold())
        if queue is not None and waiter in queue:
            queue.remove(waiter)

    def set_custom_status(self, status: str | None) -> None:
        """The custom status as JSON text; None clears it."""
        self._custom_status = status

    def continue_as_new(self, text: str | None, *, keep_events: bool) -> None:
        """Start over with a new input once the orchestrator returns."""
        self._next_generation = (text, keep_events)

    def log(self, record: logging.LogRecord) -> None:
        """Hold a log record until the turn is committed; silent in replay."""
        if self.replaying or self.loop.dead:
            return
        if self._logs is None:
            self._logs = []
        self._logs.append(record)

    def awaited_events(self) -> list[str]:
        """Names of the events that are waited for, which history does not record."""
        return [self._spellings[key] for key, queue in self._waiters.items() for _ in queue]

    def retry_pauses(self) -> dict[int, int]:
        """Timers that are pauses before another attempt, each with the id of the first attempt."""
        calls = {task_id: getattr(ring, "__self__", None) for task_id, ring in self._timers.items()}
        return {
            task_id: call.first_id
            for task_id, call in calls.items()
            if isinstance(call, CallTask) and call.first_id is not None
        }

    def positions(self) -> list[str]:
        """Where the orchestrator's coroutines stand now, as ``file:line in function``."""
        found = []
        for task in self.loop.tasks.values():
            frame = _deepest_frame(task.coroutine)
            if frame is not None:
                found.append(user_position(frame))
        return found

    # --- events ---------------------------------------------------------------------------------

    def _on_started(self, event: ExecutionStarted) -> None:
        context = Context(self)
        try:
            arguments = self.orchestrator.signature.decode_arguments(event.input)
            coroutine = self._begin(context, arguments)
        except Exception as error:  # noqa: BLE001 - input that does not fit fails the orchestration
            self._failure = failure_of(error)
            return
        self._root = SessionTask(
            coroutine, self.loop, name=self.info.name, context=self.loop.context
        )

    def _begin(self, context: Context, arguments: tuple[Any, ...]) -> Any:
        function = self.orchestrator.function
        made = function(context, *arguments)
        if isinstance(made, Generator):
            return drive_generator(made)
        if inspect.iscoroutine(made):
            return made
        return _finished(made)

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
        queue = self._waiters.get(event.name.casefold())
        if queue and not (self._root is None or self._root.done()):
            queue.popleft().completed(event.input)
        else:
            self._mailbox.append(event)

    # --- endings --------------------------------------------------------------------------------

    def _fail(self, error: LimitError) -> None:
        self._actions.clear()
        if self.trace is not None:
            self.trace.clear()
        self._failure = failure_of(error, with_traceback=False)
        raise SessionDiscarded

    def _ending(self) -> ExecutionCompleted | ContinueAsNew:
        if self.trace is not None:
            self.trace.append("the end of the orchestrator")
        root = self._root
        if self._failure is not None or root is None:
            return _failed(self._failure or FailureDetails("RuntimeError", "it never started"))
        if root.cancelled():
            return _failed(FailureDetails("asyncio.CancelledError", "the orchestrator was cancelled"))
        error = root.exception()
        if error is not None:
            return _failed(failure_of(error))
        if self._next_generation is not None:
            text, keep_events = self._next_generation
            carried = tuple(self._mailbox) if keep_events else ()
            return ContinueAsNew(child_execution_id(self.info.execution_id, 0), text, carried)
        try:
            result = self.encode(root.result(), "its result")
        except Exception as refused:  # noqa: BLE001 - a result that cannot be stored fails the orchestration
            return _failed(failure_of(refused))
        return ExecutionCompleted(RuntimeStatus.COMPLETED, result)

    def encode(self, value: object, what: str) -> str:
        """A payload as JSON text, refused when too long."""
        return self.check_size(encode(value), what)

    def check_size(self, text: str, what: str) -> str:
        """Refuse a payload that is over the limit."""
        limit = self.info.limits.payload_bytes
        if len(text) * 4 > limit and (size := len(text.encode())) > limit:
            raise limit_error(
                "payload_bytes",
                limit,
                f"orchestrator {self.info.name!r} (instance {self.info.instance_id!r}): "
                f"{what} takes {size:,} bytes",
            )
        return text

    # --- plumbing -------------------------------------------------------------------------------

    def _set_loop_timer(self, when: int, callback: Callback) -> LoopTimer:
        return LoopTimerEntry(self, when, callback)

    def _report(self, context: dict[str, Any]) -> None:
        record = logging.LogRecord(
            "tenuto.orchestration",
            logging.ERROR,
            __file__,
            0,
            "instance %s: %s",
            (self.info.instance_id, context.get("message")),
            None,
        )
        error = context.get("exception")
        if isinstance(error, BaseException):
            record.exc_info = (type(error), error, error.__traceback__)
        self.log(record)


_HANDLERS: Final[dict[type, Callable[[Session, Any], None]]] = {
    ExecutionStarted: Session._on_started,
    TaskCompleted: Session._on_task_completed,
    TaskFailed: Session._on_task_failed,
    SubOrchestrationInstanceCompleted: Session._on_task_completed,
    SubOrchestrationInstanceFailed: Session._on_task_failed,
    TimerFired: Session._on_timer_fired,
    EventRaised: Session._on_event_raised,
}
"""Events that a session reacts to. Pauses, ends from outside and turn marks are the engine's."""


def _failed(failure: FailureDetails) -> ExecutionCompleted:
    return ExecutionCompleted(RuntimeStatus.FAILED, None, failure)


async def _finished(value: Any) -> Any:
    return value


async def drive_generator(generator: Generator[Any, Any, Any]) -> Any:
    """Run a generator orchestrator: each task it yields is awaited for it."""
    try:
        yielded = next(generator)
        while True:
            if not asyncio.isfuture(yielded):
                yielded = generator.throw(
                    TypeError(
                        f"an orchestrator must yield tasks, it yielded {yielded!r}; "
                        "yield what ctx.call_activity(...) and its like return"
                    )
                )
                continue
            try:
                value = await yielded
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - handed to the generator as it came
                yielded = generator.throw(error)
            else:
                yielded = generator.send(value)
    except StopIteration as stop:
        return stop.value
    finally:
        generator.close()


def user_position(frame: FrameType | None) -> str:
    """The innermost line of user code at or above a frame."""
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def _deepest_frame(coroutine: Any) -> FrameType | None:
    """Follow what a suspended coroutine waits for down to the last frame of user code."""
    found: FrameType | None = None
    current: Any = coroutine
    while current is not None:
        if isinstance(current, CoroutineType):
            frame, inner = current.cr_frame, current.cr_await
            if frame is not None and frame.f_code is drive_generator.__code__:
                inner = frame.f_locals.get("generator")
        elif isinstance(current, GeneratorType):
            frame, inner = current.gi_frame, current.gi_yieldfrom
        else:
            return found
        if frame is not None and not frame.f_code.co_filename.startswith(_OURS):
            found = frame
        current = inner
    return found
