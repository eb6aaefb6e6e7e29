"""Futures and tasks of a session: asyncio's behaviour, without addresses.

They hash and print by a counter of their session, so that sets iterate alike in every run (ENGINE
rule 2). Must never depend on the Python version: where CPython's own ``Task`` changed between
versions, this one does what the newest does (ENGINE rule 3).
"""

import asyncio
from asyncio import tasks as asyncio_tasks
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from tenuto.model.errors import GuardError, SessionDiscarded
from tenuto.model.interrupts import is_from_keyboard

if TYPE_CHECKING:
    from tenuto.orchestration.loop import SessionLoop

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

_enter_task: Final[Any] = asyncio_tasks._enter_task  # noqa: SLF001 - documented for third-party loops
_leave_task: Final[Any] = asyncio_tasks._leave_task  # noqa: SLF001 - the same


class SessionFuture(asyncio.Future[T]):
    """A future that hashes by its session's counter instead of its address.

    ``was_left`` means that somebody has waited for it and does no longer.
    """

    __slots__ = ("number", "was_left")

    def __init__(self, loop: "SessionLoop") -> None:
        super().__init__(loop=loop)
        self.was_left: bool = False
        self.number: int = loop.numbers + 1
        loop.numbers = self.number

    def __hash__(self) -> int:
        return self.number

    def remove_done_callback(self, function: "Callable[[Any], object]", /) -> int:
        """As asyncio; what a race or a time limit leaves has not been forgotten."""
        self.was_left = True
        return super().remove_done_callback(function)

    def __repr__(self) -> str:
        # Text may end up in a status or a name: it must not hold an address either.
        return f"<{type(self).__name__} #{self.number} {_state(self)}>"


