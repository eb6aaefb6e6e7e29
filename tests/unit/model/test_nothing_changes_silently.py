"""Every annotation and value: what comes out equals what went in, types included, or a refusal.

The comparison here is a second one, written apart from the product's own.
"""

import collections
import dataclasses
import enum
import functools
import typing
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    TypeAlias,
    TypedDict,
    TypeVar,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto.model.errors import SignatureError
from tenuto.model.payload import PayloadError, Writer, decoder, refuse_ambiguous
from tenuto.model.signature import Signature

T = TypeVar("T")
Kind: TypeAlias = Any


@dataclasses.dataclass
class Animal:
    name: str


@dataclasses.dataclass
class Dog(Animal):
    breed: str = "?"


@dataclasses.dataclass(frozen=True, slots=True)
class Fish:
    name: str
    depth: int | None = None


@dataclasses.dataclass
class Family:
    head: Animal
    children: list["Family"] = dataclasses.field(default_factory=list)
    born: datetime | None = None


@dataclasses.dataclass
class Rounded:
    value: float

    def __post_init__(self) -> None:
        self.value = round(self.value + 0.1, 1)  # another value each time


@dataclasses.dataclass
class Total:
    value: int
    double: int = dataclasses.field(init=False, default=0)
    note: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self) -> None:
        self.double = 2 * self.value

    @functools.cached_property
    def shown(self) -> str:
        return str(self.value)


@dataclasses.dataclass
class Chain:
    value: int
    next: "typing.Self | None" = None
    others: "dict[str, list[typing.Self]]" = dataclasses.field(default_factory=dict)
    by_kind: 'Literal["a"]' = "a"


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]


@dataclasses.dataclass
class Boxed(Generic[T]):
    content: T


class Place(NamedTuple):
    x: int
    y: float = 0.0


class FarPlace(Place):
    pass


class Options(TypedDict, total=False):
    name: str
    count: int


class Car(msgspec.Struct, tag=True):
    wheels: int


class Truck(Car, tag=True):
    load: int


class Boat(msgspec.Struct, tag=True, omit_defaults=True):
    sails: int = 1
    crew: list[str] = []


class Loose(msgspec.Struct, dict=True):
    x: int


@attrs.define
class Meal:
    dish: str


@attrs.define
class Lunch(Meal):
    at: int = 12


def upper(given: str) -> str:
    return given.upper()


@attrs.define
class Upper:
    name: str = attrs.field(converter=upper)
    _private: int = 0


@attrs.define
class Filled:
    name: str

    def __attrs_post_init__(self) -> None:
        self.name += "!"


class Model(pydantic.BaseModel):
    number: int
    _seen: int = pydantic.PrivateAttr(default=0)


class SubModel(Model):
    more: str = ""


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    number: int = pydantic.Field(alias="theNumber", default=0)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def doubled(self) -> int:
        return 2 * self.number


class Secret(pydantic.BaseModel):
    word: pydantic.SecretStr


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Word(str):
    __slots__ = ()


class Noted(str):  # noqa: SLOT000 - it is to hold more
    pass


Id = NewType("Id", int)
Positive = Annotated[int, msgspec.Meta(gt=0)]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
berlin = ZoneInfo("Europe/Berlin")
offsets = st.builds(timezone, st.integers(-1439, 1439).map(lambda m: timedelta(minutes=m)))
aware = st.datetimes(timezones=st.just(UTC) | offsets | st.none()).map(
    lambda moment: moment.replace(fold=0)
)
zoned = st.datetimes(min_value=datetime(1900, 1, 2), timezones=st.timezones()).map(  # noqa: DTZ001
    lambda moment: (
        moment
        if moment.replace(fold=1 - moment.fold).utcoffset() != moment.utcoffset()
        else moment.replace(fold=0)
    )
)
models = st.builds(Model, number=st.integers(-(2**60), 2**60))
animals = st.builds(Animal, text)
families = st.recursive(
    st.builds(Family, animals, st.just([]), st.none() | aware),
    lambda inner: st.builds(Family, animals, st.lists(inner, max_size=2), zoned),
    max_leaves=4,
)
finite = st.floats(allow_nan=False, allow_infinity=False)

