"""What blocks the host's loop is named in the log, while it does and when it ends."""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tenuto import App, Context, Host, Settings
from tenuto.host.loop_watch import LoopWatch
from tenuto.host.own_loop import fast_loop_factory
from tests.support.waiting import until

SOON = Settings(blocked_turn_seconds=0.2, blocked_loop_seconds=0.2)

OF_A_TEST = re.compile(r"(the loop of this host goes on; )?test_\w+ (has )?blocked ")


class Listener(logging.Handler):
    """Collects what the host says, and lets go what waits for it.

    What is said of a test's own steps is left out: a machine that gives a test no time for
    as long as the limit blocks the loop as well, and is rightly told of.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []
        self.heard = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage()
        if OF_A_TEST.match(told):
            return
        self.told.append(told)
        self.heard.set()

    def has_told(self, count: int) -> bool:
        return len(self.told) == count


@pytest.fixture
def listener() -> Iterator[Listener]:
    handler = Listener()
    logger = logging.getLogger("tenuto.host")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_an_async_activity_that_blocks_is_named_with_instance_and_line(
    app: App, listener: Listener
) -> None:
    @app.activity
    async def resize(picture: str) -> bool:
        return listener.heard.wait(20)

    @app.orchestrator
    async def album(ctx: Context) -> bool:
        return await ctx.call_activity(resize, "sea.png")

    async with Host(app, "sqlite://", settings=SOON) as host:
        handle = await host.client.start(album, instance_id="album-1")
        assert await handle.result()
        await until(lambda: len(listener.told) == 2)
    blocked, over = listener.told
    assert re.match(
        r"activity 'resize' of instance 'album-1' has blocked this host's loop for \d\.", blocked
    )
    assert re.search(
        rf"It is at {re.escape(__file__)}:\d+ in \S*{re.escape('<locals>.resize')}$", blocked
    )
    assert re.match(
        r"the loop of this host goes on; activity 'resize' of instance 'album-1' blocked it for "
        r"\d\.\d seconds",
        over,
    )


async def test_whatever_else_blocks_is_named_by_the_users_own_function(
    app: App, listener: Listener
) -> None:
    def serve_slowly() -> None:
        assert listener.heard.wait(20)

    async with Host(app, "sqlite://", settings=SOON):
        asyncio.get_running_loop().call_soon(serve_slowly)
        await until(lambda: len(listener.told) == 2)
    assert "serve_slowly has blocked this host's loop for " in listener.told[0]
    assert f"{__file__}:" in listener.told[0]
    assert "serve_slowly blocked it for " in listener.told[1]


async def test_each_time_it_blocks_is_told_once(app: App, listener: Listener) -> None:
    def block() -> None:
        listener.heard.clear()
        assert listener.heard.wait(20)
        time.sleep(SOON.blocked_loop_seconds * 2)  # looked at again meanwhile, and not told

    async with Host(app, "sqlite://", settings=SOON):
        for count in (2, 4):
            asyncio.get_running_loop().call_soon(block)
            await until(partial(listener.has_told, count))
    assert [" has blocked " in one for one in listener.told] == [True, False, True, False]


async def test_a_turn_that_blocks_is_told_as_a_turn_only(app: App, listener: Listener) -> None:
    @app.orchestrator
    async def blocking(_ctx: Context) -> bool:
        return listener.heard.wait(20)

    async with Host(app, "sqlite://", settings=SOON) as host:
        handle = await host.client.start(blocking, instance_id="slow-1")
        assert await handle.result()
    assert [one.split(" has ")[0] for one in listener.told] == ["instance 'slow-1' (blocking)"]


async def test_a_busy_loop_that_goes_round_is_not_told(app: App, listener: Listener) -> None:
    async with Host(app, "sqlite://", settings=SOON):
        end = time.monotonic() + SOON.blocked_loop_seconds * 5
        while time.monotonic() < end:  # noqa: ASYNC110 - the loop shall be busy
            await asyncio.sleep(0)
    assert listener.told == []


async def test_a_resting_loop_that_the_machine_gives_no_time_to_answer_is_not_told(
    app: App, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    is_resting = LoopWatch.is_resting

    def busy_at_first(self: LoopWatch, frame: object) -> bool:
        looks.append(bool(looks) and is_resting(self, frame))  # type: ignore[arg-type]
        return looks[-1]

    monkeypatch.setattr(LoopWatch, "is_resting", busy_at_first)
    monkeypatch.setattr(LoopWatch, "_answer", lambda _self: None)
    async with Host(app, "sqlite://", settings=SOON):
        await until(lambda: looks.count(True) > 20)
    assert looks[0] is False
    assert listener.told == []


@pytest.mark.parametrize(
    "make_loop", [asyncio.new_event_loop, fast_loop_factory() or asyncio.new_event_loop]
)
def test_waiting_costs_nothing_a_loop_that_rests_is_not_asked(
    app: App, monkeypatch: pytest.MonkeyPatch, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    asked: list[float] = []
    looks: list[bool] = []
    ask, is_resting = LoopWatch.ask, LoopWatch.is_resting

    def count_asking(self: LoopWatch) -> None:
        asked.append(time.monotonic())
        ask(self)

    def count_looks(self: LoopWatch, frame: object) -> bool:
        looks.append(is_resting(self, frame))  # type: ignore[arg-type]
        return looks[-1]

    monkeypatch.setattr(LoopWatch, "ask", count_asking)
    monkeypatch.setattr(LoopWatch, "is_resting", count_looks)

    @app.orchestrator
    async def waiting(ctx: Context) -> None:
        await ctx.create_timer(timedelta(days=1))

    async def rest() -> None:
        async with Host(app, "sqlite://", settings=SOON) as host:
            await host.client.start(waiting)
            await asyncio.sleep(0.2)  # what starts is busy
            asked.clear()
            looks.clear()
            await asyncio.sleep(1)
            assert len(looks) >= 3
            assert len(asked) <= 1
            assert looks.count(True) >= len(looks) - 1

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(rest())


async def test_a_debugger_is_told_of_once_and_then_left_alone(
    app: App, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tenuto.host")
    listener.setLevel(logging.INFO)
    looked = threading.Event()

    settings = Settings(blocked_loop_seconds=0.2)
    async with Host(app, "sqlite://", settings=settings) as host:
        watchdog = host._watchdog
        assert watchdog is not None
        leave = watchdog._leave_alone
        count = 0

        def count_leaving(stopped_at: str) -> None:
            nonlocal count
            leave(stopped_at)
            count += 1
            if count > 5:
                looked.set()

        watchdog._leave_alone = count_leaving  # type: ignore[method-assign]
        # As a debugger's own module does, at its prompt.
        prompt: dict[str, object] = {"__name__": "pdb", "looked": looked}
        exec("def interaction():\n    assert looked.wait(20)", prompt)
        interaction: Any = prompt["interaction"]

        watch = watchdog._loop_watch
        assert watch is not None

        def stop_and_go_on() -> None:
            while not watch.is_asked:
                pass
            interaction()
            time.sleep(settings.blocked_loop_seconds / 2)  # the time at the prompt does not count

        listener.told.clear()
        asyncio.get_running_loop().call_soon(stop_and_go_on)
        await until(looked.is_set)
        await asyncio.sleep(0)
    (told,) = [one for one in listener.told if "debugger" in one]
    assert told.startswith("a debugger is at ")
    assert not any("has blocked" in one for one in listener.told)
