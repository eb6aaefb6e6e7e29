"""What exceptions of user code say of themselves.

Their texts are made by code of the app too, which may raise. Whatever it does, there is a text.
"""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from typing import Any

# Frames of ours say nothing to people of the app, nor do those that lie before them.
_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def message_of(error: BaseException) -> str:
    """``str(error)``; words in its place when that raises."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - an app's exceptions may do whatever they like
        return "it could not say what it is: its own text has raised"


def stack_of(error: BaseException) -> str:
    """The traceback without frames of the worker, or as much as the exception lets see of it."""
    with suppress(BaseException):
        return "".join(_without_ours(traceback.TracebackException.from_exception(error)).format())
    with suppress(BaseException):
        frames = traceback.format_list(traceback.extract_tb(error.__traceback__))
        return "".join([*frames, f"{type(error).__name__}: {message_of(error)}\n"])
    return ""


def shown(value: Any) -> str:
    """``repr(value)``; its type when that raises."""
    try:
        return repr(value)
    except BaseException:  # noqa: BLE001 - an app's objects may do whatever they like
        return f"<{type(value).__name__}>"


def _without_ours(trace: traceback.TracebackException) -> traceback.TracebackException:
    ours = [at for at, frame in enumerate(trace.stack) if frame.filename.startswith(_FOLDER)]
    trace.stack = traceback.StackSummary.from_list(trace.stack[ours[-1] + 1 if ours else 0 :])
    return trace
