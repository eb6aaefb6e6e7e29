"""What every store promises of topics and queues, sentence by sentence of their part of the port.

Beside ``storage_suite``, whose fixtures and rows are used.
"""

from typing import Any

import pytest
from msgspec import Raw, structs

from tenuto.engine.ports import HostIdentity, Storage
from tenuto.engine.rows import ALL_TOPIC_WAITS, TopicWaitRow
from tenuto.engine.topic_ports import (
    FailedDelivery,
    MatchPage,
    Place,
    Progress,
    Redriven,
    SubscriptionStanding,
    TopicMatch,
    TopicNews,
    WaitPage,
)
from tenuto.model.causes import message_cause
from tenuto.model.errors import FencedError, RowsRefusedError
from tenuto.model.topics import PublishedEvent, QueuedMessage, StoredEvent
from tests.conformance.storage_suite import (
    DAY,
    ONE,
    Backend,
    Owner,
    Places,
    StorageFixtures,
    record,
)

MIB = 1024 * 1024

PLENTY = 1_000_000
BROKEN = Raw(b"{")


def event(
    event_id: str, topic: str = "orders", key: str | None = None, data: str = "1", **changes: Any
) -> PublishedEvent:
    content = Raw(f'{{"data":{data}}}'.encode())
    fresh = PublishedEvent(event_id, topic, key, 1_000, None, 0, content)
    return structs.replace(fresh, **changes)


def queued(message_id: str, queue: str = "plates", **changes: Any) -> QueuedMessage:
    fresh = QueuedMessage(message_id, queue, 1_000, 1_000, None, 0, "1")
    return structs.replace(fresh, **changes)


def wait(
    iid: int, task_id: int = 1, topic: str | None = "orders", key: str = "k", after: int = 0
) -> TopicWaitRow:
    return TopicWaitRow(iid, task_id, Places.of(f"instance-{iid}"), topic, key, after)


def over(iid: int, task_id: int = 1) -> TopicWaitRow:
    return wait(iid, task_id, None, "")


def put_aside(number: int, **changes: Any) -> FailedDelivery:
    fresh = FailedDelivery(
        0, "topic", "orders", "billing", f"e{number}", 5, 2_000, "no", None, "k", '{"data":1}'
    )
    return structs.replace(fresh, **changes)


async def events_of(storage: Storage, topic: str = "orders", after: int = 0) -> list[StoredEvent]:
    return await storage.events(topic, after, 100, PLENTY)


async def ids_of(storage: Storage, topic: str = "orders", after: int = 0) -> list[str]:
    return [one.event_id for one in await events_of(storage, topic, after)]


async def waits_of(storage: Storage) -> set[tuple[int, int]]:
    return {(one.iid, one.task_id) for one in await storage.topic_waits(range(Places.partitions))}


async def matched(storage: Storage, *waits: tuple[int, int]) -> list[tuple[int, str]]:
    page = await storage.topic_matches_of(waits, PLENTY)
    return [(one.iid, one.event.event_id) for one in page.matches]


