"""What travels between a client and a server of topics. Pure data."""

from msgspec import UNSET, Raw, Struct, UnsetType

from tenuto.model.codec import encode
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
