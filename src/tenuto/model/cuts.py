"""Cuts texts so that no half of a secret is left of one.

Answers for those who may only look have tokens and keys hidden (``http.masking``), which takes the
whole of one: its first half would stand there, and most of it is enough to guess the rest. So a
text that may hold one is never cut within a word. Pure; knows no secrets.
"""

import string
from typing import Final

_PLAIN: Final = string.ascii_letters + string.digits + "_-"
"""What a token is made of."""

_QUOTED: Final = f"{_PLAIN}%\\"
"""The same, however it is quoted."""

_LONGEST: Final = 128
"""A longer word holds no token (``http.masking``), and is cut where it is."""


def cut(text: str, most: int, mark: str = "...") -> str:
    """A text, cut after a word when it is long.

    Args:
        text: Any text.
        most: So many characters of it at most.
        mark: Says that there was more.

    Example:
        >>> cut("pay at /callbacks/one/jK3x9Q", 25)
        'pay at /callbacks/one/...'
    """
    return text if len(text) <= most else f"{beginning(text, most)}{mark}"


def beginning(text: str, most: int) -> str:
    """The beginning of a longer text, up to the end of a word."""
    kept = text[:most]
    return kept if _is_apart(text, most) else kept.rstrip(_QUOTED)


def end(text: str, most: int) -> str:
    """The end of a longer text, from the beginning of a word."""
    kept = text[-most:]
    return kept if _is_apart(text, len(text) - most) else kept.lstrip(_QUOTED)


def _is_apart(text: str, place: int) -> bool:
    """Whether a text can be cut there: no word goes on, or one that is too long for a secret."""
    before, after = text[max(place - _LONGEST, 0) : place], text[place : place + _LONGEST]
    if not before or not after or before[-1] not in _QUOTED or after[0] not in _QUOTED:
        return True
    word = len(before) - len(before.rstrip(_PLAIN)) + len(after) - len(after.lstrip(_PLAIN))
    return word > _LONGEST
