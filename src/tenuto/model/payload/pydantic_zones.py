"""Named zones in pydantic classes: pydantic writes offsets alone, and reads no names.

Owns the way around that: the names are put into what pydantic has written, and points in time that
name a zone are read before pydantic validates, where the class has points in time. Classes are
known by the fields that they list; what cannot be followed, such as a dataclass in a model, is left
as pydantic has it.
"""

import types
import typing
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from itertools import repeat
from typing import Any, get_args, get_origin

from tenuto.model.payload.error import item, member
from tenuto.model.payload.moments import zone_of, zoned_moment, zoned_text


@lru_cache(maxsize=4096)
def names_moments(cls: type[Any]) -> bool:
    """Whether a pydantic class has points in time in its fields, or in those of classes in them."""
    waiting, seen = [cls], {cls}
    while waiting:
        for field in _fields(waiting.pop()).values():
            for one in _mentioned(field.annotation):
                if _is_moment(one):
                    return True
                if isinstance(one, type) and one not in seen:
                    seen.add(one)
                    waiting.append(one)
    return False


def _fields(cls: Any) -> dict[str, Any]:
    """The fields of a pydantic class; none for others."""
    fields: dict[str, Any] = getattr(cls, "__pydantic_fields__", {})
    return fields


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


def with_zones_of(value: Any, data: Any) -> Any:
    """What pydantic has written for a value, with the zones that it has left out."""
    if getattr(type(value), "__pydantic_root_model__", False):
        return with_zones_of(value.root, data)
    match data:
        case str() if isinstance(value, datetime):
            zone = zone_of(value.tzinfo)
            return data if zone is None or not _is_text_of(value, data) else zoned_text(value, zone)
        case list() if isinstance(value, list | tuple) and len(data) == len(value):
            return [with_zones_of(*pair) for pair in zip(value, data, strict=True)]
        case dict() if type(value) is dict and len(data) == len(value):
            parts = zip(value.values(), data.items(), strict=True)
            return {key: with_zones_of(part, written) for part, (key, written) in parts}
        case dict():
            fields = _fields(type(value))
            names = {key: name for name, field in fields.items() for key in _keys(name, field)}
            return {
                key: with_zones_of(getattr(value, names[key], None), part) if key in names else part
                for key, part in data.items()
            }
        case _:
            return data


def _is_text_of(moment: datetime, text: str) -> bool:
    """Whether pydantic wrote it, and no serializer of the class, which may mean something by it."""
    with suppress(ValueError):
        return datetime.fromisoformat(text).isoformat() == moment.isoformat()
    return False


def with_zones_read(cls: type[Any], data: Any, path: str) -> Any:
    """JSON data for a pydantic class, in which points in time that name a zone are read.

    Errors:
        PayloadError: When there is no such zone, or no such point in time.
    """
    return _read(list(_members(cls)), data, path)


def _read(kinds: list[Any], data: Any, path: str) -> Any:
    if not any(map(_has_moments, kinds)):  # what is long is seldom looked at piece by piece
        return data
    match data:
        case str() if str not in kinds and any(map(_is_moment, kinds)):
            return zoned_moment(data, path) or data
        case list():
            parts = enumerate(zip(data, _kinds_of_elements(kinds)))  # noqa: B905 - endless
            return [_read(part_kinds, part, item(path, at)) for at, (part, part_kinds) in parts]
        case dict():
            return {
                key: _read(_kinds_of_value(kinds, key), part, member(path, key))
                for key, part in data.items()
            }
        case _:
            return data


def _has_moments(annotation: Any) -> bool:
    return any(
        _is_moment(one) or (isinstance(one, type) and names_moments(one))
        for one in _mentioned(annotation)
    )


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


def _kinds_of_elements(kinds: list[Any]) -> Iterator[list[Any]]:
    """The types that each element of an array may have, without end."""
    fixed = [get_args(kind) for kind in kinds if _is_fixed(kind)]
    others = [one for kind in kinds if not _is_fixed(kind) for one in get_args(kind)[:1]]
    for index in range(max(map(len, fixed), default=0)):
        given = [one for arguments in fixed for one in arguments[index : index + 1]]
        yield _all_members([*given, *others])
    yield from repeat(_all_members(others))


def _is_fixed(kind: Any) -> bool:
    return get_origin(kind) is tuple and Ellipsis not in get_args(kind)


def _kinds_of_value(kinds: list[Any], key: str) -> list[Any]:
    """The types that a member of an object may have."""
    found: list[Any] = []
    for kind in kinds:
        fields = _fields(kind).items()
        found += [one.annotation for name, one in fields if key in _keys(name, one)]
        if not fields:
            found += get_args(kind)[1:2]
    return _all_members(found)


def _all_members(annotations: list[Any]) -> list[Any]:
    return [one for annotation in annotations for one in _members(annotation)]
