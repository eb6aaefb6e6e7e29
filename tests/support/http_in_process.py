"""HTTP into a test host, without a socket: the real application, on virtual time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
from starlette.types import ASGIApp, Receive, Scope, Send

from tenuto import App, Host
from tenuto.http.options import HttpSettings
from tenuto.http.server.application import Application, Served
from tenuto.testing import TestHost

BASE = "http://tenuto.localhost"


def with_state(app: ASGIApp, state: Mapping[str, object] | None) -> ASGIApp:
    """An app whose requests get the state that its lifespan has made, as servers see to it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state or {})}, receive, send)

    return serve


@asynccontextmanager
async def http_to(
    test: TestHost, app: App, settings: HttpSettings | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of what a server would answer on this host."""
    async with http_to_host(test.host, app, settings) as client:
        yield client


@asynccontextmanager
async def http_to_host(
    host: Host, app: App, settings: HttpSettings | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """The same of a host in real time."""
    host.webhook_base = BASE
    application = Application(
        Served(
            client=host.client,
            program=host.program,
            engine=host.engine,
            settings=settings or HttpSettings(),
            secret=host.hub.secret,
            version="test",
            triggers=app.http_triggers,
            mounts=app.mounts,
        )
    )
    await application.start()
    transport = httpx2.ASGITransport(application)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client
    application.close()
    await application.stop()
