"""Patterns of blobs: ``plates/{name}.jpg`` says which start a function, and what it learns."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from tenuto.model.errors import InputError

_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}/]+)\}|[{}]")
_CONTAINER: Final = re.compile(r"\$?[a-z0-9][a-z0-9-]{1,62}")


class BlobPattern(Struct, frozen=True):
    """Which blobs start a function.

    Attributes:
        container: Its name.
        prefix: Names begin so.
        names: Of the parts that are filled, in their order.
        expression: What a name must be like, with a group for each of them.
    """

    container: str
    prefix: str
    names: tuple[str, ...]
    expression: re.Pattern[str]

    def fields_of(self, blob: str) -> Mapping[str, str] | None:
        """What the parts of a blob's name are; None when it is not like the pattern."""
        match = self.expression.fullmatch(blob)
        return None if match is None else dict(zip(self.names, match.groups(), strict=True))


def blob_pattern(path: str) -> BlobPattern:
    """The pattern that a path is; without a name of a blob it is all of the container.

    As in the original each ``{part}`` takes as much as it can, and may be empty.

    Raises:
        InputError: it is none.

    Example:
        ``blob_pattern("plates/{name}.jpg").fields_of("a.b.jpg")``
    """
    container, _, blob = path.strip("/").partition("/")
    if not _CONTAINER.fullmatch(container):
        raise InputError(
            f"{path!r} names no container: 3 to 63 small letters, digits and hyphens, then what "
            "blobs are called, such as plates/{name}.jpg"
        )
    if not blob:
        return BlobPattern(container, "", (), re.compile(".*", re.DOTALL))
    names: list[str] = []
    expression, prefix, end = "", "", 0
    for match in _PIECE.finditer(blob):
        literal = blob[end : match.start()]
        end = match.end()
        if match[1] is None and len(match[0]) == 1:
            raise InputError(f"{path!r} has a brace without its partner; {{{{ stands for a brace")
        if match[1] is None:
            literal += match[0][0]
        expression += re.escape(literal)
        if not names:
            prefix += literal
        if match[1] is not None:
            if match[1] in names:
                raise InputError(f"{path!r} has {{{match[1]}}} twice")
            names.append(match[1])
            expression += "(.*)"
    expression += re.escape(blob[end:])
    if not names:
        prefix += blob[end:]
    return BlobPattern(container, prefix, tuple(names), re.compile(expression, re.DOTALL))
