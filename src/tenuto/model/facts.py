"""What is said of an instance when an execution of it begins, once for all who carry it.

A start asks for it, the state in memory and the session hold it. Two forms are flat because others
read them: the stored row (``InstanceRecord``) and the event that opens a history
(``ExecutionStarted``). This file goes between them, and beside it ``InstanceState.record`` alone,
which writes a row for each commit. So a new fact is a field in the three classes, a line in these
functions and one there. Pure data.
"""

from msgspec import Struct

from tenuto.model.events import ExecutionStarted
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import AT_ONCE, InstanceRecord, ParentInstance
from tenuto.model.timing import Microseconds
from tenuto.model.trace import TraceContext


class InstanceFacts(Struct, frozen=True):
    """Constant facts of one execution of an instance.

    Attributes:
        instance_id: The instance.
        execution_id: This execution of it.
        name: Its orchestrator.
        root_id: The top of its tree; its own id at the top.
        version: What it was started with.
        parent: Who waits for its result.
        depth: How far below the root; 0 at the top.
        tags: Labels.
        trace: The trace that it belongs to.
        scheduled_at: When it may begin, in microseconds since 1970 UTC.
        generation: How often it has continued as new, or was replaced.
        input: What it was started with, as JSON text.
    """

    instance_id: InstanceId
    execution_id: ExecutionId
    name: str
    root_id: InstanceId
    version: str | None = None
    parent: ParentInstance | None = None
    depth: int = 0
    tags: dict[str, str] | None = None
    trace: TraceContext | None = None
    scheduled_at: Microseconds | None = None
    generation: int = 0
    input: str | None = None


def facts_of_row(record: InstanceRecord) -> InstanceFacts:
    """The facts of a stored row's current execution."""
    # By place, here and below: so many names would cost a dict each time.
    return InstanceFacts(
        record.instance_id,
        record.execution_id,
        record.name,
        record.root_id,
        record.version,
        record.parent,
        record.depth,
        record.tags,
        record.trace,
        record.scheduled_at,
        record.generation,
        record.input,
    )


def pending_row(
    facts: InstanceFacts, *, partition: int, created_at: Microseconds
) -> InstanceRecord:
    """The row of an instance from outside, that has not begun: the store gives it a number."""
    return InstanceRecord(
        0,
        facts.instance_id,
        partition,
        facts.name,
        facts.execution_id,
        created_at,
        facts.root_id,
        facts.version,
        facts.generation,
        wake_at=facts.scheduled_at or AT_ONCE,
        scheduled_at=facts.scheduled_at,
        parent=facts.parent,
        depth=facts.depth,
        input=facts.input,
        tags=facts.tags,
        trace=facts.trace,
    )


def started(facts: InstanceFacts, runtime: str) -> ExecutionStarted:
    """The event that opens an execution; ``runtime`` is what records it."""
    return ExecutionStarted(
        facts.name,
        facts.execution_id,
        facts.input,
        facts.version,
        facts.parent,
        facts.tags,
        facts.scheduled_at,
        facts.generation,
        runtime,
        facts.trace,
    )


def facts_started(
    instance_id: InstanceId, event: ExecutionStarted, root_id: InstanceId | None, depth: int
) -> InstanceFacts:
    """The facts of an execution that an event asks for: it begins at the first generation.

    Args:
        instance_id: Whose it is.
        event: The event.
        root_id: The top of its tree; None for its own id.
        depth: How far below that.
    """
    return InstanceFacts(
        instance_id,
        event.execution_id,
        event.name,
        root_id or instance_id,
        event.version,
        event.parent,
        depth,
        event.tags,
        event.trace,
        event.scheduled_start,
        input=event.input,
    )
