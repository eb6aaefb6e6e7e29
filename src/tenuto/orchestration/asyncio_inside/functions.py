"""asyncio's functions inside a session.

Some stock functions order things by address (``as_completed`` iterates a set of coroutines), some
differ from one Python version to the next (``gather``, ``wait_for``), some can never work inside an
orchestrator. Inside a session ours take their place (ENGINE rules 2, 3 and 7), everywhere else the
stock ones stay. ``takeover`` puts ours in their place, the classes are in ``asyncio_classes``.
"""

import asyncio
import inspect
from asyncio import events as asyncio_events
from asyncio import futures as asyncio_futures
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, NoReturn, TypeVar

from tenuto.orchestration.futures import SessionFuture, foreign_future
from tenuto.orchestration.loop import SessionLoop, drop, refusal
from tenuto.orchestration.takeover import take_over

T = TypeVar("T")


def _running() -> SessionLoop:
    loop = asyncio_events._get_running_loop()  # noqa: SLF001 - must not raise
    assert isinstance(loop, SessionLoop), "our functions are called only inside a session"
    return loop


# --- gather -------------------------------------------------------------------------------------


class _Gathering(SessionFuture[list[Any]]):
    """The result of ``gather``: cancelling it cancels what it gathers."""

    __slots__ = ("_cancel_requested", "_children", "_keep_going", "_missing")

    def __init__(
        self, loop: SessionLoop, children: list[asyncio.Future[Any]], *, keep_going: bool
    ) -> None:
        super().__init__(loop)
        self._children = children
        self._keep_going = keep_going
        self._cancel_requested = False
        waiting = list(dict.fromkeys(children))
        self._missing = len(waiting)
        done = [child for child in waiting if child.done()]
        for child in waiting:
            if not child.done():
                child.add_done_callback(self._child_done)
        for child in done:
            self._child_done(child)

    def cancel(self, msg: object = None) -> bool:
        """Cancel the children; this future ends when they do."""
        if self.done():
            return False
        requested = [child.cancel(msg=msg) for child in self._children]
        self._cancel_requested = self._cancel_requested or any(requested)
        return any(requested)

    def _child_done(self, child: asyncio.Future[Any]) -> None:
        self._missing -= 1
        if self.done():
            if not child.cancelled():
                child.exception()  # mark as retrieved
            return
        if not self._keep_going:
            error = _error_of(child)
            if error is not None:
                self.set_exception(error)
                return
        if self._missing == 0:
            self._finish()

    def _finish(self) -> None:
        if self._cancel_requested:
            last: Any = self._children[-1]
            self.set_exception(last._make_cancelled_error())  # noqa: SLF001 - as asyncio
        else:
            self.set_result([_outcome(child) for child in self._children])


def _error_of(future: Any) -> BaseException | None:  # noqa: ANN401 - with asyncio's private parts
    error: BaseException | None = (
        future._make_cancelled_error()  # noqa: SLF001 - as asyncio
        if future.cancelled()
        else future.exception()
    )
    return error


def _outcome(future: Any) -> Any:  # noqa: ANN401 - the same, and of user code
    if future.cancelled():
        return asyncio.CancelledError(future._cancel_message or "")  # noqa: SLF001 - as asyncio
    error = future.exception()
    return future.result() if error is None else error


def gather_in_session(
    loop: SessionLoop, awaitables: Iterable[Awaitable[Any]], *, return_exceptions: bool
) -> "asyncio.Future[list[Any]]":
    """``asyncio.gather`` for a session; arguments that occur twice share one task."""
    children = _futures_of(loop, list(awaitables))
    if not children:
        empty = loop.create_future()
        empty.set_result([])
        return empty
    return _Gathering(loop, children, keep_going=return_exceptions)


def _futures_of(loop: SessionLoop, awaitables: list[Awaitable[Any]]) -> list[asyncio.Future[Any]]:
    """A future for each, the same one for the same object."""
    futures: dict[int, asyncio.Future[Any]] = {}
    try:
        for awaitable in awaitables:
            if id(awaitable) not in futures:
                futures[id(awaitable)] = future_in_session(loop, awaitable)
    except BaseException:
        for awaitable in awaitables:
            if id(awaitable) not in futures:
                drop(awaitable)
        raise
    return [futures[id(awaitable)] for awaitable in awaitables]


def future_in_session(loop: SessionLoop, awaitable: Awaitable[T]) -> "asyncio.Future[T]":
    """``asyncio.ensure_future`` for a session: futures as they are, all else as a task.

    Raises:
        GuardError: for a future of another loop.
    """
    if isinstance(awaitable, asyncio.Future) or asyncio_futures.isfuture(awaitable):
        if awaitable.get_loop() is not loop:
            raise foreign_future(awaitable)
        return awaitable
    if not inspect.isawaitable(awaitable):
        raise TypeError("An asyncio.Future, a coroutine or an awaitable is required")
    return loop.create_task(awaitable)


def _gather(*awaitables: Any, return_exceptions: bool = False) -> Any:  # noqa: ANN401 - asyncio's overloads
    return gather_in_session(_running(), awaitables, return_exceptions=return_exceptions)


# --- wait, wait_for -----------------------------------------------------------------------------


