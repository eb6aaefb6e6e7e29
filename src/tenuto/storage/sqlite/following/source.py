"""The store that is followed: its pages, and the frames of its log, without a gap.

Holds one read transaction open at any time, the next before the last: as long as one is open,
SQLite does not begin the log anew over frames that came after it (it waits for readers of the log;
and one that began when the whole log was in the file keeps the file as it is, so that the log
begins anew once at most). Under a load without end the log would grow without end then. So once it
is long, the store is locked for the moment in which its rest is copied and brought into the file,
and the next transaction begins there: from then on the log is free.

Must never open the store's file but through SQLite: closing it again would drop SQLite's locks.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from tenuto.model.errors import StorageLostError, StorageUnavailableError
from tenuto.storage.sqlite.backup import check_kind
from tenuto.storage.sqlite.copies import host_had_stopped
from tenuto.storage.sqlite.database import check_no_log_is_left, value
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.following.frames import LOG_HEADER, Log, log_of

_BUSY_MILLISECONDS: Final = 2_000
_LOCK_MILLISECONDS: Final = 500
_IN_FILE, _IN_LOG = 0, 1
_PIECE: Final = 1024 * 1024
_TRIES: Final = 3


class Hub(NamedTuple):
    """Which store it is, in which life."""

    secret: str
    incarnation: str


class End(NamedTuple):
    """How far the log goes: of which log, so many frames; no log when it is empty."""

    log: Log | None
    frames: int


class Source:
    """A store that is followed, opened.

    Args:
        path: Its file.

    Raises:
        StorageError: there is none, or it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened: list[apsw.Connection] = []
        with translated(path, "follow"):
            try:
                self._open()
            except BaseException:
                self.close()
                raise

    def _open(self) -> None:
        check_no_log_is_left(self._path)
        self._identity = self._seen()
        self._asker = self._connected()
        check_kind(self._asker, self._path)
        if self._asker.pragma("journal_mode") != "wal":
            self._asker.pragma("journal_mode", "wal")  # as its host does, who could not any more
        self._locker = self._connected()
        self._locker.set_busy_timeout(_LOCK_MILLISECONDS)
        self._reading, self._resting = self._connected(), self._connected()
        _begin(self._reading)
        _begin(self._asker)  # so that its handles are open
        self._asker.execute("ROLLBACK")

    def _connected(self) -> apsw.Connection:
        connection = apsw.Connection(self._path, flags=apsw.SQLITE_OPEN_READWRITE)
        self._opened.append(connection)
        connection.set_busy_timeout(_BUSY_MILLISECONDS)
        # The log stays what it is; who follows it later finds where he was.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        return connection

    def close(self) -> None:
        """Let the store go."""
        for connection in self._opened:
            with suppress(apsw.Error):
                connection.close()
        self._opened.clear()

    @property
    def hub(self) -> Hub:
        """Which store it is."""
        return Hub(
            value(self._reading, "hub_secret"),
            value(self._reading, "incarnation"),
        )

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return Path(self._path).stat().st_size

    @property
    def host_had_stopped(self) -> bool:
        """Whether its host had given back what it owned, as the open transaction sees it."""
        return host_had_stopped(self._reading)

    def check_is_there(self) -> None:
        """Raise StorageLostError when the file is gone or another one."""
        if self._seen() != self._identity:
            raise StorageLostError(f"the store {self._path!r} was replaced by another file")

    def _seen(self) -> tuple[int, int]:
        try:
            status = Path(self._path).stat()
        except OSError as error:
            raise StorageLostError(f"the store {self._path!r} is not there: {error}") from error
        return status.st_ino, status.st_dev

    # --- reading -------------------------------------------------------------------------------

    def pages(self) -> Iterator[bytes]:
        """The file as it is now, in pieces. With all frames of the log it is the store: what is
        brought from the log into the file meanwhile, also at its end, stands in the log as well.
        """
        size = self.size
        for offset in range(0, size, _PIECE):
            amount = min(_PIECE, size - offset)
            is_whole, piece = self._asker.read("main", _IN_FILE, offset, amount)
            if not is_whole:
                raise StorageLostError(f"the store {self._path!r} was cut short under us")
            yield piece

    def look(self) -> End:
        """Begin to read the store as it is now, beside what is read already; how far the log goes.

        ``settle`` ends the transaction before, once all frames up to here are copied.
        """
        if not self._resting.in_transaction:
            _begin(self._resting)
        return self._end()

    def settle(self) -> None:
        """All frames up to the last look are copied."""
        self._reading.execute("ROLLBACK")
        self._reading, self._resting = self._resting, self._reading

    def frames(self, log: Log, after: int, until: int) -> Iterator[bytes]:
        """Frames of the log, in pieces.

        Raises:
            StorageUnavailableError: the log is not what it was a moment ago; try again.
        """
        per_piece = max(_PIECE // log.frame_bytes, 1)
        for first in range(after, until, per_piece):
            count = min(per_piece, until - first)
            amount = count * log.frame_bytes
            is_whole, piece = self._asker.read("main", _IN_LOG, log.end_of(first), amount)
            is_last = first + count == until
            if not is_whole or not log.holds(piece) or (is_last and not log.ends_a_commit(piece)):
                raise _changing(self._path)
            yield piece

    def has_frame(self, log: Log, frames: int, header: bytes) -> bool:
        """Whether the log is this one still, and the last of so many frames begins so."""
        end = self._end()
        if end.log is None or end.log.header != log.header or end.frames < frames:
            return False
        if not frames:
            return True
        offset = log.end_of(frames - 1)
        is_whole, found = self._asker.read("main", _IN_LOG, offset, len(header))
        return is_whole and found == header

    def _end(self) -> End:
        # Between the look at the number and those at the file the log may begin anew: then the
        # first bytes of the file change.
        for _ in range(_TRIES):
            before = self._header()
            try:
                frames, _ = self._asker.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            except apsw.BusyError:
                # Who wrote the log's index was killed while it did: a read sets it right.
                self._asker.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
                continue
            if self._header() == before:
                return End(log_of(before), frames) if frames > 0 else End(None, 0)
        raise _changing(self._path)

    def _header(self) -> bytes:
        is_whole, header = self._asker.read("main", _IN_LOG, 0, LOG_HEADER)
        return header if is_whole else b""

    # --- the log's length ----------------------------------------------------------------------

    def lock(self) -> bool:
        """Keep everybody from writing; whether that went well."""
        try:
            self._locker.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            return False
        return True

    def free_log(self) -> None:
        """Under the lock, with all frames copied: let the next commit begin the log anew.

        A transaction that begins when the whole log is in the file does not need the log. Nobody
        can write between the end of the old one and the beginning of this one.
        """
        self._end_reading()
        with suppress(apsw.BusyError):  # its host brings it into the file just now
            self._asker.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        _begin(self._reading)

    def _end_reading(self) -> None:
        for connection in (self._reading, self._resting):
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def unlock(self) -> None:
        """Let others write again."""
        self._locker.execute("ROLLBACK")


def _begin(connection: apsw.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()


def _changing(path: str) -> StorageUnavailableError:
    return StorageUnavailableError(f"the log of the store {path!r} is changing just now")
