"""Subscriptions at moments that are rare: the store is away once, somebody publishes meanwhile."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tenuto import App, Event, RetryPolicy, StorageUnavailableError
from tenuto.engine.engine import Engine
from tenuto.engine.ports import Storage
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Place, Progress
from tenuto.messaging.topics import feed, listener
from tenuto.messaging.topics.feed import TopicFeed
from tenuto.model.errors import StorageError
from tenuto.testing import TestHost
from tests.support.away import own_store_away
from tests.support.waiting import until, until_given

ONCE = RetryPolicy(max_attempts=1, first_interval=timedelta(seconds=1))
LEASE = Lease(0, "me", 1)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(feed, "_AGAIN_SECONDS", 0.001)


def away_once(monkeypatch: pytest.MonkeyPatch, storage: Storage, question: str) -> None:
    """The store does not answer this question; the next time it does."""
    real, left = getattr(storage, question), [1]

    async def ask(*arguments: object) -> object:
        if left:
            left.pop()
            raise StorageUnavailableError("away")
        return await real(*arguments)

    monkeypatch.setattr(storage, question, ask)


async def has_read_all(test: TestHost) -> None:
    """Wait until it is noted that the one subscription is done with all events."""

    async def is_done() -> bool:
        (standing,) = await test.host.engine.storage.subscriptions()
        return standing.lag == 0

    await until_given(is_done)


async def test_what_was_given_back_runs_once_while_others_publish() -> None:
    """Each of them has the store asked what was given back: it is still there while it runs."""
    app, runs, others = App(), list[int](), list[int]()
    go_on: asyncio.Event | None = None

    @app.subscribe("orders", retry=ONCE)
    async def note(event: Event) -> None:
        if event.data:
            others.append(event.data)
            return
        runs.append(1)
        if go_on is None:
            raise ValueError
        await go_on.wait()

    async with TestHost(app) as test:
        gateway = test.host.client.gateway
        await test.client.publish("orders", 0)
        await test.idle()
        (failed,) = await gateway.failed_deliveries()
        runs.clear()
        go_on = asyncio.Event()
        await gateway.redrive([failed.number])
        await until(lambda: bool(runs))
        for number in range(1, 6):
            await test.client.publish("orders", number)
            await until(partial(others.__contains__, number))
        assert runs == [1]
        go_on.set()
        await test.idle()
        assert runs == [1]
        assert await gateway.failed_deliveries() == []


async def test_no_silent_drop_news_that_could_not_be_read_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, seen = App(), list[Any]()

    @app.subscribe("orders")
    async def note(event: Event) -> None:
        seen.append(event.data)

    async with TestHost(app) as test:
        await test.idle()
        away_once(monkeypatch, test.host.engine.storage, "topic_news")
        await test.client.publish("orders", 1)
        await test.idle()
        assert seen == [1]


async def test_no_silent_drop_what_was_put_aside_is_listed_although_its_note_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App()

    @app.subscribe("orders", retry=ONCE)
    async def note(event: Event) -> None:
        raise ValueError(event.data)

    async with TestHost(app) as test:
        await test.idle()
        away_once(monkeypatch, test.host.engine.storage, "write_progress")
        await test.client.publish("orders", 1)
        await has_read_all(test)
        (failed,) = await test.host.client.gateway.failed_deliveries()
        assert failed.error == "ValueError: 1"


async def test_a_store_that_is_away_costs_an_event_no_attempt() -> None:
    app, attempts = App(), list[int]()

    @app.subscribe("orders", retry=ONCE)
    async def note(_event: Event) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise own_store_away()

    async with TestHost(app) as test:
        await test.client.publish("orders", 1)
        await test.advance(timedelta(seconds=10))
        await test.idle()
        assert attempts == [1, 1, 1]
        assert await test.host.client.gateway.failed_deliveries() == []


async def test_a_subscription_that_is_moved_to_another_topic_begins_there_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its place is of the other topic; what was published before the host began is not for it."""
    seen = list[Any]()
    old, new = App(), App()

    @old.subscribe("orders", name="one")
    async def note(_event: Event) -> None: ...

    @new.subscribe("bills", name="one")
    async def read(event: Event) -> None:
        seen.append(event.data)

    async with TestHost(old) as test:
        await test.client.publish("bills", "before")
        await test.idle()
        monkeypatch.setattr(test, "app", new)
        await test.restart()
        storage = test.host.engine.storage
        positions = {one.topic: one.position for one in await storage.subscriptions()}
        assert positions["bills"] == await storage.last_position()
        await test.client.publish("bills", "after")
        await test.idle()
        assert seen == ["after"]


# --- notes of several subscriptions ----------------------------------------------------------


async def test_one_never_takes_all_a_note_that_cannot_be_written_fails_no_other() -> None:
    written: list[str] = []

    class Store:
        async def write_progress(self, _lease: Lease, progress: Sequence[Progress]) -> None:
            if any(one.place.name == "bad" for one in progress):
                raise StorageError("no text that can be stored")
            written.extend(one.place.name for one in progress)

    engine: Any = SimpleNamespace(storage=Store(), loop=asyncio.get_running_loop())
    notes = TopicFeed(cast("Engine", engine))
    found = await asyncio.gather(
        *(
            notes.note(LEASE, Progress(place=Place(name, "orders", 1), at=1))
            for name in ("good", "bad", "better")
        ),
        return_exceptions=True,
    )
    assert [type(one) for one in found] == [type(None), StorageError, type(None)]
    assert sorted(written) == ["better", "good"]
