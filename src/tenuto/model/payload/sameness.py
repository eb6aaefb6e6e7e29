"""What differs between a value and what came back from its text.

Owns what "as it was" means: equal, with the same types all through, in the same order, with the
same time zones. Stricter than ``==``, which takes True for 1, a list of subclasses for one of their
base, and two readings of a clock with one instant for the same. One thing is let pass, as type
checkers let it: a whole number where a float is asked for, when the float is exactly that number.
"""

import dataclasses
from collections import Counter, OrderedDict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, time, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec

from tenuto.model.cuts import cut
from tenuto.model.payload.decoding import decoder
from tenuto.model.payload.encoding import encode
from tenuto.model.payload.error import item, member
from tenuto.model.payload.foreign import is_attrs, is_pydantic, is_secret
from tenuto.model.payload.moments import zone_of
from tenuto.model.payload.records import keys_of

_MISSING: Final = object()
_SCALARS: Final = (str, int, float, bytes, bytearray, Decimal, datetime, time)


class Difference(NamedTuple):
    """Where two values differ, and how; ``reason`` goes on after "value at ..."."""

    path: str
    reason: str


def difference(given: Any, back: Any, path: str) -> Difference | None:
    """The first place where a value came back as another one; None when it came back as it was.

    Args:
        given: The value before it was written.
        back: The value that its text was read as.
        path: Where both stand.
    """
    if given is back:
        return None
    if type(given) is not type(back):
        if type(given) is int and type(back) is float:
            return None if given == back else _other_value(given, back, path)
        return _other_type(given, back, path)
    if isinstance(given, _SCALARS):
        if not _is_same_scalar(given, back):
            return _other_value(given, back, path)
    elif isinstance(given, Mapping):
        return _in_mappings(given, back, path) or _in_attributes(given, back, path)
    elif isinstance(given, list | tuple):
        return _in_sequences(given, back, path) or _in_attributes(given, back, path)
    elif isinstance(given, AbstractSet):
        return _in_sets(given, back, path) or _in_attributes(given, back, path)
    elif (fields := _fields_of(type(given))) is None:
        return None if given == back else _other_value(given, back, path)
    else:
        return _in_fields(given, back, path, fields)
    return _in_attributes(given, back, path)


def _is_same_scalar(given: Any, back: Any) -> bool:
    match given:
        case float():
            return float.__repr__(given) == float.__repr__(back)  # tells 0.0 from -0.0
        case Decimal():
            return bool(given.as_tuple() == back.as_tuple())  # the digits, and NaN
        case datetime() | time():
            clocks = [
                (one.replace(tzinfo=None), one.fold, _zone(one.tzinfo)) for one in (given, back)
            ]
            return clocks[0] == clocks[1]
        case _:
            return bool(given == back)


def _zone(zone: tzinfo | None) -> object:
    """What a zone is: its name in the database, or its offset; libraries have classes of their own
    for offsets.
    """
    if zone is None:
        return None
    return zone_of(zone) or zone.utcoffset(None) or (zone.utcoffset(None) is None and zone)


def _in_mappings(given: Mapping[Any, Any], back: Mapping[Any, Any], path: str) -> Difference | None:
    if lost := [key for key in given if key not in back]:
        reason = f"has the key {_shown(lost[0])}, which would not come back"
        return Difference(path, f"{reason}; {_advice_for_key(lost[0])}")
    if len(given) != len(back):
        return Difference(path, f"has {len(given)} keys, and would come back with {len(back)}")
    for (key, part), (other_key, other) in zip(given.items(), back.items(), strict=True):
        if difference(key, other_key, path):
            reason = f"has the key {_shown(key)}, which would come back as {_shown(other_key)}"
            return Difference(path, f"{reason}; {_advice_for_key(key)}")
        place = member(path, key) if isinstance(key, str) else f"{path}[{_shown(key)}]"
        if found := difference(part, other, place):
            return found
    return None


def _in_sequences(given: Any, back: Any, path: str) -> Difference | None:
    if len(given) != len(back):
        return Difference(path, f"has {len(given)} elements, of which {len(back)} would come back")
    for index, (one, other) in enumerate(zip(given, back, strict=True)):
        if found := difference(one, other, item(path, index)):
            return found
    return None


def _in_sets(given: Any, back: Any, path: str) -> Difference | None:
    known = {part: part for part in back}
    for part in given:
        other = known.pop(part, _MISSING)
        if other is _MISSING:
            return Difference(path, f"has {_shown(part)}, which would not come back")
        if found := difference(part, other, f"{path}[...]"):
            return found
    return None


