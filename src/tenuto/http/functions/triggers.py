"""Functions behind HTTP: ``@app.http``, how they are found, and how they are run.

They are served under ``/api``. Which function answers does not depend on the order of registration.
``async def`` runs on the host's loop, ``def`` in a thread of a bounded pool.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive

from tenuto.client.client import Client
from tenuto.client.sync_client import SyncClient
from tenuto.functions.detached_threads import DetachedThreads
from tenuto.functions.user_calls import is_given_up
from tenuto.http.errors import body_too_large, error_answer
from tenuto.http.functions.durable import DurableAnswers, DurableFunction, check_stored
from tenuto.http.functions.keys import FunctionKeys
from tenuto.http.functions.parameters import Binding, Given, Source
from tenuto.http.functions.responses import response_of
from tenuto.http.router import Router, path_parts
from tenuto.http.routing import Call, Route
from tenuto.http.templates import PathTemplate
from tenuto.model.errors import (
    HttpError,
    InputError,
    PayloadError,
    RegistrationError,
    RequestTooLargeError,
)

PREFIX: Final = "/api"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
THREADS: Final = 32
"""Most ``def`` functions that run at the same time; further requests queue up."""

Auth: TypeAlias = Literal["anonymous", "function", "admin"]

_WITHOUT_BODY: Final = {"GET", "HEAD"}
_MAX_NAME: Final = 256
_ANONYMOUS_BYTES: Final = 256 * 1024
"""Of a body that anybody may send. It becomes objects before the function sees it: 5 MB of empty
ones take half a second of the loop.
"""
_GONE: Final = "the caller went away before its request was complete"

T = TypeVar("T")


def is_trigger(raw_path: bytes) -> bool:
    """Whether a path is one of these functions'."""
    start = raw_path[: len(PREFIX) + 1].lower()
    return start in {b"/api", b"/api/"}


