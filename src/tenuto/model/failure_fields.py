"""What an exception carries, as JSON, and the exception that is made of it again.

Kept are ``args`` and the attributes whose names do not begin with an underscore, as far as they
can be stored *and* come back as what they were: JSON's own values, some common types, and whatever
the class annotates with a type that payloads can have. The rest is left out. Both ways run on the
code of users, which may do anything; none of it is called to make an exception again: neither
``__init__`` nor ``__new__`` of its class, so that a text in a store sets nothing off.
"""

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_type_hints

import msgspec

from tenuto.model.class_names import loaded_class
from tenuto.model.errors import WorkError
from tenuto.model.payload import decoder, encode

if TYPE_CHECKING:
    from tenuto.model.failure import FailureDetails

MOST_CHARACTERS: Final = 8_192
"""What one exception may keep of its fields; those that need more are left out."""

_DEEPEST: Final = 20
_LARGEST_INT: Final = 2**63

_ANNOTATED: Final = "annotated"
_KINDS: Final[dict[type, str]] = {
    tuple: "tuple",
    bytes: "bytes",
    Decimal: "decimal",
    datetime: "datetime",
    date: "date",
    time: "time",
    timedelta: "timedelta",
    uuid.UUID: "uuid",
}
_TYPES: Final = {name: kind for kind, name in _KINDS.items()}


class Fields(NamedTuple):
    """What was kept of an exception.

    Attributes:
        values: Attributes by name, as JSON.
        args: Its ``args``, as JSON; None when one of them cannot be kept, or when they are
            nothing but its message.
        kinds: What is no plain JSON value, by attribute or ``args.0``: the name of its type.
    """

    values: dict[str, Any]
    args: list[Any] | None
    kinds: dict[str, str]


class _UnkeptError(Exception):
    """A value cannot be kept, or not within the room that is left."""


# --- recording ---------------------------------------------------------------------------------


def fields_of(error: BaseException, message: str) -> Fields:
    """What of an exception can be stored and comes back the same.

    Args:
        error: The exception. Its methods may raise anything, which comes out here.
        message: What it says.
    """
    room = MOST_CHARACTERS
    values: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    hints = _hints(type(error))
    for name, value in _attributes(error):
        with suppress(_UnkeptError):
            kept, kind, cost = _kept(value, hints.get(name), room - len(name))
            room -= cost + len(name)
            values[name] = kept
            if kind is not None:
                kinds[name] = kind
    for given in _all_args(error):
        if given == (message,):
            break
        with suppress(_UnkeptError):
            args, args_kinds = _kept_args(given, room)
            return Fields(values, args, kinds | args_kinds)
    return Fields(values, None, kinds)


def _all_args(error: BaseException) -> Iterator[tuple[object, ...]]:
    if isinstance(error, OSError):  # which names its file beside its args
        reduced: Any = OSError.__reduce__(error)
        yield reduced[1]
    yield error.args


def _kept_args(given: tuple[object, ...], room: int) -> tuple[list[Any], dict[str, str]]:
    args: list[Any] = []
    kinds: dict[str, str] = {}
    for index, value in enumerate(given):
        kept, kind, cost = _kept(value, None, room)
        room -= cost
        args.append(kept)
        if kind is not None:
            kinds[f"args.{index}"] = kind
    return args, kinds


def _attributes(error: BaseException) -> Iterator[tuple[str, object]]:
    """Its public attributes, those in slots included."""
    for name, value in list(error.__dict__.items()):
        if _is_public(name):
            yield name, value
    for name, slot in _slots(type(error)).items():
        with suppress(AttributeError):  # it is empty
            yield name, slot.__get__(error)


def _is_public(name: object) -> bool:
    return type(name) is str and name.isidentifier() and not name.startswith("_")


def _slots(kind: type) -> dict[str, MemberDescriptorType]:
    """The slots that classes of users have declared."""
    return {
        name: member
        for base in reversed(type.mro(kind))
        if base.__module__ != "builtins"
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType) and _is_public(name)
    }


def _hints(kind: type) -> dict[str, Any]:
    """What a class annotates, as far as it means something here."""
    try:
        return get_type_hints(kind)
    except Exception:  # noqa: BLE001 - annotations are code of users, and may name what is not there
        hints: dict[str, Any] = {}
    for base in reversed(type.mro(kind)):
        place = vars(sys.modules.get(base.__module__, object))
        for name, annotation in vars(base).get("__annotations__", {}).items():
            one = type("One", (), {"__annotations__": {name: annotation}})
            with suppress(Exception):  # one that means nothing leaves the others alone
                hints |= get_type_hints(one, dict(place))
    return hints


def _kept(value: object, hint: object, room: int) -> tuple[Any, str | None, int]:
    """A value as JSON, what says how it comes back, and its cost."""
    if value is None or type(value) in _PLAIN:
        return value, None, _cost(value, room, 0)
    kind = type(value)
    if kind in _KINDS:
        with suppress(_UnkeptError, msgspec.ValidationError):
            rough = list(value) if isinstance(value, tuple) else str(value)
            _cost(rough, room, 0)  # before it is copied
            data = msgspec.to_builtins(value)
            if _is_same(msgspec.convert(data, kind), value):
                return data, _KINDS[kind], _cost(rough, room, 0)
    if hint is not None and hint is not Any:
        with suppress(Exception):  # a type that payloads cannot have, such as an open connection
            text = encode(value)
            if len(text) <= room and _is_same(decoder(hint)(text), value):
                return msgspec.json.decode(text), _ANNOTATED, len(text)
    raise _UnkeptError


