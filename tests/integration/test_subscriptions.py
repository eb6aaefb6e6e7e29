"""Functions and orchestrators that events of topics start, in virtual time."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from unittest.mock import Mock

import pytest

from tenuto import (
    App,
    Client,
    Context,
    Event,
    EventDetails,
    OrchestrationFailedError,
    QueueMessage,
    RegistrationError,
    RetryPolicy,
    SyncClient,
)
from tenuto.engine.topic_ports import Redriven, SubscriptionStanding
from tenuto.host.event_filters import EventFilter
from tenuto.messaging.topics import listener
from tenuto.model.topics import StoredEvent
from tenuto.testing import TestHost
from tests.support.waiting import until

SECOND = timedelta(seconds=1)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def seen() -> list[Any]:
    return []


async def standing(test: TestHost, name: str) -> SubscriptionStanding:
    found = await test.host.engine.storage.subscriptions()
    return next(one for one in found if one.name == name)


# --- what a function gets --------------------------------------------------------------------


async def test_each_subscription_gets_each_event(app: App, seen: list[Any]) -> None:
    @app.subscribe("orders")
    async def first(event: Event) -> None:
        seen.append(("first", event.data))

    @app.subscribe("orders")
    def second(event: Event) -> None:
        seen.append(("second", event.data))

    async with TestHost(app) as test:
        await test.client.publish("orders", 1)
        await test.client.publish("others", 2)
        await test.idle()
        assert sorted(seen) == [("first", 1), ("second", 1)]
        assert (await standing(test, "orders.first")).lag == 0
        assert test.problems == []


@dataclass
class Order:
    number: int
    note: str = ""


async def test_data_come_in_their_type_and_clients_by_annotation(app: App, seen: list[Any]) -> None:
    @app.subscribe("orders")
    async def typed(order: Order, event: Event, client: Client) -> None:
        seen.append((order, event.key, event.type))
        await client.publish("notes", order.number)

    @app.subscribe("notes")
    def in_a_thread(number: int, client: SyncClient) -> None:
        seen.append((number, client.get_status("nobody")))

    async with TestHost(app) as test:
        await test.client.publish("orders", Order(7, "x"), key="k", type="order.placed")
        await test.idle()
        assert seen == [(Order(7, "x"), "k", "order.placed"), (7, None)]


async def test_data_of_another_type_are_put_aside_with_the_reason(app: App) -> None:
    @app.subscribe("orders", retry=RetryPolicy(max_attempts=1, first_interval=SECOND))
    async def typed(order: Order) -> None: ...

    async with TestHost(app) as test:
        await test.client.publish("orders", "no order")
        await test.idle()
        (failed,) = await test.host.engine.storage.failed_deliveries()
        assert (failed.function, failed.attempts) == ("orders.typed", 1)
        assert "does not fit: Expected `object`" in failed.error


async def test_events_of_one_key_come_one_after_another_and_others_at_once(
    app: App, seen: list[Any]
) -> None:
    goes_on = asyncio.Event()
    began: list[tuple[str | None, int]] = []

    @app.subscribe("orders", concurrency=3)
    async def note(event: Event) -> None:
        began.append((event.key, event.data))
        await goes_on.wait()
        seen.append((event.key, event.data))

    async with TestHost(app) as test:
        for number in range(3):
            for key in ("a", "b", None):
                await test.client.publish("orders", number, key=key)
        await until(lambda: len(began) == 3)
        assert began == [("a", 0), ("b", 0), (None, 0)]
        goes_on.set()
        await test.idle()
        for key in ("a", "b"):
            assert [data for one, data in seen if one == key] == [0, 1, 2]
        assert len(seen) == 9


FILTERS: list[tuple[EventFilter | None, list[int]]] = [
    (None, [1, 2, 3, 4]),
    ({"type": "placed"}, [1, 2]),
    ({"type": ["placed", "paid"], "key": "a"}, [1, 3]),
    ({"country": "de"}, [2]),
    ({"tenant": "x"}, [4]),
    ({"source": "shop", "subject": "s4"}, [4]),
    ({"country": None}, [1, 3, 4]),
    (lambda event: event.data["n"] > 2, [3, 4]),
]


@pytest.mark.parametrize(("accepts", "expected"), FILTERS)
async def test_a_filter_says_which_events(
    app: App, seen: list[Any], accepts: EventFilter | None, expected: list[int]
) -> None:
    @app.subscribe("orders", filter=accepts)
    async def note(event: Event) -> None:
        seen.append(event.data["n"])

    async with TestHost(app) as test:
        publish = test.client.publish
        await publish("orders", {"n": 1}, type="placed", key="a")
        await publish("orders", {"n": 2, "country": "de"}, type="placed", key="b")
        await publish("orders", {"n": 3}, type="paid", key="a")
        details = EventDetails(source="shop", subject="s4", attributes={"tenant": "x"})
        await publish("orders", {"n": 4}, details=details)
        await test.idle()
        assert sorted(seen) == expected
        assert (await standing(test, "orders.note")).lag == 0


async def test_a_filter_that_fails_lets_the_event_through_and_is_told_of(
    app: App, seen: list[Any]
) -> None:
    @app.subscribe("orders", filter=lambda event: bool(event.data["missing"]))
    async def note(event: Event) -> None:
        seen.append(event.data)

    async with TestHost(app) as test:
        await test.client.publish("orders", {})
        await test.idle()
        assert seen == [{}]
        assert "the filter of subscription 'orders.note' fails" in test.problems[0][1]


# --- places ----------------------------------------------------------------------------------


async def test_a_new_subscription_begins_now_or_at_the_beginning(seen: list[Any]) -> None:
    async with TestHost(App()) as test:
        await test.client.publish("orders", "before")
        app = App()

        @app.subscribe("orders")
        async def late(event: Event) -> None:
            seen.append(("late", event.data))

        @app.subscribe("orders", from_beginning=True)
        async def all_of_it(event: Event) -> None:
            seen.append(("all", event.data))

        test.app = app
        await test.restart()
        await test.client.publish("orders", "after")
        await test.idle()
        assert sorted(seen) == [("all", "after"), ("all", "before"), ("late", "after")]
        await test.restart()
        await test.idle()
        assert len(seen) == 3


async def test_who_was_down_for_seven_days_finds_the_backlog(app: App, seen: list[Any]) -> None:
    @app.subscribe("orders")
    async def note(event: Event) -> None:
        seen.append(event.data)

    async with TestHost(app) as test:
        await test.idle()
        test.app = App()
        await test.restart()
        for day in range(7):
            for number in range(100):
                await test.client.publish("orders", day * 100 + number, key="one")
            await test.advance(timedelta(days=1))
        assert seen == []
        assert (await standing(test, "orders.note")).lag == 700
        test.app = app
        await test.restart()
        await test.idle()
        assert seen == list(range(700))
        assert test.problems == []


# --- attempts --------------------------------------------------------------------------------


async def test_a_function_that_fails_is_tried_again_and_its_key_waits(
    app: App, seen: list[Any]
) -> None:
    retry = RetryPolicy(max_attempts=4, first_interval=SECOND, backoff=2)

    @app.subscribe("orders", retry=retry)
    async def note(event: Event) -> None:
        seen.append((event.data, test.clock.current_time))
        if event.data == "bad" and len(seen) < 5:
            raise ValueError("not yet")

    async with TestHost(app) as test:
        began = test.clock.current_time
        for data, key in (("bad", "a"), ("next", "a"), ("other", "b")):
            await test.client.publish("orders", data, key=key)
        await test.advance(timedelta(minutes=1))
        at = [(data, (moment - began).total_seconds()) for data, moment in seen]
        assert at == [("bad", 0), ("other", 0), ("bad", 1), ("bad", 3), ("bad", 7), ("next", 7)]
        assert await test.host.engine.storage.failed_deliveries() == []


async def test_after_its_last_attempt_an_event_is_put_aside_and_can_be_given_back(
    app: App, seen: list[Any]
) -> None:
    is_mended = False

    @app.subscribe("orders", retry=RetryPolicy(max_attempts=2, first_interval=SECOND))
    async def note(event: Event) -> None:
        if event.data == "bad" and not is_mended:
            raise ValueError("broken")
        seen.append(event)

    @app.subscribe("orders")
    async def other(event: Event) -> None:
        seen.append("other")

    async with TestHost(app) as test:
        await test.client.publish("orders", "bad", key="a", event_id="o-1", type="placed")
        await test.client.publish("orders", "good", key="a")
        await test.advance(timedelta(minutes=1))
        assert next(one for one in seen if one != "other").data == "good"
        (failed,) = await test.host.client.gateway.failed_deliveries()
        assert (failed.message_id, failed.attempts, failed.key) == ("o-1", 2, "a")
        assert failed.error == "ValueError: broken"
        assert (await standing(test, "orders.note")).failed == 1
        is_mended = True
        seen.clear()
        assert await test.host.client.gateway.redrive([failed.number]) == Redriven(1)
        await test.idle()
        (again,) = seen  # and no other subscription sees it
        assert (again.data, again.id, again.type, again.key) == ("bad", "o-1", "placed", "a")
        await test.restart()
        await test.idle()
        assert len(seen) == 1
        assert (await standing(test, "orders.note")).failed == 0


# --- coming and going ------------------------------------------------------------------------


async def test_a_host_that_dies_has_what_was_under_way_delivered_again(
    app: App, seen: list[Any]
) -> None:
    goes_on = asyncio.Event()

    @app.subscribe("orders")
    async def note(event: Event) -> None:
        seen.append(event.data)
        if event.data == "slow":
            await goes_on.wait()

    async with TestHost(app) as test:
        await test.client.publish("orders", "slow")
        await test.client.publish("orders", "quick")
        while len(seen) < 2 or (await standing(test, "orders.note")).lag > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await test.crash()
        goes_on.set()
        await test.idle()
        assert seen == ["slow", "quick", "slow"]
        await test.crash()
        await test.idle()
        assert len(seen) == 3


async def test_stopping_waits_for_what_runs_and_for_no_further_attempt(
    app: App, seen: list[Any]
) -> None:
    @app.subscribe("orders", concurrency=1)
    async def note(event: Event) -> None:
        seen.append("began")
        await asyncio.sleep(0.05)
        seen.append("ended")

    @app.subscribe("orders")
    async def fails(event: Event) -> None:
        raise ValueError("again in a second, of a clock that stands still")

    async with TestHost(app) as test:
        await test.client.publish("orders", 1)
        await test.client.publish("orders", 2)
        await until(lambda: seen)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await test._stop()
        assert loop.time() - began < 5
        assert seen == ["began", "ended"]
        await test._start()
        await until(lambda: len(seen) == 4)
        assert seen == ["began", "ended"] * 2  # what had ended is not delivered again


async def test_a_thousand_idle_subscriptions_ask_the_store_nothing(
    app: App, seen: list[Any]
) -> None:
    async def note(event: Event) -> None:
        seen.append(event.topic)

    for number in range(1_000):
        app.subscribe(f"topic-{number}", name=f"one-{number}")(note)
    async with TestHost(app) as test:
        await test.idle()
        storage = test.host.engine.storage
        asked: list[str] = []
        events = storage.events

        async def counted(topic: str, after: int, limit: int, most_bytes: int) -> list[StoredEvent]:
            asked.append(topic)
            return await events(topic, after, limit, most_bytes)

        storage.events = counted  # type: ignore[method-assign]
        await test.advance(timedelta(days=1))
        await test.client.publish("topic-7", 1)
        await test.idle()
        assert set(asked) == {"topic-7"}
        assert seen == ["topic-7"]


# --- orchestrators ---------------------------------------------------------------------------


async def test_each_event_starts_an_orchestration_once(app: App) -> None:
    @app.subscribe("orders")
    @app.orchestrator
    async def ship(ctx: Context, order: Order) -> int:
        return order.number

    @app.subscribe("orders", name="whole")
    @app.orchestrator
    async def take(ctx: Context, event: Event) -> str:
        return event.id

    async with TestHost(app) as test:
        await test.client.publish("orders", Order(7), event_id="o-7")
        await test.idle()
        await test.client.publish("orders", Order(8), event_id="o-7")  # the same event
        await test.idle()
        assert await test.client.handle("orders.ship:o-7").result() == 7
        assert await test.client.handle("whole:o-7").result() == "o-7"
        assert len(test.observer.ended) == 2


async def test_the_first_event_of_a_key_starts_one_and_the_others_find_it(app: App) -> None:
    @app.subscribe("flights", instance_per="key")
    @app.subscribe("hotels", instance_per="key")
    @app.orchestrator
    async def trip(ctx: Context, key: str) -> list[str]:
        flight = ctx.wait_for_event("flights", match=key, timeout=timedelta(days=1))
        hotel = ctx.wait_for_event("hotels", match=key)
        return [key, (await flight).data, (await hotel).data]

    async with TestHost(app) as test:
        await test.client.publish("hotels", "h", key="lyon")
        await test.idle()
        await test.client.publish("flights", "f", key="lyon", event_id="f")
        await test.client.publish("flights", "f", key="lyon", event_id="f")
        assert await test.client.handle("trip:lyon").result() == ["lyon", "f", "h"]
        await test.client.publish("hotels", "never", key="rome")
        await test.idle()
        with pytest.raises(OrchestrationFailedError, match="TimeoutError"):
            await test.client.handle("trip:rome").result()


async def test_instances_of_two_subscriptions_never_meet(app: App) -> None:
    @app.subscribe("a", name="orders")
    @app.orchestrator
    async def one(ctx: Context, event: Event) -> str:
        return f"one {event.id}"

    @app.subscribe("b", name="orders-eu")
    @app.orchestrator
    async def two(ctx: Context, event: Event) -> str:
        return f"two {event.id}"

    @app.subscribe("c", name="orders:eu")
    @app.orchestrator
    async def three(ctx: Context, event: Event) -> str:
        return f"three {event.id}"

    async with TestHost(app) as test:
        for topic, event_id in (("a", "eu-5"), ("b", "5"), ("a", "eu:5"), ("c", "5")):
            await test.client.publish(topic, 1, event_id=event_id)
        await test.idle()
        assert await test.client.handle("orders:eu-5").result() == "one eu-5"
        assert await test.client.handle("orders-eu:5").result() == "two 5"
        assert await test.client.handle("orders:eu:5").result() == "one eu:5"
        assert await test.client.handle("orders%3Aeu:5").result() == "three 5"


async def test_no_silent_drop_an_event_whose_instance_id_something_else_has_is_put_aside(
    app: App,
) -> None:
    once = RetryPolicy(max_attempts=1, first_interval=SECOND)

    @app.orchestrator
    async def mine(ctx: Context) -> None: ...

    @app.subscribe("orders", retry=once)
    @app.orchestrator
    async def ship(ctx: Context, order: int) -> int:
        return order

    @app.subscribe("trips", instance_per="key", retry=once)
    @app.orchestrator
    async def trip(ctx: Context, key: str) -> str:
        return key

    async with TestHost(app) as test:
        await test.client.start(mine, instance_id="orders.ship:1")
        await test.client.start(ship, 7, instance_id="orders.ship:2")
        await test.client.start(mine, instance_id="trip:rome")
        await test.client.start(trip, "lyon", instance_id="trip:lyon")
        for number in (1, 2, 3):
            await test.client.publish("orders", number, event_id=str(number))
        for key in ("rome", "lyon"):
            await test.client.publish("trips", 1, event_id=key, key=key)
        await test.idle()
        failed = await test.host.engine.storage.failed_deliveries()
        assert sorted(one.message_id for one in failed) == ["1", "2", "rome"]
        assert all("is taken by another instance" in one.error for one in failed)
        assert await test.client.handle("orders.ship:3").result() == 3


async def test_an_event_that_does_not_fit_keeps_no_key_for_itself(app: App) -> None:
    @app.subscribe("flights", instance_per="key")
    @app.subscribe("hotels", instance_per="key")
    @app.orchestrator
    async def trip(ctx: Context, key: str) -> int:
        flight = ctx.wait_for_event("flights", int, match=key)
        hotel = ctx.wait_for_event("hotels", int, match=key)
        return int((await flight).data) + int((await hotel).data)

    async with TestHost(app) as test:
        await test.client.publish("hotels", "bad", key="oslo", event_id="h1")
        await test.client.publish("flights", 300, key="oslo")
        await test.idle()
        (letter,) = await test.client.dead_letters()
        assert (letter.instance_id, letter.name, letter.data) == ("trip:oslo", "hotels/h1", "bad")
        assert "event 'h1' of topic 'hotels' with key 'oslo'" in letter.reason
        await test.client.publish("hotels", 120, key="oslo")
        assert await test.client.handle("trip:oslo").result() == 420
        assert len(await test.client.dead_letters()) == 1


async def test_an_instance_that_an_event_has_broken_gets_past_it_with_a_type() -> None:
    def app_of(data_type: type | None) -> App:
        app = App()

        @app.subscribe("hotels", instance_per="key")
        @app.orchestrator
        async def trip(ctx: Context, key: str) -> int:
            return int((await ctx.wait_for_event("hotels", data_type, match=key)).data)

        return app

    async with TestHost(app_of(None)) as test:
        await test.client.publish("hotels", "bad", key="oslo")
        await test.idle()
        await test.client.publish("hotels", 5, key="oslo")
        with pytest.raises(OrchestrationFailedError, match="ValueError"):
            await test.client.handle("trip:oslo").result()
        test.app = app_of(int)
        await test.restart()
        await test.client.restart("trip:oslo", new_instance_id=False)
        assert await test.client.handle("trip:oslo").result() == 5
        assert [one.data for one in await test.client.dead_letters()] == ["bad"]


async def test_a_key_is_for_one_use_a_purge_forgets_its_place(app: App) -> None:
    @app.subscribe("hotels", instance_per="key")
    @app.orchestrator
    async def trip(ctx: Context, key: str) -> int:
        return int((await ctx.wait_for_event("hotels", match=key)).data)

    async with TestHost(app) as test:
        await test.client.publish("hotels", 1, key="lyon")
        await test.idle()
        assert await test.client.handle("trip:lyon").result() == 1
        await test.client.purge("trip:lyon")
        await test.client.publish("hotels", 2, key="lyon")
        await test.client.publish("hotels", 2, key="lyon-2")
        await test.idle()
        assert await test.client.handle("trip:lyon").result() == 1  # the old one, as the page says
        assert await test.client.handle("trip:lyon-2").result() == 2


async def test_an_event_without_a_key_that_needs_one_is_put_aside(app: App) -> None:
    retry = RetryPolicy(max_attempts=1, first_interval=SECOND)

    @app.subscribe("flights", instance_per="key", retry=retry)
    @app.orchestrator
    async def trip(ctx: Context, key: str) -> None: ...

    async with TestHost(app) as test:
        await test.client.publish("flights", 1)
        await test.idle()
        (failed,) = await test.host.engine.storage.failed_deliveries()
        assert "has no key" in failed.error


# --- what is refused -------------------------------------------------------------------------


def refused(function: Callable[..., object], topic: object = "orders", **options: Any) -> str:
    with pytest.raises(RegistrationError) as raised:
        App().subscribe(topic, **options)(function)  # type: ignore[arg-type]
    return str(raised.value)


def test_what_is_refused_where_it_is_decorated() -> None:
    async def plain(event: Event) -> None: ...

    def takes_client(client: Client) -> None: ...

    async def takes_two(first: int, second: int) -> None: ...

    def yields(event: Event) -> Iterator[Event]:
        yield event

    assert "the name of a topic" in refused(plain, "a/b")
    assert "a topic" in refused(plain, 7)
    assert "the name of a subscription" in refused(plain, name="a#b")
    assert "filter must be a function" in refused(plain, filter="placed")
    assert "concurrency must be an int from 1" in refused(plain, concurrency=0)
    assert "retry must be a RetryPolicy" in refused(plain, retry=3)
    assert "for orchestrators; this is a plain function" in refused(plain, instance_per="key")
    assert "'event' or 'key'" in refused(plain, instance_per="day")
    assert "take a SyncClient" in refused(takes_client)
    assert "'first', 'second' are all the payload" in refused(takes_two)
    assert "it is a generator" in refused(yields)
    assert f"{__file__}:" in refused(plain, "a/b")
    whole = RetryPolicy(max_attempts=2, first_interval=SECOND, timeout=SECOND)
    assert "retry_if and timeout are for calls" in refused(plain, retry=whole)


def test_an_orchestrator_that_cannot_be_started_as_it_is_written_is_refused() -> None:
    async def of_a_number(ctx: Context, key: int) -> None: ...

    async def of_an_event(ctx: Context, key: Event) -> None: ...

    async def of_two(ctx: Context, key: str, other: int) -> None: ...

    async def of_an_event_and_more(ctx: Context, event: Event, other: int) -> None: ...

    async def of_more_and_an_event(ctx: Context, other: int, event: Event) -> None: ...

    async def of_unknown(ctx: Context, key: "Unknown") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def started(function: Callable[..., Any], **options: Any) -> str:
        return refused(App().orchestrator(function), **options)

    for function in (of_a_number, of_an_event):
        assert "parameter 'key'; annotate it as str" in started(function, instance_per="key")
    assert "the key alone, and parameter 'other'" in started(of_two, instance_per="key")
    assert "the event alone, and parameter 'other'" in started(of_an_event_and_more)
    assert "'event' must be the only one" in started(of_more_and_an_event)
    assert f"{__file__}:" in started(of_unknown)


async def test_what_an_orchestrator_can_be_started_with_is_taken(app: App, seen: list[Any]) -> None:
    @app.subscribe("flights", instance_per="key")
    @app.orchestrator
    async def trip(ctx: Context, key: str | None, other: int = 3) -> None:
        seen.append((key, other))

    @app.subscribe("flights", instance_per="key")
    @app.orchestrator
    async def literal(ctx: Context, key: Literal["lyon"]) -> None:
        seen.append(key)

    @app.subscribe("flights")
    @app.orchestrator
    async def fields(ctx: Context, number: int, seats: list[int]) -> None:
        seen.append((number, seats))

    @app.subscribe("flights")
    @app.orchestrator
    async def whole(ctx: Context, event: Event | None) -> None:
        assert event is not None
        seen.append(event.id)

    @app.subscribe("flights")
    async def optional(event: Event | None = None, client: Client | None = None) -> None:
        assert event is not None
        seen.append((event.key, type(client)))

    async with TestHost(app) as test:
        data = {"number": 7, "seats": [1]}
        await test.client.publish("flights", data, key="lyon", event_id="f-1")
        await test.idle()
        assert await test.host.engine.storage.failed_deliveries() == []
    expected: list[Any] = [("lyon", 3), "lyon", (7, [1]), "f-1", ("lyon", Client)]
    assert sorted(map(repr, seen)) == sorted(map(repr, expected))


def test_a_name_is_given_once() -> None:
    app = App()

    async def note(event: Event) -> None: ...

    assert app.subscribe("orders")(note) is note
    with pytest.raises(RegistrationError, match=r"'orders\.note' that events start is registered"):
        app.subscribe("orders")(note)
    app.subscribe("orders", name="again")(note)
    app.subscribe("others")(note)


def test_a_decorator_that_would_swallow_its_function_is_refused() -> None:
    app = App()

    def note(event: Event) -> None: ...

    decorators: tuple[Callable[..., Any], ...] = (
        app.subscribe,
        app.queue,
        app.files,
        app.blob,
        app.timer,
        app.publishes,
        app.event,
    )
    for bare in decorators:
        with pytest.raises(RegistrationError, match=r"takes arguments, @app\.\w+\(") as raised:
            bare(note)
        assert f"'note' ({__file__}:" in str(raised.value)


def test_a_topic_that_is_none_is_refused_with_the_function_that_publishes_to_it() -> None:
    def note(event: Event) -> str:
        return event.id

    with pytest.raises(RegistrationError, match="cannot be the name of a topic") as raised:
        App().publishes("a#b")(note)
    assert f"@app.publishes cannot be used for 'note' ({__file__}:" in str(raised.value)


def test_publishes_where_it_would_do_nothing_is_refused() -> None:
    app = App()

    def note(event: Event) -> str:
        return event.id

    @app.orchestrator
    async def flow(ctx: Context) -> None: ...

    app.publishes("notes")(note)
    with pytest.raises(RegistrationError, match="publishes to another topic already"):
        app.publishes("more")(note)
    with pytest.raises(RegistrationError, match=r"nothing starts it whose result can be published"):
        app.check_signatures()
    app.subscribe("orders")(note)
    app.check_signatures()
    with pytest.raises(RegistrationError, match=r"says `await ctx\.publish"):
        app.publishes("notes")(flow)

    def late(event: Event) -> str:
        return event.id

    app.subscribe("orders")(late)
    with pytest.raises(RegistrationError, match="below what starts the function"):
        app.publishes("notes")(late)


def test_what_functions_of_other_kinds_are_told_is_no_payload() -> None:
    async def of_a_queue(message: QueueMessage) -> None: ...

    async def of_an_orchestrator(ctx: Context, number: int) -> None: ...

    assert "'message' is nothing that a topic can give" in refused(of_a_queue)
    assert "@app.orchestrator first, below" in refused(of_an_orchestrator)


# --- how often the store is asked -------------------------------------------------------------


async def test_a_short_page_is_the_last(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    @app.subscribe("orders")
    async def keep(event: Event) -> None:
        seen.append(event.data)

    async with TestHost(app) as test:
        await test.idle()  # it has read what there was when it began
        storage = test.host.engine.storage
        asked = Mock(wraps=storage.events)
        monkeypatch.setattr(storage, "events", asked)
        for number in range(3):
            await test.client.publish("orders", number)
            await until(lambda: len(seen) > number)  # noqa: B023 - called before it changes
            await until(lambda: test.host.engine.deliveries_running == 0)  # it is noted
        assert seen == [0, 1, 2]
        assert asked.call_count == 3  # once for each event


async def test_who_was_held_back_reads_on(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_MOST_AHEAD", 4)
    monkeypatch.setattr(listener, "_PAGE", 3)
    seen: list[int] = []

    @app.subscribe("orders", concurrency=2)
    async def note(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.data)

    async with TestHost(app) as test:
        await asyncio.gather(*(test.client.publish("orders", number) for number in range(50)))
        await until(lambda: len(seen) == 50)
        assert sorted(seen) == [*range(50)]
