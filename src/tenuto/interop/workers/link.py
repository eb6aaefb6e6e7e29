"""A worker at work: its process, its pipe on the host's loop, and what is out with it."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final, Protocol

from msgspec import Struct

from tenuto.interop.workers.frames import frame
from tenuto.interop.workers.launching import (
    StartedWorker,
    decoded,
    is_serious,
    log_left_out,
    log_line,
)
from tenuto.interop.workers.line_budget import LineBudget
from tenuto.interop.workers.protocol import (
    Failed,
    Log,
    Lost,
    Ping,
    Pong,
    Result,
    Stop,
    ToHost,
    ToWorker,
    Turned,
    encode_to_worker,
)
from tenuto.model.errors import WorkerProtocolError
from tenuto.model.timing import MICROSECONDS, Microseconds

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4_096

_SLICE_SECONDS: Final = 0.005
"""How long the loop is held up at once by what one worker says."""

Answer = Result | Failed | Turned | Lost


class Errand(Protocol):
    """Something that a worker is asked and answers once."""

    @property
    def is_turn(self) -> bool:
        """Whether it is a turn: those are run in the order in which they were sent."""

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for its answer any more."""

    def message(self, number: int) -> tuple[ToWorker, bytes]:
        """What is sent, with its attachment."""

    def answered(self, answer: Answer, attachment: bytes) -> None:
        """The worker has answered."""


class Out(Struct):
    """An errand that is out: since when.

    Attributes:
        errand: What it is.
        since: When it was sent; of a turn, when it can have begun: those before it were answered.
    """

    errand: Errand
    since: Microseconds


