"""Other ASGI apps under a path of this server, with their own start-up and shutdown.

A mounted app answers for itself: keys of this server are not asked for, sessions of its dashboard
are not shown, and errors are the app's own.
"""

import asyncio
import logging
import re
from collections.abc import Iterator, MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.functions.whereabouts import task_place
from tenuto.http.own_paths import RESERVED
from tenuto.http.session_cookie import without_session
from tenuto.model.errors import AppLoadError, InputError

_LOGGER: Final = logging.getLogger("tenuto.http")

_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_SHUTDOWN_SECONDS: Final = 5.0
_SERVED: Final = frozenset({"http", "websocket"})


class Mounts:
    """The apps to be mounted, by path."""

    def __init__(self) -> None:
        self._all: dict[str, ASGIApp] = {}

    def __iter__(self) -> Iterator[tuple[str, ASGIApp]]:
        """Each path with its app, the longest paths first."""
        return iter(sorted(self._all.items(), key=lambda one: -len(one[0])))

    def add(self, path: str, app: ASGIApp) -> None:
        """Mount an app.

        Raises:
            InputError: the path cannot be used, or what is given is no app.
        """
        if not _PATH.fullmatch(path):
            raise InputError(f"a mounted app needs a path such as '/shop', got {path!r}")
        first = path.split("/")[1].lower()
        if first in RESERVED:
            raise InputError(f"nothing can be mounted at {path!r}: /{first} is the server's own")
        if path in self._all:
            raise InputError(f"there is an app mounted at {path!r} already")
        if not callable(app):
            raise InputError(f"only ASGI apps can be mounted, this is {app!r}")
        self._all[path] = app


class MountedApps:
    """Mounted apps at work.

    Args:
        mounts: Which.
        state: What they find in ``request.state``.
    """

    def __init__(self, mounts: Mounts, state: dict[str, Any]) -> None:
        self._state = state
        self._all = [(path, app, Lifespan(app, dict(state))) for path, app in mounts]
        self._started: list[Lifespan] = []

    async def start(self) -> None:
        """Start them, one after the other.

        Raises:
            AppLoadError: one refuses to start; those before it are stopped again.
        """
        for path, _app, lifespan in self._all:
            try:
                await lifespan.start()
            except BaseException as error:
                await self.stop()
                if isinstance(error, AppLoadError):
                    raise AppLoadError(
                        f"the app mounted at {path} does not start: {error}"
                    ) from None
                raise
            self._started.append(lifespan)

    async def stop(self) -> None:
        """Stop them, the last one first."""
        while self._started:
            await self._started.pop().stop()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Have the app answer that is mounted at the request's path; False when there is none."""
        if scope["type"] not in _SERVED:
            return False
        path: str = scope["path"]
        for prefix, app, lifespan in self._all:
            if path == prefix and scope["type"] == "http":
                await _redirect(scope, send)
                return True
            if path.startswith(f"{prefix}/"):
                root = f"{scope.get('root_path', '')}{prefix}"
                seen = {
                    "headers": without_session(scope["headers"]),
                    "root_path": root,
                    "state": lifespan.state.copy(),
                }
                await app({**scope, **seen}, receive, send)
                return True
        return False


class Lifespan:
    """Start-up and shutdown of one ASGI app, by the lifespan protocol.

    Args:
        app: Whose.
        state: What its requests find in their scope; the app may add to it.
    """

    def __init__(self, app: ASGIApp, state: MutableMapping[str, Any]) -> None:
        self.state: dict[str, Any] = dict(state)
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._is_up = False

    async def start(self) -> None:
        """Start the app; one that knows no lifespan needs none.

        Raises:
            AppLoadError: with what the app says.
        """
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        self._task = asyncio.create_task(self._run(scope), name="tenuto-lifespan")
        answer = await self._tell("lifespan.startup")
        if answer is None:
            self._task = None
        elif answer["type"] == "lifespan.startup.failed":
            await self._task
            self._task = None
            reason = answer.get("message", "").strip().rpartition("\n")[2]
            raise AppLoadError(reason or "it gives no reason")
        else:
            self._is_up = True

    async def stop(self) -> None:
        """Shut the app down; one that takes too long is left."""
        if self._task is None:
            return
        ending = asyncio.ensure_future(self._shut_down(self._task))
        _, late = await asyncio.wait([ending], timeout=_SHUTDOWN_SECONDS)
        if late:
            place = task_place(self._task)
            _LOGGER.warning("a mounted app does not shut down in time and is left: %s", place)
            ending.cancel()
            self._task.cancel()

    async def _shut_down(self, task: "asyncio.Task[None]") -> None:
        await self._tell("lifespan.shutdown")
        await asyncio.wait([task])

    async def _run(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._to_app.get, self._from_app.put)
        except BaseException as error:
            # Boundary: an app that does not know the protocol says so by any error; one that fails
            # to start has said so by a message before.
            if self._is_up:
                _LOGGER.warning("a mounted app failed to shut down", exc_info=error)

    async def _tell(self, message: str) -> Message | None:
        assert self._task is not None  # both callers have one
        self._to_app.put_nowait({"type": message})
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait([answer, self._task], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None


async def _redirect(scope: Scope, send: Send) -> None:
    """To the same path with a slash at its end, where the mounted app begins."""
    query = scope.get("query_string", b"")
    target = scope["raw_path"] + b"/" + (b"?" + query if query else b"")
    headers = [(b"location", target), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
