import collections
import contextlib
import copy
import dataclasses
import enum
import json
import math
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePath
from random import Random
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.model.payload import PayloadError, decoder, encode

T = TypeVar("T")
GuestId = NewType("GuestId", int)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(enum.Enum):
    """Values that msgspec refuses."""

    ORIGIN = (0, 0)
    UNIT = (1, 1)
    HALF = 0.5
    NONE = None


@dataclasses.dataclass
class Guest:
    name: str
    age: int = 0
    tags: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True, slots=True)
class Hotel:
    name: str
    stars: int


@dataclasses.dataclass
class Flight:
    name: str
    seat: str
    kind: ClassVar[str] = "air"


@dataclasses.dataclass
class Trip:
    guests: list[Guest]
    leg: Hotel | Flight
    start: datetime
    budget: Decimal | None = None


@dataclasses.dataclass
class Node:
    value: Hotel | Flight | int
    children: list["Node"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Empty:
    pass


@dataclasses.dataclass
class Late:
    """A field that the constructor does not take."""

    one: Hotel | Flight
    two: int = dataclasses.field(default=2, init=False)


@dataclasses.dataclass
class Positive:
    value: int | str | Colour

    def __post_init__(self) -> None:
        if isinstance(self.value, int) and self.value < 0:
            raise ValueError("must not be negative")


@dataclasses.dataclass
class NeedsInitVar:
    x: int
    y: dataclasses.InitVar[int]


@dataclasses.dataclass
class Box(Generic[T]):
    content: T
    spare: list[T] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class LegBox(Box[Hotel | Flight]):
    label: str = ""


@dataclasses.dataclass
class UnknownField:
    x: "Hotel | Nowhere"  # type: ignore[name-defined]  # noqa: F821


class Point(NamedTuple):
    x: int
    y: int = 0


class Stop(NamedTuple):
    leg: Hotel | Flight
    note: str = ""


class Plan(TypedDict):
    leg: Hotel | Flight
    note: NotRequired[str]


class Car(msgspec.Struct, tag="car"):
    wheels: int


class Boat(msgspec.Struct, tag="boat"):
    sails: int


class Renamed(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    some_leg: Hotel | Flight
    some_tags: set[str] = msgspec.field(default_factory=set)


class Tagged(msgspec.Struct, tag="tagged", tag_field="what"):
    leg: Hotel | Flight
    note: str | msgspec.UnsetType = msgspec.UNSET


class Row(msgspec.Struct, array_like=True):
    leg: Hotel | Flight
    count: int = 0


@attrs.define
class Meal:
    dish: str
    _secret: int = 7
    sides: list[str] = attrs.field(factory=list)


@attrs.define
class Dinner:
    leg: Hotel | Flight
    at: int = attrs.field(init=False, default=20)


@attrs.define
class Public:
    dish: str


class Model(pydantic.BaseModel):
    number: int
    when: datetime | None = None


class Aliased(pydantic.BaseModel):
    number: int = pydantic.Field(alias="theNumber")


class Holder(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    meal: Meal = pydantic.Field(alias="theMeal")
    cars: list[Car] = pydantic.Field(default_factory=list)
    number: int = 0


@pydantic.dataclasses.dataclass
class Checked:
    number: typing.Annotated[int, pydantic.Field(gt=0)]


@dataclasses.dataclass
class Nested:
    """A dataclass that holds a pydantic model that holds an attrs class."""

    holder: Holder
    checked: Checked


class Text(str):
    __slots__ = ()


class Count(int):
    pass


class Ratio(float):
    pass


class Names(list[str]):
    pass


class Table(dict[str, int]):
    pass


class Opaque:
    pass


ROUND_TRIPS: list[tuple[Any, Any]] = [
    (None, None),
    (True, bool),
    (3, int),
    (2**200, int),
    (-(2**64), int),
    (1.5, float),
    ("é\u2028😀\x00", str),
    (b"\x00\xff", bytes),
    ([1, 2], list[int]),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ((), tuple[()]),
    ({1, 2}, set[int]),
    (frozenset({"b", "a"}), frozenset[str]),
    ({"a": 1}, dict[str, int]),
    ({1: "a", 2: "b"}, dict[int, str]),
    ({Colour.RED: 1}, dict[Colour, int]),
    ({date(2026, 1, 2): 1}, dict[date, int]),
    ({UUID(int=5): 1}, dict[UUID, int]),
    ({1.5: 1}, dict[float, int]),
    ({b"x": 1}, dict[bytes, int]),
    ({}, dict[str, int]),
    (datetime(2026, 11, 21, 5, 6, 7, 8, tzinfo=UTC), datetime),
    (datetime(2026, 11, 21, 5, 6), datetime),  # noqa: DTZ001
    (datetime(2026, 11, 21, tzinfo=timezone(timedelta(hours=-3, minutes=-30))), datetime),
    (date(2026, 11, 21), date),
    (time(5, 6, 7), time),
    (time(5, 6, tzinfo=UTC), time),
    (time(5, 6, tzinfo=timezone(timedelta(hours=2))), time),
    (timedelta(days=-1, microseconds=5), timedelta),
    (UUID(int=7), UUID),
    (Decimal("1.10"), Decimal),
    (Decimal("-Infinity"), Decimal),
    (Colour.BLUE, Colour),
    (Size.LARGE, Size),
    (Right.READ | Right.WRITE, Right),
    (Pair.UNIT, Pair),
    (Pair.NONE, Pair),
    ([Pair.HALF], list[Pair]),
    (Guest("Ada", 36, {"b", "a"}), Guest),
    (Empty(), Empty),
    (Hotel("Astoria", 5), Hotel),
    ([Hotel("Astoria", 5), Flight("BA1", "1A")], list[Hotel | Flight]),
    (
        Trip([Guest("Ada")], Flight("BA1", "1A"), datetime(2026, 1, 1, tzinfo=UTC), Decimal(1)),
        Trip,
    ),
    (Node(1, [Node(Hotel("A", 1), [Node(Flight("B", "2"))])]), Node),
    (Late(Flight("B", "2")), Late),
    (Box(3, [4]), Box[int]),
    (Box(Flight("B", "2")), Box[Hotel | Flight]),
    (LegBox(Flight("B", "2"), [Hotel("A", 1)], "x"), LegBox),
    (Point(1, 2), Point),
    (Stop(Flight("B", "2")), Stop),
    ({"leg": Flight("B", "2")}, Plan),
    ({"leg": Flight("B", "2"), "note": "n"}, Plan),
    ([Car(4), Boat(2)], list[Car | Boat]),
    (Renamed(Flight("B", "2"), {"b", "a"}), Renamed),
    (Tagged(Flight("B", "2")), Tagged),
    (Row(Flight("B", "2"), 3), Row),
    ([Tagged(Hotel("A", 1)), Hotel("A", 1), Car(3)], list[Tagged | Hotel | Car]),
    (Meal("soup", 9, ["bread"]), Meal),
    (Public("soup"), Public),
    (Dinner(Flight("B", "2")), Dinner),
    (Model(number=1, when=datetime(2026, 1, 1, tzinfo=UTC)), Model),
    (Model(number=1), Model | None),
    ([Model(number=1), 3], list[Model | int]),
    ([Model(number=1), Hotel("A", 1)], list[Hotel | Model]),
    (Aliased(theNumber=4), Aliased),
    (Holder(theMeal=Meal("soup", 8), cars=[Car(4)]), Holder),
    (Checked(number=3), Checked),
    ([Checked(number=3)], list[Checked]),
    (Nested(Holder(theMeal=Meal("soup")), Checked(number=3)), Nested),
    (GuestId(4), GuestId),
    ({"a": Hotel("A", 1)}, dict[str, Hotel | Flight]),
    ({Colour.RED: Hotel("A", 1)}, Mapping[Colour, Hotel | Flight]),
    ({Colour.RED: Hotel("A", 1), 5: Flight("B", "2")}, dict[Colour | int, Hotel | Flight]),
    ({UUID(int=5): 1, 5: 2, "x": 3}, dict[UUID | int | str, int]),
    ({Pair.HALF: 1}, dict[Pair, int]),
    ({b"x": 1}, dict[Literal[b"x"], int]),
    ((Hotel("A", 1), 2), tuple[Hotel | Flight, int]),
    ((Hotel("A", 1),), tuple[Hotel | Flight, ...]),
    ({Hotel("A", 1)}, set[Hotel | Car]),
    ([Hotel("A", 1)], Sequence[Hotel | Flight]),
    (Hotel("A", 1), Annotated[Hotel | Flight, "note"]),
    (Hotel("A", 1), Annotated[Hotel | Flight, ["unhashable"]]),
    (3, Annotated[int, ["unhashable"]]),
    (NewType("Leg", Hotel | Flight)(Hotel("A", 1)), NewType("Leg", Hotel | Flight)),
    ("a", Literal["a", 1]),
    (b"x", Literal[b"x"]),
    (Colour.RED, Literal[Colour.RED, True]),
    (True, Literal[Colour.RED, True]),
    (Text("a"), Text),
    (Count(3), Count),
    (Ratio(1.5), Ratio),
    (Names(["a"]), Names),
    (Table(a=1), Table),
    (collections.OrderedDict(a=1), collections.OrderedDict[str, int]),
    (collections.Counter("aab"), collections.Counter),
    (bytearray(b"x"), bytearray),
    (UUID(int=5), UUID | str),
    ("plain", UUID | str),
    ("00000000-0000-0000-0000-000000000005", str | UUID),
    (3, float | Hotel | int | Flight),
    (True, Decimal | Hotel | bool | Flight),
    (3.0, float | Hotel | int | Flight),
]


@pytest.mark.parametrize(
    ("value", "annotation"),
    ROUND_TRIPS,
    ids=[f"{number}-{type(value).__name__}" for number, (value, _) in enumerate(ROUND_TRIPS)],
)
def test_value_comes_back_as_it_was(value: object, annotation: object) -> None:
    text = encode(value)

    assert isinstance(text, str)
    back = decoder(annotation)(text)

    assert back == value
    assert type(back) is type(value)
    assert decoder(annotation)(text.encode()) == value


def test_any_gives_plain_json_data() -> None:
    value = [Hotel("A", 1), (1, 2.5), {"x": Colour.RED}, None]

    assert decoder()(encode(value)) == [{"name": "A", "stars": 1}, [1, 2.5], {"x": "red"}, None]
    assert decoder(object)("[1]") == [1]
    assert decoder(dict[str, object])('{"a":[1]}') == {"a": [1]}
    assert decoder(dict[str, object] | Hotel)('{"a":[1]}') == {"a": [1]}
    assert decoder(T)("[1]") == [1]


def test_decoders_are_built_once() -> None:
    assert decoder(list[Hotel]) is decoder(list[Hotel])
    assert decoder(Hotel) is decoder(Hotel)


def test_equal_unions_keep_their_own_order() -> None:
    text = '"00000000-0000-0000-0000-000000000005"'

    assert decoder(str | UUID)(text) == "00000000-0000-0000-0000-000000000005"
    assert decoder(UUID | str)(text) == UUID(int=5)


def test_union_member_whose_fields_agree_best_wins() -> None:
    @dataclasses.dataclass
    class Less:
        x: int

    @dataclasses.dataclass
    class More:
        x: int
        y: int = 0

    for union in (Less | More, More | Less, dict[str, str] | More | Less):
        assert decoder(union)(encode(Less(1))) == Less(1)
        assert decoder(union)(encode(More(1))) == More(1)
    assert decoder(dict[str, str] | More)('{"x":"a"}') == {"x": "a"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type aliases with `type` are new in 3.12")
def test_type_aliases_are_looked_through() -> None:
    namespace: dict[str, Any] = {"Hotel": Hotel, "Flight": Flight}
    exec("type Leg = Hotel | Flight\nLegs = list[Leg]", namespace)

    assert decoder(namespace["Leg"])(encode(Hotel("A", 1))) == Hotel("A", 1)
    assert decoder(namespace["Legs"])(encode([Hotel("A", 1)])) == [Hotel("A", 1)]


def test_bound_of_a_free_type_variable_is_used() -> None:
    bound = TypeVar("bound", bound=Hotel | Flight)

    assert decoder(bound)(encode(Hotel("A", 1))) == Hotel("A", 1)


# ------------------------------------------------------------------------- what encode refuses

CYCLE: list[Any] = []
CYCLE.append({"again": CYCLE})


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


class Awaited:
    def __await__(self) -> Iterator[None]:
        yield


UNSTORABLE: list[tuple[Any, str]] = [
    ({"trip": {"guests": [1, 2, {"photo": Opaque()}]}}, r"at \$\.trip\.guests\[2\]\.photo cannot"),
    (Opaque(), r"at \$ cannot be stored: <class '.*Opaque'> has no JSON form; use a dataclass"),
    ([math.nan], r"at \$\[0\] cannot be stored: JSON has no nan"),
    (math.inf, r"at \$ cannot be stored: JSON has no inf"),
    ({math.nan: 1}, "JSON has no nan"),
    (Guest("Ada", math.nan), r"at \$\.age cannot"),  # type: ignore[arg-type]
    (Car(math.inf), r"at \$\.wheels cannot"),  # type: ignore[arg-type]
    (Meal("x", Opaque()), r"at \$\._secret cannot"),  # type: ignore[arg-type]
    ({"a b": ["\ud800"]}, r'at \$\["a b"\]\[0\] cannot be stored: the text has a lone surrogate'),
    ({"\ud800": 1}, "lone surrogate at character 0"),
    (10**5000, "the integer is too long"),
    (CYCLE, r"at \$\[0\]\.again cannot be stored: the list contains itself"),
    (nested(100), "nested more than 100 levels"),
    (nested(50_000), "nested more than 100 levels"),
    ({True: 1}, "the key True is a <class 'bool'>"),
    ({None: 1}, "the key None"),
    ({(1, 2): 1}, r"the key \(1, 2\) is a <class 'tuple'>"),
    ({1: "a", "1": "b"}, "two of its keys become the same text '1'"),
    ({"x": {Colour.RED: 1, "red": 2}}, r"at \$\.x cannot"),
    ({1, Opaque}, r"at \$\[\.\.\.\] cannot"),
    ({"task": Awaited()}, r"at \$\.task cannot .* has no JSON form; was it to be awaited\?"),
    (PurePath("x"), r"has no JSON form; use str\(\.\.\.\) of it"),
    (Opaque, "has no JSON form"),
    (iter([1]), "has no JSON form"),
    (lambda: 1, "has no JSON form"),
    (1j, "has no JSON form"),
    (time(1, tzinfo=ZoneInfo("Europe/Berlin")), "fixed offset"),
    ([msgspec.UNSET], "has no JSON form"),
    (Model.model_construct(number="x"), r"at \$ cannot be stored: .*Model'> refuses it"),
    (Model.model_construct(number=Opaque()), r"Opaque'> has no JSON form"),
    (Holder(theMeal=Meal("x", Opaque())), r"\$\._secret cannot"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("value", "message"), UNSTORABLE, ids=[m for _, m in UNSTORABLE])
def test_bad_input_is_refused_whole_when_encoding(value: object, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        encode(value)


def test_nesting_up_to_the_limit_is_stored() -> None:
    assert encode(nested(99)) == "[" * 100 + "]" * 100
    assert encode([nested(98), {1}]) == "[" * 100 + "]" * 99 + ",[1]]"


def test_a_stack_that_is_nearly_used_up_gives_a_clear_error() -> None:
    def deeper() -> str:
        try:
            return deeper()
        except RecursionError:
            return encode([{1}])

    with pytest.raises(PayloadError, match="too deep for the stack that is left"):
        deeper()


def test_one_object_in_two_places_is_no_cycle() -> None:
    shared: dict[Any, Any] = {1.5: [1]}

    assert encode([shared, shared]) == '[{"1.5":[1]},{"1.5":[1]}]'


def test_subclasses_are_written_as_what_they_derive_from() -> None:
    class LocalTime(datetime):
        pass

    class Day(date):
        pass

    class Span(timedelta):
        pass

    class Id(UUID):
        pass

    class Money(Decimal):
        pass

    class Noon(time):
        pass

    values = [
        LocalTime(2026, 1, 1, tzinfo=UTC),
        Day(2026, 1, 1),
        Span(1),
        Id(int=1),
        Money(2),
        Noon(12),
    ]

    assert json.loads(encode(values)) == [
        "2026-01-01T00:00:00Z",
        "2026-01-01",
        "P1D",
        "00000000-0000-0000-0000-000000000001",
        "2",
        "12:00:00",
    ]
    assert encode({Count(1): Text("x"), 2: memoryview(b"x")}) == '{"1":"x","2":"eA=="}'


def test_offsets_that_iso_cannot_write_keep_their_instant() -> None:
    moment = datetime(1850, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))  # local mean time, +00:53:28
    assert moment.utcoffset() != timedelta(minutes=53)

    assert decoder(datetime)(encode(moment)) == moment


def test_zones_are_kept_with_their_names() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    moment = datetime(2026, 7, 1, tzinfo=berlin)

    assert encode(moment) == '"2026-07-01T00:00:00+02:00[Europe/Berlin]"'
    for annotation in (datetime, datetime | None, datetime | int | Hotel):
        back = decoder(annotation)(encode(moment))
        assert (back, back.tzinfo) == (moment, berlin)
    holder = {moment: [Trip([], Hotel("A", 1), moment)]}
    (key, (trip,)) = decoder(dict[datetime, list[Trip]])(encode(holder)).popitem()
    assert key.tzinfo is trip.start.tzinfo is berlin


def test_of_two_equal_readings_of_a_clock_the_right_one_comes_back() -> None:
    for fold in (0, 1):
        moment = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
        back = decoder(datetime)(encode(moment))
        assert (back.fold, back.utcoffset()) == (fold, moment.utcoffset())


def test_where_the_rules_of_a_zone_have_changed_the_instant_is_kept() -> None:
    back = decoder(datetime)('"2026-07-01T00:00:00+05:00[Europe/Berlin]"')

    assert back == datetime(2026, 6, 30, 19, tzinfo=UTC)
    assert back.tzinfo == ZoneInfo("Europe/Berlin")


def test_fields_that_were_never_set_are_left_out() -> None:
    flight = Flight.__new__(Flight)
    flight.seat = "1A"

    assert encode(flight) == '{"seat":"1A"}'
    assert encode(Tagged(Hotel("A", 1))) == '{"what":"tagged","leg":{"name":"A","stars":1}}'


def test_a_default_is_written_also_when_it_stands_in_the_class_alone() -> None:
    rebuilt = decoder(list[Guest])('[{"name": "Ada"}]')
    assert rebuilt == [Guest("Ada")]
    assert encode(rebuilt) == encode([Guest("Ada")]) == '[{"name":"Ada","age":0,"tags":[]}]'


def test_pydantic_default_is_to_write_field_names_and_read_both() -> None:
    assert encode(Aliased(theNumber=4)) == '{"number":4}'
    assert decoder(Aliased)('{"theNumber":4}') == Aliased(theNumber=4)
    assert decoder(Holder)('{"theMeal":{"dish":"x"}}') == Holder(theMeal=Meal("x"))


def test_old_pydantic_that_knows_no_lookup_options_still_works() -> None:
    class OldValidator:
        def validate_json(self, data: object) -> object:
            return ("validated", data)

    class OldModel:
        __pydantic_validator__ = OldValidator()

    assert decoder(OldModel)("1") == ("validated", "1")


def test_validator_that_fails_without_details_is_quoted() -> None:
    class Validator:
        def validate_json(self, data: object) -> object:
            raise ValueError("no luck")

    class Failing:
        __pydantic_validator__ = Validator()

    with pytest.raises(PayloadError, match=r"does not fit .*Failing: no luck"):
        decoder(Failing)("1")


def test_replay_is_pure_sets_are_written_in_one_order() -> None:
    code = (
        "from tenuto.model.payload import encode;"
        "print(encode({'s': {'b', 'a', 'c', 1, None}, 'd': {'z': 1, 'a': 2}}))"
    )

    def run(seed: str) -> str:
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        command = [sys.executable, "-c", code]
        return subprocess.check_output(command, env=environment, text=True)

    assert {run(seed) for seed in "123"} == {'{"s":["a","b","c",1,null],"d":{"z":1,"a":2}}\n'}


def test_optional_libraries_are_not_imported() -> None:
    code = (
        "import sys, tenuto.model.payload, tenuto.model.signature, tenuto.schedule;"
        "print([name for name in ('pydantic', 'attr', 'attrs') if name in sys.modules])"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}

    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, text=True) == "[]\n"


# ------------------------------------------------------------------------- what decode refuses

WRONG: list[tuple[Any, str, str]] = [
    (int, '"a"', r"at \$ does not fit: Expected `int`, found `str`"),
    (int, "true", "Expected `int`, found `bool`"),
    (int, "", "does not fit"),
    (int, "1 2", "trailing"),
    (str, '"\\ud800"', "does not fit"),
    (str, '"\ud800"', "does not fit"),
    (Any, "NaN", "malformed"),
    (Any, "[" * 100_000, "nested too deep"),
    (Trip, '{"guests":[{"name":"A"},{"name":1}]}', r"at \$\.guests\[1\]\.name does not fit"),
    (list[Guest], '[{"name":"A","tags":3}]', r"at \$\[0\]\.tags .*Expected `array`, found `int`"),
    (dict[int, int], '{"a":1}', r"at \$ does not fit: Expected `int`"),
    (list[Hotel], '[{"name":"A"}]', r"at \$\[0\] .*missing required field `stars`"),
    (Hotel | Flight, "3", r"at \$ does not fit any member of the union: Expected `object`"),
    (Hotel | Flight, '{"name":1}', r"Expected `str`, found `int` at \$\.name; Expected"),
    (list[Hotel | Flight], "{}", r"at \$ does not fit: Expected `array`, found `object`"),
    (dict[str, Hotel | Flight], "null", "Expected `object`, found `null`"),
    (tuple[Hotel | Flight, int], "[1]", "Expected 2 elements, found 1"),
    (Plan, "{}", "missing required field `leg`"),
    (Stop, "{}", "Expected `array`, found `object`"),
    (Stop, "[3]", r"at \$\[0\] does not fit any member"),
    (Renamed, '{"someLeg":{"name":"A","stars":1},"some_leg":1}', "unknown field `some_leg`"),
    (Tagged, '{"what":"other"}', "Expected what 'tagged'"),
    (Positive, '{"value":-1}', r"at \$ does not fit Positive: must not be negative"),
    (list[Hotel], "[[]]", r"at \$\[0\] does not fit: Expected `object`"),
    (Model, '{"number":"x"}', r"at \$\.number does not fit Model: .*found `str`"),
    (Model, '{"when":1.5e300}', r"and 1 more"),
    (list[Model], '[{"number":[1]}]', r"at \$\[0\]\.number does not fit Model"),
    (dict[str, tuple[Model, Checked]], '{"a":[{"number":1},{"number":0}]}', "greater than 0"),
    (Holder, '{"theMeal":{"dish":3}}', r"at \$\.theMeal\.dish does not fit"),
    (Holder, '{"theMeal":{"dish":"x"},"number":"y"}', r"at \$\.number does not fit Holder"),
    (Holder, "3", r"at \$ does not fit Holder"),
    (list[Checked], '[{"number":0}]', r"at \$\[0\]\.number does not fit Checked: .*greater than 0"),
    (Pair, "[2,2]", r"Expected `Pair`, found \[2,2\]"),
    (Literal[Colour.RED], "1", "Expected .*Literal"),
    (Colour, '"green"', "Invalid enum value"),
    (set[Car | Hotel], '[{"type":"car","wheels":1}]', "set cannot be made of it: unhashable"),
    (Count, '"a"', "Expected `int`, found `str`"),
    (datetime, '"2026-07-01T00:00:00+02:00[Nowhere/City]"', "is no point in time"),
    (datetime, '"2026-07-01T00:00:00[Europe/Berlin]"', "a zone needs an offset"),
    (datetime, '"2026-13-01T00:00:00+02:00[Europe/Berlin]"', "is no point in time"),
    (datetime, '"[x]"', "Invalid RFC3339"),
    (list[datetime], "[3]", "Expected"),
    (Node, '{"value":1,"children":[' * 9_000 + "1" + "]}" * 9_000, "nested too deep"),
]


@pytest.mark.parametrize(
    ("annotation", "text", "message"), WRONG, ids=[f"{m} {t:.20}" for _, t, m in WRONG]
)
def test_bad_input_is_refused_whole_when_decoding(
    annotation: object, text: str, message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        decoder(annotation)(text)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (typing.Self, "is not a type of storable values"),
        ("Hotel", "'Hotel' is not a type"),
        (NeedsInitVar, "needs 'y', an InitVar"),
        (list[NeedsInitVar], "needs 'y', an InitVar"),
        (Opaque | int, "has no JSON form"),
        (collections.defaultdict[str, int], r"has code in it, .*; annotate it as dict"),
        (list[Opaque], "Opaque'> has no JSON form"),
    ],
)
def test_types_that_can_never_be_rebuilt_are_refused_at_once(
    annotation: object, message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        decoder(annotation)


def test_field_of_unknown_type_is_named() -> None:
    with pytest.raises(PayloadError, match=r"UnknownField.*unknown type: name 'Nowhere'"):
        decoder(UnknownField)('{"x":{}}')


def test_struct_of_array_form_ignores_what_it_does_not_know() -> None:
    assert decoder(Row)('[{"name":"A","stars":1}]') == Row(Hotel("A", 1))


def test_an_error_survives_copying_and_can_be_placed() -> None:
    error = PayloadError("is wrong", path="$.a", owner="argument 'x' of f")

    assert str(error) == "argument 'x' of f: value at $.a is wrong"
    assert str(copy.copy(error)) == str(error)
    assert str(PayloadError("it is wrong", path="")) == "it is wrong"
    assert isinstance(error, ValueError)


# ---------------------------------------------------------------------------------- properties

text = st.text(st.characters(exclude_categories=["Cs"]))
finite = st.floats(allow_nan=False, allow_infinity=False)
json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
)
moments = st.datetimes(timezones=st.just(UTC) | st.none())
days = st.dates()


def same(left: object, right: object) -> bool:
    return repr(left) == repr(right)


@given(json_data)
def test_json_data_come_back_exactly(value: object) -> None:
    assert same(decoder()(encode(value)), value)


@given(json_data)
def test_the_text_means_the_same_to_the_standard_library(value: object) -> None:
    assert json.loads(encode(value)) == value


@given(
    st.lists(
        st.builds(Hotel, text, st.integers())
        | st.builds(Flight, text, text)
        | st.builds(Guest, text, st.integers(), st.sets(text))
        | st.integers()
        | st.none()
    )
)
def test_mixed_objects_come_back(value: object) -> None:
    assert decoder(list[Hotel | Flight | Guest | int | None])(encode(value)) == value


@given(
    st.dictionaries(
        text, st.tuples(moments, st.timedeltas(), st.uuids(), st.binary(), days, st.times())
    )
)
def test_times_ids_and_bytes_come_back(value: object) -> None:
    annotation = dict[str, tuple[datetime, timedelta, UUID, bytes, date, time]]

    assert decoder(annotation)(encode(value)) == value


@given(st.decimals(allow_nan=False))
def test_decimals_keep_their_digits(value: Decimal) -> None:
    assert same(decoder(Decimal)(encode(value)), value)


@given(st.datetimes(timezones=st.timezones()))
def test_every_aware_moment_keeps_its_instant(value: datetime) -> None:
    back = decoder(datetime)(encode(value))

    assert isinstance(back, datetime)
    assert back.astimezone(UTC) == value.astimezone(UTC)


@given(st.sets(text | st.integers()), st.randoms())
def test_sets_that_are_equal_have_one_text(value: set[Any], random: Random) -> None:
    shuffled = list(value)
    random.shuffle(shuffled)

    assert encode(set(shuffled)) == encode(value)


@given(json_data)
def test_decoding_anything_as_anything_gives_a_value_or_a_payload_error(value: object) -> None:
    readers: list[Callable[[str], Any]] = [decoder(kind) for kind in (Trip, Node, Plan, Holder)]
    for read in readers:
        with contextlib.suppress(PayloadError):
            read(encode(value))
