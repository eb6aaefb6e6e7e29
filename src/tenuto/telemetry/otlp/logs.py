"""The lines of a host and of the functions on it as OpenTelemetry has them.

They wait in memory, a bounded number of them, until they are sent together. Lines are for people:
what a receiver does not take goes, and the host says how many that were.
"""

import logging
import threading
from collections import deque
from typing import Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.spans import SpanRules
from tenuto.telemetry.json_log import extra_of
from tenuto.telemetry.log_context import ContextFilter
from tenuto.telemetry.log_text import message_of, safe_text
from tenuto.telemetry.otlp.sending import THREAD
from tenuto.telemetry.otlp.translation import SCOPE

_MOST_WAITING: Final = 10_000
_OF_SENDING: Final = ("opentelemetry.", "azure.monitor.opentelemetry")
_LEVELS: Final = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
    (0, SeverityNumber.DEBUG),
)
_FACTS: Final = ("instance_id", "execution_id", "orchestrator", "activity", "attempt")


class LineKeeper(logging.Handler):
    """Keeps lines until they are sent.

    Args:
        resource: Whose they are.
        rules: Which traces have spans; None for none.

    Attributes:
        lost: How many lines there was no room for.
    """

    def __init__(self, resource: Resource, rules: SpanRules | None) -> None:
        super().__init__()
        self.addFilter(ContextFilter())
        self._resource = resource
        self._rules = rules or SpanRules()
        self._lines: deque[ReadableLogRecord] = deque()
        self.lost: int = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, unless it is of sending lines."""
        if record.name.startswith(_OF_SENDING) or threading.current_thread().name.startswith(
            THREAD
        ):
            return
        if len(self._lines) >= _MOST_WAITING:
            self.lost += 1
            return
        try:
            self._lines.append(self._line(record))
        except Exception:  # noqa: BLE001 - what users log may be anything
            self.handleError(record)

    def take(self) -> list[ReadableLogRecord]:
        """All lines that wait; they wait no more."""
        lines, self._lines = self._lines, deque()
        return list(lines)

    def _line(self, record: logging.LogRecord) -> ReadableLogRecord:
        facts = vars(record)
        attributes: dict[str, str | int] = {"logger": record.name}
        for name in _FACTS:
            value = facts.get(name)
            if value is not None:
                attributes[f"tenuto.{name}"] = value if isinstance(value, int) else safe_text(value)
        for name, value in extra_of(record).items():
            attributes[safe_text(name)] = safe_text(value)
        if record.exc_info and record.exc_info[1] is not None:
            attributes["exception.type"] = type(record.exc_info[1]).__qualname__
            attributes["exception.stacktrace"] = safe_text(
                logging.Formatter().formatException(record.exc_info)
            )
        moment = round(record.created * 1e9)
        line = LogRecord(
            timestamp=moment,
            observed_timestamp=moment,
            context=self._context(facts),
            severity_text=record.levelname,
            severity_number=next(one for least, one in _LEVELS if record.levelno >= least),
            body=safe_text(message_of(record)),
            attributes=attributes,
        )
        return ReadableLogRecord(line, self._resource, SCOPE)

    def _context(self, facts: dict[str, Any]) -> Context:
        """The span that a line was written in: of an attempt, or of an execution."""
        trace_id, span_id = facts.get("trace_id"), facts.get("span_id")
        execution_id = facts.get("execution_id")
        if span_id is None and execution_id is not None:
            own = self._rules.context(
                InstanceId(facts.get("instance_id", "")), ExecutionId(execution_id), None
            )
            trace_id, span_id = trace_id or own.trace_id, own.span_id()
        if not trace_id or not span_id:
            return Context()
        within = SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(1)
        )
        return set_span_in_context(NonRecordingSpan(within), Context())