async def _wait(fs: Any, **options: Any) -> Any:  # noqa: ANN401 - stock waits, this only looks
    if not asyncio_futures.isfuture(fs) and not inspect.isawaitable(fs):
        fs = list(fs)
        for future in fs:
            if asyncio_futures.isfuture(future) and future.get_loop() is not _running():
                raise foreign_future(future)
    return await _stock_wait(fs, **options)


async def _wait_for(fut: Awaitable[T], timeout: float | None) -> T:
    if timeout is not None and timeout <= 0:
        return await _result_at_once(fut)
    try:
        async with asyncio.timeout(timeout):
            return await fut
    finally:
        drop(fut)  # when not even the timer could be set


async def _result_at_once(awaitable: Awaitable[T]) -> T:
    future = future_in_session(_running(), awaitable)
    if future.done():
        return future.result()
    await _cancel_and_wait(future)
    try:
        return future.result()
    except asyncio.CancelledError as error:
        raise TimeoutError from error


async def _cancel_and_wait(future: "asyncio.Future[Any]") -> None:
    """Wait through a future of our own, so that this wait can be cancelled like any other."""
    ended: asyncio.Future[None] = _running().create_future()

    def release(_future: "asyncio.Future[Any]") -> None:
        if not ended.done():
            ended.set_result(None)

    future.add_done_callback(release)
    try:
        future.cancel()
        await ended
    finally:
        future.remove_done_callback(release)


# --- as_completed -------------------------------------------------------------------------------


class _AsCompleted:
    """``asyncio.as_completed`` in the order of completion, then of the arguments."""

    def __init__(
        self, awaitables: Iterable[Awaitable[Any]], loop: SessionLoop, timeout: float | None
    ) -> None:
        self._todo = dict.fromkeys(_futures_of(loop, list(awaitables)))
        self._left = len(self._todo)
        self._done: asyncio.Queue[asyncio.Future[Any] | None] = asyncio.Queue()
        self._timer: Any = None
        for future in self._todo:
            future.add_done_callback(self._finished)
        if self._todo and timeout is not None:
            self._timer = loop.call_later(timeout, self._expired)

    def _finished(self, future: "asyncio.Future[Any]") -> None:
        if future not in self._todo:
            return  # it expired with this callback already on its way
        del self._todo[future]
        self._done.put_nowait(future)
        if not self._todo and self._timer is not None:
            self._timer.cancel()

    def _expired(self) -> None:
        for future in self._todo:
            future.remove_done_callback(self._finished)
            self._done.put_nowait(None)
        self._todo.clear()

    async def _next_future(self) -> "asyncio.Future[Any]":
        future = await self._done.get()
        if future is None:
            raise TimeoutError
        return future

    async def _next_result(self) -> Any:  # noqa: ANN401 - of user code
        return (await self._next_future()).result()

    def __iter__(self) -> Iterator[Coroutine[Any, Any, Any]]:
        return self

    def __next__(self) -> Coroutine[Any, Any, Any]:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return self._next_result()

    def __aiter__(self) -> AsyncIterator["asyncio.Future[Any]"]:
        return self

    async def __anext__(self) -> "asyncio.Future[Any]":
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return await self._next_future()


def _as_completed(fs: Iterable[Awaitable[Any]], *, timeout: float | None = None) -> _AsCompleted:
    if inspect.isawaitable(fs):
        raise TypeError(f"expects an iterable of awaitables, not {type(fs).__name__}")
    return _AsCompleted(fs, _running(), timeout)


# --- tasks, and what is refused by name (ENGINE rule 7) -----------------------------------------


def _all_tasks(loop: asyncio.AbstractEventLoop | None = None) -> set[Any]:
    ours = _running()
    if loop is not None and loop is not ours:
        raise refusal("asyncio.all_tasks() of another loop", "look only at your own tasks")
    return set(ours.tasks.values())


def refusing(name: str, alternative: str) -> Callable[..., NoReturn]:
    """A function that refuses to be called inside an orchestrator."""

    def refused(*args: object, **_named: object) -> NoReturn:
        for argument in args:
            drop(argument)
        raise refusal(f"{name}()", alternative)

    return refused


def _wrap_future(future: Any, **_options: object) -> Any:  # noqa: ANN401 - asyncio's own signature
    if asyncio_futures.isfuture(future):
        return future
    raise refusal("asyncio.wrap_future()", "put the work of the other thread into an activity")


_stock_wait = asyncio.wait


def install() -> None:
    """Take the places of the stock functions; harmless when done twice."""
    global _stock_wait  # noqa: PLW0603 - the one stock function that ours needs
    take_over(asyncio.gather, _gather)
    _stock_wait = take_over(asyncio.wait, _wait)
    take_over(asyncio.wait_for, _wait_for)
    take_over(asyncio.as_completed, _as_completed)
    take_over(asyncio.all_tasks, _all_tasks)
    take_over(asyncio.wrap_future, _wrap_future)
    take_over(asyncio.run, refusing("asyncio.run", "await the coroutine"))
    # The guard would refuse its sockets, but halfway, with what is open left behind.
    take_over(asyncio.new_event_loop, refusing("asyncio.new_event_loop", "await the coroutine"))
    in_activity = "put the blocking call into an activity"
    take_over(asyncio.to_thread, refusing("asyncio.to_thread", in_activity))
    take_over(
        asyncio.run_coroutine_threadsafe,
        refusing("asyncio.run_coroutine_threadsafe", "await the coroutine, or use an activity"),
    )
