"""The four ways to reach instances: in process, through the store, over HTTP, and blocking."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from tenuto import (
    Client,
    Host,
    InstanceExistsError,
    InstanceFilter,
    Limits,
    OrchestrationHandle,
    RuntimeStatus,
    Settings,
    StorageUnavailableError,
    SyncClient,
    SyncOrchestrationHandle,
)
from tenuto.host.server import Server
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.model.ids import new_execution_id
from tests.conformance.client_suite import PAYLOAD_BYTES, ClientSuite, Side, app
from tests.support.facts import asks

KEY = "0123456789abcdef"
LIMITS = Limits(payload_bytes=PAYLOAD_BYTES)


def settings(folder: Path) -> Settings:
    return Settings(
        storage=f"sqlite:///{folder}/hub.db",
        limits=LIMITS,
        http=HttpSettings(port=0, keys={"ops": AccessKey(key=KEY, role=Role.ADMIN)}),
    )


class InThreads:
    """A synchronous client as an asynchronous one: each call in a thread of its own."""

    def __init__(self, inner: SyncClient | SyncOrchestrationHandle[Any]) -> None:
        self._inner = inner
        self.instance_id = getattr(inner, "instance_id", None)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the client has
        method = getattr(self._inner, name)

        async def call(*args: object, **named: object) -> object:
            return wrapped(await asyncio.to_thread(method, *args, **named))

        return call

    def handle(self, *args: Any) -> OrchestrationHandle[Any]:
        return cast("OrchestrationHandle[Any]", wrapped(cast("Client", self._inner).handle(*args)))

    def handle_of(self, *args: Any) -> OrchestrationHandle[Any]:
        found = cast("Client", self._inner).handle_of(*args)
        return cast("OrchestrationHandle[Any]", wrapped(found))

    async def query(self, *args: Any) -> AsyncIterator[object]:
        items = cast("SyncClient", self._inner).query(*args)
        while (item := await asyncio.to_thread(next, items, None)) is not None:
            yield item


def wrapped(found: object) -> object:
    return InThreads(found) if isinstance(found, SyncOrchestrationHandle) else found


class TestClientInProcess(ClientSuite):
    @pytest.fixture
    async def side(self, tmp_path: Path) -> AsyncIterator[Side]:
        async with Host(app, settings=settings(tmp_path)) as host:
            yield Side(host.client, host)


class TestClientOfAStore(ClientSuite):
    @pytest.fixture
    async def side(self, tmp_path: Path) -> AsyncIterator[Side]:
        chosen = settings(tmp_path)
        async with (
            Host(app, settings=chosen) as host,
            Client.open(chosen.storage, app, LIMITS) as client,
        ):
            yield Side(client, host)


class TestClientOverHttp(ClientSuite):
    @pytest.fixture
    async def side(self, tmp_path: Path) -> AsyncIterator[Side]:
        async with (
            Server(app, settings=settings(tmp_path)) as server,
            Client(server.url, key=KEY) as client,
        ):
            yield Side(client, server.host)


@pytest.mark.parametrize("way", ["store", "http"])
async def test_a_set_of_statuses_that_may_be_replaced_comes_through(
    tmp_path: Path, way: str
) -> None:
    chosen = settings(tmp_path)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(app, settings=chosen))
        opened = Client.open(chosen.storage) if way == "store" else Client(server.url, key=KEY)
        client = await stack.enter_async_context(opened)

        async def start(*reuse: RuntimeStatus) -> None:
            request = asks(
                instance_id="x",
                execution_id=new_execution_id(0),
                name="collect",
                input="1",
                reuse=frozenset(reuse),
            )
            await client.gateway.start(request)
            assert (await client.wait("x", started=True)).execution_id == request.facts.execution_id

        running, terminated = RuntimeStatus.RUNNING, RuntimeStatus.TERMINATED
        await start()
        with pytest.raises(InstanceExistsError):
            await start(RuntimeStatus.SUSPENDED, terminated)
        await start(running)
        await client.terminate("x")
        await client.wait("x")
        with pytest.raises(InstanceExistsError):
            await start(running, RuntimeStatus.COMPLETED)
        await start(terminated)


async def test_purging_without_a_host_says_so_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.client.gateway._NOBODY_SECONDS", 0.1)
    chosen = settings(tmp_path)
    async with Host(app, settings=chosen) as host:
        for name in ("x", "y"):
            await (await host.client.start("nothing", instance_id=name)).result()
    async with Client.open(chosen.storage) as client, asyncio.timeout(20):
        with pytest.raises(StorageUnavailableError) as many:
            await client.purge_many(InstanceFilter())
        with pytest.raises(StorageUnavailableError) as one:
            await client.purge_many(InstanceFilter(id_prefix="x"))
        with pytest.raises(StorageUnavailableError) as named:
            await client.purge("x")
    kept = "no host runs on this store. The request stays in the store and is carried out when"
    assert str(many.value).startswith(f"2 instances were not purged, such as 'y': {kept}")
    assert str(one.value).startswith(f"instance 'x' was not purged: {kept}")
    assert str(one.value) == str(named.value)
    async with Host(app, settings=chosen) as host:  # the requests have stayed in the store
        async with asyncio.timeout(20):
            while [one async for one in host.client.query()]:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)


class TestSyncClientOverHttp(ClientSuite):
    @pytest.fixture
    async def side(self, tmp_path: Path) -> AsyncIterator[Side]:
        async with Server(app, settings=settings(tmp_path)) as server:
            client = SyncClient(server.url, key=KEY)
            yield Side(cast("Client", InThreads(client)), server.host)
            await asyncio.to_thread(client.close)


class TestSyncClientOfAStore(ClientSuite):
    @pytest.fixture
    async def side(self, tmp_path: Path) -> AsyncIterator[Side]:
        chosen = settings(tmp_path)
        async with Host(app, settings=chosen) as host:
            client = await asyncio.to_thread(SyncClient, chosen.storage, app, LIMITS)
            yield Side(cast("Client", InThreads(client)), host)
            await asyncio.to_thread(client.close)
