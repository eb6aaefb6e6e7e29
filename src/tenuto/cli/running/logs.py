"""Log lines beside a live picture: above it, not through it."""

import logging
import sys
from typing import Final, TextIO

from tenuto.insight.wording import one_line
from tenuto.telemetry.log_context import ContextFilter
from tenuto.telemetry.log_setup import CurrentStandardError

_SHOWN: Final = ("tenuto.orchestration", "tenuto.activity")
"""What user code writes through ``ctx.logger`` and the activity's context: from INFO on."""


_LINE: Final = "%(levelname)s %(whose)s%(name)s: %(message)s"


def route_logs() -> None:
    """Send log lines to standard error as it is at each line. An app's own set-up is kept."""
    root = logging.getLogger()
    stream: TextIO = CurrentStandardError()  # type: ignore[assignment]  # all that handlers use
    if not root.handlers:
        logging.basicConfig(stream=stream, format=_LINE)
        root.handlers[0].addFilter(ContextFilter())  # silent in replay
        root.handlers[0].addFilter(_add_whose)
        for name in _SHOWN:
            if logging.getLogger(name).level == logging.NOTSET:
                logging.getLogger(name).setLevel(logging.INFO)
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__:
            handler.setStream(stream)


def _add_whose(record: logging.LogRecord) -> bool:
    """The instance, and the activity in it, where a line comes from one."""
    facts = (getattr(record, name, None) for name in ("instance_id", "activity"))
    told = " ".join(one_line(str(fact)) for fact in facts if fact is not None)
    record.whose = f"[{told}] " if told else ""
    return True
