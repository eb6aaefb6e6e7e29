"""Starting and stopping an engine: takeover, recovery, draining, release."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tenuto.engine.careful import MANY_DEATHS, SERVED, Careful
from tenuto.engine.engine import Engine
from tenuto.engine.iids import BLOCK
from tenuto.engine.partition import Partition
from tenuto.engine.ports import HostIdentity, InboxRow, Lease, PartitionPage
from tenuto.engine.timers import HORIZON, RELOAD
from tenuto.model.errors import StorageError, StorageUnavailableError
from tenuto.model.hold import HoldReason
from tenuto.model.messages import ChangeHold

_HOT = -1
_LOOK = 1_000_000
_LEAP = 10_000_000
_INBOX_PAGE: Final = 1_000

_Rows: TypeAlias = list[InboxRow]


class Lifecycle:
    """Brings an engine up on its partitions and down again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._host: HostIdentity | None = None
        self._reload_due = 0
        self._looked_at = self._looked_then = 0
        self._polling: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._running_in: asyncio.Task[None] | None = None
        self._reading_tasks: set[asyncio.Task[None]] = set()
        self._poll_again = False
        self._readers = 0
        self._stopped = False

    async def start(
        self,
        host: HostIdentity,
        *,
        hub_partitions: int,
        partitions: Sequence[int] | None = None,
        has_word: bool = False,
        on_owned: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the partitions, recover everything that was promised, begin to serve.

        Args:
            host: Who it is.
            hub_partitions: How many there are in the hub.
            partitions: Which to take; None for all.
            has_word: Whether the owner before has left word that a fatal signal ended it.
            on_owned: Called once the store is ours, before anything of it runs.

        Raises:
            StorageOwnedError: another host owns the store.
        """
        engine = self._engine
        self._host = host
        leases = await engine.storage.acquire(host, partitions)
        on_owned()
        engine.iids.add(await engine.storage.reserve_iids(BLOCK))
        engine.iids.on_low = self._want_iids
        epoch = leases[0].epoch if leases else 0
        engine.begin(f"{host.owner}.{epoch}", hub_partitions)
        engine.pipeline.start(host.owner)
        engine.takeback.reload = self._recover
        found = await self._read(leases)
        deaths = max((page.deaths for page, _ in found.values()), default=0)
        if deaths >= MANY_DEATHS:
            words = "one after another, those that were busy first" if has_word else "in groups"
            engine.observer.notice(
                f"{deaths} hosts in a row have died young on this store: instances are let run "
                f"{words}, to find out which of them is the cause",
            )
            engine.careful = Careful(engine, deaths, has_word=has_word)
        await self._serve(leases, found)
        self._looked_at, self._looked_then = engine.clock.now(), engine.clock.monotonic()
        engine.clock.call_later(_LOOK, self._look_at_clock)
        engine.runner.on_served(self._served_anew)
        # Calls back once at the beginning: what came since the inbox was read is not lost.
        engine.storage.on_change(self._outside_change)
        self._running_in = self._engine.loop.create_task(self._run_in())

    async def take(self, partitions: Collection[int]) -> None:
        """Take further partitions from whoever has them, and serve them as well.

        Raises:
            StorageError: they could not be taken, or not be read.
        """
        engine = self._engine
        assert self._host is not None, "a host that serves takes further ones"
        for number in partitions:  # one that was ours and was lost, and we may not know it yet
            engine.drop(number)
        # What was decided under an older lease must not be written under the new one.
        await engine.pipeline.flush()
        leases = await engine.storage.acquire(self._host, sorted(partitions))
        await self._serve(leases, await self._read(leases))
        self._outside_change()

    async def _read(self, leases: Sequence[Lease]) -> dict[int, tuple[PartitionPage, _Rows]]:
        return {one.partition: await self._read_partition(one.partition) for one in leases}

    async def _serve(
        self, leases: Sequence[Lease], found: Mapping[int, tuple[PartitionPage, _Rows]]
    ) -> None:
        engine = self._engine
        for lease in leases:
            engine.own(Partition(engine, lease, found[lease.partition][0].cursor))
        for page, _ in found.values():
            engine.count_below(page.open_by_root)
        # Before anything is loaded: a message must not be found in the inbox a second time.
        with self._reading():
            for _, rows in found.values():
                self._route(rows)
        await self._reload(_HOT, found)
        await self._try_misfits(found)

    async def _run_in(self) -> None:
        """Be careful as long as there is reason to, and then have served for a while."""
        engine = self._engine
        if engine.careful is not None:
            await engine.careful.run()
            engine.careful = None
            engine.observer.notice("everything runs again, as ever")
        engine.clock.call_later(SERVED, self._served)

    def _served(self) -> None:
        if not self._stopped:
            _ = self._read_in_background(self._note_served())

    async def _note_served(self) -> None:
        with contextlib.suppress(StorageError):  # then a death of this host counts as an early one
            await self._engine.storage.mark_served(list(self._engine.pipeline.leases.values()))

    async def stop(self, drain_seconds: float) -> None:
        """Stop starting work, let what runs end (at most this long), commit it, let go."""
        if self._stopped:
            return
        self._stopped = True
        engine = self._engine
        engine.is_draining = True
        with contextlib.suppress(StorageError):
            await self._drain(drain_seconds)
        await self._let_go("the host has stopped")
        with contextlib.suppress(StorageError):
            await engine.storage.release(list(engine.pipeline.leases.values()))
        await engine.storage.close()

    async def abandon(self) -> None:
        """Go as a process goes that dies: nothing is drained, committed or released.

        The store is closed, as the system closes the files of a dead process.
        """
        if not self._stopped:
            self._stopped = True
            await self._let_go("the host is gone")
            await self._engine.storage.close()

    async def _let_go(self, reason: str) -> None:
        engine = self._engine
        if self._running_in is not None:
            self._running_in.cancel()
            await asyncio.wait([self._running_in])
        for home in list(engine.partitions.values()):  # some may go meanwhile
            await home.loader.stop()
        await engine.pipeline.stop()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        engine.abandon(
            StorageUnavailableError(
                f"{reason}; instances go on when a host runs on this store again"
            )
        )
        engine.discard_all()
        await engine.runner.stop()

    async def _drain(self, seconds: float) -> None:
        engine = self._engine
        if engine.pipeline.unavailable is not None:
            return
        with contextlib.suppress(TimeoutError):
            # Real time: a clock of tests may stand still while activities run.
            async with asyncio.timeout(seconds):
                await engine.runner.drain(seconds)
        if engine.pipeline.unavailable is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(seconds, 5.0)):
                    while engine.turning.out or not engine.is_settled:
                        await engine.pipeline.flush()
                        await asyncio.sleep(0)

    async def _recover(self) -> None:
        """Read what the store has to be done, as at the start; of partitions that are ours."""
        engine = self._engine
        engine.open_elsewhere.clear()
        for partition in engine.partitions.values():
            partition.open_by_root = {}
        with self._reading():
            for number in list(engine.partitions):
                first, rows = await self._read_partition(number)
                engine.count_below(first.open_by_root)
                self._route(rows)
        await self._reload(_HOT, engine.partitions)

    async def _read_partition(self, partition: int) -> tuple[PartitionPage, list[InboxRow]]:
        """The first page of a partition, and its whole inbox."""
        storage = self._engine.storage
        first = page = await storage.load_partition(partition, None, _INBOX_PAGE)
        rows = [*page.rows]
        while page.after is not None:
            page = await storage.load_partition(partition, page.after, _INBOX_PAGE)
            rows += page.rows
        return first, rows

    def _served_anew(self) -> None:
        """Functions have come that were not here: what waits for them is tried again."""
        if not self._stopped:
            _ = self._read_in_background(self._try_unserved())

    async def _try_unserved(self) -> None:
        engine = self._engine
        try:
            await self._want_misfits(HoldReason.NOT_SERVED, engine.partitions)
        except StorageUnavailableError as error:
            text = f"instances that wait for functions could not be read, tried again: {error}"
            engine.observer.problem(None, text)
            engine.clock.call_later(_LOOK, self._served_anew)

    async def _want_misfits(self, reason: HoldReason | None, partitions: Iterable[int]) -> None:
        """Try again who is held for this reason, or for any that is no harm to others."""
        engine = self._engine
        for number in list(partitions):
            iids = await engine.storage.misfits([number], reason)
            home = engine.partitions.get(number)
            if home is not None:
                for iid in iids:
                    home.loader.want(iid, ChangeHold())

    async def _try_misfits(self, partitions: Iterable[int]) -> None:
        """What the code of the hosts before did not fit may fit ours (ENGINE rule 29)."""
        engine = self._engine
        held = await engine.holding.count()
        if held:
            words = ", ".join(f"{count:,} {reason}" for reason, count in sorted(held.items()))
            engine.observer.notice(
                f"instances are held: {words}; those that are no harm to others are tried again "
                "now. `tenuto instances list --held` lists them",
            )
        await self._want_misfits(None, partitions)

    async def _reload(self, after: int, partitions: Collection[int]) -> None:
        """Arm what comes due within the horizon; again before that has passed."""
        engine = self._engine
        now = engine.clock.now()
        until = now + HORIZON
        for wake in await engine.storage.due(list(partitions), after, until):
            home = engine.partitions.get(wake.partition)
            if home is None:
                continue
            if wake.wake_at <= now:
                home.loader.want(wake.iid)
            else:
                home.timers.arm(wake.wake_at, wake.iid)
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
        if self._stopped:
            return
        clock = self._engine.clock
        now, then = clock.now(), clock.monotonic()
        passed, self._looked_at = now - self._looked_at, now
        waited, self._looked_then = then - self._looked_then, then
        if now >= self._reload_due or not 0 <= passed <= waited + _LEAP:
            self._reload_soon()
        clock.call_later(_LOOK, self._look_at_clock)

    def _reload_soon(self) -> None:
        if not self._stopped and self._reloading is None:
            self._reloading = self._read_in_background(self._reload_again())

    async def _reload_again(self) -> None:
        try:
            await self._reload(0, self._engine.partitions)
        except StorageUnavailableError as error:
            self._engine.observer.problem(None, f"timers could not be read, tried again: {error}")
            self._reload_due = 0
        finally:
            self._reloading = None

    def _outside_change(self) -> None:
        """Another process has written: read what it sent."""
        if self._stopped:
            return
        if self._polling is not None:
            self._poll_again = True
            return
        self._polling = self._read_in_background(self._poll())

    def _read_in_background(self, reading: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        engine = self._engine
        engine.reads += 1

        def ended(task: "asyncio.Task[None]") -> None:
            engine.reads -= 1
            self._reading_tasks.discard(task)
            if not task.cancelled():
                task.exception()  # mark as retrieved

        task = self._engine.loop.create_task(reading)
        self._reading_tasks.add(task)  # the loop alone would not keep it alive
        task.add_done_callback(ended)
        return task

    # Messages are read while others come and go, and a row says only that it was there when the
    # page was read. Whether it is still to be delivered is known here, by its id, which never names
    # another message (rule 12); not by who has made it: after a takeover, what this host has sent
    # to a partition of another is a message from outside. A row is passed over in three cases:
    #   - the message is in memory: on its way, with its instance, or being decided;
    #   - it is used up by a batch that is not known to have landed. Should the batch be refused
    #     for good, everything is read anew;
    #   - it is used up by a batch that has landed since the page was asked for.
    # There is no other way to be used up: what has landed before has no row on the page. And each
    # message goes from each case into the next within one callback, so that no page is between.
    # Who leaves memory with messages not used up (held ones) has them in its rows, and finds them
    # there when a copy brings it back.

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
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

    def _route(self, rows: Iterable[InboxRow]) -> None:
        engine = self._engine
        for row in rows:
            home = engine.partitions.get(row.partition)
            if home is not None and not (row.message_id and home.delivery.is_known(row.message_id)):
                engine.arrivals.route(row)

    async def _poll(self) -> None:
        engine = self._engine
        try:
            while True:
                self._poll_again = False
                with self._reading():
                    page = await engine.storage.fetch_inbox(
                        {number: one.cursor for number, one in engine.partitions.items()}
                    )
                    self._route(page.rows)
                    for number, cursor in page.cursors.items():
                        if number in engine.partitions:
                            engine.partitions[number].cursor = cursor
                if not self._poll_again:
                    break
        except StorageUnavailableError as error:
            engine.observer.problem(None, f"messages from outside could not be read: {error}")
            engine.clock.call_later(_LOOK, self._outside_change)
        finally:
            self._polling = None

    def _want_iids(self) -> None:
        if not self._stopped:
            _ = self._read_in_background(self._fetch_iids())

    async def _fetch_iids(self) -> None:
        engine = self._engine
        try:
            engine.iids.add(await engine.storage.reserve_iids(BLOCK))
        except StorageUnavailableError as error:
            engine.observer.problem(None, f"no numbers for instances, asked again: {error}")
            engine.clock.call_later(_LOOK, self._want_iids)
