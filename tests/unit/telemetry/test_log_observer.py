"""What a host says of an instance can be found by the instance's id."""

import logging

import pytest

from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.telemetry.log_observer import LogObserver

TRIP = InstanceId("trip-1")


def test_the_line_of_a_failed_instance_carries_its_ids(caplog: pytest.LogCaptureFixture) -> None:
    record = InstanceRecord(
        iid=1,
        instance_id=TRIP,
        partition=0,
        name="book_trip",
        execution_id=ExecutionId("e" * 32),
        created_at=0,
        status=RuntimeStatus.FAILED,
        failure=FailureDetails("LookupError", "no hotel"),
        root_id=TRIP,
    )
    LogObserver().instance_ended(record)
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    facts = vars(line)
    assert facts["instance_id"] == "trip-1"
    assert facts["execution_id"] == "e" * 32
    assert facts["orchestrator"] == "book_trip"


def test_no_silent_drop_the_line_of_a_dead_letter_carries_whom_it_was_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    LogObserver().dead_letter(TRIP, "it has already ended")
    (line,) = caplog.records
    assert vars(line)["instance_id"] == "trip-1"
    assert "dead letter: it has already ended" in line.getMessage()


def test_the_line_of_what_was_for_a_linked_hub_names_no_instance(
    caplog: pytest.LogCaptureFixture,
) -> None:
    LogObserver().dead_letter(InstanceId("hub/alarms"), "TN-1801 no link")
    (line,) = caplog.records
    assert line.getMessage() == "dead letter for 'hub/alarms': TN-1801 no link"
    assert "instance_id" not in vars(line)
