"""A host that also answers HTTP: what ``tenuto start`` runs."""

import platform
import socket
from collections.abc import Mapping
from typing import Self

from msgspec import structs

from tenuto.engine.ports import Clock, Observer
from tenuto.host.host import Host
from tenuto.host.programs import Hosted
from tenuto.host.served_app import ServedApp
from tenuto.host.settings import Settings
from tenuto.http.admin.deployments import Deployments
from tenuto.http.functions.triggers import HttpTriggers
from tenuto.http.routing import Route
from tenuto.http.server.socket import HttpServer, listen
from tenuto.model.errors import SettingsError
from tenuto.telemetry.traffic import Traffic

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_ANY = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - listened on by whoever sets it


class Server:
    """An app's host with its HTTP server, in this process.

    Args:
        app: The functions: an app, a program of another kind, or several of them.
        settings: Of the host; ``settings.http`` says where the server listens.
        clock: Where time comes from; tests give a virtual one.
        observer: Who is told what happens; by default Python's logging.
        sources: Where each setting came from, for people who ask the server.
        listening: A socket that listens already; by default one is made.
        deployments: Takes new versions of the app; None where none are taken.

    Example:
        ::

            async with Server(app) as server:
                print(server.url)
    """

    def __init__(
        self,
        app: Hosted,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        sources: Mapping[str, str] | None = None,
        listening: socket.socket | None = None,
        deployments: Deployments | None = None,
    ) -> None:
        self.app = app
        self.settings: Settings = settings or Settings()
        self._served = ServedApp(
            app,
            self.settings,
            clock=clock,
            observer=observer,
            sources=sources or {},
            deployments=deployments,
        )
        self.host: Host = self._served.host
        self._listening = listening
        self._http: HttpServer | None = None
        self._port: int | None = None

    @property
    def routes(self) -> list[Route]:
        """What is served besides the app's own functions; empty until the server has started."""
        application = self._served.application
        return [] if application is None else application.routes.all

    @property
    def triggers(self) -> HttpTriggers:
        """The app's own functions behind HTTP."""
        return self._served.front.http_triggers

    @property
    def url(self) -> str:
        """Where the server listens."""
        http = self.settings.http
        port = http.port if self._port is None else self._port
        name = f"[{http.host}]" if ":" in http.host else http.host
        return f"http://{name}:{port}"

    @property
    def dashboard_url(self) -> str | None:
        """Where people look at what goes on; None while nothing listens, and where the dashboard is
        switched off.
        """
        application, http = self._served.application, self.settings.http
        path = None if application is None else application.dashboard_path
        if path is None:
            return None
        return (http.base_url or self._served.own_address).rstrip("/") + path

    @property
    def traffic(self) -> Traffic:
        """What it has been asked."""
        return self._served.traffic

    def accept_no_more(self) -> None:
        """Take in no connection from now on; those that are there are served until it stops."""
        if self._http is not None:
            self._http.accept_no_more()

    async def start(self) -> None:
        """Start the host, then listen.

        Raises:
            SettingsError: the port is taken, or keys are missing where others can reach it.
            StorageOwnedError: another host runs on this store.
            StorageError: the store cannot be used, with the reason.
        """
        http = self.settings.http
        if http.host not in _LOOPBACK and not http.keys:
            raise SettingsError(
                f"http.host {http.host} can be reached from other machines, so the server needs "
                "keys: set http.keys, or listen on 127.0.0.1"
            )
        listening = self._listening or listen(http)  # before anything is made
        self._port = listening.getsockname()[1]
        self.host.webhook_base = http.base_url or self.url
        self.host.address = _reachable(self.url, http.host)
        self._served.own_address = structs.replace(http, port=self._port).own_address
        try:
            self._http = HttpServer(
                await self._served.start(), listening, http, self._served.traffic
            )
            await self._http.start()
        except BaseException:
            listening.close()
            await self._served.stop()
            raise

    async def stop(self) -> None:
        """Take no more requests, then stop the host."""
        server, self._http = self._http, None
        self._served.close()
        if server is not None:
            await server.stop()
        await self._served.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()


def _reachable(url: str, listening: str) -> str:
    """An address that tells this host from others: one that listens everywhere has its machine's
    name.
    """
    node = platform.node()
    if listening not in _ANY or not node:
        return url
    return f"http://{node}:{url.rpartition(':')[2]}"
