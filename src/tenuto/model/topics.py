"""Topics and queues: what is published and queued, and how names are checked. Pure data.

A topic is a log of events that each of its subscriptions reads at its own pace; a queue hands each
message to one worker. Both are kept by the store (``engine.topic_ports``, ``engine.queue_ports``).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tenuto.model.causes import event_cause, message_cause
from tenuto.model.errors import InputError
from tenuto.model.ids import MessageId, check_hub_name
from tenuto.model.limits import check_payload
from tenuto.model.room import encoded
from tenuto.model.texts import checked_name, checked_text
from tenuto.model.timing import Microseconds, to_datetime

MOST_NAME: Final = 256
MOST_ATTRIBUTES: Final = 64
MOST_AT_ONCE: Final = 10_000
"""So many events and messages one request brings, by whichever door."""
MOST_ID: Final = 512
_FORBIDDEN: Final = frozenset("/\\#?")
_NULL: Final = Raw(b"null")


class EventContent(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the store keeps of an event as one JSON value.

    Attributes:
        data: The payload as JSON.
        type: What kind of event it is, such as ``order.placed``.
        source: Who has published it: ``instance/<id>``, or what a client says.
        subject: What it is about, as CloudEvents have it.
        attributes: Further ones, text to text; those of CloudEvents among them.
    """

    data: Raw = _NULL
    type: str | None = None
    source: str | None = None
    subject: str | None = None
    attributes: dict[str, str] | None = None


class PublishedEvent(Struct, frozen=True, array_like=True, gc=False):
    """An event on its way into a topic: a row of a commit.

    Attributes:
        event_id: Unique in its topic; one that is there already is left alone.
        topic: Its name.
        key: Events of one key are delivered one after another; None for no order.
        published_at: When.
        cause: What it was caused by, as ``model.causes`` has it; None when nobody knows.
        iid: Of the instance whose turn has published it; 0 for a client.
        event: The JSON form of an ``EventContent``.
    """

    event_id: str
    topic: str
    key: str | None
    published_at: Microseconds
    cause: str | None
    iid: int
    event: Raw

    @property
    def post_key(self) -> MessageId:
        """Which one it is, among all events and messages: a store may refuse it."""
        return MessageId(event_cause(self.topic, self.event_id))


class StoredEvent(Struct, frozen=True, array_like=True, gc=False):
    """An event as the store gives it back; ``position`` counts over all topics."""

    position: int
    event_id: str
    topic: str
    key: str | None
    published_at: Microseconds
    cause: str | None
    event: Raw


class QueuedMessage(Struct, frozen=True, array_like=True, gc=False):
    """A message on its way into a queue: a row of a commit.

    Attributes:
        message_id: Unique in its queue; one that is there already is left alone.
        queue: Its name.
        visible_at: Not handed out before; 0 when nothing holds it back, so that no clock does.
        queued_at: When.
        cause: What it was caused by; None when nobody knows.
        iid: Of the instance whose turn has queued it; 0 for a client.
        data: The payload as JSON text.
    """

    message_id: str
    queue: str
    visible_at: Microseconds
    queued_at: Microseconds
    cause: str | None
    iid: int
    data: str

    @property
    def post_key(self) -> MessageId:
        """Which one it is, among all events and messages: a store may refuse it."""
        return MessageId(message_cause(self.queue, self.message_id))


class Event(Struct, frozen=True, kw_only=True):
    """An event of a topic, as subscribers get it.

    Attributes:
        id: Unique in its topic, the same however often it is delivered.
        topic: The topic's name.
        data: The payload, plain data of JSON.
        key: Events of one key come one after another; None for no order.
        type: What kind of event it is, such as ``order.placed``; None when nobody said.
        source: Who has published it; None when nobody said.
        subject: What it is about; None when nobody said.
        attributes: Further ones, text to text.
        published_at: When (aware UTC).

    Example:
        ::

            @app.subscribe("orders")
            async def note(event: Event) -> None:
                print(event.id, event.data)
    """

    id: str
    topic: str
    data: Any
    published_at: datetime
    key: str | None = None
    type: str | None = None
    source: str | None = None
    subject: str | None = None
    attributes: Mapping[str, str] = {}


_WAIT: Final = "tenuto.topic/"


