"""Everything that writes, as done on the writer thread.

Owns the only writing connection of this process, the owner lock and the checkpoints of the
write-ahead log. Keeps the promises ``durable_before_visible`` (synchronous=FULL: a commit returns
after its fsync) and, with the fences, ``one_owner``.
"""

from collections.abc import Sequence
from time import monotonic

import apsw
import msgspec

from tenuto.engine.ports import (
    CommitBatch,
    CommitResult,
    CommitState,
    HostIdentity,
    InboxRow,
    Lease,
)
from tenuto.model.status import InstanceRecord
from tenuto.storage.sqlite import reader
from tenuto.storage.sqlite.batch import cut, only, pieces, text, weight, without
from tenuto.storage.sqlite.database import MEMORY, Arguments, transaction, value
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.lock import OwnerLock
from tenuto.storage.sqlite.queries import SQL

ONE_STATEMENT_BYTES = 128 * 1024 * 1024
"""What is longer is cut up: SQLite's values end at 1 GB and it copies them."""

_SMALL_BYTES = 8 * 1024
_QUICK_SECONDS = 0.0005
_PAGES_PER_CHECKPOINT = 1024  # 4 MiB
_PAGES_KEPT = 4096  # 16 MiB
_CHECKPOINT_SECONDS = 0.3
_TRUNCATE_SECONDS = 2.0
_BUSY_MILLISECONDS = 5_000
_COMMIT = SQL["commit"]
_NONE_REFUSED = CommitResult()
_decode_ids = msgspec.json.Decoder(dict[str, int]).decode
_decode_message_ids = msgspec.json.Decoder(frozenset[str]).decode


