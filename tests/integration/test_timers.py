"""Durable timers: any length, never early, cheap to cancel, safe across restarts."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tenuto import App, Context, InputError, schedule
from tenuto.model.events import OrchestratorStarted, TaskCanceled, TimerCreated, TimerFired
from tenuto.model.timing import to_microseconds
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.histories import kinds, of_type


@pytest.mark.parametrize(
    "delay",
    [
        timedelta(microseconds=1),
        timedelta(seconds=10),
        timedelta(minutes=9, seconds=59),
        timedelta(minutes=10, microseconds=1),
        timedelta(days=7),
        timedelta(days=400),
        timedelta(days=36_500),
    ],
)
async def test_a_timer_of_any_length_fires_at_its_time_to_the_microsecond(
    app: App, test: TestHost, delay: timedelta
) -> None:
    """S48, S49: no maximum, so nothing is split; inside and beyond the horizon of 10 minutes."""

    @app.orchestrator
    async def wait(ctx: Context, delay: timedelta) -> datetime:
        await ctx.create_timer(delay)
        return ctx.current_time

    started = test.clock.current_time
    handle = await test.start(wait, delay)
    fired = await handle.result()
    assert fired == test.clock.current_time == started + delay
    history = await test.client.history(handle.instance_id)
    created, ended = of_type(history, TimerCreated)[0], of_type(history, TimerFired)[0]
    assert created.fire_at == ended.fire_at == to_microseconds(started + delay)
    assert kinds(history).count("TimerCreated") == 1


async def test_a_timer_never_fires_early(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def wait(ctx: Context) -> None:
        await ctx.create_timer(timedelta(days=2))

    handle = await test.start(wait)
    await test.advance(timedelta(days=2) - timedelta(microseconds=1))
    assert not (await handle.status()).runtime_status.is_finished
    await test.advance(timedelta(microseconds=1))
    assert (await handle.status()).runtime_status.is_finished


async def test_a_timer_in_the_past_or_of_no_length_fires_at_once(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def wait(ctx: Context) -> None:
        await ctx.create_timer(timedelta(0))
        await ctx.create_timer(ctx.current_time - timedelta(days=1))
        await ctx.create_timer(ctx.current_time)

    before = test.clock.current_time
    handle = await test.start(wait)
    await handle.result()
    # Turns are a microsecond apart at least, also while the clock stands still.
    assert test.clock.current_time - before < timedelta(milliseconds=1)
    assert kinds(await test.client.history(handle.instance_id)).count("TimerFired") == 3


async def test_wrong_times_are_refused_at_the_call_bad_input_is_refused_whole(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def wait(ctx: Context) -> list[str]:
        messages = []
        for wrong in (
            timedelta(seconds=-1),
            datetime(2026, 1, 1),  # noqa: DTZ001 - the case in point
            timedelta.max,
            5,
        ):
            try:
                _ = ctx.create_timer(wrong)  # type: ignore[arg-type]
            except InputError as error:
                messages.append(str(error))
        return messages

    handle = await test.start(wait)
    negative, naive, endless, number = await handle.result()
    assert "negative" in negative
    assert "time zone" in naive
    assert "9999" in endless
    assert "timedelta" in number
    assert "TimerCreated" not in kinds(await test.client.history(handle.instance_id))


async def test_a_timer_to_a_local_time_of_day_is_safe_across_daylight_saving(
    app: App, open_host: OpenHost
) -> None:
    """Friday 17:00 in Berlin, before and after the clocks change on 29 March 2026."""

    @app.orchestrator
    async def fridays(ctx: Context) -> list[datetime]:
        seen = []
        for _ in range(3):
            due = schedule.next_weekday("fri", "17:00", tz="Europe/Berlin", after=ctx.current_time)
            await ctx.create_timer(due)
            seen.append(ctx.current_time.replace(microsecond=0))
        return seen

    test = await open_host(app, start=datetime(2026, 3, 18, 12, tzinfo=UTC))
    assert await test.run(fridays) == [
        datetime(2026, 3, 20, 16, tzinfo=UTC),
        datetime(2026, 3, 27, 16, tzinfo=UTC),
        datetime(2026, 4, 3, 15, tzinfo=UTC),
    ]


async def test_approval_before_the_deadline_cancels_the_timer(app: App, test: TestHost) -> None:
    """S46: approval arrives: "Approved"; expires first: "Expired"."""

    @app.orchestrator
    async def approval(ctx: Context) -> str:
        deadline = ctx.create_timer(timedelta(days=3))
        approved = ctx.wait_for_external_event("approval")
        if await ctx.task_any([approved, deadline]) is approved:
            deadline.cancel()
            return "Approved"
        return "Expired"

    approved = await test.start(approval)
    expired = await test.start(approval)
    await approved.raise_event("approval")
    assert await approved.result() == "Approved"
    assert test.clock.current_time == datetime(2026, 1, 1, tzinfo=UTC)
    history = await test.client.history(approved.instance_id)
    assert [one.task_id for one in of_type(history, TaskCanceled)] == [1]
    assert await expired.result() == "Expired"
    assert test.clock.current_time == datetime(2026, 1, 4, tzinfo=UTC)


async def test_a_canceled_timer_neither_fires_nor_wakes_nor_delays_the_end(
    app: App, test: TestHost
) -> None:
    """S49, O10: an instance that returns is Completed at once."""

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        timer = ctx.create_timer(timedelta(hours=1))
        _ = ctx.create_timer(timedelta(days=1000))
        await ctx.create_timer(timedelta(minutes=1))
        assert timer.cancel()
        assert not timer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await timer
        await ctx.create_timer(timedelta(hours=2))
        return "done"

    before = test.clock.current_time
    handle = await test.start(parent)
    assert await handle.result() == "done"
    assert test.clock.current_time - before == timedelta(hours=2, minutes=1)
    assert len(of_type(await test.client.history(handle.instance_id), TimerFired)) == 2


async def test_timers_fire_in_the_order_of_their_times(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        seen: list[int] = []

        async def wait(minutes: int) -> None:
            await ctx.create_timer(timedelta(minutes=minutes))
            seen.append(minutes)

        await asyncio.gather(*(wait(minutes) for minutes in (30, 5, 20, 5000, 1, 15)))
        return seen

    assert await test.run(parent) == [1, 5, 15, 20, 30, 5000]


async def test_timers_close_together_fire_each_in_its_own_turn(app: App, test: TestHost) -> None:
    """A timer that is nearly due does not fire along with one that is."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[datetime]:
        seen: list[datetime] = []

        async def wait(milliseconds: int) -> None:
            await ctx.create_timer(timedelta(milliseconds=milliseconds))
            seen.append(ctx.current_time)

        await asyncio.gather(wait(1000), wait(1001), wait(1500))
        return seen

    start = test.clock.current_time
    seen = await test.run(parent)
    assert [(one - start) / timedelta(milliseconds=1) for one in seen] == [1000, 1001, 1500]


