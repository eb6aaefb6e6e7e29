"""Whom to blame for a call that cannot be replayed, and the error they get.

The guard sees calls, not intentions. Between the orchestrator's turn and the forbidden call may
stand something that has no part in what the orchestrator decides: logging stamps a line, an import
reads a file, the garbage collector closes somebody else's. Those calls go through. For all others
the error names the line to change.
"""

import gc
import os
import sys
import weakref
from types import FrameType
from typing import Final

from tenuto.model.errors import GuardError
from tenuto.orchestration.loop import SessionLoop

_TENUTO: Final = __file__.rpartition("orchestration")[0]
_LIBRARY: Final = os.__file__.rpartition("os.py")[0]
_INSTALLED: Final = ("site-packages", "dist-packages")

_TURN: Final = {
    ("tenuto.orchestration.session", "run_turn"),
    ("tenuto.orchestration.loop", "discard"),
}
"""Functions (module, name) below which nothing belongs to the orchestrator."""

_UNINVOLVED: Final = frozenset(
    {
        # Diagnostics: what they read or write never reaches a decision.
        *("logging", "warnings", "traceback", "linecache", "tokenize", "inspect", "faulthandler"),
        *("loguru", "structlog", "opentelemetry", "sentry_sdk"),
        # Imports: what a module does while it is loaded happens once a process, not once a turn.
        *("importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport"),
        # Time zones: the same on each host that has the same zone data.
        "zoneinfo",
        # Finalizers: they run whenever the collector likes, in the middle of whatever runs then.
        "weakref",
        # Tools that look at a running program.
        *("bdb", "pdb", "debugpy", "pydevd", "_pydevd_bundle", "_pydevd_frame_eval", "IPython"),
        *("coverage", "hypothesis", "_pytest", "pytest_timeout"),
    }
)
"""Packages that may do what orchestrators may not."""


def refuse(loop: SessionLoop, what: str, reason: str, frame: FrameType | None) -> None:
    """Raise ``GuardError`` unless something uninvolved made the call.

    The session remembers the first error, so that swallowing it does not help. One that is being
    discarded has no future that could go wrong.

    Args:
        loop: The loop of the session.
        what: What was called.
        reason: What is wrong with that, and what to use instead.
        frame: The caller.
    """
    error = refusal(what, reason, frame)
    if error is None:
        return
    if loop.violation is None and not loop.dead:
        loop.violation = error
    raise error


def refusal(what: str, reason: str, frame: FrameType | None) -> GuardError | None:
    """The error for a call inside a session; None when something uninvolved made it."""
    frames: list[FrameType] = []
    while frame is not None and not _begins_turn(frame):
        if _is_uninvolved(frame):
            return None
        frames.append(frame)
        frame = frame.f_back
    return GuardError(f"{what} inside an orchestrator, at {_place(frames)}: {reason}")


def _begins_turn(frame: FrameType) -> bool:
    return (frame.f_globals.get("__name__"), frame.f_code.co_name) in _TURN


def _is_uninvolved(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return package in _UNINVOLVED or _is_interruption(frame)


def _is_interruption(frame: FrameType) -> bool:
    """Whether the interpreter made the call, in the middle of code that did not ask for it.

    Signal handlers, trace and profile functions are handed the frame that they interrupt, and weak
    references' callbacks a dead reference.
    """
    code = frame.f_code
    if code.co_name == "__del__":
        return True
    if any(
        getattr(callback, "__code__", None) is code
        for callback in (*gc.callbacks, sys.unraisablehook)
    ):
        return True
    names = code.co_varnames[: min(code.co_argcount, 3)]
    arguments = [frame.f_locals.get(name) for name in names]
    return any(
        (argument is frame.f_back and argument is not None)
        or (isinstance(argument, weakref.ref) and argument() is None)
        for argument in arguments
    )


# --- the line to change -------------------------------------------------------------------------


def _place(frames: list[FrameType]) -> str:
    """Where the user's own code made the call, and through which foreign code it went."""
    outside = [one for one in frames if not one.f_code.co_filename.startswith(_TENUTO)]
    if not outside:
        return _line(frames[0]) if frames else "an unknown place"
    own = next((one for one in outside if _is_own_code(one)), outside[0])
    if own is outside[0]:
        return _line(own)
    return f"{_line(own)} (by way of {_line(outside[0])})"


def _is_own_code(frame: FrameType) -> bool:
    """Whether it is neither the standard library's, nor installed, nor generated."""
    file = frame.f_code.co_filename
    return not (file.startswith((_LIBRARY, "<")) or any(part in file for part in _INSTALLED))


def _line(frame: FrameType) -> str:
    """``file:line in function``."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
