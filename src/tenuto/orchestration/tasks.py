"""Durable tasks: what a context call returns.

A durable task is scheduled when it is made and completes only by an event of history. It is an
``asyncio.Future``, so that everything in asyncio takes it (ENGINE rule 4).
"""

import asyncio
from abc import abstractmethod
from asyncio import futures as asyncio_futures
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar

from tenuto.model.actions import Action
from tenuto.model.built_in import plain_name
from tenuto.model.class_names import type_name
from tenuto.model.cuts import cut
from tenuto.model.errors import (
    ActivityError,
    ActivityTimeoutError,
    PayloadError,
    PayloadMisfitError,
    ScheduleToStartTimeoutError,
    SessionDiscarded,
    SubOrchestrationError,
    WorkError,
)
from tenuto.model.events import (
    EventAwaited,
    EventRaised,
    EventTaken,
    QuestionAnswered,
    SubOrchestrationInstanceCreated,
    TaskCanceled,
    TaskScheduled,
    TimerPurpose,
)
from tenuto.model.execution import ExecutionInfo
from tenuto.model.failure import FailureDetails, failure_of
from tenuto.model.ids import InstanceId
from tenuto.model.interrupts import is_from_keyboard
from tenuto.model.retry import RetryFacts, RetryPolicy
from tenuto.model.timing import LATEST, MICROSECONDS, Microseconds, span
from tenuto.orchestration.futures import SessionFuture
from tenuto.orchestration.loop import Callback, SessionLoop
from tenuto.orchestration.references import OnCancel

T = TypeVar("T")

_END_OF_SLEEP: Final = asyncio_futures._set_result_unless_cancelled  # type: ignore[attr-defined]  # noqa: SLF001 - tells a sleep from a time limit
_REASON_LENGTH: Final = 1000

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tenuto.orchestration.questions import Question

    class _TaskType(SessionFuture[T], Coroutine[Any, Any, T]):
        """For type checkers a durable task is also a coroutine: TaskGroup.create_task takes it."""

        def send(self, value: Any, /) -> Any: ...  # noqa: ANN401 - of Coroutine
        def throw(self, *error: Any) -> Any: ...  # noqa: ANN401 - of Coroutine
else:
    _TaskType = SessionFuture
    """At run time it is a future only."""


class Scheduler(Protocol):
    """What tasks need of their session."""

    loop: SessionLoop
    info: ExecutionInfo
    questions: "dict[int, Question[Any]]"

    def open_call(self, call: "CallTask[Any]") -> int:
        """The next event id of the execution; answers to it go to this call."""

    def next_id(self) -> int:
        """The next event id of the execution."""

    def record(self, action: Action) -> None:
        """Note what was decided."""

    def set_timer(
        self,
        fire_at: Microseconds,
        on_fired: Callable[[], None],
        purpose: TimerPurpose = "timer",
        of: int | None = None,
    ) -> int:
        """Create a durable timer and return its id."""

    def cancel_work(self, task_id: int, child: InstanceId | None = None) -> None:
        """Give up open work, and have a child end: recorded as TaskCanceled (ENGINE rule 9)."""

    def stop_waiting(self, waiter: "EventTask[Any]") -> None:
        """The waiter wants no event any more."""

    def end_wait(self, action: EventTaken | TaskCanceled, timer_id: int | None) -> None:
        """A wait for an event is over, and so is the timer that bounds it."""

    def refuse_event(
        self, event: EventRaised | QuestionAnswered, name: str, which: int, error: PayloadError
    ) -> bool:
        """Turn away what does not fit, or put it aside: recorded as EventRefused, and then True."""

    def refused_in_history(self, which: int) -> str | None:
        """In a recorded turn, why an event was refused in it; None when it was not."""


Made: TypeAlias = tuple[CodeType, int]
"""Where user code made a task: a code object, and the offset of the instruction in it."""


