"""Rebuilding objects with named fields, where a field needs more than msgspec can do.

Owns what dataclasses, attrs classes, msgspec structs, TypedDicts and NamedTuples have in common:
fields, each with a name in JSON, a type and perhaps a default. Unknown names are ignored, as
msgspec does, unless a struct forbids them.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from tenuto.model.errors import PayloadError
from tenuto.model.payload.error import expect, item, member
from tenuto.model.payload.foreign import Convert, is_attrs, is_pydantic


class Field(NamedTuple):
    """A field: ``key`` in JSON, ``name`` of the attribute, ``argument`` of the constructor (None:
    set afterwards).
    """

    key: str
    name: str
    argument: str | None
    required: bool


def is_record(cls: object) -> bool:
    """Whether the class has named fields of declared types."""
    return isinstance(cls, type) and (
        is_attrs(cls)
        or dataclasses.is_dataclass(cls)
        or typing.is_typeddict(cls)
        or issubclass(cls, msgspec.Struct)
        or is_named_tuple(cls)
    )


def keys_of(annotation: Any) -> frozenset[str] | None:
    """The names that an object of this type has in JSON; None for types that are not written as
    such an object.
    """
    cls = get_origin(annotation) or annotation
    if is_pydantic(cls):
        return frozenset(cls.__pydantic_fields__)
    if not is_record(cls) or is_array(cls):
        return None
    tag = [cls.__struct_config__.tag_field] if issubclass(cls, msgspec.Struct) else []
    return frozenset([field.key for field in _fields(cls)] + [name for name in tag if name])


class Record:
    """The converter for a class with fields; it looks up their types at first use, since classes
    may hold themselves.

    Args:
        annotation: The class, or a generic one with its arguments.
        resolve: Gives the converter for a field's type.

    Errors:
        PayloadError: When objects of the class cannot be made from their fields.
    """

    def __init__(self, annotation: Any, resolve: Callable[[object], Convert]) -> None:
        self._annotation = annotation
        self._cls: type[Any] = get_origin(annotation) or annotation
        self._resolve = resolve
        _refuse_init_vars(self._cls)

    def __call__(self, data: Any, path: str) -> Any:
        if is_array(self._cls):
            expect(list, data, path)
            data = {
                field.key: part for (field, _), part in zip(self._converters, data, strict=False)
            }
        expect(dict, data, path)
        _refuse_wrong_struct(self._cls, data, path, {field.key for field, _ in self._converters})
        return self._made(dict(self._parts(data, path)), path)

    @cached_property
    def _converters(self) -> list[tuple[Field, Convert]]:
        types = field_types(self._annotation)
        return [(field, self._resolve(types.get(field.name, Any))) for field in _fields(self._cls)]

    def _parts(self, data: dict[str, Any], path: str) -> Iterator[tuple[Field, Any]]:
        for index, (field, convert) in enumerate(self._converters):
            place = item(path, index) if is_array(self._cls) else member(path, field.key)
            if field.key in data:
                yield field, convert(data[field.key], place)
            elif field.required:
                raise PayloadError(
                    f"does not fit: Object missing required field `{field.key}`", path=path
                )

    def _made(self, parts: dict[Field, Any], path: str) -> Any:
        arguments = {field.argument: part for field, part in parts.items() if field.argument}
        try:
            value = self._cls(**arguments)
        except (TypeError, ValueError) as error:  # the class's own checks
            raise PayloadError(
                f"does not fit {self._cls.__qualname__}: {error}", path=path
            ) from error
        for field, part in parts.items():
            if not field.argument:
                object.__setattr__(value, field.name, part)
        return value


def _fields(cls: Any) -> list[Field]:
    if is_attrs(cls):
        return [
            Field(one.name, one.name, one.alias if one.init else None, one.init and not one.default)
            for one in _with_plain_defaults(cls)
        ]
    if dataclasses.is_dataclass(cls):
        return [
            Field(
                one.name,
                one.name,
                one.name if one.init else None,
                one.init and _has_no_default(one),
            )
            for one in dataclasses.fields(cls)
        ]
    if typing.is_typeddict(cls):
        return [
            Field(name, name, name, name in cls.__required_keys__) for name in cls.__annotations__
        ]
    if is_named_tuple(cls):
        return [Field(name, name, name, name not in cls._field_defaults) for name in cls._fields]
    return [
        Field(one.encode_name, one.name, one.name, one.required)
        for one in msgspec.structs.fields(cls)
    ]


class _AttrsField(NamedTuple):
    name: str
    alias: str
    init: bool
    default: bool


def _with_plain_defaults(cls: Any) -> list[_AttrsField]:
    """The fields of an attrs class, with whether each has a default; attrs marks none with its enum
    NOTHING.
    """
    return [
        _AttrsField(one.name, one.alias, one.init, getattr(one.default, "name", "") != "NOTHING")
        for one in cls.__attrs_attrs__
    ]


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def is_named_tuple(cls: type[Any]) -> bool:
    """Whether the class is a NamedTuple, or a subclass of one."""
    return issubclass(cls, tuple) and hasattr(cls, "_field_defaults")


def is_array(cls: type[Any]) -> bool:
    """Whether objects of the class are written as arrays, by position."""
    return is_named_tuple(cls) or (
        issubclass(cls, msgspec.Struct) and cls.__struct_config__.array_like
    )


def _refuse_init_vars(cls: Any) -> None:
    kept = (
        {field.name for field in dataclasses.fields(cls)}
        if dataclasses.is_dataclass(cls)
        else set()
    )
    for name, field in getattr(cls, "__dataclass_fields__", {}).items():
        if name not in kept and isinstance(field.type, dataclasses.InitVar):
            raise PayloadError(
                f"cannot be rebuilt: {cls!r} needs {name!r}, an InitVar, and that is not kept"
            )


def _refuse_wrong_struct(cls: type[Any], data: dict[str, Any], path: str, known: set[str]) -> None:
    """The two rules that structs have and other classes have not: tags, and unknown names that are
    forbidden.
    """
    if not issubclass(cls, msgspec.Struct):
        return
    config = cls.__struct_config__
    if (
        config.tag is not None
        and not config.array_like
        and data.get(config.tag_field or "") != config.tag
    ):
        raise PayloadError(f"does not fit: Expected {config.tag_field} {config.tag!r}", path=path)
    unknown = sorted(data.keys() - known - {config.tag_field})
    if config.forbid_unknown_fields and unknown:
        raise PayloadError(f"does not fit: Object contains unknown field `{unknown[0]}`", path=path)


def field_types(annotation: Any) -> dict[str, Any]:
    """The types of a class's fields, with those that stand for its type variables and for Self.

    Errors:
        PayloadError: When a type is not there at run time.
    """
    cls = get_origin(annotation) or annotation
    try:
        found = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise PayloadError(
            f"cannot be rebuilt: a field of {cls!r} has an unknown type: {error}"
        ) from error
    bound = _type_variables(annotation)
    return {name: _itself(_bind(kind, bound), annotation) for name, kind in found.items()}


def _itself(kind: Any, annotation: Any) -> Any:
    """A type with the class in place of Self."""
    if kind is typing.Self:
        return annotation
    inner = get_args(kind)
    if get_origin(kind) in (None, typing.Literal) or not inner:
        return kind
    replaced = tuple(_itself(one, annotation) for one in inner)
    if replaced == inner:
        return kind
    if get_origin(kind) in (typing.Union, types.UnionType):
        return typing.Union[replaced]  # noqa: UP007 - made of a tuple
    return kind.copy_with(replaced) if hasattr(kind, "copy_with") else get_origin(kind)[replaced]


def _type_variables(annotation: Any) -> dict[TypeVar, Any]:
    """What stands for each type variable of a generic class, in its generic bases too."""
    cls = get_origin(annotation) or annotation
    bound = dict(zip(getattr(cls, "__parameters__", ()), get_args(annotation), strict=False))
    inherited: dict[TypeVar, Any] = {}
    for base in getattr(cls, "__orig_bases__", ()):
        if is_record(get_origin(base)):
            inherited |= _type_variables(_bind(base, bound))
    return inherited | bound


def _bind(kind: Any, bound: dict[TypeVar, Any]) -> Any:
    if isinstance(kind, TypeVar):
        return bound.get(kind, kind)
    parameters = getattr(kind, "__parameters__", ()) if get_args(kind) else ()
    return kind[tuple(bound.get(one, one) for one in parameters)] if parameters else kind
