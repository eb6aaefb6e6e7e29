"""What ``--json`` prints: words of Durable Functions, payloads to the letter."""

import json

from msgspec import structs

from tenuto.cli.instances.documents import (
    encoded,
    history_document,
    instance_document,
    run_document,
)
from tenuto.model.events import TaskFailed, TaskScheduled
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import ParentInstance, RuntimeStatus
from tests.support.runs import activities, opening, record, running, turn, with_child


def test_an_instance_has_the_names_of_durable_functions() -> None:
    parent = ParentInstance(InstanceId("root-1"), ExecutionId("exec"), "root", 3)
    one = structs.replace(
        record(RuntimeStatus.COMPLETED, ended=2), parent=parent, tags={"a": "b"}, version="2"
    )
    assert json.loads(encoded(instance_document(one))) == {
        "instanceId": "trip-1",
        "name": "book_trip",
        "runtimeStatus": "Completed",
        "createdTime": "2026-01-01T00:00:00.000000Z",
        "lastUpdatedTime": "2026-01-01T00:00:00.000000Z",
        "completedTime": "2026-01-01T00:00:02.000000Z",
        "parentInstanceId": "root-1",
        "version": "2",
        "tags": {"a": "b"},
        "customStatus": None,
        "failure": None,
        "hold": None,
        "input": None,
        "output": None,
    }


def test_payloads_are_kept_to_the_letter() -> None:
    text = '{"price": 1.50, "big": 12345678901234567890123, "a": 1, "a": 2}'
    one = structs.replace(record(), input=text, output="[1.0]", custom_status='"half"')
    written = encoded(instance_document(one))
    for part in ("1.50", "12345678901234567890123", '"a": 1', '"a": 2', "1.0", '"half"'):
        assert part in written
    assert "input" not in instance_document(one, payloads=False)


def test_a_run_has_its_steps_and_those_of_its_children() -> None:
    document = json.loads(encoded(run_document(with_child(activities(1, done=1), done=True))))
    (step,) = document["steps"]
    assert (step["kind"], step["state"], step["instanceId"]) == (
        "orchestration",
        "completed",
        "trip-1",
    )
    assert [one["name"] for one in step["run"]["steps"]] == ["charge"]


def test_a_failure_keeps_its_causes() -> None:
    failure = FailureDetails("A", "b", inner_failure=FailureDetails("C", "d"))
    run = running(opening(TaskScheduled(1, "book")), turn(1, TaskFailed(1, failure)))
    (step,) = json.loads(encoded(run_document(run)))["steps"]
    assert step["failure"]["innerFailure"]["errorType"] == "C"


def test_a_history_is_one_list_of_events_as_they_are_stored() -> None:
    turns = [b'[{"type":"A","x":1.0},{"type":"B"}]', b'[{"type":"C"}]']
    written = encoded(history_document(turns))
    assert [event["type"] for event in json.loads(written)] == ["A", "B", "C"]
    assert "1.0" in written
