"""Worker processes for activities that compute: ``@app.activity(cpu_bound=True)``.

Each thread of a small pool drives one attempt at a time in a process that it takes from the idle
ones or starts. A process that dies is a failed attempt, never a dead host; one whose attempt has
run into its timeout is killed, and its own children with it. Processes end when they have been
idle for a while, and by themselves when the host is gone. Knows nothing of limits and retries.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from time import monotonic  # how long a process has been idle, which decides nothing else
from typing import Final

import msgspec

from tenuto.functions.attempt import Attempt
from tenuto.functions.threads import Pace, WorkerThreads, processors
from tenuto.functions.worker_logs import log_settings, relay
from tenuto.functions.worker_messages import (
    Began,
    Cancel,
    Channel,
    Ended,
    Log,
    Run,
    Setup,
    ToHost,
)
from tenuto.model.errors import WorkerCrashedError
from tenuto.model.module_names import NAMES
from tenuto.model.timing import MICROSECONDS

if sys.platform != "win32":
    from tenuto.functions.lifeline import Lifeline

_LOGGER = logging.getLogger(__name__)

_IDLE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0
"""How often a busy process is looked at: children of it may keep its end of the line open."""

_PATIENCE_SECONDS: Final = 5.0


class WorkerProcesses:
    """A pool of worker processes, started on demand.

    Args:
        loop: The host's loop; ``submit``, ``cancel``, ``kill`` and ``on_done`` run on it.
        on_done: Gets attempts that are over, many at a time.
        max_processes: Most processes; None for one per processor.
        least_processes: As many stay once they were needed, also without work.
        idle_seconds: How long a process without work stays otherwise.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[list[Attempt]], None],
        *,
        max_processes: int | None = None,
        least_processes: int = 0,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._loop = loop
        self._on_done = on_done
        self._least = least_processes
        self._idle_seconds = idle_seconds
        self._threads: WorkerThreads[_Job] = WorkerThreads(
            loop, self._on_jobs_done, max_threads=max_processes or processors()
        )
        self._lock = threading.Lock()
        self._idle: list[_Process] = []
        self._busy: dict[Attempt, _Process] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    # --- on the loop ------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Processes that exist now."""
        return len(self._idle) + len(self._busy)

    @property
    def queued(self) -> list[Attempt]:
        """Attempts that wait for a process, the next one first."""
        return [job.attempt for job in self._threads.queued]

    def submit(self, attempts: Iterable[Attempt]) -> None:
        """Queue attempts, in order."""
        self._threads.submit([_Job(one, self._perform) for one in attempts])

    def cancel(self, attempt: Attempt) -> None:
        """Tell the process that runs it, if one does, that nobody waits for it."""
        if (process := self._busy.get(attempt)) is not None:
            process.cancel(attempt)

    def kill(self, attempt: Attempt) -> None:
        """End the process that runs it."""
        if (process := self._busy.get(attempt)) is not None:
            process.kill(attempt)

    async def stop(self) -> None:
        """End all processes: idle ones in peace, the others at once."""
        self._threads.stop()
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy.values())
        if self._sweep is not None:
            self._sweep.cancel()
        if idle or busy:
            await self._loop.run_in_executor(None, _end_all, idle, busy)

    def _on_jobs_done(self, jobs: list["_Job"]) -> None:
        if self._sweep is None and self._idle:
            self._sweep = self._loop.call_later(self._idle_seconds, self._end_idle)
        self._on_done([job.attempt for job in jobs])

    def _end_idle(self) -> None:
        """End what has been idle for long enough; come again while others are left."""
        self._sweep = None
        long_ago = monotonic() - self._idle_seconds
        with self._lock:
            spare = max(0, self.count - self._least)
            # Those that have been idle for longest stand first.
            leaving = [one for one in self._idle if one.idle_since <= long_ago][:spare]
            self._idle = [one for one in self._idle if one not in leaving]
            going = self._idle if self.count > self._least else []
            oldest = min((one.idle_since for one in going), default=None)
        if leaving:
            # Waiting for them would hold up the loop.
            threading.Thread(target=_end_all, args=(leaving, []), daemon=True).start()
        if oldest is not None:
            self._sweep = self._loop.call_later(max(oldest - long_ago, 0), self._end_idle)

    # --- in the threads ---------------------------------------------------------------------------

    def _perform(self, attempt: Attempt) -> None:
        """Run an attempt in a process. Never raises."""
        if not attempt.decide():
            return
        try:
            while attempt.event is None and not attempt.is_answered:
                process = self._take(attempt)
                if process is None:
                    return
                was_used = process.is_used
                exit_words = process.run(attempt)
                self._give_back(attempt, process)
                # One that has died while it was idle has harmed nobody: another takes its place.
                is_idle_death = was_used and attempt.begun_at is None
                if exit_words and not is_idle_death:
                    attempt.fail(WorkerCrashedError(repr(attempt), exit_words))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread must not end
            if (process := self._busy.pop(attempt, None)) is not None:
                process.kill_now()
                process.end()
            attempt.fail(error)

    def _take(self, attempt: Attempt) -> "_Process | None":
        """A process of one's own; None when there is none to be had."""
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.is_alive:
                    self._busy[attempt] = process
                    return process
                process.end()
        try:
            process = _Process()
        except OSError as error:
            words = f"no worker process can be started ({error})"
            attempt.fail(WorkerCrashedError(repr(attempt), words))
            return None
        with self._lock:
            if not self._is_closed:
                self._busy[attempt] = process
                return process
        process.end()
        return None

    def _give_back(self, attempt: Attempt, process: "_Process") -> None:
        with self._lock:
            del self._busy[attempt]
            if process.is_gone:
                return
            if not self._is_closed:
                process.idle_since = monotonic()
                self._idle.append(process)
                return
        process.end()


