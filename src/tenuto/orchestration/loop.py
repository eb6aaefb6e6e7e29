"""The deterministic event loop: asyncio without a selector, a clock or addresses.

One loop per session. It owns the ready queue and the tasks; the session owns the durable timers
behind ``call_at``. Together with ``asyncio_functions`` the only place in ``orchestration/`` that
knows asyncio. Must never look at real time, threads or the memory address of an object: tasks and
futures hash by a counter of their session (ENGINE rule 2), so that sets iterate alike in every
run. Keeps the promise ``replay_is_pure``.
"""

import asyncio
import sys
from asyncio import events as asyncio_events
from asyncio import futures as asyncio_futures
from asyncio import tasks as asyncio_tasks
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, NoReturn, Protocol, TypeVar
from weakref import WeakSet

from tenuto.model.errors import GuardError, SessionDiscarded
from tenuto.model.timing import MICROSECONDS

T = TypeVar("T")

_CLOSE_ATTEMPTS = 5

enter_task = asyncio_tasks._enter_task  # noqa: SLF001 - documented for third-party loops
leave_task = asyncio_tasks._leave_task  # noqa: SLF001


class LoopTimer(Protocol):
    """What ``call_at`` returns: something to cancel."""

    def cancel(self) -> None:
        """Take the timer back."""

    def cancelled(self) -> bool:
        """Whether it was taken back."""

    def when(self) -> float:
        """Loop time it is set for."""


