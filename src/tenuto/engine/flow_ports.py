"""What the store tells of flows: what has led to what (``model.causes``). Only reads."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds


class FlowEvent(Struct, frozen=True, kw_only=True):
    """An event or a message in a flow.

    Attributes:
        kind: ``event`` or ``message``.
        place: The topic or queue.
        id: Its own.
        at: When it was published.
        cause: What has led to it.
        key: Of the event.
        type: Of the event.
    """

    kind: str
    place: str
    id: str
    at: Microseconds
    cause: str | None
    key: str | None = None
    type: str | None = None


class CausedInstance(Struct, frozen=True, kw_only=True):
    """An instance in a flow, without its payloads.

    Attributes:
        instance_id: Its id.
        cause: What has started it: what its tag says, or its parent; None when nobody knows.
        name: Of its orchestrator.
        status: As last committed.
        at: When it was started.
        ended_at: When it ended; None when it has not.
        hold: Why it is held.
        failure: Why it failed.
    """

    instance_id: InstanceId
    cause: str | None
    name: str
    status: RuntimeStatus
    at: Microseconds
    ended_at: Microseconds | None = None
    hold: Hold | None = None
    failure: FailureDetails | None = None


class FlowFailure(Struct, frozen=True, kw_only=True):
    """A delivery that was put aside, in a flow.

    Attributes:
        cause: The event or message that was delivered.
        function: Of the subscription; of a queue its function's.
        number: Its own, to redrive or delete it by.
        attempts: So often it was tried.
        at: When it was put aside.
        error: What the last attempt has raised.
    """

    cause: str
    function: str
    number: int
    attempts: int
    at: Microseconds
    error: str


class FlowReader(Protocol):
    """Reading flows, open to every process."""

    async def flow(self, causes: Sequence[str], limit: int) -> list[FlowEvent]:
        """Events and messages with these causes, oldest first."""

    async def flow_event(self, cause: str) -> FlowEvent | None:
        """The event or message that is the cause of others, itself; None when it is gone."""

    async def flow_instances(self, causes: Sequence[str], limit: int) -> list[CausedInstance]:
        """Instances with these causes, sub-orchestrations among them, oldest first."""

    async def flow_instance(self, instance_id: InstanceId) -> CausedInstance | None:
        """One instance; None when there is none."""

    async def flow_failures(self, causes: Sequence[str], limit: int) -> list[FlowFailure]:
        """Deliveries of these events and messages that were put aside, oldest first."""
