"""What the host's own tasks have to know of the user code that they call.

SystemExit and KeyboardInterrupt out of user code would end the host's loop, and a CancelledError
that user code raises looks as if the task itself was given up. So they are told apart here.
"""

import asyncio
import sys
from contextlib import suppress


def is_given_up(error: BaseException) -> bool:
    """Whether the error cancels the current task from outside: nobody waits for an answer then."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def flush_output() -> None:
    """Show what user code has printed. Never raises."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # none, closed, or one of users, which may raise anything
            stream.flush()
