"""Deterministic names: ids that come out the same in every replay."""

import uuid
from typing import Final

from tenuto.model.ids import ExecutionId
from tenuto.model.timing import Microseconds

_NAMESPACE: Final = uuid.UUID("5f7ad1b2-8f0b-4b3c-9a50-0b3a4f1de6c1")


def child_execution_id(execution_id: ExecutionId, task_id: int, now: Microseconds) -> ExecutionId:
    """The execution id of a child, or with 0 that of the next generation.

    Begins with the turn's time in milliseconds like all ids that we make (ENGINE rule 35): the
    instance ids of its own children begin with it.
    """
    digits = uuid.uuid5(_NAMESPACE, f"{execution_id}/{task_id}").hex[:20]
    return ExecutionId(f"{now // 1000:012x}{digits}")


def random_uuid(execution_id: ExecutionId, counter: int) -> uuid.UUID:
    """The n-th UUID of an execution (version 5)."""
    return uuid.uuid5(_NAMESPACE, f"{execution_id}#{counter}")
