"""Events in the schema of Event Grid, and where they are kept."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tenuto.model.errors import InputError
from tenuto.model.event_grid import posted_form, read_grid_events, topic_of
from tenuto.model.timing import to_microseconds
from tenuto.model.topics import Event, StoredEvent, checked_place, content_of, event_of

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
CREATED: dict[str, Any] = {
    "id": "9",
    "topic": "/subscriptions/1",
    "subject": "/blobs/a.jpg",
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2026-11-30T08:00:00.1234567Z",
    "data": {"url": "https://store/a.jpg"},
    "dataVersion": "2",
    "metadataVersion": "1",
}


def kept(members: dict[str, Any]) -> Event:
    (one,) = read_grid_events(json.dumps(members))
    content = content_of(one.text, one.head)
    stored = StoredEvent(1, one.event_id, "t", None, to_microseconds(NOW), None, content)
    return event_of(stored)


def test_what_is_posted_is_given_to_functions_as_it_was() -> None:
    assert posted_form(kept(CREATED)) == CREATED
    least = {name: CREATED[name] for name in ("id", "subject", "eventType", "eventTime")}
    assert posted_form(kept(least)) == {
        **least,
        "topic": "",
        "data": None,
        "dataVersion": "",
        "metadataVersion": "1",
    }


def test_an_event_of_another_kind_is_given_as_a_cloud_event() -> None:
    event = Event(id="1", topic="t", data=7, published_at=NOW)
    assert posted_form(event)["specversion"] == "1.0"
    bare = Event(id="1", topic="t", data=7, published_at=NOW, attributes={"dataVersion": ""})
    assert posted_form(bare)["eventTime"] == "2026-11-30T08:00:00+00:00"


def test_one_event_or_several() -> None:
    assert len(read_grid_events(json.dumps([CREATED, CREATED]))) == 2
    ids = {one.event_id for one in read_grid_events(json.dumps([CREATED, CREATED]))}
    ids |= {one.event_id for one in read_grid_events(json.dumps(CREATED | {"topic": None}))}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"id": ""}, "has an empty id"),
        ({"eventType": ""}, "has an empty eventType"),
        ({"eventTime": "now"}, "its time is none of RFC 3339"),
        ({"subject": None}, "the body is no array of events in the schema of Event Grid"),
    ],
)
def test_what_is_no_event_is_refused(members: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_grid_events(json.dumps([CREATED | members]))


def test_the_question_whether_events_are_wanted() -> None:
    kind = "Microsoft.EventGrid.SubscriptionValidationEvent"
    question = CREATED | {"eventType": kind, "data": {"validationCode": "512d38b6"}}
    (one,) = read_grid_events(json.dumps(question))
    assert one.validation_code == "512d38b6"
    (one,) = read_grid_events(json.dumps(CREATED))
    assert one.validation_code is None
    (one,) = read_grid_events(json.dumps(question | {"data": None}))
    with pytest.raises(InputError, match="does not fit"):
        _ = one.validation_code


def test_each_function_has_a_topic_of_its_own() -> None:
    names = ["blob_created", "a/b", "a#b", "a-b", "x" * 256, "x" * 255 + "y", "é b", "."]
    topics = [topic_of(name) for name in names]
    assert len(set(topics)) == len(names)
    assert topics[0] == "eventgrid.blob_created"
    assert all(checked_place(topic, "a topic") == topic for topic in topics)
