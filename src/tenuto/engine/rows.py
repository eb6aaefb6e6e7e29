"""The rows that a commit writes, and the leases that fence it.

What ``engine.ports`` and ``engine.topic_ports`` speak of. Columns that stay small come first.
"""

from collections.abc import Callable, Collection
from typing import Final

from msgspec import Raw, Struct

from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.requests import DeadLetter
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tenuto.model.usage import UsageRow


class Lease(Struct, frozen=True, array_like=True):
    """The right to commit for a partition, until it is in another epoch or given back."""

    partition: int
    owner: str
    epoch: int


class HistoryRow(Struct, frozen=True, array_like=True, gc=False):
    """One turn of a history: ``events`` is a JSON array, kept to the letter."""

    iid: int
    generation: int
    turn: int
    events: Raw


class InstanceUpdate(Struct, frozen=True, array_like=True, gc=False):
    """The changing part of an instance row, written whole (ENGINE rule 25)."""

    iid: int
    status: RuntimeStatus
    wake_at: Microseconds | None
    updated_at: Microseconds
    completed_at: Microseconds | None
    output: str | None
    failure: FailureDetails | None
    custom_status: str | None
    hold: Hold | None = None


class InboxRow(Struct, frozen=True, array_like=True, gc=False):
    """A durable message. ``message`` is the JSON form of a ``tenuto.model.messages.Message``.

    ``message_id`` is None for the start that an instance from outside stands for: it has no row of
    its own in the inbox. ``is_handed_over``: by an outbox whose user may do nothing else, as the
    store knows.
    """

    message_id: MessageId | None
    partition: int
    instance_id: InstanceId
    message: Raw
    is_handed_over: bool = False


class ForgetBelow(Struct, frozen=True, array_like=True, gc=False):
    """Delete the history of generations older than ``generation``."""

    iid: int
    generation: int


ALL_UNREAD: Final = -1
"""The number that stands for all unread events of an instance."""


class UnreadRow(Struct, frozen=True, array_like=True, gc=False):
    """An event that waits for a reader over generations: the JSON form of ``EventRaised``; None
    when it was taken. With ``ALL_UNREAD`` for the number all of them go.
    """

    iid: int
    number: int
    event: Raw | None


class LinkRow(Struct, frozen=True, array_like=True, gc=False):
    """A link that people may open: the JSON form of a ``tenuto.model.links.Link``.

    Attributes:
        iid: Of the instance; the row goes with it.
        digest: Of the token.
        is_open: Whether it may still be used. Of the others the newest hundred of an instance are
            kept.
        link: What there is to show.
    """

    iid: int
    digest: str
    is_open: bool
    link: Raw


ALL_TOPIC_WAITS: Final = -1
"""The task that stands for all waits of an instance."""


class TopicWaitRow(Struct, frozen=True, array_like=True, gc=False):
    """An instance waits for an event of a topic, or does no more.

    Attributes:
        iid: Of the instance.
        task_id: Of the wait; ``ALL_TOPIC_WAITS`` for all of them.
        partition: The instance's.
        topic: What it waits for; None: the wait is over.
        key: Of the event.
        after: Events up to this position are none that it waits for.
    """

    iid: int
    task_id: int
    partition: int
    topic: str | None
    key: str = ""
    after: int = 0


class Answer(Struct, frozen=True, array_like=True, gc=False):
    """What became of a message from another process: for the client that waits for it.

    Attributes:
        message_id: Of the message; its sender waits for an answer (``awaits_answer``).
        code: Of the error with which it was refused; None when it was carried out.
        text: The error's message.
    """

    message_id: MessageId
    code: str | None = None
    text: str = ""


def _none_used(_refused: Collection[int]) -> list[UsageRow]:
    return []


class CommitBatch(Struct, kw_only=True):
    """What is written in one transaction, all or nothing.

    The fences come first: each lease must hold, and the number be one more than that of the
    owner's last commit, so that a batch that arrives twice or late is refused. Only fences and the
    storage itself may refuse a batch (ENGINE rule 14). A row of ``instances`` whose instance id is
    taken by another iid is left out together with every other row of that iid, and reported in
    ``CommitResult.refused``.

    Answers are kept for a while for those who ask with ``StorageClient.answer``. A message whose
    sender waits for one, and that goes because its instance is purged, is answered by the store: no
    such instance.

    Attributes:
        batch_id: Random; the same however often the batch is sent.
        owner: Who commits; it has acquired partitions.
        number: Counted by the owner from 1, over all its partitions.
        fences: Of the partitions that the batch touches: those of the instances it changes and of
            the messages it consumes. Messages to other partitions need none.
        consumed: Partition and id of messages; ones that are not there do no harm.
        released: Partitions, among the fenced ones, that are given back by this very commit.
        published: Events for topics, in their order; they need no fence of their own.
        queued: Messages for queues, the same.
        topic_waits: What instances wait for of topics, and do no more.
        usage: What the turns have used, added to what the store has; one row for each key.
        usage_without: The same but for what these iids have used, which the store has refused.
    """

    batch_id: str
    owner: str
    number: int
    fences: list[Lease]
    instances: list[InstanceRecord]
    replaced: list[InstanceRecord]
    updates: list[InstanceUpdate]
    history: list[HistoryRow]
    forget: list[ForgetBelow]
    inbox: list[InboxRow]
    consumed: list[tuple[int, MessageId]]
    purged: list[int]
    dead_letters: list[DeadLetter]
    answers: list[Answer] = []
    unread: list[UnreadRow] = []
    links: list[LinkRow] = []
    released: list[int] = []
    published: list[PublishedEvent] = []
    queued: list[QueuedMessage] = []
    topic_waits: list[TopicWaitRow] = []
    usage: list[UsageRow] = []
    usage_without: Callable[[Collection[int]], list[UsageRow]] = _none_used


class CommitResult(Struct, frozen=True):
    """The store's answer per row."""

    refused: frozenset[int] = frozenset()
