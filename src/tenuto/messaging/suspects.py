"""Of all that may have ended the host before, one runs at a time: on the whole host, whatever kind.

So the one that ended the next host too is known, and nobody else is blamed
(``one_never_takes_all``). One that has run for a while has shown that it does not end its host at
once: the next one has its turn beside it, so that a function that never returns holds up nobody.

Hosts may also be ended from outside, again and again, soon after they begin (a supervisor, an
operator, a machine short of memory). Whoever just has its turn then is innocent. So one whose next
death would decide waits first until the engine has found out which of its instances is the cause,
and then for a while in which it does not run: such a host ends in that while, and nobody is blamed.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from tenuto.engine.careful import SERVED
from tenuto.model.timing import MICROSECONDS

# Real time: it is about processes, and a clock of tests may stand still.
_PATIENCE_SECONDS: Final = 5.0
_QUIET_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.01
_LONGEST_PATIENCE_SECONDS: Final = 600.0
"""Who ends one host after another is given ever more time to do it alone."""


def patience_seconds(deaths: int) -> float:
    """How long a suspect has its turn, after so many deaths of hosts that it was running at."""
    return min(_PATIENCE_SECONDS * 2.0 ** min(deaths, 20), _LONGEST_PATIENCE_SECONDS)


class Suspects:
    """The turns of a host's suspects.

    Args:
        is_careful: Whether the engine is finding out which instance ends its host.

    Attributes:
        is_stopping: Nobody waits for anything any more.
    """

    def __init__(self, is_careful: Callable[[], bool]) -> None:
        self._is_careful = is_careful
        self._turn = asyncio.Lock()
        self.is_stopping: bool = False

    async def quiet(self) -> None:
        """Wait before one is run whose next death decides."""
        loop = asyncio.get_running_loop()
        # A host that dies later than that was no victim of who ends hosts that have just begun.
        longest = loop.time() + SERVED / MICROSECONDS
        while self._is_careful() and loop.time() < longest and not self.is_stopping:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        end = loop.time() + _QUIET_SECONDS
        while loop.time() < end and not self.is_stopping:  # noqa: ASYNC110 - two things end it
            await asyncio.sleep(_LOOK_SECONDS)

    @asynccontextmanager
    async def turn(
        self, deaths: int, passed: Callable[[], Awaitable[None]], *, is_decisive: bool
    ) -> AsyncGenerator[None]:
        """Wait for the turn of a suspect, and have it.

        Args:
            deaths: At so many deaths of hosts it was running.
            passed: Awaited when it still runs and has had its turn, before the next one begins.
            is_decisive: Whether it is put aside should the host die now.
        """
        await self._turn.acquire()
        has_turn = [self._turn]

        def give_on() -> None:
            if has_turn:
                has_turn.pop().release()

        async def give_on_later() -> None:
            await asyncio.sleep(patience_seconds(deaths))
            try:
                await passed()
            finally:
                give_on()

        watching: asyncio.Task[None] | None = None
        try:
            if is_decisive:
                await self.quiet()
            watching = asyncio.get_running_loop().create_task(give_on_later())
            yield
        finally:
            if watching is not None:
                watching.cancel()
            give_on()
