"""Starting and stopping an engine: taking partitions, serving them, draining, letting go."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from msgspec import structs

from tenuto.engine.careful import MANY_DEATHS, SERVED, Careful
from tenuto.engine.engine import Engine
from tenuto.engine.member_ports import HasMembers
from tenuto.engine.partition import Partition
from tenuto.engine.ports import HostIdentity
from tenuto.engine.reading import Found, Reading
from tenuto.engine.rows import Lease
from tenuto.model.errors import StorageError, StorageUnavailableError
from tenuto.model.lines import listed_numbers
from tenuto.model.messages import TaskResult

_PATIENCE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.002
"""Between two looks at whether the turns that are out are back."""


class Lifecycle:
    """Brings an engine up on its partitions and down again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = Reading(engine)
        self._host: HostIdentity | None = None
        self._first_name = ""
        self._names = 0
        self._taking = asyncio.Lock()
        self._new: list[Lease] = []
        self._young: deque[list[Lease]] = deque()
        self._running_in: asyncio.Task[None] | None = None
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
        self._host, self._first_name = host, host.owner
        leases = await engine.storage.acquire(host, partitions)
        on_owned()
        await self._reading.iids()
        epoch = leases[0].epoch if leases else 0
        engine.begin(f"{host.owner}.{epoch}", hub_partitions)
        engine.pipeline.outlives_all = host.member is not None
        engine.pipeline.start(host.owner)
        engine.takeback.reload = self._reading.recover
        await self._notice_held()
        await self._serve(leases, has_word=has_word)
        self._reading.begin()

    def arrived(self) -> None:
        """Messages were stored, not by this engine: deliver them."""
        self._reading.poll()

    async def _notice_held(self) -> None:
        """What the code of the hosts before did not fit may fit ours (ENGINE rule 29)."""
        engine = self._engine
        held = await engine.holding.count()
        if held:
            words = ", ".join(f"{count:,} {reason}" for reason, count in sorted(held.items()))
            engine.observer.notice(
                f"instances are held: {words}; those that are no harm to others are tried again "
                "now. `tenuto instances list --held` lists them",
            )

    async def take(self, partitions: Collection[int]) -> None:
        """Take further partitions from whoever has them, and serve them as well.

        All of them or none: when it fails, what was taken already is given back.

        Raises:
            StorageError: they could not be taken, or not be read. They are not ours now, even
                those that were; take them again.
        """
        async with self._busy_taking():
            self._check_running()
            for number in partitions:  # one that was ours and was lost, and we may not know it yet
                self._engine.drop(number)
            wanted = sorted(partitions)
            await self._take_by(partial(self._engine.storage.acquire, partitions=wanted))

    @contextlib.asynccontextmanager
    async def _busy_taking(self) -> AsyncGenerator[None]:
        """One takes at a time, else a partition might be taken twice at once; nobody is idle."""
        self._engine.reads += 1
        try:
            async with self._taking:
                yield
        finally:
            self._engine.reads -= 1

    async def _take_by(
        self, acquire: Callable[[HostIdentity], Awaitable[list[Lease]]]
    ) -> list[Lease]:
        engine = self._engine
        # What was decided under an older lease must not be written under the new one.
        await engine.pipeline.passed()
        assert self._host is not None, "a host that serves takes further ones"
        # A member is known as long as it lives, and keeps its name: what it publishes while it owns
        # nothing is counted under that.
        if not engine.partitions and self._host.member is None:
            await self._take_another_name()
        self._check_running()
        leases = await acquire(self._host)
        try:
            # What instances there have sent to ours, before they were ours, comes first.
            await self._reading.catch_up()
            await self._serve(leases)
        except BaseException:
            for lease in leases:
                engine.drop(lease.partition)
            with contextlib.suppress(StorageError):
                await engine.storage.release(leases)
            raise
        self._reading.poll()
        return leases

    async def take_free(self, partitions: Collection[int]) -> list[int]:
        """Take those of these partitions that no living host has, and serve them as well.

        Returns:
            Which they were.

        Raises:
            StorageError: they could not be taken, or not be read; none is ours then.
        """
        engine = self._engine
        assert isinstance(engine.storage, HasMembers), "a hub with several hosts"
        members = engine.storage.members
        async with self._busy_taking():
            wanted = sorted(set(partitions) - engine.partitions.keys())
            leases = await self._take_by(partial(members.acquire_free, partitions=wanted))
        return [one.partition for one in leases]

    async def give(self, partition: int, seconds: float) -> int:
        """Give a partition to whoever takes it, once its running activities have ended.

        No activity of it begins meanwhile: its next owner starts those. What still runs after so
        many seconds runs again there; no result counts twice.

        Returns:
            How many activities that were.

        Raises:
            StorageError: it is not ours any more, and was not given back: others take it when its
                lease ends.
        """
        engine = self._engine
        home = engine.partitions.get(partition)
        if home is None:
            return 0
        home.is_closing = True
        leaving = asyncio.gather(*(leave(partition, seconds) for leave in engine.moves.giving))
        with contextlib.suppress(TimeoutError):
            # Real time: a clock of tests may stand still while activities run.
            async with asyncio.timeout(seconds):
                while _is_at_work(home):  # noqa: ASYNC110 - many may end it
                    await asyncio.sleep(_LOOK_SECONDS)
        await leaving
        async with self._taking:
            if not engine.is_ours(home):
                return 0  # it was lost meanwhile
            await engine.pipeline.passed()  # the results that have come
            running = sum(len(one.works) for one in home.residents)
            engine.drop(partition)
            await engine.pipeline.passed()
            await engine.storage.release([home.lease])
        return running

    async def _take_another_name(self) -> None:
        """Of who owns nothing the store may forget how many commits it has made."""
        engine = self._engine
        assert self._host is not None, "a host that serves takes further ones"
        await engine.pipeline.flush()
        self._names += 1
        owner = f"{self._first_name}.{self._names}"
        self._host = structs.replace(self._host, owner=owner)
        engine.pipeline.begin_as(self._host.owner)

    def _check_running(self) -> None:
        if self._stopped:
            raise StorageUnavailableError("the host is stopping; it takes nothing any more")
        if not self._engine.pipeline.is_running:
            raise StorageUnavailableError(
                "the host cannot write to the store any more, and takes nothing; start another"
            )

    async def _serve(self, leases: Sequence[Lease], *, has_word: bool = False) -> None:
        """Read what the store has to be done, all of it, then own the partitions and do it."""
        engine = self._engine
        numbers = [lease.partition for lease in leases]
        if engine.budgets is not None and leases:
            # Who ended before a host did may have left a sum: nobody is to begin with it.
            await engine.storage.trim_usage(0, leases[0].owner)
        with engine.arrivals.passing_by() as late:
            found = await self._reading.found(numbers)
            misfits = await self._reading.misfits(numbers, None)
            self._check_running()
            for lease in leases:
                page = found[lease.partition].page
                partition = Partition(engine, lease, page.cursor)
                partition.deaths = page.deaths
                engine.own(partition)
            self._be_careful(found, has_word=has_word)
            for number in numbers:
                self._reading.bring_up(engine.partitions[number], found[number])
            self._reading.route([row for row in late if row.partition in found])
        self._reading.try_again(misfits)
        self._new += leases
        if self._running_in is None:
            self._running_in = engine.loop.create_task(self._run_in())

    def _be_careful(self, found: Mapping[int, Found], *, has_word: bool) -> None:
        """With those partitions whose owners have died young, one after another."""
        engine = self._engine
        young = {number: one.page.deaths for number, one in found.items()}
        young = {number: deaths for number, deaths in young.items() if deaths >= MANY_DEATHS}
        if not young:
            return
        words = "one after another, those that were busy first" if has_word else "in groups"
        died = f"{max(young.values())} hosts in a row have died"
        where = "young on this store"
        if len(young) < engine.hub_partitions:
            numbers = listed_numbers(young)
            where = f"soon after they had taken partitions {numbers} of this store"
        engine.observer.notice(
            f"{died} {where}: instances are let run {words}, to find out which of them is the "
            "cause",
        )
        if engine.careful is None:
            engine.careful = Careful(engine, has_word=has_word)
        for number, deaths in young.items():
            engine.careful.take(engine.partitions[number], deaths)

    async def _run_in(self) -> None:
        """Be careful as long as there is reason to, and then have served for a while."""
        engine = self._engine
        if engine.careful is not None:
            await engine.careful.run()
            engine.careful = None
            engine.observer.notice("everything runs again, as ever")
        self._young.append(self._new)
        self._new = []
        engine.clock.call_later(SERVED, self._served)
        self._running_in = None

    def _served(self) -> None:
        leases = self._young.popleft()
        if not self._stopped:
            _ = self._reading.in_background(self._note_served(leases))

    async def _note_served(self, leases: Sequence[Lease]) -> None:
        # By these leases, not by those that we have now: some may have gone, and come anew since.
        with contextlib.suppress(StorageError):  # then a death of this host counts as an early one
            await self._engine.storage.mark_served(leases)

    async def stop(self, drain_seconds: float) -> None:
        """Stop starting work, let what runs end (at most this long), commit it, let go."""
        if self._stopped:
            return
        self._stopped = True
        self._reading.end()
        engine = self._engine
        engine.is_draining = True
        with contextlib.suppress(StorageError):
            await self._drain(drain_seconds)
        await self._let_go("the host has stopped")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS), self._taking:
                pass  # whoever takes something gives it back before the store is closed
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
        await engine.correlation.stop()
        await engine.pipeline.stop()
        await self._reading.stop()
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
                async with asyncio.timeout(max(seconds, _PATIENCE_SECONDS)):
                    while engine.turning.out or not engine.is_settled:
                        await engine.pipeline.flush()
                        await asyncio.sleep(_LOOK_SECONDS if engine.turning.out else 0)


def _is_at_work(home: Partition) -> bool:
    """Whether activities of it run, or have results that no turn has taken in."""
    return any(
        one.works or any(isinstance(message, TaskResult) for message in one.inbox)
        for one in home.residents
    )
