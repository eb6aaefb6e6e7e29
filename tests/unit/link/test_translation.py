"""What is taken from another hub: nothing that an own client could not ask for."""

import pytest
from msgspec import Raw, structs

from tenuto.engine.rows import InboxRow
from tenuto.link.translation import Arrival, taken
from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import LinkRefusedError
from tenuto.model.events import EventRaised, ExecutionStarted
from tenuto.model.ids import ExecutionId, InstanceId, child_instance_id
from tenuto.model.limits import Limits
from tenuto.model.linking import MESSAGE, Envelope
from tenuto.model.messages import Message, RaiseEvent, Start, Terminate
from tenuto.model.status import ParentInstance

LIMITS = Limits(payload_bytes=100, nesting_depth=3)
EXECUTION = ExecutionId("e" * 32)
CALLER = ParentInstance(InstanceId("caller"), EXECUTION, "call", 4)
STARTED = ExecutionStarted("double", EXECUTION)


def take(message: Message, to: str = "x") -> Message:
    """Bring a message over the link ``box``; as it is taken in."""
    envelope = Envelope(kind=MESSAGE, to=InstanceId(to), message=Raw(encode(message)))
    text = encode(envelope).decode()
    row = taken(Arrival(hub="box", life="abcdef0123", sequence=7, text=text, now=1), LIMITS)
    assert isinstance(row, InboxRow)
    return decode_message(row.message)


def started(**changes: object) -> Start:
    return Start(event=structs.replace(STARTED, **changes))


def called(depth: int = 1) -> Start:
    return Start(
        event=structs.replace(STARTED, parent=CALLER), root_id=InstanceId("root"), depth=depth
    )


def test_a_start_is_the_root_of_its_own_tree_whatever_it_says() -> None:
    start = take(structs.replace(started(), root_id=InstanceId("another"), depth=2))
    assert isinstance(start, Start)
    assert (start.root_id, start.depth, start.message_id) == ("x", 0, "box/abcdef01.7")


def test_who_calls_is_known_by_an_address() -> None:
    start = take(called())
    assert isinstance(start, Start)
    assert start.event.parent is not None
    assert start.event.parent.instance_id == start.root_id == "box/caller"


def test_a_call_that_is_nested_too_deep_is_refused() -> None:
    take(called(depth=3))
    with pytest.raises(LinkRefusedError, match="nested 4 deep"):
        take(called(depth=4))


@pytest.mark.parametrize("start", [started(), called()])
def test_an_id_of_the_form_of_sub_orchestrations_is_taken_from_nobody(start: Start) -> None:
    with pytest.raises(LinkRefusedError, match="of the form of sub-orchestrations"):
        take(start, child_instance_id(EXECUTION, 4))


@pytest.mark.parametrize("execution", ["", "x/y", "x" * 101, "x\n", "ü"])
def test_an_execution_has_an_id_of_the_known_form(execution: str) -> None:
    with pytest.raises(LinkRefusedError, match="no id of an execution"):
        take(started(execution_id=ExecutionId(execution)))


def test_inputs_are_as_long_as_they_may_be_here() -> None:
    long = '"' + "x" * 100 + '"'
    with pytest.raises(LinkRefusedError, match="the input of 'double'"):
        take(started(input=long))
    with pytest.raises(LinkRefusedError, match="event 'reading'"):
        take(RaiseEvent(event=EventRaised("reading", long)))


def test_only_who_has_called_an_instance_ends_it() -> None:
    take(Terminate(child_of=EXECUTION, task_id=4))
    with pytest.raises(LinkRefusedError, match="only who has called"):
        take(Terminate())
