"""Durable tasks: what a context call returns.

A durable task is scheduled when it is made and completes only by an event of history. It is an
``asyncio.Future``, so that everything in asyncio takes it (ENGINE rule 4).
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tenuto.model.errors import ActivityError, ActivityTimeoutError, WorkError
from tenuto.model.failure import FailureDetails
from tenuto.model.retry import RetryPolicy
from tenuto.model.timing import MICROSECONDS
from tenuto.orchestration.loop import Callback, SessionFuture, SessionLoop

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Coroutine

    class _TaskType(SessionFuture[T], Coroutine[Any, Any, T]):  # type: ignore[misc]
        """For type checkers a durable task is also a coroutine: TaskGroup.create_task takes it."""
else:

    class _TaskType(SessionFuture, Generic[T]):
        """At run time it is a future only."""


class Scheduler(Protocol):
    """What tasks need of their session."""

    loop: SessionLoop

    def next_id(self) -> int:
        """The next event id of the execution."""

    def set_timer(self, fire_at: int, on_fired: Callable[[], None]) -> int:
        """Create a durable timer and return its id."""

    def cancel_work(self, task_id: int) -> None:
        """Give up open work: recorded as TaskCanceled (ENGINE rule 9)."""


class DurableTask(_TaskType[T]):
    """The result of a context call, to be awaited, yielded, gathered or cancelled.

    Cancelling is recorded: a timer is dropped, an activity gets its cancellation token, a late
    result is ignored.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler.loop)
        self._scheduler = scheduler
        self._open_id: int | None = None

    def cancel(self, msg: object = None) -> bool:
        """Give the work up; awaiting the task raises ``asyncio.CancelledError``."""
        if self.done():
            return False
        if self._open_id is not None:
            self._scheduler.cancel_work(self._open_id)
            self._open_id = None
        return super().cancel(msg=msg)

class CallTask(DurableTask[T]):
    """A call of an activity or sub-orchestration, with its retries (ENGINE rule 10)."""

    def __init__(
        self,
        scheduler: Scheduler,
        function: str,
        decode: Callable[[str | None], Any],
        schedule: Callable[["CallTask[T]"], int],
        error: Callable[[str, FailureDetails], WorkError],
        retry: RetryPolicy | None,
    ) -> None:
        super().__init__(scheduler)
        self.function = function
        self.attempt = 0
        self.first_id: int | None = None
        self._decode = decode
        self._schedule = schedule
        self._error = error
        self._retry = retry
        self._begun_at = scheduler.loop.now
        self.begin_attempt()

    def begin_attempt(self) -> None:
        """Schedule the next attempt under a fresh id."""
        self.attempt += 1
        self._open_id = self._schedule(self)
        if self.first_id is None:
            self.first_id = self._open_id

    def completed(self, result: str | None) -> None:
        """The work is done; ``result`` is JSON text."""
        self._open_id = None
        try:
            value = self._decode(result)
        except Exception as error:  # noqa: BLE001 - the caller's own type may refuse the data in any way
            self.set_exception(error)
        else:
            self.set_result(value)

    def failed(self, failure: FailureDetails) -> None:
        """The attempt failed: try again later, or give the error to whoever waits."""
        self._open_id = None
        try:
            delay = self._next_delay(failure)
        except Exception as error:  # noqa: BLE001 - the user's retry predicate
            self.set_exception(error)
            return
        if delay is None:
            self.set_exception(self._error(self.function, failure))
            return
        fire_at = self._scheduler.loop.now + delay // timedelta(microseconds=1)
        self._open_id = self._scheduler.set_timer(fire_at, self.begin_attempt)

    def _next_delay(self, failure: FailureDetails) -> timedelta | None:
        if self._retry is None:
            return None
        elapsed = timedelta(microseconds=self._scheduler.loop.now - self._begun_at)
        return self._retry.next_delay(self.attempt, failure, elapsed)


def activity_error(function: str, failure: FailureDetails) -> WorkError:
    """The error an orchestrator sees for a failed activity."""
    if failure.error_type == "TimeoutError":
        return ActivityTimeoutError(function, failure)
    return ActivityError(function, failure)


class TimerTask(DurableTask[None]):
    """A durable timer; ``await`` it or ``cancel()`` it."""

    def __init__(self, scheduler: Scheduler, fire_at: int) -> None:
        super().__init__(scheduler)
        self._open_id = scheduler.set_timer(fire_at, self._fired)

    def _fired(self) -> None:
        self._open_id = None
        if not self.done():
            self.set_result(None)


class LoopTimerEntry:
    """A timer that asyncio itself set through ``call_at``; stands in for ``TimerHandle``."""

    __slots__ = ("_cancelled", "_callback", "_scheduler", "_task_id", "_when")

    def __init__(self, scheduler: Scheduler, fire_at: int, callback: Callback) -> None:
        self._scheduler = scheduler
        self._callback = callback
        self._when = scheduler.loop.time() + (fire_at - scheduler.loop.now) / MICROSECONDS
        self._cancelled = False
        self._task_id: int | None = scheduler.set_timer(fire_at, self._fired)

    def _fired(self) -> None:
        self._task_id = None
        self._scheduler.loop.make_ready(self._callback)

    def cancel(self) -> None:
        """Take the timer back; one that has fired but not run yet does not run."""
        self._cancelled = True
        self._callback.cancel()
        if self._task_id is not None:
            task_id, self._task_id = self._task_id, None
            if not self._scheduler.loop.dead:
                self._scheduler.cancel_work(task_id)

    def cancelled(self) -> bool:
        """Whether it was taken back."""
        return self._cancelled

    def when(self) -> float:
        """Loop time it is set for."""
        return self._when


class EventTask(DurableTask[T]):
    """A wait for an external event; one that was cancelled or timed out consumes nothing."""

    def __init__(
        self, scheduler: Scheduler, decode: Callable[[str | None], Any], leave: Callable[[Any], None]
    ) -> None:
        super().__init__(scheduler)
        self._decode = decode
        self._leave = leave

    def cancel(self, msg: object = None) -> bool:
        """Stop waiting."""
        if not super().cancel(msg=msg):
            return False
        self._leave(self)
        return True

    def expire_at(self, fire_at: int, description: str) -> None:
        """End the wait with TimeoutError when the timer fires first."""

        def expired() -> None:
            self._open_id = None
            if not self.done():
                self._leave(self)
                self.set_exception(TimeoutError(description))

        self._open_id = self._scheduler.set_timer(fire_at, expired)

    def completed(self, result: str | None) -> None:
        """The event is here; ``result`` is its JSON text."""
        if self._open_id is not None:
            self._scheduler.cancel_work(self._open_id)
            self._open_id = None
        try:
            value = self._decode(result)
        except Exception as error:  # noqa: BLE001 - the caller's own type may refuse the data in any way
            self.set_exception(error)
        else:
            self.set_result(value)


def any_of(loop: SessionLoop, tasks: list["asyncio.Future[Any]"]) -> "asyncio.Future[Any]":
    """A future that gives the first of the tasks that is done (in order, when several are)."""
    winner: SessionFuture[Any] = SessionFuture(loop)

    def finished(task: "asyncio.Future[Any]") -> None:
        if not winner.done():
            winner.set_result(task)

    for task in tasks:
        task.add_done_callback(finished)
    return winner
