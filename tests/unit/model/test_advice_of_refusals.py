"""Whoever does to the letter what a refusal says is not refused again."""

import asyncio
import collections
import dataclasses
import enum
import re
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest

from tenuto.model.payload import PayloadError, Writer, decoder, refuse_ambiguous

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
ODD = timezone(timedelta(minutes=53, seconds=28))


@dataclasses.dataclass
class Animal:
    name: str


@dataclasses.dataclass
class Dog(Animal):
    breed: str = "?"


@dataclasses.dataclass
class Cat(Animal):
    """No field more than an animal has."""


class Place(NamedTuple):
    row: int


class FarPlace(Place):
    pass


class Row(tuple[int, ...]):
    __slots__ = ()


class Pair(tuple):  # type: ignore[type-arg]  # as many write it
    __slots__ = ()


class Numbers(list[int]):
    pass


class Word(str):
    __slots__ = ()


class Size(enum.IntEnum):
    SMALL = 1


class Colour(enum.StrEnum):
    RED = "red"


class Moment(datetime):
    pass


class Opaque:
    pass


@dataclasses.dataclass
class Clear:
    x: int = 1


class ClearStruct(msgspec.Struct):
    x: int = 1


@attrs.define
class ClearAttrs:
    x: int = 1


class ClearModel(pydantic.BaseModel):
    x: int = 1


class Door(pydantic.BaseModel):
    code: pydantic.SecretStr


class DoorWithout(pydantic.BaseModel):
    pass


class DoorWritten(Door):
    @pydantic.field_serializer("code")
    def _written(self, code: pydantic.SecretStr) -> str:
        return code.get_secret_value()


class Box(pydantic.BaseModel):
    content: Any


class BoxOfRow(pydantic.BaseModel):
    content: tuple[int, ...]


class Trip(pydantic.BaseModel):
    when: datetime

    @pydantic.field_serializer("when")
    def _written(self, when: datetime) -> str:
        return when.astimezone(UTC).isoformat()


class Flight(msgspec.Struct, tag=True):
    name: str


class Train(msgspec.Struct, tag=True):
    name: str


@dataclasses.dataclass
class Sitting:
    name: str
    kind: Literal["sitting"] = "sitting"


@dataclasses.dataclass
class Standing:
    name: str
    kind: Literal["standing"] = "standing"


class Refusal(NamedTuple):
    """What is refused, with what advice, and the values and annotations that follow it."""

    value: Any
    annotation: Any
    advice: str
    followed: list[tuple[Any, Any]]


async def later() -> int:
    return 1


def unawaited() -> Any:  # noqa: ANN401 - a coroutine, which nobody will await
    waiting = later()
    waiting.close()
    return waiting


FORMS = "use a dataclass, a msgspec struct, a pydantic model, an attrs class or JSON data"
FORMS_FOLLOWED: list[tuple[Any, Any]] = [
    *((cls(), cls) for cls in (Clear, ClearStruct, ClearModel, ClearAttrs)),
    ({"x": 1}, dict[str, int]),
    ({"x": 1}, Any),
]
KEYS = "use strings, numbers, enums, dates, UUIDs or bytes"
KEYS_FOLLOWED: list[tuple[Any, Any]] = [
    ({one: 3}, dict[type(one), int])  # type: ignore[misc]
    for one in ("a", 1, 1.5, Size.SMALL, Colour.RED, date(2026, 1, 2), NOON, UUID(int=1), b"x")
]
MOMENTS: list[tuple[Any, Any]] = [
    (NOON, datetime),
    (NOON.astimezone(timezone(timedelta(hours=2))), datetime),
]

