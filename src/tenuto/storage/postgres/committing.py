"""Commits: one statement each, as a rule; and what becomes of those that the store refuses.

Keeps ``one_owner`` (the claim comes first and holds until the transaction is over) and ENGINE rule
14: only fences and the store itself refuse a batch, anything else is answered row by row.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Raw, Struct

from tenuto.engine.rows import CommitBatch, CommitResult, Lease
from tenuto.model.errors import FencedError, RowsRefusedError, StorageError, StorageLostError
from tenuto.model.status import InstanceRecord
from tenuto.storage.batches import collisions, refusal, without
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.connection import Connection, Session
from tenuto.storage.postgres.errors import (
    CONTENT_ERRORS,
    ERRORS,
    FENCED,
    TAKEN,
    is_about_content,
    translate,
)
from tenuto.storage.postgres.packing import Values
from tenuto.storage.postgres.refusing import refused_rows

ONE_STATEMENT_BYTES: Final = 64 * 1024 * 1024
"""What is longer is cut up: the server takes messages below 1 GB, and holds them several times."""

_TRIES: Final = 5
_KEPT_COMMITS: Final = 1_000
_COMMITS_ADDED_UP: Final = 100
"""After so many at least their rows of usage become one for each function."""

_TURNS: Final = ("instances", "replaced", "updates", "history", "forget", "inbox", "consumed")
_NONE_REFUSED: Final = CommitResult()


class Committer:
    """Writes batches.

    Args:
        connection: For this alone, so that commits keep their order.
        url: Of the store, for errors.
    """

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url
        self._acknowledged: _Acknowledged | None = None
        self._added_up = _AddedUp("", 1, 0)

    async def commit(self, batch: CommitBatch) -> CommitResult:
        """Write one batch.

        Raises:
            FencedError: a fence does not hold.
            StorageLostError: the server has lost what it had acknowledged.
            RowsRefusedError: it holds rows that this store can never hold.
            StorageUnavailableError: perhaps written, perhaps not.
        """
        try:
            result = await self._connection.as_it_is(lambda session: self._commit(session, batch))
        except StorageError:
            raise
        except (*ERRORS, *CONTENT_ERRORS) as error:
            raise translate(error, self._url, "write to") from error
        self._acknowledged = _Acknowledged(batch.owner, batch.number, batch.fences)
        return result

    async def _commit(self, session: Session, batch: CommitBatch) -> CommitResult:
        # Crash points: it is one transaction. Before the server has said that it is over, all of it
        # or nothing is found; after it, all of it. ``landed`` tells which.
        try:
            await _write(session, batch, packing.claim(batch))
        except asyncpg.PostgresError as error:
            if error.sqlstate == FENCED:
                raise await self._fenced(session, batch, error) from error
            if error.sqlstate == TAKEN:
                return await self._without_taken(session, batch)
            if not is_about_content(error):
                raise
            await self._narrow_down(session, batch, error)
            raise
        except CONTENT_ERRORS as error:
            if not is_about_content(error):
                raise
            await self._narrow_down(session, batch, error)
            raise
        if batch.number % _KEPT_COMMITS == 0:
            await session.run(
                "prune_landed", owner=batch.owner, number=batch.number - _KEPT_COMMITS
            )
        if batch.number >= self._added_up.next or batch.owner != self._added_up.owner:
            await self._add_usage_up(session, batch)
        return _NONE_REFUSED

    async def _add_usage_up(self, session: Session, batch: CommitBatch) -> None:
        """What this owner's last commits have used, together with what was added up before."""
        # Crash points: one statement, a transaction of its own. Before it, there are more rows with
        # the same sums; those are added up with the ones that follow.
        before, number = self._added_up, batch.number
        first = before.number if before.owner == batch.owner else 1
        if number < first + _COMMITS_ADDED_UP:  # the first commits of an owner
            self._added_up = _AddedUp(batch.owner, first, first + _COMMITS_ADDED_UP)
            return
        rows = await session.run("add_usage_up", owner=batch.owner, first=first, last=number)
        self._added_up = _AddedUp(batch.owner, number, number + max(_COMMITS_ADDED_UP, rows))

    async def _without_taken(self, session: Session, batch: CommitBatch) -> CommitResult:
        """The slow way: leave out what is refused. Ids may be taken while one looks."""
        for _ in range(_TRIES):
            left, refused = await _left(session, batch)
            claim = packing.claim(batch, sorted(refused))
            try:
                await _write(session, left, claim)
            except asyncpg.PostgresError as error:
                if error.sqlstate == FENCED:
                    raise await self._fenced(session, batch, error) from error
                if error.sqlstate != TAKEN:
                    if is_about_content(error):
                        await self._narrow_down(session, batch, error)
                    raise
            except CONTENT_ERRORS as error:
                if is_about_content(error):
                    await self._narrow_down(session, batch, error)
                raise
            else:
                return CommitResult(refused)
        raise TimeoutError("instance ids were taken again and again")

    async def _narrow_down(
        self, session: Session, batch: CommitBatch, error: BaseException
    ) -> None:
        """Raise which rows of the batch the store refuses, if it is about single rows."""
        # Crash points: none; it is rolled back whatever comes of it.
        fenced: asyncpg.PostgresError | None = None
        found: RowsRefusedError | None = None
        transaction = session.wire.transaction()
        await transaction.start()
        try:
            await session.run("claim", **packing.claim(batch))
            left, _ = await _left(session, batch)
            if batch.purged:
                await session.run("purge", iids=batch.purged)
            found = refusal(self._url, await refused_rows(session, left))
        except asyncpg.PostgresError as other:
            if other.sqlstate != FENCED:
                raise
            fenced = other
        finally:
            await transaction.rollback()
        if fenced is not None:
            raise await self._fenced(session, batch, fenced) from error
        if found is not None:
            raise found from error

    async def _fenced(
        self, session: Session, batch: CommitBatch, error: BaseException
    ) -> StorageError:
        """The error of a fence, with the partitions that are lost."""
        set_back = await self._set_back(session)
        if set_back is not None:
            return set_back
        return FencedError(
            str(translate(error, self._url, "write to")), await not_held(session, batch.fences)
        )

    async def check(self) -> None:
        """See that the server has what it has acknowledged; for when it has come back.

        Raises:
            StorageLostError: it has not: it was set back.
            StorageUnavailableError: it cannot be asked.
        """
        if self._acknowledged is not None:
            set_back = await self._connection.do(self._set_back, "read")
            if set_back is not None:
                raise set_back

    async def _set_back(self, session: Session) -> StorageLostError | None:
        """The error of a server that has lost acknowledged commits; None when it has lost none.

        Another host that has taken over may have deleted the numbers, but its epochs are greater.
        """
        last = self._acknowledged
        if last is None:
            return None
        found = await session.value("last_landed", owner=last.owner)
        if (found is None or found >= last.number) and not await session.rows(
            "set_back", **leases(last.fences)
        ):
            return None
        told = "nothing of this host's" if found is None else f"its commits up to {found} alone"
        return StorageLostError(
            f"the store {self._url!r} has lost work that it had acknowledged: this host has "
            f"written up to commit {last.number}, and PostgreSQL has {told}. It was set back: by a "
            "failover to a standby that is not synchronous, or by a restored backup. What was lost "
            "ran already and would run again; look at what it did, then start the host anew. Only "
            "synchronous standbys keep every promise (docs/postgresql.md)"
        )

    async def landed(self, batch: CommitBatch) -> CommitResult | None:
        """What came of a batch whose commit is in doubt; asked on the connection of commits, so
        that those before it are over, and with a write, which waits for replicas as a commit does.
        """

        async def look(session: Session) -> CommitResult | StorageError | None:
            async with session.together():
                await session.run("ask", owner=batch.owner)
                claimed = {"owner": batch.owner, "number": batch.number}
                refused = await session.value("landed", **claimed, batch_id=batch.batch_id)
                if refused is not None:
                    return CommitResult(frozenset(refused))
                set_back = await self._set_back(session)
                if set_back is not None:
                    return set_back
                lost = await not_held(session, batch.fences)
                is_next = await session.value("is_next", **claimed)
                return None if is_next and not lost else self._never(batch, lost)

        found = await self._connection.do(look, "write to")
        if isinstance(found, StorageError):
            raise found
        if found is not None:
            self._acknowledged = _Acknowledged(batch.owner, batch.number, batch.fences)
        return found

    def _never(self, batch: CommitBatch, lost: list[int]) -> FencedError:
        if lost:
            return FencedError(
                f"partitions {lost} of the store {self._url!r} belong to another host now; this "
                "one was too slow or cut off and has lost them",
                lost,
            )
        return FencedError(
            f"commit {batch.number} to the store {self._url!r} has not landed and never will: it "
            "is not the next of its owner",
            [fence.partition for fence in batch.fences],
        )


