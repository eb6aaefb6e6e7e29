"""A generation of a continuous copy, as its one writer has it."""

import os
from collections.abc import Iterable
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import apsw
import msgspec

from tenuto.model.errors import StorageCorruptError
from tenuto.storage.sqlite.following.folder import (
    BASE,
    BASE_LOG,
    ORIGIN,
    Folder,
    Origin,
    Reach,
    log_path,
    logs_in,
    replace_whole,
)
from tenuto.storage.sqlite.following.frames import FRAME_HEADER, LOG_HEADER, Log, log_of
from tenuto.storage.sqlite.placing import sync_folder

_SYNC_BYTES: Final = 4 * 1024 * 1024
_LONGEST_PAUSE_SECONDS: Final = 0.05


class Generation:
    """Base and logs; at the end of the newest log frames are added.

    Args:
        folder: Where it belongs.
        number: Its number.
    """

    def __init__(self, folder: Folder, number: int) -> None:
        self.number = number
        self.log: Log | None = None
        self.frames = 0
        """How many the newest log has."""
        self._folder = folder
        self._path = folder.generation(number)
        self._log_number = 0
        self._is_foldable = True
        self._descriptor: int | None = None

    # --- a new one -----------------------------------------------------------------------------

    def begin(self, pages: Iterable[bytes]) -> None:
        """Copy the store's file, leaving half of the disk's time to its host."""
        self._path.mkdir(mode=0o700)
        descriptor = os.open(self._path / BASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            unsynced, began = 0, monotonic()
            for piece in pages:
                _write(descriptor, piece)
                unsynced += len(piece)
                if unsynced >= _SYNC_BYTES:
                    os.fsync(descriptor)
                    sleep(min(monotonic() - began, _LONGEST_PAUSE_SECONDS))
                    unsynced, began = 0, monotonic()
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def complete(self, origin: Origin) -> None:
        """Everything is there: from now on it is the newest.

        Crash points: before the note is in place the generation before counts, after it this one.
        """
        sync_folder(self._path)
        replace_whole(self._path / ORIGIN, msgspec.json.encode(origin), is_synced=True)
        sync_folder(self._path.parent)

    # --- one that goes on ----------------------------------------------------------------------

    def open(self, reach: Reach) -> bytes | None:
        """Go on where the writer before was; the beginning of the last frame, None if it cannot.

        What came after that was never promised, and is copied again.
        """
        if reach.generation != self.number or reach.log not in logs_in(self._path):
            return None
        with self._folder.unchanged():
            for number in logs_in(self._path):
                if number > reach.log:
                    log_path(self._path, number).unlink()
        descriptor = os.open(log_path(self._path, reach.log), os.O_RDWR)
        log = log_of(os.pread(descriptor, LOG_HEADER, 0))
        if log is None or not reach.frames or _size(descriptor) < log.end_of(reach.frames):
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, log.end_of(reach.frames))
        os.lseek(descriptor, 0, os.SEEK_END)
        self.log, self.frames = log, reach.frames
        self._log_number, self._descriptor = reach.log, descriptor
        return os.pread(descriptor, FRAME_HEADER, log.end_of(reach.frames - 1))

    def close(self) -> None:
        """Let its files go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    # --- adding --------------------------------------------------------------------------------

    @property
    def position(self) -> tuple[int, int]:
        """Its newest log, and how many frames that has."""
        return self._log_number, self.frames

    def begin_log(self, log: Log) -> None:
        """The store's log has begun anew, or is the first one. The one before is durable by then:
        where there is another, a log is taken for whole.
        """
        self.sync()
        self.close()
        self._log_number += 1
        path = log_path(self._path, self._log_number)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        _write(self._descriptor, log.header)
        sync_folder(self._path)
        self.log, self.frames = log, 0
        self._is_foldable = True

    def append(self, frames: bytes) -> None:
        """Add whole frames of the newest log; ``sync`` makes them durable."""
        assert self._descriptor is not None, "a log was begun"
        assert self.log is not None, "a log was begun"
        _write(self._descriptor, frames)
        self.frames += len(frames) // self.log.frame_bytes

    def sync(self) -> None:
        """Bring what was added to stable storage."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    # --- folding -------------------------------------------------------------------------------

    def fold(self) -> None:
        """Bring all logs but the newest into the base, unless somebody reads the copy just now.

        Crash points: a log is folded under another name. Killed before SQLite has deleted that,
        it is folded again, which changes nothing: frames are pages as a whole, in order.
        """
        if not self._is_foldable:
            return
        with self._folder.changing() as may_change:
            if not may_change:
                return
            base_log = self._path / BASE_LOG
            if base_log.exists():
                self._fold_into_base()
            for number in logs_in(self._path)[:-1]:
                log_path(self._path, number).rename(base_log)
                self._fold_into_base()
            self._is_foldable = False

    def _fold_into_base(self) -> None:
        play_log(self._path / BASE)
        sync_folder(self._path)


def play_log(base: Path, *, least_frames: int | None = None) -> None:
    """Bring the log that stands beside a file of pages into it.

    Args:
        base: The file of pages; the log is named as SQLite does it, and is gone afterwards.
        least_frames: Half a commit at the log's end is left out, but so many frames must be whole;
            None for all of them.

    Raises:
        StorageCorruptError: the log is not whole.
    """
    path = base.with_name(f"{base.name}-wal")
    with path.open("rb") as file:
        log = log_of(file.read(LOG_HEADER))
    size = path.stat().st_size
    if log is None:
        if size and least_frames != 0:
            raise _not_whole(path)
        path.unlink()
        return
    wanted = log.frames_in(size) if least_frames is None else least_frames
    connection = apsw.Connection(str(base), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.pragma("locking_mode", "exclusive")  # no index of the log beside it
        connection.pragma("synchronous", "full")
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        found, folded = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
        if found < wanted or folded < found:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            raise _not_whole(path)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()
    path.unlink(missing_ok=True)


def _not_whole(path: Path) -> StorageCorruptError:
    return StorageCorruptError(
        f"the continuous copy is damaged: {str(path)!r} is not whole; use another backup"
    )


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _size(descriptor: int) -> int:
    return os.fstat(descriptor).st_size
