"""What a client publishes and queues, checked and made into rows."""

from collections.abc import Mapping
from datetime import timedelta

from msgspec import Struct, structs

from tenuto.client.causes import current_cause, current_trace
from tenuto.model.causes import CAUSE_TAG
from tenuto.model.ids import new_message_id
from tenuto.model.texts import checked_text_or_none
from tenuto.model.timing import Microseconds
from tenuto.model.topics import (
    EventHead,
    PublishedEvent,
    QueuedMessage,
    check_data,
    checked_head,
    checked_id,
    checked_place,
    checked_topic,
    content_of,
)
from tenuto.model.trace import with_trace
from tenuto.orchestration.publishing import checked_delay


class Stamp(Struct, frozen=True):
    """What an event or a message is given when it is taken in.

    Attributes:
        now: When.
        cause: What it was caused by; None when nobody knows.
        payload_bytes: How long its data may be.
    """

    now: Microseconds
    cause: str | None
    payload_bytes: int


def event_of_text(
    topic: object, text: str | None, head: EventHead, *, event_id: str | None, stamp: Stamp
) -> PublishedEvent:
    """An event, from JSON text.

    Raises:
        InputError: topic, id, head or cause cannot be used.
        LimitError: they are too long.
    """
    name = checked_topic(topic)
    head = checked_head(head, name)
    trace = current_trace.get()
    if trace is not None:
        details = structs.replace(
            head.details, attributes=with_trace(head.details.attributes, trace)
        )
        head = structs.replace(head, details=details)
    check_data(text, stamp.payload_bytes, f"topic {name!r}")
    return PublishedEvent(
        event_id=_id(event_id, "an event", stamp.now),
        topic=name,
        key=head.key,
        published_at=stamp.now,
        cause=checked_text_or_none(stamp.cause, f"the cause of an event for topic {name!r}"),
        iid=0,
        event=content_of(text, head),
    )


def message_of_text(
    queue: object,
    text: str,
    delay: timedelta | None,
    *,
    message_id: str | None,
    stamp: Stamp,
) -> QueuedMessage:
    """A message, from JSON text.

    Raises:
        InputError: queue, id, delay or cause cannot be used.
        LimitError: they are too long.
    """
    name = checked_place(queue, "a queue")
    check_data(text, stamp.payload_bytes, f"queue {name!r}")
    held_back = checked_delay(delay)
    return QueuedMessage(
        message_id=_id(message_id, "a message", stamp.now),
        queue=name,
        visible_at=stamp.now + held_back if held_back else 0,
        queued_at=stamp.now,
        cause=checked_text_or_none(stamp.cause, f"the cause of a message for queue {name!r}"),
        iid=0,
        data=text,
    )


def caused_tags(tags: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """The tags of an instance that is started here: with what it is caused by, if that is known."""
    cause = current_cause.get()
    return tags if cause is None else {CAUSE_TAG: cause, **(tags or {})}


def _id(given: str | None, what: str, now: Microseconds) -> str:
    if given is None:
        return new_message_id(now)
    return checked_id(given, what)
