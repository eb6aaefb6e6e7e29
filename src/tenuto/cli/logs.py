"""Log lines beside a live picture: above it, not through it."""

import logging
import sys
from typing import Final, TextIO

_SHOWN: Final = ("tenuto.orchestration", "tenuto.activity")
"""What user code writes through ``ctx.logger`` and the activity's context: from INFO on."""


class _CurrentStream:
    """Standard error as it is at each line: a live picture puts itself in its place."""

    def write(self, text: str) -> int:
        """Write to it."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush it."""
        sys.stderr.flush()


def route_logs() -> None:
    """Send log lines to standard error as it is at each line. An app's own set-up is kept."""
    root = logging.getLogger()
    stream: TextIO = _CurrentStream()  # type: ignore[assignment]  # the two methods that handlers use
    if not root.handlers:
        logging.basicConfig(stream=stream, format="%(levelname)s %(name)s: %(message)s")
        for name in _SHOWN:
            if logging.getLogger(name).level == logging.NOTSET:
                logging.getLogger(name).setLevel(logging.INFO)
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__:
            handler.setStream(stream)
