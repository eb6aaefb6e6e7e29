"""Events for topics of linked hubs: as they are published, on the way, and where they arrive. Pure.

On its way an event is a message like those to instances, for an address such as ``hub/orders``:
so it waits, goes and counts as they do. Its id, and what it names of its sender's hub (who has
published it, what has caused it), get the receiver's name of that hub, as the ids of instances do:
no link takes an id that somebody else's event will have.
"""

from typing import Final

from tenuto.model.causes import beyond
from tenuto.model.errors import InputError
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.messages import Publish
from tenuto.model.payload.soundness import check_json
from tenuto.model.texts import checked_text
from tenuto.model.timing import Microseconds
from tenuto.model.topics import (
    EventDetails,
    EventHead,
    PublishedEvent,
    check_data,
    checked_head,
    checked_id,
    checked_place,
    content_in,
    content_of,
    of_others,
)

_NULL: Final = b"null"
_INSTANCE: Final = "instance/"
_LINKED: Final = "linked/"
_TOPIC: Final = "#"


def carried(event: PublishedEvent, message_id: MessageId) -> tuple[InstanceId, Publish]:
    """An event that is published as a message: the name of its topic as an address, and that.

    Args:
        event: For a topic of a linked hub; or of this one, with a transaction that is not ours.
        message_id: The message's own.
    """
    content = content_in(event.event)
    data = bytes(content.data)
    return InstanceId(event.topic), Publish(
        message_id=message_id,
        event_id=event.event_id,
        key=event.key,
        published_at=event.published_at,
        cause=event.cause,
        input=None if data == _NULL else data.decode(),
        kind=content.type,
        source=content.source,
        subject=content.subject,
        attributes=content.attributes,
    )


def address_of_topic(topic: str) -> InstanceId:
    """Where an event waits in an inbox for a topic of this hub: no instance has such an id."""
    return InstanceId(f"{_TOPIC}{topic}")


def is_of_topic(address: InstanceId) -> bool:
    """Whether it is such an address."""
    return address.startswith(_TOPIC)


def handed_in(address: InstanceId, message: Publish) -> PublishedEvent:
    """An event that has waited in an inbox, as it was published.

    Args:
        address: ``address_of_topic`` of its topic.
        message: What ``carried`` has made of it.
    """
    details = EventDetails(
        source=message.source, subject=message.subject, attributes=message.attributes
    )
    head = EventHead(key=message.key, type=message.kind, details=details)
    return PublishedEvent(
        event_id=message.event_id,
        topic=address.removeprefix(_TOPIC),
        key=message.key,
        published_at=message.published_at,
        cause=message.cause,
        iid=0,
        event=content_of(message.input, head),
    )


def arrived(
    topic: str, message: Publish, hub: str, now: Microseconds, payload_bytes: int
) -> PublishedEvent:
    """An event that a linked hub has published here.

    Args:
        topic: Of this hub.
        message: What has come.
        hub: How its sender is called here.
        now: By this hub's clock: an event does not come from the future.
        payload_bytes: How long its data may be.

    Raises:
        InputError: something of it cannot be used.
        LimitError: it is too long.
    """
    name = of_others(checked_place(topic, "a topic"))
    details = EventDetails(
        source=_source(message.source, hub), subject=message.subject, attributes=message.attributes
    )
    head = checked_head(EventHead(key=message.key, type=message.kind, details=details), name)
    check_data(message.input, payload_bytes, f"topic {name!r}")
    if message.input is not None:
        _check_json(message.input, name)
    cause = message.cause
    if cause is not None:
        cause = beyond(checked_text(cause, f"the cause of an event for topic {name!r}"), hub)
    return PublishedEvent(
        event_id=f"{hub}/{checked_id(message.event_id, 'an event')}",
        topic=name,
        key=head.key,
        published_at=max(0, min(message.published_at, now)),
        cause=cause,
        iid=0,
        event=content_of(message.input, head),
    )


def _source(source: str | None, hub: str) -> str:
    """Who says so, with the hub's name: who speaks over a link speaks as nobody else."""
    if source is None:
        return f"{_LINKED}{hub}"
    if source.startswith(_INSTANCE):
        return f"{_INSTANCE}{hub}/{source.removeprefix(_INSTANCE)}"
    return f"{_LINKED}{hub}/{source}"


def _check_json(text: str, topic: str) -> None:
    """See that data is JSON as every reader here can read it: a store has it as such."""
    try:
        check_json(text.encode())
    except InputError as error:
        raise InputError(f"the data for topic {topic!r} is no JSON that fits: {error}") from None
