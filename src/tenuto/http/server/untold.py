"""What callers are not told of an error: addresses, paths and users. The log has it.

Owns how often: callers without a key would fill the log otherwise.
"""

import logging
import time
from typing import Final

from tenuto.model.errors import TenutoError

_LOGGER: Final = logging.getLogger("tenuto.http")
_SAID_EVERY_SECONDS: Final = 10.0
_MOST: Final = 100
"""Messages that are remembered."""


class Untold:
    """Says what a caller was told in short, each message at most every ten seconds."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def note(self, error: TenutoError) -> None:
        """A caller was told this in short, if it names what not everybody may know."""
        text = str(error)
        if error.for_callers == text:
            return
        now = time.monotonic()
        said_at = self._said_at.get(text)
        if said_at is not None and now - said_at < _SAID_EVERY_SECONDS:
            return
        if len(self._said_at) >= _MOST:
            self._said_at.clear()
        self._said_at[text] = now
        _LOGGER.warning("a request was refused, in short: %s %s", error.code, text)
