"""The last word of a process that a fatal signal ends: which signal, and where its threads were.

A crash in native code leaves nothing that the next host could read in the store. So Python's fault
handler is given a file beside it; whoever starts next finds it, says so in the log, and can tell a
crash from a ``kill -9`` (``engine.careful``). Leaves a fault handler alone that the program has set
up itself; then there is no word.
"""

import contextlib
import faulthandler
import os
from pathlib import Path
from typing import Final, TextIO

_PREFIX: Final = "sqlite:///"
_LINES: Final = 8
_MOST_CHARACTERS: Final = 65_536


class LastWord:
    """The file beside a store.

    Args:
        url: The store; one that is no file has no word.
    """

    def __init__(self, url: str) -> None:
        place = url.removeprefix(_PREFIX)
        self._path = Path(f"{place}.crash") if place not in {url, ""} else None
        self._file: TextIO | None = None

    def read(self) -> str | None:
        """The beginning of what the owner before has left; None when it was not a fatal signal."""
        if self._path is None:
            return None
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(_MOST_CHARACTERS).strip()
        except OSError:
            return None
        return "\n".join(text.splitlines()[:_LINES]) or None

    def keep(self) -> None:
        """From now on this process leaves its own; what was there is gone."""
        if self._path is None or faulthandler.is_enabled():
            return
        with contextlib.suppress(OSError):  # then there is no word; the store says what matters
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8")
            faulthandler.enable(self._file)

    def drop(self) -> None:
        """The host ends as it should."""
        file, self._file = self._file, None
        if file is not None and self._path is not None:
            faulthandler.disable()
            file.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
