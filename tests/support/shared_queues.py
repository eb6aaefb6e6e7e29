"""Queues of the store in ``shared_store``: what is durable, and its handle's part.

In plain Python, as that is: ``tests/conformance`` holds both to the same contract as SQLite.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from tenuto.engine.queue_ports import (
    MessageInWork,
    QueueNotes,
    QueueStanding,
    ResumedMessage,
    TakenMessage,
    WaitingMessage,
)
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.model.errors import FencedError
from tenuto.model.topics import QueuedMessage

if TYPE_CHECKING:
    from tests.support.shared_store import SharedHub


class QueueRow(Struct, frozen=True):
    """A message; ``visible_at`` is None while it is in work."""

    number: int
    message_id: str
    queue: str
    visible_at: int | None
    queued_at: int
    attempts: int
    cause: str | None
    data: str
    deaths: int = 0
    came_at: int | None = None

    @property
    def first_queued_at(self) -> int:
        return self.queued_at if self.came_at is None else self.came_at


class SharedQueues:
    """What is durable of queues."""

    def __init__(self) -> None:
        self.rows: dict[int, QueueRow] = {}
        self._last = 0

    def has(self, queue: str, message_id: str) -> bool:
        return any((row.queue, row.message_id) == (queue, message_id) for row in self.rows.values())

    def add(self, messages: Iterable[QueuedMessage], came_at: int | None = None) -> None:
        for one in messages:
            if not self.has(one.queue, one.message_id):
                self._last += 1
                self.rows[self._last] = QueueRow(
                    self._last,
                    one.message_id,
                    one.queue,
                    one.visible_at,
                    one.queued_at,
                    0,
                    one.cause,
                    one.data,
                    came_at=came_at,
                )

    def of(self, queue: str) -> list[QueueRow]:
        """The messages of a queue: as they come, then those in work."""
        found = [row for row in self.rows.values() if row.queue == queue]
        found.sort(key=lambda row: row.number)
        last, since = 0, dict[int, int]()
        for row in found:
            if row.visible_at == 0:
                last = max(last, row.queued_at)
            since[row.number] = last if row.visible_at == 0 else row.visible_at or 0
        return sorted(found, key=lambda row: (row.visible_at is None, since[row.number]))

    def take(self, row: QueueRow) -> TakenMessage:
        return self._take(structs.replace(row, visible_at=None, attempts=row.attempts + 1))

    def resume(self, row: QueueRow, one: ResumedMessage) -> TakenMessage:
        return self._take(structs.replace(row, attempts=one.attempts, deaths=one.deaths))

    def _take(self, taken: QueueRow) -> TakenMessage:
        self.rows[taken.number] = taken
        return TakenMessage(
            taken.number,
            taken.message_id,
            taken.first_queued_at,
            taken.attempts,
            taken.cause,
            taken.data,
            taken.deaths,
        )


class SharedQueueStorage:
    """The methods of a handle that are about queues."""

    async def _turn(self) -> "SharedHub":
        raise NotImplementedError

    def _changed(self, hub: "SharedHub") -> None:
        raise NotImplementedError

    async def queues(self, now: int) -> list[QueueStanding]:
        hub = await self._turn()
        queues, failed = hub.topics.queues, hub.topics.failed.values()
        names = {row.queue for row in queues.rows.values()}
        names |= {one.name for one in failed if one.source == "queue"}
        found = []
        for name in sorted(names):
            rows = queues.of(name)
            times = [row.visible_at for row in rows]
            ready = [
                row.visible_at or row.queued_at
                for row in rows
                if row.visible_at is not None and row.visible_at <= now
            ]
            found.append(
                QueueStanding(
                    name=name,
                    ready=len(ready),
                    delayed=sum(one is not None and one > now for one in times),
                    in_work=times.count(None),
                    failed=sum(one.source == "queue" and one.name == name for one in failed),
                    oldest=min(ready, default=None),
                )
            )
        return found

    async def queue_messages(self, queue: str, limit: int, most_bytes: int) -> list[WaitingMessage]:
        rows = (await self._turn()).topics.queues.of(queue)[:limit]
        return [
            WaitingMessage(
                id=row.message_id,
                queued_at=row.first_queued_at,
                visible_at=row.visible_at,
                attempts=row.attempts,
                cause=row.cause,
                data=row.data,
            )
            for row in _fitting(rows, most_bytes)
        ]

    async def queue_next(self, queue: str) -> int | None:
        rows = (await self._turn()).topics.queues.of(queue)
        return min((row.visible_at for row in rows if row.visible_at is not None), default=None)

    async def queue_in_work(self, queue: str, doubted: Lease | None = None) -> list[MessageInWork]:
        rows = (await self._turn()).topics.queues.of(queue)
        return [
            MessageInWork(row.number, row.message_id, row.deaths, row.attempts)
            for row in rows
            if row.visible_at is None
        ]

    async def work_on_queue(self, lease: Lease, notes: QueueNotes) -> list[TakenMessage]:
        hub = await self._turn()
        if not hub.holds(lease):
            raise FencedError("the partition is another host's", [lease.partition])
        kept, rows = hub.topics, hub.topics.queues.rows
        for number in notes.done:
            rows.pop(number, None)
        for later in notes.later:
            if later.number in rows:
                rows[later.number] = structs.replace(
                    rows[later.number], visible_at=later.visible_at, attempts=later.attempts
                )
        for failed in notes.failed:
            row = rows.pop(failed.number, None)
            if row is not None:
                kept.last_failed += 1
                kept.failed[kept.last_failed] = FailedDelivery(
                    kept.last_failed,
                    "queue",
                    row.queue,
                    failed.function,
                    row.message_id,
                    row.attempts,
                    failed.failed_at,
                    failed.error,
                    row.cause,
                    None,
                    row.data,
                    row.first_queued_at,
                )
        ours = kept.queues.of(notes.queue)
        resumed = {one.number: one for one in notes.resume}
        again = [
            kept.queues.resume(row, resumed[row.number])
            for row in ours
            if row.visible_at is None and row.number in resumed
        ]
        ready = [row for row in ours if row.visible_at is not None and row.visible_at <= notes.now]
        page = _fitting(ready[: notes.limit], notes.most_bytes)
        return again + [kept.queues.take(row) for row in page]

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        queues = (await self._turn()).topics.queues
        gone = [
            row.number
            for row in queues.of(queue)
            if message_ids is None or row.message_id in message_ids
        ]
        for number in gone:
            del queues.rows[number]
        return len(gone)


def _fitting(rows: Sequence[QueueRow], most_bytes: int) -> list[QueueRow]:
    found: list[QueueRow] = []
    left = most_bytes
    for row in rows:
        if left <= 0 and found:
            break
        found.append(row)
        left -= len(row.data.encode()) + len((row.cause or "").encode())
    return found
