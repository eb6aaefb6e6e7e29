"""Functions of an app that Event Grid starts: what ``@app.event`` makes of them."""

from collections.abc import Callable
from typing import Any, Final, cast

from tenuto.engine.program import Delivery, EventGridTrigger
from tenuto.host.native_calls import Offer
from tenuto.host.native_triggered import (
    NativeTriggered,
    checked_concurrency,
    native_triggered,
    redelivery_of,
)
from tenuto.model.retry import RetryPolicy
from tenuto.model.topics import Event

_OFFER: Final = Offer(
    giver="Event Grid",
    info=Event,
    has_payload=True,
    words="any of `event: Event`, the event's data as one parameter of its type, and "
    "`client: Client` (`SyncClient` in a `def`), by their annotations",
)


def native_event(
    function: Callable[..., Any], name: str, concurrency: int, retry: RetryPolicy | None
) -> NativeTriggered:
    """What a decorated function becomes.

    Raises:
        InputError: an option cannot be used, or a parameter cannot be filled.
    """
    trigger = EventGridTrigger(
        concurrency=checked_concurrency(concurrency), redelivery=redelivery_of(retry)
    )
    return native_triggered(function, name, trigger, _OFFER, _told)


def _told(delivery: Delivery) -> Event:
    return cast("Event", delivery.facts["event"])
