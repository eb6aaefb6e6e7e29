"""Spans of the store as OpenTelemetry's packages have them."""

from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from tenuto.model.spans import Span
from tenuto.model.spans import SpanKind as OurKind

SCOPE: Final = InstrumentationScope("tenuto")

_KINDS: Final = {
    OurKind.INTERNAL: SpanKind.INTERNAL,
    OurKind.SERVER: SpanKind.SERVER,
    OurKind.CLIENT: SpanKind.CLIENT,
    OurKind.PRODUCER: SpanKind.PRODUCER,
    OurKind.CONSUMER: SpanKind.CONSUMER,
}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """A span to be exported; the same for the same span, however often."""
    state = TraceState.from_header([span.state]) if span.state else None
    parent = links = None
    if span.parent_id:
        parent = _context(span.trace_id, span.parent_id, state)
    if span.linked:
        links = [Link(_context(span.trace_id, span.linked, state))]
    status = Status(StatusCode.OK) if span.error is None else Status(StatusCode.ERROR, span.error)
    return ReadableSpan(
        span.name,
        _context(span.trace_id, span.span_id, state),
        parent,
        resource,
        span.attributes,
        (),
        links or (),
        _KINDS[span.kind],
        status=status,
        start_time=span.began * 1_000,
        end_time=span.ended * 1_000,
        instrumentation_scope=SCOPE,
    )


def _context(trace_id: str, span_id: str, state: TraceState | None) -> SpanContext:
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=False,
        trace_flags=_SAMPLED,
        trace_state=state,
    )
