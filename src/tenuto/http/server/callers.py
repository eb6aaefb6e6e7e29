"""Who calls a server without keys: only true callers on its own machine may do everything.

What cannot be told is not local: a peer without an address (a Unix socket), a request that came
through a proxy, a name that is not this machine's. A proxy beside the server connects from loopback
like everybody else, so its marks count, not its place. Keeps nobody out of a server with keys.
"""

import re
from typing import Final

from starlette.types import Scope

_LOOPBACK: Final = re.compile(r"(?:::ffff:)?127(?:\.[0-9]{1,3}){3}|::1")
_MARKS: Final = frozenset(
    {
        "cdn-loop",
        "client-ip",
        "forwarded",
        "forwarded-for",
        "true-client-ip",
        "via",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-host",
        "x-nginx-proxy",
        "x-proxyuser-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-scheme",
    }
)
_MARKS_BEGIN: Final = (
    "cf-",
    "fastly-",
    "fly-",
    "tailscale-",
    "x-amzn-",
    "x-appengine-",
    "x-arr-",
    "x-azure-",
    "x-envoy-",
    "x-forward",
    "x-original-",
    "x-real-",
    "x-traefik-",
    "x-varnish",
)
"""Headers that proxies add and callers have no reason to send."""

_NO_MARKS: Final = frozenset({"x-azure-functions-invocationid"})
"""Headers that are named like those of proxies, but are sent by clients: this one by that of
azure-functions-durable, in a function that has a parameter ``context``.
"""

_OLD: Final = frozenset({"0.9", "1.0"})
"""The former has no headers that could show anything. The latter is what nginx speaks to servers
behind it unless it is told otherwise, without any other mark.
"""


def why_not_local(scope: Scope) -> str | None:
    """Why a request is not that of a caller on this machine, in words; None when it is.

    Args:
        scope: The request as ASGI hands it in.
    """
    client = scope.get("client")
    if not client or not is_loopback(str(client[0])):
        return "the caller's address is not known or not this machine's"
    mark = _mark_of_proxy(scope)
    if mark is not None:
        return f"the request came through a proxy, as its header {mark} shows"
    for key, value in scope["headers"]:
        if key == b"host" and not _is_own_name(value.decode("latin-1")):
            return "the request is for another name than this machine's, such as localhost"
    version = scope.get("http_version")
    if version in _OLD:
        return f"the request came by HTTP/{version}, as through a proxy"
    return None


def is_on_this_machine(scope: Scope) -> bool:
    """Whether a process of this machine asks itself, by whatever name of the machine.

    A server may listen on one address that is not loopback; then who calls from here has the same.
    """
    client, server = scope.get("client"), scope.get("server")
    if not client or _mark_of_proxy(scope) is not None:
        return False
    return is_loopback(str(client[0])) or (server is not None and client[0] == server[0])


def _mark_of_proxy(scope: Scope) -> str | None:
    """The first header that only a proxy adds."""
    for key, _ in scope["headers"]:
        name: str = key.decode("latin-1").lower().replace("_", "-")
        if name in _NO_MARKS:
            continue
        if name in _MARKS or name.startswith(_MARKS_BEGIN):
            return name
    return None


def is_loopback(address: str) -> bool:
    """Whether an address is one of this machine alone."""
    return _LOOPBACK.fullmatch(address.lower()) is not None


def _is_own_name(host: str) -> bool:
    """Whether a ``Host`` names this machine; an empty one names none."""
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return not host or name == "localhost" or name.endswith(".localhost") or is_loopback(name)
