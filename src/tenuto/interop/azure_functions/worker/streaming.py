"""Bodies that are streamed: the server that a worker has of its own, for an app that wants one.

An app does when it imports a web extension, such as ``azurefunctions.extensions.http.fastapi``. Its
functions behind HTTP get the request of that framework then, and answer as its routes do. The host
sends a call over the pipe and its request to this server, on this machine only, under the id of the
invocation: a request without the id of a call that waits is turned away.

What calls and answers is one task, that of the call, so that cancelling it ends whatever it is at.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import nullcontext
from typing import Any

from .requests import answer, is_http_response

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Respond = Callable[[Any], Awaitable[Any]]
"""From the framework's request to what is to be answered, as its routes return it."""

_BASE = "azurefunctions.extensions.base"
_RESPOND = "tenuto.respond"
_INVOCATION_HEADER = b"x-ms-invocation-id"
_LOCAL = "127.0.0.1"
_BACKLOG = 2048

_REQUEST_SECONDS = 30.0
"""For the request of a call. The host sends it as soon as a worker has got the call."""
_CALL_SECONDS = 10.0
"""For the call of a request. The host has sent it before."""


def web_extension() -> Any:
    """What all web extensions are built on, when the app has imported one; else None."""
    base = sys.modules.get(_BASE)
    return base if base is not None and base.HttpV2FeatureChecker.http_v2_enabled() else None


class Streams:
    """The server of an app that streams. Makes one when the app's loop runs.

    Args:
        base: As `web_extension` gives it.

    Attributes:
        uri: Where the host reaches it.
    """

    def __init__(self, base: Any) -> None:
        self._base = base
        self._web = self._web_app()
        self._meetings = Meetings()
        listener = _listener()
        self.uri = f"http://{_LOCAL}:{listener.getsockname()[1]}"
        self._serving = asyncio.get_running_loop().create_task(_serve(self._meetings, listener))

    async def run(self, invocation: str, params: Mapping[str, str], respond: Respond) -> None:
        """Have the request of a call answered; returns when all of the answer is sent.

        Args:
            invocation: Of the call.
            params: Those of its route.
            respond: Answers the request. What it raises is the framework's to answer where it can,
                such as an ``HTTPException``; else nothing is sent, and it is raised here.

        Raises:
            TimeoutError: there was no request.
        """
        exchange = await self._meetings.exchange_of(invocation)
        place = {name: exchange.scope[name] for name in ("path", "raw_path")}

        async def routed(request: Any) -> Any:
            request.scope.update(place)
            self._base.RequestTrackerMeta.get_synchronizer().sync_route_params(request, params)
            return self._as_framework_s(await respond(request))

        # A path of no other meaning: the framework has pages of its own, such as /docs.
        scope = {**exchange.scope, "path": "/", "raw_path": b"/", _RESPOND: routed}
        try:
            await self._web(scope, exchange.receive, exchange.send)
        finally:
            exchange.is_over.set()

    def _web_app(self) -> Any:
        """An application with one route for everything, and no word of its own about errors."""
        web = importlib.import_module(self._base.ModuleTrackerMeta.get_module()).WebApp()

        async def answer_any(request: Any) -> Any:
            return await request.scope[_RESPOND](request)

        # The framework reads what a route wants from its annotations.
        answer_any.__annotations__ = {"request": self._base.RequestTrackerMeta.get_request_type()}
        web.route(answer_any)
        found = web.get_app()
        found.add_exception_handler(Exception, _say_nothing)
        return found

    def _as_framework_s(self, value: Any) -> Any:
        """An ``azure.functions.HttpResponse`` as a response of the framework; else as it is."""
        if not is_http_response(value):
            return value
        said, body = answer(value)
        kind = self._base.ResponseTrackerMeta.get_standard_response_type()
        response = kind(content=body, status_code=said["answer"]["status"])
        for name, text in said["answer"]["headers"]:
            response.headers.append(name, text)
        return response


