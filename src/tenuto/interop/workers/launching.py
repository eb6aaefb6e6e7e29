"""Starting a worker process: spawned, greeted, and told to load its app.

Done step by step on the thread that asks (a command before its loop runs, a thread of the host
later): an app that cannot be run is refused here, with what its worker says. What the app prints is
logged line by line from then on, by two threads that end with it.
"""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from errno import ENOENT
from functools import partial
from typing import IO, Any, Final

import msgspec
from msgspec import Struct

from tenuto.interop.workers.frames import FrameReader, frame
from tenuto.interop.workers.line_budget import A_SECOND, AT_ONCE, LineBudget
from tenuto.interop.workers.masking import masked
from tenuto.interop.workers.nesting import TOO_DEEP, id_of
from tenuto.interop.workers.protocol import (
    VERSION,
    Failed,
    Hello,
    Load,
    Loaded,
    Log,
    Refused,
    ToHost,
    decode_to_host,
    encode_to_worker,
)
from tenuto.model.errors import AppLoadError, WorkerProtocolError

_LOGGER: Final = logging.getLogger("tenuto.worker")
_OUTPUT: Final = logging.getLogger("tenuto.app")
_SLICE_SECONDS: Final = 0.25
_MOMENT_SECONDS: Final = 2.0
_GLANCE_SECONDS: Final = 0.01
_PIECE: Final = 1 << 18
_LONGEST_LINE: Final = 8_192
_LEVELS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_WITH_LOW_PIPE: Final = """
import os, sys
*command, descriptor = sys.argv[1:]
if descriptor != "3":
    os.dup2(int(descriptor), 3)
    os.close(int(descriptor))
os.execvp(command[0], [*command, "3"])
"""


class Launch(Struct, frozen=True, kw_only=True):
    """How a worker is started.

    Attributes:
        what: The worker in words, such as ``Node worker``.
        command: The program; the number of the pipe's descriptor is added.
        environment: All of it.
        root: The app's folder.
        options: For this kind of worker alone.
        threads: How many sync functions may run at once in one process.
        load_seconds: How long loading the app may take.
        secrets: What a refusal of the app must not show, by the words that take its place.
    """

    what: str
    command: Sequence[str]
    environment: Mapping[str, str]
    root: str
    options: Mapping[str, Any] = {}
    threads: int = 1
    load_seconds: float = 60.0
    secrets: Mapping[str, str] = {}


class StartedWorker:
    """A worker process that has loaded its app.

    Args:
        launch: How it is started.
        is_wanted: Asked while it loads: whether anybody waits for it still.

    Attributes:
        socket: This end of its pipe; blocking.
        hello: Its greeting.
        loaded: What its app has.
        rest: What came after that, to be read first.

    Raises:
        AppLoadError: the program cannot be started, or the app cannot be run.
        WorkerProtocolError: it speaks another protocol.
    """

    def __init__(self, launch: Launch, is_wanted: Callable[[], bool] = lambda: True) -> None:
        self._launch = launch
        self._is_wanted = is_wanted
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self.process: subprocess.Popen[bytes] = _spawn(launch, theirs)
            except OSError as error:
                ours.close()
                raise AppLoadError(
                    f"the {launch.what} cannot be started: {error.strerror}: {launch.command[0]}"
                ) from error
        self.socket: socket.socket = ours
        self.rest: list[tuple[ToHost, bytes]] = []
        self.frames: FrameReader = FrameReader()
        self._output: list[threading.Thread] = []
        try:
            for stream in (self.process.stdout, self.process.stderr):
                self._output.append(_follow(stream, logging.INFO, str(self.pid)))
            self.hello, self.loaded = self._greet()
        except BaseException:
            self.kill()
            raise
        ours.setblocking(False)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    def _greet(self) -> tuple[Hello, Loaded]:
        launch = self._launch
        until = time.monotonic() + launch.load_seconds
        hello = self._receive(until)
        if not isinstance(hello, Hello):
            raise WorkerProtocolError(f"the {launch.what} did not say hello")
        if hello.protocol != VERSION:
            raise WorkerProtocolError(
                f"the {launch.what} speaks version {hello.protocol} of the protocol, this host "
                f"speaks {VERSION}"
            )
        load = Load(
            root=launch.root,
            options=launch.options,
            threads=launch.threads,
        )
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # said when it is read
            self.socket.sendall(frame(encode_to_worker(load)))
        while isinstance(answer := self._receive(until), Log):
            log_line(answer)
        if isinstance(answer, Refused):
            raise AppLoadError(_refusal(answer, launch.secrets))
        if not isinstance(answer, Loaded):
            raise WorkerProtocolError(f"the {launch.what} did not say what it has loaded")
        return hello, answer

    def _receive(self, until: float) -> ToHost:
        launch = self._launch
        while not self.rest:
            left = until - time.monotonic()
            if left <= 0:
                raise AppLoadError(
                    f"the app in {launch.root} was not loaded within {launch.load_seconds:g} s: "
                    "look at what it does while its files are read, such as calls that wait for a "
                    "network"
                )
            if not self._is_wanted():
                raise AppLoadError(f"the app in {launch.root} is not loaded: its host ends")
            self.socket.settimeout(min(left, _SLICE_SECONDS))
            try:
                piece = self.socket.recv(_PIECE)
            except TimeoutError:
                continue
            except OSError:
                piece = b""
            if not piece:
                raise AppLoadError(
                    f"the {launch.what} ended while it loaded the app in {launch.root}: "
                    f"{self.exit_words()}; what it has printed stands above"
                )
            self.rest += decoded(self.frames, piece)
        return self.rest.pop(0)[0]

    def exit_words(self) -> str:
        """How it ended, for people; waits a moment for that."""
        until = time.monotonic() + _MOMENT_SECONDS
        while not (has_ended := self._has_ended()) and time.monotonic() < until:
            time.sleep(_GLANCE_SECONDS)
        if not has_ended:
            return "it closed its pipe and goes on"
        self.end_now()
        code = self.process.wait()
        self._join()
        if code >= 0:
            return f"exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = ", as when memory is short" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"

    def kill(self) -> None:
        """End it, whatever it does, and what it has started; waits for that."""
        self.socket.close()
        self.end_now()
        self.process.wait()
        self._join()

    def end_now(self) -> None:
        """The same without waiting. What it has started ends also when it has ended by itself."""
        if self.process.returncode is not None:
            return  # its number may be somebody else's by now
        if sys.platform == "win32":
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def _has_ended(self) -> bool:
        """Whether it has ended; its exit code is left, so that its number stays its own."""
        if sys.platform == "win32" or self.process.returncode is not None:
            return self.process.poll() is not None
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self.process.pid, options) is not None
        except ChildProcessError:  # another thread has just taken its exit code
            return True

    def _join(self) -> None:
        for thread in self._output:
            thread.join(1.0)  # a grandchild may hold the pipe open


