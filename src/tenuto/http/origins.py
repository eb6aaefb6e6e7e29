"""Scripts of web pages: which origins may call, and how their browsers are told.

Browsers ask before most calls of another origin's scripts (CORS), but not before a plain POST. A
server without keys lets everybody on its machine in, so it refuses those itself: a page that
somebody happens to look at must not start anything.
"""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Send

from tenuto.http.errors import ForbiddenError
from tenuto.http.options import HttpSettings
from tenuto.http.routing import Call

_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SHOWN: Final = "Location, Retry-After, x-ms-continuation-token"
_HOLDS_SECONDS: Final = "600"


class Origins:
    """Decides for scripts of other origins.

    Args:
        settings: The origins that may call.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._allowed = {origin.lower() for origin in settings.cors_origins}
        self._has_keys = bool(settings.keys)

    def preflight(self, call: Call) -> Response | None:
        """The answer to a browser that asks first, None for any other request.

        Raises:
            ForbiddenError: the origin may not call.
        """
        asked = call.header("access-control-request-method")
        if not self._allowed or call.scope["method"] != "OPTIONS" or asked is None:
            return None
        if not self._allows(call.header("origin")):
            raise ForbiddenError("this origin may not call (setting http.cors_origins)")
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Max-Age": _HOLDS_SECONDS,
            "Vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
        }
        wanted = call.header("access-control-request-headers")
        if wanted is not None:
            headers["Access-Control-Allow-Headers"] = wanted
        return Response(status_code=204, headers=headers)

    def check(self, call: Call) -> None:
        """Refuse what a page of another origin sends unasked to a server without keys.

        Raises:
            ForbiddenError: it is such a request.
        """
        if self._has_keys or call.scope["method"] in _SAFE:
            return
        origin = call.header("origin")
        if origin is None or self._allows(origin):
            return
        if origin.partition("://")[2].lower() != (call.header("host") or "").lower():
            raise ForbiddenError(
                "a page of another origin may not call a server without keys; allow it with "
                "setting http.cors_origins"
            )

    def telling(self, call: Call, send: Send) -> Send:
        """``send``, telling the browser whether the script may read the answer."""
        if not self._allowed:
            return send
        origin = call.header("origin")

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                headers.add_vary_header("Origin")
                if origin is not None and self._allows(origin):
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = _SHOWN
                message = {**message, "headers": headers.raw}
            await send(message)

        return tell

    def _allows(self, origin: str | None) -> bool:
        return origin is not None and ("*" in self._allowed or origin.lower() in self._allowed)
