"""Topics on PostgreSQL: the part of the Storage port in ``engine.topic_ports``."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import asyncpg
import msgspec
from msgspec import Raw

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
    TopicMatch,
    TopicNews,
    TopicPage,
    Tried,
    Trimmed,
    TrimPoint,
    WaitPage,
)
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage, StoredEvent
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.access import Access, add_messages
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.refusing import named

_MATCH_EVENTS: Final = 2_000
_text: Final = msgspec.json.Decoder(str).decode


class PostgresTopics(Access):
    """The methods of a store that are about topics."""

    async def subscriptions(self) -> list[SubscriptionStanding]:
        """All subscriptions."""
        found = await self.rows("subscription_list")
        return [SubscriptionStanding(**dict(row)) for row in found]

    async def events(
        self, topic: str, after: int, limit: int, most_bytes: int
    ) -> list[StoredEvent]:
        """Events of a topic after a position, as long as they fit."""
        found = await self.rows(
            "topic_events", topic=topic, after=after, limit=limit, most_bytes=most_bytes
        )
        return [_event(row) for row in found]

    async def newest_events(self, topic: str, limit: int, most_bytes: int) -> list[StoredEvent]:
        """The newest events of a topic."""
        found = await self.rows(
            "newest_topic_events", topic=topic, limit=limit, most_bytes=most_bytes
        )
        return [_event(row) for row in found]

    async def topic_news(self, cursor: int | None) -> TopicNews:
        """Which topics have events after a position."""
        (row,) = await self.rows("topic_news", cursor=cursor or 0)
        return TopicNews(row["cursor"], row["topics"], row["given_back"])

    async def last_position(self) -> int:
        """That of the newest event there ever was."""
        position: int = await self.value("last_position")
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
        found = await self.rows(
            "failed_list",
            source=source,
            name=name,
            function=function,
            after=after,
            limit=limit,
            most_bytes=most_bytes,
        )
        return [_failed(row) for row in found]

    async def failed_counts(self) -> list[FailedCount]:
        """How many deliveries were put aside."""
        return [FailedCount(*row) for row in await self.rows("failed_counts")]

    async def topic_names(self) -> list[str]:
        """Topics that have events."""
        return [row["name"] for row in await self.rows("topic_names")]

    async def topic_page(
        self, topic: str, after: int, limit: int, most_bytes: int
    ) -> TopicPage | None:
        """Some events of a topic in a row."""
        (row,) = await self.rows(
            "topic_page", topic=topic, after=after, limit=limit, most_bytes=most_bytes
        )
        return TopicPage(*row) if row["events"] else None

    async def publish(
        self,
        events: Sequence[PublishedEvent],
        messages: Sequence[QueuedMessage],
        sent: Sequence[InboxRow] = (),
    ) -> None:
        """Add events and messages from outside, all or none."""

        async def publish(session: Session) -> None:
            if sent:
                await add_messages(session, sent)
            if messages:
                await session.run("add_queued", **packing.queued(messages))
            if events:  # last, because others wait for its lock
                await session.run("publish_in_order", **packing.published(events))

        # Crash points: as for ``append``; ids that are there already are left alone.
        given = [
            *(("messages", one.post_key, "published", one) for one in events),
            *(("messages", one.post_key, "queued", one) for one in messages),
            *(("messages", one.message_id, "inbox", one) for one in sent),
        ]
        async with named(self.url, given):
            await self.written(publish, tells=True)

    async def topic_waits(
        self, partitions: Collection[int], after: tuple[int, int], limit: int
    ) -> list[TopicWaitRow]:
        """What instances of these partitions wait for."""
        found = await self.rows(
            "topic_waits",
            partitions=list(partitions),
            iid=after[0],
            task_id=after[1],
            limit=limit,
        )
        return [TopicWaitRow(*row) for row in found]

    async def topic_matches_of(
        self, waits: Sequence[tuple[int, int]], most_bytes: int
    ) -> MatchPage:
        """For these waits the first event that counts, as long as they fit."""
        found = await self.rows(
            "topic_matches_of",
            iids=[iid for iid, _ in waits],
            tasks=[task for _, task in waits],
            most_bytes=most_bytes,
        )
        fit = [row for row in found if row["event"] is not None]
        matches = [
            TopicMatch(
                row["iid"],
                row["task_id"],
                row["partition"],
                row["instance_id"],
                row["execution_id"],
                _event(row),
            )
            for row in fit
        ]
        return MatchPage(matches, len(fit) < len(found))

    async def topic_waits_since(self, cursor: int) -> WaitPage:
        """Waits for events after a position."""

        async def look(session: Session) -> WaitPage:
            async with session.together(of_one_moment=True):
                found = await session.rows("topic_waits_since", cursor=cursor, limit=_MATCH_EVENTS)
                row = await session.row("events_since", cursor=cursor, limit=_MATCH_EVENTS)
            assert row is not None
            waits = [(one["iid"], one["task_id"]) for one in found]
            return WaitPage(waits, row["cursor"], row["has_more"])

        return await self.read(look)

    async def places(self, names: Sequence[str]) -> list[Place]:
        """How far these subscriptions are."""
        found = await self.rows("places", names=list(names))
        return [_place(row) for row in found]

    async def redeliveries(
        self, name: str, after: int, limit: int, most_bytes: int
    ) -> list[StoredEvent]:
        """Events that were given back to a subscription, as long as they fit."""
        found = await self.rows(
            "redeliveries", name=name, after=after, limit=limit, most_bytes=most_bytes
        )
        return [_event(row) for row in found]

    async def write_progress(self, lease: Lease, progress: Sequence[Progress]) -> None:
        """Note how far subscriptions of a partition are."""

        async def write(session: Session) -> None:
            names = ", ".join(one.place.name for one in progress)
            await self.hold(session, lease, f"so do the subscriptions {names}")
            for one in progress:
                place = one.place
                await session.run(
                    "write_place",
                    name=place.name,
                    topic=place.topic,
                    position=place.position,
                    done=list(place.done),
                    updated_at=one.at,
                    tried=[tried.position for tried in place.tried],
                    tries=[tried.attempts for tried in place.tried],
                    due=[tried.due for tried in place.tried],
                    is_full=place.is_full,
                    partition=lease.partition,
                    owner=lease.owner,
                    epoch=lease.epoch,
                )
                await _put_aside(session, one.failed, one.redelivered)

        # Crash points: before COMMIT what was delivered is delivered again, after it no more.
        await self.written(write)

    async def write_note(self, lease: Lease, key: str, text: str) -> None:
        """Keep a text under a key, as the owner of a partition."""
        await self.write_notes(lease, {key: text})

    async def write_notes(
        self,
        lease: Lease,
        notes: Mapping[str, str],
        failed: Sequence[FailedDelivery] = (),
        redelivered: Sequence[int] = (),
    ) -> None:
        """Keep notes, with what is put aside and done with."""

        async def write(session: Session) -> None:
            some = repr(next(iter(notes), None))
            await self.hold(session, lease, f"notes such as {some} are that one's to write")
            if notes:
                keys, texts = list(notes), list(notes.values())
                await session.run(
                    "write_notes",
                    keys=[key.encode() for key in keys],
                    texts=[text.encode() for text in texts],
                )
            await _put_aside(session, failed, redelivered)

        # Crash points: before COMMIT the old notes stand, after it the new ones, with the rest.
        await self.written(write)

    async def remove_subscription(self, name: str, topic: str | None = None) -> bool:
        """Forget a subscription."""

        async def remove(session: Session) -> bool:
            found = await session.run("remove_subscription", name=name, topic=topic)
            await session.run("remove_failed_of", name=name, topic=topic)
            await session.run("remove_redeliveries_of", name=name, topic=topic)
            return found > 0

        # Crash points: before COMMIT it is there, after it not.
        return await self.written(remove)

    async def trim(self, topic: str, point: TrimPoint, limit: int) -> Trimmed:
        """Delete old ones of the oldest events of a topic."""
        old = {
            "topic": topic,
            "before": point.before,
            "position": point.position,
            "limit": limit,
        }

        async def trim(session: Session) -> Trimmed:
            await session.run("note_trimmed")
            unread = await session.rows("trim_unread", **old)
            count = await session.run("trim", **old)
            return Trimmed(count, {row["name"]: row["unread"] for row in unread})

        # Crash points: before COMMIT they are there, after it not. What nobody has read of them is
        # told only when they are gone; a host that dies in between does not tell it.
        return await self.written(trim)

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete what was put aside."""
        # Crash points: before COMMIT it is there, after it not.
        return await self.written(lambda session: session.run("take_failed", numbers=list(numbers)))

    async def redrive(self, numbers: Sequence[int], now: Microseconds) -> Redriven:
        """Give failed deliveries back to their function."""

        async def redrive(session: Session) -> Redriven:
            rows = await session.rows("redrivable", numbers=list(numbers))
            chosen = {"numbers": [row["number"] for row in rows]}
            await session.run("redrive_queued", **chosen, now=now)
            await session.run("redrive_event", **chosen)
            await session.run("redrive_files", **chosen)
            count = await session.run("take_failed", **chosen)
            left = await session.rows("still_failed", numbers=list(numbers))
            return Redriven(count, tuple(row["number"] for row in left))

        # Crash points: before COMMIT it is put aside, after it is on its way again. Only what goes
        # into its queue is deleted here: what has no place there stays put aside.
        return await self.written(redrive, tells=True)


async def _put_aside(
    session: Session, failed: Sequence[FailedDelivery], redelivered: Sequence[int]
) -> None:
    if failed:
        await session.run("add_failed", **packing.failed(failed))
    if redelivered:
        await session.run("end_redeliveries", positions=list(redelivered))


def _place(row: asyncpg.Record) -> Place:
    tried = tuple(map(Tried, row["tried"], row["tries"], row["due"]))
    done = tuple(row["done"])
    return Place(row["name"], row["topic"], row["position"], done, tried, row["is_full"])


def _event(row: asyncpg.Record) -> StoredEvent:
    event = row["event"]
    return StoredEvent(
        row["position"],
        row["event_id"],
        row["topic"],
        row["event_key"],
        row["published_at"],
        row["cause"],
        Raw(event),
    )


def _failed(row: asyncpg.Record) -> FailedDelivery:
    values = dict(row) | {"error": _text(row["error"])}
    return FailedDelivery(
        values["number"],
        values["source"],
        values["name"],
        values["function"],
        values["message_id"],
        values["attempts"],
        values["failed_at"],
        values["error"],
        values["cause"],
        values["event_key"],
        values["content"],
        values["came_at"],
    )
