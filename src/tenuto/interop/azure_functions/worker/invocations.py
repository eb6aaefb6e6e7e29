"""What a function may know of the call that it is in, and where it puts what it has for outputs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from .logs import thread_local_storage


@dataclass(frozen=True)
class TraceContext:
    """The trace that a call belongs to, as W3C headers."""

    trace_parent: str = ""
    trace_state: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class RetryException:
    """What the try before has raised."""

    message: str = ""
    source: str = ""
    stack_trace: str = ""


@dataclass(frozen=True)
class RetryContext:
    """Which try this is, for a function with a retry policy."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: Any = None


@dataclass(frozen=True)
class Context:
    """What a parameter called ``context`` gets: as ``azure.functions.Context`` describes."""

    invocation_id: str
    function_name: str
    function_directory: str
    trace_context: TraceContext
    retry_context: RetryContext

    @property
    def thread_local_storage(self) -> Any:
        return thread_local_storage


class Out:
    """What an output binding's parameter gets."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value


def be_of_the_package() -> None:
    """Have ``isinstance`` say what an app expects of these objects."""
    package = importlib.import_module("azure.functions")
    package.Context.register(Context)
    package.Out.register(Out)


def context_of(message: dict[str, Any], name: str, directory: str) -> Context:
    """The context of a ``call`` message."""
    trace, retry = message.get("trace") or {}, message.get("retry") or {}
    return Context(
        invocation_id=message["invocation"],
        function_name=name,
        function_directory=directory,
        trace_context=TraceContext(trace.get("traceParent", ""), trace.get("traceState", "")),
        retry_context=RetryContext(
            retry.get("retryCount", 0),
            retry.get("maxRetryCount", 0),
            _exception(retry.get("exception")),
        ),
    )


def _exception(told: dict[str, Any] | None) -> RetryException | None:
    if told is None:
        return None
    return RetryException(
        told.get("message", ""), told.get("source", ""), told.get("stackTrace", "")
    )
