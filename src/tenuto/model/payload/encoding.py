"""The fast way from a value to JSON text.

Owns the decision which values msgspec writes exactly as we want them. All others, and all refusals,
go through ``plain``, which knows the path. msgspec alone would write NaN as null, drop the private
fields of attrs classes, give sets in an order that changes between processes, and let two keys with
one text overwrite each other.
"""

import dataclasses
import enum
import operator
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from tenuto.model.payload.foreign import is_attrs, is_pydantic
from tenuto.model.payload.plain import MAX_DEPTH, has_whole_minute_offset, plain
from tenuto.model.room import LONG, encoded

_ATOMS = frozenset(
    {type(None), bool, int, str, bytes, date, timedelta, UUID, Decimal, msgspec.UnsetType}
)
_TEXT_KEYS = frozenset({str})
_INT_KEYS = frozenset({int})
_MOMENTS = (datetime, time)

_to_json: Callable[[object], bytes] = msgspec.json.Encoder().encode


def encode(value: object) -> str:
    """Write a value as JSON text.

    Args:
        value: Any storable value; the package's docstring lists them.

    Errors:
        PayloadError: When some part cannot be stored; the message names its path and type. Nothing
            is written then.

    Example:
        >>> encode({"guests": ("Ada", "Bob"), "nights": 3})
        '{"guests":["Ada","Bob"],"nights":3}'
    """
    try:
        if type(value) is str and len(value) < LONG:  # as many are
            return _to_json(value).decode()
        if type(value) in _ATOMS or _is_native(value, MAX_DEPTH - 1):
            return encoded(value).decode()
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        # A lone surrogate, an integer too long to print, an unset field, a default that stands in
        # the class alone: the slow way finds the place, or copes.
        pass
    return encoded(plain(value)).decode()


def _is_native(value: Any, levels: int) -> bool:
    """Whether msgspec writes this value as we want it; no for whatever needs a closer look, as
    what has more levels below it does.

    This is the hot path: the sets look at all keys, then at all parts, without a step in Python.
    """
    cls: Any = type(value)
    if cls is dict:
        if not (_TEXT_KEYS.issuperset(map(type, value)) or _INT_KEYS.issuperset(map(type, value))):
            return False
        parts: Iterable[Any] = value.values()
    elif cls is list or cls is tuple:
        parts = value
    elif cls is float:
        return bool(value - value == 0.0)  # NaN and the infinities give NaN
    else:
        parts_of = _parts_getter(cls)
        if parts_of is None:
            return cls in _MOMENTS and (value.tzinfo is None or has_whole_minute_offset(value))
        parts = parts_of(value)
    if _ATOMS.issuperset(map(type, parts)):
        return True
    if levels == 0:
        return False
    for part in parts:
        if type(part) not in _ATOMS and not _is_native(part, levels - 1):
            return False
    return True


@lru_cache(maxsize=4096)
def _parts_getter(cls: Any) -> Callable[[Any], Iterable[Any]] | None:
    """How to look into an object of this class; None when msgspec must not write it as it is."""
    if is_pydantic(cls):
        return None
    if issubclass(cls, msgspec.Struct):
        return _attributes(cls.__struct_fields__)
    if is_attrs(cls):
        names = [field.name for field in cls.__attrs_attrs__]
        # msgspec leaves out the private fields of attrs classes.
        return None if any(name.startswith("_") for name in names) else _attributes(names)
    has_dict = cls.__dictoffset__ != 0
    if dataclasses.is_dataclass(cls):
        fields = dataclasses.fields(cls)
        in_class = any(field.default is not dataclasses.MISSING for field in fields)
        names = [field.name for field in fields]
        return _held(names) if in_class and has_dict else _attributes(names)
    if issubclass(cls, enum.Enum):
        return _nothing if {type(one.value) for one in cls} in ({str}, {int}) else None
    return iter if issubclass(cls, tuple) and hasattr(cls, "_fields") else None


def _attributes(names: Iterable[str]) -> Callable[[Any], Iterable[Any]]:
    match tuple(names):
        case ():
            return _nothing
        case (name,):
            return lambda value: (getattr(value, name),)
        case several:
            return operator.attrgetter(*several)


def _held(names: list[str]) -> Callable[[Any], Iterable[Any]]:
    # msgspec writes what an object itself holds, yet leaves defaults to the class when it reads.
    def parts(value: Any) -> Iterable[Any]:
        held = vars(value)
        return [held[name] for name in names]

    return parts


def _nothing(_value: object) -> Iterable[Any]:
    return ()
