"""The synchronous client: derived from the other one, for threads without an event loop."""

import asyncio
import gc
import importlib.util
import inspect
import multiprocessing
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from tenuto import (
    App,
    BlockingCallError,
    Client,
    ConnectionOptions,
    Context,
    GuardError,
    Host,
    InputError,
    OrchestrationFailedError,
    OrchestrationHandle,
    Settings,
    SettingsError,
    SyncClient,
    SyncOrchestrationHandle,
)
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tests.support.waiting import until

TOOL = Path(__file__).parents[3] / "tools/derive_sync_client.py"
SHORT = timedelta(milliseconds=50)

app = App()
made_outside: list[SyncClient] = []


@app.orchestrator
async def collect(ctx: Context, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("item", int) for _ in range(count)]


@app.orchestrator
async def asks(ctx: Context) -> None:
    made_outside[0].get_status("x")


@app.activity
def started_from_an_activity(count: int) -> list[int]:
    return made_outside[0].start(collect, count).result(timeout=timedelta(seconds=20))


@app.orchestrator
async def asks_in_an_activity(ctx: Context) -> list[int]:
    return await ctx.call_activity(started_from_an_activity, 0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    chosen = Settings(storage=f"sqlite:///{tmp_path}/hub.db", http=HttpSettings(port=0))
    async with Server(app, settings=chosen) as server:
        yield server


async def in_thread(work: Callable[[], None]) -> None:
    await asyncio.to_thread(work)


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "tenuto-sync-client"]


