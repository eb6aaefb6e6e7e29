"""Proofs, by looking at types alone, that a value comes back from JSON as it was.

``proof(annotation)`` gives a test that is built once for an annotation. When it says yes, what the
decoder gives is equal to the value, with the same types: no subclass stands where its base is
annotated, nothing in it changes on the way. When it says no, nothing is known: the value may be
wrong, or its class may have rules of its own (a ``__post_init__``, a validator, a converter), and
``faithful`` looks at what really comes back. Most values are proved, and pay for that a look at
their types, in C.
"""

import collections.abc
import dataclasses
import enum
import operator
import types
import typing
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias, get_args, get_origin
from uuid import UUID

import msgspec

from tenuto.model.payload.foreign import is_attrs, is_pydantic
from tenuto.model.payload.plain import MAX_DEPTH
from tenuto.model.payload.rebuild import meant_by
from tenuto.model.payload.records import field_types, is_named_tuple

Test: TypeAlias = Callable[[Any], bool]


class Proof(NamedTuple):
    """A test of values.

    Attributes:
        test: True for a value that surely comes back as it was.
        types: When the test asks for nothing but the type: the types.
    """

    test: Test
    types: frozenset[type] | None = None


_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes, date, timedelta, UUID})
_JSON_ATOMS: Final = frozenset({type(None), bool, int, float, str})
_TEXT: Final = frozenset({str})
_KEYS: Final = (frozenset({str}), frozenset({int}))
_ARRAYS: Final[dict[object, type[Collection[Any]]]] = {
    list: list,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    set: set,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    frozenset: frozenset,
}
_OBJECTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
# What a type is written as; unions of types of different forms tell their members apart.
_FORMS: Final[dict[object, str]] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    bytes: "text",
    date: "text",
    datetime: "text",
    time: "text",
    timedelta: "text",
    UUID: "text",
    **dict.fromkeys(_ARRAYS, "array"),
    tuple: "array",
    **dict.fromkeys(_OBJECTS, "object"),
}


def proof(annotation: object) -> Proof:
    """The proof for an annotation, built once; for types it does not know one that never holds."""
    try:
        return _remembered(annotation, None if isinstance(annotation, type) else repr(annotation))
    except TypeError:  # unhashable metadata in Annotated
        return _build(annotation)


@lru_cache(maxsize=4096)
def _remembered(annotation: object, _spelling: str | None) -> Proof:
    return _build(annotation)


def is_json(value: Any, levels: int = MAX_DEPTH - 1) -> bool:
    """Whether a value is what JSON text is read as where nothing is annotated; with no more levels
    below it.
    """
    cls = type(value)
    if cls in _JSON_ATOMS:
        return True
    if cls is dict:
        if not _TEXT.issuperset(map(type, value)):
            return False
        parts: Iterable[Any] = value.values()
    elif cls is list:
        parts = value
    else:
        return False
    if _JSON_ATOMS.issuperset(map(type, parts)):
        return True
    return levels > 0 and all(is_json(part, levels - 1) for part in parts)


def _build(annotation: Any) -> Proof:
    if annotation is Any or annotation is object:
        return Proof(is_json)
    if get_origin(annotation) is Annotated and _has_conditions(annotation):
        return _NOTHING  # they are checked when a value is read
    meant = meant_by(annotation)
    if meant is not None:
        return proof(meant)
    origin = get_origin(annotation) or annotation
    make = _MAKERS.get(origin)
    if make is not None:
        return make(get_args(annotation))
    if origin in _ATOMS:
        return _typed({origin})
    return _of_class(origin, annotation) if isinstance(origin, type) else _NOTHING


def _has_conditions(annotation: Any) -> bool:
    return any(isinstance(one, msgspec.Meta) for one in annotation.__metadata__)


def _of_class(cls: type[Any], annotation: object) -> Proof:
    if issubclass(cls, enum.Enum):
        values = frozenset(type(one.value) for one in cls)
        is_plain = values in _KEYS and not issubclass(cls, enum.Flag)
        return _typed({cls}) if is_plain else _NOTHING
    if typing.is_typeddict(cls):
        return Proof(_Fields(annotation, ()).test_dictionary)
    names = _plain_fields(cls)
    return _NOTHING if names is None else Proof(_Fields(annotation, names).test)


def _typed(classes: set[type]) -> Proof:
    found = frozenset(classes)
    return Proof(lambda value: type(value) in found, found)


def _never(_value: object) -> bool:
    return False


_NOTHING: Final = Proof(_never)


def _is_plain_moment(value: datetime | time) -> bool:
    return (value.tzinfo is None or value.tzinfo is UTC) and not value.fold


def _moment(cls: type[datetime | time]) -> Callable[[object], Proof]:
    return lambda _arguments: Proof(lambda value: type(value) is cls and _is_plain_moment(value))


def _decimal(_arguments: object) -> Proof:
    return Proof(lambda value: type(value) is Decimal and value.is_finite())


def _every(part: Proof) -> Callable[[Iterable[Any]], bool]:
    if part.types is not None:
        among = part.types.issuperset
        return lambda values: among(map(type, values))
    test = part.test
    return lambda values: all(map(test, values))


def _array(cls: type[Collection[Any]]) -> Callable[[tuple[Any, ...]], Proof]:
    def made(arguments: tuple[Any, ...]) -> Proof:
        every = _every(proof(arguments[0] if arguments else Any))
        return Proof(lambda value: type(value) is cls and every(value))

    return made


