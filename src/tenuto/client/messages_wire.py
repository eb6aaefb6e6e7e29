"""What travels between a client and a server of topics and failed deliveries. Pure data."""

from msgspec import UNSET, Raw, Struct, UnsetType

from tenuto.engine.topic_ports import FailedDelivery
from tenuto.model.codec import encode
from tenuto.model.payload.opaque import as_json
from tenuto.model.timing import Microseconds
from tenuto.model.topics import EventContent, StoredEvent, content_in


class TopicEventBody(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An event of a topic.

    Attributes:
        position: Its place in the order of all topics.
        id: Unique in its topic.
        topic: The topic.
        published_at: When, in microseconds since 1970 UTC.
        data: The payload.
        key: Events of one key are delivered in their order.
        type: What kind of event it is.
        source: Who has published it.
        subject: What it is about.
        attributes: Further ones.
        cause: What it was caused by.
    """

    position: int
    id: str
    topic: str
    published_at: Microseconds
    data: Raw | UnsetType = UNSET
    key: str | None = None
    type: str | None = None
    source: str | None = None
    subject: str | None = None
    attributes: dict[str, str] | None = None
    cause: str | None = None

    @classmethod
    def of(cls, event: StoredEvent) -> "TopicEventBody":
        """The body for a stored event."""
        content = content_in(event.event)
        return cls(
            position=event.position,
            id=event.event_id,
            topic=event.topic,
            published_at=event.published_at,
            data=content.data,
            key=event.key,
            type=content.type,
            source=content.source,
            subject=content.subject,
            attributes=content.attributes,
            cause=event.cause,
        )

    @property
    def event(self) -> StoredEvent:
        """The event as it is stored."""
        data = Raw(b"null") if isinstance(self.data, UnsetType) else self.data
        content = EventContent(data, self.type, self.source, self.subject, self.attributes)
        return StoredEvent(
            self.position,
            self.id,
            self.topic,
            self.key,
            self.published_at,
            self.cause,
            Raw(encode(content)),
        )


class FailedDeliveryBody(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A delivery that was put aside.

    Attributes:
        number: Its own, to redrive or drop it by.
        source: ``topic`` or ``queue``.
        name: Of the topic or queue.
        function: The subscription, or the function of the queue.
        message_id: Of the event or message.
        attempts: So often it was tried.
        failed_at: When it was put aside, in microseconds since 1970 UTC.
        error: What the last attempt has raised.
        content: Of an event its parts, ``data`` among them; of a message its data.
        cause: What it was caused by.
        key: Of an event.
    """

    number: int
    source: str
    name: str
    function: str
    message_id: str
    attempts: int
    failed_at: Microseconds
    error: str
    content: Raw
    cause: str | None = None
    key: str | None = None

    @classmethod
    def of(cls, one: FailedDelivery) -> "FailedDeliveryBody":
        """The body for what is stored."""
        return cls(
            number=one.number,
            source=one.source,
            name=one.name,
            function=one.function,
            message_id=one.message_id,
            attempts=one.attempts,
            failed_at=one.failed_at,
            error=one.error,
            content=as_json(one.content),
            cause=one.cause,
            key=one.key,
        )

    @property
    def delivery(self) -> FailedDelivery:
        """The same as it is stored."""
        return FailedDelivery(
            number=self.number,
            source=self.source,
            name=self.name,
            function=self.function,
            message_id=self.message_id,
            attempts=self.attempts,
            failed_at=self.failed_at,
            error=self.error,
            cause=self.cause,
            key=self.key,
            content=bytes(self.content).decode(),
        )


class NumbersBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed deliveries are meant.

    Attributes:
        numbers: Theirs.
    """

    numbers: tuple[int, ...]


class CountBody(Struct, frozen=True):
    """How much was done.

    Attributes:
        count: To how many; what is not there is not counted.
    """

    count: int
