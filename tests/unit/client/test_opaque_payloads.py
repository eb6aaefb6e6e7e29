"""A status read never raises on what a foreign program has stored (ENGINE rule 34)."""

import msgspec
import pytest

from tenuto.cli.instances.documents import encoded
from tenuto.cli.picture.view import ending_lines
from tenuto.client.client import result_of
from tenuto.client.status import letter_of, status_of
from tenuto.client.wire import raw_of
from tenuto.http.payloads import output_of, raw
from tenuto.model.codec import encode
from tenuto.model.events import EventRaised
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.messages import RaiseEvent
from tenuto.model.payload.opaque import json_text, shown
from tenuto.model.requests import DeadLetter
from tenuto.model.status import InstanceRecord, RuntimeStatus

X = InstanceId("x")

DEEP = "[" * 100_000 + "]" * 100_000
FOREIGN = [
    "",
    " ",
    "plain",
    "blob:v1:x",
    "{",
    '{"a": 1} {"b": 2}',
    '"\\ud800"',
    "\ud800",
    '"a\x00b"',
    DEEP,
    "[" * 100_000,
    "1e999",
    "9" * 5_000,
    "NaN",
    '{"a": 1, "a": 2}',
]


@pytest.mark.parametrize("text", FOREIGN, ids=range(len(FOREIGN)))
@pytest.mark.parametrize("status", [RuntimeStatus.COMPLETED, RuntimeStatus.TERMINATED])
def test_whatever_is_stored_is_shown(text: str, status: RuntimeStatus) -> None:
    record = InstanceRecord(
        iid=1,
        instance_id=X,
        partition=0,
        name="foreign",
        execution_id=ExecutionId("e"),
        created_at=1,
        completed_at=2,
        root_id=X,
        status=status,
        input=text,
        output=text,
        custom_status=text,
    )
    view = status_of(record)
    assert view.input == view.output == view.custom_status == shown(text)
    assert msgspec.json.encode(raw(text))
    assert msgspec.json.encode(output_of(record))
    assert msgspec.json.encode(raw_of(text))
    assert ending_lines(record)
    if text is not DEEP:  # which no reader of documents takes
        assert encoded({"payload": raw(text)})
    if status is RuntimeStatus.COMPLETED:
        assert result_of(record) == shown(text)


@pytest.mark.parametrize("text", ["", "plain", "blob:v1:x", "{", "[" * 100_000, "NaN"])
def test_what_is_no_json_is_shown_as_the_text_that_it_is(text: str) -> None:
    assert shown(text) == text
    assert msgspec.json.decode(json_text(text)) == text


@pytest.mark.parametrize("text", ['{"a":  1}', "null", '"x"', "1.50"])
def test_json_is_shown_to_the_letter(text: str) -> None:
    assert json_text(text) == text
    assert shown(text) == msgspec.json.decode(text)
    assert shown(None) is None


def test_the_data_of_a_dead_letter_too() -> None:
    event = RaiseEvent(message_id=MessageId("m"), event=EventRaised("e", "blob:v1:x"))
    letter = DeadLetter(MessageId("m"), X, "gone", 1, msgspec.Raw(encode(event)))
    assert letter_of(letter).data == "blob:v1:x"


def test_no_payload_is_null_in_json() -> None:
    assert json_text(None) == "null"
