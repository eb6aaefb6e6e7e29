"""Looks for imports by name that the determinism guard cannot see.

The guard refuses ``time.time`` and its like where they are looked up in their modules; ``from time
import time`` looks once, outside of any orchestrator (ENGINE rule 8). Reads compiled code, never
runs it, and is best effort: it follows helper functions of the same module, not those of others.
"""

import dis
import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Final

from tenuto.orchestration.guard.names import GUARDED_NAMES, GuardedName

# By identity, since any object may stand among a module's names, unhashable ones too.
_UNREPLAYABLE: Final[dict[int, GuardedName]] = {
    id(vars(row.module)[row.name]): row for row in GUARDED_NAMES if not row.given
}

_LOADS_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME"}


def unreplayable_imports(function: Callable[..., object]) -> list[str]:
    """One sentence for each name used in the function that cannot be replayed, in no order twice.

    Example:
        ``uses time.time, imported by name as 'time', where ...; use ctx.current_time``
    """
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType):
        return []
    found: dict[str, str] = {}
    for name, value in _globals_used(plain):
        row = _UNREPLAYABLE.get(id(value))
        if row is not None:
            found[name] = (
                f"uses {row}, imported by name as {name!r}, where the guard may miss it: "
                f"{row.reason}"
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
