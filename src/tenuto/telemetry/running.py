"""Which activity runs in this thread or task, for whoever writes a log line in it."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Protocol

from tenuto.model.ids import InstanceId


class RunningActivity(Protocol):
    """What a log line says of the attempt that wrote it."""

    @property
    def name(self) -> str:
        """The activity."""

    @property
    def instance_id(self) -> InstanceId:
        """The orchestration that called it."""

    @property
    def attempt(self) -> int:
        """1 for the first."""

    @property
    def trace_headers(self) -> Mapping[str, str]:
        """Of the trace that the orchestration belongs to, if any."""


running_activity: ContextVar[Callable[[], RunningActivity]] = ContextVar("tenuto_running_activity")
"""Gives the attempt that this thread or task runs. A call, as most attempts are never asked."""
