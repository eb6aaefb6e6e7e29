"""A connection for which there was too little memory ends; its peer does not wait for an answer."""

from typing import cast
from unittest.mock import Mock

import pytest
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tenuto.http.options import HttpSettings
from tenuto.http.server.limits import BoundedProtocol
from tenuto.http.server.peers import Peers
from tenuto.telemetry.traffic import Traffic


async def _nothing(_scope: object, _receive: object, _send: object) -> None: ...


async def test_a_connection_that_could_be_made_only_half_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_self: HttpToolsProtocol, _transport: object) -> None:
        raise MemoryError

    traffic = Traffic()
    peers = Peers(9, traffic, lambda: 0.0)
    protocol = BoundedProtocol(HttpSettings(), traffic, peers, Config(_nothing), ServerState(), {})
    transport = Mock()
    with monkeypatch.context() as patch:
        patch.setattr(HttpToolsProtocol, "connection_made", fail)
        protocol.connection_made(transport)
    transport.abort.assert_called_once_with()
    protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert cast("object", protocol.cycle) is None
    protocol.connection_lost(None)
    assert traffic.connections == 0
