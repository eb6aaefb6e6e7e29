"""Publishing, queueing and waiting for topics, as a session decides them."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from msgspec import Raw

from tenuto import Context, Event, EventDetails, InputError, NonDeterminismError, PayloadError
from tenuto.model.codec import encode
from tenuto.model.events import (
    ContinueAsNew,
    EventPublished,
    EventRaised,
    EventRefused,
    EventTaken,
    ExecutionStarted,
    MessageQueued,
    TaskCanceled,
    TimerCreated,
    TopicAwaited,
    TopicPlace,
)
from tenuto.model.topics import EventHead, StoredEvent, content_of, wait_name
from tenuto.orchestration.publishing import MOST_CHARACTERS, MOST_PLACES, SURE_PLACES
from tenuto.orchestration.replay import describe, identity
from tests.support.sessions import (
    EXECUTION,
    SECOND,
    START,
    Driven,
    answered,
    execution,
    names,
    raised,
    run,
    work,
)


def found(
    task_id: int, position: int, data: str = "1", key: str = "k", topic: str = "flights"
) -> EventRaised:
    """What the engine raises when it has found an event for a wait."""
    content = Raw(bytes(content_of(data, EventHead(type="t"))))
    stored = StoredEvent(position, f"e{position}", topic, key, START, None, content)
    return EventRaised(wait_name(EXECUTION, task_id), encode(stored).decode())


def test_what_is_published_and_queued_is_decided_with_its_turn() -> None:
    async def publishes(ctx: Context) -> None:
        details = EventDetails(subject="order/7", attributes={"tenant": "x"})
        await ctx.publish("orders", {"id": 7}, key="k", type="order.placed", details=details)
        await ctx.publish("orders")
        await ctx.enqueue("plates", [1], delay=timedelta(seconds=2))
        await ctx.enqueue("plates", None)

    driven = Driven(publishes)
    actions = driven.start().actions
    assert actions[:-1] == [
        EventPublished(1, "orders", '{"id":7}', "k", "order.placed", "order/7", {"tenant": "x"}),
        EventPublished(2, "orders"),
        MessageQueued(3, "plates", driven.now + 2 * SECOND, "[1]"),
        MessageQueued(4, "plates", driven.now, "null"),
    ]
    assert driven.result is None
    driven.replayed().close()
    driven.close()


def test_a_wait_takes_its_event() -> None:
    async def waits(ctx: Context) -> list[Any]:
        event = await ctx.wait_for_event("flights", match="k")
        assert isinstance(event, Event)
        return [event.id, event.data, event.key, event.type, event.source]

    driven = Driven(waits)
    assert driven.start().actions == [TopicAwaited(1, "flights", "k")]
    driven.turn(raised("tenuto.topic/other/1", 5))
    assert names(driven.turn(found(1, 5)).actions) == ["EventTaken", "ExecutionCompleted"]
    assert driven.result == ["e5", 1, "k", "t", None]
    driven.replayed().close()
    driven.close()


def test_the_next_wait_goes_on_from_there() -> None:
    async def waits(ctx: Context) -> list[Any]:
        first = await ctx.wait_for_event("flights", match="k")
        other = ctx.wait_for_event("flights", match="j")
        second = await ctx.wait_for_event("flights", match="k")
        return [first.data, second.data, (await other).data]

    driven = Driven(waits)
    driven.start()
    driven.turn(found(1, 5))
    assert driven.of_type(TopicAwaited)[1:] == [
        TopicAwaited(2, "flights", "j"),
        TopicAwaited(3, "flights", "k", 5),
    ]
    driven.turn(found(1, 5), found(3, 6, "2"), found(2, 4, "3", "j"))
    assert driven.result == [1, 2, 3]
    driven.close()


def test_two_waits_for_one_key_take_an_event_each() -> None:
    """Both are found by the first one; who comes second looks on, with the timer that it has."""

    async def waits(ctx: Context) -> list[int]:
        first = ctx.wait_for_event("flights", match="k")
        second = ctx.wait_for_event("flights", match="k", timeout=timedelta(seconds=9))
        return [one.data for one in await asyncio.gather(first, second)]

    driven = Driven(waits)
    driven.start()
    actions = driven.turn(found(1, 5), found(2, 5)).actions
    assert actions == [EventTaken(1), TopicAwaited(2, "flights", "k", 5)]
    actions = driven.turn(found(2, 6, "2")).actions
    assert names(actions) == ["EventTaken", "ExecutionCompleted"]
    assert driven.result == [1, 2]
    driven.replayed().close()
    driven.close()


def test_a_wait_that_is_given_up_leaves_its_event_to_the_next() -> None:
    async def waits(ctx: Context) -> list[str]:
        timed = ctx.wait_for_event("flights", match="k", timeout=timedelta(seconds=5))
        cancelled = ctx.wait_for_event("flights", match="k")
        await ctx.call_activity(work)
        cancelled.cancel()
        with pytest.raises(TimeoutError, match="no event of topic 'flights' with key 'k'"):
            await timed
        return [cancelled.what, (await ctx.wait_for_event("flights", match="k")).id]

    driven = Driven(waits)
    driven.start()
    (timer,) = driven.of_type(TimerCreated)
    assert (timer.purpose, timer.of) == ("timeout", 1)
    assert driven.turn(answered(4)).actions == [TaskCanceled(3)]
    # What was on the way to waits that are over is nobody's, and stays in the topic.
    driven.fire(timer)
    assert driven.of_type(TopicAwaited)[-1] == TopicAwaited(5, "flights", "k")
    driven.turn(found(1, 5), found(3, 5))
    driven.turn(found(5, 5))
    assert driven.result == ["wait for an event of topic 'flights' with key 'k'", "e5"]
    driven.close()


def test_what_was_raised_by_hand_under_the_name_of_a_wait_is_refused() -> None:
    async def waits(ctx: Context) -> int:
        return cast("int", (await ctx.wait_for_event("flights", match="k")).data)

    driven = Driven(waits)
    driven.start()
    for text in ('"no event"', "{", None):
        (refused,) = driven.turn(EventRaised(wait_name(EXECUTION, 1), text)).actions
        assert isinstance(refused, EventRefused)
    driven.turn(found(1, 5))
    assert driven.result == 1
    driven.close()


def test_places_go_along_to_the_next_generation() -> None:
    async def waits(ctx: Context) -> None:
        await ctx.wait_for_event("flights", match="k")
        ctx.continue_as_new()

    driven = Driven(waits)
    old = TopicPlace("flights", "old", 3)
    start = ExecutionStarted("orchestrator", EXECUTION, places=(old, TopicPlace("flights", "k", 4)))
    assert driven.turn(start).actions == [TopicAwaited(1, "flights", "k", 4)]
    driven.turn(found(1, 7))
    assert isinstance(driven.ending, ContinueAsNew)
    assert driven.ending.places == (old, TopicPlace("flights", "k", 7))
    driven.close()


def test_the_places_that_go_along_are_those_of_the_newest_events() -> None:
    async def again(ctx: Context) -> None:
        ctx.continue_as_new()

    driven = Driven(again)
    places = tuple(TopicPlace("t", str(one), one) for one in range(MOST_PLACES + 5, 0, -1))
    driven.turn(ExecutionStarted("orchestrator", EXECUTION, places=places))
    assert isinstance(driven.ending, ContinueAsNew)
    assert driven.ending.places == places[:MOST_PLACES][::-1]
    driven.close()


def test_whoever_takes_events_of_very_many_keys_is_warned_when_it_begins_to_forget() -> None:
    async def waits(ctx: Context, count: int) -> None:
        for _ in range(count):
            await ctx.wait_for_event("flights", match="k")
        ctx.continue_as_new(count)

    def logs(places: int, count: int) -> list[str]:
        old = tuple(TopicPlace("flights", str(one), one) for one in range(1, places + 1))
        driven = Driven(waits)
        first = driven.turn(ExecutionStarted("orchestrator", EXECUTION, str(count), places=old))
        last = driven.turn(found(1, places + 1)) if count else first
        driven.replayed().close()
        driven.close()
        return [one.getMessage() for one in last.logs or ()]

    (line,) = logs(MOST_PLACES + 1, 0)
    assert f"events of {MOST_PLACES + 1} keys of topics" in line
    assert "gets its old events again" in line
    assert logs(MOST_PLACES, 1) == []  # it was said when it began
    assert logs(MOST_PLACES - 1, 1) == []


def test_long_keys_are_fewer_but_never_fewer_than_the_sure_ones() -> None:
    async def again(ctx: Context) -> None:
        ctx.continue_as_new()

    def kept(length: int) -> int:
        driven = Driven(again)
        places = tuple(TopicPlace("t", f"{one:0{length}}", one) for one in range(1, 2001))
        driven.turn(ExecutionStarted("orchestrator", EXECUTION, places=places))
        assert isinstance(driven.ending, ContinueAsNew)
        driven.close()
        assert driven.ending.places == places[-len(driven.ending.places) :]
        return len(driven.ending.places)

    assert kept(499) == 2_000
    assert kept(799) == MOST_CHARACTERS // 800
    assert kept(5_000) == SURE_PLACES


def test_what_does_not_fit_is_put_aside_and_the_wait_goes_on() -> None:
    async def waits(ctx: Context) -> list[Any]:
        first = await ctx.wait_for_event("flights", int, match="k")
        second = await ctx.wait_for_event("flights", data_type=str, match="k")
        return [first.data, first.id, second.data]

    driven = Driven(waits)
    driven.start()
    answer = driven.turn(found(1, 5, '"bad"'))
    refused, again = answer.actions
    assert isinstance(refused, EventRefused)
    assert "event 'e5' of topic 'flights' with key 'k'" in refused.reason
    assert again == TopicAwaited(1, "flights", "k", 5)
    assert list(answer.put_aside or {}) == [refused.message]
    driven.turn(found(1, 5, '"bad"'))  # a copy of it
    driven.turn(found(1, 6, "3"))
    assert driven.of_type(TopicAwaited)[-1] == TopicAwaited(3, "flights", "k", 6)
    driven.turn(found(3, 7, '"x"'))
    assert driven.result == [3, "e6", "x"]
    driven.replayed().close()
    driven.close()


def test_what_was_put_aside_stays_so_whatever_is_asked_for_by_now() -> None:
    async def typed(ctx: Context) -> Any:  # noqa: ANN401 - data of an event
        return (await ctx.wait_for_event("flights", int, match="k")).data

    async def plain(ctx: Context) -> Any:  # noqa: ANN401 - the same
        return (await ctx.wait_for_event("flights", match="k")).data

    driven = Driven(typed)
    driven.start()
    driven.turn(found(1, 5, '"bad"'))
    driven.close()
    new = Driven(plain, info=execution("typed"))
    new.turns = driven.turns
    new.replayed().close()
    new.close()


async def wrong_source(ctx: Context) -> None:
    await ctx.publish("orders", 1, details=EventDetails(source="me"))


async def wrong_details(ctx: Context) -> None:
    await ctx.publish("orders", 1, details=cast("EventDetails", {"source": "me"}))


async def wrong_topic(ctx: Context) -> None:
    await ctx.wait_for_event("a/b", match="k")


async def no_key(ctx: Context) -> None:
    await ctx.wait_for_event("orders", match=cast("str", None))


async def empty_key(ctx: Context) -> None:
    await ctx.wait_for_event("orders", match="")


async def wrong_queue(ctx: Context) -> None:
    await ctx.enqueue("", 1)


async def wrong_delay(ctx: Context) -> None:
    await ctx.enqueue("plates", 1, delay=timedelta(days=-1))


async def wrong_data(ctx: Context) -> None:
    await ctx.enqueue("plates", object())


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (wrong_source, "source of what an orchestrator publishes is its instance"),
        (wrong_details, "details must be EventDetails"),
        (wrong_topic, "'a/b' cannot be the name of a topic"),
        (no_key, "wait_for_event needs match="),
        (empty_key, "is empty"),
        (wrong_queue, "a queue"),
        (wrong_delay, "delay of a message must be"),
        (wrong_data, "object"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_input_is_refused_whole(function: Callable[..., Any], words: str) -> None:
    async def tries(ctx: Context) -> str:
        with pytest.raises((InputError, PayloadError), match=words) as refused:
            await function(ctx)
        return str(refused.value)

    driven = Driven(tries)
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    assert driven.result
    driven.close()


async def publishes(ctx: Context) -> None:
    await ctx.publish("orders", 1, key="k")
    await ctx.call_activity(work)


async def to_another_topic(ctx: Context) -> None:
    await ctx.publish("bills", 1, key="k")
    await ctx.call_activity(work)


async def under_another_key(ctx: Context) -> None:
    await ctx.publish("orders", 1, key="j")
    await ctx.call_activity(work)


async def queues(ctx: Context) -> None:
    await ctx.enqueue("orders", 1)
    await ctx.call_activity(work)


async def waits(ctx: Context) -> None:
    await ctx.wait_for_event("orders", match="k")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (to_another_topic, "EventPublished #1 'bills'"),
        (under_another_key, "EventPublished #1 'orders'"),
        (queues, "MessageQueued #1 'orders'"),
        (waits, "TopicAwaited #1 'orders'"),
    ],
)
def test_a_changed_decision_is_told(changed: Callable[..., Any], words: str) -> None:
    driven = Driven(publishes)
    driven.start()
    driven.close()
    new = Driven(changed, info=execution("publishes"))
    new.turns = driven.turns
    with pytest.raises(NonDeterminismError) as told:
        new.replayed()
    assert "EventPublished #1 'orders'" in str(told.value)
    assert words in str(told.value)
    new.close()


def test_what_makes_waits_the_same_is_what_they_are_for() -> None:
    one = TopicAwaited(1, "orders", "k", 5)
    assert identity(one) == identity(TopicAwaited(1, "orders", "k", 5))
    others = [TopicAwaited(1, "orders", "k", 6), TopicAwaited(1, "bills", "k", 5)]
    assert all(identity(one) != identity(other) for other in others)
    assert describe(MessageQueued(2, "plates", 5)) == "MessageQueued #2 'plates'"


def test_nothing_need_be_awaited() -> None:
    async def both(ctx: Context) -> str:
        noted = ctx.publish("orders", 1)
        await noted
        await noted
        return "done"

    assert run(both) == "done"
