"""Queues on SQLite: the part of the Storage port in ``engine.queue_ports``."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import apsw
import msgspec

from tenuto.engine.queue_ports import (
    MessageInWork,
    QueueNotes,
    QueueStanding,
    TakenMessage,
    WaitingMessage,
)
from tenuto.engine.rows import Lease
from tenuto.model.errors import FencedError
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite.database import value
from tenuto.storage.sqlite.queries import SQL
from tenuto.storage.sqlite.writer import Writer

T = TypeVar("T")

_IN_WORK: Final = 1 << 62
_DROP_ROWS: Final = 5_000
_DROP_BYTES: Final = 4 * 1024 * 1024

_standings: Final = msgspec.json.Decoder(list[QueueStanding]).decode
_waiting: Final = msgspec.json.Decoder(list[WaitingMessage]).decode
_in_work: Final = msgspec.json.Decoder(list[MessageInWork]).decode
_taken: Final = msgspec.json.Decoder(list[TakenMessage]).decode


def _text(rows: object) -> str:
    return msgspec.json.encode(rows).decode()


class SqliteQueues:
    """The methods of a store that are about queues; the threads are its own."""

    def _write(self, job: Callable[[Writer], T]) -> asyncio.Future[T]:
        raise NotImplementedError

    def _read(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        raise NotImplementedError

    async def _of_queues(self, statement: str, /, **arguments: Any) -> Any:  # noqa: ANN401 - a column
        arguments["in_work"] = _IN_WORK
        return await self._read(lambda reading: value(reading, statement, arguments))

    async def queues(self, now: Microseconds) -> list[QueueStanding]:
        """How each queue stands."""
        return _standings(await self._of_queues("queue_list", now=now))

    async def queue_messages(self, queue: str, limit: int, most_bytes: int) -> list[WaitingMessage]:
        """The next messages of a queue."""
        found = await self._of_queues(
            "queue_messages", queue=queue, limit=limit, most_bytes=most_bytes
        )
        return _waiting(found)

    async def queue_next(self, queue: str) -> Microseconds | None:
        """When the first message of a queue is ready."""
        moment: Microseconds | None = await self._of_queues("queue_next", queue=queue)
        return moment

    async def queue_in_work(self, queue: str, doubted: Lease | None = None) -> list[MessageInWork]:
        """Which messages of a queue are in work; a write that has failed is over."""
        del doubted
        return _in_work(await self._of_queues("queue_in_work", queue=queue))

    async def work_on_queue(self, lease: Lease, notes: QueueNotes) -> list[TakenMessage]:
        """Note what has become of messages, and take further ones."""
        return await self._write(
            lambda writer: writer.in_transaction(lambda writing: _work(writing, lease, notes))
        )

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages of a queue."""
        if message_ids is not None:
            ids = _text(list(message_ids))
            return await self._write(
                lambda writer: writer.change_messages("queue_drop", queue=queue, message_ids=ids)
            )
        last = await self._of_queues("queue_last") or 0
        dropped = 0
        while True:
            # Some at a time, so that commits get their turn.
            count = await self._write(
                lambda writer: writer.change_messages(
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


def _work(writing: apsw.Connection, lease: Lease, notes: QueueNotes) -> list[TakenMessage]:
    """One turn of a queue.

    Crash points: before COMMIT what had ended is still in work, and its attempt is made again by
    whoever takes the queue over; after it, what was taken is in work, and its attempt has counted.
    """
    fence = {"partition": lease.partition, "owner": lease.owner, "epoch": lease.epoch}
    if value(writing, "queue_fence", fence) is None:
        raise FencedError(
            f"partition {lease.partition} belongs to another host now; so does the queue "
            f"{notes.queue!r}",
            [lease.partition],
        )
    if notes.done:
        writing.execute(SQL["queue_done"], {"numbers": _text(notes.done)})
    if notes.later:
        writing.execute(SQL["queue_later"], {"later": _text(notes.later)})
    if notes.failed:
        failed = {"failed": _text(notes.failed)}
        writing.execute(SQL["queue_fail"], failed)
        writing.execute(SQL["queue_failed_are_gone"], failed)
    taken: list[TakenMessage] = []
    queue = {"queue": notes.queue, "in_work": _IN_WORK}
    if notes.resume:
        resumed = queue | {"resumed": _text(notes.resume)}
        writing.execute(SQL["queue_resume"], resumed)
        taken += _taken(value(writing, "queue_resumed", resumed))
    if notes.limit > 0:
        most = {"now": notes.now, "limit": notes.limit, "most_bytes": notes.most_bytes}
        page = _taken(value(writing, "queue_page", queue | most))
        if page:
            text = _text([one.number for one in page])
            writing.execute(SQL["queue_take"], {"numbers": text, "in_work": _IN_WORK})
        taken += page
    return taken