class _Job:
    """An attempt for the threads."""

    __slots__ = ("_perform", "attempt", "processor_seconds", "seconds")

    def __init__(self, attempt: Attempt, perform: Callable[[Attempt], None]) -> None:
        self.attempt = attempt
        # Of the thread that waits; what the process has used it says itself.
        self.seconds: float | None = None
        self.processor_seconds = 0.0
        self._perform = perform

    @property
    def pace(self) -> Pace:
        return self.attempt.pace

    def run(self) -> None:
        self._perform(self.attempt)


class _Process:
    """One worker process. Starts at once; only ``cancel`` and ``kill`` may come from elsewhere.

    Attributes:
        is_used: Whether it has run an attempt before.
        is_gone: Whether it has ended, or is about to.
        idle_since: By the system's monotonic clock.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._lifeline = None if sys.platform == "win32" else Lifeline()
        with theirs:
            try:
                self._process = _spawn(theirs, self._lifeline)
            except BaseException:
                ours.close()
                self._let_go()
                raise
        ours.settimeout(_LOOK_SECONDS)
        self._channel: Channel[ToHost] = Channel(ours, ToHost, self._look)  # type: ignore[arg-type]  # a union
        self._lock = threading.Lock()
        self._running: Attempt | None = None
        self._numbers = itertools.count(1)
        self._number = 0
        self._is_out_of_step = False
        self.is_used = False
        self.is_gone = False
        self.idle_since = 0.0
        with contextlib.suppress(OSError):  # it is gone, which ``run`` will find
            self._channel.send(Setup(sys.argv, *log_settings(), NAMES))

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def run(self, attempt: Attempt) -> str | None:
        """Run an attempt to its end; how the process ended if that came first, in words."""
        self.is_used = True
        self._number = next(self._numbers)
        lane = attempt.lane
        assert lane.place is not None
        try:
            self._channel.send(Run(self._number, lane.place, attempt.work, lane.payload_bytes))
            with self._lock:
                self._running = attempt
            # Cancelling may have come between: it looks at the two in the other order.
            if attempt.is_cancel_requested:
                self.cancel(attempt)
            is_ended = self._follow(attempt)
        except OSError:
            is_ended = False
        except msgspec.DecodeError as error:
            _LOGGER.warning("%r: its worker process said what is no message: %s", attempt, error)
            is_ended = False
            self.kill_now()
        with self._lock:
            self._running = None
            if is_ended and not self.is_gone and not self._is_out_of_step:
                return None
            self.is_gone = True
        if self._is_out_of_step:
            self.kill_now()  # with its copies
        exit_words = self.end()
        return None if is_ended else exit_words

    def _follow(self, attempt: Attempt) -> bool:
        """Take in what the process says; False when it is gone before it says how it went."""
        while (message := self._channel.receive()) is not None:
            match message:
                case Log():
                    relay(message, self._process.pid)
                case Began(number) | Ended(number) if number != self._number:
                    # It, or a copy of it, speaks about another attempt. Who is once out of step is
                    # not trusted with a further one.
                    self._is_out_of_step = True
                case Began():
                    attempt.begun_at = attempt.lane.clock.now()
                case Ended(_, event, processor_seconds):
                    attempt.event = event
                    if attempt.begun_at is not None:
                        took = attempt.lane.clock.now() - attempt.begun_at
                        attempt.seconds = max(0, took) / MICROSECONDS
                    attempt.processor_seconds = processor_seconds
                    return True
        return False

    def cancel(self, attempt: Attempt) -> None:
        """Turn the attempt's token on, if it runs here."""
        with self._lock:
            if self._running is attempt:
                with contextlib.suppress(OSError):  # gone: there is nothing to cancel
                    self._channel.send(Cancel(self._number))

    def kill(self, attempt: Attempt) -> None:
        """End the process, if the attempt still runs here."""
        with self._lock:
            if self._running is attempt:
                self.is_gone = True
                self.kill_now()

    def kill_now(self) -> None:
        """End it whatever it does; whoever runs an attempt here finds it gone."""
        if sys.platform == "win32":
            self._process.kill()
        elif self._process.poll() is None:
            # It leads a session: what it has started itself goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        code = self._process.wait()
        self._let_go()
        return code

    def hang_up(self) -> None:
        """Let it end."""
        self._channel.close()

    def end(self, patience_seconds: float | None = None) -> str:
        """Let it end, wait for that, and say how it did."""
        self.hang_up()
        try:
            code = self._process.wait(
                _PATIENCE_SECONDS if patience_seconds is None else patience_seconds
            )
        except subprocess.TimeoutExpired:
            self.kill_now()
            code = self.wait()
        self._let_go()
        return _exit_words(self._process.pid, code)

    def _let_go(self) -> None:
        if self._lifeline is not None:
            self._lifeline.close()

    def _look(self) -> None:
        if not self.is_alive:
            raise ConnectionResetError("the worker process has ended")