REFUSALS = [
    # Containers: the class is annotated, or another one is passed.
    Refusal((1, 2), list[int], "annotate it as tuple[...], or pass a list",
            [((1, 2), tuple[int, ...]), ((1, 2), tuple[int, int]), ([1, 2], list[int])]),
    Refusal((1, 2), Sequence[int], "annotate it as tuple[...], or pass a list",
            [((1, 2), tuple[int, ...]), ([1, 2], Sequence[int])]),
    Refusal((1, 2), Iterable[int], "annotate it as tuple[...], or pass a list",
            [((1, 2), tuple[int, ...]), ([1, 2], Iterable[int])]),
    Refusal({1}, Collection[int], "annotate it as set[...], or pass a list",
            [({1}, set[int]), ([1], Collection[int])]),
    Refusal(frozenset({1}), AbstractSet[int], "annotate it as frozenset[...], or pass a set",
            [(frozenset({1}), frozenset[int]), ({1}, AbstractSet[int])]),
    Refusal((1, 2), Any, "annotate it as tuple[...], or pass a list",
            [((1, 2), tuple[int, int]), ([1, 2], Any)]),
    Refusal(((1, 2), 3), Any, "annotate it as tuple[...], or pass a list",
            [(((1, 2), 3), tuple[tuple[int, int], int]), ([[1, 2], 3], Any)]),
    Refusal({1}, Any, "annotate it as set[...], or pass a list", [({1}, set[int]), ([1], Any)]),
    Refusal(Row((1, 2)), tuple[int, ...], "annotate it as Row, or pass a tuple",
            [(Row((1, 2)), Row), ((1, 2), tuple[int, ...])]),
    Refusal(Pair((1, "a")), Any, "annotate it as Pair, or pass a list",
            [(Pair((1, "a")), Pair), (Pair(), Pair), ([1, "a"], Any)]),
    Refusal(Numbers([1]), list[int], "annotate it as Numbers, or pass a list",
            [(Numbers([1]), Numbers), ([1], list[int])]),
    Refusal(Place(1), Any, "annotate it as Place, or pass a list", [(Place(1), Place), ([1], Any)]),
    Refusal(FarPlace(1), Place, "annotate it as FarPlace, or pass a Place",
            [(FarPlace(1), FarPlace), (Place(1), Place)]),
    Refusal(collections.OrderedDict(a=1), Mapping[str, int],
            "annotate it as OrderedDict[...], or pass a dict",
            [(collections.OrderedDict(a=1), collections.OrderedDict[str, int]),
             ({"a": 1}, Mapping[str, int])]),
    Refusal(collections.Counter("a"), Any, "annotate it as Counter[...], or pass a dict",
            [(collections.Counter("a"), collections.Counter[str]), ({"a": 1}, Any)]),
    Refusal(collections.defaultdict(int, a=1), dict[str, int], "dict; pass a dict",
            [({"a": 1}, dict[str, int])]),
    Refusal(collections.defaultdict(int, a=1), collections.defaultdict[str, int],
            "annotate it as dict and pass dict(...) of it", [({"a": 1}, dict[str, int])]),
    Refusal(types.MappingProxyType({"a": 1}), Mapping[str, int], "dict; pass a dict",
            [({"a": 1}, Mapping[str, int])]),
    Refusal({1: "a"}, Any, "annotate its keys as int, or make its keys texts",
            [({1: "a"}, dict[int, str]), ({"1": "a"}, Any)]),
    Refusal({Size.SMALL: 1}, dict[int, int], "annotate its keys as Size, or make its keys texts",
            [({Size.SMALL: 1}, dict[Size, int]), ({"1": 1}, dict[str, int])]),
    Refusal({(1, 2): 3}, dict[Any, int], KEYS, KEYS_FOLLOWED),
    # Classes and their bases.
    Refusal(Dog("Rex"), Animal, "such as `Animal | Dog`, or pass an Animal",
            [(Dog("Rex"), Animal | Dog), (Animal("Rex"), Animal)]),
    Refusal([Dog("Rex")], list[Animal], "such as `Animal | Dog`, or pass an Animal",
            [([Dog("Rex")], list[Animal | Dog]), ([Animal("Rex")], list[Animal])]),
    Refusal([Cat("Tom")], list[Animal], "annotate it as Cat, or pass an Animal",
            [([Cat("Tom")], list[Cat]), ([Animal("Tom")], list[Animal])]),
    Refusal(Dog("Rex"), Any, "annotate it as Dog, or pass a dict",
            [(Dog("Rex"), Dog), ({"name": "Rex", "breed": "?"}, Any)]),
    Refusal(Size.SMALL, int, "annotate it as Size, or pass an int",
            [(Size.SMALL, Size), (1, int)]),
    Refusal(Colour.RED, str, "annotate it as Colour, or pass a str",
            [(Colour.RED, Colour), ("red", str)]),
    Refusal(Word("x"), str, "annotate it as Word, or pass a str", [(Word("x"), Word), ("x", str)]),
    Refusal(Moment(2026, 1, 1, tzinfo=UTC), datetime, "a datetime; pass a datetime", MOMENTS),
    Refusal(b"x", Any, "annotate it as bytes, or pass a str", [(b"x", bytes), ("x", Any)]),
    Refusal(NOON, Any, "annotate it as datetime, or pass a str", [(NOON, datetime), ("12", Any)]),
    Refusal(Decimal(1), Any, "annotate it as Decimal, or pass a str",
            [(Decimal(1), Decimal), ("1", Any)]),
    # What has no form in JSON.
    Refusal(Opaque(), Any, FORMS, FORMS_FOLLOWED),
    Refusal(Opaque(), Opaque, FORMS, FORMS_FOLLOWED),
    Refusal(Path("x"), Any, "use str(...) of it", [(str(Path("x")), str), ("x", Any)]),
    Refusal(Path("x"), Path, "use str(...) of it", [(str(Path("x")), str)]),
    Refusal(range(2), Sequence[int], "use list(...) of it", [(list(range(2)), Sequence[int])]),
    Refusal(iter([1]), Iterable[int], "use list(...) of it", [(list(iter([1])), Iterable[int])]),
    Refusal({1: 2}.keys(), Any, "use list(...) of it", [(list({1: 2}.keys()), Any)]),
    Refusal(collections.deque([1]), collections.deque[int], "use list(...) of it",
            [(list(collections.deque([1])), list[int])]),
    Refusal(unawaited(), Any, "was it to be awaited?", [(asyncio.run(later()), Any)]),
    Refusal(float("nan"), float,
            "pass None where `float | None` is annotated, or Decimal('nan') where Decimal is",
            [(None, float | None), (Decimal("nan"), Decimal)]),
    Refusal(float("-inf"), Any,
            "pass None where `float | None` is annotated, or Decimal('-inf') where Decimal is",
            [(None, float | None), (Decimal("-inf"), Decimal)]),
    # Times.
    Refusal(NOON.replace(tzinfo=ODD), datetime,
            "use UTC, an offset of whole minutes or a zone of zoneinfo, and no idle fold",
            [*MOMENTS, (NOON.astimezone(BERLIN), datetime)]),
    Refusal(NOON.replace(fold=1), datetime, "and no idle fold", [(NOON, datetime)]),
    Refusal(time(1, tzinfo=BERLIN), time,
            "needs a fixed offset of whole minutes, or none; use a datetime",
            [(time(1, tzinfo=timezone(timedelta(hours=1))), time), (time(1), time),
             (NOON.astimezone(BERLIN), datetime)]),
    # Pydantic.
    Refusal(Door(code=pydantic.SecretStr("4711")), Door,
            "leave it out and look it up where it is needed, or, if all who may read the history"
            " may know it, write it with a @field_serializer",
            [(DoorWithout(), DoorWithout),
             (DoorWritten(code=pydantic.SecretStr("4711")), DoorWritten)]),
    Refusal(Box(content=(1, 2)), Box, "annotate it as tuple[...], or pass a list",
            [(BoxOfRow(content=(1, 2)), BoxOfRow), (Box(content=[1, 2]), Box)]),
    Refusal(Trip(when=NOON.astimezone(BERLIN)), Trip, "; use UTC, an offset of whole minutes, and",
            [(Trip.model_validate({"when": "2026-07-01T12:00:00Z"}), Trip)]),
]  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS, ids=[f"{one.annotation}" for one in REFUSALS])
def test_advice_can_be_followed(refusal: Refusal) -> None:
    with pytest.raises(PayloadError, match=re.escape(refusal.advice)):
        Writer(refusal.annotation)(refusal.value)
    for value, annotation in refusal.followed:
        refuse_ambiguous(annotation)
        back = decoder(annotation)(Writer(annotation)(value))
        assert type(back) is type(value)
        assert repr(back) == repr(value)


