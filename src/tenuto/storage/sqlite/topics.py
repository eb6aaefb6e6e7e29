"""Topics on SQLite: the part of the Storage port in ``engine.topic_ports``."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

import apsw
import msgspec

from tenuto.engine.rows import InboxRow, Lease, TopicWaitRow
from tenuto.engine.topic_ports import (
    FAILED_BYTES,
    FailedCount,
    FailedDelivery,
    MatchPage,
    Place,
    Progress,
    Redriven,
    SubscriptionStanding,
    TopicNews,
    TopicPage,
    Trimmed,
    TrimPoint,
    WaitPage,
)
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage, StoredEvent
from tenuto.storage.sqlite.database import value
from tenuto.storage.sqlite.writer import Writer

T = TypeVar("T")

_MATCH_EVENTS: Final = 2_000

_subscriptions: Final = msgspec.json.Decoder(list[SubscriptionStanding]).decode
_events: Final = msgspec.json.Decoder(list[StoredEvent]).decode
_news: Final = msgspec.json.Decoder(TopicNews).decode
_places: Final = msgspec.json.Decoder(list[Place]).decode
_failed: Final = msgspec.json.Decoder(list[FailedDelivery]).decode
_waits: Final = msgspec.json.Decoder(list[TopicWaitRow]).decode
_matches: Final = msgspec.json.Decoder(MatchPage).decode
_wait_page: Final = msgspec.json.Decoder(WaitPage).decode
_failed_counts: Final = msgspec.json.Decoder(list[FailedCount]).decode
_names: Final = msgspec.json.Decoder(list[str]).decode
_topic_page: Final = msgspec.json.Decoder(TopicPage).decode


def _text(rows: object) -> str:
    return msgspec.json.encode(rows).decode()


class SqliteTopics:
    """The methods of a store that are about topics; the threads are its own."""

    def _write(self, job: Callable[[Writer], T]) -> asyncio.Future[T]:
        raise NotImplementedError

    def _read(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        raise NotImplementedError

    async def _value(self, statement: str, /, **arguments: Any) -> Any:  # noqa: ANN401 - of a column
        return await self._read(lambda reading: value(reading, statement, arguments))

    async def subscriptions(self) -> list[SubscriptionStanding]:
        """All subscriptions."""
        return _subscriptions(await self._value("subscription_list"))

    async def events(
        self, topic: str, after: int, limit: int, most_bytes: int
    ) -> list[StoredEvent]:
        """Events of a topic after a position, as long as they fit."""
        found = await self._value(
            "topic_events", topic=topic, after=after, limit=limit, most_bytes=most_bytes
        )
        return _events(found)

    async def newest_events(self, topic: str, limit: int, most_bytes: int) -> list[StoredEvent]:
        """The newest events of a topic."""
        found = await self._value(
            "newest_topic_events", topic=topic, limit=limit, most_bytes=most_bytes
        )
        return _events(found)

    async def topic_news(self, cursor: int | None) -> TopicNews:
        """Which topics have events after a position."""
        return _news(await self._value("topic_news", cursor=cursor or 0))

    async def last_position(self) -> int:
        """That of the newest event there ever was."""
        position: int = await self._value("last_position")
        return position

    async def failed_deliveries(
        self,
        source: str | None = None,
        name: str | None = None,
        function: str | None = None,
        after: int = 0,
        limit: int = 100,
        most_bytes: int = FAILED_BYTES,
    ) -> list[FailedDelivery]:
        """What was put aside."""
        found = await self._value(
            "failed_list",
            source=source,
            name=name,
            function=function,
            after=after,
            limit=limit,
            most_bytes=most_bytes,
        )
        return _failed(found)

    async def failed_counts(self) -> list[FailedCount]:
        """How many deliveries were put aside."""
        return _failed_counts(await self._value("failed_counts"))

    async def topic_names(self) -> list[str]:
        """Topics that have events."""
        return _names(await self._value("topic_names"))

    async def topic_page(
        self, topic: str, after: int, limit: int, most_bytes: int
    ) -> TopicPage | None:
        """Some events of a topic in a row."""
        page = _topic_page(
            await self._value(
                "topic_page", topic=topic, after=after, limit=limit, most_bytes=most_bytes
            )
        )
        return page if page.events else None

    async def publish(
        self,
        events: Sequence[PublishedEvent],
        messages: Sequence[QueuedMessage],
        sent: Sequence[InboxRow] = (),
    ) -> None:
        """Add events and messages from outside, all or none."""
        await self._write(lambda writer: writer.publish(events, messages, sent))

    async def topic_waits(self, partitions: Collection[int]) -> list[TopicWaitRow]:
        """What instances of these partitions wait for."""
        return _waits(await self._value("topic_waits", partitions=_text(list(partitions))))

    async def topic_matches_of(
        self, waits: Sequence[tuple[int, int]], most_bytes: int
    ) -> MatchPage:
        """For these waits the first event that counts, as long as they fit."""
        found = await self._value(
            "topic_matches_of", waits=_text(list(waits)), most_bytes=most_bytes
        )
        return _matches(found)

    async def topic_waits_since(self, cursor: int) -> WaitPage:
        """Waits for events after a position."""
        return _wait_page(
            await self._value("topic_waits_since", cursor=cursor, limit=_MATCH_EVENTS)
        )

    async def places(self, names: Sequence[str]) -> list[Place]:
        """How far these subscriptions are."""
        return _places(await self._value("places", names=_text(list(names))))

    async def redeliveries(
        self, name: str, after: int, limit: int, most_bytes: int
    ) -> list[StoredEvent]:
        """Events that were given back to a subscription, as long as they fit."""
        return _events(
            await self._value(
                "redeliveries", name=name, after=after, limit=limit, most_bytes=most_bytes
            )
        )

    async def write_progress(self, lease: Lease, progress: Sequence[Progress]) -> None:
        """Note how far subscriptions of a partition are."""
        await self._write(lambda writer: writer.write_progress(lease, progress))

    async def write_notes(
        self,
        lease: Lease,
        notes: Mapping[str, str],
        failed: Sequence[FailedDelivery] = (),
        redelivered: Sequence[int] = (),
    ) -> None:
        """Keep notes, with what is put aside and done with."""
        await self._write(lambda writer: writer.write_notes(lease, notes, failed, redelivered))

    async def remove_subscription(self, name: str) -> bool:
        """Forget a subscription."""
        return await self._write(lambda writer: writer.remove_subscription(name))

    async def trim(self, topic: str, point: TrimPoint, limit: int) -> Trimmed:
        """Delete old ones of the oldest events of a topic."""
        old: dict[str, str | int] = {
            "topic": topic,
            "before": point.before,
            "position": point.position,
            "limit": limit,
        }
        return await self._write(lambda writer: writer.trim(old))

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete what was put aside."""
        text = _text(list(numbers))
        return await self._write(lambda writer: writer.change_messages("take_failed", numbers=text))

    async def redrive(self, numbers: Sequence[int], now: Microseconds) -> Redriven:
        """Give failed deliveries back to their function."""
        text = _text(list(numbers))
        return await self._write(lambda writer: writer.redrive(text, now))
