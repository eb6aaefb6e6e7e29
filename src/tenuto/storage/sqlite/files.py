"""Whether the files that are open are still those at the store's path, and whole.

SQLite goes on without a word when its files are deleted, replaced or cut short under it: what is
committed then is in no file that anybody will find. So each commit is followed by a look, and
only then acknowledged (``durable_before_visible``). What others may do is no alarm: checkpoints of
any process make the log shorter, VACUUM the file.

Must never open a file itself: closing it again would drop the locks that SQLite holds on it.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final, NoReturn, TypeVar

import apsw

from tenuto.model.errors import StorageLostError, StorageUnavailableError

_GLANCE_SECONDS: Final = 0.05
_TRIES: Final = 3
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_IN_FILE, _IN_LOG = 0, 1
_PAGE_COUNT: Final = struct.Struct(">28xI")  # in the file's first page
_SAMPLES: Final = 64
_HEAD: Final = 16

_stat: Final = os.stat  # half the time of a Path's, after every commit

Identity = tuple[int, int]
Moved = TypeVar("Moved")


class StoreFiles:
    """The files of one open store: itself, its write-ahead log and the log's index.

    All but ``glance`` and ``signature`` belong on the thread that writes.

    Args:
        path: The store's file.
        connection: The writing connection, which has been used.
        has_log: Whether there is a write-ahead log.
    """

    def __init__(self, path: str, connection: apsw.Connection, *, has_log: bool) -> None:
        self.lost: StorageLostError | None = None
        self._path = path
        self._log = f"{path}-wal"
        self._index = f"{path}-shm"
        self._connection = connection
        self._has_log = has_log
        page_bytes = connection.pragma("page_size")
        assert isinstance(page_bytes, int)
        self._frame_bytes = page_bytes + _FRAME_HEADER
        self._page_bytes = page_bytes
        self._end_before = 0  # of the log, when it was looked at before the last write
        self._glanced_at = 0.0
        status = _stat(path)
        self._file = (status.st_ino, status.st_dev)
        self._size = status.st_size
        names = (self._log, self._index) if has_log else ()
        self._beside: dict[str, Identity] = {
            name: found for name in names if (found := _identity(name)) is not None
        }

    def before_write(self) -> None:
        """Refuse to write to a store that is lost, or behind a log that was cut short.

        A write would make the log as long as it should be, with a hole that nobody sees later.
        """
        if self.lost is not None:
            raise self.lost
        if self._has_log:
            self._end_before = end = self._log_end()
            # Read through SQLite's own handle: cheaper than to ask for the size, and of the file
            # that is written to.
            if end and not self._connection.read("main", _IN_LOG, end - 1, 1)[0]:
                self._check_log_length()

    def after_write(self) -> None:
        """What was written just now is where it will be found, or StorageLostError."""
        if self.lost is not None:
            raise self.lost
        self._check_file()
        if self._has_log:
            self._check_log_has_no_hole()
            end = self._log_end()
            # In this order, see there. Mostly it is right at once, with one look at the file.
            if self._check_beside(self._log) < end:
                self._check_log_length()

    def look(self) -> None:
        """Look at everything.

        Raises:
            StorageLostError: something is gone, another file or too short.
        """
        self.after_write()
        if self._has_log:
            self._check_beside(self._index)

    def move_log(self, checkpoint: Callable[[], Moved]) -> Moved:
        """Let a checkpoint write the log into the file, which is looked at before and after.

        A file that is cut short between the look and the checkpoint gets its length back by it,
        with holes where the log had no pages. They reach from the cut to the old end: some of the
        pages that are looked at, spread over the whole file, are in them.

        Raises:
            StorageLostError: the file has holes, or is too short.
        """
        self.look()
        pages = self._pages_in_use()
        try:
            return checkpoint()
        finally:
            gone = next(filter(self._is_hole, pages), None)
            if gone is not None:
                self._lose(f"the file was cut short while the log went into it: page {gone + 1:,}")

    def _pages_in_use(self) -> list[int]:
        """Pages of the file, counted from 0 and spread over it; those that are empty left out."""
        count = self._size // self._page_bytes
        step = max(1, count // _SAMPLES)
        pages = {*range(0, count, step), *range(max(0, count - _SAMPLES // 4), count)}
        return [page for page in sorted(pages) if not self._is_hole(page)]

    def _is_hole(self, page: int) -> bool:
        """Whether a page has nothing but zeros. One behind the end has not: ``look`` sees that."""
        start = page * self._page_bytes
        is_whole, head = self._connection.read("main", _IN_FILE, start, _HEAD)
        if not is_whole or any(head):
            return False
        is_whole, content = self._connection.read("main", _IN_FILE, start, self._page_bytes)
        return is_whole and not any(content)

    def glance(self) -> None:
        """Look whether the files are there, at most every 50 ms; on any thread."""
        if self.lost is not None:
            raise self.lost
        now = monotonic()
        if now - self._glanced_at < _GLANCE_SECONDS:
            return
        self._glanced_at = now
        self._check_identity(self._path, self._file)
        for name in list(self._beside):
            self._check_beside(name)

    def signature(self) -> object:
        """Changes when something may have happened to the files; on any thread.

        Not when a checkpoint has made the file longer: that is no news, and happens while idle.
        """
        is_shorter = _size(self._path) < self._size
        return _identity(self._path), is_shorter, _signature(self._log), _identity(self._index)

    # --- the checks ----------------------------------------------------------------------------

    def _check_file(self) -> None:
        size = self._check_identity(self._path, self._file)
        if size < self._size:
            self._check_file_length(size)
        self._size = size

    def _check_file_length(self, size: int) -> None:
        """A file that has become shorter holds all its pages still: then it was a VACUUM.

        A checkpoint writes the first page, which counts them, and the others in one go.
        """
        is_whole, head = self._connection.read("main", _IN_FILE, 0, _PAGE_COUNT.size)
        if not is_whole or _PAGE_COUNT.unpack(head)[0] * self._page_bytes > size:
            self._lose(f"the file was cut short to {size:,} bytes, from {self._size:,}")

    def _check_beside(self, name: str) -> int:
        """The size of a file beside the store's; 0 when it has never been there."""
        known = self._beside.get(name)
        if known is None:
            found = _identity(name)
            if found is None:
                return 0
            self._beside[name] = known = found
        return self._check_identity(name, known)

    def _check_identity(self, name: str, known: Identity) -> int:
        """The size of a file that is still the one that was opened."""
        try:
            status = _stat(name)
        except (FileNotFoundError, NotADirectoryError):
            self._lose(_missing(name))
        except OSError as error:
            raise StorageUnavailableError(
                f"cannot see whether {name!r} is still there: {error}; look at the rights on its "
                "folder and at the disk"
            ) from error
        if (status.st_ino, status.st_dev) != known or not status.st_nlink:
            self._lose(f"{name!r} is not the file any more that was opened: it was replaced")
        return status.st_size

    def _log_end(self) -> int:
        """Where the last page of the log ends, by what SQLite knows; 0 for an empty log."""
        tries = _TRIES
        while True:
            try:
                pages, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            except apsw.BusyError:
                tries -= 1
                if not tries:
                    raise
                # Another process is writing the head of the log's index just now, or was killed
                # while it did. This question never waits; a read does, and sets the index right.
                self._connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
            else:
                return _LOG_HEADER + pages * self._frame_bytes if pages > 0 else 0

    def _check_log_has_no_hole(self) -> None:
        """The page before those written just now is there still.

        A log that is cut short between the look and the write gets its length back by it. The
        hole reaches up to where the log ended, and what is written behind it is never found.
        A page of the log begins with its number, which is not 0; where others have made the log
        shorter in between, nothing is behind its end, and what they wrote since is no hole.
        """
        if self._end_before:
            start = self._end_before - self._frame_bytes
            is_whole, head = self._connection.read("main", _IN_LOG, start, _FRAME_HEADER)
            if is_whole and not any(head):
                self._lose(f"the log {self._log!r} was cut short while it was written to")

    def _check_log_length(self) -> None:
        # In this order: another process may write (the log is longer then) or start the log anew
        # (then the next try sees that nothing is missing).
        size = end = 0
        for _ in range(_TRIES):
            end = self._log_end()
            size = _size(self._log)
            if size >= end:
                return
        self._lose(f"the log {self._log!r} was cut short to {size:,} bytes, of {end:,}")

    def _lose(self, what: str) -> NoReturn:
        self.lost = StorageLostError(
            f"the store {self._path!r} is lost to this process: {what}. Nothing is acknowledged "
            "any more; put the files back or restore a backup, then start again"
        )
        raise self.lost


class NoFiles:
    """A store in memory has none, and cannot lose them."""

    lost: StorageLostError | None = None

    def before_write(self) -> None:
        """There is nothing to look at."""

    after_write = look = glance = before_write

    def move_log(self, checkpoint: Callable[[], Moved]) -> Moved:
        """There is no log; SQLite says so."""
        return checkpoint()

    def signature(self) -> object:
        """Never changes."""
        return None


def _missing(name: str) -> str:
    folder = Path(name).parent
    if not folder.is_dir():
        return f"its folder {str(folder)!r} was deleted or moved away"
    return f"{name!r} was deleted or moved away"


def _identity(name: str) -> Identity | None:
    try:
        status = _stat(name)
    except OSError:
        return None
    return status.st_ino, status.st_dev


def _signature(name: str) -> tuple[int, int, int] | None:
    try:
        status = _stat(name)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _size(name: str) -> int:
    try:
        return _stat(name).st_size
    except OSError:
        return 0
