"""A client over HTTP when things go wrong on the way: what is sent again, and what is said."""

import asyncio
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import structs
from msgspec.json import encode

from tenuto import (
    App,
    Client,
    ConnectionFailedError,
    ConnectionOptions,
    Context,
    ForbiddenError,
    Host,
    InputError,
    InstanceExistsError,
    RuntimeStatus,
    Settings,
    SettingsError,
    TenutoError,
    UnauthorizedError,
    UnexpectedAnswerError,
)
from tenuto.client.http_gateway import HttpGateway
from tenuto.host.server import Server
from tenuto.http.admin.operations import GET
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.model.errors import RouteNotFoundError
from tenuto.model.ids import ExecutionId, InstanceId, new_execution_id
from tenuto.model.status import InstanceRecord
from tests.support.answering_server import Reply, answering_server
from tests.support.cutting_proxy import answering, cutting_proxy
from tests.support.facts import asks
from tests.support.waiting import until

app = App()
READ, OPERATE = "reads-only-reads", "operates-operates"
HASTY = ConnectionOptions(retry_for=timedelta(0))


@app.orchestrator
async def collect(ctx: Context, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("item", int) for _ in range(count)]


def settings(folder: Path, port: int = 0, **keys: AccessKey) -> Settings:
    return Settings(storage=f"sqlite:///{folder}/hub.db", http=HttpSettings(port=port, keys=keys))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(app, settings=settings(tmp_path)) as server:
        yield server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


async def running(host: Host, instance_id: str) -> None:
    async with asyncio.timeout(20):
        while await status(host, instance_id) is not RuntimeStatus.RUNNING:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def status(host: Host, instance_id: str) -> RuntimeStatus:
    return (await host.client.handle(instance_id).status()).runtime_status


# --- lost answers ------------------------------------------------------------------------------


async def test_a_start_whose_answer_is_lost_is_sent_again_and_starts_once(server: Server) -> None:
    async with cutting_proxy(server.url) as proxy, Client(proxy.url) as client:
        proxy.cuts = 2
        handle = await client.start(collect, 0, instance_id="c")
        assert proxy.requests == 3
        assert await handle.result() == []
        seen = await handle.status()
        assert [one.instance_id async for one in client.query()] == ["c"]
        with pytest.raises(InstanceExistsError):
            await server.host.client.start(collect, 0, instance_id="c", reuse="never")  # type: ignore[call-overload]
        assert (await handle.status()).execution_id == seen.execution_id


async def test_the_same_start_again_is_a_success_and_another_is_refused(server: Server) -> None:
    async with Client(server.url) as client:
        request = asks(instance_id="c", execution_id=new_execution_id(0), name="collect", input="1")
        await client.gateway.start(request)
        await client.gateway.start(request)
        request.facts = structs.replace(request.facts, execution_id=new_execution_id(0))
        with pytest.raises(InstanceExistsError):
            await client.gateway.start(request)


async def test_a_row_is_asked_for_without_an_explanation() -> None:
    """Else the server would read the whole history for each look at an instance."""
    row = InstanceRecord(
        1, InstanceId("c"), 0, "collect", ExecutionId("e"), 5, InstanceId("c"), wake_at=None
    )
    answer = Reply(200, encode(row), [("Content-Type", "application/json")])
    async with answering_server(lambda _asked: answer) as asked, Client(asked.url) as client:
        assert await client.gateway.get(InstanceId("c")) == row
    known = {one.name for one in GET.parameters}
    for one in asked.asked:
        query = parse_qs(urlsplit(one.target).query)
        assert query.keys() <= known
        assert query["waitingFor"] == ["false"]
    assert asked.asked


async def test_an_event_whose_answer_is_lost_is_not_sent_again(server: Server) -> None:
    await server.host.client.start(collect, 2, instance_id="c")
    async with cutting_proxy(server.url) as proxy, Client(proxy.url) as client:
        proxy.cuts = 1
        with pytest.raises(ConnectionFailedError, match="not known: look at the instance") as e:
            await client.raise_event("c", "item", 1)
        assert proxy.url in str(e.value)
        assert proxy.requests == 1
        await client.raise_event("c", "item", 2)
        assert await client.handle("c").result() == [1, 2]


