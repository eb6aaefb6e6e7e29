"""Durable functions behind HTTP: a request starts an orchestration and waits for what it answers.

The function is an orchestrator. A request starts an instance; when that ends within the time to
wait, its answer is the request's. Else the caller is sent (303) to an address where the answer will
be, also after a crash of the host. A request that is sent again with its ``Idempotency-Key`` meets
the instance of the first one. The address opens the answer alone, neither status nor history.
"""

import inspect
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from functools import partial, wraps
from hashlib import sha256
from typing import Any, Final, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote

import msgspec
from msgspec import Struct
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response, StreamingResponse

from tenuto.client.gateway import Gateway
from tenuto.client.starting import StartOptions, start_request
from tenuto.http.access import Access
from tenuto.http.description import Answer, Operation
from tenuto.http.errors import JSON, error_answer
from tenuto.http.functions.parameters import Source
from tenuto.http.functions.responses import response_of
from tenuto.http.links import Links
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.http.waiting import LONGEST_SECONDS, Waiting
from tenuto.model.errors import (
    HttpError,
    InputError,
    InstanceExistsError,
    InstanceNotFoundError,
)
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.orchestration.references import AnyOrchestrator, OrchestratorFunction

PATH: Final = "/results/{instanceId}"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
DEFAULT_WAIT: Final = timedelta(seconds=10)

_MARK: Final = "$http"
_RETRY_SECONDS: Final = 1
_LONGEST_KEY: Final = 256
_NOT_STORED: Final = frozenset({Source.CLIENT, Source.SYNC_CLIENT, Source.REQUEST})
_OWN_HEADERS: Final = frozenset({"content-length"})


class StoredAnswer(Struct, frozen=True, tag_field=_MARK, tag="answer"):
    """A response that a durable function gave, as it stands in history.

    Attributes:
        status: Its status.
        headers: Its headers, in order.
        body: Its body, in base64 (JSON text holds no bytes).
    """

    status: int
    headers: list[list[str]]
    body: str

    def response(self) -> Response:
        """The response itself."""
        answer = Response(b64decode(self.body), self.status)
        for name, value in self.headers:
            answer.headers.append(name, value)
        return answer


class DurableFunction(Struct, frozen=True):
    """What is durable about a function behind HTTP.

    Attributes:
        orchestrator: What a request starts.
        wait_seconds: How long a request waits for the end.
    """

    orchestrator: AnyOrchestrator
    wait_seconds: float


class PendingBody(Struct, frozen=True, rename="camel"):
    """There is no answer yet."""

    instance_id: str
    runtime_status: str


