"""Follows a run inside the process that runs it: woken by commits, without asking the store.

An idle run costs nothing here.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tenuto.engine.engine import Engine
from tenuto.host.host import Host
from tenuto.insight.follow import Follower
from tenuto.insight.reading import StoreReader
from tenuto.insight.steps import Run
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.telemetry.log_observer import LogObserver

_SHORTEST_PAUSE: Final = 0.1
_PAUSE_FACTOR: Final = 10
"""Looking takes at most a tenth of the time."""


class CommitBell(LogObserver):
    """Rings at each commit, before its effects are released. Ends of instances are not logged."""

    def __init__(self) -> None:
        self.ring: Callable[[], None] | None = None

    def committed(self, turns: int, seconds: float) -> None:
        """Some turns are durable."""
        super().committed(turns, seconds)
        if self.ring is not None:
            self.ring()

    def instance_ended(self, record: InstanceRecord) -> None:
        """Nothing: whoever watches the run sees it."""


class Watcher:
    """Reads a run anew when it has moved on.

    Args:
        host: A running host.
        bell: The host's observer.
        root_id: The instance.
        most: How many instances are read.
    """

    def __init__(self, host: Host, bell: CommitBell, root_id: InstanceId, *, most: int) -> None:
        self._engine: Engine = host.engine
        self.follower: Follower = Follower(StoreReader(host.engine.storage), root_id, most=most)
        self._changed: set[InstanceId] = set()
        self._moved = asyncio.Event()
        self._pause = 0.0
        bell.ring = self._look

    async def read(self) -> Run:
        """The run as it stands now."""
        return await self.follower.read()

    async def next(self) -> Run:
        """The run once it has moved on, with a pause before, so that looking costs little."""
        await asyncio.sleep(self._pause)
        await self._moved.wait()
        self._moved.clear()
        changed, self._changed = self._changed, set()
        loop = asyncio.get_running_loop()
        began = loop.time()
        run = await self.follower.read(changed)
        self._pause = max(_SHORTEST_PAUSE, _PAUSE_FACTOR * (loop.time() - began))
        return run

    def _look(self) -> None:
        for one in self.follower.unfinished():
            resident = self._engine.residents.named(one.instance_id)
            if resident is None:
                moved = one.record is None
            else:
                # Who reads quickly has read a commit before it is heard of.
                moved = one.stands != (resident.state.facts.execution_id, resident.state.next_turn)
            if moved:
                self._changed.add(one.instance_id)
        if self._changed:
            self._moved.set()