class DurableTask(_TaskType[T]):
    """The result of a context call, to be awaited, yielded, gathered or cancelled.

    Cancelling is recorded: a timer is dropped, an activity gets its cancellation token, a
    sub-orchestration is ended unless its ``on_cancel`` is ``"abandon"``, a late result is ignored.
    """

    __slots__ = ("_open_id", "_scheduler", "made")

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler.loop)
        self._scheduler = scheduler
        self._open_id: int | None = None
        self.made: Made | None = None

    @property
    @abstractmethod
    def what(self) -> str:
        """What it is, for people."""

    def cancel(self, msg: object = None) -> bool:
        """Give the work up; awaiting the task raises ``asyncio.CancelledError``."""
        if self.done():
            return False
        self._give_up()
        return super().cancel(msg=msg)

    def close(self) -> None:
        """Cancel: what asyncio does to a coroutine that it refuses, a finished TaskGroup's say."""
        self.cancel()

    def _give_up(self) -> None:
        if self._open_id is not None:
            self._scheduler.cancel_work(self._open_id)
            self._open_id = None

    def _decoded(self, decode: Callable[[str | None], Any], text: str | None) -> None:
        """The answer is here, as JSON text."""
        self._open_id = None
        if self.done():
            return  # by user code, which may set any future
        try:
            value = decode(text)
        except BaseException as error:  # noqa: BLE001 - handed on
            # The caller's own type may refuse the data in any way.
            self._broken(error, text)
        else:
            self.set_result(value)

    def _broken(self, error: BaseException, _text: str | None = None) -> None:
        """User code that we called raised: whoever waits for the task gets the error."""
        if isinstance(error, SessionDiscarded) or is_from_keyboard(error):
            raise error
        if isinstance(error, StopIteration):  # no future takes one, it would end who waits silently
            stopped = error
            error = RuntimeError(f"{type(stopped).__name__} was raised: {stopped!r}")
            error.__cause__ = stopped
        self.set_exception(error)


# --- calls --------------------------------------------------------------------------------------


class CallTask(DurableTask[T]):
    """A call of an activity or sub-orchestration, with its retries (ENGINE rule 10).

    Attributes:
        function: The name of what is called.
        attempt: The attempt that is going on, from 1.
        first_id: The event id of the first attempt, which names the logical call.
    """

    __slots__ = ("_begun_at", "_decode", "_retry", "attempt", "first_id", "function")

    def __init__(
        self,
        scheduler: Scheduler,
        function: str,
        decode: Callable[[str | None], Any],
        retry: RetryPolicy | None,
    ) -> None:
        super().__init__(scheduler)
        self.function: str = function
        self.attempt: int = 0
        self.first_id: int | None = None
        self._decode = decode
        self._retry = retry
        self._begun_at = scheduler.loop.now

    @property
    def what(self) -> str:
        """What is called."""
        name = plain_name(self.function)
        return f"call of {name!r}" if name == self.function else name

    def begin_attempt(self) -> None:
        """Schedule the next attempt under a fresh id."""
        self.attempt += 1
        self._open_id = task_id = self._scheduler.open_call(self)
        self._scheduler.record(self._event(task_id))
        if self.first_id is None:
            self.first_id = task_id

    def completed(self, result: str | None) -> None:
        """The work is done; ``result`` is JSON text."""
        self._decoded(self._decode, result)

    def _broken(self, error: BaseException, text: str | None = None) -> None:
        """What was stored does not fit what is asked for now: no fault of who waits for it."""
        if isinstance(error, PayloadError):
            raise PayloadMisfitError(f"the result of {self.function!r}", text, error) from error
        super()._broken(error)

    def failed(self, failure: FailureDetails) -> None:
        """The attempt failed: try again later, or give the error to whoever waits."""
        self._open_id = None
        if self.done():
            return  # by user code, which may set any future
        if self._retry is None:
            self.set_exception(self._error(failure))
            return
        now = self._scheduler.loop.now
        elapsed = timedelta(microseconds=now - self._begun_at)
        try:
            delay = self._retry.next_delay(self.attempt, failure, elapsed)
        except BaseException as error:  # noqa: BLE001 - the user's retry predicate
            super()._broken(error)
            return
        if delay is None:
            self.set_exception(self._error(failure))
            return
        self._pause(now + span(delay))

    def _pause(self, until: Microseconds) -> None:
        """Let the next attempt begin then."""
        self._open_id = self._scheduler.set_timer(until, self.begin_attempt, "retry", self.first_id)

    def _first_facts(self) -> RetryFacts | None:
        """What history is told of the policy, with the first attempt."""
        retry = self._retry
        return None if retry is None or self.first_id is not None else retry.facts

    @abstractmethod
    def _event(self, task_id: int) -> Action:
        """What schedules the current attempt."""

    @abstractmethod
    def _error(self, failure: FailureDetails) -> WorkError:
        """What the orchestrator sees of the last failure."""


_TIMEOUTS: Final = {"TimeoutError", type_name(ScheduleToStartTimeoutError)}


