"""Long texts where the memory of a process is limited (``ulimit -v``).

msgspec (0.22) does not look whether there was memory for the copy of an ASCII text, nor for the
bytes that its encoder writes: it ends the process there, instead of raising ``MemoryError``, and
nobody could be held for it. So decoders ask for the memory first, and encoders write into a
``bytearray``, which they do look at.
"""

import sys
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

Value = TypeVar("Value")

LONG: Final = 65_536
"""Bytes or characters; what is shorter does not ask the system for memory of its own."""

_TIMES: Final = 2

if sys.platform == "win32":  # pragma: no cover - measured on POSIX

    def _is_limited() -> bool:
        return False

else:
    import resource

    _LIMITS: Final = (resource.RLIMIT_AS, resource.RLIMIT_DATA)

    def _is_limited() -> bool:
        return any(resource.getrlimit(one)[0] != resource.RLIM_INFINITY for one in _LIMITS)


_encode_into: Final = msgspec.json.Encoder().encode_into


def encoded(value: object) -> bytearray:
    """A value as JSON, in the bytes that were written: a copy of long ones would cost as much.

    Raises:
        MemoryError: there is not enough.
    """
    written = bytearray()
    _encode_into(value, written)
    return written


def make_room(length: int) -> None:
    """See that so much text (more than ``LONG``) can be decoded, where memory is limited.

    Raises:
        MemoryError: there is not enough.
    """
    if _is_limited():
        bytes(_TIMES * length)  # zeroed pages of the system: not touched


def roomy(decode: Callable[[str | bytes], Value]) -> Callable[[str | bytes], Value]:
    """The same decoder, which raises ``MemoryError`` where there is no memory for a long text."""

    def read(text: str | bytes) -> Value:
        if len(text) > LONG:
            make_room(len(text))
        return decode(text)

    return read
