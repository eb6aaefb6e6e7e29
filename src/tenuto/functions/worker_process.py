"""The program of a worker process: runs activities with ``cpu_bound=True``, one at a time.

It starts fresh (no fork), imports functions by module and name, and ends when its host is gone,
also in the middle of a computation. A copy of it that an activity makes (``os.fork``,
multiprocessing) has no line to the host, and ends where the function returns. A signal that goes to
the whole service does not end it: the host decides when its workers go. Standard output and
standard error are the host's.
"""

import logging
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from time import process_time
from typing import Final, NoReturn

from msgspec.structs import replace

from tenuto.engine.ports import ActivityWork, TimerHandle
from tenuto.functions.attempt import Attempt, Lane
from tenuto.functions.locating import Place, import_from
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.user_calls import flush_output
from tenuto.functions.worker_logs import HostHandler
from tenuto.functions.worker_messages import (
    Began,
    Cancel,
    Channel,
    Ended,
    Run,
    Setup,
    ToHost,
    ToWorker,
)
from tenuto.model.events import TaskCompleted, TaskFailed
from tenuto.model.failure import failure_of
from tenuto.model.module_names import NAMES
from tenuto.model.timing import Microseconds
from tenuto.orchestration.references import ActivityFunction, AnyActivity

if sys.platform != "win32":
    from tenuto.functions.lifeline import end_with

_PATIENCE_SECONDS: Final = 5.0
"""How long an idle worker without a host may take to end: threads of users may hold it up."""


class Worker:
    """Takes work from the host, one attempt after the other.

    Args:
        end: This end of the line to the host.
    """

    def __init__(self, end: socket.socket) -> None:
        self._channel: Channel[ToWorker] = Channel(end, ToWorker)  # type: ignore[arg-type]  # a union
        self._queue: queue.SimpleQueue[Setup | Run | None] = queue.SimpleQueue()
        self._references: dict[Place, AnyActivity] = {}
        self._work: ActivityWork | None = None
        self._attempt: Attempt | None = None
        self._number = 0
        self._canceled = 0
        self._older: set[threading.Thread] = set()
        self._process = os.getpid()
        self._handler = HostHandler(self._send, self._facts)
        if sys.platform != "win32":
            # Commands that are started here have no use for it.
            os.set_inheritable(end.fileno(), False)
            os.register_at_fork(after_in_child=self._leave)

    def serve(self) -> None:
        """Work until the host is gone."""
        threading.Thread(target=self._listen, name="tenuto-worker", daemon=True).start()
        while (message := self._queue.get()) is not None:
            if isinstance(message, Setup):
                self._set_up(message)
            else:
                self._run(message)

    # --- in copies of this process ----------------------------------------------------------------

    def _leave(self) -> None:
        """Right after a fork: what the copy says is not for the host."""
        self._channel.leave()
        logging.getLogger().removeHandler(self._handler)

    def _send(self, message: ToHost) -> None:
        # A fork that Python was not told of, as a library in C makes it, is a copy all the same.
        if os.getpid() != self._process:
            raise BrokenPipeError("this is a copy of the worker process")
        self._channel.send(message)

    # --- in a thread of its own -------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            self._take_in()
        except BaseException:  # noqa: BLE001 - a line that cannot be read is a host that is gone
            _show_error()
            os._exit(1)

    def _take_in(self) -> None:
        while (message := self._channel.receive()) is not None:
            if isinstance(message, Cancel):
                self._cancel(message.number)
            else:
                self._queue.put(message)
        if self._work is not None:
            os._exit(1)  # nobody wants the result any more
        self._queue.put(None)
        threading.Event().wait(_PATIENCE_SECONDS)
        os._exit(1)

    def _cancel(self, number: int) -> None:
        # The attempt may be about to begin: that looks at the two in the other order.
        self._canceled = number
        attempt = self._attempt
        if attempt is not None and self._number == number:
            attempt.request_cancel()

    # --- in the main thread -----------------------------------------------------------------------

    def _set_up(self, message: Setup) -> None:
        sys.argv[:] = message.argv
        NAMES.update(message.module_names)
        root = logging.getLogger()
        root.addHandler(self._handler)
        for name, level in message.log_levels.items():
            logging.getLogger(name or None).setLevel(level)
        logging.disable(message.log_disabled)

    def _facts(self) -> tuple[int, dict[str, object]]:
        """The number of the attempt that runs, and what each of its log records carries."""
        work = self._work
        # A thread from before this attempt speaks for itself.
        if work is None or threading.current_thread() in self._older:
            return 0, {}
        facts = {"instance_id": work.instance_id, "activity": work.name, "attempt": work.attempt}
        return self._number, facts

    def _run(self, message: Run) -> None:
        self._older = {*threading.enumerate()} - {threading.current_thread()}
        self._number, self._work = message.number, message.work
        began = process_time()
        event = self._outcome(message)
        flush_output()  # before the host tells of the result
        if os.getpid() != self._process:
            os._exit(0 if isinstance(event, TaskCompleted) else 1)  # its original answers
        self._attempt = None
        self._work = None
        self._send(Ended(message.number, event, process_time() - began))

    def _outcome(self, message: Run) -> TaskCompleted | TaskFailed:
        work = message.work
        try:
            reference = self._reference(message.place)
        except BaseException as error:  # noqa: BLE001 - a module of users may raise anything
            failure = replace(failure_of(error), is_non_retriable=True)
            return TaskFailed(work.task_id, failure)
        attempt = Attempt(Lane(reference, _NoClock(), message.payload_bytes), work)
        self._attempt = attempt
        if self._canceled == message.number:
            attempt.request_cancel()
        self._send(Began(message.number))
        attempt.run()
        assert attempt.event is not None
        return attempt.event

    def _reference(self, place: Place) -> AnyActivity:
        known = self._references.get(place)
        if known is None:
            found = import_from(place)
            if not isinstance(found, ActivityFunction):
                # Registered without a decorator; another process does not know under which name.
                found = FunctionRegistry().activity(found)  # type: ignore[call-overload]
            known = self._references[place] = found
        return known