class _AddedUp(Struct, frozen=True):
    """How far the usage of an owner's commits is added up, and with which commit it is again: the
    more rows that are, the later.
    """

    owner: str
    number: int
    next: int


class _Acknowledged(Struct, frozen=True):
    """The last commit that the server has said it has."""

    owner: str
    number: int
    fences: list[Lease]


async def not_held(session: Session, fences: Sequence[Lease]) -> list[int]:
    """The partitions of leases that do not hold."""
    rows = await session.rows("not_held", **leases(fences))
    return [row["partition"] for row in rows]


def leases(fences: Sequence[Lease]) -> Values:
    """Leases as arguments."""
    return {
        "partitions": [fence.partition for fence in fences],
        "owners": [fence.owner for fence in fences],
        "epochs": [fence.epoch for fence in fences],
    }


async def _left(session: Session, batch: CommitBatch) -> tuple[CommitBatch, frozenset[int]]:
    """The batch without the instances whose ids are taken, and which these are."""
    ids = [_storable(record.instance_id) for record in batch.instances]
    rows = await session.rows("taken_ids", ids=ids)
    refused, standing = collisions(batch, {row["instance_id"]: row["iid"] for row in rows})
    if not refused and not standing:
        return batch, refused
    names = [_storable(one.instance_id) for one in batch.instances if one.iid in refused]
    kept = await session.rows("messages_to", ids=names)
    keys = frozenset((row["partition"], row["message_id"]) for row in kept)
    return without(batch, refused, standing, keys), refused


