"""What gives another value at each run: the one table of names.

The guard refuses these names inside orchestrators (``modules``), recognises the ones written
in C when they were imported by name (``calls``), and ``functions/replay_hints.py`` looks for
imports by name when functions are registered. Data only.
"""

import os
import random
import secrets
import time
import uuid
from types import ModuleType
from typing import Final, NamedTuple

VALUE: Final = "it gives another value at each replay"
PAUSE: Final = "it stops all instances of this host, and history does not know of it"


class GuardedName(NamedTuple):
    """A function that no orchestrator may call.

    Attributes:
        module: Where it lives.
        name: Its name there.
        problem: What is wrong with it, as a sentence about "it".
        instead: What to use.
        given: Position of the argument that makes a call harmless, counted from 1; 0 for none.
            ``time.localtime(seconds)`` converts, ``time.localtime()`` reads the clock.
    """

    module: ModuleType
    name: str
    problem: str
    instead: str
    given: int = 0

    def __str__(self) -> str:
        return f"{self.module.__name__}.{self.name}"

    @property
    def reason(self) -> str:
        """Why it is refused and what to do."""
        return f"{self.problem}; use {self.instead}"


_CLOCKS: Final = (
    *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
    *("process_time", "process_time_ns", "thread_time", "thread_time_ns"),
    *("clock_gettime", "clock_gettime_ns"),
)
_CONVERSIONS: Final = {"localtime": 1, "gmtime": 1, "ctime": 1, "asctime": 1, "strftime": 2}
_UUIDS: Final = ("uuid1", "uuid4", "uuid6", "uuid7")
_SECRETS: Final = (
    *("choice", "randbelow", "randbits", "token_bytes", "token_hex", "token_urlsafe"),
)


def _shared_random() -> list[str]:
    """The functions of ``random`` that share its one hidden generator."""
    return [
        name
        for name in random.__all__
        if isinstance(getattr(getattr(random, name), "__self__", None), random.Random)
    ]


def _rows() -> list[GuardedName]:
    now, chance, new_id = "ctx.current_time", "ctx.random", "ctx.new_uuid()"
    rows = [
        *(GuardedName(time, name, VALUE, now) for name in _CLOCKS),
        *(GuardedName(time, name, VALUE, now, given) for name, given in _CONVERSIONS.items()),
        GuardedName(time, "sleep", PAUSE, "await asyncio.sleep(...) or ctx.create_timer(...)"),
        *(GuardedName(random, name, VALUE, chance) for name in _shared_random()),
        *(GuardedName(uuid, name, VALUE, new_id) for name in _UUIDS),
        *(GuardedName(secrets, name, VALUE, "an activity") for name in _SECRETS),
        *(GuardedName(os, name, VALUE, "an activity") for name in ("urandom", "getrandom")),
    ]
    # Not every platform and version has all of them.
    return [row for row in rows if hasattr(row.module, row.name)]


GUARDED_NAMES: Final[tuple[GuardedName, ...]] = tuple(_rows())
"""All of them, as far as this Python has them."""
