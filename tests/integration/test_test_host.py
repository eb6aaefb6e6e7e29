"""The test host: time that passes while somebody waits, restarts, crashes, strict replay."""

import asyncio
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenuto import (
    App,
    Context,
    Host,
    InstanceNotFoundError,
    NonDeterminismError,
    OrchestrationFailedError,
    RuntimeStatus,
    Settings,
    TenutoError,
)
from tenuto.engine.rows import CommitBatch, CommitResult
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite import SqliteStorage
from tenuto.telemetry.log_observer import LogObserver
from tenuto.testing import RecordingObserver, TestHost, driver
from tests.support.waiting import until


@pytest.fixture
def sleeper(app: App) -> None:
    @app.activity
    def greet(name: str) -> str:
        return f"Hello {name}"

    @app.orchestrator(name="sleep")
    async def sleep(ctx: Context, days: int) -> str:
        await asyncio.sleep(days * 86400)
        return await ctx.call_activity(greet, "Ada")

    @app.orchestrator(name="listen")
    async def listen(ctx: Context) -> str:
        return await ctx.wait_for_external_event("go", str, timedelta(days=1))


@pytest.mark.usefixtures("sleeper")
@pytest.mark.parametrize("days", [3, 365, 36_500])
async def test_awaiting_a_result_lets_time_pass_in_no_time(app: App, days: int) -> None:
    async with TestHost(app) as test:
        began = time.perf_counter()
        assert await test.run("sleep", days) == "Hello Ada"
        assert time.perf_counter() - began < 5
        assert test.clock.current_time == datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)


@pytest.mark.usefixtures("sleeper")
async def test_time_stands_still_when_nobody_waits(app: App) -> None:
    async with TestHost(app, start=datetime(2027, 1, 1, tzinfo=UTC)) as test:
        handle = await test.start("sleep", 1)
        for _ in range(5):
            await asyncio.sleep(0.002)
        assert not (await handle.status()).runtime_status.is_finished
        assert test.clock.current_time == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.usefixtures("sleeper")
async def test_time_stops_where_the_result_came(app: App) -> None:
    """Also when other instances have timers ahead, and when the result was there already."""
    async with TestHost(app) as test:
        short, long = await test.start("sleep", 1), await test.start("sleep", 2)
        for _ in range(3):
            assert await short.result() == "Hello Ada"
            assert test.clock.current_time == datetime(2026, 1, 2, tzinfo=UTC)
        assert await long.result() == "Hello Ada"


@pytest.mark.usefixtures("sleeper")
async def test_each_of_several_waits_ends_at_its_own_time(app: App) -> None:
    async with TestHost(app) as test:

        async def end_of(days: int) -> datetime:
            handle = await test.start("sleep", days)
            await handle.result()
            return test.clock.current_time

        ends = await asyncio.gather(*(end_of(days) for days in (3, 1, 2)))
        assert [end.day for end in ends] == [4, 2, 3]


@pytest.mark.usefixtures("sleeper")
async def test_waiting_side_by_side_goes_as_far_as_the_longest(app: App) -> None:
    async with TestHost(app) as test:
        handles = [await test.start("sleep", days) for days in (3, 1, 2)]
        assert await asyncio.gather(*(handle.result() for handle in handles)) == ["Hello Ada"] * 3
        assert test.clock.current_time == datetime(2026, 1, 4, tzinfo=UTC)


@pytest.mark.usefixtures("sleeper")
async def test_what_a_test_does_at_once_comes_before_any_timer(app: App) -> None:
    """A result is waited for while another task raises the event: it is in time."""
    async with TestHost(app) as test:
        handle = await test.start("listen")
        waiting = asyncio.create_task(handle.result())
        await asyncio.sleep(0)
        await handle.raise_event("go", "in time")
        assert await waiting == "in time"
        assert test.clock.current_time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.usefixtures("sleeper")
async def test_waiting_for_nothing_or_for_nobody_ends_as_with_a_host(app: App) -> None:
    async with TestHost(app) as test:
        with pytest.raises(InstanceNotFoundError):
            await test.client.wait("nobody")
        with pytest.raises(OrchestrationFailedError, match="TimeoutError"):
            await test.run("listen")
        assert test.clock.current_time == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.usefixtures("sleeper")
async def test_waiting_for_a_beginning_moves_time_no_further(app: App) -> None:
    async with TestHost(app) as test:
        begins = test.clock.current_time + timedelta(hours=3)
        handle = await test.client.start("listen", start_at=begins)
        assert (await handle.started()).runtime_status is RuntimeStatus.RUNNING
        assert test.clock.current_time == begins


