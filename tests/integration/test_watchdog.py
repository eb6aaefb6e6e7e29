"""The watchdog tells of a turn that does not end, while it does not end."""

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tenuto import App, Context, Host, Settings
from tenuto.host.watchdog import _Turn
from tenuto.model.ids import InstanceId

SOON = Settings(blocked_turn_seconds=0.1)


class Listener(logging.Handler):
    """Collects warnings, and lets go what waits for the first."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []
        self.heard = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())
        self.heard.set()


@pytest.fixture
def listener() -> Iterator[Listener]:
    handler = Listener()
    logger = logging.getLogger("tenuto.host")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def watchdogs() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "tenuto-watchdog"}


async def test_a_turn_that_blocks_is_told_with_its_instance_and_line(
    app: App, listener: Listener
) -> None:
    @app.orchestrator
    async def blocking(_ctx: Context) -> bool:
        return listener.heard.wait(20)

    async with Host(app, "sqlite://", settings=SOON) as host:
        handle = await host.client.start(blocking, instance_id="slow-1")
        assert await handle.result()
    (told,) = listener.told
    assert told.startswith("instance 'slow-1' (blocking) has kept this host busy for ")
    assert f'File "{__file__}", line' in told
    assert "in blocking" in told


async def test_a_turn_is_told_once_and_the_next_one_again(app: App, listener: Listener) -> None:
    looks = 0

    @app.orchestrator
    async def blocking(ctx: Context) -> int:
        for _ in range(2):
            listener.heard.clear()
            listener.heard.wait(20)
            first = looks
            while looks < first + 8:
                pass
            await ctx.create_timer(timedelta(0))
        return len(listener.told)

    async with Host(app, "sqlite://", settings=SOON) as host:
        watchdog = host._watchdog
        assert watchdog is not None
        look = watchdog._current_turn

        def count() -> object:
            nonlocal looks
            looks += 1
            return look()

        watchdog._current_turn = count  # type: ignore[assignment, method-assign]
        handle = await host.client.start(blocking)
        assert await handle.result() == 2
    assert len(listener.told) == 2


async def test_a_session_that_refuses_to_be_closed_is_told(app: App, listener: Listener) -> None:
    @app.orchestrator
    async def clinging(ctx: Context) -> None:
        try:
            await ctx.wait_for_external_event("never")
        finally:
            listener.heard.wait(20)

    async with Host(app, "sqlite://", settings=SOON) as host:
        await host.client.start(clinging, instance_id="clinging-1")
    (told,) = listener.told
    assert "instance 'clinging-1' (clinging)" in told
    assert "in clinging" in told


async def test_quick_turns_of_a_busy_host_are_not_told(app: App, listener: Listener) -> None:
    @app.activity
    def echo(number: int) -> int:
        return number

    @app.orchestrator
    async def long_but_quick(ctx: Context) -> int:
        return sum([await ctx.call_activity(echo, number) for number in range(500)])

    async with Host(app, "sqlite://", settings=SOON) as host:
        handle = await host.client.start(long_but_quick)
        assert await handle.result() == sum(range(500))
        assert host.engine.busy_with is None
    assert listener.told == []


async def test_a_turn_that_ends_while_it_is_looked_at_is_not_told(
    app: App, listener: Listener
) -> None:
    async with Host(app, "sqlite://", settings=SOON) as host:
        watchdog = host._watchdog
        assert watchdog is not None
        assert not watchdog._tell(_Turn(1, 0, 3, InstanceId("slow-1"), "blocking"), 7.0)
    assert listener.told == []


async def test_the_watchdog_comes_and_goes_with_its_host(app: App) -> None:
    before = watchdogs()
    async with Host(app, "sqlite://", settings=SOON):
        (watchdog,) = watchdogs() - before
        assert watchdog.daemon
    assert not watchdog.is_alive()
    never = Settings(blocked_turn_seconds=0, blocked_loop_seconds=0)
    async with Host(app, "sqlite://", settings=never):
        assert watchdogs() <= before
