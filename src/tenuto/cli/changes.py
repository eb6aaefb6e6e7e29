"""Tells when it is worth looking again: a store that was written to, a host that says so.

A host is heard by server-sent events; a stream that breaks is taken up again where it broke off.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

import msgspec

from tenuto.cli.connection import Connection
from tenuto.client.connection import is_loopback
from tenuto.engine.ports import Storage
from tenuto.model.errors import (
    ConnectionFailedError,
    ForbiddenError,
    InstanceNotFoundError,
    TenutoError,
    TooManyWatchersError,
    UnauthorizedError,
    UnexpectedAnswerError,
)

if TYPE_CHECKING:
    import httpx2

_PAUSE_SECONDS: Final = 0.5
"""The least time between two looks."""
_LONGEST_SECONDS: Final = 5.0
"""A look is due after so long, heard or not: a change may have been missed."""
_SILENCE_SECONDS: Final = 60.0
"""A host sends a sign of life far more often."""
_RETRY_SECONDS: Final = 0.5
_LONGEST_RETRY_SECONDS: Final = 10.0
_OK: Final = 200
_NOTHING_MORE: Final = 204


class Changes(Protocol):
    """Says when something may have changed."""

    async def next(self) -> None:
        """Wait until it is time to look again.

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

    async def next(self) -> None:
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
        self._told = asyncio.Event()
        self._task = asyncio.ensure_future(self._listen(stream))

    async def next(self) -> None:
        """See ``Changes``."""
        waiting = asyncio.ensure_future(self._told.wait())
        try:
            await asyncio.wait(
                [waiting, self._task],
                timeout=_PAUSE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()  # or its error
            await asyncio.sleep(_PAUSE_SECONDS)
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
    """A host's server-sent events, across breaks of the connection.

    Args:
        connection: An open host.
        instance_id: The instance; None for all.
    """

    def __init__(self, connection: Connection, instance_id: str | None = None) -> None:
        path = (
            "events" if instance_id is None else f"instances/{quote(instance_id, safe='')}/events"
        )
        self._url = f"{connection.where.rstrip('/')}/admin/{path}"
        self._host = connection.where
        self._key = connection.key
        self._instance_id = instance_id
        self._last_id: str | None = None

    async def __aiter__(self) -> AsyncIterator[ServerEvent]:
        """Each event; ends when the host says that nothing more will come.

        Raises:
            ConnectionFailedError: the host was not there to begin with.
            UnauthorizedError, ForbiddenError: the key does not open it.
            InstanceNotFoundError: there is no such instance.
        """
        import httpx2

        pause = 0.0
        client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(10.0, read=_SILENCE_SECONDS),
            # Reading the system's certificates takes long, and http has no use for them.
            verify=self._url.lower().startswith("https:"),
            trust_env=not is_loopback(self._url),
        )
        async with client:
            while True:
                try:
                    async with client.stream("GET", self._url, headers=self._headers()) as answer:
                        if answer.status_code == _NOTHING_MORE:
                            return
                        self._check(answer)
                        async for event in self._events(answer):
                            pause = _RETRY_SECONDS
                            yield event
                            if self._instance_id is not None and _is_last(event):
                                return
                    pause = pause or _RETRY_SECONDS
                except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                    if not pause:  # it has never been there
                        raise ConnectionFailedError(
                            f"no host answers at {self._host}: {error}; is it running there?"
                        ) from error
                except TooManyWatchersError:
                    pause = pause or _RETRY_SECONDS
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_RETRY_SECONDS)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream"}
        if self._key is not None:
            headers["x-functions-key"] = self._key
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        return headers

    def _check(self, answer: "httpx2.Response") -> None:
        kind = answer.headers.get("content-type", "")
        if answer.status_code == _OK and kind.startswith("text/event-stream"):
            return
        refusal = self._refusal(answer.status_code, is_ours=kind.startswith("application/json"))
        if refusal is not None:
            raise refusal
        raise UnexpectedAnswerError(
            f"{self._url} answers {answer.status_code} ({kind or 'no content type'}), which is no "
            "stream of a Tenuto host; is another program listening there?"
        )

    def _refusal(self, status: int, *, is_ours: bool) -> TenutoError | None:
        """What a host means by a status that it may answer with."""
        if not is_ours:
            return None
        refusals: dict[int, TenutoError] = {
            401: UnauthorizedError(f"{self._host} needs a key that it knows; give --key"),
            403: ForbiddenError(f"the key does not allow to watch {self._host}"),
            503: TooManyWatchersError(f"{self._host} has no room for another watcher now"),
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
