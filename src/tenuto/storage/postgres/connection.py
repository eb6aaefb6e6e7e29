"""One connection to the server: made when it is wanted, and given up rather than canceled.

Owns the rule that nothing which was sent is ever called back: the driver turns a canceled or timed
out call into a request to the server to cancel, and with synchronous replicas that makes a commit
visible which no replica has. So each piece of work runs in a task of its own to its end, whatever
becomes of its caller; what takes too long loses its connection (the server goes on waiting, and its
locks hold).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg

from tenuto.model.errors import StorageError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.errors import ERRORS, not_opened, translate
from tenuto.storage.postgres.statements import Statement, statements

T = TypeVar("T")

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 60.0
"""After so long without an answer the connection is given up."""


class Session:
    """What may be done on an open connection: statements by name."""

    def __init__(self, wire: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
        self.wire = wire
        self._statements = statements(schema)

    def _bound(self, name: str, values: dict[str, Any]) -> tuple[str, list[Any]]:
        statement: Statement = self._statements[name]
        return statement.text, statement.bound(values)

    async def rows(self, name: str, /, **values: Any) -> list[asyncpg.Record]:
        """All rows of a statement."""
        text, bound = self._bound(name, values)
        return await self.wire.fetch(text, *bound)

    async def row(self, name: str, /, **values: Any) -> asyncpg.Record | None:
        """The first row; None when there is none."""
        text, bound = self._bound(name, values)
        return await self.wire.fetchrow(text, *bound)

    async def value(self, name: str, /, **values: Any) -> Any:  # noqa: ANN401 - a column's
        """The first column of the first row; None when there is none."""
        text, bound = self._bound(name, values)
        return await self.wire.fetchval(text, *bound)

    async def run(self, name: str, /, **values: Any) -> int:
        """Run a statement; how many rows it changed or found."""
        text, bound = self._bound(name, values)
        said = await self.wire.fetch(text, *bound) if " RETURNING " in text else None
        if said is not None:
            return len(said)
        tag = await self.wire.execute(text, *bound)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    def together(self, *, of_one_moment: bool = False) -> Any:  # noqa: ANN401 - the driver's
        """Around statements that are one transaction; or that read the store of one moment."""
        if of_one_moment:
            return self.wire.transaction(isolation="repeatable_read", readonly=True)
        return self.wire.transaction()


def patience_within(lease_seconds: float) -> dict[str, str]:
    """Settings for a connection whose transactions lock what other hosts wait for.

    One that stands still, since its host hangs or its line is dead, is ended by the server: soon
    enough that hosts whose commits wait for it lose no lease, because their renewals wait too.
    """
    return {"idle_in_transaction_session_timeout": f"{round(lease_seconds * 1000 / 3)}ms"}


Work: TypeAlias = Callable[[Session], Awaitable[T]]


class Connection:
    """One connection, for one piece of work at a time, in their order.

    Args:
        address: Of the store.
        name: What the server lists it as.
        settings: Of the server, for this connection.
    """

    def __init__(self, address: Address, name: str, settings: dict[str, str] | None = None) -> None:
        self._address = address
        self._settings = {"application_name": f"tenuto {name}", **(settings or {})}
        self._wire: asyncpg.Connection[asyncpg.Record] | None = None
        self._lock = asyncio.Lock()
        self._is_closed = False

    async def open(self) -> None:
        """Connect now, to find out whether it goes.

        Raises:
            SettingsError: the server does not let this user in.
            StorageError: it cannot be reached.
        """
        try:
            async with self._lock:
                await self._opened()
        except ERRORS as error:
            raise not_opened(error, self._address.url) from error

    async def do(self, work: Work[T], doing: str) -> T:
        """Do a piece of work, to its end even when the caller is canceled.

        Raises:
            StorageError: the server's errors, in our words; those that are about what was written
                come as they are (``CONTENT_ERRORS``).
        """
        try:
            return await self.as_it_is(work)
        except ERRORS as error:
            raise translate(error, self._address.url, doing) from error

    async def as_it_is(self, work: Work[T]) -> T:
        """The same, with the driver's own errors."""
        task = asyncio.get_running_loop().create_task(self._do(work))
        task.add_done_callback(_heard)
        return await asyncio.shield(task)

    async def _do(self, work: Work[T]) -> T:
        async with self._lock:
            wire = await self._opened()
            alarm = asyncio.get_running_loop().call_later(ANSWER_SECONDS, wire.terminate)
            try:
                return await work(Session(wire, self._address.schema))
            except asyncpg.PostgresError:
                raise
            except BaseException as error:
                # It is not known what the server makes of it, or the driver: another one is safe.
                is_lost = isinstance(error, asyncpg.InternalClientError) or wire.is_closed()
                if is_lost or wire.is_in_transaction():
                    self._drop()
                raise
            finally:
                alarm.cancel()
                if wire.is_closed():
                    self._drop()

    async def _opened(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._is_closed:
            raise StorageError(
                f"the store {self._address.url!r} is not open; open it before using it"
            )
        if self._wire is None or self._wire.is_closed():
            self._wire = await asyncpg.connect(
                self._address.dsn, timeout=CONNECT_SECONDS, server_settings=self._settings
            )
        return self._wire

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.terminate()

    async def close(self) -> None:
        """Finish what is being done, for a moment, and part from the server."""
        self._is_closed = True
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            self._drop()
            return
        try:
            if self._wire is not None and not self._wire.is_closed():
                await self._wire.close(timeout=CONNECT_SECONDS)
        except ERRORS:
            self._drop()
        finally:
            self._wire = None
            self._lock.release()


def _heard(task: "asyncio.Task[Any]") -> None:
    """Its caller may have gone: nobody else asks how it ended."""
    if not task.cancelled():
        task.exception()