def _storable(text: str) -> str:
    """The same, unless it is none that can be stored: then a text that is no instance's id."""
    return packing.readable(text)


async def _write(session: Session, batch: CommitBatch, claim: Values) -> None:
    turns = packing.turns(batch)
    if packing.length_of(turns) <= ONE_STATEMENT_BYTES:
        name = "write_turns"
        if batch.usage:
            # In the same statement: one more would be one more way to the server, for each commit.
            name = "write_used_turns"
            turns |= packing.usage(batch)
        further = list(_further(batch))
        if not further and not batch.purged:
            await session.run(name, **turns | claim)
            return
        async with session.together():
            if batch.purged:
                # Before the inserts, because an id may be purged and started anew in one batch.
                await session.run("claim", **claim)
                await session.run("purge", iids=batch.purged)
                await session.run(name, **turns)
            else:
                await session.run(name, **turns | claim)
            for each, values in further:
                await session.run(each, **values)
        return
    async with session.together():
        await session.run("claim", **claim)
        if batch.purged:
            await session.run("purge", iids=batch.purged)
        for part in _pieces(batch):
            await session.run("write_turns", **packing.turns(part))
        if batch.usage:
            await session.run("add_usage", **packing.usage(batch))
        for each, values in _further(batch):
            await session.run(each, **values)


def _further(batch: CommitBatch) -> Iterator[tuple[str, Values]]:
    """The statements for what is rare, in their order, after the turns."""
    for name, rows, pack in _rare(batch):
        for part in _parts(rows):
            yield name, pack(part)
        if name == "send_in_order" and batch.purged:
            # Once more, because one may be started and purged in one batch.
            yield "purge", {"iids": batch.purged}
    if batch.released:
        yield "release_own", {"partitions": batch.released, "owner": batch.owner}


def _rare(batch: CommitBatch) -> list[tuple[str, Sequence[Any], Callable[[Sequence[Any]], Values]]]:
    return [
        ("change_unread", batch.unread, packing.unread),
        ("change_links", batch.links, packing.links),
        ("change_topic_waits", batch.topic_waits, packing.topic_waits),
        ("publish_in_order", batch.published, packing.published),
        ("add_queued", batch.queued, packing.queued),
        ("send_in_order", packing.parted(batch.inbox)[1], packing.outgoing),
        ("add_dead_letters", batch.dead_letters, packing.dead_letters),
        ("add_answers", batch.answers, packing.answers),
    ]


def _pieces(batch: CommitBatch) -> Iterator[CommitBatch]:
    """The turns of a batch as several ones, none much longer than a statement may be."""
    empty = msgspec.structs.replace(batch, **{name: [] for name in _TURNS})
    for name in _TURNS:
        for part in _parts(getattr(batch, name)):
            yield msgspec.structs.replace(empty, **{name: part})


def _parts(rows: Sequence[Any]) -> Iterator[list[Any]]:
    """Rows, cut up into as many lists as there have to be."""
    part: list[Any] = []
    size = 0
    for row in rows:
        weight = _weight(row)
        if part and size + weight > ONE_STATEMENT_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += weight
    if part:
        yield part


def _weight(row: object) -> int:
    """Characters or bytes of a row's texts."""
    if isinstance(row, InstanceRecord):
        return sum(len(text or "") for text in (row.input, row.output, row.custom_status))
    if isinstance(row, Struct):
        row = msgspec.structs.astuple(row)
    values = row if isinstance(row, tuple) else ()
    return sum(
        memoryview(value).nbytes if isinstance(value, Raw) else len(value)
        for value in values
        if isinstance(value, Raw | str)
    )
