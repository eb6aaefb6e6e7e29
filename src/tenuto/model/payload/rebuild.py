"""Converters from plain JSON data, for the annotations that msgspec alone cannot serve.

Owns containers, unions, enums and literals; objects with fields are in ``records``. Every part that
msgspec can serve is left to msgspec. Built lazily and once per annotation, since types may refer to
themselves.
"""

import collections.abc
import enum
import types
import typing
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from tenuto.model.cuts import cut
from tenuto.model.errors import PayloadError
from tenuto.model.payload.error import ROOT, expect, item, member, misfit
from tenuto.model.payload.foreign import Convert, is_pydantic, pydantic_converter
from tenuto.model.payload.moments import zoned_moment
from tenuto.model.payload.native import MISFITS, has_moments, is_native
from tenuto.model.payload.plain import advice_for, key_text, plain
from tenuto.model.payload.records import Record, is_record, keys_of

_UNIONS = (typing.Union, types.UnionType)
_QUALIFIERS = (Annotated, typing.Required, typing.NotRequired, typing.Final)
_PLAIN_BASES = (str, int, float, bytes, dict, list, set, frozenset)
_ABSTRACT: dict[object, type] = {
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
}


def rebuild_custom(cls: Any, data: Any) -> Any:
    """The hook that msgspec calls for a class it does not know; `is_native` says which."""
    return data if cls is object else converter(cls)(data, ROOT)


def converter(annotation: object) -> Convert:
    """The converter for a type, built once and remembered.

    Errors:
        PayloadError: When the type can never be rebuilt from JSON.
    """
    try:
        return _remembered(annotation, repr(annotation))
    except TypeError:  # unhashable metadata in Annotated
        return _build(annotation)


@lru_cache(maxsize=4096)
def _remembered(annotation: object, _spelling: str) -> Convert:
    return _build(annotation)


def _build(annotation: Any) -> Convert:
    if is_pydantic(annotation):
        return pydantic_converter(annotation, converter)
    if is_native(annotation) and not has_moments(annotation):
        return _native(annotation)
    if _is_moment(annotation):
        return _moment(annotation)
    transparent = meant_by(annotation)
    if transparent is not None:
        return converter(transparent)
    origin = get_origin(annotation) or annotation
    if origin in _UNIONS:
        return _union(get_args(annotation), converter)
    if origin is Literal:
        return _one_of(
            [(plain(choice), choice) for choice in get_args(annotation)], str(annotation)
        )
    if is_record(origin):
        return Record(annotation, converter)
    if isinstance(origin, type):
        return _container(_ABSTRACT.get(origin, origin), annotation)
    raise PayloadError(f"cannot be rebuilt: {annotation!r} is not a type of storable values")


def meant_by(annotation: Any) -> Any:
    """The type that a NewType, an alias, an Annotated or a free type variable stands for."""
    if get_origin(annotation) in _QUALIFIERS:
        return get_args(annotation)[0]
    if isinstance(annotation, TypeVar):
        return annotation.__bound__ or Any
    return getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)


def _native(annotation: Any) -> Convert:
    def convert(data: Any, path: str) -> Any:
        try:
            return msgspec.convert(data, annotation, dec_hook=rebuild_custom, str_keys=True)
        except MISFITS as error:
            raise misfit(error, path) from error

    return convert


def _is_moment(annotation: Any) -> bool:
    while get_origin(annotation) in _QUALIFIERS:
        annotation = get_args(annotation)[0]
    return annotation is datetime


def _moment(annotation: Any) -> Convert:
    """Points in time: what names a zone is read here, and then held against the annotation's own
    conditions.
    """
    convert_plain = _native(annotation)

    def convert(data: Any, path: str) -> Any:
        zoned = zoned_moment(data, path) if isinstance(data, str) else None
        if zoned is None:
            return convert_plain(data, path)
        convert_plain(datetime.isoformat(zoned.replace(tzinfo=UTC)), path)
        return zoned

    return convert


def _container(cls: type[Any], annotation: object) -> Convert:
    """A class that is, or derives from, a builtin one: it is called with its content."""
    if issubclass(cls, enum.Enum):
        return _one_of([(plain(one.value), one) for one in cls], f"`{cls.__qualname__}`")
    arguments = get_args(annotation)
    if issubclass(cls, tuple):
        return _tuple_of(cls, annotation)
    base = next((base for base in _PLAIN_BASES if issubclass(cls, base)), None)
    if base is None:
        raise PayloadError(f"cannot be rebuilt: {annotation!r} has no JSON form; {advice_for(cls)}")
    if cls is defaultdict:
        raise PayloadError(
            f"cannot be rebuilt: {annotation!r} has code in it, what makes its defaults;"
            " annotate it as dict and pass dict(...) of it"
        )
    if base is dict:
        content = _dict(*_entries(cls, arguments))
    elif base in (list, set, frozenset):
        content = _list(*(arguments or (Any,)))
    else:
        content = converter(base)
    return _called(cls, content)


