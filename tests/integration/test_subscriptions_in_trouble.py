"""Subscriptions whose store is away, whose functions raise anything, and that get much back."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tenuto import App, Event, RetryPolicy, StorageUnavailableError
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Progress, Redriven
from tenuto.messaging.topics import listener
from tenuto.model.topics import StoredEvent
from tenuto.testing import TestHost
from tests.support.suite_storage import IS_POSTGRES
from tests.support.waiting import until

ONCE = RetryPolicy(max_attempts=1, first_interval=timedelta(seconds=1))


class RudeError(Exception):
    def __str__(self) -> str:
        raise ValueError("says nothing")


async def test_while_the_store_takes_no_notes_nothing_is_delivered_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_FIRST_PAUSE", 0.01)
    app, seen, tried = App(), list[Any](), list[int]()

    @app.subscribe("orders", concurrency=1)
    async def note(event: Event) -> None:
        seen.append(event.data)

    async with TestHost(app) as test:
        storage = test.host.engine.storage
        write = storage.write_progress

        async def full(*_arguments: object) -> None:
            tried.append(1)
            raise StorageUnavailableError("the disk is full")

        await test.idle()
        monkeypatch.setattr(storage, "write_progress", full)
        for number in range(3):
            await test.client.publish("orders", number)
        await until(lambda: len(tried) >= 5)
        assert len(seen) == len(set(seen))
        monkeypatch.setattr(storage, "write_progress", write)
        await test.idle()
        assert seen == [0, 1, 2]


async def test_what_runs_goes_on_while_the_store_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_FIRST_PAUSE", 0.01)
    app, begun, ended, tried = App(), list[Any](), list[Any](), list[int]()
    go_on = asyncio.Event()

    @app.subscribe("orders")
    async def note(event: Event) -> None:
        begun.append(event.data)
        await go_on.wait()
        ended.append(event.data)

    async with TestHost(app) as test:
        storage = test.host.engine.storage
        read = storage.events

        async def away(*_arguments: object) -> None:
            tried.append(1)
            raise StorageUnavailableError("it is locked")

        await test.client.publish("orders", 1)
        await until(lambda: bool(begun))
        monkeypatch.setattr(storage, "events", away)
        await test.client.publish("orders", 2)
        await until(lambda: len(tried) >= 3)
        go_on.set()
        await until(lambda: bool(ended))
        monkeypatch.setattr(storage, "events", read)
        await until(lambda: len(ended) == 2)
        assert begun == ended == [1, 2]


async def test_what_cannot_say_what_it_is_is_put_aside_and_its_key_goes_on() -> None:
    app, seen = App(), list[Any]()

    @app.subscribe("orders", retry=ONCE)
    async def note(event: Event) -> None:
        seen.append(event.data)
        if event.data == 1:
            raise RudeError

    async with TestHost(app) as test:
        await test.client.publish("orders", 1, key="a")
        await test.client.publish("orders", 2, key="a")
        await test.idle()
        assert seen == [1, 2]
        (failed,) = await test.host.client.gateway.failed_deliveries()
        assert failed.error.startswith("RudeError")


async def test_more_is_given_back_than_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_PAGE", 2)
    app, seen = App(), list[Any]()
    is_broken = True

    @app.subscribe("orders", retry=ONCE)
    async def note(event: Event) -> None:
        if is_broken:
            raise ValueError("broken")
        seen.append(event.data)

    async with TestHost(app) as test:
        for number in range(7):
            await test.client.publish("orders", number)
        await test.idle()
        gateway = test.host.client.gateway
        failed = await gateway.failed_deliveries()
        is_broken = False
        assert await gateway.redrive([one.number for one in failed]) == Redriven(7)
        await test.idle()
        assert sorted(seen) == list(range(7))


async def test_what_is_given_back_is_read_by_bytes_and_each_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_PAGE_BYTES", 25_000)
    monkeypatch.setattr(listener, "_MOST_BYTES_LOADED", 25_000)
    app, read, seen = App(), list[list[int]](), list[int]()
    is_broken, go_on = True, asyncio.Event()

    @app.subscribe("orders", retry=ONCE, concurrency=1)
    async def note(event: Event) -> None:
        if is_broken:
            raise ValueError("broken")
        await go_on.wait()
        seen.append(event.data["number"])

    async with TestHost(app) as test:
        for number in range(9):
            await test.client.publish("orders", {"number": number, "padding": "x" * 10_000})
        await test.idle()
        storage, gateway = test.host.engine.storage, test.host.client.gateway
        redeliveries = storage.redeliveries

        async def watched(*given: Any) -> list[StoredEvent]:
            found = await redeliveries(*given)
            read.append([one.position for one in found])
            return found

        monkeypatch.setattr(storage, "redeliveries", watched)
        failed = await gateway.failed_deliveries()
        is_broken = False
        await gateway.redrive([one.number for one in failed])
        await until(lambda: bool(read))
        go_on.set()
        await test.idle()
        assert max(map(len, read)) == 3
        assert seen == list(range(9))
        positions = [one for page in read for one in page]
        assert len(positions) == len(set(positions)) == 9


async def test_what_many_subscriptions_note_at_once_shares_transactions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, sizes = App(), list[int]()

    def subscribe(number: int) -> None:
        @app.subscribe("orders", name=f"s{number}")
        async def note(event: Event) -> None: ...

    for number in range(100):
        subscribe(number)
    async with TestHost(app) as test:
        storage = test.host.engine.storage
        write = storage.write_progress

        async def counted(lease: Lease, progress: Sequence[Progress]) -> None:
            sizes.append(len(progress))
            await write(lease, progress)

        await test.idle()
        monkeypatch.setattr(storage, "write_progress", counted)
        await test.client.publish("orders", 1)
        await test.idle()
        assert {one.lag for one in await storage.subscriptions()} == {0}
        assert sum(sizes) == 100
        # On a server a note takes so long that they do not wait for each other.
        assert len(sizes) < (100 if IS_POSTGRES else 20)


async def test_no_silent_drop_what_is_given_back_is_delivered_whatever_the_filter_says_by_now() -> (
    None
):
    app, seen, countries = App(), list[Any](), {"de"}

    @app.subscribe("orders", retry=ONCE, filter=lambda event: event.data in countries)
    async def note(event: Event) -> None:
        if countries == {"de"}:
            raise ValueError("broken")
        seen.append(event.data)

    async with TestHost(app) as test:
        await test.client.publish("orders", "de")
        await test.idle()
        countries.clear()
        assert await test.host.client.gateway.redrive([1]) == Redriven(1)
        await test.idle()
    assert seen == ["de"]


async def test_a_filter_that_gives_a_coroutine_lets_the_event_through_and_is_told_of() -> None:
    app, seen = App(), list[Any]()

    async def later(_id: str) -> bool:
        return False

    @app.subscribe("orders", filter=lambda event: later(event.id))  # type: ignore[arg-type]
    async def note(event: Event) -> None:
        seen.append(event.data)

    async with TestHost(app) as test:
        await test.client.publish("orders", 1)
        await test.idle()
        assert "it gives a coroutine" in test.problems[0][1]
    assert seen == [1]