class WorkerLink(asyncio.Protocol):
    """One worker process on the host's loop.

    Args:
        worker: The process, with its app loaded.
        gone: Called once, when it is no longer there.

    Attributes:
        out: What it was asked and has not answered, oldest first.
        is_retiring: Whether it is given nothing more.
        silent_since: When it was pinged, if it has not answered yet.
        is_silence_told: Whether that was logged.
        reason: Why it was ended, if it was.
        then: Called after each answer, by who has it for itself.
        call_answered: Called after the answer to each call, with how long after it was sent.
        has_answered: Whether it has ever answered anything.
    """

    def __init__(self, worker: StartedWorker, gone: Callable[["WorkerLink"], None]) -> None:
        self.worker = worker
        self.out: dict[int, Out] = {}
        self.is_retiring: bool = False
        self.silent_since: Microseconds | None = None
        self.is_silence_told: bool = False
        self.reason: str | None = None
        self.then: Callable[[], None] | None = None
        self.call_answered: Callable[[Microseconds], None] | None = None
        self.has_answered: bool = False
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._is_gone = False
        self._is_reading = True
        self._outgoing: list[bytes] = []
        self._said: deque[tuple[ToHost, bytes]] = deque()
        self._lines: LineBudget | None = None

    @classmethod
    async def over(
        cls, worker: StartedWorker, gone: Callable[["WorkerLink"], None]
    ) -> "WorkerLink":
        """The link to a worker, ready to be used."""
        link = cls(worker, gone)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: link, sock=worker.socket)
        rest, worker.rest = worker.rest, []
        for message, attachment in rest:
            link._received(message, attachment)
        return link

    # --- asking ----------------------------------------------------------------------------------

    def send(self, number: int, errand: Errand, now: Microseconds) -> None:
        """Ask something; the answer comes to the errand, or the link goes."""
        self.out[number] = Out(errand, now)
        self.tell(*errand.message(number))

    def tell(self, message: ToWorker, attachment: bytes = b"") -> None:
        """Say something that is not answered."""
        if not self._outgoing:
            # Together: each write wakes the other process up, and costs more than the message.
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(frame(encode_to_worker(message), attachment))

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self.is_open:
            assert self._transport is not None
            self._transport.write(b"".join(outgoing))

    def ping(self, now: Microseconds) -> None:
        """Ask whether it is there, unless it was asked already."""
        if self.silent_since is None:
            self.silent_since = now
            self.tell(Ping(id=0))

    def stop(self) -> None:
        """Let it answer what runs, and end."""
        self.is_retiring = True
        self.tell(Stop())

    def kill(self, reason: str) -> None:
        """End it now; ``reason`` is for people."""
        self.reason = self.reason or reason
        self.is_retiring = True
        self.worker.end_now()
        self.close()

    def close(self) -> None:
        """Close the pipe: a worker that finds it closed ends at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def oldest_turn(self) -> Out | None:
        """The turn that runs, if there is one: they run in the order in which they were sent."""
        return next((out for out in self.out.values() if out.errand.is_turn), None)

    @property
    def is_gone(self) -> bool:
        """Whether its pipe is closed."""
        return self._is_gone

    @property
    def resident_bytes(self) -> int:
        """The memory that it has; 0 where that is not known."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = Path(f"/proc/{self.worker.pid}/statm").read_text("ascii").split()
            return int(fields[1]) * _PAGE_BYTES
        return 0

    # --- the loop's side -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is on the loop."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's has no base of asyncio's

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        try:
            messages = decoded(self.worker.frames, data)
        except WorkerProtocolError as error:
            self.kill(str(error))
            return
        self._said += messages
        self._hear()

    def _hear(self) -> None:
        """Take in what it has said, one slice at once; it is read no further until that is done."""
        end = perf_counter() + _SLICE_SECONDS
        while self._said:
            message, attachment = self._said.popleft()
            if self.is_open:
                self._received(message, attachment)
            if perf_counter() > end and self._said:
                self._listens(False)
                asyncio.get_running_loop().call_soon(self._hear)
                return
        self._listens(True)

    def _listens(self, listens: bool) -> None:  # noqa: FBT001 - says what it does
        if self._is_reading is listens or not self.is_open:
            return
        self._is_reading = listens
        assert self._transport is not None
        if listens:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    @property
    def is_open(self) -> bool:
        """Whether its pipe is neither closed nor about to be."""
        return self._transport is not None and not self._transport.is_closing()

    def _received(self, message: ToHost, attachment: bytes) -> None:
        if isinstance(message, Log):
            self._log(message)
        elif isinstance(message, Pong):
            self.silent_since = None
            self.is_silence_told = False
        elif isinstance(message, Result | Failed | Turned | Lost):
            self._answer(message, attachment)
        else:
            self.kill(f"a worker said {type(message).__name__} at work")

    def _log(self, line: Log) -> None:
        if self._lines is None:
            later = asyncio.get_running_loop().call_later
            self._lines = LineBudget(partial(log_left_out, str(self.worker.pid)), later)
        if self._lines.takes(is_serious=is_serious(line)):
            log_line(line)

    def _answer(self, message: Answer, attachment: bytes) -> None:
        out = self.out.get(message.id)
        if out is None:
            return
        if not isinstance(message, Failed) and isinstance(message, Result) == out.errand.is_turn:
            what = "a turn" if out.errand.is_turn else "a call"
            self.kill(f"a worker answered {what} with {type(message).__name__}")
            return
        del self.out[message.id]
        self.has_answered = True
        if self.silent_since is not None:  # it goes through what was sent before the ping
            self.silent_since = now()
        if out.errand.is_turn:
            following = self.oldest_turn
            if following is not None:
                following.since = max(following.since, now())
        out.errand.answered(message, attachment)
        if self.call_answered is not None and not out.errand.is_turn:
            self.call_answered(now() - out.since)
        if self.then is not None:
            self.then()

    def connection_lost(self, exc: Exception | None) -> None:
        """The pipe is closed: the process has ended, or is about to."""
        del exc
        if not self._is_gone:
            self._is_gone = True
            if self._lines is not None:
                self._lines.tell_all()
            self._gone(self)


def now() -> Microseconds:
    """Real time that passes: processes know no other, whatever the host's clock says."""
    return int(asyncio.get_running_loop().time() * MICROSECONDS)
