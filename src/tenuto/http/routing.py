"""Routes and calls: which handler a request belongs to, and what it may read of the request.

Paths match without regard to case, segment by segment, as Durable Functions does; what stands in
for a parameter keeps its spelling.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from tenuto.http.bodies import json_text
from tenuto.http.description import Operation
from tenuto.http.errors import (
    JSON,
    HttpError,
    MethodNotAllowedError,
    RouteNotFoundError,
    body_too_large,
)
from tenuto.http.options import Role, is_host
from tenuto.http.request_pieces import RequestPieces
from tenuto.http.router import Router, path_parts
from tenuto.http.sessions import Session
from tenuto.http.templates import PathTemplate
from tenuto.http.tokens import Token
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.payload.plain import MAX_DEPTH
from tenuto.model.trace import TraceContext, trace_of_headers

T = TypeVar("T")

Handler = Callable[["Call"], Awaitable[Response]]

_TRUE: Final = {"true", "1"}
_FALSE: Final = {"false", "0"}
_MOST_PARAMETERS: Final = 1_000
"""Of a query, which is read before a key is known: each takes its time."""

_HOST_SINCE: Final = "1.1"
_EVERYWHERE: Final = ("code", "taskHub", "connection", "connectionName")
"""What clients of Durable Functions send with all they ask for."""


class Call:
    """One request on its way through the server.

    Attributes:
        scope: As ASGI hands it in.
        parameters: What the path's parameters stand for.
        role: What the caller may do.
        token: What the caller came with when that was a link.
        session: What the caller came with when that was the cookie of the dashboard.
        is_for_function: Whether a function of a user answers it, and not the server itself.
    """

    __slots__ = (
        "_body_bytes",
        "_body_setting",
        "_is_body_asked",
        "_query",
        "_query_pairs",
        "_receive",
        "is_for_function",
        "parameters",
        "role",
        "scope",
        "sees_places",
        "session",
        "token",
    )

    def __init__(self, scope: Scope, receive: Receive, body_bytes: int) -> None:
        self.scope = scope
        self.parameters: Mapping[str, str] = {}
        self.role: Role = Role.READ
        self.token: Token | None = None
        self.session: Session | None = None
        self.is_for_function = False
        self.sees_places = False
        self._receive = receive
        self._body_bytes = body_bytes
        self._body_setting = "body_bytes"
        self._is_body_asked = False
        self._query: dict[str, list[str]] | None = None
        self._query_pairs: list[tuple[str, str]] | None = None

    @property
    def request(self) -> Request:
        """The request as Starlette knows it."""
        return Request(self.scope, self._receive)

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        wanted = name.lower().encode("latin-1")
        for key, value in self.scope["headers"]:
            if key == wanted:
                return str(value.decode("latin-1"))
        return None

    @property
    def trace(self) -> TraceContext | None:
        """The trace that the request belongs to, by ``traceparent`` and ``tracestate``."""
        parent = self.header("traceparent")
        state = None if parent is None else ",".join(self.listed_header("tracestate"))
        return trace_of_headers(parent, state)

    def check_host(self) -> None:
        """Refuse a request whose ``Host`` may be read in two ways (RFC 9112, 3.2).

        Raises:
            HttpError: there are several, or none though HTTP/1.1 demands one, or it is no host
                name.
        """
        hosts = [value.decode("latin-1") for key, value in self.scope["headers"] if key == b"host"]
        if not hosts and self.scope.get("http_version") == _HOST_SINCE:
            raise HttpError("the request has no Host header; send one")
        if len(hosts) > 1:
            raise HttpError("the request has several Host headers; send one")
        if hosts and hosts[0] and not is_host(hosts[0]):
            raise HttpError("the Host of this request is no host name")

    @property
    def content_type(self) -> str:
        """The media type of the body, in lower case and without parameters; may be empty."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    def listed_header(self, name: str) -> list[str]:
        """The items of a header that is a list with commas, over all its lines."""
        wanted = name.encode()
        lines = [value.decode("latin-1") for key, value in self.scope["headers"] if key == wanted]
        return _listed(",".join(lines))

    @property
    def instance_id(self) -> InstanceId:
        """The id of the instance that the path names.

        Raises:
            InvalidInstanceIdError: it cannot be one.
        """
        return check_instance_id(self.parameters["instanceId"])

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name; names ignore case."""
        if self._query is None:
            self._query = {}
            for name, value in self.query_pairs:
                self._query.setdefault(name.lower(), []).append(value)
        return self._query

    @property
    def query_pairs(self) -> list[tuple[str, str]]:
        """The query's names and values as they came."""
        if self._query_pairs is None:
            text = self.scope["query_string"].decode("latin-1")
            try:
                self._query_pairs = parse_qsl(
                    text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
                )
            except UnicodeDecodeError:
                raise HttpError("the query is not UTF-8 once its %XX are decoded") from None
            except ValueError:
                raise HttpError(f"the query has over {_MOST_PARAMETERS:,} parameters") from None
        return self._query_pairs

    def many(self, name: str) -> list[str]:
        """The values of a query parameter that may be repeated or hold a list with commas."""
        return [part for text in self.query.get(name.lower(), ()) for part in _listed(text)]

    def one(self, name: str) -> str | None:
        """A query value that may be given once."""
        found = self.query.get(name.lower())
        if found is None:
            return None
        if len(found) > 1:
            raise HttpError(f"query parameter {name} is given {len(found)} times; give it once")
        return found[0]

    def flag(self, name: str, *, default: bool) -> bool:
        """A query value that is true or false."""
        text = self.one(name)
        if text is None or not text:
            return default
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise HttpError(f"query parameter {name} must be true or false, got {text!r}")

    def number(self, name: str, *, most: float) -> float | None:
        """A query value that is a number from 0 up to ``most``."""
        text = self.one(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= most:
            raise HttpError(f"query parameter {name} must be a number from 0 to {most:g}")
        return value

    def check_query(self, route: "Route") -> None:
        """Refuse a parameter that a route which changes something does not have.

        A misspelt filter would delete everything else. Whoever only asks, or comes with a link
        that a mailer may have lengthened, is served all the same.

        Raises:
            HttpError: naming those that there are.
        """
        if route.method == "GET" or route.role is None or not self.scope["query_string"]:
            return
        there = [one.name for one in route.operation.parameters if one.place == "query"]
        there += _EVERYWHERE
        known = {name.lower() for name in there}
        for name in self.query:
            if name not in known:
                raise HttpError(
                    f"there is no query parameter {name!r} here; there are {', '.join(there)}"
                )

    def limit_body(self, most_bytes: int, setting: str) -> None:
        """Allow a shorter body than usual.

        Args:
            most_bytes: Its longest length.
            setting: The setting below ``http`` that says so.
        """
        if most_bytes < self._body_bytes:
            self._body_bytes, self._body_setting = most_bytes, setting

    async def body(self, grow: Callable[[int], None] | None = None) -> bytes:
        """The whole body.

        Args:
            grow: Told of each part that comes, how many bytes it has; may raise.

        Raises:
            RequestTooLargeError: it is longer than allowed.
        """
        most = self._body_bytes
        length = self.header("content-length")
        if length is not None and length.isdigit() and int(length[:20]) > most:
            raise body_too_large(most, self._body_setting)
        self._is_body_asked = True
        parts = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise HttpError("the caller went away before its request was complete")
            part = message.get("body", b"")
            if grow is not None:
                grow(len(part))
            parts += part
            if len(parts) > most:
                raise body_too_large(most, self._body_setting)
            if not message.get("more_body", False):
                return bytes(parts)

    @property
    def has_body(self) -> bool:
        """Whether its head says that a body comes."""
        length = self.header("content-length")
        return self.header("transfer-encoding") is not None or (length or "0").strip("0") != ""

    def pieces(self) -> RequestPieces:
        """The body piece by piece, however long it is."""
        return RequestPieces(self._receive, self._note_asked)

    def _note_asked(self) -> None:
        self._is_body_asked = True

    @property
    def expects_more(self) -> bool:
        """Whether the caller waits for a word before it sends the body, and has had none."""
        return not self._is_body_asked and self.header("expect") is not None

    async def until_gone(self) -> None:
        """Wait until nobody waits for the answer any more; the body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def json_text(self, *, wrapped: int = 0) -> str | None:
        """The body as JSON text to the letter; None when there is none.

        Args:
            wrapped: How many levels down payloads stand in it.

        Raises:
            HttpError: it is not JSON, or nested too deep.
            RequestTooLargeError: it is longer than allowed.
        """
        body = await self.body()
        if not body.strip():
            return None
        return await json_text(body, levels=MAX_DEPTH + wrapped)


class Route(Struct, frozen=True, kw_only=True):
    """A handler and where it stands.

    Attributes:
        method: The one it answers; GET answers HEAD too.
        path: Segments, those in braces being parameters; the last may end in ``?`` (optional).
        role: What a caller must be allowed to do; None for everybody.
        handler: What answers.
        operation: What the OpenAPI document says of it.
        opened_by_link: Whether a link to the instance in parameter ``instanceId`` opens it, too.
        opened_by_system_key: Whether the key opens it, too, that stands in what programs for
            Durable Functions are told.
        opened_by_event_grid_key: Whether the key opens it, too, that stands in the address of Event
            Grid's webhook.
        hides_methods: Whether a wrong method is "nothing there" (404), as Durable Functions has
            it, rather than 405 with the right ones.
    """

    method: str
    path: str
    role: Role | None
    handler: Handler
    operation: Operation = Operation()
    opened_by_link: bool = False
    opened_by_system_key: bool = False
    opened_by_event_grid_key: bool = False
    hides_methods: bool = False

    @property
    def paths(self) -> list[str]:
        """The paths it stands for: two when the last parameter may be left out."""
        if not self.path.endswith("?}"):
            return [self.path]
        return [self.path.rpartition("/")[0], self.path.replace("?}", "}")]


class Endpoint(Struct, Generic[T], frozen=True):
    """A line of a table of routes: what a class answers, before there is an object that does.

    Attributes:
        method: The one it answers; GET answers HEAD too.
        path: As in ``Route``.
        role: What a caller must be allowed to do; None for everybody.
        handler: The method of the class that answers.
        operation: What the OpenAPI document says of it.
    """

    method: str
    path: str
    role: Role | None
    handler: Callable[[T, Call], Awaitable[Response]]
    operation: Operation


def bound(endpoints: Iterable[Endpoint[T]], owner: T) -> list[Route]:
    """The routes of a table, answered by this object."""
    return [
        Route(
            method=one.method,
            path=one.path,
            role=one.role,
            handler=partial(one.handler, owner),
            operation=one.operation,
        )
        for one in endpoints
    ]


class Routes:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all: list[Route] = list(routes)
        self._router: Router[Route] = Router(_entries(self.all))
        self._hiding = Router(_entries(route for route in self.all if route.hides_methods))

    def find(self, method: str, raw_path: bytes) -> tuple[Route, dict[str, str]]:
        """The route, and what its parameters stand for.

        Raises:
            RouteNotFoundError: no route has this path.
            MethodNotAllowedError: one has, but answers other methods.
            HttpError: the path is not UTF-8.
        """
        parts = path_parts(raw_path)
        path = "/" + "/".join(parts)
        try:
            return self._router.find(method, parts, path)
        except MethodNotAllowedError as error:
            if self._hiding.has(parts):
                raise RouteNotFoundError(str(error)) from None
            raise


def _entries(routes: Iterable[Route]) -> Iterator[tuple[PathTemplate, tuple[str], Route]]:
    for route in routes:
        for path in route.paths:
            yield PathTemplate(path), (route.method,), route


def _listed(text: str) -> list[str]:
    """The items of a list with commas between them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def json_answer(
    value: Any,  # noqa: ANN401 - any JSON
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer whose body is this value as JSON."""
    return Response(msgspec.json.encode(value), status, headers, media_type=JSON)
