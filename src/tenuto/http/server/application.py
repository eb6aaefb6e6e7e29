"""The ASGI application: finds the route, checks the key, answers, whatever happens."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Protocol

from msgspec import Struct, field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tenuto.client.client import Client
from tenuto.engine.engine import Engine
from tenuto.engine.program import Program
from tenuto.http.access import Access
from tenuto.http.admin.deployments import Deployments, DeploymentsApi
from tenuto.http.admin.facts import FactsApi, HostFacts
from tenuto.http.admin.figures import FiguresApi
from tenuto.http.admin.hosts import HostsApi, HostsReader
from tenuto.http.admin.instance_log import InstanceLogApi
from tenuto.http.admin.links import LinksApi
from tenuto.http.admin.live import EventStream, LiveApi
from tenuto.http.admin.messages import MessagesApi
from tenuto.http.admin.observation import Metrics, ObservationApi
from tenuto.http.admin.overview import HostSelf, OverviewApi
from tenuto.http.admin.queues import QueuesApi
from tenuto.http.admin.routes import AdminApi
from tenuto.http.admin.running import RunningApi, TimerRunner
from tenuto.http.admin.runs import RunsApi
from tenuto.http.admin.scale import ScaleApi
from tenuto.http.admin.session import SessionApi
from tenuto.http.admin.topics import TopicsApi
from tenuto.http.admin.usage import UsageApi
from tenuto.http.answer_heads import check_headers
from tenuto.http.durable_functions.routes import ManagementApi
from tenuto.http.durable_functions.worker_calls import MOUNT as RPC_MOUNT
from tenuto.http.durable_functions.worker_calls import WorkerCalls
from tenuto.http.errors import MethodNotAllowedError, RouteNotFoundError, error_answer
from tenuto.http.events.cloud_events import CloudEventsApi
from tenuto.http.events.event_grid import EventGridApi
from tenuto.http.explaining import Explaining
from tenuto.http.functions.callbacks import Callbacks
from tenuto.http.functions.description import described
from tenuto.http.functions.durable import DurableAnswers
from tenuto.http.functions.foreign import ForeignApi, ForeignFunctions
from tenuto.http.functions.held_bodies import HeldBodies
from tenuto.http.functions.keys import FunctionKeys, check_key_names
from tenuto.http.functions.narrowed_links import NarrowedLinks
from tenuto.http.functions.responses import CLIENT_STATE, LINKS_STATE
from tenuto.http.functions.triggers import PREFIX, HttpTriggers, TriggerApi, is_trigger
from tenuto.http.links import Links
from tenuto.http.masking import Masking
from tenuto.http.options import HttpSettings, Role
from tenuto.http.own_paths import DASHBOARD, own_segments
from tenuto.http.payloads import MOUNT
from tenuto.http.router import path_parts
from tenuto.http.routing import Call, Route, Routes
from tenuto.http.server.callers import is_on_this_machine
from tenuto.http.server.mounting import MountedApps, Mounts
from tenuto.http.server.openapi import OpenApi
from tenuto.http.server.origins import Origins
from tenuto.http.server.untold import Untold
from tenuto.http.server.visits import Visit, Visits
from tenuto.http.session_cookie import without_session
from tenuto.http.shown_paths import without_token
from tenuto.http.waiting import Waiting
from tenuto.link.links import Links as LinkedHubs
from tenuto.model.errors import TenutoError
from tenuto.model.webhook import TOKEN_LENGTH
from tenuto.telemetry.counts import HostCounts
from tenuto.telemetry.instance_log import InstanceLog
from tenuto.telemetry.traffic import Traffic
from tenuto.telemetry.usage_settings import UsageSettings

_LOGGER: Final = logging.getLogger("tenuto.http")
_MOUNTED: Final = "mounted"
"""Route, in metrics, of all that mounted apps answer."""


class Pages(Protocol):
    """The pages of the dashboard."""

    @property
    def front(self) -> Route:
        """The one at the root, where nothing else is."""

    def routes(self) -> list[Route]:
        """All others."""


def _no_timer(_name: str) -> bool:
    return False


class Served(Struct, frozen=True, kw_only=True):
    """What a server shows of its host.

    Attributes:
        client: What functions behind HTTP and mounted apps are given; all else takes its gateway.
        program: The functions.
        engine: For health, metrics and live updates.
        settings: How it listens and what it lets in.
        secret: What links are signed with; no caller knows it.
        version: The version of Tenuto.
        triggers: The functions behind HTTP.
        mounts: Other apps that are served here.
        prefix: The path under which an app around this one serves it.
        metrics: Where figures come from; None when nobody counts.
        storage: The store's URL, of which only the kind is shown.
        configuration: The host's settings, nested as in a file; secrets are hidden when shown.
        sources: Where each came from, by its key with dots.
        traffic: Counts requests.
        rpc_token: Opens the mount for processes of this host; without one there is none.
        run_timer: Runs a timer of the program once, now.
        linked: The links to other hubs; None where there are none.
        hosts: Tells which hosts serve the hub; None where nobody knows.
        dashboard: Makes the pages of the dashboard; None where it is switched off.
        description: Which host it is, for people.
        app_version: Of the app that it runs; empty when that says none.
        counts: What was counted on it.
        instance_log: What its instances have logged; None where nobody keeps that.
        usage: What plans would charge.
        deployments: Takes new versions of the app; None where none are taken.
    """

    client: Client
    program: Program
    engine: Engine
    settings: HttpSettings
    secret: str
    version: str
    triggers: HttpTriggers = field(default_factory=HttpTriggers)
    mounts: Mounts = field(default_factory=Mounts)
    prefix: str = ""
    metrics: Metrics | None = None
    storage: str = ""
    configuration: Mapping[str, Any] = {}
    sources: Mapping[str, str] = {}
    traffic: Traffic = field(default_factory=Traffic)
    rpc_token: str = ""
    run_timer: TimerRunner = _no_timer
    linked: LinkedHubs | None = None
    hosts: HostsReader | None = None
    dashboard: Callable[[Links], Pages] | None = None
    description: str = ""
    app_version: str = ""
    counts: HostCounts = field(default_factory=HostCounts)
    usage: UsageSettings = UsageSettings()
    instance_log: InstanceLog | None = None
    deployments: Deployments | None = None


def checked_functions(
    program: Program, triggers: HttpTriggers, settings: HttpSettings
) -> ForeignFunctions:
    """The functions of a program that answer requests.

    Args:
        program: Whose.
        triggers: Those of the app beside it.
        settings: Of the server, which has paths of its own.

    Raises:
        RegistrationError: one of them cannot be served; names it.
    """
    return ForeignFunctions(program.http_functions, _own(settings), triggers)


def _own(settings: HttpSettings) -> frozenset[str]:
    """First segments of paths at which no function of a program is."""
    return own_segments(settings) - {PREFIX[1:]}


def _facts(served: Served, foreign: ForeignFunctions) -> FactsApi:
    facts = HostFacts(
        version=served.version,
        storage=served.storage,
        configuration=served.configuration,
        sources=served.sources,
    )
    return FactsApi(facts, served.program, served.triggers, foreign, served.engine.clock)


def _watched(served: Served) -> Iterator[Route]:
    """What people watch a host by."""
    engine, counts = served.engine, served.counts
    host = HostSelf(
        description=served.description, version=served.version, app_version=served.app_version
    )
    if served.hosts is not None:
        yield from HostsApi(served.hosts).routes()
        yield from ScaleApi(served.hosts).routes()
    yield from OverviewApi(engine, counts, host).routes()
    yield from FiguresApi(engine, counts).routes()
    if served.instance_log is not None:
        yield from InstanceLogApi(served.client.gateway, engine, served.instance_log).routes()


def _callbacks(served: Served) -> Callbacks:
    return Callbacks(
        served.client.gateway,
        served.client.limits,
        served.engine.storage.link,
        secret=served.secret,
        body_bytes=served.settings.webhook_bytes,
    )


class Application:
    """The whole server as one ASGI callable.

    Args:
        served: What is served.
    """

    def __init__(self, served: Served) -> None:
        self._settings = served.settings
        self._own = _own(served.settings)
        self._visits = Visits(served.traffic, is_logged=served.settings.access_log)
        self._access = Access(served.settings, served.engine.clock.now, served.secret)
        links = Links(served.settings, self._access, served.prefix)
        self.state = {CLIENT_STATE: served.client, LINKS_STATE: links}
        self._mounted = MountedApps(served.mounts, self.state)
        gateway, limits = served.client.gateway, served.client.limits
        self._waiting = Waiting(gateway)
        settings = served.settings
        durable = DurableAnswers(
            {one.durable.orchestrator.name: one.durable for one in served.triggers if one.durable},
            gateway,
            limits,
            self._access,
            links,
            self._waiting,
        )
        keys = FunctionKeys(settings, self._access)
        self._triggers = TriggerApi(
            served.triggers, served.client, keys, settings.body_bytes, durable
        )
        foreign = checked_functions(served.program, served.triggers, settings)
        bodies = HeldBodies(settings.anonymous_bytes)
        self._foreign = ForeignApi(foreign, keys, links, NarrowedLinks(self._access), bodies)
        check_key_names(settings, [*(one.name for one in served.triggers), *foreign.names])
        explaining = Explaining(gateway, served.engine, settings.history_bytes)
        management = ManagementApi(
            gateway, limits, served.program, links, self._waiting, settings, explaining
        )
        admin = AdminApi(gateway, limits, served.program, self._waiting, settings, explaining)
        self._runs = RunsApi(served.engine, settings.history_bytes)
        messages = MessagesApi(gateway, limits)
        self._worker_calls = WorkerCalls(management, served.rpc_token)
        self._masking = Masking(served.secret, hidden=self._access.system_key)
        self._live = LiveApi(
            gateway, served.engine.updates, served.settings.watchers, self._masking
        )
        self._origins = Origins(served.settings)
        self._untold = Untold()
        running = RunningApi(served.program, served.run_timer, served.engine.clock, served.version)
        pages = None if served.dashboard is None else served.dashboard(links)
        self._front = running.front if pages is None else pages.front
        session = SessionApi(self._access, links, settings)
        self._linked = None if served.linked is None else LinksApi(served.linked)
        open_api = OpenApi(links, served.version, has_keys=bool(served.settings.keys))
        self.routes: Routes = Routes(
            [
                *management.routes(),
                *admin.routes(),
                *self._runs.routes(),
                *messages.routes(),
                *QueuesApi(gateway).routes(),
                *TopicsApi(gateway).routes(),
                *UsageApi(gateway, served.usage).routes(),
                *CloudEventsApi(gateway, limits).routes(),
                *EventGridApi(gateway, limits, served.program, self._access).routes(),
                *_facts(served, foreign).routes(),
                *running.routes(),
                *DeploymentsApi(served.deployments).routes(),
                *([] if pages is None else [*session.routes(), *pages.routes()]),
                *([] if self._linked is None else self._linked.routes()),
                *_watched(served),
                *self._live.routes(),
                *ObservationApi(served.engine, self._access, served.metrics).routes(),
                *_callbacks(served).routes(),
                *durable.routes(),
                *open_api.routes(),
            ]
        )
        functions = [
            route
            for trigger in served.triggers
            for route in described(trigger, partial(self._triggers.serve, trigger))
        ]
        open_api.describe([*self.routes.all, *functions, *self._foreign.described()])

    @property
    def dashboard_path(self) -> str | None:
        """Where the dashboard stands: at the root unless that is a function's; None without."""
        if not self._settings.dashboard:
            return None
        try:
            self._foreign.find("GET", b"/")
        except (RouteNotFoundError, MethodNotAllowedError):
            return "/"
        return f"/{DASHBOARD}"

    @property
    def system_key(self) -> str:
        """What stands in links that programs make of templates; empty when there are no keys."""
        return self._access.system_key

    async def start(self) -> None:
        """Start the mounted apps.

        Raises:
            AppLoadError: one of them refuses to start.
        """
        await self._mounted.start()

    async def stop(self) -> None:
        """Stop the mounted apps, once nobody asks for anything any more."""
        await self._mounted.stop()
        self._triggers.close()

    def close(self) -> None:
        """End what does not end by itself: live streams, and those who wait for an end."""
        self._waiting.close()
        self._live.close()
        self._runs.close()
        if self._linked is not None:
            self._linked.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            with self._visits.staying():
                if not await self._mounted.serve(scope, receive, send):
                    await send({"type": "websocket.close"})  # there is nothing of the kind
            return
        visit = self._visits.begin(scope, send)
        try:
            if await self._mounted.serve(scope, receive, visit.send):
                visit.route = _MOUNTED
            else:
                await self._serve(scope, receive, visit)
        finally:
            visit.end()

    async def _serve(self, scope: Scope, receive: Receive, visit: Visit) -> None:
        scope["state"] = {**scope.get("state", {}), **self.state}
        call = Call(scope, receive, self._settings.body_bytes)
        try:
            call.check_host()
            answer = self._origins.preflight(call) or await self._handled(call, visit)
            check_headers(answer.raw_headers)
        except TenutoError as error:
            whole = call.sees_places
            if not whole:
                self._untold.note(error)
            answer = error_answer(error, for_sdks=_is_for_sdks(scope), whole=whole)
            if call.expects_more:
                answer.headers["Connection"] = "close"  # the body it announced is not waited for
        except Exception:  # a request must not end the server, whatever is wrong with it
            _LOGGER.exception("%s %s failed", scope["method"], without_token(scope["path"]))
            answer = error_answer(
                TenutoError(
                    "something went wrong while processing the request; see the host's log"
                ),
                for_sdks=_is_for_sdks(scope),
            )
        if not (call.is_for_function or is_trigger(scope["raw_path"])):
            if not isinstance(answer, EventStream):
                if call.role is Role.READ:
                    await self._mask(answer, self._masking.masked)
                elif call.token is not None:  # it opens one instance, whatever stands in that
                    await self._mask(answer, self._masking.without_hidden)
            answer.headers.setdefault("Cache-Control", "no-store")
            answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        await answer(scope, receive, self._origins.telling(call, visit.send))

    async def _mask(self, answer: Response, masked: Callable[[bytes], Awaitable[bytes]]) -> None:
        answer.body = await masked(bytes(answer.body))
        for place, (name, value) in enumerate(answer.raw_headers):
            if len(value) >= TOKEN_LENGTH:  # such as Location, of a function's own answer
                answer.raw_headers[place] = (name, await masked(value))
        answer.headers["Content-Length"] = str(len(answer.body))

    async def _handled(self, call: Call, visit: Visit) -> Response:
        scope = call.scope
        self._origins.check(call)
        method, path = scope["method"], scope["raw_path"]
        of_worker = self._worker_calls.find(method, path)
        if of_worker is not None and not is_on_this_machine(scope):
            raise RouteNotFoundError(f"there is nothing at {without_token(scope['path'])}")
        route, call.parameters = of_worker or self._found(call, method, path)
        visit.route = route.path
        if of_worker is not None:
            call.sees_places = self._access.is_open
            call.role = Role.ADMIN  # the token in its path was its key
            # Clients do not quote what they put into a query, so that there may be anything in it.
        else:
            call.role = self._access.check(
                call,
                route.role,
                opened_by_link=route.opened_by_link,
                opened_by_system_key=route.opened_by_system_key,
                opened_by_event_grid_key=route.opened_by_event_grid_key,
            )
            # Not with a link, whoever made it; and what programs of this host hear they pass on.
            call.sees_places = call.role is Role.ADMIN and call.token is None
        if call.is_for_function:
            scope["headers"] = without_session(scope["headers"])
        elif of_worker is None:
            call.check_query(route)
        return await route.handler(call)

    def _found(self, call: Call, method: str, path: bytes) -> tuple[Route, dict[str, str]]:
        """What answers: where the server's own paths begin the server, else functions first."""
        is_trigger_path = is_trigger(path)
        if not is_trigger_path and path_parts(path)[0].lower() in self._own:
            return self.routes.find(method, path)
        own = self._triggers if is_trigger_path else self.routes
        try:
            found = own.find(method, path)
            call.is_for_function = is_trigger_path
        except (RouteNotFoundError, MethodNotAllowedError):
            try:
                if not self._foreign:
                    raise
                found = self._foreign.find(method, path)
                call.is_for_function = True
            except RouteNotFoundError:
                if path != b"/" or method not in {"GET", "HEAD"}:
                    raise
                return self._front, {}
        return found


def _is_for_sdks(scope: Scope) -> bool:
    """Whether it is a route that SDKs of Durable Functions call."""
    return str(scope["path"]).lower().startswith((MOUNT, f"{RPC_MOUNT}/"))
