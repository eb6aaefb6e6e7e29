"""The Storage port made real.

Each backend is a folder; SQL stands in ``.sql`` files. Never decides anything about instances.
"""

import os
from typing import TYPE_CHECKING, Final

from tenuto.engine.ports import Storage
from tenuto.model.errors import SettingsError
from tenuto.model.shown_urls import shown_url
from tenuto.storage.sharing import Sharing
from tenuto.storage.sqlite import SqliteStorage
from tenuto.storage.sqlite.database import MEMORY
from tenuto.storage.sqlite.lock import holder

if TYPE_CHECKING:
    from types import ModuleType

    from tenuto.engine.upkeep import StorageUpkeep

__all__ = [
    "Sharing",
    "arrival_numbers",
    "is_postgres",
    "open_storage",
    "owner_of",
    "path_of",
    "upkeep_of",
]

_POSTGRES: Final = frozenset({"postgres", "postgresql"})
_POSTGRES_PARTITIONS: Final = 32


def open_storage(
    url: str,
    *,
    partitions: int | None = None,
    create: bool = True,
    sharing: Sharing = Sharing(),  # noqa: B008 - frozen
    direct: str | None = None,
) -> Storage:
    """The store behind a URL; ``await storage.open()`` opens it.

    Args:
        url: ``sqlite:///orders.db`` (relative), ``sqlite:////var/lib/orders.db`` (absolute),
            ``sqlite://`` (in memory, gone at the end, only for tests), or
            ``postgresql://user:password@host/database``, with ``?schema=NAME`` for another hub.
        partitions: Number of partitions of a hub that is created; None for 1 in a file, 32 in
            PostgreSQL.
        create: Whether a store that does not exist is made; otherwise opening it is refused.
        sharing: How hosts share it, if they can.
        direct: Of the same database without the pooler that ``url`` leads to.

    Raises:
        SettingsError: for any other URL, or the extra ``postgres`` is not installed.
    """
    if is_postgres(url):
        postgres = _postgres()
        store: Storage = postgres.PostgresStorage(
            postgres.address_of(url, direct),
            partitions=_POSTGRES_PARTITIONS if partitions is None else partitions,
            create=create,
            sharing=sharing,
        )
        return store
    _refuse_direct(direct)
    return SqliteStorage(
        _place_of(url), partitions=1 if partitions is None else partitions, create=create
    )


def _refuse_direct(direct: str | None) -> None:
    if direct is not None:
        raise SettingsError(
            "storage_direct is for a store in PostgreSQL behind a pooler; this one is a file"
        )


def is_postgres(url: str) -> bool:
    """Whether a URL names a store in PostgreSQL."""
    return url.partition("://")[0] in _POSTGRES


def _postgres() -> "ModuleType":
    try:
        from tenuto.storage import postgres  # noqa: PLC0415 - an extra, imported late
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise SettingsError(
            "a store in PostgreSQL needs the package asyncpg: pip install 'tenuto[postgres]'"
        ) from None
    return postgres


def path_of(url: str) -> str:
    """The real path of the file behind a storage URL; ``:memory:`` for a store in memory; for one
    in PostgreSQL its URL without the password.

    Raises:
        SettingsError: for any other URL.
    """
    if is_postgres(url):
        shown: str = _postgres().address_of(url).url
        return shown
    place = _place_of(url)
    return place if place == MEMORY else os.path.realpath(place)


def upkeep_of(url: str, direct: str | None = None) -> "StorageUpkeep":
    """What looks after the store behind a URL.

    Args:
        url: Of the store.
        direct: Of the same database without a pooler.

    Raises:
        SettingsError: for any other URL.
    """
    if is_postgres(url):
        address = _postgres().address_of(url, direct)
        from tenuto.storage.postgres.upkeep import PostgresUpkeep  # noqa: PLC0415 - for commands

        return PostgresUpkeep(address)
    _refuse_direct(direct)
    from tenuto.storage.sqlite.upkeep import SqliteUpkeep  # noqa: PLC0415 - for few commands alone

    return SqliteUpkeep(path_of(url))


def owner_of(url: str) -> str | None:
    """The host that owns the store behind a URL now, in words; None when none does. Of one in
    PostgreSQL it is asked, and remembered for a second.
    """
    if is_postgres(url):
        return upkeep_of(url).owner
    return holder(path_of(url))


def arrival_numbers(url: str) -> dict[str, int]:
    """How far a store has counted what comes into it: messages, events, and what else others add.
    The same numbers say that nothing has come. Of one in PostgreSQL nothing is said.

    Args:
        url: Of a store that exists.

    Raises:
        StorageError: it cannot be read.
    """
    if is_postgres(url):
        return {}
    from tenuto.storage.sqlite.arrivals import arrival_numbers as numbers  # noqa: PLC0415 - for few

    return numbers(path_of(url))


def _place_of(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme != "sqlite":
        raise SettingsError(
            f"the store's URL {shown_url(url)!r} is not understood; {_written(scheme)}"
        )
    if rest == "":
        return MEMORY
    path = rest[1:]
    if not rest.startswith("/") or path in {"", ":memory:"} or "?" in path or "#" in path:
        raise SettingsError(
            f"the store's URL {shown_url(url)!r} is not understood; write sqlite:///name.db for a "
            "file in the current folder, sqlite:////folder/name.db for an absolute path (no "
            "parameters)"
        )
    return path


def _written(scheme: str) -> str:
    """What to write instead."""
    name, plus, driver = scheme.partition("+")
    if plus and name in _POSTGRES:
        return f"write postgresql://…, without +{driver}: that is for SQLAlchemy alone"
    return (
        "write sqlite:///name.db, sqlite:////folder/name.db or "
        "postgresql://USER:PASSWORD@HOST/DATABASE"
    )
