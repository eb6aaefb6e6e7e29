"""Reading: what the store has to be done comes into memory, at a takeover and ever after.

Owns the pages of the inbox, the times that come due, and whose turn it is to be tried again.
Nothing is done with what was read before everything that belongs to it is there: a read that fails
half way leaves nothing behind. Must never serve a partition with what was read before it was taken.
"""

import asyncio
import contextlib
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from tenuto.engine.engine import Engine
from tenuto.engine.iids import BLOCK
from tenuto.engine.news import Written, more_than_messages
from tenuto.engine.partition import Partition
from tenuto.engine.ports import PartitionPage, Wake
from tenuto.engine.rows import InboxRow
from tenuto.engine.timers import HORIZON, RELOAD
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.hold import HoldReason
from tenuto.model.messages import ChangeHold

_LOOK: Final = 1_000_000
_LEAP: Final = 10_000_000
_INBOX_PAGE: Final = 1_000
_TAKEN_IN_PAUSE_SECONDS: Final = 0.005
_LONGEST_WAIT_SECONDS: Final = 5.0

_UNSERVED: Final = "instances that wait for functions could not be read"
_TIMERS: Final = "timers could not be read"
_MESSAGES: Final = "messages from outside could not be read"
_NUMBERS: Final = "no numbers for instances"


class Found(Struct):
    """What the store has to be done in a partition.

    Attributes:
        page: The first page of it.
        rows: Its whole inbox.
        wakes: Who is to be looked at now, or within the horizon.
    """

    page: PartitionPage
    rows: list[InboxRow]
    wakes: list[Wake]


