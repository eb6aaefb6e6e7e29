"""What becomes of instances, told to whoever wants to know: life-cycle notifications as data.

A notice is an event of a topic of Tenuto's own. It is a row of the very commit that changes the
instance, so there is one of what has happened, and none of what has not.
"""

from collections.abc import Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.model.causes import instance_cause
from tenuto.model.facts import InstanceFacts
from tenuto.model.timing import Microseconds, to_datetime
from tenuto.model.topics import EventDetails, EventHead, PublishedEvent, content_of

TOPIC: Final = "tenuto.lifecycle"
"""Where notices are published."""

_TYPE: Final = "tenuto.instance."
_LONGEST_REASON: Final = 1_000


class NoticeKind(StrEnum):
    """What has become of an instance."""

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    HELD = "held"

    @property
    def type(self) -> str:
        """The type of its event, as CloudEvents have it."""
        return f"{_TYPE}{self.value}"


ENDS: Final = frozenset({NoticeKind.COMPLETED, NoticeKind.FAILED, NoticeKind.TERMINATED})
"""After these an execution has no other."""


class Notice(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The data of a notice.

    Attributes:
        kind: What has become of the instance.
        instance_id: Which.
        execution_id: Which execution of it.
        name: Its orchestrator.
        root_id: The top of its tree; its own id at the top.
        event_time: When, in RFC 3339.
        parent_instance_id: Who waits for its result; left out at the top.
        tags: Labels that it was started with.
        reason: Why it failed, was ended or is held; cut after 1,000 characters.
    """

    kind: NoticeKind
    instance_id: str
    execution_id: str
    name: str
    root_id: str
    event_time: str
    parent_instance_id: str | None = None
    tags: Mapping[str, str] | None = None
    reason: str | None = None


class NoticeRules(Struct, frozen=True, kw_only=True):
    """Of what there are notices: what at least one target wants.

    Attributes:
        kinds: Which kinds.
        children: Whether of sub-orchestrations too.
    """

    kinds: frozenset[NoticeKind]
    children: bool = False

    def wants(self, kind: NoticeKind, facts: InstanceFacts) -> bool:
        """Whether there is a notice of this."""
        return kind in self.kinds and (self.children or facts.parent is None)


def notice_row(
    kind: NoticeKind,
    facts: InstanceFacts,
    at: Microseconds,
    *,
    iid: int,
    once: str = "",
    reason: str | None = None,
) -> PublishedEvent:
    """A notice as a row of a commit.

    Args:
        kind: What has become of the instance.
        facts: Of its execution.
        at: When.
        iid: Its number.
        once: What tells it from others of its kind that one execution may have.
        reason: Why.
    """
    notice = Notice(
        kind=kind,
        instance_id=facts.instance_id,
        execution_id=facts.execution_id,
        name=facts.name,
        root_id=facts.root_id,
        event_time=to_datetime(at).isoformat().replace("+00:00", "Z"),
        parent_instance_id=None if facts.parent is None else facts.parent.instance_id,
        tags=facts.tags or None,
        reason=None if reason is None else reason[:_LONGEST_REASON],
    )
    # Whoever starts an instance may choose the id of its execution: both ids are nobody else's.
    own = blake2b(f"{facts.instance_id}/{facts.execution_id}".encode(), digest_size=16).hexdigest()
    head = EventHead(type=kind.type, details=EventDetails(subject=facts.instance_id))
    return PublishedEvent(
        event_id=f"{own}-{kind}{once}",
        topic=TOPIC,
        key=facts.instance_id,
        published_at=at,
        cause=instance_cause(facts.instance_id),
        iid=iid,
        event=content_of(msgspec.json.encode(notice).decode(), head),
    )
