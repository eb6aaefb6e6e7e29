"""Waiting costs nothing: instances leave memory and come back with what they had."""

import asyncio
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenuto import App, Context, Host, RuntimeStatus, Settings
from tenuto.engine import reading
from tenuto.engine.engine import Engine
from tenuto.model.ids import InstanceId
from tenuto.testing import RecordingObserver, TestHost
from tests.integration.conftest import OpenHost


def in_memory(test: TestHost, instance_id: str) -> bool:
    return test.host.engine.residents.named(InstanceId(instance_id)) is not None


def live_sessions(engine: Engine) -> int:
    return sum(resident.session is not None for resident in engine.residents.oldest())


@pytest.fixture
def waiting(app: App) -> None:
    @app.activity
    def double(number: int) -> int:
        return number * 2

    @app.orchestrator
    async def sleeper(ctx: Context, minutes: int) -> int:
        number = await ctx.call_activity(double, 1)
        local = [number]
        await ctx.create_timer(timedelta(minutes=minutes))
        local.append(await ctx.call_activity(double, local[0]))
        return sum(local)

    @app.orchestrator
    async def listener(ctx: Context) -> str:
        seen = [str(await ctx.wait_for_external_event("go")) for _ in range(3)]
        return "".join(seen)

    @app.orchestrator
    async def parent_of_sleeper(ctx: Context) -> int:
        child = sleeper.options(instance_id="child")
        return await ctx.call_sub_orchestrator(child, 600)


@pytest.mark.usefixtures("waiting")
async def test_an_instance_with_a_distant_timer_leaves_memory_at_once_waiting_costs_nothing(
    test: TestHost,
) -> None:
    handle = await test.start("sleeper", 60, instance_id="s")
    await test.idle()
    assert not in_memory(test, "s")
    assert (await handle.status()).runtime_status is RuntimeStatus.RUNNING
    assert await handle.result() == 6
    # The activity's turn is a microsecond after the first, as the clock stands still.
    late = test.clock.current_time - datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert timedelta(0) <= late < timedelta(milliseconds=1)


@pytest.mark.usefixtures("waiting")
async def test_an_instance_that_waits_for_a_message_leaves_memory_after_a_second(
    test: TestHost,
) -> None:
    handle = await test.start("listener", instance_id="l")
    await test.idle()
    assert in_memory(test, "l")
    await test.advance(timedelta(seconds=2.1))
    assert not in_memory(test, "l")
    for text in "abc":
        await handle.raise_event("go", text)
        await test.idle()
        assert in_memory(test, "l") is (text != "c")
        await test.advance(timedelta(seconds=2.1))
        assert not in_memory(test, "l")
    assert await handle.result() == "abc"


@pytest.mark.usefixtures("waiting")
async def test_a_parent_leaves_memory_while_its_child_runs_for_long(test: TestHost) -> None:
    handle = await test.start("parent_of_sleeper", instance_id="p")
    await test.advance(timedelta(seconds=3))
    assert not in_memory(test, "p")
    assert not in_memory(test, "child")
    assert await handle.result() == 6


@pytest.mark.usefixtures("waiting")
async def test_a_finished_instance_leaves_memory(test: TestHost) -> None:
    await test.run("sleeper", 0, instance_id="s")
    await test.idle()
    assert not in_memory(test, "s")


@pytest.mark.usefixtures("waiting")
async def test_a_suspended_instance_leaves_memory_and_resumes_with_what_came_meanwhile(
    test: TestHost,
) -> None:
    handle = await test.start("listener", instance_id="l")
    await handle.suspend()
    for text in "abc":
        await handle.raise_event("go", text)
    await test.idle()
    assert not in_memory(test, "l")
    assert (await handle.status()).runtime_status is RuntimeStatus.SUSPENDED
    await handle.resume()
    assert await handle.result() == "abc"


@pytest.mark.usefixtures("waiting")
async def test_an_idle_host_asks_its_store_for_nothing_but_a_look_ahead(test: TestHost) -> None:
    """``waiting_costs_nothing``: in an hour of idleness one look every four minutes."""
    handles = [await test.start("sleeper", 600) for _ in range(20)]
    await test.idle()
    asked: list[str] = []
    storage = test.host.engine.storage
    read = storage.due

    async def counted(partitions: Collection[int], after: int, until: int) -> object:
        asked.append("due")
        return await read(partitions, after, until)

    storage.due = counted  # type: ignore[method-assign, assignment]
    for _ in range(60):
        test.clock.jump(test.clock.now() + 60_000_000)
        await test.idle()
    assert len(asked) <= 16
    assert len(test.host.engine.residents) == 0
    assert [await handle.result() for handle in handles] == [6] * 20


