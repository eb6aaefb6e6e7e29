"""The loop of a process that is ours: it runs one coroutine to its end, and ends itself in time.

Owns two promises. User code that raises SystemExit or KeyboardInterrupt in a task or callback of
its own (asyncio lets those two through, out of the loop) does not end the host. And what does not
end when it is cancelled does not keep the process: it is named, and left.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar

from tenuto.functions.child_processes import child_processes, children_left, moment
from tenuto.functions.detached_threads import DetachedThreads
from tenuto.functions.user_calls import flush_output
from tenuto.functions.whereabouts import task_place, thread_place, threads_python_waits_for
from tenuto.host.deadline import Deadline, StopHandler

T = TypeVar("T")

_LOGGER: Final = logging.getLogger("tenuto.host")

_END_SECONDS: Final = 1.0
"""How long tasks, generators and threads have to end, each of the three."""

_EXIT_SECONDS: Final = 2.0
"""How long threads of user code may keep a process in which everything of ours has ended."""

_LAST_SECONDS: Final = 3.0
"""How long what runs at Python's own end may keep it."""

_SOON_SECONDS: Final = 60.0
"""A program that goes on for so long after it was asked to stop, goes on on purpose."""

_left: list[object] = []
"""What did not end. Collected as garbage it would be thrown out of its wait once more."""


class StopRequestedError(BaseException):
    """A signal has asked a program to stop, and it has.

    Attributes:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_on_fast_loop(coroutine: Coroutine[Any, Any, T], *, drain_seconds: float | None = None) -> T:
    """Run a coroutine on a fresh loop: uvloop when it is installed, else asyncio's.

    Args:
        coroutine: What to run.
        drain_seconds: When given, Ctrl-C and SIGTERM cancel the coroutine, unless the program has
            handlers of its own for them; and the process ends, this time and little more later.

    Raises:
        StopRequestedError: it was cancelled so.
    """
    began = moment()
    runner = asyncio.Runner(loop_factory=fast_loop_factory())
    threads = DetachedThreads(name="tenuto-blocking")
    requests: list[int] = []
    try:
        loop = runner.get_loop()
        loop.set_default_executor(threads)
        work = loop.create_task(coroutine)
        with _obeying_signals(loop, work, drain_seconds, requests):
            try:
                result = _run(runner, work)
            finally:
                _close(runner, threads)
                if requests or drain_seconds is None:  # else the program goes on, and they are its
                    _name_children(began)
    except asyncio.CancelledError:
        if requests:
            raise StopRequestedError(requests[0]) from None
        raise
    if requests:
        raise StopRequestedError(requests[0])
    return result


def _name_children(began: float) -> None:
    if children := child_processes(began, is_killed=False):
        _LOGGER.warning("%s", children_left(children))


@contextmanager
def _obeying_signals(
    loop: asyncio.AbstractEventLoop,
    work: "asyncio.Task[T]",
    drain_seconds: float | None,
    requests: list[int],
) -> Generator[None]:
    if drain_seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int) -> None:
        requests.append(number)
        loop.call_soon_threadsafe(work.cancel)
        with suppress(RuntimeError):  # no memory for a thread: its end has no limit then
            threading.Thread(target=_end_after_main, args=(128 + number,), daemon=True).start()

    deadline = Deadline(loop, drain_seconds)
    handle = StopHandler(deadline, ask)
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {
        number: signal.signal(number, handle)
        for number, default in defaults.items()
        if signal.getsignal(number) is default
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        deadline.end()


def _end_after_main(code: int) -> None:
    """See to the end of a program that was asked to stop; one that goes on is its own business."""
    began = time.monotonic()
    threading.main_thread().join()
    if time.monotonic() - began < _SOON_SECONDS:
        _end(code)


def fast_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes uvloop's loop when that is installed, None (asyncio's) otherwise."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform, and slow to import
    except ImportError:
        return None
    return uvloop.new_event_loop


def end_in_time(code: int) -> None:
    """See to it that this process, which is about to end, does so.

    Python waits for threads that user code has started, and runs what it has registered. What takes
    longer is named, and left.

    Args:
        code: The exit code.
    """
    with suppress(RuntimeError):  # no memory for a thread: what is left ends by itself, or does not
        threading.Thread(target=_end, args=(code,), name="tenuto-exit", daemon=True).start()


def _end(code: int) -> None:
    time.sleep(_EXIT_SECONDS)
    threads = threads_python_waits_for()
    if not threads:
        time.sleep(_LAST_SECONDS)
        main = threading.main_thread().ident
        # It may be what was registered with atexit, which leaves no frame when it is written in C.
        place = thread_place(main) if main in sys._current_frames() else "in a function of C"  # noqa: SLF001 - made for this
        _LOGGER.warning("what runs at the end of the program does not end, and is left: %s", place)
    for thread in threads:
        place = thread_place(thread.ident)
        _LOGGER.warning("thread %r does not end and is left: %s", thread.name, place)
    flush_output()
    os._exit(code)


def _run(runner: asyncio.Runner, work: "asyncio.Task[T]") -> T:
    while True:
        try:
            return runner.run(_outcome(work))
        except MemoryError:
            # Asyncio found none to say that a callback had found none. The others go on.
            if work.done():
                raise
            with suppress(MemoryError):
                gc.collect()
                _LOGGER.warning("memory ran out in the host's loop; it goes on")
        except (SystemExit, KeyboardInterrupt) as error:
            if work.done() or _is_asked_for(error):
                raise
            # It came out of a task or callback of user code, which somebody awaits or nobody does.
            _LOGGER.exception("user code on the host's loop raised %s", type(error).__name__)


async def _outcome(work: "asyncio.Task[T]") -> T:
    return await work


def _is_asked_for(error: BaseException) -> bool:
    """Whether a signal's handler raised it: the user's own, or asyncio's at a second Ctrl-C."""
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        is_asyncios = code.co_filename == asyncio.runners.__file__ and trace.tb_next is None
        if code in handlers or is_asyncios:
            return True
        trace = trace.tb_next
    return False


