"""Frames: how messages lie one after the other on the pipe between a host and a worker.

A frame is two lengths, each four bytes with the highest first: that of the text, and that of what
is attached. The text follows, JSON in UTF-8, then the attachment: any bytes, such as the body of a
request. Both sides refuse a frame that is longer than ``MOST_BYTES``, and read no further.
"""

import struct
from collections.abc import Iterator
from typing import Final

from tenuto.model.errors import WorkerProtocolError

MOST_BYTES: Final = 1 << 30
"""Text and attachment of one frame together. What is one is limited long before, by its meaning;
this tells garbage from a length."""

_HEAD: Final = struct.Struct(">II")


def frame(text: bytes, attachment: bytes = b"") -> bytes:
    """A frame."""
    return _HEAD.pack(len(text), len(attachment)) + text + attachment


class FrameReader:
    """Puts together again what came in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that this piece completes, each as text and attachment.

        Raises:
            WorkerProtocolError: what comes is no frame.
        """
        self._buffer += piece
        start = 0
        while len(self._buffer) - start >= _HEAD.size:
            text, attachment = _HEAD.unpack_from(self._buffer, start)
            if text + attachment > MOST_BYTES:
                raise WorkerProtocolError(
                    f"a worker announced a message of {text + attachment} bytes; that is no message"
                )
            begin = start + _HEAD.size
            middle, end = begin + text, begin + text + attachment
            if len(self._buffer) < end:
                break
            with memoryview(self._buffer) as whole:  # one copy of what may be large
                message = bytes(whole[begin:middle]), bytes(whole[middle:end])
            start = end
            yield message
        del self._buffer[:start]
