"""The cookie of a session: how it is read, written, and kept from whoever else answers here. Pure.

It is the page's own: functions of users and mounted apps, which share the page's origin, get their
requests without it.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

NAME: Final = "tenuto-session"

_NAME: Final = NAME.encode()
_MOST_BYTES: Final = 64 * 1024
"""Of one name together: another path, or another port of the same machine, may have set some too,
and even many of them must not hide the right one.
"""

Headers = Iterable[tuple[bytes, bytes]]


def sent_sessions(headers: Headers) -> list[str]:
    """What a request carries under the cookie's name, in its order."""
    found = [
        value.strip().decode("latin-1")
        for name, value in headers
        if name == b"cookie" and _NAME in value
        for key, _, value in _pairs(value)
        if key == _NAME
    ]
    ends = accumulate(map(len, found))
    return [text for text, end in zip(found, ends, strict=True) if end <= _MOST_BYTES]


def without_session(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers of a request, as they are for those whom its session is no matter of."""
    return list(_without(headers))


def _without(headers: Headers) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name != b"cookie" or _NAME not in value:
            yield name, value
            continue
        others = [
            key + equals + text for key, equals, text in _pairs(value) if key != _NAME and key
        ]
        if others:
            yield name, b"; ".join(others)


def _pairs(value: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    for pair in value.split(b";"):
        key, equals, text = pair.strip().partition(b"=")
        yield key.strip(), equals, text


def set_cookie(text: str, path: str, seconds: int, *, is_secure: bool) -> str:
    """The header that has a browser keep a session; one of no seconds has it forget.

    Args:
        text: Stands for the session.
        path: Where it is sent to; empty for the whole server.
        seconds: How long it is kept.
        is_secure: Whether it is sent over https alone.
    """
    parts = [f"{NAME}={text}", f"Path={path or '/'}", f"Max-Age={seconds}", "HttpOnly"]
    parts += ["SameSite=Strict", *(["Secure"] if is_secure else [])]
    return "; ".join(parts)
