"""Whose a connection is, by the names of its classes; nothing is imported to find out."""

from collections.abc import Awaitable
from typing import Any, Final, Protocol

from tenuto.model.errors import InputError
from tenuto.storage.callers.doors import Asking, Door


class Caller(Protocol):
    """A connection that is a caller's, with its transaction open.

    Raises:
        InputError: by ``carry``: the connection cannot be used for this.
    """

    def carry(self, asking: Asking) -> Awaitable[None] | None:
        """Run the statements, in order; to be awaited where something comes back."""


def _of_sqlite3(connection: Any, door: Door) -> Caller:  # noqa: ANN401 - here and below: its class was told by name
    from tenuto.storage.callers.of_sqlite3 import SqliteCaller  # noqa: PLC0415 - few have one

    return SqliteCaller(connection, door)


def _of_psycopg(connection: Any, door: Door) -> Caller:  # noqa: ANN401
    from tenuto.storage.callers.of_psycopg import PsycopgCaller  # noqa: PLC0415 - its users' own

    return PsycopgCaller(connection, door)


def _of_async_psycopg(connection: Any, door: Door) -> Caller:  # noqa: ANN401
    from tenuto.storage.callers.of_psycopg import AsyncPsycopgCaller  # noqa: PLC0415 - as above

    return AsyncPsycopgCaller(connection, door)


def _of_asyncpg(connection: Any, door: Door) -> Caller:  # noqa: ANN401
    from tenuto.storage.callers.of_asyncpg import AsyncpgCaller  # noqa: PLC0415 - as above

    return AsyncpgCaller(connection, door)


def _of_sqlalchemy(connection: Any, door: Door) -> Caller:  # noqa: ANN401
    from tenuto.storage.callers.of_sqlalchemy import SqlalchemyCaller  # noqa: PLC0415 - as above

    return SqlalchemyCaller(connection, door)


def _of_async_sqlalchemy(connection: Any, door: Door) -> Caller:  # noqa: ANN401
    from tenuto.storage.callers.of_sqlalchemy import AsyncSqlalchemyCaller  # noqa: PLC0415 - as above

    return AsyncSqlalchemyCaller(connection, door)


_KNOWN: Final = {
    ("sqlite3", "Connection"): _of_sqlite3,
    ("psycopg", "Connection"): _of_psycopg,
    ("psycopg", "AsyncConnection"): _of_async_psycopg,
    ("asyncpg", "Connection"): _of_asyncpg,
    ("asyncpg", "PoolConnectionProxy"): _of_asyncpg,
    ("sqlalchemy", "Connection"): _of_sqlalchemy,
    ("sqlalchemy", "Session"): _of_sqlalchemy,
    ("sqlalchemy", "AsyncConnection"): _of_async_sqlalchemy,
    ("sqlalchemy", "AsyncSession"): _of_async_sqlalchemy,
}
_KINDS: Final = {
    "sqlite3": "sqlite",
    "psycopg": "postgresql",
    "asyncpg": "postgresql",
}
"""Those that know one database alone."""


def caller_of(connection: object, door: Door) -> Caller:
    """What carries statements over a connection.

    Raises:
        InputError: it is none that is known, or to a database of another kind.
    """
    for kind in type(connection).__mro__:
        package = kind.__module__.partition(".")[0]
        found = _KNOWN.get((package, kind.__name__))
        if found is not None:
            database = _KINDS.get(package, door.kind)
            if database != door.kind:
                raise InputError(
                    f"nothing was handed over: a connection of {package} is to {database}, and the "
                    f"hub is in {door.kind}"
                )
            return found(connection, door)
    names = ", ".join(
        f"{package}.{name}" for package, name in _KNOWN if name != "PoolConnectionProxy"
    )
    shown = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise InputError(
        f"nothing can be handed over with a {shown}; known are {names}. Of a pool, an engine or a "
        "cursor give the connection"
    )


def no_transaction(what: str) -> InputError:
    """The error of a connection on which each statement would be a transaction of its own."""
    return InputError(
        f"nothing was handed over: {what} commits each statement by itself (autocommit), so "
        "nothing could be rolled back with yours; begin a transaction first"
    )


def is_closed(what: str) -> InputError:
    """The error of a connection that is closed."""
    return InputError(f"nothing was handed over: {what} is closed")
