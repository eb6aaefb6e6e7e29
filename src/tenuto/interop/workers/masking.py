"""Texts of user code, such as errors, with words in the places of secrets.

A secret is found however a program has written it: as it is, by ``repr`` or as JSON, which escape
line ends, quotes and letters that are not ASCII, once or inside another text once more, or in an
address. Of a secret with several lines each line is one: what reads a key complains of one of them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_LEAST: Final = 8
"""Lines that are shorter are words, and no secrets."""

_MOST_DOUBLED: Final = 16
"""Backslashes in the place of one: of a text in a text, four deep."""

_LATIN_1: Final = frozenset(map(chr, range(256)))
_NAMED: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v"}


def masked(secrets: Mapping[str, str], text: str) -> str:
    r"""A text without secrets.

    Args:
        secrets: By the words that take their place.
        text: The text.

    Example:
        >>> masked({"(the key)": "two\nlines"}, r"it is 'two\nlines'")
        "it is '(the key)'"
    """
    found = [
        (*match.span(), words)
        for words, secret in secrets.items()
        for part in _parts(secret)
        for match in re.finditer(_pattern(part), text)
    ]
    # One secret may begin or hold another: what is covered by several is covered as one, by the
    # words for the longest.
    pieces, end = [], 0
    for start, stop, words in sorted(found, key=lambda one: (one[0], -one[1])):
        if start >= end:
            pieces += [text[end:start], words]
        end = max(end, stop)
    return "".join([*pieces, text[end:]])


def _parts(secret: str) -> Iterator[str]:
    yield secret
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= _LEAST)


def _pattern(secret: str) -> str:
    """Matches all spellings of a secret."""
    runs = re.split(r"(\\+)", secret)
    return "".join(
        _slashes(len(run)) if run.startswith("\\") else "".join(map(_spellings, run))
        for run in runs
    )


def _slashes(count: int) -> str:
    """A run of backslashes, each of them doubled by every text in a text."""
    return rf"(?:\\|%5[cC]){{{count},{count * _MOST_DOUBLED}}}"


def _spellings(letter: str) -> str:
    if letter.isascii() and letter.isalnum():
        return letter
    code, raw = ord(letter), letter.encode("utf-8", "surrogatepass")
    escapes = [rf"u0*{code:x}", rf"u\{{{code:x}\}}"]
    if letter in _LATIN_1:
        escapes.append(f"x{code:02x}")
    if letter in _NAMED:
        escapes.append(_NAMED[letter])
    halves = letter.encode("utf-16-be", "surrogatepass").hex("-", 2).split("-")  # as JSON has it
    escape = rf"\\{{1,{_MOST_DOUBLED}}}"
    spellings = [
        rf"\\{{0,{_MOST_DOUBLED}}}{re.escape(letter)}",  # quotes have nothing but a backslash
        rf"{escape}(?:{'|'.join(escapes)})",
        "".join(f"{escape}u{half}" for half in halves),
        "".join(f"{escape}x{byte:02x}" for byte in raw),
        "".join(f"%{byte:02x}" for byte in raw),
    ]
    return f"(?i:{'|'.join(spellings)})"
