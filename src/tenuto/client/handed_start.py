"""A start on its way to a hub, with a transaction that is its program's."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class HandedStart(Generic[T_co]):
    """A start that counts once its transaction is committed; ``client.decided`` tells what came.

    Attributes:
        instance_id: The id of the instance.
        execution_id: Which start of that id this is.
        orchestrator: What is to run.
    """

    instance_id: str
    execution_id: str
    orchestrator: object = None
