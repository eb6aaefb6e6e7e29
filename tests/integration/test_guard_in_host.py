"""The guard in a running host: what fails, what is left alone, what production only warns of."""

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time as imported_by_name

import pytest

from tenuto import (
    App,
    Context,
    GuardError,
    Host,
    OrchestrationFailedError,
    Settings,
    SubOrchestrationError,
)
from tenuto.host.own_loop import run_on_fast_loop
from tenuto.model.events import OrchestratorStarted, TaskScheduled
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.histories import of_type

# Each looks its function up when it is called, as code in an orchestrator does.
# ruff: noqa: PLW0108
MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "clock": (lambda: time.time(), "time.time() inside an orchestrator"),
    "clock in C": (lambda: datetime.now(UTC), "datetime.now() inside an orchestrator"),
    "clock by name": (lambda: imported_by_name(), "time.time() inside an orchestrator"),
    "chance": (lambda: random.choice("ab"), "random.choice() inside an orchestrator"),
    "id": (lambda: uuid.uuid4(), "uuid.uuid4() inside an orchestrator"),
    "secret": (lambda: secrets.token_hex(), "secrets.token_hex() inside an orchestrator"),
    "file": (lambda: Path(__file__).read_text(), "open("),
    "thread": (lambda: threading.Thread(target=int).start(), "thread"),
    "socket": (lambda: socket.socket(), "socket.__new__"),
    "process": (lambda: subprocess.run(["true"], check=False), "subprocess.Popen"),
}


def failure_of(failed: pytest.ExceptionInfo[OrchestrationFailedError]) -> str:
    failure = failed.value.failure
    assert failure.error_type == "tenuto.model.errors.GuardError"
    return failure.error_message


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_replay_is_pure_a_mistake_fails_the_instance_at_its_line(
    app: App, test: TestHost, mistake: str
) -> None:
    make, told = MISTAKES[mistake]

    @app.orchestrator
    async def mistaken(ctx: Context) -> str:
        await ctx.create_timer(timedelta(hours=1))
        return str(make())

    with pytest.raises(OrchestrationFailedError) as failed:
        await test.run(mistaken)
    message = failure_of(failed)
    assert told in message
    assert f"at {__file__}:" in message


async def test_a_swallowed_mistake_fails_the_instance_and_its_turn_decides_nothing(
    app: App, test: TestHost
) -> None:
    ran: list[str] = []

    @app.activity
    def note(text: str) -> None:
        ran.append(text)

    @app.orchestrator
    async def mistaken(ctx: Context) -> None:
        await ctx.call_activity(note, "before")
        _ = ctx.call_activity(note, "in the turn of the mistake")
        with contextlib.suppress(GuardError):
            time.time()
        await ctx.call_activity(note, "after")

    handle = await test.start(mistaken, instance_id="swallowed")
    with pytest.raises(OrchestrationFailedError) as failed:
        await handle.result()
    assert failure_of(failed).startswith("time.time()")
    assert ran == ["before"]
    events = await test.client.history("swallowed")
    assert [event.input for event in of_type(events, TaskScheduled)] == ['"before"']


