"""What every store promises of topics and flows, beside commits, by their ports in ``engine/``."""

from collections.abc import AsyncIterator

import pytest
from msgspec import Raw

from tenuto.engine.ports import HostIdentity, Storage
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import (
    FailedCount,
    FailedDelivery,
    Place,
    Progress,
    Redriven,
    TopicPage,
    TrimPoint,
)
from tenuto.model.causes import event_cause, message_cause
from tenuto.model.errors import FencedError
from tenuto.model.topics import PublishedEvent, QueuedMessage, StoredEvent
from tests.conformance.storage_suite import Backend

MIB = 1024 * 1024

MUCH = 1_000_000


def event(
    number: int, topic: str = "t", *, at: int | None = None, cause: str | None = None
) -> PublishedEvent:
    content = Raw(f'{{"data":{number},"type":"x"}}'.encode())
    moment = number if at is None else at
    return PublishedEvent(f"e{number}", topic, "k", moment, cause, 0, content)


def ids(events: list[StoredEvent]) -> list[str]:
    return [one.event_id for one in events]


def put_aside(
    topic: str, message_id: str, function: str = "s", source: str = "topic"
) -> FailedDelivery:
    return FailedDelivery(
        0, source, topic, function, message_id, 2, 9, "ValueError: no", None, "k", '{"data":1}'
    )


