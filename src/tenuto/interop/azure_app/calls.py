"""Functions of an app that are called from outside: by a request, by a schedule."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final

import msgspec

from tenuto.client.causes import current_cause
from tenuto.engine.program import HttpRequest, HttpResponse, TimerFire, TimerRetry
from tenuto.interop.azure_app.activities import failure, json_text
from tenuto.interop.azure_app.bindings.binder import (
    RETURN,
    BoundCall,
    StorageBindingError,
    is_output,
    kind_of,
)
from tenuto.interop.azure_app.folder.retry_policies import retry_policy
from tenuto.interop.azure_app.functions import (
    HTTP,
    TIMER,
    FunctionFailedError,
    binding_of,
    trigger_type,
)
from tenuto.interop.azure_app.inputs import Inputs, NoServerError
from tenuto.interop.azure_app.request_room import NoRoomError, RequestBounds, RequestRoom
from tenuto.interop.azure_app.streaming import StreamedCall, stream
from tenuto.interop.workers.errands import CallErrand
from tenuto.interop.workers.executed import FunctionLog
from tenuto.interop.workers.pool import WorkerPool
from tenuto.interop.workers.protocol import (
    Call,
    Datum,
    Failed,
    FunctionFacts,
    Http,
    Result,
    Retry,
    RetryException,
    Trace,
)
from tenuto.model.timing import MICROSECONDS, Microseconds, to_datetime

_LOGGER: Final = logging.getLogger("tenuto.app")
_EXECUTED: Final = FunctionLog(logging.INFO)
_NO_CONTENT: Final = 204
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_UNAVAILABLE: Final = 503
_MINUTE: Final[Microseconds] = 60 * MICROSECONDS
_ALL_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_encode: Final = msgspec.json.Encoder().encode


class AppCaller:
    """Calls functions of an app while a host runs it.

    Args:
        pool: The workers.
        inputs: Makes what functions are given.
        timeout: How long a function may run, in microseconds; None for no end.
        bounds: How many requests there may be at once.
    """

    def __init__(
        self,
        pool: WorkerPool,
        inputs: Inputs,
        timeout: Microseconds | None,
        bounds: RequestBounds | None = None,
    ) -> None:
        self._pool = pool
        self._room = RequestRoom(pool, bounds or RequestBounds())
        self._inputs = inputs
        self._timeout = timeout

    @property
    def is_serving(self) -> bool:
        """Whether a worker is there, or will be soon."""
        return self._pool.is_serving

    async def call(
        self,
        function: FunctionFacts,
        given: Datum,
        *,
        body: bytes = b"",
        metadata: Mapping[str, Any] | None = None,
        trace: Trace | None = None,
        retry: Retry | None = None,
        streamed: StreamedCall | None = None,
    ) -> tuple[Result, bytes]:
        """Call a function and wait for its end.

        It is called once. What runs for a request or a schedule may have charged a card when its
        worker goes away, and nobody knows; so it has failed then, as in the original. While no
        worker is there it waits for one.

        Args:
            function: The function.
            given: The value of its trigger.
            body: Of the request that calls it.
            metadata: Of its trigger.
            trace: What the call belongs to.
            retry: Which further attempt it is.
            streamed: What is to be done when request and answer pass by the pipe.

        Raises:
            FunctionFailedError: it has failed, there is no server for its durable client, an input
                could not be had, or an output not be written.
            NoRoomError: it is for a request, of which there are too many.
        """
        loop = asyncio.get_running_loop()
        over: asyncio.Future[tuple[Result | Failed, bytes]] = loop.create_future()
        invocation = str(uuid.uuid4()) if streamed is None else streamed.invocation

        def ended(answer: Result | Failed, attachment: bytes) -> None:
            self._room.left(errand)
            if not over.done():
                over.set_result((answer, attachment))

        try:
            inputs, bound = await self._given(function, given, body, metadata or {})
        except (NoServerError, StorageBindingError) as missing:
            raise _failed(function, invocation, str(missing)) from None
        call = Call(0, function.name, invocation, inputs, metadata or {}, retry, trace)

        began = perf_counter()

        def begun() -> None:
            nonlocal began
            began = perf_counter()
            if streamed is not None and errand.link is not None:
                streamed.began(errand.link.worker.loaded.http_uri or "")

        errand = CallErrand(call, body, ended, begun, self._timeout, is_repeatable=False)
        del body  # the errand lets it go when a worker has it
        way = self._room if trigger_type(function) == HTTP else self._pool
        way.call(errand)
        try:
            answer, attachment = await over
        except asyncio.CancelledError:
            way.cancel(errand)
            raise
        took = int((perf_counter() - began) * MICROSECONDS)
        if isinstance(answer, Failed):
            found = failure(answer)
            error = _failed(function, invocation, str(found), found.stack_trace)
            _EXECUTED.executed(function.name, invocation, took, error=found.error_type)
            raise error
        if bound is not None:
            try:
                await bound.write(answer)
            except StorageBindingError as error:
                _EXECUTED.executed(function.name, invocation, took, error=type(error).__name__)
                raise _failed(function, invocation, str(error)) from None
        _EXECUTED.executed(function.name, invocation, took)
        return answer, attachment

    async def _given(
        self, function: FunctionFacts, given: Datum, body: bytes, metadata: Mapping[str, Any]
    ) -> tuple[dict[str, Datum | None], BoundCall | None]:
        """What a function is called with, and what it is bound to in a storage account."""
        inputs = self._inputs.of(function, given)
        bound_to = self._inputs.bound(function)
        if bound_to is None:
            return inputs, None
        bound = bound_to.call(given, metadata, body, current_cause.get())
        inputs.update(await bound.read())
        return inputs, bound


def _failed(
    function: FunctionFacts, invocation: str, why: str, stack: str | None = None
) -> FunctionFailedError:
    """The error of a call, which the log is told of with all that is known."""
    _LOGGER.error(
        "function %s failed (invocation %s): %s\n%s",
        function.name,
        invocation,
        why,
        stack or "",
        extra={"invocation": invocation, "function": function.name},
    )
    return FunctionFailedError(f"function {function.name!r} failed: {why}", invocation, stack or "")


class AppHttpFunction:
    """A function of an app that answers requests.

    Args:
        function: The function.
        prefix: Before its route.
        caller: Who calls it, while a host runs the app.
        is_streamed: Whether the app's workers take requests themselves.
    """

    def __init__(
        self,
        function: FunctionFacts,
        prefix: str,
        caller: Callable[[], AppCaller | None],
        *,
        is_streamed: bool = False,
    ) -> None:
        self._function = function
        self._trigger = function.trigger
        self._caller = caller
        self.prefix: str = prefix
        self.takes_pieces: bool = is_streamed

    @property
    def name(self) -> str:
        """The function's."""
        return self._function.name

    @property
    def methods(self) -> Sequence[str]:
        """Those of its trigger; all when it names none."""
        given = self._trigger.get("methods")
        if not given:
            return _ALL_METHODS
        return [str(one).upper() for one in given]

    @property
    def route(self) -> str:
        """That of its trigger; else the function's name."""
        route = self._trigger.get("route")
        return self.name if route is None else str(route).strip("/")

    @property
    def place(self) -> str:
        """File and line in the app."""
        return self._function.place

    @property
    def level(self) -> str:
        """``anonymous``, ``function`` or ``admin``."""
        level = str(self._trigger.get("authLevel") or "function").lower()
        return level if level in {"anonymous", "admin"} else "function"

    @property
    def _returns_elsewhere(self) -> bool:
        """Whether what it returns is not its answer, but goes to another binding."""
        returned = [one for one in self._function.bindings if one.get("name") == RETURN]
        return any(is_output(one) and kind_of(one) != "http" for one in returned)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Have the function answer."""
        caller = self._caller()
        if caller is None or not caller.is_serving:
            return _problem(_UNAVAILABLE, "no worker process of the app is there; try again")
        http = Http(request.method, request.url, request.headers, request.query, request.params)
        headers = _joined(request.headers)
        parent = headers.get("traceparent")
        trace = None if parent is None else Trace(parent, headers.get("tracestate", ""))
        call = partial(
            caller.call,
            self._function,
            Datum(http=http),
            metadata={**request.params, "Headers": headers, "Query": dict(request.query)},
            trace=trace,
        )
        try:
            if self.takes_pieces:
                return await stream(
                    request, str(uuid.uuid4()), lambda streamed: call(streamed=streamed)
                )
            assert isinstance(request.body, bytes)
            calling = call(body=request.body)
            del request  # so that nothing holds its body while the function runs
            return self._response(*await calling)
        except FunctionFailedError as error:
            return self._failure(error.invocation)
        except NoRoomError:
            return _problem(
                _TOO_MANY,
                "there are as many requests as the app takes at once "
                "(extensions.http.maxOutstandingRequests in host.json); try again",
            )

    def _failure(self, invocation: str) -> HttpResponse:
        """What a caller is told: nothing of what user code has said, which may be secret."""
        told = {
            "message": f"function {self.name!r} failed; the host's log says why, look for the "
            f"invocation {invocation}",
            "function": self.name,
            "invocationId": invocation,
        }
        return HttpResponse(status=_SERVER_ERROR, headers=[_JSON], body=_encode(told))

    def _response(self, result: Result, body: bytes) -> HttpResponse:
        value = result.value
        output = binding_of(self._function, "http")
        if self._returns_elsewhere and value is not None and value.answer is None:
            value = None  # it is the output of another binding
        if value is None and output is not None:
            value = result.outputs.get(str(output["name"]))
        if value is None or output is None:
            return HttpResponse(status=_NO_CONTENT)
        if value.answer is not None:
            return HttpResponse(status=value.answer.status, headers=value.answer.headers, body=body)
        if value.string is not None:
            text = value.string
            return HttpResponse(status=200, headers=[_PLAIN], body=text.encode())
        return HttpResponse(status=200, headers=[_JSON], body=(json_text(value) or "").encode())


_PLAIN: Final = ("content-type", "text/plain; charset=utf-8")
_JSON: Final = ("content-type", "application/json")


class AppTimer:
    """A function of an app that a schedule starts.

    Args:
        function: The function.
        zone: The time zone of its schedule; None for UTC.
        caller: Who calls it, while a host runs the app.
    """

    def __init__(
        self,
        function: FunctionFacts,
        zone: str | None,
        caller: Callable[[], AppCaller | None],
    ) -> None:
        self._function = function
        self._trigger = function.trigger
        self._caller = caller
        self._retries = None if function.retry is None else retry_policy(function.retry)
        self.zone: str | None = zone

    @property
    def name(self) -> str:
        """The function's."""
        return self._function.name

    @property
    def schedule(self) -> str:
        """That of its trigger."""
        return str(self._trigger.get("schedule", ""))

    @property
    def runs_on_startup(self) -> bool:
        """Whether it also runs each time its host starts."""
        return self._trigger.get("runOnStartup") is True

    @property
    def keeps_state(self) -> bool:
        """Whether a moment that was missed is made up for."""
        return self._trigger.get("useMonitor") is not False

    def pause_before(self, attempt: int) -> Microseconds | None:
        """The pause before a further attempt, as its retry policy has it."""
        return None if self._retries is None else self._retries.pause_before(attempt)

    async def run(self, fire: TimerFire) -> None:
        """Call the function.

        Raises:
            FunctionFailedError: it has failed, or no worker is there.
        """
        caller = self._caller()
        if caller is None:
            raise FunctionFailedError(
                f"function {self.name!r} cannot run: its app is not running", invocation=""
            )
        given = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": {
                "Last": _moment(fire.last),
                # As Azure has it: what comes next is, while it runs, the moment that is run.
                "Next": _moment(fire.next if fire.is_startup else fire.due_at),
                "LastUpdated": _moment(fire.updated_at),
            },
            "IsPastDue": fire.is_past_due,
        }
        retry = None if self._retries is None else _retry(fire.retry, self._retries.most)
        await caller.call(self._function, Datum(json=_encode(given).decode()), retry=retry)


