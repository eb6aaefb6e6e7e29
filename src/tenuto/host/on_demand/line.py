"""The app's process towards the small one that has started it."""

import asyncio
import json
import os
import signal
import socket
import time
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.host.on_demand.idleness import Rest
from tenuto.host.on_demand.sleeper import SERVING, SLEEPS, WOKEN, signature
from tenuto.host.settings import Settings
from tenuto.model.timing import MICROSECONDS
from tenuto.storage import arrival_numbers, is_postgres, path_of

_NOW: Final = "what came while the app's process ended"


class Woken(Struct, frozen=True, kw_only=True):
    """What the app's process is given.

    Attributes:
        listening: The descriptor of the socket that it serves on.
        channel: That of the line to the small process.
        is_first: Whether none has served before it.
        is_called: Whether somebody has called, or may be about to.
        is_handed_in: Whether systemd has made the socket.
    """

    listening: int
    channel: int
    is_first: bool
    is_called: bool
    is_handed_in: bool


def woken() -> Woken | None:
    """What this process was given by the small one; None when none has started it."""
    told = os.environ.pop(WOKEN, None)
    return None if told is None else msgspec.json.decode(told, type=Woken)


class SleeperLine:
    """Tells the small process how it stands.

    Args:
        facts: What was given.
    """

    def __init__(self, facts: Woken) -> None:
        self._socket = socket.socket(fileno=facts.channel)
        self._socket.set_inheritable(False)

    def serving(self, gone: "asyncio.Future[int]") -> None:
        """Say that it serves.

        Args:
            gone: Gets a signal's number when the small process is gone.
        """
        loop = asyncio.get_running_loop()

        def closed() -> None:
            loop.remove_reader(self._socket)
            if not gone.done():
                gone.set_result(signal.SIGTERM)

        loop.add_reader(self._socket, closed)  # nothing is said to us
        self._send({"kind": SERVING})

    async def sleeps(self, rest: Rest, settings: Settings, *, was_busy: bool) -> None:
        """Say until when there is nothing to do, once the store is closed.

        What is written from the look at its files on shows in them. What was written before, and
        after it was last looked at, shows in its numbers.
        """
        wake_at, why, path = rest.wake_at, rest.why, None
        files: list[int] = []
        if not is_postgres(settings.storage):
            path = path_of(settings.storage)
            files = signature(path)
        numbers = await asyncio.to_thread(arrival_numbers, settings.storage)
        if was_busy or numbers != rest.numbers:
            wake_at, why = int(time.time() * MICROSECONDS), _NOW
        self._send(
            {
                "kind": SLEEPS,
                "wake_at": wake_at,
                "why": why,
                "path": path,
                "signature": files,
                "look_seconds": settings.on_demand.look_seconds if path is None else None,
            }
        )

    def close(self) -> None:
        """Say no more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _send(self, word: dict[str, object]) -> None:
        with suppress(OSError):  # the small process is gone, which is seen
            self._socket.sendall(json.dumps(word).encode() + b"\n")
