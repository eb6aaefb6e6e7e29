"""A host inside somebody else's ASGI app: the same loop, the same process, no socket of its own."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from starlette.types import Receive, Scope, Send

from tenuto.client.client import Client
from tenuto.engine.ports import Clock, Observer
from tenuto.host.app import App
from tenuto.host.host import Host
from tenuto.host.served_app import ServedApp
from tenuto.host.settings import Settings, load_settings
from tenuto.http.errors import error_answer
from tenuto.http.server.callers import why_not_local
from tenuto.http.server.origins import not_local
from tenuto.model.errors import InputError, TenutoError

_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class EmbeddedApp:
    """An app with its host, as an ASGI app to be mounted in another one; ``app.asgi`` makes it.

    The other app runs its lifespan, which starts and stops the host, and mounts it at its path.
    Routes of the other app find the client as ``durable.client`` and, after the lifespan has been
    run, as ``request.state.tenuto_client``.

    Without ``http.keys`` only callers on this machine are answered here: not what comes through a
    proxy or a Unix socket, and not Starlette's ``TestClient`` as it is, whose address is none. The
    other app's own routes are its own business.

    Args:
        app: The functions.
        path: Where the other app mounts it; empty when a server such as uvicorn serves it alone.
        settings: Of the host; by default those of ``tenuto.toml`` and ``TENUTO_*``.
        clock: Where time comes from; tests give a virtual one.
        observer: Who is told what happens; by default Python's logging.

    Example:
        ::

            durable = app.asgi("/tenuto")
            api = FastAPI(lifespan=durable.lifespan)
            api.mount(durable.path, durable)
    """

    def __init__(
        self,
        app: App,
        path: str = "",
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
    ) -> None:
        if not _PATH.fullmatch(path):
            raise InputError(f"the path must be one such as '/tenuto', got {path!r}")
        self.app = app
        self.path = path
        self.settings: Settings = load_settings().values if settings is None else settings
        self._served = ServedApp(
            app, self.settings, clock=clock, observer=observer, sources={}, prefix=path
        )
        self.host: Host = self._served.host

    @property
    def client(self) -> Client:
        """The host's client.

        Raises:
            TenutoError: the host is not running; the other app's lifespan starts it.
        """
        return self.host.client

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[dict[str, Any]]:
        """What the other app runs around its own life: ``FastAPI(lifespan=durable.lifespan)``."""
        async with self as running:
            yield dict(running.state)

    @property
    def state(self) -> dict[str, Any]:
        """What requests of the other app find in ``request.state``."""
        application = self._served.application
        return {} if application is None else application.state

    async def start(self) -> None:
        """Start the host.

        Raises:
            StorageOwnedError: another host runs on this store.
            StorageError: the store cannot be used, with the reason.
        """
        self.host.links_path = self.path
        base = self.settings.http.base_url
        if base is not None:
            self.host.webhook_base = base.rstrip("/") + self.path
        await self._served.start()

    async def stop(self) -> None:
        """Stop the host."""
        self._served.close()
        await self._served.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of those that the other app passes on."""
        application = self._served.application
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif application is None:
            error = TenutoError(
                "the host is not running: the app around it must run its lifespan, such as with "
                "FastAPI(lifespan=durable.lifespan)"
            )
            await error_answer(error)(scope, receive, send)
        elif not self.settings.http.keys and (why := why_not_local(scope)) is not None:
            # Here, too, so that what is mounted below is not open where the rest is closed.
            if scope["type"] == "websocket":
                await send({"type": "websocket.close"})
            else:
                await error_answer(not_local(why))(scope, receive, send)
        else:
            await application(_below(scope, self.path), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol, for servers that serve this app alone."""
        await receive()
        try:
            await self.start()
        except TenutoError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _below(scope: Scope, mounted_at: str) -> Scope:
    """The request as the mounted app sees it: paths begin after where it is mounted."""
    root: str = scope.get("root_path", "") or mounted_at
    path: str = scope["path"]
    raw: bytes = scope.get("raw_path") or path.encode()
    if not path.startswith(root):
        return {**scope, "raw_path": raw}
    return {
        **scope,
        "root_path": "",
        "path": path.removeprefix(root) or "/",
        "raw_path": raw.removeprefix(root.encode()) or b"/",
    }
