"""What the store keeps of queues: the part of the Storage port that is theirs.

Queueing itself is part of ``CommitBatch``. A queue belongs to the partition that its name is hashed
to: who owns it hands out the messages, one host at a time, and writes under its lease. What it has
handed out stays in the queue, in work, until it is done with: whoever takes the partition over
finds it there.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from tenuto.engine.rows import Lease
from tenuto.model.timing import Microseconds


class TakenMessage(Struct, frozen=True, array_like=True, gc=False):
    """A message that is in work now.

    Attributes:
        number: Of its row; no other message ever has it.
        message_id: Unique in its queue.
        queued_at: When it was put in first, also when it was given back since.
        attempts: Which attempt this is, from 1. Counted when it is taken, before the function
            begins: so it counts when the host dies of it.
        cause: What it was caused by; None when nobody knows.
        data: The payload as JSON text.
        deaths: In so many of these attempts its host has ended.
    """

    number: int
    message_id: str
    queued_at: Microseconds
    attempts: int
    cause: str | None
    data: str
    deaths: int = 0

    @property
    def counted(self) -> int:
        """Which attempt this is of those that its function may fail in."""
        return self.attempts - self.deaths


class MessageInWork(Struct, frozen=True, array_like=True, gc=False):
    """A message that is in work, as the store has it.

    Attributes:
        number: Of its row.
        message_id: Unique in its queue.
        deaths: In so many attempts before this one its host has ended.
        attempts: Which attempt this is, from 1.
    """

    number: int
    message_id: str
    deaths: int
    attempts: int


class ResumedMessage(Struct, frozen=True, array_like=True, gc=False):
    """A message in work that is taken again, as it is to be: the same, however often it is written.

    Attributes:
        number: Of its row.
        attempts: Which attempt it is now.
        deaths: In so many of the attempts its host has ended.
    """

    number: int
    attempts: int
    deaths: int


class LaterMessage(Struct, frozen=True, array_like=True, gc=False):
    """A message that goes back into its queue.

    Attributes:
        number: Of its row.
        visible_at: When it is ready again; 0 for at once, whatever the clock.
        attempts: So many have counted.
    """

    number: int
    visible_at: Microseconds
    attempts: int


class FailedMessage(Struct, frozen=True, array_like=True):
    """A message that is put aside.

    Attributes:
        number: Of its row.
        function: That has failed.
        failed_at: When.
        error: What the last attempt has raised.
    """

    number: int
    function: str
    failed_at: Microseconds
    error: str


class QueueNotes(Struct, frozen=True, kw_only=True):
    """What has become of messages, and which are wanted next: one transaction.

    Attributes:
        queue: The queue.
        now: The present.
        done: Numbers of messages that are done with.
        later: Messages that go back.
        failed: Messages that are put aside.
        resume: Messages that are in work, and that nobody works on: they are taken again.
        limit: How many further ones are wanted at most.
        most_bytes: How long their data may be together; one is always given.
    """

    queue: str
    now: Microseconds
    done: Sequence[int] = ()
    later: Sequence[LaterMessage] = ()
    failed: Sequence[FailedMessage] = ()
    resume: Sequence[ResumedMessage] = ()
    limit: int = 0
    most_bytes: int = 0


class QueueStanding(Struct, frozen=True, kw_only=True):
    """How a queue stands.

    Attributes:
        name: Its name.
        ready: Messages that could be worked on now.
        delayed: Messages whose time has not come, or whose next attempt waits.
        in_work: Messages that a function has.
        failed: Messages that were put aside.
        oldest: Since when the first of those that are ready is so; None when there is none.
    """

    name: str
    ready: int
    delayed: int
    in_work: int
    failed: int
    oldest: Microseconds | None


class WaitingMessage(Struct, frozen=True, kw_only=True):
    """A message of a queue, for people.

    Attributes:
        id: Unique in the queue.
        queued_at: When it was put in first.
        visible_at: When it is ready; 0 when nothing holds it back, None while a function has it.
        attempts: So many have begun.
        cause: What it was caused by; None when nobody knows.
        data: The payload as JSON text.
    """

    id: str
    queued_at: Microseconds
    visible_at: Microseconds | None
    attempts: int
    cause: str | None
    data: str


class QueueReader(Protocol):
    """Reading queues, open to every process."""

    async def queues(self, now: Microseconds) -> list[QueueStanding]:
        """All queues that have messages, or had some that were put aside, by name."""

    async def queue_messages(self, queue: str, limit: int, most_bytes: int) -> list[WaitingMessage]:
        """The next messages of a queue in the order in which they come, then those in work."""

    async def queue_next(self, queue: str) -> Microseconds | None:
        """When the first message of a queue is ready, or was; None when none waits."""

    async def queue_in_work(self, queue: str, doubted: Lease | None = None) -> list[MessageInWork]:
        """Which messages of a queue are in work, in the order in which they came.

        Args:
            queue: Its name.
            doubted: A lease under which ``work_on_queue`` has failed, so that nobody knows what
                came of it: by the time of the answer it is over.
        """


class QueueStorage(QueueReader, Protocol):
    """Writing what belongs to queues beside commits."""

    async def work_on_queue(self, lease: Lease, notes: QueueNotes) -> list[TakenMessage]:
        """Durably note what has become of messages, and take further ones.

        Taken messages are in work: nobody gets them before they are noted to be something else.
        What is not there any more is passed over. Those to be resumed come first. The others come
        in the order in which they became ready: those that nothing holds back by number, whatever
        the clock.

        Raises:
            FencedError: the lease does not hold any more; nothing was written or taken.
        """

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages of a queue, all that it has now without ids; how many there were.

        Functions that have them run on.
        """
