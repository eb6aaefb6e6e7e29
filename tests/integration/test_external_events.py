"""External events: first in, first out, whatever the case of the name, before or after the wait."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tenuto import (
    App,
    Context,
    InputError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InvalidInstanceIdError,
    OrchestrationFailedError,
    RuntimeStatus,
)
from tenuto.http.payloads import MOUNT
from tenuto.link.translation import Arrival, taken
from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import LinkRefusedError
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.limits import Limits
from tenuto.model.messages import RaiseEvent
from tenuto.testing import TestHost
from tests.support.histories import kinds
from tests.support.http_server import serving


async def test_an_event_that_came_before_the_wait_counts(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        await ctx.create_timer(timedelta(hours=1))
        return [await ctx.wait_for_external_event("go", str) for _ in range(2)]

    handle = await test.start(parent)
    await handle.raise_event("go", "early")
    await test.advance(timedelta(hours=2))
    await handle.raise_event("go", "late")
    assert await handle.result() == ["early", "late"]


async def test_names_of_events_are_the_same_in_upper_and_lower_case(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        return [
            await ctx.wait_for_external_event("Approval", int),
            await ctx.wait_for_external_event("APPROVAL", int),
            await ctx.wait_for_external_event("straße", int),
        ]

    handle = await test.start(parent)
    await handle.raise_event("approval", 1)
    await handle.raise_event("aPPROVAL", 2)
    await handle.raise_event("STRASSE", 3)
    assert await handle.result() == [1, 2, 3]


async def test_events_and_waits_of_one_name_meet_first_in_first_out(
    app: App, test: TestHost
) -> None:
    """S51: several parallel waits on one name; running until the last one arrives."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        waits = [ctx.wait_for_external_event("item", int) for _ in range(4)]
        return await asyncio.gather(*waits)

    handle = await test.start(parent)
    for number in range(4):
        assert (await handle.status()).runtime_status is RuntimeStatus.RUNNING
        await handle.raise_event("item", number)
    assert await handle.result() == [0, 1, 2, 3]


async def test_repeated_waits_on_one_name_get_every_event(app: App, test: TestHost) -> None:
    """S51: one wait after the other, five events."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        return [await ctx.wait_for_external_event("item", int) for _ in range(5)]

    handle = await test.start(parent)
    for number in range(5):
        await handle.raise_event("item", number)
    assert await handle.result() == [0, 1, 2, 3, 4]


async def test_different_names_do_not_mix(app: App, test: TestHost) -> None:
    """S52: incr, incr, done gives 2."""

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        count = 0
        incr = ctx.wait_for_external_event("incr")
        done = ctx.wait_for_external_event("done")
        while True:
            winner = await ctx.task_any([incr, done])
            if winner is done:
                return count
            count += 1
            incr = ctx.wait_for_external_event("incr")

    handle = await test.start(parent)
    for name in ("incr", "incr", "done"):
        await handle.raise_event(name)
    assert await handle.result() == 2


async def test_a_burst_of_events_between_activities_loses_and_reorders_nothing(
    app: App, test: TestHost
) -> None:
    """S53: result 26."""

    @app.activity
    async def add(left: int, right: int) -> int:
        await asyncio.sleep(0.001)
        return left + right

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        total = 0
        for _ in range(5):
            number = await ctx.wait_for_external_event("number", int)
            # Order matters: 0,1,2,3,4 is the only one that gives 26.
            total = await ctx.call_activity(add, total * 2, number)
        return total

    handle = await test.start(parent)
    for number in range(5):
        await handle.raise_event("number", number)
    assert await handle.result() == 26


async def test_a_wait_with_a_timeout_gives_the_event_that_is_in_time(
    app: App, test: TestHost
) -> None:
    """S47: the timer of the timeout is canceled."""

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        return await ctx.wait_for_external_event("go", str, timedelta(hours=1))

    before = test.clock.current_time
    handle = await test.start(parent)
    await test.idle()
    await handle.raise_event("go", "in time")
    assert await handle.result() == "in time"
    assert test.clock.current_time == before
    assert kinds(await test.client.history(handle.instance_id)) == [
        "ExecutionStarted",
        "EventAwaited",
        "TimerCreated",
        "EventRaised",
        "EventTaken",
        "ExecutionCompleted",
    ]


async def test_a_wait_with_a_timeout_needs_no_timer_when_the_event_is_there(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        await ctx.create_timer(timedelta(minutes=1))
        return await ctx.wait_for_external_event("go", str, timedelta(hours=1))

    handle = await test.start(parent)
    await handle.raise_event("go", "early")
    assert await handle.result() == "early"
    assert kinds(await test.client.history(handle.instance_id)).count("TimerCreated") == 1


async def test_a_wait_that_timed_out_consumed_nothing(app: App, test: TestHost) -> None:
    """S47, S48: TimeoutError at the right time; the event that comes later is for the next wait."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        seen = []
        try:
            await ctx.wait_for_external_event("go", str, timedelta(days=30))
        except TimeoutError as error:
            seen = [str(error), str(ctx.current_time)]
        await ctx.create_timer(timedelta(days=1))
        seen.append(await ctx.wait_for_external_event("go", str))
        return seen

    handle = await test.start(parent)
    await test.advance(timedelta(days=30, hours=1))
    await handle.raise_event("go", "late")
    text, at, event = await handle.result()
    assert "'go'" in text
    assert at == "2026-01-31 00:00:00+00:00"
    assert event == "late"