def _retry(retry: TimerRetry | None, most: int) -> Retry | None:
    """Which attempt it is, as a package is told it."""
    if retry is None:
        return None
    failure = retry.failure
    stack = failure.stack if isinstance(failure, FunctionFailedError) else ""
    return Retry(retry.count, most, RetryException(str(failure), stack_trace=stack))


def http_functions(
    functions: Sequence[FunctionFacts],
    prefix: str,
    caller: Callable[[], AppCaller | None],
    *,
    is_streamed: bool = False,
) -> list[AppHttpFunction]:
    """Those of an app that answer requests."""
    return [
        AppHttpFunction(one, prefix, caller, is_streamed=is_streamed)
        for one in functions
        if trigger_type(one) == HTTP
    ]


def timers(
    functions: Sequence[FunctionFacts], zone: str | None, caller: Callable[[], AppCaller | None]
) -> list[AppTimer]:
    """Those of an app that a schedule starts."""
    return [AppTimer(one, zone, caller) for one in functions if trigger_type(one) == TIMER]


def _joined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; what comes more than once is joined as HTTP has it."""
    joined: dict[str, str] = {}
    for name, value in headers:
        separator = "; " if name == "cookie" else ", "
        joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


def _moment(moment: Microseconds | None) -> str:
    """A time as a package reads it; the year 1 stands for never."""
    if moment is None:
        return "0001-01-01T00:00:00+00:00"
    return to_datetime(moment).isoformat()


def _problem(status: int, text: str) -> HttpResponse:
    headers = [_JSON, ("retry-after", "1")]
    return HttpResponse(status=status, headers=headers, body=_encode({"message": text}))
