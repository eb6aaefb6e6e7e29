"""Tells when it is worth looking again: a store that was written to, a host that says so.

A host is heard by server-sent events; a stream that breaks is taken up again where it broke off.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

import msgspec

from tenuto.cli.connection import Connection
from tenuto.engine.ports import Storage
from tenuto.model.errors import (
    ForbiddenError,
    InstanceNotFoundError,
    TenutoError,
    UnauthorizedError,
    UnexpectedAnswerError,
)

if TYPE_CHECKING:
    import httpx2

_PAUSE_SECONDS: Final = 0.5
"""The least time between two looks at a store."""
_LONGEST_SECONDS: Final = 5.0
"""A look is due after so long, whether anything was written or not."""
_SHORTEST_SECONDS: Final = 0.1
"""What a host tells in such a time is looked at together."""
_NESTED_SECONDS: Final = 1.0
"""How often is looked at what nothing is told of: instances below, a host that has gone away."""
_SILENCE_SECONDS: Final = 60.0
"""A host sends a sign of life far more often."""
_RETRY_SECONDS: Final = 0.5
_LONGEST_RETRY_SECONDS: Final = 10.0
BREAK: Final = "break"
_OK: Final = 200
_NOTHING_MORE: Final = 204
_LATER: Final = frozenset({502, 503, 504})
"""No room for another watcher, or a proxy before a host that is away."""


class Changes(Protocol):
    """Says when something may have changed."""

    async def next(self, *, nested: bool) -> None:
        """Wait until it is time to look again.

        Args:
            nested: Whether instances below are looked at too, of which a host does not tell here.

        Raises:
            TenutoError: nothing will be heard any more, and why.
        """


def changes_of(connection: Connection, instance_id: str) -> AbstractAsyncContextManager[Changes]:
    """The changes of one instance."""
    if connection.storage is not None:
        return _store_changes(connection.storage)
    return _host_changes(EventStream(connection, instance_id))


@asynccontextmanager
async def _store_changes(storage: Storage) -> AsyncIterator[Changes]:
    yield StoreChanges(storage)


@asynccontextmanager
async def _host_changes(stream: "EventStream") -> AsyncIterator[Changes]:
    changes = HostChanges(stream)
    try:
        yield changes
    finally:
        await changes.close()


class StoreChanges:
    """The writes of other processes to a store, at most two a second."""

    def __init__(self, storage: Storage) -> None:
        self._written = asyncio.Event()
        storage.on_change(self._written.set)

    async def next(self, *, nested: bool) -> None:  # noqa: ARG002 - every write is seen
        """See ``Changes``."""
        await asyncio.sleep(_PAUSE_SECONDS)
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                await self._written.wait()
        except TimeoutError:
            pass
        self._written.clear()


class HostChanges:
    """What a host tells of an instance. Its children are looked at now and then."""

    def __init__(self, stream: "EventStream") -> None:
        self._stream = stream
        self._told = asyncio.Event()
        self._task = asyncio.ensure_future(self._listen(stream))

    async def next(self, *, nested: bool) -> None:
        """See ``Changes``."""
        waiting = asyncio.ensure_future(self._told.wait())
        # A host that stops answers questions still when it has ended its streams: a look right
        # after the break may find nothing wrong, and nothing is told any more.
        is_soon = nested or self._stream.is_broken
        try:
            await asyncio.wait(
                [waiting, self._task],
                timeout=_NESTED_SECONDS if is_soon else _SILENCE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()  # or its error
        await asyncio.sleep(_SHORTEST_SECONDS)
        self._told.clear()

    async def _listen(self, stream: "EventStream") -> None:
        async for _event in stream:
            self._told.set()

    async def close(self) -> None:
        """Hang up."""
        self._task.cancel()
        await asyncio.wait([self._task])


class ServerEvent(msgspec.Struct, frozen=True):
    """One event of a stream: its kind and its data, decoded."""

    kind: str
    data: dict[str, Any]


class EventStream:
    """The server-sent events of a host that has answered before, across breaks of the connection.

    Args:
        connection: An open host.
        instance_id: The instance; None for all.

    Attributes:
        is_broken: Whether the host has gone away and has not come back yet.
    """

    def __init__(self, connection: Connection, instance_id: str | None = None) -> None:
        path = (
            "events" if instance_id is None else f"instances/{quote(instance_id, safe='')}/events"
        )
        self._connection = connection
        self._url = f"{connection.where.rstrip('/')}/admin/{path}"
        self._host = connection.where
        self._instance_id = instance_id
        self._last_id: str | None = None
        self.is_broken: bool = False

    async def __aiter__(self) -> AsyncIterator[ServerEvent]:
        """Each event, and one of the kind ``break`` when the host has gone away.

        Ends when the host says that nothing more will come.

        Raises:
            UnexpectedAnswerError: another program answers.
            UnauthorizedError, ForbiddenError: the key does not open it.
            InstanceNotFoundError: there is no such instance.
        """
        import httpx2

        client = self._connection.http_client(reading=timedelta(seconds=_SILENCE_SECONDS))
        pause = _RETRY_SECONDS
        async with client:
            while True:
                try:
                    async with client.stream("GET", self._url, headers=self._headers()) as answer:
                        if answer.status_code == _NOTHING_MORE:
                            return
                        if self._is_stream(answer):
                            pause = _RETRY_SECONDS
                            self.is_broken = False
                            async for event in self._events(answer):
                                yield event
                                if self._instance_id is not None and _is_last(event):
                                    return
                except httpx2.TransportError:
                    pass  # it is away; who asks for a stream has had an answer from it before
                if not self.is_broken:
                    self.is_broken = True
                    yield ServerEvent(BREAK, {})
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_RETRY_SECONDS)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        return headers

    def _is_stream(self, answer: "httpx2.Response") -> bool:
        """False when there may be one later; an error when there never will."""
        kind = answer.headers.get("content-type", "")
        if answer.status_code == _OK and kind.startswith("text/event-stream"):
            return True
        if answer.status_code in _LATER:
            return False
        is_ours = kind.startswith("application/json")
        refusal = self._refusal(answer.status_code) if is_ours else None
        raise refusal or UnexpectedAnswerError(
            f"{self._url} answers {answer.status_code} ({kind or 'no content type'}), which is no "
            "stream of a Tenuto host; is another program listening there?"
        )

    def _refusal(self, status: int) -> TenutoError | None:
        """What a host means by a status that it may answer with."""
        refusals: dict[int, TenutoError] = {
            401: UnauthorizedError(f"{self._host} needs a key that it knows"),
            403: ForbiddenError(f"the key does not allow to watch {self._host}"),
        }
        if self._instance_id is not None:
            refusals[404] = InstanceNotFoundError(
                self._instance_id, f"does not exist on {self._host}"
            )
        return refusals.get(status)

    async def _events(self, answer: "httpx2.Response") -> AsyncIterator[ServerEvent]:
        kind, data = "message", ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    yield ServerEvent(kind, msgspec.json.decode(data))
                kind, data = "message", ""
            elif name == "id":
                self._last_id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data += value


def _is_last(event: ServerEvent) -> bool:
    return bool(event.data.get("ended") or event.data.get("purged"))
