"""Trace context as data: which trace of distributed tracing an execution belongs to (W3C)."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from tenuto.model.errors import InputError

_PARENT: Final = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_IS_USABLE: Final = re.compile(
    "(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_LONGEST_STATE: Final = 512
_SAMPLED: Final = 1
_STATE: Final = re.compile(r"[\x20-\x7e]*")


class TraceContext(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """The two headers of W3C Trace Context, to the letter.

    Attributes:
        parent: ``traceparent``: version, trace id, id of the span that has asked, flags.
        state: ``tracestate``: what vendors add.
        after: The span of the generation before, where spans are written; never sent.
    """

    parent: str
    state: str | None = None
    after: str | None = None

    @property
    def trace_id(self) -> str:
        """The 32 digits that all of one trace have in common."""
        return self.parent[3:35]

    @property
    def parent_id(self) -> str:
        """The 16 digits of the span that has asked."""
        return self.parent[36:52]

    @property
    def is_sampled(self) -> bool:
        """Whether who has asked writes spans."""
        return bool(int(self.parent[53:55], 16) & _SAMPLED)

    @property
    def headers(self) -> dict[str, str]:
        """What a request carries that belongs to the trace."""
        state = {} if self.state is None else {"tracestate": self.state}
        return {"traceparent": self.parent, **state}


def with_trace(
    attributes: Mapping[str, str] | None, trace: TraceContext | None
) -> dict[str, str] | None:
    """The attributes of an event that is published within a trace, as CloudEvents have them.

    Args:
        attributes: What who publishes has said; a trace that they name holds.
        trace: The trace.
    """
    given = dict(attributes or {})
    if trace is not None and "traceparent" not in given:
        given.pop("tracestate", None)
        given.update(trace.headers)
    return given or None


def checked_trace(trace: TraceContext | None) -> TraceContext | None:
    """The same, from somebody who may have sent anything.

    Raises:
        InputError: it is no trace context.
    """
    if trace is None:
        return None
    if _PARENT.fullmatch(trace.parent) is None:
        raise InputError(
            "trace.parent must be a traceparent such as 00-<32 digits>-<16 digits>-01, got "
            f"{trace.parent[:80]!r}"
        )
    if trace.state is not None and len(trace.state) > _LONGEST_STATE:
        raise InputError(f"trace.state has {len(trace.state)} characters, at most {_LONGEST_STATE}")
    if trace.state is not None and _STATE.fullmatch(trace.state) is None:
        raise InputError("trace.state must be printable ASCII: it is sent on as a header")
    return trace if trace.after is None else TraceContext(trace.parent, trace.state)


def trace_of_headers(parent: str | None, state: str | None) -> TraceContext | None:
    """What a request has come with, as W3C Trace Context wants it read.

    Nobody is refused for a header that may come from a proxy: a ``traceparent`` that is none counts
    as not sent, and so does a ``tracestate`` that is too long or stands alone.

    Args:
        parent: The header ``traceparent``.
        state: The header ``tracestate``, all its lines.
    """
    if parent is None or _IS_USABLE.fullmatch(parent.strip()) is None:
        return None
    is_kept = state is not None and len(state) <= _LONGEST_STATE and _STATE.fullmatch(state)
    kept = state.strip() if state is not None and is_kept else None
    return TraceContext(parent.strip(), kept or None)
