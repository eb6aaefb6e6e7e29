"""Notices what keeps the host's loop from going round, without waking it while it rests.

The watchdog's thread looks at the stack of the loop's thread. While the loop rests in its selector
there is nothing to do. While it runs something, the thread asks it for a sign of life; one that
does not come in time means that something blocks: an async activity that sleeps, an HTTP handler
that computes. The stack then says where. A debugger that has stopped the program blocks too, on
purpose.
"""

import asyncio
import asyncio.events
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Final, NamedTuple

from tenuto.functions.attempt import Attempt
from tenuto.model.built_in import activity_words

_RUN_ONCE: Final = asyncio.BaseEventLoop._run_once.__code__  # type: ignore[attr-defined]  # noqa: SLF001 - only told from others
_RUN_HANDLE: Final = asyncio.events.Handle._run.__code__  # noqa: SLF001 - as above
_RUN_ACTIVITY: Final = Attempt.run_async.__code__

_TENUTO: Final = str(Path(__file__).parent.parent)
_LIBRARY: Final = str(Path(os.__file__).parent)
_INSTALLED: Final = ("site-packages", "dist-packages")
_DEBUGGERS: Final = frozenset({"bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy"})


class Incident(NamedTuple):
    """Something that blocks the loop.

    Attributes:
        what: The activity, or the innermost function that is the user's own.
        place: ``file:line in function``.
    """

    what: str
    place: str


class LoopWatch:
    """Asks a loop for signs of life; made on the loop's thread, then used by another one.

    Args:
        loop: The loop that is running.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._resting: CodeType | None = None
        self._asked_at: float | None = None
        self._answered_at: float | None = None
        loop.call_soon(self._note_rest)

    def _note_rest(self) -> None:
        # A loop written in C leaves no frame, so that this one's caller is the loop's caller.
        self._resting = sys._getframe(1).f_code  # noqa: SLF001 - made for this

    def _answer(self) -> None:
        self._answered_at = time.monotonic()

    def ask(self) -> None:
        """Ask for a sign of life.

        Raises:
            RuntimeError: the loop is closed.
        """
        self._answered_at = None
        self._asked_at = time.monotonic()
        self._loop.call_soon_threadsafe(self._answer)

    def take_answer(self) -> float | None:
        """How long the answer took, once; None when there is none."""
        asked_at, answered_at = self._asked_at, self._answered_at
        if asked_at is None or answered_at is None:
            return None
        self._asked_at = None
        return answered_at - asked_at

    @property
    def is_asked(self) -> bool:
        """Whether an answer is to come, or to be taken."""
        return self._asked_at is not None

    @property
    def seconds_blocked(self) -> float:
        """How long the loop has been asked without an answer."""
        if self._asked_at is None or self._answered_at is not None:
            return 0.0
        return time.monotonic() - self._asked_at

    def start_anew(self) -> None:
        """Count from now: what was until now does not matter."""
        if self._asked_at is not None:
            self._asked_at = time.monotonic()

    def is_resting(self, frame: FrameType) -> bool:
        """Whether the loop waits for something to do.

        Args:
            frame: The innermost frame of its thread.
        """
        if frame.f_code is self._resting:
            return True
        for one in _outwards(frame):
            if one.f_code is _RUN_HANDLE:
                return False
            if one.f_code is _RUN_ONCE:
                return True
        return False


def incident_at(frame: FrameType) -> Incident:
    """What blocks a thread.

    Args:
        frame: Its innermost frame.
    """
    frames = list(_outwards(frame))
    own = next((one for one in frames if _is_own_code(one.f_code)), frames[0])
    place = f"{own.f_code.co_filename}:{own.f_lineno} in {own.f_code.co_qualname}"
    for one in frames:
        if one.f_code is _RUN_ACTIVITY:
            work = one.f_locals["self"].work
            return Incident(f"{activity_words(work.name)} of instance {work.instance_id!r}", place)
    return Incident(own.f_code.co_qualname, place)


def debugger_at(frame: FrameType) -> str | None:
    """Where a debugger has stopped a thread, or steps through it; None when there is none.

    Args:
        frame: The thread's innermost frame.
    """
    stopped: FrameType | None = None
    has_debugger = False
    for one in _outwards(frame):
        is_debuggers = _package(one.f_globals.get("__name__")) in _DEBUGGERS
        if is_debuggers or _package(getattr(one.f_trace, "__module__", None)) in _DEBUGGERS:
            has_debugger = True
        if stopped is None and _is_own_code(one.f_code):
            stopped = one
    if not has_debugger:
        return None
    stopped = stopped or frame
    return f"{stopped.f_code.co_filename}:{stopped.f_lineno} in {stopped.f_code.co_qualname}"


def _package(module: object) -> str:
    return str(module).partition(".")[0]


def _outwards(frame: FrameType) -> Iterator[FrameType]:
    one: FrameType | None = frame
    while one is not None:
        yield one
        one = one.f_back


def _is_own_code(code: CodeType) -> bool:
    """Whether it is neither Tenuto's, nor the standard library's, nor installed."""
    file = code.co_filename
    return not (
        file.startswith((_TENUTO, _LIBRARY, "<")) or any(part in file for part in _INSTALLED)
    )
