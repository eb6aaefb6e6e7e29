"""The Program port for an Azure Functions app: what a host must know of it.

Loading it starts a worker and has that read the app; the worker goes on as the first one of the
host. Nothing of the app is ever imported into the host's process.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Struct

from tenuto.engine.ports import Runner
from tenuto.engine.program import (
    FunctionDescription,
    HttpFunction,
    Orchestrator,
    ProgramDescription,
    RunnerMeans,
    Served,
    TimerFunction,
    TriggeredFunction,
)
from tenuto.engine.scaling import PoolBounds
from tenuto.functions.program import NativeProgram
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.runner import RunnerOptions
from tenuto.interop.azure_app.activities import ActivityOptions
from tenuto.interop.azure_app.bindings.binder import Binder, BinderOptions
from tenuto.interop.azure_app.calls import AppCaller, http_functions, timers
from tenuto.interop.azure_app.folder.app_folder import AppFolder
from tenuto.interop.azure_app.folder.bindings import (
    REQUIRES_GRPC,
    check_functions,
    chosen_functions,
    running_functions,
)
from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.languages import Language
from tenuto.interop.azure_app.folder.storage_bindings import check_storage
from tenuto.interop.azure_app.folder.time_zones import zone_of
from tenuto.interop.azure_app.functions import ACTIVITY, ORCHESTRATION, NamedFunctions
from tenuto.interop.azure_app.inputs import Inputs
from tenuto.interop.azure_app.request_room import RequestBounds
from tenuto.interop.azure_app.runner import AppFunctions, AppRunner, AppRunnerOptions
from tenuto.interop.azure_app.triggered import triggered_functions
from tenuto.interop.contract.dialect import JAVASCRIPT, PYTHON, Dialect
from tenuto.interop.contract.session import SessionOptions
from tenuto.interop.workers.launching import Launch, StartedWorker
from tenuto.interop.workers.options import PoolOptions
from tenuto.interop.workers.pool import WorkerPool
from tenuto.interop.workers.protocol import FunctionFacts
from tenuto.interop.workers.protocol import Limits as WorkerLimits
from tenuto.model.errors import AppLoadError, InputError, RegistrationError, UnknownFunctionError
from tenuto.model.limits import Limits, limit_words
from tenuto.model.payload import encode
from tenuto.model.payload.opaque import shown
from tenuto.model.timer_schedule import parse_schedule
from tenuto.model.timing import span

_ACTIVITIES_AT_ONCE: Final = 200
_FOR_EVER: Final = 100 * 365 * 24 * 3600.0
"""Seconds that nobody sees the end of."""
"""Unless ``host.json`` says otherwise. The original says ten for each processor, which makes a
turn of every few results; what an app's services bear is for its ``host.json`` to say."""
_PACKAGES: Final = {
    Language.PYTHON: "azure-functions-durable",
    Language.NODE: "durable-functions",
}
_DIALECTS: Final[Mapping[Language, Dialect]] = {
    Language.PYTHON: PYTHON,
    Language.NODE: JAVASCRIPT,
}


class ProgramOptions(Struct, frozen=True, kw_only=True):
    """How an app is run, beside what it says itself.

    Attributes:
        compare_every: In one session of so many, what the kept executor answers is compared with
            the plain call of the package; 0 for none.
        turn_seconds: The longest time for one turn.
        memory_bytes: A worker that has more is replaced; None for no bound.
        bounds: Between what the number of workers grows and shrinks; None for as many as the app
            asks for, always.
        is_debugged: Whether a debugger may attach to its worker: nothing takes too long then.
        built_in: What Tenuto's own activities may use, such as where calls over HTTP may go.
    """

    compare_every: int = 64
    turn_seconds: float = 60.0
    memory_bytes: int | None = None
    bounds: PoolBounds | None = None
    is_debugged: bool = False
    built_in: RunnerOptions = RunnerOptions()


