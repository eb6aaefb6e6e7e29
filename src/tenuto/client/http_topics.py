"""Topics and flows of a server over HTTP: ``client.topics`` through its routes."""

from typing import Protocol, TypeVar
from urllib.parse import quote

from tenuto.client.message_bodies import CountBody
from tenuto.client.topic_bodies import TopicEventBody
from tenuto.client.wire import MOST_ROWS
from tenuto.engine.topic_ports import SubscriptionStanding, TopicStanding
from tenuto.model.flow import Flow
from tenuto.model.topics import StoredEvent

T = TypeVar("T")


class Fetch(Protocol):
    """How an answer of the server is got."""

    async def __call__(
        self, kind: type[T], path: str, query: dict[str, str] | None = None, method: str = "GET"
    ) -> T:
        """Send a request that does no more when it is sent twice; the answer's body."""


class HttpTopics:
    """Topics of a server.

    Args:
        fetch: Sends requests.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    async def all(self) -> list[TopicStanding]:
        """All topics that have events."""
        return await self._fetch(list[TopicStanding], "/topics")

    async def events(self, topic: str, after: int | None, limit: int) -> list[StoredEvent]:
        """Events of a topic."""
        query = {"limit": str(min(limit, MOST_ROWS))}
        if after is not None:
            query["after"] = str(after)
        path = f"/topics/{quote(topic, safe='')}/events"
        return [one.event for one in await self._fetch(list[TopicEventBody], path, query)]

    async def subscriptions(self) -> list[SubscriptionStanding]:
        """All subscriptions."""
        return await self._fetch(list[SubscriptionStanding], "/subscriptions")

    async def remove_subscription(self, name: str, topic: str | None = None) -> bool:
        """Forget a subscription."""
        path = f"/subscriptions/{quote(name, safe='')}"
        query = None if topic is None else {"topic": topic}
        return (await self._fetch(CountBody, path, query, method="DELETE")).count > 0

    async def flow(self, of: str, limit: int) -> Flow:
        """A flow."""
        return await self._fetch(Flow, "/flow", {"of": of, "limit": str(limit)})
