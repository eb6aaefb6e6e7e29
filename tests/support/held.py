"""Holding a store back: a call to it waits until a test lets it go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from tenuto.engine.ports import Storage


class Held:
    """A method of a store whose calls wait. ``arrived`` is set at the first of them."""

    def __init__(self, *, only_first: bool) -> None:
        self._only_first = only_first
        self.arrived = asyncio.Event()
        self._free = asyncio.Event()

    def let_go(self) -> None:
        self._free.set()

    async def wait(self) -> None:
        if not (self._only_first and self.arrived.is_set()):
            self.arrived.set()
            await self._free.wait()


@asynccontextmanager
async def holding(
    storage: Storage, method: str, when: Literal["before", "after"], *, only_first: bool = False
) -> AsyncIterator[Held]:
    """Hold calls before they are carried out, or with their result in hand."""
    held = Held(only_first=only_first)
    inner = getattr(storage, method)

    async def slow(*arguments: Any) -> Any:  # noqa: ANN401 - of whatever method
        if when == "before":
            await held.wait()
        result = await inner(*arguments)
        if when == "after":
            await held.wait()
        return result

    setattr(storage, method, slow)
    try:
        yield held
    finally:
        delattr(storage, method)
        held.let_go()
