"""Ends code that is looked into and does not come back: a look must not hold up its host for ever.

Code of a look runs on the host's loop. A thread waits beside it, and raises an exception in its
midst when that takes too long; in code that catches even this, at each of its lines from then on.
What runs outside of Python (a regular expression, a call of C) ends first. Must never raise
anything where no code of a look runs.
"""

import ctypes
import gc
import sys
import threading
from asyncio import events
from collections.abc import Callable
from time import monotonic  # by name: the guard may stand in for that of the module
from typing import Final, TypeVar

from tenuto.orchestration.breaking import Breaker

T = TypeVar("T")

# Documented for event loops, private to others.
running_loop: Final = events._get_running_loop  # noqa: SLF001
set_running_loop: Final = events._set_running_loop  # noqa: SLF001

_AGAIN_SECONDS: Final = 0.2
_ROUNDS: Final = 100
_PATIENCE: Final = 2
"""So often it is only told to end."""


class _TooLongError(BaseException):
    """Raised in the midst of code that runs for too long."""


class BrokenOffError(Exception):
    """The code has run for too long and was broken off."""


class BreaksOff:
    """Lets code run for a while; used by one thread.

    Args:
        seconds: For how long.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds: float = seconds

    def within(self, act: Callable[[], T]) -> T:
        """Do something that runs code of users.

        Raises:
            BrokenOffError: it took too long.
        """
        outer, is_collecting = running_loop(), gc.isenabled()
        run = _Run(self.seconds)
        run.start()
        try:
            try:
                result = act()
            finally:
                run.end()
        except BaseException:
            run.end()  # ours may have fallen between two lines of the first one
            if not run.has_fired:
                raise
        else:
            if not run.has_fired:
                return result
        # It may have fallen into what sets these back.
        set_running_loop(outer)
        (gc.enable if is_collecting else gc.disable)()
        raise BrokenOffError(f"it has run for more than {self.seconds:.0f} seconds in one turn")


class _Run(threading.Thread):
    """One run of code, and the thread that waits beside it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(name="tenuto-look", daemon=True)
        self._seconds = seconds
        self._ran_in = threading.get_ident()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._breakers: list[Breaker] = []
        self.has_fired = False

    def run(self) -> None:
        end = monotonic() + self._seconds
        fired = 0
        while not self._is_over.wait(max(end - monotonic(), 0.0)):
            with self._lock:
                if self._is_over.is_set():
                    return
                fired += 1
                self.has_fired = True
                _raise_in(self._ran_in, _TooLongError if fired <= _PATIENCE else self._breaking())
            end = monotonic() + _AGAIN_SECONDS

    def end(self) -> None:
        """Nothing is raised any more."""
        while True:
            try:
                with self._lock:
                    self._is_over.set()
                # What was not raised yet is raised where Python looks for it: after a round.
                # (Taking it back would leave the interpreter looking for it, in 3.11 for ever.)
                for _ in range(_ROUNDS if self.has_fired else 0):
                    pass
                while self._breakers:
                    self._breakers.pop().stop()
            except _TooLongError:
                continue
            return

    def _breaking(self) -> type[_TooLongError]:
        breakers = self._breakers

        class BreakingError(_TooLongError):
            """Made in the midst of the code, by the thread that runs it."""

            def __init__(self) -> None:
                super().__init__()
                if not breakers:
                    breakers.append(Breaker(sys._getframe(1)))  # noqa: SLF001 - the code that spins

        return BreakingError


def _raise_in(thread: int, error: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