def _tuple(arguments: tuple[Any, ...]) -> Proof:
    if not arguments:  # tuple alone, and tuple[()]
        return _NOTHING
    if arguments[1:] == (Ellipsis,):
        return _array(tuple)(arguments)
    tests = [proof(argument).test for argument in arguments]
    return Proof(
        lambda value: (
            type(value) is tuple
            and len(value) == len(tests)
            and all(test(part) for test, part in zip(tests, value, strict=True))
        )
    )


def _dict(arguments: tuple[Any, ...]) -> Proof:
    key, value = map(proof, arguments or (Any, Any))
    # Keys of any kind are read as text.
    types_of_keys = _TEXT if key.test is is_json else key.types
    if types_of_keys not in _KEYS:
        return _NOTHING
    among, every = types_of_keys.issuperset, _every(value)

    def test(given: Any) -> bool:
        return type(given) is dict and among(map(type, given)) and every(given.values())

    return Proof(test)


def _literal(choices: tuple[Any, ...]) -> Proof:
    if not all(type(one) in _JSON_ATOMS for one in choices):
        return _NOTHING
    known = frozenset((type(one), one) for one in choices)
    classes = frozenset(map(type, choices))
    return Proof(lambda value: type(value) in classes and (type(value), value) in known)


def _union(members: tuple[Any, ...]) -> Proof:
    forms = [_form(member) for member in members]
    if None in forms or len(set(forms)) < len(forms):
        return _NOTHING
    parts = [proof(member) for member in members]
    if all(part.types is not None for part in parts):
        return _typed(set().union(*(part.types or () for part in parts)))
    tests = [part.test for part in parts]
    return Proof(lambda value: any(test(value) for test in tests))


def _form(annotation: Any) -> str | None:
    """What a type is written as; None for one that is looked at when it is read."""
    origin = get_origin(annotation) or annotation
    known = _FORMS.get(origin)
    if known is None and isinstance(origin, type) and _plain_fields(origin) is not None:
        return "array" if is_named_tuple(origin) else "object"
    return known


def _plain_fields(cls: Any) -> tuple[str, ...] | None:
    """The fields of a class whose objects are their fields and nothing else, and are made of them
    unchanged; None for others.
    """
    if is_pydantic(cls) or hasattr(cls, "__post_init__"):
        return None
    if issubclass(cls, msgspec.Struct):
        has_more = cls.__struct_config__.array_like or cls.__dictoffset__
        return None if has_more else cls.__struct_fields__
    if is_attrs(cls):
        is_plain = not (hasattr(cls, "__attrs_post_init__") or hasattr(cls, "__attrs_pre_init__"))
        names = tuple(one.name for one in cls.__attrs_attrs__)
        is_plain = is_plain and all(
            one.init and one.converter is None and not one.name.startswith("_")
            for one in cls.__attrs_attrs__
        )
        return names if is_plain and "__attrs_attrs__" in vars(cls) else None
    if "__dataclass_fields__" in vars(cls):
        fields = dataclasses.fields(cls)
        is_plain = cls.__dataclass_params__.init and cls.__new__ is object.__new__
        is_plain = is_plain and all(one.init for one in fields)
        return tuple(one.name for one in fields) if is_plain else None
    if is_named_tuple(cls) and "_fields" in vars(cls):
        return tuple(cls._fields)
    return None


_MAKERS: Final[dict[object, Callable[[tuple[Any, ...]], Proof]]] = {
    typing.Union: _union,
    types.UnionType: _union,
    Literal: _literal,
    None: lambda _arguments: _typed({type(None)}),
    datetime: _moment(datetime),
    time: _moment(time),
    Decimal: _decimal,
    tuple: _tuple,
    **{annotated: _array(cls) for annotated, cls in _ARRAYS.items()},
    **dict.fromkeys(_OBJECTS, _dict),
}


class _Fields:
    """The test of objects with fields; their types are looked up at first use, since classes may
    hold themselves.
    """

    def __init__(self, annotation: Any, names: tuple[str, ...]) -> None:
        self._annotation = annotation
        self._cls: Any = get_origin(annotation) or annotation
        self._names = names

    @cached_property
    def _tests(self) -> dict[str, Test]:
        found = field_types(self._annotation)
        return {name: proof(kind).test for name, kind in found.items()}

    @cached_property
    def _in_order(self) -> list[Test]:
        return [self._tests.get(name, is_json) for name in self._names]

    @cached_property
    def _parts(self) -> Callable[[Any], Iterable[Any]]:
        names = self._names
        if self._cls.__dictoffset__:
            return lambda value: _held(vars(value), names)
        if len(names) > 1:
            return operator.attrgetter(*names)
        return lambda value: [getattr(value, name) for name in names]

    def test(self, value: Any) -> bool:
        if type(value) is not self._cls:
            return False
        try:
            parts = self._parts(value)
        except (AttributeError, KeyError):  # one that was never set, or more than fields
            return False
        return all(test(part) for test, part in zip(self._in_order, parts, strict=True))

    def test_dictionary(self, value: Any) -> bool:
        tests = self._tests
        return (
            type(value) is dict
            and self._cls.__required_keys__ <= value.keys() <= tests.keys()
            and all(tests[name](part) for name, part in value.items())
        )


def _held(held: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    if len(held) != len(names):
        raise AttributeError(names)
    return [held[name] for name in names]
