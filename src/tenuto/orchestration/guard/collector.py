"""Keeps what the garbage collector finds out of sessions (ENGINE rule 40).

While a session runs the collector is off (``SessionLoop.run``). Where a pass comes all the same
(``gc.collect()``, a library that turns the collector on), it runs as if no session did: the
``finally`` of somebody else's coroutine must not find a session's loop, and an error in somebody's
``__del__``, for which the interpreter opens the source file, must not be the orchestrator's fault.
"""

import gc
from asyncio import events as asyncio_events
from typing import Any, Final

from tenuto.orchestration.loop import SessionLoop, running_loop

_set_running_loop: Final = asyncio_events._set_running_loop  # noqa: SLF001 - documented for event loops
_interrupted: Final[list[SessionLoop]] = []
"""The session in which a pass of the collector has begun. One pass ends before the next begins."""


def guard_collector() -> None:
    """Hear of each pass from now on; costs two calls a pass."""
    gc.callbacks.append(step_aside)


def step_aside(phase: str, _facts: dict[str, Any]) -> None:
    """While the collector works this thread has no running loop, if it had a session's."""
    if phase == "start":
        loop = running_loop()
        if type(loop) is SessionLoop:
            _interrupted.append(loop)
            _set_running_loop(None)
    elif _interrupted and running_loop() is None:
        _set_running_loop(_interrupted.pop())
