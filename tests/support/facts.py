"""Facts of instances, and what carries them, in one call."""

from typing import Any

from tenuto.model.execution import ExecutionInfo
from tenuto.model.facts import InstanceFacts
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.limits import Limits
from tenuto.model.requests import StartRequest
from tenuto.model.status import FINISHED, RuntimeStatus


def facts(instance_id: str, execution_id: str, name: str, **more: Any) -> InstanceFacts:
    """Facts of an instance; at the top of its tree if ``more`` says nothing else."""
    more.setdefault("root_id", instance_id)
    return InstanceFacts(
        instance_id=InstanceId(instance_id),
        execution_id=ExecutionId(execution_id),
        name=name,
        **more,
    )


def asks(
    *,
    reuse: frozenset[RuntimeStatus] = FINISHED,
    is_fresh: bool = False,
    instance_id: str,
    execution_id: str,
    name: str,
    **more: Any,
) -> StartRequest:
    """A request to start an instance with these facts."""
    found = facts(instance_id, execution_id, name, **more)
    return StartRequest(facts=found, reuse=reuse, is_fresh=is_fresh)


def execution_of(
    *, instance_id: str, execution_id: str, name: str, limits: Limits | None = None, **more: Any
) -> ExecutionInfo:
    """What a session is told of an execution with these facts."""
    unread = more.pop("unread", None)
    found = facts(instance_id, execution_id, name, **more)
    return ExecutionInfo(facts=found, limits=limits or Limits(), unread=unread)
