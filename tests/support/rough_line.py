"""A line that is as bad as a test wants it: it cuts connections after any number of bytes."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_CHUNK = 4096


def _never() -> None:
    return None


class RoughLine:
    """Forwards bytes, and cuts.

    Attributes:
        url: Where it listens.
        target: The URL to which it leads; may change.
        cut_after: Gives the bytes after which the next connection is cut; None for never.
        is_down: Whether nothing gets through at all.
        cuts: How many connections it has cut.
    """

    def __init__(self, target: str) -> None:
        self.url = ""
        self.target = target
        self.cut_after: Callable[[], int | None] = _never
        self.is_down = False
        self.cuts = 0
        self._open: set[asyncio.Task[None]] = set()

    def cut_at_random(self, seed: int, most_bytes: int) -> None:
        """Cut each connection after a random number of bytes of both directions together."""
        chance = random.Random(seed)
        self.cut_after = lambda: chance.randrange(1, most_bytes)

    def go_down(self) -> None:
        """Cut everything, and let nothing through until ``is_down`` is False again."""
        self.is_down = True
        for task in list(self._open):
            task.cancel()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection of the side that dials."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        budget = _Budget(self.cut_after())
        downstream: asyncio.StreamWriter | None = None
        try:
            if self.is_down:
                return
            parts = urlsplit(self.target)
            upstream, downstream = await asyncio.open_connection(parts.hostname, parts.port)
            ways = [
                asyncio.ensure_future(_pump(reader, downstream, budget)),
                asyncio.ensure_future(_pump(upstream, writer, budget)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            self.cuts += budget.is_spent
        except ConnectionError:
            pass
        finally:
            for one in (writer, downstream):
                if one is not None:
                    one.transport.abort()

    async def close(self) -> None:
        """Cut everything that is open."""
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


class _Budget:
    """How many bytes a connection may carry still."""

    def __init__(self, left: int | None) -> None:
        self._left = left

    def take(self, data: bytes) -> bytes:
        """As much of it as may still go."""
        if self._left is None:
            return data
        part = data[: self._left]
        self._left -= len(part)
        return part

    @property
    def is_spent(self) -> bool:
        return self._left == 0


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, budget: _Budget) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(_CHUNK):
            sink.write(budget.take(data))
            await sink.drain()
            if budget.is_spent:
                return


@asynccontextmanager
async def rough_line(target: str) -> AsyncIterator[RoughLine]:
    """A line to a server, for the length of a block."""
    line = RoughLine(target)
    server = await asyncio.start_server(line.accept, "127.0.0.1", 0)
    line.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield line
    finally:
        server.close()
        await line.close()