class SessionTask(SessionFuture[T]):
    """``asyncio.Task`` for one session: same behaviour, numbered, closed on discard.

    The stock task cannot be used: it keeps itself in a process-wide weak set, keyed by hash, where
    ten thousand sessions that count from one collide. The steps follow CPython's ``Task.__step``.
    """

    __slots__ = (
        "_cancel_requests", "_cancelled_error", "_context", "_message", "_must_cancel", "_name",
        "_waiting_for", "coroutine", "session_loop",
    )  # fmt: skip

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, T],
        loop: "SessionLoop",
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(loop)
        self.coroutine: Coroutine[Any, Any, T] = coroutine
        self.session_loop: SessionLoop = loop
        self._name = name if name is None else str(name)
        self._context = copy_context() if context is None else context
        self._waiting_for: asyncio.Future[Any] | None = None
        self._must_cancel = False
        self._message: object = None
        self._cancel_requests = 0
        self._cancelled_error: asyncio.CancelledError | None = None
        loop.call_soon(self._step, context=self._context)
        loop.tasks[self.number] = self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.get_name()!r} {_state(self)}>"

    # --- what asyncio.Task offers ---------------------------------------------------------------

    @property  # type: ignore[misc]  # not its own type
    def __class__(self) -> type[asyncio.Task[Any]]:  # type: ignore[override]  # the same
        """Libraries ask ``isinstance(one, asyncio.Task)``, and that is what it is to them."""
        return asyncio.Task

    @property
    def _fut_waiter(self) -> asyncio.Future[Any] | None:
        """What the task waits for: private to asyncio, but anyio reads it, and ``_must_cancel``."""
        return self._waiting_for

    def get_coro(self) -> Coroutine[Any, Any, T]:
        """The coroutine."""
        return self.coroutine

    def get_name(self) -> str:
        """The task's name."""
        return self._name or f"Task-{self.number}"

    def set_name(self, value: object) -> None:
        """Name the task."""
        self._name = str(value)

    def get_context(self) -> Context:
        """The context its steps run in."""
        return self._context

    def cancelling(self) -> int:
        """How many cancellations were asked for and not taken back."""
        return self._cancel_requests

    def uncancel(self) -> int:
        """Take one request for cancellation back; the last one also when it is not delivered yet.

        CPython forgets the undelivered one since 3.13; here it is forgotten on every version.
        """
        if self._cancel_requests > 0:
            self._cancel_requests -= 1
            if self._cancel_requests == 0:
                self._must_cancel = False
        return self._cancel_requests

    def cancel(self, msg: object = None) -> bool:
        """Throw CancelledError into the coroutine at its next step."""
        if self.done():
            return False
        self._cancel_requests += 1
        if self._waiting_for is not None and self._waiting_for.cancel(msg=msg):
            return True
        self._must_cancel = True
        self._message = msg
        return True

    def set_result(self, _result: T, /) -> NoReturn:
        """Refused, as by asyncio: the coroutine decides."""
        raise RuntimeError("Task does not support set_result operation")

    def set_exception(self, _exception: object, /) -> NoReturn:
        """Refused, as by asyncio: the coroutine decides."""
        raise RuntimeError("Task does not support set_exception operation")

    def result(self) -> T:
        """The value, or the exception, cancellation included, that ended the coroutine."""
        if self._cancelled_error is not None:
            raise self._make_cancelled_error()
        return super().result()

    def exception(self) -> BaseException | None:
        """The exception that ended the coroutine."""
        if self._cancelled_error is not None:
            raise self._make_cancelled_error()
        return super().exception()

    def __await__(self) -> Generator[Any, None, T]:
        # The stock iterator does not ask result(), and would lose the original CancelledError.
        return super().__await__() if self._cancelled_error is None else _raise_result(self)

    def __iter__(self) -> Generator[Any, None, T]:
        return self.__await__()

    def _make_cancelled_error(self) -> asyncio.CancelledError:
        """As asyncio: who asks first gets the very error that ended the coroutine."""
        error, self._cancelled_error = self._cancelled_error, None
        return super()._make_cancelled_error() if error is None else error  # type: ignore[misc]  # private

    # --- steps ----------------------------------------------------------------------------------

    def end_coroutine(self) -> bool:
        """Throw SessionDiscarded into the coroutine, in its context; False when it went on.

        ``close()`` will not do. When a ``finally`` block awaits something it breaks the chain of
        coroutines in the middle, and before Python 3.13 it stops short of async generators. What is
        cut off so is left to the garbage collector. An exception gets to the innermost one.
        """
        self._waiting_for = None
        # Without a current task timeouts and groups would fail at once, in loops for ever.
        _enter_task(self.session_loop, self)
        try:
            self._context.run(self.coroutine.throw, SessionDiscarded())
        except BaseException:  # noqa: BLE001 - whatever user code raises while it is thrown away
            return True
        finally:
            _leave_task(self.session_loop, self)
        return False

    def _step(self, error: BaseException | None = None) -> None:
        loop = self.session_loop
        if self._must_cancel:
            if not isinstance(error, asyncio.CancelledError):
                error = _cancelled_error(self._message)
            self._must_cancel = False
        self._waiting_for = None
        _enter_task(loop, self)
        try:
            coroutine = self.coroutine
            yielded = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as stop:
            if self._must_cancel:  # cancelled by its own last step
                self._must_cancel = False
                super().cancel(msg=self._message)
            else:
                super().set_result(stop.value)
            loop.task_ended(self)
        except asyncio.CancelledError as cancelled:
            self._cancelled_error = _without_this_frame(cancelled)
            super().cancel()
            loop.task_ended(self)
        except SessionDiscarded:
            raise  # not the coroutine's own ending: the session is over, or about to be
        except BaseException as failure:
            # SystemExit and KeyboardInterrupt too: they end their orchestration, not the host.
            if failure is not error and is_from_keyboard(failure):
                raise
            super().set_exception(_without_this_frame(failure))
            loop.task_ended(self)
        else:
            self._wait_for(yielded)
        finally:
            _leave_task(loop, self)
            del self, error  # an error's frames lead here: it must not hold its own task

    def _wait_for(self, yielded: Any) -> None:  # noqa: ANN401 - whatever user code yields
        loop = self.session_loop
        blocking = getattr(yielded, "_asyncio_future_blocking", None)
        if blocking and yielded is not self and yielded.get_loop() is loop:
            yielded._asyncio_future_blocking = False  # noqa: SLF001 - the future protocol
            yielded.add_done_callback(self._wake, context=self._context)
            self._waiting_for = yielded
            if self._must_cancel and yielded.cancel(msg=self._message):
                self._must_cancel = False
        elif yielded is None:
            loop.call_soon(self._step, context=self._context)
        else:
            if blocking:
                # A future that is not ours outlives this session: leave it as it was found.
                yielded._asyncio_future_blocking = False  # noqa: SLF001 - the future protocol
            loop.call_soon(self._step, _misuse(self, yielded, blocking), context=self._context)

    def _wake(self, future: asyncio.Future[Any]) -> None:
        error: BaseException | None = None
        try:
            future.result()
        except BaseException as raised:  # noqa: BLE001 - thrown into the coroutine that waits
            error = _without_this_frame(raised)
        try:
            self._step(error)
        finally:
            del self, future, error  # as above


def _without_this_frame(error: E) -> E:
    """Leave our own frame out of the traceback: users see only theirs."""
    assert error.__traceback__ is not None
    return error.with_traceback(error.__traceback__.tb_next)


def _cancelled_error(message: object) -> asyncio.CancelledError:
    return asyncio.CancelledError() if message is None else asyncio.CancelledError(message)


def _raise_result(task: SessionTask[T]) -> Generator[Any, None, T]:
    yield from ()
    return task.result()


def _state(future: asyncio.Future[Any]) -> str:
    if not future.done():
        return "pending"
    return "cancelled" if future.cancelled() else "finished"


def _misuse(task: SessionTask[Any], yielded: Any, blocking: bool | None) -> Exception:  # noqa: ANN401, FBT001 - as yielded
    name = task.get_name()
    if blocking is None:
        return RuntimeError(f"task {name!r} got a bad yield: {yielded!r}")
    if yielded is task:
        return RuntimeError(f"task {name!r} cannot await itself")
    if yielded.get_loop() is not task.session_loop:
        return foreign_future(yielded)
    return RuntimeError(f"yield was used instead of yield from with {yielded!r}")


def foreign_future(future: object) -> GuardError:
    """The refusal of a future of another loop."""
    return GuardError(
        f"{future!r} belongs to another event loop, so it cannot be replayed; "
        "do the work in an activity and await ctx.call_activity(...)"
    )