class ActivityTask(CallTask[T]):
    """A call of an activity."""

    __slots__ = ("_input", "_start_timeout", "_timeout")

    def __init__(
        self,
        scheduler: Scheduler,
        function: str,
        text: str | None,
        decode: Callable[[str | None], Any],
        retry: RetryPolicy | None,
        timeout: Microseconds | None,
        start_timeout: Microseconds | None = None,
    ) -> None:
        super().__init__(scheduler, function, decode, retry)
        self._input = text
        self._timeout = timeout
        self._start_timeout = start_timeout
        self.begin_attempt()

    def _event(self, task_id: int) -> TaskScheduled:
        trace, limit = self._scheduler.info.facts.trace, self._start_timeout
        if (
            self._retry is None and trace is None and limit is None
        ):  # most calls: a field less costs less
            return TaskScheduled(
                task_id, self.function, self._input, self.attempt, self.first_id, self._timeout
            )
        return TaskScheduled(
            task_id,
            self.function,
            self._input,
            self.attempt,
            self.first_id,
            self._timeout,
            trace=trace,
            retry=self._first_facts(),
            start_by=None if limit is None else min(self._scheduler.loop.now + limit, LATEST),
        )

    def _error(self, failure: FailureDetails) -> ActivityError:
        if failure.error_type in _TIMEOUTS:
            return ActivityTimeoutError(self.function, failure)
        return ActivityError(self.function, failure)


class ChildTask(CallTask[T]):
    """A call of a sub-orchestration; ``event`` makes the record of an attempt from its event id,
    its number, the event id of the first and, at the first, what is to be recorded of the policy.
    """

    __slots__ = ("_child", "_is_left_alone", "_make_event")

    def __init__(
        self,
        scheduler: Scheduler,
        function: str,
        event: Callable[[int, int, int | None, RetryFacts | None], SubOrchestrationInstanceCreated],
        decode: Callable[[str | None], Any],
        retry: RetryPolicy | None,
        on_cancel: OnCancel = "terminate",
    ) -> None:
        super().__init__(scheduler, function, decode, retry)
        self._make_event = event
        self._is_left_alone = on_cancel == "abandon"
        self._child: InstanceId | None = None
        self.begin_attempt()

    def _event(self, task_id: int) -> SubOrchestrationInstanceCreated:
        event = self._make_event(task_id, self.attempt, self.first_id, self._first_facts())
        if not self._is_left_alone:
            self._child = event.instance_id
        return event

    def failed(self, failure: FailureDetails) -> None:
        """The child has ended: what may be open next is a pause."""
        self._child = None
        super().failed(failure)

    def _give_up(self) -> None:
        if self._open_id is not None:
            self._scheduler.cancel_work(self._open_id, self._child)
            self._open_id = None

    def _error(self, failure: FailureDetails) -> SubOrchestrationError:
        return SubOrchestrationError(self.function, failure)


# --- timers -------------------------------------------------------------------------------------


class TimerTask(DurableTask[None]):
    """A durable timer; ``await`` it or ``cancel()`` it."""

    __slots__ = ()

    def __init__(self, scheduler: Scheduler, fire_at: Microseconds) -> None:
        super().__init__(scheduler)
        self._open_id = scheduler.set_timer(fire_at, self._fired)

    @property
    def what(self) -> str:
        """A timer."""
        return "timer"

    def _fired(self) -> None:
        self._open_id = None
        if not self.done():
            self.set_result(None)


class LoopTimerEntry:
    """A timer that asyncio itself set through ``call_at``; stands in for ``TimerHandle``."""

    __slots__ = ("_callback", "_cancelled", "_scheduler", "_task_id", "_when")

    def __init__(self, scheduler: Scheduler, fire_at: Microseconds, callback: Callback) -> None:
        self._scheduler = scheduler
        self._callback = callback
        self._when = scheduler.loop.time() + (fire_at - scheduler.loop.now) / MICROSECONDS
        self._cancelled = False
        # What asyncio.sleep calls; whatever else asks asyncio to call later bounds something.
        is_sleep = callback.function is _END_OF_SLEEP
        self._task_id: int | None = scheduler.set_timer(
            fire_at, self._fired, "timer" if is_sleep else "timeout"
        )

    def _fired(self) -> None:
        self._task_id = None
        self._scheduler.loop.make_ready(self._callback)

    def cancel(self) -> None:
        """Take the timer back; one that has fired but not run yet does not run."""
        self._cancelled = True
        self._callback.cancel()
        task_id, self._task_id = self._task_id, None
        # asyncio cancels timers in finally blocks, also while its coroutines are thrown away.
        if task_id is not None and not self._scheduler.loop.dead:
            self._scheduler.cancel_work(task_id)

    def cancelled(self) -> bool:
        """Whether it was taken back."""
        return self._cancelled

    def when(self) -> float:
        """Loop time it is set for."""
        return self._when


