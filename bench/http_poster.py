"""Posts 5 MB of empty lists without a key, over and over.

Usage: ``python -m bench.http_poster PORT PATH``.
"""

import socket
import sys
from contextlib import suppress
from typing import Final

_BODY: Final = b"[" + b"[]," * 1_700_000 + b"[]]"


def main() -> None:
    _, port, path = sys.argv
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(_BODY)}\r\n\r\n"
    )
    request = head.encode() + _BODY
    while True:
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", int(port))) as peer:
            while True:
                peer.sendall(request)
                if not peer.recv(65_536):
                    break


if __name__ == "__main__":
    main()
