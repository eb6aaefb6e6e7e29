"""CloudEvents 1.0: read in each of their forms, checked, and written. Pure.

A CloudEvent that comes in becomes an event of a topic, and such an event goes out as a CloudEvent:
what has come in goes out the same, but for values of extensions, which are texts from then on, as
in HTTP headers. Sources number their events as they like, so an event is recognised by source and
id together.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tenuto.model.errors import InputError
from tenuto.model.texts import storable_text
from tenuto.model.topics import (
    MOST_ATTRIBUTES,
    Event,
    EventDetails,
    EventHead,
    checked_count,
)

VERSION: Final = "1.0"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
HEADER: Final = "ce-"
"""How the headers of the binary form begin."""

BASE64: Final = "data_base64"
"""The attribute of an event whose data is Base64 of bytes. No attribute of a CloudEvent can be
named so."""

JSON: Final = "application/json"
KEY: Final = "partitionkey"
"""The extension for the key of an event (Partitioning)."""

_OWN: Final = ("id", "source", "specversion", "type")
_OPTIONAL: Final = ("datacontenttype", "dataschema", "subject", "time")
_DATA: Final = frozenset({"data", BASE64})
_NAME: Final = re.compile(r"[a-z0-9]+")
_NO_NAME: Final = re.compile(r"[^a-z0-9]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
_BLANK: Final = re.compile(r"\s")
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|[+-](\d\d):(\d\d))"
)
_MEDIA_TYPE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+.*")
_MOST_ID: Final = 200
_DIGEST: Final = 24
_MOST_MEMBERS: Final = MOST_ATTRIBUTES + 16
"""Those of an event that a topic keeps elsewhere than among its attributes, and some that are
null."""

_decode: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_parts: Final = msgspec.json.Decoder(list[Raw]).decode
_value: Final = msgspec.json.decode


class CloudEvent(Struct, frozen=True, kw_only=True):
    """A CloudEvent that was checked.

    Attributes:
        id: Of the event, unique for its source.
        source: Who has sent it.
        type: What kind of event it is.
        data: As JSON text; None for none. Base64 in quotes for bytes.
        is_binary: Whether the data is Base64 of bytes.
        datacontenttype: What the data is.
        dataschema: Where its schema is.
        subject: What the event is about.
        time: When it happened, as it was sent.
        extensions: Further attributes.
    """

    id: str
    source: str
    type: str
    data: str | None = None
    is_binary: bool = False
    datacontenttype: str | None = None
    dataschema: str | None = None
    subject: str | None = None
    time: str | None = None
    extensions: Mapping[str, str] = {}

    @property
    def event_id(self) -> str:
        """The id under which a topic knows it: made of source and id."""
        return id_in_topic(self.source, self.id)

    @property
    def head(self) -> EventHead:
        """What a topic keeps of it beside its data."""
        attributes = {
            name: value
            for name in ("datacontenttype", "dataschema", "time")
            if (value := getattr(self, name)) is not None
        }
        if self.is_binary:
            attributes[BASE64] = "true"
        extensions = dict(self.extensions)
        key = extensions.pop(KEY, None)
        return EventHead(
            key=key,
            type=self.type,
            details=EventDetails(
                source=self.source,
                subject=self.subject,
                attributes={"id": self.id, **attributes, **extensions},
            ),
        )


def id_in_topic(source: str, event_id: str) -> str:
    """The id of an event in a topic, made of who has sent it and the id that it has there."""
    digest = sha256(f"{len(source)}:{source}{event_id}".encode()).hexdigest()[:_DIGEST]
    if event_id.isprintable() and len(event_id) <= _MOST_ID:
        return f"{event_id}@{digest}"
    return digest


# --- reading -------------------------------------------------------------------------------------


def read_structured(body: str) -> CloudEvent:
    """An event in the structured form.

    Raises:
        InputError: it is no CloudEvent; says what is wrong.
    """
    try:
        return _of_members(_decode(body))
    except msgspec.DecodeError as error:
        raise InputError(f"the body is no CloudEvent: {error}") from None


def read_batch(body: str) -> list[CloudEvent]:
    """Several events.

    Raises:
        InputError: one of them is no CloudEvent; says which and what is wrong.
    """
    try:
        parts = checked_count(_parts(body), "a batch of CloudEvents")
    except msgspec.DecodeError as error:
        raise InputError(f"the body is no batch of CloudEvents: {error}") from None
    return list(_each(parts))


def _each(parts: list[Raw]) -> Iterator[CloudEvent]:
    for number, one in enumerate(parts, 1):
        try:
            yield _of_members(_decode(one))
        except (InputError, msgspec.DecodeError) as error:
            raise InputError(f"event {number} of {len(parts)}: {error}") from None


def _of_members(members: dict[str, Raw]) -> CloudEvent:
    if len(members) > _MOST_MEMBERS:
        raise InputError(f"it has {len(members):,} attributes; at most {_MOST_MEMBERS} are read")
    attributes = {
        name: text
        for name, raw in members.items()
        if name not in _DATA and (text := _text_of(name, _value(raw))) is not None
    }
    data = _given(members.get("data"))
    binary = _given(members.get(BASE64))
    if binary is not None:
        if data is not None:
            raise InputError(f"it has data and {BASE64}; one of them is allowed")
        _check_base64(_value(binary))
        data = binary
    return _checked(
        attributes, None if data is None else bytes(data).decode(), is_binary=binary is not None
    )


def _given(raw: Raw | None) -> Raw | None:
    return None if raw is None or bytes(raw) == b"null" else raw


def _text_of(name: str, value: object) -> str | None:
    """An attribute as HTTP headers have it; None for one that is not there."""
    if value is None or isinstance(value, str):
        return value
    if name in {*_OWN, *_OPTIONAL} or not isinstance(value, int):
        raise InputError(f"attribute {name!r} must be a string, got {msgspec.json.encode(value)!r}")
    return str(value).lower()


def _check_base64(value: object) -> None:
    try:
        if isinstance(value, str):
            b64decode(value, validate=True)
            return
    except ValueError:
        pass
    raise InputError(f"{BASE64} must be a string of Base64")


def read_binary(headers: Mapping[str, str], content_type: str | None, body: bytes) -> CloudEvent:
    """An event in the binary form: attributes in headers, the data in the body.

    Args:
        headers: Those that begin with ``ce-``, without that and decoded.
        content_type: Of the body; None when nobody said.
        body: The data. Of JSON it must be valid; text is kept as text, all else as Base64.

    Raises:
        InputError: it is no CloudEvent; says what is wrong.
    """
    attributes = dict(headers)
    if "datacontenttype" in attributes:
        raise InputError("the header ce-datacontenttype is Content-Type in this form")
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    data, is_binary = _data_of(body, content_type)
    return _checked(attributes, data, is_binary=is_binary)


def _data_of(body: bytes, content_type: str | None) -> tuple[str | None, bool]:
    if not body:
        return None, False
    kind = (content_type or JSON).partition(";")[0].strip().lower()
    try:
        text = body.decode()
        if is_json(kind):
            return text, False  # whoever has read the request has seen that it is valid
        if kind.startswith("text/") or kind.endswith(("+xml", "/xml")):
            return _json(text), False
    except UnicodeDecodeError:
        if is_json(kind):
            raise InputError(f"the body is no UTF-8, and {kind} must be") from None
    return _json(b64encode(body).decode()), True


def is_json(media_type: str) -> bool:
    """Whether data of a media type, in lower case and without parameters, is JSON."""
    return media_type.endswith(("/json", "+json"))


def _checked(attributes: dict[str, str], data: str | None, *, is_binary: bool) -> CloudEvent:
    for name, text in attributes.items():
        _check_attribute(name, text)
    for name in _OWN:
        if name not in attributes:
            raise InputError(f"it has no {name}, which every CloudEvent has")
    if attributes["specversion"] != VERSION:
        raise InputError(
            f"its specversion is {attributes['specversion']!r}; this server takes {VERSION}"
        )
    for name in ("source", "dataschema"):
        if _BLANK.search(attributes.get(name, "")):
            raise InputError(f"its {name} is no URI: it has a blank")
    check_time(attributes.get("time"))
    kind = attributes.get("datacontenttype")
    if kind is not None and not _MEDIA_TYPE.fullmatch(kind):
        raise InputError(f"its datacontenttype is no media type: {kind!r}")
    return CloudEvent(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        data=data,
        is_binary=is_binary,
        extensions={
            name: text for name, text in attributes.items() if name not in {*_OWN, *_OPTIONAL}
        },
        **{name: attributes.get(name) for name in _OPTIONAL},
    )


def _check_attribute(name: str, text: str) -> None:
    if not _NAME.fullmatch(name) or name in _DATA:
        raise InputError(
            f"{storable_text(name)!r} is no name of an attribute: lower-case letters and digits"
        )
    if not text:
        raise InputError(f"its {name} is empty; leave it out, or say what it is")
    if _CONTROL.search(text):
        raise InputError(f"its {name} has a control character")


def check_time(text: str | None) -> None:
    """See that a time is one of RFC 3339; None is none that there is.

    Raises:
        InputError: it is something else.
    """
    if text is None:
        return
    found = _TIME.fullmatch(text)
    if found is not None:
        year, month, day, hour, minute, second, *zone = (int(one or 0) for one in found.groups())
        try:
            datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)  # a leap second
        except ValueError:
            found = None
        if second > 60 or zone[0] > 23 or zone[1] > 59:  # noqa: PLR2004 - of clocks
            found = None
    if found is None:
        raise InputError(f"its time is none of RFC 3339, such as 2026-11-30T08:00:00Z: {text!r}")


# --- writing -------------------------------------------------------------------------------------


def cloud_event_of(event: Event, source: str) -> dict[str, Any]:
    """An event of a topic in the structured form.

    What its attributes are called is made fit for CloudEvents: lower-case letters and digits.

    Args:
        event: Of any topic, wherever it came from.
        source: Its source when nobody said.
    """
    attributes = {
        fit: value
        for name, value in event.attributes.items()
        if name != BASE64 and value and (fit := _NO_NAME.sub("", name.lower())) not in {"", "data"}
    }
    is_binary = BASE64 in event.attributes
    if "id" not in attributes:  # it was no CloudEvent, which says all of itself
        attributes = _said_of(event) | attributes
    members: dict[str, Any] = attributes | {
        "specversion": VERSION,
        "source": event.source or source,
        "type": event.type or f"tenuto.{event.topic}",
    }
    if event.subject:
        members["subject"] = event.subject
    if event.key is not None:
        members[KEY] = event.key
    if event.data is not None:
        members[BASE64 if is_binary else "data"] = event.data
    return members


def _said_of(event: Event) -> dict[str, str]:
    """What is said of an event that Tenuto has made."""
    said = {"id": event.id, "time": event.published_at.isoformat().replace("+00:00", "Z")}
    return said if event.data is None else said | {"datacontenttype": JSON}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
