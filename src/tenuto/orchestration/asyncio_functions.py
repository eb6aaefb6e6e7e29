"""asyncio functions whose stock form orders things by address or by Python version.

``gather``, ``wait_for`` and ``as_completed`` are ours inside a session (ENGINE rules 2 and 3) and
stock everywhere else: the names in ``asyncio`` are replaced once, by functions that look at the
running loop. Also refuses what cannot work inside an orchestrator, by name.
"""

import asyncio
import functools
from asyncio import events as asyncio_events
from asyncio import futures as asyncio_futures
from asyncio import tasks as asyncio_tasks
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from typing import Any, Self, TypeVar

from tenuto.model.errors import GuardError
from tenuto.orchestration.loop import SessionFuture, SessionLoop

T = TypeVar("T")

_stock_gather = asyncio_tasks.gather
_stock_wait_for = asyncio_tasks.wait_for
_stock_as_completed = asyncio_tasks.as_completed


def session_loop() -> SessionLoop | None:
    """The running loop when it is a session's."""
    loop = asyncio_events._get_running_loop()  # noqa: SLF001 - must not raise
    return loop if isinstance(loop, SessionLoop) else None


class _Gathering(SessionFuture[list[Any]]):
    """The result of ``gather``: cancelling it cancels what it gathers."""

    def __init__(self, loop: SessionLoop, children: list["asyncio.Future[Any]"]) -> None:
        super().__init__(loop)
        self._children = children
        self._cancel_requested = False

    def cancel(self, msg: object = None) -> bool:
        if self.done():
            return False
        requested = False
        for child in self._children:
            requested = child.cancel(msg=msg) or requested
        self._cancel_requested = self._cancel_requested or requested
        return requested

    def child_done(self, done: "asyncio.Future[Any]", missing: list[int], keep_going: bool) -> None:
        missing[0] -= 1
        if self.done():
            if not done.cancelled():
                done.exception()  # mark as retrieved
            return
        if not keep_going:
            if done.cancelled():
                self.set_exception(asyncio.CancelledError())
                return
            error = done.exception()
            if error is not None:
                self.set_exception(error)
                return
        if missing[0] == 0:
            self._finish()

    def _finish(self) -> None:
        if self._cancel_requested:
            self.set_exception(asyncio.CancelledError())
            return
        results: list[Any] = []
        for child in self._children:
            if child.cancelled():
                results.append(asyncio.CancelledError())
            else:
                error = child.exception()
                results.append(child.result() if error is None else error)
        self.set_result(results)


def gather_in_session(
    loop: SessionLoop, awaitables: Iterable[Awaitable[Any]], *, return_exceptions: bool
) -> "asyncio.Future[list[Any]]":
    """``asyncio.gather`` for a session; arguments that occur twice share one task."""
    unique: dict[int, asyncio.Future[Any]] = {}
    kept_alive = list(awaitables)
    children = []
    for awaitable in kept_alive:
        child = unique.get(id(awaitable))
        if child is None:
            child = unique[id(awaitable)] = _ensure_future(awaitable, loop)
        children.append(child)
    outer = _Gathering(loop, children)
    if not children:
        outer.set_result([])
        return outer
    missing = [len(unique)]
    for child in unique.values():
        child.add_done_callback(
            functools.partial(outer.child_done, missing=missing, keep_going=return_exceptions)
        )
    return outer


def _ensure_future(awaitable: Awaitable[Any], loop: SessionLoop) -> "asyncio.Future[Any]":
    return asyncio_tasks.ensure_future(awaitable, loop=loop)


@functools.wraps(_stock_gather)
def _gather(*awaitables: Any, return_exceptions: bool = False) -> Any:
    loop = session_loop()
    if loop is None:
        return _stock_gather(*awaitables, return_exceptions=return_exceptions)
    return gather_in_session(loop, awaitables, return_exceptions=return_exceptions)


@functools.wraps(_stock_wait_for)
async def _wait_for(fut: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncio's own signature
    loop = session_loop()
    if loop is None:
        return await _stock_wait_for(fut, timeout)
    if timeout is not None and timeout <= 0:
        future = _ensure_future(fut, loop)
        if future.done():
            return future.result()
        future.cancel()
        try:
            return await future
        except asyncio.CancelledError as error:
            raise TimeoutError from error
    async with asyncio.timeout(timeout):
        return await fut


class _AsCompleted:
    """``asyncio.as_completed`` in the order of completion, then of the arguments."""

    def __init__(
        self, awaitables: Iterable[Awaitable[Any]], loop: SessionLoop, timeout: float | None
    ) -> None:
        unique = {id(one): one for one in awaitables}
        self._todo = {_ensure_future(one, loop): None for one in unique.values()}
        self._left = len(self._todo)
        self._done: asyncio.Queue[asyncio.Future[Any] | None] = asyncio.Queue()
        for future in self._todo:
            future.add_done_callback(self._finished)
        self._timer = loop.call_later(timeout, self._expired) if timeout is not None else None

    def _finished(self, future: "asyncio.Future[Any]") -> None:
        if future not in self._todo:
            return
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

    async def _next_result(self) -> Any:
        return (await self._next_future()).result()

    def __iter__(self) -> Iterator[Coroutine[Any, Any, Any]]:
        while self._left:
            self._left -= 1
            yield self._next_result()

    def __aiter__(self) -> AsyncIterator["asyncio.Future[Any]"]:
        return self

    async def __anext__(self) -> "asyncio.Future[Any]":
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return await self._next_future()


@functools.wraps(_stock_as_completed)
def _as_completed(fs: Iterable[Awaitable[Any]], *, timeout: float | None = None) -> Any:
    loop = session_loop()
    if loop is None:
        return _stock_as_completed(fs, timeout=timeout)
    if asyncio_futures.isfuture(fs) or asyncio.iscoroutine(fs):
        raise TypeError(f"expect an iterable of futures, not {type(fs).__name__}")
    return _AsCompleted(fs, loop, timeout)


def _refusing(stock: Callable[..., Any], name: str, alternative: str) -> Callable[..., Any]:
    @functools.wraps(stock)
    def refusing(*args: Any, **kwargs: Any) -> Any:
        if session_loop() is not None:
            for argument in args:
                if asyncio.iscoroutine(argument):
                    argument.close()
            raise GuardError(
                f"{name}() is not available inside an orchestrator, because it cannot be "
                f"replayed; {alternative}"
            )
        return stock(*args, **kwargs)

    return refusing


class _RefusingRunner(asyncio.Runner):
    """``asyncio.Runner``, refused inside a session."""

    def __enter__(self) -> Self:
        if session_loop() is not None:
            raise GuardError(
                "asyncio.Runner is not available inside an orchestrator, because it cannot be "
                "replayed; await the coroutine"
            )
        return super().__enter__()


def install() -> None:
    """Replace the names in ``asyncio``; harmless when done twice."""
    if asyncio.gather is _gather:
        return
    for module in (asyncio, asyncio_tasks):
        module.gather = _gather
        module.wait_for = _wait_for
        module.as_completed = _as_completed
    asyncio.run = _refusing(asyncio.run, "asyncio.run", "await the coroutine")
    asyncio.to_thread = _refusing(
        asyncio.to_thread, "asyncio.to_thread", "put the blocking call into an activity"
    )
    asyncio.Runner = _RefusingRunner  # type: ignore[misc]
