"""How a start becomes a request, whoever asks: programs, servers, the command line."""

import sys
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

from tenuto.client.causes import current_trace
from tenuto.engine.program import Orchestrator
from tenuto.model.facts import InstanceFacts
from tenuto.model.ids import (
    ExecutionId,
    address_of,
    check_instance_id,
    new_execution_id,
    new_instance_id,
)
from tenuto.model.limits import Limits, check_payload
from tenuto.model.requests import IdReuse, StartRequest
from tenuto.model.status import FINISHED, InstanceRecord, RuntimeStatus
from tenuto.model.texts import check_together, checked_name, checked_text_or_none
from tenuto.model.timing import Microseconds
from tenuto.model.trace import TraceContext
from tenuto.orchestration.references import checked_tags


class StartOptions(Struct, frozen=True, kw_only=True):
    """What a start asks for beside orchestrator and input; None: what the orchestrator says.

    Attributes:
        instance_id: An id of the caller's choice; a fresh one by default.
        execution_id: The same start sent again with the same one is the same start.
        version: Marks the instance.
        tags: Labels.
        trace: The trace that it belongs to; None for that of the event that has started the
            function which asks.
        scheduled_at: Do not begin before this moment, in microseconds since 1970 UTC.
        reuse: The statuses of an instance that may be replaced when the id exists.
    """

    instance_id: str | None = None
    execution_id: ExecutionId | None = None
    version: str | None = None
    tags: Mapping[str, str] | None = None
    trace: TraceContext | None = None
    scheduled_at: Microseconds | None = None
    reuse: frozenset[RuntimeStatus] = FINISHED


NOTHING_SPECIAL: Final = StartOptions()

HOSTS_OWN_LIMITS: Final = Limits(payload_bytes=sys.maxsize)
"""Where the limits of a host are not known: it refuses what is too long for it."""


def start_request(
    orchestrator: Orchestrator | str,
    text: str | None,
    now: Microseconds,
    limits: Limits,
    options: StartOptions = NOTHING_SPECIAL,
) -> StartRequest:
    """The request to start an instance.

    Args:
        orchestrator: What is to run; a name where the functions are not known.
        text: The input, as JSON text.
        now: The present, in microseconds since 1970 UTC: ids that are made up begin with it.
        limits: Of these, ``payload_bytes`` holds for the input.
        options: What else is asked for.

    Raises:
        LimitError: the input is too long, or name, version and tags together are.
        InvalidInstanceIdError: the id cannot be one.
        InputError: name, version or tags cannot be stored.

    Example:
        ``await gateway.start(start_request(program.get_orchestrator(name), text, now, limits))``
    """
    instance_id = options.instance_id
    version = checked_text_or_none(options.version, "version")
    tags = checked_tags(options.tags)
    if isinstance(orchestrator, str):
        name = checked_name(orchestrator, "an orchestrator")
    else:
        name = orchestrator.name
        if instance_id is None:
            instance_id = orchestrator.instance_id
        if version is None:
            version = orchestrator.version
        if tags is None:
            tags = None if orchestrator.tags is None else dict(orchestrator.tags)
    if version or tags:
        labels = [part for item in (tags or {}).items() for part in item]
        check_together([name, version or "", *labels], "name, version and tags together")
    if text is not None:
        check_payload(text, limits.payload_bytes, f"the input of {name!r}")
    checked = new_instance_id(now) if instance_id is None else check_instance_id(instance_id)
    facts = InstanceFacts(
        instance_id=checked,
        execution_id=options.execution_id or new_execution_id(now),
        name=name,
        root_id=checked,
        version=version,
        tags=tags,
        trace=options.trace or current_trace.get(),
        scheduled_at=options.scheduled_at,
        input=text,
    )
    return StartRequest(facts=facts, reuse=options.reuse, is_fresh=instance_id is None)


def started_on(request: StartRequest, hub: str) -> StartRequest:
    """The same start, on a linked hub.

    Args:
        request: What is to be started, under an id there.
        hub: The name of the link.
    """
    address = address_of(hub, request.instance_id)
    facts = structs.replace(request.facts, instance_id=address, root_id=address)
    return structs.replace(request, facts=facts, is_fresh=False)


def restart_request(
    record: InstanceRecord, now: Microseconds, *, new_instance_id: bool
) -> StartRequest:
    """The request to run an instance again with the same name, input, version and tags.

    Args:
        record: The instance to repeat.
        now: The present, in microseconds since 1970 UTC.
        new_instance_id: Under a fresh id, or under its own, once it has ended. One that is held
            is ended for it.
    """
    options = StartOptions(
        instance_id=None if new_instance_id else record.instance_id,
        version=record.version,
        tags=record.tags,
        reuse=(IdReuse.WHEN_FINISHED if record.hold is None else IdReuse.ALWAYS).statuses,
    )
    # By name: version and tags are those of the instance. What it has was short enough.
    return start_request(record.name, record.input, now, HOSTS_OWN_LIMITS, options)