class HttpTrigger(Struct, frozen=True, kw_only=True):
    """A function behind HTTP.

    Attributes:
        name: Its name, for keys and logs.
        methods: The methods it answers.
        template: Its path below ``/api``.
        auth: Whose requests it takes.
        function: What runs.
        binding: How its arguments are found.
        place: File and line.
        durable: Set for one whose requests start orchestrations.
        body_bytes: Longest body of a request, as far as the server's settings allow it; None for
            what they allow.
    """

    name: str
    methods: tuple[str, ...]
    template: PathTemplate
    auth: Auth
    function: Callable[..., Any]
    binding: Binding
    place: str
    durable: DurableFunction | None = None
    body_bytes: int | None = None

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop."""
        return inspect.iscoroutinefunction(inspect.unwrap(self.function))

    @property
    def path(self) -> str:
        """The whole path, with its prefix."""
        return PREFIX + self.template.path.rstrip("/")

    @property
    def plain_path(self) -> str:
        """The whole path, without converters."""
        return PREFIX + self.template.plain_path.rstrip("/")


class HttpTriggers:
    """The functions of an app that answer HTTP, in the order of registration."""

    def __init__(self) -> None:
        self._all: list[HttpTrigger] = []
        self._router: Router[HttpTrigger] = Router()

    def __iter__(self) -> Iterator[HttpTrigger]:
        return iter(self._all)

    def add(
        self,
        function: Callable[..., Any],
        methods: str | Sequence[str],
        path: str,
        auth: Auth,
        name: str | None,
        durable: DurableFunction | None = None,
        body_bytes: int | None = None,
    ) -> None:
        """Register a function.

        Args:
            function: What answers.
            methods: The methods it answers.
            path: Its path below ``/api``.
            auth: Whose requests it takes.
            name: Its name; the function's own when None.
            durable: For one whose requests start orchestrations.
            body_bytes: Longest body of a request; None for the default.

        Raises:
            RegistrationError: naming function, file and line.
        """
        try:
            trigger = _trigger(function, methods, path, auth, name, durable, body_bytes)
            for other in self._all:
                _check_apart(trigger, other)
        except InputError as error:
            shown = name or getattr(function, "__name__", repr(function))
            raise RegistrationError(
                f"HTTP function {shown!r} ({_place(function)}) cannot be registered: {error}"
            ) from None
        self._all.append(trigger)
        self._router = Router((one.template, one.methods, one) for one in self._all)

    def find(self, method: str, parts: Sequence[str]) -> tuple[HttpTrigger, dict[str, str]]:
        """The function for a path below ``/api``, and what the path's parameters stand for.

        Raises:
            RouteNotFoundError: no function has this path.
            MethodNotAllowedError: none has this method.
        """
        return self._router.find(method, parts, "/".join([PREFIX, *parts]))


class TriggerApi:
    """Runs functions for requests.

    Args:
        triggers: The functions.
        client: What they get as client.
        keys: Checks who may call them.
        body_bytes: How long a body may be at most.
        durable: Runs those whose requests start orchestrations.
    """

    def __init__(
        self,
        triggers: HttpTriggers,
        client: Client,
        keys: FunctionKeys,
        body_bytes: int,
        durable: DurableAnswers,
    ) -> None:
        self._triggers = triggers
        self._client = client
        self._sync_client = SyncClient(client)
        self._keys = keys
        self._body_bytes = body_bytes
        self._durable = durable
        self._threads = DetachedThreads(THREADS, "tenuto-http")

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def find(self, method: str, raw_path: bytes) -> tuple[Route, dict[str, str]]:
        """The function for a request, as a route.

        Raises:
            RouteNotFoundError: there is none.
            MethodNotAllowedError: there is none with this method.
            HttpError: the path is not UTF-8.
        """
        trigger, values = self._triggers.find(method, path_parts(raw_path)[1:])
        route = Route(
            method=method,
            path=trigger.path,
            role=None,
            handler=partial(self.serve, trigger),
        )
        return route, values

    async def serve(self, trigger: HttpTrigger, call: Call) -> Response:
        """Run a function for a request."""
        self._keys.check(trigger.name, trigger.auth, call)
        limited = _limited(call.request.receive, trigger, self._body_bytes)
        request = Request(call.scope, limited)
        given = Given(call.parameters, call.query, request, self._client, self._sync_client)
        if trigger.durable is not None:
            arguments = await _given_in_time(trigger.binding.values(given))
            return await self._durable.start(trigger.durable, call, arguments)
        try:
            return await self._answer(trigger, given)
        except Exception:
            raise
        except BaseException as error:
            raise _failed(trigger, error) from error

    async def _answer(self, trigger: HttpTrigger, given: Given) -> Response:
        try:
            arguments, keywords = await trigger.binding.arguments(given)
            result = await self._run(trigger, partial(trigger.function, *arguments, **keywords))
        except HTTPException as error:
            answer = error_answer(HttpError(str(error.detail), status=error.status_code))
            answer.headers.update(error.headers or {})
            return answer
        except ClientDisconnect:
            raise HttpError(_GONE) from None
        try:
            return response_of(result)
        except (PayloadError, TypeError) as error:
            # Not what the caller sent is wrong, but what the function returned.
            raise RuntimeError(f"result of {trigger.name} ({trigger.place}): {error}") from error

    async def _run(self, trigger: HttpTrigger, run: Callable[[], Any]) -> object:
        if trigger.is_async:
            return await run()
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, copy_context().run, _answer_of, run)
        return answer()


async def _given_in_time(values: Awaitable[T]) -> T:
    try:
        return await values
    except ClientDisconnect:
        raise HttpError(_GONE) from None


def _answer_of(run: Callable[[], Any]) -> Callable[[], object]:
    """Call a function; what it returns or raises comes when the answer is called.

    A future cannot hold every exception: with StopIteration the request would never be answered.
    """
    try:
        result = run()
    except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
        raised = error

        def fail() -> object:
            raise raised

        return fail
    return lambda: result


def _failed(trigger: HttpTrigger, error: BaseException) -> BaseException:
    """What an exit, an interrupt or a cancellation out of a function is for the host."""
    if is_given_up(error):
        return error  # the request itself is given up
    return RuntimeError(f"{trigger.name} ({trigger.place}) raised {type(error).__name__}")


def _limited(receive: Receive, trigger: HttpTrigger, most: int) -> Receive:
    """Receive at most so many bytes of body, or what the function itself takes if that is less."""
    own = trigger.body_bytes
    limit = most if own is None else min(own, most)
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken <= limit:
            return message
        if limit == most:
            raise body_too_large(most)
        raise RequestTooLargeError(
            f"the body is longer than {limit:,} bytes, the most for {trigger.name} (body_bytes of "
            "its @app.http)"
        )

    return limited


# --- registration ---------------------------------------------------------------------------------


def _trigger(
    function: Callable[..., Any],
    methods: str | Sequence[str],
    path: str,
    auth: Auth,
    name: str | None,
    durable: DurableFunction | None,
    body_bytes: int | None,
) -> HttpTrigger:
    if not inspect.isroutine(function):
        raise InputError(f"only functions can be decorated, this is {function!r}")
    plain = inspect.unwrap(function)
    is_generator = inspect.isgeneratorfunction(plain) and durable is None
    if inspect.isasyncgenfunction(plain) or is_generator:
        raise InputError("it is a generator; return a StreamingResponse that runs one")
    if name is None:
        name = function.__name__
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise InputError(f"its name must be a str of 1 to {_MAX_NAME} characters, got {name!r}")
    if name == "<lambda>":
        raise InputError("it is a lambda, which has no name; use def, or give name=")
    if auth not in get_args(Auth):
        raise InputError(f"auth must be one of {', '.join(get_args(Auth))}, got {auth!r}")
    template = PathTemplate(path)
    if body_bytes is not None and (type(body_bytes) is not int or body_bytes < 1):
        raise InputError(f"body_bytes must be an int from 1, got {body_bytes!r}")
    if body_bytes is None and auth == "anonymous":
        body_bytes = _ANONYMOUS_BYTES
    trigger = HttpTrigger(
        name=name,
        methods=_checked_methods(methods),
        template=template,
        auth=auth,
        function=function,
        binding=Binding(function, template.kinds, skipped=0 if durable is None else 1),
        place=_place(function),
        durable=durable,
        body_bytes=body_bytes,
    )
    if durable is not None:
        check_stored({one.name: one.source for one in trigger.binding.parameters})
    _check_parameters(trigger)
    return trigger


def _checked_methods(methods: object) -> tuple[str, ...]:
    given = [methods] if isinstance(methods, str) else methods
    if not isinstance(given, Iterable) or not (listed := list(given)):
        raise InputError(f"it needs a method such as 'GET', got {methods!r}")
    for one in listed:
        if not isinstance(one, str) or one.upper() not in METHODS:
            raise InputError(f"{one!r} is no method; there are {', '.join(METHODS)}")
    return tuple(dict.fromkeys(one.upper() for one in listed))


def _check_parameters(trigger: HttpTrigger) -> None:
    body = trigger.binding.body
    if body is not None and _WITHOUT_BODY.issuperset(trigger.methods):
        raise InputError(
            f"parameter {body.name!r} would be the body, which {trigger.methods[0]} has not"
        )
    for one in trigger.binding.parameters:
        if one.source is Source.CLIENT and not trigger.is_async:
            raise InputError(
                f"parameter {one.name!r} is the client, which must be awaited; take a SyncClient, "
                "or use async def"
            )
        if one.source is Source.SYNC_CLIENT and trigger.is_async:
            raise InputError(f"parameter {one.name!r} would block the host's loop; take a Client")
        if one.source is Source.QUERY and one.name == "code" and trigger.auth != "anonymous":
            raise InputError(
                "query parameter 'code' carries the key; choose another name, or auth=\"anonymous\""
            )


def _check_apart(new: HttpTrigger, known: HttpTrigger) -> None:
    if new.name == known.name:
        raise InputError(
            f"the name {new.name!r} is taken by the one from {known.place}; give name="
        )
    both = [method for method in new.methods if method in known.methods]
    if both and new.template.shape == known.template.shape:
        raise InputError(
            f"{both[0]} {new.path} is answered by {known.name!r} ({known.place}) already, as "
            f"{known.path}"
        )


def _place(function: object) -> str:
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else "place unknown"
