"""What a running activity is told: which attempt it is, for whom, and whether to stop.

Owns the context object, its cancellation token and the context variable behind
``current_activity()``. Knows nothing of threads or queues. Cancelling is cooperative: nothing here
ever interrupts user code.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from functools import cached_property
from typing import Any, cast

from tenuto.model.built_in import activity_words
from tenuto.model.errors import InputError
from tenuto.telemetry.running import running_activity as log_running_activity

_LOGGER = logging.getLogger("tenuto.activity")


class Cancellation:
    """The token by which an activity learns that nobody waits for its result any more.

    It is turned on when the orchestrator cancels the call or ends, and when the attempt has run
    into its timeout. It never turns off.
    """

    __slots__ = ("_requested", "_waiters")

    def __init__(self) -> None:
        self._requested = False
        self._waiters: list[asyncio.Future[None]] | None = None

    @property
    def requested(self) -> bool:
        """Whether the activity should stop."""
        return self._requested

    def raise_if_requested(self) -> None:
        """End the activity here if it should stop.

        Raises:
            asyncio.CancelledError: it should; ``except Exception`` does not catch this one.
        """
        if self._requested:
            raise asyncio.CancelledError("the activity was asked to stop")

    async def wait(self) -> None:
        """Wait until the activity should stop; for async activities.

        Example:
            ``await asyncio.wait({work, asyncio.create_task(context.cancellation.wait())}, ...)``
        """
        if not self._requested:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if self._waiters is None:
                self._waiters = []
            self._waiters.append(waiter)
            await waiter

    def request(self) -> None:
        """Turn the token on; called on the host's loop."""
        self._requested = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)


class ActivityContext:
    """Facts of the running attempt.

    An activity gets it as its first parameter when that is annotated with this class, or from
    ``current_activity()``. Unit tests make their own: every argument has a default.

    Args:
        name: The activity's name.
        instance_id: The orchestration that called it.
        attempt: 1 for the first attempt, counted up by retries.
        idempotency_key: The same for every attempt of one logical call, different for every
            other call: hand it to services that can recognise a repeated request.
        cancellation: Says when to stop.
        trace_headers: ``traceparent`` and ``tracestate`` of the trace that the instance was started
            in, for requests of your own; empty without one. ``ctx.call_http`` sends them itself.

    Example:
        ``await client.post(url, headers=dict(current_activity().trace_headers))``
    """

    def __init__(
        self,
        name: str = "",
        *,
        instance_id: str = "",
        attempt: int = 1,
        idempotency_key: str = "",
        cancellation: Cancellation | None = None,
        trace_headers: Mapping[str, str] | None = None,
    ) -> None:
        self.name: str = name
        self.instance_id = instance_id
        self.attempt = attempt
        self.idempotency_key = idempotency_key
        self.cancellation: Cancellation = cancellation or Cancellation()
        self.trace_headers: Mapping[str, str] = trace_headers or {}

    def __repr__(self) -> str:
        return f"<{activity_words(self.name)} of {self.instance_id!r}, attempt {self.attempt}>"

    @cached_property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger (``tenuto.activity``) whose records carry instance id, activity and attempt."""
        facts = {
            "instance_id": self.instance_id,
            "activity": self.name,
            "attempt": self.attempt,
        }
        return _ActivityLogger(_LOGGER, facts)


class _ActivityLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the facts of the attempt to what the call itself gives as ``extra``."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


running_activity: ContextVar[Callable[[], ActivityContext]] = cast(
    "ContextVar[Callable[[], ActivityContext]]", log_running_activity
)
"""Gives the context of the activity that this thread or task runs."""


def current_activity() -> ActivityContext:
    """The context of the activity that is running.

    Raises:
        InputError: the caller does not run as an activity.

    Example:
        ``current_activity().logger.info("charging")``
    """
    running = running_activity.get(None)
    if running is None:
        raise InputError(
            "current_activity() was called outside an activity; in a unit test call the function "
            "with an ActivityContext of your own as first parameter"
        )
    return running()
