"""HTTP with the server that a streaming app has in its worker: one request, both ways at once.

Nothing is kept here: the worker is sent no more of a request than it takes, and no more of an
answer is read from it than whoever wants the answer has taken.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import httptools
from msgspec import Struct

from tenuto.model.errors import HttpError

_PIECE_BYTES: Final = 64 * 1024
_FINAL: Final = 200
"""Answers below it announce another one."""

OF_A_CONNECTION: Final = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are between two neighbours, and not for those behind them."""


class WorkerRequest(Struct, frozen=True, kw_only=True):
    """A request for a worker's server.

    Attributes:
        method: In capitals.
        target: Path and query.
        headers: Without those of a connection.
        body: Its pieces; None when there is no body.
    """

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: AsyncIterator[bytes] | None


class WorkerExchange:
    """A request that is under way, with its answer. To be closed in any case.

    Args:
        uri: Of the worker's server.
        request: What is asked.
    """

    def __init__(self, uri: str, request: WorkerRequest) -> None:
        self._address = urlsplit(uri)
        self._request = request
        self._answer = _Answer(has_body=request.method != "HEAD")
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._sending: asyncio.Task[None] | None = None

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        """Send the request, and wait until status and headers of the answer are there.

        Raises:
            ConnectionError: the worker's server cannot be reached, or breaks off.
        """
        address = self._address
        self._reader, self._writer = await asyncio.open_connection(
            address.hostname, address.port, limit=_PIECE_BYTES
        )
        self._writer.write(self._request_head())
        self._sending = asyncio.create_task(self._send())
        while not self._answer.has_head:
            await self._read_on()
        return self._answer.status, self._answer.headers

    async def piece(self) -> bytes | None:
        """The next piece of the answer's body, after its head; None at the end.

        Raises:
            ConnectionError: it broke off.
        """
        while not (piece := self._answer.taken()):
            if self._answer.is_whole:
                return None
            await self._read_on()
        return piece

    @property
    def is_whole(self) -> bool:
        """Whether all of the answer is there."""
        return self._answer.is_whole

    async def close(self) -> None:
        """Hang up, whatever is left."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        if self._writer is not None:
            # At once: what is still to be sent is for nobody.
            self._writer.transport.abort()

    async def _read_on(self) -> None:
        assert self._reader is not None
        try:
            data = await self._reader.read(_PIECE_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            raise ConnectionResetError("the worker's server broke its answer off")
        try:
            self._answer.feed(data)
        except httptools.HttpParserError as error:
            raise ConnectionError(f"the worker's server sent what is no HTTP: {error}") from error

    # --- the request -----------------------------------------------------------------------------

    def _request_head(self) -> bytes:
        request = self._request
        headers = [("host", self._address.netloc), *request.headers, ("connection", "close")]
        if self._is_chunked:
            headers.append(("transfer-encoding", "chunked"))
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    @property
    def _is_chunked(self) -> bool:
        request = self._request
        return request.body is not None and all(
            name != "content-length" for name, _ in request.headers
        )

    async def _send(self) -> None:
        body, writer = self._request.body, self._writer
        if body is None or writer is None:
            return
        is_chunked = self._is_chunked
        try:
            async for piece in body:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                await writer.drain()
            if is_chunked:
                writer.write(b"0\r\n\r\n")
        except ConnectionError:
            pass  # it takes no more; what it answers says why
        except HttpError:
            # The caller has gone away. The worker, and who reads its answer, are told by the end of
            # the connection.
            writer.transport.abort()
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()


class _Answer:
    """The parser's callbacks: what has come of an answer and was not taken yet."""

    def __init__(self, *, has_body: bool) -> None:
        self._has_body = has_body
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self.status: int = 0
        self.headers: list[tuple[str, str]] = []
        self.has_head: bool = False
        self.is_whole: bool = False

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken

    def on_message_begin(self) -> None:
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= _FINAL
        self.is_whole = self.has_head and not self._has_body

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self.is_whole = self.has_head
