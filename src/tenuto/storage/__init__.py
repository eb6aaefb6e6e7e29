"""The Storage port made real.

Each backend is a folder; SQL stands in ``.sql`` files. Never decides anything about instances.
"""

import os
from typing import TYPE_CHECKING

from tenuto.engine.ports import Storage
from tenuto.model.errors import SettingsError
from tenuto.storage.sqlite import SqliteStorage
from tenuto.storage.sqlite.database import MEMORY
from tenuto.storage.sqlite.lock import holder

if TYPE_CHECKING:
    from tenuto.engine.upkeep import StorageUpkeep

__all__ = ["open_storage", "owner_of", "path_of", "upkeep_of"]


def open_storage(url: str, *, partitions: int = 1, create: bool = True) -> Storage:
    """The store behind a URL; ``await storage.open()`` opens it.

    Args:
        url: ``sqlite:///orders.db`` (relative), ``sqlite:////var/lib/orders.db`` (absolute),
            ``sqlite://`` (in memory, gone at the end, only for tests).
        partitions: Number of partitions of a hub that is created.
        create: Whether a store that does not exist is made; otherwise opening it is refused.

    Raises:
        SettingsError: for any other URL.
    """
    return SqliteStorage(_place_of(url), partitions=partitions, create=create)


def path_of(url: str) -> str:
    """The real path of the file behind a storage URL; ``:memory:`` for a store in memory.

    Raises:
        SettingsError: for any other URL.
    """
    place = _place_of(url)
    return place if place == MEMORY else os.path.realpath(place)


def upkeep_of(url: str) -> "StorageUpkeep":
    """What looks after the store behind a URL.

    Raises:
        SettingsError: for any other URL.
    """
    from tenuto.storage.sqlite.upkeep import SqliteUpkeep  # noqa: PLC0415 - for few commands alone

    return SqliteUpkeep(path_of(url))


def owner_of(url: str) -> str | None:
    """The host that owns the store behind a URL now, in words; None when none does."""
    return holder(path_of(url))


def _place_of(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme != "sqlite":
        raise SettingsError(_not_sqlite(url, scheme))
    if rest == "":
        return MEMORY
    path = rest[1:]
    if not rest.startswith("/") or path in {"", ":memory:"} or "?" in path or "#" in path:
        raise SettingsError(
            f"the store's URL {url!r} is not understood; write sqlite:///name.db for a file in "
            "the current folder, sqlite:////folder/name.db for an absolute path (no parameters)"
        )
    return path


def _not_sqlite(url: str, scheme: str) -> str:
    what = f"the store's URL {url!r} is not understood"
    if scheme.partition("+")[0] in {"postgres", "postgresql"}:
        what = "PostgreSQL is not supported: this release of Tenuto has only SQLite"
    return f"{what}; write sqlite:///name.db or sqlite:////folder/name.db"
