"""Old events of topics go by age and by size, in virtual time; nobody loses them silently."""

from datetime import timedelta
from unittest.mock import Mock

import pytest

from tenuto import App, Settings
from tenuto.client.publishing import Stamp, event_of_text
from tenuto.engine.topic_ports import TrimPoint
from tenuto.messaging import retention
from tenuto.messaging.options import TopicSettings
from tenuto.model.topics import Event, EventHead
from tenuto.testing import TestHost

HOUR = timedelta(hours=1)


async def kept(test: TestHost, topic: str) -> list[str]:
    events = await test.host.engine.storage.events(topic, 0, 10_000, 1 << 30)
    return [one.event_id for one in events]


async def test_events_go_when_they_are_too_old_and_not_before() -> None:
    settings = Settings(topics=TopicSettings(keep_days=3))
    async with TestHost(App(), settings=settings) as test:
        await test.client.publish("orders", 1, event_id="first")
        await test.advance(timedelta(days=2))
        await test.client.publish("orders", 2, event_id="second")
        await test.advance(timedelta(hours=23))
        assert await kept(test, "orders") == ["first", "second"]
        await test.advance(timedelta(hours=3))
        assert await kept(test, "orders") == ["second"]
        await test.advance(timedelta(days=2))
        assert await kept(test, "orders") == []
        # Nothing is left: nothing is looked for any more.
        assert await test.clock.next_moment() is None
        assert test.problems == []


async def test_the_oldest_go_when_a_topic_is_too_long_and_another_topic_stays() -> None:
    settings = Settings(topics=TopicSettings(keep_bytes=10_000))
    async with TestHost(App(), settings=settings) as test:
        for number in range(200):
            if number == 100:  # meanwhile nothing was to be looked for but what gets too old
                await test.advance(3 * HOUR)
            await test.client.publish("long", "x" * 100, event_id=f"n{number}")
        await test.client.publish("short", 1)
        await test.advance(2 * HOUR)
        (long, short) = await test.host.client.gateway.topics.all()
        assert 9_000 < long.bytes <= 10_000
        assert (await kept(test, "long"))[-1] == "n199"
        assert short.events == 1


async def test_a_host_that_starts_soon_deletes_what_became_too_old_while_none_ran() -> None:
    settings = Settings(topics=TopicSettings(keep_days=1))
    async with TestHost(App(), settings=settings) as test:
        stamp = Stamp(test.clock.now(), None, 1_000)
        more_than_a_page = [
            event_of_text("orders", str(number), EventHead(), event_id=f"e{number}", stamp=stamp)
            for number in range(2_500)
        ]
        await test.host.client.gateway.publish(more_than_a_page, [])
        await test._stop()
        test.clock.jump(test.clock.now() + 5 * 86_400_000_000)
        await test._start()
        await test.advance(timedelta(seconds=20))
        assert await kept(test, "orders") == []


async def test_who_had_not_read_them_is_named_in_the_log() -> None:
    app, seen = App(), list[object]()

    @app.subscribe("orders", name="slow", concurrency=1)
    async def slow(event: Event) -> None:
        seen.append(event.data)
        raise ValueError("again")

    settings = Settings(topics=TopicSettings(keep_bytes=500))
    async with TestHost(app, settings=settings) as test:
        for number in range(30):
            await test.client.publish("orders", "x" * 50, key="one", event_id=str(number))
        # It fails and pauses, so that its place does not move; what is read ahead is delivered.
        storage = test.host.engine.storage
        trimmed = await storage.trim("orders", TrimPoint(position=10), 5)
        assert trimmed.events == 5
        assert trimmed.unread == {"slow": 5}


async def test_a_backlog_that_nobody_serves_is_told_of() -> None:
    app = App()

    @app.subscribe("orders", name="billing")
    async def billing(event: Event) -> None: ...

    settings = Settings(topics=TopicSettings(keep_days=7))
    async with TestHost(app, settings=settings) as test:
        await test.idle()
        await test._stop()
        test.app = App()  # the next version of the app has it no more
        await test._start()
        for number in range(3):
            await test.client.publish("orders", number)
        await test.advance(timedelta(days=8))
        (problem,) = test.problems
        assert problem[1].startswith("subscription 'billing': 3 events were gone before it read")
        assert "topics.keep_days" in problem[1]


async def test_as_much_is_deleted_at_a_time_as_a_commit_can_wait_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "_TRIMMED_BYTES", 3_000)
    settings = Settings(topics=TopicSettings(keep_days=1))
    async with TestHost(App(), settings=settings) as test:
        storage = test.host.engine.storage
        trim = Mock(wraps=storage.trim)
        monkeypatch.setattr(storage, "trim", trim)
        for number in range(20):
            await test.client.publish("orders", "x" * 1_000, event_id=str(number))
        await test.advance(3 * HOUR)
        assert trim.call_count == 0  # nothing is old: nobody had to wait
        await test.advance(timedelta(days=2))
        assert await kept(test, "orders") == []
        assert {call.args[2] for call in trim.call_args_list} <= {1, 2, 3}
