"""``breakpoint()`` in user code while something moves on the terminal: it makes room first.

The interpreter tells an audit hook of each breakpoint before the debugger is called, and no frame
of the hook is left when the debugger looks for the line that it is at. A replacement of
``sys.breakpointhook`` would be such a frame.
"""

import functools
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

_making_room: Final[list[Callable[[], None]]] = []


@contextmanager
def making_room_at_breakpoints(make_room: Callable[[], None]) -> Generator[None]:
    """Have ``make_room`` called before a debugger takes the terminal, in whichever thread."""
    _listen()
    _making_room.append(make_room)
    try:
        yield
    finally:
        _making_room.remove(make_room)


@functools.cache
def _listen() -> None:
    """Listen from now on; an audit hook stays as long as its process."""
    sys.addaudithook(_audit)


def _audit(event: str, _args: tuple[object, ...]) -> None:
    if event != "builtins.breakpoint" or not _making_room:
        return
    # Not a deed of the orchestrator that has the breakpoint: its guard stays out of it.
    loop = _get_running_loop()
    _set_running_loop(None)
    try:
        for make_room in tuple(_making_room):
            make_room()
    finally:
        _set_running_loop(loop)
