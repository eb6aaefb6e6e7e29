"""The time that an activity waits for its beginning has a limit, counted from its scheduling."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenuto import ActivityTimeoutError, App, Context, Host, InputError, RetryPolicy, Settings
from tenuto.model.errors import ScheduleToStartTimeoutError
from tenuto.model.events import TaskFailed
from tenuto.model.explanation import ActivityWait
from tenuto.testing import TestHost
from tests.support.waiting import until

MINUTE = timedelta(minutes=1)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def program(gate: threading.Event, begun: list[str]) -> App:
    app = App()

    @app.activity(
        max_concurrent=1,
        schedule_to_start_timeout=5 * MINUTE,
        retry=RetryPolicy(max_attempts=3, first_interval=timedelta(0)),
    )
    def charge(name: str) -> str:
        begun.append(name)
        gate.wait()
        return name

    @app.orchestrator
    async def order(ctx: Context, name: str) -> str:
        try:
            return await ctx.call_activity(charge, name)
        except ActivityTimeoutError as error:
            is_named = error.failure.is_caused_by(ScheduleToStartTimeoutError)
            return f"{name} was too late: {is_named}"

    @app.orchestrator
    async def patient(ctx: Context, name: str) -> str:
        return await ctx.call_activity(
            charge.options(schedule_to_start_timeout=None, retry=None), name
        )

    return app


async def test_who_waits_too_long_is_told_once_and_in_virtual_time(gate: threading.Event) -> None:
    begun: list[str] = []
    async with TestHost(program(gate, begun)) as test:
        first = await test.client.start("order", "first")
        await until(lambda: begun == ["first"])
        second = await test.client.start("order", "second", instance_id="second")
        third = await test.client.start("patient", "third")
        await test.idle(with_activities=False)
        (wait,) = (await test.explain("second")).facts
        assert isinstance(wait, ActivityWait)
        assert (wait.stage, wait.place) == ("queued", 1)
        await test.advance(timedelta(minutes=4, seconds=59), with_activities=False)
        assert not (await second.status()).runtime_status.is_finished
        await test.advance(timedelta(seconds=1), with_activities=False)
        assert await second.result() == "second was too late: True"
        gate.set()
        assert await first.result() == "first"
        assert await third.result() == "third"
        assert begun == ["first", "third"]
        history = await test.client.history("second")
        (failed,) = [one for one in history if isinstance(one, TaskFailed)]
        assert failed.failure_details.is_non_retriable
        await test.check_replay("second")


async def test_the_time_counts_over_a_restart_of_the_host(
    gate: threading.Event, tmp_path: Path
) -> None:
    begun: list[str] = []
    app = App()

    @app.activity(max_concurrent=1, schedule_to_start_timeout=timedelta(seconds=1.5))
    def charge(name: str) -> str:
        begun.append(name)
        gate.wait()
        return name

    @app.orchestrator
    async def order(ctx: Context, name: str) -> str:
        try:
            return await ctx.call_activity(charge, name)
        except ActivityTimeoutError:
            return "late"

    store = f"sqlite:///{tmp_path}/s.db"
    settings = Settings(drain_seconds=0)
    async with Host(app, store, settings=settings) as host:
        await host.client.start(order, "first")
        await until(lambda: begun == ["first"])
        await host.client.start(order, "second", instance_id="second")
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)
    gate.set()
    async with Host(app, store, settings=settings) as host:
        assert await host.client.handle("second").result() == "late"
    assert "second" not in begun


def test_what_is_no_duration_is_refused() -> None:
    app = App()

    def charge() -> None:
        pass

    wrongs: list[Any] = [5, timedelta(0), "1 s"]
    for wrong in wrongs:
        with pytest.raises(InputError, match="schedule_to_start_timeout must be"):
            app.activity(schedule_to_start_timeout=wrong)(charge)
