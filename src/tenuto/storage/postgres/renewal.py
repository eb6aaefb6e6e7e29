"""Leases renewed from a thread of its own, with a connection and a loop of its own.

So no user code that holds the host's loop up makes its partitions another host's. But a loop that
has not answered for long is no owner: then renewal stops, and others take over.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tenuto.engine.rows import Lease
from tenuto.model.errors import StorageError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.connection import Connection, Session

LEASE_SECONDS: Final = 10.0
_BEAT: Final = 0.3
"""Of a lease: after so long it is renewed."""

BLOCKED_SECONDS: Final = 60.0


class Renewal:
    """Renews the leases of the owners that it is given.

    Args:
        address: Of the store.
        lease: How long a lease holds, in seconds.
        blocked: After so many seconds without an answer of the host's loop it is not.
    """

    def __init__(
        self,
        address: Address,
        lease: float,
        blocked: float = BLOCKED_SECONDS,
    ) -> None:
        self._address = address
        self._lease = lease
        self._beat = lease * _BEAT
        self._blocked = blocked
        self._owners: frozenset[str] = frozenset()
        self._thread: threading.Thread | None = None
        self._host: asyncio.AbstractEventLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._answered = 0.0
        self.on_renewed: Callable[[list[Lease]], None] = _nobody_hears
        """Called on the host's loop with what these owners own."""

    def renew_for(self, owner: str) -> None:
        """Renew the leases of this owner, too."""
        self._owners |= {owner}
        if self._thread is None:
            self._host = asyncio.get_running_loop()
            self._answered = self._host.time()
            self._thread = threading.Thread(target=self._run, name="tenuto-leases", daemon=True)
            self._thread.start()

    async def stop(self) -> None:
        """Renew nothing any more."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        await asyncio.get_running_loop().run_in_executor(None, thread.join, self._lease)

    def _run(self) -> None:
        asyncio.run(self._renew())

    async def _renew(self) -> None:
        self._loop = asyncio.get_running_loop()
        stop = self._stop = asyncio.Event()
        connection = Connection(self._address, "leases")
        try:
            while self._thread is not None:
                pause = self._beat
                if self._owners and self._host_answers():
                    try:
                        renewed = await connection.do(self._once, "renew leases in")
                    except StorageError:
                        pause = self._beat / 3  # the host hears of it by its own commits
                    else:
                        self._tell(renewed)
                try:
                    async with asyncio.timeout(pause):
                        await stop.wait()
                except TimeoutError:
                    continue
                return
        finally:
            if self._owners:
                # Whoever comes next need not wait for them; they are not given back either.
                with suppress(StorageError):
                    await connection.do(self._end, "end leases in")
            await connection.close()

    async def _end(self, session: Session) -> None:
        await session.rows("renew", owners=list(self._owners), seconds=0.0)

    async def _once(self, session: Session) -> list[Lease]:
        found = await session.rows("renew", owners=list(self._owners), seconds=self._lease)
        return [Lease(row["partition"], row["owner"], row["epoch"]) for row in found]

    def _host_answers(self) -> bool:
        """Ask the host's loop; whether it has answered lately."""
        host = self._host
        if host is None or host.is_closed():
            return False
        host.call_soon_threadsafe(self._answer)
        assert self._loop is not None
        return self._loop.time() - self._answered < self._blocked

    def _answer(self) -> None:
        assert self._host is not None
        self._answered = self._host.time()  # both clocks are the system's monotonic one

    def _tell(self, renewed: list[Lease]) -> None:
        host = self._host
        if host is not None and not host.is_closed():
            host.call_soon_threadsafe(lambda: self.on_renewed(renewed))


def _nobody_hears(_renewed: list[Lease]) -> None:
    """Who wants to know takes the place of this."""
