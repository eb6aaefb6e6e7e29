"""The careful way from a value to plain JSON data: slower, knows every path, says why a value is
refused.

Owns the list of what can be stored. It never writes text itself; what it returns msgspec writes.
"""

import copy
import dataclasses
import enum
import math
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, MappingView, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from tenuto.model.errors import PayloadError
from tenuto.model.payload.error import ROOT, item, member
from tenuto.model.payload.foreign import dump_pydantic, is_attrs, is_pydantic
from tenuto.model.payload.moments import zone_of, zoned_text

MAX_DEPTH = 100
"""So many lists and objects may stand in each other, by each door. Fixed, so that a refusal does
not depend on the stack that is left.
"""

_ADVICE = "use a dataclass, a msgspec struct, a pydantic model, an attrs class or JSON data"
_SERIES = (Iterator, Sequence, MappingView)


def plain(value: Any) -> Any:
    """Turn a value into data that msgspec writes exactly as we want it.

    Errors:
        PayloadError: When some part cannot be stored; it names the path and the type.
    """
    try:
        return _Walk().data(value, ROOT)
    except RecursionError:
        raise _refused(ROOT, "it is nested too deep for the stack that is left") from None


def advice_for(cls: type) -> str:
    """What to use instead of a class that has no JSON form."""
    if issubclass(cls, Awaitable):
        return "was it to be awaited?"
    if issubclass(cls, os.PathLike):
        return "use str(...) of it"
    return "use list(...) of it" if issubclass(cls, _SERIES) else _ADVICE


def has_whole_minute_offset(moment: datetime | time) -> bool:
    """Whether the zone can be written as hours and minutes: ISO 8601 has no more than that, and the
    name of a zone is no offset.
    """
    if moment.tzinfo is UTC:
        return True
    if isinstance(moment, datetime) and zone_of(moment.tzinfo) is not None:
        return False
    offset = moment.utcoffset()
    return offset is not None and not offset % timedelta(minutes=1)


class _Walk:
    """One pass over one value; remembers the containers it stands in, to find cycles."""

    def __init__(self) -> None:
        self._around: list[int] = []

    def data(self, value: Any, path: str) -> Any:
        write = _EXACT_SCALARS.get(type(value)) or _scalar_rule(value)
        if write is not None:
            return write(value, path)
        self._enter(value, path)
        for belongs, enter in _CONTAINERS:
            if belongs(value):
                data = enter(self, value, path)
                self._around.pop()  # not after a refusal: that ends the whole walk
                return data
        raise _refused(path, f"{type(value)!r} has no JSON form; {advice_for(type(value))}")

    def _enter(self, value: object, path: str) -> None:
        if id(value) in self._around:
            raise _refused(path, f"the {type(value).__name__} contains itself")
        if len(self._around) >= MAX_DEPTH:
            raise _refused(ROOT, f"it is nested more than {MAX_DEPTH} levels deep")
        self._around.append(id(value))

    def enum(self, value: enum.Enum, path: str) -> Any:
        return self.data(value.value, path)

    def pydantic(self, value: Any, path: str) -> Any:
        return self.data(dump_pydantic(value, path, self.data), path)

    def struct(self, value: msgspec.Struct, path: str) -> Any:
        """Keep the struct, since msgspec knows its tag, its renamed and its omitted fields; replace
        what it holds.
        """
        twin = copy.copy(value)
        for name, part in self._fields(value, value.__struct_fields__, path):
            msgspec.structs.force_setattr(twin, name, part)
        return twin

    def attrs(self, value: Any, path: str) -> Any:
        return dict(
            self._fields(value, [field.name for field in type(value).__attrs_attrs__], path)
        )

    def dataclass(self, value: Any, path: str) -> Any:
        return dict(self._fields(value, [field.name for field in dataclasses.fields(value)], path))

    def _fields(
        self, value: Any, names: list[str] | tuple[str, ...], path: str
    ) -> Iterator[tuple[str, Any]]:
        """The fields that have a value; one that was never set is left out, as msgspec does."""
        for name in names:
            part = getattr(value, name, msgspec.UNSET)
            if part is not msgspec.UNSET:
                yield name, self.data(part, member(path, name))

    def mapping(self, value: Mapping[Any, Any], path: str) -> Any:
        written: dict[str, Any] = {}
        for key, part in value.items():
            name = key_text(key, path)
            if name in written:
                raise _refused(path, f"two of its keys become the same text {name!r}")
            written[name] = self.data(part, member(path, name))
        return written

    def sequence(self, value: list[Any] | tuple[Any, ...], path: str) -> Any:
        return [self.data(part, item(path, index)) for index, part in enumerate(value)]

    def set(self, value: AbstractSet[Any], path: str) -> Any:
        """Sorted by text: a set's own order changes from process to process, and replay must not
        see that.
        """
        return sorted((self.data(part, f"{path}[...]") for part in value), key=msgspec.json.encode)


