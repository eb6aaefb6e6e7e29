"""Connections and sessions of SQLAlchemy, whichever driver is below them."""

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from tenuto.model.errors import InputError
from tenuto.storage.callers.doors import Asking, Door, Rows, carried
from tenuto.storage.callers.of_sqlite3 import check_transaction, complete
from tenuto.storage.callers.recognising import is_closed, no_transaction
from tenuto.storage.callers.statements import Statement


class SqlalchemyCaller:
    """One of them.

    Args:
        connection: The caller's; of a session it is the one that its transaction has.
        door: Into the hub.
    """

    def __init__(self, connection: Connection | Session, door: Door) -> None:
        self._given = connection
        self._door = door

    def carry(self, asking: Asking) -> None:
        """Run the statements, on the calling thread."""
        given = self._given
        connection = given.connection() if isinstance(given, Session) else given
        if connection.closed:
            raise is_closed("the connection of SQLAlchemy")
        if connection.dialect.name != self._door.kind:
            raise InputError(
                f"nothing was handed over: this connection is to {connection.dialect.name}, and "
                f"the hub is in {self._door.kind}"
            )
        if not connection.in_transaction():
            connection.begin()  # as its first statement would
        self._check_transaction(connection)
        if self._door.kind == "sqlite":
            files = connection.exec_driver_sql("PRAGMA database_list").all()
            self._door.check_file([(name, file or "") for _, name, file in files])
            complete(connection.connection.dbapi_connection)
        carried(asking, lambda statement: self._run(connection, statement))

    def _check_transaction(self, connection: Connection) -> None:
        below: Any = connection.connection
        if self._door.kind == "sqlite":
            check_transaction(below.driver_connection)
        elif getattr(below.dbapi_connection, "autocommit", False) is True:
            raise no_transaction("the connection of SQLAlchemy")

    def _run(self, connection: Connection, statement: Statement) -> Rows:
        # A colon in a name would begin an argument.
        words = statement.named(escaped=lambda name: name.replace(":", r"\:"))
        try:
            return [tuple(row) for row in connection.execute(text(words), statement.values)]
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
            refusal = self._door.refusal(state, str(error.orig))
            if refusal is None:
                raise
            raise refusal from error


class AsyncSqlalchemyCaller:
    """The same, with an event loop.

    Args:
        connection: The caller's.
        door: Into the hub.
    """

    def __init__(self, connection: AsyncConnection | AsyncSession, door: Door) -> None:
        self._connection = connection
        self._door = door

    async def carry(self, asking: Asking) -> None:
        """Run the statements."""
        if isinstance(self._connection, AsyncConnection) and self._connection.closed:
            raise is_closed("the connection of SQLAlchemy")
        await self._connection.run_sync(
            lambda connection: SqlalchemyCaller(connection, self._door).carry(asking)
        )
