"""Stored payloads as they are shown: opaque text that need not be JSON (ENGINE rule 34).

Foreign programs store tokens, empty strings, what they like. A status must be readable all the
same: what is no JSON is shown as the text that it is, as Durable Functions does. Never raises.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw

from tenuto.model.errors import PayloadError
from tenuto.model.payload.decoding import decoder

_NULL: Final = Raw(b"null")
_check: Final = msgspec.json.Decoder(Raw).decode
_unreadable: Final = (PayloadError, ValueError, RecursionError)


def shown(text: str | None) -> Any:
    """A stored payload as plain data; text that is no JSON as itself."""
    if text is None:
        return None
    try:
        return decoder(Any)(text)
    except _unreadable:
        return text


def reason_of(output: str | None) -> str | None:
    """Why an instance was terminated, in JSON as it is stored; None when nobody has said why."""
    reason = shown(output)
    is_empty = reason is None or (isinstance(reason, str) and not reason.strip())
    return None if output is None or is_empty else output.strip()


def json_text(text: str | None) -> str:
    """A stored payload as valid JSON text, to the letter if it is that already."""
    if text is None:
        return "null"
    try:
        _check(text)
    except _unreadable:
        readable = text.encode(errors="backslashreplace").decode()
        return msgspec.json.encode(readable).decode()
    return text


def as_json(text: str | None) -> Raw:
    """The same, as a part of a document."""
    return _NULL if text is None else Raw(json_text(text).encode())
