"""What a client asks of a server about queues, failed deliveries and usage."""

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from msgspec import Struct

from tenuto.client.message_bodies import (
    CountBody,
    FailedDeliveryBody,
    MessageIdsBody,
    NumbersBody,
    QueueBody,
    RedrivenBody,
    WaitingMessageBody,
)
from tenuto.client.usage_bodies import UsageBody
from tenuto.client.wire import MOST_ROWS
from tenuto.engine.queue_ports import QueueStanding, WaitingMessage
from tenuto.engine.topic_ports import FailedDelivery, Redriven
from tenuto.model.usage import Day, Dimension, UsageLine, date_of

T = TypeVar("T")


class HttpMessages:
    """The methods of a gateway that are about queues and usage; the connections are its own."""

    async def _get(self, path: str, kind: type[T], **query: Any) -> T:
        raise NotImplementedError

    async def _post(self, path: str, body: Struct, kind: type[T]) -> T:
        raise NotImplementedError

    async def usage(self, first: Day, last: Day, by: Sequence[Dimension]) -> list[UsageLine]:
        """What was used between two days, both included, added up by these dimensions."""
        days = {"from": date_of(first), "to": date_of(last)}
        found = await self._get("/usage", UsageBody, by=",".join(by), **days)
        return [one.line for one in found.lines]

    async def queues(self) -> list[QueueStanding]:
        """How each queue stands."""
        return [one.standing for one in await self._get("/queues", list[QueueBody])]

    async def queue_messages(self, queue: str, limit: int, most_bytes: int) -> list[WaitingMessage]:
        """The next messages of a queue, as many as the server gives at a time."""
        del most_bytes
        found = await self._get(
            f"/queues/{quote(queue, safe='')}/messages",
            list[WaitingMessageBody],
            limit=min(limit, MOST_ROWS),
        )
        return [one.message for one in found]

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages of a queue."""
        body = MessageIdsBody(ids=None if message_ids is None else tuple(message_ids))
        return (await self._post(f"/queues/{quote(queue, safe='')}/drop", body, CountBody)).count

    async def failed_deliveries(
        self,
        source: str | None = None,
        name: str | None = None,
        function: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[FailedDelivery]:
        """Deliveries that were put aside, as many as the server gives at a time."""
        found = await self._get(
            "/failed-deliveries",
            list[FailedDeliveryBody],
            source=source,
            name=name,
            function=function,
            after=after,
            limit=min(limit, MOST_ROWS),
        )
        return [one.delivery for one in found]

    async def redrive(self, numbers: Sequence[int]) -> Redriven:
        """Give failed deliveries back to their functions."""
        body = NumbersBody(numbers=tuple(numbers))
        answer = await self._post("/failed-deliveries/redrive", body, RedrivenBody)
        return Redriven(answer.count, answer.left)

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete failed deliveries."""
        body = NumbersBody(numbers=tuple(numbers))
        return (await self._post("/failed-deliveries/drop", body, CountBody)).count
