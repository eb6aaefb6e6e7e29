"""Follows a run inside the process that runs it: woken by commits, without asking the store.

While a live session is at hand it tells what history does not: the names of the events that are
waited for, and which timers are pauses between attempts. An idle run costs nothing here.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from tenuto.cli.follow import Followed, Follower
from tenuto.cli.reading import StoreReader
from tenuto.cli.recall import Recall, may_know_more
from tenuto.cli.steps import Run, Waits
from tenuto.engine.engine import Engine
from tenuto.engine.resident import Resident
from tenuto.host.host import Host
from tenuto.model.status import InstanceRecord
from tenuto.orchestration.session import Session
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

    def __init__(self, host: Host, bell: CommitBell, root_id: str, *, most: int) -> None:
        self._engine: Engine = host.engine
        self._clock = host.clock
        self._recall = Recall(host.app, host.clock, host.settings.limits)
        self.follower: Follower = Follower(StoreReader(host.engine.storage), root_id, most=most)
        self._changed: set[str] = set()
        self._moved = asyncio.Event()
        self._pause = 0.0
        self._since: dict[tuple[str, str, str], int] = {}
        bell.ring = self._look

    async def read(self) -> Run:
        """The run as it stands now."""
        return await self._read(None)

    async def next(self) -> Run:
        """The run once it has moved on, with a pause before, so that looking costs little."""
        await asyncio.sleep(self._pause)
        await self._moved.wait()
        self._moved.clear()
        changed, self._changed = self._changed, set()
        loop = asyncio.get_running_loop()
        began = loop.time()
        run = await self._read(changed)
        self._pause = max(_SHORTEST_PAUSE, _PAUSE_FACTOR * (loop.time() - began))
        return run

    async def _read(self, changed: Collection[str] | None) -> Run:
        run = await self.follower.read(changed)
        asked = [one for one in self.follower.unfinished() if _could_tell(one)]
        for one in asked:
            resident = self._engine.residents.named(one.instance_id)
            if resident is not None and resident.session is not None:
                self._ask(one, resident)
            else:
                await self._recall_one(one)
        return await self.follower.read([one.instance_id for one in asked]) if asked else run

    def _look(self) -> None:
        for one in self.follower.unfinished():
            resident = self._engine.residents.named(one.instance_id)
            if resident is None:
                if one.record is None or _could_tell(one):
                    self._changed.add(one.instance_id)
                continue
            stands = (resident.state.execution_id, resident.state.next_turn)
            # Who reads quickly has read a commit before it is heard of, and still must ask.
            if stands != one.stands or _could_tell(one):
                self._changed.add(one.instance_id)
                self._ask(one, resident)
        if self._changed:
            self._moved.set()

    def _ask(self, one: Followed, resident: Resident) -> None:
        if isinstance(resident.session, Session):
            one.told_of = (resident.state.execution_id, resident.state.next_turn)
            now = self._clock.now()
            one.told = self._waits(one.instance_id, one.told_of[0], resident.session, now)

    def _waits(self, instance_id: str, execution_id: str, session: Session, since: int) -> Waits:
        events = session.awaited_events()
        keys = {(instance_id, execution_id, name) for name in events}
        for known in [key for key in self._since if key[0] == instance_id and key not in keys]:
            del self._since[known]
        return Waits(
            tuple(
                (name, self._since.setdefault((instance_id, execution_id, name), since))
                for name in events
            ),
            session.retry_pauses(),
        )

    async def _recall_one(self, one: Followed) -> None:
        """Ask a session rebuilt for the purpose: an instance that waits has none in memory."""
        record = one.record
        assert record is not None, "it was read"
        turns = await self._engine.storage.history(one.instance_id)

        def question(session: Session, since: int) -> Waits:
            return self._waits(record.instance_id, record.execution_id, session, since)

        one.told = await self._recall.ask(record, turns, question)
        one.told_of = (record.execution_id, len(turns))


def _could_tell(one: Followed) -> bool:
    """Whether its session knows more than was read and told."""
    return one.run is not None and one.told_of != one.stands and may_know_more(one.run)