class Exchange:
    """A request that has come to the server, to be answered by the task of its call."""

    def __init__(self, scope: Scope, receive: Receive, send: Callable[..., Any]) -> None:
        self.scope = _as_seen_outside(scope)
        self.receive = receive
        self.is_taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_over = asyncio.Event()
        self.is_whole = False
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a part of the answer, no faster than it is read."""
        await self._send(message)
        self.is_whole = message["type"] == "http.response.body" and not message.get("more_body")
        # To a caller that has gone everything can be sent at once, for ever: let the loop hear so.
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Wait until its call is over, and until the host has hung up if that failed."""
        await self.is_over.wait()
        while not self.is_whole and (await self.receive())["type"] != "http.disconnect":
            pass  # what is left of the request; the host hears of the failure over the pipe


class Meetings:
    """Where requests and calls find each other, whichever comes first; the server's application."""

    def __init__(self) -> None:
        self._calls: dict[str, asyncio.Future[Exchange]] = {}
        self._requests: dict[str, Exchange] = {}

    async def exchange_of(self, invocation: str) -> Exchange:
        """The request of a call.

        Raises:
            TimeoutError: there was none.
        """
        there = self._requests.pop(invocation, None)
        if there is not None:
            there.is_taken.set_result(None)
            return there
        arrival: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self._calls[invocation] = arrival
        try:
            await asyncio.wait({arrival}, timeout=_REQUEST_SECONDS)
        except asyncio.CancelledError:
            if arrival.done():
                arrival.result().is_over.set()
            raise
        finally:
            del self._calls[invocation]
        if not arrival.done():
            raise TimeoutError(f"its request did not come within {_REQUEST_SECONDS:g} seconds")
        return arrival.result()

    async def __call__(self, scope: Scope, receive: Receive, send: Callable[..., Any]) -> None:
        """Take a request that has come."""
        invocation = _header(scope, _INVOCATION_HEADER).decode("latin-1")
        exchange = Exchange(scope, receive, send)
        if await self._is_taken(invocation, exchange):
            await exchange.end()
        else:
            await _turn_away(send)

    async def _is_taken(self, invocation: str, exchange: Exchange) -> bool:
        arrival = self._calls.get(invocation)
        if arrival is not None and not arrival.done():
            arrival.set_result(exchange)
            return True
        if not invocation or invocation in self._requests:
            return False
        self._requests[invocation] = exchange
        await asyncio.wait({exchange.is_taken}, timeout=_CALL_SECONDS)
        if not exchange.is_taken.done():
            del self._requests[invocation]
        return exchange.is_taken.done()


def _listener() -> socket.socket:
    """Listens already, so that the host may come before the server accepts."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((_LOCAL, 0))
    listener.listen(_BACKLOG)
    return listener


async def _serve(app: Meetings, listener: socket.socket) -> None:
    """As the extension's own server does, which would listen where others may, end the process when
    a port is taken, print addresses with keys in them, and take signals that are the host's affair.
    """
    uvicorn = importlib.import_module("uvicorn")
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="off",
        ws="none",
        workers=1,
        backlog=_BACKLOG,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext
    await server.serve(sockets=[listener])


def _as_seen_outside(scope: Scope) -> Scope:
    """With the address that the caller has used, not the server's own."""
    host = _header(scope, b"x-forwarded-host")
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope,
        "scheme": _header(scope, b"x-forwarded-proto").decode("latin-1") or scope["scheme"],
        "headers": [(b"host", host), *headers] if host else scope["headers"],
        # What asks for less listens for the caller's end while it answers, and thereby takes what
        # a function still reads of the request. Here that end cancels the call.
        "asgi": {**scope["asgi"], "spec_version": "2.4"},
    }


def _header(scope: Scope, name: bytes) -> bytes:
    return next((bytes(value) for found, value in scope["headers"] if found == name), b"")


async def _turn_away(send: Callable[..., Any]) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"no call waits for this request"})


async def _say_nothing(_request: Any, _error: Exception) -> Any:
    """The framework's answer to an error: none, as the host has one."""

    async def nothing(_scope: Scope, _receive: Receive, _send: Any) -> None:
        pass

    return nothing
