"""Translations of decisions into what other parties get: work, children, replies. Pure."""

from collections.abc import Callable

from tenuto.engine.ports import ActivityWork
from tenuto.engine.state import InstanceState, OpenActivity
from tenuto.model.events import (
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.messages import ChildResult
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus


def work_of(state: InstanceState, open_activity: OpenActivity) -> ActivityWork:
    """The attempt that an open activity stands for."""
    event = open_activity.event
    return ActivityWork(
        iid=state.iid,
        instance_id=state.instance_id,
        execution_id=state.execution_id,
        sequence=open_activity.sequence,
        task_id=event.event_id,
        name=event.name,
        input=event.input,
        attempt=event.attempt,
        call_id=event.event_id if event.call_id is None else event.call_id,
        timeout=event.timeout,
        version=event.version,
        tags=event.tags,
        trace=event.trace,
    )


def child_record(
    parent: InstanceState, event: SubOrchestrationInstanceCreated, now: int
) -> InstanceRecord:
    """The row of a new child; iid and partition are the owner's to fill in."""
    link = None
    if not event.detached:
        link = ParentInstance(parent.instance_id, parent.execution_id, parent.name, event.event_id)
    return InstanceRecord(
        iid=0,
        instance_id=event.instance_id,
        partition=0,
        name=event.name,
        execution_id=event.execution_id,
        created_at=max(now, parent.created_at),
        updated_at=now,
        root_id=parent.root_id,
        depth=parent.depth + 1,
        version=event.version,
        parent=link,
        input=event.input,
        tags=event.tags,
        trace=event.trace,
    )


def reply_to_parent(state: InstanceState, next_id: Callable[[], str]) -> ChildResult | None:
    """What a finished child tells its parent; None when nobody waits."""
    parent = state.parent
    if parent is None:
        return None
    event: SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed
    if state.status is RuntimeStatus.COMPLETED:
        event = SubOrchestrationInstanceCompleted(parent.task_scheduled_id, state.output)
    else:
        failure = state.failure or FailureDetails(
            "OrchestrationTerminated",
            f"sub-orchestration {state.instance_id!r} was terminated: {state.output}",
        )
        event = SubOrchestrationInstanceFailed(parent.task_scheduled_id, failure)
    return ChildResult(message_id=next_id(), execution_id=parent.execution_id, event=event)
