"""Calling a client from programs without an event loop: what ``SyncClient`` stands on.

Owns one thread with one event loop for each synchronous client, unless the client that it is
given has a loop of its own. Must never block a thread that runs an event loop: such calls are
refused.
"""

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError
from datetime import timedelta
from typing import Any, Final, Self, TypeVar

from tenuto.client.client import Client
from tenuto.client.connection import ConnectionOptions
from tenuto.engine.giving_way import waiting_for_others
from tenuto.engine.program import OrchestratorDirectory
from tenuto.model.errors import BlockingCallError, GuardError, InputError, TenutoError
from tenuto.model.limits import Limits
from tenuto.orchestration.references import is_inside_orchestrator
from tenuto.storage import path_of

T = TypeVar("T")

_STORES: Final = ("sqlite:", "postgresql:", "postgres:")


class Bridge:
    """Runs coroutines on the loop of another thread, while the calling thread waits.

    Args:
        loop: Whose loop; None for a thread and loop of its own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._process = os.getpid()
        self._thread: threading.Thread | None = None
        if loop is None:
            loop = asyncio.new_event_loop()
            # Daemon: a forgotten close() must not keep the process alive.
            self._thread = threading.Thread(
                target=_serve, args=(loop,), name="tenuto-sync-client", daemon=True
            )
            self._thread.start()
            self._stop = weakref.finalize(self, _tell_to_stop, loop)
        self._loop = loop
        self._is_closed = False

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: timedelta | None = None) -> T:
        """The coroutine's result.

        Raises:
            BlockingCallError: this thread runs an event loop, or the client is closed, or was
                made before a fork.
            TimeoutError: there was none in time.
        """
        try:
            seconds = _seconds(timeout)
            self._check()
        except TenutoError:
            coroutine.close()
            raise
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the loop was closed a moment ago
            coroutine.close()
            raise self._gone() from None
        try:
            with waiting_for_others():
                return future.result(seconds)
        except CancelledError:
            raise self._gone() from None
        except TimeoutError:
            if future.done():  # the coroutine's own
                raise
            future.cancel()
            raise TimeoutError(f"no answer within {timeout}") from None
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items, each asked for when it is wanted."""
        try:
            while (item := self.run(_next(items))) is not None:
                yield item[0]
        finally:
            ending = getattr(items, "aclose", None)
            if ending is not None:
                with contextlib.suppress(BlockingCallError, GuardError):
                    self.run(ending())

    def close(self) -> None:
        """Stop the thread; calls of other threads end with an error."""
        is_first, self._is_closed = not self._is_closed, True
        if is_first and self._thread is not None and os.getpid() == self._process:
            self._stop()
            self._thread.join()

    def _check(self) -> None:
        if os.getpid() != self._process:
            raise BlockingCallError(
                f"this client was made in process {self._process}, from which this process "
                f"({os.getpid()}) was forked; make a client in each process"
            )
        if self._is_closed or self._loop.is_closed():
            raise self._gone()
        if is_inside_orchestrator():
            raise GuardError(
                "a client was called inside an orchestrator, where the call would be made again at "
                "every replay; use the context, or call the client in an activity"
            )
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise BlockingCallError(
            "this thread runs an event loop, which a synchronous client would block; use Client "
            "and await its calls, or make the call in `await asyncio.to_thread(...)`"
        )

    def _gone(self) -> BlockingCallError:
        return BlockingCallError("this client is closed, or its event loop is; make a new one")


class BlockingClient:
    """Opens, holds and closes the client behind a synchronous one."""

    def __init__(
        self,
        client: str | Client,
        directory: OrchestratorDirectory | None = None,
        limits: Limits | None = None,
        *,
        key: str | None = None,
        connection: ConnectionOptions | None = None,
    ) -> None:
        self._owns_client = isinstance(client, str)
        if isinstance(client, Client):
            if any(one is not None for one in (directory, limits, key, connection)):
                raise InputError("a client that is given has these things: give nothing else")
            self._client = client
            self._bridge = Bridge(client.loop)
        elif client.startswith(_STORES):
            if key is not None or connection is not None:
                raise InputError("key and connection are for the URL of a server")
            self._bridge = Bridge()
            try:
                self._client = self._bridge.run(_opened(client, directory, limits))
            except BaseException:
                self._bridge.close()
                raise
        else:
            self._client = Client(client, directory, limits, key=key, connection=connection)
            self._bridge = Bridge()

    @classmethod
    def open(
        cls,
        storage: str,
        directory: OrchestratorDirectory | None = None,
        limits: Limits | None = None,
    ) -> Self:
        """The same as ``SyncClient(storage, directory, limits)``, as one writes ``Client.open``.

        Args:
            storage: Storage URL of a store that exists.
            directory: As for ``Client``.
            limits: As for ``Client``.

        Raises:
            SettingsError: it is the URL of no store, or there is no such store.
            StorageError: the store cannot be used.
        """
        if not storage.startswith(_STORES):
            path_of(storage)  # says what a store's URL looks like
        return cls(storage, directory, limits)

    def close(self) -> None:
        """Close connections and stop the thread; a client that was given stays open."""
        if self._owns_client:
            with contextlib.suppress(BlockingCallError):  # closed already, or in another process
                self._bridge.run(self._client.close())
        self._bridge.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


async def _opened(
    url: str, directory: OrchestratorDirectory | None, limits: Limits | None
) -> Client:
    return await Client.open(url, directory, limits)


async def _next(items: AsyncIterator[T]) -> tuple[T] | None:
    async for item in items:
        return (item,)
    return None


def _seconds(timeout: object) -> float | None:
    if timeout is None:
        return None
    if not isinstance(timeout, timedelta) or timeout < timedelta(0):
        raise InputError(f"timeout must be a timedelta from 0 or None, got {timeout!r}")
    return timeout.total_seconds()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """The thread: run the loop until it is stopped, then end what still runs on it."""
    try:
        loop.run_forever()
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(_ended(pending))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _tell_to_stop(loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(loop.stop)