class Reading:
    """Reads what an engine has to do."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reload_due = 0
        self._looked_at = self._looked_then = 0
        self._polling: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._poll_again = False
        self._readers = 0
        self._is_stopped = False

    def begin(self) -> None:
        """Read from now on whatever comes."""
        engine = self._engine
        self._looked_at, self._looked_then = engine.clock.now(), engine.clock.monotonic()
        engine.clock.call_later(_LOOK, self._look_at_clock)
        engine.runner.on_served(self._served_anew)
        # Calls back once at the beginning: what came since the inbox was read is not lost.
        engine.storage.on_change(self.poll, self._concerns)
        engine.storage.on_change(engine.correlation.fed, more_than_messages)

    def end(self) -> None:
        """Begin to read nothing more."""
        self._is_stopped = True

    async def stop(self) -> None:
        """And wait until nobody routes any more what was read."""
        self.end()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])

    def in_background(self, reading: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Do it in a task of its own; the engine is not idle before it has ended."""
        engine = self._engine
        engine.reads += 1

        def ended(task: "asyncio.Task[None]") -> None:
            engine.reads -= 1
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None and not self._is_stopped:
                engine.observer.problem(None, f"what the store has could not be read: {error!r}")

        task = self._engine.loop.create_task(reading)
        self._tasks.add(task)  # the loop alone would not keep it alive
        task.add_done_callback(ended)
        return task

    # --- whole partitions -------------------------------------------------------------------------

    async def found(self, numbers: Collection[int]) -> dict[int, Found]:
        """What is to be done in these partitions, each read whole."""
        engine = self._engine
        now = engine.clock.now()
        found = {number: await self._partition(number) for number in numbers}
        for wake in await engine.storage.due(list(numbers), None, now + HORIZON):
            found[wake.partition].wakes.append(wake)
        if engine.partitions.keys() <= found.keys():
            self._reload_due = now + RELOAD
        return found

    async def _partition(self, number: int) -> Found:
        storage = self._engine.storage
        first = page = await storage.load_partition(number, None, _INBOX_PAGE)
        rows = [*page.rows]
        while page.after is not None:
            page = await storage.load_partition(number, page.after, _INBOX_PAGE)
            rows += page.rows
        return Found(first, rows, [])

    def bring_up(self, home: Partition, found: Found) -> None:
        """Begin with what was found: memory knows nothing of this partition yet."""
        home.is_up = True
        for root_id, count in found.page.open_by_root.items():
            home.count_child(root_id, count)
        # Before anything is loaded: a message must not be found in the inbox a second time.
        self._route(found.rows, {home.number: home})
        self._wake(found.wakes)

    async def recover(self) -> None:
        """Read all partitions that are ours again, after everything in memory was dropped."""
        engine = self._engine
        homes = dict(engine.partitions)
        with self._pages():
            for number, found in (await self.found(homes)).items():
                if engine.is_ours(homes[number]) and not homes[number].is_up:
                    self.bring_up(homes[number], found)
                    engine.correlation.owned(number)

    # --- who is held ------------------------------------------------------------------------------

    async def misfits(self, numbers: Iterable[int], reason: HoldReason | None) -> dict[int, int]:
        """Who is held for this reason, or for any that is no harm to others; with partitions."""
        storage = self._engine.storage
        return {
            iid: number
            for number in list(numbers)
            for iid in await storage.misfits([number], reason)
        }

    def try_again(self, misfits: Mapping[int, int]) -> None:
        """Let these be tried again."""
        for iid, number in misfits.items():
            home = self._engine.partitions.get(number)
            if home is not None:
                home.loader.want(iid, ChangeHold())

    def _served_anew(self) -> None:
        """Functions have come that were not here: what waits for them is tried again."""
        if not self._is_stopped:
            _ = self.in_background(self._try_unserved())

    async def _try_unserved(self) -> None:
        engine = self._engine
        try:
            self.try_again(await self.misfits(engine.partitions, HoldReason.NOT_SERVED))
        except StorageUnavailableError as error:
            engine.outage.failed(_UNSERVED, error)
            engine.clock.call_later(_LOOK, self._served_anew)
        else:
            engine.outage.works(_UNSERVED)

    # --- times ------------------------------------------------------------------------------------

    def _wake(self, wakes: Iterable[Wake]) -> None:
        engine = self._engine
        now = engine.clock.now()
        for wake in wakes:
            home = engine.partitions.get(wake.partition)
            if home is None:
                continue
            if wake.wake_at <= now:
                home.loader.want(wake.iid)
            else:
                home.timers.arm(wake.wake_at, wake.iid)

    async def _reload(self) -> None:
        """Arm what comes due within the horizon; again before that has passed."""
        engine = self._engine
        now = engine.clock.now()
        self._wake(await engine.storage.due(list(engine.partitions), 0, now + HORIZON))
        # With running activities the row says "now" and not when the next timer is due.
        for resident in engine.residents:
            if resident.state.work.activities:
                for fire_at in resident.state.work.timers.values():
                    engine.arm(resident, fire_at)
        self._reload_due = now + RELOAD

    # The wall clock says what is due, and may be set at any time. So it is looked at once a second
    # of the monotonic clock: what was armed by it is read again when its time has come, and at
    # once when the clock has gone back, or so much further than time that it must have been set or
    # the machine has slept (rule 42).

    def _look_at_clock(self) -> None:
        if self._is_stopped:
            return
        clock = self._engine.clock
        now, then = clock.now(), clock.monotonic()
        passed, self._looked_at = now - self._looked_at, now
        waited, self._looked_then = then - self._looked_then, then
        if now >= self._reload_due or not 0 <= passed <= waited + _LEAP:
            self._reload_soon()
        clock.call_later(_LOOK, self._look_at_clock)

    def _reload_soon(self) -> None:
        if not self._is_stopped and self._reloading is None:
            self._reloading = self.in_background(self._reload_again())

    async def _reload_again(self) -> None:
        try:
            await self._reload()
        except StorageUnavailableError as error:
            self._engine.outage.failed(_TIMERS, error)
            self._reload_due = 0
        else:
            self._engine.outage.works(_TIMERS)
        finally:
            self._reloading = None

    # --- messages ---------------------------------------------------------------------------------

    # Messages are read while others come and go, and a row says only that it was there when the
    # page was read. Whether it is still to be delivered is known here, by its id, which never names
    # another message (rule 12); not by who has made it: after a takeover, what this host has sent
    # to a partition of another is a message from outside. A row is passed over in four cases:
    #   - its partition is not ours any more, or was taken anew since the page was asked for: then
    #     another host may have used it up, and what it has left was read;
    #   - the message is in memory: on its way, with its instance, or being decided;
    #   - it is used up by a batch that is not known to have landed. Should the batch be refused
    #     for good, everything is read anew;
    #   - it is used up by a batch that has landed since the page was asked for.
    # There is no other way to be used up: what has landed before has no row on the page. And each
    # message goes from each case into the next within one callback, so that no page is between.
    # Who leaves memory with messages not used up (held ones) has them in its rows, and finds them
    # there when a copy brings it back.

    @contextlib.contextmanager
    def _pages(self) -> Iterator[None]:
        """While pages of inboxes are read and routed: the pipeline notes what is used up."""
        pipeline = self._engine.pipeline
        if not self._readers:
            pipeline.used_up = set()
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                pipeline.used_up = None

    def _route(self, rows: Iterable[InboxRow], homes: Mapping[int, Partition]) -> None:
        engine = self._engine
        for row in rows:
            home = homes[row.partition]
            if not engine.is_ours(home):
                continue
            if not (row.message_id and home.delivery.is_known(row.message_id)):
                engine.arrivals.route(row)

    def route(self, rows: Iterable[InboxRow]) -> None:
        """Deliver messages that were stored just now."""
        self._route(rows, self._engine.partitions)

    async def catch_up(self) -> None:
        """Deliver what has come, in its order."""
        engine = self._engine
        with self._pages():
            homes = dict(engine.partitions)
            cursors = {number: home.cursor for number, home in homes.items()}
            first = page = await engine.storage.fetch_inbox(cursors)
            self._route(page.rows, homes)
            while page.after is not None:
                await self._taken_in(page.rows, homes)
                page = await engine.storage.fetch_inbox(cursors, page.after)
                self._route(page.rows, homes)
            # What becomes visible while further pages are read may be before them.
            for number, cursor in first.cursors.items():
                homes[number].cursor = cursor

    def _concerns(self, written: Written) -> bool:
        return written.has_messages_to(self._engine.partitions)

    async def _taken_in(self, rows: Iterable[InboxRow], homes: Mapping[int, Partition]) -> None:
        """Wait until these are on their way no more, so that memory holds few pages of a burst.

        Not for ever: what stays on its way must not keep back what comes after it.
        """
        engine = self._engine
        left = [row for row in rows if row.message_id is not None]
        deadline = engine.loop.time() + _LONGEST_WAIT_SECONDS

        def is_on_its_way(row: InboxRow) -> bool:
            home = homes[row.partition]
            assert row.message_id is not None
            return engine.is_ours(home) and (
                home.delivery.is_moving(row.message_id)
                or engine.pipeline.is_using_up(row.message_id)
            )

        while engine.loop.time() < deadline:
            left = [row for row in left if is_on_its_way(row)]
            if not left:
                return
            await asyncio.sleep(_TAKEN_IN_PAUSE_SECONDS)

    def poll(self) -> None:
        """Another process has written: read what it sent."""
        if self._is_stopped:
            return
        if self._polling is not None:
            self._poll_again = True
            return
        self._polling = self.in_background(self._poll())

    async def _poll(self) -> None:
        engine = self._engine
        try:
            while True:
                self._poll_again = False
                await self.catch_up()
                engine.unreadable = None
                engine.outage.works(_MESSAGES)
                if not self._poll_again:
                    break
        except StorageUnavailableError as error:
            engine.unreadable = error
            engine.outage.failed(_MESSAGES, error)
            engine.clock.call_later(_LOOK, self.poll)
        finally:
            self._polling = None

    # --- numbers ----------------------------------------------------------------------------------

    async def iids(self) -> None:
        """A first block of numbers for instances; the next ones come in time by themselves."""
        engine = self._engine
        engine.iids.add(await engine.storage.reserve_iids(BLOCK))
        engine.iids.on_low = self._want_iids

    def _want_iids(self) -> None:
        if not self._is_stopped:
            _ = self.in_background(self._fetch_iids())

    async def _fetch_iids(self) -> None:
        engine = self._engine
        try:
            engine.iids.add(await engine.storage.reserve_iids(BLOCK))
        except StorageUnavailableError as error:
            engine.outage.failed(_NUMBERS, error)
            engine.clock.call_later(_LOOK, self._want_iids)
        else:
            engine.outage.works(_NUMBERS)
