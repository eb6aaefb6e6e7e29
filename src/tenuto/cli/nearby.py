"""Which store a command means when it names none: also that of a host which runs in this folder.

A host that `tenuto start` or `tenuto run` has on another store than the default leaves a note in
the folder. The note is believed only as far as the store's lock confirms it, so one that a killed
host has left does no harm. What settings or options choose is never overruled.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.host.settings import DEFAULT, LoadedSettings, load_settings
from tenuto.model.errors import TenutoError
from tenuto.storage import owner_of, path_of

_FOLDER: Final = Path(".tenuto")
_MOST_BYTES: Final = 4096


class _Note(Struct, frozen=True, kw_only=True):
    storage: str


@contextmanager
def noted(settings: LoadedSettings) -> Iterator[None]:
    """While a host runs here: leave a note, if commands would not find its store without."""
    url = settings.values.storage
    if settings.sources["storage"] == DEFAULT or url == load_settings().values.storage:
        yield
        return
    path = _FOLDER / f"{os.getpid()}.json"
    # In a folder that cannot be written commands have to name the store.
    with suppress(OSError):
        _FOLDER.mkdir(mode=0o700, exist_ok=True)
        _drop_old()
        path.write_bytes(msgspec.json.encode(_Note(storage=url)))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            _FOLDER.rmdir()


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
    found = sorted({path_of(url): url for url in _running()}.values())
    if not found:
        return settings
    if len(found) > 1:
        raise click.UsageError(
            f"several hosts run in this folder, on {', '.join(found)}; choose one with --storage"
        )
    terminal.note(f"store {found[0]}, on which a host of this folder runs")
    return load_settings(storage=found[0], given_as="a host that runs in this folder")


def _running() -> Iterator[str]:
    for path in _notes():
        url = _read(path)
        if url is not None:
            with suppress(TenutoError):  # what is no store is nobody's
                if owner_of(url) is not None:
                    yield url


def _drop_old() -> None:
    """Delete what killed hosts have left."""
    running = set(_running())
    for path in _notes():
        if _read(path) not in running:
            path.unlink(missing_ok=True)


def _notes() -> list[Path]:
    return sorted(_FOLDER.glob("*.json"))


def _read(path: Path) -> str | None:
    """The store that a note names; None of one that is not ours to believe."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if hasattr(os, "geteuid") and status.st_uid not in {os.geteuid(), 0}:
                return None
            return msgspec.json.decode(file.read(_MOST_BYTES), type=_Note).storage
    except (OSError, msgspec.DecodeError):
        return None
