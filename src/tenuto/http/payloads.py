"""The payloads of Durable Functions: status, links, history. Pure.

Fields and spelling follow the HTTP API of the Durable Functions extension, which its SDKs parse.
"""

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from msgspec import UNSET, Raw, Struct, UnsetType

from tenuto.client.status import HoldStatus, hold_of
from tenuto.model.explanation import Explanation
from tenuto.model.ids import InstanceId
from tenuto.model.payload.opaque import as_json
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import MICROSECONDS

MOUNT: Final = "/runtime/webhooks/durabletask"


class StatusPayload(Struct, frozen=True, kw_only=True, rename="camel"):
    """The status of an instance.

    Its history, where it was asked for, stands twice: SDKs look for ``history``, tools for
    ``historyEvents``. Tenuto's own are ``hold``, why the instance cannot go on now, left out when
    it can, and ``explanation``, why it does not go on, where that was asked for.
    """

    name: str
    instance_id: InstanceId
    runtime_status: str
    input: Raw
    custom_status: Raw
    output: Raw | str
    created_time: str
    last_updated_time: str
    history_events: list[Any] | UnsetType = UNSET
    history: list[Any] | UnsetType = UNSET
    hold: HoldStatus | UnsetType = UNSET
    explanation: Explanation | UnsetType = UNSET


class PurgedPayload(Struct, frozen=True, rename="camel"):
    """The number of deleted instances."""

    instances_deleted: int


def status_payload(
    record: InstanceRecord, *, show_input: bool = True, history: list[Any] | UnsetType = UNSET
) -> StatusPayload:
    """The status of an instance, made of its row."""
    return StatusPayload(
        name=record.name,
        instance_id=record.instance_id,
        runtime_status=record.status.label,
        input=raw(record.input) if show_input else raw(None),
        custom_status=raw(record.custom_status),
        output=output_of(record),
        created_time=seconds_text(record.created_at),
        last_updated_time=seconds_text(record.updated_at or record.created_at),
        history_events=history,
        history=history,
        hold=hold_of(record) or UNSET,
    )


def output_of(record: InstanceRecord) -> Raw | str:
    """The result; of a failed instance, the failure in words, as Durable Functions has it."""
    if record.status is RuntimeStatus.FAILED and record.failure is not None:
        words = f"Orchestrator function '{record.name}' failed: "
        told = record.failure.error_message
        # An app of another language has said it in these words already.
        return told if told.startswith(words) else f"{words}{record.failure.summary}"
    return raw(record.output)


def raw(text: str | None) -> Raw:
    """A payload as it is stored; what is no JSON, as a text."""
    return as_json(text)


def seconds_text(microseconds: int) -> str:
    """A time as Durable Functions shows it: whole seconds, UTC."""
    moment = datetime.fromtimestamp(microseconds // MICROSECONDS, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def management_links(
    base: str, instance_id: InstanceId, query: str, purge_query: str | None = None
) -> dict[str, str]:
    """The links of an instance.

    Args:
        base: Scheme and host of the server.
        instance_id: Whose.
        query: What each link carries, such as ``code=...``; may be empty.
        purge_query: What the link that purges carries; by default the same.
    """
    root = f"{base}{MOUNT}/instances/{quote(instance_id, safe='')}"

    def link(path: str, first: str = "", carried: str = query) -> str:
        parts = "&".join(part for part in (first, carried) if part)
        return f"{root}{path}?{parts}" if parts else f"{root}{path}"

    return {
        "id": instance_id,
        "statusQueryGetUri": link(""),
        "sendEventPostUri": link("/raiseEvent/{eventName}"),
        "terminatePostUri": link("/terminate", "reason={text}"),
        "purgeHistoryDeleteUri": link("", carried=query if purge_query is None else purge_query),
        "restartPostUri": link("/restart"),
        "suspendPostUri": link("/suspend", "reason={text}"),
        "resumePostUri": link("/resume", "reason={text}"),
    }