@pytest.mark.parametrize("hours", [-1, 1], ids=["back", "ahead"])
async def test_a_clock_that_is_set_has_what_is_due_looked_up_at_once(
    app: App, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """ENGINE rule 42; an hour later, as when the machine has slept, all that came due happens."""
    ahead = 0
    monkeypatch.setattr(reading, "_LOOK", 1_000)
    monkeypatch.setattr(
        "tenuto.host.clock._TIME", {"time_ns": lambda: time.time_ns() + ahead * 1_000_000_000}
    )

    @app.orchestrator
    async def sleeper(ctx: Context) -> None:
        ctx.set_custom_status("asleep")
        await ctx.create_timer(timedelta(minutes=30))

    async with Host(app, "sqlite://") as host:
        handle = await host.client.start(sleeper)
        while (await handle.status()).custom_status is None:  # noqa: ASYNC110 - of the store
            await asyncio.sleep(0.001)
        storage = host.engine.storage
        due = storage.due
        asked = asyncio.Event()

        async def told(partitions: Collection[int], after: int, before: int) -> object:
            asked.set()
            return await due(partitions, after, before)

        storage.due = told  # type: ignore[method-assign, assignment]
        await asyncio.sleep(0.02)  # twenty looks at a clock that nobody sets
        assert not asked.is_set()
        ahead = hours * 3600
        async with asyncio.timeout(30):
            await asked.wait()
            if hours > 0:
                await handle.result()
        assert (await handle.status()).runtime_status.is_finished is (hours > 0)


@pytest.mark.parametrize("hot_sessions", [1, 3])
async def test_few_hot_sessions_make_no_difference_to_results(
    app: App, open_host: OpenHost, hot_sessions: int
) -> None:
    """Sessions are evicted under pressure, least recently used first, and come back."""
    release = asyncio.Event()
    most: list[int] = []

    @app.activity
    async def step(number: int) -> int:
        await release.wait()
        await asyncio.sleep(0)
        most.append(live_sessions(test.host.engine))
        return number + 1

    @app.orchestrator
    async def chain(ctx: Context, number: int) -> list[int]:
        seen = []
        for _ in range(5):
            number = await ctx.call_activity(step, number)
            seen.append(number)
        return seen

    test = await open_host(
        app, settings=Settings(hot_sessions=hot_sessions), observer=RecordingObserver()
    )
    handles = [await test.start(chain, 10 * number) for number in range(20)]
    await test.idle(with_activities=False)
    release.set()
    for number, handle in enumerate(handles):
        start = 10 * number
        assert await handle.result() == [start + 1, start + 2, start + 3, start + 4, start + 5]
    # Those whose turns are being committed are not evicted, so the bound may be passed for a
    # moment, but it does bite.
    assert min(most) <= hot_sessions


async def test_timers_beyond_and_within_the_horizon_survive_unloading(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def twice(ctx: Context) -> list[datetime]:
        near = ctx.create_timer(timedelta(minutes=9))
        far = ctx.create_timer(timedelta(minutes=11))
        seen = []
        for timer in (near, far):
            await timer
            seen.append(ctx.current_time)
        return seen

    handle = await test.start(twice, instance_id="t")
    await test.idle()
    assert not in_memory(test, "t")
    assert await handle.result() == [
        datetime(2026, 1, 1, 0, 9, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 11, tzinfo=UTC),
    ]


async def test_a_distant_timer_fires_while_an_activity_keeps_the_instance_in_memory(
    app: App, test: TestHost
) -> None:
    """Its row says "now" and not when the timer is due, so the look ahead does not find it."""
    release = asyncio.Event()

    @app.activity
    async def slow() -> None:
        await release.wait()

    @app.orchestrator
    async def parent(ctx: Context) -> datetime:
        try:
            async with asyncio.timeout(3 * 3600):
                await ctx.call_activity(slow)
        except TimeoutError:
            pass
        return ctx.current_time

    handle = await test.start(parent)
    await test.advance(timedelta(hours=4), with_activities=False)
    assert await handle.result() == datetime(2026, 1, 1, 3, tzinfo=UTC)
    release.set()


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_everything_promised_is_recovered_by_the_next_host(
    app: App, open_host: OpenHost, tmp_path: Path, how: str
) -> None:
    """On a file, in the middle of activities, timers, events and children."""
    calls: list[str] = []
    release = asyncio.Event()

    @app.activity
    async def step(name: str) -> str:
        calls.append(name)
        if name == "slow" and calls.count("slow") == 1 and how == "crash":
            await release.wait()
        return name

    @app.orchestrator
    async def child(ctx: Context) -> str:
        return await ctx.wait_for_external_event("go", str)

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        first = await ctx.call_activity(step, "first")
        slow = ctx.call_activity(step, "slow")
        timer = ctx.create_timer(timedelta(hours=5))
        task = ctx.call_sub_orchestrator(child.options(instance_id="child"))
        event = ctx.wait_for_external_event("go", str)
        await timer
        return [first, *await asyncio.gather(slow, task, event)]

    test = await open_host(app, storage=f"sqlite:///{tmp_path}/hub.db")
    handle = await test.start(parent, instance_id="parent")
    await test.idle(with_activities=False)
    await test.client.raise_event("child", "go", "to child")
    await (test.restart() if how == "restart" else test.crash())
    await test.client.raise_event("parent", "go", "to parent")
    assert await handle.result() == ["first", "slow", "to child", "to parent"]
    # At least once: an activity that was cut off runs again, one that was recorded does not.
    assert calls.count("first") == 1
    assert calls.count("slow") == (1 if how == "restart" else 2)
    release.set()
