"""Waiting for a condition, in real time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; the test's own timeout ends a wait that is in vain."""
    while not condition():  # noqa: ASYNC110 - any condition, also of threads
        await asyncio.sleep(0.001)


async def until_given(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until what is answered is true; gives the answer."""
    while not (answer := await ask()):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    return answer
