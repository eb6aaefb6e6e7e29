"""Correlation: events of topics find the instances that wait for them (``ctx.wait_for_event``).

A wait is a row that its turn has written, an event one that its commit has written. Whichever comes
second finds the other: a wait that has become durable is looked up among the events, an event that
has become durable among the waits. So a race between the two loses nothing. What is found becomes a
message of this host's memory: the row of the wait stays until a turn has taken the event, and is
found again by the next owner when this one dies before. Must never ask the store when nobody waits
or publishes.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

from tenuto.engine.parts import Parts
from tenuto.engine.rows import TopicWaitRow
from tenuto.engine.topic_ports import TopicMatch
from tenuto.model.codec import encode
from tenuto.model.errors import StorageError
from tenuto.model.events import EventRaised
from tenuto.model.messages import RaiseEvent
from tenuto.model.topics import wait_name

_AGAIN_SECONDS: Final = 0.2


class Correlation:
    """Brings events of topics to the instances of an engine."""

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._waits: dict[tuple[int, int], int] = {}
        self._told: set[tuple[int, int]] = set()
        self._new: set[tuple[int, int]] = set()
        self._taken: set[int] = set()
        self._cursor: int | None = None
        self._is_fed = False
        self._task: asyncio.Task[None] | None = None

    @property
    def waits(self) -> int:
        """How many instances wait here for an event of a topic."""
        return len(self._waits)

    def began(self, rows: Iterable[TopicWaitRow]) -> None:
        """Waits have become durable, or are over, durably."""
        for row in rows:
            if row.topic is not None:
                self._waits[row.iid, row.task_id] = row.partition
                self._new.add((row.iid, row.task_id))
            elif row.task_id >= 0:
                self._over((row.iid, row.task_id))
            else:
                for key in [key for key in self._waits if key[0] == row.iid]:
                    self._over(key)
        if self._new:
            self._look()

    def _over(self, key: tuple[int, int]) -> None:
        self._waits.pop(key, None)
        self._told.discard(key)
        self._new.discard(key)

    def owned(self, partition: int) -> None:
        """A partition has become ours, or is read anew: so are its waits."""
        self._forget(partition)
        self._taken.add(partition)
        self._look()

    def dropped(self, partition: int) -> None:
        """A partition has gone, with whoever waits there."""
        self._forget(partition)
        self._taken.discard(partition)

    def _forget(self, partition: int) -> None:
        for key in [key for key, number in self._waits.items() if number == partition]:
            self._over(key)

    def fed(self) -> None:
        """Something was published, here or by another process."""
        if self._waits and not self._is_fed:
            self._is_fed = True
            self._look()

    def _look(self) -> None:
        if self._task is None and not self._engine.is_draining:
            self._task = self._engine.loop.create_task(self._run(), name="tenuto-correlation")

    async def stop(self) -> None:
        """Look for nothing any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        engine = self._engine
        # Tests let no time pass while something is asked of the store.
        engine.reads += 1
        try:
            while self._taken or self._new or self._is_fed:
                try:
                    await self._round()
                except StorageError as error:
                    engine.observer.problem(
                        None,
                        f"events of topics wait for the store, and are looked for again: {error}",
                    )
                    await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            engine.reads -= 1
            self._task = None

    async def _round(self) -> None:
        engine = self._engine
        storage = engine.storage
        if self._cursor is None:
            # Before the waits are read: what is published later is found by the cursor.
            self._cursor = await storage.last_position()
        taken, new, is_fed = frozenset(self._taken), frozenset(self._new), self._is_fed
        # A wait that begins meanwhile is new again; so nothing falls between two rounds.
        self._is_fed = False
        try:
            if taken:
                waits = await storage.topic_waits(taken)
                found = await storage.topic_matches_of([(one.iid, one.task_id) for one in waits])
                for one in waits:
                    if one.partition in engine.partitions:
                        self._waits[one.iid, one.task_id] = one.partition
                self._tell(found)
                self._taken -= taken
            if new:
                self._tell(await storage.topic_matches_of(sorted(new)))
                self._new -= new
            if is_fed:
                page = await storage.topic_matches_since(self._cursor)
                self._tell(page.matches)
                self._cursor = page.cursor
                self._is_fed = self._is_fed or page.has_more
        except StorageError:
            self._is_fed = self._is_fed or is_fed
            raise

    def _tell(self, matches: Collection[TopicMatch]) -> None:
        engine = self._engine
        for match in matches:
            key = match.iid, match.task_id
            home = engine.partitions.get(match.partition)
            if home is None or key in self._told or key not in self._waits:
                continue
            self._told.add(key)
            event = EventRaised(wait_name(match.task_id), encode(match.event).decode())
            message = RaiseEvent(message_id=engine.memory_id(), event=event)
            engine.arrivals.dispatch(home, match.instance_id, message)
