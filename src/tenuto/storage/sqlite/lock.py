"""One host owns a store: a lock of the operating system on ``<store>.owner``.

The system drops the lock when its process dies, however it dies, so a crashed owner never blocks
the next. The file's text says who holds it, for the error message of whoever comes second. Keeps
the promise ``one_owner`` together with the fences.
"""

import os
import sys
import weakref
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tenuto.model.errors import StorageOwnedError
from tenuto.storage.sqlite.errors import read_only

_held: "weakref.WeakSet[OwnerLock]" = weakref.WeakSet()


class OwnerLock:
    """The right to be the one owner of the store at ``path`` (a real path)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = f"{path}.owner"
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def take(self, description: str) -> None:
        """Take the lock at once or refuse.

        Raises:
            StorageOwnedError: naming the holder.
        """
        if self.held:
            return
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise read_only(self._path, "own", f"({error})") from error
        if not try_lock(descriptor):
            holder = _read(descriptor)
            os.close(descriptor)
            raise StorageOwnedError(
                f"the store {self._path!r} is owned by another host: {holder}. One host at a time "
                "can run a SQLite store: stop that host, or use another store; commands and "
                "queries work beside it without owning the store"
            )
        self._descriptor = descriptor
        _held.add(self)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        _write(descriptor, f"{description}, pid {os.getpid()}, since {since}")

    def drop(self) -> None:
        """Give the lock back. The file stays: deleting it would race with the next owner."""
        if self._descriptor is not None:
            _write(self._descriptor, "")
            self.forget()

    def forget(self) -> None:
        """Close our handle; the lock lives as long as another process shares it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            _held.discard(self)


def check_names(path: str) -> None:
    """See that the store has no second name under which another host could run on it.

    SQLite keeps its log beside each name, so two processes would ruin the file, and our lock, which
    is beside the name as well, would not keep them apart.

    Raises:
        StorageOwnedError: it has one.
    """
    try:
        status = Path(path).stat()
    except OSError:  # whoever opens it tells
        return
    if status.st_nlink > 1:
        raise StorageOwnedError(
            f"the store {path!r} is one of {status.st_nlink} names of the same file (hard links), "
            "and a host on another one would not be seen and would damage it. Keep one name and "
            f"delete the others: `find / -xdev -inum {status.st_ino}` lists them"
        )


def holder(path: str) -> str | None:
    """Who owns the store at ``path`` (a real path) now, in words; None when nobody does.

    Tries the lock for an instant, so whoever asks for it in that instant is refused.
    """
    try:
        descriptor = os.open(f"{path}.owner", os.O_RDWR)
    except OSError:  # no host has ever run, or we may not write: then we cannot tell
        return None
    try:
        return None if try_lock(descriptor) else _read(descriptor)
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, 4096).decode(errors="replace").strip()
    return text or "one that has not said who it is"


def _write(descriptor: int, text: str) -> None:
    # On a full disk the lock holds all the same; only the message to a second host is poorer.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text.encode())


if sys.platform == "win32":  # pragma: no cover - measured on POSIX
    import msvcrt

    # Windows forbids others to read a locked range, so the range lies far behind the text.
    _FAR = 1 << 30

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this process, at once or not at all; whether that went well."""
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this process, at once or not at all; whether that went well."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _forget_in_child() -> None:  # pragma: no cover - runs where nothing is measured
        # A forked child shares the lock; if it lived on, it would keep it after our death.
        for lock in list(_held):
            lock.forget()

    os.register_at_fork(after_in_child=_forget_in_child)
