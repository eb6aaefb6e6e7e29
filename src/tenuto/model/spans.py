"""Spans as data: what an execution and its steps are in a trace (OpenTelemetry), and their ids.

Ids are derived from the execution and the number of the step, never drawn: whoever computes them,
on any host, in any replay, after any crash, gets the same. Pure data.
"""

from enum import IntEnum
from hashlib import blake2b
from typing import Final, Self

import msgspec
from msgspec import Raw, Struct, structs

from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.timing import Microseconds
from tenuto.model.trace import TraceContext

TOPIC: Final = "tenuto.spans"
"""The topic that spans wait in until somebody has taken them, and the name of who takes them."""

_EXECUTION: Final = -1


class SpanKind(IntEnum):
    """What a span stands for, with the numbers of OTLP."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class Span(Struct, frozen=True, array_like=True, gc=False):
    """What has happened, from when to when.

    Attributes:
        trace_id: 32 digits.
        span_id: 16 digits.
        parent_id: Of the span that it belongs to; empty for the first of a trace.
        name: What people read.
        kind: What it stands for.
        began: When.
        ended: When.
        attributes: What else is known.
        error: Why it failed; None when it did not.
        state: ``tracestate`` of the trace.
        linked: The span of the generation before; empty for none.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: SpanKind
    began: Microseconds
    ended: Microseconds
    attributes: dict[str, str | int]
    error: str | None = None
    state: str | None = None
    linked: str = ""


class SpanRules(Struct, frozen=True):
    """Which traces have spans.

    Attributes:
        ratio: The share of those traces that begin here, by their ids. What a caller has decided
            of its own trace holds.
    """

    ratio: float = 1.0

    def context(
        self, instance_id: InstanceId, execution_id: ExecutionId, trace: TraceContext | None
    ) -> "SpanContext":
        """Which trace an execution belongs to: that of its caller, or one of its own.

        Whoever starts an instance may choose the id of its execution: only both ids together are
        nobody else's.
        """
        seed = f"{instance_id}/{execution_id}"
        if trace is not None:
            return SpanContext(seed, trace.trace_id, trace.parent_id, trace.is_sampled, trace)
        trace_id = blake2b(seed.encode(), digest_size=16).hexdigest()
        is_sampled = int(trace_id[16:], 16) < self.ratio * 2**64
        return SpanContext(seed, trace_id, "", is_sampled)


class SpanContext(Struct, frozen=True):
    """An execution in its trace.

    Attributes:
        seed: What its ids are made of.
        trace_id: Of its trace.
        parent_id: The span of whoever has called it; empty when it begins the trace.
        is_sampled: Whether its spans are written.
        trace: What it was called with; None when it begins the trace.
    """

    seed: str
    trace_id: str
    parent_id: str
    is_sampled: bool
    trace: TraceContext | None = None

    def span_id(self, step: int = _EXECUTION) -> str:
        """The id of the span of a step, by the number of its event; of the execution itself."""
        return blake2b(f"{self.seed}/{step}".encode(), digest_size=8).hexdigest()

    def of_step(self, step: int) -> TraceContext:
        """What a step hands on: to a child, to a request. Of a trace without spans, as it came."""
        if self.trace is not None and not self.is_sampled:
            return _plain(self.trace)
        return self._headers(self.span_id(step))

    def of_next_generation(self) -> TraceContext:
        """What the generation after this one belongs to.

        The same trace: under its caller, and without one under the first generation.
        """
        own = self.span_id()
        trace = self._headers(own) if self.trace is None else self.trace
        return structs.replace(trace, after=own)

    def _headers(self, span_id: str) -> TraceContext:
        flags = f"{int(self.is_sampled):02x}"
        state = None if self.trace is None else self.trace.state
        return TraceContext(f"00-{self.trace_id}-{span_id}-{flags}", state)


def _plain(trace: TraceContext) -> TraceContext:
    return trace if trace.after is None else structs.replace(trace, after=None)


class SpanRow(Struct, frozen=True, omit_defaults=True):
    """The spans that a turn has ended, as the store keeps them; ``subject`` is the instance."""

    data: list[Span]
    subject: str = ""

    @classmethod
    def read(cls, content: Raw) -> Self:
        """Of its JSON form."""
        return msgspec.json.decode(content, type=cls)

    def text(self) -> Raw:
        """Its JSON form, which is that of an event's content."""
        return Raw(msgspec.json.encode(self))
