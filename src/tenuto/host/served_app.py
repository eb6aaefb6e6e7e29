"""A host and the web application over it, without a socket of its own."""

import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Final

import msgspec

from tenuto.dashboard.built import built
from tenuto.dashboard.pages import DashboardPages
from tenuto.engine.ports import Clock, Observer
from tenuto.host.app import App
from tenuto.host.host import Host
from tenuto.host.programs import Hosted
from tenuto.host.settings import Settings
from tenuto.http.admin.deployments import Deployments
from tenuto.http.admin.observation import Metrics
from tenuto.http.durable_functions.client_binding import TASK_HUB, client_binding
from tenuto.http.durable_functions.worker_calls import rpc_base_url
from tenuto.http.options import check_keys
from tenuto.http.server.application import Application, Served, checked_functions
from tenuto.telemetry.instance_log import InstanceLog
from tenuto.telemetry.log_observer import LogObserver
from tenuto.telemetry.metrics import CONTENT_TYPE, MetricsObserver
from tenuto.telemetry.traffic import Traffic

_VERSION: Final = version("tenuto")
_TOKEN_BYTES: Final = 32


class ServedApp:
    """An app's host with its web application.

    Args:
        app: The functions: an app, a program of another kind, or several of them.
        settings: Of the host, and of what the application lets in.
        clock: Where time comes from; tests give a virtual one.
        observer: Who is told what happens; by default Python's logging.
        sources: Where each setting came from, for people who ask.
        prefix: The path under which another app serves it.
        deployments: Takes new versions of the app; None where none are taken.
    """

    def __init__(
        self,
        app: Hosted,
        settings: Settings,
        *,
        clock: Clock | None,
        observer: Observer | None,
        sources: Mapping[str, str],
        prefix: str = "",
        deployments: Deployments | None = None,
    ) -> None:
        self.front: App = _front_of(app)
        """Whose functions answer HTTP, and which other apps are mounted."""
        self._settings = settings
        self._sources = sources
        self._prefix = prefix
        self._deployments = deployments
        self._metrics = MetricsObserver(observer or LogObserver(), version=_VERSION)
        self.traffic: Traffic = self._metrics.traffic
        self.host: Host = Host(app, settings=settings, clock=clock, observer=self._metrics)
        self.host.client_binding = self._client_binding
        self._instance_log: InstanceLog | None = None
        self._rpc_token = ""
        self.own_address: str = settings.http.own_address + prefix
        """Where processes of this host reach it; a server with a socket of its own says so."""
        self.application: Application | None = None

    def _client_binding(self, task_hub: str | None) -> str:
        return client_binding(
            address=(self.host.webhook_base or self.own_address).rstrip("/"),
            rpc_base_url=rpc_base_url(self.own_address, self._rpc_token),
            task_hub=task_hub or TASK_HUB,
            code=self.application.system_key if self.application is not None else "",
        )

    async def start(self) -> Application:
        """Start the host, then what is mounted beside its functions.

        Raises:
            SettingsError: a key is a placeholder, or for a function that the app has not.
            RegistrationError: a function of a program cannot be served at its route.
            AppLoadError: a mounted app refuses to start.
            StorageOwnedError: another host runs on this store.
            StorageError: the store cannot be used, with the reason.
        """
        check_keys(self._settings.http)
        http = self._settings.http
        checked_functions(self.host.program, self.front.http_triggers, http)
        self._rpc_token = secrets.token_urlsafe(_TOKEN_BYTES)
        await self.host.start()
        try:
            self._metrics.watch(self.host.engine)
            self._instance_log = InstanceLog(self._settings.instance_log, self.host.engine)
            self._instance_log.attach()
            application = Application(
                Served(
                    client=self.host.client,
                    program=self.host.program,
                    engine=self.host.engine,
                    settings=http,
                    secret=self.host.hub.secret,
                    version=_VERSION,
                    triggers=self.front.http_triggers,
                    mounts=self.front.mounts,
                    prefix=self._prefix,
                    metrics=Metrics(self._metrics.render, CONTENT_TYPE, self._metrics.refresh),
                    storage=self._settings.storage,
                    configuration=msgspec.to_builtins(self._settings),
                    sources=self._sources,
                    traffic=self.traffic,
                    rpc_token=self._rpc_token,
                    run_timer=self.host.run_timer,
                    linked=self.host.links,
                    hosts=self.host.hosts,
                    dashboard=partial(DashboardPages, built()) if http.dashboard else None,
                    description=self.host.description,
                    app_version=self.host.app_version,
                    counts=self._metrics.counts,
                    instance_log=self._instance_log,
                    usage=self._settings.usage,
                    deployments=self._deployments,
                )
            )
            await application.start()
        except BaseException:
            await self._stop_host()
            raise
        self.application = application
        return application

    def close(self) -> None:
        """End what does not end by itself, so that nobody waits for it."""
        if self.application is not None:
            self.application.close()

    async def stop(self) -> None:
        """Stop what is mounted, then the host."""
        application, self.application = self.application, None
        try:
            if application is not None:
                await application.stop()
        finally:
            await self._stop_host()

    async def _stop_host(self) -> None:
        try:
            await self.host.stop()
        finally:
            if self._instance_log is not None:
                self._instance_log.detach()


def _front_of(hosted: Hosted) -> App:
    """The app among what is hosted; one with nothing in it where there is none."""
    given = hosted if isinstance(hosted, Sequence) else [hosted]
    return next((one for one in given if isinstance(one, App)), App())
