"""Rows as the arrays that statements take: one for each column.

What is searched for in a JSON text is taken out here, so that the server never reads one: its JSON
refuses texts that are valid (a NUL, half of a surrogate pair). Raises what ``CONTENT_ERRORS`` lists
for a row that no store can hold.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from tenuto.engine.rows import (
    Answer,
    CommitBatch,
    InboxRow,
    InstanceUpdate,
    LinkRow,
    TopicWaitRow,
    UnreadRow,
)
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.model.causes import CAUSE_TAG
from tenuto.model.requests import DeadLetter
from tenuto.model.room import encoded
from tenuto.model.status import InstanceRecord
from tenuto.model.topics import PublishedEvent, QueuedMessage

Values: TypeAlias = dict[str, Any]

_ADDRESS: Final = "/"
"""In an instance's id: it is one of a linked hub."""

_NO_CHARACTER: Final = "\ufffd"
"""Stands for a NUL, which PostgreSQL's texts cannot hold."""

_valid: Final = msgspec.json.Decoder(Raw).decode
_INSTANCES: Final = (
    "iid", "created_at", "updated_at", "wake_at", "completed_at", "scheduled_at", "generation",
    "partition", "depth", "deliveries", "status", "instance_id", "name", "version",
    "execution_id", "root_id", "parent_id", "cause", "held_for", "parent", "tags", "trace",
    "custom_status", "held", "failure", "output", "input",
)  # fmt: skip
_UPDATES: Final = (
    "iid", "updated_at", "wake_at", "completed_at", "status", "held_for", "custom_status", "held",
    "failure", "output",
)  # fmt: skip
_HISTORY: Final = ("iid", "generation", "turn", "events")
_FORGET: Final = ("iid", "generation")
_MESSAGES: Final = (
    "partition", "awaits_answer", "message_id", "instance_id", "kind", "message",
)  # fmt: skip
_CONSUMED: Final = ("partition", "message_id")
_USED: Final = (
    "used_days", "used_apps", "used_kinds", "used_functions", "used_tags", "used_executions",
    "used_running", "used_processor", "used_waiting", "used_memory", "used_operations",
    "used_bytes",
)  # fmt: skip
_NO_TURNS: Final[Values] = {
    "owner": None,
    "number": None,
    "batch_id": None,
    "refused": None,
    "partitions": None,
    "epochs": None,
    "replacing": 0,
    **{
        f"{letter}_{name}": None
        for letter, names in (
            ("i", _INSTANCES),
            ("u", _UPDATES),
            ("h", _HISTORY),
            ("f", _FORGET),
            ("m", _MESSAGES),
            ("c", _CONSUMED),
        )
        for name in names
    },
}


class _Envelope(Struct, rename="camel"):
    """What the store must know of a message, and of an event."""

    type: str | None = None
    awaits_answer: bool = False


_envelope: Final = msgspec.json.Decoder(_Envelope).decode


def checked(value: Raw) -> bytes:
    """JSON, to the letter.

    Raises:
        msgspec.DecodeError: it is none.
    """
    try:
        _valid(value)
    except msgspec.DecodeError:
        # Half of a surrogate pair, written as an escape, is JSON, and no text in Python or UTF-8.
        if not _is_json(value):
            raise
    return bytes(value)


def _is_json(value: Raw | str) -> bool:
    try:
        json.loads(value if isinstance(value, str) else bytes(value))
    except ValueError:
        return False
    return True


def _envelope_of(value: Raw | str) -> _Envelope:
    """What the store must know of a message, or an event."""
    try:
        return _envelope(value)
    except msgspec.DecodeError:
        if not _is_json(value):
            raise
    found = json.loads(value if isinstance(value, str) else bytes(value))
    kind = found.get("type") if isinstance(found, dict) else None
    return _Envelope(
        kind if isinstance(kind, str) else None,
        isinstance(found, dict) and found.get("awaitsAnswer") is True,
    )


def json_text(value: object) -> str | None:
    """A value as JSON text; None for none."""
    return None if value is None else encoded(value).decode()


def readable(text: str) -> str:
    """A text for people, which may hold anything."""
    return text.replace("\x00", _NO_CHARACTER).encode(errors="replace").decode()


