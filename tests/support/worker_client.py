"""The host's end of the worker protocol, step by step: for tests of a worker alone."""

import itertools
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tenuto.interop.workers.frames import FrameReader, frame
from tenuto.interop.workers.launching import piped_command
from tenuto.interop.workers.protocol import (
    Call,
    Datum,
    Failed,
    Forget,
    Hello,
    Load,
    Loaded,
    Log,
    Lost,
    Refused,
    Result,
    Stop,
    ToHost,
    ToWorker,
    Turn,
    Turned,
    decode_to_host,
    encode_to_worker,
)

LONGEST_SECONDS = 60.0


class WorkerClient:
    """A worker process and the host's end of its pipe.

    Args:
        command: The worker; the number of the file descriptor is added as its last argument.
        environment: All of the worker's environment.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                piped_command(command, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
            )
        ours.settimeout(LONGEST_SECONDS)
        self._socket = ours
        self._frames = FrameReader()
        self._waiting: list[tuple[ToHost, bytes]] = []
        self._numbers = itertools.count(1)
        self.logs: list[Log] = []

    def send(self, message: ToWorker, attachment: bytes = b"") -> None:
        self._socket.sendall(frame(encode_to_worker(message), attachment))

    def receive(self) -> tuple[ToHost, bytes]:
        """The next message but log lines, which are kept."""
        while True:
            while not self._waiting:
                piece = self._socket.recv(65_536)
                assert piece, "the worker has closed the pipe"
                self._waiting += [
                    (decode_to_host(text), attachment)
                    for text, attachment in self._frames.feed(piece)
                ]
            message, attachment = self._waiting.pop(0)
            if not isinstance(message, Log):
                return message, attachment
            self.logs.append(message)

    def load(self, root: Path, **options: Any) -> Loaded | Refused:
        """Take its greeting, and have it load an app."""
        hello, _ = self.receive()
        assert isinstance(hello, Hello)
        self.send(Load(root=str(root), **options))
        answer, _ = self.receive()
        assert isinstance(answer, Loaded | Refused)
        return answer

    def call(self, function: str, body: bytes = b"", **given: Any) -> tuple[Result | Failed, bytes]:
        """Call a function and wait for its answer."""
        number = next(self._numbers)
        self.send(Call(id=number, function=function, invocation=f"call-{number}", **given), body)
        answer, attachment = self.receive()
        assert isinstance(answer, Result | Failed)
        assert answer.id == number
        return answer, attachment

    def activity(self, function: str, trigger: str, text: str | None) -> Result | Failed:
        """Call an activity with the text of its input."""
        datum = None if text is None else Datum(string=text)
        return self.call(function, inputs={trigger: datum})[0]

    def turn(self, function: str, key: int, **given: Any) -> Turned | Failed | Lost:
        """Run a turn and wait for its answer; events are given as objects."""
        number = next(self._numbers)
        events = [raw(one) for one in given.pop("events")]
        history = given.pop("history", None)
        if history is not None:
            given["history"] = [raw(one) for one in history]
        if "start" in given:
            given["start"] = raw(given["start"])
        self.send(
            Turn(id=number, function=function, invocation="turn", key=key, events=events, **given)
        )
        answer, _ = self.receive()
        assert isinstance(answer, Turned | Failed | Lost)
        assert answer.id == number
        return answer

    def forget(self, key: int) -> None:
        self.send(Forget(key=key))

    def stop(self) -> tuple[int, str, str]:
        """Ask it to end; exit code and what it has printed."""
        self.send(Stop())
        return self.end()

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; exit code and what it has printed."""
        out, err = self.process.communicate(timeout=LONGEST_SECONDS)
        self._socket.close()
        return self.process.returncode, out.decode(), err.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self.process.kill()  # one that has ended already has its pipes to be closed all the same
        self.process.communicate()


def raw(value: object) -> msgspec.Raw:
    """A value as the JSON that goes over the pipe."""
    return msgspec.Raw(json.dumps(value).encode())
