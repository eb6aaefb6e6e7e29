"""The small process behind ``tenuto serve-on-demand``: holds the socket, and has the app run.

Waits for a caller without accepting it: who calls stays with the system until the app's process,
which is given the socket itself, takes the call. So nothing is forwarded, and that process sees
the caller's own address. What has come through the store shows in the times of its files.

Must import nothing but the standard library, open no store, and say nothing of the app to callers.
Its words to the app's process go over a socket that these two alone have, one JSON text per line.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

WOKEN: Final = "_TENUTO_WOKEN"
"""The variable that tells the app's process what it is given."""

SERVING: Final = "serving"
SLEEPS: Final = "sleeps"

_FILES_SECONDS: Final = 1.0
"""So often the store's files are looked at."""
_CLOCK_SECONDS: Final = 30.0
"""So often the wall clock is looked at, which may be set."""
_LONG_SECONDS: Final = 10.0
"""What has served for so long has not failed at its start."""
_LONGEST_PAUSE_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 20.0
"""Beside ``drain_seconds``, before a process that does not end is killed."""
_REQUEST_SECONDS: Final = 0.2
_REQUEST_BYTES: Final = 65_536
_MICROSECONDS: Final = 1_000_000
_CODE: Final = (".py", ".js", ".mjs", ".cjs", "host.json", "settings.json", "tenuto.toml")
"""How names end of files that may be why an app does not start."""


def signature(path: str) -> list[int]:
    """What changes when somebody writes to a store: of its file, and of its log with something in.

    Args:
        path: Of the file.
    """
    found: list[int] = []
    for name in (path, f"{path}-wal"):
        try:
            status = os.stat(name)  # noqa: PTH116 - pathlib would cost memory
        except OSError:
            found += [0, 0, 0]
            continue
        is_log = name != path
        if is_log and not status.st_size:
            found += [0, 0, 0]  # whoever reads makes one
        else:
            found += [status.st_ino, status.st_size, status.st_mtime_ns]
    return found


def code_signature(folder: str) -> list[int]:
    """What changes when somebody mends the app in a folder: how many files, and the last change.

    Args:
        folder: Where the app is; folders below it are not looked at.
    """
    found = [0, 0]
    with suppress(OSError), os.scandir(folder) as entries:
        for one in entries:
            if one.name.endswith(_CODE):
                found[0] += 1
                found[1] = max(found[1], one.stat().st_mtime_ns)
    return found


