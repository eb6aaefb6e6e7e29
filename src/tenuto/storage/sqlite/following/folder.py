"""The folder of a continuous copy: what is in it, and who may change it.

    DIR/
        follow.lock      held by the one process that writes here
        read.lock        held while a store is made of the copy: then no file is folded or deleted
        reach.json       how far the newest generation goes, and up to which moment
        000001/          a generation: all that is needed to make the store
            generation.json  of which store; written last, so that a half-made one has none
            base             the store's pages, with the logs that were folded into them
            base-wal         a log that is being folded into it
            log-000001       logs of the store, byte by byte
            log-000002

There is more than one generation only while a new one is made, which is when the log of the store
has begun anew unseen.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.model.errors import SettingsError, StorageError, StorageOwnedError
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite.lock import try_lock
from tenuto.storage.sqlite.placing import sync_folder

ORIGIN: Final = "generation.json"
BASE: Final = "base"
BASE_LOG: Final = "base-wal"
_REACH: Final = "reach.json"
_NUMBER: Final = re.compile(r"\d{6}")
_LOG: Final = re.compile(r"log-(\d{6})")
_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


class Origin(Struct, frozen=True, kw_only=True, rename="camel"):
    """Of which store a generation is.

    Attributes:
        store: Which one; not its secret, but only who has that could have made it.
        incarnation: In which life.
        path: Where it was.
        begun_at: When the generation was begun.
    """

    store: str
    incarnation: str
    path: str
    begun_at: Microseconds


class Reach(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a copy goes: in which generation and log, after so many frames, up to when."""

    generation: int
    log: int
    frames: int
    at: Microseconds


def store_mark(secret: str) -> str:
    """What tells a store from others."""
    return sha256(f"tenuto-follow:{secret}".encode()).hexdigest()


class Folder:
    """A folder of a continuous copy.

    Args:
        path: Where it is.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def make(self) -> None:
        """Make it, for its owner alone; refuse one that holds other things.

        Raises:
            SettingsError: it cannot be made, or is no folder of a continuous copy.
        """
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            others = [one.name for one in self.path.iterdir() if not _is_ours(one.name)]
        except OSError as error:
            raise SettingsError(
                f"the folder {str(self.path)!r} cannot be used: {error}; correct its name"
            ) from error
        if others:
            raise SettingsError(
                f"the folder {str(self.path)!r} holds other things, such as {others[0]!r}; give "
                "one that is empty or does not exist"
            )

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Be the one process that writes here.

        Raises:
            StorageOwnedError: there is another.
        """
        with self._locked("follow.lock", patience=0) as is_ours:
            if not is_ours:
                raise StorageOwnedError(
                    f"another `tenuto backup --follow` writes to {str(self.path)!r}; stop it, or "
                    "give another folder"
                )
            yield

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Keep what is here from being folded and deleted; more is still appended.

        Raises:
            StorageOwnedError: somebody else does, and does not end.
        """
        with self._locked("read.lock", patience=_PATIENCE_SECONDS) as is_ours:
            if not is_ours:
                raise StorageOwnedError(
                    f"the copy in {str(self.path)!r} is being read or folded by another process "
                    "all the time; try again"
                )
            yield

    @contextmanager
    def changing(self) -> Iterator[bool]:
        """Whether files may be folded and deleted now: nobody reads them."""
        with self._locked("read.lock", patience=0) as is_ours:
            yield is_ours

    @contextmanager
    def _locked(self, name: str, *, patience: float) -> Iterator[bool]:
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            until = monotonic() + patience
            while not (is_ours := try_lock(descriptor)) and monotonic() < until:
                sleep(_POLL_SECONDS)
            yield is_ours
        finally:
            os.close(descriptor)

    # --- what is in it -------------------------------------------------------------------------

    def generation(self, number: int) -> Path:
        """Where a generation is."""
        return self.path / f"{number:06}"

    @property
    def numbers(self) -> list[int]:
        """All generations, also half-made ones, oldest first."""
        return sorted(int(one.name) for one in self.path.iterdir() if _NUMBER.fullmatch(one.name))

    @property
    def newest(self) -> int | None:
        """The newest whole generation."""
        whole = [one for one in self.numbers if (self.generation(one) / ORIGIN).exists()]
        return max(whole, default=None)

    def origin(self, number: int) -> Origin:
        """Of which store a whole generation is."""
        path = self.generation(number) / ORIGIN
        try:
            return msgspec.json.decode(path.read_bytes(), type=Origin)
        except (OSError, msgspec.DecodeError) as error:
            raise StorageError(f"{str(path)!r} cannot be read: {error}") from error

    def reach(self) -> Reach | None:
        """How far the copy goes; None when nothing of that was noted."""
        try:
            return msgspec.json.decode((self.path / _REACH).read_bytes(), type=Reach)
        except (OSError, msgspec.DecodeError):
            return None

    def note_reach(self, reach: Reach) -> None:
        """Note how far it goes. What was noted before stands until then: it is less."""
        replace_whole(self.path / _REACH, msgspec.json.encode(reach), is_synced=False)

    def drop_half_made(self) -> None:
        """Delete generations that nobody can use."""
        for number in self.numbers:
            if not (self.generation(number) / ORIGIN).exists():
                shutil.rmtree(self.generation(number), ignore_errors=True)

    def drop_others(self, kept: int) -> None:
        """Delete all generations but one, unless somebody reads them: then later."""
        with self.changing() as may_change:
            if may_change:
                for number in self.numbers:
                    if number != kept:
                        shutil.rmtree(self.generation(number), ignore_errors=True)


def logs_in(generation: Path) -> list[int]:
    """The numbers of its logs, oldest first."""
    found = (_LOG.fullmatch(one.name) for one in generation.iterdir())
    return sorted(int(one[1]) for one in found if one is not None)


def log_path(generation: Path, number: int) -> Path:
    """Where a log is."""
    return generation / f"log-{number:06}"


def replace_whole(path: Path, content: bytes, *, is_synced: bool) -> None:
    """Write a small file so that it is there as it was or as it will be, never half."""
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        if is_synced:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(path)
    if is_synced:
        sync_folder(path.parent)


def _is_ours(name: str) -> bool:
    return name in {"follow.lock", "read.lock", _REACH, f"{_REACH}.partial"} or bool(
        _NUMBER.fullmatch(name)
    )
