"""What is sent to another hub as text, and back, with names as the receiver knows them. Pure.

A message is sent as its sender has it. The receiver puts its own name of the sender before the ids
of those who wait for an answer: so a result finds its way back by the address alone.
"""

import re
from typing import Final

import msgspec
from msgspec import Raw, Struct, structs

from tenuto.engine.outside import OVER_LINKS
from tenuto.engine.rows import InboxRow
from tenuto.model.carried_events import arrived
from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import InputError, LinkRefusedError, TenutoError
from tenuto.model.ids import (
    InstanceId,
    MessageId,
    address_of,
    check_instance_id,
    derived_from,
    partition_of,
)
from tenuto.model.limits import Limits, check_payload
from tenuto.model.linking import MESSAGE, PUBLISH, Envelope, Frame, Outgoing
from tenuto.model.messages import ChildResult, Message, Publish, RaiseEvent, Start, Terminate
from tenuto.model.texts import check_together, checked_name
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, checked_event_name


class _Tagged(Struct, frozen=True):
    type: str


_decode_type = msgspec.json.Decoder(_Tagged).decode
_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_publish = msgspec.json.Decoder(Publish).decode
_PUBLISH_TYPE: Final = Publish.__name__
_LIFE_SHOWN: Final = 8
_EXECUTION_ID: Final = re.compile("[0-9A-Za-z:_-]{1,100}")


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
        envelope = _decode_envelope(arrival.text)
        if envelope.kind == PUBLISH:
            event = _decode_publish(envelope.message)
            return arrived(envelope.to, event, hub, arrival.now, limits.payload_bytes)
        if envelope.kind != MESSAGE:
            raise LinkRefusedError(
                f"message {sequence} is of kind {envelope.kind!r}, which this hub does not know; "
                "bring it up to date"
            )
        to = check_instance_id(envelope.to)
        message = _addressed(hub, to, decode_message(envelope.message), limits)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LinkRefusedError(f"message {sequence} cannot be read: {error}") from None
    except TenutoError as error:
        if isinstance(error, LinkRefusedError):
            raise
        raise LinkRefusedError(f"message {sequence}: {error.code} {error}") from None
    key = MessageId(f"{hub}/{life[:_LIFE_SHOWN]}.{sequence}")
    named = structs.replace(message, message_id=key, awaits_answer=False)
    return InboxRow(key, 0, to, Raw(encode(named)))


def placed(row: InboxRow, partitions: int) -> InboxRow:
    """The same in its partition."""
    return structs.replace(row, partition=partition_of(row.instance_id, partitions))


def _addressed(hub: str, to: InstanceId, message: Message, limits: Limits) -> Message:
    if not isinstance(message, OVER_LINKS):
        raise InputError(f"a {type(message).__name__} is not taken from another hub")
    if isinstance(message, Start):
        return _start(hub, to, message, limits)
    if isinstance(message, RaiseEvent):
        checked_event_name(message.event.name)
        check_payload(message.event.input, limits.payload_bytes, f"event {message.event.name!r}")
    if isinstance(message, Terminate) and message.child_of is None:
        raise InputError("only who has called an instance ends it from another hub")
    assert isinstance(message, RaiseEvent | ChildResult | Terminate)
    return message


def _start(hub: str, to: InstanceId, message: Start, limits: Limits) -> Start:
    event = message.event
    checked_name(event.name, "an orchestrator")
    labels = [part for item in (event.tags or {}).items() for part in item]
    check_together([event.name, event.version or "", *labels], "name, version and tags together")
    if not _EXECUTION_ID.fullmatch(event.execution_id):
        raise InputError(f"{event.execution_id[:80]!r} is no id of an execution")
    check_payload(event.input, limits.payload_bytes, f"the input of {event.name!r}")
    if message.depth > limits.nesting_depth:
        raise InputError(f"it is nested {message.depth} deep, which is too deep for this hub")
    parent = event.parent
    if parent is None:
        if derived_from(to) is not None:
            raise InputError(f"the id {to!r} is of the form of sub-orchestrations")
        # With a root of its own, a start that is refused becomes a dead letter here.
        return structs.replace(message, root_id=to, depth=0)
    caller = address_of(hub, check_instance_id(parent.instance_id))
    event = structs.replace(event, parent=structs.replace(parent, instance_id=caller))
    return structs.replace(message, event=event, root_id=caller)
