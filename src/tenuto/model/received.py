"""What stands in a row of the inbox, whoever has written it: another Tenuto, or a program.

A row that nobody can read must stop neither its instance nor anybody else: it is put aside by
itself, as a dead letter with its bytes (``no_silent_drop``). One of a type that only a newer Tenuto
knows stays where it is: in a rolling upgrade a host of that one takes it in. Pure.
"""

from typing import Final, TypeAlias, get_args

import msgspec
from msgspec import Raw, Struct

from tenuto.model.codec import READ_ERRORS, decode_any_message
from tenuto.model.ids import MessageId
from tenuto.model.messages import AnyMessage, Publish, RaiseEvent, Start, Unreadable
from tenuto.model.room import roomy
from tenuto.model.topics import is_of_wait

KNOWN_TYPES: Final = frozenset(one.__name__ for one in get_args(AnyMessage))
"""What a row says that it is, of the messages that this Tenuto knows."""


class OfNewerTenuto(Struct, frozen=True):
    """A message of a type that this Tenuto does not know."""

    type: str


class NotReadable(Struct, frozen=True):
    """A row that nobody can read, or that is not believed.

    Attributes:
        letter: What is kept of it. Its sender gets an answer, if there is one who waits.
        reason: Why.
    """

    letter: Unreadable
    reason: str


Received: TypeAlias = AnyMessage | OfNewerTenuto | NotReadable

_decode_type: Final = roomy(msgspec.json.Decoder(OfNewerTenuto).decode)


def received(message_id: MessageId | None, text: Raw, *, is_handed_over: bool = False) -> Received:
    """What a row of the inbox holds.

    Args:
        message_id: The row's; None for what has no row of its own.
        text: Its message.
        is_handed_over: It is an outbox's, whose user may hand over and nothing else.

    Raises:
        MemoryError: there is not enough for it now.
    """
    try:
        message = decode_any_message(text)
    except READ_ERRORS as error:
        return _newer(text) or _not_readable(message_id, text, f"cannot be read: {error}")
    if message_id is not None and message.message_id != message_id:
        # It would never be used up: that goes by the name in the message.
        reason = f"calls itself {message.message_id!r}"
        return _not_readable(message_id, text, reason)
    if is_handed_over and not _may_be_handed_over(message):
        reason = "is none that an outbox hands over: starts, events and what is published"
        return _not_readable(message_id, text, reason)
    return message


def _may_be_handed_over(message: AnyMessage) -> bool:
    """Whether an outbox writes such a message; no other is believed of it.

    A start that names a caller would give that one a result, and an event of a wait for a topic an
    event that nobody has published.
    """
    match message:
        case Start():
            return message.event.parent is None and not message.depth
        case RaiseEvent():
            return not is_of_wait(message.event.name)
        case _:
            return isinstance(message, Publish)


def _newer(text: Raw) -> OfNewerTenuto | None:
    try:
        found = _decode_type(text)
    except READ_ERRORS:
        return None
    return None if found.type in KNOWN_TYPES else found


def _not_readable(message_id: MessageId | None, text: Raw, why: str) -> NotReadable:
    letter = Unreadable(message_id=message_id, awaits_answer=True, content=bytes(text))
    return NotReadable(letter, f"message {message_id!r} {why}")
