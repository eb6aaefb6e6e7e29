"""How many activities run at once, what becomes of those that take too long, and graceful ends.

Through the whole host: the executor has tests of its own.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import (
    ActivityContext,
    ActivityTimeoutError,
    App,
    Client,
    Context,
    Host,
    OrchestrationHandle,
    RuntimeStatus,
    Settings,
    StorageUnavailableError,
)
from tenuto.testing import TestHost


class Gauge:
    """How many are inside now, and how many were at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = 0
        self.most = 0
        self.entered: Counter[str] = Counter()

    def enter(self, name: str = "") -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.entered[name] += 1

    def leave(self) -> None:
        with self._lock:
            self.now -= 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - threads set no events
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(app: App, **settings: object) -> AsyncIterator[TestHost]:
    async with TestHost(app, settings=Settings(**settings)) as test:  # type: ignore[arg-type]
        yield test


@pytest.fixture
def app() -> App:
    return App()


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_of_an_activity_holds_over_all_instances(app: App, limit: int) -> None:
    gauge = Gauge()

    @app.activity(max_concurrent=limit)
    async def narrow(n: int) -> int:
        gauge.enter()
        await asyncio.sleep(0.001)
        gauge.leave()
        return n

    @app.orchestrator
    async def many(ctx: Context, count: int) -> list[int]:
        return list(await asyncio.gather(*(ctx.call_activity(narrow, n) for n in range(count))))

    async with running(app) as test:
        handles = [await test.start(many, 8) for _ in range(4)]
        assert [await one.result() for one in handles] == [list(range(8))] * 4
    assert gauge.most == limit
    assert gauge.entered.total() == 32


async def test_a_limit_of_a_sync_activity_holds_too(app: App) -> None:
    gauge = Gauge()
    release = threading.Event()

    @app.activity(max_concurrent=2)
    def narrow(n: int) -> int:
        gauge.enter()
        release.wait(20)
        gauge.leave()
        return n

    @app.orchestrator
    async def many(ctx: Context, count: int) -> int:
        return sum(await asyncio.gather(*(ctx.call_activity(narrow, n) for n in range(count))))

    async with running(app) as test:
        handle = await test.start(many, 6)
        await until(lambda: gauge.now == 2)
        await test.idle(with_activities=False)
        release.set()
        assert await handle.result() == 15
    assert gauge.most == 2


@pytest.mark.parametrize("is_async", [True, False])
async def test_the_limit_of_the_host_holds_for_all_activities_together(
    app: App, is_async: bool
) -> None:
    gauge = Gauge()
    release = threading.Event()

    async def wait_async(n: int) -> int:
        gauge.enter()
        while not release.is_set():  # noqa: ASYNC110 - set from elsewhere for threads too
            await asyncio.sleep(0.001)
        gauge.leave()
        return n

    def wait_sync(n: int) -> int:
        gauge.enter()
        release.wait(20)
        gauge.leave()
        return n

    for name in ("one", "two"):
        app.activity(name=name)(wait_async if is_async else wait_sync)

    @app.orchestrator
    async def many(ctx: Context) -> int:
        calls = [ctx.call_activity(name, n) for name in ("one", "two") for n in range(6)]
        return sum(await asyncio.gather(*calls))

    async with running(app, activity_threads=3, async_activities=3) as test:
        handle = await test.start(many)
        await until(lambda: gauge.now == 3)
        release.set()
        assert await handle.result() == 30
    assert gauge.most == 3


async def test_a_full_activity_holds_no_other_back(app: App) -> None:
    release = asyncio.Event()

    @app.activity(max_concurrent=1)
    async def narrow() -> None:
        await release.wait()

    @app.activity
    async def wide() -> str:
        return "through"

    @app.orchestrator
    async def blocked(ctx: Context) -> None:
        await ctx.call_activity(narrow)

    @app.orchestrator
    async def free(ctx: Context) -> str:
        return await ctx.call_activity(wide)

    async with running(app) as test:
        waiting = [await test.start(blocked) for _ in range(5)]
        handle = await test.start(free)
        await test.idle(with_activities=False)
        assert (await handle.status()).runtime_status is RuntimeStatus.COMPLETED
        assert {(await one.status()).runtime_status for one in waiting} == {RuntimeStatus.RUNNING}
        release.set()
        for one in waiting:
            await one.result()


async def test_queued_activities_begin_in_the_order_in_which_they_were_scheduled(app: App) -> None:
    order: list[int] = []

    @app.activity(max_concurrent=1)
    async def one_by_one(n: int) -> None:
        order.append(n)
        await asyncio.sleep(0)

    @app.orchestrator
    async def many(ctx: Context, count: int) -> None:
        await asyncio.gather(*(ctx.call_activity(one_by_one, n) for n in range(count)))

    async with running(app) as test:
        await test.run(many, 30)
    assert order == list(range(30))


async def test_an_activity_that_waits_for_room_is_withdrawn_when_its_instance_ends(
    app: App,
) -> None:
    release = asyncio.Event()
    ran: list[str] = []

    @app.activity(max_concurrent=1)
    async def narrow(name: str) -> None:
        ran.append(name)
        await release.wait()

    @app.orchestrator
    async def one(ctx: Context, name: str) -> None:
        await ctx.call_activity(narrow, name)

    async with running(app) as test:
        first = await test.start(one, "first")
        await test.idle(with_activities=False)
        second = await test.start(one, "second")
        await test.idle(with_activities=False)
        await second.terminate()
        release.set()
        await first.result()
        await test.idle()
        assert test.host.engine.running == 0
    assert ran == ["first"]


