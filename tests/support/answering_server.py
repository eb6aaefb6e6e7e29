"""A small HTTP server for tests: answers as a test says, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus


@dataclass
class Asked:
    """A request as it came in; names of headers in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: str


@dataclass
class Reply:
    """What to answer. ``raw`` instead of all else: these bytes, then the connection is closed."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    raw: bytes | None = None


Answerer = Callable[[Asked], Reply | Awaitable[Reply]]


class AnsweringServer:
    """Listens on this machine.

    Attributes:
        asked: All requests, in order.
        opened: How many connections there have been.
    """

    def __init__(self, answer: Answerer) -> None:
        self.asked: list[Asked] = []
        self.opened = 0
        self.port = 0
        self._answer = answer
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.opened += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _version = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, target, headers, body.decode())
        self.asked.append(asked)
        reply = self._answer(asked)
        if isinstance(reply, Awaitable):
            reply = await reply
        if reply.raw is not None:
            writer.write(reply.raw)
            return False
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines.append(f"Content-Length: {len(reply.body)}")
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + reply.body)
        await writer.drain()
        return True

    def close_connections(self) -> None:
        for writer in self._open:
            writer.close()


@asynccontextmanager
async def answering_server(answer: Answerer) -> AsyncIterator[AnsweringServer]:
    """A server that runs for the length of a test."""
    server = AnsweringServer(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        server.close_connections()
