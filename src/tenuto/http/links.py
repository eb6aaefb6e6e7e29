"""Links in answers: the server's address as the caller sees it, and what a link carries.

The address is the configured one, else what a trusted proxy says, else the request's own Host.
Only a caller's own answer shows it, and only if it looks like an address.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from tenuto.http.access import Access
from tenuto.http.errors import HttpError
from tenuto.http.options import HttpSettings, is_host
from tenuto.http.payloads import management_links
from tenuto.http.routing import Call
from tenuto.model.ids import InstanceId

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


class Links:
    """Makes the links of a server.

    Args:
        settings: Its address, and the proxies it trusts.
        access: Makes what opens them.
        prefix: The path under which an app around this one serves it.
    """

    def __init__(self, settings: HttpSettings, access: Access, prefix: str = "") -> None:
        self._prefix = prefix
        self._settings = settings
        self._access = access
        self._proxies = _networks(settings.trusted_proxies)

    def base(self, call: Call) -> str:
        """Scheme, host and prefix, without a slash at the end.

        Raises:
            HttpError: what the request says of it is no address.
        """
        if self._settings.base_url is not None:
            return self._settings.base_url.rstrip("/") + self._prefix
        said = self._said_by_proxy(call)
        scheme = _scheme(call, said)
        host = said.get("host", call.header("host") or self._own_host(call))
        if not is_host(host) or scheme not in {"http", "https"}:
            raise HttpError("the Host of this request is no host name")
        return f"{scheme}://{host}{_checked_prefix(said)}{self._prefix}"

    def prefix(self, call: Call) -> str:
        """What stands before the paths of this server where the caller is; without a slash at the
        end.

        A path in the server's own address counts for who has asked at that: one may also come
        without the proxy that takes it away.

        Raises:
            HttpError: what the request says of it is no path.
        """
        said = self._said_by_proxy(call)
        own = "" if self._settings.base_url is None else self._settings.base_url
        host, slash, path = own.partition("://")[2].partition("/")
        if "prefix" in said or (call.header("host") or "").lower() != host.lower():
            return f"{_checked_prefix(said)}{self._prefix}"
        return f"{(slash + path).rstrip('/')}{self._prefix}"

    def is_secure(self, call: Call) -> bool:
        """Whether the caller's way here begins with https, as the server, a trusted proxy or the
        caller's own browser says.
        """
        said = self._said_by_proxy(call)
        if _scheme(call, said) == "https":
            return True
        return (call.header("origin") or "").lower().startswith("https://")

    def of(self, call: Call) -> "CallersLinks":
        """Those of one caller.

        Raises:
            HttpError: what the request says of the server's address is no address.
        """
        return CallersLinks(self.base(call), partial(self._access.codes, call))

    def _said_by_proxy(self, call: Call) -> dict[str, str]:
        if not self._proxies or not self._is_trusted(_peer(call)):
            return {}
        return self._forwarded(call)

    def _own_host(self, call: Call) -> str:
        server = call.scope.get("server") or (self._settings.host, self._settings.port)
        name = f"[{server[0]}]" if ":" in server[0] else server[0]
        return f"{name}:{server[1]}"

    def _is_trusted(self, address: str) -> bool:
        import ipaddress  # noqa: PLC0415 - for servers behind proxies only

        try:
            found = ipaddress.ip_address(address.strip('"[]'))
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    def _forwarded(self, call: Call) -> dict[str, str]:
        """What the outermost trusted proxy says; those before it could be anybody."""
        standard = _forwarded_elements(call.listed_header("forwarded"))
        if standard:
            hops = self._hops([element.get("for", "") for element in standard])
            return standard[-min(hops, len(standard))]
        hops = self._hops(call.listed_header("x-forwarded-for"))
        said = {}
        for name in ("host", "proto", "prefix"):
            values = call.listed_header(f"x-forwarded-{name}")
            if values:
                said[name] = values[-min(hops, len(values))]
        return said

    def _hops(self, senders: list[str]) -> int:
        """How many proxies in a row, seen from here, are trusted."""
        hops = 1
        for sender in reversed(senders):
            if not self._is_trusted(sender):
                break
            hops += 1
        return hops


class CallersLinks(Struct, frozen=True):
    """Makes links as one caller sees the server, each opening what the caller may do.

    Attributes:
        base: Scheme, host and prefix, without a slash at the end.
        codes: Makes what opens the links of an instance, and what opens the one that purges.
    """

    base: str
    codes: Callable[[InstanceId], tuple[str, str]]

    def management(self, instance_id: InstanceId) -> dict[str, str]:
        """All links of an instance."""
        code, purge_code = self.codes(instance_id)
        return management_links(self.base, instance_id, _code(code), _code(purge_code))


def _scheme(call: Call, said: dict[str, str]) -> str:
    own: str = call.scope["scheme"]
    return said.get("proto", own).lower()


def _checked_prefix(said: dict[str, str]) -> str:
    prefix = said.get("prefix", "").rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise HttpError("the X-Forwarded-Prefix of this request is no path")
    return prefix


def _code(token: str) -> str:
    return f"code={token}" if token else ""


def _networks(texts: tuple[str, ...]) -> "list[IPv4Network | IPv6Network]":
    if not texts:
        return []
    import ipaddress  # noqa: PLC0415 - for servers behind proxies only

    return [ipaddress.ip_network(text, strict=False) for text in texts]


def _peer(call: Call) -> str:
    client = call.scope.get("client")
    return "" if client is None else str(client[0])


def _forwarded_elements(elements: list[str]) -> list[dict[str, str]]:
    """The elements of ``Forwarded`` (RFC 7239), names in lower case.

    Proxies pass on what anybody has sent, so no pattern that may go back and forth in it.
    """
    return [
        {
            name.strip().lower(): value.strip().strip('"')
            for name, _, value in (pair.partition("=") for pair in element.split(";"))
        }
        for element in elements
    ]
