"""What the connections of a server may take from each other: places for those that ask for nothing,
and file descriptors.

A connection that waits, new or between two requests, costs its peer nothing and the server a
descriptor. So each peer has only so many: for one more the oldest is closed. Connections whose
request has come whole do not count, however long the answer takes. The last descriptors are kept
for the store and for those who are served already. Peers are told apart by what one customer is
given: an IPv4 address, or an IPv6 network of 64 bits, in which everybody has as many addresses as
they like.
"""

import socket
import sys
from collections.abc import Callable
from typing import Final, Protocol

from tenuto.telemetry.traffic import SeldomWarning, Traffic

_RESERVE: Final = 64
_SHARE: Final = 8
"""Of few descriptors the reserve is one in so many."""

_NETWORK_BYTES: Final = 8
"""Of the 16 of an IPv6 address, those that are not the customer's to choose."""
_IPV4_INSIDE: Final = bytes(10) + b"\xff\xff"
"""What an IPv4 address begins with on a socket that takes both."""


class Connection(Protocol):
    """What is counted and may be closed."""

    def give_way(self) -> None:
        """Be closed."""


class Peers:
    """The connections of one server.

    Args:
        most_waiting: Of each peer.
        traffic: Counts them.
        now: The time in seconds, from any beginning.
    """

    def __init__(self, most_waiting: int, traffic: Traffic, now: Callable[[], float]) -> None:
        self._most_waiting = most_waiting
        self._traffic = traffic
        self._waiting: dict[str, dict[Connection, None]] = {}  # the oldest first
        self._crowd = SeldomWarning(now)
        self._shortage = SeldomWarning(now)

    def may_come(self, connection: Connection, peer: str | None, descriptor: int) -> bool:
        """Take in a new connection; False when there is no descriptor to spare for it."""
        self._traffic.connections += 1
        most = most_descriptors()
        # The system gives out the lowest number that is free: it tells how many are in use.
        if most is not None and descriptor >= most - min(_RESERVE, most // _SHARE):
            self._traffic.refused_connections += 1
            self._shortage.say(
                f"file descriptors run out: {descriptor:,} of {most:,} are in use, so a connection "
                "was closed at once; close what holds them, or allow more (LimitNOFILE=, ulimit -n)"
            )
            return False
        self.waits(connection, peer)
        return True

    def gone(self, connection: Connection, peer: str | None) -> None:
        """A connection is closed."""
        self._traffic.connections -= 1
        self.works(connection, peer)

    def waits(self, connection: Connection, peer: str | None) -> None:
        """No request of this connection has come whole; for one too many the oldest gives way."""
        if peer is None:
            return
        waiting = self._waiting.setdefault(peer, {})
        waiting[connection] = None
        if len(waiting) <= self._most_waiting:
            return
        self._traffic.refused_connections += 1
        self._crowd.say(
            f"{peer} holds more than {self._most_waiting:,} connections on which it asks for "
            "nothing; the oldest was closed (setting http.idle_connections)"
        )
        oldest = next(iter(waiting))
        self.works(oldest, peer)
        oldest.give_way()

    def works(self, connection: Connection, peer: str | None) -> None:
        """A request of this connection is being answered."""
        waiting = self._waiting.get(peer or "")
        if waiting is not None:
            waiting.pop(connection, None)
            if not waiting:
                del self._waiting[peer or ""]


def peer_at(address: str) -> str:
    """Whose connections are counted together with those from an address."""
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:  # no address: one that a server around this one has made up
        return address
    if packed.startswith(_IPV4_INSIDE):
        return socket.inet_ntop(socket.AF_INET, packed[len(_IPV4_INSIDE) :])
    network = packed[:_NETWORK_BYTES] + bytes(_NETWORK_BYTES)
    return f"{socket.inet_ntop(socket.AF_INET6, network)}/64"


def most_descriptors() -> int | None:
    """How many descriptors this process may have; None where that is not known."""
    if sys.platform == "win32":  # pragma: no cover - measured on POSIX
        return None
    import resource  # noqa: PLC0415 - not on every platform

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
