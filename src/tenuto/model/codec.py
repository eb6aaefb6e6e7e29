"""The stable JSON forms of histories and messages."""

from typing import Final

import msgspec

from tenuto.model.events import EventRaised, HistoryEvent
from tenuto.model.messages import AnyLetter, AnyMessage, Message, Unreadable
from tenuto.model.room import encoded, roomy

encode_turn: Final = encoded
"""Encode the events of one turn."""

decode_turn: Final = roomy(msgspec.json.Decoder(list[HistoryEvent]).decode)
"""Decode one turn of a history: a JSON array of events."""

decode_event: Final = roomy(msgspec.json.Decoder(EventRaised).decode)
"""Decode one event that waits for a reader."""

decode_message: Final = roomy(msgspec.json.Decoder(Message).decode)
"""Decode one stored message to an instance."""

READ_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder says of a text that is not what it expects."""

decode_any_message: Final = roomy(msgspec.json.Decoder(AnyMessage).decode)
"""Decode what waits for a linked hub, or for a topic here."""

_decode_letter: Final = roomy(msgspec.json.Decoder(AnyLetter).decode)


def decode_letter(text: msgspec.Raw) -> AnyLetter:
    """A dead letter; one that only a newer Tenuto can read is shown as it stands."""
    try:
        return _decode_letter(text)
    except READ_ERRORS:
        return Unreadable(content=bytes(text))


def encode(value: object) -> bytes:
    """Encode a message, or an event, to JSON bytes."""
    return bytes(encoded(value))
