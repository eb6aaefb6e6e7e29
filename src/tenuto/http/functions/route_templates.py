"""Routes in the words of ASP.NET, as something that matches paths: ``items/{id:int}/{*rest}``.

Programs of Azure Functions have them. Segments match without regard to case; which of several
templates answers is decided segment by segment from the left: text, then a parameter that is
narrowed (or that stands beside text), then one that takes anything, then the rest of the path.
"""

import re
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Final

from msgspec import Struct

from tenuto.http.functions.route_constraints import Constraint, constraint
from tenuto.model.errors import InputError

_NAME: Final = re.compile(r"[^/*?:={}]+")
_END_OF_ARGUMENTS: Final = re.compile(r"\)(?=$|\?$|=|:[a-zA-Z])")


class _Rank(IntEnum):
    """What wins over what: the lower."""

    LITERAL = 1
    NARROWED = 2
    ANY = 3
    NARROWED_REST = 4
    REST = 5


class RouteParameter(Struct, frozen=True, kw_only=True):
    """A parameter of a route.

    Attributes:
        name: As the function gets it.
        constraints: What it must be.
        default: What it is when it is left out; None for nothing.
        is_optional: Whether it may be left out.
        is_rest: Whether it is the rest of the path.
    """

    name: str
    constraints: tuple[Constraint, ...] = ()
    default: str | None = None
    is_optional: bool = False
    is_rest: bool = False

    @property
    def shape(self) -> str:
        """Equal for parameters that take the same."""
        narrowed = ":".join(sorted({one.text for one in self.constraints}))
        return f"{{{'*' * self.is_rest}{narrowed}}}"

    @property
    def may_be_missing(self) -> bool:
        """Whether a path without it matches."""
        return self.is_optional or self.is_rest or self.default is not None

    def fits(self, text: str) -> bool:
        """Whether a text may stand for it."""
        return all(one.fits(text) for one in self.constraints)


class _Segment(Struct, frozen=True):
    """What stands between two slashes: texts, in small letters, and parameters, in turn."""

    parts: tuple[str | RouteParameter, ...]

    @property
    def parameters(self) -> list[RouteParameter]:
        return [one for one in self.parts if isinstance(one, RouteParameter)]

    @property
    def rank(self) -> _Rank:
        first = self.parts[0]
        if len(self.parts) > 1:
            return _Rank.NARROWED
        if isinstance(first, str):
            return _Rank.LITERAL
        if first.is_rest:
            return _Rank.NARROWED_REST if first.constraints else _Rank.REST
        return _Rank.NARROWED if first.constraints else _Rank.ANY

    @property
    def shape(self) -> str:
        """Equal for segments that match the same."""
        return "".join(one if isinstance(one, str) else one.shape for one in self.parts)

    @property
    def may_be_missing(self) -> bool:
        first = self.parts[0]
        return isinstance(first, RouteParameter) and len(self.parts) == 1 and first.may_be_missing

    def match(self, text: str) -> dict[str, str] | None:
        """What its parameters stand for in a text; None when it does not fit."""
        values = _taken_apart(self.parts, text)
        last = self.parts[-1]
        if values is None and isinstance(last, RouteParameter) and last.is_optional:
            # As in {name}.{extension?}: without the extension, the dot is left out, too.
            values = _taken_apart(self.parts[:-2], text) if self.parts[-2:-1] == (".",) else None
        if values is None:
            return None
        fits = all(one.fits(values[one.name]) for one in self.parameters if one.name in values)
        return values if fits else None


def _taken_apart(parts: Sequence[str | RouteParameter], text: str) -> dict[str, str] | None:
    """What each parameter stands for, from the right, each as little as it can."""
    lowered = text.lower()
    if len(lowered) != len(text):
        return None  # of letters that no route is made of
    values = {}
    end = len(text)
    waiting: RouteParameter | None = None
    for part in reversed(parts):
        if isinstance(part, RouteParameter):
            waiting = part
            continue
        if waiting is None:
            begin = end - len(part) if lowered.endswith(part, 0, end) else -1
        else:
            begin = lowered.rfind(part, 0, max(end - 1, 0))
        if begin < 0:
            return None
        if waiting is not None:
            values[waiting.name] = text[begin + len(part) : end]
        waiting, end = None, begin
    if waiting is not None and (end or waiting.is_rest):
        return values | {waiting.name: text[:end]}
    return values if waiting is None and not end else None