async def test_a_message_whose_answer_is_lost_is_not_sent_again_but_events_of_topics_are(
    server: Server,
) -> None:
    storage = server.host.engine.storage
    async with cutting_proxy(server.url) as proxy, Client(proxy.url) as client:
        proxy.cuts = 1
        with pytest.raises(ConnectionFailedError, match="not known: look at what is there"):
            await client.enqueue("plates", 1)
        assert proxy.requests == 1
        assert len(await storage.queue_messages("plates", 9, 9)) == 1
        proxy.cuts = 2
        await client.publish("orders", 1)
        assert proxy.requests == 4
        assert len(await storage.events("orders", 0, 9, 9_999)) == 1


async def test_a_question_whose_answer_is_lost_is_asked_again(server: Server) -> None:
    async with cutting_proxy(server.url) as proxy, Client(proxy.url) as client:
        proxy.cuts = 1
        assert await client.get_status("nobody") is None
        proxy.cuts = 1
        assert await client.history("nobody") == []
        assert proxy.requests == 4


async def test_without_patience_nothing_is_sent_again(server: Server) -> None:
    async with (
        cutting_proxy(server.url) as proxy,
        Client(proxy.url, connection=HASTY) as client,
    ):
        proxy.cuts = 1
        with pytest.raises(ConnectionFailedError):
            await client.start(collect, 0)
        assert proxy.requests == 1


# --- servers that come and go --------------------------------------------------------------------


async def test_waiting_goes_on_through_a_restart_of_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    chosen = settings(tmp_path, port)
    async with Client(f"http://127.0.0.1:{port}", connection=HASTY) as client:
        async with Server(app, settings=chosen) as server:
            handle = await client.start(collect, 1, instance_id="c")
            waiting = asyncio.ensure_future(handle.result())
            await running(server.host, "c")
        with caplog.at_level(logging.WARNING, "tenuto.client"):
            await until(lambda: "waiting for it to come back" in caplog.text)
        assert not waiting.done()
        async with Server(app, settings=chosen):
            await handle.raise_event("item", 3)
            assert await waiting == [3]


async def test_a_write_that_was_not_sent_is_sent_when_the_server_is_back(tmp_path: Path) -> None:
    port = free_port()
    async with Client(f"http://127.0.0.1:{port}") as client:
        starting = asyncio.ensure_future(client.start(collect, 1, instance_id="c"))
        async with Server(app, settings=settings(tmp_path, port)):
            handle = await starting
        raising = asyncio.ensure_future(handle.raise_event("item", 1))
        async with Server(app, settings=settings(tmp_path, port)):
            await raising
            assert await handle.result() == [1]


async def test_a_server_that_stops_answers_those_who_wait_at_once(server: Server) -> None:
    async with Client(server.url, connection=HASTY) as client:
        handle = await client.start(collect, 1, instance_id="c")
        waiting = asyncio.ensure_future(handle.result())
        await until(lambda: server.host.engine.callers.waiters)
        began = time.monotonic()
        await server.stop()
        assert time.monotonic() - began < 4
        waiting.cancel()


async def test_waiting_for_a_server_that_was_never_there_is_refused() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with Client(url, connection=HASTY) as client:
        for ask in (client.wait, client.get_status, client.terminate):
            with pytest.raises(ConnectionFailedError, match=r"cannot reach .*tenuto start") as e:
                await ask("c")
            assert url in str(e.value)
            assert e.value.code == "TN-1706"


