"""What a client gets to see of an instance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec import Struct

from tenuto.model.codec import decode_letter
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import HoldReason
from tenuto.model.messages import letter_facts
from tenuto.model.payload.opaque import shown
from tenuto.model.requests import DeadLetter
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import to_datetime


class HoldStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Why an instance cannot go on now, and since when.

    Attributes:
        reason: The kind.
        message: What happened, where, and what to do.
        since: When it was held first (aware UTC).
        tried: When it was last tried again, without success (aware UTC).
        recorded: What history says, where two sides differ.
        produced: What the code says.
    """

    reason: HoldReason
    message: str
    since: datetime
    tried: datetime | None = None
    recorded: str | None = None
    produced: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """An instance as last committed.

    Attributes:
        instance_id: Its id.
        name: The orchestrator's registered name.
        runtime_status: Where it stands.
        input: Decoded JSON, the text itself when it is no JSON; None when there was none or it
            was not asked for.
        output: Decoded JSON of the result; the reason when it was terminated.
        custom_status: What the orchestrator last set, decoded.
        failure: Why it failed.
        created_time: When it was started (aware UTC).
        last_updated_time: When its row last changed (aware UTC).
        completed_time: When it ended (aware UTC).
        scheduled_time: When it is to begin, for a scheduled start.
        parent_instance_id: Who called it.
        execution_id: Its current execution.
        tags: Its labels.
        version: The version it was started with.
        hold: Why it cannot go on now, and since when; None when it is not held.
    """

    instance_id: str
    name: str
    runtime_status: RuntimeStatus
    created_time: datetime
    last_updated_time: datetime
    execution_id: str
    input: Any = None
    output: Any = None
    custom_status: Any = None
    failure: FailureDetails | None = None
    completed_time: datetime | None = None
    scheduled_time: datetime | None = None
    parent_instance_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    hold: HoldStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterStatus:
    """A message that nobody could take.

    Attributes:
        instance_id: Whom it was for.
        reason: Why it could not be delivered.
        created_time: When it was given up (aware UTC).
        name: The event's name, or the question that is answered.
        data: The event's data, or the answer, decoded JSON.
    """

    instance_id: str
    reason: str
    created_time: datetime
    name: str | None = None
    data: Any = None


def letter_of(letter: DeadLetter) -> DeadLetterStatus:
    """The client's view of a stored dead letter."""
    message = decode_letter(letter.message)
    name, data = letter_facts(message)
    return DeadLetterStatus(
        instance_id=letter.instance_id,
        reason=letter.reason,
        created_time=to_datetime(letter.created_at),
        name=name,
        data=None if data is None else shown(data),
    )


def status_of(record: InstanceRecord) -> InstanceStatus:
    """The client's view of a stored row."""
    return InstanceStatus(
        instance_id=record.instance_id,
        name=record.name,
        runtime_status=record.status,
        created_time=to_datetime(record.created_at),
        last_updated_time=to_datetime(record.updated_at or record.created_at),
        execution_id=record.execution_id,
        input=shown(record.input),
        output=shown(record.output),
        custom_status=shown(record.custom_status),
        failure=record.failure,
        completed_time=_time(record.completed_at),
        scheduled_time=_time(record.scheduled_at),
        parent_instance_id=None if record.parent is None else record.parent.instance_id,
        tags=record.tags or {},
        version=record.version,
        hold=hold_of(record),
    )


def hold_of(record: InstanceRecord) -> HoldStatus | None:
    """Why an instance cannot go on now; None when it is not held."""
    hold = record.hold
    if hold is None:
        return None
    return HoldStatus(
        reason=hold.reason,
        message=hold.message,
        since=to_datetime(hold.since),
        tried=_time(hold.tried),
        recorded=hold.recorded,
        produced=hold.produced,
    )


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else to_datetime(microseconds)