def _end_all(idle: list[_Process], busy: list[_Process]) -> None:
    for process in busy:
        process.kill_now()
    for process in idle:
        process.hang_up()  # all of them, before one is waited for
    for process in busy:
        process.wait()  # its line is closed by the thread that listens
    last = monotonic() + _PATIENCE_SECONDS
    for process in idle:
        process.end(last - monotonic())


# --- starting ----------------------------------------------------------------------------------


def _spawn(end: socket.socket, line: "Lifeline | None") -> "subprocess.Popen[bytes]":
    """Start a Python with the same flags and the same places to import from.

    It gets no signals from the terminal, and nothing to read: both belong to the host.
    """
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does
    if sys.platform == "win32":
        given = "socket.fromshare(sys.stdin.buffer.read())"
    else:
        assert line is not None, "where there is no Windows there is one"
        given = f"{end.fileno()}, {line.theirs}"
    given_places: list[object] = [*sys.path]
    places = [one for one in given_places if isinstance(one, str)]  # import ignores others
    program = (
        f"import socket, sys; sys.path[:] = {places!r}; "
        f"from tenuto.functions.worker_process import main; main({given})"
    )
    command = [sys.executable, *flags, "-c", program]
    if sys.platform == "win32":
        process = subprocess.Popen(  # noqa: S603 - this very Python
            command,
            stdin=subprocess.PIPE,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(end.share(process.pid))
        return process
    return subprocess.Popen(  # noqa: S603 - this very Python
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[end.fileno(), line.theirs],
    )


def _exit_words(pid: int, code: int) -> str:
    if code >= 0:
        return f"its worker process {pid} ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as when memory is short" if name == "SIGKILL" else ""
    return f"its worker process {pid} was ended by {name}{hint}"
