"""What servers say of queues, and of deliveries that were put aside: the JSON bodies."""

from msgspec import Raw, Struct

from tenuto.engine.queue_ports import QueueStanding, WaitingMessage
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.model.payload.opaque import as_json
from tenuto.model.timing import Microseconds


class _Body(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Fields in camelCase, as everywhere over HTTP; one that is not known is refused."""


class QueueBody(_Body, frozen=True, kw_only=True):
    """How a queue stands.

    Attributes:
        name: Its name.
        ready: Messages that could be worked on now.
        delayed: Messages whose time has not come, or whose next attempt waits.
        in_work: Messages that a function has.
        failed: Messages that were put aside.
        oldest: Since when the first of those that are ready is so, in microseconds since 1970 UTC.
    """

    name: str
    ready: int
    delayed: int
    in_work: int
    failed: int
    oldest: Microseconds | None

    @classmethod
    def of(cls, one: QueueStanding) -> "QueueBody":
        """The body for a queue."""
        return cls(
            name=one.name,
            ready=one.ready,
            delayed=one.delayed,
            in_work=one.in_work,
            failed=one.failed,
            oldest=one.oldest,
        )

    @property
    def standing(self) -> QueueStanding:
        """The same as a store says it."""
        return QueueStanding(
            name=self.name,
            ready=self.ready,
            delayed=self.delayed,
            in_work=self.in_work,
            failed=self.failed,
            oldest=self.oldest,
        )


class WaitingMessageBody(_Body, frozen=True, kw_only=True):
    """A message of a queue.

    Attributes:
        id: Unique in the queue.
        queued_at: When it was put in, in microseconds since 1970 UTC.
        visible_at: When it is ready; 0 when nothing holds it back, null while a function has it.
        attempts: So many have begun.
        cause: What it was caused by; null when nobody knows.
        data: The payload, any JSON.
    """

    id: str
    queued_at: Microseconds
    visible_at: Microseconds | None
    attempts: int
    cause: str | None
    data: Raw

    @classmethod
    def of(cls, one: WaitingMessage) -> "WaitingMessageBody":
        """The body for a message."""
        return cls(
            id=one.id,
            queued_at=one.queued_at,
            visible_at=one.visible_at,
            attempts=one.attempts,
            cause=one.cause,
            data=as_json(one.data),
        )

    @property
    def message(self) -> WaitingMessage:
        """The same as a store says it."""
        return WaitingMessage(
            id=self.id,
            queued_at=self.queued_at,
            visible_at=self.visible_at,
            attempts=self.attempts,
            cause=self.cause,
            data=bytes(self.data).decode(),
        )


class FailedDeliveryBody(_Body, frozen=True, kw_only=True):
    """A delivery that was put aside: its function has failed in each attempt.

    Attributes:
        number: Its own, to redrive or delete it by.
        source: ``topic``, ``queue`` or ``files``.
        name: Of the topic or queue; of the folder its path.
        function: Of the subscription; else its function's.
        message_id: Of the event, message or file.
        attempts: So often it was tried.
        failed_at: When it was put aside, in microseconds since 1970 UTC.
        error: What the last attempt has raised.
        cause: What the event or message was caused by; null when nobody knows.
        key: Of the event; null for none.
        content: The message's data, any JSON; of an event an object with ``data`` and what else is
            said of it.
        came_at: When the event was published, or the message was queued first, in microseconds
            since 1970 UTC; null of a file.
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
    content: Raw
    came_at: Microseconds | None

    @classmethod
    def of(cls, one: FailedDelivery) -> "FailedDeliveryBody":
        """The body for a failed delivery."""
        return cls(
            number=one.number,
            source=one.source,
            name=one.name,
            function=one.function,
            message_id=one.message_id,
            attempts=one.attempts,
            failed_at=one.failed_at,
            error=one.error,
            cause=one.cause,
            key=one.key,
            content=as_json(one.content),
            came_at=one.came_at,
        )

    @property
    def delivery(self) -> FailedDelivery:
        """The same as a store says it."""
        return FailedDelivery(
            self.number,
            self.source,
            self.name,
            self.function,
            self.message_id,
            self.attempts,
            self.failed_at,
            self.error,
            self.cause,
            self.key,
            bytes(self.content).decode(),
            self.came_at,
        )


class NumbersBody(_Body, frozen=True, kw_only=True):
    """Which failed deliveries are meant.

    Attributes:
        numbers: Theirs.
    """

    numbers: tuple[int, ...]


class MessageIdsBody(_Body, frozen=True, kw_only=True):
    """Which messages of a queue are meant.

    Attributes:
        ids: Theirs; null, which must be said, for all that the queue has.
    """

    ids: tuple[str, ...] | None


class RedrivenBody(_Body, frozen=True, kw_only=True):
    """What has become of failed deliveries that were to be given back.

    Attributes:
        count: So many were given back.
        left: Numbers of those that stay put aside: a message of their id is in the queue again.
    """

    count: int
    left: tuple[int, ...]


class CountBody(_Body, frozen=True, kw_only=True):
    """How many there were.

    Attributes:
        count: So many.
    """

    count: int
