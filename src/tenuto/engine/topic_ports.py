"""What the store keeps of topics, and what was put aside of any kind of delivery: the part of the
Storage port that is theirs. What it keeps of queues is in ``queue_ports``.

Publishing itself is part of ``CommitBatch``; here is what subscriptions read and note, and what
people look at. A subscription belongs to the partition that its name is hashed to: who owns it
writes its place, under its lease.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from tenuto.engine.flow_ports import FlowReader
from tenuto.engine.rows import InboxRow, Lease, TopicWaitRow
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage, StoredEvent

FIRST_WAIT: Final = (-(2**63), -1)
"""The iid and task that no wait comes before."""

FAILED_BYTES: Final = 16 * 1024 * 1024
"""How long a page of failed deliveries may be."""


class Tried(Struct, frozen=True, array_like=True, gc=False):
    """An event whose function has failed, and that is to be tried again.

    Attributes:
        position: Of the event; below zero: of one that was given back.
        attempts: How many it has had.
        due: When it has the next.
    """

    position: int
    attempts: int
    due: Microseconds


class Place(Struct, frozen=True, array_like=True, gc=False):
    """How far a subscription is in a topic; it has one in each that it has read.

    Attributes:
        name: Of the subscription.
        topic: What it reads.
        position: Everything up to here is done with.
        done: Positions after it that are done with, too.
        tried: What has failed and is tried again, by position.
        is_full: Whether it reads no further before the first that is not done with is.
    """

    name: str
    topic: str
    position: int
    done: tuple[int, ...] = ()
    tried: tuple[Tried, ...] = ()
    is_full: bool = False


class FailedDelivery(Struct, frozen=True, array_like=True):
    """A delivery that was put aside as poison.

    Attributes:
        number: Its own, to redrive or delete it by; 0 before it is stored.
        source: ``topic``, ``queue`` or ``files``.
        name: Of the topic or queue; of the folder its path.
        function: Of the subscription; else its function's.
        message_id: Of the event, message or file.
        attempts: So often it was tried.
        failed_at: When it was put aside.
        error: What the last attempt has raised.
        cause: Of the event or message.
        key: Of the event; None for none.
        content: The event's JSON form, the message's data, or a JSON object with the file's path.
        came_at: When the event was published, or the message was queued first; None of a file.
    """

    number: int
    source: str
    name: str
    function: str
    message_id: str
    attempts: int
    failed_at: Microseconds
    error: str
    cause: str | None
    key: str | None
    content: str
    came_at: Microseconds | None = None


class Redriven(Struct, frozen=True):
    """What has become of failed deliveries that were to be given back.

    Attributes:
        count: So many were.
        left: Numbers of those that stay put aside: a message of their id is in the queue again.
    """

    count: int
    left: tuple[int, ...] = ()


class Progress(Struct, frozen=True, kw_only=True):
    """What has become of deliveries: written in one transaction.

    Attributes:
        place: Of the subscription now.
        failed: What was put aside meanwhile.
        redelivered: Events of ``redeliveries`` that are done with, by position.
        at: When.
    """

    place: Place
    failed: Sequence[FailedDelivery] = ()
    redelivered: Sequence[int] = ()
    at: Microseconds


class SubscriptionStanding(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a subscription stands in a topic.

    Attributes:
        name: Its name.
        topic: What it reads, or has read.
        position: Everything up to here is done with.
        lag: How many events of the topic come after it, counted up to 100,000, and were given back.
        oldest: When the oldest of them was published; None when there is none.
        failed: How many of its deliveries were put aside.
        updated_at: When its place was last written.
        given_back: How many were given back to it and are not done with.
        retrying: How many have failed and are to be tried again.
        is_full: Whether it reads no further before the first that is not done with is.
        is_served: Whether its place is that of a host that had its partition last: which serves it,
            if it runs.
    """

    name: str
    topic: str
    position: int
    lag: int
    oldest: Microseconds | None
    failed: int
    updated_at: Microseconds
    given_back: int = 0
    retrying: int = 0
    is_full: bool = False
    is_served: bool = False


class TopicStanding(Struct, frozen=True, kw_only=True):
    """How a topic stands.

    Attributes:
        name: Its name.
        events: How many are kept.
        bytes: How long they are together.
        first: When the oldest was published.
        last: When the newest was published.
    """

    name: str
    events: int
    bytes: int
    first: Microseconds
    last: Microseconds


class FailedCount(Struct, frozen=True, array_like=True):
    """How many deliveries of one function were put aside.

    Attributes:
        source: ``topic`` or ``queue``.
        name: Of the topic or queue.
        function: Of the subscription; of a queue its function's.
        count: How many.
        newest: When the last of them was.
    """

    source: str
    name: str
    function: str
    count: int
    newest: Microseconds


class TopicPage(Struct, frozen=True, array_like=True):
    """Some events of a topic in a row, as what deletes old ones sees them.

    Attributes:
        last: The position of the last of them.
        events: How many they are.
        bytes: How long they are together.
        first_at: When the first of them was published, by the clocks of who did.
    """

    last: int
    events: int
    bytes: int
    first_at: Microseconds


class TrimPoint(Struct, frozen=True, kw_only=True):
    """What is to be deleted of the oldest events of a topic: what either says.

    Attributes:
        before: What was published before this moment.
        position: All up to here.
    """

    before: Microseconds = 0
    position: int = 0


class Trimmed(Struct, frozen=True, array_like=True):
    """What was deleted of a topic.

    Attributes:
        events: How many.
        unread: For how many of them each subscription had not been there.
    """

    events: int
    unread: dict[str, int]


