"""Functions of programs that answer HTTP: how they are found, and how they are asked.

Their routes are in the words of ASP.NET, below a prefix of the program's own. What the server
itself has wins: no function stands where its paths begin. What a function answers goes out as it
is: headers as often as they come, a body at once or piece by piece.
"""

import asyncio
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Sequence,
)
from functools import partial
from typing import Any, Final

from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tenuto.engine.program import HttpFunction, HttpRequest, HttpResponse
from tenuto.http.answer_heads import check_headers
from tenuto.http.description import Operation
from tenuto.http.errors import HttpError
from tenuto.http.functions.held_bodies import HeldBodies
from tenuto.http.functions.keys import FunctionKeys
from tenuto.http.functions.narrowed_links import NarrowedLinks
from tenuto.http.functions.route_templates import RouteTemplate
from tenuto.http.functions.triggers import METHODS, HttpTrigger, HttpTriggers
from tenuto.http.links import Links
from tenuto.http.options import Role
from tenuto.http.own_paths import OF_THE_DASHBOARD
from tenuto.http.router import Router, path_parts
from tenuto.http.routing import Call, Route
from tenuto.model.errors import InputError, RegistrationError

_ROLES: Final = {"anonymous": None, "function": Role.OPERATE, "admin": Role.ADMIN}
_STATUSES: Final = range(200, 600)
_WITHOUT_BODY: Final = frozenset({204, 205, 304})
_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
)
"""Headers that say how an answer is sent, which is the server's business."""

_FREED: Final = ", or switch the dashboard off (setting http.dashboard)"
_NARROWED: Final = re.compile(r"\{[^}:]*(?::([^}]*))?\}")
_NAMES: Final = {"uuid": "guid", "path": "*"}
"""What ASP.NET calls the converters of ``@app.http`` that have another name there."""


class ForeignFunction(Struct, frozen=True):
    """A function with what its route means.

    Attributes:
        function: What answers.
        template: Its path.
        methods: Those it answers, in capitals.
    """

    function: HttpFunction
    template: RouteTemplate
    methods: tuple[str, ...]

    @property
    def level(self) -> str:
        """Whom it answers, in small letters."""
        return self.function.level.lower()


class ForeignFunctions:
    """The functions of all programs of a host.

    Args:
        functions: What answers.
        own: First segments of paths that are the server's own.
        triggers: Functions of the app of this process, which may have the same prefix.

    Raises:
        RegistrationError: a route is none, or is the server's own, or two functions answer the same
            requests; names the function.
    """

    def __init__(
        self, functions: Iterable[HttpFunction], own: Collection[str], triggers: HttpTriggers
    ) -> None:
        self.all: list[ForeignFunction] = [_read(one, own) for one in functions]
        for number, one in enumerate(self.all):
            for other in self.all[:number]:
                _check_apart(one, other)
            _check_apart_from(one, triggers)
        self._router = Router((one.template, one.methods, one) for one in self.all)

    @property
    def names(self) -> list[str]:
        """Those of all of them."""
        return [one.function.name for one in self.all]

    def find(self, method: str, raw_path: bytes) -> tuple[ForeignFunction, dict[str, str]]:
        """The function for a request, and what the parameters of its route stand for.

        Raises:
            RouteNotFoundError: there is none.
            MethodNotAllowedError: there is none with this method.
            HttpError: the path is not UTF-8.
        """
        parts = path_parts(raw_path)
        return self._router.find(method, parts, "/" + "/".join(parts))


