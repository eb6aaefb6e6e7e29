"""Correlation: events of topics find the instances that wait for them (``ctx.wait_for_event``).

A wait is a row that its turn has written, an event one that its commit has written. Whichever comes
second finds the other: a wait that has become durable is looked up among the events, an event that
has become durable among the waits. So a race between the two loses nothing. What is found becomes a
message of this host's memory: the row of the wait stays until a turn has taken the event, and is
found again by the next owner when this one dies before. A copy does no harm: a wait takes one event
and is gone, and an instance that is suspended keeps one row of it (``engine.booking``). Must never
ask the store when nobody waits or publishes.
"""

import asyncio
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final, TypeAlias

from tenuto.engine.parts import Parts
from tenuto.engine.rows import ALL_TOPIC_WAITS, TopicWaitRow
from tenuto.engine.topic_ports import FIRST_WAIT, TopicMatch
from tenuto.model.codec import encode
from tenuto.model.errors import StorageError
from tenuto.model.events import EventRaised
from tenuto.model.messages import RaiseEvent
from tenuto.model.topics import wait_name

_AGAIN_SECONDS: Final = 0.2
_WAITS_AT_ONCE: Final = 500
_WAITS_PER_PAGE: Final = 2_000
_BYTES_AT_ONCE: Final = 4 * 1024 * 1024

_Key: TypeAlias = tuple[int, int]
"""Which wait: the instance's iid, and the task's id."""
_EVENTS: Final = "events of topics wait for the store"