def _called(cls: type[Any], content: Convert) -> Convert:
    def convert(data: Any, path: str) -> Any:
        value = content(data, path)
        try:
            return cls(value)
        except (TypeError, ValueError) as error:
            raise PayloadError(
                f"does not fit: {cls.__qualname__} cannot be made of it: {error}", path=path
            ) from error

    return convert


def _list(element: object) -> Convert:
    convert_element = converter(element)

    def convert(data: Any, path: str) -> list[Any]:
        expect(list, data, path)
        return [convert_element(part, item(path, index)) for index, part in enumerate(data)]

    return convert


def _tuple_of(cls: type[Any], annotation: object) -> Convert:
    if cls is tuple:
        return _tuple(get_args(annotation))
    # A subclass may say of what it is: `class Pair(tuple[int, str])`.
    bases = getattr(cls, "__orig_bases__", ())
    base = next((one for one in bases if get_origin(one) is tuple), tuple[Any, ...])
    return _called(cls, _tuple(get_args(base)))


def _tuple(arguments: tuple[Any, ...]) -> Convert:
    if arguments[1:] == (Ellipsis,):
        return _called(tuple, _list(arguments[0]))
    parts = [converter(argument) for argument in arguments]

    def convert(data: Any, path: str) -> tuple[Any, ...]:
        expect(list, data, path)
        if len(data) != len(parts):
            raise PayloadError(
                f"does not fit: Expected {len(parts)} elements, found {len(data)}", path=path
            )
        pairs = enumerate(zip(parts, data, strict=True))
        return tuple(convert_part(part, item(path, index)) for index, (convert_part, part) in pairs)

    return convert


def _entries(cls: type[Any], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """Types of keys and values: a subclass of dict may have parameters of its own."""
    if issubclass(cls, Counter) and arguments:
        return arguments[0], int
    if len(arguments) != 1:
        return arguments or (Any, Any)
    given = dict(zip(cls.__parameters__, arguments, strict=True))
    key, value = get_args(next(base for base in cls.__orig_bases__ if get_origin(base) is dict))
    return given.get(key, key), given.get(value, value)


def _dict(key: object, value: object) -> Convert:
    convert_value = converter(value)
    convert_key = _key(key)

    def convert(data: Any, path: str) -> dict[Any, Any]:
        expect(dict, data, path)
        return {
            convert_key(name, path): convert_value(part, member(path, name))
            for name, part in data.items()
        }

    return convert


def _key(key: Any) -> Convert:
    if not is_native(dict[key, None]) or has_moments(key):
        return _odd_key(key)
    convert_single = _native(dict[key, None])

    def convert(name: Any, path: str) -> Any:
        (value,) = convert_single({name: None}, path)
        return value

    return convert


def _odd_key(key: Any) -> Convert:
    if get_origin(key) in _UNIONS:
        return _union(get_args(key), _key)
    if isinstance(key, type) and issubclass(key, enum.Enum):
        return _one_of(list(_enum_keys(key)), f"`{key.__qualname__}`")
    return converter(key)


def _enum_keys(cls: type[enum.Enum]) -> Iterator[tuple[str, enum.Enum]]:
    for one in cls:
        with suppress(PayloadError):  # a member that no dictionary with this key can hold
            yield key_text(one, ROOT), one


def _one_of(choices: list[tuple[Any, Any]], expected: str) -> Convert:
    """Enums and literals by their JSON text, which tells 1 from true and from 1.0."""
    by_text = {msgspec.json.encode(written): choice for written, choice in choices}

    def convert(data: Any, path: str) -> Any:
        text = msgspec.json.encode(data)
        if text not in by_text:
            raise PayloadError(
                f"does not fit: Expected {expected}, found {cut(text.decode(), 80, '')}", path=path
            )
        return by_text[text]

    return convert


def _union(members: tuple[Any, ...], resolve: Callable[[object], Convert]) -> Convert:
    """The first member that fits, the likeliest ones first; the package's docstring states the
    order.
    """
    choices = [(one, keys_of(one), resolve(one)) for one in members]

    def convert(data: Any, path: str) -> Any:
        refusals: list[str] = []
        for _, _, convert_member in sorted(
            choices, key=lambda one: _distance(one[0], one[1], data)
        ):
            try:
                return convert_member(data, path)
            except PayloadError as error:
                refusals.append(f"{error.reason.removeprefix('does not fit: ')} at {error.path}")
        raise PayloadError(
            f"does not fit any member of the union: {'; '.join(refusals)}", path=path
        )

    return convert


def _distance(kind: Any, keys: frozenset[str] | None, data: Any) -> int:
    """How far data are from what a member of a union writes; 0 when nothing speaks against it."""
    if isinstance(data, dict):
        return len(data.keys() ^ keys) if keys is not None else 0
    return int(isinstance(data, int | float) and kind is not type(data))