class DurableAnswers:
    """Serves durable functions, and the addresses of their answers.

    Args:
        functions: The durable functions by the names of their orchestrators.
        gateway: Starts them.
        limits: Of these, ``payload_bytes`` holds for their input.
        access: Makes and checks what opens the addresses.
        links: Tells the server's own address.
        waiting: For callers that wait for the end.
    """

    def __init__(
        self,
        functions: Mapping[str, DurableFunction],
        gateway: Gateway,
        limits: Limits,
        access: Access,
        links: Links,
        waiting: Waiting,
    ) -> None:
        self._functions = functions
        self._gateway = gateway
        self._limits = limits
        self._access = access
        self._links = links
        self._waiting = waiting

    def routes(self) -> list[Route]:
        """The address of an answer; none without durable functions."""
        return bound(_ENDPOINTS, self) if self._functions else []

    async def start(
        self, function: DurableFunction, call: Call, arguments: tuple[Any, ...]
    ) -> Response:
        """Start an instance, or meet the one of an earlier request, and answer with what it gives.

        Args:
            function: What is started.
            call: The request, its key checked and its body read.
            arguments: Of the orchestrator.

        Raises:
            HttpError: the key is none, or was used with other arguments.
            PayloadError, LimitError: the arguments cannot be stored.
        """
        orchestrator = function.orchestrator
        address = self._links.base(call)  # without one it is refused before anything is done
        text = orchestrator.signature.encode_arguments(arguments)
        options = StartOptions(
            instance_id=_id_for(orchestrator.name, call), reuse=frozenset(), trace=call.trace
        )
        request = start_request(orchestrator, text, self._gateway.now(), self._limits, options)
        try:
            await self._gateway.start(request)
        except InstanceExistsError:
            await self._check_same(request.instance_id, orchestrator.name, text)
        instance_id = request.instance_id
        record = await self._waiting.until(call, instance_id, function.wait_seconds)
        if record is not None and record.status.is_finished:
            return _answer_of(record)
        code = self._access.answer_code(instance_id)
        place = f"{address}/results/{quote(instance_id, safe='')}" + (
            f"?code={code}" if code else ""
        )
        headers = {"Location": place, "Retry-After": str(_RETRY_SECONDS)}
        return Response(None, 303, headers)

    async def show(self, call: Call) -> Response:
        """The answer of an instance, once it has one."""
        instance_id = call.instance_id
        call.role = self._access.check_answer(call, instance_id)
        record = await self._gateway.get(instance_id)
        function = None if record is None else self._functions.get(record.name)
        if function is None:
            raise InstanceNotFoundError(instance_id)
        await call.body()
        record = await self._waiting.until(call, instance_id, function.wait_seconds)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        if record.status.is_finished:
            return _answer_of(record)
        body = PendingBody(instance_id, record.status.label)
        return json_answer(body, 202, {"Retry-After": str(_RETRY_SECONDS)})

    async def _check_same(self, instance_id: InstanceId, name: str, text: str | None) -> None:
        record = await self._gateway.get(instance_id)
        if record is not None and (record.name, record.input) != (name, text):
            raise HttpError(
                f"this {IDEMPOTENCY_KEY} was used for a request with other content; take a new one",
                status=422,
            )


_SHOW: Final = Operation(
    summary="The answer of a durable function",
    tag="functions",
    answers={
        200: Answer(
            text="What the function answered; other statuses if it chose them.", kind=object
        ),
        202: Answer(
            text="There is no answer yet; ask again.",
            kind=PendingBody,
            headers={"Retry-After": "Seconds."},
        ),
    },
    errors=(401, 404, 500),
)
_ENDPOINTS: Final = (Endpoint("GET", PATH, None, DurableAnswers.show, _SHOW),)


# --- a request ------------------------------------------------------------------------------------


def _id_for(name: str, call: Call) -> str | None:
    """The instance of all requests with one key; None for a request that has none."""
    keys = call.listed_header(IDEMPOTENCY_KEY.lower())
    if not keys:
        return None
    key = keys[0].strip('"')
    if len(keys) > 1 or not 1 <= len(key) <= _LONGEST_KEY:
        raise HttpError(f"{IDEMPOTENCY_KEY} must be one text of 1 to {_LONGEST_KEY} characters")
    digest = sha256(f"{name}\n{call.scope['path']}\n{key}".encode()).hexdigest()
    return f"http-{digest[:32]}"


# --- an answer ------------------------------------------------------------------------------------


def _answer_of(record: InstanceRecord) -> Response:
    if record.status is not RuntimeStatus.COMPLETED:
        return _failure_of(record)
    text = record.output
    if text is None or text == "null":
        return Response(None, 204)
    if text.startswith('{"' + _MARK):
        return msgspec.json.decode(text, type=StoredAnswer).response()
    return Response(text, media_type=JSON)


def _failure_of(record: InstanceRecord) -> Response:
    failure = record.failure
    if failure is None:
        ending = record.status.label.lower()
        return error_answer(HttpError(f"instance {record.instance_id!r} was {ending}", status=500))
    status = failure.properties.get("status") if failure.properties else None
    if failure.is_caused_by(HttpError) and isinstance(status, int):
        return error_answer(HttpError(failure.error_message, status=status))
    # As of other functions: what went wrong stands in history, not in the answer.
    return error_answer(
        HttpError(f"instance {record.instance_id!r} failed; see its history", status=500)
    )


