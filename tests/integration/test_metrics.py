"""What Prometheus reads of a real host."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tenuto import ActivityContext, App, Context, Event, Host, RetryPolicy, StorageError
from tenuto.engine.ports import ActivityWork
from tenuto.model.events import TaskFailed
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.storage.sqlite import SqliteStorage
from tenuto.telemetry.health import check_health, health_of
from tenuto.telemetry.metrics import MetricsObserver
from tenuto.testing import RecordingObserver, TestHost
from tests.support.held import holding
from tests.support.waiting import until


class Scraped:
    """One reading of all metrics."""

    def __init__(self, text: bytes) -> None:
        self.families = {one.name: one for one in text_string_to_metric_families(text.decode())}

    def value(self, name: str, /, **labels: str) -> float:
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        raise AssertionError(f"no {name} with {labels}")


@pytest.fixture
def metrics() -> MetricsObserver:
    return MetricsObserver(RecordingObserver(), version="1.2.3")


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def test(app: App, metrics: MetricsObserver) -> AsyncIterator[TestHost]:
    async with TestHost(app, observer=metrics) as test:
        metrics.watch(test.host.engine)
        yield test


def read(metrics: MetricsObserver) -> Scraped:
    return Scraped(metrics.render())


async def test_turns_commits_ends_and_activities_are_counted(
    app: App, test: TestHost, metrics: MetricsObserver
) -> None:
    @app.activity
    def greet(name: str) -> str:
        return name

    @app.activity
    async def refuse() -> None:
        raise ValueError("no")

    @app.orchestrator
    async def hello(ctx: Context, fails: bool) -> None:
        await ctx.call_activity(greet, "a")
        await ctx.call_activity(greet, "b")
        if fails:
            await ctx.call_activity(refuse)

    await test.run(hello, False)
    with pytest.raises(Exception, match="no"):
        await test.run(hello, True)
    scraped = read(metrics)
    assert scraped.value("tenuto_turns_total") == 7
    commits = scraped.value("tenuto_commits_total")
    assert 0 < commits <= 7
    assert scraped.value("tenuto_commit_seconds_count") == commits
    assert scraped.value("tenuto_batch_turns_sum") == 7
    assert scraped.value("tenuto_instances_ended_total", status="Completed") == 1
    assert scraped.value("tenuto_instances_ended_total", status="Failed") == 1
    assert scraped.value("tenuto_instances_ended_total", status="Terminated") == 0
    assert scraped.value("tenuto_activities_total", activity="greet", outcome="completed") == 4
    assert scraped.value("tenuto_activities_total", activity="refuse", outcome="failed") == 1
    assert scraped.value("tenuto_activities_total", activity="refuse", outcome="completed") == 0
    assert scraped.value("tenuto_activity_seconds_count", activity="greet") == 4
    assert scraped.value("tenuto_build_info", version="1.2.3") == 1


async def test_the_latency_of_an_activity_is_that_of_the_hosts_clock(
    app: App, test: TestHost, metrics: MetricsObserver
) -> None:
    release = asyncio.Event()

    @app.activity
    async def slow() -> None:
        await release.wait()

    @app.orchestrator
    async def waits(ctx: Context) -> None:
        await ctx.call_activity(slow)

    handle = await test.start(waits)
    await until(lambda: test.host.engine.runner.running)
    test.clock.jump(test.clock.now() + 30_000_000)
    release.set()
    await handle.result()
    scraped = read(metrics)
    assert scraped.value("tenuto_activity_seconds_sum", activity="slow") == pytest.approx(30)
    assert scraped.value("tenuto_activity_seconds_bucket", activity="slow", le="15") == 0
    assert scraped.value("tenuto_activity_seconds_bucket", activity="slow", le="60") == 1


async def test_gauges_show_the_engine_at_the_moment_of_reading(
    app: App, metrics: MetricsObserver, tmp_path: Path
) -> None:
    release = threading.Event()

    @app.activity(max_concurrent=1)
    def block() -> None:
        release.wait(20)

    @app.orchestrator
    async def waits(ctx: Context) -> None:
        await ctx.call_activity(block)

    @app.orchestrator
    async def sleeps(ctx: Context) -> None:
        await asyncio.sleep(60)

    async with Host(app, f"sqlite:///{tmp_path}/hub.db", observer=metrics) as host:
        metrics.watch(host.engine)
        try:
            for _ in range(3):
                await host.client.start(waits)
            await host.client.start(sleeps)
            await until(lambda: host.engine.is_settled and host.engine.runner.running == 1)
            listening = host.engine.updates.subscribe()
            scraped = read(metrics)
            listening.close()
        finally:
            release.set()
    assert scraped.value("tenuto_activities_running") == 1
    assert scraped.value("tenuto_activities_queued") == 2
    assert scraped.value("tenuto_resident_instances") == 3  # who only sleeps is not in memory
    assert scraped.value("tenuto_live_sessions") == 3
    assert scraped.value("tenuto_timers_armed") == 1
    assert scraped.value("tenuto_timers_due") == 0
    assert scraped.value("tenuto_ready_instances") == 0
    assert scraped.value("tenuto_oldest_waiting_seconds") == 0
    assert scraped.value("tenuto_update_listeners") == 1


async def test_the_oldest_waiting_age_grows_while_the_store_does_not_answer(
    app: App, test: TestHost, metrics: MetricsObserver
) -> None:
    @app.orchestrator
    async def quick(ctx: Context) -> None:
        pass

    async with holding(test.host.engine.storage, "commit", "before") as held:
        started = asyncio.ensure_future(test.start(quick))
        await held.arrived.wait()
        test.clock.jump(test.clock.now() + 12_000_000)
        assert read(metrics).value("tenuto_oldest_waiting_seconds") == 12
        health = await check_health(test.host.engine)
        assert (health.live, health.ready) == (True, False)
        assert "not answered a commit for 12 s" in health.reasons[0]
    await started
    await test.idle()
    assert read(metrics).value("tenuto_oldest_waiting_seconds") == 0
    assert (await check_health(test.host.engine)).ready


async def test_instances_that_queue_for_a_turn_are_shown_with_their_age(
    app: App, test: TestHost, metrics: MetricsObserver
) -> None:
    @app.orchestrator
    async def quick(ctx: Context) -> None:
        pass

    engine = test.host.engine
    starts = [asyncio.ensure_future(test.start(quick)) for _ in range(1_000)]
    began = test.clock.now()
    await until(lambda: engine.ready and engine._ready_age.since is not None)
    assert engine._ready_age.since == began
    waiting = engine.ready
    test.clock.jump(test.clock.now() + 3_000_000)
    scraped = read(metrics)
    assert scraped.value("tenuto_ready_instances") == waiting > 0
    assert scraped.value("tenuto_oldest_waiting_seconds") == 3
    await asyncio.gather(*starts)
    await test.idle()
    assert read(metrics).value("tenuto_ready_instances") == 0


async def test_names_beyond_the_bound_share_one_label(
    app: App, test: TestHost, metrics: MetricsObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.telemetry.counts.MOST_NAMES", 2)

    @app.orchestrator
    async def many(ctx: Context) -> None:
        for number in range(4):
            await ctx.call_activity(f"work-{number}")

    for number in range(4):

        @app.activity(name=f"work-{number}")
        def work() -> None: ...

    await test.run(many)
    scraped = read(metrics)
    names = {sample.labels["activity"] for sample in scraped.families["tenuto_activities"].samples}
    assert names == {"work-0", "work-1", "other"}
    assert scraped.value("tenuto_activity_seconds_count", activity="other") == 2


async def test_cancelled_activities_are_told_apart_from_failed_ones(
    app: App, test: TestHost, metrics: MetricsObserver
) -> None:
    @app.activity
    async def until_canceled(context: ActivityContext) -> None:
        await context.cancellation.wait()
        context.cancellation.raise_if_requested()

    @app.orchestrator
    async def gives_up(ctx: Context) -> None:
        task = ctx.call_activity(until_canceled)
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(1)

    handle = await test.start(gives_up)
    await until(lambda: test.host.engine.runner.running)
    await test.advance(timedelta(seconds=1), with_activities=False)
    await handle.result()
    await test.idle()
    scraped = read(metrics)
    for outcome, count in (("canceled", 1), ("failed", 0), ("completed", 0)):
        name = {"activity": "until_canceled", "outcome": outcome}
        assert scraped.value("tenuto_activities_total", **name) == count


def test_an_attempt_that_never_began_counts_without_a_duration(metrics: MetricsObserver) -> None:
    work = ActivityWork(
        partition=0, iid=1, instance_id=InstanceId("one"), execution_id=ExecutionId("e"),
        sequence=1, task_id=1, name="gone", input=None, attempt=1, call_id=1, timeout=None,
    )  # fmt: skip
    failed = TaskFailed(1, FailureDetails("UnknownFunctionError", "no such activity"))
    metrics.activities_ended([work.answered(failed)], 1_000)
    scraped = read(metrics)
    assert scraped.value("tenuto_activities_total", activity="gone", outcome="failed") == 1
    assert scraped.value("tenuto_activities_total", activity="gone", outcome="completed") == 0
    assert scraped.value("tenuto_activity_seconds_count", activity="gone") == 0


async def test_dead_letters_and_refused_commits_are_counted_and_health_says_why(
    app: App, metrics: MetricsObserver, tmp_path: Path
) -> None:
    @app.orchestrator
    async def tells(ctx: Context) -> None:
        ctx.send_event("nobody", "hello")

    @app.orchestrator
    async def keeps(ctx: Context, text: str) -> int:
        return len(text)

    storage = SqliteStorage(tmp_path / "hub.db")
    async with Host(app, storage, observer=metrics) as host:
        metrics.watch(host.engine)
        handle = await host.client.start(tells)
        await handle.result()
        await until(lambda: read(metrics).value("tenuto_dead_letters_total") == 1)
        assert await check_health(host.engine) == health_of(host.engine)
        await storage._write(lambda writer: writer.connection.pragma("max_page_count", 1))
        starting = asyncio.ensure_future(host.client.start(keeps, "x" * 1_000_000))
        await until(lambda: read(metrics).value("tenuto_storage_failures_total") > 0)
        health = await check_health(host.engine)
        assert (health.live, health.ready) == (True, False)
        assert "does not take commits since 20" in health.reasons[0]
        await storage._write(lambda writer: writer.connection.pragma("max_page_count", 1_000_000))
        await (await starting).result()
        assert host.engine.pipeline.unavailable_since is None
        assert (await check_health(host.engine)).ready


async def test_health_says_that_a_host_starts_stops_is_blocked_or_has_lost_its_store(
    app: App,
) -> None:
    assert health_of(None).reasons == ("the host is starting",)
    async with TestHost(app) as test:
        engine = test.host.engine
        blocked = health_of(engine, 2.5)
        assert (blocked.live, blocked.ready) == (True, False)
        assert "one round took 2.5 s" in blocked.reasons[0]
    stopped = health_of(engine)
    assert (stopped.live, stopped.ready) == (True, False)
    assert "stopping" in stopped.reasons[0]


async def test_a_host_that_cannot_commit_any_more_is_not_live(app: App) -> None:
    class Broken(RecordingObserver):
        def crash_point(self, name: str) -> None:
            if name == "after_commit":
                raise ZeroDivisionError("a bug")

    @app.orchestrator
    async def quick(ctx: Context) -> None:
        pass

    async with Host(app, "sqlite://", observer=MetricsObserver(Broken(), version="1")) as host:
        with pytest.raises(StorageError):
            await host.client.start(quick)
        health = await check_health(host.engine)
        assert (health.live, health.ready) == (False, False)
        assert "ended by a bug" in health.reasons[0]


async def test_counters_go_on_over_a_restart_and_memory_is_told(
    app: App, test: TestHost, metrics: MetricsObserver
) -> None:
    @app.orchestrator
    async def quick(ctx: Context) -> None:
        pass

    await test.run(quick)
    await test.restart()
    metrics.watch(test.host.engine)
    await test.run(quick)
    scraped = read(metrics)
    assert scraped.value("tenuto_instances_ended_total", status="Completed") == 2
    assert scraped.value("process_resident_memory_bytes") > 1_000_000


async def test_lag_and_what_was_put_aside_are_shown_as_the_store_has_them(
    tmp_path: Path, metrics: MetricsObserver
) -> None:
    app = App()
    goes_on = asyncio.Event()
    retry = RetryPolicy(max_attempts=1, first_interval=timedelta(seconds=1))

    @app.subscribe("orders", name="slow", concurrency=1)
    async def slow(event: Event) -> None:
        await goes_on.wait()

    @app.subscribe("orders", name="broken", retry=retry)
    async def broken(event: Event) -> None:
        raise ValueError("no")

    async with Host(app, f"sqlite:///{tmp_path / 'hub.db'}", observer=metrics) as host:
        metrics.watch(host.engine)
        for number in range(3):
            await host.client.publish("orders", number)
        storage = host.engine.storage
        while not await storage.failed_counts():  # noqa: ASYNC110 - the store is asked
            await asyncio.sleep(0.005)
        assert "tenuto_topic_lag" in read(metrics).families  # before anybody has asked the store
        await metrics.refresh()
        found = read(metrics)
        assert found.value("tenuto_topic_lag", subscription="slow") == 3
        assert found.value("tenuto_topic_oldest_seconds", subscription="slow") > 0
        labels = {"source": "topic", "name": "orders", "function": "broken"}
        assert found.value("tenuto_failed_deliveries", **labels) >= 1
        goes_on.set()
        await host.client.enqueue("later", 1)
        await metrics.refresh()  # asked just now: what is known is shown again
        assert read(metrics).value("tenuto_topic_lag", subscription="slow") == 3
        assert host.engine.queues_seen == []
