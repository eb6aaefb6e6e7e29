"""Everything that writes, as done on the writer thread.

Owns the only writing connection of this process, the owner lock and the checkpoints of the
write-ahead log. Keeps the promises ``durable_before_visible`` (synchronous=FULL: a commit returns
after its fsync) and, with the fences, ``one_owner``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, TypeVar

import apsw
import msgspec

from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import CommitBatch, CommitResult, InboxRow, Lease
from tenuto.engine.topic_ports import FailedDelivery, Progress, Redriven, Trimmed
from tenuto.model.errors import FencedError, RowsRefusedError, StorageError
from tenuto.model.ids import iid_of_arrival
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tenuto.storage.batches import collisions, without
from tenuto.storage.sqlite import reader
from tenuto.storage.sqlite.batch import (
    ONE_STATEMENT_BYTES,
    claim,
    cut,
    only,
    pieces,
    text,
    weight,
)
from tenuto.storage.sqlite.copies import start_copy
from tenuto.storage.sqlite.database import MEMORY, Arguments, transaction, value
from tenuto.storage.sqlite.errors import translate, translated
from tenuto.storage.sqlite.files import NoFiles, StoreFiles
from tenuto.storage.sqlite.lock import OwnerLock, check_names
from tenuto.storage.sqlite.narrowing import CONTENT_ERRORS, is_about_content, refused_rows
from tenuto.storage.sqlite.queries import SQL

T = TypeVar("T")

_SMALL_BYTES = 8 * 1024
_QUICK_SECONDS = 0.0005
_PAGES_PER_CHECKPOINT = 1024  # 4 MiB
_PAGES_KEPT = 4096  # 16 MiB
_CHECKPOINT_SECONDS = 0.3
_TRUNCATE_SECONDS = 2.0
_BUSY_MILLISECONDS = 5_000
_LAST = 2**63 - 1
_COMMIT = SQL["commit"]
_NONE_REFUSED = CommitResult()
_unread = msgspec.json.Decoder(dict[str, int]).decode
_numbers = msgspec.json.Decoder(tuple[int, ...]).decode
_decode_ids = msgspec.json.Decoder(dict[str, int]).decode
_decode_message_keys = msgspec.json.Decoder(frozenset[tuple[int, str]]).decode
_decode_iids = msgspec.json.Decoder(frozenset[int]).decode


class Writer:
    """The writing connection of one process. Used by one thread only."""

    def __init__(self, path: str, connection: apsw.Connection) -> None:
        has_log = path != MEMORY and not connection.readonly("main")
        self.connection = connection
        self.files: StoreFiles | NoFiles = (
            NoFiles() if path == MEMORY else StoreFiles(path, connection, has_log=has_log)
        )
        self._path = path
        self._lock = OwnerLock(path)
        self._has_log = has_log
        self._unsaved_since: float | None = None
        self._log_since: float | None = None
        self._own_signature: object = None
        self.is_log_ours = False
        self._pages_saved = 0
        self._commit_seconds = 1.0

    # --- owner ---------------------------------------------------------------------------------

    def acquire(self, host: HostIdentity, partitions: Sequence[int] | None = None) -> list[Lease]:
        """Take the lock, then these partitions, or all, in a new epoch."""
        was_held = self._lock.held
        if self._path != MEMORY:
            check_names(self._path)
            self._lock.take(host.description)
        try:
            # Crash points: before COMMIT the old epoch stands and the system drops our lock;
            # after it the epoch is counted up without an owner at work, which is harmless.
            with self._writing("own"), transaction(self.connection):
                if value(self.connection, "copied_at") is not None:
                    start_copy(self.connection, self._path)
                wanted = None if partitions is None else msgspec.json.encode(partitions).decode()
                self.connection.execute(SQL["forget_landed"])
                self.connection.execute(SQL["begin_landed"], {"owner": host.owner})
                arguments = {"owner": host.owner, "partitions": wanted}
                self.connection.execute(SQL["acquire"], arguments)
                leases = reader.leases(self.connection)
        except BaseException:
            if not was_held:
                self._lock.drop()
            raise
        return [
            lease
            for lease in leases
            if lease.owner == host.owner and (partitions is None or lease.partition in partitions)
        ]

    def release(self, leases: Sequence[Lease]) -> None:
        """Give partitions back; the lock goes with the last."""
        # Crash points: none that matter; a dead owner's lease is taken over by the next epoch.
        with self._writing("release"), transaction(self.connection):
            self._execute_for("release", leases)
        self._drop_the_last()

    def _drop_the_last(self) -> None:
        with translated(self._path, "read"):
            if not reader.leases(self.connection):
                self._lock.drop()

    def reserve_iids(self, count: int) -> range:
        """Numbers for new instances."""
        # Crash points: before COMMIT they are given to the next who asks, after it to nobody.
        with self._writing("write to"), transaction(self.connection):
            last = value(self.connection, "reserve_iids", {"count": count})
        return range(last - count + 1, last + 1)

    def mark_served(self, leases: Sequence[Lease]) -> None:
        """Their owner did not die young."""
        # Crash points: before COMMIT this owner counts as one that died young, after it not.
        with self._writing("write to"), transaction(self.connection):
            self._execute_for("served", leases)

    def _execute_for(self, statement: str, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self.connection.execute(
                SQL[statement],
                {"partition": lease.partition, "owner": lease.owner, "epoch": lease.epoch},
            )

    def set_deliveries(self, deliveries: dict[int, int]) -> None:
        """Note how often instances were tried."""
        # Crash points: before COMMIT the try has not begun, after it, it counts.
        rows = text(list(deliveries.items()))
        with self._writing("write to"), transaction(self.connection):
            self.connection.execute(SQL["set_deliveries"], {"rows": rows})

    def write_note(self, lease: Lease, key: str, text: str) -> None:
        """Keep a note for the owner of a partition.

        Raises:
            FencedError: the lease does not hold any more.
        """
        self.write_notes(lease, {key: text})

    def write_notes(
        self,
        lease: Lease,
        notes: Mapping[str, str],
        failed: Sequence[FailedDelivery] = (),
        redelivered: Sequence[int] = (),
    ) -> None:
        """Keep notes, with what is put aside and what was given back and is done with.

        Raises:
            FencedError: the lease does not hold any more.
        """
        # Crash points: before COMMIT the old notes stand, after it the new ones, with the rest.
        arguments = {"partition": lease.partition, "owner": lease.owner, "epoch": lease.epoch}
        with self._writing("write to"), transaction(self.connection):
            if reader.not_held(self.connection, [lease]):
                raise FencedError(
                    f"partition {lease.partition} of the store {self._path!r} belongs to another "
                    f"host now; notes such as {next(iter(notes), None)!r} are that one's to write",
                    [lease.partition],
                )
            for key, note in notes.items():
                self.connection.execute(SQL["write_note"], arguments | {"key": key, "text": note})
            if failed:
                self.connection.execute(SQL["add_failed"], {"failed": text(failed)})
            if redelivered:
                gone = {"positions": text(redelivered)}
                self.connection.execute(SQL["end_redeliveries"], gone)

    def commit(self, batch: CommitBatch, arguments: Arguments | None) -> CommitResult:
        """Write one batch; ``arguments`` is its packed form, None for one that is to be cut up.

        Raises:
            RowsRefusedError: it holds rows that this store can never hold.
        """
        began = monotonic()
        try:
            self.files.before_write()
            result = self._commit(batch, arguments)
            self.files.after_write()
        except (*CONTENT_ERRORS, apsw.Error) as error:
            raise self._fenced(batch, self._told(error)) from error
        self._wrote()
        if batch.released:
            self._drop_the_last()
        if arguments is not None and weight(arguments) <= _SMALL_BYTES:
            self._commit_seconds += (monotonic() - began - self._commit_seconds) / 8
        return result

    def is_quick(self, arguments: Arguments) -> bool:
        """Whether a commit takes so short that switching to another thread would cost as much."""
        return self._commit_seconds < _QUICK_SECONDS and weight(arguments) <= _SMALL_BYTES

    def _commit(self, batch: CommitBatch, arguments: Arguments | None) -> CommitResult:
        # Crash points: the statement is a transaction of its own. Before its fsync has returned,
        # all of it or nothing is found after the restart, and nobody has been told; after it,
        # all of it is found. ``landed`` tells which.
        if arguments is not None:
            try:
                self.connection.execute(_COMMIT, arguments)
            except CONTENT_ERRORS as error:
                if not is_about_content(error):
                    raise
            else:
                return _NONE_REFUSED
        try:
            return self._commit_in_pieces(batch)
        except CONTENT_ERRORS as error:
            if is_about_content(error):
                self._narrow_down(batch, error)
            raise

    def _commit_in_pieces(self, batch: CommitBatch) -> CommitResult:
        """The slow way: leave out what is refused, and cut up what is too long."""
        with transaction(self.connection):  # all or nothing, as its crash points say
            batch, refused = self._without_taken(batch)
            self.connection.execute(_COMMIT, only(**claim(batch, refused)))
            for arguments in pieces(batch, ONE_STATEMENT_BYTES):
                self.connection.execute(_COMMIT, arguments)
        return CommitResult(refused)

    def _narrow_down(self, batch: CommitBatch, error: Exception) -> None:
        """Raise which rows of the batch the store refuses, if it is about single rows."""
        # Crash points: none; it is rolled back whatever comes of it.
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            batch, _ = self._without_taken(batch)
            found = refused_rows(self.connection, batch, self._path, ONE_STATEMENT_BYTES)
        finally:
            # SQLite rolls back by itself after a full disk or an I/O error.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        if found is not None:
            raise found from error

    def _without_taken(self, batch: CommitBatch) -> tuple[CommitBatch, frozenset[int]]:
        """The batch without the instances whose ids are taken, and which these are."""
        refused, standing = self._collisions(batch)
        if refused or standing:
            batch = without(batch, refused, standing, self._kept(batch, refused))
        return batch, refused

    def _collisions(self, batch: CommitBatch) -> tuple[frozenset[int], frozenset[int]]:
        """New iids whose instance id is another's, and those that are in the store already."""
        ids = [_storable(record.instance_id) for record in batch.instances]
        taken = _decode_ids(value(self.connection, "taken_ids", {"ids": text(ids)}))
        return collisions(batch, taken)

    def _kept(self, batch: CommitBatch, refused: frozenset[int]) -> frozenset[tuple[int, str]]:
        refused_ids = [one.instance_id for one in batch.instances if one.iid in refused]
        ids = [_storable(instance_id) for instance_id in refused_ids]
        return _decode_message_keys(value(self.connection, "messages_to", {"ids": text(ids)}))

    def landed(self, batch: CommitBatch) -> CommitResult | None:
        """Whether a batch is in the store; here, so that commits before it are over."""
        claimed = {"owner": batch.owner, "number": batch.number}
        with translated(self._path, "read"), transaction(self.connection, "DEFERRED"):
            refused = value(self.connection, "landed", claimed | {"batch_id": batch.batch_id})
            if refused is not None:
                return CommitResult(_decode_iids(refused))
            lost = self._not_held(batch)
            if not lost and not value(self.connection, "is_next", claimed):
                lost = [fence.partition for fence in batch.fences]
                raise FencedError(
                    f"commit {batch.number} to the store {self._path!r} has not landed and never "
                    "will: it is not the next of its owner",
                    lost,
                )
        if lost:
            raise FencedError(
                f"partitions {lost} of the store {self._path!r} belong to another host now; this "
                "one was too slow or cut off and has lost them",
                lost,
            )
        return None

    def _not_held(self, batch: CommitBatch) -> list[int]:
        return reader.not_held(self.connection, batch.fences)

    def _fenced(self, batch: CommitBatch, error: StorageError) -> StorageError:
        """The same error; of a fence, with the partitions that are lost."""
        if isinstance(error, FencedError):
            with suppress(apsw.Error):
                return FencedError(str(error), self._not_held(batch))
        return error

    # --- everybody -----------------------------------------------------------------------------

    def start_instance(self, record: InstanceRecord) -> InstanceRecord:
        """Insert an instance from outside, unless its id exists; return the row that stands."""
        # Crash points: before COMMIT the id is free, after it the instance waits to be fetched;
        # a client that was not told asks again and finds its own execution id.
        with self._writing("write to"), transaction(self.connection):
            standing = reader.find(self.connection, [record.instance_id])
            if standing:
                return standing[0]
            number = value(self.connection, "next_arrival")
            record = msgspec.structs.replace(record, iid=iid_of_arrival(number))
            try:
                self.connection.execute(_COMMIT, only(instances=text([record])))
            except CONTENT_ERRORS as error:
                raise self._refusal(error, {"instances": {record.iid: str(error)}}) from error
        return record

    def append(self, rows: Sequence[InboxRow]) -> None:
        """Add messages from outside."""
        # Crash points: as for a commit; a client that was not told sends the same ids again.
        with self._writing("write to"), transaction(self.connection):
            try:
                for part in cut(rows, ONE_STATEMENT_BYTES):
                    self.connection.execute(_COMMIT, only(inbox=part))
            except CONTENT_ERRORS as error:
                ids = {row.message_id: str(error) for row in rows}
                raise self._refusal(error, {"messages": ids}) from error

    # --- topics and queues -----------------------------------------------------------------------

    def publish(
        self,
        events: Sequence[PublishedEvent],
        messages: Sequence[QueuedMessage],
        sent: Sequence[InboxRow],
    ) -> None:
        """Add events and messages from outside."""
        # Crash points: as for ``append``; ids that are there already are left alone.
        with self._writing("write to"), transaction(self.connection):
            try:
                for name, rows in (("published", events), ("queued", messages), ("inbox", sent)):
                    for part in cut(rows, ONE_STATEMENT_BYTES):
                        self.connection.execute(_COMMIT, only(**{name: part}))
            except CONTENT_ERRORS as error:
                posted: list[PublishedEvent | QueuedMessage] = [*events, *messages]
                keys = [one.post_key for one in posted] + [one.message_id for one in sent]
                reasons = {"messages": dict.fromkeys(keys, str(error))}
                raise self._refusal(error, reasons) from error

    def write_progress(self, lease: Lease, progress: Sequence[Progress]) -> None:
        """Note how far subscriptions are, with what was put aside.

        Raises:
            FencedError: the lease does not hold any more.
        """
        # Crash points: before COMMIT what was delivered is delivered again, after it no more.
        fence = {"partition": lease.partition, "owner": lease.owner, "epoch": lease.epoch}
        with self._writing("write to"), transaction(self.connection):
            for one in progress:
                place = one.place
                row = {
                    "name": place.name,
                    "topic": place.topic,
                    "position": place.position,
                    "done": text(place.done) or "[]",
                    "updated_at": one.at,
                    "tried": text(place.tried) or "[]",
                    "is_full": place.is_full,
                }
                if value(self.connection, "write_place", fence | row) is None:
                    raise FencedError(
                        f"partition {lease.partition} of the store {self._path!r} belongs to "
                        f"another host now; so does the subscription {place.name!r}",
                        [lease.partition],
                    )
                if one.failed:
                    self.connection.execute(SQL["add_failed"], {"failed": text(one.failed)})
                if one.redelivered:
                    gone = {"positions": text(one.redelivered)}
                    self.connection.execute(SQL["end_redeliveries"], gone)

    def remove_subscription(self, name: str, topic: str | None, after: int) -> bool:
        """Forget a subscription, of one topic or all, and what was put aside for it."""
        # Crash points: before COMMIT it is there, after it not.
        with self._writing("write to"), transaction(self.connection):
            which = {"name": name, "topic": topic}
            found = self.connection.execute(SQL["remove_subscription"], which).fetchall()
            rest = which | {"after": after, "last": _LAST}
            self.connection.execute(SQL["remove_failed_of"], rest)
            self.connection.execute(SQL["remove_redeliveries_of"], which)
        return bool(found)

    def change_messages(self, statement: str, **arguments: str | int | None) -> int:
        """Run one statement that deletes or marks rows; how many."""
        # Crash points: before COMMIT they are as they were, after it gone or marked.
        with self._writing("write to"), transaction(self.connection):
            self.connection.execute(SQL[statement], arguments)
            return self.connection.changes()

    def trim(self, old: dict[str, str | int]) -> Trimmed:
        """Delete old events of a topic."""
        # Crash points: before COMMIT they are there, after it not. What nobody has read of them is
        # told only when they are gone; a host that dies in between does not tell it.
        with self._writing("write to"), transaction(self.connection):
            unread = _unread(value(self.connection, "trim_unread", old))
            self.connection.execute(SQL["trim"], old)
            return Trimmed(self.connection.changes(), unread)

    def in_transaction(self, work: Callable[[apsw.Connection], T]) -> T:
        """Do something in one transaction that is none of a commit's."""
        # Crash points: before COMMIT nothing of it is there, after it all of it.
        with self._writing("write to"), transaction(self.connection):
            return work(self.connection)

    def redrive(self, numbers: str, now: Microseconds) -> Redriven:
        """Give what was put aside back to its function."""
        # Crash points: before COMMIT it is put aside, after it is on its way again. Only what goes
        # into its queue is deleted here: what has no place there stays put aside.
        with self._writing("write to"), transaction(self.connection):
            chosen = {"numbers": value(self.connection, "redrivable", {"numbers": numbers})}
            self.connection.execute(SQL["redrive_queued"], chosen | {"now": now})
            self.connection.execute(SQL["redrive_event"], chosen)
            self.connection.execute(SQL["redrive_files"], chosen)
            self.connection.execute(SQL["take_failed"], chosen)
            count = self.connection.changes()
            left = value(self.connection, "still_failed", {"numbers": numbers})
            return Redriven(count, _numbers(left))

    def write(self, job: Callable[[apsw.Connection], T]) -> T:
        """Do something as one transaction; who brings it names its crash points."""
        with self._writing("write to"), transaction(self.connection):
            return job(self.connection)

    def data_version(self) -> int:
        """A number that changes when another connection has written.

        Raises:
            StorageLostError: it may be that nobody can write to the store any more.
        """
        with translated(self._path, "read"):
            self.files.look()
            version = self.connection.pragma("data_version")
        assert isinstance(version, int)
        self.is_log_ours = self.files.signature() == self._own_signature
        return version

    def close(self) -> None:
        """Close the connection (the last one folds the log into the file) and drop the lock."""
        try:
            with suppress(StorageError):
                self.files.look()
            with translated(self._path, "close"):
                if self.files.lost is not None:
                    # The log as it is may be all that can be rescued: it is not folded in.
                    self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                self.connection.close()
        finally:
            self._lock.drop()

    @contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        """Around a transaction other than a commit: its errors in our words, and its log."""
        try:
            self.files.before_write()
            yield
            self.files.after_write()
        except (apsw.Error, MemoryError) as error:
            raise self._told(error, doing) from error
        self._wrote()

    def _told(self, error: Exception, doing: str = "write to") -> StorageError:
        """The error of ours for one of SQLite's: whatever it says of files that are lost."""
        try:
            self.files.look()
        except StorageError as lost:
            return lost
        return translate(error, self._path, doing)

    def _refusal(self, error: Exception, reasons: dict[str, dict[Any, str]]) -> Exception:
        """What was refused for its content from outside; other errors stay as they are."""
        if isinstance(error, MemoryError | apsw.NoMemError) or not is_about_content(error):
            return error
        return RowsRefusedError(
            f"the store {self._path!r} cannot hold this: {error}; nothing was written",
            instances=reasons.get("instances"),
            messages=reasons.get("messages"),
        ).told_as(f"the store cannot hold this: {error}; nothing was written")

    # --- the write-ahead log -------------------------------------------------------------------

    def _wrote(self) -> None:
        if not self._has_log:
            return
        self._own_signature = self.files.signature()
        if self._unsaved_since is None:
            self._unsaved_since = monotonic()

    def upkeep(self) -> float | None:
        """Move the log into the file when it is time; return the seconds until the next look.

        Between commits on this thread, so that the log is free to start over: with a checkpoint
        from another thread it grew without end under load.
        """
        now = monotonic()
        if self._unsaved_since is not None:
            waiting = self._unsaved_since + _CHECKPOINT_SECONDS - now
            if waiting > 0 and self._pages_unsaved() < _PAGES_PER_CHECKPOINT:
                return waiting
            self._save(now)
            return None if self.files.lost is not None else _CHECKPOINT_SECONDS
        if self._log_since is not None:
            waiting = self._log_since + _TRUNCATE_SECONDS - now
            if waiting > 0:
                return waiting
            self._truncate()
        return None

    def _move_log(self, mode: int) -> tuple[int, int] | None:
        """How long the log is, in pages, and how many of them are in the file; None when it failed.

        Not into a file that was cut short, nor half a log: then, and on a full or broken disk, the
        log keeps everything, and the next commit says what is wrong.
        """
        try:
            return self.files.move_log(lambda: self.connection.wal_checkpoint(mode=mode))
        except (apsw.Error, StorageError):
            return None

    def _pages_unsaved(self) -> int:
        return self._pages_written() - self._pages_saved

    def _pages_written(self) -> int:
        return self.connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]

    def _save(self, now: float) -> None:
        self._pages_saved = self._pages_written()
        pages, saved = self._move_log(apsw.SQLITE_CHECKPOINT_PASSIVE) or (1, 0)
        # A reader of older pages holds the rest back: try again.
        self._unsaved_since = None if saved >= pages else now
        # Writing over an old log takes half as long as making it longer: a usual one is kept.
        self._log_since = now if pages > _PAGES_KEPT else None

    def _truncate(self) -> None:
        """Give the log's space back when nobody writes or reads; without waiting for anybody."""
        self._log_since = None
        self.connection.set_busy_timeout(0)
        if self._move_log(apsw.SQLITE_CHECKPOINT_TRUNCATE) is not None:  # a kindness, not a need
            self._own_signature = self.files.signature()
        self.connection.set_busy_timeout(_BUSY_MILLISECONDS)


def _storable(text: str) -> str:
    """The same, unless it is no Unicode: then a text that is no instance's id."""
    return text.encode(errors="replace").decode()
