"""Rows of the inbox: what each holds, whoever has written it (``no_silent_drop``)."""

import msgspec
import pytest
from msgspec import Raw

from tenuto.model.codec import decode_letter, encode
from tenuto.model.events import EventRaised, ExecutionStarted
from tenuto.model.explanation import Below, NothingOpen, NotServed
from tenuto.model.ids import (
    ExecutionId,
    InstanceId,
    MessageId,
    moment_of,
    new_execution_id,
)
from tenuto.model.messages import (
    AnyMessage,
    Publish,
    Purge,
    RaiseEvent,
    Start,
    Suspend,
    Unreadable,
    letter_facts,
)
from tenuto.model.received import NotReadable, OfNewerTenuto, received
from tenuto.model.status import ParentInstance

ID = MessageId("m-1")


def row(message: AnyMessage) -> Raw:
    return Raw(encode(message))


def started(parent: ParentInstance | None = None) -> Start:
    event = ExecutionStarted("bill", ExecutionId("0" * 32), parent=parent)
    return Start(message_id=ID, event=event)


def test_a_message_is_what_it_was() -> None:
    message = RaiseEvent(message_id=ID, event=EventRaised("go", "1"))
    assert received(ID, row(message)) == message
    assert received(None, row(message)) == message


@pytest.mark.parametrize("text", [b"\xff", b"[1]", b'{"type": 1}', b'{"type": "RaiseEvent"}', b""])
def test_what_nobody_can_read_is_kept_with_the_reason(text: bytes) -> None:
    found = received(ID, Raw(text))
    assert isinstance(found, NotReadable)
    assert "message 'm-1' cannot be read" in found.reason
    assert found.letter.content == text
    assert found.letter.message_id == ID


def test_a_type_that_only_a_newer_tenuto_knows_is_named() -> None:
    assert received(ID, Raw(b'{"type": "Teleport", "x": 1}')) == OfNewerTenuto("Teleport")


def test_a_message_under_the_name_of_another_is_not_taken() -> None:
    found = received(MessageId("m-2"), row(Suspend(message_id=ID)))
    assert isinstance(found, NotReadable)
    assert "calls itself 'm-1'" in found.reason


PARENT = ParentInstance(InstanceId("boss"), ExecutionId("1" * 32), "boss", 3)


@pytest.mark.parametrize(
    ("message", "is_believed"),
    [
        (started(), True),
        (started(PARENT), False),
        (RaiseEvent(message_id=ID, event=EventRaised("go")), True),
        (Publish(message_id=ID, event_id="e", published_at=1), True),
        (Purge(message_id=ID), False),
        (Suspend(message_id=ID), False),
    ],
)
def test_an_outbox_starts_and_tells_and_nothing_else(
    message: AnyMessage, is_believed: bool
) -> None:
    found = received(ID, row(message), is_handed_over=True)
    assert (found == message) is is_believed
    assert is_believed or isinstance(found, NotReadable)


def test_a_letter_that_nobody_can_read_is_shown_as_it_stands() -> None:
    letter = decode_letter(Raw(b'{"type": "Teleport"}'))
    assert letter == Unreadable(content=b'{"type": "Teleport"}')
    assert letter_facts(letter) == (None, '"{\\"type\\": \\"Teleport\\"}"')
    assert letter_facts(started()) == ("bill", None)
    assert letter_facts(Purge(message_id=ID)) == (None, None)
    assert msgspec.json.decode(letter_facts(Unreadable(content=b"\xff"))[1] or "") == "\\xff"


def test_an_instance_is_stuck_below_unless_another_host_has_its_function() -> None:
    def below(fact: NotServed | NothingOpen) -> Below:
        return Below(instance_id=InstanceId("one"), name="bill", fact=fact)

    assert not below(NotServed(kind="activity", name="pay", known_to=("another",))).is_stuck
    assert below(NotServed(kind="activity", name="pay")).is_stuck
    assert below(NothingOpen()).is_stuck


def test_only_fresh_ids_say_when_they_were_made() -> None:
    assert moment_of(new_execution_id(1_700_000_000_000_000)) == 1_700_000_000_000_000
    assert moment_of("chosen by somebody") is None
