"""A port for a program that is started later, or twice."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody else is given meanwhile, and that servers may listen on.

    One that was free a moment ago may be somebody else's by the time the program has started. A
    socket that is bound and does not listen keeps it from all who ask for any port, and leaves it
    to who asks for this one with SO_REUSEADDR, as servers do.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
