"""A function that streams, at the edges: servers of workers that do what none should."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tenuto.engine.program import HttpRequest
from tenuto.interop.azure_app import streaming
from tenuto.interop.azure_app.functions import FunctionFailedError
from tenuto.interop.azure_app.streaming import StreamedCall, for_worker, stream
from tenuto.interop.azure_app.worker_http import WorkerExchange, WorkerRequest
from tenuto.model.errors import HttpError

REQUEST = HttpRequest(
    method="GET", url="http://host/api/x?a=1", headers=[], query=[], params={}, body=b""
)
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nall"


@asynccontextmanager
async def answering(
    *answers: bytes, closes: bool = True, pause: asyncio.Event | None = None
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that sends the same to everybody; its address, and the heads that it has read.

    With ``pause`` it waits for that after what it sends first.
    """
    heads: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        for one in answers:
            writer.write(one)
            await writer.drain()
            if pause is not None:
                await pause.wait()
        if not closes:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/", heads
    for one in writers:
        one.transport.abort()
    for one in writers:
        with suppress(ConnectionError):
            await one.wait_closed()


def test_what_only_the_host_says_is_taken_from_no_caller() -> None:
    forged = ["X-Ms-Invocation-Id", "x-forwarded-host", "x-forwarded-proto", "connection"]
    request = HttpRequest(
        method="GET",
        url="https://seen/api/x?a=1",
        headers=[*((name.lower(), "forged") for name in forged), ("x-own", "kept")],
        query=[],
        params={},
        body=b"",
    )
    found = for_worker(request, "one")
    assert found.headers == [
        ("x-own", "kept"),
        ("x-ms-invocation-id", "one"),
        ("x-forwarded-host", "seen"),
        ("x-forwarded-proto", "https"),
    ]
    assert found.target == "/api/x?a=1"


async def whole(body: bytes | AsyncIterator[bytes]) -> bytes:
    assert not isinstance(body, bytes)
    return b"".join([piece async for piece in body])


async def test_announcements_before_an_answer_are_passed_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    pause = asyncio.Event()
    async with answering(early, WHOLE, pause=pause) as (uri, heads):

        async def call(streamed: StreamedCall) -> None:
            streamed.began(uri)
            streamed.began(uri)  # as when another worker had got it
            asyncio.get_running_loop().call_later(0.05, pause.set)

        answer = await stream(REQUEST, "one", call)
        assert answer.status == 200
        assert ("link", "</a>") not in answer.headers
        assert await whole(answer.body) == b"all"
        assert heads[0].startswith(b"GET /api/x?a=1 HTTP/1.1\r\n")
        assert b"x-ms-invocation-id: one\r\n" in heads[0]


async def test_a_call_that_fails_before_a_worker_has_got_it_has_failed() -> None:
    async def call(_streamed: StreamedCall) -> None:
        raise FunctionFailedError("no server", "one")

    with pytest.raises(FunctionFailedError, match="no server"):
        await stream(REQUEST, "one", call)


async def test_a_function_that_has_returned_and_answers_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "_LATE_SECONDS", 0.05)
    async with answering(closes=False) as (uri, _):

        async def call(streamed: StreamedCall) -> None:
            streamed.began(uri)

        answer = await stream(REQUEST, "one", call)
        assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("said", [b"", b"no HTTP at all\r\n\r\n"])
async def test_a_server_that_breaks_off_is_told_as_that(
    said: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streaming, "_OBITUARY_SECONDS", 0.05)
    async with answering(said) as (uri, _):

        async def call(streamed: StreamedCall) -> None:
            streamed.began(uri)
            await asyncio.Event().wait()

        with pytest.raises(FunctionFailedError, match="broke off"):
            await stream(REQUEST, "one", call)
        assert "invocation one" in caplog.text


async def test_what_the_call_tells_of_its_end_is_told_rather_than_what_the_connection_does() -> (
    None
):
    async with answering(b"") as (uri, _):

        async def call(streamed: StreamedCall) -> None:
            streamed.began(uri)
            await asyncio.sleep(0.1)  # it comes later than the end of the connection
            raise FunctionFailedError("its worker has gone", "one")

        with pytest.raises(FunctionFailedError, match="its worker has gone"):
            await stream(REQUEST, "one", call)


async def test_what_a_function_has_said_before_it_fails_goes_out() -> None:
    begin = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"
    more = b"3\r\ntwo\r\n"
    fails = asyncio.Event()
    async with answering(begin, more, closes=False, pause=fails) as (uri, _):

        async def call(streamed: StreamedCall) -> None:
            streamed.began(uri)
            await fails.wait()
            raise FunctionFailedError("in the middle", "one")

        answer = await stream(REQUEST, "one", call)
        assert not isinstance(answer.body, bytes)
        assert await anext(answer.body) == b"one"
        fails.set()
        assert await anext(answer.body) == b"two"
        with pytest.raises(FunctionFailedError, match="in the middle"):
            await anext(answer.body)


async def test_a_body_that_cannot_be_read_on_ends_the_request() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise HttpError("the caller went away")

    async with answering(closes=False) as (uri, _):
        request = WorkerRequest(method="POST", target="/", headers=[], body=pieces())
        exchange = WorkerExchange(uri, request)
        with pytest.raises(ConnectionError):
            await exchange.head()
        await exchange.close()


async def test_a_server_that_is_not_there_is_an_error() -> None:
    async with answering() as (uri, _):
        pass
    request = WorkerRequest(method="GET", target="/", headers=[], body=None)
    exchange = WorkerExchange(uri, request)
    with pytest.raises(ConnectionError):
        await exchange.head()
    await exchange.close()
