"""What people ask of topics and flows, beside publishing."""

from collections.abc import Callable
from typing import Final, Protocol

from tenuto.client.flows import read_flow
from tenuto.engine.ports import Storage
from tenuto.engine.topic_ports import SubscriptionStanding, TopicStanding
from tenuto.model.errors import EventNotFoundError, InputError, InstanceNotFoundError
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

    async def remove_subscription(self, name: str, topic: str | None = None) -> bool:
        """Forget a subscription and what was put aside for it; whether there was one.

        Args:
            name: Its name.
            topic: Only what it is and was in this topic; None for all that it has read.

        Raises:
            InputError: a host serves it: what it has not been delivered yet would be lost.
        """

    async def flow(self, of: str, limit: int) -> Flow:
        """The flow that an instance, an event or a message belongs to.

        Raises:
            InstanceNotFoundError, EventNotFoundError: there is no such thing.
        """


class StoreTopics:
    """The same of a store.

    Args:
        storage: The store.
        has_host: Whether a host owns the store now.
    """

    def __init__(self, storage: Storage, has_host: Callable[[], bool]) -> None:
        self._storage = storage
        self._has_host = has_host
        self.subscriptions = storage.subscriptions

    async def remove_subscription(self, name: str, topic: str | None = None) -> bool:
        """Forget a subscription that no host serves."""
        found = [
            one
            for one in await self._storage.subscriptions()
            if one.name == name and topic in {None, one.topic}
        ]
        served = next((one for one in found if one.is_served), None)
        if served is not None and self._has_host():
            others = [one.topic for one in found if not one.is_served]
            advice = f"; its place in topic {others[0]!r} alone can be forgotten" if others else ""
            raise InputError(
                f"a host serves subscription {name!r} of topic {served.topic!r}, and would begin "
                f"anew with it: start a host without it first{advice}"
            )
        return await self._storage.remove_subscription(name, topic)

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
