"""Connections of Python's own ``sqlite3``."""

import sqlite3
from typing import Any, Final

from tenuto.storage.callers.doors import Asking, Door, Rows, carried
from tenuto.storage.callers.recognising import is_closed, no_transaction
from tenuto.storage.callers.statements import Statement

_HAS_OCTET_LENGTH: Final = (3, 43)


class SqliteCaller:
    """One of them.

    Args:
        connection: The caller's.
        door: Into the hub.
    """

    def __init__(self, connection: sqlite3.Connection, door: Door) -> None:
        self._connection = connection
        self._door = door

    def carry(self, asking: Asking) -> None:
        """Run the statements, on the calling thread."""
        connection = self._connection
        try:
            _ = connection.total_changes
        except sqlite3.ProgrammingError as error:
            if "closed" not in str(error):
                raise  # it is another thread's
            raise is_closed("the connection of sqlite3") from None
        check_transaction(connection)
        files = self._rows("PRAGMA database_list", {})
        self._door.check_file([(name, file or "") for _, name, file in files])
        complete(connection)
        carried(asking, self._run)

    def _run(self, statement: Statement) -> Rows:
        try:
            return self._rows(statement.named(), statement.values)
        except sqlite3.OperationalError as error:
            refusal = self._door.refusal(None, str(error))
            if refusal is None:
                raise
            raise refusal from error

    def _rows(self, text: str, values: dict[str, Any]) -> Rows:
        cursor = sqlite3.Cursor(self._connection)  # without a factory of rows of the caller's
        try:
            cursor.row_factory = None
            return cursor.execute(text, values).fetchall()
        finally:
            cursor.close()


def check_transaction(connection: Any) -> None:  # noqa: ANN401 - aiosqlite's looks the same
    """See that a transaction is open, or begins with the next statement that writes.

    Raises:
        InputError: neither.
    """
    # From Python 3.12 on there is another way to say it.
    is_automatic = connection.isolation_level is None or (
        getattr(connection, "autocommit", None) is True
    )
    is_begun_for_it = getattr(connection, "autocommit", None) is False
    if is_automatic and not is_begun_for_it and not connection.in_transaction:
        raise no_transaction("the connection of sqlite3")


def complete(connection: Any) -> None:  # noqa: ANN401 - aiosqlite's looks the same
    """Give a connection of an older SQLite what the hub's triggers must find when they are read."""
    if sqlite3.sqlite_version_info < _HAS_OCTET_LENGTH:
        connection.create_function("octet_length", 1, _octet_length)


def _octet_length(value: str | bytes | None) -> int | None:
    if value is None:
        return None
    return len(value.encode() if isinstance(value, str) else value)
