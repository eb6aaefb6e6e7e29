"""Whether JSON text is valid and not too deep, found out without building what it describes. Pure.

A few bytes describe many objects: 5 MB of empty lists take a second of the loop and hundreds of
megabytes. So a text is only looked through. What passes here, every reader behind can read.
"""

import re
from itertools import islice
from typing import Final

import msgspec
from msgspec import Raw

from tenuto.model.errors import InputError
from tenuto.model.payload.plain import MAX_DEPTH

_PIECE_BYTES: Final = 128 * 1024
"""At a time, so that a thread lets the loop in between."""

_look: Final = msgspec.json.Decoder(Raw).decode
_STRANGE_NUMBER: Final = re.compile(rb"[0-9][eE]\+?[0-9]{3}|(?:\A|[^0-9])[0-9]{300}")
"""May be too large for a float; whether it is one at all, and no text, a real reader tells."""

_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def check_json(text: bytes, levels: int = MAX_DEPTH) -> str:
    """JSON text as it came, or refused.

    Args:
        text: What should be JSON.
        levels: How deep it may be nested.

    Raises:
        InputError: it is not JSON, or nested deeper.
    """
    try:
        _look(text)
        if _STRANGE_NUMBER.search(text):
            msgspec.json.decode(text)
        read = text.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(str(error).removeprefix("JSON is malformed: ")) from None
    except RecursionError:
        raise _too_deep(levels) from None
    check_json_depth(text, levels)
    return read


def check_json_depth(text: bytes, levels: int = MAX_DEPTH) -> None:
    """Refuse valid JSON that is nested deeper.

    Raises:
        InputError: it is.
    """
    if text.count(b"[") + text.count(b"{") > levels and _is_deeper(_brackets(text), levels):
        raise _too_deep(levels)


def _too_deep(levels: int) -> InputError:
    return InputError(f"it is nested more than {levels} levels deep")


def _brackets(text: bytes) -> bytes:
    """The brackets of valid JSON outside its strings, all of them square."""
    found = []
    in_string = False
    start = 0
    while start < len(text):
        end = start + _PIECE_BYTES
        while text[end - 1 : end] == b"\\":  # what is escaped stays with its backslash
            end += 1
        piece = text[start:end].replace(rb"\\", b"").replace(rb"\"", b"")
        parts = piece.split(b'"')
        outside = b"".join(islice(parts, int(in_string), None, 2))
        found.append(outside.translate(_TO_SQUARE, _NO_BRACKETS))
        in_string ^= len(parts) % 2 == 0
        start = end
    return b"".join(found)


def _is_deeper(brackets: bytes, levels: int) -> bool:
    """Whether pairs are left when the innermost ones have been taken away so many times."""
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
