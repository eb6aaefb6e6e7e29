"""What the host's own tasks have to know of the user code that they call.

SystemExit and KeyboardInterrupt out of user code would end the host's loop, and a CancelledError
that user code raises looks as if the task itself was given up. So they are told apart here. The
other way round, code whose task is cancelled may make another error of that, as drivers of
databases do: what comes of a task that the host has given up says nothing of the code.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

_given_up: Final[WeakSet["asyncio.Task[Any]"]] = WeakSet()


def give_up(task: "asyncio.Task[Any]") -> None:
    """Cancel a task that calls user code: whatever it raises from now on is no failure."""
    _given_up.add(task)
    task.cancel()


def is_given_up(error: BaseException) -> bool:
    """Whether the current task was given up, by ``give_up`` or by the error itself.

    Nobody waits for an answer then, and the task is to end with a CancelledError.
    """
    task = asyncio.current_task()
    if task is None:
        return False
    is_cancelled = isinstance(error, asyncio.CancelledError) and task.cancelling() > 0
    return is_cancelled or task in _given_up


def flush_output() -> None:
    """Show what user code has printed. Never raises."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # none, closed, or one of users, which may raise anything
            stream.flush()
