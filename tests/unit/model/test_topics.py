"""Names, keys and heads of events; causes as texts."""

import json
from typing import cast

import pytest
from msgspec import Raw

from tenuto import Event, EventDetails, InputError, LimitError, PayloadError
from tenuto.model.causes import (
    CAUSE_TAG,
    event_cause,
    file_cause,
    instance_cause,
    message_cause,
)
from tenuto.model.texts import check_together
from tenuto.model.topics import (
    MOST_ATTRIBUTES,
    MOST_NAME,
    EventHead,
    PublishedEvent,
    QueuedMessage,
    StoredEvent,
    check_data,
    checked_head,
    checked_key,
    checked_place,
    content_of,
    event_of,
    is_of_wait,
    wait_name,
)


@pytest.mark.parametrize(
    "name", ["orders", "a b", "\u00fc\U0001f600", "a.b", "...", "x" * MOST_NAME, "@x"]
)
def test_a_place_may_have_such_a_name(name: str) -> None:
    assert checked_place(name, "a topic") == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "a topic"),
        (7, "a topic"),
        (None, "a topic"),
        ("x" * (MOST_NAME + 1), f"has {MOST_NAME + 1} characters; at most {MOST_NAME}"),
        *((f"a{one}b", "has a character that does not print, or one of") for one in "/\\#?\n\x00"),
        (" a", "begins or ends with a blank"),
        ("a ", "begins or ends with a blank"),
        (".", "stands for a folder"),
        ("..", "stands for a folder"),
        ("\ud800", "surrogate"),
    ],
)
def test_a_place_may_not_have_such_a_name(name: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        checked_place(name, "a topic")


def test_a_key_is_a_text_that_says_something() -> None:
    assert checked_key(None, "the key") is None
    assert checked_key(" ", "the key") == " "
    with pytest.raises(InputError, match="the key is empty"):
        checked_key("", "the key")
    with pytest.raises(InputError, match="the key must be a str"):
        checked_key(7, "the key")
    with pytest.raises(LimitError, match="the key"):
        checked_key("x" * 5_000, "the key")


def test_what_is_said_of_an_event_comes_back() -> None:
    details = EventDetails(source="shop", subject="order/7", attributes={"tenant": "x"})
    head = checked_head(EventHead(key="k", type="order.placed", details=details), "orders")
    content = content_of('{"id": 7}', head)
    stored = StoredEvent(5, "e", "orders", "k", 1_000_000, None, content)
    event = event_of(stored)
    assert event == Event(
        id="e",
        topic="orders",
        data={"id": 7},
        published_at=event.published_at,
        key="k",
        type="order.placed",
        source="shop",
        subject="order/7",
        attributes={"tenant": "x"},
    )
    assert event.published_at.timestamp() == 1


def test_what_nobody_says_takes_no_room() -> None:
    assert bytes(content_of(None, EventHead())) == b"{}"
    empty = content_of("1", EventHead(details=EventDetails(attributes={})))
    assert json.loads(bytes(empty)) == {"data": 1}
    event = event_of(StoredEvent(1, "e", "t", None, 0, None, Raw(b"{}")))
    assert (event.data, event.type, event.source, dict(event.attributes)) == (None, None, None, {})


@pytest.mark.parametrize(
    ("head", "error", "words"),
    [
        (EventHead(details=cast("EventDetails", "x")), InputError, "details must be EventDetails"),
        (EventHead(type=cast("str", 7)), InputError, "the type of an event"),
        (EventHead(details=EventDetails(source=cast("str", 7))), InputError, "the source"),
        (EventHead(details=EventDetails(subject="\ud800")), PayloadError, "surrogate"),
        (EventHead(details=EventDetails(subject="x" * 5_000)), LimitError, "the subject"),
        (EventHead(details=EventDetails(attributes={"": "x"})), InputError, "an attribute"),
        (
            EventHead(details=EventDetails(attributes={"a": cast("str", None)})),
            InputError,
            "the attribute 'a'",
        ),
        (
            EventHead(details=EventDetails(attributes=cast("dict[str, str]", [1]))),
            InputError,
            "must be a mapping",
        ),
        (
            EventHead(
                details=EventDetails(
                    attributes={str(one): "" for one in range(MOST_ATTRIBUTES + 1)}
                )
            ),
            InputError,
            f"at most {MOST_ATTRIBUTES}",
        ),
        (EventHead(key=""), InputError, "the key of an event for topic 'orders' is empty"),
    ],
)
def test_bad_input_is_refused_whole(head: EventHead, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        checked_head(head, "orders")


def test_data_that_are_too_long_are_refused_with_the_setting() -> None:
    check_data(None, 1, "topic 'orders'")
    check_data("12345", 5, "topic 'orders'")
    with pytest.raises(LimitError, match=r"the data for topic 'orders'.*limits\.payload_bytes"):
        check_data("123456", 5, "topic 'orders'")


def test_causes_are_short_texts() -> None:
    event = PublishedEvent("e", "orders", None, 0, None, 0, Raw(b"{}"))
    message = QueuedMessage("m", "plates", 0, 0, None, 0, "1")
    assert event.post_key == event_cause("orders", "e") == "event:orders/e"
    assert message.post_key == message_cause("plates", "m") == "message:plates/m"
    assert instance_cause("i") == "instance:i"


def test_an_event_of_a_wait_is_told_by_its_name() -> None:
    assert is_of_wait(wait_name("e", 3))
    assert wait_name("e", 3) != wait_name("f", 3)
    assert not is_of_wait("paid")


def test_the_cause_of_a_file_is_a_tag_however_long_its_path_is() -> None:
    assert file_cause("note", "in/a.csv", "0123456789") == "file:note/in/a.csv#01234567"
    path = "\u00fc/" * 2_000 + "a.csv"
    cause = file_cause("n" * MOST_NAME, path, "0123456789")
    check_together([CAUSE_TAG, cause], "the tags")
    assert cause.endswith("\u00fc/a.csv#01234567")
