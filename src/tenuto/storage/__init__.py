"""The Storage port made real.

Each backend is a folder; SQL stands in ``.sql`` files. Never decides anything about instances.
"""

from tenuto.engine.ports import Storage
from tenuto.model.errors import SettingsError
from tenuto.storage.sqlite import SqliteStorage

__all__ = ["open_storage"]


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
    scheme, separator, rest = url.partition("://")
    if not separator or scheme != "sqlite":
        raise SettingsError(_not_sqlite(url, scheme))
    if rest == "":
        return SqliteStorage(":memory:", partitions=partitions, create=create)
    path = rest[1:]
    if not rest.startswith("/") or path in {"", ":memory:"} or "?" in path or "#" in path:
        raise SettingsError(
            f"the store's URL {url!r} is not understood; write sqlite:///name.db for a file in "
            "the current folder, sqlite:////folder/name.db for an absolute path (no parameters)"
        )
    return SqliteStorage(path, partitions=partitions, create=create)


def _not_sqlite(url: str, scheme: str) -> str:
    what = f"the store's URL {url!r} is not understood"
    if scheme.partition("+")[0] in {"postgres", "postgresql"}:
        what = "PostgreSQL is not supported: this release of Tenuto has only SQLite"
    return f"{what}; write sqlite:///name.db or sqlite:////folder/name.db"