class Callback:
    """A call in the ready queue; stands in for ``asyncio.Handle``."""

    __slots__ = ("_cancelled", "args", "context", "function")

    def __init__(
        self, function: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> None:
        self.function = function
        self.args = args
        self.context = context
        self._cancelled = False

    def cancel(self) -> None:
        """Do not make the call."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether the call was taken back."""
        return self._cancelled


class SessionLoop(asyncio.AbstractEventLoop):
    """An event loop that runs only when it is told to, and only what its session decided."""

    is_tenuto_session = True

    def __init__(self, set_timer: Callable[[int, Callback], LoopTimer]) -> None:
        self._set_timer = set_timer
        self._ready: deque[Callback] = deque()
        self._numbers = 0
        self._origin = 0
        self._now = 0
        self._dead = False
        self.context = Context()
        self._generators: WeakSet[AsyncGenerator[Any, Any]] | None = None
        self.tasks: dict[int, SessionTask[Any]] = {}
        self.on_unhandled: Callable[[dict[str, Any]], None] | None = None

    # --- driven by the session ---------------------------------------------------------------

    @property
    def now(self) -> int:
        """The orchestrator's clock, in microseconds since 1970."""
        return self._now

    @property
    def dead(self) -> bool:
        """Whether the session was discarded."""
        return self._dead

    def set_time(self, now: int) -> None:
        """Set the clock for a turn; the first time becomes loop time zero."""
        if not self._origin:
            self._origin = now
        self._now = now

    def next_number(self) -> int:
        """A number that no other task or future of this session has."""
        self._numbers += 1
        return self._numbers

    def run_ready(self) -> None:
        """Run what is ready, and what that makes ready, until nothing is."""
        ready = self._ready
        while ready:
            callback = ready.popleft()
            if callback._cancelled:  # noqa: SLF001 - same module, hot path
                continue
            try:
                callback.context.run(callback.function, *callback.args)
            except (KeyboardInterrupt, SystemExit, SessionDiscarded):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio: a callback's error is reported, the loop goes on
                self.call_exception_handler(
                    {"message": f"exception in callback {callback.function!r}", "exception": error}
                )

    def enter(self) -> tuple[asyncio.AbstractEventLoop | None, Any]:
        """Become the running loop of this thread; return what ``leave`` needs."""
        outer = asyncio_events._get_running_loop()  # noqa: SLF001 - documented for event loops
        hooks = sys.get_asyncgen_hooks()
        asyncio_events._set_running_loop(self)  # noqa: SLF001
        sys.set_asyncgen_hooks(self._track_generator, self._finalize_generator)
        return outer, hooks

    @staticmethod
    def leave(entered: tuple[asyncio.AbstractEventLoop | None, Any]) -> None:
        """Give the thread back to the loop that ran before."""
        outer, hooks = entered
        sys.set_asyncgen_hooks(*hooks)
        asyncio_events._set_running_loop(outer)  # noqa: SLF001

    def discard(self) -> list[Coroutine[Any, Any, Any]]:
        """Mark dead and close every coroutine inside this loop (ENGINE rule 5).

        Returns the coroutines that refused to end; the caller keeps and reports them.
        """
        self._dead = True
        self._ready.clear()
        self._set_timer = _no_timer
        refused: list[Coroutine[Any, Any, Any]] = []
        pending = list(self.tasks.values())
        if not pending and not self._generators:
            self.on_unhandled = None
            return refused
        entered = self.enter()
        try:
            for task in reversed(pending):
                if not task.close_coroutine(_CLOSE_ATTEMPTS):
                    refused.append(task.coroutine)
            for generator in list(self._generators or ()):
                _close_generator(generator)
        finally:
            self.leave(entered)
        self.on_unhandled = None
        self.tasks.clear()
        self._ready.clear()
        return refused

    def _track_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if self._generators is None:
            self._generators = WeakSet()
        self._generators.add(generator)

    def _finalize_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        # As asyncio: an abandoned async generator is closed by a task of its own loop.
        if not self._dead:
            self.create_task(generator.aclose())

    # --- the part of asyncio's interface that makes sense here ---------------------------------

    def get_debug(self) -> bool:
        """Never: asyncio's debug mode measures real time."""
        return False

    def is_running(self) -> bool:
        """Whether this loop is the running one of the thread."""
        return asyncio_events._get_running_loop() is self  # noqa: SLF001

    def is_closed(self) -> bool:
        """Whether the session was discarded."""
        return self._dead

    def time(self) -> float:
        """Seconds since the execution began, by the orchestrator's clock."""
        return (self._now - self._origin) / MICROSECONDS

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        """Put a call at the end of the ready queue."""
        if self._dead:
            raise SessionDiscarded
        entry = Callback(callback, args, copy_context() if context is None else context)
        self._ready.append(entry)
        return entry

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Any:
        """Call after a durable timer of ``delay`` seconds; at once when it is not positive."""
        return self._call_at(
            self._now + _microseconds(delay), Callback(callback, args, context or copy_context())
        )

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> Any:
        """Call when the durable clock shows ``when`` (loop time, seconds)."""
        return self._call_at(
            self._origin + _microseconds(when), Callback(callback, args, context or copy_context())
        )

    def _call_at(self, when: int, entry: Callback) -> object:
        if self._dead:
            raise SessionDiscarded
        if when <= self._now:
            self._ready.append(entry)
            return entry
        return self._set_timer(when, entry)

    def make_ready(self, entry: Callback) -> None:
        """Queue a timer's call; the session does so at its TimerFired event."""
        self._ready.append(entry)

    def create_future(self) -> "SessionFuture[Any]":
        """A future of this session."""
        return SessionFuture(self)

    def create_task(  # type: ignore[override]  # takes futures too, see ENGINE rule 4
        self,
        coro: "Coroutine[Any, Any, T] | Generator[Any, None, T] | asyncio.Future[T]",
        *,
        name: str | None = None,
        context: Context | None = None,
        **_options: object,
    ) -> "SessionTask[T]":
        """Run a coroutine beside the others; a durable task is wrapped."""
        if self._dead:
            raise SessionDiscarded
        if asyncio_futures.isfuture(coro):
            coro = _await(coro)
        return SessionTask(coro, self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error that nobody can catch any more."""
        if self.on_unhandled is not None and not self._dead:
            self.on_unhandled(context)

    def get_exception_handler(self) -> None:
        """None: errors go to the session's logger."""

    def get_task_factory(self) -> None:
        """None: tasks are always the session's."""


def _no_timer(_when: int, _callback: Callback) -> NoReturn:
    raise SessionDiscarded


def _close_generator(generator: AsyncGenerator[Any, Any]) -> None:
    closing = generator.aclose()
    try:
        closing.send(None)
    except BaseException:  # noqa: BLE001 - whatever user code raises while it is thrown away
        return
    closing.close()


def _microseconds(seconds: float) -> int:
    try:
        return round(seconds * MICROSECONDS)
    except (OverflowError, ValueError):
        raise GuardError(
            f"a delay of {seconds!r} seconds cannot be a durable timer; use a finite number"
        ) from None


async def _await(future: "asyncio.Future[T]") -> T:
    return await future


class SessionFuture(asyncio.Future[T]):
    """A future that hashes by its session's counter instead of its address."""

    def __init__(self, loop: SessionLoop) -> None:
        super().__init__(loop=loop)
        self.number = loop.next_number()

    def __hash__(self) -> int:
        return self.number

    def silence(self) -> None:
        """Do not report an exception that nobody retrieves."""
        self._Future__log_traceback = False


class SessionTask(SessionFuture[T]):
    """``asyncio.Task`` for one session: same behaviour, numbered, closed on discard.

    The stock task cannot be used: it keeps itself in a process-wide weak set, keyed by hash, where
    ten thousand sessions that count from one collide. The steps follow CPython's ``Task.__step``.
    """

    def __init__(
        self,
        coroutine: Any,
        loop: SessionLoop,
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(loop)
        if not asyncio.iscoroutine(coroutine):
            raise TypeError(f"a coroutine was expected, got {coroutine!r}")
        self.coroutine = coroutine
        self.session_loop = loop
        self._name = name
        self._task_context = copy_context() if context is None else context
        self._waiting_for: asyncio.Future[Any] | None = None
        self._must_cancel = False
        self._message: object = None
        self._cancel_requests = 0
        loop.tasks[self.number] = self
        loop.call_soon(self._step, context=self._task_context)

    def get_coro(self) -> Any:
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
        return self._task_context

    def cancelling(self) -> int:
        """How many cancellations were asked for and not taken back."""
        return self._cancel_requests

    def uncancel(self) -> int:
        """Take one request for cancellation back."""
        if self._cancel_requests > 0:
            self._cancel_requests -= 1
            if self._cancel_requests == 0 and sys.version_info >= (3, 13):
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

    def close_coroutine(self, attempts: int) -> bool:
        """Close the coroutine; False when it went on each time."""
        self.silence()
        self._waiting_for = None
        for _ in range(attempts):
            try:
                self.coroutine.close()
            except RuntimeError:
                continue  # "coroutine ignored GeneratorExit"
            except BaseException:  # noqa: BLE001 - whatever user code raises while it is thrown away
                return True
            return True
        return False

    def _step(self, error: BaseException | None = None) -> None:
        if self.done():
            return
        if self._must_cancel:
            if not isinstance(error, asyncio.CancelledError):
                error = self._new_cancelled_error()
            self._must_cancel = False
        self._waiting_for = None
        loop = self.session_loop
        enter_task(loop, self)  # type: ignore[arg-type]  # stands in for asyncio.Task
        try:
            if error is None:
                yielded = self.coroutine.send(None)
            else:
                yielded = self.coroutine.throw(error)
        except StopIteration as stop:
            if self._must_cancel:
                self._must_cancel = False
                super().cancel(msg=self._message)
            else:
                super().set_result(stop.value)
            del loop.tasks[self.number]
        except asyncio.CancelledError:
            super().cancel(msg=self._message)
            del loop.tasks[self.number]
        except (KeyboardInterrupt, SystemExit, SessionDiscarded) as fatal:
            super().set_exception(fatal)
            loop.tasks.pop(self.number, None)
            raise
        except BaseException as failure:  # noqa: BLE001 - a task holds whatever its coroutine raised
            super().set_exception(failure)
            del loop.tasks[self.number]
        else:
            self._wait_for(yielded)
        finally:
            leave_task(loop, self)  # type: ignore[arg-type]

    def _new_cancelled_error(self) -> asyncio.CancelledError:
        if self._message is None:
            return asyncio.CancelledError()
        return asyncio.CancelledError(self._message)

    def _wait_for(self, yielded: Any) -> None:
        loop = self.session_loop
        blocking = getattr(yielded, "_asyncio_future_blocking", None)
        if blocking and yielded is not self and yielded.get_loop() is loop:
            yielded._asyncio_future_blocking = False  # noqa: SLF001 - the future protocol
            yielded.add_done_callback(self._wake, context=self._task_context)
            self._waiting_for = yielded
            if self._must_cancel and yielded.cancel(msg=self._message):
                self._must_cancel = False
        elif yielded is None:
            loop.call_soon(self._step, context=self._task_context)
        else:
            loop.call_soon(self._step, _misuse(self, yielded, blocking), context=self._task_context)

    def _wake(self, future: "asyncio.Future[Any]") -> None:
        try:
            future.result()
        except BaseException as error:  # noqa: BLE001 - thrown into the coroutine that waits
            self._step(error)
        else:
            self._step()


def _misuse(task: SessionTask[Any], yielded: Any, blocking: bool | None) -> Exception:
    if blocking is None:
        return RuntimeError(f"task {task.get_name()} got a bad yield: {yielded!r}")
    if yielded is task:
        return RuntimeError(f"task {task.get_name()} cannot await itself")
    if yielded.get_loop() is not task.session_loop:
        return GuardError(
            f"{yielded!r} belongs to another event loop, so it cannot be replayed; "
            "do the work in an activity and await ctx.call_activity(...)"
        )
    return RuntimeError(f"yield was used instead of yield from with {yielded!r}")


_ALTERNATIVES = {
    "call_soon_threadsafe": "raise an external event from outside instead",
    "run_in_executor": "put the blocking work into an activity",
    "run_until_complete": "await it",
    "run_forever": "await what you need",
    "set_default_executor": "put the blocking work into an activity",
    "set_debug": "configure the host instead",
    "set_task_factory": "create tasks with asyncio.create_task",
    "add_signal_handler": "handle signals in the host",
    "remove_signal_handler": "handle signals in the host",
    "stop": "return from the orchestrator",
    "close": "return from the orchestrator",
}
_NETWORK = (
    "add_reader", "remove_reader", "add_writer", "remove_writer", "sock_recv", "sock_recv_into",
    "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto", "sock_connect",
    "sock_accept", "sock_sendfile", "getaddrinfo", "getnameinfo", "create_connection",
    "create_server", "sendfile", "start_tls", "create_unix_connection", "create_unix_server",
    "connect_accepted_socket", "create_datagram_endpoint", "connect_read_pipe",
    "connect_write_pipe", "subprocess_shell", "subprocess_exec",
)  # fmt: skip


def _refuse(name: str, alternative: str) -> Callable[..., NoReturn]:
    def refused(self: SessionLoop, *_args: object, **_kwargs: object) -> NoReturn:
        raise GuardError(
            f"loop.{name}() is not available inside an orchestrator, because it cannot be "
            f"replayed; {alternative}"
        )

    refused.__name__ = name
    return refused


for _name, _alternative in _ALTERNATIVES.items():
    setattr(SessionLoop, _name, _refuse(_name, _alternative))
for _name in _NETWORK:
    setattr(SessionLoop, _name, _refuse(_name, "do it in an activity and await ctx.call_activity"))
SessionLoop.__abstractmethods__ = frozenset()
