"""What people ask of topics and flows, beside publishing."""

from typing import Final, Protocol

from tenuto.client.flows import read_flow
from tenuto.engine.ports import Storage
from tenuto.engine.topic_ports import SubscriptionStanding, TopicStanding
from tenuto.model.errors import EventNotFoundError, InstanceNotFoundError
from tenuto.model.flow import Flow
from tenuto.model.topics import StoredEvent

_PAGE_BYTES: Final = 4 * 1024 * 1024
_PAGE_EVENTS: Final = 5_000
_MANY_BYTES: Final = 1 << 62


class TopicsGateway(Protocol):
    """Looking at topics, their subscriptions and flows."""

    async def all(self) -> list[TopicStanding]:
        """All topics that have events."""

    async def events(self, topic: str, after: int | None, limit: int) -> list[StoredEvent]:
        """The newest events of a topic, newest first; with ``after`` those after that position,
        oldest first. As long as they fit.
        """

    async def subscriptions(self) -> list[SubscriptionStanding]:
        """All subscriptions."""

    async def remove_subscription(self, name: str) -> bool:
        """Forget a subscription and what was put aside for it; whether there was one."""

    async def flow(self, of: str, limit: int) -> Flow:
        """The flow that an instance, an event or a message belongs to.

        Raises:
            InstanceNotFoundError, EventNotFoundError: there is no such thing.
        """


class StoreTopics:
    """The same of a store.

    Args:
        storage: The store.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.subscriptions = storage.subscriptions
        self.remove_subscription = storage.remove_subscription

    async def all(self) -> list[TopicStanding]:
        """All topics that have events; a page at a time, so that a host's other reads go on."""
        names = await self._storage.topic_names()
        found = [await self._standing(name) for name in names]
        return [one for one in found if one is not None]

    async def _standing(self, name: str) -> TopicStanding | None:
        page = await self._storage.topic_page(name, 0, _PAGE_EVENTS, _MANY_BYTES)
        newest = await self._storage.newest_events(name, 1, 1)
        if page is None or not newest:
            return None
        first, events, size = page.first_at, page.events, page.bytes
        while page is not None and page.events == _PAGE_EVENTS:
            page = await self._storage.topic_page(name, page.last, _PAGE_EVENTS, _MANY_BYTES)
            if page is not None:
                events, size = events + page.events, size + page.bytes
        return TopicStanding(
            name=name, events=events, bytes=size, first=first, last=newest[0].published_at
        )

    async def events(self, topic: str, after: int | None, limit: int) -> list[StoredEvent]:
        """Events of a topic."""
        if after is None:
            return await self._storage.newest_events(topic, limit, _PAGE_BYTES)
        return await self._storage.events(topic, after, limit, _PAGE_BYTES)

    async def flow(self, of: str, limit: int) -> Flow:
        """A flow."""
        try:
            return await read_flow(self._storage, of, limit)
        except InstanceNotFoundError:
            if of not in await self._storage.topic_names():
                raise
            raise EventNotFoundError(
                f"{of!r} is a topic, and a flow is that of an event: {of}/EVENT-ID; `tenuto topics "
                f"show {of}` lists its events"
            ) from None
