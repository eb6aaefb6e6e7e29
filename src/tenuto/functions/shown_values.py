"""Values of user code as short text, like JSON, without running any of that code.

A ``__repr__`` may raise, take hours, print a password or change what the orchestrator does next. So
none is called, and no attribute is asked for in a way that a class could answer: plain data,
dataclasses and msgspec structs are read where Python keeps their values, and of all else only the
kind is told. Long text is cut where a word ends: half of a secret that is hidden in answers would
not be recognised.
"""

import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from tenuto.model.cuts import cut
from tenuto.model.texts import storable_text
from tenuto.orchestration.futures import SessionFuture
from tenuto.orchestration.questions import Question
from tenuto.orchestration.tasks import CallTask, EventTask

_MOST_TEXT: Final = 200
_MOST_ITEMS: Final = 20
_MOST_LEVELS: Final = 4
_MOST_BITS: Final = 512
_CUT: Final = "..."

# As ``type`` itself has them: a metaclass may say anything of its classes.
_NAME: Final[Any] = type.__dict__["__qualname__"]
_MEMBERS: Final[Any] = type.__dict__["__dict__"]
_ORDER: Final[Any] = type.__dict__["__mro__"]
_ARGUMENTS: Final[Any] = BaseException.__dict__["args"]
_STRUCT: Final = type(msgspec.Struct)
_NOTHING: Final = object()


def type_name(value: object) -> str:
    """The name of a value's type."""
    return storable_text(cut(_NAME.__get__(type(value)), _MOST_TEXT))


def shown(value: object, most: int) -> str:
    """A value as text.

    Args:
        value: Any value of user code.
        most: So many characters, and three dots when that is not all.
    """
    writer = _Writer(most)
    try:
        writer.value(value, _MOST_LEVELS)
    except _FullError:
        writer.parts.append(_CUT)
    return storable_text("".join(writer.parts))


class _FullError(Exception):
    """There is no room for more."""


class _Writer:
    """Writes values into limited room, each piece whole or not at all."""

    def __init__(self, most: int) -> None:
        self.parts: list[str] = []
        self._room = most

    def value(self, value: object, levels: int) -> None:
        """One value, with what is in it so many levels down."""
        kind = type(value)
        scalar = _SCALARS.get(kind) if type(kind) is type else None  # no hash of a metaclass
        if scalar is not None:
            self._put(scalar(value))
            return
        found = _entries(value)
        if isinstance(found, str):
            self._put(found)
        elif levels == 0:
            self._put(_CUT)
        elif isinstance(found, Mapping):
            self._pairs(found, levels - 1)
        else:
            self._items(found, levels - 1)

    def _items(self, items: Iterable[object], levels: int) -> None:
        self._put("[")
        for index, one in enumerate(islice(items, _MOST_ITEMS + 1)):
            if index:
                self._put(", ")
            if index == _MOST_ITEMS:
                self._put(_CUT)
                break
            self.value(one, levels)
        self._put("]")

    def _pairs(self, pairs: Mapping[Any, object], levels: int) -> None:
        self._put("{")
        for index, (name, one) in enumerate(islice(pairs.items(), _MOST_ITEMS + 1)):
            if index:
                self._put(", ")
            if index == _MOST_ITEMS:
                self._put(_CUT)
                break
            self.value(name, levels)
            self._put(": ")
            self.value(one, levels)
        self._put("}")

    def _put(self, text: str) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise _FullError
        self.parts.append(text)


# --- what can be shown as one piece -----------------------------------------------------------


def _quoted(text: str) -> str:
    return msgspec.json.encode(storable_text(cut(text, _MOST_TEXT))).decode()


def _whole_number(value: int) -> str:
    bits = value.bit_length()
    return str(value) if bits <= _MOST_BITS else f"<a whole number of {bits:,} bits>"


def _moment(value: datetime | time) -> str:
    """A zone may be a class of users."""
    if type(value.tzinfo) not in {type(None), timezone, ZoneInfo}:
        return f"<{type_name(value)}>"
    return f'"{value.isoformat()}"'


_SCALARS: Final[Mapping[type, Callable[[Any], str]]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    int: _whole_number,
    float: float.__repr__,
    str: _quoted,
    bytes: lambda value: f"<{len(value):,} bytes>",
    bytearray: lambda value: f"<{len(value):,} bytes>",
    datetime: _moment,
    time: _moment,
    date: lambda value: f'"{value.isoformat()}"',
    timedelta: lambda value: f'"{value}"',
    Decimal: lambda value: f'"{cut(str(value), _MOST_TEXT)}"',
    UUID: lambda value: f'"{value}"',
    **dict.fromkeys(
        (type(Path()), type(PurePath()), PurePosixPath, PureWindowsPath),
        lambda value: _quoted(str(value)),
    ),
}
_LISTS: Final = frozenset({list, tuple, set, frozenset, deque})
_OBJECTS: Final = frozenset({dict, defaultdict, OrderedDict, Counter})


# --- what has something in it -----------------------------------------------------------------


def _entries(value: object) -> Mapping[Any, object] | Iterable[object] | str:
    """What is in a value, by name or in its order; what it is, when that is all that is told."""
    kind = type(value)
    if type(kind) is type and (kind in _LISTS or kind in _OBJECTS):
        return value  # type: ignore[return-value]  # of one of these very types
    fields = _fields(kind)
    if fields is not None:
        found = ((name, _field(value, name)) for name in fields)
        return {name: one for name, one in found if one is not _NOTHING}
    order = _ORDER.__get__(kind)
    if _is_in(order, Enum):
        name = _field(value, "_name_")
        return f"{type_name(value)}.{name}" if type(name) is str else f"<{type_name(value)}>"
    if _is_in(order, BaseException):
        return _ARGUMENTS.__get__(value)  # type: ignore[no-any-return]  # a tuple
    if _is_in(order, SessionFuture):
        return _task(value)
    return f"<{type_name(value)}>"


def _is_in(order: Iterable[type], wanted: type) -> bool:
    """Whether it is one of these classes; their metaclasses may say anything of equality."""
    return any(one is wanted for one in order)


def _fields(kind: type) -> Iterable[str] | None:
    """The fields of a dataclass or struct that its author lets be seen; None for other classes."""
    if type(kind) is _STRUCT:
        return tuple(getattr(kind, "__struct_fields__", ()))
    for one in _ORDER.__get__(kind):
        fields = _MEMBERS.__get__(one).get("__dataclass_fields__")
        if type(fields) is dict:
            return [
                name
                for name, field in fields.items()
                if type(name) is str and type(field) is dataclasses.Field and field.repr is True
            ]
    return None


def _field(value: object, name: str) -> object:
    """The value of a field, as Python keeps it; ``_NOTHING`` when it keeps none."""
    for one in _ORDER.__get__(type(value)):
        members = _MEMBERS.__get__(one)
        found = members.get(name)
        if type(found) is MemberDescriptorType:
            try:
                return found.__get__(value)
            except AttributeError:
                return _NOTHING
        own = members.get("__dict__")
        if type(own) is GetSetDescriptorType:
            return dict.get(own.__get__(value), name, _NOTHING)
    return _NOTHING


def _task(value: object) -> str:
    """A task or future of an orchestrator: what it is for, and how it stands."""
    assert isinstance(value, SessionFuture), "as its base classes say"
    match value:
        case CallTask():
            what: object = value.function
        case EventTask():
            what = value.name
        case Question():
            what = value.title
        case _:
            what = None
    told = f" {_quoted(what)}" if type(what) is str else ""
    state = "done" if value.done() else "pending"
    return f"<{type_name(value)}{told}, {state}>"
