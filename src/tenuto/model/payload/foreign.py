"""Classes of other libraries, recognised by what they carry: pydantic and attrs.

Owns every fact about the two libraries; never imports them. A pydantic class (model or dataclass)
brings its own validator and serializer and is left to them; an attrs class lists its fields.
"""

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeGuard, get_args, get_origin

import msgspec

from tenuto.model.errors import PayloadError
from tenuto.model.payload.error import ROOT, item, member
from tenuto.model.payload.moments import mentions_zone, zone_of, zoned_moment, zoned_text

Convert = Callable[[Any, str], Any]
"""Rebuilds a value from plain JSON data found at a path."""


def is_pydantic(cls: object) -> TypeGuard[type[Any]]:
    """Whether the class is a pydantic model or a pydantic dataclass."""
    return isinstance(cls, type) and hasattr(cls, "__pydantic_validator__")


def is_attrs(cls: object) -> TypeGuard[type[Any]]:
    """Whether the class was made by attrs."""
    return isinstance(cls, type) and hasattr(cls, "__attrs_attrs__")


def is_secret(value: object) -> bool:
    """Whether it is one of pydantic's secrets, which are written as stars."""
    return hasattr(type(value), "get_secret_value")


def dump_pydantic(value: Any, path: str, plain: Callable[[Any, str], Any]) -> Any:
    """The JSON data of a pydantic object; ``plain`` writes the members that pydantic does not know.

    Errors:
        PayloadError: When the model's own serializer refuses the value.
    """
    cls: Any = type(value)
    serializer = cls.__pydantic_serializer__
    try:
        data = serializer.to_python(
            value,
            mode="json",
            round_trip=True,
            warnings="error",
            fallback=lambda inner: msgspec.to_builtins(plain(inner, path), str_keys=True),
        )
    except PayloadError:
        raise
    except ValueError as error:  # PydanticSerializationError is one
        raise PayloadError(
            f"cannot be stored: {type(value)!r} refuses it: {error}", path=path
        ) from error
    return _with_zones_of(value, data) if names_moments(cls) else data


def pydantic_converter(cls: type[Any], resolve: Callable[[object], Convert]) -> Convert:
    """Rebuild a pydantic class from JSON data.

    Members whose types pydantic can hold but not rebuild (attrs classes, msgspec structs) are
    rebuilt by ``resolve`` first; such a model is then validated as Python data, so a strict one may
    refuse what strict JSON would allow.
    """
    inner = {
        alias: resolve(field.annotation)
        for name, field in getattr(cls, "__pydantic_fields__", {}).items()
        if _names_foreign_class(field.annotation)
        for alias in {name, field.alias or name}
    }

    def convert(data: Any, path: str) -> Any:
        if not inner or not isinstance(data, dict):
            return validate_json(cls, msgspec.json.encode(data), path)
        ready = {
            key: inner[key](part, member(path, key)) if key in inner else part
            for key, part in _zoned(cls, data, path).items()
        }
        return _validated(cls, "validate_python", ready, path)

    return convert


def is_self_contained(cls: type[Any]) -> bool:
    """Whether pydantic can rebuild the class alone, so that its text need not be parsed by us."""
    return not any(
        _names_foreign_class(f.annotation) for f in getattr(cls, "__pydantic_fields__", {}).values()
    )


def validate_json(cls: type[Any], text: str | bytes, path: str = ROOT) -> Any:
    """Rebuild a pydantic class from JSON text with its own validator, by field names and by
    aliases.

    Errors:
        PayloadError: When the validator refuses the data; it names the first place and how many
            more there are.
    """
    kind: Any = cls
    if mentions_zone(text) and names_moments(kind):
        # Pydantic cannot read the name of a zone, yet takes a point in time that has one.
        data = msgspec.json.decode(text)
        zoned = _zoned(cls, data, path)
        if zoned != data:
            return _validated(cls, "validate_python", zoned, path)
    return _validated(cls, "validate_json", text, path)


def _validated(cls: type[Any], method: str, data: Any, path: str) -> Any:
    validator = cls.__pydantic_validator__
    kind: Any = type(validator)
    try:
        return getattr(validator, method)(data, **_lookup_options(kind))
    except ValueError as error:  # pydantic's ValidationError is one
        raise _refusal(cls, error, path) from error


@lru_cache(maxsize=8)
def _lookup_options(validator: Any) -> dict[str, bool]:
    """Accept names beside aliases, since we write names. Pydantic before 2.11 cannot."""
    known = inspect.signature(validator.validate_json).parameters
    return {"by_alias": True, "by_name": True} if "by_name" in known else {}


def _refusal(cls: type[Any], error: ValueError, path: str) -> PayloadError:
    problems: list[dict[str, Any]] = getattr(error, "errors", list)()
    if not problems:
        return PayloadError(f"does not fit {cls.__qualname__}: {error}", path=path)
    for step in problems[0]["loc"]:
        path = item(path, step) if isinstance(step, int) else member(path, str(step))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    found = type(problems[0]["input"]).__name__
    return PayloadError(
        f"does not fit {cls.__qualname__}: {problems[0]['msg']}, found `{found}`{more}", path=path
    )


