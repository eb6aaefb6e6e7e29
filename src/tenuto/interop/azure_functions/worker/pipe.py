"""The worker's end of the pipe: frames of two lengths, a JSON text and an attachment.

Any thread may send; one reads.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

Message = dict[str, Any]

_HEAD = struct.Struct(">II")
_PIECE_BYTES = 262_144


class Pipe:
    """Frames to and from the host.

    Args:
        descriptor: Of the socket that the host has opened for us.
    """

    def __init__(self, descriptor: int) -> None:
        # What the app starts does not inherit it: else the pipe would stay open after our end.
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._lock = threading.Lock()
        # Nor does what it forks, which would write between our frames.
        os.register_at_fork(after_in_child=self._socket.close)

    def send(self, message: Message, attachment: bytes = b"") -> None:
        """Send a message. Members that are None are left out.

        Half of a surrogate pair, which no UTF-8 has room for, becomes a question mark.

        Raises:
            TypeError: something in it cannot be written as JSON; nothing was sent.
            ValueError: likewise, as numbers that are none.
            RecursionError: it is nested too deep.
        """
        known = {name: value for name, value in message.items() if value is not None}
        text = json.dumps(known, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )
        # A host that is gone hears nothing; the thread that reads ends us.
        with self._lock, suppress(ConnectionError):
            self._socket.sendall(_HEAD.pack(len(text), len(attachment)) + text + attachment)

    def messages(self) -> Iterator[tuple[Message, bytes]]:
        """What the host says, until it closes the pipe."""
        buffer = bytearray()
        while True:
            try:
                piece = self._socket.recv(_PIECE_BYTES)
            except ConnectionError:
                return
            if not piece:
                return
            buffer += piece
            start = 0
            while len(buffer) - start >= _HEAD.size:
                text, attachment = _HEAD.unpack_from(buffer, start)
                middle = start + _HEAD.size + text
                if len(buffer) < middle + attachment:
                    break
                yield (
                    json.loads(buffer[start + _HEAD.size : middle]),
                    bytes(buffer[middle : middle + attachment]),
                )
                start = middle + attachment
            del buffer[:start]