def decoded(frames: FrameReader, piece: bytes) -> list[tuple[ToHost, bytes]]:
    """The messages that a piece completes.

    Raises:
        WorkerProtocolError: it is none.
    """
    return [(_message(text), attachment) for text, attachment in frames.feed(piece)]


def _message(text: bytes) -> ToHost:
    """A message; one that is nested too deep is the failure of what it answers."""
    try:
        return decode_to_host(text)
    except msgspec.DecodeError as error:
        raise WorkerProtocolError(f"a worker sent what is no message: {error}") from error
    except RecursionError:
        number = id_of(text)
        if number is None:
            raise WorkerProtocolError("a worker sent a message that is nested too deep") from None
        return Failed(number, "RecursionError", TOO_DEEP)


def log_line(line: Log) -> None:
    """Log what a worker says."""
    logger = _OUTPUT if line.is_user else _LOGGER
    level = _LEVELS.get(line.level, logging.INFO)
    if not line.is_user:  # what packages say of themselves is for those who want to know everything
        level = logging.DEBUG if level == logging.INFO else level
    if line.function:
        logger = logging.getLogger(f"{logger.name}.{line.function}")
    extra = {
        key: value
        for key, value in (("invocation", line.invocation), ("function", line.function))
        if value
    }
    instance_id, of_instance, _ = (line.invocation or "").rpartition("/")
    if of_instance:  # the invocations of turns and activities are named for their instance
        extra["instance_id"] = instance_id
    logger.log(level, "%s", line.text, extra=extra)


def is_serious(line: Log) -> bool:
    """Whether it is a warning, or worse."""
    return _LEVELS.get(line.level, logging.INFO) >= logging.WARNING


def log_left_out(worker: str, count: int) -> None:
    """Say how many lines of a worker were not logged."""
    _OUTPUT.warning(
        "%d lines of the log were left out: worker %s writes more than %d at once and %d a second",
        count,
        worker,
        AT_ONCE,
        A_SECOND,
    )


def piped_command(command: Sequence[str], descriptor: int) -> list[str]:
    """What starts a worker that has its pipe at descriptor 3, and nowhere else.

    Programs that code of users starts must not get the pipe. Node closes it for them only when its
    number is below 16 (``uv_disable_stdio_inheritance`` of libuv); a host has far more open. So a
    small program gives it another number, and becomes the worker.

    Args:
        command: The worker; the number is added as its last argument.
        descriptor: Of the pipe, which is passed on.

    Raises:
        OSError: there is no such program.
    """
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), command[0])
    return [sys.executable, "-I", "-S", "-c", _WITH_LOW_PIPE, *command, str(descriptor)]


def _spawn(launch: Launch, theirs: socket.socket) -> "subprocess.Popen[bytes]":
    """Start it; it gets no signals from the terminal and nothing to read: both are the host's."""
    return subprocess.Popen(  # noqa: S603 - the worker, by an interpreter that the app's owner chose
        piped_command(launch.command, theirs.fileno()),
        env=dict(launch.environment),
        cwd=launch.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )


def _refusal(refused: Refused, secrets: Mapping[str, str]) -> str:
    if refused.stack:
        _LOGGER.debug("%s", masked(secrets, refused.stack))
    message = masked(secrets, refused.message)
    if refused.file is None:
        return message
    line = "" if refused.line is None else f":{refused.line}"
    return f"{refused.file}{line}: {message}"


def _follow(stream: IO[bytes] | None, level: int, worker: str) -> threading.Thread:
    """Log what comes, line by line, until the pipe is closed."""
    assert stream is not None
    lines = LineBudget(partial(log_left_out, worker), _later)

    def follow() -> None:
        with stream:
            # A line without an end must not fill the memory.
            while line := stream.readline(_LONGEST_LINE):
                text = line.decode(errors="replace").rstrip()
                if text and lines.takes(is_serious=False):
                    _OUTPUT.log(level, "%s", text)
            lines.tell_all()

    thread = threading.Thread(target=follow, name="tenuto-worker-output", daemon=True)
    thread.start()
    return thread


def _later(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