def _names_foreign_class(annotation: object) -> bool:
    if is_attrs(annotation) or (
        isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)
    ):
        return True
    return any(_names_foreign_class(argument) for argument in get_args(annotation))


# --- zones: pydantic writes offsets alone, and reads no names ------------------------------------


@lru_cache(maxsize=4096)
def names_moments(cls: type[Any]) -> bool:
    """Whether a pydantic class has points in time in its fields, or in those of classes in them."""
    waiting, seen = [cls], {cls}
    while waiting:
        for annotation in _annotations(waiting.pop()):
            for one in _mentioned(annotation):
                if _is_moment(one):
                    return True
                if is_pydantic(one) and one not in seen:
                    seen.add(one)
                    waiting.append(one)
    return False


def _annotations(cls: type[Any]) -> Iterator[object]:
    for field in getattr(cls, "__pydantic_fields__", {}).values():
        yield field.annotation


def _mentioned(annotation: object) -> Iterator[object]:
    yield annotation
    for argument in get_args(annotation):
        yield from _mentioned(argument)


def _is_moment(annotation: object) -> bool:
    """Whether it is ``datetime``, or one of the stricter forms that pydantic has of it."""
    if annotation is datetime:
        return True
    name = getattr(annotation, "__name__", "")
    return name.endswith("Datetime") and getattr(annotation, "__module__", "") == "pydantic.types"


def _keys(name: str, field: Any) -> set[str]:
    """The names under which a field may stand in JSON."""
    aliases = (field.alias, field.serialization_alias, field.validation_alias)
    return {name, *(one for one in aliases if isinstance(one, str))}


def _with_zones_of(value: Any, data: Any) -> Any:
    """What pydantic has written for a value, with the zones that it has left out."""
    if getattr(type(value), "__pydantic_root_model__", False):
        return _with_zones_of(value.root, data)
    match data:
        case str() if isinstance(value, datetime):
            zone = zone_of(value.tzinfo)
            return data if zone is None or not _is_text_of(value, data) else zoned_text(value, zone)
        case list() if isinstance(value, list | tuple) and len(data) == len(value):
            return [_with_zones_of(*pair) for pair in zip(value, data, strict=True)]
        case dict() if type(value) is dict and len(data) == len(value):
            parts = zip(value.values(), data.items(), strict=True)
            return {key: _with_zones_of(part, written) for part, (key, written) in parts}
        case dict() if is_pydantic(type(value)):
            fields = type(value).__pydantic_fields__
            names = {key: name for name, field in fields.items() for key in _keys(name, field)}
            return {
                key: _with_zones_of(getattr(value, names[key], None), part)
                if key in names
                else part
                for key, part in data.items()
            }
    return data


def _is_text_of(moment: datetime, text: str) -> bool:
    """Whether pydantic wrote it, and no serializer of the class, which may mean something by it."""
    with suppress(ValueError):
        return datetime.fromisoformat(text).isoformat() == moment.isoformat()
    return False


def _zoned(annotation: object, data: Any, path: str) -> Any:
    """JSON data for pydantic, in which points in time that name a zone are read."""
    kinds = list(_members(annotation))
    match data:
        case str() if str not in kinds and any(map(_is_moment, kinds)):
            return zoned_moment(data, path) or data
        case list():
            return [
                _zoned(_one_of(_element_kinds(kinds, index)), part, item(path, index))
                for index, part in enumerate(data)
            ]
        case dict():
            return {
                key: _zoned(_one_of(_value_kinds(kinds, key)), part, member(path, key))
                for key, part in data.items()
            }
        case _:
            return data


def _members(annotation: Any) -> Iterator[Any]:
    """The types that a value of this one may have."""
    match get_origin(annotation):
        case typing.Annotated:
            yield from _members(get_args(annotation)[0])
        case typing.Union | types.UnionType:
            for one in get_args(annotation):
                yield from _members(one)
        case _ if getattr(annotation, "__pydantic_root_model__", False):
            yield from _members(annotation.__pydantic_fields__["root"].annotation)
        case _:
            yield annotation


def _one_of(kinds: Iterator[Any]) -> object:
    several = tuple(kinds)
    return typing.Union[several] if several else object  # noqa: UP007 - made of a tuple


def _element_kinds(kinds: list[Any], index: int) -> Iterator[Any]:
    for kind in kinds:
        arguments = get_args(kind)
        is_fixed = get_origin(kind) is tuple and Ellipsis not in arguments
        yield from arguments[index : index + 1] if is_fixed else arguments[:1]


def _value_kinds(kinds: list[Any], key: str) -> Iterator[Any]:
    for kind in kinds:
        if is_pydantic(kind):
            fields = kind.__pydantic_fields__
            yield from (one.annotation for name, one in fields.items() if key in _keys(name, one))
        else:
            yield from get_args(kind)[1:2]
