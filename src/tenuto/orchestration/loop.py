"""The deterministic event loop: asyncio without a selector, a clock or addresses.

One loop per session. It owns the ready queue and the tasks; the session owns the durable timers
behind ``call_at``. Must never look at real time, threads or the memory address of an object, and
runs user code only while its session takes a turn. Keeps the promise ``replay_is_pure``.
"""

import asyncio
import gc
import inspect
import random
import sys
from asyncio import events as asyncio_events
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from math import inf
from types import CoroutineType, MethodType
from typing import Any, Final, NoReturn, Protocol, TypeVar, TypeVarTuple
from weakref import WeakSet

from tenuto.model.errors import GuardError, SessionDiscarded
from tenuto.model.execution import ExecutionInfo
from tenuto.model.interrupts import is_from_keyboard
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.orchestration.breaking import Breaker
from tenuto.orchestration.futures import SessionFuture, SessionTask
from tenuto.orchestration.generator_hooks import forget, watch_generators

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_END_ATTEMPTS: Final = 5
_REFUSALS: Final = 100
"""Errors that one attempt to end a coroutine meets, before calls do nothing instead."""
_SPINS: Final = 10_000
"""As many again, and the code is in a loop that no call of ours will end."""
_ENDED_KEPT: Final = 64
"""Generators that have ended, before they are looked for."""

# Documented for event loops, private to others.
running_loop: Final = asyncio_events._get_running_loop  # noqa: SLF001
_set_running_loop: Final = asyncio_events._set_running_loop  # noqa: SLF001


class LoopTimer(Protocol):
    """What ``call_at`` returns: something to cancel."""

    def cancel(self) -> None:
        """Take the timer back."""

    def cancelled(self) -> bool:
        """Whether it was taken back."""

    def when(self) -> float:
        """Loop time it is set for."""


class LoopOwner(Protocol):
    """What a loop needs of its session, and what others learn of it through the loop."""

    @property
    def info(self) -> ExecutionInfo:
        """Whose session it is."""

    @property
    def replaying(self) -> bool:
        """Whether it does what was done before."""

    def set_loop_timer(self, when: Microseconds, callback: "Callback") -> LoopTimer:
        """Make the callback ready when the orchestrator's clock shows ``when``, in microseconds."""

    def report(self, context: dict[str, Any]) -> None:
        """Log an error that nobody can catch any more."""

    def fail(self, error: BaseException) -> None:
        """End the orchestration with an error of a callback, which nobody could catch."""

    def spins(self, functions: Sequence[Callable[..., object]]) -> None:
        """End the orchestration, because these callbacks follow too many others."""


class Callback:
    """A call in the ready queue; stands in for ``asyncio.Handle``."""

    __slots__ = ("args", "context", "function", "is_cancelled")

    def __init__(
        self, function: Callable[..., object], args: tuple[Any, ...], context: Context
    ) -> None:
        self.function: Callable[..., object] = function
        self.args: tuple[Any, ...] = args
        self.context: Context = context
        self.is_cancelled: bool = False

    def cancel(self) -> None:
        """Do not make the call."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether the call was taken back."""
        return self.is_cancelled


class Never(Callback):
    """A timer that never rings; stands in for ``asyncio.TimerHandle``."""

    __slots__ = ()

    def __init__(self, entry: Callback) -> None:
        super().__init__(entry.function, entry.args, entry.context)

    def when(self) -> float:
        """Never."""
        return inf


