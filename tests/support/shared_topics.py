"""Topics and queues of the store in ``shared_store``: what is durable, and its handle's part.

In plain Python, as that is: ``tests/conformance`` holds both to the same contract as SQLite.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Raw, Struct, structs

from tenuto.engine.flow_ports import CausedInstance, FlowEvent, FlowFailure
from tenuto.engine.rows import ALL_TOPIC_WAITS, CommitBatch, InboxRow, Lease, TopicWaitRow
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
    Trimmed,
    TrimPoint,
    WaitPage,
)
from tenuto.model.causes import CAUSE_TAG, event_cause, instance_cause, message_cause
from tenuto.model.errors import FencedError, RowsRefusedError
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage, StoredEvent, content_in
from tests.support.shared_queues import SharedQueues

if TYPE_CHECKING:
    from tests.support.shared_store import SharedHub

T = TypeVar("T")

MATCH_EVENTS = 50
"""Of one look for matches: few, so that tests see several."""


class Redelivery(Struct):
    """An event that a subscription gets again."""

    number: int
    subscription: str
    event: StoredEvent


class SharedTopics:
    """What is durable of topics and queues."""

    def __init__(self) -> None:
        self.last_position = 0
        self.events: dict[tuple[str, str], StoredEvent] = {}
        self.queues = SharedQueues()
        self.places: dict[str, tuple[Place, int]] = {}
        self.failed: dict[int, FailedDelivery] = {}
        self.last_failed = 0
        self.redeliveries: dict[int, Redelivery] = {}
        self.last_redelivery = 0
        self.waits: dict[tuple[int, int], TopicWaitRow] = {}

    # --- writing ----------------------------------------------------------------------------------

    def write(self, batch: CommitBatch) -> None:
        for row in batch.topic_waits:
            if row.topic is None:
                self._end_waits(row)
        for row in batch.topic_waits:
            if row.topic is not None:
                self.waits[row.iid, row.task_id] = row
        self.add(batch.published, batch.queued)

    def add(self, events: Iterable[PublishedEvent], messages: Iterable[QueuedMessage]) -> None:
        for one in events:
            if (one.topic, one.event_id) not in self.events:
                self.last_position += 1
                self.events[one.topic, one.event_id] = StoredEvent(
                    self.last_position,
                    one.event_id,
                    one.topic,
                    one.key,
                    one.published_at,
                    one.cause,
                    Raw(bytes(one.event)),
                )
        self.queues.add(messages)

    def _end_waits(self, over: TopicWaitRow) -> None:
        for key in [*self.waits]:
            if key[0] == over.iid and over.task_id in {ALL_TOPIC_WAITS, key[1]}:
                del self.waits[key]

    def drop(self, iid: int) -> None:
        """An instance goes, with what it waits for."""
        self.waits = {key: row for key, row in self.waits.items() if key[0] != iid}

    def put_aside(self, failed: Iterable[FailedDelivery], redelivered: Iterable[int]) -> None:
        """What has failed for good, and what was given back and is done with."""
        for one in failed:
            self.last_failed += 1
            self.failed[self.last_failed] = structs.replace(one, number=self.last_failed)
        for position in redelivered:
            self.redeliveries.pop(-position, None)

    def give_back(self, failed: FailedDelivery, now: Microseconds) -> None:
        """What was put aside is to be tried again."""
        if failed.source == "queue":
            message = QueuedMessage(
                failed.message_id,
                failed.name,
                0,
                now,
                failed.cause,
                0,
                failed.content,
            )
            self.queues.add([message], failed.came_at)
            return
        self.last_redelivery += 1
        standing = self.events.get((failed.name, failed.message_id))
        event = StoredEvent(
            -self.last_redelivery,
            failed.message_id,
            failed.name,
            failed.key,
            failed.came_at or (failed.failed_at if standing is None else standing.published_at),
            failed.cause,
            Raw(failed.content.encode()),
        )
        name = f"files/{failed.function}" if failed.source == "files" else failed.function
        again = Redelivery(self.last_redelivery, name, event)
        self.redeliveries[self.last_redelivery] = again

    # --- reading ----------------------------------------------------------------------------------

    def of(self, topic: str, after: int = 0) -> list[StoredEvent]:
        """Its events after a position, oldest first."""
        found = (one for one in self.events.values() if one.topic == topic)
        return sorted((one for one in found if one.position > after), key=_position)

    def after(self, cursor: int) -> list[StoredEvent]:
        """The events of all topics after a position, oldest first."""
        return sorted((one for one in self.events.values() if one.position > cursor), key=_position)

    def subscription_standing(self, name: str) -> SubscriptionStanding:
        place, updated_at = self.places[name]
        behind = [
            one for one in self.of(place.topic, place.position) if one.position not in place.done
        ]
        return SubscriptionStanding(
            name=name,
            topic=place.topic,
            position=place.position,
            lag=len(behind),
            oldest=behind[0].published_at if behind else None,
            failed=sum(
                (one.source, one.name, one.function) == ("topic", place.topic, name)
                for one in self.failed.values()
            ),
            updated_at=updated_at,
        )

    def flow(self) -> list[FlowEvent]:
        """All events and messages, oldest first."""
        events = [
            FlowEvent(
                kind="event",
                place=one.topic,
                id=one.event_id,
                at=one.published_at,
                cause=one.cause,
                key=one.key,
                type=content_in(one.event).type,
            )
            for one in self.events.values()
        ]
        messages = [
            FlowEvent(
                kind="message",
                place=one.queue,
                id=one.message_id,
                at=one.queued_at,
                cause=one.cause,
            )
            for one in self.queues.rows.values()
        ]
        return sorted([*events, *messages], key=lambda one: one.at)

    def match(
        self, wait: TopicWaitRow, event: StoredEvent, instances: dict[int, InstanceRecord]
    ) -> TopicMatch | None:
        record = instances.get(wait.iid)
        is_waited_for = (wait.topic, wait.key) == (event.topic, event.key)
        if record is None or not is_waited_for or event.position <= wait.after:
            return None
        return TopicMatch(
            wait.iid,
            wait.task_id,
            wait.partition,
            record.instance_id,
            record.execution_id,
            event,
        )


class SharedTopicStorage:
    """The part of a handle that is about topics."""

    async def _turn(self) -> "SharedHub":
        raise NotImplementedError

    def _changed(self, hub: "SharedHub") -> None:
        raise NotImplementedError

    async def _topics(self) -> SharedTopics:
        return (await self._turn()).topics

    # --- reading ----------------------------------------------------------------------------------

    async def subscriptions(self) -> list[SubscriptionStanding]:
        kept = await self._topics()
        return [kept.subscription_standing(name) for name in sorted(kept.places)]

    async def events(
        self, topic: str, after: int, limit: int, most_bytes: int
    ) -> list[StoredEvent]:
        found = (await self._topics()).of(topic, after)[:limit]
        return _fitting(found, most_bytes, _length)

    async def newest_events(self, topic: str, limit: int, most_bytes: int) -> list[StoredEvent]:
        return _fitting((await self._topics()).of(topic)[::-1][:limit], most_bytes, _length)

    async def topic_news(self, cursor: int | None) -> TopicNews:
        kept = await self._topics()
        found = kept.after(cursor or 0)
        last = found[-1].position if found else cursor or 0
        given_back = {one.subscription for one in kept.redeliveries.values()}
        return TopicNews(last, sorted({one.topic for one in found}), sorted(given_back))

    async def topic_names(self) -> list[str]:
        return sorted({name for name, _ in (await self._topics()).events})

    async def topic_page(
        self, topic: str, after: int, limit: int, most_bytes: int
    ) -> TopicPage | None:
        found = (await self._topics()).of(topic, after)[:limit]
        page = _fitting(found, most_bytes, _length)
        if not page:
            return None
        size = sum(map(_length, page))
        return TopicPage(page[-1].position, len(page), size, page[0].published_at)

    async def failed_counts(self) -> list[FailedCount]:
        found: dict[tuple[str, str, str], list[int]] = {}
        for one in (await self._topics()).failed.values():
            found.setdefault((one.source, one.name, one.function), []).append(one.failed_at)
        return [FailedCount(*key, len(times), max(times)) for key, times in sorted(found.items())]

    async def last_position(self) -> int:
        return (await self._topics()).last_position

    async def failed_deliveries(
        self,
        source: str | None = None,
        name: str | None = None,
        function: str | None = None,
        after: int = 0,
        limit: int = 100,
        most_bytes: int = FAILED_BYTES,
    ) -> list[FailedDelivery]:
        found = [
            one
            for one in (await self._topics()).failed.values()
            if one.number > after
            and source in {None, one.source}
            and name in {None, one.name}
            and function in {None, one.function}
        ]
        fitting, left = list[FailedDelivery](), most_bytes
        for one in found[:limit]:
            if left <= 0:
                break
            fitting.append(one)
            left -= len(one.content.encode())
        return fitting

    async def flow(self, causes: Sequence[str], limit: int) -> list[FlowEvent]:
        kept = await self._topics()
        return [one for one in kept.flow() if one.cause in causes][:limit]

    async def flow_instances(self, causes: Sequence[str], limit: int) -> list[CausedInstance]:
        hub = await self._turn()
        found = sorted(hub.instances.values(), key=lambda one: one.created_at)
        causes_of = [_caused(one) for one in found]
        parents = [one.parent and instance_cause(one.parent.instance_id) for one in found]
        return [
            one
            for one, parent in zip(causes_of, parents, strict=True)
            if one.cause in causes or (parent is not None and parent in causes)
        ][:limit]

    async def flow_instance(self, instance_id: InstanceId) -> CausedInstance | None:
        record = (await self._turn()).named(instance_id)
        return None if record is None else _caused(record)

    async def flow_failures(self, causes: Sequence[str], limit: int) -> list[FlowFailure]:
        kinds = {"topic": event_cause, "queue": message_cause}
        found = [
            FlowFailure(
                cause=kinds[one.source](one.name, one.message_id),
                function=one.function,
                number=one.number,
                attempts=one.attempts,
                at=one.failed_at,
                error=one.error,
            )
            for one in (await self._topics()).failed.values()
            if one.source in kinds
        ]
        return [one for one in found if one.cause in causes][:limit]

    async def flow_event(self, cause: str) -> FlowEvent | None:
        causes = {"event": event_cause, "message": message_cause}
        for one in (await self._topics()).flow():
            if causes[one.kind](one.place, one.id) == cause:
                return one
        return None

    # --- what waits -------------------------------------------------------------------------------

    async def topic_waits(self, partitions: Collection[int]) -> list[TopicWaitRow]:
        kept = await self._topics()
        return [one for one in kept.waits.values() if one.partition in partitions]

    async def topic_matches_of(
        self, waits: Sequence[tuple[int, int]], most_bytes: int
    ) -> MatchPage:
        hub = await self._turn()
        found: list[TopicMatch] = []
        for key in waits:
            wait = hub.topics.waits.get(key)
            if wait is not None and wait.topic is not None:
                events = hub.topics.of(wait.topic, wait.after)
                matches = (hub.topics.match(wait, one, hub.instances) for one in events)
                found += [one for one in matches if one is not None][:1]
        fitting = _fitting(found, most_bytes, lambda one: _length(one.event))
        return MatchPage(fitting, len(fitting) < len(found))

    async def topic_waits_since(self, cursor: int) -> WaitPage:
        hub = await self._turn()
        events = hub.topics.after(cursor)
        page = events[:MATCH_EVENTS]
        waits = {
            (wait.iid, wait.task_id): None
            for event in page
            for wait in hub.topics.waits.values()
            if hub.topics.match(wait, event, hub.instances) is not None
        }
        reached = page[-1].position if page else cursor
        return WaitPage([*waits], reached, len(events) > len(page))

    # --- writing ----------------------------------------------------------------------------------

    async def publish(
        self,
        events: Sequence[PublishedEvent],
        messages: Sequence[QueuedMessage],
        sent: Sequence[InboxRow] = (),
    ) -> None:
        assert not sent, "this store has no links"
        hub = await self._turn()
        rows: list[PublishedEvent | QueuedMessage] = [*events, *messages]
        reasons = {one.post_key: reason for one in rows if (reason := unstorable(one))}
        if reasons:
            text = f"the store cannot hold this: {[*reasons.values()]}"
            raise RowsRefusedError(text, messages=reasons)
        hub.topics.add(events, messages)
        self._changed(hub)

    async def places(self, names: Sequence[str]) -> list[Place]:
        kept = await self._topics()
        return [kept.places[name][0] for name in names if name in kept.places]

    async def redeliveries(
        self, name: str, after: int, limit: int, most_bytes: int
    ) -> list[StoredEvent]:
        again = (await self._topics()).redeliveries.values()
        found = [one.event for one in again if one.subscription == name]
        found = [one for one in found if one.position < -after][:limit]
        return _fitting(found, most_bytes, _length)

    async def write_progress(self, lease: Lease, progress: Sequence[Progress]) -> None:
        hub = await self._turn()
        if not hub.holds(lease):
            raise FencedError("the partition is another host's", [lease.partition])
        for one in progress:
            hub.topics.places[one.place.name] = one.place, one.at
            hub.topics.put_aside(one.failed, one.redelivered)

    async def write_notes(
        self,
        lease: Lease,
        notes: Mapping[str, str],
        failed: Sequence[FailedDelivery] = (),
        redelivered: Sequence[int] = (),
    ) -> None:
        hub = await self._turn()
        if not hub.holds(lease):
            raise FencedError("the partition is another host's", [lease.partition])
        hub.notes.update(notes)
        hub.topics.put_aside(failed, redelivered)

    async def remove_subscription(self, name: str) -> bool:
        kept = await self._topics()
        kept.failed = {
            number: one
            for number, one in kept.failed.items()
            if (one.source, one.function) != ("topic", name)
        }
        kept.redeliveries = {
            number: one for number, one in kept.redeliveries.items() if one.subscription != name
        }
        return kept.places.pop(name, None) is not None

    async def trim(self, topic: str, point: TrimPoint, limit: int) -> Trimmed:
        kept = await self._topics()
        old = [
            one
            for one in kept.of(topic)[:limit]
            if one.position <= point.position or one.published_at < point.before
        ]
        unread = {
            place.name: count
            for place, _ in kept.places.values()
            if place.topic == topic
            and (
                count := sum(
                    one.position > place.position and one.position not in place.done for one in old
                )
            )
        }
        for one in old:
            del kept.events[one.topic, one.event_id]
        return Trimmed(len(old), unread)

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        kept = await self._topics()
        return sum(kept.failed.pop(number, None) is not None for number in numbers)

    async def redrive(self, numbers: Sequence[int], now: Microseconds) -> Redriven:
        hub = await self._turn()
        kept, count, left = hub.topics, 0, list[int]()
        for number in sorted(set(numbers) & set(kept.failed)):
            failed = kept.failed[number]
            if failed.source == "queue" and kept.queues.has(failed.name, failed.message_id):
                left.append(number)
                continue
            count += 1
            del kept.failed[number]
            kept.give_back(failed, now)
        self._changed(hub)
        return Redriven(count, tuple(left))


def _fitting(rows: list[T], most_bytes: int, length: Callable[[T], int]) -> list[T]:
    """The rows up to the one that goes beyond so many bytes; one at least."""
    total = 0
    for count, row in enumerate(rows):
        if count and total >= most_bytes:
            return rows[:count]
        total += length(row)
    return rows


def _position(event: StoredEvent) -> int:
    return event.position


def _length(event: StoredEvent) -> int:
    return memoryview(event.event).nbytes


def unstorable(row: object) -> str | None:
    """Why no store can hold a row; None when one can."""
    values = structs.astuple(row) if isinstance(row, Struct) else row
    assert isinstance(values, tuple)
    try:
        msgspec.json.encode(row)
        for value in values:
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                return f"{value} is out of range"
            if isinstance(value, Raw):
                json.loads(bytes(value))
    except json.JSONDecodeError as error:
        return f"malformed JSON: {error}"
    except (ValueError, OverflowError) as error:
        return str(error)
    return None


def _caused(record: InstanceRecord) -> CausedInstance:
    cause = (record.tags or {}).get(CAUSE_TAG)
    if cause is None and record.parent is not None:
        cause = instance_cause(record.parent.instance_id)
    return CausedInstance(
        instance_id=record.instance_id,
        cause=cause,
        name=record.name,
        status=record.status,
        at=record.created_at,
        ended_at=record.completed_at,
        hold=record.hold,
        failure=record.failure,
    )