class OneInput(Struct, frozen=True):
    """Takes one value, or none."""

    takes_input: bool = True

    def encode_arguments(self, args: tuple[Any, ...]) -> str | None:
        """The argument as JSON text.

        Raises:
            InputError: there are several.
        """
        if len(args) > 1:
            raise InputError(
                f"an orchestrator of an Azure Functions app takes one input, got {len(args)}"
            )
        return encode(args[0]) if args else None

    def decode_result(self, text: str | None) -> object:
        """The result as plain data."""
        return shown(text)


class AppOrchestrator(Struct, frozen=True):
    """An orchestrator of an app."""

    name: str
    signature: OneInput = OneInput()
    version: str | None = None
    tags: Mapping[str, str] | None = None
    instance_id: str | None = None


class AzureProgram:
    """An Azure Functions app.

    Args:
        app: Its folder.
        launch: How its workers are started.
        options: How it is run.

    Raises:
        AppLoadError: it cannot be run, with file and line where they are known.
    """

    def __init__(
        self, app: AppFolder, launch: Launch, options: ProgramOptions | None = None
    ) -> None:
        self.app: AppFolder = app
        self._launch = launch
        self._options = options or ProgramOptions()
        self._first: StartedWorker | None = StartedWorker(launch)
        try:
            loaded, hello = self._first.loaded, self._first.hello
            self.names: list[str] = [one.name for one in loaded.functions]
            # What is switched off runs nowhere, so nothing is wrong with it.
            chosen = chosen_functions(loaded.functions, app.host, app.settings)
            self.findings: list[Finding] = check_functions(
                chosen, settings=app.settings, parse_schedule=parse_schedule
            )
            _refuse(self.findings)
            self.functions: list[FunctionFacts] = running_functions(chosen, app.host, app.settings)
            of_storage = check_storage(self.functions, app.settings)
            _refuse(of_storage)
            self.findings += of_storage
            zone = zone_of(app.settings)
        except BaseException:
            self.close()
            raise
        self._notes = list(loaded.notes)
        package = _PACKAGES[app.kind.language]
        version = loaded.packages.get(package)
        self.runtime: str = (
            hello.runtime if version is None else f"{hello.runtime}, {package} {version}"
        )
        """What its orchestrators run on; history records it."""
        durable = [one for one in self.functions if one.trigger.get(REQUIRES_GRPC) is not True]
        self._orchestrators = NamedFunctions(durable, ORCHESTRATION)
        self._activities = NamedFunctions(durable, ACTIVITY)
        self._caller: AppCaller | None = None
        prefix = app.host.http.route_prefix
        self._http = http_functions(
            self.functions,
            prefix,
            lambda: self._caller,
            is_streamed=loaded.http_uri is not None,
        )
        self._timers = timers(self.functions, zone, lambda: self._caller)
        receipts = f"{app.host.durable.hub_name}-{app.root.name}"
        self._triggered = triggered_functions(
            self.functions, app.settings, app.host, lambda: self._caller, receipts
        )

    def close(self) -> None:
        """End the worker that has read the app, unless a host has taken it."""
        first, self._first = self._first, None
        if first is not None:
            first.kill()

    # --- the Program port ------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """``azure functions``."""
        return "azure functions"

    @property
    def orchestrators(self) -> Collection[str]:
        """Names of the orchestrators, in the app's order."""
        return self._orchestrators.names

    @property
    def activities(self) -> Collection[str]:
        """Names of the activities, in the app's order."""
        return self._activities.names

    def serves(self, name: str) -> Served:
        """Here, or never: another app has what this one has not."""
        return Served.NEVER if self._orchestrators.find(name) is None else Served.HERE

    def get_orchestrator(self, name: str) -> Orchestrator:
        """The orchestrator of that name, however its letters are written.

        Raises:
            UnknownFunctionError: listing what there is.
        """
        found = self._orchestrators.find(name)
        if found is None:
            raise UnknownFunctionError("orchestrator", name, self.orchestrators)
        return AppOrchestrator(found[0])

    def check_input(self, name: str, text: str | None) -> None:
        """Any JSON will do: what the orchestrator makes of it is its own affair.

        Raises:
            UnknownFunctionError: listing what there is.
        """
        del text
        self.get_orchestrator(name)

    @property
    def descriptions(self) -> Sequence[ProgramDescription]:
        """The durable functions of the app."""
        return [
            ProgramDescription(
                kind=self.kind,
                orchestrators=[FunctionDescription(name=one) for one in self.orchestrators],
                activities=[FunctionDescription(name=one) for one in self.activities],
            )
        ]

    @property
    def warnings(self) -> Sequence[str]:
        """What the app's packages and its folder give a person to know."""
        notes = [_sentence(one) for one in self.findings if one.level is Level.NOTE]
        return [*self._notes, *notes]

    @property
    def http_functions(self) -> Sequence[HttpFunction]:
        """Functions that answer requests."""
        return self._http

    @property
    def timers(self) -> Sequence[TimerFunction]:
        """Functions that a schedule starts."""
        return self._timers

    @property
    def triggered(self) -> Sequence[TriggeredFunction]:
        """Functions that events start."""
        return self._triggered

    def check(self) -> None:
        """See that the app has functions at all.

        Raises:
            RegistrationError: it has none.
        """
        if not self.functions:
            raise RegistrationError(
                f"the app in {self.app.root} has no functions that are to be run"
            )

    def make_runner(self, means: RunnerMeans) -> Runner:
        """Runs the app's functions in worker processes, Tenuto's own activities here."""
        host = self.app.host
        most = host.durable.max_activities or _ACTIVITIES_AT_ONCE
        has_end = host.function_timeout is not None and not self._options.is_debugged
        timeout = span(host.function_timeout) if has_end and host.function_timeout else None
        pool = WorkerPool(
            self._launch,
            PoolOptions(
                bounds=self._options.bounds
                or PoolBounds(least=self.app.workers, most=self.app.workers),
                turn_seconds=_FOR_EVER if self._options.is_debugged else self._options.turn_seconds,
                memory_bytes=self._options.memory_bytes,
                limits=_told(means.limits),
            ),
        )
        binder = Binder(
            self.functions,
            self.app.settings,
            BinderOptions(
                encoding=host.queues.encoding,
                payload_bytes=means.limits.payload_bytes,
                is_python=self.app.kind.language is Language.PYTHON,
            ),
            means.publish,
            means.clock.now,
        )
        inputs = Inputs(partial(means.client_binding, host.durable.hub_name), binder)
        self._caller = AppCaller(
            pool,
            inputs,
            timeout,
            RequestBounds(running=host.http.max_running, outstanding=host.http.max_outstanding),
        )
        built_in = NativeProgram(FunctionRegistry(), self._options.built_in).make_runner(means)
        first, self._first = self._first, None
        return AppRunner(
            AppFunctions(self._orchestrators, self._activities, inputs),
            pool,
            built_in,
            means.clock,
            AppRunnerOptions(
                runtime=self.runtime,
                session=SessionOptions(
                    dialect=_DIALECTS[self.app.kind.language],
                    poll_pause=span(host.durable.http_poll_interval),
                ),
                activities=ActivityOptions(
                    payload_bytes=means.limits.payload_bytes,
                    timeout=timeout,
                    most_at_once=most,
                ),
                compare_every=self._options.compare_every,
            ),
            first,
        )


def _told(limits: Limits) -> WorkerLimits:
    most = limits.payload_bytes
    return WorkerLimits(most, limit_words("payload_bytes", most))


def _refuse(findings: Sequence[Finding]) -> None:
    wrong = [one for one in findings if one.level is Level.UNSUPPORTED]
    if wrong:
        raise AppLoadError("\n".join(map(_sentence, wrong)))


def _sentence(finding: Finding) -> str:
    place = f"{finding.place}: " if finding.place else ""
    advice = f"; {finding.advice}" if finding.advice else ""
    return f"{place}{finding.text}{advice}"
