"""Who is woken by what comes: those whom it concerns, and no others (a read for each)."""

from collections import Counter
from datetime import timedelta

import pytest

from tenuto import App, Context, RetryPolicy
from tenuto.engine.news import ANYTHING, EVENTS, News, news_of
from tenuto.testing import TestHost

ONCE = RetryPolicy(max_attempts=1, first_interval=timedelta(seconds=1))


@pytest.fixture
def seen() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def app(seen: list[tuple[str, int]]) -> App:
    """Three queues and a topic, and an orchestrator that puts something into one of them."""
    app = App()

    def serve(name: str) -> None:
        @app.queue(name, name=name, retry=ONCE)
        async def work(number: int) -> None:
            seen.append((name, number))
            if number < 0 and seen.count((name, number)) == 1:
                raise ValueError

    for name in ("a", "b", "c"):
        serve(name)

    @app.subscribe("orders")
    async def note(number: int) -> None:
        seen.append(("orders", number))

    @app.orchestrator
    async def enqueues(ctx: Context) -> None:
        await ctx.enqueue("b", 7)

    return app


class Reads:
    """How often each queue was looked into."""

    def __init__(self, test: TestHost, monkeypatch: pytest.MonkeyPatch) -> None:
        self.test = test
        self.counted = Counter[str]()
        storage = test.host.engine.storage
        real = storage.queue_next

        async def queue_next(queue: str) -> int | None:
            self.counted[queue] += 1
            return await real(queue)

        monkeypatch.setattr(storage, "queue_next", queue_next)

    async def taken(self) -> set[str]:
        """Which were looked into since this was asked last."""
        await self.test.idle()
        found = set(self.counted)
        self.counted.clear()
        return found


async def test_what_is_published_wakes_no_queue_and_a_message_only_its_own(
    app: App, seen: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with TestHost(app) as test:
        await test.idle()
        reads = Reads(test, monkeypatch)
        await test.client.publish("orders", 1)
        await test.client.publish("nobody reads this", 2)
        assert await reads.taken() == set()
        await test.client.enqueue("a", 3)
        assert await reads.taken() == {"a"}
        await test.run("enqueues")
        assert await reads.taken() == {"b"}
        assert seen == [("orders", 1), ("a", 3), ("b", 7)]


async def test_what_is_given_back_wakes_whoever_it_may_be_for(
    app: App, seen: list[tuple[str, int]]
) -> None:
    async with TestHost(app) as test:
        await test.client.enqueue("c", -1)
        await test.idle()
        gateway = test.host.client.gateway
        (failed,) = await gateway.failed_deliveries()
        await gateway.redrive([failed.number])
        await test.idle()
        assert seen == [("c", -1), ("c", -1)]


async def test_no_silent_drop_what_another_process_queues_wakes_whoever_it_may_be_for(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with TestHost(app) as test:
        await test.idle()
        reads = Reads(test, monkeypatch)
        test.host.engine.fed(ANYTHING)
        assert await reads.taken() == {"a", "b", "c"}
        test.host.engine.fed(EVENTS)
        assert await reads.taken() == set()


def test_nothing_is_no_news() -> None:
    assert news_of([], []) == News(events=False, queues=set())
