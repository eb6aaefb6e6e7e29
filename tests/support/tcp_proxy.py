"""A proxy for any protocol over TCP that cuts, freezes, or loses what is said in one direction."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TcpProxy:
    """Forwards connections to a port of this machine.

    Attributes:
        port: Where it listens.
        is_mute: What the server says is dropped, and the line cut as soon as it has said something:
            the request has reached it, the answer is lost.
        is_frozen: Nothing passes, either way, and nothing is cut.
        requests: How often a caller has said something.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.is_mute = False
        self.is_frozen = False
        self.requests = 0
        self._lines: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Reset all connections."""
        for line in list(self._lines):
            line.transport.abort()

    def lead_to(self, target: int) -> None:
        """To another port, from now on."""
        self._target = target
        self.cut()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection, until either side ends it."""
        try:
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
        except ConnectionError:
            writer.transport.abort()
            return
        self._lines |= {writer, downstream}
        ways = [
            asyncio.ensure_future(self._forward(reader, downstream, answers=False)),
            asyncio.ensure_future(self._forward(upstream, writer, answers=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._lines -= {writer, downstream}
            for one in (writer, downstream):
                one.transport.abort()

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while said := await source.read(65_536):
                while self.is_frozen:  # noqa: ASYNC110 - a test looks at nothing finer
                    await asyncio.sleep(0.01)
                if answers and self.is_mute:
                    return
                self.requests += not answers
                target.write(said)
                await target.drain()


@asynccontextmanager
async def tcp_proxy(target: int, host: str = "127.0.0.1") -> AsyncIterator[TcpProxy]:
    """A proxy before a port, for the length of a block; ``host`` is where it listens."""
    proxy = TcpProxy(target)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
