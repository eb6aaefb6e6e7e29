"""Looks for imports by name that the determinism guard cannot see.

The guard replaces ``time.time`` and its like in their modules; ``from time import time`` keeps the
original, which gives another value at each replay (ENGINE rule 8). Reads compiled code, never runs
it, and is best effort: it follows helper functions of the same module, not those of others.
"""

import dis
import inspect
import os
import random
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, Final

_CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
_CHANCE = (
    *("choice", "choices", "expovariate", "gauss", "getrandbits", "normalvariate", "randbytes"),
    *("randint", "random", "randrange", "sample", "shuffle", "triangular", "uniform"),
)
_SECRETS = ("choice", "randbelow", "token_bytes", "token_hex", "token_urlsafe")

_TABLE: list[tuple[Any, tuple[str, ...], str]] = [
    (time, _CLOCKS, "ctx.current_time"),
    (time, ("sleep",), "await asyncio.sleep(...)"),
    (random, _CHANCE, "ctx.random"),
    (uuid, ("uuid1", "uuid4"), "ctx.new_uuid()"),
    (secrets, _SECRETS, "an activity"),
    (os, ("urandom",), "an activity"),
]
# By identity, since any object may stand among a module's names, unhashable ones too. The guard's
# wrappers are no danger: behind them stands the original, which is what this looks for.
_INSTEAD: Final[dict[int, tuple[str, str]]] = {
    id(inspect.unwrap(getattr(module, name))): (f"{module.__name__}.{name}", instead)
    for module, names, instead in _TABLE
    for name in names
}


_LOADS_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME"}


def unreplayable_imports(function: Callable[..., object]) -> list[str]:
    """One sentence for each name used in the function that cannot be replayed, in no order twice.

    Example:
        ``uses time.time, imported by name as 'time', which ...; use ctx.current_time``
    """
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType):
        return []
    found: dict[str, str] = {}
    for name, value in _globals_used(plain):
        if id(value) in _INSTEAD:
            original, instead = _INSTEAD[id(value)]
            found[name] = (
                f"uses {original}, imported by name as {name!r}, which gives another value at each "
                f"replay and which the guard cannot see; use {instead}"
            )
    return list(found.values())


def _globals_used(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Global names that the function and its module's helpers mention, with their values."""
    seen = {function.__code__}
    waiting = [function.__code__]
    scope = function.__globals__
    while waiting:
        for name in _names(waiting.pop()):
            if name not in scope:
                continue
            value = scope[name]
            yield name, value
            helper = isinstance(value, FunctionType) and value.__globals__ is scope
            if helper and value.__code__ not in seen:
                seen.add(value.__code__)
                waiting.append(value.__code__)


def _names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS_GLOBAL:
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
