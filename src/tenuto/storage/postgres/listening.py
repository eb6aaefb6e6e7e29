"""Telling other processes that something has come, and hearing it.

A notification after the commit, never inside it: PostgreSQL serialises commits that notify. On one
connection of its own, one channel for each hub, many events as one. It may be lost; whoever listens
looks again every few seconds by itself.
"""

import asyncio
import hashlib
import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import asyncpg

from tenuto.model.errors import StorageError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.connection import CONNECT_SECONDS
from tenuto.storage.postgres.errors import ERRORS

_LOOK_SECONDS: Final = 5.0
_LOOK_ALONE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 1.0
_CHANNEL_DIGITS: Final = 24


class Listening:
    """Hears what other processes tell, and tells them.

    Args:
        address: Of the store; a pooler that gives each transaction another connection passes no
            notification on, and then whoever listens looks for itself every second.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._me = uuid.uuid4().hex
        digest = hashlib.sha256(address.schema.encode()).hexdigest()
        self._channel = f"tenuto_{digest[:_CHANNEL_DIGITS]}"
        self._callbacks: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._untold = asyncio.Event()
        self._heard = asyncio.Event()
        self._is_stopping = False
        self.hears = False

    def add(self, callback: Callable[[], None]) -> None:
        """Call back when something has come; once soon, too."""
        self._callbacks.append(callback)
        self._heard.set()
        self._begin()

    def tell(self) -> None:
        """Something has come, for others."""
        self._untold.set()
        self._begin()

    def _begin(self) -> None:
        if self._task is None and not self._is_stopping:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="tenuto-listen")

    async def stop(self) -> None:
        """Tell what was not told, and hear nothing more."""
        self._is_stopping = True
        task, self._task = self._task, None
        if task is not None:
            self._heard.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await task

    async def _run(self) -> None:
        while not self._is_stopping or self._untold.is_set():
            try:
                await self._listen()
            except (StorageError, *ERRORS):
                self.hears = False
                if self._is_stopping:
                    return
                self._call_back()
                await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        wire = await asyncpg.connect(
            self._address.dsn,
            timeout=CONNECT_SECONDS,
            server_settings={
                "application_name": "tenuto notifications",
                "synchronous_commit": "off",
            },
        )
        try:
            wire.add_termination_listener(lambda _: self._heard.set())
            while not wire.is_closed():
                await self._once(wire)
                if self._is_stopping and not self._untold.is_set():
                    return
        finally:
            self.hears = False
            with suppress(*ERRORS):
                await wire.close(timeout=1)

    async def _once(self, wire: Any) -> None:  # noqa: ANN401 - the driver's connection
        """Tell, hear, or find that it is time to look."""
        if self._callbacks and not self.hears:
            await wire.add_listener(self._channel, self._on_told)
            self.hears = True
        if self._untold.is_set():
            self._untold.clear()
            await wire.execute("SELECT pg_notify($1, $2)", self._channel, self._me)
        if self._heard.is_set():
            self._heard.clear()
            self._call_back()
        if self._is_stopping:
            return  # that was what `stop` has said, and it says it once
        waits = [
            asyncio.ensure_future(self._untold.wait()),
            asyncio.ensure_future(self._heard.wait()),
        ]
        pause = (_LOOK_SECONDS if self.hears else _LOOK_ALONE_SECONDS) * random.uniform(0.8, 1.2)  # noqa: S311
        try:
            done, _ = await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        if not done:
            self._call_back()

    def _on_told(self, *told: Any) -> None:
        if told[-1] != self._me:
            self._heard.set()

    def _call_back(self) -> None:
        for callback in self._callbacks:
            callback()
