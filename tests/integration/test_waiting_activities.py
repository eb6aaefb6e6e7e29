"""Sync activities that wait for other orchestrations do not take the threads that those need."""

import asyncio
import threading
from pathlib import Path

import pytest

from tenuto import App, Context, Host, Settings, SyncClient
from tenuto.telemetry.health import check_health
from tests.support.waiting import until


class Program:
    """Each ``ask`` starts an orchestration and waits for it in the thread of an activity."""

    def __init__(self) -> None:
        self.app = app = App()
        self.gate = threading.Event()
        self.client: SyncClient | None = None
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

        @app.activity
        def work(number: int) -> int:
            return number

        @app.activity
        def hold(number: int) -> int:
            self.gate.wait()
            return number

        @app.activity
        def ask(number: int, depth: int) -> int:
            with self._lock:
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
            assert self.client is not None
            found: int = self.client.start("nested", number, depth - 1).result()
            with self._lock:
                self._at_once -= 1
            return found

        @app.activity(max_concurrent=1)
        def ask_alone(number: int) -> int:
            assert self.client is not None
            found: int = self.client.start("alone", number).result()
            return found

        @app.orchestrator
        async def nested(ctx: Context, number: int, depth: int) -> int:
            if depth:
                return await ctx.call_activity(ask, number, depth)
            return await ctx.call_activity(work, number)

        @app.orchestrator
        async def held(ctx: Context, number: int) -> int:
            return await ctx.call_activity(hold, number)

        @app.orchestrator
        async def alone(ctx: Context, number: int) -> int:
            return await ctx.call_activity(ask_alone, number)


@pytest.mark.parametrize(("threads", "orders", "depth"), [(2, 8, 1), (1, 1, 4), (4, 5, 3)])
async def test_more_waiting_activities_than_threads_go_on(
    threads: int, orders: int, depth: int
) -> None:
    program = Program()
    settings = Settings(activity_threads=threads, drain_seconds=0)
    async with Host(program.app, "sqlite://", settings=settings) as host:
        program.client = SyncClient(host.client)
        handles = [await host.client.start("nested", one, depth) for one in range(orders)]
        async with asyncio.timeout(30):
            assert [await one.result() for one in handles] == list(range(orders))
        assert program.most_at_once > threads
        # Afterwards there are no more threads than there may be.
        rest = [await host.client.start("held", one) for one in range(2 * threads + 2)]
        await until(lambda: host.engine.runner.running == threads)
        await asyncio.sleep(0.05)
        assert host.engine.runner.running == threads
        program.gate.set()
        for one in rest:
            await one.result()
        assert host.engine.runner.shortages() == []


async def test_when_even_those_are_used_up_it_is_said_where(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = Program()
    settings = Settings(activity_threads=1, drain_seconds=0)
    async with Host(program.app, "sqlite://", settings=settings) as host:
        program.client = SyncClient(host.client)
        await host.client.start("nested", 7, 50, instance_id="deep")
        await until(host.engine.runner.shortages)
        (text,) = host.engine.runner.shortages()
        assert "no sync activity runs: 5 that wait for orchestrations hold all threads" in text
        assert f"{Path(__file__).name}:" in text
        assert "in ask" in text
        health = await check_health(host.engine)
        # Where its thread is at this instant may differ between two looks.
        assert [one.split(" at ")[0] for one in health.reasons] == [text.split(" at ")[0]]
        assert not health.ready
        await until(lambda: "waits for an orchestration and keeps its thread" in caplog.text)
        queued = await host.client.start("held", 1, instance_id="queued")
        await until(lambda: host.engine.runner.queued)
        why = await host.explain("queued")
        assert "no sync activity runs: 5 that wait" in why.sentence
        del queued


async def test_an_activity_that_waits_for_its_own_limit_is_explained() -> None:
    program = Program()
    async with Host(program.app, "sqlite://", settings=Settings(drain_seconds=0)) as host:
        program.client = SyncClient(host.client)
        await host.client.start("alone", 1)
        await until(lambda: host.engine.runner.queued)
        await host.client.start("alone", 2, instance_id="second")
        await until(lambda: host.engine.runner.queued > 1)
        sentence = (await host.explain("second")).sentence
        assert "1 at once (those that run wait for orchestrations)" in sentence
