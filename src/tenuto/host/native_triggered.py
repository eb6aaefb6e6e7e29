"""Functions of an app that events start: what `@app.queue`, `@app.subscribe` and others are."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from msgspec import Struct

from tenuto.engine.program import Delivery, Redelivery, Trigger
from tenuto.host.native_calls import NativeCall, Offer, native_call
from tenuto.model.errors import InputError
from tenuto.model.retry import RetryPolicy
from tenuto.model.timing import span

_MOST_AT_ONCE = 1_000


class NativeTriggered(Struct, frozen=True, kw_only=True):
    """A function of this process that events start.

    Attributes:
        name: Its name; what is known of its deliveries is kept under it.
        call: The function.
        trigger: What starts it.
        tell: Makes what it is told of a delivery.
    """

    name: str
    call: NativeCall
    trigger: Trigger
    tell: Callable[[Delivery], Any]

    async def run(self, delivery: Delivery) -> None:
        """Call the function; what it raises is raised."""
        await self.call.run(self.tell(delivery), delivery.data)


def native_triggered(
    function: Callable[..., Any],
    name: str,
    trigger: Trigger,
    offer: Offer,
    tell: Callable[[Delivery], Any],
) -> NativeTriggered:
    """What a decorated function becomes.

    Args:
        function: The function.
        name: Its name.
        trigger: What starts it.
        offer: What it may take.
        tell: Makes what it is told of a delivery.

    Raises:
        InputError: a parameter cannot be filled.
    """
    call = native_call(function, offer, f"tenuto-function-{name}")
    return NativeTriggered(name=name, call=call, trigger=trigger, tell=tell)


def checked_concurrency(value: object) -> int:
    """How many deliveries are worked on at once.

    Raises:
        InputError: it is no number from 1 to 1,000.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_AT_ONCE:
        raise InputError(f"concurrency must be an int from 1 to {_MOST_AT_ONCE:,}, got {value!r}")
    return value


def redelivery_of(retry: RetryPolicy | None) -> Redelivery:
    """What is done with a delivery that has failed; the usual when nothing is said.

    Raises:
        InputError: it is no retry policy, or one with a part that has no meaning here.
    """
    if retry is None:
        return Redelivery()
    if not isinstance(retry, RetryPolicy):
        raise InputError(f"retry must be a RetryPolicy, got {retry!r}")
    if retry.retry_if is not None or retry.timeout is not None:
        raise InputError(
            "retry: a delivery knows max_attempts, first_interval, backoff and max_interval; "
            "retry_if and timeout are for calls of an orchestrator"
        )
    longest = timedelta(days=1) if retry.max_interval is None else retry.max_interval
    return Redelivery(
        attempts=retry.max_attempts,
        first_pause=span(retry.first_interval),
        backoff=float(retry.backoff),
        longest_pause=span(longest),
    )