def wait_name(execution_id: str, task_id: int) -> str:
    """The name of the event that an instance's wait for a topic takes: its own, and no other.

    With the execution's id, since task ids begin anew with each.
    """
    return f"{_WAIT}{execution_id}/{task_id}"


def is_of_wait(name: str) -> bool:
    """Whether an event of this name is one that a wait for a topic takes.

    Nobody else ever does: when the wait is over, the topic has it still.
    """
    return name.startswith(_WAIT)


def wait_number(name: str) -> int:
    """The task id of the wait that takes an event of this name; 0 for none."""
    number = name.rpartition("/")[2]
    return int(number) if number.isdecimal() and number.isascii() else 0


_stored_in: Final = msgspec.json.Decoder(StoredEvent).decode


def event_for_wait(text: str | None) -> StoredEvent | None:
    """What is brought to a wait, of its JSON form; None of what somebody has made up by hand."""
    try:
        return _stored_in(text or "")
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


_RESERVED: Final = "tenuto."


def checked_event_name(value: object, what: str = "an event") -> str:
    """The name of an event that somebody raises or waits for, or refused.

    Args:
        value: What was given.
        what: What it is the name of.

    Raises:
        InputError: it is no name, or one of Tenuto's own: who raised an event under that would
            answer a wait for a topic with what no topic has.
        PayloadError: it has half of a surrogate pair.
        LimitError: it is too long.
    """
    name = checked_name(value, what)
    if name.casefold().startswith(_RESERVED):  # names of events ignore case
        raise InputError(
            f"{name!r:.200} cannot be the name of {what}: names that begin with {_RESERVED!r} are "
            "Tenuto's own"
        )
    return name


content_in: Final = msgspec.json.Decoder(EventContent).decode
"""The content of an event, of its JSON form."""


def event_of(stored: StoredEvent) -> Event:
    """An event of the store as subscribers get it."""
    content = content_in(stored.event)
    return Event(
        id=stored.event_id,
        topic=stored.topic,
        data=msgspec.json.decode(content.data),
        published_at=to_datetime(stored.published_at),
        key=stored.key,
        type=content.type,
        source=content.source,
        subject=content.subject,
        attributes=content.attributes or {},
    )


def content_of(text: str | None, head: "EventHead") -> Raw:
    """The JSON form of an event's content; ``text`` is its data as JSON text."""
    details = head.details
    content = EventContent(
        _NULL if text is None else Raw(text.encode()),
        head.type,
        details.source,
        details.subject,
        dict(details.attributes) if details.attributes else None,
    )
    return Raw(bytes(encoded(content)))


def checked_place(value: object, what: str) -> str:
    r"""The name of a topic, a queue or a subscription, or refused.

    1 to 256 characters that print, none of ``/ \ # ?``, no blank at an end, not ``.`` or ``..``.

    Args:
        value: What was given.
        what: What it is the name of, such as ``a topic``.

    Raises:
        InputError: it is no such name.
    """
    name = checked_name(value, what)
    if len(name) > MOST_NAME:
        raise InputError(
            f"the name of {what} has {len(name)} characters; at most {MOST_NAME} are allowed"
        )
    if not _FORBIDDEN.isdisjoint(name) or not name.isprintable():
        raise InputError(
            f"{name!r} cannot be the name of {what}: it has a character that does not print, or "
            "one of / \\ # ?"
        )
    if name != name.strip() or name in {".", ".."}:
        raise InputError(
            f"{name!r} cannot be the name of {what}: it begins or ends with a blank, or stands for "
            "a folder in an address"
        )
    return name


def is_of_linked_hub(topic: str) -> bool:
    """Whether a name is that of a topic of a linked hub, as in ``hub/orders``."""
    return "/" in topic


def checked_topic(value: object) -> str:
    """The name of a topic to publish to, or refused: of one here, or ``hub/topic`` of a linked hub.

    Raises:
        InputError: it is no such name, that of the hub breaks the rules, or the topic is one of
            Tenuto's own: what stands there happened, and nobody may say so who only wants it.
    """
    if not isinstance(value, str) or not is_of_linked_hub(value):
        return of_others(checked_place(value, "a topic"))
    hub, _, topic = value.partition("/")
    try:
        check_hub_name(hub)
    except InputError as error:
        raise InputError(
            f"{value!r:.200} cannot be the name of a topic: what stands before a slash is the name "
            f"of a linked hub, and {error}"
        ) from None
    return f"{hub}/{of_others(checked_place(topic, 'a topic of a linked hub'))}"


