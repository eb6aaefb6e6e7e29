"""Rows of PostgreSQL as what the port speaks of."""

from collections.abc import Iterable
from typing import Final

import asyncpg
import msgspec
from msgspec import Raw

from tenuto.engine.rows import InboxRow
from tenuto.engine.state import start_event, state_of
from tenuto.model.codec import encode
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold
from tenuto.model.messages import Start
from tenuto.model.requests import DeadLetter
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tenuto.model.trace import TraceContext

_parent: Final = msgspec.json.Decoder(ParentInstance).decode
_failure: Final = msgspec.json.Decoder(FailureDetails).decode
_tags: Final = msgspec.json.Decoder(dict[str, str]).decode
_trace: Final = msgspec.json.Decoder(TraceContext).decode
_hold: Final = msgspec.json.Decoder(Hold).decode


def record_of(row: asyncpg.Record) -> InstanceRecord:
    """An instance."""
    (
        iid, instance_id, partition, name, execution_id, created_at, root_id, version, generation,
        status, wake_at, updated_at, completed_at, scheduled_at, parent, depth, given, output,
        failure, custom_status, tags, trace, held, deliveries,
    ) = row  # fmt: skip
    return InstanceRecord(
        iid,
        instance_id,
        partition,
        name,
        execution_id,
        created_at,
        root_id,
        version,
        generation,
        RuntimeStatus(status),
        wake_at,
        updated_at,
        completed_at,
        scheduled_at,
        None if parent is None else _parent(parent),
        depth,
        given,
        output,
        None if failure is None else _failure(failure),
        custom_status,
        None if tags is None else _tags(tags),
        None if trace is None else _trace(trace),
        None if held is None else _hold(held),
        deliveries,
    )


def in_order(rows: Iterable[asyncpg.Record], iids: Iterable[int]) -> list[InstanceRecord]:
    """Instances in the order of these iids, unknown ones left out."""
    found = {row["iid"]: record_of(row) for row in rows}
    return [found[iid] for iid in iids if iid in found]


def message_of(row: asyncpg.Record) -> InboxRow:
    """A message."""
    return InboxRow(
        row["message_id"],
        row["partition"],
        row["instance_id"],
        Raw(row["message"]),
        row["is_handed_over"],
    )


def start_of(record: InstanceRecord) -> InboxRow:
    """The message that an instance from outside stands for."""
    message = Raw(encode(Start(event=start_event(state_of(record), ""))))
    return InboxRow(None, record.partition, record.instance_id, message)


def letter_of(row: asyncpg.Record) -> DeadLetter:
    """A dead letter."""
    return DeadLetter(
        row["message_id"],
        row["instance_id"],
        row["reason"],
        row["created_at"],
        Raw(row["message"]),
        row["acknowledged_at"],
    )
