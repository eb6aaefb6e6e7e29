"""Opening the file: is it ours, is its schema ours, and the settings of each connection.

Creates a hub in an empty file and brings an older schema up to date; refuses everything else by
name. Never touches a file before it is known to be a Tenuto store.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tenuto.model.errors import (
    SettingsError,
    StorageCorruptError,
    StorageLostError,
    StorageOwnedError,
    StorageVersionError,
)
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.lock import OwnerLock
from tenuto.storage.sqlite.queries import MIGRATIONS, SQL

MEMORY = ":memory:"
APPLICATION_ID = 0x54454E55  # "TENU", in the header of the file
_OWNER_ONLY = 0o600
_BUSY_MILLISECONDS = 5_000
_JOURNAL_BYTES = 64 * 1024 * 1024
_WRITER_CACHE_KIB = 16 * 1024
_READER_CACHE_KIB = 4 * 1024

Arguments = dict[str, Any]


def value(connection: apsw.Connection, name: str, arguments: Arguments | None = None) -> Any:  # noqa: ANN401 - the statement decides
    """Run a named statement and return its one value, None without a row."""
    row = connection.execute(SQL[name], arguments).fetchone()
    return None if row is None else row[0]


@contextmanager
def transaction(connection: apsw.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All or nothing. After any failure the connection is usable and nothing is written.

    Crash points: anywhere before COMMIT has returned, nothing is there after the restart or all
    of it is, and the caller has not been told; after it, all of it is on stable storage.
    """
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself after a full disk or an I/O error.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class HubFacts(NamedTuple):
    """What is to be known of a hub; ``copied_at``: it is a copy that reaches up to then."""

    partitions: int
    secret: str
    copied_at: Microseconds | None


def open_writer(
    path: str, partitions: int, *, create: bool = True
) -> tuple[apsw.Connection, HubFacts]:
    """Open or create the hub; return the writing connection and the number of partitions."""
    _check_place(path, create=create)
    with translated(path, "open"):
        if create and path != MEMORY:
            _make_private(path)
        connection = apsw.Connection(path)
        try:
            connection.set_busy_timeout(_BUSY_MILLISECONDS)
            _bring_up_to_date(connection, path, partitions)
            _configure(connection, path)
            return connection, _facts(connection, path)
        except BaseException:
            connection.close()
            raise


def _make_private(path: str) -> None:
    """Make the file, for its owner's eyes alone; SQLite gives the files beside it the same rights.

    Only one that is not there: the rights of a store that exists are its owner's decision. And to
    close a file that is open elsewhere in this process would drop SQLite's locks on it.
    """
    # What stands in the way is told by SQLite, in its own words.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))


def open_reader(path: str) -> apsw.Connection:
    """A second connection, which cannot write."""
    with translated(path, "open"):
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(_BUSY_MILLISECONDS)
        connection.pragma("cache_size", -_READER_CACHE_KIB)
        return connection


def _check_place(path: str, *, create: bool) -> None:
    if not create and not Path(path).exists():
        raise SettingsError(
            f"there is no store at {path!r}; correct its URL, or start a host, which makes it"
        )
    if not create and path != MEMORY and Path(path).is_file() and not Path(path).stat().st_size:
        raise SettingsError(
            f"the file {path!r} is empty: there is no store in it yet; correct its URL, or start a "
            "host, which makes it"
        )
    if path == MEMORY:
        return
    check_no_log_is_left(path)
    folder = Path(path).parent
    if (folder / "generation.json").exists():
        raise SettingsError(
            f"the file {path!r} is a part of a continuous copy, not a store; make one of it: "
            f"tenuto restore {str(folder.parent)!r} FILE"
        )
    if not folder.is_dir():
        raise SettingsError(
            f"the store {path!r} cannot be opened: the folder {str(folder)!r} does not exist; "
            "create it or correct the store's URL"
        )
    if Path(path).is_dir():
        raise SettingsError(
            f"the store {path!r} cannot be opened: it is a folder; the store's URL names a file"
        )


