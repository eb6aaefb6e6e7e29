"""Deterministic names: ids that come out the same in every replay."""

import uuid
from typing import Final

_NAMESPACE: Final = uuid.UUID("5f7ad1b2-8f0b-4b3c-9a50-0b3a4f1de6c1")


def child_execution_id(execution_id: str, task_id: int) -> str:
    """The execution id of a child, or with 0 that of the next generation."""
    return uuid.uuid5(_NAMESPACE, f"{execution_id}/{task_id}").hex


def random_uuid(execution_id: str, counter: int) -> uuid.UUID:
    """The n-th UUID of an execution (version 5)."""
    return uuid.uuid5(_NAMESPACE, f"{execution_id}#{counter}")
