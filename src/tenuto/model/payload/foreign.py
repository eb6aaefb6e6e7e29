"""Classes of other libraries, recognised by what they carry: pydantic and attrs.

Owns every fact about the two libraries, but for named zones (``pydantic_zones``); never imports
them. A pydantic class (model or dataclass) brings its own validator and serializer and is left to
them; an attrs class lists its fields.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeGuard, get_args

import msgspec

from tenuto.model.errors import PayloadError
from tenuto.model.payload.error import ROOT, item, member
from tenuto.model.payload.moments import mentions_zone
from tenuto.model.payload.pydantic_zones import names_moments, with_zones_of, with_zones_read

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
    return with_zones_of(value, data) if names_moments(cls) else data


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
            for key, part in with_zones_read(cls, data, path).items()
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
        zoned = with_zones_read(cls, data, path)
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
