"""JSON bodies at the door: valid and not too deep, found out without building what they describe.

A few bytes describe many objects: 5 MB of empty lists take a second of the loop and hundreds of
megabytes. So a body is only looked through, and a long one in a thread. What passes here, every
reader behind can read.
"""

import asyncio
import re
from collections.abc import Callable
from itertools import islice
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from tenuto.http.errors import HttpError
from tenuto.model.payload.plain import MAX_DEPTH

T = TypeVar("T")

_THREAD_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 128 * 1024
"""At a time, so that a thread lets the loop in between."""

_look: Final = msgspec.json.Decoder(Raw).decode
_STRANGE_NUMBER: Final = re.compile(rb"[0-9][eE]\+?[0-9]{3}|(?:\A|[^0-9])[0-9]{300}")
"""May be too large for a float; whether it is one at all, and no text, a real reader tells."""

_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


async def json_text(body: bytes, *, levels: int = MAX_DEPTH) -> str:
    """A body as JSON text, to the letter.

    Args:
        body: As it came.
        levels: How deep it may be nested.

    Raises:
        HttpError: it is not JSON, or nested deeper.
    """
    return await beside(len(body), lambda: _checked(body, levels))


async def beside(size: int, work: Callable[[], T]) -> T:
    """What is made of a body: of a long one in a thread, so that the loop serves others meanwhile.

    Args:
        size: Of the body, in bytes or characters.
        work: Makes it; touches nothing that is the loop's.
    """
    return work() if size <= _THREAD_BYTES else await asyncio.to_thread(work)


def check_depth(body: bytes, levels: int = MAX_DEPTH) -> None:
    """Refuse valid JSON that is nested deeper.

    Raises:
        HttpError: it is.
    """
    if body.count(b"[") + body.count(b"{") > levels and _is_deeper(_brackets(body), levels):
        raise HttpError(f"Invalid JSON content: it is nested more than {levels} levels deep")


def _checked(body: bytes, levels: int) -> str:
    try:
        _look(body)
        if _STRANGE_NUMBER.search(body):
            msgspec.json.decode(body)
        text = body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise HttpError(f"Invalid JSON content: {reason}") from None
    except RecursionError:
        reason = f"it is nested more than {levels} levels deep"
        raise HttpError(f"Invalid JSON content: {reason}") from None
    check_depth(body, levels)
    return text


def _brackets(body: bytes) -> bytes:
    """The brackets of valid JSON outside its strings, all of them square."""
    found = []
    in_string = False
    start = 0
    while start < len(body):
        end = start + _PIECE_BYTES
        while body[end - 1 : end] == b"\\":  # what is escaped stays with its backslash
            end += 1
        piece = body[start:end].replace(rb"\\", b"").replace(rb"\"", b"")
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