async def test_timers_of_one_moment_fire_in_one_turn_in_the_order_they_were_made(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        seen: list[int] = []

        async def wait(number: int) -> None:
            await ctx.create_timer(timedelta(minutes=1))
            seen.append(number)

        await asyncio.gather(*(wait(number) for number in range(5)))
        return seen

    handle = await test.start(parent)
    assert await handle.result() == [0, 1, 2, 3, 4]
    assert len(of_type(await test.client.history(handle.instance_id), OrchestratorStarted)) == 2


async def test_time_in_a_turn_is_never_before_the_timer_that_fired(
    app: App, test: TestHost
) -> None:
    """ENGINE rule 21: the orchestrator's clock only moves forward, turn by turn."""

    @app.orchestrator
    async def parent(ctx: Context) -> bool:
        last = ctx.current_time
        for minutes in (1, 0, 2, 0, 0):
            due = ctx.current_time + timedelta(minutes=minutes)
            await ctx.create_timer(due)
            if ctx.current_time < due or ctx.current_time <= last:
                return False
            last = ctx.current_time
        return True

    assert await test.run(parent)


async def test_timers_survive_a_restart_and_a_crash(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def wait(ctx: Context, days: int) -> datetime:
        await ctx.create_timer(timedelta(days=days))
        return ctx.current_time

    handles = [await test.start(wait, days) for days in (1, 2, 3)]
    await test.advance(timedelta(hours=12))
    await test.restart()
    assert await handles[0].result() == datetime(2026, 1, 2, tzinfo=UTC)
    await test.crash()
    assert await handles[1].result() == datetime(2026, 1, 3, tzinfo=UTC)
    assert await handles[2].result() == datetime(2026, 1, 4, tzinfo=UTC)


async def test_a_timer_that_came_due_while_no_host_ran_fires_at_the_start(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def wait(ctx: Context) -> datetime:
        await ctx.create_timer(timedelta(hours=1))
        return ctx.current_time

    handle = await test.start(wait)
    await test.idle()
    await test._stop()
    test.clock.jump(to_microseconds(datetime(2026, 1, 5, tzinfo=UTC)))
    await test._start()
    assert await handle.result() == datetime(2026, 1, 5, tzinfo=UTC)


async def test_a_thousand_sleepers_wake_each_at_its_time(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def wait(ctx: Context, minutes: int) -> datetime:
        await ctx.create_timer(timedelta(minutes=minutes))
        return ctx.current_time

    start = test.clock.current_time
    handles = await asyncio.gather(*(test.start(wait, minutes % 50) for minutes in range(1000)))
    await test.advance(timedelta(hours=1))
    for minutes, handle in enumerate(handles):
        late = await handle.result() - start - timedelta(minutes=minutes % 50)
        assert timedelta(0) <= late < timedelta(milliseconds=1)
