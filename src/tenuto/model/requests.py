"""Requests: what can be asked of a task hub, as values, and the pages that come back.

Every way in speaks these: the engine of this process, a store, a server, the command line. What is
told an instance is a message (``model.messages``). Pure data.
"""

from enum import StrEnum
from typing import Final, Literal, TypeAlias

from msgspec import Raw, Struct

from tenuto.model.facts import InstanceFacts
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.messages import Start
from tenuto.model.status import FINISHED, InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds

# --- starting -------------------------------------------------------------------------------------


class IdReuse(StrEnum):
    """What a start does when its instance id exists.

    ``WHEN_FINISHED`` replaces a finished instance and refuses a running one (Durable Functions'
    default), ``NEVER`` refuses both, ``ALWAYS`` ends a running one and replaces it.
    """

    WHEN_FINISHED = "when_finished"
    NEVER = "never"
    ALWAYS = "always"

    @property
    def statuses(self) -> frozenset[RuntimeStatus]:
        """What may be replaced: instances with these statuses."""
        return _GIVES_WAY[self]


_GIVES_WAY: Final = {
    IdReuse.WHEN_FINISHED: FINISHED,
    IdReuse.NEVER: frozenset[RuntimeStatus](),
    IdReuse.ALWAYS: frozenset(RuntimeStatus),
}


class StartRequest(Struct, kw_only=True):
    """A start as asked for: ``facts`` say of what.

    ``reuse`` are the statuses of an instance that may be replaced when the id exists; one that is
    still going is ended first. ``is_fresh``: the id was just made up, so it cannot be taken.
    ``message`` is what has asked for it through the inbox.
    """

    facts: InstanceFacts
    reuse: frozenset[RuntimeStatus] = FINISHED
    is_fresh: bool = False
    message: Start | None = None

    @property
    def instance_id(self) -> InstanceId:
        """Whom it starts."""
        return self.facts.instance_id


# --- listing --------------------------------------------------------------------------------------


ListingOrder: TypeAlias = Literal["newest", "oldest", "last_completed", "first_completed"]
"""By time of creation, or by time of completion: then only what has ended is listed."""


class InstanceQuery(Struct, frozen=True, kw_only=True):
    """Filters of a listing; None means any. Times are half-open: from <= created < to, and the same
    with the time of completion, which instances have that have ended.

    ``parent`` is the instance that has called; a prefix of ids is not looked at beside it.
    ``most_bytes``: a page ends early rather than being longer, as stored; it has one row at least.
    """

    statuses: tuple[RuntimeStatus, ...] | None = None
    name: str | None = None
    id_prefix: str | None = None
    parent: InstanceId | None = None
    created_from: Microseconds | None = None
    created_to: Microseconds | None = None
    completed_from: Microseconds | None = None
    completed_to: Microseconds | None = None
    held: bool | None = None
    limit: int = 100
    after: str | None = None
    order: ListingOrder = "newest"
    payloads: bool = True
    most_bytes: int | None = None


class InstancePage(Struct, frozen=True):
    """A page of a listing; ``after`` continues it, None at its end."""

    records: list[InstanceRecord]
    after: str | None


# --- histories ------------------------------------------------------------------------------------


class HistoryPage(Struct, frozen=True):
    """Turns of an execution, each a JSON array of events; ``after`` continues them."""

    turns: list[bytes]
    after: str | None


# --- dead letters ---------------------------------------------------------------------------------


class DeadLetter(Struct, frozen=True, array_like=True, gc=False):
    """A message that nobody can take, with the reason, for people to read, and when somebody said
    that they have seen to it.
    """

    message_id: MessageId
    instance_id: InstanceId
    reason: str
    created_at: Microseconds
    message: Raw
    acknowledged_at: Microseconds | None = None


class DeadLetterPage(Struct, frozen=True):
    """Dead letters, newest first; ``after`` continues them, None at their end."""

    letters: list[DeadLetter]
    after: str | None
