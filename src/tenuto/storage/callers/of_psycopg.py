"""Connections of psycopg 3."""

from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from tenuto.storage.callers.doors import Asking, Door, Rows, carried, carried_there
from tenuto.storage.callers.recognising import is_closed, no_transaction
from tenuto.storage.callers.statements import Statement


class PsycopgCaller:
    """One of them.

    Args:
        connection: The caller's.
        door: Into the hub.
    """

    def __init__(self, connection: "psycopg.Connection[Any]", door: Door) -> None:
        self._connection = connection
        self._door = door

    def carry(self, asking: Asking) -> None:
        """Run the statements, on the calling thread."""
        _check(self._connection)
        carried(asking, self._run)

    def _run(self, statement: Statement) -> Rows:
        try:
            # A plain cursor, whatever the caller's make of arguments and rows.
            with psycopg.Cursor(self._connection, row_factory=tuple_row) as cursor:
                return cursor.execute(_text(statement), statement.values).fetchall()
        except psycopg.Error as error:
            _refuse(self._door, error)
            raise


class AsyncPsycopgCaller:
    """The same, with an event loop.

    Args:
        connection: The caller's.
        door: Into the hub.
    """

    def __init__(self, connection: "psycopg.AsyncConnection[Any]", door: Door) -> None:
        self._connection = connection
        self._door = door

    async def carry(self, asking: Asking) -> None:
        """Run the statements."""
        _check(self._connection)
        await carried_there(asking, self._run)

    async def _run(self, statement: Statement) -> Rows:
        try:
            async with psycopg.AsyncCursor(self._connection, row_factory=tuple_row) as cursor:
                await cursor.execute(_text(statement), statement.values)
                return await cursor.fetchall()
        except psycopg.Error as error:
            _refuse(self._door, error)
            raise


def _check(connection: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]") -> None:
    if connection.closed:
        raise is_closed("the connection of psycopg")
    is_idle = connection.info.transaction_status is TransactionStatus.IDLE
    if connection.autocommit and is_idle:
        raise no_transaction("the connection of psycopg")


def _text(statement: Statement) -> bytes:
    return statement.named("%({})s", lambda name: name.replace("%", "%%")).encode()


def _refuse(door: Door, error: psycopg.Error) -> None:
    refusal = door.refusal(error.sqlstate, str(error))
    if refusal is not None:
        raise refusal from error
