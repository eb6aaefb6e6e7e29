"""Looks a store over without touching it, for the doctor: what it holds and whether it is sound.

Opens the file for reading only, so nothing is brought up to date or repaired here.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw
import msgspec

from tenuto.engine.upkeep import Examination
from tenuto.model.codec import encode
from tenuto.model.errors import SettingsError, StorageError
from tenuto.model.ids import InstanceId
from tenuto.model.received import KNOWN_TYPES
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite import reader
from tenuto.storage.sqlite.database import (
    APPLICATION_ID,
    check_no_log_is_left,
    transaction,
    value,
)
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.lock import holder
from tenuto.storage.sqlite.queries import MIGRATIONS

_FEW = 1_000
_BUSY_MILLISECONDS = 5_000
_decode_numbers = msgspec.json.Decoder(dict[int, int]).decode
_decode_pair = msgspec.json.Decoder(tuple[int, int | None]).decode
_decode_letters = msgspec.json.Decoder(tuple[int, int | None, int]).decode
_decode_iids = msgspec.json.Decoder(list[int]).decode
_decode_ids = msgspec.json.Decoder(list[InstanceId]).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode
_UNKNOWN: Final = {"known": encode(sorted(KNOWN_TYPES)).decode(), "rows": _FEW}
_decode_waiting = msgspec.json.Decoder(list[tuple[int, InstanceId]]).decode


def examine(path: str, now: Microseconds, *, full: bool = False) -> Examination:
    """Look a store over.

    Args:
        path: The file.
        now: The present.
        full: Read every page and every index, which takes long for a large store.

    Raises:
        SettingsError: there is no such file.
        StorageLostError: there is none, but its log is there.
        StorageCorruptError: it is no SQLite database.
        StorageError: it cannot be read.
    """
    check_no_log_is_left(path)
    if not Path(path).is_file():
        raise SettingsError(
            f"there is no store at {path!r}; a host makes it: tenuto start APP, tenuto run"
        )
    with translated(path, "read"), _reading(path) as connection:
        schema = _number(connection, "user_version")
        if _number(connection, "application_id") != APPLICATION_ID:
            schema = 0
        check = "integrity_check" if full else "quick_check"
        faults = [str(row[0]) for row in connection.execute(f"PRAGMA {check}(20)")]
        found = Examination(
            path=path,
            schema=schema,
            known_schema=len(MIGRATIONS),
            faults=[] if faults == ["ok"] else faults,
            size=_size(path),
            log_size=_size(f"{path}-wal"),
            free_bytes=shutil.disk_usage(Path(path).parent).free,
            owner=holder(path),
        )
        if not found.is_readable:
            return found
        with transaction(connection, "DEFERRED"):
            return _with_contents(found, connection, now)


def _with_contents(
    found: Examination, connection: apsw.Connection, now: Microseconds
) -> Examination:
    counts = _decode_numbers(value(connection, "status_counts"))
    messages, _ = _decode_pair(value(connection, "inbox_counts"))
    is_sealed = bool(value(connection, "is_sealed"))
    # An import has what the hub had: nothing of it got lost here.
    without = "[]" if is_sealed else value(connection, "without_history", {"rows": _FEW})
    letters, newest, unseen = _decode_letters(value(connection, "dead_letter_count"))
    return msgspec.structs.replace(
        found,
        was_left=bool(reader.leases(connection)),
        partitions=value(connection, "hub_partitions"),
        copied_at=value(connection, "copied_at"),
        is_sealed=is_sealed,
        counts={RuntimeStatus(status): count for status, count in counts.items()},
        messages=messages,
        waiting=_decode_waiting(value(connection, "inbox_waiting", {"rows": _FEW})),
        oldest_pending=value(connection, "oldest_pending", {"now": now}),
        dead_letters=letters,
        newest_dead_letter=newest,
        unseen_dead_letters=unseen,
        lost_histories=_decode_iids(value(connection, "lost_histories", {"rows": _FEW})),
        without_history=_decode_ids(without),
        lost_messages=_decode_ids(value(connection, "lost_messages", {"rows": _FEW})),
        unserved_partitions=_decode_iids(value(connection, "unserved_partitions", {"rows": _FEW})),
        unknown_types=_decode_texts(value(connection, "unknown_types", _UNKNOWN)),
    )


def waiting_messages(path: str) -> list[tuple[int, InstanceId]]:
    """The oldest messages that nobody has taken in: arrival number and instance.

    Raises:
        StorageError: the store cannot be read.
    """
    with translated(path, "read"), _reading(path) as connection:
        return _decode_waiting(value(connection, "inbox_waiting", {"rows": _FEW}))


@contextlib.contextmanager
def _reading(path: str) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(_BUSY_MILLISECONDS)
        yield connection
    finally:
        connection.close()


def _number(connection: apsw.Connection, name: str) -> int:
    found = connection.pragma(name)
    if not isinstance(found, int):
        raise StorageError(f"SQLite answered {found!r} to PRAGMA {name}, which is no number")
    return found


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