class RouteTemplate:
    """A route with parameters, below a prefix.

    Args:
        route: Such as ``items/{id:int}``, ``{name?}``, ``{page=1}``, ``files/{*rest}``.
        prefix: What stands before it, to the letter; may be empty.

    Raises:
        InputError: it is none, saying why.

    Example:
        >>> RouteTemplate("items/{id:int}/{note?}", "api").match(["API", "Items", "7"])
        {'id': '7'}
    """

    def __init__(self, route: str, prefix: str = "") -> None:
        self._segments = [_Segment((one.lower(),)) for one in _texts(prefix)]
        self._segments += [_segment(one, route) for one in _texts(route.removeprefix("~"))]
        self.path = "/" + "/".join([*_texts(prefix), *_texts(route.removeprefix("~"))])
        self._check(route)
        required = [
            number for number, one in enumerate(self._segments, 1) if not one.may_be_missing
        ]
        self._least = max(required, default=0)

    def _check(self, route: str) -> None:
        names = [one.name.lower() for one in self.parameters]
        if len(set(names)) < len(names):
            raise InputError(f"its route {route!r} names a parameter twice")
        for one in self._segments[:-1]:
            if any(parameter.is_rest for parameter in one.parameters):
                raise InputError(f"in its route {route!r}, {{*...}} must be the last segment")

    @property
    def parameters(self) -> list[RouteParameter]:
        """All of its parameters, from the left."""
        return [parameter for one in self._segments for parameter in one.parameters]

    @property
    def first_text(self) -> str | None:
        """The first segment in small letters, where that is a text; empty for the root."""
        if not self._segments:
            return ""
        first = self._segments[0].parts[0]
        return first if isinstance(first, str) and len(self._segments[0].parts) == 1 else None

    @property
    def plain_paths(self) -> list[str]:
        """Its paths for documents: ``/api/items/{id}``, one for each length that it may have."""
        shown = [
            "".join(one if isinstance(one, str) else f"{{{one.name}}}" for one in segment.parts)
            for segment in self._segments
        ]
        lengths = range(self._least, len(shown) + 1)
        return ["/" + "/".join(shown[:length]) for length in lengths]

    @property
    def order(self) -> tuple[int, ...]:
        """The template that sorts first is asked first."""
        return tuple(one.rank for one in self._segments)

    @property
    def shape(self) -> tuple[str, ...]:
        """Equal for templates that match the same paths."""
        return tuple(one.shape for one in self._segments)

    def match(self, parts: Sequence[str]) -> dict[str, str] | None:
        """What the parameters stand for in a path; None when it is another one."""
        parts = [] if list(parts) == [""] else list(parts)
        segments = self._segments
        if segments and segments[-1].rank >= _Rank.NARROWED_REST and len(parts) >= len(segments):
            last = len(segments) - 1
            parts = [*parts[:last], "/".join(parts[last:])]
        if not self._least <= len(parts) <= len(segments):
            return None
        values = {one.name: one.default for one in self.parameters if one.default is not None}
        for segment, part in zip(segments, parts, strict=False):
            found = segment.match(part)
            if found is None:
                return None
            values |= found
        return values


# --- reading --------------------------------------------------------------------------------------


def _texts(path: str) -> list[str]:
    """The segments of a route; a slash within braces is none."""
    path = path.strip("/")
    texts, depth, begun = [], 0, 0
    for place, letter in enumerate(path):
        depth += (letter == "{") - (letter == "}")
        if letter == "/" and depth <= 0:
            texts.append(path[begun:place])
            begun = place + 1
    return [*texts, path[begun:]] if path else []


def _segment(text: str, route: str) -> _Segment:
    if not text:
        raise InputError(f"its route {route!r} has two slashes with nothing between them")
    parts: list[str | RouteParameter] = []
    rest = text
    while rest:
        literal, begun, inside = rest.partition("{")
        if literal:
            parts.append(_literal(literal, route))
        if not begun:
            break
        end = _end_of_parameter(inside, route)
        parts.append(_parameter(inside[:end].replace("{{", "{").replace("}}", "}"), route))
        rest = inside[end + 1 :]
    for one, following in pairwise(parts):
        if isinstance(one, RouteParameter) and isinstance(following, RouteParameter):
            raise InputError(f"its route {route!r} has two parameters with nothing between them")
    if len(parts) > 1 and any(isinstance(one, RouteParameter) and one.is_rest for one in parts):
        raise InputError(f"its route {route!r} has {{*...}} beside a text")
    return _Segment(tuple(parts))


def _literal(text: str, route: str) -> str:
    if "}" in text or "?" in text:
        raise InputError(f"its route {route!r} has {text!r}, which no path can have")
    return text.lower()


def _end_of_parameter(inside: str, route: str) -> int:
    """Where the brace is that closes a parameter; doubled ones stand for themselves."""
    place = 0
    while place < len(inside):
        if inside[place] in "{}" and inside[place : place + 2] == inside[place] * 2:
            place += 2
            continue
        if inside[place] == "}":
            return place
        place += 1
    raise InputError(f"its route {route!r} has a brace that is not closed")


def _parameter(text: str, route: str) -> RouteParameter:
    plain = text.lstrip("*")
    stars = len(text) - len(plain)
    named = _NAME.match(plain)
    if named is None or stars > len("**"):
        raise InputError(f"its route {route!r} has {{{text}}}, which names no parameter")
    rest = plain[named.end() :]
    constraints: list[Constraint] = []
    while rest.startswith(":"):
        found, rest = _constraint(rest[1:], text, route)
        constraints.append(found)
    is_optional = rest == "?"
    default = rest[1:] if rest.startswith("=") else None
    if rest and not is_optional and default is None:
        raise InputError(f"its route {route!r} has {{{text}}}, which cannot be read")
    if stars and is_optional:
        raise InputError(f"its route {route!r} has {{{text}}}; the rest may always be left out")
    return RouteParameter(
        name=named[0],
        constraints=tuple(constraints),
        default=default,
        is_optional=is_optional,
        is_rest=bool(stars),
    )


def _constraint(rest: str, text: str, route: str) -> tuple[Constraint, str]:
    """The first constraint of what follows a colon, and what follows it."""
    named = re.match(r"[a-zA-Z]+", rest)
    if named is None:
        raise InputError(f"its route {route!r} has {{{text}}} with no constraint after the colon")
    rest = rest[named.end() :]
    arguments: str | None = None
    if rest.startswith("("):
        closed = _END_OF_ARGUMENTS.search(rest)
        if closed is None:
            raise InputError(f"its route {route!r} has {{{text}}} with a bracket not closed")
        arguments, rest = rest[1 : closed.start()], rest[closed.end() :]
    try:
        return constraint(named[0], arguments), rest
    except InputError as error:
        raise InputError(f"its route {route!r} has {{{text}}}: {error}") from None
