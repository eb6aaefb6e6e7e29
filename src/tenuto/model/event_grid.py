"""Events as Event Grid posts them to a webhook, in its own schema. Pure.

They are kept in a topic of the function that they are for, until it has run.
"""

from collections.abc import Mapping
from datetime import UTC
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tenuto.model.cloud_events import check_time, cloud_event_of, id_in_topic
from tenuto.model.errors import InputError
from tenuto.model.topics import (
    MOST_NAME,
    Event,
    EventDetails,
    EventHead,
    checked_count,
    checked_place,
)

VALIDATION: Final = "Microsoft.EventGrid.SubscriptionValidationEvent"
"""The type of the event with which Event Grid asks whether a webhook wants its events."""

_PREFIX: Final = "eventgrid."
_DATA_VERSION: Final = "dataVersion"
_METADATA_VERSION: Final = "metadataVersion"
_DIGEST: Final = 16


def topic_of(function: str) -> str:
    """The topic in which the events for a function are kept; its subscription has the same name.

    Args:
        function: The function's name.
    """
    name = f"{_PREFIX}{function}"
    try:
        return checked_place(name, "a topic")
    except InputError:  # a function may be named with signs that no topic has
        digest = sha256(function.encode()).hexdigest()[:_DIGEST]
        plain = "".join(letter if letter.isalnum() else "-" for letter in function)
        return f"{_PREFIX}{plain[: MOST_NAME // 2]}-{digest}"


class GridEvent(Struct, frozen=True, kw_only=True, rename="camel"):
    """An event in the schema of Event Grid.

    Attributes:
        id: Unique for its topic.
        subject: What it is about.
        event_type: What kind of event it is.
        event_time: When it happened, as it was sent.
        data: As JSON.
        topic: The resource in Azure that has sent it.
        data_version: Of the schema of the data.
        metadata_version: Of this schema.
    """

    id: str
    subject: str
    event_type: str
    event_time: str
    data: Raw = Raw(b"null")
    topic: str | None = None
    data_version: str | None = None
    metadata_version: str | None = None

    @property
    def event_id(self) -> str:
        """The id under which a topic knows it."""
        return id_in_topic(self.topic or "", self.id)

    @property
    def text(self) -> str:
        """The data as JSON text."""
        return bytes(self.data).decode()

    @property
    def head(self) -> EventHead:
        """What a topic keeps of it beside its data."""
        attributes = {
            "id": self.id,
            "time": self.event_time,
            _DATA_VERSION: self.data_version or "",
            _METADATA_VERSION: self.metadata_version or "1",
        }
        return EventHead(
            type=self.event_type,
            details=EventDetails(source=self.topic, subject=self.subject, attributes=attributes),
        )

    @property
    def validation_code(self) -> str | None:
        """What the answer to the question whether a webhook wants events must say; None when it is
        no such question.
        """
        if self.event_type != VALIDATION:
            return None
        try:
            return msgspec.json.decode(self.data, type=_Validation).validation_code
        except msgspec.ValidationError as error:
            raise InputError(f"the data of {VALIDATION} does not fit: {error}") from None


class _Validation(Struct, frozen=True, rename="camel"):
    validation_code: str


_parts: Final = msgspec.json.Decoder(list[Raw]).decode
_decode: Final = msgspec.json.Decoder(GridEvent).decode


def _is_array(body: str) -> bool:
    """Whether JSON text is that of an array."""
    return body.lstrip()[:1] == "["


def read_grid_events(body: str) -> list[GridEvent]:
    """Events in the schema of Event Grid: an array, or one alone.

    Raises:
        InputError: one of them has not what each has; says what.
    """
    try:
        parts = _parts(body) if _is_array(body) else [Raw(body.encode())]
        events = list(map(_decode, checked_count(parts, "a request of Event Grid")))
    except msgspec.DecodeError as error:
        raise InputError(
            f"the body is no array of events in the schema of Event Grid: {error}"
        ) from None
    for one in events:
        for name, value in (("id", one.id), ("eventType", one.event_type)):
            if not value:
                raise InputError(f"an event in the schema of Event Grid has an empty {name}")
        check_time(one.event_time)
    return events


def posted_form(event: Event) -> dict[str, Any]:
    """An event in the schema in which it was posted: that of Event Grid, or a CloudEvent.

    Args:
        event: Of the topic of a function that Event Grid starts.
    """
    attributes: Mapping[str, str] = event.attributes
    if _DATA_VERSION not in attributes:
        return cloud_event_of(event, _PREFIX)
    at = event.published_at.astimezone(UTC).isoformat()
    return {
        "id": attributes.get("id", event.id),
        "topic": event.source or "",
        "subject": event.subject or "",
        "eventType": event.type or "",
        "eventTime": attributes.get("time", at),
        "data": event.data,
        "dataVersion": attributes[_DATA_VERSION],
        "metadataVersion": attributes.get(_METADATA_VERSION, "1"),
    }
