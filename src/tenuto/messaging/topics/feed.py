"""Tells subscriptions that their topic has new events: one question to the store for all of them.

A host may have a thousand subscriptions, and publish a thousand times a second: none but those of
the topics in question are woken.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tenuto.engine.engine import Engine
from tenuto.model.errors import StorageError

_AGAIN_SECONDS: Final = 0.5


class TopicFeed:
    """The news of a store's topics, on one host.

    Args:
        engine: Has the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._cursor: int | None = None
        self._is_fed = False
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    def listen(self, topic: str, tell: Callable[[], None]) -> None:
        """Call back, on the host's loop, when there may be new events of a topic."""
        self._listeners.setdefault(topic, []).append(tell)

    def fed(self) -> None:
        """Something was published, here or by another process."""
        self._is_fed = True
        if self._task is None and not self._is_stopped and self._listeners:
            self._engine.reads += 1
            self._task = self._engine.loop.create_task(self._look(), name="tenuto-topics")

    async def stop(self) -> None:
        """Tell nothing more."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        try:
            while self._is_fed:
                self._is_fed = False
                try:
                    # Whatever was published before the first look, each subscription reads anyway.
                    news = await self._engine.storage.topic_news(self._cursor)
                except StorageError:
                    self._is_fed = True  # listeners say so themselves
                    await asyncio.sleep(_AGAIN_SECONDS)
                    continue
                self._cursor = news.cursor
                for topic in news.topics:
                    for tell in self._listeners.get(topic, ()):
                        tell()
        finally:
            self._engine.reads -= 1
            self._task = None