class SessionLoop(asyncio.AbstractEventLoop):
    """An event loop that runs only when it is told to, and only what its session decided.

    Attributes:
        now: The orchestrator's clock, in microseconds since 1970.
        origin: What it showed at loop time zero.
        is_open: Whether a turn goes on: only then user code may use the loop.
        dead: Whether user code may do nothing more: the orchestrator has ended or was discarded.
        tasks: The unfinished tasks by number, in the order in which they were made.
        root: The orchestrator's own task; the loop ends with it.
        numbers: The last number given to a future or task.
        context: The context variables of the session.
    """

    is_tenuto_session = True
    violation: GuardError | None = None
    """The first thing that the guard refused here; it ends the orchestration."""
    chance: random.Random | None = None
    """For libraries that number what they do (``guard_libraries``)."""

    def __init__(self, owner: LoopOwner) -> None:
        self.now: Microseconds = 0
        self.is_open: bool = False
        self.dead: bool = False
        self.tasks: dict[int, SessionTask[Any]] = {}
        self.root: SessionTask[Any] | None = None
        self.numbers = 0
        self.context: Context = Context()
        self._owner: LoopOwner | None = owner
        self._ready: deque[Callback] = deque()
        self._rounds = range(owner.info.limits.callbacks_per_event)
        self.origin: Microseconds | None = None
        self._generators: WeakSet[AsyncGenerator[Any, Any]] | None = None
        self._adopted: set[int] | None = None
        self._abandoned: list[AsyncGenerator[Any, Any]] = []
        self._refusals = 0
        self._breaker: Breaker | None = None

    @property
    def owner(self) -> LoopOwner | None:
        """The session; None once it is closed."""
        return self._owner

    # --- driven by the session ---------------------------------------------------------------

    def run(self, context: Context, work: Callable[[T], None], on: T) -> None:
        """Do some work as the running loop of this thread, and restore the one before.

        While it lasts the loop is open to user code, unless it is dead (ENGINE rule 5), and the
        garbage collector waits: a stranger's ``finally`` or ``__del__`` would find this loop
        running and decide things here, in this run and in no replay (rule 40).
        """
        outer = running_loop()
        collecting = gc.isenabled()  # not while an engine takes many turns after each other
        watch_generators()
        try:
            if collecting:
                gc.disable()
            _set_running_loop(self)
            self.is_open = not self.dead
            context.run(work, on)
        finally:
            if self._breaker is not None:  # pragma: no cover - as there
                self._stop_breaking()
            self.is_open = False
            _set_running_loop(outer)
            if collecting:
                gc.enable()

    def run_ready(self) -> None:
        """Run what is ready, and what that makes ready, until nothing is. Only inside ``run``.

        Not for ever: code that waits for nothing in a loop would take the host.
        """
        ready = self._ready
        own_context = self.context  # entered already
        for _ in self._rounds:
            if not ready:
                return
            callback = ready.popleft()
            if callback.is_cancelled:
                continue
            try:
                if callback.context is own_context:
                    callback.function(*callback.args)
                else:
                    callback.context.run(callback.function, *callback.args)
            except SessionDiscarded:
                raise
            except BaseException as error:
                # asyncio logs it and goes on; but whoever waits for what the callback should have
                # done would wait for ever, so it ends the turn (ENGINE rule 40).
                if self._owner is None or is_from_keyboard(error):
                    raise
                self._owner.fail(error)
        if ready:
            assert self._owner is not None, "it runs"
            self._owner.spins([one.function for one in ready])

    def end(self) -> None:
        """From here on no user code runs, and none can have an effect (ENGINE rules 5 and 11)."""
        self.dead = True
        self.is_open = False
        self._ready.clear()

    def task_ended(self, task: SessionTask[Any]) -> None:
        """A task is done; with the orchestrator's own everything is."""
        del self.tasks[task.number]
        if task is self.root:
            self.end()

    def discard(self) -> list[object]:
        """Mark dead and end every coroutine inside this loop (ENGINE rule 5).

        Returns the coroutines that refused to end; the caller keeps and reports them.
        """
        self.end()
        refused: list[object] = []
        if self.tasks or self._generators or self._abandoned:
            self.run(Context(), self._end_all, refused)  # each task has its own context
        self.tasks.clear()
        self.root = None
        self._owner = None
        if self._adopted:
            self._forget_ended(self._adopted)
        return refused

    def _end_all(self, refused: list[object]) -> None:
        tasks = reversed(list(self.tasks.values()))
        refused += [one.coroutine for one in tasks if not self._end_task(one)]
        generators = [*(self._generators or ()), *self._abandoned]
        refused += [one for one in generators if not self._end_generator(one)]
        self._abandoned.clear()

    def _end_task(self, task: SessionTask[Any]) -> bool:
        for _ in range(_END_ATTEMPTS):
            self._refusals = 0
            has_ended = task.end_coroutine()
            self._stop_breaking()
            if has_ended:
                return True
        return False

    def _end_generator(self, generator: object) -> bool:
        self._refusals = 0
        has_ended = self.context.run(_end_generator, generator)
        self._stop_breaking()
        return has_ended

    def _stop_breaking(self) -> None:
        if self._breaker is not None:  # pragma: no cover - it keeps what measures switched off
            self._breaker.stop()
            self._breaker = None

    def refuse(self) -> None:
        """A call of user code in a dead session: an error, but not for ever (ENGINE rules 5, 40).

        A loop that catches everything and tries again would spin here and take the host along.
        After some refusals this returns: the call then does nothing, and what it gives never ends.
        So the code goes on to its next await, is seen to refuse its end there, and is parked.
        A loop without one is broken.
        """
        self._refusals += 1
        if self._refusals <= _REFUSALS or running_loop() is not self:
            raise SessionDiscarded
        if self._refusals > _SPINS and self._breaker is None:
            self._breaker = Breaker(sys._getframe(1))  # noqa: SLF001 - the code that spins

    # --- async generators -----------------------------------------------------------------------

    def adopt(self, generator: AsyncGenerator[Any, Any]) -> None:
        """An async generator makes its first step here."""
        if self._generators is None or self._adopted is None:
            self._generators, self._adopted = WeakSet(), set()
        self._generators.add(generator)
        self._adopted.add(id(generator))
        if len(self._adopted) > _ENDED_KEPT + 2 * len(self._generators):
            self._forget_ended(self._adopted)

    def _forget_ended(self, adopted: set[int]) -> None:
        self._adopted = {id(generator) for generator in self._generators or ()}
        forget(self, adopted - self._adopted)

    def finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        """An async generator was dropped before its end.

        As in asyncio a task of its own loop runs its ``finally``, but only when the same happens in
        every replay: when its last reference went away in a turn. The cyclic collector comes at any
        time; then the generator is kept and ended on discard, when it can decide nothing. (CPython
        marks an object as finalized before the collector's finalizer, after any other.)
        """
        if self._owner is None:
            return
        self._abandoned.append(generator)
        if self.is_open and not gc.is_finalized(generator):
            self.call_soon(self._close_generator, generator)

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._abandoned.remove(generator)
        _closing = self.create_task(generator.aclose())

    # --- the part of asyncio's interface that makes sense here ---------------------------------

    def get_debug(self) -> bool:
        """Never: asyncio's debug mode measures real time."""
        return False

    def is_running(self) -> bool:
        """Whether this loop is the running one of the thread."""
        return running_loop() is self

    def is_closed(self) -> bool:
        """Whether the orchestrator has ended or was discarded."""
        return self.dead

    def time(self) -> float:
        """Seconds since the execution began, by the orchestrator's clock."""
        return (self.now - (self.origin or 0)) / MICROSECONDS

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Any:  # noqa: ANN401 - a Callback stands in for asyncio.Handle
        """Put a call at the end of the ready queue."""
        entry = Callback(callback, args, copy_context() if context is None else context)
        if not self.is_open:
            self._refuse_closed()
            return entry
        if type(callback) is not MethodType:
            _refuse_stock_task(callback)
        self._ready.append(entry)
        return entry

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:  # noqa: ANN401 - a LoopTimer stands in for asyncio.TimerHandle
        """Call after a durable timer of ``delay`` seconds; at once when it is not positive."""
        entry = Callback(callback, args, copy_context() if context is None else context)
        if delay == inf:  # as anyio.sleep_forever() does: there is nothing to set
            return Never(entry)
        return self._call_when(self.now + _microseconds(delay), entry)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Any:  # noqa: ANN401 - the same
        """Call when the durable clock shows ``when`` (loop time, seconds)."""
        entry = Callback(callback, args, copy_context() if context is None else context)
        return self._call_when((self.origin or 0) + _microseconds(when), entry)

    def _call_when(self, when: Microseconds, entry: Callback) -> object:
        if not self.is_open or self._owner is None:
            self._refuse_closed()
            return entry
        if when <= self.now:
            self._ready.append(entry)
            return entry
        return self._owner.set_loop_timer(when, entry)

    def make_ready(self, entry: Callback) -> None:
        """Queue a timer's call; the session does so at its TimerFired event."""
        self._ready.append(entry)

    def create_future(self) -> SessionFuture[Any]:
        """A future of this session."""
        return SessionFuture(self)

    def create_task(  # type: ignore[override]  # takes futures too, see ENGINE rule 4
        self,
        coro: Awaitable[T],
        *,
        name: str | None = None,
        context: Context | None = None,
        eager_start: bool | None = None,
    ) -> SessionTask[T]:
        """Run a coroutine beside the others; a durable task is wrapped."""
        if not self.is_open:
            drop(coro)
            self._refuse_closed()
        if eager_start:
            drop(coro)
            raise GuardError(
                "create_task(eager_start=True) is not available inside an orchestrator, because "
                "not every Python has it; leave it out"
            )
        if type(coro) is not CoroutineType and not isinstance(coro, Coroutine):
            if not inspect.isawaitable(coro):
                raise TypeError(f"a coroutine was expected, got {coro!r}")
            coro = _wait(coro)
        return SessionTask(coro, self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error that nobody can catch any more."""
        if self._owner is not None:
            self._owner.report(context)

    default_exception_handler = call_exception_handler

    def get_exception_handler(self) -> None:
        """None: errors go to the session's logger."""

    def get_task_factory(self) -> None:
        """None: tasks are always the session's."""

    def _refuse_closed(self) -> None:
        if self.dead:
            self.refuse()
            return
        raise GuardError(
            "something of an orchestration was used while it was not running: by a thread, a "
            "callback of another loop, or a lock or queue that several orchestrations share. Send "
            "it an event instead"
        )


def drop(awaitable: object) -> None:
    """Close a coroutine that is refused, so that Python does not warn that nobody awaited it."""
    if isinstance(awaitable, Coroutine):
        awaitable.close()


async def _wait(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _refuse_stock_task(callback: object) -> None:
    """Tasks made with ``asyncio.Task(...)`` hash by address and cannot be closed on discard."""
    if type(callback).__name__ == "TaskStepMethWrapper":
        drop(callback.__self__.get_coro())  # type: ignore[attr-defined]  # a private class
        raise GuardError(
            "asyncio.Task(...) is not available inside an orchestrator, because it cannot be "
            "replayed; use asyncio.create_task(...)"
        )


def _end_generator(generator: Any) -> bool:  # noqa: ANN401 - an async generator of the native kind
    """As with coroutines; an ``aclose()`` that is refused could not even be repeated."""
    for _ in range(_END_ATTEMPTS):
        throwing = generator.athrow(SessionDiscarded())
        with suppress(BaseException):  # whatever user code raises while it is thrown away
            throwing.send(None)
            for _ in range(_END_ATTEMPTS):  # it waits for something
                throwing.throw(SessionDiscarded())
        if generator.ag_frame is None:
            return True
    return False


def _microseconds(seconds: float) -> Microseconds:
    try:
        return round(seconds * MICROSECONDS)
    except (OverflowError, ValueError):
        raise GuardError(
            f"a delay of {seconds!r} seconds cannot be a durable timer; use a finite number"
        ) from None


# --- refused by name (ENGINE rule 7) ------------------------------------------------------------

_ALTERNATIVES: Final = {
    "call_soon_threadsafe": "raise an external event from outside instead",
    "run_in_executor": "put the blocking work into an activity",
    "run_until_complete": "await it",
    "run_forever": "await what you need",
    "set_default_executor": "put the blocking work into an activity",
    "set_debug": "configure the host instead",
    "set_task_factory": "create tasks with asyncio.create_task",
    "set_exception_handler": "errors that nobody catches are logged",
    "add_signal_handler": "handle signals in the host",
    "remove_signal_handler": "handle signals in the host",
    "shutdown_asyncgens": "it happens when the orchestrator ends",
    "shutdown_default_executor": "there is none",
    "stop": "return from the orchestrator",
    "close": "return from the orchestrator",
}
_NETWORK: Final = (
    "add_reader", "remove_reader", "add_writer", "remove_writer", "sock_recv", "sock_recv_into",
    "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto", "sock_connect",
    "sock_accept", "sock_sendfile", "getaddrinfo", "getnameinfo", "create_connection",
    "create_server", "sendfile", "start_tls", "create_unix_connection", "create_unix_server",
    "connect_accepted_socket", "create_datagram_endpoint", "connect_read_pipe",
    "connect_write_pipe", "subprocess_shell", "subprocess_exec",
)  # fmt: skip


def refusal(name: str, alternative: str) -> GuardError:
    """The error for something of asyncio that an orchestrator cannot have."""
    return GuardError(
        f"{name} is not available inside an orchestrator, because it cannot be replayed; "
        f"{alternative}"
    )


def _refuse(name: str, alternative: str) -> Callable[..., NoReturn]:
    def refused(_loop: SessionLoop, *args: object, **_named: object) -> NoReturn:
        for argument in args:
            drop(argument)
        raise refusal(f"loop.{name}()", alternative)

    refused.__name__ = name
    return refused


for _name, _alternative in _ALTERNATIVES.items():
    setattr(SessionLoop, _name, _refuse(_name, _alternative))
for _name in _NETWORK:
    setattr(SessionLoop, _name, _refuse(_name, "do it in an activity and await ctx.call_activity"))
