"""What one connection may use up: time and bytes of a request, time of a reader.

A request that trickles in is answered 408 and cut, a head that is too long or has too many parts
414 or 431, a peer that does not read what it asked for is dropped. What arrives whole in one piece
costs no timer. A body whose request has been answered already, such as with a refusal, is taken
slowly: it is for nothing, and who sends it must not take the loop from the others.
"""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tenuto.http.errors import (
    HttpError,
    RequestTimeoutError,
    RequestTooLargeError,
    error_body,
)
from tenuto.http.options import HttpSettings
from tenuto.http.server.peers import Peers, peer_at
from tenuto.telemetry.traffic import NO_ROUTE, Traffic

_PER_HEADER = 4
"""Bytes of a header beside its name and value."""

_MOST_HEADERS = 256
_MOST_TARGET_BYTES = 16 * 1024
"""Of path and query, which are read before a key is known, and slowly where they are quoted."""

_REST_SECONDS = 0.02
"""Between two pieces of a body that nobody wants. Cutting the connection would take the answer with
it, as the peer may not have read it yet.
"""

_LAST_WORDS_SECONDS = 1.0
"""So long a peer may leave an answer unread when the server stops, which nobody waits for."""


def bounded_protocol(settings: HttpSettings, traffic: Traffic, peers: Peers) -> Any:  # noqa: ANN401 - what uvicorn calls a protocol
    """What serves one connection, within the limits of the settings."""
    return partial(BoundedProtocol, settings, traffic, peers)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with limits.

    Args:
        settings: The limits.
        traffic: Counts what is refused here.
        peers: The other connections.
        config: uvicorn's.
        server_state: uvicorn's.
        app_state: uvicorn's.
        _loop: The running loop.
    """

    def __init__(
        self,
        settings: HttpSettings,
        traffic: Traffic,
        peers: Peers,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings = settings
        self._traffic = traffic
        self._peers = peers
        self._peer: str | None = None
        self._is_refused = self._has_come = self._is_last = False
        self._in_head = False
        self._in_message = False
        self._head_bytes = 0  # of the parsed head
        self._target_bytes = self._headers = 0
        self._fed_bytes = 0  # since the head began, or since the last part of the body
        self._chunk_bytes = 0  # of what is being parsed
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None

    # --- the connection ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Somebody is there; the first request is due."""
        try:
            super().connection_made(transport)
        except MemoryError:
            # Half made it would take requests in, and never answer: who asks must see its end.
            self._is_refused = True
            self.transport = transport
            transport.abort()
            return
        self._peer = peer_at(self.client[0]) if self.client else None
        self._has_come = True
        if self._peers.may_come(self, self._peer, transport.get_extra_info("socket").fileno()):
            self._arm()
        else:
            self._is_refused = True
            transport.close()

    def give_way(self) -> None:
        """Be closed: the peer holds too many connections that wait."""
        self._is_refused = True
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._disarm()
        self._may_write()
        if self._has_come:
            self._peers.gone(self, self._peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of several."""
        if self._is_refused:
            return
        self._fed_bytes += len(data)
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self.transport.get_protocol() is not self:  # it speaks WebSocket now
            self._disarm()
            self._peers.gone(self, self._peer)  # of its end another protocol is told
            return
        if self.transport.is_closing():
            return
        if self._in_message and not self._in_head and self._is_idle:
            self._rest()
        if self._in_message and self._fed_bytes > self._settings.header_bytes:
            self._refuse_head()
        elif self._in_message or self._is_idle:
            # Also when idle: line breaks between requests end the wait for the next, and begin
            # no request.
            self._arm()
        else:
            self._disarm()

    def _rest(self) -> None:
        self.flow.pause_reading()
        self.loop.call_later(_REST_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    @property
    def _is_idle(self) -> bool:
        current = self._current
        return current is None or current.response_complete

    @property
    def _current(self) -> RequestResponseCycle | None:
        """The newest request whose head has come; uvicorn's type forgets that there may be none."""
        return self.cycle

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked for some time."""
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()  # closing would wait for a reader that is gone
        super().timeout_keep_alive_handler()

    # --- the time of a request ---------------------------------------------------------------

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._settings.request_seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.pipeline or self.flow.read_paused:
            self._arm()  # it is this side that does not read on
            return
        seconds = self._settings.request_seconds
        self._refuse(
            RequestTimeoutError(
                f"the request did not arrive within {seconds:g} s (setting http.request_seconds)"
            )
        )

    # --- the parser's callbacks --------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._disarm()
        self._in_head = self._in_message = True
        self._head_bytes = self._target_bytes = self._headers = 0
        self._fed_bytes = self._chunk_bytes

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        super().on_url(url)
        self._head_bytes += len(url)
        self._target_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the head, or a trailer."""
        if not self._in_head:
            # After the body (a trailer): what the request is was decided before, and nobody keeps
            # what a peer may send without end.
            return
        self._headers += 1
        self._head_bytes += len(name) + len(value) + _PER_HEADER
        if self._headers <= _MOST_HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        if self._head_bytes > self._settings.header_bytes:
            self._refuse_head()
        elif self._headers > _MOST_HEADERS:
            self._refuse_long(
                f"the request has more than {_MOST_HEADERS:,} headers",
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            )
        elif self._target_bytes > _MOST_TARGET_BYTES:
            self._refuse_long(
                f"path and query are longer than {_MOST_TARGET_BYTES:,} bytes",
                HTTPStatus.REQUEST_URI_TOO_LONG,
            )
        if not self._is_refused:
            super().on_headers_complete()
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._fed_bytes = 0  # counted is what comes beside it: sizes of pieces, trailers
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._in_message = False
        self._chunk_bytes = 0  # what follows in the same piece is the next request's
        if not self._is_idle:
            self._peers.works(self, self._peer)
        if not self._is_refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer has gone out."""
        super().on_response_complete()
        if not self.transport.is_closing() and self._is_idle and not self._in_message:
            self._peers.waits(self, self._peer)

    # --- the reader of the answer ------------------------------------------------------------

    def pause_writing(self) -> None:
        """The peer does not read as fast as it is written to."""
        super().pause_writing()
        self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        seconds = self._settings.request_seconds
        if self._is_last:
            seconds = min(seconds, _LAST_WORDS_SECONDS)
        self._write_deadline = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._may_write()
        super().resume_writing()

    def _may_write(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    def shutdown(self) -> None:
        """The server stops: what is under way is the last, and a peer must read it now."""
        super().shutdown()
        self._is_last = True
        if self._write_deadline is not None:
            self._may_write()
            self._wait_for_reader()

    # --- refusing ----------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Not HTTP at all, in the shape of all errors."""
        self._refuse(HttpError(msg))

    def _refuse_head(self) -> None:
        self._refuse_long(
            f"the head of the request is longer than {self._settings.header_bytes:,} bytes "
            "(setting http.header_bytes)",
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        )

    def _refuse_long(self, reason: str, status: HTTPStatus) -> None:
        self._refuse(RequestTooLargeError(reason, status=status))

    def _refuse(self, error: HttpError) -> None:
        """Say why, unless an answer is under way, and close."""
        if self._is_refused:
            return
        self._is_refused = True
        self._disarm()
        if self._may_answer:
            self._traffic.answered("other", NO_ROUTE, error.status, 0.0)
            body = error_body(error.code, str(error), type(error).__name__)
            status = HTTPStatus(error.status)
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        if self._current is not None:
            self._current.disconnected = True
        self.transport.close()
        # A peer that does not read would keep a closing connection for ever.
        self.loop.call_later(self._settings.request_seconds, self.transport.abort)

    @property
    def _may_answer(self) -> bool:
        """Whether the next bytes that the peer expects are those of this refusal."""
        current = self._current
        if current is None:
            return True
        if self._in_message and not self._in_head:  # the refused request is the current one
            return not current.response_started
        return current.response_complete
