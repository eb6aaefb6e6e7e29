"""The socket: uvicorn inside the host's own loop."""

import asyncio
import contextlib
import os
import socket
import time
import weakref
from collections.abc import Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from tenuto.http.options import HttpSettings
from tenuto.http.server.limits import bounded_protocol
from tenuto.http.server.peers import Peers
from tenuto.model.errors import SettingsError
from tenuto.telemetry.traffic import Traffic

_BACKLOG: Final = 2048
_HANDED_IN: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FIRST_DESCRIPTOR: Final = 3
"""Of those that systemd hands in."""

_listening: "weakref.WeakSet[socket.socket]" = weakref.WeakSet()


class _Quiet(uvicorn.Server):
    """Leaves signals to the host."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them alone: the host handles them."""
        yield


class HttpServer:
    """Listens and serves until it is stopped.

    Args:
        application: What answers.
        listening: The socket, from ``listen``.
        settings: What one connection may use up.
        traffic: Counts connections.
    """

    def __init__(
        self,
        application: ASGIApp,
        listening: socket.socket,
        settings: HttpSettings,
        traffic: Traffic | None = None,
    ) -> None:
        self._listening = listening
        counts = traffic or Traffic()
        peers = Peers(settings.idle_connections, counts, time.monotonic)
        config = uvicorn.Config(
            application,
            http=bounded_protocol(settings, counts, peers),
            loop="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # below are the faults of callers, who are told themselves
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        self._server = _Quiet(config)
        self._task: asyncio.Task[None] | None = None
        self.port: int = listening.getsockname()[1]

    async def start(self) -> None:
        """Begin to answer."""
        serving = self._server.serve(sockets=[self._listening])
        self._task = asyncio.get_running_loop().create_task(serving, name="tenuto-http")
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)

    def accept_no_more(self) -> None:
        """Take in no connection from now on; who calls waits for whoever else has the socket."""
        for one in self._server.servers:
            one.close()

    async def stop(self) -> None:
        """Take no more requests, answer those that are under way."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task


def listen(settings: HttpSettings) -> socket.socket:
    """Take the port, before anything else is begun; who calls is answered once a server runs.

    Raises:
        SettingsError: the port is taken, or the address cannot be listened on.
    """
    host, port = settings.host, settings.port
    listening: socket.socket | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # With its protocol: asyncio sends at once (TCP_NODELAY) only where it knows that. Else each
        # answer waits 40 ms for the caller's acknowledgement of its head.
        listening = socket.socket(family, kind, protocol)
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise SettingsError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; another program may "
            "use this port: stop it, or choose another with --port"
        ) from error
    _listening.add(listening)
    return listening


def handed_in() -> socket.socket | None:
    """The socket that systemd listens with for this process (``LISTEN_FDS``); None without one.

    Raises:
        SettingsError: there are several, or it is none for HTTP.
    """
    process, count, _ = [os.environ.pop(name, "") for name in _HANDED_IN]
    if process != str(os.getpid()):
        return None
    if count != "1":
        raise SettingsError(
            f"systemd hands in {count or 'no'} sockets, and a server has one: keep one "
            "ListenStream= in the .socket unit"
        )
    try:
        listening = adopted(_FIRST_DESCRIPTOR)
    except OSError as error:
        raise SettingsError(f"what systemd hands in is no socket: {error.strerror}") from None
    is_tcp = listening.family in {socket.AF_INET, socket.AF_INET6}
    if not is_tcp or listening.type != socket.SOCK_STREAM:
        raise SettingsError(
            "the socket that systemd hands in is not one of TCP: write "
            "ListenStream=127.0.0.1:7071, or another address with a port"
        )
    return listening


def adopted(descriptor: int) -> socket.socket:
    """The socket that another process listens with, to be served on here."""
    listening = socket.socket(fileno=descriptor)
    listening.set_inheritable(False)
    _listening.add(listening)
    return listening


def _leave_to_parent() -> None:  # pragma: no cover - runs where nothing is measured
    # A forked child that lived on would keep the port after our death, and answer nobody.
    for one in list(_listening):
        with contextlib.suppress(OSError):
            os.close(one.detach())


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_leave_to_parent)
