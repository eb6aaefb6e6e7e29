"""The facts behind a standstill, each as its owner knows it. Pure.

The row knows whether an instance is held, suspended, not begun; the history, what its code waits
for; the host, of queues, of functions that are not there, of a store that does not answer.
"""

from collections.abc import Iterator
from typing import Final

from tenuto.engine.standing import Look
from tenuto.insight.steps import Run, Step, StepKind, StepState
from tenuto.insight.surroundings import Surroundings
from tenuto.model.explanation import (
    ActivityWait,
    ChildWait,
    Ended,
    EventWait,
    Fact,
    Held,
    NoHost,
    NotServed,
    Obstacle,
    Pending,
    StoreUnavailable,
    Suspended,
    TimerWait,
    TurnWait,
    Untaken,
    Wait,
)
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import MICROSECONDS, Microseconds

LATE: Final = 60 * MICROSECONDS
"""What a host should have done so long ago is late."""

_NOTHING: Final = Look()


def facts_of(run: Run, around: Surroundings) -> tuple[Fact, ...]:
    """Why an instance does not go on, in the order in which ``Explanation.facts`` has it.

    Args:
        run: The instance, and the steps of its current execution.
        around: What else is known.
    """
    if run.record.status.is_finished:
        return (Ended(status=run.record.status.label),)
    steps = run.open_steps()
    waits = (_wait(run.record, step, around) for step in steps)
    return (*_obstacles(run.record, around), *waits, *_beyond(run.record, steps, around))


def _obstacles(record: InstanceRecord, around: Surroundings) -> Iterator[Obstacle]:
    """What stands in the way, the most important first."""
    hold, look = record.hold, around.look or _NOTHING
    if hold is not None:
        yield Held(reason=hold.reason, message=hold.message, since=hold.since, tried=hold.tried)
    if look.unavailable:
        yield StoreUnavailable(error=look.unavailable)
    if record.status is RuntimeStatus.SUSPENDED:
        yield Suspended(since=record.updated_at or record.created_at)
    if not look.serves:
        yield NotServed(kind="orchestrator", name=record.name)
    if record.status is RuntimeStatus.PENDING:
        begins = record.scheduled_at or 0
        yield Pending(
            since=max(record.created_at, begins if begins <= around.now else 0),
            until=begins if begins > around.now else None,
        )
    if count := around.untaken.get(record.instance_id):
        yield Untaken(count=count)
    if look.place is not None:
        yield TurnWait(place=look.place)


def _beyond(
    record: InstanceRecord, steps: list[Step], around: Surroundings
) -> Iterator[NotServed | NoHost]:
    """What will keep it when its waits are over, be that in three months."""
    missing = (around.look or _NOTHING).unserved
    called = dict.fromkeys(step.name for step in steps if step.kind is StepKind.ACTIVITY)
    for name in called:
        if name in missing:
            yield NotServed(kind="activity", name=name)
    if around.orchestrators is not None and record.name not in around.orchestrators:
        yield NotServed(kind="orchestrator", name=record.name, by="app")
    if not around.has_host:
        yield NoHost()


# --- what its code waits for ----------------------------------------------------------------------


def _wait(record: InstanceRecord, step: Step, around: Surroundings) -> Wait:
    since = step.changed_at
    match step.kind:
        case StepKind.TIMER:
            return TimerWait(since=since, until=step.due_at, purpose=step.purpose)
        case StepKind.EVENT:
            return EventWait(name=step.name, since=since, until=step.due_at)
        case StepKind.CHILD:
            return _child(record, step, around)
        case StepKind.ACTIVITY | StepKind.MESSAGE:  # messages are never open
            return _activity(step, around)


def _activity(step: Step, around: Surroundings) -> ActivityWait:
    attempt, until = _attempt(step)
    queued = (around.look or _NOTHING).queued.get(step.number)
    return ActivityWait(
        name=step.name,
        since=step.changed_at,
        attempt=attempt,
        until=until,
        failure=step.failure,
        place=None if queued is None else queued.place,
        behind="" if queued is None else queued.behind,
    )


def _child(record: InstanceRecord, step: Step, around: Surroundings) -> ChildWait:
    name = step.instance_id or ""
    child = around.children.get(name)
    attempt, until = _attempt(step)
    return ChildWait(
        name=step.name,
        instance_id=step.instance_id,
        since=step.changed_at,
        attempt=attempt,
        until=until,
        failure=step.failure,
        status=None if child is None else child.status.label,
        held=None if child is None or child.hold is None else child.hold.reason,
        is_missing=child is None and name in around.children,
        is_lost=name in around.children and _is_lost(record, step, child, around.now),
    )


def _attempt(step: Step) -> tuple[int, int | None]:
    """Which attempt is meant, and when it begins if that is still to come."""
    if step.state is StepState.RETRYING:
        return step.attempt + 1, step.due_at
    return step.attempt, None


def _is_lost(
    record: InstanceRecord, step: Step, child: InstanceRecord | None, now: Microseconds
) -> bool:
    """Whether a child is not there any more, or another one has its id: it never answers."""
    if step.state is not StepState.RUNNING or now - step.changed_at < LATE:
        return False  # its start may be on its way
    return child is None or child.parent is None or child.parent.instance_id != record.instance_id
