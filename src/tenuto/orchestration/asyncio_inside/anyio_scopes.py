"""anyio inside a session: cancel scopes in the order of their making, threads refused by name.

An agent's library (``guard_libraries``) gets no thread either: what it hands over is called here.

anyio keeps the scopes within a scope in a set, which iterates by address: when one is cancelled,
the tasks inside would wake in another order in each run (ENGINE rule 2). anyio is not a dependency;
only a program that has loaded it gets this, at the first session after that.
"""

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from tenuto.orchestration.asyncio_inside.functions import refusing
from tenuto.orchestration.guard.libraries import is_stamping
from tenuto.orchestration.loop import refusal
from tenuto.orchestration.takeover import take_over

T = TypeVar("T")
_BACKEND = "anyio._backends._asyncio"
_IN_ACTIVITY = "put the blocking call into an activity"
_REFUSED = (
    ("anyio.to_process", "run_sync", _IN_ACTIVITY),
    ("anyio.to_interpreter", "run_sync", _IN_ACTIVITY),
    ("anyio.from_thread", "run", "await the coroutine"),
    ("anyio.from_thread", "run_sync", "call the function"),
    ("anyio", "run", "await the coroutine"),
)


class _InOrder(dict[T, None], Generic[T]):
    """What anyio uses of a set, in the order of adding."""

    def add(self, one: T) -> None:
        self[one] = None

    def discard(self, one: T) -> None:
        self.pop(one, None)

    def remove(self, one: T) -> None:
        del self[one]


def install_if_loaded() -> None:
    """Do it when anyio is there; its part for asyncio it loads itself only at its first use."""
    if "anyio" in sys.modules:
        _install()


async def _run_here(function: Callable[..., T], *args: object, **_options: object) -> T:
    """An agent's tools that are plain functions: they need no thread, the guard looks at them."""
    if not is_stamping(sys._getframe(1)):  # noqa: SLF001 - who asks
        raise refusal("anyio.to_thread.run_sync()", _IN_ACTIVITY)
    return function(*args)


@functools.cache
def _install() -> None:
    scope: Any = importlib.import_module(_BACKEND).CancelScope

    def begin(self: Any, *args: Any, **named: Any) -> None:  # noqa: ANN401 - of a class that is not ours
        before(self, *args, **named)
        self._child_scopes = _InOrder()

    before = take_over(scope.__init__, begin)
    take_over(importlib.import_module("anyio.to_thread").run_sync, _run_here)
    for module, name, instead in _REFUSED:
        function = getattr(sys.modules.get(module), name, None)
        if function is not None:
            take_over(function, refusing(f"{module}.{name}", instead))
