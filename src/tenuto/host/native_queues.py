"""Functions of an app that messages of a queue start: what ``@app.queue`` makes of them."""

from collections.abc import Callable
from typing import Any, Final

from tenuto.engine.program import QueueTrigger
from tenuto.functions.queue_message import QueueMessage
from tenuto.host.native_calls import Offer
from tenuto.host.native_triggered import (
    NativeTriggered,
    checked_concurrency,
    native_triggered,
    redelivery_of,
)
from tenuto.model.retry import RetryPolicy
from tenuto.model.topics import checked_place

_OFFER: Final = Offer(
    giver="a queue",
    info=QueueMessage,
    has_payload=True,
    words="one for the message's data, and any of `message: QueueMessage` and `client: Client` "
    "(`SyncClient` in a `def`), by their annotations",
)


def native_queue(
    function: Callable[..., Any],
    name: str,
    *,
    queue: str,
    concurrency: int,
    retry: RetryPolicy | None,
) -> NativeTriggered:
    """What a decorated function becomes.

    Raises:
        InputError: queue, concurrency or retry cannot be used, or a parameter cannot be filled.
    """
    trigger = QueueTrigger(
        queue=checked_place(queue, "a queue"),
        concurrency=checked_concurrency(concurrency),
        redelivery=redelivery_of(retry),
    )
    return native_triggered(function, name, trigger, _OFFER, QueueMessage.of)
