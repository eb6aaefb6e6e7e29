"""Heads of answers: what may stand in a header that user code has set.

The server cuts the connection for anything else, in the middle of the answer and without a word. So
it is found before, and the caller is told that something went wrong.
"""

import re
from collections.abc import Iterable
from typing import Final

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""Control characters; only a tab may stand in a value."""


def check_headers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """See that headers can be sent.

    Raises:
        ValueError: naming one that cannot.
    """
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name.decode('latin-1')!r} is no name of a header")
        if _NO_VALUE.search(value):
            raise ValueError(
                f"the header {name.decode('latin-1')!r} has a line break or another control "
                "character in its value"
            )
