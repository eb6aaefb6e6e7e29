"""What the host's own tasks have to know of the user code that they call.

SystemExit and KeyboardInterrupt out of user code would end the host's loop, and a CancelledError
that user code raises looks as if the task itself was given up. So they are told apart here. Code
that can cancel its own task runs in one of its own: the host's tasks are not for it to end. The
other way round, code whose task is cancelled may make another error of that, as drivers of
databases do: what comes of a task that the host has given up says nothing of the code.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context

from tenuto.functions.activities import eager_task
from tenuto.model.plain_errors import plain_error


async def failure_apart(call: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Run code of users in a task of its own; what it has raised, as it can be handed on.

    Whatever it does to the task that it runs in, or raises, is its own affair. When the caller is
    cancelled, so is the code, and the caller waits for it to end: what has succeeded all the same
    is known to have.

    Args:
        call: Begins it, in that task.

    Returns:
        None when it has succeeded; else what it has raised (``plain_error``), an exit and a
        cancellation of its own as well.
    """
    failures: list[BaseException | None] = []
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(_task: object = None) -> None:
        if not ended.done():
            ended.set_result(None)

    async def run() -> None:
        try:
            await call()
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is its failure
            failures.append(plain_error(error))
        else:
            failures.append(None)
        end()  # a round of the loop sooner than the task's callback

    task = eager_task(run(), copy_context())
    if not ended.done():  # most have awaited something, or this Python begins no task at once
        task.add_done_callback(end)
    try:
        await ended
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not failures or failures[0] is not None:
            raise
    # Cancelled before it began: by code of users, which can get hold of all tasks.
    return failures[0] if failures else asyncio.CancelledError()


def is_given_up(error: BaseException) -> bool:
    """Whether the error cancels the current task from outside: nobody waits for an answer then."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def flush_output() -> None:
    """Show what user code has printed. Never raises."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # none, closed, or one of users, which may raise anything
            stream.flush()
