"""Connections of asyncpg, also those of a pool."""

import asyncpg

from tenuto.model.errors import InputError
from tenuto.storage.callers.doors import Asking, Door, Rows, carried_there
from tenuto.storage.callers.recognising import is_closed, no_transaction
from tenuto.storage.callers.statements import Statement


class AsyncpgCaller:
    """One of them.

    Args:
        connection: The caller's.
        door: Into the hub.
    """

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", door: Door) -> None:
        self._connection = connection
        self._door = door

    async def carry(self, asking: Asking) -> None:
        """Run the statements."""
        self._check()
        await carried_there(asking, self._run)

    async def _run(self, statement: Statement) -> Rows:
        text, values = statement.numbered()
        try:
            return [tuple(row.values()) for row in await self._connection.fetch(text, *values)]
        except asyncpg.PostgresError as error:
            refusal = self._door.refusal(error.sqlstate, str(error))
            if refusal is None:
                raise
            raise refusal from error

    def _check(self) -> None:
        try:
            is_open, is_begun = (
                not self._connection.is_closed(),
                self._connection.is_in_transaction(),
            )
        except asyncpg.InterfaceError as error:  # it was given back to its pool
            raise InputError(f"nothing was handed over: {error}") from None
        if not is_open:
            raise is_closed("the connection of asyncpg")
        if not is_begun:
            raise no_transaction("the connection of asyncpg")
