"""The Storage port on SQLite: its async face.

Puts each call on the right thread: what writes on the writer's, what reads on the reader's (one
and the same for a store in memory). Decides nothing itself.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import apsw

from tenuto.engine.news import Written, whatever
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
from tenuto.model.codec import encode
from tenuto.model.errors import SettingsError, StorageError
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
from tenuto.storage.sqlite import listing, reader
from tenuto.storage.sqlite.batch import text as packed_text
from tenuto.storage.sqlite.changes import ChangeWatcher
from tenuto.storage.sqlite.database import MEMORY, HubFacts, open_reader, open_writer
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.files import StoreFiles
from tenuto.storage.sqlite.flow import SqliteFlow
from tenuto.storage.sqlite.linking import SqliteLinks
from tenuto.storage.sqlite.narrowing import packed
from tenuto.storage.sqlite.queues import SqliteQueues
from tenuto.storage.sqlite.topics import SqliteTopics
from tenuto.storage.sqlite.worker import Worker
from tenuto.storage.sqlite.writer import Writer

T = TypeVar("T")


_OPEN_HERE: Final[Counter[str]] = Counter()


class _Hub:
    """An opened store: two connections and the threads that use them."""

    def __init__(self, path: str, *, create: bool) -> None:
        self.path = path
        self.create = create
        self._is_listed = False
        self.writer: Writer | None = None
        self.writing = Worker("tenuto-sqlite-writer", self._upkeep)
        self.reading = self.writing if path == MEMORY else Worker("tenuto-sqlite-reader")
        self.reader: apsw.Connection | None = None
        self.watcher: ChangeWatcher | None = None

    def _upkeep(self) -> float | None:
        return self.writer.upkeep() if self.writer else None

    async def open(self, partitions: int) -> HubFacts:
        """Open both connections, each on its thread."""
        if not self._is_listed:
            self._is_listed = True
            _OPEN_HERE[self.path] += 1
        facts = await self.writing.submit(partial(self._open_writer, partitions))
        await self.reading.submit(self._open_reader)
        if self.path != MEMORY:
            assert self.writer is not None
            assert isinstance(self.writer.files, StoreFiles)
            self.watcher = ChangeWatcher(
                self.writer.files.signature, self._data_version, lambda: self._is_log_ours
            )
        return facts

    def _open_writer(self, partitions: int) -> HubFacts:
        connection, facts = open_writer(self.path, partitions, create=self.create)
        self.writer = Writer(self.path, connection)
        return facts

    def _open_reader(self) -> None:
        assert self.writer is not None
        in_memory = self.path == MEMORY
        self.reader = self.writer.connection if in_memory else open_reader(self.path)

    @property
    def _is_log_ours(self) -> bool:
        return self.writer is not None and self.writer.is_log_ours

    def _data_version(self) -> asyncio.Future[int]:
        assert self.writer is not None
        return self.writing.submit(self.writer.data_version)

    async def close(self) -> None:
        """Finish what was asked for and close."""
        try:
            await self._close()
        finally:
            if self._is_listed:
                self._is_listed = False
                _OPEN_HERE[self.path] -= 1

    async def _close(self) -> None:
        if self.watcher is not None:
            self.watcher.stop()
        if self.reading is not self.writing:
            # First, so that the writer's is the last connection and folds the log in.
            await self.reading.stop(self._close_reader)
        await self.writing.stop(self._close_writer)

    def _close_reader(self) -> None:
        if self.reader is not None:
            self.reader.close()

    def _close_writer(self) -> None:
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()


class SqliteStorage(SqliteTopics, SqliteQueues, SqliteFlow):
    """A task hub in one SQLite file, or in memory for tests (``path`` ":memory:").

    Args:
        path: The file; created when it does not exist, its folder is not.
        partitions: Number of partitions of a hub that is created here.
        create: Whether a file that does not exist is made.

    Example:
        ``storage = SqliteStorage("orders.db"); await storage.open()``
    """

    def __init__(
        self, path: str | os.PathLike[str], *, partitions: int = 1, create: bool = True
    ) -> None:
        if partitions < 1:
            raise SettingsError(f"a store needs at least 1 partition, got {partitions}")
        given = os.fspath(path)
        # The real path, so that every name of the file leads to the same lock.
        self._path = MEMORY if given == MEMORY else os.path.realpath(given)
        self._partitions = partitions
        self._create = create
        self._hub: _Hub | None = None
        self._info: HubInfo | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._on_lost: list[Callable[[StorageError], None]] = []

    # --- life ----------------------------------------------------------------------------------

    async def open(self) -> HubInfo:
        """Open or create the hub and bring its schema up to date."""
        if self._info is not None:
            return self._info
        hub = _Hub(self._path, create=self._create)
        try:
            facts = await hub.open(self._partitions)
        except BaseException:
            await hub.close()
            raise
        self._hub = hub
        self._info = HubInfo(
            url=_url(self._path),
            partitions=facts.partitions,
            secret=facts.secret,
            copied_at=facts.copied_at,
        )
        if hub.watcher is not None:
            for callback in self._callbacks:
                hub.watcher.add(callback)
            for on_lost in self._on_lost:
                hub.watcher.add_lost(on_lost)
        return self._info

    async def close(self) -> None:
        """Close everything; safe to call twice."""
        hub, self._hub, self._info = self._hub, None, None
        if hub is not None:
            await hub.close()

    def on_change(
        self,
        callback: Callable[[], None],
        concerns: Callable[[Written], bool] = whatever,  # noqa: ARG002 - it has one host
    ) -> None:
        """Call back on the loop when another process has written."""
        self._callbacks.append(callback)
        if self._hub is not None and self._hub.watcher is not None:
            self._hub.watcher.add(callback)

    def on_lost(self, callback: Callable[[StorageError], None]) -> None:
        """Call back once on the loop when the files are seen to be gone or not whole."""
        self._on_lost.append(callback)
        if self._hub is not None and self._hub.watcher is not None:
            self._hub.watcher.add_lost(callback)

    def _opened(self) -> _Hub:
        if self._hub is None:
            raise StorageError(f"the store {self._path!r} is not open; open it before using it")
        return self._hub

    def _write(self, job: Callable[[Writer], T]) -> asyncio.Future[T]:
        hub = self._opened()
        assert hub.writer is not None
        return hub.writing.submit(partial(job, hub.writer))

    def _read(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        hub = self._opened()
        assert hub.writer is not None
        hub.writer.files.glance()

        def read() -> T:
            assert hub.reader is not None
            with translated(hub.path, "read"):
                return job(hub.reader)

        return hub.reading.submit(read)

    @property
    def linking(self) -> SqliteLinks:
        """Links to other hubs."""
        return SqliteLinks(self._read, self._write_whole)

    def _write_whole(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        return self._write(lambda writer: writer.write(job))

    # --- owner ---------------------------------------------------------------------------------

    async def acquire(
        self, host: HostIdentity, partitions: Sequence[int] | None = None
    ) -> list[Lease]:
        """Take these partitions or all, in this process, or StorageOwnedError."""
        return await self._write(lambda writer: writer.acquire(host, partitions))

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give partitions back."""
        await self._write(lambda writer: writer.release(leases))

    async def reserve_iids(self, count: int) -> range:
        """So many iids that nobody has ever had."""
        return await self._write(lambda writer: writer.reserve_iids(count))

    async def commit(self, batch: CommitBatch) -> CommitResult:
        """Write one batch durably."""
        arguments = packed(batch)
        hub = self._opened()
        assert hub.writer is not None
        commit = partial(hub.writer.commit, batch, arguments)
        if arguments is not None and hub.writer.is_quick(arguments):
            done = hub.writing.try_here(commit)
            if done is not None:
                return done[0]
        return await hub.writing.submit(commit)

    async def landed(self, batch: CommitBatch) -> CommitResult | None:
        """What came of a batch whose commit is in doubt."""
        return await self._write(lambda writer: writer.landed(batch))

    async def load_partition(self, partition: int, after: str | None, limit: int) -> PartitionPage:
        """What an owner must know at takeover, in pages."""
        return await self._read(
            lambda reading: reader.load_partition(reading, partition, after, limit)
        )

    async def load_instances(self, iids: Sequence[int]) -> list[LoadedInstance]:
        """Many instances at once, in this order; unknown iids are left out."""
        return await self._read(lambda reading: reader.load_instances(reading, iids))

    async def find(self, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        """The rows of these instance ids, in this order; unknown ones are left out."""
        return await self._read(lambda reading: reader.find(reading, instance_ids))

    async def marks(self, after: int | None, limit: int) -> list[InstanceMark]:
        """How far instances are, a page by iid."""
        return await self._read(lambda reading: reader.marks(reading, after, limit))

    async def due(
        self, partitions: Collection[int], after: Microseconds | None, until: Microseconds
    ) -> list[Wake]:
        """Unfinished instances with after < wake_at <= until, soonest first."""
        return await self._read(lambda reading: reader.due(reading, partitions, after, until))

    async def next_wake(
        self, partitions: Collection[int], after: Microseconds
    ) -> Microseconds | None:
        """The first time after this one at which an instance is due."""
        return await self._read(lambda reading: reader.next_wake(reading, partitions, after))

    async def mark_served(self, leases: Sequence[Lease]) -> None:
        """The owner of these partitions has served for a while."""
        await self._write(lambda writer: writer.mark_served(leases))

    async def set_deliveries(self, deliveries: dict[int, int]) -> None:
        """Durably note, by iid, how often instances were tried."""
        await self._write(lambda writer: writer.set_deliveries(deliveries))

    async def write_note(self, lease: Lease, key: str, text: str) -> None:
        """Keep a text under a key, as the owner of a partition."""
        await self._write(lambda writer: writer.write_note(lease, key, text))

    async def notes(self, keys: Sequence[str]) -> dict[str, str]:
        """The texts that are kept under these keys."""
        return await self._read(lambda reading: reader.notes(reading, keys))

    async def is_asked(self, instance_id: InstanceId, kinds: Collection[str]) -> bool:
        """Whether a request of one of these kinds to an instance waits to be taken in."""
        return await self._read(lambda reading: reader.is_asked(reading, instance_id, kinds))

    async def open_counts(self, most: int) -> dict[RuntimeStatus, int]:
        """How many instances of each status have not ended and are not held, each up to so many."""
        return await self._read(lambda reading: reader.open_counts(reading, most))

    async def held_counts(self) -> dict[str, int]:
        """How many instances are held, by reason."""
        return await self._read(reader.held_counts)

    async def usage(
        self, first: Day, last: Day, by: Sequence[Dimension] = DIMENSIONS
    ) -> list[UsageRow]:
        """What was used between two days, both included."""
        return await self._read(lambda reading: reader.usage(reading, first, last, by))

    async def trim_usage(self, before: Day, owner: str) -> None:  # noqa: ARG002 - it has one host
        """Forget what was used before a day, and by root instances that have ended."""
        await self._write(lambda writer: writer.change_messages("trim_usage", before=before))
        await self._write(lambda writer: writer.change_messages("trim_root_usage"))

    async def root_usage(self, root_ids: Sequence[InstanceId]) -> list[UsageRow]:
        """What root instances have used with all that they call."""
        return await self._read(lambda reading: reader.root_usage(reading, root_ids))

    async def forget_root_usage(self, root_ids: Sequence[InstanceId]) -> None:
        """These root instances have ended: their budget is not asked for again."""
        roots = packed_text(root_ids)
        await self._write(lambda writer: writer.change_messages("forget_root_usage", roots=roots))

    async def misfits(
        self, partitions: Collection[int], reason: HoldReason | None = None
    ) -> list[int]:
        """Held instances that a host tries again at its start."""
        return await self._read(lambda reading: reader.misfits(reading, partitions, reason))

    async def fetch_inbox(self, cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        """Messages and instances started by clients that have come after the cursors; a page."""
        return await self._read(lambda reading: reader.fetch_inbox(reading, cursors, after))

    # --- everybody -----------------------------------------------------------------------------

    async def start_instance(self, record: InstanceRecord) -> InstanceRecord:
        """Insert a pending instance unless its id exists; return the row that stands."""
        return await self._write(lambda writer: writer.start_instance(record))

    async def append(self, rows: Sequence[InboxRow]) -> None:
        """Add messages; a message id that is already there is left alone."""
        await self._write(lambda writer: writer.append(rows))

    async def answers(self, message_ids: Sequence[MessageId]) -> list[Answer]:
        """What became of messages from other processes; those that are open are left out."""
        return await self._read(lambda reading: reader.answers(reading, message_ids))

    async def open_below(
        self, partitions: Collection[int], root_ids: Sequence[InstanceId]
    ) -> dict[InstanceId, int]:
        """Unfinished instances of some partitions below each of some roots."""
        return await self._read(lambda reading: reader.open_below(reading, partitions, root_ids))

    async def link(self, digest: str) -> FoundLink | None:
        """The link whose token has this digest; None when there is none."""
        return await self._read(lambda reading: reader.link(reading, digest))

    async def is_waiting(self, message_id: MessageId) -> bool:
        """Whether a message is in the inbox still."""
        return await self._read(lambda reading: reader.is_waiting(reading, message_id))

    async def waiting_start(self, instance_id: InstanceId) -> InboxRow | None:
        """The oldest start of an id that waits in the inbox; None when none does."""
        return await self._read(lambda reading: reader.waiting_start(reading, instance_id))

    def wake(self) -> None:
        """Nothing: changes of the file are seen."""

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """One instance as last committed."""
        found = await self.find([instance_id])
        return found[0] if found else None

    async def query(self, query: InstanceQuery) -> InstancePage:
        """A page of instances."""
        return await self._read(lambda reading: listing.query(reading, query))

    async def standings(self, instance_ids: Sequence[InstanceId]) -> list[Standing]:
        """Instances without payloads, and how far their histories go."""
        return await self._read(lambda reading: reader.standings(reading, instance_ids))

    async def history(self, instance_id: InstanceId, most_bytes: int | None = None) -> list[bytes]:
        """The turns of the current execution; empty when unknown."""
        return await self._read(lambda reading: reader.history(reading, instance_id, most_bytes))

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest dead letters, newest first."""
        return await self._read(lambda reading: reader.dead_letters(reading, limit))

    async def history_page(
        self, instance_id: InstanceId, after: str | None, most_bytes: int
    ) -> HistoryPage:
        """Turns of the current execution, as long as they fit."""
        return await self._read(
            lambda reading: reader.history_page(reading, instance_id, after, most_bytes)
        )

    async def dead_letter_page(
        self, limit: int, after: str | None, most_bytes: int
    ) -> DeadLetterPage:
        """Dead letters, newest first, as long as they fit."""
        return await self._read(
            lambda reading: reader.dead_letter_page(reading, limit, after, most_bytes)
        )

    async def acknowledge_letters(self, message_ids: Sequence[MessageId], now: Microseconds) -> int:
        """Note that somebody has seen to these dead letters."""
        ids = encode(list(message_ids)).decode()
        return await self._write(
            lambda writer: writer.change_messages("acknowledge_dead_letters", ids=ids, now=now)
        )


def is_open_here(path: str) -> bool:
    """Whether this process has the file of this real path open with the SQLite of apsw."""
    return _OPEN_HERE[path] > 0


def _url(path: str) -> str:
    return "sqlite://" if path == MEMORY else f"sqlite:///{path}"
