"""Path templates: ``/orders/{id:int}`` as something that matches paths.

Literal segments match without regard to case, as all paths of the server do. Which of several
templates answers does not depend on the order in which they were registered: segment by segment
from the left, a literal wins over a parameter, a narrow parameter over a wide one.
"""

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from tenuto.model.errors import InputError

_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+")
_PARAMETER: Final = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,300}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?")


class _Rank(IntEnum):
    """What wins over what: the lower."""

    LITERAL = 0
    INT = 1
    UUID = 2
    FLOAT = 3
    TEXT = 4
    REST = 5


class _Converter(Struct, frozen=True):
    rank: _Rank
    kind: type
    fits: Callable[[str], object]


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


_CONVERTERS: Final = {
    "": _Converter(_Rank.TEXT, str, bool),
    "int": _Converter(_Rank.INT, int, _INTEGER.fullmatch),
    "float": _Converter(_Rank.FLOAT, float, _NUMBER.fullmatch),
    "uuid": _Converter(_Rank.UUID, UUID, _is_uuid),
    "path": _Converter(_Rank.REST, str, bool),
}


class Segment(Struct, frozen=True):
    """One part of a template between slashes.

    Attributes:
        text: Of a literal its text in lower case; of a parameter its name.
        converter: What a parameter may be; None for a literal.
    """

    text: str
    converter: _Converter | None = None

    @property
    def rank(self) -> _Rank:
        """Of two segments that match, the one with the lower rank wins."""
        return _Rank.LITERAL if self.converter is None else self.converter.rank

    def fits(self, part: str) -> bool:
        """Whether a part of a path may stand here."""
        if self.converter is None:
            return part.lower() == self.text
        return bool(self.converter.fits(part))


class PathTemplate:
    """A path with parameters.

    Args:
        path: Such as ``/orders/{id:int}``. Converters are ``int``, ``float``, ``uuid`` and, at the
            end, ``path`` (all the rest, slashes included); without one, any text.

    Raises:
        InputError: it is none, saying why.

    Example:
        >>> PathTemplate("/orders/{id:int}").match(["Orders", "7"])
        {'id': '7'}
    """

    def __init__(self, path: str) -> None:
        if not path.startswith("/"):
            raise InputError(f"its path must begin with a slash, got {path!r}")
        parts = path.strip("/").split("/") if path.strip("/") else []
        self.path = "/" + "/".join(parts)
        self._segments = [_parse(part, path) for part in parts]
        named = [one.text for one in self._segments if one.converter is not None]
        if len(set(named)) < len(named):
            raise InputError(f"its path {path!r} names a parameter twice")
        if any(one.rank is _Rank.REST for one in self._segments[:-1]):
            raise InputError(f"in its path {path!r}, {{...:path}} must be the last segment")
        self._takes_rest = bool(self._segments) and self._segments[-1].rank is _Rank.REST

    @property
    def plain_path(self) -> str:
        """The path without converters."""
        return "/" + "/".join(
            one.text if one.converter is None else f"{{{one.text}}}" for one in self._segments
        )

    @property
    def kinds(self) -> dict[str, type]:
        """What each parameter is by its converter."""
        return {one.text: one.converter.kind for one in self._segments if one.converter is not None}

    @property
    def order(self) -> tuple[int, ...]:
        """The template that sorts first is asked first."""
        return tuple(one.rank for one in self._segments)

    @property
    def shape(self) -> tuple[str | int, ...]:
        """Equal for templates that match the same paths."""
        return tuple(one.text if one.converter is None else int(one.rank) for one in self._segments)

    def match(self, parts: Sequence[str]) -> dict[str, str] | None:
        """What the parameters stand for in a path; None when it is another one."""
        segments = self._segments
        if self._takes_rest and len(parts) >= len(segments):
            last = len(segments) - 1
            parts = [*parts[:last], "/".join(parts[last:])]
        if len(parts) != len(segments):
            return None
        if not all(map(Segment.fits, segments, parts)):
            return None
        return {
            one.text: part
            for one, part in zip(segments, parts, strict=True)
            if one.converter is not None
        }


def _parse(part: str, path: str) -> Segment:
    if "{" not in part and "}" not in part:
        if not _SEGMENT.fullmatch(part) or part in {".", ".."}:
            raise InputError(f"its path {path!r} has a segment that no URL can have: {part!r}")
        return Segment(part.lower())
    found = _PARAMETER.fullmatch(part)
    if found is None:
        raise InputError(
            f"its path {path!r} has the segment {part!r}; a parameter takes a whole segment, such "
            "as {name} or {name:int}"
        )
    name, kind = found[1], found[2]
    if not name.isidentifier():
        raise InputError(f"its path {path!r} names a parameter {name!r}, which is no Python name")
    converter = None if kind == "" else _CONVERTERS.get(kind or "")
    if converter is None:
        known = ", ".join(one for one in _CONVERTERS if one)
        raise InputError(f"its path {path!r} has {part}; after the colon may stand {known}")
    return Segment(name, converter)
