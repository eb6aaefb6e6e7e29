"""Foreign text on one line, as logs, tables and messages show it. Pure."""

from collections.abc import Iterable
from typing import Final

from tenuto.model.cuts import cut

_COLUMN: Final = 80


def unbroken(text: str) -> str:
    """Foreign text on one line, unable to steer a terminal, however long it is."""
    return visible(" ".join(text.split()))


def one_line(text: str, most: int = 500) -> str:
    """Foreign text on one line, unable to steer a terminal, and cut when it is long: after a whole
    word, unless that is long itself.
    """
    line = " ".join(text[: 2 * most].split())
    if len(line) > most or len(text) > 2 * most:
        words, _, _ = line[: most - 2].rpartition(" ")
        if len(words) > most // 2:
            line = f"{words}..."
        else:  # a column is too narrow for much of a secret, and rows of dots tell nothing
            line = cut(line, most - 3) if most > _COLUMN else f"{line[: most - 3]}..."
    return visible(line)


def visible(text: str) -> str:
    """Text whose control characters, but for line ends and tabs, are spelled out."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in text
    )


def listed_numbers(numbers: Iterable[int]) -> str:
    """Numbers for people: ``0 to 3, 7``."""
    parts: list[str] = []
    rest = sorted(numbers)
    while rest:
        last = first = rest.pop(0)
        while rest and rest[0] == last + 1:
            last = rest.pop(0)
        parts.append(str(first) if last == first else f"{first} to {last}")
    return ", ".join(parts)