async def test_waiting_for_a_beginning_ends_with_the_host(app: App) -> None:
    @app.orchestrator
    async def later(ctx: Context) -> None:
        pass

    async with Host(app, settings=Settings(storage="sqlite://")) as host:
        begins = datetime.now(UTC) + timedelta(days=1)
        handle = await host.client.start(later, start_at=begins)
        waiting = asyncio.create_task(handle.started())
        await until(lambda: bool(host.engine.callers.beginnings))
        forsaken = asyncio.create_task(handle.started())
        await asyncio.sleep(0)
        forsaken.cancel()
        await asyncio.wait([forsaken])
        assert len(host.engine.callers.beginnings[InstanceId(handle.instance_id)]) == 1
    with pytest.raises(TenutoError):
        await waiting


async def test_waiting_for_what_only_a_message_can_bring_does_not_move_time(app: App) -> None:
    @app.orchestrator
    async def listen(ctx: Context) -> str:
        return await ctx.wait_for_external_event("go", str)

    async with TestHost(app) as test:
        handle = await test.start(listen)
        await test.advance(timedelta(minutes=5))
        before = test.clock.current_time
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle.result(), 0.05)
        assert test.clock.current_time == before
        waiting = asyncio.create_task(handle.result())
        await asyncio.sleep(0.01)
        await handle.raise_event("go", "now")
        assert await waiting == "now"


async def test_advance_waits_for_activities_unless_told_otherwise(app: App) -> None:
    seen: list[datetime] = []
    release = asyncio.Event()

    @app.activity
    async def slow() -> None:
        await release.wait()

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.create_timer(timedelta(hours=1))
        await ctx.call_activity(slow)
        seen.append(ctx.current_time)

    async with TestHost(app) as test:
        await test.start(parent)
        asyncio.get_running_loop().call_later(0.02, release.set)
        await test.advance(timedelta(hours=2))
        assert seen == [datetime(2026, 1, 1, 1, 0, 0, 1, tzinfo=UTC)]
        release.clear()
        handle = await test.start(parent)
        await test.advance(timedelta(hours=2), with_activities=False)
        assert test.clock.current_time == datetime(2026, 1, 1, 4, tzinfo=UTC)
        assert not (await handle.status()).runtime_status.is_finished
        release.set()
        await handle.result()


@pytest.mark.usefixtures("sleeper")
@pytest.mark.parametrize("on_file", [False, True])
async def test_handles_go_on_over_restart_and_crash(
    app: App, tmp_path: Path, on_file: bool
) -> None:
    url = f"sqlite:///{tmp_path}/hub.db" if on_file else "sqlite://"
    async with TestHost(app, storage=url) as test:
        handle = await test.start("sleep", 3)
        waiting = asyncio.create_task(test.client.wait(handle.instance_id))
        first = test.host
        await test.restart()
        assert test.host is not first
        await test.crash()
        assert await handle.result() == "Hello Ada"
        assert (await waiting).output == "Hello Ada"


@pytest.mark.usefixtures("sleeper")
async def test_an_open_store_may_be_given(app: App, tmp_path: Path) -> None:
    store = SqliteStorage(tmp_path / "hub.db")
    async with TestHost(app, storage=store) as test:
        await test.run("sleep", 1, instance_id="s")
    async with TestHost(app, storage=SqliteStorage(tmp_path / "hub.db")) as test:
        assert await test.client.handle("s").result() == "Hello Ada"


async def test_the_app_may_change_between_hosts(app: App) -> None:
    @app.orchestrator(name="parent")
    async def before(ctx: Context) -> str:
        await ctx.create_timer(timedelta(hours=1))
        return "before"

    changed = App()

    @changed.orchestrator(name="parent")
    async def after(ctx: Context) -> str:
        await ctx.create_timer(timedelta(hours=1))
        return "after"

    async with TestHost(app) as test:
        handle = await test.start(before)
        await test.idle()
        test.app = changed
        await test.restart()
        assert await handle.result() == "after"


async def test_check_replay_finds_what_a_host_lets_pass(app: App) -> None:
    """An input that differs is no reason for a host to stop an instance; for a test it is."""
    numbers = iter(range(100))

    @app.activity
    def take(number: int) -> int:
        return number

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        return await ctx.call_activity(take, next(numbers))

    async with TestHost(app) as test:
        handle = await test.start(parent)
        await handle.result()
        with pytest.raises(NonDeterminismError, match="TaskScheduled #1 'take'"):
            await test.check_replay(handle.instance_id)
        with pytest.raises(InstanceNotFoundError):
            await test.check_replay("nobody")


