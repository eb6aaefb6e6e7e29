"""Log lines for people: local time, level, instance, logger, message."""

import logging
from datetime import datetime
from typing import Final

from tenuto.model.built_in import plain_name
from tenuto.telemetry.log_text import message_of, safe_text

_COLORS: Final = {
    logging.DEBUG: "\x1b[2m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
_PLAIN: Final = "\x1b[0m"
_KEPT: Final = "\n\t"
_SHOWN: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT
}
"""Control characters: a logged text must not move a terminal's cursor."""


class TextFormatter(logging.Formatter):
    """Formats a record as ``2026-11-22 14:03:22.123 INFO    [trip-1] app: booked``.

    Further lines, of tracebacks for example, are indented: a line that is not begins a record.

    Args:
        color: Whether levels are coloured, for terminals.
    """

    def __init__(self, *, color: bool = False) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines."""
        moment = datetime.fromtimestamp(record.created).astimezone()
        level = f"{record.levelname:<7}"
        if self._color and record.levelno in _COLORS:
            level = f"{_COLORS[record.levelno]}{level}{_PLAIN}"
        activity = getattr(record, "activity", None)
        facts = (
            getattr(record, "instance_id", None),
            plain_name(activity) if isinstance(activity, str) else activity,
        )
        told = " ".join(_clean(fact) for fact in facts if fact is not None)
        whose = f"[{told}] " if told else ""
        parts = [message_of(record)]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append(self.formatException(record.exc_info))
        elif record.exc_text:  # of another process
            parts.append(record.exc_text)
        if record.stack_info:
            parts.append(record.stack_info)
        text = _clean("\n".join(parts).rstrip("\n")).replace("\n", "\n    ")
        time = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"
        return f"{time} {level} {whose}{_clean(record.name)}: {text}"


def _clean(value: object) -> str:
    return safe_text(value).replace("\r\n", "\n").translate(_SHOWN)
