"""Queues on PostgreSQL: the part of the Storage port in ``engine.queue_ports``."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from tenuto.engine.queue_ports import (
    MessageInWork,
    QueueNotes,
    QueueStanding,
    TakenMessage,
    WaitingMessage,
)
from tenuto.engine.rows import Lease
from tenuto.model.timing import Microseconds
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.access import Access
from tenuto.storage.postgres.connection import Session

_IN_WORK: Final = 1 << 62
_DROP_ROWS: Final = 5_000
_DROP_BYTES: Final = 4 * 1024 * 1024


class PostgresQueues(Access):
    """The methods of a store that are about queues."""

    async def queues(self, now: Microseconds) -> list[QueueStanding]:
        """How each queue stands."""
        found = await self.rows("queue_list", now=now, in_work=_IN_WORK)
        return [QueueStanding(**dict(row)) for row in found]

    async def queue_messages(self, queue: str, limit: int, most_bytes: int) -> list[WaitingMessage]:
        """The next messages of a queue."""
        found = await self.rows(
            "queue_messages", queue=queue, limit=limit, most_bytes=most_bytes, in_work=_IN_WORK
        )
        return [
            WaitingMessage(
                id=row["message_id"],
                queued_at=row["queued_at"],
                visible_at=row["visible_at"],
                attempts=row["attempts"],
                cause=row["cause"],
                data=row["data"],
            )
            for row in found
        ]

    async def queue_next(self, queue: str) -> Microseconds | None:
        """When the first message of a queue is ready."""
        moment: Microseconds | None = await self.value("queue_next", queue=queue, in_work=_IN_WORK)
        return moment

    async def queue_in_work(self, queue: str, doubted: Lease | None = None) -> list[MessageInWork]:
        """Which messages of a queue are in work; who holds the doubted lease is waited for."""

        async def look(session: Session) -> list[MessageInWork]:
            if doubted is not None:
                # A server may still commit what a connection has left that broke.
                await session.rows("lock_partitions", partitions=[doubted.partition])
            found = await session.rows("queue_in_work", queue=queue, in_work=_IN_WORK)
            return [MessageInWork(*row) for row in found]

        return await (self.read(look) if doubted is None else self.written(look))

    async def work_on_queue(self, lease: Lease, notes: QueueNotes) -> list[TakenMessage]:
        """Note what has become of messages, and take further ones."""

        async def work(session: Session) -> list[TakenMessage]:
            await self.hold(session, lease, f"so does the queue {notes.queue!r}")
            await _note(session, notes)
            return await _taken(session, notes)

        # Crash points: before COMMIT what had ended is still in work, and its attempt is made again
        # by whoever takes the queue over; after it, what was taken is in work, and its attempt has
        # counted.
        return await self.written(work)

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages of a queue."""
        if message_ids is not None:
            ids = list(message_ids)
            return await self.written(
                lambda session: session.run("queue_drop", queue=queue, message_ids=ids)
            )
        last = await self.value("queue_last") or 0
        dropped = 0
        while True:
            # Some at a time, so that commits get their turn.
            count = await self.written(
                lambda session: session.run(
                    "queue_drop_all",
                    queue=queue,
                    last=last,
                    limit=_DROP_ROWS,
                    most_bytes=_DROP_BYTES,
                )
            )
            dropped += count
            if not count:
                return dropped


async def _note(session: Session, notes: QueueNotes) -> None:
    if notes.done:
        await session.run("queue_done", numbers=list(notes.done))
    if notes.later:
        await session.run(
            "queue_later",
            numbers=[one.number for one in notes.later],
            visible=[one.visible_at for one in notes.later],
            attempts=[one.attempts for one in notes.later],
        )
    if notes.failed:
        await session.run(
            "queue_fail",
            numbers=[one.number for one in notes.failed],
            functions=[one.function for one in notes.failed],
            times=[one.failed_at for one in notes.failed],
            errors=[packing.told(one.error) for one in notes.failed],
        )


async def _taken(session: Session, notes: QueueNotes) -> list[TakenMessage]:
    found: list[asyncpg.Record] = []
    if notes.resume:
        found += await session.rows(
            "queue_resume",
            queue=notes.queue,
            numbers=[one.number for one in notes.resume],
            attempts=[one.attempts for one in notes.resume],
            deaths=[one.deaths for one in notes.resume],
            in_work=_IN_WORK,
        )
    if notes.limit > 0:
        page = await session.rows(
            "queue_page",
            queue=notes.queue,
            now=notes.now,
            limit=notes.limit,
            most_bytes=notes.most_bytes,
        )
        if page:
            numbers = [row["number"] for row in page]
            await session.run("queue_take", numbers=numbers, in_work=_IN_WORK)
        found += page
    return [TakenMessage(*row) for row in found]
