"""The one thread that sends: exporters wait for answers, and the host's loop must not."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

R = TypeVar("R")

THREAD: Final = "tenuto-telemetry"
"""How the names of threads that send begin."""


class Sending:
    """A thread that does one thing after another."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=THREAD)

    async def run(self, send: Callable[[], R]) -> R:
        """Do something there, and wait for it without holding the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, send)

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
