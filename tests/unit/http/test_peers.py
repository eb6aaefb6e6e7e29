"""Whose connections are counted together, and which of them gives way."""

import pytest

from tenuto.http.server.peers import Peers, peer_at
from tenuto.telemetry.traffic import Traffic


class Waiting:
    """A connection that waits."""

    def __init__(self) -> None:
        self.is_closed = False

    def give_way(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("::FFFF:0a00:0007", "10.0.0.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("a:made-up:name", "a:made-up:name"),
    ],
)
def test_a_peer_is_what_one_customer_is_given(address: str, peer: str) -> None:
    assert peer_at(address) == peer


def test_who_has_a_whole_network_has_no_more_connections_than_others() -> None:
    """Of an IPv6 network each connection can have an address of its own."""
    peers = Peers(10, Traffic(), now=lambda: 0.0)
    crowd = [Waiting() for _ in range(40)]
    neighbour = Waiting()
    peers.waits(neighbour, peer_at("2001:db8:0:2::1"))
    for number, one in enumerate(crowd):
        peers.waits(one, peer_at(f"2001:db8:0:1::{number:x}"))
    assert [one.is_closed for one in crowd] == [True] * 30 + [False] * 10
    assert not neighbour.is_closed
