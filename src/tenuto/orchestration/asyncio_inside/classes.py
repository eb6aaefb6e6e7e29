"""asyncio's classes inside a session: where CPython's versions differ, one form on all of them.

``TaskGroup``, ``Semaphore`` and ``Condition`` of CPython 3.11 and 3.12 wake their waiters in
another order than those of 3.13 or count cancellations otherwise, ``Timeout`` gives errors another
cause, and patch releases go on changing them. An instance may move to another Python while it
waits, so inside a session these methods are ours (ENGINE rule 3) and behave as in 3.13; everywhere
else the stock ones stay. ``Lock``, ``Event``, ``Queue`` and ``Barrier`` do the same on all
supported versions.
"""

import asyncio
from asyncio.timeouts import _State as _TimeoutState  # type: ignore[attr-defined]
from collections import deque
from collections.abc import Awaitable
from contextvars import Context
from types import TracebackType
from typing import Any, Literal, TypeAlias

from tenuto.orchestration.asyncio_inside.functions import refusing
from tenuto.orchestration.futures import SessionTask
from tenuto.orchestration.takeover import take_over

# What these functions touch is private to asyncio: untyped, but named alike on all versions.
# ruff: noqa: SLF001
_Semaphore: TypeAlias = Any
_Condition: TypeAlias = Any
_Group: TypeAlias = Any
_Timeout: TypeAlias = Any


def install() -> None:
    """Take the places of the stock methods; harmless when done twice."""
    take_over(asyncio.Semaphore.acquire, _acquire)
    take_over(asyncio.Semaphore.release, _release)
    take_over(asyncio.Condition.wait, _wait)
    take_over(asyncio.Condition.notify, _notify)
    take_over(asyncio.TaskGroup.create_task, _create_task)
    take_over(asyncio.TaskGroup.__aexit__, _exit)
    take_over(asyncio.TaskGroup._on_task_done, _task_done)
    take_over(asyncio.Timeout.__aexit__, _exit_timeout)
    runner = refusing("asyncio.Runner", "await the coroutine")
    for method in (asyncio.Runner.__enter__, asyncio.Runner.run, asyncio.Runner.get_loop):
        take_over(method, runner)


# --- Semaphore ----------------------------------------------------------------------------------


async def _acquire(semaphore: _Semaphore) -> Literal[True]:
    if not semaphore.locked():
        semaphore._value -= 1
        return True
    if semaphore._waiters is None:
        semaphore._waiters = deque()
    waiter = semaphore._get_loop().create_future()
    semaphore._waiters.append(waiter)
    try:
        try:
            await waiter
        finally:
            semaphore._waiters.remove(waiter)
    except asyncio.CancelledError:
        if waiter.done() and not waiter.cancelled():
            semaphore._value += 1  # it was given to us already
        raise
    finally:
        # Others may have come meanwhile, and had to wait for the order's sake.
        while semaphore._value > 0 and _wake_next(semaphore):
            pass
    return True


def _release(semaphore: _Semaphore) -> None:
    semaphore._value += 1
    _wake_next(semaphore)


def _wake_next(semaphore: _Semaphore) -> bool:
    for waiter in semaphore._waiters or ():
        if not waiter.done():
            semaphore._value -= 1
            waiter.set_result(True)
            return True
    return False


# --- Condition ----------------------------------------------------------------------------------


async def _wait(condition: _Condition) -> Literal[True]:
    if not condition.locked():
        raise RuntimeError("cannot wait on un-acquired lock")
    waiter = condition._get_loop().create_future()
    condition.release()
    try:
        try:
            condition._waiters.append(waiter)
            try:
                await waiter
            finally:
                condition._waiters.remove(waiter)
        finally:
            await _acquire_at_all_costs(condition)
    except BaseException:
        # We may have been notified and cannot act on it: somebody else must.
        _notify_waiters(condition, 1)
        raise
    return True


async def _acquire_at_all_costs(condition: _Condition) -> None:
    """Get the lock back; cancellations that come meanwhile are raised when we have it."""
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            await condition.acquire()
            break
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _notify(condition: _Condition, n: int = 1) -> None:
    if not condition.locked():
        raise RuntimeError("cannot notify on un-acquired lock")
    _notify_waiters(condition, n)


