"""Upkeep of usage: days that are too old go, and what hosts that are gone have left is added up.

Done by the host that owns partition 0, soon after it has begun and then hourly, by the time of this
machine: nobody waits for it. Must never keep a host from stopping, nor fail it.
"""

import asyncio
from typing import Final

from tenuto.engine.parts import Parts
from tenuto.model.errors import StorageError
from tenuto.model.usage import day_of

_SOON_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 3_600.0


class UsageUpkeep:
    """Looks after the usage of a store, on one host.

    Args:
        engine: Knows whether partition 0 is ours, the clock and the store.
        keep_days: How long the figures of a day are kept.
    """

    def __init__(self, engine: Parts, keep_days: int) -> None:
        self._engine = engine
        self._keep_days = keep_days
        self._next: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after it from now on."""
        self._look_in(_SOON_SECONDS)

    async def stop(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _look_in(self, seconds: float) -> None:
        self._next = self._engine.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._look_in(_AGAIN_SECONDS)
        if 0 in self._engine.partitions and (self._task is None or self._task.done()):
            self._task = self._engine.loop.create_task(self.run(), name="tenuto-usage")

    async def run(self) -> None:
        """Look after it once, now."""
        engine = self._engine
        lease = engine.pipeline.leases.get(0)
        if lease is None:
            return
        try:
            before = day_of(engine.clock.now()) - self._keep_days + 1
            await engine.storage.trim_usage(before, lease.owner)
        except StorageError as error:
            engine.observer.notice(f"old figures of usage are deleted later: {error}")