# --- registration ---------------------------------------------------------------------------------


def checked_wait(wait: object) -> float:
    """The time to wait, in seconds.

    Raises:
        InputError: it is none, negative or too long.
    """
    longest = timedelta(seconds=LONGEST_SECONDS)
    if not isinstance(wait, timedelta) or not timedelta(0) <= wait <= longest:
        raise InputError(f"wait must be a timedelta from 0 to {longest}, got {wait!r}")
    return wait.total_seconds()


def storing(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its responses and statuses as values that history can hold.

    One that gives values alone is left as it is.
    """
    if isinstance(function, OrchestratorFunction):
        return function
    try:
        returned = get_type_hints(function, include_extras=True).get("return", Any)
    except (NameError, TypeError, AttributeError):  # told where the host starts
        return function
    is_generator = inspect.isgeneratorfunction(function)
    if is_generator:
        returned = (*get_args(returned), Any, Any, Any)[2]
    members = get_args(returned) if _is_union(returned) else (returned,)
    if returned is not Any and not any(map(_is_answer, members)):
        return function
    kept = [one for one in members if not _is_answer(one)]
    stored: Any = Any if returned is Any else Union[(*kept, StoredAnswer)]
    shown = Generator[Any, Any, stored] if is_generator else stored
    return _wrapped(function, shown, is_unannotated=returned is Any)


def _wrapped(
    function: Callable[..., Any], returned: object, *, is_unannotated: bool
) -> Callable[..., Any]:
    made: Any
    store = partial(_stored, is_unannotated=is_unannotated)
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def made(*args: Any) -> Any:  # noqa: ANN401 - of users
            return store((yield from function(*args)))

    elif inspect.iscoroutinefunction(function):

        @wraps(function)
        async def made(*args: Any) -> Any:  # noqa: ANN401 - of users
            return store(await function(*args))

    else:

        @wraps(function)
        def made(*args: Any) -> Any:  # noqa: ANN401 - of users
            return store(function(*args))

    made.__signature__ = inspect.signature(function).replace(return_annotation=returned)
    return made  # type: ignore[no-any-return]


def _is_union(annotation: object) -> bool:
    return get_origin(annotation) is Union or type(annotation).__name__ == "UnionType"


def _is_answer(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Response):
        return True
    arguments = get_args(annotation)
    return get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is int  # noqa: PLR2004


def _stored(result: object, *, is_unannotated: bool) -> object:
    if not isinstance(result, Response | tuple):
        return result
    if isinstance(result, StreamingResponse | FileResponse) or _runs_on(result):
        raise TypeError(
            f"a durable function cannot answer with a {type(result).__name__} that goes on after "
            "it: its answer is stored; return a Response"
        )
    answer = response_of(result)
    headers = [
        [name.decode("latin-1"), value.decode("latin-1")]
        for name, value in answer.raw_headers
        if name.decode("latin-1") not in _OWN_HEADERS
    ]
    body = b64encode(bytes(answer.body)).decode()
    stored = StoredAnswer(answer.status_code, headers, body)
    # Where nothing is annotated, only JSON data come back as they are.
    return msgspec.to_builtins(stored) if is_unannotated else stored


def _runs_on(result: object) -> bool:
    return isinstance(getattr(result, "background", None), BackgroundTask)


def check_stored(parameters: Mapping[str, Source]) -> None:
    """See that all that a durable function takes can be stored.

    Raises:
        InputError: it takes the request or a client.
    """
    for name, source in parameters.items():
        if source in _NOT_STORED:
            raise InputError(
                f"parameter {name!r} cannot be stored, and a durable function may go on without "
                "the request; take what is needed from path, query or body"
            )
