"""When a server that is there on demand may sleep, and until when."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import msgspec
import pytest

from tenuto import App, Context
from tenuto.host.on_demand.idleness import Idleness, Rest
from tenuto.host.on_demand.line import SleeperLine, Woken
from tenuto.host.on_demand.options import OnDemandSettings
from tenuto.host.on_demand.sleeper import signature
from tenuto.host.server import Server
from tenuto.host.settings import load_settings
from tenuto.link.links import let_in, link_store
from tenuto.model.timing import MICROSECONDS
from tenuto.storage import arrival_numbers
from tests.support.terminal import tenuto_here

HOUR = 3_600 * MICROSECONDS
SOON = OnDemandSettings(idle_seconds=0.2)


def functions() -> App:
    app = App()

    @app.orchestrator
    async def waits(ctx: Context, seconds: float) -> None:
        await ctx.create_timer(timedelta(seconds=seconds))

    @app.queue("orders")
    def order(what: str) -> None:
        raise AssertionError(what)

    return app


@asynccontextmanager
async def serving(folder: Path, app: App | None = None) -> AsyncIterator[Server]:
    settings = load_settings(
        environment={}, folder=folder, storage=f"sqlite:///{folder}/store.db", http_port=0
    )
    async with Server(functions() if app is None else app, settings=settings.values) as server:
        yield server


async def rest_of(server: Server, settings: OnDemandSettings = SOON) -> Rest:
    async with asyncio.timeout(10):
        return await Idleness(server, settings, is_called=True).rest()


async def stays_awake(server: Server) -> bool:
    try:
        async with asyncio.timeout(0.8):
            await Idleness(server, SOON, is_called=True).rest()
    except TimeoutError:
        return True
    return False


async def test_with_nothing_to_do_it_sleeps_until_it_is_called(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        rest = await rest_of(server)
        assert (rest.wake_at, rest.why) == (None, "")
        assert rest.numbers == arrival_numbers(server.settings.storage)
        with pytest.raises(httpx2.ConnectError):
            async with httpx2.AsyncClient(timeout=1) as caller:
                await caller.get(f"{server.url}/healthz")


async def test_it_wakes_for_what_is_due_first(tmp_path: Path) -> None:
    app = functions()

    @app.timer("23:00:00")
    def nightly() -> None:
        raise AssertionError

    async with serving(tmp_path, app) as server:
        now = server.host.clock.now()
        rest = await rest_of(server)
        assert rest.why == "timer 'nightly'"
        await server.host.client.enqueue("orders", "tea", delay=timedelta(hours=2))
        rest = await rest_of(server)
        assert rest.why == "a message of queue 'orders'"
        assert rest.wake_at is not None
        assert 0 <= rest.wake_at - now - 2 * HOUR < HOUR
        await server.host.client.start("waits", 3_600.0)
        rest = await rest_of(server)
        assert rest.why == "an instance whose time has come"
        assert rest.wake_at is not None
        assert 0 <= rest.wake_at - now - HOUR < HOUR


async def test_for_a_moment_it_does_not_sleep(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        await server.host.client.start("waits", 0.5)
        rest = await rest_of(server, OnDemandSettings(idle_seconds=0.4))
        assert rest.wake_at is None, "it has passed meanwhile"


async def test_an_open_stream_keeps_it_awake(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, httpx2.AsyncClient() as caller:
        async with caller.stream("GET", f"{server.url}/admin/events") as stream:
            assert stream.status_code == 200
            assert await stays_awake(server)
        assert (await rest_of(server)).wake_at is None


async def test_a_stream_that_is_opened_at_the_edge_of_sleep_does_not_keep_others_waiting(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server:
        idleness = Idleness(server, SOON, is_called=True)
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            await idleness.rest()
            writer.write(b"GET /admin/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            assert await idleness.let_finish(), "it is started again at once, for all others"
        writer.close()
        await writer.wait_closed()


async def test_what_only_a_running_app_sees_keeps_it_awake_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = functions()
    (tmp_path / "inbox").mkdir()

    @app.files(str(tmp_path / "inbox"))
    def read() -> None:
        raise AssertionError

    with caplog.at_level(logging.WARNING, "tenuto.on_demand"):
        async with serving(tmp_path, app) as server:
            await let_in(link_store(server.host.engine.storage), "edge")
            assert await stays_awake(server)
    assert caplog.messages == [
        "it does not sleep: only a running app sees files of a folder, a linked hub"
    ]


async def test_what_came_while_it_ended_wakes_it_at_once(tmp_path: Path) -> None:
    """no_silent_drop"""
    async with serving(tmp_path) as server:
        rest = await rest_of(server)
        settings = server.host.settings
        await server.host.client.enqueue("others", "tea")  # its last look was before that
    said = []
    for numbers in (rest.numbers, arrival_numbers(settings.storage)):
        ours, theirs = socket.socketpair()
        facts = Woken(
            listening=0, channel=theirs.detach(), is_first=True, is_called=True, is_handed_in=False
        )
        line = SleeperLine(facts)
        stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        line.serving(stop)
        told = msgspec.structs.replace(rest, numbers=numbers)
        await line.sleeps(told, settings, was_busy=False)
        with ours:
            said.append([msgspec.json.decode(one) for one in ours.recv(10_000).splitlines()][-1])
        line.close()
    assert said[0]["why"] == "what came while the app's process ended"
    assert abs(said[0]["wake_at"] - server.host.clock.now()) < 10 * MICROSECONDS
    assert (said[1]["why"], said[1]["wake_at"]) == ("", None)
    assert said[1]["signature"] == signature(said[1]["path"])


async def test_what_others_write_shows_and_what_they_read_does_not(tmp_path: Path) -> None:
    """no_silent_drop"""
    path = tmp_path / "store.db"
    async with serving(tmp_path) as server:
        rest = await rest_of(server)
    url = f"sqlite:///{path}"
    files = signature(str(path))
    assert arrival_numbers(url) == rest.numbers
    await asyncio.to_thread(tenuto_here, tmp_path, "queues", "list", "--storage", url)
    assert signature(str(path)) == files
    sent = ("queues", "send", "orders", "1", "--storage", url)
    assert (await asyncio.to_thread(tenuto_here, tmp_path, *sent)).returncode == 0
    assert signature(str(path)) != files
    assert arrival_numbers(url) != rest.numbers
