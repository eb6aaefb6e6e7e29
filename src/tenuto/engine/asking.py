"""A question to the store that is asked again and again, and that nobody has to wait for.

Owns that it is asked once at a time, however many want to know, and for how long it has been open:
a store may be locked, frozen or gone without a word. Whoever wants to know waits for a moment, and
then takes what was known before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

_REST: Final = 20
"""What takes long is asked seldom: it rests so many times as long as the answer took."""


def seen(future: "asyncio.Future[Any]") -> None:
    """However it ended: an error is no surprise, though nobody may be left who asks for it."""
    if future.done() and not future.cancelled():
        future.exception()


class Asking:
    """One question.

    Args:
        ask: Asks, and keeps the answer.
    """

    def __init__(self, ask: Callable[[], Awaitable[object]]) -> None:
        self._ask = ask
        self._asked_at: float | None = None
        self._rests_until = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def open_seconds(self) -> float:
        """For how long the question has had no answer; 0 when none is open."""
        if self._task is None or self._asked_at is None:
            return 0.0
        return time.monotonic() - self._asked_at

    async def within(self, seconds: float, *, fresh_seconds: float = 0.0) -> None:
        """Ask, or wait with others for the answer to the question that is open.

        Args:
            seconds: Wait so long, all who ask since it is open together.
            fresh_seconds: What was asked within these is not asked again; nor within 20 times as
                long as the answer took. 0 asks in any case.
        """
        now = time.monotonic()
        if self._task is None:
            is_fresh = self._asked_at is not None and now - self._asked_at < fresh_seconds
            if fresh_seconds and (is_fresh or now < self._rests_until):
                return
            self._asked_at = now
            self._task = asyncio.get_running_loop().create_task(self._run(), name="tenuto-asking")
            self._task.add_done_callback(seen)
        left = seconds - self.open_seconds
        if left > 0:
            task = self._task
            await asyncio.wait([task], timeout=left)
            if task.done() and not task.cancelled():
                task.result()

    async def _run(self) -> None:
        began = time.monotonic()
        try:
            await self._ask()
        finally:
            now = time.monotonic()
            self._rests_until = now + _REST * (now - began)
            self._task = None