class ForeignApi:
    """Asks functions of programs.

    Args:
        functions: The functions.
        keys: Checks who may call them.
        links: Says how callers see this server.
        narrowed: Narrows the links in their answers.
        bodies: Of callers who have shown no key.
    """

    def __init__(
        self,
        functions: ForeignFunctions,
        keys: FunctionKeys,
        links: Links,
        narrowed: NarrowedLinks,
        bodies: HeldBodies,
    ) -> None:
        self._functions = functions
        self._bodies = bodies
        self._keys = keys
        self._links = links
        self._narrowed = narrowed

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._functions.all)

    def find(self, method: str, raw_path: bytes) -> tuple[Route, dict[str, str]]:
        """The function for a request, as a route.

        Raises:
            RouteNotFoundError: there is none.
            MethodNotAllowedError: there is none with this method.
            HttpError: the path is not UTF-8.
        """
        found, values = self._functions.find(method, raw_path)
        route = Route(
            method=method,
            path=found.template.path,
            role=None,
            handler=partial(self.serve, found),
        )
        return route, values

    def described(self) -> list[Route]:
        """A route for each path and method, for the document alone."""
        return [
            Route(
                method=method,
                path=path,
                role=_ROLES[one.level],
                handler=partial(self.serve, one),
                operation=Operation(summary=one.function.name, tag="functions", errors=(404,)),
            )
            for one in self._functions.all
            for path in one.template.plain_paths
            for method in one.methods
        ]

    async def serve(self, found: ForeignFunction, call: Call) -> Response:
        """Ask a function; it is told when its caller goes away."""
        self._keys.check(found.function.name, found.level, call)
        with self._bodies.one() as held:
            grow = held.grow if found.level == "anonymous" else None
            try:
                return await self._asked(found.function, call, grow)
            except HttpError:
                raise  # meant for the caller
            except Exception as error:
                # Boundary: whatever went wrong, in the function or on the way there, the caller
                # hears that something did; what it was stands in the log.
                raise RuntimeError(f"HTTP function {found.function.name!r} failed") from error

    async def _asked(
        self, function: HttpFunction, call: Call, grow: Callable[[int], None] | None
    ) -> Response:
        pieces = call.pieces() if function.takes_pieces and call.has_body else None
        until_gone = call.until_gone if pieces is None else pieces.until_gone
        # Nothing here keeps the request: with it a body would be held that is nobody's any more.
        answering = function.answer(self._request(call, pieces or await call.body(grow)))
        answer = await _unless_gone(answering, until_gone())
        is_wanted = call.scope["method"] != "HEAD"
        return await self._answer(function.name, answer, until_gone, has_body=is_wanted)

    def _request(self, call: Call, body: bytes | AsyncIterator[bytes]) -> HttpRequest:
        return HttpRequest(
            method=call.scope["method"],
            url=self._url(call),
            headers=[
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in call.scope["headers"]
            ],
            query=call.query_pairs,
            params=call.parameters,
            body=body,
        )

    async def _answer(
        self,
        name: str,
        answer: HttpResponse,
        until_gone: Callable[[], Awaitable[None]],
        *,
        has_body: bool,
    ) -> Response:
        narrowed = self._narrowed.narrowed
        body = answer.body
        answer = HttpResponse(
            status=answer.status,
            headers=[(key, narrowed(value.encode()).decode()) for key, value in answer.headers],
            body=narrowed(body) if isinstance(body, bytes) else self._narrowed.pieces(body),
        )
        try:
            return ForeignAnswer(name, answer, until_gone, has_body=has_body)
        except ValueError:
            if not isinstance(answer.body, bytes):
                await _close(answer.body)
            raise

    def _url(self, call: Call) -> str:
        path = call.scope["raw_path"].decode("latin-1")
        query = call.scope["query_string"].decode("latin-1")
        return f"{self._links.base(call)}{path}{'?' if query else ''}{query}"


class ForeignAnswer(Response):
    """What a function answered, as it goes out.

    Args:
        name: Of the function.
        answer: What it answered.
        until_gone: Returns when the caller has gone away.
        has_body: Whether the body is wanted.

    Raises:
        ValueError: it cannot be sent.
    """

    def __init__(
        self,
        name: str,
        answer: HttpResponse,
        until_gone: Callable[[], Awaitable[None]],
        *,
        has_body: bool,
    ) -> None:
        if answer.status not in _STATUSES:
            raise ValueError(f"a status must be from 200 to 599, got {answer.status!r}")
        body = answer.body
        super().__init__(body if isinstance(body, bytes) else b"", answer.status)
        may_have_body = answer.status not in _WITHOUT_BODY
        self._name = name
        self._until_gone = until_gone
        self._pieces = None if isinstance(body, bytes) else body
        self._is_sent = has_body and may_have_body
        self.raw_headers = [
            _header(key, value)
            for key, value in answer.headers
            if key.lower() not in _OF_THE_CONNECTION
        ]
        check_headers(self.raw_headers)
        if isinstance(body, bytes) and may_have_body:
            self.raw_headers.append((b"content-length", str(len(body)).encode()))

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        if self._pieces is None:
            body = self.body if self._is_sent else b""
            await send({"type": "http.response.body", "body": body})
            return
        try:
            if self._is_sent:
                await self._send_pieces(self._pieces, send)
            else:
                await send({"type": "http.response.body", "body": b""})
        finally:
            await _close(self._pieces)

    async def _send_pieces(self, pieces: AsyncIterator[bytes], send: Send) -> None:
        gone = asyncio.ensure_future(self._until_gone())
        following: asyncio.Future[bytes | None] | None = None
        try:
            while True:
                following = asyncio.ensure_future(_next(pieces))
                await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    return
                piece = following.result()
                if piece is None:
                    break
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except Exception as error:
            # The head is out: all that can be done is to break the answer off.
            raise RuntimeError(
                f"HTTP function {self._name!r} failed in the middle of its answer"
            ) from error
        finally:
            await _ended(gone)
            if following is not None:
                await _ended(following)


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


