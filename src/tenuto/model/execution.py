"""What a session is told about the execution it runs."""

from msgspec import Struct

from tenuto.model.facts import InstanceFacts
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits
from tenuto.model.unread import UnreadEvents


class ExecutionInfo(Struct, frozen=True, kw_only=True):
    """What holds for one execution from its beginning to its end.

    ``facts`` are what the orchestrator's context shows; ``unread`` are the events that earlier
    generations have left.
    """

    facts: InstanceFacts
    limits: Limits
    unread: UnreadEvents | None = None

    @property
    def instance_id(self) -> InstanceId:
        """Whose execution it is."""
        return self.facts.instance_id


def is_native(runtime: str) -> bool:
    """Whether this is what orchestrators of some version of Python run on."""
    return runtime.startswith("python ")