async def test_check_replay_takes_instances_that_ended_from_outside(app: App) -> None:
    @app.orchestrator
    async def listen(ctx: Context) -> str:
        return await ctx.wait_for_external_event("go", str)

    async with TestHost(app) as test:
        handle = await test.start(listen)
        await test.idle()
        await test.check_replay(handle.instance_id)
        await handle.terminate("enough")
        await test.check_replay(handle.instance_id)


async def test_the_observer_remembers(app: App) -> None:
    @app.orchestrator
    async def fail(ctx: Context) -> None:
        raise ValueError("as planned")

    observer = RecordingObserver()
    async with TestHost(app, observer=observer, settings=Settings(hot_sessions=5)) as test:
        assert test.settings.hot_sessions == 5
        handle = await test.start(fail)
        with pytest.raises(OrchestrationFailedError):
            await handle.result()
    assert [record.instance_id for record in observer.ended] == [handle.instance_id]
    assert sum(observer.commits) >= 1
    assert observer.storage_failures == []
    assert test.problems == []


class FailingStorage(SqliteStorage):
    """A store that cannot write for a number of times."""

    failures = 3

    async def commit(self, batch: CommitBatch) -> CommitResult:
        if self.failures:
            self.failures -= 1
            raise StorageUnavailableError("disk full")
        return await super().commit(batch)


@pytest.mark.usefixtures("sleeper")
async def test_time_passes_between_tries_of_a_store_that_does_not_work(app: App) -> None:
    observer = RecordingObserver()
    store = FailingStorage(":memory:")
    async with TestHost(app, storage=store, observer=observer) as test:
        starting = asyncio.create_task(test.start("sleep", 1))
        await until(lambda: observer.storage_failures)
        await test.idle()
        assert not starting.done()
        await test.advance(timedelta(seconds=10))
        assert await (await starting).result() == "Hello Ada"
    assert [str(error) for error in observer.storage_failures] == ["disk full"] * 3


async def test_a_host_that_does_not_come_to_rest_is_told_with_the_way_out(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_PATIENCE_SECONDS", 0.02)
    release = asyncio.Event()

    @app.activity
    async def slow() -> None:
        await release.wait()

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_activity(slow)

    async with TestHost(app) as test:
        handle = await test.start(parent)
        with pytest.raises(TenutoError, match=r"1 activities run.*with_activities=False"):
            await test.advance(timedelta(hours=1))
        release.set()
        await handle.result()


@pytest.mark.usefixtures("sleeper")
async def test_the_client_of_a_test_host_has_everything_a_client_has(app: App) -> None:
    async with TestHost(app, observer=LogObserver()) as test:
        handle = await test.start("listen", instance_id="l")
        await handle.suspend("a while")
        await handle.resume()
        await handle.raise_event("go", "now")
        assert await handle.result() == "now"
        assert [status.instance_id async for status in test.client.query()] == ["l"]
        assert len(await test.client.history("l")) > 2
        assert await test.client.purge("l")
        assert await test.client.get_status("l") is None
        await test.client.close()
        assert test.problems == []


def test_the_pytest_plugin_opens_and_closes_hosts(tmp_path: Path) -> None:
    """As its docstring says: named in conftest.py, used as a fixture."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tenuto.testing.plugin"]')
    (tmp_path / "test_reminder.py").write_text(_TEST_OF_AN_APP)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


_TEST_OF_AN_APP = """
import asyncio
from datetime import UTC, datetime

import pytest

from tenuto import App, Context

app = App()


@app.orchestrator
async def remind(ctx: Context, name: str) -> str:
    await asyncio.sleep(3 * 86400)
    return f"reminded {name}"


@pytest.mark.asyncio
async def test_it_reminds_after_three_days(tenuto_host) -> None:
    first = await tenuto_host(app)
    second = await tenuto_host(app, start=datetime(2030, 1, 1, tzinfo=UTC))
    assert await first.run(remind, "Ada") == "reminded Ada"
    assert first.clock.current_time == datetime(2026, 1, 4, tzinfo=UTC)
    assert second.clock.current_time == datetime(2030, 1, 1, tzinfo=UTC)
"""


@pytest.mark.usefixtures("sleeper")
async def test_a_test_host_that_is_not_open_says_so(app: App) -> None:
    test = TestHost(app)
    with pytest.raises(RuntimeError, match="async with"):
        _ = test.host
    with pytest.raises(TenutoError, match="async with"):
        await test.start("sleep", 1)
