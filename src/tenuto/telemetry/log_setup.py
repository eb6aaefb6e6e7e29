"""How the log lines of a process are written: one handler, on standard error."""

import logging
import os
import sys
from contextlib import suppress
from typing import Final, Literal, TextIO

from tenuto.model.errors import InputError
from tenuto.telemetry.json_log import JsonFormatter
from tenuto.telemetry.log_context import ContextFilter
from tenuto.telemetry.text_log import TextFormatter

LogForm = Literal["text", "json"]

_HTTP_CLIENT: Final = "httpx2"

LEVELS: Final = ("debug", "info", "warning", "error")


class CurrentStandardError:
    """Standard error as it is at each line: a live picture puts itself in its place."""

    def write(self, text: str) -> int:
        """Write to it."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush it."""
        sys.stderr.flush()


class HostLogHandler(logging.StreamHandler[TextIO]):
    """Writes what a host and the functions on it log."""

    def __init__(self, form: LogForm, stream: TextIO | None = None) -> None:
        current: TextIO = CurrentStandardError()  # type: ignore[assignment]  # all that handlers use
        super().__init__(current if stream is None else stream)
        self.addFilter(ContextFilter())
        if form == "json":
            self.setFormatter(JsonFormatter())
        else:
            self.setFormatter(TextFormatter(color=_wants_color(stream or sys.stderr)))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as logging calls it
        """Lose the line: standard error may be closed, and who logs has something else to do."""
        with suppress(Exception):
            super().handleError(record)


def configure_logging(form: LogForm, level: str, stream: TextIO | None = None) -> None:
    """Write all log lines of this process in one form.

    Called a second time, or after an app has sent its lines to the terminal in a form of its own,
    it replaces that. Other handlers that an app has set up, such as files, stay. Python's warnings
    become log lines too. Requests that the HTTP client makes are lines at ``debug`` alone.

    Args:
        form: ``text`` for people, ``json`` for machines: one object per line.
        level: The least important lines shown: ``debug``, ``info``, ``warning`` or ``error``.
        stream: Where to; standard error by default.

    Raises:
        InputError: there is no such form or level.

    Example:
        ``configure_logging("json", "info")``
    """
    if form not in ("text", "json"):
        raise InputError(f"log format {form!r} does not exist; use 'text' or 'json'")
    if level not in LEVELS:
        raise InputError(f"log level {level!r} does not exist; use one of {', '.join(LEVELS)}")
    handler = HostLogHandler(form, stream)
    root = logging.getLogger()
    for standing in [one for one in root.handlers if _is_on_terminal(one)]:
        root.removeHandler(standing)
    root.addHandler(handler)
    root.setLevel(level.upper())
    requests = logging.getLogger(_HTTP_CLIENT)
    if level == "info" and requests.level == logging.NOTSET:
        requests.setLevel(logging.WARNING)  # a line, with the address, for each of a link or push
    logging.captureWarnings(True)


def _is_on_terminal(handler: logging.Handler) -> bool:
    return isinstance(handler, HostLogHandler) or (
        isinstance(handler, logging.StreamHandler)
        and (
            isinstance(handler.stream, CurrentStandardError)
            or handler.stream in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__)
        )
    )


def _wants_color(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