async def test_a_canceled_wait_consumed_nothing(app: App, test: TestHost) -> None:
    """S47: cancelling ends the wait early."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        first = ctx.wait_for_external_event("go", int)
        second = ctx.wait_for_external_event("go", int)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return [await second, await ctx.wait_for_external_event("go", int)]

    handle = await test.start(parent)
    await handle.raise_event("go", 1)
    await handle.raise_event("go", 2)
    assert await handle.result() == [1, 2]


async def test_event_and_timeout_of_one_moment_are_decided_once(app: App, test: TestHost) -> None:
    """Whichever is first in history wins, and the event is not lost."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        try:
            return [await ctx.wait_for_external_event("go", str, timedelta(hours=1))]
        except TimeoutError:
            return ["timeout", await ctx.wait_for_external_event("go", str)]

    handle = await test.start(parent)
    await test.idle()
    raised = asyncio.create_task(handle.raise_event("go", "event"))
    await test.advance(timedelta(hours=1))
    await raised
    assert await handle.result() in (["event"], ["timeout", "event"])


@dataclass
class Order:
    item: str
    placed: datetime


async def test_event_data_is_rebuilt_as_the_type_that_was_asked_for(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        order = await ctx.wait_for_external_event("order", Order)
        assert isinstance(order, Order)
        assert order.placed.tzinfo is not None
        plain = await ctx.wait_for_external_event("order")
        return [order.item, plain["item"]]

    handle = await test.start(parent)
    for item in ("tea", "milk"):
        await handle.raise_event("order", Order(item, datetime(2026, 1, 1, tzinfo=UTC)))
    assert await handle.result() == ["tea", "milk"]


async def test_event_data_of_another_type_is_a_dead_letter_and_the_wait_goes_on(
    app: App, test: TestHost
) -> None:
    """ENGINE rule 29, ``no_silent_drop``: also for those that came early, or a generation ago."""

    @app.orchestrator
    async def parent(ctx: Context, generation: int) -> int:
        await ctx.create_timer(timedelta(hours=1))
        number = await ctx.wait_for_external_event("number", int, timedelta(days=90))
        if generation == 0:
            ctx.continue_as_new(1)
        return number

    handle = await test.start(parent, 0)
    await handle.raise_event("number", "early")
    await test.advance(timedelta(days=6))
    letter = RaiseEvent(
        message_id=MessageId("outside-1"), event=EventRaised("number", '{"no":"number"}')
    )
    home = test.host.engine.partitions[0]
    test.host.engine.arrivals.dispatch(home, InstanceId(handle.instance_id), letter)
    await test.idle()
    for data in (1, "carried over", 2):
        await handle.raise_event("number", data)
    assert await handle.result() == 2
    letters = (await test.host.engine.storage.dead_letters())[::-1]
    put_aside = [decode_message(one.message) for one in letters]
    assert [one.event.input for one in put_aside if isinstance(one, RaiseEvent)] == [
        '"early"',
        '{"no":"number"}',
        '"carried over"',
    ]
    assert {one.instance_id for one in letters} == {handle.instance_id}
    assert len({one.message_id for one in letters}) == 3
    assert "Expected `int`, found `str`" in letters[0].reason
    assert [str(instance_id) for instance_id, _ in test.problems] == [handle.instance_id] * 3
    test.problems.clear()


async def test_an_event_without_data_is_none(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> bool:
        return await ctx.wait_for_external_event("go") is None

    handle = await test.start(parent)
    await handle.raise_event("go")
    assert await handle.result()


async def test_an_orchestration_sends_events_to_another(app: App, test: TestHost) -> None:
    """S54: to a child's own id; in the order in which they were sent."""

    @app.orchestrator
    async def child(ctx: Context) -> list[int]:
        return [await ctx.wait_for_external_event("number", int) for _ in range(3)]

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        task = ctx.call_sub_orchestrator(child.options(instance_id="the-child"))
        for number in range(3):
            ctx.send_event("the-child", "number", number)
        return await task

    assert await test.run(parent) == [0, 1, 2]


async def test_an_event_from_outside_reaches_a_child_by_its_id(app: App, test: TestHost) -> None:
    """S54."""

    @app.orchestrator
    async def child(ctx: Context) -> str:
        return await ctx.wait_for_external_event("go", str)

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        return await ctx.call_sub_orchestrator(child.options(instance_id="the-child"))

    handle = await test.start(parent)
    await test.idle()
    await test.client.raise_event("the-child", "go", "hello")
    assert await handle.result() == "hello"


async def test_an_event_to_nobody_ends_as_a_dead_letter_no_silent_drop(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def quick(ctx: Context) -> None:
        return

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        ctx.send_event("nobody", "lost", 1)
        ctx.send_event("finished", "lost", 2)
        return "sent"

    await test.run(quick, instance_id="finished")
    assert await test.run(parent) == "sent"
    await test.idle()
    letters = await test.host.engine.storage.dead_letters()
    assert sorted(letter.instance_id for letter in letters) == ["finished", "nobody"]
    assert all(letter.reason for letter in letters)
    assert sorted(str(instance_id) for instance_id, _ in test.problems) == ["finished", "nobody"]
    test.problems.clear()


async def test_events_to_finished_and_unknown_instances_are_refused(
    app: App, test: TestHost
) -> None:
    """S57."""

    @app.orchestrator
    async def quick(ctx: Context) -> None:
        return

    await test.run(quick, instance_id="finished")
    with pytest.raises(InstanceFinishedError, match="Completed"):
        await test.client.raise_event("finished", "go")
    with pytest.raises(InstanceNotFoundError):
        await test.client.raise_event("nobody", "go")
    with pytest.raises(InvalidInstanceIdError):
        await test.client.raise_event("@entity", "go")
    with pytest.raises(InputError, match="name"):
        await test.client.raise_event("finished", "")


async def test_events_survive_unloading_restart_and_crash_in_order(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        await ctx.create_timer(timedelta(days=1))
        return [await ctx.wait_for_external_event("item", int) for _ in range(6)]

    handle = await test.start(parent)
    for number in range(6):
        await handle.raise_event("item", number)
        if number == 1:
            await test.restart()
        elif number == 3:
            await test.crash()
        else:
            await test.advance(timedelta(seconds=5))
    assert await handle.result() == [0, 1, 2, 3, 4, 5]


OWN = ("tenuto.topic/0/1", "Tenuto.Topic/0/1", "tenuto.else")


@pytest.mark.parametrize("name", OWN)
async def test_nobody_raises_what_the_engine_raises(app: App, test: TestHost, name: str) -> None:
    """It would answer a wait for a topic with an event that no topic has."""

    @app.orchestrator
    async def sends(ctx: Context) -> None:
        ctx.send_event("another", name)

    @app.orchestrator
    async def waits(ctx: Context) -> None:
        await ctx.wait_for_external_event(name)

    @app.orchestrator
    async def opens(ctx: Context) -> None:
        await ctx.create_webhook(name, expires_in=timedelta(hours=1))

    for orchestrator in (sends, waits, opens):
        handle = await test.start(orchestrator)
        with pytest.raises(OrchestrationFailedError, match="are Tenuto's own"):
            await handle.result()
    with pytest.raises(InputError, match=r"names that begin with 'tenuto\.' are Tenuto's own"):
        await test.client.raise_event("another", name)
    event = RaiseEvent(event=EventRaised(name))
    text = f'{{"kind":"message","to":"another","message":{encode(event).decode()}}}'
    with pytest.raises(LinkRefusedError, match="are Tenuto's own"):
        taken(Arrival("device", "0" * 32, 1, text, 0), Limits())


@pytest.mark.parametrize("name", OWN)
async def test_nobody_raises_it_over_http(app: App, name: str) -> None:
    async with serving(app) as served:
        for path, body in (
            ("/admin/instances/another/raise-event", {"name": name}),
            (f"{MOUNT}/instances/another/raiseEvent/{quote(name, safe='')}", 1),
        ):
            answer = await served.http.post(path, json=body)
            assert answer.status_code == 400, answer.text
            assert "are Tenuto's own" in answer.json()["message"]
