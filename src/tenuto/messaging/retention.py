"""Retention of topics: what is too old, or too much of one topic, is deleted.

Done by the host that owns partition 0, soon after it has begun, then hourly while something is
published, and when the oldest event has become too old. A page at a time, each a transaction of its
own, so that commits go on between them; what is too much is found by reading alone. Must never keep
a host from stopping.
"""

import asyncio
import time
from collections import Counter
from typing import Final

from tenuto.engine.engine import Engine
from tenuto.engine.news import News, more_than_messages
from tenuto.engine.ports import TimerHandle
from tenuto.engine.topic_ports import TrimPoint
from tenuto.messaging.options import TopicSettings
from tenuto.model.errors import StorageError
from tenuto.model.timing import MICROSECONDS, Microseconds

_SOON: Final[Microseconds] = 10 * MICROSECONDS
_AGAIN: Final[Microseconds] = 3_600 * MICROSECONDS
_DAY: Final = 86_400 * MICROSECONDS
_ROWS: Final = 1_000
_TRIMMED_ROWS: Final = 500
_TRIMMED_BYTES: Final = 4 * 1024 * 1024
"""Deleted at a time: commits wait for as long as that takes, some 15 ms."""

_PIECES: Final = 50
"""A topic that is too long is cut at a fiftieth of what is kept."""
_LONGEST_PAUSE_SECONDS: Final = 0.1


class TopicRetention:
    """Deletes old events, on one host.

    Args:
        engine: Knows which partitions are ours, the clock and the store.
        settings: How long events are kept.
    """

    def __init__(self, engine: Engine, settings: TopicSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._keep = round(settings.keep_days * _DAY)
        self._next: TimerHandle | None = None
        self._is_far = False
        self._task: asyncio.Task[None] | None = None
        self._has_news = True
        self._is_stopped = False

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Look after what is there, from now on also after what is published."""
        self._engine.moves.owned.append(self._begin)
        self._engine.on_fed.append(self._fed)
        self._engine.storage.on_change(self._has_come, more_than_messages)
        self._begin()

    async def stop(self) -> None:
        """Delete nothing more."""
        self._is_stopped = True
        if self._begin in self._engine.moves.owned:
            self._engine.moves.owned.remove(self._begin)
        if self._fed in self._engine.on_fed:
            self._engine.on_fed.remove(self._fed)
        if self._next is not None:
            self._next.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def _is_ours(self) -> bool:
        return not self._is_stopped and self._engine.gone is None and 0 in self._engine.partitions

    def _begin(self) -> None:
        if self._is_ours and self._next is None and self._task is None:
            self._task = self._engine.loop.create_task(self._first(), name="tenuto-retention")

    def _fed(self, news: News) -> None:
        if news.events:
            self._has_come()

    def _has_come(self) -> None:
        """There may be new events."""
        self._has_news = True
        if self._is_ours and self._task is None and (self._next is None or self._is_far):
            self._look_in(_AGAIN)

    def _look_in(self, duration: Microseconds) -> None:
        if self._next is not None:
            self._next.cancel()
        self._is_far = duration > _AGAIN
        self._next = self._engine.clock.call_later(duration, self._look)

    def _look(self) -> None:
        self._next = None
        if self._is_ours and self._task is None:
            self._task = self._engine.loop.create_task(self._run(), name="tenuto-retention")

    async def _first(self) -> None:
        """Without topics, as on most hosts, nothing is looked for again."""
        self._engine.reads += 1
        try:
            has_any = bool(await self._engine.storage.topic_names())
        except StorageError:
            has_any = True
        finally:
            self._engine.reads -= 1
            self._task = None
        if has_any and self._next is None and self._is_ours:
            self._look_in(_SOON)

    async def _run(self) -> None:
        self._engine.reads += 1
        pause: Microseconds | None = _AGAIN
        try:
            pause = await self._trim_all()
        except StorageError as error:
            self._engine.observer.notice(f"old events of topics are deleted later: {error}")
        finally:
            self._engine.reads -= 1
            self._task = None
        if self._has_news:
            pause = _AGAIN
        if pause is not None and self._is_ours:
            self._look_in(pause)

    # --- deleting --------------------------------------------------------------------------------

    async def _trim_all(self) -> Microseconds | None:
        """Delete what is too old or too much; how long to wait then, None when nothing is left."""
        storage, clock = self._engine.storage, self._engine.clock
        counts_sizes, self._has_news = self._has_news, False
        oldest: list[Microseconds] = []
        for topic in await storage.topic_names():
            before = clock.now() - self._keep
            days = f"older than {self._settings.keep_days:g} days (topics.keep_days)"
            await self._trim(topic, TrimPoint(before=before), days)
            if counts_sizes:
                position = await self._where_to_cut(topic)
                length = f"beyond {self._settings.keep_bytes:,} bytes (topics.keep_bytes)"
                await self._trim(topic, TrimPoint(position=position), length)
            first = await storage.topic_page(topic, 0, 1, 1)
            if first is not None:
                oldest.append(first.first_at)
        if not oldest:
            return None
        return max(_AGAIN, min(oldest) + self._keep + MICROSECONDS - clock.now())

    async def _where_to_cut(self, topic: str) -> int:
        """The last position that is too much; 0 when the topic is short enough."""
        most = self._settings.keep_bytes
        pieces: list[tuple[int, int]] = []
        after = total = 0
        while self._is_ours:
            began = time.monotonic()
            piece = max(1, most // _PIECES)
            page = await self._engine.storage.topic_page(topic, after, _ROWS, piece)
            if page is None:
                break
            after = page.last
            total += page.bytes
            pieces.append((page.last, page.bytes))
            await _as_long_again(began)
        position = 0
        for last, size in pieces:
            if total <= most:
                break
            position, total = last, total - size
        return position

    async def _trim(self, topic: str, point: TrimPoint, why: str) -> None:
        unread: Counter[str] = Counter()
        try:
            while self._is_ours and (point.before or point.position):
                began = time.monotonic()
                # Looked at without the right to write: most often nothing is to be deleted.
                storage = self._engine.storage
                page = await storage.topic_page(topic, 0, _TRIMMED_ROWS, _TRIMMED_BYTES)
                if page is None or not (point.position or page.first_at < point.before):
                    break
                trimmed = await storage.trim(topic, point, page.events)
                unread.update(trimmed.unread)
                if not trimmed.events or 0 < point.position <= page.last:
                    break
                await _as_long_again(began)
        finally:
            for name, count in unread.items():
                events = "1 event was" if count == 1 else f"{count:,} events were"
                self._engine.observer.problem(
                    None,
                    f"subscription {name!r}: {events} gone before it read them: topic {topic!r} "
                    f"had some {why}",
                )


async def _as_long_again(began: float) -> None:
    """Pause as long as it has taken, so that others have at least half of the store's time."""
    await asyncio.sleep(min(time.monotonic() - began, _LONGEST_PAUSE_SECONDS))