def _text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _refused(path, f"the text has a lone surrogate at character {error.start}") from None
    return str.__str__(value)  # a plain str also where the class is a subclass


def _integer(value: int, path: str) -> int:
    try:
        int.__repr__(value)
    except ValueError as error:
        raise _refused(path, f"the integer is too long ({error})") from None
    return int.__int__(value)


def _number(value: float, path: str) -> float:
    if not math.isfinite(value):
        name = float.__repr__(value)
        advice = (
            f"pass None where `float | None` is annotated, or Decimal({name!r}) where Decimal is"
        )
        raise _refused(path, f"JSON has no {name}; {advice}")
    return float.__float__(value)


def _moment(value: datetime, _path: str) -> datetime | str:
    zone = zone_of(value.tzinfo)
    if zone is not None:
        return zoned_text(value, zone)
    exact = datetime.fromisoformat(datetime.isoformat(value))
    # Offsets with seconds stand in old local times; the instant is kept, in UTC.
    return (
        exact if exact.tzinfo is None or has_whole_minute_offset(exact) else exact.astimezone(UTC)
    )


def _time(value: time, path: str) -> time:
    if value.tzinfo is not None and not has_whole_minute_offset(value):
        raise _refused(
            path, "a time of day needs a fixed offset of whole minutes, or none; use a datetime"
        )
    return time.fromisoformat(time.isoformat(value))


def key_text(key: Any, path: str) -> str:
    """The text of a dictionary's key.

    Errors:
        PayloadError: When the key has no text of its own; true and null would read as strings.
    """
    while isinstance(key, enum.Enum):
        key = key.value
    if not isinstance(key, bool | None):
        write = _scalar_rule(key)
        if write is not None:
            (text,) = msgspec.to_builtins({write(key, path): None}, str_keys=True)
            return str(text)
    raise _refused(
        path,
        f"the key {key!r} is a {type(key)!r}; use strings, numbers, enums, dates, UUIDs or bytes",
    )


def _scalar_rule(value: object) -> Callable[[Any, str], Any] | None:
    return next((write for belongs, write in _SCALARS if belongs(value)), None)


def _refused(path: str, why: str) -> PayloadError:
    return PayloadError(f"cannot be stored: {why}", path=path)


def _is(*classes: type) -> Callable[[object], bool]:
    """Belongs to one of the classes, but not to an enum that mixes one of them in."""
    return lambda value: isinstance(value, classes) and not isinstance(value, enum.Enum)


def _class_is(test: Callable[[type], bool]) -> Callable[[object], bool]:
    return lambda value: test(type(value))


# The first rule that fits wins: bool before int, datetime before date.
_SCALARS: tuple[tuple[Callable[[object], bool], Callable[[Any, str], Any]], ...] = (
    (_is(str), _text),
    (_is(bool, type(None)), lambda value, _path: value),
    (_is(int), _integer),
    (_is(float), _number),
    (_is(bytes, bytearray, memoryview), lambda value, _path: bytes(value)),
    (_is(datetime), _moment),
    (_is(date), lambda value, _path: date(value.year, value.month, value.day)),
    (_is(time), _time),
    (_is(timedelta), lambda value, _path: timedelta(value.days, value.seconds, value.microseconds)),
    (_is(UUID), lambda value, _path: UUID(int=value.int)),
    (_is(Decimal), lambda value, _path: Decimal(value)),
)

# The same rules for the commonest classes, found without a search.
_EXACT_SCALARS: dict[type, Callable[[Any, str], Any]] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: lambda value, _path: value,
    type(None): lambda value, _path: value,
}

_CONTAINERS: tuple[tuple[Callable[[object], bool], Callable[[_Walk, Any, str], Any]], ...] = (
    (lambda value: isinstance(value, enum.Enum), _Walk.enum),
    (_class_is(is_pydantic), _Walk.pydantic),
    (_is(msgspec.Struct), _Walk.struct),
    (_class_is(is_attrs), _Walk.attrs),
    (_class_is(dataclasses.is_dataclass), _Walk.dataclass),
    (_is(Mapping), _Walk.mapping),
    (_is(list, tuple), _Walk.sequence),
    (_is(set, frozenset), _Walk.set),
)
