"""Pydantic knows offsets alone: named zones in its models are kept all the same."""

import typing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pydantic.dataclasses
import pytest

from tenuto.model.payload import PayloadError, Writer, decoder

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 7, 1, 12, tzinfo=BERLIN)
SECOND_READING = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
# As pydantic makes it, with its own class for offsets.
OFFSET = pydantic.TypeAdapter(datetime).validate_json('"2026-07-01T12:00:00+02:00"')


class Stop(pydantic.BaseModel):
    at: datetime
    note: str = ""


class Trip(pydantic.BaseModel):
    when: datetime
    until: datetime | None = None
    stops: list[Stop] = []
    times: list[datetime] = []
    named: dict[str, datetime] = {}
    pair: tuple[str, datetime] | None = None
    more: tuple[datetime, ...] = ()


class Aliased(pydantic.BaseModel):
    when: datetime = pydantic.Field(alias="theTime")
    later: datetime | None = pydantic.Field(None, serialization_alias="thenAgain")


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, frozen=True)
    when: datetime
    back: datetime
    note: str = ""


class Bound(pydantic.BaseModel):
    when: pydantic.AwareDatetime
    after: Annotated[datetime, pydantic.Field(gt=datetime(2026, 1, 1, tzinfo=UTC))]


class Many(pydantic.BaseModel):
    times: list[Annotated[datetime, pydantic.Field(gt=datetime(2026, 1, 1, tzinfo=UTC))]]
    either: Stop | list[Stop | datetime] | None = None
    table: dict[str, list[tuple[datetime, str]]] = {}
    numbers: list[int] = []


class Times(pydantic.RootModel[list[datetime]]):
    pass


class Around(pydantic.BaseModel):
    times: Times


class Node(pydantic.BaseModel):
    at: datetime
    below: "list[Node]" = []


@pydantic.dataclasses.dataclass
class Checked:
    when: datetime


@attrs.define
class Meal:
    at: datetime


class Holder(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    meal: Meal
    when: datetime


class Shown(pydantic.BaseModel):
    when: datetime

    @pydantic.field_serializer("when")
    def _written(self, when: datetime) -> str:
        return when.astimezone(UTC).isoformat()


class Spoken(pydantic.BaseModel):
    when: datetime

    @pydantic.field_serializer("when")
    def _written(self, _when: datetime) -> str:
        return "at noon"

    @pydantic.field_validator("when", mode="before")
    @classmethod
    def _read(cls, text: object) -> object:
        return NOON if text == "at noon" else text


def later(moment: datetime) -> datetime:
    return moment + timedelta(days=1)


MODELS: list[Callable[[datetime], object]] = [
    lambda at: Trip(when=at),
    lambda at: Trip(when=OFFSET, until=at, stops=[Stop(at=at), Stop(at=OFFSET, note="[a]")]),
    lambda at: Trip(when=at, times=[at, OFFSET, later(at)], more=(OFFSET, at)),
    lambda at: Trip(when=at, named={"[a]": at, "b": OFFSET}, pair=("[Europe/Berlin]", at)),
    lambda at: Aliased(theTime=at, later=at),
    lambda at: Strict(when=at, back=later(at)),
    lambda at: Bound(when=at, after=at),
    lambda at: Many(times=[at], either=Stop(at=at), table={"a": [(at, "[Europe/Berlin]")]}),
    lambda at: Many(times=[OFFSET], either=[Stop(at=at), at, OFFSET], numbers=[1]),
    lambda at: Times([at, OFFSET]),
    lambda at: Around(times=Times([at])),
    lambda at: Node(at=at, below=[Node(at=OFFSET, below=[Node(at=at)])]),
    Checked,
    lambda at: Holder(meal=Meal(at), when=at),
]


@pytest.mark.parametrize("moment", [NOON, SECOND_READING], ids=str)
@pytest.mark.parametrize("made", MODELS, ids=[str(number) for number in range(len(MODELS))])
def test_named_zones_in_models_are_kept(
    made: Callable[[datetime], object], moment: datetime
) -> None:
    value = made(moment)
    kind: Any = type(value)
    several: list[tuple[object, object]] = [
        (value, kind),
        ([value], list[kind]),
        ({"a": value}, dict[str, kind | None]),
    ]
    for given, annotation in several:
        text = Writer(annotation)(given)
        assert f"{moment.isoformat()}[Europe/Berlin]" in text
        back = decoder(annotation)(text)
        assert repr(back) == repr(given), "with the zone's name, and fold"


def test_models_without_named_zones_are_written_and_read_as_pydantic_does() -> None:
    for value in (Trip(when=OFFSET, stops=[Stop(at=OFFSET, note="[x]")]), Checked(OFFSET)):
        kind: Any = type(value)
        text = Writer(kind)(value)
        adapter = pydantic.TypeAdapter(kind)
        assert msgspec.json.decode(text) == adapter.dump_python(value, mode="json")
        assert decoder(kind)(text) == adapter.validate_json(text)
    note = (
        '{"when":"2026-07-01T12:00:00+02:00","back":"2026-07-01T12:00:00+02:00","note":"see [1]"}'
    )
    assert decoder(Strict)(note) == Strict.model_validate_json(note), "strict, as JSON is read"


def test_only_what_is_a_point_in_time_is_read_as_one() -> None:
    text = f"{NOON.isoformat()}[Europe/Berlin]"
    data = {"at": NOON.isoformat(), "note": text}
    assert decoder(Stop)(msgspec.json.encode(data)).note == text
    wrong = {"when": NOON.isoformat(), "pair": [text, text]}
    assert decoder(Trip)(msgspec.json.encode(wrong)).pair == (text, NOON)


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (Stop, {"at": "2026-07-01T12:00:00+02:00[No/Where]"}, r"at \$\.at .*is no point in time"),
        (Stop, {"at": "2026-07-01T12:00:00[Europe/Berlin]"}, r"at \$\.at .*a zone needs an offset"),
        (Stop, {"at": "[Europe/Berlin]"}, r"at \$\.at does not fit Stop"),
        (Trip, {"when": 3, "times": ["2026-13-01T12:00:00+02:00[Europe/Berlin]"]},
         r"at \$\.times\[0\] .*is no point in time"),
        (Bound, {"when": str(NOON), "after": "2025-07-01T12:00:00+02:00[Europe/Berlin]"},
         r"at \$\.after does not fit Bound"),
        (list[Stop], [{"at": "2026-07-01T12:00:00+02:00[No/Where]"}], r"at \$\[0\]\.at "),
    ],
)  # fmt: skip
def test_bad_input_is_refused_whole_with_its_place(kind: Any, data: object, message: str) -> None:  # noqa: ANN401 - a type
    with pytest.raises(PayloadError, match=message):
        decoder(kind)(msgspec.json.encode(data))


def test_what_a_class_writes_itself_is_left_as_it_is() -> None:
    with pytest.raises(PayloadError, match=r"at \$\.when is .*ZoneInfo.*; use UTC, an offset of"):
        Writer(Shown)(Shown(when=NOON))
    assert typing.cast("Shown", decoder(Shown)('{"when":"2026-07-01T10:00:00Z"}')).when.tzinfo
    assert Writer(Spoken)(Spoken(when=NOON)) == '{"when":"at noon"}'
