"""Sync activities that wait for other orchestrations do not take the threads that those need."""

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
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
        self.at_once = 0
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
            with self._counted() as client:
                found: int = client.start("nested", number, depth - 1).result()
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

        self._add_waits_for_people()

    def _add_waits_for_people(self) -> None:
        app = self.app

        @app.activity
        def ask_people(number: int) -> int:
            with self._counted() as client:
                instance_id = f"approval-{number}"
                if client.get_status(instance_id) is None:
                    client.start("approval", instance_id=instance_id)
                found: int = client.handle(instance_id).result()
            return found

        @app.orchestrator
        async def waiting(ctx: Context, number: int) -> int:
            return await ctx.call_activity(ask_people, number)

        @app.orchestrator
        async def approval(ctx: Context) -> int:
            return await ctx.wait_for_external_event("approved", int)

    @contextmanager
    def _counted(self) -> Generator[SyncClient]:
        while self.client is None:  # a host runs what it finds before it has started whole
            time.sleep(0.01)
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield self.client
        finally:
            with self._lock:
                self.at_once -= 1


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


async def test_when_they_wait_for_each_other_without_end_it_is_said_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = Program()
    settings = Settings(activity_threads=1, drain_seconds=0)
    async with Host(program.app, "sqlite://", settings=settings) as host:
        program.client = SyncClient(host.client)
        await host.client.start("nested", 7, 50, instance_id="deep")
        await until(lambda: "begin, nor do others that may wait for orchestrations" in caplog.text)
        (told,) = [one for one in caplog.messages if "nor do others" in one]
        assert "4 do so already, and 4 may at once" in told
        assert "activity 'ask' of instance 'deep', task 1, attempt 1 at " in told
        assert f"{Path(__file__).name}:" in told
        assert "in ask" in told
        program.gate.set()
        async with asyncio.timeout(30):
            assert await (await host.client.start("held", 1)).result() == 1
        instances = [one.instance_id async for one in host.client.query()]
        sentences = [(await host.explain(one)).sentence for one in instances]
        (sentence,) = [one for one in sentences if "those that wait for orchestrations" in one]
        assert "queued at place 1 behind those that wait for orchestrations, 4 at once" in sentence
        assert host.engine.runner.shortages() == []
        assert (await check_health(host.engine)).ready


async def test_one_never_takes_all_however_many_wait_for_orchestrations(tmp_path: Path) -> None:
    threads, orders = 4, 40
    storage = f"sqlite:///{tmp_path / 's.db'}"
    settings = Settings(activity_threads=threads, drain_seconds=0)
    for is_again in (False, True):  # then all of them are in the queue from the beginning
        program = Program()
        program.gate.set()
        async with Host(program.app, storage, settings=settings) as host:
            program.client = SyncClient(host.client)
            for number in range(0 if is_again else orders):
                await host.client.start("waiting", number, instance_id=f"order-{number}")
            await until(lambda: program.at_once == 4 * threads)  # noqa: B023 - called here alone
            async with asyncio.timeout(60):
                handles = [await host.client.start("held", one) for one in range(orders)]
                assert [await one.result() for one in handles] == list(range(orders))
            if not is_again:
                continue
            async with asyncio.timeout(60):
                await approve_all(host, orders)
                for number in range(orders):
                    assert await host.client.handle(f"order-{number}").result() == number
            assert program.most_at_once == 4 * threads


async def approve_all(host: Host, orders: int) -> None:
    left = set(range(orders))
    while left:
        for number in sorted(left):
            if await host.client.get_status(f"approval-{number}") is not None:
                await host.client.raise_event(f"approval-{number}", "approved", number)
                left.remove(number)
        await asyncio.sleep(0.01)  # one that stood aside asks when another one has its answer


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
