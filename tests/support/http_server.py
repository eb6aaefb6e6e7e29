"""A real server on a free port, and clients that talk to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from tenuto import Settings
from tenuto.host.programs import Hosted
from tenuto.host.server import Server
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.http.payloads import MOUNT
from tenuto.model.limits import Limits

READ_KEY = "read-key-0123456789"
OPERATE_KEY = "operate-key-0123456789"
ADMIN_KEY = "admin-key-0123456789"
KEYS = {
    "reader": AccessKey(key=READ_KEY, role=Role.READ),
    "operator": AccessKey(key=OPERATE_KEY, role=Role.OPERATE),
    "admin": AccessKey(key=ADMIN_KEY, role=Role.ADMIN),
}


def unread(server: Server) -> list[Any]:
    """The connections of a server whose peers do not read what is written to them."""
    connections = server._http._server.server_state.connections  # type: ignore[union-attr]
    return [one for one in connections if one.flow.write_paused]  # type: ignore[union-attr]


@dataclass
class Serving:
    """A server that runs, and a client with its address."""

    server: Server
    http: httpx2.AsyncClient

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def start(self, name: str, body: Any = None, **options: Any) -> httpx2.Response:  # noqa: ANN401 - any JSON
        """Start an orchestration; ``options`` are those of the client."""
        instance = f"/{options.pop('instance_id')}" if "instance_id" in options else ""
        content = None if body is None else json.dumps(body)
        return await self.http.post(
            f"{MOUNT}/orchestrators/{name}{instance}", content=content, **options
        )

    async def status(self, instance_id: str, **query: str) -> httpx2.Response:
        """The answer to a question for the status."""
        return await self.http.get(f"{MOUNT}/instances/{instance_id}", params=query)

    async def ended(self, instance_id: str) -> dict[str, Any]:
        """The status once the instance has ended."""
        await self.server.host.client.wait(instance_id)
        found = (await self.status(instance_id)).json()
        assert isinstance(found, dict)
        return found

    async def raw(self, sent: bytes, *, until: bytes | None = None) -> bytes:
        """Send bytes, read until the server closes (or until what is waited for has come)."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            await writer.drain()
            return await (reader.read() if until is None else reader.readuntil(until))
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    app: Hosted,
    *,
    limits: Limits | None = None,
    storage: str = "sqlite://",
    port: int = 0,
    **http: Any,
) -> AsyncIterator[Serving]:
    """Serve an app.

    Args:
        app: The functions: an app, a program, or several.
        limits: Of one orchestration.
        storage: Where; in memory without.
        port: Any that is free without.
        **http: Settings of the server.
    """
    settings = Settings(
        storage=storage, limits=limits or Limits(), http=HttpSettings(port=port, **http)
    )
    async with (
        Server(app, settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=20) as client,
    ):
        yield Serving(server, client)
