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

from tenuto.engine.asking import seen
from tenuto.model.errors import StorageError, StorageUnavailableError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.errors import (
    ERRORS,
    GONE,
    is_the_end,
    newer,
    not_opened,
    translate,
)
from tenuto.storage.postgres.patience import Patience
from tenuto.storage.postgres.statements import NEWEST_SCHEMA, Statement, statements
from tenuto.storage.postgres.wiring import CONNECT_SECONDS, Wire, on_unreplicated, wired

T = TypeVar("T")

ANSWER_SECONDS: Final = 60.0
"""After so long without an answer the connection is given up, unless standbys are waited for."""


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
        self._name = f"tenuto {name}"
        self._settings = settings or {}
        self._wire: Wire | None = None
        self._is_unreplicated = False
        self._lock = asyncio.Lock()
        self._is_closed = False

    @property
    def is_pooled(self) -> bool:
        """Whether the server was last reached through a pooler."""
        return self._wire is not None and self._wire.is_pooled

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
            raise not_opened(error, self._address) from error

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
        task.add_done_callback(seen)
        return await asyncio.shield(task)

    async def _do(self, work: Work[T]) -> T:
        async with self._lock:
            wire = await self._opened()
            patience = Patience(wire, self._address.dsn, ANSWER_SECONDS)
            self._is_unreplicated = False
            try:
                return self._sure(await work(Session(wire, self._address.schema)))
            except asyncpg.PostgresError as error:
                if is_the_end(error):
                    self._drop()
                if isinstance(error, GONE):
                    await self._look_for_newer(wire, error)
                raise
            except BaseException as error:
                # It is not known what the server makes of it, or the driver: another one is safe.
                if wire.is_closed() or wire.is_in_transaction() or is_the_end(error):
                    self._drop()
                raise
            finally:
                patience.end()
                if wire.is_closed():
                    self._drop()

    async def _look_for_newer(
        self, wire: "asyncpg.Connection[asyncpg.Record]", error: asyncpg.PostgresError
    ) -> None:
        """What is not there any more may be of another form now, made by a newer Tenuto."""
        try:
            schema = await Session(wire, self._address.schema).value("facts")
        except ERRORS:
            return
        if schema is not None and schema > NEWEST_SCHEMA:
            raise newer(self._address.url, schema) from error

    def _sure(self, result: T) -> T:
        """The result, unless it is there and not on the standbys, which the server said before."""
        if not self._is_unreplicated:
            return result
        raise StorageUnavailableError(
            f"the store {self._address.url!r} has written without waiting for its standbys: "
            "somebody has canceled the wait (pg_cancel_backend); it is in doubt until they have it"
        )

    async def _opened(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._is_closed:
            raise StorageError(
                f"the store {self._address.url!r} is not open; open it before using it"
            )
        if self._wire is None or self._wire.raw.is_closed():
            self._wire = wire = await wired(self._address.dsn, self._name, self._settings)
            on_unreplicated(wire.raw, self._has_not_waited)
            if wire.waits in {"off", "local"}:
                self._drop()
                raise StorageUnavailableError(
                    f"synchronous_commit is {wire.waits} for the user of {self._address.url!r}, "
                    "and behind a pooler that cannot be changed from here: what was written could "
                    "be lost. ALTER ROLE … SET synchronous_commit = on, and let the pooler "
                    "reconnect"
                )
        return self._wire.raw

    def _has_not_waited(self) -> None:
        self._is_unreplicated = True

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.raw.terminate()

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
            if self._wire is not None and not self._wire.raw.is_closed():
                await self._wire.raw.close(timeout=CONNECT_SECONDS)
        except ERRORS:
            self._drop()
        finally:
            self._wire = None
            self._lock.release()