# Annotations with values that fit them: none of these may be refused.
SINGLE: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (None, st.none()),
    (bool, st.booleans()),
    (int, st.integers(-(2**200), 2**200)),
    (float, finite),
    (str, text),
    (bytes, st.binary(max_size=9)),
    (bytearray, st.binary(max_size=9).map(bytearray)),
    (UUID, st.uuids()),
    (Decimal, st.decimals()),
    (date, st.dates()),
    (time, (st.times() | st.times(timezones=offsets)).map(lambda at: at.replace(fold=0))),
    (timedelta, st.timedeltas()),
    (datetime, aware | zoned),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Literal["a", 1, True], st.sampled_from(["a", 1, True])),
    (Word, text.map(Word)),
    (Id, st.integers()),
    (Positive, st.integers(1)),
    (Any, json_data),
    (object, json_data),
    (dict, st.dictionaries(text, json_data, max_size=3)),
    (list, st.lists(json_data, max_size=3)),
    (int | float, st.integers() | finite),
    (int | None, st.integers() | st.none()),
    (str | int | None, text | st.integers() | st.none()),
    (date | datetime | UUID, st.dates() | aware | st.uuids()),
    (Animal, animals),
    (Animal | Dog, animals | st.builds(Dog, text, text)),
    (Fish, st.builds(Fish, text, st.integers() | st.none())),
    (Fish | Meal | int, st.builds(Meal, text) | st.integers()),
    (Family, families),
    (Total, st.builds(Total, st.integers(), note=text)),
    (Chain, st.builds(lambda a, b: Chain(a, Chain(b), {"x": [Chain(a)]}), st.integers(),
                      st.integers())),
    (Page[int], st.builds(Page, st.lists(st.integers(), max_size=3))),
    (Page[Animal], st.builds(Page, st.lists(animals, max_size=3))),
    (Place, st.builds(Place, st.integers(), finite)),
    (Options, st.fixed_dictionaries({}, optional={"name": text, "count": st.integers()})),
    (Car, st.builds(Car, st.integers())),
    (Car | Truck | Boat, st.builds(Truck, st.integers(), st.integers()) | st.builds(Boat)),
    (Boat, st.builds(Boat, st.integers(), st.lists(text, max_size=2))),
    (Meal, st.builds(Meal, text)),
    (Upper, st.builds(Upper, text, st.integers())),
    (Model, models),
    (Open, st.fixed_dictionaries({"theNumber": st.integers(), "x": text}).map(Open.model_validate)),
    (collections.OrderedDict[str, int],
     st.dictionaries(text, st.integers()).map(collections.OrderedDict)),
]  # fmt: skip


def wrapped(
    annotation: Kind, values: st.SearchStrategy[Any]
) -> list[tuple[Any, st.SearchStrategy[Any]]]:
    return [
        (list[annotation], st.lists(values, max_size=3)),
        (Sequence[annotation], st.lists(values, max_size=3)),
        (tuple[annotation, ...], st.lists(values, max_size=3).map(tuple)),
        (tuple[int, annotation], st.tuples(st.integers(), values)),
        (dict[str, annotation], st.dictionaries(text, values, max_size=3)),
        (Mapping[int, annotation], st.dictionaries(st.integers(), values, max_size=3)),
        (dict[date, annotation], st.dictionaries(st.dates(), values, max_size=2)),
        (Annotated[annotation, "note"], values),
        (typing.Optional[annotation], values | st.none()),  # noqa: UP045 - of any annotation
        (Page[annotation], st.builds(Page, st.lists(values, max_size=2))),
    ]


# Values of every kind, for annotations that they may not fit.
anything: st.SearchStrategy[Any] = st.one_of(
    *(values for _, values in SINGLE),
    st.builds(Dog, text, text),
    st.builds(FarPlace, st.integers()),
    st.builds(Truck, st.integers(), st.integers()),
    st.builds(Lunch, text),
    st.builds(SubModel, number=st.integers(0, 9), more=text),
    st.builds(Rounded, finite),
    st.builds(Filled, text),
    st.builds(Secret, word=text),
    st.floats(),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.replace(fold=1)),
    st.just(collections.defaultdict(int, a=1)) | st.just(collections.Counter("aab")),
    st.sets(st.integers()) | st.frozensets(text) | st.tuples(st.integers(), text),
    st.dictionaries(st.tuples(st.integers()) | st.integers() | st.booleans(), text),
    st.just("\ud800") | st.just(10**5000) | st.just(memoryview(b"x")),
)


