"""Messages that are nested deeper than this host reads: whose they are is found all the same.

How deep JSON is nested is for user code to say, and the reader of the host has a bound. A message
that is beyond it must not cost the worker its link, and others their turns with it: the one call or
turn that it answers has failed.
"""

import re
from typing import Final

TOO_DEEP: Final = (
    "a value is nested deeper than this host can read (about 1,000 levels); pass it as a text, or "
    "keep it elsewhere and pass where it is"
)
"""What the function is told that has made such a value."""

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_NUMBER: Final = re.compile(rb"\s*:\s*(\d{1,18})\s*[,}]")


def id_of(text: bytes) -> int | None:
    """The ``id`` of a message, found without reading what is nested in it; None without one."""
    depth = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in {b"{", b"["}:
            depth += 1
        elif token in {b"}", b"]"}:
            depth -= 1
        elif depth == 1 and token == b'"id"' and (number := _NUMBER.match(text, found.end())):
            return int(number[1])
    return None