# --- events -------------------------------------------------------------------------------------


class EventTask(DurableTask[T]):
    """A wait for an external event; one that was cancelled or timed out consumes nothing.

    Attributes:
        name: The event's name, as the orchestrator spelled it.
        data_type: What its data are asked for as; None for anything.
    """

    __slots__ = ("_decode", "_timer_id", "data_type", "name")

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        decode: Callable[[str | None], Any],
        data_type: object = None,
    ) -> None:
        super().__init__(scheduler)
        self.name: str = name
        self.data_type: object = data_type
        self._decode = decode
        self._timer_id: int | None = None

    @property
    def what(self) -> str:
        """Which event."""
        return f"wait for event {self.name!r}"

    @property
    def event_id(self) -> int | None:
        """The number under which history knows the wait, while it is open."""
        return self._open_id

    def opened(self) -> None:
        """Nothing that has come answers the wait: history is told of it."""
        self._open_id = self._scheduler.next_id()
        self._scheduler.record(EventAwaited(self._open_id, self.name))

    def cancel(self, msg: object = None) -> bool:
        """Stop waiting."""
        if not super().cancel(msg=msg):
            return False
        self._scheduler.stop_waiting(self)
        return True

    def expire_at(self, fire_at: Microseconds, description: str) -> None:
        """End the wait with TimeoutError when the timer fires first."""

        def expired() -> None:
            self._open_id = None
            if not self.done():
                self._scheduler.stop_waiting(self)
                self.set_exception(TimeoutError(description))

        self._timer_id = self._scheduler.set_timer(fire_at, expired, "timeout", self._open_id)

    def accepts(self, event: EventRaised, which: int) -> bool:
        """Take an event, or refuse it when its data are not what was asked for.

        One that was refused stays so whatever is asked for by now: it is among the dead letters.

        Args:
            event: It.
            which: As ``EventRefused`` has it.
        """
        refused = self._scheduler.refused_in_history(which)
        if refused is not None:
            self._refuse(event, which, PayloadError(refused, path=""))
            return False
        try:
            value = self._decode(event.input)
        except BaseException as error:
            # The caller's own type may refuse the data in any way.
            if isinstance(error, SessionDiscarded) or is_from_keyboard(error):
                raise
            self._refuse(event, which, misfit(error, self._called(event)))
            return False
        if self._open_id is not None:
            self._scheduler.end_wait(EventTaken(self._open_id), self._timer_id)
            self._open_id = None
        self.set_result(value)
        return True

    def _called(self, event: EventRaised) -> str:  # noqa: ARG002 - others have several names
        """What an event is called that does not fit."""
        return f"event {self.name!r}"

    def _refuse(self, event: EventRaised, which: int, error: PayloadError) -> None:
        """It does not fit; the wait goes on."""
        self._scheduler.refuse_event(event, event.name, which, error)

    def _give_up(self) -> None:
        if self._open_id is not None:
            self._scheduler.end_wait(TaskCanceled(self._open_id), self._timer_id)
            self._open_id = None


def misfit(error: BaseException, owner: str) -> PayloadError:
    """Why data do not fit, for whoever sent them."""
    if isinstance(error, PayloadError) and len(error.reason) <= _REASON_LENGTH:
        return error.of(owner)
    failure = failure_of(error, with_traceback=False)
    if isinstance(error, PayloadError):
        reason, path = error.reason, error.path
    else:
        reason, path = f"does not fit: {failure.error_type}: {failure.error_message}", "$"
    return PayloadError(cut(reason, _REASON_LENGTH), path=path, owner=owner)


# --- composition --------------------------------------------------------------------------------


class FirstDone(SessionFuture["asyncio.Future[Any]"]):
    """Gives the first of some tasks that is done (in their order, when several are)."""

    __slots__ = ("_tasks",)

    def __init__(self, loop: SessionLoop, tasks: "Sequence[asyncio.Future[Any]]") -> None:
        super().__init__(loop)
        self._tasks = tasks
        for task in tasks:
            task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Future[Any]") -> None:
        if self.done():
            return
        # An approval may be waited for a thousand times: nothing of us must stay behind with it.
        for other in self._tasks:
            other.remove_done_callback(self._finished)
        self.set_result(task)
