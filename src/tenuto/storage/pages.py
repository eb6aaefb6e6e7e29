"""Pages of instances, the same on every store: what a token says, and how filters are read.

A page goes on after (time, iid) of the last row, which the opaque token holds, so a page never
shows a row twice and never leaves out one that was there. The time is that of creation or of
completion, whichever the order goes by.
"""

import re
from typing import Final

from tenuto.model.errors import InputError
from tenuto.model.requests import InstanceQuery
from tenuto.model.timing import Microseconds

LEAST: Final = -(2**63)
MOST: Final = 2**63 - 1
MOST_ROWS: Final = 2**31 - 1
BY_COMPLETION: Final = frozenset({"last_completed", "first_completed"})
"""Orders that go by the time of completion."""

_LAST_CHARACTER: Final = chr(0x10FFFF)
_SURROGATES: Final = range(0xD800, 0xE000)
_FALLING: Final = frozenset({"newest", "last_completed"})
_TOKEN: Final = re.compile(r"(\w+)\.(-?[0-9]{1,19})\.(-?[0-9]{1,19})", re.ASCII)


def bounded(time: Microseconds | None, otherwise: Microseconds) -> Microseconds:
    """A time that a store can compare; none is the other one."""
    return otherwise if time is None else min(max(time, LEAST), MOST)


def within(time: Microseconds | None) -> Microseconds | None:
    """The same, where none is none."""
    return None if time is None else bounded(time, 0)


def checked(text: str | None) -> str | None:
    """A filter's text.

    Raises:
        InputError: no store can hold it.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise InputError(f"a filter holds half of a surrogate pair: {text!r}") from None
    return text


def behind(prefix: str) -> str | None:
    """The least text that is greater than every text with the prefix; None when there is no such.

    In the order of code points, which is that of the bytes of UTF-8.
    """
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    if following in _SURROGATES:  # which are no characters
        following = _SURROGATES.stop
    return stem[:-1] + chr(following)


def token(order: str, time: Microseconds, iid: int) -> str:
    """What continues a page that ends with this row."""
    return f"{order}.{time}.{iid}"


def place(wanted: InstanceQuery) -> tuple[Microseconds, int]:
    """The row after which a page begins.

    Raises:
        InputError: the token is none of this order.
    """
    if wanted.after is None:
        return (MOST, MOST) if wanted.order in _FALLING else (LEAST, LEAST)
    match = _TOKEN.fullmatch(wanted.after)
    if match is None or match[1] != wanted.order:
        raise InputError(
            f"the page token {wanted.after!r} does not belong to this listing ({wanted.order}"
            "); use the token of the page before, with the same filters"
        )
    return bounded(int(match[2]), 0), bounded(int(match[3]), 0)


def check_limit(wanted: InstanceQuery) -> None:
    """Refuse a page of nothing.

    Raises:
        InputError: its limit is below 1.
    """
    if wanted.limit < 1:
        raise InputError(f"a page of instances needs a limit of at least 1, got {wanted.limit}")
