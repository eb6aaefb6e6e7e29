"""A host's stream of events as the command line hears it, with servers that behave and others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tenuto.cli.connection import Connection, Place, connected
from tenuto.cli.instances import changes
from tenuto.cli.instances.changes import BREAK, EventStream, HostChanges, ServerEvent
from tenuto.model.errors import (
    ForbiddenError,
    InstanceNotFoundError,
    TenutoError,
    UnauthorizedError,
    UnexpectedAnswerError,
)

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
UPDATE = b'id: 7.1\nevent: update\ndata: {"instanceId": "t-1",\ndata:  "ended": false}\n\n'
LAST = b'id: 7.2\nevent: update\ndata: {"instanceId":"t-1","ended":true}\n\n'


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_RETRY_SECONDS", 0.01)


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[tuple[Connection, list[str]]]:
    """A server that gives these answers, one for each connection, and notes the requests."""
    left = list(answers)
    requests: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(left.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with connected(Place(url=f"http://127.0.0.1:{port}/", key="k" * 16)) as connection:
            yield connection, requests
    finally:
        server.close()


def refusal(status: str, kind: str = "application/json") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: 2\r\n"
        "connection: close\r\n\r\n{}"
    ).encode()


async def test_events_are_read_across_a_break_from_where_it_broke() -> None:
    broken = STREAM + b": hello\n\n" + UPDATE
    async with serving(broken, STREAM + LAST) as (connection, requests):
        heard = [event async for event in EventStream(connection, "t-1")]
    assert heard == [
        ServerEvent("update", {"instanceId": "t-1", "ended": False}),
        ServerEvent(BREAK, {}),
        ServerEvent("update", {"instanceId": "t-1", "ended": True}),
    ]
    first, second = requests
    assert first.startswith("GET /admin/instances/t-1/events HTTP")
    assert f"x-functions-key: {'k' * 16}" in first
    assert "last-event-id" not in first.lower()
    assert "last-event-id: 7.1" in second.lower()


async def test_a_host_may_say_that_nothing_more_comes() -> None:
    async with serving(b"HTTP/1.1 204 No Content\r\n\r\n") as (connection, _):
        assert [event async for event in EventStream(connection, "t-1")] == []


async def test_a_host_that_is_full_or_breaks_off_later_is_tried_again() -> None:
    full = refusal("503 Service Unavailable")
    away = refusal("502 Bad Gateway", "text/html")
    answers = (full, full, STREAM, b"", away, STREAM + UPDATE, STREAM + LAST)
    async with serving(*answers) as (connection, requests):
        heard = [event async for event in EventStream(connection, "t-1")]
    kinds = [event.kind for event in heard]
    assert kinds == [BREAK, BREAK, "update", BREAK, "update"], "each break is told once"
    assert len(requests) == len(answers)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal("401 Unauthorized"), UnauthorizedError),
        (refusal("403 Forbidden"), ForbiddenError),
        (refusal("404 Not Found"), InstanceNotFoundError),
        (refusal("404 Not Found", "text/html"), UnexpectedAnswerError),
        (refusal("200 OK", "text/html"), UnexpectedAnswerError),
        (refusal("500 Internal Server Error"), UnexpectedAnswerError),
    ],
)
async def test_a_refusal_is_one_clear_error(answer: bytes, kind: type[TenutoError]) -> None:
    async with serving(answer) as (connection, _):
        with pytest.raises(kind) as caught:
            [event async for event in EventStream(connection, "t-1")]
        assert connection.where in str(caught.value)
        assert "k" * 16 not in str(caught.value)


async def test_a_watcher_is_told_why_nothing_more_is_heard() -> None:
    async with serving(refusal("403 Forbidden")) as (connection, _):
        heard = HostChanges(EventStream(connection, "t-1"))
        with pytest.raises(ForbiddenError):
            await _hear(heard)
        await heard.close()


async def test_a_host_that_has_gone_away_is_looked_for_though_nothing_more_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last answers come after the end of its streams: one look is not enough."""
    monkeypatch.setattr(changes, "_NESTED_SECONDS", 0.02)
    away = refusal("502 Bad Gateway", "text/html")
    async with serving(STREAM, *[away] * 1000) as (connection, requests):
        heard = HostChanges(EventStream(connection, "t-1"))
        async with asyncio.timeout(30):
            for _look in range(3):
                await heard.next(nested=False)
        await heard.close()
    assert len(requests) > 1


async def _hear(heard: HostChanges) -> None:
    while True:
        await heard.next(nested=True)
