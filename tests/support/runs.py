"""Runs made by hand: rows and histories with times in seconds since the run began."""

from msgspec import structs

from tenuto.insight.steps import Run, run_of
from tenuto.model.events import (
    ExecutionStarted,
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    TaskCompleted,
    TaskScheduled,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import MICROSECONDS

EXECUTION = ExecutionId("exec")
BEGAN = 1_767_225_600 * MICROSECONDS
"""2026-01-01T00:00Z."""


def at(seconds: float) -> int:
    return BEGAN + round(seconds * MICROSECONDS)


def turn(seconds: float, *events: HistoryEvent) -> list[HistoryEvent]:
    return [OrchestratorStarted(at(seconds)), *events]


def record(
    status: RuntimeStatus = RuntimeStatus.RUNNING,
    *,
    name: str = "book_trip",
    instance_id: str = "trip-1",
    ended: float | None = None,
    generation: int = 0,
    output: str | None = None,
    failure: FailureDetails | None = None,
) -> InstanceRecord:
    return InstanceRecord(
        iid=1,
        instance_id=InstanceId(instance_id),
        partition=0,
        name=name,
        execution_id=EXECUTION,
        created_at=BEGAN,
        root_id=InstanceId(instance_id),
        status=status,
        generation=generation,
        completed_at=None if ended is None else at(ended),
        output=output,
        failure=failure,
    )


def running(*turns: list[HistoryEvent]) -> Run:
    """A run that goes on."""
    return run_of(record(), turns)


def completed(*turns: list[HistoryEvent], ended: float = 4.0) -> Run:
    return run_of(record(RuntimeStatus.COMPLETED, ended=ended, output='"done"'), turns)


def opening(*events: HistoryEvent) -> list[HistoryEvent]:
    return turn(0, ExecutionStarted("book_trip", EXECUTION), *events)


def activities(count: int, *, done: int) -> Run:
    """``count`` times the activity ``charge``, of which the first ``done`` have completed."""
    calls = [TaskScheduled(number, "charge") for number in range(1, count + 1)]
    answers = [turn(number, TaskCompleted(number)) for number in range(1, done + 1)]
    return running(opening(*calls), *answers)


def child_call(
    number: int, instance_id: str, *, detached: bool = False
) -> SubOrchestrationInstanceCreated:
    execution_id = ExecutionId(f"exec-{number}")
    return SubOrchestrationInstanceCreated(
        number, "pay", InstanceId(instance_id), execution_id, detached=detached
    )


def with_child(child: Run, *, done: bool) -> Run:
    """A run whose first step is this child."""
    answers = [turn(3, SubOrchestrationInstanceCompleted(1))] if done else []
    run = running(opening(child_call(1, child.record.instance_id)), *answers)
    (step,) = run.steps
    return structs.replace(run, steps=[structs.replace(step, run=child)])
