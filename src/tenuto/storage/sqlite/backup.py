"""A copy of a store, made beside its host: as it was at one moment, checked, and in place at once.

Reads in one transaction, so that a commit never makes it begin again, and never waits for it. What
it costs the host: the log cannot begin anew until the copy is made, and the disk is shared.
"""

import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import apsw

from tenuto.engine.upkeep import Copy, Told
from tenuto.model.errors import SettingsError, StorageCorruptError, StorageVersionError
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite.copies import host_had_stopped, mark_copy
from tenuto.storage.sqlite.database import (
    APPLICATION_ID,
    check_no_log_is_left,
    transaction,
    value,
)
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.placing import (
    Partial,
    check_room,
    checked_target,
    move_into_place,
    partial_file,
)
from tenuto.storage.sqlite.queries import MIGRATIONS, SQL

_BUSY_MILLISECONDS: Final = 5_000
_PAGES_PER_STEP: Final = 256  # 1 MiB
_LONGEST_PAUSE_SECONDS: Final = 0.05
_STEPS_PER_SYNC: Final = 4  # what is synced in one go, a commit of the host waits behind


def back_up(
    path: str, target: str, now: Callable[[], Microseconds], *, force: bool, told: Told
) -> Copy:
    """Copy a store into a file, whether or not a host runs on it.

    Args:
        path: The store's file.
        target: The file to be made.
        now: Tells the present.
        force: Whether a file that is there is replaced.
        told: Called with how much is done, of how much.

    Raises:
        SettingsError: there is no store, or the file cannot go there.
        StorageCorruptError: the store is damaged: the copy is, so it was deleted.
        StorageError: one of them cannot be read or written.
    """
    place = checked_target(target, force=force)
    _refuse_itself(path, place)
    with partial_file(place) as partial:
        reaches_to = copied(path, partial, now, told)
        found = finished(partial, target, reaches_to)
        move_into_place(partial, place, force=force)
        return found


def copied(
    path: str, partial: Partial, now: Callable[[], Microseconds], told: Told
) -> Microseconds:
    """Copy the pages of a store as they are at one moment; up to when that reaches.

    A copy that nobody has started reaches no further than it did.
    """
    source = _open_source(path)
    try:
        copied_at = now()  # before the snapshot, so nothing that came later is promised
        with translated(path, "copy"), transaction(source, "DEFERRED"):
            reaches_to: Microseconds | None = value(source, "copied_at")  # from here on it is fixed
            _copy_pages(source, partial, told)
    finally:
        source.close()
    return copied_at if reaches_to is None else reaches_to


def _open_source(path: str) -> apsw.Connection:
    """A connection for reading a store that is of this Tenuto.

    Raises:
        SettingsError: there is none.
        StorageCorruptError: it is another program's file.
        StorageVersionError: it is another Tenuto's.
    """
    check_no_log_is_left(path)
    if not Path(path).is_file():
        raise SettingsError(f"there is no store at {path!r}; correct its URL")
    with translated(path, "read"):
        connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(_BUSY_MILLISECONDS)
            check_kind(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def finished(
    partial: Partial, name: str, copied_at: Microseconds, *, accept_loss: bool = False
) -> Copy:
    """Make a file with the pages of a store a copy, and check all of it.

    Args:
        partial: The file.
        name: What it will be called.
        copied_at: Up to when it reaches.
        accept_loss: Let it be started though its host had not stopped.

    Raises:
        StorageCorruptError: it is not sound.
    """
    path = str(partial.path)
    with translated(name, "write"):
        connection = apsw.Connection(path)
        try:
            # A single file: no log and no index of one beside it. Nobody else knows it yet.
            connection.pragma("locking_mode", "exclusive")
            connection.pragma("journal_mode", "delete")
            mark_copy(connection, copied_at)
            faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
            if faults != ["ok"]:
                raise StorageCorruptError(
                    f"the copy {name!r} was not kept, since it is damaged: {faults[0]}. Look at "
                    "the store: tenuto doctor --full; an earlier backup may be sound"
                )
            copy = Copy(
                path=name,
                size=partial.path.stat().st_size,
                instances=value(connection, "instance_count"),
                reaches_to=copied_at,
                host_had_stopped=host_had_stopped(connection),
            )
            if accept_loss:
                connection.execute(SQL["part_from_owners"])
            return copy
        finally:
            connection.close()


def _copy_pages(source: apsw.Connection, partial: Partial, told: Told) -> None:
    pages = _number(source, "page_count")
    check_room(partial.target, pages * _number(source, "page_size"))
    with translated(str(partial.target), "write"):
        copy = apsw.Connection(str(partial.path))
        try:
            # Half a copy is deleted, a whole one synced at the end: no need to undo anything.
            copy.pragma("journal_mode", "off")
            copy.pragma("synchronous", "off")
            with copy.backup("main", source, "main") as steps:
                while not steps.done:
                    began = monotonic()
                    for _ in range(_STEPS_PER_SYNC):
                        steps.step(_PAGES_PER_STEP)
                    partial.sync()
                    told(steps.page_count - steps.remaining, steps.page_count)
                    # The other half of the disk's time is for the host.
                    sleep(min(monotonic() - began, _LONGEST_PAUSE_SECONDS))
        finally:
            copy.close()


def _refuse_itself(path: str, target: Path) -> None:
    names = {os.path.realpath(f"{path}{beside}") for beside in ("", "-wal", "-shm", ".owner")}
    if os.path.realpath(target) in names:
        raise SettingsError(f"{str(target)!r} belongs to the store itself; give another name")


def check_kind(connection: apsw.Connection, path: str) -> None:
    """Refuse a file that is no store of this Tenuto.

    Raises:
        StorageCorruptError: it is another program's file.
        StorageVersionError: it is another Tenuto's.
    """
    if _number(connection, "application_id") != APPLICATION_ID:
        raise StorageCorruptError(f"the file {path!r} is not a Tenuto store; correct its URL")
    schema = _number(connection, "user_version")
    if schema != len(MIGRATIONS):
        raise StorageVersionError(
            f"the store {path!r} has schema {schema}, this Tenuto knows {len(MIGRATIONS)}; back it "
            "up with the Tenuto that runs on it"
        )


def _number(connection: apsw.Connection, name: str) -> int:
    found = connection.pragma(name)
    assert isinstance(found, int)
    return found
