"""Whose async generators are: asked by CPython at their first step and when they are dropped.

A generator keeps the finalizer that its thread had at its first step. So hooks of a session's own
would have to be set and restored for every turn, which is told to every audit hook four times and
took 3 % of a hello sequence. Ours are put in once per run of a host's loop, over those of that
loop, and look which loop is running. They stay until the host's loop restores what it found.
"""

import sys
from asyncio import events as asyncio_events
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeAlias

Generator: TypeAlias = AsyncGenerator[Any, Any]
_Hook: TypeAlias = Callable[[Generator], None] | None

_running_loop: Final = asyncio_events._get_running_loop  # noqa: SLF001 - documented for event loops


class GeneratorOwner(Protocol):
    """A session's loop, as far as it has to do with generators."""

    is_tenuto_session: bool

    def adopt(self, generator: Generator) -> None:
        """It has made its first step here."""

    def finalize(self, generator: Generator) -> None:
        """It was dropped before its end."""


_owners: Final[dict[int, GeneratorOwner]] = {}
"""By address. One that ended by itself leaves its entry: to whoever comes after it there, or to
``forget``."""


class _Adopter:
    """The first hook."""

    def __init__(self, before: _Hook) -> None:
        self._before = before

    def __call__(self, generator: Generator) -> None:
        """A generator makes its first step."""
        loop: Any = _running_loop()
        if getattr(loop, "is_tenuto_session", False):
            _owners[id(generator)] = loop
            loop.adopt(generator)
            return
        _owners.pop(id(generator), None)
        if self._before is not None:
            self._before(generator)


class _Finalizer:
    """The second hook."""

    def __init__(self, before: _Hook) -> None:
        self._before = before

    def __call__(self, generator: Generator) -> None:
        """A generator is dropped before its end."""
        owner = _owners.pop(id(generator), None)
        if owner is not None:
            owner.finalize(generator)
        elif self._before is not None:
            self._before(generator)
        else:  # as CPython does where there is no hook
            with suppress(StopIteration):
                generator.aclose().__await__().send(None)


def watch_generators() -> None:
    """See to it that this thread's generators find their owners."""
    hooks = sys.get_asyncgen_hooks()
    if type(hooks.firstiter) is not _Adopter:
        sys.set_asyncgen_hooks(_Adopter(hooks.firstiter), _Finalizer(hooks.finalizer))


def forget(owner: GeneratorOwner, addresses: set[int]) -> None:
    """No generator of this owner stands at these addresses any more."""
    for address in addresses:
        if _owners.get(address) is owner:
            del _owners[address]
