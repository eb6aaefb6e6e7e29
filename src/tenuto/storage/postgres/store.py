"""The Storage port on PostgreSQL: its async face. Decides nothing itself.

Six connections: commits keep their order on one, other writes have another, reads two, leases and
notifications one each.
"""

import asyncio
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from msgspec import structs

from tenuto.engine.news import EVERYTHING, Written, whatever
from tenuto.engine.ports import (
    HostIdentity,
    HubInfo,
    InboxPage,
    InstanceMark,
    LoadedInstance,
    PartitionPage,
    Standing,
    Wake,
)
from tenuto.engine.rows import Answer, CommitBatch, CommitResult, InboxRow, Lease
from tenuto.model.errors import (
    FencedError,
    SettingsError,
    StorageError,
    StorageLostError,
    StorageOwnedError,
)
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.links import FoundLink
from tenuto.model.requests import (
    DeadLetter,
    DeadLetterPage,
    HistoryPage,
    InstancePage,
    InstanceQuery,
)
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.usage import DIMENSIONS, Day, Dimension, UsageRow
from tenuto.storage.postgres import listing, owning, packing, reading
from tenuto.storage.postgres.access import add_messages
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.committing import Committer, leases, not_held
from tenuto.storage.postgres.connection import Connection, Session, Work, patience_within
from tenuto.storage.postgres.database import HubFacts, open_hub
from tenuto.storage.postgres.direct import check_direct
from tenuto.storage.postgres.errors import (
    CONTENT_ERRORS,
    ERRORS,
    is_about_content,
    translate,
)
from tenuto.storage.postgres.flow import PostgresFlow
from tenuto.storage.postgres.linking import PostgresLinks
from tenuto.storage.postgres.listening import Listening
from tenuto.storage.postgres.members import PostgresMembers
from tenuto.storage.postgres.queues import PostgresQueues
from tenuto.storage.postgres.refusing import named
from tenuto.storage.postgres.renewal import Renewal
from tenuto.storage.postgres.topics import PostgresTopics
from tenuto.storage.sharing import Sharing

T = TypeVar("T")

_READERS: Final = 2
_READER_SETTINGS: Final = {"plan_cache_mode": "force_custom_plan"}
"""Listings have filters that may be left out: one plan for all of them would be slow for most."""
_WAIT_SECONDS: Final = 0.25


class _Hub:
    """An opened store: its connections."""

    def __init__(self, address: Address, sharing: Sharing) -> None:
        self.address = address
        impatient = patience_within(sharing.lease_seconds)
        self.commits = Connection(address, "commits", impatient)
        self.writes = Connection(address, "writes", impatient)
        self.readers = [Connection(address, "reads", _READER_SETTINGS) for _ in range(_READERS)]
        self.next_reader = itertools.cycle(self.readers)
        self.committer = Committer(self.commits, address.url)
        self.renewal = Renewal(address.directly, sharing)
        self.listening = Listening(address.directly)

    async def close(self) -> None:
        """Finish what was asked for and close."""
        await self.renewal.stop()
        await self.listening.stop()
        for connection in (self.commits, self.writes, *self.readers):
            await connection.close()


