"""The stable JSON forms of histories and messages."""

from typing import Final

import msgspec

from tenuto.model.events import EventRaised, HistoryEvent
from tenuto.model.messages import Message

encode: Final = msgspec.json.Encoder().encode
"""Encode events, messages or lists of them to JSON bytes."""

decode_turn: Final = msgspec.json.Decoder(list[HistoryEvent]).decode
"""Decode one turn of a history: a JSON array of events."""

decode_event: Final = msgspec.json.Decoder(EventRaised).decode
"""Decode one event that waits for a reader."""

decode_message: Final = msgspec.json.Decoder(Message).decode
"""Decode one stored message."""
