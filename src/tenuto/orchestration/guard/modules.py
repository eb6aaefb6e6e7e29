"""Clocks, chance and ids: refused inside sessions, untouched everywhere else.

The modules get a class of their own whose properties look at the running loop. Outside a session
``time.time`` is therefore the very function it always was: threads, activities, tools that replace
it or patch it in place (freezegun, time-machine, mock) find what they expect. A wrapper would be
another object, bind itself as a method where the original does not, and crash tools that rely on
the original being written in C.
"""

import functools
import importlib
import sys
import time
from asyncio import base_events
from asyncio.events import _get_running_loop as running_loop
from collections.abc import Callable, Iterable
from itertools import groupby
from types import ModuleType
from typing import Any, Final

from tenuto.orchestration.guard.libraries import answer_of
from tenuto.orchestration.guard.names import GUARDED_NAMES, GuardedName
from tenuto.orchestration.guard.refusal import refuse
from tenuto.orchestration.loop import SessionLoop

_SILENT_STARTS: Final = (
    (("_thread", "start_new_thread"), ("threading", "_start_new_thread"))
    if sys.version_info < (3, 12)
    else ()
)
"""Python 3.11 starts threads without an audit event, so these functions are replaced. asyncio has
loaded their modules; they are not imported, because nothing else in this room may know threads."""


def guard_modules() -> None:
    """Guard all names of the table."""
    for module, rows in groupby(GUARDED_NAMES, lambda row: row.module):
        _guard(module, rows)
    for name, attribute in _SILENT_STARTS:
        _guard_thread_start(sys.modules[name], attribute)
    _spare_event_loops()


class _Unguarded:
    """The names of a module without the question who asks."""


def _spare_event_loops() -> None:
    """Let asyncio's own loop look at its clock as before.

    It does so in each of its rounds, by ``time.monotonic()``, and is never a session's. The names
    stay those of the module, in the very same dictionary: whoever replaces one, there or here, does
    it for both.
    """
    names = _Unguarded()
    names.__dict__ = vars(time)
    vars(base_events)["time"] = names


def _guard(module: ModuleType, rows: Iterable[GuardedName]) -> None:
    members: dict[str, Any] = {row.name: _property(vars(module), row) for row in rows}
    # Pickles of functions (cloudpickle) refer to modules by name, but only of the plain class.
    members["__reduce__"] = lambda self: (importlib.import_module, (self.__name__,))
    members["__slots__"] = ()
    module.__class__ = type("GuardedModule", (type(module),), members)


def _property(attributes: dict[str, Any], row: GuardedName) -> property:
    name = row.name
    refusing = _refusing(lambda: attributes[name], row)

    def get(module: ModuleType) -> object:
        if type(running_loop()) is SessionLoop:
            return refusing
        try:
            return attributes[name]
        except KeyError:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from None

    def put(_module: ModuleType, value: object) -> None:
        attributes[name] = value

    def delete(_module: ModuleType) -> None:
        del attributes[name]

    return property(get, put, delete)


def _refusing(find_stock: Callable[[], Callable[..., Any]], row: GuardedName) -> Callable[..., Any]:
    @functools.wraps(find_stock())
    def refusing(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the stock one takes
        loop = running_loop()
        if type(loop) is SessionLoop and not _is_harmless(row, args):
            caller = sys._getframe(1)  # noqa: SLF001 - names the line
            answer = answer_of(loop, str(row), caller)
            if answer is not None:
                return answer(*args, **kwargs)
            refuse(loop, f"{row}()", row.reason, caller)
        return find_stock()(*args, **kwargs)

    return refusing


def _is_harmless(row: GuardedName, args: tuple[object, ...]) -> bool:
    return 0 < row.given <= len(args) and args[row.given - 1] is not None


def _guard_thread_start(module: ModuleType, attribute: str) -> None:
    stock = getattr(module, attribute)
    row = GuardedName(
        sys.modules["_thread"],
        "start_new_thread",
        "what a thread does cannot be replayed",
        "an activity: await ctx.call_activity(...)",
    )
    setattr(module, attribute, _refusing(lambda: stock, row))
