"""Dialling a hub that answers at once without anything, with nothing that is taken, or too much."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from tenuto.link.dialling import Dialling, Line
from tenuto.link.end import LinkEnd
from tenuto.link.links import dialled
from tenuto.model.errors import SettingsError, TenutoError, UnexpectedAnswerError
from tenuto.model.linking import Frame, Parcel, Place, Refusal


class HastyHub:
    """A line whose other end never waits, and this end, which has nothing to send."""

    delivered = 0

    def __init__(self) -> None:
        self.asked = 0

    async def fetch(self, life: str, place: Place, most_bytes: int) -> Parcel:
        await asyncio.sleep(0)
        self.asked += 1
        return Parcel(life=life, after=0)

    async def bring(self, parcel: Parcel) -> Place:
        return Place(received=0)

    async def give(self, place: Place, most_bytes: int) -> Parcel:
        return Parcel(life="here", after=0)

    async def take(self, parcel: Parcel) -> Place:
        return Place(received=0)

    async def place(self) -> Place:
        return Place(received=0)

    async def heard(self, way: str) -> None: ...

    async def until_news(self) -> None:
        await asyncio.Event().wait()

    async def failed(self, way: str, problem: str) -> None: ...

    async def close(self) -> None: ...


async def test_a_hub_that_answers_at_once_is_not_asked_in_a_hurry() -> None:
    hub: Any = HastyHub()
    dialling = Dialling(cast("LinkEnd", hub), cast("Line", hub), "here", 1.0)
    dialling.start()
    await asyncio.sleep(0.5)
    await dialling.stop()
    assert 2 <= hub.asked <= 6


@asynccontextmanager
async def answering(head: str, body: bytes, times: int = 1) -> AsyncIterator[Line]:
    """A line to something that answers each request so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {head}\r\nconnection: close\r\n\r\n".encode())
            for _ in range(times):
                writer.write(body)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    line = Line(f"http://127.0.0.1:{port}", "box", "key")
    try:
        yield line
    finally:
        await line.close()
        server.close()
        await server.wait_closed()


BOMB = gzip.compress(b'{"life":"ab","frames":[{"sequence":1,"of":1,"text":"' + b"x" * 10_000_000)


@pytest.mark.parametrize(
    ("head", "body", "times"),
    [
        ("200 OK\r\ncontent-encoding: gzip", BOMB, 1),
        ("200 OK", b" " * 100_000, 1_000),
        ("400 Bad Request", b"[" * 100_000, 1),
        ("404 Not Found", b'{"code":"TN-1703","message":"no such address"}', 1),
        ("400 Bad Request", b'{"code":"' + b"x" * 1_000 + b'","message":"m"}', 1),
        ("200 OK", b'{"life":"zz/../\\u0000","frames":[]}', 1),
        ("307 Temporary Redirect\r\nlocation: /elsewhere", b"", 1),
    ],
)
async def test_one_never_takes_all_what_no_hub_says_is_not_read(
    head: str, body: bytes, times: int
) -> None:
    async with answering(head, body, times) as line:
        with pytest.raises(UnexpectedAnswerError) as error:
            await line.fetch("ab", Place(received=0), 1_000)
        assert len(str(error.value)) < 1_000


async def test_what_a_hub_says_of_an_error_is_a_line() -> None:
    words = b"bad \\n2026-11-30 A FALSE LINE \\u001b[31m " + b"y" * 100_000
    body = b'{"code":"TN-1701","message":"' + words + b'"}'
    async with answering("401 Unauthorized", body) as line:
        with pytest.raises(TenutoError) as error:
            await line.bring(Parcel(life="ab"))
    assert error.value.code == "TN-1701"
    assert len(str(error.value)) < 1_100
    assert str(error.value).isprintable()


@pytest.mark.parametrize("url", ["http://hub.example", "HTTP://192.168.1.2:7071"])
def test_a_key_goes_over_no_network_in_clear_unless_one_says_so(url: str) -> None:
    with pytest.raises(SettingsError, match="allow-http"):
        dialled("hub", url, "box", "key")
    assert dialled("hub", url, "box", "key", allow_http=True).url == url
    for safe in ("https://hub.example", "http://127.0.0.1:7071", "http://localhost:7071"):
        assert dialled("hub", safe, "box", "key").url == safe


REFUSED = Refusal(sequence=1, reason="no")


class RefusingHub(HastyHub):
    """A line whose other end has one message again and again, and this end, which refuses it."""

    def __init__(self) -> None:
        super().__init__()
        self.brought: list[Refusal] = []
        self.news = asyncio.Event()
        self.hears = asyncio.Event()

    async def fetch(self, life: str, place: Place, most_bytes: int) -> Parcel:
        await asyncio.sleep(0)
        self.asked += 1
        if self.brought:
            await asyncio.Event().wait()
        return Parcel(life=life, after=0, frames=[Frame(sequence=1, text="{", of=1)])

    async def bring(self, parcel: Parcel) -> Place:
        if parcel.refused is not None:
            await self.hears.wait()
            self.brought.append(parcel.refused)
        return Place(received=0)

    async def give(self, place: Place, most_bytes: int) -> Parcel:
        self.news.clear()
        return Parcel(life="here", after=0)

    async def take(self, parcel: Parcel) -> Place:
        return Place(received=0, refused=REFUSED)

    def has_news(self) -> None:
        self.news.set()

    async def until_news(self) -> None:
        await self.news.wait()


async def test_nothing_more_is_fetched_before_the_other_hub_has_heard_what_is_refused() -> None:
    """It would send the same again and again."""
    hub: Any = RefusingHub()
    dialling = Dialling(cast("LinkEnd", hub), cast("Line", hub), "here", 1.0)
    dialling.start()
    for hears in (False, True):
        if hears:
            hub.hears.set()
        for _ in range(50):
            await asyncio.sleep(0)
        assert hub.asked == 1 + hears
    await dialling.stop()
    assert hub.brought == [REFUSED]
