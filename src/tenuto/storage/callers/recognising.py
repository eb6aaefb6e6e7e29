"""Whose a connection is, by the names of its classes; nothing is imported to find out."""

from collections.abc import Awaitable
from importlib import import_module
from typing import Final, Protocol, cast

from tenuto.model.errors import InputError
from tenuto.storage.callers.doors import Asking, Door


class Caller(Protocol):
    """A connection that is a caller's, with its transaction open.

    Raises:
        InputError: by ``carry``: the connection cannot be used for this.
    """

    def carry(self, asking: Asking) -> Awaitable[None] | None:
        """Run the statements, in order; to be awaited where something comes back."""


class _Makes(Protocol):
    def __call__(self, connection: object, door: Door, /) -> Caller: ...


_HERE: Final = "tenuto.storage.callers"
_KNOWN: Final = {
    ("sqlite3", "Connection"): (f"{_HERE}.of_sqlite3", "SqliteCaller"),
    ("psycopg", "Connection"): (f"{_HERE}.of_psycopg", "PsycopgCaller"),
    ("psycopg", "AsyncConnection"): (f"{_HERE}.of_psycopg", "AsyncPsycopgCaller"),
    ("asyncpg", "Connection"): (f"{_HERE}.of_asyncpg", "AsyncpgCaller"),
    ("asyncpg", "PoolConnectionProxy"): (f"{_HERE}.of_asyncpg", "AsyncpgCaller"),
    ("sqlalchemy", "Connection"): (f"{_HERE}.of_sqlalchemy", "SqlalchemyCaller"),
    ("sqlalchemy", "Session"): (f"{_HERE}.of_sqlalchemy", "SqlalchemyCaller"),
    ("sqlalchemy", "AsyncConnection"): (f"{_HERE}.of_sqlalchemy", "AsyncSqlalchemyCaller"),
    ("sqlalchemy", "AsyncSession"): (f"{_HERE}.of_sqlalchemy", "AsyncSqlalchemyCaller"),
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
            module, name = found
            make = cast("_Makes", getattr(import_module(module), name))
            return make(connection, door)
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
