"""A program of another kind than an app, beside the native one: a fake of an engine elsewhere."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tenuto.engine.program import (
    FunctionDescription,
    HttpFunction,
    HttpRequest,
    HttpResponse,
    ProgramDescription,
    RunnerMeans,
    Served,
    TimerFunction,
    TriggeredFunction,
)
from tenuto.model.errors import InputError, PayloadError, RegistrationError, UnknownFunctionError
from tenuto.model.payload import encode
from tenuto.model.payload.opaque import shown
from tests.support.foreign_runner import ForeignRunner, Script, Work


class OneText(Struct, frozen=True):
    """Takes one text, or nothing."""

    owner: str
    takes_input: bool = True

    def encode_arguments(self, args: tuple[Any, ...]) -> str | None:
        if len(args) > 1:
            raise InputError(f"{self.owner!r} takes one text, got {len(args)} values")
        text = encode(args[0]) if args else None
        self.check(text)
        return text

    def check(self, text: str | None) -> None:
        if text is not None and not isinstance(shown(text), str):
            raise PayloadError("must be a text", path="", owner=self.owner)

    def decode_result(self, text: str | None) -> object:
        return shown(text)


class ForeignOrchestrator(Struct, frozen=True):
    """An orchestrator of which a name is known, and what new instances are marked with."""

    name: str
    signature: OneText
    version: str | None = None
    tags: Mapping[str, str] | None = None
    instance_id: str | None = None


class ForeignHttpFunction(Struct, frozen=True, kw_only=True):
    """A function behind HTTP that is made of any coroutine function."""

    name: str
    function: Callable[[HttpRequest], Awaitable[HttpResponse]]
    route: str
    methods: Sequence[str] = ()
    prefix: str = "api"
    level: str = "anonymous"
    takes_pieces: bool = False
    place: str = ""

    async def answer(self, request: HttpRequest) -> HttpResponse:
        return await self.function(request)


class ForeignProgram:
    """Scripts as orchestrators, found in whatever case their names are written.

    Args:
        scripts: Orchestrators that are here.
        activities: Activities.
        kind: Of the program.
        expected: Orchestrators whose workers may come.
        elsewhere: Orchestrators of which another host's workers are there.
        broken: Why it cannot be run.
        http: What answers requests.
        timers: Functions that schedules start.
        triggered: Functions that events start.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script],
        activities: Mapping[str, Work] | None = None,
        *,
        kind: str = "foreign",
        expected: Collection[str] = (),
        elsewhere: Collection[str] = (),
        broken: str | None = None,
        http: Sequence[HttpFunction] = (),
        timers: Sequence[TimerFunction] = (),
        triggered: Sequence[TriggeredFunction] = (),
    ) -> None:
        self.kind: str = kind
        self.scripts: dict[str, Script] = dict(scripts)
        self.activities: Mapping[str, Work] = activities or {}
        self.runners: list[ForeignRunner] = []
        self.warnings: Sequence[str] = [f"{kind} is but a fake"]
        self.has_no_runner = False
        self._expected = expected
        self._elsewhere = elsewhere
        self._broken = broken
        self._http = http
        self.timers: Sequence[TimerFunction] = timers
        self.triggered: Sequence[TriggeredFunction] = triggered

    @property
    def orchestrators(self) -> Collection[str]:
        return self.scripts.keys()

    def serves(self, name: str) -> Served:
        if self._known(name) is not None:
            return Served.HERE
        if name in self._elsewhere:
            return Served.ELSEWHERE
        return Served.LATER if name in self._expected else Served.NEVER

    def _known(self, name: str) -> str | None:
        return next((one for one in self.scripts if one.casefold() == name.casefold()), None)

    def get_orchestrator(self, name: str) -> ForeignOrchestrator:
        if self.serves(name) is Served.NEVER:
            raise UnknownFunctionError("orchestrator", name, self.scripts)
        known = self._known(name) or name
        return ForeignOrchestrator(known, OneText(known), version="f-1", tags={"from": self.kind})

    def check_input(self, name: str, text: str | None) -> None:
        self.get_orchestrator(name).signature.check(text)

    @property
    def descriptions(self) -> Sequence[ProgramDescription]:
        return [
            ProgramDescription(
                kind=self.kind,
                orchestrators=[
                    FunctionDescription(name=one, version="f-1") for one in self.scripts
                ],
                activities=[FunctionDescription(name=one) for one in self.activities],
            )
        ]

    @property
    def http_functions(self) -> Sequence[HttpFunction]:
        return self._http

    def check(self) -> None:
        if self._broken is not None:
            raise RegistrationError(self._broken)

    def make_runner(self, means: RunnerMeans) -> ForeignRunner:
        assert means.clock.now() > 0
        if self.has_no_runner:
            raise OSError("the pipe is broken")
        runner = ForeignRunner(self.scripts, self.activities)
        self.runners.append(runner)
        return runner
