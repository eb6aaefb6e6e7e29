"""When a server has nothing to do, and until when: then its process may end.

Nothing that is promised may be missed: a request, a message, an event, or a moment that comes. So
it is looked at what memory has, what the store says is next, and what no store tells of. Who has
only looked at the store so far may have missed what came at that moment; the numbers of what has
come are taken before that look, and compared when the process has let go of the store.
"""

import asyncio
import logging
from typing import Final

from msgspec import Struct

from tenuto.engine.program import (
    AzureBlobTrigger,
    AzureQueueTrigger,
    FileTrigger,
    QueueTrigger,
)
from tenuto.host.on_demand.options import OnDemandSettings
from tenuto.host.server import Server
from tenuto.link.links import link_store
from tenuto.model.errors import StorageError
from tenuto.model.hold import HoldReason
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.storage import arrival_numbers

_LOGGER: Final = logging.getLogger("tenuto.on_demand")

_LOOK_SECONDS: Final = 0.1
_SETTLED_SECONDS: Final = 0.05
_UNCALLED_SECONDS: Final = 2.0
"""Idle for so long, a process that nobody has called ends: a timer, or a message, had it run."""
_WORTH_SECONDS: Final = 5.0
"""For less it is not worth the start of a process."""
_AGAIN_SECONDS: Final = 1.0
_REASONS_SECONDS: Final = 30.0
_GRACE_SECONDS: Final = 0.2
"""A connection that was taken in just now has so long for its request."""
_MOST_ANSWER_SECONDS: Final = 2.0
"""So long all others wait for its answer."""
_DAY: Final = 86_400 * MICROSECONDS

_POLLED: Final = {
    FileTrigger: "files of a folder",
    AzureQueueTrigger: "a queue in Azure Storage",
    AzureBlobTrigger: "blobs in Azure Storage",
}
"""What only a host that runs can see."""


class Rest(Struct, frozen=True, kw_only=True):
    """What a server that sleeps has before it.

    Attributes:
        wake_at: When something is due at last; None when nothing is.
        why: What that is.
        numbers: How far the store had counted what came, when it was last looked at.
    """

    wake_at: Microseconds | None
    why: str
    numbers: dict[str, int]


class Idleness:
    """Whether a server has nothing to do.

    Args:
        server: It runs.
        settings: When it sleeps.
        is_called: Whether it was started for a caller.
    """

    def __init__(self, server: Server, settings: OnDemandSettings, *, is_called: bool) -> None:
        self._server = server
        self._host = server.host
        self._settings = settings
        self._is_called = is_called
        self._begun = 0

    async def rest(self) -> Rest:
        """Wait until it may sleep. From then on no connection is taken in.

        Raises:
            StorageError: the store is lost.
        """
        loop = asyncio.get_running_loop()
        since, told = loop.time(), ""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._is_busy():
                since = loop.time()
                continue
            seconds = self._settings.idle_seconds
            if not self._is_called:
                seconds = min(seconds, _UNCALLED_SECONDS)
            if loop.time() - since < seconds:
                continue
            try:
                stays = await self._why_it_stays()
                found = None if stays else await self._next()
            except StorageError:  # it is told where it matters
                stays, found = "", None
            if stays and stays != told:
                _LOGGER.warning("it does not sleep: only a running app sees %s", stays)
            told = stays
            if found is not None and not self._is_busy():
                # Between this look and the last one nothing else has run.
                self._server.accept_no_more()
                return found
            since = loop.time() - seconds + (_REASONS_SECONDS if stays else _AGAIN_SECONDS)

    async def let_finish(self) -> bool:
        """Answer those whose connections were taken in; whether there was anything to do.

        Not for ever: all others wait meanwhile, and one may have opened a live stream. Who is still
        being answered then is so while the server stops.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _GRACE_SECONDS
        last = end + _MOST_ANSWER_SECONDS
        was_busy = False
        while loop.time() < end or (self._server.traffic.open and loop.time() < last):
            await asyncio.sleep(_LOOK_SECONDS / 10)
            was_busy = self._is_busy() or was_busy
        return was_busy

    def _is_busy(self) -> bool:
        """Whether something is done, or was asked for since the last look."""
        traffic = self._server.traffic
        before, self._begun = self._begun, traffic.begun
        if before != self._begun:
            self._is_called = True
            return True
        return traffic.open > 0 or not self._host.engine.is_idle

    async def _why_it_stays(self) -> str:
        """What only a host that runs can see; empty when there is nothing of the kind."""
        kinds = {type(one.trigger) for one in self._host.program.triggered}
        found = [words for kind, words in _POLLED.items() if kind in kinds]
        if await link_store(self._host.engine.storage).hubs():
            found.append("a linked hub")
        return ", ".join(found)

    async def _next(self) -> Rest | None:
        """What is next; None when it is so soon, or something has come."""
        numbers = await asyncio.to_thread(arrival_numbers, self._host.settings.storage)
        # What came before this moment is known to the engine when it is idle again.
        self._host.look_again()
        await asyncio.sleep(_SETTLED_SECONDS)
        if self._is_busy():
            return None
        now = self._host.clock.now()
        moment, why = min(await self._dues(now), default=(None, ""))
        worth = min(_WORTH_SECONDS, self._settings.idle_seconds)
        if moment is not None and moment < now + worth * MICROSECONDS:
            return None
        return Rest(wake_at=moment, why=why, numbers=numbers)

    async def _dues(self, now: Microseconds) -> list[tuple[Microseconds, str]]:
        """What is due later, and what it is; this moment for what cannot wait for a start."""
        engine, program = self._host.engine, self._host.program
        storage = engine.storage
        found = []
        wake_at = await storage.next_wake(list(engine.partitions), now)
        if wake_at is not None:
            found.append((wake_at, "an instance whose time has come"))
        timer = self._host.next_timer
        if timer is not None:
            found.append((timer[0], f"timer {timer[1]!r}"))
        for one in program.triggered:
            if isinstance(one.trigger, QueueTrigger):
                ready_at = await storage.queue_next(one.trigger.queue)
                if ready_at is not None and ready_at > now:
                    found.append((ready_at, f"a message of queue {one.trigger.queue!r}"))
        if any(one.retrying and one.is_served for one in await storage.subscriptions()):
            found.append((now, "events that are tried again"))
        if HoldReason.BUDGET in await storage.held_counts():
            found.append(((now // _DAY + 1) * _DAY, "budgets of the next day"))
        return found
