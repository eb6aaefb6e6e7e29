"""The deadline of a process that was asked to stop: it is kept, whatever user code does.

A host that stops waits for running work no longer than ``drain_seconds``, and for its own business
a little longer. But what it does, it does on its loop, and the loop may be blocked, by user code
that sleeps in an async activity for example. A thread that needs no loop looks at the time; when
that is over it names what is left and ends the process. To the store that is a host that died.

That thread needs Python's lock. C code that takes it after the signal and does not give it back is
ended by a timer of Python's fault handler, which runs without it.

Both need memory for a thread. Where there is none, the system's own alarm clock ends the process,
which needs none; and the host is asked to stop whatever becomes of its deadline.
"""

import asyncio
import faulthandler
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from tenuto.functions.child_processes import child_processes, children_left
from tenuto.functions.user_calls import flush_output
from tenuto.functions.whereabouts import work_left
from tenuto.host.loop_watch import incident_at

_LOGGER: Final = logging.getLogger("tenuto.host")

_ASK_SECONDS: Final = 0.25
"""How often the loop is asked for a sign of life."""

_BLOCKED_SECONDS: Final = 2.0
"""How long it may give none, at a time when it should have come to an end."""

_LONGEST_SECONDS: Final = 10.0
"""How long a loop that gives signs of life may take beyond the time for running work."""

_WITHOUT_LOCK_SECONDS: Final = 5.0
"""How much longer, when no Python runs any more."""

_STANDARD_ERROR: Final = 2

_ECHO_SECONDS: Final = 0.2
"""Programs around this one, such as ``timeout``, pass a signal on that came by itself too: what
follows so soon is the same request."""


class Deadline:
    """Ends this process in time, unless the loop is closed before.

    Args:
        loop: The host's, which the calling thread runs.
        drain_seconds: How long running work may take.
        last_words: Called right before the end, in a thread of its own.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        drain_seconds: float,
        last_words: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._drain_seconds = drain_seconds
        self._last_words = last_words
        self._thread_of_loop = threading.get_ident()
        self._answered_at = 0.0
        self._has_no_thread = False

    def begin(self, code: int) -> None:
        """The time runs from now. May be called by the handler of a signal.

        Args:
            code: The exit code of a process that has to be ended so.
        """
        longest = self._drain_seconds + _LONGEST_SECONDS + _WITHOUT_LOCK_SECONDS
        try:
            faulthandler.dump_traceback_later(longest, exit=True, file=_STANDARD_ERROR)
            threading.Thread(
                target=self._wait, args=(code,), name="tenuto-end", daemon=True
            ).start()
        except (RuntimeError, MemoryError):  # there is no memory for a thread
            self._has_no_thread = True
            _set_alarm(longest)

    def end(self) -> None:
        """The loop has ended in time, and the process may go on."""
        if self._has_no_thread:  # which would have found out by itself
            faulthandler.cancel_dump_traceback_later()
            _set_alarm(0)

    def _wait(self, code: int) -> None:
        began = self._answered_at = time.monotonic()
        is_blocked = False
        while not is_blocked:
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # the loop is closed; what follows has limits of its own
                faulthandler.cancel_dump_traceback_later()
                return
            time.sleep(_ASK_SECONDS)
            now = time.monotonic()
            if now - began > self._drain_seconds + _LONGEST_SECONDS:
                break
            silent_since = max(self._answered_at, began + self._drain_seconds)
            is_blocked = now - silent_since > _BLOCKED_SECONDS
        self._name_what_is_left(is_blocked=is_blocked)
        self._last_words()
        flush_output()
        os._exit(code)

    def _answer(self) -> None:
        self._answered_at = time.monotonic()

    def _name_what_is_left(self, *, is_blocked: bool) -> None:
        if is_blocked:
            frame = sys._current_frames().get(self._thread_of_loop)  # noqa: SLF001 - made for this
            if frame is not None:
                incident = incident_at(frame)
                del frame
                _LOGGER.error(
                    "%s blocks this host's loop, so that it cannot stop, at %s; the process is "
                    "ended",
                    incident.what,
                    incident.place,
                )
        else:
            _LOGGER.error("this host does not stop in time; the process is ended")
        for words in work_left(self._loop):
            _LOGGER.warning("%s", words)
        if children := child_processes():
            _LOGGER.warning("%s", children_left(children))


def _set_alarm(seconds: float) -> None:
    """Have the system end this process then (0: never), where its alarm is not the user's."""
    if sys.platform != "win32" and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
        signal.alarm(math.ceil(seconds))


class StopHandler:
    """The handler of signals to stop: the first one asks, and a further one ends the process.

    A plain handler, as it runs even while a coroutine keeps the loop busy.

    Args:
        deadline: Begins with the first signal.
        ask: Called with the number of the first signal.
        last_words: Called right before a further one ends the process.
    """

    def __init__(
        self,
        deadline: Deadline,
        ask: Callable[[int], object],
        last_words: Callable[[], None] = lambda: None,
    ) -> None:
        self._deadline = deadline
        self._ask = ask
        self._last_words = last_words
        self._asked_at: float | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """A signal has come."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._deadline.begin(128 + number)
            self._ask(number)
        elif now - self._asked_at >= _ECHO_SECONDS:
            self._last_words()
            flush_output()
            os._exit(128 + number)
