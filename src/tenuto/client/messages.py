"""What a client asks of topics and of deliveries that were put aside, beside publishing."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tenuto.client.flows import read_flow
from tenuto.engine.ports import Storage
from tenuto.engine.topic_ports import FailedDelivery, SubscriptionStanding, TopicStanding
from tenuto.model.flow import Flow
from tenuto.model.requests import FailedQuery
from tenuto.model.timing import Microseconds
from tenuto.model.topics import StoredEvent

MOST_PAGE_BYTES: Final = 4 * 1024 * 1024


class MessagesGateway(Protocol):
    """Looking at topics, their subscriptions and flows, and seeing to what was put aside."""

    async def topics(self) -> list[TopicStanding]:
        """All topics that have events."""

    async def topic_events(self, topic: str, after: int | None, limit: int) -> list[StoredEvent]:
        """The newest events of a topic, newest first; with ``after`` those after that position,
        oldest first, as long as they fit.
        """

    async def subscriptions(self) -> list[SubscriptionStanding]:
        """All subscriptions."""

    async def remove_subscription(self, name: str) -> bool:
        """Forget a subscription and what was put aside for it; whether there was one."""

    async def failed_deliveries(self, query: FailedQuery) -> list[FailedDelivery]:
        """What was put aside, oldest first."""

    async def redrive(self, numbers: Sequence[int]) -> int:
        """Give failed deliveries back to their function, with all attempts; how many there were."""

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete what was put aside; how many there were."""

    async def flow(self, of: str, limit: int) -> Flow:
        """The flow that an instance, an event or a message belongs to.

        Raises:
            InstanceNotFoundError, InputError: there is no such thing.
        """


class StoreMessages:
    """The same of a store.

    Args:
        storage: The store.
        now: Tells the present.
        fed: Told when something was given back, so that it is looked for at once.
    """

    def __init__(
        self, storage: Storage, now: Callable[[], Microseconds], fed: Callable[[], None]
    ) -> None:
        self._storage = storage
        self._now = now
        self._fed = fed
        self.topics = storage.topics
        self.subscriptions = storage.subscriptions
        self.remove_subscription = storage.remove_subscription
        self.drop_failed = storage.drop_failed

    async def topic_events(self, topic: str, after: int | None, limit: int) -> list[StoredEvent]:
        """Events of a topic."""
        if after is None:
            return await self._storage.newest_events(topic, limit)
        return await self._storage.events(topic, after, limit, MOST_PAGE_BYTES)

    async def failed_deliveries(self, query: FailedQuery) -> list[FailedDelivery]:
        """What was put aside."""
        return await self._storage.failed_deliveries(
            query.source, query.name, query.function, query.after, query.limit
        )

    async def redrive(self, numbers: Sequence[int]) -> int:
        """Give failed deliveries back to their function."""
        count = await self._storage.redrive(numbers, self._now())
        self._fed()
        return count

    async def flow(self, of: str, limit: int) -> Flow:
        """A flow."""
        return await read_flow(self._storage, of, limit)