def same(one: Kind, other: Kind) -> bool:
    if type(one) is not type(other):
        return type(one) is int and type(other) is float and one == other
    if isinstance(one, datetime | time):
        places = [(x.isoformat(), x.fold, getattr(x.tzinfo, "key", None)) for x in (one, other)]
        return places[0] == places[1]
    if isinstance(one, Decimal | float):
        return repr(one) == repr(other)
    if isinstance(one, dict):
        return all(
            same(left, right)
            for pair in zip(one.items(), other.items(), strict=True)
            for left, right in zip(*pair, strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return one == other and sorted(map(repr, one)) == sorted(map(repr, other))
    if isinstance(one, msgspec.Struct):
        return all(same(getattr(one, x), getattr(other, x)) for x in one.__struct_fields__)
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)


@pytest.mark.parametrize(
    ("annotation", "values"), SINGLE, ids=[str(annotation) for annotation, _ in SINGLE]
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_value_that_fits_comes_back_as_it_was(
    annotation: Kind, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    annotation, values = data.draw(
        st.sampled_from([(annotation, values), *wrapped(annotation, values)])
    )
    value = data.draw(values)

    assert same(value, decoder(annotation)(Writer(annotation)(value)))


@pytest.mark.parametrize(
    ("annotation", "values"), SINGLE, ids=[str(annotation) for annotation, _ in SINGLE]
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_bad_input_is_refused_whole_or_comes_back_as_it_was(
    annotation: Kind, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    annotation, _ = data.draw(st.sampled_from([(annotation, values), *wrapped(annotation, values)]))
    value = data.draw(anything | st.lists(anything, max_size=2) | st.tuples(anything))
    try:
        written = Writer(annotation)(value)
    except PayloadError as error:
        assert error.path.startswith("$")  # noqa: PT017 - the other way is as good
    else:
        assert same(value, decoder(annotation)(written))


CHANGED: list[tuple[Any, Any, str]] = [
    (Dog("Rex"), Animal, r"at \$ is a Dog and would come back as an Animal; .*`Animal \| Dog`"),
    ([Dog("Rex")], list[Animal], r"at \$\[0\] is a Dog"),
    ({"a": (Dog("Rex"),)}, dict[str, tuple[Animal, ...]], r"at \$\.a\[0\] is a Dog"),
    ({3: Dog("Rex")}, dict[int, Animal], r"at \$\[3\] is a Dog"),
    (Family(Animal("a"), [Family(Dog("b"))]), Family, r"at \$\.children\[0\]\.head is a Dog"),
    (Page([Dog("Rex")]), Page[Animal], r"at \$\.items\[0\] is a Dog"),
    (Truck(1, 2), Car, r"at \$ is a Truck, but the annotation says Car"),
    (Lunch("soup"), Meal, r"at \$ is a Lunch"),
    (SubModel(number=1), Model, r"at \$ is a SubModel"),
    (FarPlace(1), Place, r"at \$ is a FarPlace"),
    (Size.SMALL, int, r"at \$ is a Size"),
    ([Word("x")], list[str], r"at \$\[0\] is a Word .* annotate it as Word"),
    ([True], list[int], r"at \$\[0\] does not fit"),
    ([datetime(2026, 1, 1, tzinfo=UTC)], list[date], r"at \$\[0\] does not fit"),
    (collections.Counter("a"), dict[str, int], r"at \$ is a Counter"),
    ((1, 2), list[int], r"at \$ is a tuple"),
    ((1, 2), Sequence[int], r"at \$ is a tuple"),
    ({1: "a"}, dict, r"at \$ has the key 1, which would not come back"),
    ({"a": (1, 2)}, Any, r"at \$\.a is a tuple .*where nothing is annotated"),
    (Dog("Rex"), object, r"at \$ is a Dog and would come back as a dict"),
    (Rounded(1.0), Rounded, r"at \$\.value is 1\.1 and would come back as 1\.2"),
    (Filled("x"), Filled, r"at \$\.name is 'x!' and would come back as 'x!!'"),
    (Secret(word=pydantic.SecretStr("x")), Secret, r"at \$\.word is"),
    ({"name": "x", "more": 1}, Options, r"at \$ has the key 'more'"),
    (2**53 + 1, float, r"at \$ is 9007199254740993 and would come back as 900719925474099"),
    (0, Positive, r"at \$ does not fit: Expected `int` >= 1"),
    (datetime(2026, 1, 1, fold=1), datetime, r"at \$ is .* no idle fold"),  # noqa: DTZ001
    (
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=30))), datetime, "whole minutes"
    ),
    (time(1, fold=1), time, "no idle fold"),
    ({2**53 + 1}, set[float], r"at \$ has 9007199254740993, which would not come back"),
    ({Size.SMALL}, set[int], r"at \$\[\.\.\.\] is a Size"),
    ({Size.SMALL: 1}, dict[int, int], r"at \$ has the key .*which would come back as 1"),
    ({1.5, 2.5}, list[float], r"at \$ is a set"),
    ([{}], list[Animal], r"at \$\[0\] does not fit"),
    ({"name": "a"}, Animal, r"at \$ is a dict, but the annotation says Animal"),
    (3, Options, r"at \$ does not fit|at \$ is an int, but the annotation says Options"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "annotation", "message"), CHANGED, ids=[m for _, _, m in CHANGED]
)
def test_what_would_change_is_refused_with_its_place(
    value: object, annotation: object, message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        Writer(annotation)(value)


def test_what_stands_beside_the_fields_is_refused() -> None:
    dog, noted, loose, model = Dog("Rex"), Noted("x"), Loose(1), Model(number=1)
    dog.owner = "Ada"  # type: ignore[attr-defined]
    noted.by = "Ada"  # type: ignore[attr-defined]
    loose.more = [1]  # type: ignore[attr-defined]
    model._seen = 3

    for value, name in ((dog, "owner"), (noted, "by"), (loose, "more")):
        with pytest.raises(PayloadError, match=rf"at \$\.{name} is no field of its class"):
            Writer(type(value))(value)
    with pytest.raises(PayloadError, match=r"__pydantic_private__\._seen is 3"):
        Writer(Model)(model)


def test_what_a_class_works_out_when_asked_is_no_part_of_a_value() -> None:
    total = Total(3)
    assert total.shown == "3"

    assert decoder(Total)(Writer(Total)(total)) == total


def test_fields_that_were_never_set_are_no_values() -> None:
    half = Dog.__new__(Dog)
    half.name = "Rex"
    empty = Fish.__new__(Fish)

    with pytest.raises(PayloadError):  # nothing stands for the name
        Writer(Fish)(empty)
    assert decoder(Dog)(Writer(Dog)(half)) == Dog("Rex")


def test_classes_that_build_themselves_in_their_own_way_are_held_to_what_comes_back() -> None:
    filling, losing = Filling(), Losing()
    del filling["more"]
    losing.append(1)
    half = Fish.__new__(Fish)
    object.__setattr__(half, "name", "x")

    for value, message in (
        (filling, r"at \$ has 0 keys, and would come back with 1"),
        (losing, r"at \$ has 1 elements, of which 0 would come back"),
        (Numbered2("x"), r"at \$\.number is \d+ and would come back as"),
        (half, r"at \$\.depth has no value"),
    ):
        with pytest.raises(PayloadError, match=message):
            Writer(type(value))(value)
    with pytest.raises(PayloadError, match="has the key 1"):
        Writer(Any)({1: "a"})


def test_what_is_not_proved_is_compared_and_comes_back() -> None:
    moment = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    values: list[tuple[Any, Any]] = [
        ({moment, moment + timedelta(1)}, set[datetime]),
        ((), tuple[()]),
        (Colour.RED, Literal[Colour.RED]),
        (3, Annotated[int, ["unhashable"]]),
    ]
    for value, annotation in values:
        assert decoder(annotation)(Writer(annotation)(value)) == value


def test_a_value_that_is_too_long_to_show_is_shown_in_part() -> None:
    with pytest.raises(PayloadError, match=r"is 10{79}\.\.\. and would"):
        Writer(float)(10**300)


@dataclasses.dataclass
class Cat:
    name: str


@dataclasses.dataclass
class Marked:
    kind: Literal["marked"]
    name: str


@dataclasses.dataclass
class Other:
    kind: Literal["other"]
    name: str


@dataclasses.dataclass
class Numbered:
    name: int


@dataclasses.dataclass
class InField:
    when: "datetime | str"
    again: "list[InField]"


@dataclasses.dataclass
class Unknown:
    x: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


class Tint(enum.Enum):
    RED = "red"


class Opaque:
    pass


class Bus(msgspec.Struct, tag=True):
    wheels: int


class Filling(dict[str, int]):
    def __init__(self, given: Mapping[str, int] = {}) -> None:
        super().__init__(given, more=1)


class Losing(list[int]):
    def __init__(self, given: Sequence[int] = ()) -> None:
        super().__init__(given[1:])


class Numbering:
    count = 0


@dataclasses.dataclass
class Numbered2:
    name: str

    def __post_init__(self) -> None:
        Numbering.count += 1
        self.number = Numbering.count


def one_field(name: str, kind: Kind) -> Kind:
    return dataclasses.make_dataclass(name, [("x", kind)])


AMBIGUOUS: list[tuple[Any, str]] = [
    (str | datetime, "str and datetime are both written as text"),
    (datetime | str | None, "datetime and str are both"),
    (str | UUID, "text"),
    (str | Decimal, "text"),
    (UUID | Decimal, "text"),
    (str | bytes, "text"),
    (bytes | timedelta, "text"),
    (Word | str, "text"),
    (str | Colour, 'are both written as "red"'),
    (Colour | Tint, 'are both written as "red"'),
    (Colour | Literal["red"], 'are both written as "red"'),
    (Size | int, "are both written as 1"),
    (Size | float, "are both written as 1"),
    (Any | Colour, "are both written as"),
    (Any | Animal, "without a type"),
    (Animal | Any, "without a type"),
    (list[int] | tuple[int, ...], "arrays"),
    (list[int] | set[int], "arrays"),
    (list | list[int], "arrays"),
    (list[Animal] | list[Dog], "arrays"),
    (tuple[int, str] | tuple[str, str], "arrays"),
    (dict[str, int] | dict[int, int], "objects"),
    (dict[str, Any] | Animal, "objects"),
    (Animal | dict, "objects"),
    (Page[int] | Page[str], "have the same fields"),
    (one_field("A", int | str) | one_field("B", int | str), "have the same fields"),
    (one_field("A", Colour) | one_field("B", str), "have the same fields"),
    (one_field("A", Any) | one_field("B", int), "have the same fields"),
    (one_field("A", int) | one_field("B", float), "have the same fields"),
    (one_field("A", str) | one_field("B", date), "have the same fields"),
    (Animal | Cat, "Animal and Cat have the same fields"),
    (Word | Annotated[str, "note"], "text"),
    (list[InField], "`.*datetime | str` is ambiguous"),
    (dict[str, tuple[str | datetime, ...]], "ambiguous"),
    (NewType("Either", str | datetime), "ambiguous"),
    (type("Count", (int,), {}) | int, "numbers"),
]

# ruff: noqa: PYI051 - redundant unions are among them
TOLD_APART: list[Any] = [
    Id | int, Colour | Opaque,
    Opaque | Losing | Numbering, Car | Bus, one_field("A", bool) | one_field("B", int),
    one_field("A", date) | one_field("B", UUID), one_field("A", list[int]) | one_field("B", str),
    int, str | None, int | float | bool | None, int | str, date | datetime | time | UUID,
    Decimal | int | float, Decimal | datetime, str | Literal["a"], Literal["b", "a"],
    Colour | Size, Colour | int, Any | None, Any | str, Animal | Dog, Animal | Numbered,
    Marked | Other, Car | Truck | Boat, list[int] | list[str], dict[str, int] | dict[str, str],
    tuple[int] | tuple[int, int], Place | tuple[int], dict[str, int] | Animal, list[int] | Animal,
    Animal | dict[str, int], Boxed[int] | Boxed[str], str | list[str | int], Unknown,
    Model | Animal,
    Colour | Unknown, Open | None, Literal["a | b"], Colour | Page[object], InField | None,
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "message"), AMBIGUOUS, ids=[str(a) for a, _ in AMBIGUOUS])
def test_unions_that_json_cannot_tell_apart_are_refused(annotation: Kind, message: str) -> None:
    with pytest.raises(PayloadError, match=rf"ambiguous: .*{message}|{message}"):
        refuse_ambiguous(annotation)


@pytest.mark.parametrize("annotation", TOLD_APART[:-1], ids=[str(a) for a in TOLD_APART[:-1]])
def test_other_unions_are_not_refused(annotation: Kind) -> None:
    refuse_ambiguous(annotation)


def test_the_refusal_of_a_union_names_function_and_parameter_and_what_to_do() -> None:
    def book(when: str | datetime) -> None: ...

    def find() -> list[str | datetime]: ...  # type: ignore[empty-body]

    def later(when: "NotThere | str") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(SignatureError, match=r"^argument 'when' of .*book: .*annotate one of them"):
        Signature.of(book).refuse_ambiguous()
    with pytest.raises(SignatureError, match=r"^result of .*find: the annotation"):
        Signature.of(find).prepare()
    Signature.of(later).refuse_ambiguous()