def test_advice_on_unions_can_be_followed() -> None:
    with pytest.raises(PayloadError) as refused:
        refuse_ambiguous(Animal | Cat)
    assert str(refused.value).endswith(
        "annotate one of them, or give each a class of its own with a field that tells them apart:"
        ' kind: Literal["..."], or the tag of a msgspec struct'
    )
    values = [Animal("x"), Cat("x"), Sitting("x"), Standing("x"), Flight("x"), Train("x")]
    kinds: list[Any] = [Animal, Cat, *[Sitting | Standing] * 2, *[Flight | Train] * 2]
    for value, kind in zip(values, kinds, strict=True):
        refuse_ambiguous(kind)
        assert decoder(kind)(Writer(kind)(value)) == value


ADVICE = re.compile(r"annotate it as (\w+)(\[\.\.\.\])?, or pass an? (\w+)")
SINGLE: list[Any] = [
    *(one.value for one in REFUSALS if isinstance(one.annotation, type)),
    [1], {}, {"a": 1}, set(), (), frozenset(), "x", 1, 1.5, None, True, bytearray(b"x"),
    memoryview(b"x"), date(2026, 1, 2), time(1), timedelta(1), UUID(int=1), Clear(), ClearStruct(),
    ClearAttrs(), ClearModel(), Flight("x"), Colour.RED, collections.OrderedDict(),
]  # fmt: skip
ASKED_FOR: list[Any] = [
    Any, object, int, float, str, bytes, list, dict, set, frozenset, tuple, Sequence, Mapping,
    Iterable, AbstractSet, datetime, date, Animal, Place, Clear, int | str | None,
    Annotated[list[Any], "note"], dict[str, Any], typing.Optional[str],  # noqa: UP045 - of a kind
]  # fmt: skip