def _is_same(back: object, value: object) -> bool:
    """Whether a value came back as what it was: equal times may be of different zones."""
    return type(back) is type(value) and back == value and _zone(back) == _zone(value)


_PLAIN: Final = {str, int, float, bool, list, dict}


def _zone(value: object) -> object:
    return (value.tzinfo, value.fold) if isinstance(value, datetime | time) else None


def _cost(value: object, room: int, depth: int) -> int:
    """About how many characters of JSON a value takes.

    Raises:
        _UnkeptError: it is none of JSON's own values, or does not fit into the room.
    """
    cost = 0
    match value:
        case None | bool():
            cost = 5
        case str() if type(value) is str and (value.isascii() or _is_storable(value)):
            cost = len(value) + 2
        case int() if type(value) is int and -_LARGEST_INT <= value < _LARGEST_INT:
            cost = len(str(value))
        case float() if type(value) is float and isfinite(value):
            cost = len(repr(value))
        case list() if type(value) is list and depth < _DEEPEST and len(value) <= room:
            cost = 2
            for one in value:
                cost += _cost(one, room - cost, depth + 1) + 1
        case dict() if type(value) is dict and depth < _DEEPEST and len(value) <= room:
            cost = 2
            for key, one in value.items():
                cost += _cost(key if type(key) is str else value, room - cost, _DEEPEST) + 1
                cost += _cost(one, room - cost, depth + 1) + 1
        case _:
            raise _UnkeptError
    if cost > room:
        raise _UnkeptError
    return cost


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- making it again ---------------------------------------------------------------------------


def rebuilt(failure: "FailureDetails", kind: type[BaseException] | None = None) -> BaseException:
    """The exception that a failure was made of, with its causes.

    Args:
        failure: A recorded failure.
        kind: What it is to be; by default its own class, or the nearest base that this process has
            imported. At the least it is an ``Exception`` with the message.
    """
    classes = [kind] if kind is not None else [*_classes(failure)]
    error = next(filter(None, (_made(one, failure) for one in classes)), None)
    if error is None:
        error = Exception(failure.error_message)
    if failure.notes:
        error.__dict__["__notes__"] = list(failure.notes)
    inner = failure.inner_failure
    if isinstance(error, WorkError):
        error.failure = failure if inner is None or failure.while_handling else inner
    elif inner is not None and failure.while_handling:
        error.__context__ = rebuilt(inner)
    elif inner is not None:
        error.__cause__ = rebuilt(inner)
    return error


def class_of(failure: "FailureDetails", kind: type[BaseException]) -> type[BaseException]:
    """The class of a failure where it is a subclass of ``kind`` that is here, else ``kind``."""
    known = loaded_class(failure.error_type)
    return known if known is not None and issubclass(known, kind) else kind


def _classes(failure: "FailureDetails") -> Iterator[type[BaseException]]:
    for name in (failure.error_type, *failure.bases):
        known = loaded_class(name)
        if known is not None and issubclass(known, BaseException):
            yield known


def _made(kind: type[BaseException], failure: "FailureDetails") -> BaseException | None:
    """An exception of that class without the code of that class, with its args or else its message;
    None when Python makes none so.
    """
    base: Any = next(one for one in type.mro(kind) if one.__module__ == "builtins")
    args = _args(failure)
    is_what_was_raised = kind is loaded_class(failure.error_type)
    made: list[BaseException] = []
    for given in (args, (failure.error_message,)):
        with suppress(Exception):  # such as a group without its members
            error: BaseException = base.__new__(kind, *given)
            base.__init__(error, *given)
            made.append(error)
            if is_what_was_raised or _says(error, failure.error_message):
                break
    if not made:
        return None
    _put_fields(made[-1], failure)
    return made[-1]


def _says(error: BaseException, message: str) -> bool:
    """Whether it has the text that was recorded, as far as Python alone can tell.

    The class that was raised may have made its text of other things than its args; a base of it
    that stands here in its place does not know them.
    """
    kind: Any = next(one for one in type.mro(type(error)) if "__str__" in vars(one))
    return bool(kind.__module__ != "builtins" or kind.__str__(error) == message)


def _args(failure: "FailureDetails") -> tuple[Any, ...]:
    if failure.args is None:
        return (failure.error_message,)
    kinds = failure.kinds or {}
    return tuple(
        _value(value, kinds.get(f"args.{index}"), None) for index, value in enumerate(failure.args)
    )


def _put_fields(error: BaseException, failure: "FailureDetails") -> None:
    if not failure.properties:
        return
    kinds = failure.kinds or {}
    hints = _hints(type(error)) if _ANNOTATED in kinds.values() else {}
    slots = _slots(type(error))
    for name, stored in failure.properties.items():
        with suppress(Exception):  # the class has changed: what does not fit is left out
            value = _value(stored, kinds.get(name), hints.get(name))
            if name in slots:
                slots[name].__set__(error, value)
            else:
                error.__dict__[name] = value


def _value(stored: object, kind: str | None, hint: object) -> Any:  # noqa: ANN401 - of users
    if kind is None:
        return stored
    if kind == _ANNOTATED:
        decode: Callable[[str], Any] = decoder(hint)
        return decode(msgspec.json.encode(stored).decode())
    return msgspec.convert(stored, _TYPES[kind])