def of_others(topic: str) -> str:
    """The same, if it is a topic to which others than Tenuto publish.

    Raises:
        InputError: it is one of Tenuto's own.
    """
    if topic.startswith(_RESERVED):
        raise InputError(
            f"nobody publishes to topic {topic!r}: names that begin with {_RESERVED!r} are "
            "Tenuto's own"
        )
    return topic


def checked_own_topic(value: object) -> str:
    """The name of a topic of this hub, for who reads it, or refused.

    Raises:
        InputError: it is no such name, or one of a linked hub.
    """
    if isinstance(value, str) and is_of_linked_hub(value):
        raise InputError(
            f"{value!r} cannot be the name of a topic of this hub: with a slash it is a topic of a "
            "linked hub, to which one publishes; subscribe on that hub, and let it publish here "
            "what is wanted here"
        )
    return checked_place(value, "a topic")


def checked_id(value: object, what: str) -> str:
    """The id of an event or a message, or refused.

    Raises:
        InputError: it is no text of 1 to 512 characters that print.
        LimitError: it is too long for any text.
    """
    text = checked_text(value, f"the id of {what}")
    if not 1 <= len(text) <= MOST_ID or not text.isprintable():
        raise InputError(
            f"the id of {what} must be 1 to {MOST_ID} characters that print, got {value!r:.100}"
        )
    return text


def checked_key(value: object, what: str) -> str | None:
    """The key of an event, or of a wait for events; None for none.

    Raises:
        InputError: it is no text, or empty.
        LimitError: it is too long.
    """
    if value is None:
        return None
    if value == "":
        raise InputError(f"{what} is empty; leave it out, or say what it is")
    return checked_text(value, what)


class EventDetails(Struct, frozen=True, kw_only=True):
    """What may be said of an event that few need to say.

    Attributes:
        source: Who says so, as CloudEvents have it.
        subject: What it is about.
        attributes: Further ones, text to text.

    Example:
        ``await client.publish("orders", order, details=EventDetails(subject="order/7"))``
    """

    source: str | None = None
    subject: str | None = None
    attributes: Mapping[str, str] | None = None


class EventHead(Struct, frozen=True, kw_only=True):
    """All that is said of an event beside its data; checked by ``checked_head``."""

    key: str | None = None
    type: str | None = None
    details: EventDetails = EventDetails()


def checked_head(head: EventHead, topic: str) -> EventHead:
    """A head that can be stored.

    Raises:
        InputError: something of it is no text, or there is too much of it.
        LimitError: a text of it is too long.
    """
    details = head.details
    if not isinstance(details, EventDetails):
        raise InputError(f"details must be EventDetails, got {details!r}")
    for name, value in (
        ("type", head.type),
        ("source", details.source),
        ("subject", details.subject),
    ):
        if value is not None:
            checked_text(value, f"the {name} of an event for topic {topic!r}")
    attributes: object = details.attributes or {}
    if not isinstance(attributes, Mapping) or len(attributes) > MOST_ATTRIBUTES:
        raise InputError(
            f"the attributes of an event for topic {topic!r} must be a mapping of at most "
            f"{MOST_ATTRIBUTES} texts, got {_counted(attributes)}"
        )
    for name, value in attributes.items():
        checked_name(name, f"an attribute of an event for topic {topic!r}")
        checked_text(value, f"the attribute {name!r:.100} of an event for topic {topic!r}")
    checked_key(head.key, f"the key of an event for topic {topic!r}")
    return head


def _counted(attributes: object) -> str:
    """Too many are not shown: that takes as long as there are many."""
    return f"{len(attributes):,}" if isinstance(attributes, Mapping) else f"{attributes!r:.100}"


def checked_count(found: list[Raw], what: str) -> list[Raw]:
    """What one request brings, before anything is made of it, or refused.

    Args:
        found: Its parts.
        what: What they stand in, such as ``a batch``.

    Raises:
        InputError: there are too many.
    """
    if len(found) > MOST_AT_ONCE:
        raise InputError(f"{what} has {MOST_AT_ONCE:,} events at most, this one {len(found):,}")
    return found


def check_data(text: str | None, limit: int, where: str) -> None:
    """Refuse data that is longer than allowed.

    Raises:
        LimitError: naming it, its length and the setting.
    """
    check_payload(text, limit, f"the data for {where}")