def check_no_log_is_left(path: str) -> None:
    """Refuse a log whose store is gone: SQLite would delete it and begin an empty store.

    Else the supervisor of a host that has lost its file starts it again at once, on nothing, and
    the log, which may hold all that is newest, is no more.

    Raises:
        StorageLostError: there is a log with something in it, and no file, or an empty one.
    """
    log = Path(f"{path}-wal")
    if path == MEMORY or _bytes_of(Path(path)) or not _bytes_of(log):
        return
    raise StorageLostError(
        f"the store {path!r} is gone, and its log {str(log)!r} is still there: put the store's "
        "file back or restore a backup; to begin with an empty store, move the log away first"
    )


def _bytes_of(file: Path) -> int:
    """Its size; 0 when there is none to be seen."""
    try:
        return file.stat().st_size
    except OSError:  # what cannot be looked at is told of by whoever opens it
        return 0


def _bring_up_to_date(connection: apsw.Connection, path: str, partitions: int) -> None:
    version = _schema_version(connection, path)
    if version == len(MIGRATIONS):
        return
    if version == 0:
        _create(connection, path, partitions)
        return
    # A host of the older version may be running on this file; its lock keeps us out.
    lock = OwnerLock(path)
    try:
        lock.take("a newer Tenuto that brings the schema up to date")
        _migrate(connection, path)
    except StorageOwnedError as error:
        raise StorageVersionError(
            f"the store {path!r} has schema {version} and must be brought to {len(MIGRATIONS)}, "
            f"but a host is running on it: stop that host first ({error})"
        ) from error
    finally:
        lock.drop()


def _schema_version(connection: apsw.Connection, path: str) -> int:
    """0 for an empty file; refuse files that are not ours or from the future."""
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    assert isinstance(application, int)
    assert isinstance(version, int)
    if application == 0 and version == 0 and value(connection, "is_empty"):
        return 0
    if application != APPLICATION_ID:
        raise StorageCorruptError(
            f"the file {path!r} is an SQLite database of another program (application id "
            f"{application:#x}), not a Tenuto store; it was left alone. Choose another file"
        )
    if version > len(MIGRATIONS):
        raise StorageVersionError(
            f"the store {path!r} has schema {version}, written by a newer Tenuto; this one knows "
            f"schemas up to {len(MIGRATIONS)}. Upgrade Tenuto, or choose another store"
        )
    return version


def _create(connection: apsw.Connection, path: str, partitions: int) -> None:
    # Crash points: before COMMIT the file is empty as before; after it, it is a hub. WAL mode is
    # set outside, at each opening that finds it missing.
    with transaction(connection):
        if _schema_version(connection, path) != 0:
            return  # another process was faster
        _run_migrations(connection, 0)
        connection.execute(SQL["create_hub"], {"partitions": partitions})
        for partition in range(partitions):
            connection.execute(SQL["create_partition"], {"partition": partition})


def _migrate(connection: apsw.Connection, path: str) -> None:
    # Crash points: before COMMIT the old schema stands, after it the new one.
    with transaction(connection):
        _run_migrations(connection, _schema_version(connection, path))


def _run_migrations(connection: apsw.Connection, version: int) -> None:
    for script in MIGRATIONS[version:]:
        connection.execute(script)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", len(MIGRATIONS))


def _configure(connection: apsw.Connection, path: str) -> None:
    connection.pragma("cache_size", -_WRITER_CACHE_KIB)
    connection.pragma("temp_store", "memory")
    if path == MEMORY or connection.readonly("main"):
        return
    if connection.pragma("journal_mode") != "wal":
        connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("journal_size_limit", _JOURNAL_BYTES)


def _facts(connection: apsw.Connection, path: str) -> HubFacts:
    try:
        partitions = value(connection, "hub_partitions")
        secret = value(connection, "hub_secret")
        copied_at = value(connection, "copied_at")
    except apsw.SQLError as error:
        raise StorageCorruptError(
            f"the store {path!r} lacks tables that belong to it ({error}); restore it from a backup"
        ) from error
    return HubFacts(partitions, secret, copied_at)
