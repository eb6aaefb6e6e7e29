"""Log lines for machines: one valid JSON object per line, whatever is logged."""

import logging
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from tenuto.model.class_names import type_name
from tenuto.telemetry.log_text import message_of, safe_text

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OURS: Final = frozenset(
    {"instance_id", "execution_id", "orchestrator", "activity", "attempt", "trace_id", "span_id"}
)


class _Error(Struct, frozen=True):
    """An exception that was logged; ``stack`` is its traceback with all causes."""

    type: str
    message: str
    stack: str


class _Line(Struct, frozen=True, omit_defaults=True):
    """A line. ``function`` is the activity or orchestrator, ``extra`` what the caller added."""

    time: str
    level: str
    logger: str
    message: str
    instance_id: Any = None
    execution_id: Any = None
    function: Any = None
    attempt: Any = None
    trace_id: Any = None
    span_id: Any = None
    error: _Error | None = None
    stack: str | None = None
    extra: dict[str, Any] | None = None


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object without a line break.

    Fields: ``time`` (UTC, milliseconds), ``level``, ``logger``, ``message``, and where they are
    known ``instance_id``, ``execution_id``, ``function``, ``attempt``, ``trace_id``, ``span_id``,
    ``error`` (``type``, ``message``, ``stack``), ``stack``, ``extra``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts = vars(record)
        line = _Line(
            time=_time(record.created),
            level=record.levelname.lower(),
            logger=record.name,
            message=message_of(record),
            instance_id=facts.get("instance_id"),
            execution_id=facts.get("execution_id"),
            function=facts.get("activity") or facts.get("orchestrator"),
            attempt=facts.get("attempt"),
            trace_id=facts.get("trace_id"),
            span_id=facts.get("span_id"),
            error=self._error(record),
            stack=record.stack_info,
            extra=extra_of(record) or None,
        )
        try:
            return _encoded(line)
        except Exception:  # noqa: BLE001 - what users log may be anything; a line there must be
            return _encoded(_all_text(line))

    def _error(self, record: logging.LogRecord) -> _Error | None:
        if not record.exc_info or record.exc_info[1] is None:
            return _relayed(record.exc_text)
        error = record.exc_info[1]
        try:
            message = str(error)
        except Exception:  # noqa: BLE001 - a user's __str__
            message = "<not available>"
        return _Error(type_name(type(error)), message, self.formatException(record.exc_info))


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller has added to a record."""
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD and name not in _OURS
    }


def _relayed(traceback: str | None) -> _Error | None:
    """An exception of another process, of which only the text came over."""
    if not traceback:
        return None
    last = next((one for one in reversed(traceback.splitlines()) if one[:1].strip()), "")
    kind, _, message = last.partition(": ")
    return _Error(kind, message, traceback)


def _encoded(line: _Line) -> str:
    return msgspec.json.encode(line, enc_hook=repr).decode()


def _all_text(line: _Line) -> _Line:
    """The same in text that can be encoded: half surrogates, keys of any type, circles."""
    error = line.error
    return _Line(
        time=line.time,
        level=line.level,
        logger=safe_text(line.logger),
        message=safe_text(line.message),
        instance_id=safe_text(line.instance_id),
        execution_id=safe_text(line.execution_id),
        function=safe_text(line.function),
        attempt=safe_text(line.attempt),
        trace_id=safe_text(line.trace_id),
        span_id=safe_text(line.span_id),
        error=error and _Error(*map(safe_text, (error.type, error.message, error.stack))),
        stack=None if line.stack is None else safe_text(line.stack),
        extra=line.extra and {safe_text(key): safe_text(one) for key, one in line.extra.items()},
    )


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
