"""Where an instance stands, as people and clients see it."""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.timing import Microseconds
from tenuto.model.trace import TraceContext


class RuntimeStatus(IntEnum):
    """The states of an instance, with Durable Functions' names and numbers."""

    RUNNING = 0
    COMPLETED = 1
    CONTINUED_AS_NEW = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    PENDING = 6
    SUSPENDED = 7

    @property
    def is_finished(self) -> bool:
        """True when nothing will happen any more."""
        return self in FINISHED

    def __str__(self) -> str:
        """As people read it, not the number."""
        return self.label

    @property
    def label(self) -> str:
        """Durable Functions' spelling: ``Running``, ``ContinuedAsNew``."""
        return _LABELS[self]


FINISHED = frozenset(
    {
        RuntimeStatus.COMPLETED,
        RuntimeStatus.FAILED,
        RuntimeStatus.CANCELED,
        RuntimeStatus.TERMINATED,
    }
)
OPEN: Final = (RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED)
"""What an instance may be before it has ended; between two generations it is running."""
_LABELS = {status: status.name.title().replace("_", "") for status in RuntimeStatus}


class ParentInstance(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who started a sub-orchestration: where its result goes.

    ``task_scheduled_id`` is the parent's own number for the call.
    """

    instance_id: InstanceId
    execution_id: ExecutionId
    name: str
    task_scheduled_id: int


AT_ONCE: Final = 0
"""The ``wake_at`` of an instance with open work: whoever takes its partition loads it at once."""


class InstanceRecord(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Everything the store knows of an instance but its history.

    Times are microseconds since 1970 UTC. ``wake_at`` is 0 while work is open (the instance must be
    loaded at recovery), the next timer's time while it only waits, None when only
    a message can wake it. ``root_id`` is the top of its tree (its own id at the top), ``depth`` is
    0 there. ``hold`` says why an unfinished instance cannot go on now, None while it can;
    ``deliveries`` how often it was tried alone because hosts had died (ENGINE rule 32).
    """

    iid: int
    instance_id: InstanceId
    partition: int
    name: str
    execution_id: ExecutionId
    created_at: Microseconds
    root_id: InstanceId
    version: str | None = None
    generation: int = 0
    status: RuntimeStatus = RuntimeStatus.PENDING
    wake_at: Microseconds | None = AT_ONCE
    updated_at: Microseconds = 0
    completed_at: Microseconds | None = None
    scheduled_at: Microseconds | None = None
    parent: ParentInstance | None = None
    depth: int = 0
    input: str | None = None
    output: str | None = None
    failure: FailureDetails | None = None
    custom_status: str | None = None
    tags: dict[str, str] | None = None
    trace: TraceContext | None = None
    hold: Hold | None = None
    deliveries: int = 0