def _code_of(handler: object) -> object:
    while isinstance(handler, partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    if not hasattr(function, "__code__") and callable(function):
        function = getattr(type(function), "__call__")  # noqa: B004, B009 - an object that is called
    return getattr(function, "__code__", None)


def _close(runner: asyncio.Runner, threads: DetachedThreads) -> None:
    """As ``Runner.close``, but not for ever."""
    loop = runner.get_loop()
    for end in (_end_tasks(loop), _end_generators(loop), _end_threads(threads)):
        task = loop.create_task(end)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:
                if _is_asked_for(error):
                    raise
                _LOGGER.exception("user code on the host's loop raised %s", type(error).__name__)
    left = asyncio.all_tasks(loop)
    if not left:
        runner.close()
        return
    for task in left:
        vars_of: Any = task
        vars_of._log_destroy_pending = False  # noqa: SLF001 - it has been named
    _left.extend((runner, loop, *left))
    asyncio.set_event_loop(None)
    loop.close()


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if not others:
        return
    _, pending = await asyncio.wait(others, timeout=_END_SECONDS)
    for task in others - pending:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            loop.call_exception_handler(
                {"message": "a task failed while the host's loop ended", "exception": error}
            )
    for task in pending:
        _LOGGER.warning(
            "task %r does not end when it is cancelled and is left: %s",
            task.get_name(),
            task_place(task),
        )


async def _end_generators(loop: asyncio.AbstractEventLoop) -> None:
    ending = asyncio.ensure_future(loop.shutdown_asyncgens())
    _, pending = await asyncio.wait([ending], timeout=_END_SECONDS)
    if pending:
        _LOGGER.warning("an async generator does not end when it is closed, and is left")


async def _end_threads(pool: DetachedThreads) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    last = time.monotonic() + _END_SECONDS
    while pool.threads and time.monotonic() < last:  # noqa: ASYNC110 - threads set no events
        await asyncio.sleep(0.005)
    for thread in pool.threads:
        place = thread_place(thread.ident)
        _LOGGER.warning("thread %r does not end and is left: %s", thread.name, place)
