"""Scripts of web pages: which origins may call, and how their browsers are told.

Browsers ask before most calls of another origin's scripts (CORS), but not before a plain POST, nor
when a foreign name is made to point to this machine (DNS rebinding). A server without keys lets
everybody on its machine in, so it refuses both itself: a page that somebody happens to look at
must not start or read anything.
"""

import re
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
_LOOPBACK: Final = re.compile(r"127(\.[0-9]{1,3}){3}")
_FUNCTIONS: Final = b"/api/"
_FOREIGN: Final = (
    "a page of another origin may not call a server without keys; allow it with setting "
    "http.cors_origins"
)
_WEBHOOKS: Final = b"/callbacks/"
"""What stands here is opened by knowing its address, from anywhere. And the page's own button has
no origin to show: its ``Referrer-Policy: no-referrer`` has browsers send ``null``.
"""


class Origins:
    """Decides for scripts of other origins.

    Args:
        settings: The origins that may call.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._allowed = {origin.lower() for origin in settings.cors_origins}
        self._has_keys = bool(settings.keys)
        known = (settings.base_url or "").partition("://")[2].partition("/")[0]
        self._own_names = {"localhost", settings.host.lower(), _name_of(known)}
        self._is_behind_proxies = bool(settings.trusted_proxies)

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
        """Refuse what pages of other origins make browsers send to a server without keys.

        Raises:
            ForbiddenError: it is such a request.
        """
        if self._has_keys:
            return
        host = (call.header("host") or "").lower()
        if not self._is_own_name(call, host):
            raise ForbiddenError(
                "a server without keys answers to the names of its own machine alone, such as "
                "localhost; set http.keys, or http.base_url to the address it is known by"
            )
        origin = call.header("origin")
        if self._allows(origin):
            return
        path = call.scope["raw_path"].lower()
        if (
            path.startswith(_FUNCTIONS)
            and call.header("sec-fetch-site") == "cross-site"
            and call.header("sec-fetch-mode") != "navigate"
        ):
            # A function may start something at a GET, too. A link that a person follows may.
            raise ForbiddenError(_FOREIGN)
        if call.scope["method"] in _SAFE or origin is None:
            return
        if path.startswith(_WEBHOOKS):
            return
        if origin.partition("://")[2].lower() != host:
            raise ForbiddenError(_FOREIGN)

    def _is_own_name(self, call: Call, host: str) -> bool:
        server = call.scope.get("server")
        if not host or self._is_behind_proxies or not server or not _is_loopback(server[0]):
            return True
        name = _name_of(host)
        return name in self._own_names or name.endswith(".localhost") or _is_loopback(name)

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


def _name_of(host: str) -> str:
    """Without port and brackets, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_loopback(address: str) -> bool:
    return address == "::1" or _LOOPBACK.fullmatch(address) is not None