def told(error: str) -> str:
    """What a function has said, which may hold anything, as a JSON string."""
    return encoded(error.encode(errors="replace").decode()).decode()


def claim(batch: CommitBatch, refused: Sequence[int] = ()) -> Values:
    """Whose a batch is, and its fences."""
    return {
        "owner": batch.owner,
        "number": batch.number,
        "batch_id": batch.batch_id,
        "refused": list(refused) or None,
        "partitions": [fence.partition for fence in batch.fences],
        "epochs": [
            # A fence of another owner's holds for nobody: no epoch is below zero.
            fence.epoch if fence.owner == batch.owner else -1
            for fence in batch.fences
        ],
    }


def turns(batch: CommitBatch) -> Values:
    """What turns write of a batch, without its claim."""
    values = dict(_NO_TURNS)
    instances = [*batch.instances, *batch.replaced]
    if instances:
        values["replacing"] = len(batch.replaced)
        _put(values, "i", _INSTANCES, map(instance_columns, instances))
    if batch.updates:
        _put(values, "u", _UPDATES, map(_update_columns, batch.updates))
    if batch.history:
        _put(
            values,
            "h",
            _HISTORY,
            ((row.iid, row.generation, row.turn, checked(row.events)) for row in batch.history),
        )
    if batch.forget:
        _put(values, "f", _FORGET, ((row.iid, row.generation) for row in batch.forget))
    if batch.inbox:
        here = [row for row in batch.inbox if _ADDRESS not in row.instance_id]
        if here:
            values |= messages(here)
    if batch.consumed:
        _put(values, "c", _CONSUMED, batch.consumed)
    return values


def usage(batch: CommitBatch) -> Values:
    """What turns have used."""
    columns = zip(*map(msgspec.structs.astuple, batch.usage), strict=True)
    return {
        "used_owner": batch.owner,
        "used_number": batch.number,
        **{name: list(column) for name, column in zip(_USED, columns, strict=True)},
    }


def _put(values: Values, letter: str, names: Sequence[str], rows: Any) -> None:  # noqa: ANN401 - of tuples
    columns = zip(*rows, strict=True)
    for name, column in zip(names, columns, strict=True):
        # Most columns of most batches hold nothing: the server fills up what is not there, and the
        # driver looks at each value of what is.
        is_nothing = column[0] is None and column.count(None) == len(column)
        values[f"{letter}_{name}"] = None if is_nothing else column


_TEXTS: Final = (
    "i_input", "i_output", "i_custom_status", "i_tags", "i_failure", "u_output",
    "u_custom_status", "u_failure", "h_events", "m_message",
)  # fmt: skip


def length_of(turns: Values) -> int:
    """How long the texts of turns are together: all that may be long."""
    return sum(sum(map(len, filter(None, turns[name] or ()))) for name in _TEXTS)


def instance_columns(record: InstanceRecord) -> tuple[Any, ...]:
    """The columns of an instance, in the order of ``INSTANCE_NAMES``."""
    tags = record.tags
    return (
        record.iid,
        record.created_at,
        record.updated_at,
        record.wake_at,
        record.completed_at,
        record.scheduled_at,
        record.generation,
        record.partition,
        record.depth,
        record.deliveries,
        record.status,
        record.instance_id,
        record.name,
        record.version,
        record.execution_id,
        record.root_id,
        None if record.parent is None else record.parent.instance_id,
        None if tags is None else tags.get(CAUSE_TAG),
        None if record.hold is None else record.hold.reason,
        json_text(record.parent),
        json_text(tags),
        json_text(record.trace),
        record.custom_status,
        json_text(record.hold),
        json_text(record.failure),
        record.output,
        record.input,
    )


INSTANCE_NAMES: Final = _INSTANCES
"""The names of an instance's columns, as statements take them."""


def _update_columns(row: InstanceUpdate) -> tuple[Any, ...]:
    return (
        row.iid,
        row.updated_at,
        row.wake_at,
        row.completed_at,
        row.status,
        None if row.hold is None else row.hold.reason,
        row.custom_status,
        json_text(row.hold),
        json_text(row.failure),
        row.output,
    )


def messages(rows: Sequence[InboxRow]) -> Values:
    """Messages for instances of this hub."""
    values: Values = {}
    _put(values, "m", _MESSAGES, map(_message_columns, rows))
    return values