class PostgresStorage(PostgresTopics, PostgresQueues, PostgresFlow):
    """A task hub in one schema of a PostgreSQL database.

    Args:
        address: Where it is.
        partitions: Number of partitions of a hub that is created here.
        create: Whether a hub that does not exist is made.
        sharing: How hosts share it.

    Example:
        ``storage = PostgresStorage(address_of("postgresql://host/orders"))``
    """

    def __init__(
        self,
        address: Address,
        *,
        partitions: int = 32,
        create: bool = True,
        sharing: Sharing = Sharing(),  # noqa: B008 - frozen
    ) -> None:
        if partitions < 1:
            raise SettingsError(f"a store needs at least 1 partition, got {partitions}")
        self._sharing = sharing
        self._address = address
        self._partitions = partitions
        self._create = create
        self._hub: _Hub | None = None
        self._facts: HubFacts | None = None
        self._info: HubInfo | None = None
        self._callbacks: list[tuple[Callable[[], None], Callable[[Written], bool]]] = []
        self._on_lost: list[Callable[[StorageError], None]] = []
        self._looking_back: asyncio.Task[None] | None = None

    # --- life ----------------------------------------------------------------------------------

    async def open(self) -> HubInfo:
        """Open or create the hub and bring its schema up to date."""
        if self._info is not None:
            return self._info
        hub = _Hub(self._address, self._sharing)
        try:
            await hub.writes.open()
            facts = await hub.writes.do(
                lambda session: open_hub(
                    session, self._address, self._partitions, create=self._create
                ),
                "open",
            )
            await check_direct(self._address, facts)
        except BaseException:
            await hub.close()
            raise
        self._hub, self._facts = hub, facts
        self._info = HubInfo(
            url=self._address.url, partitions=facts.partitions, secret=facts.secret
        )
        hub.listening.on_back = self._look_back
        for callback, concerns in self._callbacks:
            hub.listening.add(callback, concerns)
        hub.renewal.life = facts.incarnation
        hub.renewal.lost = self._lost
        hub.renewal.look_back = self._look_back_soon
        return self._info

    async def close(self) -> None:
        """Close everything; safe to call twice."""
        hub, self._hub, self._info = self._hub, None, None
        if hub is not None:
            await hub.close()

    def on_change(
        self, callback: Callable[[], None], concerns: Callable[[Written], bool] = whatever
    ) -> None:
        """Call back on the loop when another process has written what concerns the caller."""
        self._callbacks.append((callback, concerns))
        if self._hub is not None:
            self._hub.listening.add(callback, concerns)

    def on_lost(self, callback: Callable[[StorageError], None]) -> None:
        """Call back when a server that was away comes back without what it had acknowledged; one
        that stays away may come back, and commits tell of it.
        """
        self._on_lost.append(callback)

    async def _look_back(self) -> None:
        try:
            await self._opened().committer.check()
        except StorageLostError as error:
            self._lost(error)

    def _look_back_soon(self) -> None:
        """One who commits hears of it then; one who is idle would not."""

        async def look() -> None:
            with suppress(StorageError):  # the next look will tell, or a commit
                await self._look_back()

        if self._looking_back is None or self._looking_back.done():
            self._looking_back = asyncio.get_running_loop().create_task(look())

    def _lost(self, error: StorageError) -> None:
        callbacks, self._on_lost = self._on_lost, []
        for callback in callbacks:
            callback(error)

    def _opened(self) -> _Hub:
        if self._hub is None:
            raise StorageError(
                f"the store {self._address.url!r} is not open; open it before using it"
            )
        return self._hub

    @property
    def url(self) -> str:
        """Of the store, as people are shown it."""
        return self._address.url

    @property
    def linking(self) -> PostgresLinks:
        """Links to other hubs."""
        return PostgresLinks(self)

    @property
    def members(self) -> PostgresMembers:
        """The hosts of the hub."""
        hub = self._opened()
        return PostgresMembers(self, hub.renewal, hub.listening, self._sharing.lease_seconds)

    async def read(self, work: Work[T]) -> T:
        """One piece of work that reads."""
        return await next(self._opened().next_reader).do(work, "read")

    async def written(self, work: Work[T], *, tells: Written | None = None) -> T:
        """One piece of work that writes; ``tells``: what other processes want to know of it."""
        hub = self._opened()

        async def whole(session: Session) -> T:
            async with session.together():
                return await work(session)

        try:
            result = await hub.writes.as_it_is(whole)
        except (*ERRORS, *CONTENT_ERRORS) as error:
            if is_about_content(error):
                raise  # whoever has brought the rows names them
            raise translate(error, self._address.url, "write to") from error
        if tells is not None:
            hub.listening.tell(tells)
        return result

    # --- owner ---------------------------------------------------------------------------------

    async def acquire(
        self, host: HostIdentity, partitions: Sequence[int] | None = None
    ) -> list[Lease]:
        """Own these partitions, or all once nobody who lives owns one.

        Raises:
            StorageOwnedError: all are wanted and another host renews the lease of some.
        """
        hub = self._opened()
        if partitions is None:
            await self._until_free(hub)

        async def acquire(session: Session) -> list[Lease]:
            return await owning.take(session, host, partitions, self._sharing.lease_seconds)

        owned = await self.written(acquire)
        if owned:
            hub.renewal.renew_for(host.owner)
        return owned

    async def _until_free(self, hub: _Hub) -> None:
        """Wait for the ends of leases that nobody renews; raise if somebody does."""
        first: dict[int, str] | None = None
        while True:
            found = await self.read(
                lambda session: session.rows("next_owner_is_alone", mine=list(hub.renewal.owners))
            )
            held = [row for row in found if row["is_held"]]
            if not held:
                return
            ends = {row["partition"]: row["until"] for row in found}
            if first is None:
                first = ends
            for row in held:
                if first.get(row["partition"], row["until"]) != row["until"]:
                    raise StorageOwnedError(
                        f"the store {self._address.url!r} is owned by another host "
                        f"({row['description'] or row['owner']}), which renews its lease; end that "
                        "one first, or choose another schema"
                    )
            await asyncio.sleep(_WAIT_SECONDS)

    async def release(self, leases_: Sequence[Lease]) -> None:
        """Give partitions back."""
        # Crash points: before COMMIT they are ours until their leases end.
        await self.written(
            lambda session: session.run("release", **leases(leases_)), tells=EVERYTHING
        )

    async def reserve_iids(self, count: int) -> range:
        """So many iids that nobody has ever had."""
        # Crash points: before COMMIT they are given to the next who asks, after it to nobody.
        last = await self.written(lambda session: session.value("reserve_iids", count=count))
        return range(last - count + 1, last + 1)

    async def commit(self, batch: CommitBatch) -> CommitResult:
        """Write one batch durably."""
        hub = self._opened()
        result = await hub.committer.commit(batch)
        if batch.inbox or batch.published or batch.queued or batch.released:
            hub.listening.tell(_written(batch))
        return result

    async def landed(self, batch: CommitBatch) -> CommitResult | None:
        """What came of a batch whose commit is in doubt."""
        return await self._opened().committer.landed(batch)

    async def load_partition(self, partition: int, after: str | None, limit: int) -> PartitionPage:
        """What an owner must know at takeover, in pages."""
        return await self.read(
            lambda session: reading.load_partition(session, partition, after, limit, self._life)
        )

    async def load_instances(self, iids: Sequence[int]) -> list[LoadedInstance]:
        """Many instances at once, in this order; unknown iids are left out."""
        return await self.read(lambda session: reading.load_instances(session, iids))

    async def find(self, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        """The rows of these instance ids, in this order; unknown ones are left out."""
        return await self.read(lambda session: reading.find(session, instance_ids))

    async def marks(self, after: int | None, limit: int) -> list[InstanceMark]:
        """How far instances are, a page by iid."""
        return await self.read(lambda session: reading.marks(session, after, limit))

    async def due(
        self, partitions: Collection[int], after: Microseconds | None, until: Microseconds
    ) -> list[Wake]:
        """Unfinished instances with after < wake_at <= until, soonest first."""
        return await self.read(lambda session: reading.due(session, partitions, after, until))

    async def next_wake(
        self, partitions: Collection[int], after: Microseconds
    ) -> Microseconds | None:
        """The first time after this one at which an instance is due."""
        return await self.read(lambda session: reading.next_wake(session, partitions, after))

    async def mark_served(self, leases_: Sequence[Lease]) -> None:
        """The owner of these partitions has served for a while."""
        # Crash points: before COMMIT this owner counts as one that died young, after it not.
        await self.written(lambda session: session.run("mark_served", **leases(leases_)))

    async def set_deliveries(self, deliveries: dict[int, int]) -> None:
        """Durably note, by iid, how often instances were tried."""
        # Crash points: before COMMIT the try has not begun, after it, it counts.
        await self.written(
            lambda session: session.run(
                "set_deliveries", iids=list(deliveries), deliveries=list(deliveries.values())
            )
        )

    async def hold(self, session: Session, lease: Lease, so: str) -> None:
        """The lease holds until this transaction is over, or FencedError."""
        if (
            await session.value(
                "hold", partition=lease.partition, owner=lease.owner, epoch=lease.epoch
            )
            is None
        ):
            raise FencedError(
                f"partition {lease.partition} of the store {self._address.url!r} belongs to "
                f"another host now; {so}",
                await not_held(session, [lease]),
            )

    async def notes(self, keys: Sequence[str]) -> dict[str, str]:
        """The texts that are kept under these keys."""
        return await self.read(lambda session: reading.notes(session, keys))

    async def is_asked(self, instance_id: InstanceId, kinds: Collection[str]) -> bool:
        """Whether a request of one of these kinds to an instance waits to be taken in."""
        return await self.read(lambda session: reading.is_asked(session, instance_id, kinds))

    async def open_counts(self, most: int) -> dict[RuntimeStatus, int]:
        """How many instances of each status have not ended and are not held, each up to so many."""
        return await self.read(lambda session: reading.open_counts(session, most))

    async def held_counts(self) -> dict[str, int]:
        """How many instances are held, by reason."""
        return await self.read(reading.held_counts)

    async def usage(
        self, first: Day, last: Day, by: Sequence[Dimension] = DIMENSIONS
    ) -> list[UsageRow]:
        """What was used between two days, both included."""
        return await self.read(lambda session: reading.usage(session, first, last, by))

    async def trim_usage(self, before: Day, owner: str) -> None:
        """Forget what was used before a day and by root instances that have ended, and add up the
        rows of owners that are gone.
        """
        # Crash points: three statements, each a transaction of its own; sums stay as they are.
        await self.written(lambda session: session.run("trim_usage", before=before))
        await self.written(lambda session: session.run("trim_root_usage"))
        await self.written(lambda session: session.run("add_up_the_gone", owner=owner))

    async def root_usage(self, root_ids: Sequence[InstanceId]) -> list[UsageRow]:
        """What root instances have used with all that they call."""
        return await self.read(lambda session: reading.root_usage(session, root_ids))

    async def forget_root_usage(self, root_ids: Sequence[InstanceId]) -> None:
        """These root instances have ended: their budget is not asked for again."""
        roots = list(root_ids)
        await self.written(lambda session: session.run("forget_root_usage", roots=roots))

    async def misfits(
        self, partitions: Collection[int], reason: HoldReason | None = None
    ) -> list[int]:
        """Held instances that a host tries again at its start."""
        return await self.read(lambda session: reading.misfits(session, partitions, reason))

    async def fetch_inbox(self, cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        """Messages and instances started by clients that have come after the cursors; a page."""
        life = self._life
        return await self.read(lambda session: reading.fetch_inbox(session, cursors, after, life))

    # --- everybody -----------------------------------------------------------------------------

    @property
    def _life(self) -> int:
        return self._opened().listening.lives

    async def start_instance(self, record: InstanceRecord) -> InstanceRecord:
        """Insert a pending instance unless its id exists; return the row that stands."""

        async def start(session: Session) -> InstanceRecord:
            columns = zip(packing.INSTANCE_NAMES, packing.instance_columns(record), strict=True)
            values = {name: value for name, value in columns if name != "iid"}
            while True:
                iid = await session.value("start_instance", **values)
                if iid is not None:
                    return structs.replace(record, iid=iid)
                standing = await reading.find(session, [record.instance_id])
                if standing:
                    return standing[0]

        # Crash points: before COMMIT the id is free, after it the instance waits to be fetched;
        # a client that was not told asks again and finds its own execution id.
        async with named(self._address.url, [("instances", record.iid, "instances", record)]):
            return await self.written(start, tells=Written(frozenset({record.partition})))

    async def append(self, rows: Sequence[InboxRow]) -> None:
        """Add messages; a message id that is already there is left alone."""

        async def append(session: Session) -> None:
            await add_messages(session, rows)

        # Crash points: as for a commit; a client that was not told sends the same ids again.
        given = [("messages", row.message_id, "inbox", row) for row in rows]
        async with named(self._address.url, given):
            await self.written(append, tells=_to(rows))

    async def answers(self, message_ids: Sequence[MessageId]) -> list[Answer]:
        """What became of messages from other processes; those that are open are left out."""
        return await self.read(lambda session: reading.answers(session, message_ids))

    async def open_below(
        self, partitions: Collection[int], root_ids: Sequence[InstanceId]
    ) -> dict[InstanceId, int]:
        """Unfinished instances of some partitions below each of some roots."""
        return await self.read(lambda session: reading.open_below(session, partitions, root_ids))

    async def link(self, digest: str) -> FoundLink | None:
        """The link whose token has this digest; None when there is none."""
        return await self.read(lambda session: reading.link(session, digest))

    async def is_waiting(self, message_id: MessageId) -> bool:
        """Whether a message is in the inbox still."""
        return await self.read(lambda session: reading.is_waiting(session, message_id))

    async def waiting_start(self, instance_id: InstanceId) -> InboxRow | None:
        """The oldest start of an id that waits in the inbox; None when none does."""
        return await self.read(lambda session: reading.waiting_start(session, instance_id))

    @property
    def mute(self) -> StorageError | None:
        """Why notifications cannot be sent now; None while they can."""
        return self._opened().listening.mute

    def wake(self) -> None:
        """Have whoever serves the store, here or elsewhere, look for what has come."""
        self._opened().listening.wake()

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """One instance as last committed."""
        found = await self.find([instance_id])
        return found[0] if found else None

    async def query(self, query: InstanceQuery) -> InstancePage:
        """A page of instances."""
        return await self.read(lambda session: listing.query(session, query))

    async def standings(self, instance_ids: Sequence[InstanceId]) -> list[Standing]:
        """Instances without payloads, and how far their histories go."""
        return await self.read(lambda session: reading.standings(session, instance_ids))

    async def history(self, instance_id: InstanceId, most_bytes: int | None = None) -> list[bytes]:
        """The turns of the current execution; empty when unknown."""
        return await self.read(lambda session: reading.history(session, instance_id, most_bytes))

    async def history_page(
        self, instance_id: InstanceId, after: str | None, most_bytes: int
    ) -> HistoryPage:
        """Turns of the current execution, as long as they fit."""
        return await self.read(
            lambda session: reading.history_page(session, instance_id, after, most_bytes)
        )

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest dead letters, newest first."""
        return await self.read(lambda session: reading.dead_letters(session, limit))

    async def dead_letter_page(
        self, limit: int, after: str | None, most_bytes: int
    ) -> DeadLetterPage:
        """Dead letters, newest first, as long as they fit."""
        return await self.read(
            lambda session: reading.dead_letter_page(session, limit, after, most_bytes)
        )

    async def acknowledge_letters(self, message_ids: Sequence[MessageId], now: Microseconds) -> int:
        """Note that somebody has seen to these dead letters."""
        ids = list(message_ids)
        # Crash points: before COMMIT nobody has seen them, after it somebody has.
        return await self.written(
            lambda session: session.run("acknowledge_dead_letters", ids=ids, now=now)
        )


def _to(rows: Sequence[InboxRow]) -> Written:
    """What messages are to other processes; those for linked hubs wait for who has the link."""
    here, away = packing.parted(rows)
    return Written(frozenset(row.partition for row in here), is_more=bool(away))


def _written(batch: CommitBatch) -> Written:
    """What a batch is to other processes."""
    more = Written(
        is_more=bool(batch.published or batch.queued), is_about_hosts=bool(batch.released)
    )
    return _to(batch.inbox).and_also(more)
