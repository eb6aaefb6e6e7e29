"""A store out of a continuous copy: the base, and every log in its order."""

import os
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from tenuto.engine.upkeep import Told
from tenuto.model.errors import SettingsError, StorageCorruptError
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite.database import value
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.following.folder import BASE, BASE_LOG, Folder, log_path, logs_in
from tenuto.storage.sqlite.following.generation import play_log
from tenuto.storage.sqlite.placing import Partial, check_room

_PIECE: Final = 4 * 1024 * 1024


def assembled(path: str, partial: Partial, told: Told) -> Microseconds:
    """Make the store's file of what a folder holds, also while it is followed into.

    Args:
        path: The folder.
        partial: The file to be made.
        told: Called with how much is done, of how much.

    Returns:
        Up to when it reaches.

    Raises:
        SettingsError: there is no continuous copy.
        StorageCorruptError: it is damaged.
        StorageError: it cannot be read, or the file not be written.
    """
    folder = Folder(path)
    if not folder.path.is_dir() or folder.newest is None:
        raise SettingsError(f"there is no copy in the folder {path!r}; correct its name")
    with folder.unchanged(), translated(path, "restore"):
        number = folder.newest
        assert number is not None, "one is made before others are deleted"
        reaches_to, promised = _promise(folder, number)
        generation = folder.generation(number)
        logs = logs_in(generation)
        if promised.log not in {0, *logs}:
            raise StorageCorruptError(
                f"the continuous copy {path!r} is damaged: its log {promised.log} is missing; use "
                "another backup"
            )
        _assemble(generation, logs, promised, partial, told)
        copied_at = _copied_at(partial.path)
        return reaches_to if copied_at is None else copied_at


class _Promise(NamedTuple):
    """What must be whole: so many frames of a log, and all before; 0 when nothing was noted."""

    log: int
    frames: int


def _promise(folder: Folder, number: int) -> tuple[Microseconds, _Promise]:
    reach = folder.reach()
    if reach is None or reach.generation != number:
        return folder.origin(number).begun_at, _Promise(0, 0)
    return reach.at, _Promise(reach.log, reach.frames)


def _assemble(
    generation: Path, logs: list[int], promised: _Promise, partial: Partial, told: Told
) -> None:
    base, folding = generation / BASE, generation / BASE_LOG
    older = [log_path(generation, one) for one in logs[:-1]]
    if folding.exists():
        older.insert(0, folding)
    newest = [log_path(generation, one) for one in logs[-1:]]
    total = sum(one.stat().st_size for one in (base, *older, *newest))
    check_room(partial.target, total)
    done = _Progress(told, total)
    _copy(base, partial.path, done)
    log = Path(f"{partial.path}-wal")
    for one in older:
        _copy(one, log, done)
        play_log(partial.path)
    for one in newest:
        # It may be longer than was promised, and end with half a commit.
        _copy(one, log, done)
        is_promised = logs[-1] == promised.log
        play_log(partial.path, least_frames=promised.frames if is_promised else 0)


class _Progress:
    def __init__(self, told: Told, total: int) -> None:
        self._told = told
        self._total = total
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        self._told(self._done, self._total)


def _copy(source: Path, target: Path, done: _Progress) -> None:
    with source.open("rb") as reading, target.open("r+b" if target.exists() else "xb") as writing:
        writing.truncate(0)
        while piece := reading.read(_PIECE):
            writing.write(piece)
            writing.flush()
            os.fsync(writing.fileno())
            done.add(len(piece))


def _copied_at(path: Path) -> Microseconds | None:
    """Of a copy that was followed: up to when that reaches."""
    connection = apsw.Connection(str(path))
    try:
        connection.pragma("locking_mode", "exclusive")
        found: Microseconds | None = value(connection, "copied_at")
        return found
    finally:
        connection.close()