class Correlation:
    """Brings events of topics to the instances of an engine."""

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._waits: dict[_Key, int] = {}
        """The waits of our partitions, and whose they are."""
        self._of: dict[int, set[int]] = {}
        """The tasks of these waits, by iid."""
        self._told: set[_Key] = set()
        """Those that an event is on the way to."""
        self._new: dict[_Key, None] = {}
        """Those to be looked up, in the order in which they were found."""
        self._taken: set[int] = set()
        """Partitions whose waits are to be read."""
        self._reading: set[int] = set()
        """Those whose waits are being read, and that have not come or gone since."""
        self._over_meanwhile: set[_Key] | None = None
        """Waits that are over since those of a partition were asked for."""
        self._cursor: int | None = None
        self._is_fed = False
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    @property
    def waits(self) -> int:
        """How many instances wait here for an event of a topic."""
        return len(self._waits)

    def began(self, rows: Iterable[TopicWaitRow]) -> None:
        """Waits have become durable, or are over, durably."""
        for row in rows:
            key = row.iid, row.task_id
            if row.topic is not None:
                self._waits[key] = row.partition
                self._of.setdefault(row.iid, set()).add(row.task_id)
                # One that goes on, since another has taken its event, is looked up again.
                self._told.discard(key)
                self._new[key] = None
            elif row.task_id >= 0:
                self._over(key)
            else:
                self._over_all(row.iid)
        self._look()

    def gone(self, iids: Collection[int]) -> None:
        """Instances were purged or replaced, with whatever they waited for."""
        for iid in iids:
            self._over_all(iid)

    def again(self, iid: int) -> None:
        """What was on the way to an instance is lost; it is looked up again."""
        for task_id in self._of.get(iid, ()):
            self._told.discard((iid, task_id))
            self._new[iid, task_id] = None
        self._look()

    def _over_all(self, iid: int) -> None:
        for task_id in list(self._of.get(iid, ())):
            self._over((iid, task_id))
        if self._over_meanwhile is not None:
            self._over_meanwhile.add((iid, ALL_TOPIC_WAITS))

    def _over(self, key: _Key) -> None:
        if self._waits.pop(key, None) is not None:
            tasks = self._of[key[0]]
            tasks.discard(key[1])
            if not tasks:
                del self._of[key[0]]
        self._told.discard(key)
        self._new.pop(key, None)
        if self._over_meanwhile is not None:
            self._over_meanwhile.add(key)
        if not self._waits:
            # Who waits next is looked up among all events: there is nothing to go on from.
            self._cursor = None

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
        self._reading.discard(partition)
        for key in [key for key, number in self._waits.items() if number == partition]:
            self._over(key)

    def fed(self) -> None:
        """Something was published, here or by another process."""
        if self._waits and not self._is_fed:
            self._is_fed = True
            self._look()

    def _look(self) -> None:
        engine = self._engine
        if self._is_stopped or engine.is_draining:
            return
        if self._task is None and self._has_work:
            # Tests let no time pass while something is asked of the store.
            engine.reads += 1
            self._task = engine.loop.create_task(self._run(), name="tenuto-correlation")
            self._task.add_done_callback(self._ended)

    @property
    def _has_work(self) -> bool:
        return bool(self._taken or self._new or self._is_fed)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._engine.reads -= 1
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._engine.observer.problem(None, f"events of topics were not found: {error!r}")
        elif not task.cancelled():
            # What has come between its last look and now has found it still there.
            self._look()

    async def stop(self) -> None:
        """Look for nothing any more."""
        self._is_stopped = True
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while self._has_work and not self._engine.is_draining:
            try:
                await self._round()
            except (StorageError, MemoryError) as error:
                self._engine.outage.failed(_EVENTS, error)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self._engine.outage.works(_EVENTS)

    async def _round(self) -> None:
        if self._taken:
            await self._read_waits()
        await self._set_out()
        if self._is_fed:
            await self._find_waits(self._cursor or 0)
            await self._set_out()
        if self._new:
            await self._look_up(list(islice(self._new, _WAITS_AT_ONCE)))

    async def _set_out(self) -> None:
        """Before waits are looked up: what is published later is found by the cursor."""
        if self._cursor is None:
            self._cursor = await self._engine.storage.last_position()

    async def _read_waits(self) -> None:
        """Of partitions that have become ours; one that does so meanwhile is read once more.

        A page at a time: a host may take over a million of them, and its loop goes on meanwhile.
        """
        self._reading = reading = self._taken
        self._taken = set()
        self._over_meanwhile = over = set[_Key]()
        after: _Key | None = FIRST_WAIT
        try:
            while reading and after is not None:
                rows = await self._engine.storage.topic_waits(reading, after, _WAITS_PER_PAGE)
                is_last = len(rows) < _WAITS_PER_PAGE
                after = None if is_last else (rows[-1].iid, rows[-1].task_id)
                self.began(
                    row
                    for row in rows
                    if row.partition in reading
                    and over.isdisjoint(((row.iid, row.task_id), (row.iid, ALL_TOPIC_WAITS)))
                )
        except BaseException:
            self._taken |= reading
            raise
        finally:
            self._over_meanwhile = None
            self._reading = set()

    async def _find_waits(self, cursor: int) -> None:
        """Those that events after the cursor are for."""
        # What is published meanwhile is news again.
        self._is_fed = False
        try:
            page = await self._engine.storage.topic_waits_since(cursor)
        except BaseException:
            self._is_fed = True
            raise
        self._is_fed = self._is_fed or page.has_more
        if self._cursor is not None:
            self._cursor = page.cursor
        for key in page.waits:
            if key in self._waits and key not in self._told:
                self._new[key] = None

    async def _look_up(self, keys: list[_Key]) -> None:
        """Tell these waits the first event that counts, where there is one."""
        # Out of the list before the store is asked: one that goes on meanwhile comes in again.
        for key in keys:
            del self._new[key]
        try:
            page = await self._engine.storage.topic_matches_of(keys, _BYTES_AT_ONCE)
        except BaseException:
            self._new = {key: None for key in keys if key in self._waits} | self._new
            raise
        for match in page.matches:
            self._tell(match)
        if page.has_more:
            found = {(one.iid, one.task_id) for one in page.matches}
            self._new |= {key: None for key in keys if key in self._waits and key not in found}

    def _tell(self, match: TopicMatch) -> None:
        engine = self._engine
        key = match.iid, match.task_id
        home = engine.partitions.get(match.partition)
        if home is None or key not in self._waits or key in self._told or key in self._new:
            return
        self._told.add(key)
        name = wait_name(match.execution_id, match.task_id)
        event = EventRaised(name, encode(match.event).decode())
        message = RaiseEvent(message_id=engine.memory_id(), event=event)
        engine.arrivals.dispatch(home, match.instance_id, message)
