"""What the app logs goes to the host, with the invocation that wrote it."""

from __future__ import annotations

import contextvars
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .exception_texts import message_of, shown, stack_of
from .sizes import cut

Send = Callable[[dict[str, Any]], None]

_invocation: contextvars.ContextVar[tuple[str, str] | None]
_invocation = contextvars.ContextVar("tenuto_invocation", default=None)

thread_local_storage = threading.local()
"""``context.thread_local_storage`` of an app: a thread that a function starts sets its
``invocation_id``, and thereby says whose it is."""

# Loggers of the packages that an app runs on. `azure` has the SDKs of all services below it.
_NOT_OF_THE_APP = ("azure", "durabletask")
_PACKAGES = tuple(
    os.sep + os.path.join("azure", name) + os.sep for name in ("functions", "durable_functions")
)

_LEVELS = (
    (logging.DEBUG, "trace"),
    (logging.INFO, "debug"),
    (logging.WARNING, "information"),
    (logging.ERROR, "warning"),
    (logging.CRITICAL, "error"),
)


@contextmanager
def invocation(identifier: str, function: str) -> Iterator[None]:
    """What is logged inside belongs to this invocation of this function."""
    token = _invocation.set((identifier, function))
    try:
        yield
    finally:
        _invocation.reset(token)


def level_name(level: int) -> str:
    """The protocol's word for a level of ``logging``."""
    return next((name for above, name in _LEVELS if level < above), "critical")


class HostHandler(logging.Handler):
    """Sends each record as a ``log`` message."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - a call such as `info("%d", "text")` harms only itself
            text = _unformatted(record, error)
        identifier, function = _invocation.get() or (
            getattr(thread_local_storage, "invocation_id", None),
            None,
        )
        self._send(
            {
                "type": "log",
                "text": cut(text),
                "level": level_name(record.levelno),
                "invocation": identifier,
                "function": function,
                "isUser": _is_of_the_app(record),
            }
        )


def _unformatted(record: logging.LogRecord, error: Exception) -> str:
    """What is known of a line whose text cannot be made."""
    raised = record.exc_info and record.exc_info[1]
    return (
        f"{shown(record.msg)} with {shown(record.args)} cannot be logged: "
        f"{type(error).__name__}: {message_of(error)} ({record.pathname}:{record.lineno})"
        + (f"\n{stack_of(raised)}" if raised else "")
    )


def _is_of_the_app(record: logging.LogRecord) -> bool:
    if record.name.partition(".")[0] in _NOT_OF_THE_APP:
        return False
    # They also write through the root logger.
    return not any(package in record.pathname for package in _PACKAGES)


def log_to_host(send: Send, *, with_debug: bool) -> None:
    """Have everything that is logged sent, from ``information`` on, or from ``debug`` on."""
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if with_debug else logging.INFO)
    handler = HostHandler(send)
    root.addHandler(handler)
    # A process that the app forks has no pipe; what it logs goes to its standard error.
    os.register_at_fork(after_in_child=lambda: root.removeHandler(handler))
