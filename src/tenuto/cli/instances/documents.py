"""What ``--json`` prints: the words of Durable Functions, payloads to the letter. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, structs

from tenuto.client.status import hold_of
from tenuto.insight.steps import Run, Step, StepKind
from tenuto.insight.wording import iso
from tenuto.model.explanation import Explanation
from tenuto.model.payload.opaque import as_json
from tenuto.model.status import InstanceRecord

Document = dict[str, Any]

_events: Final = msgspec.json.Decoder(list[Raw]).decode


def instance_document(record: InstanceRecord, *, payloads: bool = True) -> Document:
    """An instance; without ``payloads`` neither input nor output."""
    document: Document = {
        "instanceId": record.instance_id,
        "name": record.name,
        "runtimeStatus": record.status.label,
        "createdTime": iso(record.created_at),
        "lastUpdatedTime": iso(record.updated_at or record.created_at),
        "completedTime": _time(record.completed_at),
        "parentInstanceId": None if record.parent is None else record.parent.instance_id,
        "version": record.version,
        "tags": record.tags or {},
        "customStatus": as_json(record.custom_status),
        "failure": record.failure,
        "hold": hold_of(record),
    }
    if payloads:
        document["input"] = as_json(record.input)
        document["output"] = as_json(record.output)
    return document


def run_document(run: Run, why: Explanation | None = None) -> Document:
    """An instance with its steps, and why it does not go on, with the facts as hosts tell them."""
    document = {**instance_document(run.record), "steps": [_step(step) for step in run.steps]}
    if why is not None:
        said = structs.replace(why, commands=())  # they stand in the advice, as they always have
        document["explanation"] = {"advice": "", "isStuck": False, **msgspec.to_builtins(said)}
    return document


def history_document(turns: Sequence[bytes]) -> list[Raw]:
    """The events of a history as they are stored, one list for all turns."""
    return [event for turn in turns for event in _events(turn)]


def event_document(turn: bytes, index: int) -> Raw:
    """One event of a turn as it is stored."""
    return _events(turn)[index]


def _step(step: Step) -> Document:
    document: Document = {
        "id": step.number,
        "kind": step.kind,
        "name": step.name,
        "state": step.state,
        "purpose": step.purpose if step.kind is StepKind.TIMER else None,
        "beganTime": iso(step.begun_at),
        "endedTime": _time(step.ended_at),
        "dueTime": _time(step.due_at),
        "attempt": step.attempt,
        "instanceId": step.instance_id,
        "failure": step.failure,
    }
    if step.run is not None:
        document["run"] = run_document(step.run)
    return document


def encoded(document: object) -> str:
    """A document as text that people can read too."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _time(microseconds: int | None) -> str | None:
    return None if microseconds is None else iso(microseconds)
