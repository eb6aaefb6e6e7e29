"""Topics and failed deliveries of a server over HTTP: ``client.messages`` through its routes."""

from collections.abc import Sequence
from typing import Protocol, TypeVar
from urllib.parse import quote

from msgspec import Struct

from tenuto.client.messages_wire import (
    CountBody,
    FailedDeliveryBody,
    NumbersBody,
    TopicEventBody,
)
from tenuto.client.wire import MOST_ROWS
from tenuto.engine.topic_ports import FailedDelivery, SubscriptionStanding, TopicStanding
from tenuto.model.flow import Flow
from tenuto.model.requests import FailedQuery
from tenuto.model.topics import StoredEvent

T = TypeVar("T")


class Fetch(Protocol):
    """How an answer of the server is got."""

    async def __call__(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Struct | None = None,
    ) -> T:
        """Send a request that does no more when it is sent twice; the answer's body."""


class HttpMessages:
    """Topics and failed deliveries of a server.

    Args:
        fetch: Sends requests.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def topics(self) -> list[TopicStanding]:
        """All topics that have events."""
        return await self._fetch(list[TopicStanding], "GET", "/topics")

    async def topic_events(self, topic: str, after: int | None, limit: int) -> list[StoredEvent]:
        """Events of a topic."""
        query = {"limit": str(min(limit, MOST_ROWS))}
        if after is not None:
            query["after"] = str(after)
        path = f"/topics/{quote(topic, safe='')}/events"
        bodies = await self._fetch(list[TopicEventBody], "GET", path, query=query)
        return [one.event for one in bodies]

    async def subscriptions(self) -> list[SubscriptionStanding]:
        """All subscriptions."""
        return await self._fetch(list[SubscriptionStanding], "GET", "/subscriptions")

    async def remove_subscription(self, name: str) -> bool:
        """Forget a subscription."""
        path = f"/subscriptions/{quote(name, safe='')}"
        return (await self._fetch(CountBody, "DELETE", path)).count > 0

    async def failed_deliveries(self, query: FailedQuery) -> list[FailedDelivery]:
        """What was put aside."""
        wanted = {
            "source": query.source,
            "name": query.name,
            "function": query.function,
            "after": str(query.after),
            "limit": str(min(query.limit, MOST_ROWS)),
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        bodies = await self._fetch(
            list[FailedDeliveryBody], "GET", "/failed-deliveries", query=given
        )
        return [one.delivery for one in bodies]

    async def redrive(self, numbers: Sequence[int]) -> int:
        """Give failed deliveries back to their function."""
        return await self._change("redrive", numbers)

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete what was put aside."""
        return await self._change("drop", numbers)

    async def _change(self, verb: str, numbers: Sequence[int]) -> int:
        body = NumbersBody(numbers=tuple(numbers))
        path = f"/failed-deliveries/{verb}"
        return (await self._fetch(CountBody, "POST", path, body=body)).count

    async def flow(self, of: str, limit: int) -> Flow:
        """A flow."""
        return await self._fetch(Flow, "GET", "/flow", query={"of": of, "limit": str(limit)})
