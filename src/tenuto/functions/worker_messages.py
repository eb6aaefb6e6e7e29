"""What host and worker process say to each other, and how it travels.

Messages are msgpack, each behind a mark and its length (4 bytes each, the highest first), over a
socket pair. Nothing is pickled: a worker gets names and JSON text, and answers with JSON text or a
failure. Whatever a worker says carries the number of the attempt that it says it about: a process
can be copied, and what an earlier attempt left behind must not speak for a later one.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from tenuto.engine.ports import ActivityWork
from tenuto.functions.locating import Place
from tenuto.model.events import TaskCompleted, TaskFailed

_MARK: Final = b"\xc1tnt"
"""Begins each message; no msgpack begins so, and hardly what user code writes to a wrong place."""

_HEAD_BYTES: Final = len(_MARK) + 4
_MOST_PAUSES: Final = 30
"""So often in a row ``while_waiting`` may be called in the middle of a message that does not go on:
who wrote half of one will never write the rest.
"""

_READ_BYTES: Final = 65_536


class Setup(Struct, frozen=True, array_like=True, tag=1):
    """The first message: how the worker resembles the host.

    Attributes:
        argv: The host's command line.
        log_levels: Levels of the loggers that have one of their own; the root's under ``""``.
        log_disabled: What ``logging.disable`` was given.
        module_names: What records call modules otherwise.
    """

    argv: list[str]
    log_levels: dict[str, int]
    log_disabled: int
    module_names: dict[str, str]


class Run(Struct, frozen=True, array_like=True, tag=2):
    """Run an attempt; the worker answers ``Began`` and ``Ended``."""

    number: int
    place: Place
    work: ActivityWork
    payload_bytes: int


class Cancel(Struct, frozen=True, array_like=True, tag=3):
    """Turn the token of that attempt on."""

    number: int


class Began(Struct, frozen=True, array_like=True, tag=1):
    """The function is imported and is now called."""

    number: int


class Ended(Struct, frozen=True, array_like=True, tag=2):
    """The attempt is over; ``processor_seconds`` are those of the whole process meanwhile."""

    number: int
    event: TaskCompleted | TaskFailed
    processor_seconds: float = 0.0


class Log(Struct, frozen=True, array_like=True, tag=3):
    """A log record, its text already formatted; ``extra`` are the attributes that were added.

    ``number`` is that of the attempt during which it was written; 0 when there was none.
    """

    number: int
    name: str
    level: int
    text: str
    created: float
    path: str
    line: int
    function: str | None
    thread: str
    exception: str | None
    stack: str | None
    extra: dict[str, Raw]


ToWorker: TypeAlias = Setup | Run | Cancel
ToHost: TypeAlias = Began | Ended | Log
M = TypeVar("M")


class Channel(Generic[M]):
    """One end of the line.

    Args:
        end: A connected socket. With a timeout, ``while_waiting`` is called whenever it passes.
        incoming: The type of the messages that come in.
        while_waiting: May raise to give up.
    """

    def __init__(
        self,
        end: socket.socket,
        incoming: type[M],
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        self._end = end
        self._decode: Callable[[bytes], M] = msgspec.msgpack.Decoder(incoming).decode
        self._while_waiting = while_waiting
        self._sending = threading.Lock()
        self._received = bytearray()

    def send(self, message: ToWorker | ToHost) -> None:
        """Send a message; from any thread.

        Raises:
            OSError: the other end is gone.
        """
        body = msgspec.msgpack.encode(message)
        left = memoryview(_MARK + len(body).to_bytes(4, "big") + body)
        with self._sending:
            while left:
                try:
                    left = left[self._end.send(left) :]
                except TimeoutError:
                    self._wait()

    def receive(self) -> M | None:
        """The next message; None when the other end is gone.

        Raises:
            msgspec.DecodeError: what came is no message; nothing more can be read from this line.
        """
        try:
            if not self._fill(_HEAD_BYTES):
                return None
            if not self._received.startswith(_MARK):
                raise msgspec.DecodeError("what came does not begin like a message")
            end = _HEAD_BYTES + int.from_bytes(self._received[len(_MARK) : _HEAD_BYTES], "big")
            if not self._fill(end):
                return None
        except OSError:
            return None
        body = bytes(self._received[_HEAD_BYTES:end])
        del self._received[:end]
        return self._decode(body)

    def leave(self) -> None:
        """Close this end in a copy of its process; that of the original stays as it is."""
        self._sending = threading.Lock()  # a thread that was not copied may have held it
        self._end.close()

    def close(self) -> None:
        """Close this end; whoever waits at either end finds the other one gone."""
        with contextlib.suppress(OSError):  # the other end went first
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def _fill(self, size: int) -> bool:
        """Receive until there are so many bytes; False when they do not come any more."""
        pauses = 0
        while len(self._received) < size:
            try:
                part = self._end.recv(_READ_BYTES)
            except TimeoutError:
                self._wait()
                pauses += bool(self._received)
                if pauses > _MOST_PAUSES:
                    raise msgspec.DecodeError("a message does not go on") from None
                continue
            if not part:
                return False
            self._received += part
            pauses = 0
        return True

    def _wait(self) -> None:
        if self._while_waiting is not None:
            self._while_waiting()
