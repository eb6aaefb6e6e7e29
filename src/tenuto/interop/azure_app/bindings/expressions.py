"""Expressions in bindings: ``plates/{name}.jpg``, ``{rand-guid}``, ``{DateTime:yyyy-MM}``.

A name is what the trigger says: its metadata, the members of a JSON payload, the parameters of a
route. Names have no case. ``{{`` and ``}}`` stand for the braces themselves.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

Fit: TypeAlias = Callable[[str, str], str]
"""Makes a value fit for its place: takes what is written before that, and the value."""

_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_GUIDS: Final[Mapping[str, Callable[[uuid.UUID], str]]] = {
    "": str,
    "d": str,
    "n": lambda guid: guid.hex,
    "b": lambda guid: f"{{{guid}}}",
    "p": lambda guid: f"({guid})",
}
_USUAL_MOMENT: Final = "yyyy-MM-ddTHH-mm-ssZ"
_OF_MOMENT: Final = re.compile(r"'([^']*)'|yyyy|yy|MM|M|dd|d|HH|H|hh|h|mm|m|ss|s|f{1,6}|\\(.)")


class ExpressionError(Exception):
    """An expression cannot be filled."""


def has_expressions(text: str) -> bool:
    """Whether anything in a text is filled in."""
    return _PIECE.search(text) is not None


def blotted(text: str) -> str:
    """A text with each expression hidden, letter for letter: what is left is as it was written."""
    return _PIECE.sub(lambda match: "x" * len(match[0]), text)


def _as_it_is(_before: str, value: str) -> str:
    return value


def filled(text: str, data: Mapping[str, object], now: datetime, fit: Fit | None = None) -> str:
    """A text with values in the places of ``{name}``.

    Args:
        text: The text.
        data: Values by name.
        now: For ``{DateTime}``.
        fit: Makes each value fit for its place.

    Raises:
        ExpressionError: nothing is known under a name, or no text can be made of it.
    """
    fitting = _as_it_is if fit is None else fit

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        name, _, form = match[1].strip().partition(":")
        found = _value(name.strip(), form.strip(), data, now)
        return fitting(text[: match.start()], found)

    return _PIECE.sub(value, text)


def _value(name: str, form: str, data: Mapping[str, object], now: datetime) -> str:
    found, is_there = _found(name, data)
    if is_there:
        return _as_text(name, found)
    known = name.lower()
    if known in {"rand-guid", "sys.randguid"}:
        make = _GUIDS.get(form.lower())
        if make is None:
            raise ExpressionError(f"{{{name}:{form}}} has no such form; it is N, D, B or P")
        return make(uuid.uuid4())
    if known in {"datetime", "sys.utcnow"}:
        return moment(now, form or _USUAL_MOMENT)
    raise ExpressionError(f"nothing is known under {{{name}}}")


def _found(name: str, data: Mapping[str, object]) -> tuple[object, bool]:
    """What stands under a name with dots, and whether anything does."""
    value: object = data
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None, False
        key = next((one for one in value if str(one).lower() == part.lower()), None)
        if key is None:
            return None, False
        value = value[key]
    return value, True


def _as_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    raise ExpressionError(f"{{{name}}} is no text and no number")


def moment(now: datetime, form: str) -> str:
    """A time in the words of .NET, such as ``yyyy-MM-dd``."""
    parts = {
        "yyyy": f"{now:%Y}",
        "yy": f"{now:%y}",
        "MM": f"{now:%m}",
        "M": str(now.month),
        "dd": f"{now:%d}",
        "d": str(now.day),
        "HH": f"{now:%H}",
        "H": str(now.hour),
        "hh": f"{now:%I}",
        "h": str(int(f"{now:%I}")),
        "mm": f"{now:%M}",
        "m": str(now.minute),
        "ss": f"{now:%S}",
        "s": str(now.second),
    }

    def part(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        if match[2] is not None:
            return match[2]
        said = match[0]
        return f"{now:%f}"[: len(said)] if said[0] == "f" else parts[said]

    return _OF_MOMENT.sub(part, form)