# --- derived -------------------------------------------------------------------------------------


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("derive_sync_client", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_module_is_what_the_tool_derives() -> None:
    assert tool().is_up_to_date(), "run `python tools/derive_sync_client.py`"


def test_a_changed_client_makes_the_module_out_of_date() -> None:
    derive = tool()
    source = derive.SOURCE.read_text(encoding="utf-8")
    changed = source.replace("force: bool = False", "force: bool = True")
    assert changed != source
    assert derive.derived(changed) != derive.derived(source)


@pytest.mark.parametrize(
    ("blocking", "awaited"),
    [(SyncClient, Client), (SyncOrchestrationHandle, OrchestrationHandle)],
)
def test_every_method_has_its_twin(blocking: type, awaited: type) -> None:
    def methods(owner: type) -> set[str]:
        found = inspect.getmembers(owner, inspect.isfunction)
        return {name for name, _ in found if not name.startswith("_")}

    assert methods(blocking) == methods(awaited)
    for name in methods(awaited) - {"close"}:
        wanted = inspect.signature(getattr(awaited, name)).parameters
        given = dict(inspect.signature(getattr(blocking, name)).parameters)
        given.pop("timeout", None)
        assert list(given) == list(wanted), name
        assert "await " not in (getattr(blocking, name).__doc__ or "await "), name


# --- blocking ------------------------------------------------------------------------------------


async def test_a_result_is_waited_for_as_long_as_is_said(server: Server) -> None:
    client = SyncClient(server.url)
    handle = await asyncio.to_thread(client.start, collect, 1)
    assert repr(handle) == f"<orchestration {handle.instance_id!r}>"
    with pytest.raises(TimeoutError, match="no answer within"):
        await asyncio.to_thread(handle.result, timeout=SHORT)
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(client.wait, handle.instance_id, timeout=SHORT)
    await until(lambda: not server.host.engine.callers.waiters)  # nobody waits for nobody
    await asyncio.to_thread(handle.raise_event, "item", 4)
    assert await asyncio.to_thread(handle.result, timeout=timedelta(seconds=20)) == [4]
    await asyncio.to_thread(client.close)


@pytest.mark.parametrize("timeout", [1, -SHORT, "1s"])
async def test_a_timeout_is_a_duration(server: Server, timeout: timedelta) -> None:
    def use() -> None:
        with SyncClient(server.url) as client, pytest.raises(InputError, match="timedelta"):
            client.wait("x", timeout=timeout)

    await in_thread(use)


async def test_errors_arrive_as_they_are(server: Server) -> None:
    def use() -> None:
        with SyncClient(server.url) as client:
            handle = client.start(asks)
            with pytest.raises(OrchestrationFailedError) as caught:
                handle.result()
            assert caught.value.failure.is_caused_by(GuardError)
            assert "use the context" in str(caught.value)

    made_outside[:] = [SyncClient(server.url)]
    await in_thread(use)
    made_outside.pop().close()


async def test_an_activity_may_use_it(server: Server) -> None:
    made_outside[:] = [SyncClient(server.host.client)]
    handle = await server.host.client.start(asks_in_an_activity)
    assert await handle.result() == []
    made_outside.pop().close()


async def test_many_threads_may_use_one(server: Server) -> None:
    def use() -> None:
        with SyncClient(server.url) as client, ThreadPoolExecutor(8) as pool:

            def round_trip(number: int) -> list[int]:
                handle = client.start(collect, 1)
                handle.raise_event("item", number)
                return handle.result(timeout=timedelta(seconds=20))

            assert list(pool.map(round_trip, range(24))) == [[n] for n in range(24)]

    await in_thread(use)


async def test_a_listing_is_an_iterator_that_may_be_left(server: Server) -> None:
    for number in range(120):
        await server.host.client.start(collect, 1, instance_id=f"i-{number}")

    def use() -> None:
        with SyncClient(server.url) as client:
            assert len(list(client.query())) == 120
            items = client.query()
            assert next(items).instance_id == "i-119"
            items.close()  # type: ignore[attr-defined]
            assert next(items, None) is None

    await in_thread(use)


# --- what it is made of --------------------------------------------------------------------------


async def test_a_given_client_is_called_on_its_own_loop_and_stays_open(server: Server) -> None:
    def use() -> None:
        with SyncClient(server.host.client) as client:
            assert client.start(collect, 0).result() == []
        with pytest.raises(BlockingCallError, match="closed"):
            client.get_status("x")

    await in_thread(use)
    assert threads() == []
    assert await server.host.client.get_status("x") is None


def test_a_client_made_outside_of_any_loop_may_be_given() -> None:
    client = SyncClient(
        Client("http://127.0.0.1:1", connection=ConnectionOptions(retry_for=timedelta(0)))
    )
    assert client._bridge._thread is not None
    client.close()


async def test_a_store_is_opened_and_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hub.db"
    with pytest.raises(SettingsError, match=r"hub\.db"):
        await asyncio.to_thread(SyncClient, url)
    assert threads() == []

    def use() -> None:
        with SyncClient(url, app) as client:
            assert client.start("collect", 0).result() == []

    async with Host(app, url):
        await in_thread(use)
    assert threads() == []


def test_wrong_makings_are_refused() -> None:
    with pytest.raises(SettingsError, match="must begin with http"):
        SyncClient("localhost:7071")
    with pytest.raises(InputError, match="for the URL of a server"):
        SyncClient("sqlite:///x.db", key="k")
    with pytest.raises(InputError, match="give nothing else"):
        SyncClient(Client("http://127.0.0.1:1"), key="k")
    assert threads() == []


# --- where it cannot be used ---------------------------------------------------------------------


async def test_a_thread_with_an_event_loop_is_not_blocked(server: Server) -> None:
    client = SyncClient(server.url)
    with pytest.raises(BlockingCallError, match=r"use Client and await.*to_thread"):
        client.start(collect, 0)
    with pytest.raises(BlockingCallError):
        list(client.query())
    client.close()
    assert [one async for one in server.host.client.query()] == []


async def test_closing_ends_the_calls_of_other_threads(server: Server) -> None:
    client = SyncClient(server.url)
    handle = await asyncio.to_thread(client.start, collect, 1)
    waiting = asyncio.ensure_future(asyncio.to_thread(handle.result))
    await until(lambda: server.host.engine.callers.waiters)
    await asyncio.to_thread(client.close)
    with pytest.raises(BlockingCallError, match="closed"):
        await waiting
    client.close()
    assert threads() == []


async def test_one_that_is_forgotten_lets_its_thread_go(server: Server) -> None:
    client = SyncClient(server.url)
    assert threads()
    del client
    gc.collect()
    await until(lambda: not threads())


async def test_a_client_whose_loop_is_gone_says_so(tmp_path: Path) -> None:
    def use(client: Client) -> None:
        with pytest.raises(BlockingCallError, match="event loop is"):
            SyncClient(client).get_status("x")

    def make() -> Client:
        async def made() -> Client:
            return Client("http://127.0.0.1:1")

        return asyncio.run(made())

    client = await asyncio.to_thread(make)
    await asyncio.to_thread(use, client)


def _ask_in_child(client: SyncClient) -> None:
    try:
        client.get_status("x")
    except BlockingCallError as error:
        client.close()  # harmless
        os._exit(7 if "was forked" in str(error) else 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_is_told_to_make_its_own() -> None:
    client = SyncClient("http://127.0.0.1:1")
    child = multiprocessing.get_context("fork").Process(target=_ask_in_child, args=(client,))
    child.start()
    child.join(20)
    client.close()
    assert child.exitcode == 7


def test_an_interrupted_call_is_given_up() -> None:
    client = SyncClient("http://127.0.0.1:1")
    began = time.monotonic()

    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        client._bridge.run(forever(), SHORT)
    assert time.monotonic() - began < 10
    client.close()
