"""What a function that messages of a queue start is told."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from tenuto.engine.program import Delivery
from tenuto.model.timing import to_datetime


class QueueMessage(Struct, frozen=True, kw_only=True):
    """A message of a queue, as the function of ``@app.queue`` gets it.

    Attributes:
        id: Unique in the queue, the same in each attempt: work that must not be done twice is done
            under it.
        queue: The queue's name.
        attempt: Which attempt it is, from 1.
        data: The payload, plain data of JSON.
        queued_at: When it was put into the queue (aware UTC).

    Example:
        ::

            @app.queue("thumbnails")
            async def make_thumbnail(message: QueueMessage) -> None:
                print(message.id, message.attempt, message.data)
    """

    id: str
    queue: str
    attempt: int
    data: Any
    queued_at: datetime

    @classmethod
    def of(cls, delivery: Delivery) -> "QueueMessage":
        """A delivery of a queue's listener as a function is told it."""
        queue, queued_at = delivery.facts["queue"], delivery.facts["queued_at"]
        assert isinstance(queue, str), "a queue's listener says so"
        assert isinstance(queued_at, int), "a queue's listener says so"
        return cls(
            id=delivery.id,
            queue=queue,
            attempt=delivery.attempt,
            data=delivery.data,
            queued_at=to_datetime(queued_at),
        )
