"""Of all that may have ended the host before, one runs at a time: on the whole host, whatever kind.

So the one that ended the next host too is known, and nobody else is blamed
(``one_never_takes_all``). One that has run for a while has shown that it does not end its host at
once: the next one has its turn beside it, so that a function that never returns holds up nobody.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

# Real time: it is about processes, and a clock of tests may stand still.
_PATIENCE_SECONDS: Final = 5.0
_LONGEST_PATIENCE_SECONDS: Final = 600.0
"""Who ends one host after another is given ever more time to do it alone."""


def patience_seconds(deaths: int) -> float:
    """How long a suspect has its turn, after so many deaths of hosts that it was running at."""
    return min(_PATIENCE_SECONDS * 2.0 ** min(deaths, 20), _LONGEST_PATIENCE_SECONDS)


class Suspects:
    """The turns of a host's suspects."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(
        self, deaths: int, passed: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[None]:
        """Wait for the turn of a suspect, and have it.

        Args:
            deaths: At so many deaths of hosts it was running.
            passed: Awaited when it still runs and has had its turn, before the next one begins.
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

        watching = asyncio.get_running_loop().create_task(give_on_later())
        try:
            yield
        finally:
            watching.cancel()
            give_on()
