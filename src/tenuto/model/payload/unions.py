"""Unions whose members cannot be told apart in JSON, found before a value is ever written.

``str | datetime``: both are written as text, so a text that looks like a date would come back as
one. Owns the question which two members of a union may have one JSON text for two values. What it
lets pass without a proof, ``faithful`` compares value by value.
"""

import collections.abc
import enum
import types
import typing
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any, Final, Literal, get_args, get_origin
from uuid import UUID

from tenuto.model.errors import PayloadError
from tenuto.model.payload.decoding import decoder
from tenuto.model.payload.encoding import encode
from tenuto.model.payload.error import ROOT
from tenuto.model.payload.foreign import is_pydantic
from tenuto.model.payload.rebuild import meant_by
from tenuto.model.payload.records import field_types, is_array, is_record, keys_of
from tenuto.model.payload.sameness import difference

_UNIONS: Final = (typing.Union, types.UnionType)
# Their texts look different from each other, whatever they are.
_DISTINCT_TEXTS: Final = frozenset({datetime, date, time, timedelta, UUID})
_DIGITS: Final = frozenset({datetime, date, time, timedelta, Decimal})
_TEXTS: Final = (str, bytes, bytearray, datetime, date, time, timedelta, UUID, Decimal)
_NUMBERS: Final = frozenset({int, float, bool})
_LISTS: Final = (collections.abc.Collection, collections.abc.Iterable)
_WHAT_TO_DO: Final = (
    "annotate one of them, or give each a class of its own with a field that tells them apart: "
    'kind: Literal["..."], or the tag of a msgspec struct'
)


def refuse_ambiguous(annotation: object) -> None:
    """See that unions in a type, and in the fields of its classes, can be told apart in JSON.

    Errors:
        PayloadError: When they cannot; it names the union, its members and what to do.
    """
    for union in _unions(annotation, set()):
        for one, other in combinations(_members(union), 2):
            why = _clash(one, other)
            if why is not None:
                raise PayloadError(
                    f"the annotation {_named(union)} is ambiguous: {_named(one)} and"
                    f" {_named(other)} {why}; {_WHAT_TO_DO}",
                    path="",
                )


def _unions(annotation: Any, seen: set[str]) -> Iterator[Any]:
    """The unions that a type mentions, each once; types may mention themselves."""
    name = repr(annotation)
    if name in seen:
        return
    seen.add(name)
    origin = get_origin(annotation)
    if origin in _UNIONS:
        yield annotation
    if origin is Literal:
        return
    meant = meant_by(annotation)
    inner = [meant] if meant is not None else list(get_args(annotation))
    cls = origin or annotation
    if is_record(cls) and not is_pydantic(cls):
        inner += _kinds(annotation).values()
    for one in inner:
        yield from _unions(one, seen)


def _kinds(annotation: Any) -> dict[str, Any]:
    try:
        return field_types(annotation)
    except PayloadError:  # not known yet, or never: that is told where it is rebuilt
        return {}


def _members(union: Any) -> list[Any]:
    found: list[Any] = []
    for one in get_args(union):
        plain = _plain(one)
        found += _members(plain) if get_origin(plain) in _UNIONS else [plain]
    return found


def _plain(annotation: Any) -> Any:
    meant = meant_by(annotation)
    return annotation if meant is None else _plain(meant)


def _clash(one: Any, other: Any) -> str | None:
    """Why two types cannot be told apart; None when they can, or when values must be looked at."""
    if one == other:
        return None
    for choices, kind in ((_choices(one), other), (_choices(other), one)):
        if choices is not None:
            return _clash_of_choices(choices, kind)
    form, other_form = _form(one), _form(other)
    if "any" in (form, other_form):
        kind = other if form == "any" else one
        is_json = _plain(kind) in (type(None), None, bool, int, float, str)
        return None if is_json else "are read without a type that tells which of them is meant"
    if (form, other_form) == ("object", "mapping"):
        return _clash_with_mapping(one, other)
    if (form, other_form) == ("mapping", "object"):
        return _clash_with_mapping(other, one)
    if form != other_form:
        return None
    return _CLASHES.get(form, _no_clash)(one, other)


