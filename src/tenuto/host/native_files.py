"""Functions of an app that files start: what `@app.files` makes of them."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from tenuto.engine.program import FileTrigger
from tenuto.functions.arrived_file import ArrivedFile
from tenuto.host.native_calls import Offer
from tenuto.host.native_triggered import (
    NativeTriggered,
    checked_concurrency,
    native_triggered,
    redelivery_of,
)
from tenuto.model.errors import InputError
from tenuto.model.retry import RetryPolicy
from tenuto.model.timing import span

_LONGEST: Final = timedelta(days=1)


_OFFER: Final = Offer(
    giver="a file",
    info=ArrivedFile,
    has_payload=False,
    words="none, or any of `file: ArrivedFile` and `client: Client` (`SyncClient` in a `def`), by "
    "their annotations",
)


class FilesOptions(Struct, frozen=True, kw_only=True):
    """What ``@app.files`` was told, not yet checked."""

    folder: str | os.PathLike[str]
    pattern: str
    recursive: bool
    settled: timedelta
    concurrency: int
    retry: RetryPolicy | None


def native_files(function: Callable[..., Any], name: str, options: FilesOptions) -> NativeTriggered:
    """What a decorated function becomes.

    Raises:
        InputError: an option cannot be used, or a parameter cannot be filled.
    """
    trigger = FileTrigger(
        folder=_checked_folder(options.folder),
        pattern=_checked_pattern(options.pattern),
        recursive=bool(options.recursive),
        settled=_checked_settled(options.settled),
        concurrency=checked_concurrency(options.concurrency),
        redelivery=redelivery_of(options.retry),
    )
    return native_triggered(function, name, trigger, _OFFER, ArrivedFile.of)


def _checked_folder(folder: object) -> str:
    path: object = folder
    if isinstance(folder, os.PathLike):
        path = os.fspath(folder)
    if not isinstance(path, str) or not path or "\0" in path:
        raise InputError(f"folder must be the path of a folder, got {folder!r}")
    return path


def _checked_pattern(pattern: object) -> str:
    if not isinstance(pattern, str) or not pattern or "/" in pattern:
        raise InputError(
            f"pattern must be one for names of files, such as '*.csv', got {pattern!r}; the folder "
            "is an argument of its own, and recursive=True takes those in it, too"
        )
    return pattern


def _checked_settled(settled: object) -> int:
    if not isinstance(settled, timedelta) or not timedelta() <= settled <= _LONGEST:
        raise InputError(f"settled must be a timedelta of 0 to 1 day, got {settled!r}")
    return span(settled)
