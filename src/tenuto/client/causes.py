"""In whose course this code runs: what functions that events start publish is caused by that event.

A function is called in a context of its own, so tasks and threads that it starts know it, too.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tenuto.client.client import Client

current_cause: Final[ContextVar[str | None]] = ContextVar("tenuto_cause", default=None)
"""What clients say that what they publish, queue and start was caused by; None for nothing."""

client_of_host: "Final[ContextVar[Client]]" = ContextVar("client_of_host")
"""The client of the host that runs a function. The Program port knows no client, and one app may
be run by several hosts of a process."""


@contextmanager
def running_for(client: "Client", cause: str | None) -> Generator[None]:
    """Around the call of a function: which host runs it, and for what."""
    had_client, had_cause = client_of_host.set(client), current_cause.set(cause)
    try:
        yield
    finally:
        current_cause.reset(had_cause)
        client_of_host.reset(had_client)