def _choices(annotation: Any) -> tuple[Any, ...] | None:
    """The values of an enum or a Literal."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    is_enum = isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    return tuple(annotation) if is_enum else None


def _clash_of_choices(choices: tuple[Any, ...], kind: Any) -> str | None:
    if _form(kind) == "any":
        kind = Any
    try:
        read = decoder(kind)
    except PayloadError:  # told where it is rebuilt
        return None
    for choice in choices:
        try:
            back = read(encode(choice))
        except PayloadError:
            continue
        if difference(choice, back, ROOT) is not None:
            return f"are both written as {encode(choice):.40}"
    return None


def _form(annotation: Any) -> str:
    """What a type is written as."""
    cls = get_origin(annotation) or annotation
    if cls is Any or cls is object:
        return "any"
    if annotation is None or cls is type(None) or not isinstance(cls, type):
        return "null"
    if issubclass(cls, _TEXTS):
        return "text"
    if issubclass(cls, int | float):
        return "number"
    if keys_of(annotation) is not None:
        return "object"
    if issubclass(cls, dict | collections.abc.Mapping):
        return "mapping"
    return "array" if is_array(cls) or issubclass(cls, _LISTS) or cls in _LISTS else "unknown"


def _clash_of_texts(one: Any, other: Any) -> str | None:
    if {one, other} <= _DISTINCT_TEXTS or {one, other} <= _DIGITS:
        return None
    return "are both written as text, and one may look like the other"


def _clash_of_numbers(one: Any, other: Any) -> str | None:
    return None if {one, other} <= _NUMBERS else "are both written as numbers"


def _clash_of_arrays(one: Any, other: Any) -> str | None:
    lengths = _length(one), _length(other)
    if None not in lengths and lengths[0] != lengths[1]:
        return None
    is_told = None in lengths and _is_same_class(one, other) and _contents_tell(one, other)
    return None if is_told else "are both written as arrays"


def _length(annotation: Any) -> int | None:
    """How many elements each value has; None where that differs."""
    cls = get_origin(annotation) or annotation
    if hasattr(cls, "_fields"):
        return len(cls._fields)
    arguments = get_args(annotation)
    return len(arguments) if cls is tuple and arguments and Ellipsis not in arguments else None


def _clash_of_mappings(one: Any, other: Any) -> str | None:
    is_told = _is_same_class(one, other) and _contents_tell(one, other)
    return None if is_told else "are both written as objects"


def _is_same_class(one: Any, other: Any) -> bool:
    return (get_origin(one) or one) is (get_origin(other) or other)


def _contents_tell(one: Any, other: Any) -> bool:
    """Whether what stands in two containers of one class shows which of them it is; empty ones are
    equal anyhow.
    """
    arguments, others = get_args(one), get_args(other)
    if not arguments or not others:
        return False
    if _form(one) == "mapping":
        return bool(arguments[0] == others[0]) and _tells(arguments[1], others[1])
    return _tells(arguments[0], others[0])


def _clash_with_mapping(record: Any, mapping: Any) -> str | None:
    part = (*get_args(mapping), Any, Any)[1]
    is_told = any(_tells(kind, part) for kind in _kinds(record).values())
    return None if is_told else "are both written as objects"


def _clash_of_objects(one: Any, other: Any) -> str | None:
    if keys_of(one) != keys_of(other):
        return None
    tags = _tag(one), _tag(other)
    if None not in tags and tags[0] != tags[1]:
        return None
    kinds, others = _kinds(one), _kinds(other)
    if any(_tells(kind, others.get(name)) for name, kind in kinds.items()):
        return None
    return "have the same fields"


def _tag(annotation: Any) -> object:
    config = getattr(get_origin(annotation) or annotation, "__struct_config__", None)
    return None if config is None else config.tag


def _tells(kind: Any, other: Any) -> bool:
    """Whether a value's JSON text shows which of the two types it has."""
    kind, other = _plain(kind), _plain(other)
    if kind == other or get_origin(kind) in _UNIONS or get_origin(other) in _UNIONS:
        return False
    choices, others = _choices(kind), _choices(other)
    if choices is not None and others is not None:
        return not {encode(one) for one in choices} & {encode(one) for one in others}
    if choices is not None or others is not None:
        return False
    form, other_form = _form(kind), _form(other)
    if {form, other_form} & {"any", "unknown"}:
        return False
    if form == other_form == "text":
        return _clash_of_texts(kind, other) is None
    if form == other_form == "number":
        return bool in (kind, other)
    return form != other_form and {form, other_form} != {"object", "mapping"}


def _no_clash(_one: Any, _other: Any) -> None:
    return None


_CLASHES: Final = {
    "text": _clash_of_texts,
    "number": _clash_of_numbers,
    "array": _clash_of_arrays,
    "object": _clash_of_objects,
    "mapping": _clash_of_mappings,
}


def _named(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else f"`{annotation}`"