def _in_fields(given: Any, back: Any, path: str, fields: tuple[str, ...]) -> Difference | None:
    for name in fields:
        one, other = getattr(given, name, _MISSING), getattr(back, name, _MISSING)
        if found := difference(one, other, member(path, name)):
            return found
    return _in_attributes(given, back, path)


def _in_attributes(given: Any, back: Any, path: str) -> Difference | None:
    """What stands beside the fields; what a class works out when it is asked does not count."""
    kept = getattr(back, "__dict__", {})
    for name, part in getattr(given, "__dict__", {}).items():
        if isinstance(getattr(type(given), name, None), cached_property):
            continue
        if name not in kept:
            return Difference(
                member(path, name), "is no field of its class, and would not come back"
            )
        if found := difference(part, kept[name], member(path, name)):
            return found
    return None


def _fields_of(cls: Any) -> tuple[str, ...] | None:
    """The attributes that make an object what it is; None for a class that is asked by ``==``."""
    if is_pydantic(cls) and not dataclasses.is_dataclass(cls):
        return (*cls.__pydantic_fields__, "__pydantic_extra__", "__pydantic_private__")
    if issubclass(cls, msgspec.Struct):
        return tuple(cls.__struct_fields__)
    if is_attrs(cls):
        return tuple(field.name for field in cls.__attrs_attrs__)
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    return None


def _other_type(given: object, back: object, path: str) -> Difference:
    if given is _MISSING or back is _MISSING:
        is_or_not = "has no value" if given is _MISSING else f"is {_shown(given)}"
        return Difference(path, f"{is_or_not}, and that would not come back")
    return Difference(
        path,
        f"is {named(given)} and would come back as {named(back)}; {_advice(given, back)}",
    )


def _advice(given: object, back: object) -> str:
    """What to do about a value of another type: nothing that would be refused again."""
    name, other = _name(type(given)), _name(type(back))
    if not _has_an_annotation(given):
        return f"pass {named(back)}"
    if isinstance(given, type(back)) and _differ_in_fields(type(given), type(back)):
        return f"annotate what may stand here, such as `{other} | {name}`, or pass {named(back)}"
    return f"annotate it as {name}{_PARTS.get(type(given), '')}, or pass {named(back)}"


def _advice_for_key(key: object) -> str:
    instead = "make its keys texts"
    return f"annotate its keys as {_name(type(key))}, or {instead}" if _is_key(key) else instead


def _has_an_annotation(value: object) -> bool:
    """Whether a value comes back where its class is annotated. Its parts do not count: each has a
    place of its own to be told about.
    """
    cls = type(value)
    try:
        back = decoder(cls)(encode(value))
        is_same = not isinstance(value, _SCALARS) or _is_same_scalar(value, back)
        return type(back) is cls and is_same
    except Exception:  # noqa: BLE001 - code of the class; it is asked for the sake of advice alone
        return False


def _is_key(key: object) -> bool:
    try:
        (back,) = decoder(dict[type(key), None])(encode({key: None}))  # type: ignore[misc]
    except Exception:  # noqa: BLE001 - as above
        return False
    return type(back) is type(key) and bool(back == key)


def _differ_in_fields(cls: type, other: type) -> bool:
    """Whether the objects of two classes can be told apart in a union."""
    keys = keys_of(cls)
    return keys is not None and keys != keys_of(other)


def named(value: object) -> str:
    """The class of a value, as users write it, with its article."""
    name = _name(type(value))
    return f"{'an' if name[0] in _VOWELS else 'a'} {name}"


def _name(cls: type) -> str:
    return cls.__qualname__.rpartition(".<locals>.")[2]


def _other_value(given: object, back: object, path: str) -> Difference:
    if is_secret(given):
        return Difference(path, f"is {named(given)}, {_ADVICE_FOR_SECRETS}")
    if repr(given) == repr(back):
        return Difference(path, f"is {_shown(given)}, and what would come back is not equal to it")
    reason = f"is {_shown(given)} and would come back as {_shown(back)}"
    if isinstance(given, datetime | time):
        named_too = "" if zone_of(given.tzinfo) else " or a zone of zoneinfo"
        reason += f"; use UTC, an offset of whole minutes{named_too}, and no idle fold"
    return Difference(path, reason)


def _shown(value: object) -> str:
    return cut(repr(value), _LONGEST)


_LONGEST: Final = 80
_PARTS: Final[dict[type, str]] = dict.fromkeys(
    (list, tuple, dict, set, frozenset, OrderedDict, Counter), "[...]"
)
_ADVICE_FOR_SECRETS: Final = (
    "which pydantic writes as stars; leave it out and look it up where it is needed, or, if all who"
    " may read the history may know it, write it with a @field_serializer"
)
_VOWELS: Final = frozenset("aeiouAEIO")