class Plan:
    """When the app's process is to run again.

    Args:
        told: What that process has said.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.wake_at: int | None = told["wake_at"]
        self.why: str = told["why"]
        self.path: str | None = told["path"]
        self.signature: list[int] = told["signature"]
        self.look_seconds: float | None = told["look_seconds"]


class Sleeper:
    """Has the app's process run while there is something to do.

    Args:
        listening: The socket, which listens.
        facts: ``command``: of the app's process; ``folder``: where the app is; ``url``: what it
            serves; ``log``: ``text`` or
            ``json``; ``drain_seconds``: how long it may take to end; ``is_handed_in``: whether
            systemd has made the socket.
    """

    def __init__(self, listening: socket.socket, facts: dict[str, Any]) -> None:
        self._listening = listening
        self._command: list[str] = facts["command"]
        self._folder: str = facts["folder"]
        self._url: str = facts["url"]
        self._log: str = facts["log"]
        self._is_handed_in: bool = facts["is_handed_in"]
        self._patience = facts["drain_seconds"] + _PATIENCE_SECONDS
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._failures = 0
        self._lead = 0.0  # how long the app's process took to begin
        self._rung, self._ringing = os.pipe()
        for end in (self._rung, self._ringing):
            os.set_blocking(end, False)

    def run(self) -> int:
        """Sleep and wake until a signal says stop; the exit code."""
        signal.set_wakeup_fd(self._ringing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._stop)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._stop)
        reason, has_served = "", False
        while True:
            began = time.monotonic()
            is_serving, plan, code = self._serve(reason, is_first=not has_served)
            has_served = has_served or is_serving
            if self._stopping.is_set():
                return 0
            if not has_served:
                return code or 1
            if plan is not None:
                self._failures = 0
                reason = self._sleep(plan)
            else:
                if is_serving and time.monotonic() - began >= _LONG_SECONDS:
                    self._failures = 0
                reason = self._pause(code, is_serving=is_serving)
            if self._stopping.is_set():
                return 0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()  # again: at once

    # --- awake -----------------------------------------------------------------------------------

    def _serve(self, reason: str, *, is_first: bool) -> tuple[bool, Plan | None, int]:
        """Have the app's process run to its end: whether it served, what it plans, its code."""
        began = time.monotonic()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                facts = {
                    "listening": self._listening.fileno(),
                    "channel": theirs.fileno(),
                    "is_first": is_first,
                    "is_called": is_first or reason == _REQUEST,
                    "is_handed_in": self._is_handed_in,
                }
                self._process = subprocess.Popen(  # noqa: S603 - the command of this very program
                    self._command,
                    env={**os.environ, WOKEN: json.dumps(facts)},
                    pass_fds=(self._listening.fileno(), theirs.fileno()),
                    start_new_session=True,
                )
            if self._stopping.is_set():  # the signal came before there was a process
                self._process.terminate()
            is_serving, plan = False, None
            for word in self._words(ours, self._process):
                if word["kind"] == SERVING:
                    is_serving = True
                    self._lead = time.monotonic() - began
                    if not is_first:
                        self._say(
                            f"awake after {self._lead * 1000:.0f} ms: {reason}",
                            {"reason": reason, "milliseconds": round(self._lead * 1000)},
                        )
                elif word["kind"] == SLEEPS:
                    plan = Plan(word)
            code = self._process.wait()
            self._process = None
        return is_serving, plan if code == 0 else None, code

    def _words(
        self, ours: socket.socket, process: "subprocess.Popen[bytes]"
    ) -> Iterator[dict[str, Any]]:
        """What the process says, until it has ended; it is killed when it does not come to that."""
        ours.setblocking(False)
        text, is_open = b"", True
        killed_at: float | None = None
        with selectors.DefaultSelector() as selector:
            selector.register(self._rung, selectors.EVENT_READ)
            selector.register(ours, selectors.EVENT_READ)
            while True:
                has_ended = process.poll() is not None
                with suppress(BlockingIOError, ConnectionError):
                    while is_open and (data := ours.recv(_REQUEST_BYTES)):
                        text += data
                    if is_open:
                        is_open = False
                        selector.unregister(ours)
                while b"\n" in text:
                    line, text = text.split(b"\n", 1)
                    yield json.loads(line)
                if has_ended:
                    return
                if self._stopping.is_set() and killed_at is None:
                    killed_at = time.monotonic() + self._patience
                if killed_at is not None and time.monotonic() >= killed_at:
                    process.kill()
                self._wait(selector, None if killed_at is None else _FILES_SECONDS)

    # --- asleep ----------------------------------------------------------------------------------

    def _sleep(self, plan: Plan) -> str:
        """Wait for something to do; what that is."""
        self._say(
            f"asleep; wakes for requests on {self._url}{_also(plan)}",
            {"url": self._url, "wakeAt": plan.wake_at, "for": plan.why},
        )
        began = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._rung, selectors.EVENT_READ)
            selector.register(self._listening, selectors.EVENT_READ)
            while not self._stopping.is_set():
                # Before it is waited: what came while the process ended must not be missed.
                now, seconds = time.time(), _CLOCK_SECONDS
                if plan.wake_at is not None:
                    left = plan.wake_at / _MICROSECONDS - self._lead - now
                    if left <= 0:
                        return plan.why
                    seconds = min(seconds, left)
                if plan.look_seconds is not None:
                    left = began + plan.look_seconds - time.monotonic()
                    if left <= 0:
                        return "to see what others have written to the store"
                    seconds = min(seconds, left)
                if plan.path is not None:
                    if signature(plan.path) != plan.signature:
                        return "the store was written to"
                    seconds = min(seconds, _FILES_SECONDS)
                if self._listening in self._wait(selector, seconds):
                    return _REQUEST
        return ""

    def _wait(
        self, selector: selectors.BaseSelector, seconds: float | None
    ) -> list[socket.socket | int]:
        """What can be read within this time; a signal ends the wait."""
        found = [key.fileobj for key, _ in selector.select(seconds)]
        with suppress(BlockingIOError):
            while os.read(self._rung, _REQUEST_BYTES):
                pass
        return found  # type: ignore[return-value]  # what was registered

    # --- failures --------------------------------------------------------------------------------

    def _pause(self, code: int, *, is_serving: bool) -> str:
        """Wait a while before the app's process is started again; why it is."""
        seconds = min(float(2**self._failures), _LONGEST_PAUSE_SECONDS)
        self._failures += 1
        if is_serving:
            text = f"the app's process has ended ({code}); it is started again in {seconds:g} s"
        else:
            text = (
                f"the app's process did not come to serve ({code}); callers get 503, and it is "
                f"tried again in {seconds:g} s"
            )
        self._say(text, {"code": code, "seconds": seconds}, level="WARNING")
        end, code_before = time.monotonic() + seconds, code_signature(self._folder)
        with selectors.DefaultSelector() as selector:
            selector.register(self._rung, selectors.EVENT_READ)
            if not is_serving:  # else callers wait: it served a moment ago
                selector.register(self._listening, selectors.EVENT_READ)
            while not self._stopping.is_set() and (left := end - time.monotonic()) > 0:
                if self._listening in self._wait(selector, min(left, _FILES_SECONDS)):
                    _refuse_one(self._listening, int(left) + 1)
                if not is_serving and code_signature(self._folder) != code_before:
                    return "the app's files have changed"
        return "its process had ended"

    # --- words -----------------------------------------------------------------------------------

    def _say(self, text: str, extra: dict[str, object], *, level: str = "INFO") -> None:
        """One line, in the form of the app's process."""
        now = datetime.now(UTC)
        if self._log == "json":
            line = json.dumps(
                {
                    "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "level": level.lower(),
                    "logger": "tenuto.on_demand",
                    "message": text,
                    "extra": extra,
                }
            )
        else:
            moment = f"{now.astimezone():%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d}"
            line = f"{moment} {level:<7} tenuto.on_demand: {text}"
        with suppress(OSError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


_REQUEST: Final = "a request"


def _also(plan: Plan) -> str:
    """What else wakes it, in words."""
    words = []
    if plan.wake_at is not None:
        moment = datetime.fromtimestamp(plan.wake_at / _MICROSECONDS, UTC)
        words.append(f"at {moment:%Y-%m-%d %H:%M:%SZ} for {plan.why}")
    if plan.look_seconds is not None:
        words.append(f"every {plan.look_seconds:g} s to see what others have written")
    return "".join(f", {one}" for one in words)


def _refuse_one(listening: socket.socket, seconds: int) -> None:
    """Tell a caller that there is nobody to answer; not why, which is for the log alone."""
    body = b"The app does not start; its log says why. Try again later.\n"
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {seconds}\r\nConnection: close\r\n\r\n"
    )
    with suppress(OSError):
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(_REQUEST_SECONDS)
            # Unread, its request would have the system throw the answer away.
            with suppress(TimeoutError):
                connection.recv(_REQUEST_BYTES)
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)


def main() -> None:
    """Run with what the command has left in the arguments."""
    facts = json.loads(sys.argv[1])
    listening = socket.socket(fileno=facts["listening"])
    listening.setblocking(False)
    raise SystemExit(Sleeper(listening, facts).run())


if __name__ == "__main__":
    main()
