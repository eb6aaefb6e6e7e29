"""A file that appears under its name whole or not at all: written beside it, then moved there.

Never leaves more than one half-written file per name: what a killed process left is deleted by the
next one. Never puts a store beside the log of another: SQLite would play that into it.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from tenuto.model.errors import (
    SettingsError,
    StorageError,
    StorageOwnedError,
    StorageReadOnlyError,
    StorageUnavailableError,
)
from tenuto.storage.sqlite.lock import OwnerLock, holder, try_lock

_ENDING = ".partial"
_BESIDE = ("-wal", "-shm", "-journal")
_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Partial:
    """A file on its way to a name.

    Args:
        path: Where to write now.
        target: The name that it will have.
        descriptor: Keeps other processes from taking it for a leftover.
    """

    def __init__(self, path: Path, target: Path, descriptor: int) -> None:
        self.path = path
        self.target = target
        self._descriptor = descriptor

    def sync(self) -> None:
        """Bring what was written so far to stable storage."""
        os.fsync(self._descriptor)


def checked_target(path: str, *, force: bool) -> Path:
    """Where a copy may go.

    Args:
        path: The name of the file to be made.
        force: Whether a file of that name may be replaced.

    Raises:
        SettingsError: there is no such folder, it is a folder, or a file is there already.
    """
    target = Path(path)
    folder = target.parent
    if not folder.is_dir():
        raise SettingsError(
            f"cannot write {path!r}: the folder {str(folder)!r} does not exist; create it, or "
            "correct the name"
        )
    if target.is_dir():
        raise SettingsError(f"cannot write {path!r}: it is a folder; name a file")
    if _exists(target) and not force:
        raise SettingsError(
            f"{path!r} is there already and was left alone; --force replaces it, or give another "
            "name"
        )
    if _exists(target) and not target.is_file():
        raise SettingsError(f"cannot write {path!r}: it is no plain file")
    return target


@contextlib.contextmanager
def partial_file(target: Path) -> Iterator[Partial]:
    """A file beside the target, for its owner alone; deleted at the end unless it was moved.

    Raises:
        StorageError: it cannot be written, such as on a full disk.
    """
    with writing(target):
        _delete_leftovers(target)
        path = target.with_name(f".{target.name}.{os.getpid()}{_ENDING}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            path.chmod(0o600)  # whatever stood there before
            try_lock(descriptor)
            yield Partial(path, target, descriptor)
        finally:
            for beside in ("", *_BESIDE):
                Path(f"{path}{beside}").unlink(missing_ok=True)
            os.close(descriptor)


def move_into_place(partial: Partial, target: Path, *, force: bool) -> None:
    """Give the file its name, durably. With ``force`` a file of that name is replaced.

    Crash points: before the move the name is as it was, after it the whole file is there. What
    was written is on stable storage before the name is.

    Raises:
        SettingsError: meanwhile there is a file of that name, or the log of one.
        StorageOwnedError: a host runs on the file that would be replaced.
    """
    with writing(target):
        partial.sync()
        _check_free(target)
        if force:
            partial.path.replace(target)
        else:
            _move_to_new(partial.path, target)
        sync_folder(target.parent)


def move_aside(target: Path, ending: str) -> list[Path]:
    """Give a store and its log other names, so that another can take its place; the new names.

    The file goes first: a log without its file is refused by every host, a file without its log
    would be started.

    Raises:
        StorageOwnedError: a host runs on it.
    """
    lock = OwnerLock(os.path.realpath(target))
    with writing(target):
        lock.take("a restore")
        try:
            moved = []
            for beside in ("", *_BESIDE):
                path = Path(f"{target}{beside}")
                if _exists(path):
                    aside = Path(f"{target}{ending}{beside}")
                    path.replace(aside)
                    moved.append(aside)
            sync_folder(target.parent)
            return moved
        finally:
            lock.drop()


def check_room(target: Path, needed: int) -> None:
    """Refuse before anything is written what cannot fit on the disk.

    Raises:
        StorageUnavailableError: it does not.
    """
    status = os.statvfs(target.parent) if hasattr(os, "statvfs") else None
    if status is not None and status.f_bavail * status.f_frsize < needed:
        free = status.f_bavail * status.f_frsize
        raise StorageUnavailableError(
            f"cannot write {str(target)!r}: it needs {needed:,} bytes and its disk has {free:,} "
            "left; free some space, or choose another disk"
        )


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Errors of the operating system in our words."""
    try:
        yield
    except OSError as error:
        what = f"cannot write {str(target)!r}"
        if error.errno in _FULL:
            raise StorageUnavailableError(
                f"{what}: its disk is full; free some space, or choose another disk"
            ) from error
        if error.errno in _READ_ONLY:
            raise StorageReadOnlyError(
                f"{what}: the folder is read-only for this user ({error})"
            ) from error
        raise StorageError(f"{what}: {error}; look at the disk") from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to stable storage, where the system can."""
    if os.name == "nt":  # pragma: no cover - measured on POSIX
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_free(target: Path) -> None:
    """Nothing stands at or beside a name that a store is to have."""
    owner = holder(os.path.realpath(target))
    if owner is not None:
        raise StorageOwnedError(f"a host runs on {str(target)!r}: {owner}; stop it first")
    log = Path(f"{target}-wal")
    if _exists(log) and log.stat().st_size:
        raise SettingsError(
            f"the log {str(log)!r} of a store stands where {str(target)!r} is to go, and would be "
            "played into it; move the log away, or give another name"
        )


def _move_to_new(path: Path, target: Path) -> None:
    try:
        os.link(path, target)  # unlike a rename it refuses a name that is taken
    except FileExistsError:
        raise SettingsError(
            f"{str(target)!r} has come into being meanwhile and was left alone; give another name"
        ) from None
    except OSError:  # a file system without links
        path.rename(target)
    else:
        path.unlink()


def _delete_leftovers(target: Path) -> None:
    """Delete what processes left behind that were killed."""
    for left in target.parent.glob(f".{_without_wildcards(target.name)}.*{_ENDING}"):
        with contextlib.suppress(OSError):
            descriptor = os.open(left, os.O_RDWR)
            try:
                if try_lock(descriptor):
                    for beside in ("", *_BESIDE):
                        Path(f"{left}{beside}").unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _without_wildcards(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()
