"""Waiting for a condition, in real time."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; the test's own timeout ends a wait that is in vain."""
    while not condition():  # noqa: ASYNC110 - any condition, also of threads
        await asyncio.sleep(0.001)
