"""Subscriptions over restarts, deaths and other versions of their app: what is known goes on."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenuto import App, Event, RetryPolicy, StorageUnavailableError
from tenuto.engine.topic_ports import Redriven, SubscriptionStanding
from tenuto.messaging.topics import listener
from tenuto.testing import TestHost
from tests.support.waiting import until

SECOND = timedelta(seconds=1)
THRICE = RetryPolicy(max_attempts=3, first_interval=10 * SECOND, backoff=1)
LATER = RetryPolicy(max_attempts=2, first_interval=timedelta(minutes=30))


async def standing(test: TestHost) -> SubscriptionStanding:
    (found,) = await test.host.engine.storage.subscriptions()
    return found


# --- attempts --------------------------------------------------------------------------------


async def test_no_silent_drop_attempts_and_their_pauses_are_counted_over_restarts() -> None:
    app, tried, good = App(), list[int](), list[Any]()

    @app.subscribe("orders", retry=THRICE)
    async def note(event: Event) -> None:
        if event.data == "good":
            good.append(event.data)
            return
        tried.append(1)
        raise ValueError("bad")

    async with TestHost(app) as test:
        await test.client.publish("orders", "bad", key="k")
        await test.client.publish("orders", "good", key="k")
        await test.idle()
        for attempts in (1, 2):
            assert (len(tried), (await standing(test)).retrying) == (attempts, 1)
            await test.advance(4 * SECOND)
            await test.restart()
            await test.idle()
            await test.advance(5 * SECOND)
            assert len(tried) == attempts, "its pause is not over"
            await test.restart()
            await test.advance(SECOND)
        assert (len(tried), good) == (3, ["good"])
        (failed,) = await test.host.engine.storage.failed_deliveries()
        assert failed.attempts == 3
        assert (await standing(test)).retrying == 0


async def test_what_was_given_back_has_its_attempts_counted_over_restarts_too() -> None:
    app, tried = App(), list[int]()

    @app.subscribe("orders", retry=THRICE)
    async def note(event: Event) -> None:
        tried.append(1)
        raise ValueError("bad")

    async with TestHost(app) as test:
        await test.client.publish("orders", "bad")
        await test.advance(timedelta(minutes=1))
        for rounds in (1, 2):
            assert len(tried) == 3 * rounds
            gateway = test.host.client.gateway
            assert await gateway.redrive(
                [(await gateway.failed_deliveries())[0].number]
            ) == Redriven(1)
            for _ in range(3):
                await test.restart()
                await test.advance(10 * SECOND)
        assert len(tried) == 9
        assert (await standing(test)).given_back == 0


async def test_of_fewer_attempts_than_there_were_the_last_is_made(tmp_path: Path) -> None:
    tried = list[tuple[int, bool]]()
    url = f"sqlite:///{tmp_path}/hub.db"

    def app_of(attempts: int) -> App:
        app = App()

        @app.subscribe("orders", retry=RetryPolicy(max_attempts=attempts, first_interval=SECOND))
        async def note(event: Event) -> None:
            tried.append((attempts, event.data))
            raise ValueError("bad")

        return app

    async with TestHost(app_of(5), storage=url) as test:
        await test.client.publish("orders", 1)
        await test.advance(2 * SECOND)
        assert len(tried) == 3
    async with TestHost(app_of(2), storage=url) as test:
        await test.advance(timedelta(minutes=1))
        assert tried[3:] == [(2, 1)]
        assert len(await test.host.engine.storage.failed_deliveries()) == 1


# --- places ----------------------------------------------------------------------------------


async def test_no_silent_drop_a_subscription_that_goes_back_to_a_topic_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    seen = list[tuple[str, Any]]()
    url = f"sqlite:///{tmp_path}/hub.db"

    def app_of(topic: str) -> App:
        app = App()

        @app.subscribe(topic, name="billing")
        async def note(event: Event) -> None:
            seen.append((event.topic, event.data))

        return app

    async with TestHost(app_of("orders"), storage=url) as test:
        await test.client.publish("orders", 1)
        await test.idle()
    async with TestHost(app_of("orders.v2"), storage=url) as test:
        await test.client.publish("orders", 2)
        await test.client.publish("orders.v2", 3)
        await test.idle()
        ((_, said),) = test.problems
        assert "reads topic 'orders.v2' from now on; its place in topic 'orders' is kept" in said
        found = await test.host.engine.storage.subscriptions()
        assert [(one.topic, one.lag, one.is_served) for one in found] == [
            ("orders", 1, False),
            ("orders.v2", 0, True),
        ]
    async with TestHost(app_of("orders"), storage=url) as test:
        await test.client.publish("orders", 5)
        await test.idle()
        assert test.problems == []
    assert seen == [("orders", 1), ("orders.v2", 3), ("orders", 2), ("orders", 5)]


# --- one key and the others ------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["_MOST_LOADED", "_MOST_BYTES_LOADED"])
async def test_one_never_takes_all_a_key_that_does_not_go_on_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(listener, limit, 20)
    monkeypatch.setattr(listener, "_PAGE", 7)
    app, seen, is_broken = App(), list[tuple[str | None, Any]](), [True]

    @app.subscribe("orders", retry=LATER)
    async def note(event: Event) -> None:
        if event.key == "hot" and is_broken[0]:
            raise ValueError("not now")
        seen.append((event.key, event.data))

    async with TestHost(app) as test:
        for number in range(60):
            await test.client.publish("orders", number, key="hot")
        for number in range(10):
            await test.client.publish("orders", number, key="cold")
        await test.idle()
        assert seen == [("cold", number) for number in range(10)]
        is_broken[0] = False
        seen.clear()
        await test.advance(timedelta(minutes=30))
        assert seen == [("hot", number) for number in range(60)], "in their order, each once"
        assert (await standing(test)).lag == 0
        assert test.problems == []


async def test_one_never_takes_all_nor_does_a_key_of_what_was_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_MOST_LOADED", 5)
    app, seen, state = App(), list[tuple[str | None, Any]](), ["broken"]
    once = RetryPolicy(max_attempts=1, first_interval=SECOND)

    @app.subscribe("orders", retry=once)
    async def note(event: Event) -> None:
        if event.key == "hot" and state[0] == "broken":
            raise ValueError("not now")
        if event.key == "hot":
            await gone_on.wait()
        seen.append((event.key, event.data))

    gone_on = asyncio.Event()
    async with TestHost(app) as test:
        for number in range(12):
            await test.client.publish("orders", number, key="hot")
        await test.idle()
        gateway = test.host.client.gateway
        state[0] = "slow"
        await gateway.redrive([one.number for one in await gateway.failed_deliveries()])
        for number in range(10):
            await test.client.publish("orders", number, key="cold")
        await until(lambda: len(seen) == 10)
        assert seen == [("cold", number) for number in range(10)]
        gone_on.set()
        await test.idle()
        assert seen[10:] == [("hot", number) for number in range(12)]
        assert (await standing(test)).lag == 0


async def test_what_is_gone_from_the_topic_before_its_turn_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_MOST_LOADED", 3)
    app, seen, is_broken = App(), list[Any](), [True]

    @app.subscribe("orders", retry=LATER)
    async def note(event: Event) -> None:
        if is_broken[0]:
            raise ValueError("not now")
        seen.append(event.data)

    async with TestHost(app) as test:
        for number in range(8):
            await test.client.publish("orders", number, key="hot")
        await test.idle()
        storage, is_broken[0] = test.host.engine.storage, False
        events = storage.events

        async def but_one(topic: str, after: int, limit: int, most_bytes: int) -> Any:  # noqa: ANN401 - of the store
            found = await events(topic, after, limit, most_bytes)
            return [one for one in found if one.position != 6]

        monkeypatch.setattr(storage, "events", but_one)
        await test.advance(timedelta(minutes=30))
        assert seen == [0, 1, 2, 3, 4, 6, 7]
        monkeypatch.undo()
        assert (await standing(test)).lag == 0


async def test_what_waits_for_its_key_is_read_again_when_the_store_is_there_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "_MOST_LOADED", 3)
    monkeypatch.setattr(listener, "_FIRST_PAUSE", 0.01)
    app, seen, gone_on, tries = App(), list[Any](), asyncio.Event(), list[int]()

    @app.subscribe("orders")
    async def note(event: Event) -> None:
        await gone_on.wait()
        seen.append(event.data)

    async with TestHost(app) as test:
        for number in range(8):
            await test.client.publish("orders", number, key="hot")
        storage = test.host.engine.storage
        await until(lambda: test.host.engine.deliveries_running > 0)
        await asyncio.sleep(0.05)
        events = storage.events

        async def away(*arguments: Any) -> Any:  # noqa: ANN401 - of the store
            tries.append(1)
            if len(tries) < 4:
                raise StorageUnavailableError("it is locked")
            return await events(*arguments)

        monkeypatch.setattr(storage, "events", away)
        gone_on.set()
        await until(lambda: len(seen) == 8)
        assert seen == list(range(8))


async def test_how_far_it_reads_on_is_bounded_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_MOST_AHEAD", 30)
    app, seen, is_broken = App(), list[Any](), [True]

    @app.subscribe("orders", retry=LATER)
    async def note(event: Event) -> None:
        if event.key == "bad" and is_broken[0]:
            raise ValueError("not now")
        seen.append(event.data)

    async with TestHost(app) as test:
        await test.client.publish("orders", -1, key="bad")
        for number in range(50):
            await test.client.publish("orders", number)
        await test.idle()
        found = await standing(test)
        assert (len(seen), found.is_full, found.retrying, found.lag) == (29, True, 1, 22)
        ((_, said),) = test.problems
        assert "has read 30 events beyond one that is tried again or still runs" in said
        await test.restart()
        await test.idle()
        assert ((await standing(test)).is_full, len(seen)) == (True, 29)
        is_broken[0] = False
        await test.advance(timedelta(minutes=30))
        assert sorted(seen) == list(range(-1, 50))
        assert not (await standing(test)).is_full


# --- deaths ----------------------------------------------------------------------------------


async def until_noted(test: TestHost, subscription: str, count: int) -> None:
    """Wait until it is noted that so many events of a subscription run."""
    key = f"begun/{subscription}"
    async with asyncio.timeout(20):
        while True:
            text = (await test.host.engine.storage.notes([key])).get(key)
            if text is not None and len(json.loads(text)["running"]) == count:
                return
            await asyncio.sleep(0.01)


async def test_one_death_makes_nothing_slow_and_after_a_second_only_what_ran_is_run_alone() -> None:
    app, running, most, seen = App(), set[int](), [0], set[int]()
    suspects = set[int]()
    gates = {"is_open": asyncio.Event()}

    @app.subscribe("orders", concurrency=4)
    async def note(event: Event) -> None:
        running.add(event.data)
        most[0] = max(most[0], len(running))
        try:
            await gates["is_open"].wait()
            if event.data not in suspects:
                await until(lambda: most[0] == 4)  # what did not run is run as always
        finally:
            running.discard(event.data)
        seen.add(event.data)

    async with TestHost(app) as test:
        for number in range(40):
            await test.client.publish("orders", number)
        await until(lambda: len(running) == 4)
        await test.crash()
        await until(lambda: len(running) == 4)
        await until_noted(test, "orders.note", 4)
        suspects |= running
        await test.crash()
        # At the second death these four ran: now each runs alone.
        await until(lambda: len(running) == 1)
        await until_noted(test, "orders.note", 1)
        assert (most[0], len(running)) == (4, 1)
        most[0] = 0
        gates["is_open"].set()
        await test.idle()
        assert (seen, most[0]) == (set(range(40)), 4)
        assert await test.host.engine.storage.failed_deliveries() == []


async def test_what_has_failed_and_waits_for_its_next_attempt_is_no_cause_of_deaths() -> None:
    app, tried = App(), list[int]()

    @app.subscribe("orders", retry=RetryPolicy(max_attempts=9, first_interval=timedelta(hours=1)))
    async def note(event: Event) -> None:
        tried.append(1)
        if len(tried) < 6:
            raise ValueError("not now")

    async with TestHost(app) as test:
        await test.client.publish("orders", 1)
        for attempts in range(1, 6):
            await test.idle()
            assert len(tried) == attempts
            await test.crash()
            await test.advance(timedelta(hours=1))
        assert len(tried) == 6
        assert await test.host.engine.storage.failed_deliveries() == []
