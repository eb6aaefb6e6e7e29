"""Stands between hosts and a PostgreSQL server, and counts what they say to it.

Owns the count of round trips: how often the client speaks after the server has. Many packets of
one long batch are one of them. Each client is given a socket of its own; what its connections are
for the server is told by their names, and so is the proxy. Must never change what is passed on.
"""

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(rb"application_name\0tenuto ([^\0]*)\0")


class CountingProxy:
    """Listens in the server's folder, under a port of its own.

    Args:
        folder: Of the server's socket.
        server_port: What that is called by.
        port: What this one is called by.

    Attributes:
        round_trips: How many there were, by the kind of connection.
    """

    def __init__(self, folder: Path, server_port: int, port: int) -> None:
        self._server = folder / f".s.PGSQL.{server_port}"
        self._own = folder / f".s.PGSQL.{port}"
        self._listening: asyncio.Server | None = None
        self.round_trips: Counter[str] = Counter()

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_unix_server(
            lambda: _Client(self.round_trips, self._server), str(self._own)
        )

    def stop(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.close()


class _Client(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, round_trips: Counter[str], server: Path) -> None:
        self._round_trips = round_trips
        self._path = server
        self._kind = ""
        self._early: list[bytes] = []
        self._server = _Server(self)
        self.server_has_spoken = True
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        await asyncio.get_running_loop().create_unix_connection(
            lambda: self._server, str(self._path)
        )
        assert self._server.transport is not None
        self._server.transport.writelines(self._early)

    def data_received(self, data: bytes) -> None:
        if not self._kind:
            found = _NAME.search(data)
            self._kind = found[1].decode() if found else "other"
        if self.server_has_spoken:
            self.server_has_spoken = False
            self._round_trips[self._kind] += 1
        if self._server.transport is None:
            self._early.append(data)
        else:
            self._server.transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._server.transport is not None:
            self._server.transport.close()


class _Server(asyncio.Protocol):
    """The connection behind it."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._client.server_has_spoken = True
        assert self._client.transport is not None
        self._client.transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._client.transport is not None:
            self._client.transport.close()
