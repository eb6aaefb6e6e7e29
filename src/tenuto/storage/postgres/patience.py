"""How long an answer of the server is waited for.

What takes too long loses its connection, since the line may be dead. Not so what waits for its
synchronous standbys, as the server says of it: another connection would only wait beside it, and
one more would be used up each time.
"""

import asyncio
from typing import Final

from tenuto.storage.postgres.errors import ERRORS
from tenuto.storage.postgres.wiring import CONNECT_SECONDS, RawWire, wired

_WAITS: Final = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $1"


class Patience:
    """With one piece of work on a connection.

    Args:
        wire: The connection; it is given up when patience is over.
        dsn: The same server's, to ask it by another one.
        seconds: How long.
    """

    def __init__(self, wire: RawWire, dsn: str, seconds: float) -> None:
        self._wire = wire
        self._dsn = dsn
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._looking: asyncio.Task[None] | None = None
        self._alarm = self._loop.call_later(seconds, self._look_soon)

    def end(self) -> None:
        """It has come to its end."""
        self._alarm.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _look_soon(self) -> None:
        self._looking = self._loop.create_task(self._look(), name="tenuto-patience")

    async def _look(self) -> None:
        if await self._waits_for_standbys():
            self._alarm = self._loop.call_later(self._seconds, self._look_soon)
        else:
            self._wire.terminate()

    async def _waits_for_standbys(self) -> bool:
        try:
            other = await wired(self._dsn, "tenuto looks", {})
            try:
                process = self._wire.get_server_pid()
                waits = await other.raw.fetchval(_WAITS, process, timeout=CONNECT_SECONDS)
            finally:
                other.raw.terminate()
        except ERRORS:
            return False
        return waits is True and not other.is_pooled