@pytest.mark.parametrize("annotation", ASKED_FOR, ids=str)
def test_whatever_is_to_be_annotated_as_its_class_is_taken_then(annotation: object) -> None:
    """Advice is not made up of names: what it names was tried."""
    for value in SINGLE:
        try:
            Writer(annotation)(value)
        except PayloadError as refused:
            advised = ADVICE.search(refused.reason)
            if refused.path == "$" and advised is not None:
                assert advised[1] == type(value).__name__
                assert not is_refused(value, type(value))


def is_refused(value: object, annotation: object) -> bool:
    """Whether the value itself is, and not a part of it, which has an annotation of its own."""
    try:
        Writer(annotation)(value)
    except PayloadError as refused:
        return refused.path == "$"
    return False


class OwnId(UUID):
    """Is read by nobody."""


class Unequal(str):
    """Is never like itself."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return False


@pytest.mark.parametrize(
    ("key", "annotation"),
    [(OwnId(int=1), dict[UUID, int]), (Decimal("NaN"), dict[Decimal, int])],
    ids=["own class", "NaN"],
)
def test_keys_that_no_annotation_brings_back_are_to_be_texts(
    key: object, annotation: object
) -> None:
    with pytest.raises(PayloadError, match="make its keys texts") as refused:
        Writer(annotation)({key: 1})
    assert "annotate its keys" not in str(refused.value)
    Writer(dict[str, int])({str(key): 1})


def test_what_looks_the_same_and_is_not_is_said_to_be_unequal() -> None:
    with pytest.raises(PayloadError, match="is 'a', and what would come back is not equal to it"):
        Writer(Unequal)(Unequal("a"))
