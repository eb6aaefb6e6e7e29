"""Pages of others: which origins may call, and how their browsers are told.

Browsers ask before most calls of another origin's scripts (CORS), but not before a plain POST, a
form, a frame or an image, nor when a foreign name is made to point to this machine (DNS rebinding).
A server without keys lets everybody on its machine in, so it refuses all of these itself: a page
that somebody happens to look at must not start or read anything. Another port of this machine is
another origin, too: that it is the same site counts for nothing.

Origins may be let in everywhere, or to the functions behind HTTP alone and the instances whose
links those hand out: what the CORS of an Azure Functions app is about. Those never reach what looks
after a host.
"""

from collections.abc import Collection, Iterable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Send

from tenuto.http.errors import ForbiddenError, HttpError
from tenuto.http.functions.triggers import PREFIX
from tenuto.http.options import HttpSettings
from tenuto.http.own_paths import own_segments
from tenuto.http.payloads import MOUNT
from tenuto.http.router import path_parts
from tenuto.http.routing import Call
from tenuto.http.server.callers import why_not_local

_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SHOWN: Final = "Location, Retry-After, x-ms-continuation-token"
_HOLDS_SECONDS: Final = "600"
_OWN: Final = frozenset({"same-origin", "none"})
"""What browsers call the site of a request that no other page has set off."""

_FOREIGN: Final = (
    "a page of another origin may not call a server without keys; allow it with setting "
    "http.cors_origins"
)
_FUNCTIONS: Final = PREFIX[1:]
_INSTANCES: Final = [*MOUNT[1:].split("/"), "instances"]

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
        self._everywhere = _lowered(settings.cors_origins)
        self._at_functions = self._everywhere | _lowered(settings.function_origins)
        self._has_keys = bool(settings.keys)
        self._own = own_segments(settings)

    def preflight(self, call: Call) -> Response | None:
        """The answer to a browser that asks first, None for any other request.

        Raises:
            ForbiddenError: the origin may not call.
        """
        asked = call.header("access-control-request-method")
        allowed = self._allowed_at(call)
        if not allowed or call.scope["method"] != "OPTIONS" or asked is None:
            return None
        if not _is_in(allowed, call.header("origin")):
            raise ForbiddenError(
                "this origin may not call (settings http.cors_origins, http.function_origins)"
            )
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
        """Refuse who is not local, and what pages of others send, on a server without keys.

        Raises:
            ForbiddenError: it is such a request.
        """
        if self._has_keys:
            return
        why = why_not_local(call.scope)
        if why is not None:
            raise not_local(why)
        origin = call.header("origin")
        is_webhook = call.scope["raw_path"].lower().startswith(_WEBHOOKS)
        if is_webhook or _is_in(self._allowed_at(call), origin):
            return
        host = (call.header("host") or "").lower()
        if origin is not None and origin.partition("://")[2].lower() != host:
            raise ForbiddenError(_FOREIGN)
        if call.header("sec-fetch-site") not in {None, *_OWN} and not _is_followed_link(call):
            raise ForbiddenError(_FOREIGN)

    def telling(self, call: Call, send: Send) -> Send:
        """``send``, telling the browser whether the script may read the answer."""
        allowed = self._allowed_at(call)
        if not allowed:
            return send
        origin = call.header("origin")

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                headers.add_vary_header("Origin")
                if origin is not None and _is_in(allowed, origin):
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = _SHOWN
                message = {**message, "headers": headers.raw}
            await send(message)

        return tell

    def _allowed_at(self, call: Call) -> frozenset[str]:
        """Those that may call what stands at the path of a request."""
        if self._at_functions == self._everywhere or not self._is_for_functions(
            call.scope["raw_path"]
        ):
            return self._everywhere
        return self._at_functions

    def _is_for_functions(self, raw_path: bytes) -> bool:
        """Whether functions are at a path, or an instance whose links they may have handed out."""
        try:
            parts = [part.lower() for part in path_parts(raw_path)]
        except HttpError:
            return False
        if parts[0] == _FUNCTIONS or parts[0] not in self._own:
            return True
        return parts[: len(_INSTANCES)] == _INSTANCES and len(parts) > len(_INSTANCES)


def _lowered(origins: Iterable[str]) -> frozenset[str]:
    return frozenset(origin.lower() for origin in origins)


def _is_in(allowed: Collection[str], origin: str | None) -> bool:
    return origin is not None and ("*" in allowed or origin.lower() in allowed)


def not_local(why: str) -> ForbiddenError:
    """The refusal of a caller that is not on this machine, by a server without keys."""
    return ForbiddenError(
        f"a server without keys answers only callers on its own machine, and {why}; set http.keys"
    )


def _is_followed_link(call: Call) -> bool:
    """Whether a person has opened an address as a page of its own, as from an e-mail.

    A form that is sent looks the same but for its method. In a frame, or by a script that nobody's
    click has set off, it does not.
    """
    return (
        call.scope["method"] in _SAFE
        and call.header("sec-fetch-mode") == "navigate"
        and call.header("sec-fetch-dest") == "document"
        and call.header("sec-fetch-user") == "?1"
    )
