"""Events for topics of linked hubs: their names, their form on the way, and what is taken in."""

import pytest
from msgspec import structs

from tenuto.model.carried_events import arrived, carried
from tenuto.model.causes import beyond, event_cause, hub_of
from tenuto.model.cloud_events import id_in_topic
from tenuto.model.codec import decode_any_message, encode
from tenuto.model.errors import InputError, LimitError
from tenuto.model.ids import MessageId
from tenuto.model.messages import Publish, letter_facts
from tenuto.model.topics import (
    EventDetails,
    EventHead,
    PublishedEvent,
    checked_own_topic,
    checked_place,
    checked_topic,
    content_in,
    content_of,
)

NOW = 1_800_000_000_000_000
DETAILS = EventDetails(source="instance/m", subject="s", attributes={"unit": "°C"})


def published(text: str | None = '{"a": 1}', details: EventDetails = DETAILS) -> PublishedEvent:
    head = EventHead(key="k", type="t", details=details)
    content = content_of(text, head)
    return PublishedEvent("e", "hub/orders", "k", NOW, "event:x/y", 0, content)


def received(message: Publish, topic: str = "orders") -> PublishedEvent:
    return arrived(topic, message, "box", NOW, 1_000)


def test_a_topic_of_a_linked_hub_has_one_slash() -> None:
    assert checked_topic("orders") == "orders"
    assert checked_topic("hub/orders of mine") == "hub/orders of mine"
    assert checked_topic("hub/" + "x" * 256)


OTHERS = ("hub/", "/orders", "hub/a/b", "a hub/b", "hub/..", "hub/ a", "hub/a?b", "hub//", "/")


@pytest.mark.parametrize("name", [*OTHERS, "hub/" + "x" * 257, "h" * 65 + "/a", "", 7, None])
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(InputError):
        checked_topic(name)


def test_a_slash_in_a_name_that_is_no_linked_hubs_is_explained() -> None:
    with pytest.raises(InputError, match="what stands before a slash is the name of a linked hub"):
        checked_topic("a hub/b")


def test_who_reads_a_topic_reads_one_of_the_own_hub() -> None:
    assert checked_own_topic("orders") == "orders"
    with pytest.raises(InputError, match=r"'hub/orders' .* subscribe on that hub"):
        checked_own_topic("hub/orders")
    with pytest.raises(InputError, match="a topic"):
        checked_own_topic(7)
    with pytest.raises(InputError):
        checked_place("hub/orders", "a queue")


def test_all_that_is_said_of_an_event_comes_along_and_names_get_that_of_the_hub() -> None:
    address, message = carried(published(), MessageId("m"))
    assert address == "hub/orders"
    again = decode_any_message(encode(message))
    assert again == message
    assert isinstance(again, Publish)
    assert letter_facts(again) == ("t", '{"a": 1}')
    assert letter_facts(structs.replace(again, kind=None))[0] == "e"
    event = received(again)
    named = structs.replace(DETAILS, source="instance/box/m")
    expected = structs.replace(
        published(details=named), event_id="box/e", topic="orders", cause="linked:box/event:x/y"
    )
    assert event == expected


def test_an_event_of_which_nothing_is_said_says_who_has_brought_it() -> None:
    bare = published(None, EventDetails())
    bare = structs.replace(bare, key=None, cause=None)
    event = received(carried(bare, MessageId("m"))[1])
    assert event.key is None
    assert event.cause is None
    assert content_in(event.event).source == "linked/box"
    plain = structs.replace(published(details=EventDetails(source="/shop")), cause=None)
    came = received(carried(plain, MessageId("m"))[1])
    assert content_in(came.event).source == "linked/box//shop"


def test_no_link_takes_the_id_that_the_event_of_somebody_else_will_have() -> None:
    own = id_in_topic("/shop", "order-7")
    forged = received(Publish(event_id=own, published_at=1, source="/shop"))
    assert forged.event_id != own
    assert received(Publish(event_id="x" * 512, published_at=1)).event_id == "box/" + "x" * 512


def test_causes_of_a_linked_hub_are_told_from_those_of_this_one() -> None:
    assert hub_of(event_cause("a", "b/c")) == (None, "event:a/b/c")
    assert hub_of("instance:x") == (None, "instance:x")
    for cause in ("instance:x", "event:t/id", "message:q/a/b", "file:f/a/b#1", "made up"):
        assert hub_of(beyond(cause, "box")) == ("box", cause)
        assert hub_of(hub_of(beyond(beyond(cause, "far"), "box"))[1]) == ("far", cause)


def test_no_event_comes_from_the_future_or_from_before_all_time() -> None:
    for sent, kept in ((NOW - 5, NOW - 5), (NOW + 5, NOW), (-5, 0)):
        assert received(Publish(event_id="e", published_at=sent)).published_at == kept


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"input": "[1,"}, InputError),
        ({"input": "[" * 100_000}, InputError),
        ({"input": "[" * 300 + "]" * 300}, InputError),
        ({"input": '"' + "x" * 1_000 + '"'}, LimitError),
        ({"event_id": "x" * 513}, InputError),
        ({"event_id": "a\nb"}, InputError),
        ({"key": ""}, InputError),
        ({"attributes": {str(number): "" for number in range(65)}}, InputError),
        ({"cause": "x" * 100_000}, LimitError),
    ],
)
def test_what_no_client_could_publish_is_not_taken_in(
    changes: dict[str, object], error: type[Exception]
) -> None:
    message = structs.replace(Publish(event_id="e", published_at=1), **changes)
    with pytest.raises(error):
        arrived("orders", message, "box", NOW, 900 if error is LimitError else 1_000_000)
    with pytest.raises(InputError):
        received(Publish(event_id="e", published_at=1), topic="a/b")


@pytest.mark.parametrize("topic", ["tenuto.lifecycle", "tenuto.spans"])
def test_a_linked_hub_does_not_say_what_became_of_instances_here(topic: str) -> None:
    with pytest.raises(InputError, match="Tenuto's own"):
        received(Publish(event_id="e", published_at=1), topic)
