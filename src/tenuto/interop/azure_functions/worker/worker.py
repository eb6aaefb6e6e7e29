"""The life of a worker: it greets, loads the app, runs what the host asks for, and ends."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
import threading
import traceback
from typing import Any

from .app import App, RefusedError
from .calls import Calls
from .invocations import be_of_the_package
from .loading import load, versions
from .logs import log_to_host
from .pipe import Message, Pipe
from .refusals import refusal
from .sizes import Sizes
from .streaming import Streams
from .turns import Turns

PROTOCOL = 1


def run(descriptor: int) -> int:
    """Be a worker until the host has enough; the exit code."""
    # What the app prints is seen when it is printed, whatever it is.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    # Ctrl-C at a terminal reaches us too; the host decides when we end. What the app starts has its
    # own way with it: a handler is not inherited.
    signal.signal(signal.SIGINT, lambda *_: None)
    return asyncio.run(_live(Pipe(descriptor)))


async def _live(pipe: Pipe) -> int:
    return await _Worker(pipe).live()


class _Worker:
    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._load: asyncio.Future[Message | None] = self._loop.create_future()
        self._is_stopping = asyncio.Event()
        self._begins_nothing = False
        self._sizes = Sizes()
        # Set before the host is told that the app is there, so before it calls anything.
        self._calls: Calls
        self._turns: Turns

    async def live(self) -> int:
        self._pipe.send(
            {
                "type": "hello",
                "protocol": PROTOCOL,
                "language": "python",
                "runtime": f"python {platform.python_version()}",
                "pid": os.getpid(),
            }
        )
        # In a thread of its own: a busy loop still says `pong`, and an app that takes its time to
        # load does not outlive the host.
        threading.Thread(target=self._read, name="pipe", daemon=True).start()
        request = await self._load
        if request is None:
            return 0
        log_to_host(self._pipe.send, with_debug=_is_set("PYTHON_ENABLE_DEBUG_LOGGING"))
        try:
            # On the loop, as a module may well ask for the one that its functions will run on.
            app = load(request["root"])
            be_of_the_package()
            extension = app.web_extension
            streams = None if extension is None else Streams(extension)
        except RefusedError as error:
            self._refuse(error)
            return 1
        except Exception as error:  # noqa: BLE001 - the host is told in any case
            self._refuse(refusal(error, request["root"], "the app"))
            return 1
        return await self._serve(app, request, streams)

    async def _serve(self, app: App, request: Message, streams: Streams | None) -> int:
        keeps = request.get("keepsExecutors", True)
        threads = request.get("threads", 1)
        self._calls = Calls(app, self._pipe.send_text, self._loop, threads, streams, self._sizes)
        self._turns = Turns(app, self._pipe.send_text, self._sizes, keeps_executors=keeps)
        self._pipe.send(
            {
                "type": "loaded",
                "functions": [function.facts(app.root) for function in app.functions],
                "packages": versions(),
                "notes": list(app.notes),
                "httpUri": None if streams is None else streams.uri,
            }
        )
        await self._is_stopping.wait()
        await asyncio.to_thread(self._finish)
        await _shut_down(app)
        return 0

    def _refuse(self, error: RefusedError) -> None:
        self._pipe.send(
            {
                "type": "refused",
                "message": error.message,
                "file": error.file,
                "line": error.line,
                "stack": error.stack,
            }
        )

    def _read(self) -> None:
        """Hand out what the host says, until it closes the pipe."""
        try:
            for message, body in self._pipe.messages():
                self._hear(message, body)
        except BaseException:  # noqa: BLE001 - a worker that hears nothing more is of no use
            traceback.print_exc()
        # The host is gone, or has let go of us: nobody is there to hear an answer.
        os._exit(0 if self._begins_nothing else 1)

    def _hear(self, message: Message, body: bytes) -> None:
        kind = message["type"]
        if kind == "ping":
            self._pipe.send({"type": "pong", "id": message["id"]})
        elif kind == "load":
            self._loop.call_soon_threadsafe(self._load.set_result, message)
        elif kind == "stop":
            self._begins_nothing = True
            self._loop.call_soon_threadsafe(self._stop)
        elif kind == "limits":
            self._sizes.hear(message)
        elif kind == "cancel":
            self._calls.cancel(message["id"])
        elif self._begins_nothing:
            return
        elif kind == "call":
            self._calls.begin(message, body)
        else:
            self._turns.take(message)

    def _stop(self) -> None:
        self._is_stopping.set()
        if not self._load.done():
            self._load.set_result(None)

    def _finish(self) -> None:
        self._turns.wait_until_done()
        self._calls.wait_until_done()


async def _shut_down(app: App) -> None:
    """Tell an ASGI app that it ends, on the loop that it began on."""
    register: Any = app.register
    if register is not None and getattr(register, "startup_task_done", False):
        await register.middleware.notify_shutdown()
        register.startup_task_done = False


def _is_set(setting: str) -> bool:
    return os.environ.get(setting, "").lower() in ("1", "true")
