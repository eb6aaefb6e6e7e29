"""SQLite's errors in the words of ``tenuto.model.errors``: what happened, which file, what to do.

Keeps apart what the host retries (StorageUnavailableError) from what only a person can mend.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from tenuto.model.errors import (
    FencedError,
    StorageCorruptError,
    StorageError,
    StorageImportedError,
    StorageReadOnlyError,
    StorageUnavailableError,
)

_UNAVAILABLE = (
    (apsw.FullError, "its disk is full; free some space"),
    ((apsw.BusyError, apsw.LockedError), "another process keeps it locked; end that one"),
    (apsw.IOError, "reading or writing it failed; look at the disk"),
    (apsw.CantOpenError, "it cannot be opened; look at the path and the rights on its folder"),
    (apsw.ProtocolError, "its lock protocol failed; do not keep it on a network drive"),
)
_READ_ONLY = (apsw.ReadOnlyError, apsw.PermissionsError)
_CORRUPT = (apsw.CorruptError, apsw.NotADBError)


@contextmanager
def translated(path: str, doing: str) -> Iterator[None]:
    """Turn SQLite's errors into ours; ``doing`` says what was being done."""
    try:
        yield
    except (apsw.Error, MemoryError) as error:
        raise translate(error, path, doing) from error


def translate(error: Exception, path: str, doing: str) -> StorageError:
    """The error of ours that stands for one of SQLite's, or of the encoder before it."""
    what = f"cannot {doing} the store {path!r}"
    told = f"(SQLite: {error})"
    if isinstance(error, apsw.ConstraintError) and str(error) == "fenced":
        return FencedError(
            f"a commit to the store {path!r} was refused: another host has taken over, or the "
            "batch was already written; nothing of it was written now"
        )
    if isinstance(error, apsw.ConstraintError) and str(error) == "imported":
        return StorageImportedError(
            f"the store {path!r} was imported from Azure Storage to be looked at: nothing runs on "
            "it, and what is in it cannot be steered. Look at it with `tenuto instances list`, "
            "`show` and `history`; start a host on another store"
        )
    if isinstance(error, _READ_ONLY) or (
        isinstance(error, apsw.CantOpenError) and not _folder_is_writable(path)
    ):
        return read_only(path, doing, told)
    if isinstance(error, _CORRUPT):
        return StorageCorruptError(
            f"{what}: the file is damaged or not a Tenuto store; restore it from a backup or "
            f"choose another file {told}"
        )
    if isinstance(error, MemoryError | apsw.NoMemError):
        short = StorageUnavailableError(f"{what}: memory ran out {told}", out_of_memory=True)
        return short.told_as(f"cannot {doing} the store: memory ran out")
    for classes, reason in _UNAVAILABLE:
        if isinstance(error, classes):
            away = StorageUnavailableError(f"{what}: {reason} {told}")
            return away.told_as(f"cannot {doing} the store: {reason}")
    return StorageError(f"{what}: SQLite refused it, which is a defect in Tenuto {told}")


def read_only(path: str, doing: str, told: str) -> StorageReadOnlyError:
    """The error for a store that this user may not write."""
    return StorageReadOnlyError(
        f"cannot {doing} the store {path!r}: the file or its folder is read-only for this user; "
        f"give the user the right to write both {told}"
    )


def _folder_is_writable(path: str) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(Path(path).parent, os.W_OK, effective_ids=effective)
