"""Slow, half-open and oversized clients: cut off in time, and no hurt to anybody else."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from starlette.requests import Request

from tenuto import App, Context
from tenuto.http.payloads import MOUNT
from tests.support.http_server import KEYS, Serving, serving, unread
from tests.support.waiting import until

INSTANCES = f"{MOUNT}/instances"
GET = f"GET {INSTANCES} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
START = f"POST {MOUNT}/orchestrators/echo".encode()


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator
    async def echo(ctx: Context, value: Any) -> Any:  # noqa: ANN401 - any JSON
        return value

    @app.orchestrator
    async def approval(ctx: Context) -> Any:  # noqa: ANN401 - any JSON
        return await ctx.wait_for_external_event("Approval")

    return app


@pytest.fixture
async def serve(app: App) -> AsyncIterator[Serving]:
    async with serving(app) as running:
        yield running


@pytest.fixture
async def hasty(app: App) -> AsyncIterator[Serving]:
    """A server with little patience."""
    async with serving(app, request_seconds=0.3) as running:
        yield running


def _parts(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


# --- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        GET[:30],
        GET[:-2],
        START + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n123",
        START + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n",
        GET + GET[:-2],
    ],
)
async def test_a_request_that_does_not_come_in_time_is_answered_408(
    hasty: Serving, sent: bytes
) -> None:
    answer = await hasty.raw(sent)
    status, headers, body = _parts(answer[answer.rindex(b"HTTP/1.1") :])
    assert status == 408
    assert headers["connection"] == "close"
    assert json.loads(body)["code"] == "TN-1709"
    assert "http.request_seconds" in json.loads(body)["message"]


async def test_bytes_now_and_then_do_not_buy_time(hasty: Serving) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.port)
    begun = time.monotonic()
    head = iter(b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 10_000)
    while not reader.at_eof():
        writer.write(bytes([next(head)]))
        try:
            await asyncio.wait_for(reader.read(1000), 0.02)
        except TimeoutError:
            continue
        except ConnectionError:
            break
    assert time.monotonic() - begun < 5
    writer.close()


async def test_line_breaks_now_and_then_do_not_hold_a_connection(hasty: Serving) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.port)
    answer = asyncio.create_task(reader.read())
    begun = time.monotonic()
    while not answer.done():
        writer.write(b"\r\n")
        await asyncio.wait([answer], timeout=0.02)
    assert time.monotonic() - begun < 5
    writer.close()


async def test_who_waits_for_an_answer_is_not_cut(hasty: Serving) -> None:
    answer = await hasty.start("approval", params={"timeout": "0.9", "pollingInterval": "1"})
    assert answer.status_code == 202


async def test_two_hundred_slow_clients_do_not_hurt_a_normal_one(serve: Serving) -> None:
    async with AsyncExitStack() as stack:
        for number in range(200):
            _reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
            stack.callback(writer.close)
            slow = START + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n["
            writer.write(slow if number % 2 else GET[: number % 40])
        begun = time.monotonic()
        for number in range(20):
            assert (await serve.start("echo", number)).status_code == 202
        assert time.monotonic() - begun < 5
        assert len((await serve.http.get(INSTANCES)).json()) == 20


async def test_who_does_not_read_is_dropped(app: App) -> None:
    async with serving(app, request_seconds=0.5) as serve:
        for number in range(4):
            await serve.start("echo", "x" * 4_000_000, instance_id=f"big-{number}")
            await serve.ended(f"big-{number}")
        with socket.create_connection(("127.0.0.1", serve.port)) as peer:
            peer.sendall(GET * 8)  # more than the system keeps for who does not read
            async with asyncio.timeout(30):
                await until(lambda: unread(serve.server))
                await until(lambda: not unread(serve.server))
            peer.settimeout(30)
            received = 0
            with suppress(ConnectionResetError):
                while part := peer.recv(1 << 20):
                    received += len(part)
            assert received < 8 * 4 * 4_000_000


async def test_who_goes_away_in_the_middle_of_a_body_leaves_no_error_in_the_log(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    asked = asyncio.Event()

    @app.http("POST", "/count", auth="anonymous")
    async def count(request: Request) -> int:
        asked.set()
        return len(await request.body())

    async with serving(app) as serve:
        _reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
        writer.write(b"POST /api/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1")
        await asyncio.wait_for(asked.wait(), 10)
        writer.transport.abort()
        await serve.raw(b"no HTTP\r\n\r\n")
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


async def test_who_goes_away_while_waiting_leaves_nothing_behind(serve: Serving) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    path = f"{MOUNT}/orchestrators/approval/gone?timeout=600&pollingInterval=1"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    engine = serve.server.host.engine
    async with asyncio.timeout(30):
        await until(lambda: "gone" in engine.callers.waiters)
        writer.close()
        await until(lambda: "gone" not in engine.callers.waiters)


# --- size -----------------------------------------------------------------------------------------


async def test_a_body_beyond_the_limit_is_413(app: App) -> None:
    async with serving(app, body_bytes=1000) as serve:
        long = await serve.start("echo", "x" * 1000)
        assert (long.status_code, long.json()["code"]) == (413, "TN-1704")
        assert "http.body_bytes" in long.json()["message"]

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b" " * 100

        chunked = await serve.http.post(f"{MOUNT}/orchestrators/echo", content=pieces())
        assert chunked.status_code == 413
        assert (await serve.start("echo", "x" * 900)).status_code == 202
        assert len((await serve.http.get(INSTANCES)).json()) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 3000,
        b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 3000 + b"\r\n\r\n",
        b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Many: 1\r\n" * 300 + b"\r\n",
    ],
)
async def test_a_head_beyond_the_limit_is_431(app: App, sent: bytes) -> None:
    async with serving(app, header_bytes=2048) as serve:
        status, headers, body = _parts(await serve.raw(sent))
        assert status == 431
        assert headers["connection"] == "close"
        assert "http.header_bytes" in json.loads(body)["message"]
        assert (await serve.start("echo", 1)).status_code == 202


@pytest.mark.parametrize(
    "endless",
    [
        b"0\r\n" + b"X-Trailer: " + b"x" * 3_000,
        b"0\r\n" + b"X-Trailer: 1\r\n" * 300,
        b"1;extension=" + b"x" * 3_000,
    ],
)
async def test_what_is_no_body_in_a_body_in_pieces_is_bounded_like_a_head(
    app: App, endless: bytes
) -> None:
    async with serving(app, header_bytes=2048) as serve:
        head = START + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        status, headers, body = _parts(await serve.raw(head + endless))
        assert status == 431
        assert headers["connection"] == "close"
        assert "http.header_bytes" in json.loads(body)["message"]
        assert (await serve.http.get(INSTANCES)).json() == []


async def test_headers_that_come_after_the_body_change_nothing(serve: Serving) -> None:
    """Trailers: a proxy in front may have let them through unchecked."""
    sent = (
        START + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n"
        b"1\r\n1\r\n0\r\nHost: evil.example\r\n\r\n"
    )
    status, _headers, body = _parts(await serve.raw(sent))
    assert status == 202
    assert "evil.example" not in body.decode()


async def test_pieces_of_one_byte_do_not_count_as_a_head(app: App) -> None:
    async with serving(app, header_bytes=2048) as serve:
        pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in b'"' + b"x" * 2_000 + b'"')
        head = START + b" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        sent = head + b"Connection: close\r\n\r\n" + pieces + b"0\r\n\r\n"
        assert _parts(await serve.raw(sent))[0] == 202


async def test_a_head_of_the_size_allowed_passes_with_a_long_body(app: App) -> None:
    async with serving(app, header_bytes=2048) as serve:
        answer = await serve.start("echo", "x" * 100_000, headers={"x-long": "x" * 1500})
        assert answer.status_code == 202


async def test_what_is_not_http_is_400(serve: Serving) -> None:
    for sent in (b"\x16\x03\x01hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        status, headers, body = _parts(await serve.raw(sent))
        assert (status, headers["content-type"]) == (400, "application/json")
        assert json.loads(body)["code"] == "TN-1700"


# --- what HTTP allows -----------------------------------------------------------------------------


async def test_a_connection_serves_many_requests(serve: Serving) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    for _ in range(3):
        writer.write(GET)
        assert await reader.readuntil(b"[]")
    writer.close()


async def test_requests_sent_together_are_answered_in_order(serve: Serving) -> None:
    path = f"{MOUNT}/orchestrators/approval/first?timeout=0.2&pollingInterval=1"
    slow = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    second = START + b"/second HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1"
    answer = await serve.raw(slow + second + last)
    assert answer.count(b"HTTP/1.1 202") == 2
    assert answer.index(b'"id": "first"') < answer.index(b'"id": "second"')
    assert b'"instanceId":"second"' in answer


async def test_a_body_is_asked_for_when_the_caller_waits_for_that(serve: Serving) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    head = b" HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    writer.write(START + head)
    assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"1")
    assert b"202 Accepted" in await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_a_body_that_nobody_wants_is_not_asked_for(app: App) -> None:
    async with serving(app, keys=KEYS) as serve:
        head = b" HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        status, headers, _body = _parts(await serve.raw(START + head))
        assert (status, headers["connection"]) == (401, "close")


async def test_a_client_that_offers_http_2_is_served_as_it_came(serve: Serving) -> None:
    upgrade = b" HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n"
    answer = await serve.raw(START + upgrade + b"Content-Length: 1\r\n\r\n1")
    assert _parts(answer)[0] == 202
