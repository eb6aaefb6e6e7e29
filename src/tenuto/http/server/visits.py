"""One request from its head to the end of its answer: counted, and logged when that is wanted.

A line never holds a query, a body, a key or a token; what a caller has made up is shown in ASCII,
on one line.
"""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from starlette.types import Message, Scope, Send

from tenuto.http.shown_paths import without_token
from tenuto.telemetry.traffic import NO_ROUTE, SeldomWarning, Traffic

_LOGGER: Final = logging.getLogger("tenuto.http.access")
_LONGEST: Final = 400
_UNAUTHORIZED: Final = 401
_CUT: Final = 499
"""Of a request whose caller went away before it was answered, as nginx has it."""


class Visits:
    """The requests of one server.

    Args:
        traffic: Counts them.
        is_logged: Whether each has a line.
    """

    def __init__(self, traffic: Traffic, *, is_logged: bool) -> None:
        self.traffic = traffic
        self._is_logged = is_logged
        self._refusals = SeldomWarning(time.monotonic)

    def begin(self, scope: Scope, send: Send) -> "Visit":
        """A request has come."""
        self.traffic.begun += 1
        self.traffic.open += 1
        return Visit(self, scope, send)

    @contextmanager
    def staying(self) -> Generator[None]:
        """Somebody is here who asks for no answer: a websocket."""
        self.traffic.begun += 1
        self.traffic.open += 1
        try:
            yield
        finally:
            self.traffic.open -= 1

    def end(self, visit: "Visit") -> None:
        """Its answer has gone out, or nobody waits for it any more."""
        self.traffic.open -= 1
        scope, status = visit.scope, visit.status or _CUT
        method: str = scope["method"]
        seconds = time.monotonic() - visit.began_at
        self.traffic.answered(method, visit.route, status, seconds)
        peer = scope["client"][0] if scope.get("client") else "-"
        if status == _UNAUTHORIZED:
            self.traffic.refused_keys += 1
            self._refusals.say(
                f"a request without a right key was refused: {_plain(method)} {visit.route} from "
                f"{_plain(peer)} (tenuto_http_refused_keys_total counts them)"
            )
        if self._is_logged:
            milliseconds = round(seconds * 1_000, 1)
            path = _plain(without_token(scope["path"]))
            _LOGGER.info(
                "%s %s %s %d %.1f ms",
                *(_plain(peer), _plain(method), path, status, milliseconds),
                extra={
                    "peer": peer,
                    "method": method,
                    "path": path,
                    "route": visit.route,
                    "status": status,
                    "milliseconds": milliseconds,
                },
            )


class Visit:
    """One request.

    Attributes:
        scope: The request.
        route: The template of its path, once that is known.
        status: Of the answer; 0 before there is one.
        began_at: When it came.
    """

    __slots__ = ("_send", "_visits", "began_at", "route", "scope", "status")

    def __init__(self, visits: Visits, scope: Scope, send: Send) -> None:
        self._visits = visits
        self._send = send
        self.scope = scope
        self.route = NO_ROUTE
        self.status = 0
        self.began_at = time.monotonic()

    async def send(self, message: Message) -> None:
        """Pass on, and see the status."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    def end(self) -> None:
        """It is over."""
        self._visits.end(self)


def _plain(text: str) -> str:
    """What a caller has said, as it may stand in a line."""
    shown = text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
