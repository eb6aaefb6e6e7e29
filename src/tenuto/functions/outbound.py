"""Where calls over HTTP may go: the addresses behind a name, checked before they are used.

A name is resolved once, and the connection goes to an address that was checked, never to what the
name means a moment later (DNS rebinding).
"""

import asyncio
import socket
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Annotated, Final

from msgspec import Meta, Struct

from tenuto.model.errors import OutboundRefusedError, SettingsError

_Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All of IPv6 that is routed in the internet. What lies outside is local, or stands for an IPv4
address in one of many ways.
"""

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""Addresses behind which a gateway (NAT64) reaches the IPv4 address in the last 32 bits."""


class OutboundSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where ``ctx.call_http`` and ``app.push`` may go.

    Attributes:
        block_private: Refuse addresses that are not public: loopback, private networks,
            link-local, multicast and the like. For apps that call addresses which others give.
        allow: Host names and networks (``10.1.0.0/16``) that are allowed all the same.
        timeout_seconds: The longest time one request may take.

    Raises:
        SettingsError: an entry of ``allow`` is no host name and no network.
    """

    block_private: bool = False
    allow: tuple[str, ...] = ()
    timeout_seconds: Annotated[float, Meta(gt=0)] = 100.0

    def __post_init__(self) -> None:
        for entry in self.allow:
            _allowed_entry(entry)


class OutboundPolicy:
    """Checks where a request goes.

    Args:
        settings: What is allowed.
    """

    def __init__(self, settings: OutboundSettings) -> None:
        self.is_checking: bool = settings.block_private
        entries = [_allowed_entry(entry) for entry in settings.allow]
        self._names = {entry for entry in entries if isinstance(entry, str)}
        self._networks = [entry for entry in entries if not isinstance(entry, str)]

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses behind a host that a connection may go to.

        Raises:
            OutboundRefusedError: there are only others.
            OSError: the name cannot be resolved.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # a part of it is longer than in any name
            raise OSError(f"{host!r} cannot be resolved: {error}") from None
        # An IPv6 address may come with a zone (fe80::1%eth0), which only local ones have.
        texts = dict.fromkeys(str(entry[4][0]) for entry in found)
        if host.lower().rstrip(".") in self._names:
            return list(texts)
        allowed = [text for text in texts if self._is_allowed(ip_address(text.partition("%")[0]))]
        if not allowed:
            raise OutboundRefusedError(
                f"{host!r} has no public address, and this host calls no others "
                "(setting outbound.block_private); list it in outbound.allow if it may be called"
            )
        return allowed

    def _is_allowed(self, address: _Address) -> bool:
        meant = _meant(address)
        if any(one in network for network in self._networks for one in (address, meant)):
            return True
        return is_public(address)


def is_public(address: _Address) -> bool:
    """Whether an address is one of the public internet, whichever way it is written."""
    meant = _meant(address)
    if isinstance(meant, IPv6Address) and meant not in _GLOBAL_UNICAST:
        return False
    return meant.is_global and not meant.is_multicast


def _meant(address: _Address) -> _Address:
    """The address that packets to this one reach in the end."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _allowed_entry(entry: str) -> str | IPv4Network | IPv6Network:
    """A host name in lower case, or a network."""
    try:
        return ip_network(entry)
    except ValueError:
        pass
    name = entry.lower().rstrip(".")
    if not name or not all(
        part.replace("-", "").replace("_", "").isalnum() for part in name.split(".")
    ):
        raise SettingsError(
            f"setting outbound.allow: {entry!r} is neither a host name nor a network such as "
            "10.1.0.0/16"
        )
    return name
