"""Where coroutines stay that refused to end: never freed, never run again (ENGINE rule 40)."""

import ctypes
from typing import Final

PARKED: Final[list[object]] = []
"""Coroutines that refused to end; never given to the garbage collector."""


def park(coroutine: object) -> None:
    """Keep a coroutine, also at the end of the process.

    There the interpreter frees what modules hold, and a coroutine that is freed is told to end: one
    that catches everything would spin there. A reference that nobody gives back holds it.
    """
    PARKED.append(coroutine)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))
