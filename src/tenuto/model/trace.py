"""Trace context as data: which trace of distributed tracing an execution belongs to (W3C)."""

import re
from typing import Final

from msgspec import Struct

from tenuto.model.errors import InputError

_PARENT: Final = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST_STATE: Final = 512


class TraceContext(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """The two headers of W3C Trace Context, to the letter.

    Attributes:
        parent: ``traceparent``: version, trace id, id of the span that has asked, flags.
        state: ``tracestate``: what vendors add.
    """

    parent: str
    state: str | None = None


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
    return trace
