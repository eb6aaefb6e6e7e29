"""In whose course this code runs: what functions that events start publish is caused by that event.

A function is called in a context of its own, so tasks and threads that it starts know it, too.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from tenuto.model.trace import TraceContext

if TYPE_CHECKING:
    from tenuto.client.client import Client

current_cause: Final[ContextVar[str | None]] = ContextVar("tenuto_cause", default=None)
"""What clients say that what they publish, queue and start was caused by; None for nothing."""

current_trace: Final[ContextVar[TraceContext | None]] = ContextVar("tenuto_trace", default=None)
"""The trace of the event that has started the code: what it publishes and starts belongs to it."""

client_of_host: "Final[ContextVar[Client]]" = ContextVar("client_of_host")
"""The client of the host that runs a function. The Program port knows no client, and one app may
be run by several hosts of a process."""


@contextmanager
def running_for(
    client: "Client", cause: str | None, trace: TraceContext | None = None
) -> Generator[None]:
    """Around the call of a function: which host runs it, for what, and in which trace."""
    had_client, had_cause = client_of_host.set(client), current_cause.set(cause)
    had_trace = current_trace.set(trace)
    try:
        yield
    finally:
        current_trace.reset(had_trace)
        current_cause.reset(had_cause)
        client_of_host.reset(had_client)