class TopicsSuite(StorageFixtures):
    """The promises."""

    # --- publishing ------------------------------------------------------------------------------

    async def test_events_of_a_commit_are_in_their_topics_in_its_order(self, owner: Owner) -> None:
        content = Raw(b'{"data":"\\u00fc","type":"t","attributes":{"a":"b"}}')
        first = event("a", key="k", cause="instance:x", published_at=7, iid=3, event=content)
        await owner.commit(published=[first, event("b", "bills"), event("c")])
        await owner.commit(published=[event("d")])
        storage = owner.storage
        found = await events_of(storage)
        assert [one.event_id for one in found] == ["a", "c", "d"]
        assert await ids_of(storage, "bills") == ["b"]
        assert await ids_of(storage, "none") == []
        positions = [one.position for one in found]
        assert positions == sorted(positions)
        assert positions[0] > 0
        assert await storage.last_position() == positions[-1]
        assert found[0] == StoredEvent(positions[0], "a", "orders", "k", 7, "instance:x", content)

    async def test_exactly_once_an_id_is_in_its_topic_once(self, owner: Owner) -> None:
        await owner.commit(published=[event("a", data="1"), event("a", data="2")])
        await owner.commit(published=[event("a", data="3"), event("a", "bills", data="4")])
        await owner.storage.publish([event("a", data="5")], [])
        (found,) = await events_of(owner.storage)
        assert bytes(found.event) == b'{"data":1}'
        assert len(await events_of(owner.storage, "bills")) == 1
        await owner.commit(queued=[queued("m"), queued("m", data="2")])
        await owner.storage.publish([], [queued("m"), queued("m", "others")])
        for queue in ("plates", "others"):
            assert await owner.storage.flow_event(message_cause(queue, "m")) is not None

    async def test_what_is_published_from_outside_is_all_there_or_nothing(
        self, owner: Owner
    ) -> None:
        storage = owner.storage
        await storage.publish([event("a"), event("b")], [queued("m")])
        with pytest.raises(RowsRefusedError) as refused:
            await storage.publish([event("c"), event("d", event=BROKEN)], [queued("n")])
        assert event("d").post_key in refused.value.messages
        with pytest.raises(RowsRefusedError):
            await storage.publish([event("c")], [queued("n", data="\ud800")])
        assert await ids_of(storage) == ["a", "b"]
        assert await storage.flow_event(message_cause("plates", "n")) is None
        await storage.publish([], [])

    async def test_a_refused_instance_publishes_nothing(self, owner: Owner) -> None:
        """And its batch, which is written the slow way, loses nothing else."""
        await owner.commit(instances=[record(1)])
        result = await owner.commit(
            instances=[record(2, "instance-1"), record(3)],
            published=[event("a", iid=2), event("b", iid=3), event("c")],
            queued=[queued("a", iid=2), queued("b", iid=3)],
            topic_waits=[wait(2), wait(3)],
        )
        assert result.refused == {2}
        assert await ids_of(owner.storage) == ["b", "c"]
        assert await owner.storage.flow_event(message_cause("plates", "a")) is None
        assert await owner.storage.flow_event(message_cause("plates", "b")) is not None
        assert await waits_of(owner.storage) == {(3, 1)}

    async def test_one_owner_nothing_is_published_behind_a_fence(self, owner: Owner) -> None:
        late = owner.batch(published=[event("a")], queued=[queued("m")], topic_waits=[wait(1)])
        await Owner.of(owner.storage, "second")
        with pytest.raises(FencedError):
            await owner.send(late)
        assert await ids_of(owner.storage) == []
        assert await owner.storage.flow_event(message_cause("plates", "m")) is None

    async def test_who_publishes_what_cannot_be_stored_is_named(self, owner: Owner) -> None:
        batch = owner.batch(
            instances=[record(1), record(2)],
            published=[
                event("a", iid=1, event=BROKEN),
                event("b", iid=2),
                event("c", event=BROKEN),
                event("c", "bills"),
            ],
            queued=[queued("c"), queued("d", data="\ud800"), queued("e", queued_at=2**63)],
        )
        with pytest.raises(RowsRefusedError) as refused:
            await owner.send(batch)
        assert refused.value.instances.keys() == {1}
        wrong = (event("c"), queued("d"), queued("e"))
        assert refused.value.messages.keys() == {one.post_key for one in wrong}
        assert await ids_of(owner.storage) == []

    # --- reading ---------------------------------------------------------------------------------

    async def test_events_are_read_from_a_place_as_long_as_they_fit(self, owner: Owner) -> None:
        storage = owner.storage
        await owner.commit(published=[event(name, data='"ü"') for name in "abcd"])
        first, second, third, last = await events_of(storage)
        size = memoryview(first.event).nbytes
        assert await storage.events("orders", second.position, 100, PLENTY) == [third, last]
        assert await storage.events("orders", last.position, 100, PLENTY) == []
        assert await storage.events("orders", 0, 2, PLENTY) == [first, second]
        assert await storage.events("orders", 0, 100, 1) == [first]
        assert await storage.events("orders", 0, 100, size + 1) == [first, second]
        assert await storage.newest_events("orders", 2, PLENTY) == [last, third]
        assert await storage.newest_events("none", 2, PLENTY) == []

    async def test_news_are_the_topics_that_have_events_after_a_position(
        self, owner: Owner
    ) -> None:
        storage = owner.storage
        assert await storage.topic_news(None) == TopicNews(0, [])
        await owner.commit(published=[event("a"), event("b", "bills"), event("c")])
        all_of_them = await storage.topic_news(None)
        assert sorted(all_of_them.topics) == ["bills", "orders"]
        assert all_of_them.cursor == await storage.last_position()
        assert await storage.topic_news(all_of_them.cursor) == TopicNews(all_of_them.cursor, [])
        await owner.commit(published=[event("d", "bills")])
        assert (await storage.topic_news(all_of_them.cursor)).topics == ["bills"]

    async def test_places_are_where_they_were_last_written(self, owner: Owner) -> None:
        storage, lease = owner.storage, owner.leases[0]
        place = Place("billing", "orders", 3, (5, 7))
        other = Place("mail", "orders", 1)
        await storage.write_progress(lease, [Progress(place=place, at=5)])
        await storage.write_progress(lease, [Progress(place=other, at=6)])
        found = await storage.places(["mail", "unknown", "billing"])
        assert {one.name: one for one in found} == {"billing": place, "mail": other}
        moved = Place("billing", "orders", 8)
        await storage.write_progress(lease, [Progress(place=moved, at=7)])
        assert await storage.places(["billing"]) == [moved]
        assert await storage.places([]) == []

    async def test_one_owner_writes_places(self, owner: Owner) -> None:
        place = Place("billing", "orders", 3)
        await owner.storage.write_progress(owner.leases[0], [Progress(place=place, at=5)])
        await Owner.of(owner.storage, "second")
        late = Progress(
            place=Place("billing", "orders", 9), at=6, failed=[put_aside(1)], redelivered=[-1]
        )
        with pytest.raises(FencedError) as fenced:
            await owner.storage.write_progress(owner.leases[0], [late])
        assert fenced.value.partitions == {owner.leases[0].partition}
        assert await owner.storage.places(["billing"]) == [place]
        assert await owner.storage.failed_deliveries() == []

    async def test_how_subscriptions_stand(self, owner: Owner) -> None:
        storage, lease = owner.storage, owner.leases[0]
        times = (1_000, 2_000, 3_000, 4_000)
        await owner.commit(
            published=[event(f"e{one}", published_at=one) for one in times]
            + [event("other", "bills")]
        )
        first, second, *_ = await events_of(storage)
        behind = Place("billing", "orders", first.position, (second.position,))
        failed = [put_aside(1), put_aside(2, name="bills")]
        await storage.write_progress(lease, [Progress(place=behind, at=5, failed=failed)])
        even = Place("mail", "orders", await storage.last_position())
        await storage.write_progress(lease, [Progress(place=even, at=6)])
        assert await storage.subscriptions() == [
            SubscriptionStanding(
                name="billing",
                topic="orders",
                position=first.position,
                lag=2,
                oldest=3_000,
                failed=1,
                updated_at=5,
            ),
            SubscriptionStanding(
                name="mail",
                topic="orders",
                position=even.position,
                lag=0,
                oldest=None,
                failed=0,
                updated_at=6,
            ),
        ]

    async def test_a_subscription_is_removed_with_what_was_put_aside_for_it(
        self, owner: Owner
    ) -> None:
        storage, lease = owner.storage, owner.leases[0]
        place = Place("billing", "orders", 3)
        failed = [put_aside(1), put_aside(2), put_aside(3, function="mail")]
        await storage.write_progress(lease, [Progress(place=place, at=5, failed=failed)])
        (first, *_) = await storage.failed_deliveries()
        assert await storage.redrive([first.number], DAY) == Redriven(1)
        assert await storage.remove_subscription("billing") is True
        assert await storage.remove_subscription("billing") is False
        assert await storage.places(["billing"]) == []
        assert await storage.redeliveries("billing", 0, 10, MIB) == []
        assert [one.function for one in await storage.failed_deliveries()] == ["mail"]

    # --- what was put aside ----------------------------------------------------------------------

    async def test_no_silent_drop_what_was_put_aside_is_listed(self, owner: Owner) -> None:
        storage = owner.storage
        failed = [
            put_aside(1, error="no\x00 'quotes'", cause="instance:x"),
            put_aside(2, function="mail", key=None),
            put_aside(3, source="queue", name="plates", function="read", content="2"),
        ]
        progress = Progress(place=Place("billing", "orders", 3), at=5, failed=failed)
        await storage.write_progress(owner.leases[0], [progress])
        found = await storage.failed_deliveries()
        assert [structs.replace(one, number=0) for one in found] == failed
        numbers = [one.number for one in found]
        assert numbers == sorted(set(numbers))
        of_queues = await storage.failed_deliveries("queue")
        assert [one.number for one in of_queues] == numbers[2:]
        assert await storage.failed_deliveries(name="orders", function="mail") == found[1:2]
        assert await storage.failed_deliveries("topic", "plates") == []
        assert await storage.failed_deliveries(after=numbers[0], limit=1) == found[1:2]
        assert await storage.drop_failed([numbers[0], numbers[2], 999]) == 2
        assert await storage.failed_deliveries() == found[1:2]

    async def test_what_was_put_aside_is_given_back_once(self, owner: Owner) -> None:
        storage, lease = owner.storage, owner.leases[0]
        await owner.commit(published=[event("e1", key="k", published_at=7)])
        failed = [
            put_aside(1, cause="instance:x"),
            put_aside(2, failed_at=9, key=None),
            put_aside(3, source="queue", name="plates", content='"m"'),
            put_aside(4, function="mail"),
        ]
        place = Place("billing", "orders", 3)
        await storage.write_progress(lease, [Progress(place=place, at=5, failed=failed)])
        numbers = [one.number for one in await storage.failed_deliveries()]
        assert await storage.redrive([*numbers, 999], DAY) == Redriven(4)
        assert await storage.redrive(numbers, DAY) == Redriven(0)
        assert await storage.failed_deliveries() == []
        assert await storage.flow_event(message_cause("plates", "e3")) is not None
        assert len(await storage.redeliveries("mail", 0, 10, MIB)) == 1
        first, second = await storage.redeliveries("billing", 0, 10, MIB)
        assert (first.event_id, first.topic, first.key, first.cause, bytes(first.event)) == (
            *("e1", "orders", "k", "instance:x"),
            b'{"data":1}',
        )
        # One that the topic has still was published when it was.
        assert (first.published_at, second.published_at) == (7, 9)
        assert 0 > first.position > second.position
        assert await storage.redeliveries("billing", 0, 1, MIB) == [first]
        assert await storage.redeliveries("billing", 0, 10, 1) == [first]
        assert await storage.redeliveries("billing", -first.position, 10, 1) == [second]
        assert await storage.redeliveries("billing", -second.position, 10, 1) == []
        done = Progress(place=place, at=6, redelivered=[first.position])
        await storage.write_progress(lease, [done])
        assert await storage.redeliveries("billing", 0, 10, MIB) == [second]

    # --- how long events are kept ----------------------------------------------------------------

    async def test_waits_are_those_of_their_partitions(self, owner: Owner) -> None:
        storage = owner.storage
        rows = [wait(1), wait(1, 2, "bills", "j", 5), wait(2)]
        await owner.commit(instances=[record(1), record(2)], topic_waits=rows)
        found = await storage.topic_waits(range(Places.partitions))
        assert sorted(found, key=lambda one: (one.iid, one.task_id)) == rows
        of_one = await storage.topic_waits([Places.of("instance-1")])
        assert {one.iid for one in of_one} >= {1}
        assert await storage.topic_waits([]) == []
        await owner.commit(topic_waits=[over(1, 2), over(7)])
        assert await waits_of(storage) == {(1, 1), (2, 1)}
        again = wait(1, after=9)
        await owner.commit(topic_waits=[again])
        assert again in await storage.topic_waits(range(Places.partitions))
        await owner.commit(topic_waits=[over(1, ALL_TOPIC_WAITS), wait(1, 4)])
        assert await waits_of(storage) == {(1, 4), (2, 1)}

    async def test_a_wait_is_matched_by_the_first_event_that_counts(self, owner: Owner) -> None:
        storage = owner.storage
        await owner.commit(
            published=[
                event("other topic", "bills", "k"),
                event("other key", key="j"),
                event("no key"),
                event("a", key="k"),
                event("b", key="k"),
            ]
        )
        first, second = (await events_of(storage))[2:]
        await owner.commit(
            instances=[record(1), record(2)],
            topic_waits=[
                wait(1),
                wait(1, 2, after=first.position),
                wait(2, 3, after=second.position),
            ],
        )
        keys = ((1, 1), (2, 3), (1, 2), (7, 7))
        page = await storage.topic_matches_of(keys, PLENTY)
        place = Places.of("instance-1")
        execution = record(1).execution_id
        assert page == MatchPage(
            [
                TopicMatch(1, 1, place, ONE, execution, first),
                TopicMatch(1, 2, place, ONE, execution, second),
            ],
            False,
        )
        assert await storage.topic_matches_of([], PLENTY) == MatchPage([], False)

    async def test_matches_come_as_long_as_they_fit(self, owner: Owner) -> None:
        storage = owner.storage
        await owner.commit(
            published=[event("a", key="k")],
            instances=[record(iid) for iid in (1, 2, 3)],
            topic_waits=[wait(iid) for iid in (1, 2, 3)],
        )
        keys = [(3, 1), (1, 1), (2, 1)]
        size = memoryview((await events_of(storage))[0].event).nbytes
        for most_bytes, iids in ((1, [3]), (size + 1, [3, 1]), (PLENTY, [3, 1, 2])):
            page = await storage.topic_matches_of(keys, most_bytes)
            assert [one.iid for one in page.matches] == iids
            assert page.has_more == (len(iids) < 3)

    async def test_waits_for_new_events_are_found(self, owner: Owner) -> None:
        storage = owner.storage
        await owner.commit(
            instances=[record(1), record(2)],
            topic_waits=[wait(1), wait(1, 2), wait(2, 1, "bills")],
        )
        before = await storage.last_position()
        assert await storage.topic_waits_since(before) == WaitPage([], before, False)
        await owner.commit(
            published=[event("a", "bills", "k"), event("b", key="k"), event("c", key="k")]
        )
        page = await storage.topic_waits_since(before)
        assert page.waits[0] == (2, 1)
        assert set(page.waits) == {(1, 1), (1, 2), (2, 1)}
        assert len(page.waits) == 3
        assert page.cursor == await storage.last_position()
        assert not page.has_more
        assert (await storage.topic_waits_since(page.cursor)).waits == []
        await owner.commit(topic_waits=[wait(1, after=page.cursor), over(2)])
        assert set((await storage.topic_waits_since(before)).waits) == {(1, 2)}

    async def test_of_many_new_events_waits_are_found_page_by_page(self, owner: Owner) -> None:
        storage = owner.storage
        await owner.commit(instances=[record(1)], topic_waits=[wait(1)])
        others = [event(str(number), key="j") for number in range(2_500)]
        await owner.commit(published=[*others, event("a", key="k")])
        page = await storage.topic_waits_since(0)
        pages = 1
        while not page.waits:
            assert page.has_more
            page = await storage.topic_waits_since(page.cursor)
            pages += 1
        assert page.waits == [(1, 1)]
        assert pages > 1

    async def test_what_an_instance_waits_for_goes_with_it(self, owner: Owner) -> None:
        storage = owner.storage
        await owner.commit(
            instances=[record(iid) for iid in (1, 2, 3)],
            topic_waits=[wait(iid) for iid in (1, 2, 3)],
            published=[event("a", key="k")],
        )
        await owner.commit(purged=[1])
        assert await waits_of(storage) == {(2, 1), (3, 1)}
        await owner.commit(replaced=[record(9, "instance-2")])
        assert await waits_of(storage) == {(3, 1)}
        assert await matched(storage, (1, 1), (2, 1), (3, 1)) == [(3, "a")]
        # Who is replaced by itself, as with a new generation, waits on.
        await owner.commit(replaced=[record(3, generation=1)])
        assert await waits_of(storage) == {(3, 1)}

    # --- flows -----------------------------------------------------------------------------------

    async def test_what_another_handle_publishes_is_there(
        self, owner: Owner, backend: Backend
    ) -> None:
        if not backend.shared:
            pytest.skip("each handle has a hub of its own")
        other = backend.handle()
        await other.open()
        await other.publish([event("a")], [queued("m")])
        assert await ids_of(owner.storage) == ["a"]
        await owner.commit(published=[event("b")])
        assert await ids_of(other) == ["a", "b"]
        await other.close()

    async def test_topics_are_there_after_a_restart(self, owner: Owner, backend: Backend) -> None:
        if not backend.shared:
            pytest.skip("what is in memory goes with its handle")
        storage = owner.storage
        await owner.commit(
            instances=[record(1)], published=[event("a", key="k")], topic_waits=[wait(1)]
        )
        place = Place("billing", "orders", 1)
        await storage.write_progress(owner.leases[0], [Progress(place=place, at=5)])
        last = await storage.last_position()
        await storage.close()
        again = backend.handle()
        await again.open()
        await again.acquire(HostIdentity(owner="second", description="second"))
        assert await matched(again, (1, 1)) == [(1, "a")]
        assert await again.places(["billing"]) == [place]
        assert await again.last_position() == last
        await again.close()