async def test_more_may_wait_than_there_are_connections(server: Server) -> None:
    few = ConnectionOptions(connections=2)
    async with Client(server.url, connection=few) as client:
        handles = [await client.start(collect, 1) for _ in range(6)]
        waiting = asyncio.gather(*(handle.result() for handle in handles))
        for number, handle in enumerate(reversed(handles)):
            await handle.raise_event("item", number)
        assert await waiting == [[5], [4], [3], [2], [1], [0]]


async def test_waiting_takes_turns_when_many_wait(server: Server) -> None:
    # The one connection for waiting must not stay with an instance that does not end.
    async with Client(server.url, connection=ConnectionOptions(connections=2)) as client:
        stuck = asyncio.ensure_future((await client.start(collect, 1)).result())
        await until(lambda: server.host.engine.callers.waiters)
        done = await client.start(collect, 0)
        async with asyncio.timeout(30):
            assert await done.result() == []
        assert not stuck.done()
        stuck.cancel()


def test_a_client_may_be_used_in_one_event_loop_after_the_other(tmp_path: Path) -> None:
    client: list[Client] = []

    async def use() -> None:
        port = 0 if not client else int(client[0].gateway.url.rpartition(":")[2])  # type: ignore[attr-defined]
        async with Server(app, settings=settings(tmp_path, port)) as server:
            if not client:
                client.append(Client(server.url))
            assert await (await client[0].start(collect, 0)).result() == []
            assert isinstance(client[0].gateway, HttpGateway)
            connections = client[0].gateway._connections
            assert connections is not None
            await connections.client.aclose()  # as the loop's end does, without its noise

    asyncio.run(use())
    asyncio.run(use())


# --- keys, addresses, strangers -------------------------------------------------------------------


async def test_keys_open_what_their_role_allows(tmp_path: Path) -> None:
    chosen = settings(
        tmp_path, reader=AccessKey(key=READ), operator=AccessKey(key=OPERATE, role=Role.OPERATE)
    )
    async with Server(app, settings=chosen) as server:
        for key in (None, "wrong-wrong-wrong-wrong"):
            async with Client(server.url, key=key) as client:
                with pytest.raises(UnauthorizedError, match="key") as caught:
                    await client.get_status("c")
                assert caught.value.code == "TN-1701"
        async with Client(server.url, key=READ) as client:
            assert await client.get_status("c") is None
            with pytest.raises(ForbiddenError, match="operate"):
                await client.start(collect, 0)
        async with Client(server.url, key=OPERATE) as client:
            assert await (await client.start(collect, 0, instance_id="c")).result() == []
            with pytest.raises(ForbiddenError, match="admin"):
                await client.purge("c")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:7071", "must begin with http"),
        ("localhost", "must begin with http"),
        ("", "must begin with http"),
        ("ftp://host", "must begin with http"),
        ("http://", "names no machine"),
        ("http://host:port", "not the URL of a server"),
        ("http://host:0", "port is 0"),
        ("http://host:99999", "not the URL of a server"),
        ("http://ada:hunter2@host", "user name"),
        ("http://host/?code=hunter2", "query"),
        ("http://host/#x", "fragment"),
        ("http://ho st", "space"),
        ("http://[::1", "not the URL of a server"),
        ("sqlite:///travel.db", r"Client\.open"),
        ("postgresql://ada:hunter2@host/db", r"Client\.open"),
    ],
)
def test_what_is_no_url_of_a_server_is_refused_without_showing_secrets(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        Client(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "ü-ü-ü-ü", "a\nb", 7])
def test_what_cannot_be_a_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(SettingsError, match="a key is printable ASCII") as caught:
        Client("http://127.0.0.1", key=key)
    assert str(key) not in str(caught.value) or not key


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="connections"):
        ConnectionOptions(connections=1)
    with pytest.raises(InputError, match="retry_for"):
        ConnectionOptions(retry_for=timedelta(seconds=-1))
    with pytest.raises(InputError, match="request_timeout"):
        ConnectionOptions(request_timeout=3)  # type: ignore[arg-type]