class Writer:
    """The writing connection of one process. Used by one thread only."""

    def __init__(self, path: str, connection: apsw.Connection) -> None:
        self.connection = connection
        self._path = path
        self._lock = OwnerLock(path)
        self._has_log = path != MEMORY and not connection.readonly("main")
        self._unsaved_since: float | None = None
        self._log_since: float | None = None
        self._pages_saved = 0
        self._commit_seconds = 1.0

    # --- owner ---------------------------------------------------------------------------------

    def acquire(self, host: HostIdentity) -> list[Lease]:
        """Take the lock, then every partition in a new epoch."""
        if self._path != MEMORY:
            self._lock.take(host.description)
        try:
            # Crash points: before COMMIT the old epoch stands and the system drops our lock;
            # after it the epoch is counted up without an owner at work, which is harmless.
            with translated(self._path, "own"), transaction(self.connection):
                self.connection.execute(SQL["acquire"], {"owner": host.owner})
                states = reader.states(self.connection)
        except BaseException:
            self._lock.drop()
            raise
        self._wrote()
        return [
            Lease(state.partition, host.owner, state.epoch, state.commit_number) for state in states
        ]

    def release(self, leases: Sequence[Lease]) -> None:
        """Give partitions back; the lock goes with the last."""
        # Crash points: none that matter; a dead owner's lease is taken over by the next epoch.
        with translated(self._path, "release"), transaction(self.connection):
            for lease in leases:
                self.connection.execute(
                    SQL["release"],
                    {"partition": lease.partition, "owner": lease.owner, "epoch": lease.epoch},
                )
            owned = any(state.owner is not None for state in reader.states(self.connection))
        self._wrote()
        if not owned:
            self._lock.drop()

    def commit(self, batch: CommitBatch, arguments: Arguments) -> CommitResult:
        """Write one batch; ``arguments`` is its packed form."""
        began = monotonic()
        with translated(self._path, "write to"):
            result = self._commit(batch, arguments)
        if weight(arguments) <= _SMALL_BYTES:
            self._commit_seconds += (monotonic() - began - self._commit_seconds) / 8
        self._wrote()
        return result

    def is_quick(self, arguments: Arguments) -> bool:
        """Whether a commit takes so short that switching to another thread would cost as much."""
        return self._commit_seconds < _QUICK_SECONDS and weight(arguments) <= _SMALL_BYTES

    def _commit(self, batch: CommitBatch, arguments: Arguments) -> CommitResult:
        # Crash points: the statement is a transaction of its own. Before its fsync has returned,
        # all of it or nothing is found after the restart, and nobody has been told; after it,
        # all of it is found. ``commit_states`` tells which.
        if weight(arguments) <= ONE_STATEMENT_BYTES:
            try:
                self.connection.execute(_COMMIT, arguments)
            except apsw.ConstraintError as error:
                # A new instance collided; anything else is no question of single rows.
                if " instance." not in str(error):
                    raise
            else:
                return _NONE_REFUSED
        return self._commit_in_pieces(batch)

    def _commit_in_pieces(self, batch: CommitBatch) -> CommitResult:
        """The slow way: leave out what is refused, and cut up what is too long."""
        with transaction(self.connection):  # all or nothing, as its crash points say
            refused, standing = self._collisions(batch)
            if refused or standing:
                batch = without(batch, refused, standing, self._kept(batch, refused))
            for arguments in pieces(batch, ONE_STATEMENT_BYTES):
                self.connection.execute(_COMMIT, arguments)
        return CommitResult(refused)

    def _collisions(self, batch: CommitBatch) -> tuple[frozenset[int], frozenset[int]]:
        """New iids whose instance id is another's, and those that are in the store already."""
        ids = [record.instance_id for record in batch.instances]
        taken = _decode_ids(value(self.connection, "taken_ids", {"ids": text(ids)}))
        purged = frozenset(batch.purged)
        owners = {name: iid for name, iid in taken.items() if iid not in purged}
        refused, standing = set(), set()
        for record in batch.instances:
            owner = owners.setdefault(record.instance_id, record.iid)
            if owner != record.iid:
                refused.add(record.iid)
            elif taken.get(record.instance_id) == record.iid and record.iid not in purged:
                standing.add(record.iid)
        return frozenset(refused), frozenset(standing)

    def _kept(self, batch: CommitBatch, refused: frozenset[int]) -> frozenset[str]:
        ids = [record.instance_id for record in batch.instances if record.iid in refused]
        return _decode_message_ids(value(self.connection, "messages_to", {"ids": text(ids)}))

    # --- everybody -----------------------------------------------------------------------------

    def start_instance(self, record: InstanceRecord) -> InstanceRecord:
        """Insert an instance from outside, unless its id exists; return the row that stands."""
        # Crash points: before COMMIT the id is free, after it the instance waits to be fetched;
        # a client that was not told asks again and finds its own execution id.
        with translated(self._path, "write to"), transaction(self.connection):
            standing = reader.find(self.connection, [record.instance_id])
            if standing:
                return standing[0]
            number = value(self.connection, "next_arrival")
            record = msgspec.structs.replace(record, iid=-number)
            self.connection.execute(_COMMIT, only(instances=text([record])))
        self._wrote()
        return record

    def append(self, rows: Sequence[InboxRow]) -> None:
        """Add messages from outside."""
        # Crash points: as for a commit; a client that was not told sends the same ids again.
        with translated(self._path, "write to"), transaction(self.connection):
            for part in cut(rows, ONE_STATEMENT_BYTES):
                self.connection.execute(_COMMIT, only(inbox=part))
        self._wrote()

    def states(self) -> list[CommitState]:
        """Owner and last commit of every partition; here, so that commits before it are over."""
        with translated(self._path, "read"):
            return reader.states(self.connection)

    def data_version(self) -> int:
        """A number that changes when another connection has written."""
        with translated(self._path, "read"):
            version = self.connection.pragma("data_version")
        assert isinstance(version, int)
        return version

    def close(self) -> None:
        """Close the connection (the last one folds the log into the file) and drop the lock."""
        try:
            with translated(self._path, "close"):
                self.connection.close()
        finally:
            self._lock.drop()

    # --- the write-ahead log -------------------------------------------------------------------

    def _wrote(self) -> None:
        if self._unsaved_since is None and self._has_log:
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
            return _CHECKPOINT_SECONDS
        if self._log_since is not None:
            waiting = self._log_since + _TRUNCATE_SECONDS - now
            if waiting > 0:
                return waiting
            self._truncate()
        return None

    def _pages_unsaved(self) -> int:
        return self._pages_written() - self._pages_saved

    def _pages_written(self) -> int:
        return self.connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]

    def _save(self, now: float) -> None:
        self._pages_saved = self._pages_written()
        try:
            pages, saved = self.connection.wal_checkpoint()
        except apsw.Error:
            # A full or broken disk. The log keeps everything, the next commit reports it.
            pages, saved = 1, 0
        # A reader of older pages holds the rest back: try again.
        self._unsaved_since = None if saved >= pages else now
        # Writing over an old log takes half as long as making it longer: a usual one is kept.
        self._log_since = now if pages > _PAGES_KEPT else None

    def _truncate(self) -> None:
        """Give the log's space back when nobody writes or reads; without waiting for anybody."""
        self._log_since = None
        self.connection.set_busy_timeout(0)
        try:
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error:
            pass  # it is a kindness, not a need
        finally:
            self.connection.set_busy_timeout(_BUSY_MILLISECONDS)
