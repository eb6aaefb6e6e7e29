"""CloudEvents 1.0: what is refused, and that what comes in goes out the same."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.model.cloud_events import (
    CloudEvent,
    cloud_event_of,
    read_batch,
    read_binary,
    read_structured,
)
from tenuto.model.errors import InputError
from tenuto.model.timing import to_microseconds
from tenuto.model.topics import Event, StoredEvent, content_of, event_of

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
LEAST = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed"}


def kept(event: CloudEvent, topic: str = "orders") -> Event:
    """An event as subscribers get it that was published in this form."""
    head = event.head
    content = content_of(event.data, head)
    now = to_microseconds(NOW)
    return event_of(StoredEvent(1, event.event_id, topic, head.key, now, None, content))


def read(**members: Any) -> CloudEvent:
    return read_structured(json.dumps(LEAST | members))


texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), min_size=1, max_size=20
).filter(str.strip)
uris = st.text("abcdefgh:/?#.-%~", min_size=1, max_size=20)
names = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(
    lambda name: name not in {*LEAST, "data", "datacontenttype", "dataschema", "subject", "time"}
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def members(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": draw(texts),
        "source": draw(uris),
        "type": draw(texts),
    }
    optional = {
        "subject": texts,
        "dataschema": uris,
        "datacontenttype": st.sampled_from(["application/json", "text/plain; charset=utf-8"]),
        "time": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    }
    for name, strategy in optional.items():
        if draw(st.booleans()):
            found[name] = draw(strategy)
    found |= draw(st.dictionaries(names | st.just("partitionkey"), texts, max_size=3))
    if draw(st.booleans()):
        found["data_base64"] = b64encode(draw(st.binary(max_size=20))).decode()
    elif (data := draw(values)) is not None:
        found["data"] = data
    return found


@settings(max_examples=50)
@given(members())
def test_what_comes_in_goes_out_the_same(members: dict[str, Any]) -> None:
    event = read_structured(json.dumps(members))
    out = cloud_event_of(kept(event), "/other")
    assert out == members
    again = read_structured(json.dumps(out))
    assert again.event_id == event.event_id
    assert read_batch(json.dumps([members, out])) == [again, again]


@settings(max_examples=50)
@given(members())
def test_headers_say_the_same(members: dict[str, Any]) -> None:
    structured = read_structured(json.dumps(members))
    if structured.is_binary or structured.data is None:
        return
    members.pop("data")
    kind = members.pop("datacontenttype", None)
    body = json.loads(structured.data)
    is_text = kind is not None and kind.startswith("text/")
    sent = body.encode() if is_text and isinstance(body, str) else structured.data.encode()
    found = read_binary(members, kind, sent)
    if is_text and not isinstance(body, str):
        assert json.loads(json.loads(found.data or "")) == body
    else:
        assert json.loads(found.data or "") == body
        assert msgspec.structs.replace(found, data=None) == msgspec.structs.replace(
            structured, data=None
        )


@given(texts, texts, texts, texts)
def test_source_and_id_together_are_the_id(a: str, b: str, c: str, d: str) -> None:
    one = CloudEvent(id=a, source=b, type="t").event_id
    other = CloudEvent(id=c, source=d, type="t").event_id
    assert (one == other) == ((a, b) == (c, d))
    assert one.isprintable()
    assert len(one) <= 512


def test_an_id_that_is_long_or_does_not_print_is_known_by_its_digest() -> None:
    for name in ("x" * 201, "a\u200bb"):
        assert name not in CloudEvent(id=name, source="/s", type="t").event_id


def test_an_event_of_ours_as_a_cloud_event() -> None:
    event = Event(
        id="e1",
        topic="orders",
        data={"n": 1},
        key="7",
        published_at=NOW,
        attributes={"Tenant-ID": "t", "empty": "", "-": "x", "data": "no", "source": "not mine"},
    )
    assert cloud_event_of(event, "/hub") == {
        "specversion": "1.0",
        "id": "e1",
        "source": "/hub",
        "type": "tenuto.orders",
        "time": "2026-11-30T08:00:00Z",
        "datacontenttype": "application/json",
        "tenantid": "t",
        "partitionkey": "7",
        "data": {"n": 1},
    }
    bare = cloud_event_of(Event(id="e2", topic="t", data=None, published_at=NOW), "/hub")
    assert bare.keys() == {"specversion", "id", "source", "type", "time"}


def test_values_of_extensions_are_texts() -> None:
    event = read(flag=True, off=False, count=-7, word="x", nothing=None)
    assert event.extensions == {"flag": "true", "off": "false", "count": "-7", "word": "x"}


def test_data_in_the_body_of_a_request() -> None:
    def data(kind: str | None, body: bytes) -> tuple[str | None, bool]:
        event = read_binary(LEAST, kind, body)
        return event.data, event.is_binary

    assert data(None, b'{"a": 1}') == ('{"a": 1}', False)
    assert data("Application/Problem+JSON; charset=utf-8", b"7") == ("7", False)
    assert data("text/csv", "ä;b".encode()) == ('"ä;b"', False)
    assert data("image/svg+xml", b"<svg/>") == ('"<svg/>"', False)
    assert data("text/plain", b"\xe9") == ('"6Q=="', True)
    assert data("image/jpeg", b"\xff\xd8") == ('"/9g="', True)
    assert data("image/jpeg", b"ab") == ('"YWI="', True)
    assert data("image/jpeg", b"") == (None, False)
    event = kept(read_binary(LEAST, "image/jpeg", b"\xff\xd8"))
    assert cloud_event_of(event, "")["data_base64"] == "/9g="


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"id": None}, "it has no id, which every CloudEvent has"),
        ({"type": ""}, "its type is empty; leave it out, or say what it is"),
        ({"source": 7}, "attribute 'source' must be a string, got b'7'"),
        ({"specversion": "0.3"}, "its specversion is '0.3'; this server takes 1.0"),
        ({"source": "a b"}, "its source is no URI: it has a blank"),
        ({"dataschema": "a\tb"}, "its dataschema has a control character"),
        ({"subject": ""}, "its subject is empty"),
        ({"time": "yesterday"}, "its time is none of RFC 3339"),
        ({"time": "2026-02-30T00:00:00Z"}, "its time is none of RFC 3339"),
        ({"time": "2026-01-01T00:00:61Z"}, "its time is none of RFC 3339"),
        ({"time": "2026-01-01T00:00:00+24:00"}, "its time is none of RFC 3339"),
        ({"time": "2026-01-01T00:00:00"}, "its time is none of RFC 3339"),
        ({"datacontenttype": "json"}, "its datacontenttype is no media type: 'json'"),
        ({"Tenant": "x"}, "'Tenant' is no name of an attribute: lower-case letters and digits"),
        ({"ratio": 0.5}, "attribute 'ratio' must be a string, got b'0.5'"),
        ({"data": 1, "data_base64": "aa=="}, "it has data and data_base64; one of them is allowed"),
        ({"data_base64": "?"}, "data_base64 must be a string of Base64"),
        ({"data_base64": 1}, "data_base64 must be a string of Base64"),
    ],
)
def test_what_is_no_cloud_event_is_refused_with_words(members: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as raised:
        read(**members)
    assert words in str(raised.value)
    with pytest.raises(InputError) as raised:
        read_batch(json.dumps([LEAST, LEAST | members]))
    assert str(raised.value).startswith("event 2 of 2: ")


def test_a_time_may_be_a_leap_second_in_any_zone() -> None:
    for time in ("2016-12-31T23:59:60Z", "2026-11-30t08:00:00.123456789-08:30"):
        assert read(time=time).time == time


def test_bodies_that_are_nothing_of_the_kind() -> None:
    with pytest.raises(InputError, match="the body is no CloudEvent: Expected `object`"):
        read_structured("[]")
    with pytest.raises(InputError, match="the body is no batch of CloudEvents: Expected `array`"):
        read_batch("{}")
    with pytest.raises(InputError, match="ce-datacontenttype is Content-Type in this form"):
        read_binary(LEAST | {"datacontenttype": "a/b"}, None, b"")
    with pytest.raises(InputError, match="'data' is no name of an attribute"):
        read_binary(LEAST | {"data": "x"}, None, b"")
    with pytest.raises(InputError, match="the body is no UTF-8, and application/json must be"):
        read_binary(LEAST, None, b"\xff")


def test_quoting_is_no_matter_of_this_module() -> None:
    assert read_binary(LEAST | {"subject": quote("ä")}, None, b"").subject == "%C3%A4"