async def test_key_and_connection_belong_to_urls(server: Server) -> None:
    with pytest.raises(InputError, match="for the URL of a server"):
        Client(server.host.client.gateway, key=READ)
    with pytest.raises(InputError, match="for the URL of a server"):
        Client(server.host.client.gateway, connection=HASTY)


HTML = b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<h1>"
NOT_OURS = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"answer":4'
)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HTML % b"200 OK", "200 and text/html"),
        (HTML % b"404 Not Found", "404 and text/html"),
        (NOT_OURS, "200 and application/json"),
        (NOT_OURS[:-11] + b'{"answer":4}'[:11], "200 and application/json"),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: https://there/\r\nContent-Length: 0\r\n\r\n",
            "redirection to https://there/",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]",
            "cannot be unpacked",
        ),
    ],
)
async def test_a_server_of_another_kind_is_called_that(answer: bytes, said: str) -> None:
    async with answering(answer) as url, Client(url, connection=HASTY) as client:
        for ask in (client.get_status, client.terminate, client.history, client.purge):
            with pytest.raises(UnexpectedAnswerError, match=said) as caught:
                await ask("c")
            assert caught.value.code == "TN-1710"
            assert url in str(caught.value)


@pytest.mark.parametrize(("status", "before"), [(b"200 OK", b""), (b"400 Bad", b'{"more":')])
async def test_an_answer_without_a_bottom_is_no_answer_of_ours(
    status: bytes, before: bytes
) -> None:
    body = before + b"[" * 50_000
    answer = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
    async with answering(answer) as url, Client(url, connection=HASTY) as client:
        with pytest.raises(UnexpectedAnswerError):
            await client.history("c")


async def test_an_answer_about_another_instance_is_not_believed() -> None:
    body = b'{"instanceId":"other"}'
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with answering(answer) as url, Client(url, connection=HASTY) as client:
        with pytest.raises(UnexpectedAnswerError, match="another instance id"):
            await client.start(collect, 0)


async def test_no_http_at_all_is_a_failed_connection() -> None:
    async with answering(b"hello\r\n\r\n") as url, Client(url, connection=HASTY) as client:
        with pytest.raises(ConnectionFailedError, match="did not answer GET"):
            await client.get_status("c")


async def test_a_server_that_says_nothing_is_given_up(server: Server) -> None:
    short = ConnectionOptions(request_timeout=timedelta(milliseconds=100), retry_for=timedelta(0))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with Client(url, connection=short) as client:
            with pytest.raises(ConnectionFailedError, match="ReadTimeout"):
                await client.get_status("c")


async def test_a_path_behind_the_address_is_a_place_where_nothing_is(server: Server) -> None:
    async with Client(f"{server.url}/api-of-mine/") as client:
        with pytest.raises(RouteNotFoundError, match="there is nothing at /api-of-mine/admin"):
            await client.get_status("c")


async def test_a_closed_client_says_so(server: Server) -> None:
    client = Client(server.url)
    assert await client.get_status("c") is None
    await client.close()
    await client.close()
    with pytest.raises(ConnectionFailedError, match="closed"):
        await client.get_status("c")


async def test_what_the_server_says_of_itself(server: Server) -> None:
    async with Client(server.url) as client:
        assert isinstance(client.gateway, HttpGateway)
        info = await client.gateway.info()
    assert info["storage"] == "sqlite"


async def test_an_error_that_is_not_known_here_keeps_its_code() -> None:
    body = b'{"code":"TN-9999","message":"the moon is full"}'
    answer = b"HTTP/1.1 418 Teapot\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with answering(answer) as url, Client(url, connection=HASTY) as client:
        with pytest.raises(TenutoError, match="the moon is full") as caught:
            await client.terminate("c")
        assert caught.value.code == "TN-9999"
        assert type(caught.value) is TenutoError


def test_the_http_library_is_not_loaded_before_the_first_request() -> None:
    code = (
        "import sys, tenuto; tenuto.Client('http://127.0.0.1:1'); "
        "assert not {'httpx2', 'starlette', 'uvicorn'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
