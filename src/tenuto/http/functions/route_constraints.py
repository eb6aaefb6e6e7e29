"""What a parameter of a route may be narrowed to, in the words of ASP.NET: ``int``, ``range(1,9)``.

Numbers and moments are read as everywhere in the world alike, not as in the host's country.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from msgspec import Struct

from tenuto.http.functions.route_expressions import route_expression
from tenuto.model.errors import InputError

_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,30}\s*")
_NUMBER: Final = re.compile(
    r"[+-]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?"
)
_DECIMAL: Final = re.compile(r"[+-]?([0-9]{1,29}(\.[0-9]{0,29})?|\.[0-9]{1,29})")
_BITS: Final = {"int": 32, "long": 64}
_MOMENTS: Final = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d %b %Y", "%d %B %Y")


class Constraint(Struct, frozen=True):
    """What a parameter must be.

    Attributes:
        text: As it stands in the route.
        fits: Whether a text is so.
    """

    text: str
    fits: Callable[[str], bool]


def constraint(name: str, arguments: str | None) -> Constraint:
    """A constraint by its name.

    Args:
        name: In whatever case.
        arguments: What stands in brackets behind it; None without any.

    Raises:
        InputError: there is none of that name, or not with such arguments.
    """
    known = name.lower()
    if known == "regex" and arguments is not None:
        return Constraint(f"regex({arguments})", route_expression(arguments))
    if known in _PLAIN and arguments is None:
        return Constraint(known, _PLAIN[known])
    if known in _WITH_NUMBERS and arguments is not None:
        numbers = _numbers(known, arguments)
        shown = ",".join(map(str, numbers))
        return Constraint(f"{known}({shown})", partial(_WITH_NUMBERS[known], numbers))
    every = ", ".join([*_PLAIN, *(f"{one}(...)" for one in (*_WITH_NUMBERS, "regex"))])
    raise InputError(f"there is no constraint {name!r} of that form; there are {every}")


def _numbers(name: str, arguments: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(one) for one in arguments.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in _COUNTS[name]:
        wanted = " or ".join(str(count) for count in _COUNTS[name])
        raise InputError(f"{name}({arguments}) needs whole numbers, {wanted} of them")
    if len(numbers) == _RANGE and numbers[0] > numbers[1]:
        raise InputError(f"{name}({arguments}) fits nothing: the first number is the larger")
    return numbers


_RANGE: Final = 2
_COUNTS: Final[Mapping[str, tuple[int, ...]]] = {
    "length": (1, 2),
    "minlength": (1,),
    "maxlength": (1,),
    "min": (1,),
    "max": (1,),
    "range": (2,),
}


def _is_integer(text: str, bits: int) -> bool:
    if not _INTEGER.fullmatch(text):
        return False
    half: int = 1 << (bits - 1)
    return -half <= int(text) < half


def _is_guid(text: str) -> bool:
    try:
        UUID(text.strip("{}()"))
    except ValueError:
        return False
    return True


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return any(_is_moment_like(text, form) for form in _MOMENTS)
    return True


def _is_moment_like(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 - only whether it is one
    except ValueError:
        return False
    return True


def _is_file(text: str) -> bool:
    """Whether the last part of a path has a dot with something behind it."""
    return "." in text.rpartition("/")[2][:-1]


def _is_alpha(text: str) -> bool:
    return text.isascii() and (text.isalpha() or not text)


_PLAIN: Final[Mapping[str, Callable[[str], bool]]] = {
    "int": partial(_is_integer, bits=_BITS["int"]),
    "long": partial(_is_integer, bits=_BITS["long"]),
    "float": lambda text: _NUMBER.fullmatch(text) is not None,
    "double": lambda text: _NUMBER.fullmatch(text) is not None,
    "decimal": lambda text: _DECIMAL.fullmatch(text) is not None,
    "bool": lambda text: text.strip().lower() in {"true", "false"},
    "guid": _is_guid,
    "datetime": _is_moment,
    "alpha": _is_alpha,
    "required": bool,
    "file": _is_file,
    "nonfile": lambda text: not _is_file(text),
}


def _has_length(numbers: tuple[int, ...], text: str) -> bool:
    return numbers[0] <= len(text) <= numbers[-1]


def _is_in_range(least: int | None, most: int | None, text: str) -> bool:
    if not _is_integer(text, _BITS["long"]):
        return False
    return (least is None or int(text) >= least) and (most is None or int(text) <= most)


_WITH_NUMBERS: Final[Mapping[str, Callable[[tuple[int, ...], str], bool]]] = {
    "length": _has_length,
    "minlength": lambda numbers, text: len(text) >= numbers[0],
    "maxlength": lambda numbers, text: len(text) <= numbers[0],
    "min": lambda numbers, text: _is_in_range(numbers[0], None, text),
    "max": lambda numbers, text: _is_in_range(None, numbers[0], text),
    "range": lambda numbers, text: _is_in_range(numbers[0], numbers[1], text),
}
