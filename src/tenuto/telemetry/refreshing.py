"""What is asked of a store for people who look: in the background, not too often, never hanging.

Many who look at once cost one question; what takes long is asked seldom.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from tenuto.model.errors import StorageError

_PATIENCE_SECONDS: Final = 1.0
_PACE: Final = 20
"""After a question the store is left alone for so many times as long as it took."""


class Refreshing:
    """Asks a question of a store again once its answer is old.

    Args:
        ask: Asks it and keeps the answer; what the store raises leaves the one before.
        fresh_seconds: What is known counts as new for so long.
        name: Of the task that asks.
    """

    def __init__(self, ask: Callable[[], Awaitable[None]], fresh_seconds: float, name: str) -> None:
        self._ask = ask
        self._fresh_seconds = fresh_seconds
        self._name = name
        self._asks_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Ask, unless that was done just now; waits for the answer a moment at most."""
        if self._asking is None and asyncio.get_running_loop().time() >= self._asks_at:
            self._asking = asyncio.create_task(self._asked(), name=self._name)
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=_PATIENCE_SECONDS)

    async def _asked(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            with suppress(StorageError):  # shown as it was last known
                await self._ask()
        finally:
            took = loop.time() - began
            self._asks_at = max(began + self._fresh_seconds, loop.time() + _PACE * took)
            self._asking = None