class TopicMatch(Struct, frozen=True, array_like=True):
    """An instance waits for an event that is there.

    Attributes:
        iid: Of the instance.
        task_id: Of its wait.
        partition: The instance's.
        instance_id: Its id.
        execution_id: That of its execution.
        event: The first that counts.
    """

    iid: int
    task_id: int
    partition: int
    instance_id: InstanceId
    execution_id: ExecutionId
    event: StoredEvent


class MatchPage(Struct, frozen=True, array_like=True):
    """What was found for some waits.

    Attributes:
        matches: What was found.
        has_more: Whether there may be more than what fits.
    """

    matches: list[TopicMatch]
    has_more: bool


class WaitPage(Struct, frozen=True, array_like=True):
    """Waits that events after a position are for.

    Attributes:
        waits: Iid and task of each.
        cursor: Where the next page begins.
        has_more: Whether there are more events after it now.
    """

    waits: list[tuple[int, int]]
    cursor: int
    has_more: bool


class TopicNews(Struct, frozen=True, array_like=True):
    """Which topics have events after a position.

    Attributes:
        cursor: That of the newest event.
        topics: Their names.
        given_back: Subscriptions that were given events back, which they are not done with.
    """

    cursor: int
    topics: list[str]
    given_back: list[str] = []


class TopicReader(FlowReader, Protocol):
    """Reading topics, open to every process."""

    async def subscriptions(self) -> list[SubscriptionStanding]:
        """All subscriptions there ever were and that nobody has removed."""

    async def events(
        self, topic: str, after: int, limit: int, most_bytes: int
    ) -> list[StoredEvent]:
        """Events of a topic after a position, oldest first, as long as they fit; one at least."""

    async def newest_events(self, topic: str, limit: int, most_bytes: int) -> list[StoredEvent]:
        """The newest events of a topic, newest first."""

    async def failed_deliveries(
        self,
        source: str | None = None,
        name: str | None = None,
        function: str | None = None,
        after: int = 0,
        limit: int = 100,
        most_bytes: int = FAILED_BYTES,
    ) -> list[FailedDelivery]:
        """What was put aside, oldest first, after this number: of topics or queues (``source``), of
        one topic or queue (``name``), of one function; None for any. As long as they fit, one at
        least.
        """

    async def failed_counts(self) -> list[FailedCount]:
        """How many deliveries were put aside, function by function."""

    async def topic_names(self) -> list[str]:
        """Those of all topics that have events; costs one look per topic."""

    async def topic_page(
        self, topic: str, after: int, limit: int, most_bytes: int
    ) -> TopicPage | None:
        """Events after a position, as long as they fit, one at least; None when there is none."""

    async def topic_news(self, cursor: int | None) -> TopicNews:
        """Which topics have events after a position; None: all that have any."""

    async def last_position(self) -> int:
        """That of the newest event of all topics; 0 when there was never one."""


class TopicStorage(TopicReader, Protocol):
    """Writing what belongs to topics beside commits."""

    async def publish(
        self,
        events: Sequence[PublishedEvent],
        messages: Sequence[QueuedMessage],
        sent: Sequence[InboxRow] = (),
    ) -> None:
        """Add events and messages from a process that owns nothing, all or none.

        With those ``sent`` to linked hubs: events for topics there.
        """

    async def topic_waits(
        self, partitions: Collection[int], after: tuple[int, int], limit: int
    ) -> list[TopicWaitRow]:
        """What instances of these partitions wait for, in the order of iid and task, the first of
        those after these.
        """

    async def topic_matches_of(
        self, waits: Sequence[tuple[int, int]], most_bytes: int
    ) -> MatchPage:
        """For these waits (iid and task) the first event that counts, where there is one: as long
        as they fit, one at least.
        """

    async def topic_waits_since(self, cursor: int) -> WaitPage:
        """Waits of all partitions for events after a position, some thousand events at a time."""

    async def places(self, names: Sequence[str]) -> list[Place]:
        """How far these subscriptions are, in each topic that they have read."""

    async def redeliveries(
        self, name: str, after: int, limit: int, most_bytes: int
    ) -> list[StoredEvent]:
        """Events that were given back to a subscription, oldest first, as long as they fit; one at
        least. Their positions are below zero, and ever lower: those below ``-after`` are read.
        """

    async def write_progress(self, lease: Lease, progress: Sequence[Progress]) -> None:
        """Durably note how far subscriptions of a partition are.

        Raises:
            FencedError: the lease does not hold any more; nothing was written.
        """

    async def write_notes(
        self,
        lease: Lease,
        notes: Mapping[str, str],
        failed: Sequence[FailedDelivery] = (),
        redelivered: Sequence[int] = (),
    ) -> None:
        """Durably keep notes, as ``write_note`` does, in one transaction.

        Args:
            lease: Of a partition.
            notes: Texts by key.
            failed: What is put aside with them.
            redelivered: Events of ``redeliveries`` that are done with, by position.

        Raises:
            FencedError: the lease does not hold any more; nothing was written.
        """

    async def remove_subscription(self, name: str, topic: str | None = None) -> bool:
        """Forget a subscription and what was put aside for it, of one topic or all; whether there
        was one.
        """

    async def trim(self, topic: str, point: TrimPoint, limit: int) -> Trimmed:
        """Delete old ones of the oldest events of a topic; so many are looked at."""

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete what was put aside; how many there were."""

    async def redrive(self, numbers: Sequence[int], now: Microseconds) -> Redriven:
        """Give failed deliveries back to their function, with all attempts.

        A message is ready at once, behind those that its queue has, and keeps the moment when it
        was queued first. It stays put aside while one of its id is in the queue: of several of one
        id the oldest goes. What is not put aside is passed over.
        """