async def test_a_childs_mistake_is_its_parents_error(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def child(_ctx: Context) -> float:
        return random.random()

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            return str(await ctx.call_sub_orchestrator(child))
        except SubOrchestrationError as error:
            return error.failure.error_type

    assert await test.run(parent) == "tenuto.model.errors.GuardError"


async def test_activities_may_use_everything(app: App, test: TestHost, tmp_path: Path) -> None:
    def use_everything() -> list[bool]:
        file = tmp_path / uuid.uuid4().hex
        file.write_text("x")
        thread = threading.Thread(target=file.unlink)
        thread.start()
        thread.join()
        socket.socket().close()
        done = subprocess.run([sys.executable, "-c", ""], check=True)
        return [
            time.time() > 0 and time.monotonic() > 0 and time.strftime("%Y") > "2000",
            datetime.now(UTC).year > 2000 and imported_by_name() > 0,
            0 <= random.random() < 1 and random.choice("ab") in "ab",
            uuid.uuid4() != uuid.uuid1() and bool(secrets.token_hex()) and bool(os.urandom(1)),
            done.returncode == 0 and not file.exists(),
        ]

    @app.activity
    def in_a_thread() -> list[bool]:
        return use_everything()

    @app.activity
    async def on_the_loop() -> list[bool]:
        await asyncio.sleep(0)
        return use_everything()

    @app.orchestrator
    async def both(ctx: Context) -> list[bool]:
        tasks = [ctx.call_activity(in_a_thread), ctx.call_activity(on_the_loop)]
        return [used for task in await asyncio.gather(*tasks) for used in task]

    assert await test.run(both) == [True] * 10


async def test_an_instance_that_was_fine_until_a_deployment_says_what_is_wrong_now(
    app: App, test: TestHost, unreplayable: set[str]
) -> None:
    is_deployed: list[bool] = []

    @app.activity
    def greet() -> str:
        return "hello"

    @app.orchestrator
    async def changing(ctx: Context) -> str:
        if is_deployed:
            time.time_ns()
        await ctx.call_activity(greet)
        await ctx.wait_for_external_event("go")
        return "went"

    unreplayable.add("changed")
    handle = await test.start(changing, instance_id="changed")
    await test.idle()
    is_deployed.append(True)
    await test.restart()
    await handle.raise_event("go")
    with pytest.raises(OrchestrationFailedError) as failed:
        await handle.result()
    assert "time.time_ns() inside an orchestrator, at " in failure_of(failed)
    assert len(of_type(await test.client.history("changed"), OrchestratorStarted)) > 1
    ((instance_id, text),) = test.problems  # the event of the turn that failed is not lost
    assert (instance_id, text.startswith("dead letter: its turn failed")) == ("changed", True)
    test.problems.clear()


async def test_imports_by_name_are_told_when_a_host_starts(app: App, open_host: OpenHost) -> None:
    @app.orchestrator
    async def by_name(_ctx: Context) -> float:
        return imported_by_name()

    test = await open_host(app)
    ((instance_id, text),) = test.problems
    assert instance_id is None
    assert "uses time.time, imported by name as 'imported_by_name'" in text
    test.problems.clear()


# --- production: a host with its defaults ---------------------------------------------------------


def _clock_in_c(app: App) -> None:
    @app.orchestrator
    async def stamped(ctx: Context) -> bool:
        await ctx.create_timer(timedelta(0))
        return datetime.now(UTC).year > 2000


def _run(app: App, settings: Settings, name: str, times: int) -> list[object]:
    """Results of a host as ``app.run`` and the command line have it."""

    async def run() -> list[object]:
        async with Host(app, "sqlite://", settings=settings) as host:
            handles = [await host.client.start(name) for _ in range(times)]
            return [await handle.result() for handle in handles]

    return list(run_on_fast_loop(run()))


def test_in_production_the_cheap_part_always_holds(app: App) -> None:
    @app.orchestrator
    async def mistaken(_ctx: Context) -> float:
        return time.time()

    with pytest.raises(OrchestrationFailedError) as failed:
        _run(app, Settings(guard_every=0), "mistaken", 1)
    assert failure_of(failed).startswith("time.time()")


def test_in_production_clocks_written_in_c_are_warned_of_once(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    _clock_in_c(app)
    assert _run(app, Settings(guard_every=3), "stamped", 30) == [True] * 30
    told = [one.getMessage() for one in caplog.records if "datetime.now()" in one.getMessage()]
    assert len(told) == 1
    assert f"{__file__}:" in told[0]


def test_in_production_the_guard_can_be_made_to_look_at_all_or_nothing(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    _clock_in_c(app)
    assert _run(app, Settings(guard_every=0), "stamped", 10) == [True] * 10
    assert caplog.records == []
    with pytest.raises(OrchestrationFailedError) as failed:
        _run(app, Settings(guard_every=1), "stamped", 1)
    assert failure_of(failed).startswith("datetime.now()")


async def test_logging_in_the_plain_way_is_allowed(
    app: App, test: TestHost, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    logger = logging.getLogger("tests.plain")
    handler = logging.FileHandler(tmp_path / "log", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)

    @app.orchestrator
    async def talking(ctx: Context) -> str:
        logger.warning("a plain line")
        ctx.logger.warning("a line of the context")
        return "said"

    try:
        assert await test.run(talking) == "said"
    finally:
        logger.removeHandler(handler)
        handler.close()
    said = [record.getMessage() for record in caplog.records]
    assert said.count("a line of the context") == 1
    assert "a plain line" in said
    assert (tmp_path / "log").read_text().endswith(" a plain line\n")