class _NoClock:
    """Time is measured by the host."""

    def now(self) -> Microseconds:
        return 0

    def monotonic(self) -> Microseconds:
        return 0

    def call_at(self, when: Microseconds, callback: Callable[[], None]) -> TimerHandle:
        raise NotImplementedError

    def call_later(self, delay: Microseconds, callback: Callable[[], None]) -> TimerHandle:
        raise NotImplementedError


def _show_error() -> None:
    with suppress(BaseException):  # the stream may be closed, or one of users
        traceback.print_exc()


def _no_breakpoint(*_args: object, **_options: object) -> NoReturn:
    raise RuntimeError(
        "breakpoint() in a worker process, which has no terminal; "
        "leave cpu_bound=True out while you debug this activity"
    )


def _stay(_number: int, _frame: object) -> None:
    """A signal to the whole service; unlike one that is ignored, processes started here get it."""


def main(end: socket.socket | int, line: int | None = None) -> None:
    """Be a worker process.

    Args:
        end: Its end of the line to the host, or the descriptor of that.
        line: The descriptor of its lifeline; None where there can be none.
    """
    if line is not None and sys.platform != "win32":
        end_with(line)
    signal.signal(signal.SIGTERM, _stay)
    # Where the host was started with interrupts ignored, they stay so in what is started here.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stay)
    if sys.breakpointhook is sys.__breakpointhook__ and "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = _no_breakpoint
    worker = Worker(socket.socket(fileno=end) if isinstance(end, int) else end)
    try:
        worker.serve()
    except BaseException:  # noqa: BLE001 - it cannot answer any more; threads must not keep it
        _show_error()
        flush_output()
        os._exit(1)