def _message_columns(row: InboxRow) -> tuple[Any, ...]:
    envelope = _envelope_of(row.message)
    return (
        row.partition,
        envelope.awaits_answer,
        row.message_id,
        row.instance_id,
        envelope.type or "",
        checked(row.message),
    )


def parted(rows: Sequence[InboxRow]) -> tuple[list[InboxRow], list[InboxRow]]:
    """Messages for this hub, and for others."""
    here = [row for row in rows if _ADDRESS not in row.instance_id]
    return here, [row for row in rows if _ADDRESS in row.instance_id]


def outgoing(rows: Sequence[InboxRow]) -> Values:
    """Messages for other hubs: no instance of this one has an id with a slash, and no topic a name
    with one.
    """
    addresses = [row.instance_id.partition(_ADDRESS) for row in rows]
    return {
        "hubs": [hub for hub, _, _ in addresses],
        "ids": [row.message_id for row in rows],
        "instance_ids": [name for _, _, name in addresses],
        "messages": [checked(row.message) for row in rows],
    }


def published(rows: Sequence[PublishedEvent]) -> Values:
    """Events for topics."""
    return {
        "ids": [row.event_id for row in rows],
        "topics": [row.topic for row in rows],
        "keys": [row.key for row in rows],
        "times": [row.published_at for row in rows],
        "causes": [row.cause for row in rows],
        "types": [type_of(row.event) for row in rows],
        "events": [checked(row.event) for row in rows],
    }


def type_of(event: Raw | str) -> str | None:
    """The type of an event, where it has one that a column can hold."""
    found = _envelope_of(event).type
    return None if found is None else readable(found)


def queued(rows: Sequence[QueuedMessage]) -> Values:
    """Messages for queues."""
    return {
        "ids": [row.message_id for row in rows],
        "queues": [row.queue for row in rows],
        "visible": [row.visible_at for row in rows],
        "times": [row.queued_at for row in rows],
        "causes": [row.cause for row in rows],
        "contents": [row.data for row in rows],
    }


def unread(rows: Sequence[UnreadRow]) -> Values:
    """Events that wait for a reader over generations."""
    return {
        "iids": [row.iid for row in rows],
        "numbers": [row.number for row in rows],
        "events": [None if row.event is None else checked(row.event) for row in rows],
    }


def links(rows: Sequence[LinkRow]) -> Values:
    """Links that people open."""
    return {
        "iids": [row.iid for row in rows],
        "digests": [row.digest for row in rows],
        "are_open": [row.is_open for row in rows],
        "links": [checked(row.link) for row in rows],
    }


def topic_waits(rows: Sequence[TopicWaitRow]) -> Values:
    """What instances wait for of topics."""
    return {
        "iids": [row.iid for row in rows],
        "tasks": [row.task_id for row in rows],
        "partitions": [row.partition for row in rows],
        "topics": [row.topic for row in rows],
        "keys": [row.key for row in rows],
        "afters": [row.after for row in rows],
    }


def dead_letters(rows: Sequence[DeadLetter]) -> Values:
    """Messages that nobody can take."""
    return {
        "message_ids": [row.message_id for row in rows],
        "instance_ids": [row.instance_id for row in rows],
        "reasons": [readable(row.reason) for row in rows],
        "times": [row.created_at for row in rows],
        "messages": [checked(row.message) for row in rows],
    }


def answers(rows: Sequence[Answer]) -> Values:
    """What became of messages from outside; the last of one message counts."""
    last = {row.message_id: row for row in rows}
    return {
        "message_ids": [*last],
        "codes": [row.code for row in last.values()],
        "texts": [json_text(row.text) for row in last.values()],
    }


def failed(rows: Sequence[FailedDelivery]) -> Values:
    """Deliveries that are put aside."""
    return {
        "sources": [row.source for row in rows],
        "names": [row.name for row in rows],
        "functions": [row.function for row in rows],
        "message_ids": [row.message_id for row in rows],
        "attempts": [row.attempts for row in rows],
        "times": [row.failed_at for row in rows],
        "errors": [told(row.error) for row in rows],
        "causes": [row.cause for row in rows],
        "keys": [row.key for row in rows],
        "contents": [row.content for row in rows],
        "came": [row.came_at for row in rows],
    }
