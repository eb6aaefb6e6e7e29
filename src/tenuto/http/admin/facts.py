"""What a server says of itself under ``/admin``: its functions, its version, its settings.

Must never show a secret.
"""

import platform
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from tenuto.client.wire import ADMIN
from tenuto.engine.ports import Clock
from tenuto.engine.program import FunctionDescription, Program
from tenuto.http.admin.event_functions import EventFunctionInfo, event_function_info
from tenuto.http.description import Answer, Operation
from tenuto.http.functions.foreign import ForeignFunctions
from tenuto.http.functions.triggers import HttpTriggers
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.timing import MICROSECONDS
from tenuto.telemetry.host_log import shown


class HostFacts(Struct, frozen=True, kw_only=True):
    """What a host knows of how it was started.

    Attributes:
        version: The version of Tenuto.
        storage: The store's URL.
        configuration: The settings in force, nested as in a file.
        sources: Where each came from, by its key with dots.
    """

    version: str
    storage: str
    configuration: Mapping[str, Any] = {}
    sources: Mapping[str, str] = {}


class ParameterInfo(Struct, frozen=True, rename="camel"):
    """A parameter of a function.

    Attributes:
        name: Its name.
        required: Whether an input must hold it.
        schema: The JSON schema of its type; left out when it has none.
    """

    name: str
    required: bool
    schema: dict[str, Any] | UnsetType = UNSET


class FunctionInfo(Struct, frozen=True, rename="camel"):
    """An orchestrator or an activity.

    Attributes:
        name: Its name in history.
        parameters: What its input fills. One takes the input as it is; of more, the input is an
            object by name.
        program: The kind of program that it is of: ``native`` for the app's own.
        version: What new instances are marked with.
    """

    name: str
    parameters: list[ParameterInfo]
    program: str
    version: str | None = None


class RouteInfo(Struct, frozen=True, rename="camel"):
    """A function behind HTTP.

    Attributes:
        name: Its name.
        methods: The HTTP methods that it answers.
        path: Its path.
        auth: Whose requests it takes: ``anonymous``, ``function`` or ``admin``.
    """

    name: str
    methods: list[str]
    path: str
    auth: str


class TimerFunctionInfo(Struct, frozen=True, rename="camel"):
    """A function that a schedule starts.

    Attributes:
        name: Its name.
        schedule: NCRONTAB, or a time span.
        zone: The time zone of the schedule; null for UTC.
        run_on_startup: Whether it also runs each time its host starts.
    """

    name: str
    schedule: str
    zone: str | None
    run_on_startup: bool


class FunctionsBody(Struct, frozen=True, rename="camel"):
    """The functions of a host.

    Attributes:
        orchestrators: The orchestrators, program by program, in the order of registration.
        activities: The activities, in the same order.
        http_routes: The functions behind HTTP, in the order of registration.
        timers: The functions that schedules start, program by program.
        event_functions: The functions that events start, program by program.
    """

    orchestrators: list[FunctionInfo]
    activities: list[FunctionInfo]
    http_routes: list[RouteInfo]
    timers: list[TimerFunctionInfo]
    event_functions: list[EventFunctionInfo]


class SettingInfo(Struct, frozen=True, rename="camel"):
    """A setting in force.

    Attributes:
        key: Its name, with dots.
        value: Its value; secrets are hidden.
        source: Where it came from, in words; null when that is not known.
    """

    key: str
    value: Any
    source: str | None


class InfoBody(Struct, frozen=True, rename="camel"):
    """Version, store and settings of a host.

    Attributes:
        version: The version of Tenuto.
        python: The version of Python.
        storage: The kind of store: ``sqlite`` or ``postgresql``.
        started_at: When it began to serve, in microseconds since 1970 UTC.
        uptime_seconds: For how long it has served.
        settings: The settings in force.
    """

    version: str
    python: str
    storage: str
    started_at: int
    uptime_seconds: float
    settings: list[SettingInfo]


class FactsApi:
    """The routes that describe a host.

    Args:
        facts: How it was started.
        program: Its functions.
        triggers: Those of the app behind HTTP.
        foreign: Those of other programs behind HTTP.
        clock: Its time.
    """

    def __init__(
        self,
        facts: HostFacts,
        program: Program,
        triggers: HttpTriggers,
        foreign: ForeignFunctions,
        clock: Clock,
    ) -> None:
        self._facts = facts
        self._program = program
        self._triggers = triggers
        self._foreign = foreign
        self._clock = clock
        self._started_at = clock.now()

    def routes(self) -> list[Route]:
        """The routes of the table below."""
        return bound(_ENDPOINTS, self)

    async def functions(self, call: Call) -> Response:
        del call
        programs = self._program.descriptions
        body = FunctionsBody(
            orchestrators=[
                _info(one, found.kind) for found in programs for one in found.orchestrators
            ],
            activities=[_info(one, found.kind) for found in programs for one in found.activities],
            http_routes=[
                *(
                    RouteInfo(one.name, list(one.methods), one.path, one.auth)
                    for one in self._triggers
                ),
                *(
                    RouteInfo(one.function.name, list(one.methods), one.template.path, one.level)
                    for one in self._foreign.all
                ),
            ],
            timers=[
                TimerFunctionInfo(one.name, one.schedule, one.zone, one.runs_on_startup)
                for one in self._program.timers
            ],
            event_functions=list(map(event_function_info, self._program.triggered)),
        )
        return json_answer(body)

    async def info(self, call: Call) -> Response:
        del call
        facts = self._facts
        configuration = shown(dict(_flat(facts.configuration)))
        body = InfoBody(
            version=facts.version,
            python=platform.python_version(),
            storage=urlsplit(facts.storage).scheme,
            started_at=self._started_at,
            uptime_seconds=(self._clock.now() - self._started_at) / MICROSECONDS,
            settings=[
                SettingInfo(key, value, facts.sources.get(key))
                for key, value in configuration.items()
            ],
        )
        return json_answer(body)


_FUNCTIONS: Final = Operation(
    summary="The functions of the app",
    tag="admin",
    answers={
        200: Answer(
            text="The orchestrators, activities, and functions behind HTTP, timers and events.",
            kind=FunctionsBody,
        )
    },
)
_INFO: Final = Operation(
    summary="Version, store and settings of the host",
    tag="admin",
    answers={200: Answer(text="Version, store and settings of the host.", kind=InfoBody)},
)
_ENDPOINTS: Final = (
    Endpoint("GET", f"{ADMIN}/functions", Role.READ, FactsApi.functions, _FUNCTIONS),
    Endpoint("GET", f"{ADMIN}/info", Role.ADMIN, FactsApi.info, _INFO),
)


def _flat(configuration: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings by key, as settings files and variables call them."""
    for name, value in configuration.items():
        if isinstance(value, Mapping):
            for inner, one in value.items():
                yield f"{name}.{inner}", one
        else:
            yield name, value


def _info(function: FunctionDescription, kind: str) -> FunctionInfo:
    parameters = [
        ParameterInfo(one.name, one.required, UNSET if one.schema is None else one.schema)
        for one in function.parameters
    ]
    return FunctionInfo(function.name, parameters, kind, function.version)