def _notify_waiters(condition: _Condition, count: int) -> None:
    for waiter in condition._waiters:
        if count <= 0:
            break
        if not waiter.done():
            count -= 1
            waiter.set_result(False)


# --- TaskGroup ----------------------------------------------------------------------------------


def _create_task(
    group: _Group,
    coro: Awaitable[Any],
    *,
    name: str | None = None,
    context: Context | None = None,
    **options: Any,
) -> SessionTask[Any]:
    reason = None
    if not group._entered:
        reason = "has not been entered"
    elif group._exiting and not group._tasks:
        reason = "is finished"
    elif group._aborting:
        reason = "is shutting down"
    if reason is not None:
        coro.close()  # type: ignore[attr-defined]  # a coroutine or a durable task
        raise RuntimeError(f"TaskGroup {group!r} {reason}")
    task: SessionTask[Any] = group._loop.create_task(coro, name=name, context=context, **options)
    group._tasks.add(task)
    task.add_done_callback(group._on_task_done)
    return task


async def _exit(
    group: _Group,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _traceback: TracebackType | None,
) -> None:
    group._exiting = True
    if error is not None and group._is_base_error(error) and group._base_error is None:
        group._base_error = error
    cancelled: BaseException | None = error if isinstance(error, asyncio.CancelledError) else None
    if error is not None and not group._aborting:
        group._abort()
    cancelled = await _wait_for_tasks(group, cancelled)
    if group._base_error is not None:
        raise group._base_error
    if group._parent_cancel_requested and group._parent_task.uncancel() == 0:
        cancelled = None  # the only cancellation was our own
    if cancelled is not None and not group._errors:
        raise cancelled
    if error is not None and not isinstance(error, asyncio.CancelledError):
        group._errors.append(error)
    if group._errors:
        _raise_errors(group)


async def _wait_for_tasks(group: _Group, cancelled: BaseException | None) -> BaseException | None:
    """Wait until all tasks have ended; returns the cancellation to pass on, if there is one."""
    while group._tasks:
        group._on_completed_fut = group._loop.create_future()
        try:
            await group._on_completed_fut
        except asyncio.CancelledError as error:
            if not group._aborting:  # from outside; else it is ours, or they know already
                cancelled = error
                group._abort()
        group._on_completed_fut = None
    return cancelled


def _raise_errors(group: _Group) -> None:
    if group._parent_task.cancelling():
        # A cancellation from outside goes on once the errors are handled.
        group._parent_task.uncancel()
        group._parent_task.cancel()
    errors, group._errors = group._errors, None
    raise BaseExceptionGroup("unhandled errors in a TaskGroup", errors) from None


def _task_done(group: _Group, task: SessionTask[Any]) -> None:
    group._tasks.discard(task)
    waiter = group._on_completed_fut
    if waiter is not None and not group._tasks and not waiter.done():
        waiter.set_result(True)
    error = None if task.cancelled() else task.exception()
    if error is None:
        return
    group._errors.append(error)
    if group._is_base_error(error) and group._base_error is None:
        group._base_error = error
    if group._parent_task.done():
        group._loop.call_exception_handler(
            {"message": "a task failed after the end of its TaskGroup's task", "exception": error}
        )
    elif not group._aborting and not group._parent_cancel_requested:
        group._abort()
        group._parent_cancel_requested = True
        group._parent_task.cancel()


# --- Timeout ------------------------------------------------------------------------------------


async def _exit_timeout(
    timeout: _Timeout,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _traceback: TracebackType | None,
) -> None:
    if timeout._timeout_handler is not None:
        timeout._timeout_handler.cancel()
        timeout._timeout_handler = None
    if timeout._state is _TimeoutState.ENTERED:
        timeout._state = _TimeoutState.EXITED
        return
    timeout._state = _TimeoutState.EXPIRED
    if timeout._task.uncancel() > timeout._cancelling or error is None:
        return  # cancelled from outside too, or the block got by
    if isinstance(error, asyncio.CancelledError):
        raise TimeoutError from error
    _name_the_timeout(error)
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            _name_the_timeout(one)


def _name_the_timeout(error: BaseException) -> None:
    """An error that came of our cancellation says that there was a timeout."""
    while error.__context__ is not None:
        if isinstance(error.__context__, asyncio.CancelledError):
            expired = TimeoutError()
            expired.__context__ = expired.__cause__ = error.__context__
            error.__context__ = expired
            break
        error = error.__context__