class TopicSuite:
    """The promises."""

    @pytest.fixture
    async def storage(self, backend: Backend) -> AsyncIterator[Storage]:
        storage = backend.handle()
        await storage.open()
        yield storage
        await storage.close()

    @pytest.fixture
    async def lease(self, storage: Storage) -> Lease:
        return (await storage.acquire(HostIdentity(owner="me", description="me")))[0]

    async def test_what_is_published_is_read_in_order_and_once(self, storage: Storage) -> None:
        await storage.publish([event(1), event(2), event(3, "u")], [])
        await storage.publish([event(2), event(4)], [])
        assert ids(await storage.events("t", 0, 10, MUCH)) == ["e1", "e2", "e4"]
        first = (await storage.events("t", 0, 10, MUCH))[0].position
        assert ids(await storage.events("t", first, 1, MUCH)) == ["e2"]
        assert ids(await storage.events("t", 0, 10, 1)) == ["e1"]  # one at least
        assert ids(await storage.newest_events("t", 2, MUCH)) == ["e4", "e2"]
        assert ids(await storage.newest_events("t", 9, 1)) == ["e4"]
        assert await storage.topic_names() == ["t", "u"]

    async def test_pages_say_how_long_a_topic_is(self, storage: Storage) -> None:
        await storage.publish([event(n, at=10 + n) for n in range(4)], [])
        length = len('{"data":1,"type":"x"}')
        first, second, third, _ = await storage.events("t", 0, 10, MUCH)
        page = await storage.topic_page("t", 0, 3, MUCH)
        assert page == TopicPage(third.position, 3, 3 * length, 10)
        page = await storage.topic_page("t", first.position, 3, length + 1)
        assert page == TopicPage(third.position, 2, 2 * length, 11)
        assert await storage.topic_page("t", 99, 3, MUCH) is None
        assert await storage.topic_page("none", 0, 3, MUCH) is None
        assert second.published_at == 11

    async def test_the_oldest_are_deleted_up_to_a_place_or_a_moment(
        self, storage: Storage, lease: Lease
    ) -> None:
        await storage.publish([event(n, at=n) for n in range(1, 9)], [])
        await storage.publish([event(1, "u", at=1)], [])
        found = await storage.events("t", 0, 10, MUCH)
        place = Place("s", "t", found[1].position, (found[3].position,))
        await storage.write_progress(lease, [Progress(place=place, at=1)])
        trimmed = await storage.trim("t", TrimPoint(position=found[4].position), 3)
        assert (trimmed.events, trimmed.unread) == (3, {"s": 1})
        trimmed = await storage.trim("t", TrimPoint(position=found[4].position), 3)
        assert (trimmed.events, trimmed.unread) == (2, {"s": 1})
        trimmed = await storage.trim("t", TrimPoint(before=7), 100)
        assert (trimmed.events, trimmed.unread) == (1, {"s": 1})
        assert ids(await storage.events("t", 0, 10, MUCH)) == ["e7", "e8"]
        assert ids(await storage.events("u", 0, 10, MUCH)) == ["e1"]
        assert (await storage.trim("t", TrimPoint(), 100)).events == 0

    async def test_places_and_what_was_put_aside_are_written_under_a_lease(
        self, storage: Storage, lease: Lease
    ) -> None:
        await storage.publish([event(1), event(2)], [])
        failed = put_aside("t", "e1")
        place = Place("s", "t", 1)
        await storage.write_progress(lease, [Progress(place=place, failed=[failed], at=5)])
        assert await storage.places(["s", "other"]) == [place]
        (standing,) = await storage.subscriptions()
        assert (standing.lag, standing.oldest, standing.failed) == (1, 2, 1)
        assert await storage.failed_counts() == [FailedCount("topic", "t", "s", 1, 9)]
        old = Lease(lease.partition, "another", lease.epoch)
        with pytest.raises(FencedError):
            await storage.write_progress(old, [Progress(place=Place("s", "t", 2), at=6)])
        assert await storage.places(["s"]) == [place]
        await storage.release([lease])
        (again, *_) = await storage.acquire(HostIdentity(owner="me", description="me"))
        assert again.owner == lease.owner
        with pytest.raises(FencedError):  # the same owner: the epoch alone says it is an older one
            await storage.write_progress(lease, [Progress(place=Place("s", "t", 2), at=6)])
        assert await storage.places(["s"]) == [place]

    async def test_what_is_given_back_is_told_of_until_it_is_done_with(
        self, storage: Storage, lease: Lease
    ) -> None:
        await storage.publish([event(1)], [])
        progress = Progress(place=Place("s", "t", 1), failed=[put_aside("t", "e1")], at=5)
        await storage.write_progress(lease, [progress])
        (failed,) = await storage.failed_deliveries("topic")
        assert (await storage.topic_news(None)).given_back == []
        assert await storage.redrive([failed.number, 99], 10) == Redriven(1)
        assert (await storage.topic_news(99)).given_back == ["s"]
        (again,) = await storage.redeliveries("s", 0, 10, MIB)
        assert (again.event_id, again.position < 0) == ("e1", True)
        assert await storage.redeliveries("other", 0, 10, MUCH) == []
        done = Progress(place=Place("s", "t", 1), redelivered=[again.position], at=6)
        await storage.write_progress(lease, [done])
        assert (await storage.topic_news(99)).given_back == []
        assert await storage.failed_deliveries() == []

    async def test_a_subscription_is_forgotten_with_all_that_is_its_own(
        self, storage: Storage, lease: Lease
    ) -> None:
        failed = [put_aside("t", "e1"), put_aside("t", "e2"), put_aside("t", "e1", "other")]
        await storage.write_progress(
            lease, [Progress(place=Place("s", "t", 1), failed=failed, at=5)]
        )
        await storage.redrive([(await storage.failed_deliveries())[0].number], 1)
        assert await storage.remove_subscription("s")
        assert not await storage.remove_subscription("s")
        assert [one.function for one in await storage.failed_deliveries()] == ["other"]
        assert await storage.redeliveries("s", 0, 10, MIB) == []
        assert await storage.subscriptions() == []

    async def test_what_something_has_led_to_is_found_by_its_cause(
        self, storage: Storage, lease: Lease
    ) -> None:
        cause = event_cause("t", "e1")
        await storage.publish(
            [event(1), event(2, cause=cause, at=20), event(3, "u", cause=cause, at=10)],
            [
                QueuedMessage("m", "q", 15, 15, cause, 0, "1"),
                QueuedMessage("n", "q", 0, 0, None, 0, "1"),
            ],
        )
        found = await storage.flow([cause, "event:t/none"], 10)
        assert [(one.kind, one.id) for one in found] == [
            ("event", "e3"),
            ("message", "m"),
            ("event", "e2"),
        ]
        assert [one.id for one in await storage.flow([cause], 1)] == ["e3"]
        itself = await storage.flow_event(cause)
        assert itself is not None
        assert (itself.place, itself.id, itself.key, itself.type) == ("t", "e1", "k", "x")
        assert await storage.flow_event(event_cause("t", "none")) is None
        queued = await storage.flow_event(message_cause("q", "m"))
        assert queued is not None
        assert (queued.kind, queued.cause) == ("message", cause)
        failed = [put_aside("t", "e1"), put_aside("t", "e2")]
        await storage.write_progress(
            lease, [Progress(place=Place("s", "t", 1), failed=failed, at=5)]
        )
        (failure,) = await storage.flow_failures([cause, event_cause("u", "e2")], 10)
        assert (failure.cause, failure.function, failure.attempts) == (cause, "s", 2)
