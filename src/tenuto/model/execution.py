"""What a session is told about the execution it runs."""

from typing import Protocol

from msgspec import Struct

from tenuto.model.limits import Limits
from tenuto.model.status import ParentInstance
from tenuto.model.trace import TraceContext
from tenuto.model.unread import UnreadEvents


class ExecutionInfo(Struct, frozen=True, kw_only=True):
    """Constant facts of one execution, as the orchestrator's context shows them.

    ``unread`` are the events that earlier generations have left, ``trace`` is whose trace it
    belongs to.
    """

    instance_id: str
    execution_id: str
    name: str
    version: str | None
    parent: ParentInstance | None
    tags: dict[str, str] | None
    depth: int
    limits: Limits
    unread: UnreadEvents | None = None
    trace: TraceContext | None = None


class ExecutionFacts(Protocol):
    """What has an instance's facts: its stored row, or its state in memory."""

    @property
    def instance_id(self) -> str: ...
    @property
    def execution_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str | None: ...
    @property
    def parent(self) -> ParentInstance | None: ...
    @property
    def tags(self) -> dict[str, str] | None: ...
    @property
    def depth(self) -> int: ...
    @property
    def trace(self) -> TraceContext | None: ...


def execution_info(
    record: ExecutionFacts, limits: Limits, unread: UnreadEvents | None = None
) -> ExecutionInfo:
    """The facts of an instance's current execution."""
    return ExecutionInfo(
        instance_id=record.instance_id,
        execution_id=record.execution_id,
        name=record.name,
        version=record.version,
        parent=record.parent,
        tags=record.tags,
        depth=record.depth,
        limits=limits,
        unread=unread,
        trace=record.trace,
    )
