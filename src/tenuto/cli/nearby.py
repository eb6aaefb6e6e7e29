"""Which store a command means when it names none: also that of a host which runs in this folder.

A host that `tenuto start` serves, or that `tenuto run` has on another store than the default,
leaves a note in the folder, once it owns its store. The note is believed only as far as the
store's lock confirms it, so one that a killed host has left does no harm. What settings or options
choose is never overruled.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.client.connection import is_loopback
from tenuto.host.settings import DEFAULT, LoadedSettings, load_settings
from tenuto.model.errors import TenutoError
from tenuto.storage import is_postgres, owner_of, path_of

_FOLDER: Final = Path(".tenuto")
_MEMORY: Final = "sqlite://"
_MOST_BYTES: Final = 4096
_TRIES: Final = 3


class _Note(Struct, frozen=True, kw_only=True):
    storage: str
    url: str | None = None


@contextmanager
def noted(
    settings: LoadedSettings, url: str | None = None, home: Path | None = None
) -> Iterator[None]:
    """While a host runs here: leave a note, if commands would not find it without.

    Args:
        settings: Those of the host, which owns its store now: others drop notes without an owner.
        url: Where it serves HTTP.
        home: The folder of its app, in which commands look for it; the current one by default.
    """
    storage = settings.values.storage
    is_found = settings.sources["storage"] == DEFAULT or storage == load_settings().values.storage
    if url is None and is_found:
        yield
        return
    path = (home or Path()) / _FOLDER / f"{os.getpid()}.json"
    # In a folder that cannot be written commands have to name the store.
    with suppress(OSError):
        _leave(path, _Note(storage=_seen_from(path, storage), url=url))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _seen_from(path: Path, storage: str) -> str:
    """A store's URL for those who read it in another folder than the current one."""
    if is_postgres(storage):
        return path_of(storage)  # without its password
    if path.parent == _FOLDER or storage == _MEMORY:
        return storage
    return f"sqlite:///{Path(path_of(storage)).as_posix()}"


def _leave(path: Path, note: _Note) -> None:
    """Write it whole: another host that starts deletes what it cannot read."""
    fresh = path.with_suffix(".new")
    for _ in range(_TRIES):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):  # a host that ended just now took the empty folder along
            fresh.write_bytes(msgspec.json.encode(note))
            fresh.replace(path)
            return


def drop_old_notes(home: Path | None = None) -> None:
    """Delete what killed hosts have left; for a host that starts, before it owns its store.

    Args:
        home: The folder of its app; the current one by default.
    """
    running = {note.storage for note in _running(home)}
    for path in _notes(home):
        note = _read(path)
        if note is None or not (note.storage in running or _is_host_of_many(path, note)):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _is_host_of_many(path: Path, note: _Note) -> bool:
    """Whether the process of a note lives, on a store that has several hosts: which of them are
    there cannot be asked without the password, which no note has.
    """
    if note.url is None or not is_postgres(note.storage) or not path.stem.isdecimal():
        return False
    if os.name != "posix":  # where there is no signal that only looks
        return True
    try:
        os.kill(int(path.stem), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def host_on(storage: str) -> str | None:
    """Where the host that owns a store serves HTTP on this machine, if one does; none of several:
    what one of them serves, the store is the place to ask for all.

    Notes are looked for in this folder and beside the store.

    Args:
        storage: The store's URL.
    """
    owner = owner_of(storage) or ""
    found = {
        note.url
        for path in {*_notes(), *_beside(storage)}
        # A key may be sent there: it has to be the very process that owns the store.
        if _owns(path.stem, owner)
        and (note := _read(path)) is not None
        and note.url is not None
        and is_loopback(note.url)
        and path_of(note.storage) == path_of(storage)
    }
    return found.pop() if len(found) == 1 else None


def _owns(pid: str, owner: str) -> bool:
    """Whether this process is the owner that words tell of; of several hosts none is."""
    return (
        f"pid {pid}," in owner or owner == f"process {pid} on {platform.node() or 'this machine'}"
    )


def _beside(storage: str) -> list[Path]:
    """The notes in the folder of a store's file."""
    return [] if is_postgres(storage) else _notes(Path(path_of(storage)).parent)


def storage_of(chosen: str | None) -> LoadedSettings:
    """The settings with the store that is meant.

    Args:
        chosen: What an option says; None without.

    Raises:
        SettingsError: the settings are wrong.
        UsageError: several hosts run here, and none of them on the default store.
    """
    settings = load_settings(storage=chosen, given_as="option --{}")
    if settings.sources["storage"] != DEFAULT or owner_of(settings.values.storage) is not None:
        return settings
    found = sorted({path_of(note.storage): note.storage for note in _running()}.values())
    if not found:
        return settings
    if len(found) > 1:
        raise click.UsageError(
            f"several hosts run in this folder, on {', '.join(found)}; choose one with --storage"
        )
    terminal.note(f"store {found[0]}, on which a host of this folder runs")
    return load_settings(storage=found[0], given_as="a host that runs in this folder")


def _running(home: Path | None = None) -> Iterator[_Note]:
    for path in _notes(home):
        note = _read(path)
        if note is not None:
            with suppress(TenutoError):  # what is no store is nobody's
                if owner_of(note.storage) is not None:
                    yield note


def _notes(home: Path | None = None) -> list[Path]:
    return sorted(((home or Path()) / _FOLDER).glob("*.json"))


def _read(path: Path) -> _Note | None:
    """A note; None of one that is not ours to believe."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if hasattr(os, "geteuid") and status.st_uid not in {os.geteuid(), 0}:
                return None
            return msgspec.json.decode(file.read(_MOST_BYTES), type=_Note)
    except (OSError, msgspec.DecodeError):
        return None