# --- timeouts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False])
async def test_an_activity_that_takes_too_long_frees_who_waits_for_it(
    app: App, is_async: bool
) -> None:
    """S44: the wait ends at its time, whatever the activity does."""
    release = threading.Event()

    async def hang_async() -> str:
        while not release.is_set():
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                continue  # it does not listen
        return "too late"

    def hang_sync() -> str:
        release.wait(20)
        return "too late"

    hang = app.activity(name="hang", timeout=timedelta(minutes=5))(
        hang_async if is_async else hang_sync
    )

    @app.orchestrator
    async def impatient(ctx: Context) -> str:
        try:
            return str(await ctx.call_activity(hang))
        except ActivityTimeoutError as error:
            return f"gave up: {error.failure.error_message}"

    async with running(app) as test:
        handle = await test.start(impatient)
        await test.idle(with_activities=False)
        await test.advance(timedelta(minutes=4), with_activities=False)
        assert (await handle.status()).runtime_status is RuntimeStatus.RUNNING
        await test.advance(timedelta(minutes=2), with_activities=False)
        status = await handle.status()
        assert "ran longer than its timeout of 0:05:00" in str(status.output)
        release.set()


async def test_a_sync_activity_that_was_given_up_gives_its_room_to_the_next(
    app: App,
) -> None:
    release = threading.Event()
    ran: list[str] = []

    @app.activity(timeout=timedelta(minutes=1), max_concurrent=1)
    def hang(name: str) -> str:
        ran.append(name)
        if name == "slow":
            release.wait(20)
        return name

    @app.orchestrator
    async def one(ctx: Context, name: str) -> str:
        return await ctx.call_activity(hang, name)

    async with running(app) as test:
        slow = await test.start(one, "slow")
        await until(lambda: ran == ["slow"])
        quick = await test.start(one, "quick")
        await test.idle(with_activities=False)
        await test.advance(timedelta(seconds=61), with_activities=False)
        assert (await slow.status()).runtime_status is RuntimeStatus.FAILED
        assert await quick.result() == "quick"
        assert ran == ["slow", "quick"]
        release.set()


async def test_a_timed_out_activity_is_told_and_its_late_result_counts_for_nothing(
    app: App,
) -> None:
    told = asyncio.Event()

    @app.activity(timeout=timedelta(seconds=10))
    def stubborn(activity: ActivityContext) -> str:
        while not activity.cancellation.requested:
            pass
        loop.call_soon_threadsafe(told.set)
        return "too late"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            return await ctx.call_activity(stubborn)
        except TimeoutError:
            return await ctx.wait_for_external_event("end", str)

    loop = asyncio.get_running_loop()
    async with running(app) as test:
        handle = await test.start(parent)
        await test.idle(with_activities=False)
        await test.advance(timedelta(seconds=11), with_activities=False)
        await asyncio.wait_for(told.wait(), 20)
        await test.idle()
        await handle.raise_event("end", "right")
        assert await handle.result() == "right"


# --- graceful ends ------------------------------------------------------------------------------


async def test_a_stopping_host_waits_for_what_runs_begins_nothing_and_refuses_requests(
    app: App, tmp_path: Path
) -> None:
    ran: Counter[str] = Counter()
    release = asyncio.Event()

    @app.activity(max_concurrent=2)
    async def work(name: str) -> str:
        ran[name] += 1
        await release.wait()
        return name

    @app.orchestrator
    async def many(ctx: Context) -> list[str]:
        return list(await asyncio.gather(*(ctx.call_activity(work, name) for name in "abcd")))

    url = f"sqlite:///{tmp_path / 'hub.db'}"
    host = Host(app, url)
    await host.start()
    client = host.client
    await client.start(many, instance_id="m")
    await until(lambda: ran.total() == 2)
    stopping = asyncio.ensure_future(host.stop())
    await until(lambda: host.engine.is_draining)
    with pytest.raises(StorageUnavailableError, match="the host is stopping"):
        await client.start(many, instance_id="late")
    assert not stopping.done()
    release.set()
    await asyncio.wait_for(stopping, 20)
    assert ran == {"a": 1, "b": 1}

    async with Client.open(url) as outside:
        status = await outside.get_status("m")
        assert status is not None
        assert status.runtime_status is RuntimeStatus.RUNNING
        history = await outside.history("m")
    assert [type(event).__name__ for event in history].count("TaskCompleted") == 2
    async with Host(app, url) as host:
        assert await host.client.handle("m").result() == ["a", "b", "c", "d"]
    assert ran == {"a": 1, "b": 1, "c": 1, "d": 1}


async def test_a_stopping_host_waits_no_longer_than_it_was_told(app: App, tmp_path: Path) -> None:
    begun = asyncio.Event()
    is_first = [True]

    @app.activity
    async def endless(activity: ActivityContext) -> str:
        if is_first[0]:
            is_first[0] = False
            begun.set()
            await asyncio.Event().wait()
        return f"attempt {activity.attempt}"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        return await ctx.call_activity(endless)

    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with Host(app, url, settings=Settings(drain_seconds=0.05)) as host:
        await host.client.start(parent, instance_id="p")
        await begun.wait()
    async with Host(app, url) as host:
        handle: OrchestrationHandle[str] = host.client.handle("p")
        assert await handle.result() == "attempt 1"  # the same attempt, once more
