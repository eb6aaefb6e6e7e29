"""What comes over a link: of each message a new one is made, of what may cross, and checked."""

from typing import Any

import pytest
from msgspec import Raw, structs

from tenuto.engine.rows import InboxRow
from tenuto.link.translation import Arrival, most_envelope, taken
from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import LinkRefusedError
from tenuto.model.events import (
    EventRaised,
    ExecutionStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TopicPlace,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId, child_instance_id
from tenuto.model.limits import Limits
from tenuto.model.linking import MESSAGE, Envelope
from tenuto.model.messages import ChildResult, Message, RaiseEvent, Start, Terminate
from tenuto.model.status import FINISHED, ParentInstance, RuntimeStatus
from tenuto.model.topics import wait_name
from tenuto.model.trace import TraceContext
from tenuto.model.webhook import OpenWebhook

LOCAL = ExecutionId("0" * 31 + "1")
CALLER = ParentInstance(InstanceId("m"), ExecutionId("e" * 32), "measure", 3)
STARTED = ExecutionStarted("judge", LOCAL, "1", parent=CALLER)
LIMITS = Limits(payload_bytes=1_000)


def came(message: Message, to: str = "j") -> Message:
    """What the hub makes of a message that the device ``box`` has sent."""
    envelope = Envelope(kind=MESSAGE, to=InstanceId(to), message=Raw(encode(message)))
    row = taken(Arrival("box", "abc", 7, encode(envelope).decode(), 1), LIMITS)
    assert isinstance(row, InboxRow)
    return decode_message(row.message)


def refused(message: Message, to: str = "j") -> str:
    with pytest.raises(LinkRefusedError) as error:
        came(message, to)
    return str(error.value)


def started(**changes: Any) -> ExecutionStarted:
    return structs.replace(STARTED, **changes)


def test_a_start_has_of_what_was_sent_only_what_may_cross() -> None:
    webhook = OpenWebhook("go", "d" * 64, 1)
    event = started(
        generation=7,
        runtime="x" * 100_000,
        webhooks=(webhook,),
        places=(TopicPlace("t", "k", 9),),
        version="2",
        tags={"a": "b", "tenuto.cause": "event:readings/r1"},
        scheduled_start=5,
    )
    message = came(Start(event=event, depth=2, root_id=InstanceId("root"), awaits_answer=True))
    assert isinstance(message, Start)
    caller = structs.replace(CALLER, instance_id=InstanceId("box/m"))
    assert message.event == ExecutionStarted(
        "judge",
        message.event.execution_id,
        "1",
        "2",
        caller,
        {"a": "b", "tenuto.cause": "linked:box/event:readings/r1"},
        5,
    )
    assert (message.depth, message.root_id, message.reuse) == (2, "box/m", FINISHED)
    assert message.awaits_answer is False
    top = came(Start(event=started(parent=None), depth=2, root_id=InstanceId("root")))
    assert isinstance(top, Start)
    assert (top.depth, top.root_id) == (0, "j")


def test_no_execution_here_gets_the_id_that_another_hub_says() -> None:
    ids = set()
    for given in (LOCAL, LOCAL, "0" * 31 + "2", "odd:one"):
        message = came(Start(event=started(execution_id=given)))
        assert isinstance(message, Start)
        found = message.event.execution_id
        assert len(found) == 32
        assert found != given
        ids.add(found)
    assert len(ids) == 3  # the same start, sent once more, is the same


def test_nobody_who_runs_has_to_end_for_a_start_from_elsewhere() -> None:
    everyone = frozenset(RuntimeStatus)
    assert "only when it has ended" in refused(Start(event=STARTED, reuse=everyone))
    assert "only when" in refused(Start(event=STARTED, reuse=frozenset({RuntimeStatus.RUNNING})))
    never = came(Start(event=STARTED, reuse=frozenset()))
    assert isinstance(never, Start)
    assert never.reuse == frozenset()


@pytest.mark.parametrize(
    "changes",
    [
        {"input": '1,"status":1'},
        {"input": ""},
        {"input": "[" * 200 + "]" * 200},
        {"input": "[" * 200_000 + "]" * 200_000},
        {"input": "9" * 5_000},
        {"scheduled_start": 2**62},
        {"scheduled_start": -5},
        {"name": ""},
        {"name": "x" * 5_000},
        {"version": "x" * 5_000},
        {"tags": {"a": "x" * 5_000}},
        {"execution_id": "a b"},
        {"trace": TraceContext("zz\n\x00" * 100)},
        {"parent": structs.replace(CALLER, name="n" * 100_000)},
        {"parent": structs.replace(CALLER, instance_id=InstanceId("a/b"))},
        {"parent": structs.replace(CALLER, execution_id=ExecutionId("e\x00"))},
        {"parent": structs.replace(CALLER, task_scheduled_id=-1)},
        {"parent": structs.replace(CALLER, task_scheduled_id=2**60)},
    ],
)
def test_bad_input_is_refused_whole_when_it_comes_over_a_link(changes: dict[str, object]) -> None:
    assert refused(Start(event=started(**changes)))


def test_a_start_stands_where_one_of_a_caller_may() -> None:
    assert "too deep" in refused(Start(event=STARTED, depth=-1))
    assert "too deep" in refused(Start(event=STARTED, depth=51))
    reserved = child_instance_id(LOCAL, 2)
    assert "sub-orchestrations" in refused(Start(event=STARTED), to=reserved)
    parent = structs.replace(CALLER, execution_id=LOCAL, task_scheduled_id=99)
    assert "sub-orchestrations" in refused(Start(event=started(parent=parent)), to=reserved)


def test_an_event_is_data_under_a_name_and_opens_nothing() -> None:
    message = came(RaiseEvent(event=EventRaised("go", "1", "digest"), awaits_answer=True))
    assert isinstance(message, RaiseEvent)
    assert message == RaiseEvent(message_id=message.message_id, event=EventRaised("go", "1"))
    assert "no JSON" in refused(RaiseEvent(event=EventRaised("go", "}{")))
    assert "are Tenuto's own" in refused(RaiseEvent(event=EventRaised(wait_name("e", 1), "1")))
    assert "payload_bytes" in refused(RaiseEvent(event=EventRaised("go", f'"{"x" * 1_000}"')))


def test_answers_and_ends_say_which_hub_they_come_from() -> None:
    answer = ChildResult(
        execution_id=LOCAL, event=SubOrchestrationInstanceCompleted(2, "1"), hub="other"
    )
    message = came(answer)
    assert message == structs.replace(answer, hub="box", message_id=message.message_id)
    end = Terminate(reason='"x"', child_of=LOCAL, task_id=2, hub="other", recurse=True)
    message = came(end)
    assert message == structs.replace(end, hub="box", message_id=message.message_id)
    assert "only who has called" in refused(Terminate(reason='"x"'))
    assert "no JSON" in refused(structs.replace(end, reason="}"))
    assert "reason" in refused(structs.replace(end, reason=f'"{"x" * 5_000}"'))
    assert "number of a call" in refused(structs.replace(end, task_id=-1))


@pytest.mark.parametrize("result", ["}{", f'"{"x" * 1_000}"'])
def test_who_waits_for_a_result_that_cannot_be_used_is_told_so(result: str) -> None:
    event = SubOrchestrationInstanceCompleted(2, result)
    message = came(ChildResult(execution_id=LOCAL, event=event))
    assert isinstance(message, ChildResult)
    assert isinstance(message.event, SubOrchestrationInstanceFailed)
    assert message.event.task_scheduled_id == 2
    assert "TN-1803" in message.event.failure_details.error_message


def test_a_failure_without_end_is_told_in_short() -> None:
    long = FailureDetails("E", "x" * 5_000_000)
    message = came(ChildResult(execution_id=LOCAL, event=SubOrchestrationInstanceFailed(2, long)))
    assert isinstance(message, ChildResult)
    assert len(encode(message)) < 1_000
    deep = FailureDetails("E", "x")
    for _ in range(500):
        deep = FailureDetails("E", "x", inner_failure=deep)
    assert "deep" in refused(
        ChildResult(execution_id=LOCAL, event=SubOrchestrationInstanceFailed(2, deep))
    )


def test_what_may_come_has_an_end() -> None:
    assert most_envelope(LIMITS) < most_envelope(Limits()) < 16 * 1024 * 1024
