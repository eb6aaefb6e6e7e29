"""Regular expressions of routes, matched within a bound: on the host's loop, before any key.

A matcher that tries one way after the other takes seconds for a few letters (``^([a-z0-9]+-?)+$``).
This one takes all ways at once. It keeps the set of places of the text that can be reached, as the
bits of a number, and asks each piece of the expression which places can be reached from there::

    a{2}b   from {0} by a ─▶ {1} by a ─▶ {2} by b ─▶ {3}

A repeat goes on until no new place is found. So nothing is looked at twice, the work is counted,
and what a single letter or an anchor is, ``re`` says. What needs to know *how* a place was reached
(references to groups, atomic groups) has no such answer, and is refused when the app is loaded.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct

from tenuto.model.errors import InputError

MOST_LETTERS: Final = 1_024
"""A longer text fits no expression."""
_MOST_STEPS: Final = 3_000
"""What would take more does not fit either: some milliseconds at most."""

_ANCHORS: Final = frozenset({"^", "$", "\\A", "\\Z", "\\b", "\\B"})
_ESCAPE: Final = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|0[0-7]{0,2}|.)", re.DOTALL)
_SET: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_TIMES: Final = re.compile(r"([*+?])|\{([0-9]+)\}|\{([0-9]*),([0-9]*)\}")
_GROUP: Final = re.compile(r"\((\?:|\?P?<[A-Za-z_]\w*>|\?=|\?!|\?<=|\?<!|(?!\?))")
_NAMED: Final = re.compile(r"\(\?<(?=[A-Za-z_])")
_CASELESS: Final = "(?i)"


class Piece(Struct, frozen=True):
    """A single letter, or an anchor, which has no width."""

    pattern: re.Pattern[str]
    width: int


class Sequence(Struct, frozen=True):
    """One after the other."""

    parts: "tuple[Node, ...]"


class Choice(Struct, frozen=True):
    """One of them."""

    branches: "tuple[Node, ...]"


class Repeat(Struct, frozen=True):
    """So many times; without an end when ``most`` is None."""

    part: "Node"
    least: int
    most: int | None


class Look(Struct, frozen=True):
    """What must, or must not, stand ahead or behind."""

    part: "Node"
    is_ahead: bool
    is_wanted: bool


Node: TypeAlias = Piece | Sequence | Choice | Repeat | Look


def route_expression(pattern: str) -> Callable[[str], bool]:
    """Whether a text has what an expression describes, in whatever case.

    Args:
        pattern: As ``re`` has it, or with names of groups as .NET has them.

    Raises:
        InputError: it cannot be read, or cannot be matched within a bound.

    Example:
        >>> route_expression("^[a-z]+$")("Abc")
        True
    """
    node = _Reader(_NAMED.sub("(?P<", pattern)).read()

    def fits(text: str) -> bool:
        if len(text) > MOST_LETTERS:
            return False
        try:
            return _Matching(text).ends(node, (1 << len(text) + 1) - 1) != 0
        except _TooMuchError:
            return False

    return fits


# --- matching -------------------------------------------------------------------------------------


class _TooMuchError(Exception):
    """It takes more steps than it may."""


class _Matching:
    """Finds places in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._all = (1 << len(text) + 1) - 1
        self._found: dict[re.Pattern[str], int] = {}
        self._steps = _MOST_STEPS

    def ends(self, node: Node, starts: int) -> int:
        """The places where something can end that begins at one of these."""
        self._spend(1)
        if not starts:
            return 0
        match node:
            case Piece(pattern, width):
                return (starts & self._places_of(pattern)) << width
            case Sequence(parts):
                for part in parts:
                    starts = self.ends(part, starts)
                return starts
            case Choice(branches):
                found = 0
                for branch in branches:
                    found |= self.ends(branch, starts)
                return found
            case Repeat():
                return self._repeated(node, starts)
            case Look(part, is_ahead, is_wanted):
                seen = self._ahead(part, starts) if is_ahead else self.ends(part, self._all)
                return starts & (seen if is_wanted else ~seen)

    def _repeated(self, node: Repeat, starts: int) -> int:
        for _ in range(node.least):
            starts = self.ends(node.part, starts)
        reached = new = starts
        count = node.least
        while new and (node.most is None or count < node.most):
            new = self.ends(node.part, new) & ~reached
            reached |= new
            count += 1
        return reached

    def _ahead(self, part: Node, starts: int) -> int:
        """The places among these before which it stands."""
        seen = 0
        while starts:
            place = starts & -starts
            starts ^= place
            if self.ends(part, place):
                seen |= place
        return seen

    def _places_of(self, pattern: re.Pattern[str]) -> int:
        found = self._found.get(pattern)
        if found is None:
            found = 0
            for one in pattern.finditer(self._text):
                found |= 1 << one.start()
            self._spend(found.bit_count() // 2)
            self._found[pattern] = found
        return found

    def _spend(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise _TooMuchError


# --- reading --------------------------------------------------------------------------------------


class _Reader:
    """Reads an expression, from the left."""

    def __init__(self, pattern: str) -> None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise InputError(f"its regular expression cannot be read: {error}") from None
        self._pattern = pattern.removeprefix(_CASELESS)
        self._place = 0

    def read(self) -> Node:
        """All of it; ``re`` has found that its brackets fit."""
        return self._choice()

    def _choice(self) -> Node:
        branches = [self._sequence()]
        while self._rest.startswith("|"):
            self._place += 1
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._rest and self._rest[0] not in "|)":
            if self._rest.startswith("(?#"):
                self._place = self._pattern.index(")", self._place) + 1
            else:
                parts.append(self._repeat(self._group() if self._rest[0] == "(" else self._piece()))
        return Sequence(tuple(parts))

    def _group(self) -> Node:
        begun = _GROUP.match(self._rest)
        if begun is None:
            raise self._refused(self._rest[:4])
        self._place += begun.end()
        inside = self._choice()
        self._place += len(")")
        if begun[1] in {"?=", "?!", "?<=", "?<!"}:
            return Look(inside, is_ahead="<" not in begun[1], is_wanted=begun[1].endswith("="))
        return inside

    def _piece(self) -> Node:
        rest = self._rest
        found = _ESCAPE.match(rest) or _SET.match(rest)
        text = rest[0] if found is None else found[0]
        if (text[0] == "\\" and text[1] in "123456789") or (text[0] == "[" and "-[" in text):
            raise self._refused(text)
        self._place += len(text)
        if text in "{}" or text == "]":
            text = f"\\{text}"
        return Piece(_compiled(text), width=0 if text in _ANCHORS else 1)

    def _repeat(self, part: Node) -> Node:
        while (found := _TIMES.match(self._rest)) is not None:
            self._place += found.end()
            sign, exactly, least, most = found.groups()
            if sign:
                part = Repeat(part, int(sign == "+"), 1 if sign == "?" else None)
            elif exactly:
                part = Repeat(part, int(exactly), int(exactly))
            else:
                part = Repeat(part, int(least or 0), int(most) if most else None)
            if self._rest.startswith("+"):
                raise self._refused(f"{found[0]}+")
            if self._rest.startswith("?"):  # as few as can be, which reaches the same places
                self._place += 1
        return part

    @property
    def _rest(self) -> str:
        return self._pattern[self._place :]

    def _refused(self, what: str) -> InputError:
        return InputError(
            f"its regular expression has {what!r}, which cannot be matched within a bound of "
            "time; say it without references to groups, atomic groups, flags, differences of sets"
        )


def _compiled(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)
