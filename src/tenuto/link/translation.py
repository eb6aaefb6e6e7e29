"""What is sent to another hub as text, and back, with names as the receiver knows them. Pure.

A message is sent as its sender has it. The receiver puts its own name of the sender before the ids
of those who wait for an answer: so a result finds its way back by the address alone. It takes over
no message as it came: it makes a new one of what may cross a link, checked as what a caller says.
"""

import re
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Raw, Struct, structs

from tenuto.engine.outside import check_reuse
from tenuto.engine.rows import InboxRow
from tenuto.model.carried_events import arrived
from tenuto.model.causes import CAUSE_TAG, beyond
from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import InputError, LimitError, LinkRefusedError, TenutoError
from tenuto.model.events import (
    EventRaised,
    ExecutionStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import (
    ExecutionId,
    InstanceId,
    MessageId,
    address_of,
    check_instance_id,
    derived_from,
    partition_of,
)
from tenuto.model.limits import Limits, check_payload
from tenuto.model.linking import MESSAGE, PUBLISH, Envelope, Frame, Outgoing, mark_of
from tenuto.model.messages import ChildResult, Message, Publish, RaiseEvent, Start, Terminate
from tenuto.model.payload.soundness import check_json, check_json_depth
from tenuto.model.status import ParentInstance
from tenuto.model.texts import check_together, checked_name, checked_text_or_none
from tenuto.model.timing import LATEST, Microseconds
from tenuto.model.topics import PublishedEvent, checked_event_name
from tenuto.model.trace import checked_trace


class _Tagged(Struct, frozen=True):
    type: str


_decode_type = msgspec.json.Decoder(_Tagged).decode
_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_publish = msgspec.json.Decoder(Publish).decode
_PUBLISH_TYPE: Final = Publish.__name__
_LIFE_SHOWN: Final = 8
_EXECUTION_ID: Final = re.compile("[0-9A-Za-z:_-]{1,100}")
_TIME_OF_ID: Final = re.compile("[0-9a-f]{12}")
_ID_DIGITS: Final = 32
_MOST_LEVELS: Final = 400
"""Of a message that holds a failure with all its causes; readers here manage more."""
_MOST_NUMBER: Final = 2**53
_OVERHEAD: Final = 4 * 1024 * 1024
"""What an envelope may hold beside its payload: names, attributes, the causes of a failure."""


def most_envelope(limits: Limits) -> int:
    """How long an envelope may be, in bytes of UTF-8: each sign of a payload may be escaped.

    Args:
        limits: Of the hub that takes it in.
    """
    return 2 * limits.payload_bytes + _OVERHEAD


def envelope_of(one: Outgoing) -> str:
    """A message as the text that is sent."""
    kind = PUBLISH if _decode_type(one.message).type == _PUBLISH_TYPE else MESSAGE
    return encode(Envelope(kind=kind, to=one.instance_id, message=one.message)).decode()


def frames_of(messages: list[Outgoing], held: tuple[int, int], most_bytes: int) -> list[Frame]:
    """Messages as what fits into one request; of one that does not, the next piece.

    Args:
        messages: In their order.
        held: The number of the message of which the receiver has a part, and how much.
        most_bytes: How much fits, near enough.
    """
    frames: list[Frame] = []
    size = 0
    for one in messages:
        text = envelope_of(one)
        at = held[1] if held[0] == one.sequence and held[1] < len(text) else 0
        left = text[at:]
        size += len(left)
        if frames and size > most_bytes:
            break
        piece = left[:most_bytes]
        frames.append(Frame(sequence=one.sequence, text=piece, at=at, of=len(text)))
        if len(piece) < len(left):
            break
    return frames


class Arrival(Struct, frozen=True):
    """What comes from a linked hub, and is to be known.

    Attributes:
        hub: How that is called here.
        life: Of its store.
        sequence: The number of the message.
        text: The message.
        now: When it has come.
    """

    hub: str
    life: str
    sequence: int
    text: str
    now: Microseconds


def taken(arrival: Arrival, limits: Limits) -> InboxRow | PublishedEvent:
    """What came from another hub, as a message of this one, but for its partition; or as an event.

    Raises:
        LinkRefusedError: it is nothing that this hub takes.
    """
    hub, life, sequence = arrival.hub, arrival.life, arrival.sequence
    try:
        check_json_depth(arrival.text.encode(), _MOST_LEVELS)
        envelope = _decode_envelope(arrival.text)
        if envelope.kind == PUBLISH:
            event = _decode_publish(envelope.message)
            return arrived(envelope.to, event, hub, arrival.now, limits.payload_bytes)
        if envelope.kind != MESSAGE:
            raise LinkRefusedError(
                f"message {sequence} is of kind {envelope.kind[:80]!r}, which this hub does not "
                "know; bring it up to date"
            )
        to = check_instance_id(envelope.to)
        message = _addressed(hub, to, decode_message(envelope.message), limits)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise LinkRefusedError(f"message {sequence} cannot be read: {error}") from None
    except TenutoError as error:
        if isinstance(error, LinkRefusedError):
            raise
        raise LinkRefusedError(f"message {sequence}: {error.code} {error}") from None
    key = MessageId(f"{hub}/{life[:_LIFE_SHOWN]}.{sequence}")
    return InboxRow(key, 0, to, Raw(encode(structs.replace(message, message_id=key))))


def marked(text: str) -> str:
    """The mark of a message that was taken, by the text that was sent."""
    envelope = _decode_envelope(text)
    return mark_of(envelope.to, envelope.message)


def placed(row: InboxRow, partitions: int) -> InboxRow:
    """The same in its partition."""
    return structs.replace(row, partition=partition_of(row.instance_id, partitions))


def _addressed(hub: str, to: InstanceId, message: Message, limits: Limits) -> Message:
    """A new message, of those parts that may come from another hub; each is checked."""
    match message:
        case Start():
            return _start(hub, to, message, limits)
        case RaiseEvent(event=event):
            return RaiseEvent(event=_raised(event, limits))
        case ChildResult():
            return _result(hub, message, limits)
        case Terminate():
            return _end(hub, message)
        case _:
            raise InputError(f"a {type(message).__name__} is not taken from another hub")


def _raised(event: EventRaised, limits: Limits) -> EventRaised:
    name = checked_event_name(event.name)
    _check_payload(event.input, limits, f"event {name!r}")
    return EventRaised(name, event.input)


def _end(hub: str, message: Terminate) -> Terminate:
    if message.child_of is None:
        raise InputError("only who has called an instance ends it from another hub")
    reason = message.reason
    if reason is not None:
        check_together([reason], "the reason")
        _check_json(reason, "the reason")
    return Terminate(
        reason=reason,
        recurse=message.recurse,
        child_of=_execution_id(message.child_of),
        task_id=_number(message.task_id, "the number of a call"),
        hub=hub,
    )


def _result(hub: str, message: ChildResult, limits: Limits) -> ChildResult:
    """What a child there has come to. Who waits for it gets an answer even if it cannot be used."""
    event = message.event
    task_id = _number(event.task_scheduled_id, "the number of a call")
    try:
        _check_outcome(event, limits)
    except (InputError, LimitError) as error:
        failure = FailureDetails("RuntimeError", f"{LinkRefusedError.code} {error.code} {error}")
        event = SubOrchestrationInstanceFailed(task_id, failure)
    return ChildResult(execution_id=_execution_id(message.execution_id), event=event, hub=hub)


def _check_outcome(
    event: SubOrchestrationInstanceCompleted | SubOrchestrationInstanceFailed, limits: Limits
) -> None:
    if isinstance(event, SubOrchestrationInstanceCompleted):
        _check_payload(event.result, limits, "its result")
        return
    size = len(encode(event.failure_details))
    if size > _OVERHEAD:
        raise LimitError(f"its failure has {size:,} bytes; at most {_OVERHEAD:,} are allowed")


def _start(hub: str, to: InstanceId, message: Start, limits: Limits) -> Start:
    if derived_from(to) is not None:
        raise InputError(f"the id {to!r} is of the form of sub-orchestrations")
    check_reuse(message.reuse)
    if not 0 <= message.depth <= limits.nesting_depth:
        raise InputError(f"it is nested {message.depth} deep, which is too deep for this hub")
    event = _started(hub, message.event, limits)
    # With a root of its own, a start that is refused becomes a dead letter here.
    parent = event.parent
    depth = 0 if parent is None else message.depth
    root_id = to if parent is None else parent.instance_id
    return Start(event=event, root_id=root_id, depth=depth, reuse=message.reuse)


def _started(hub: str, event: ExecutionStarted, limits: Limits) -> ExecutionStarted:
    name = checked_name(event.name, "an orchestrator")
    version = checked_text_or_none(event.version, "version")
    labels = [part for item in (event.tags or {}).items() for part in item]
    check_together([name, version or "", *labels], "name, version and tags together")
    _check_payload(event.input, limits, f"the input of {name!r}")
    scheduled = event.scheduled_start
    if scheduled is not None and not 0 <= scheduled <= LATEST:
        raise InputError("scheduledStart must be microseconds since 1970 UTC, before year 10000")
    return ExecutionStarted(
        name,
        _own_execution_id(hub, event.execution_id),
        event.input,
        version,
        _caller(hub, event.parent),
        _tags(hub, event.tags),
        scheduled,
        trace=checked_trace(event.trace),
    )


def _tags(hub: str, tags: dict[str, str] | None) -> dict[str, str] | None:
    """What has led to the start is called here as its hub is called here."""
    if tags is None or CAUSE_TAG not in tags:
        return tags
    return tags | {CAUSE_TAG: beyond(tags[CAUSE_TAG], hub)}


def _caller(hub: str, parent: ParentInstance | None) -> ParentInstance | None:
    """Who waits for the result, as it is called here."""
    if parent is None:
        return None
    return ParentInstance(
        address_of(hub, check_instance_id(parent.instance_id)),
        _execution_id(parent.execution_id),
        checked_name(parent.name, "an orchestrator"),
        _number(parent.task_scheduled_id, "the number of a call"),
    )


def _own_execution_id(hub: str, given: str) -> ExecutionId:
    """The execution id here of what another hub starts; the same for the same start.

    Not the one that was given: executions here have theirs, and the ids of the children of an
    execution are made of it. It keeps the time with which our ids begin.
    """
    digest = sha256(f"{hub}/{_execution_id(given)}".encode()).hexdigest()
    found = _TIME_OF_ID.match(given)
    return ExecutionId(f"{found[0] if found else ''}{digest}"[:_ID_DIGITS])


def _execution_id(text: str) -> ExecutionId:
    if not _EXECUTION_ID.fullmatch(text):
        raise InputError(f"{text[:80]!r} is no id of an execution")
    return ExecutionId(text)


def _number(number: int, what: str) -> int:
    if not 0 <= number < _MOST_NUMBER:
        raise InputError(f"{what} must be from 0, and less than 2^53")
    return number


def _check_payload(text: str | None, limits: Limits, what: str) -> None:
    check_payload(text, limits.payload_bytes, what)
    if text is not None:
        _check_json(text, what)


def _check_json(text: str, what: str) -> None:
    try:
        check_json(text.encode())
    except InputError as error:
        raise InputError(f"{what} is no JSON that can be stored: {error}") from None