async def _unless_gone(
    answering: Coroutine[Any, Any, HttpResponse], gone: Coroutine[Any, Any, None]
) -> HttpResponse:
    """What a function answers, which is told when nobody waits for that any more.

    Raises:
        HttpError: the caller went away.
    """
    answered, left = asyncio.ensure_future(answering), asyncio.ensure_future(gone)
    try:
        await asyncio.wait({answered, left}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            raise HttpError("the caller went away before it was answered")
        return answered.result()
    finally:
        await _ended(left)
        await _ended(answered)


async def _ended(task: "asyncio.Future[Any]") -> None:
    """Cancel a task and wait until it is over; how it ended is of no interest."""
    task.cancel()
    await asyncio.wait([task])


async def _close(pieces: AsyncIterator[bytes]) -> None:
    """Tell whoever makes the pieces that no more are wanted."""
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    return _encoded(name.lower()), _encoded(value)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


# --- reading --------------------------------------------------------------------------------------


def _read(function: HttpFunction, own: Collection[str]) -> ForeignFunction:
    methods = tuple(dict.fromkeys(one.upper() for one in function.methods)) or METHODS
    try:
        template = RouteTemplate(function.route, function.prefix)
    except InputError as error:
        raise _refused(function, str(error)) from None
    if function.level.lower() not in _ROLES:
        known = ", ".join(_ROLES)
        raise _refused(function, f"its level is {function.level!r}; there are {known}")
    unknown = [one for one in methods if one not in METHODS]
    if unknown:
        raise _refused(function, f"{unknown[0]!r} is no method; there are {', '.join(METHODS)}")
    if template.first_text in own:
        raise _refused(
            function,
            f"its path {template.path} is the server's own; choose another one"
            + (_FREED if template.first_text in OF_THE_DASHBOARD else ""),
        )
    return ForeignFunction(function, template, methods)


def _check_apart(new: ForeignFunction, known: ForeignFunction) -> None:
    both = _shared(new.methods, known.methods)
    if both and new.template.shape == known.template.shape:
        raise _refused(
            new.function,
            f"{both} {new.template.path} is answered by {known.function.name!r}"
            f"{_in_brackets(known.function.place)} already, as {known.template.path}; give one of "
            "them another route, or other methods",
        )
    if new.function.name.lower() == known.function.name.lower():
        raise _refused(new.function, "there are two functions of that name")


def _check_apart_from(new: ForeignFunction, triggers: HttpTriggers) -> None:
    shape = "/" + "/".join(new.template.shape)
    for trigger in triggers:
        both = _shared(new.methods, trigger.methods)
        if both and _shape(trigger) == shape:
            raise _refused(
                new.function,
                f"{both} {new.template.path} is answered by {trigger.name!r} ({trigger.place}) "
                f"already, as {trigger.path}",
            )
        if new.function.name == trigger.name:
            raise _refused(new.function, f"the name is taken by the one from {trigger.place}")


def _shape(trigger: HttpTrigger) -> str:
    """The paths that a function of the app answers, as templates of ASP.NET show theirs."""
    path = trigger.path.lower()
    return _NARROWED.sub(lambda found: f"{{{_NAMES.get(found[1], found[1] or '')}}}", path)


def _shared(methods: Sequence[str], others: Sequence[str]) -> str | None:
    return next((one for one in methods if one in others), None)


def _refused(function: HttpFunction, why: str) -> RegistrationError:
    place = f"{function.place}: " if function.place else ""
    return RegistrationError(f"{place}HTTP function {function.name!r} cannot be served: {why}")


def _in_brackets(place: str) -> str:
    return f" ({place})" if place else ""
