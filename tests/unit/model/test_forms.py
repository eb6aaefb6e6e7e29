"""Forms: made of types, filled in by browsers, checked for programs, told to people."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from tenuto.model.errors import InputError, PayloadError
from tenuto.model.form import Choice, Field, FieldKind, Form
from tenuto.model.form_types import form_of, form_of_choices
from tenuto.model.payload import decoder


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "dark_blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass
class Everything:
    name: str
    count: int
    weight: float
    price: Decimal
    day: date
    at: time
    moment: datetime
    agreed: bool
    colour: Colour
    size: Size
    kind: Literal["a", "b", 3]
    note: str = ""
    urgent: bool = False
    nick: str | None = None
    maybe: bool | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=9, title="Most", description="Up to 9.")] = 3
    since: date | None = None
    tags: int = field(default_factory=lambda: 7)
    made: str = field(init=False, default="x")


FULL = {
    "name": ["Ada"],
    "count": ["7"],
    "weight": ["1.5"],
    "price": ["1.20"],
    "day": ["2026-05-03"],
    "at": ["14:30"],
    "moment": ["2026-05-03T14:30"],
    "agreed": ["false"],
    "colour": ["dark_blue"],
    "size": ["2"],
    "kind": ["3"],
    "note": [""],
    "urgent": ["true"],
    "nick": [""],
    "limit": ["9"],
    "tags": ["7"],
}


def test_what_a_browser_sends_becomes_a_value_of_the_type() -> None:
    entered = form_of(Everything).read(FULL)
    assert entered.errors == {}
    assert entered.text is not None
    form_of(Everything).check(entered.text)
    value = decoder(Everything)(entered.text)
    assert value == Everything(
        name="Ada",
        count=7,
        weight=1.5,
        price=Decimal("1.20"),
        day=date(2026, 5, 3),
        at=time(14, 30),
        moment=datetime(2026, 5, 3, 14, 30, tzinfo=UTC),
        agreed=False,
        colour=Colour.DARK_BLUE,
        size=Size.LARGE,
        kind=3,
        urgent=True,
        limit=9,
    )


def test_fields_have_labels_kinds_defaults_and_bounds() -> None:
    form = form_of(Everything)
    fields = {one.name: one for one in form.fields}
    assert "made" not in fields
    assert not form.is_single
    assert form.buttons == ()
    assert (fields["moment"].label, fields["limit"].label) == ("Moment (UTC)", "Most")
    assert (fields["limit"].hint, fields["limit"].least, fields["limit"].most) == ("Up to 9.", 1, 9)
    assert (fields["limit"].default, fields["tags"].default) == ("3", None)
    # What a default is made of anew cannot be shown, so it does not stand in for an answer.
    assert [one.is_required for one in (fields["name"], fields["nick"], fields["tags"])] == [
        True,
        False,
        True,
    ]
    assert fields["urgent"].kind is FieldKind.CHECK
    assert fields["agreed"].kind is FieldKind.CHOICE
    assert [one.label for one in fields["agreed"].choices] == ["Yes", "No"]
    assert [one.label for one in fields["colour"].choices] == ["Red", "Dark blue"]
    assert [one.label for one in fields["size"].choices] == ["SMALL", "LARGE"]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("name", "", "Fill this in."),
        ("count", "much", "Enter a whole number."),
        ("count", "1" * 101, "Enter a whole number."),
        ("weight", "nan", "Enter a number."),
        ("weight", "heavy", "Enter a number."),
        ("price", "x", "Enter a number."),
        ("price", "Infinity", "Enter a number."),
        ("day", "soon", "Enter a date, such as 2026-05-03."),
        ("at", "noon", "Enter a time, such as 14:30."),
        ("moment", "now", "Enter a date and a time, such as 2026-05-03T14:30."),
        ("agreed", "", "Choose one of the answers."),
        ("colour", "green", "Choose one of the answers: red, dark_blue."),
        ("limit", "0", "At least 1."),
        ("limit", "10", "At most 9."),
    ],
)
def test_what_is_wrong_is_told_for_its_field(name: str, text: str, error: str) -> None:
    entered = form_of(Everything).read({**FULL, name: [text]})
    assert entered == type(entered)(None, {name: error})


def test_what_is_left_empty_is_null_or_an_empty_text_and_what_is_left_out_is_the_default() -> None:
    sent = {key: value for key, value in FULL.items() if key not in {"limit", "urgent", "nick"}}
    entered = form_of(Everything).read({**sent, "since": [""], "note": [""]})
    assert entered.text is not None
    value = json.loads(entered.text)
    assert {one: value[one] for one in ("note", "urgent", "nick", "since", "limit")} == {
        "note": "",
        "urgent": False,
        "nick": None,
        "since": None,
        "limit": 3,
    }


@dataclass
class Prefilled:
    text: str = "boss"
    whole: int = 100
    number: float = 1.5
    decimal: Decimal = Decimal("1.20")
    day: date = date(2026, 5, 3)
    at: time = time(14, 30)
    moment: datetime = datetime(2026, 5, 3, 14, 30, tzinfo=UTC)
    colour: Colour = Colour.DARK_BLUE
    long: Annotated[str, msgspec.Meta(min_length=1)] = ""


@pytest.mark.parametrize("name", [one.name for one in form_of(Prefilled).fields])
def test_bad_input_is_refused_whole_an_emptied_field_does_not_consent_to_its_default(
    name: str,
) -> None:
    form = form_of(Prefilled)
    shown = {one.name: [one.prefilled] for one in form.fields} | {"long": ["x"]}
    whole = form.read(shown)
    assert whole.text is not None
    assert decoder(Prefilled)(whole.text) == Prefilled(long="x")
    entered = form.read({**shown, name: [" " if name not in {"text", "long"} else ""]})
    assert entered == type(entered)(None, {name: "This needs a value."})
    assert not next(one for one in form.fields if one.name == name).may_be_empty


@dataclass
class Boxes:
    urgent: bool = True
    quiet: bool = False
    made: bool = field(default_factory=lambda: True)


def test_a_box_that_is_not_there_is_unchecked_on_a_page_and_left_out_elsewhere() -> None:
    form = form_of(Boxes)
    assert [one.prefilled for one in form.fields] == ["true", "", ""]
    assert [one.is_required for one in form.fields] == [False, False, True]
    on_page = form.read({"made": ["true"]}).text
    assert on_page == '{"urgent":false,"quiet":false,"made":true}'
    elsewhere = form.read({"made": ["true"]}, is_page=False).text
    assert elsewhere == '{"urgent":true,"quiet":false,"made":true}'


@dataclass
class Loose:
    number: int
    amount: int | None = 100
    nick: str | None = None
    sloppy: int = None  # type: ignore[assignment]
    made: int | None = field(default_factory=lambda: 7)


def test_an_answer_is_completed_with_what_was_left_out() -> None:
    form = form_of(Loose)
    given = '{"made":null,"sloppy":2,"number":12345678901234567890123}'
    assert form.completed(given) == f'{given[:-1]},"amount":100,"nick":null}}'
    whole = '{"number":1,"amount":null,"nick":"x", "sloppy":3,"made":1}'
    assert form.completed(whole) == whole
    assert form_of(int | None).completed(None) == "null"
    for wrong in ("[]", None, "{", '{"number":1,"made":1}', '{"number":1,"sloppy":1}'):
        with pytest.raises(PayloadError):
            form.completed(wrong)
    assert form_of(Annotated[str, msgspec.Meta(min_length=1)]).completed('"a"') == '"a"'
    with pytest.raises(PayloadError, match=r"\$\.long does not fit: At least 1 characters"):
        form_of(Prefilled).completed("{}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"count": "7"}, r"\$\.count does not fit: Expected `int`, found `str`"),
        ({"count": True}, r"\$\.count does not fit: Expected `int`, found `bool`"),
        ({"count": None}, r"\$\.count does not fit: Expected `int`, found `null`"),
        ({"name": {}}, r"\$\.name does not fit: Expected `str`, found `object`"),
        ({"name": []}, r"\$\.name does not fit: Expected `str`, found `array`"),
        ({"urgent": "yes"}, r"\$\.urgent does not fit: Expected `bool`, found `str`"),
        ({"day": "soon"}, r"\$\.day does not fit: Expected `date`"),
        ({"price": "much"}, r"\$\.price does not fit: Expected `decimal`"),
        ({"limit": 10}, r"\$\.limit does not fit: At most 9"),
        ({"colour": "green"}, r"\$\.colour does not fit: expected one of red, dark_blue"),
        ({"size": True}, r"\$\.size does not fit: expected one of 1, 2"),
        ({"who": 1}, r"\$\.who is not asked for; there are name, count"),
    ],
)
def test_what_a_program_sends_is_refused_with_the_place(
    change: dict[str, object], reason: str
) -> None:
    form = form_of(Everything)
    text = form.read(FULL).text
    assert text is not None
    with pytest.raises(PayloadError, match=reason):
        form.check(json.dumps({**json.loads(text), **change}))


def test_a_program_may_leave_out_what_has_a_default_and_nothing_else() -> None:
    form = form_of(Everything)
    text = form.read(FULL).text
    assert text is not None
    value = json.loads(text)
    del value["note"], value["nick"]
    form.check(json.dumps(value))
    form.check(json.dumps({**value, "nick": None, "price": 3, "weight": 2}))
    del value["name"]
    with pytest.raises(PayloadError, match="missing required field `name`"):
        form.check(json.dumps(value))
    for wrong, reason in (("[]", "found `array`"), (None, "found `null`"), ("{", "is no JSON")):
        with pytest.raises(PayloadError, match=reason):
            form.check(wrong)


def test_an_answer_in_words() -> None:
    form = form_of(Everything)
    words = dict(form.in_words(form.read(FULL).text))
    assert words["Agreed"] == "No"
    assert words["Colour"] == "Dark blue"
    assert words["Urgent"] == "Yes"
    assert words["Note"] == words["Nick"] == "-"
    assert words["Count"] == "7"
    assert form_of(int).in_words("5") == [("Your answer", "5")]


class Struct(msgspec.Struct, rename="camel"):
    first_name: str
    age: int = 3
    code: Annotated[str, msgspec.Meta(min_length=2, max_length=4)] = "ab"
    later: list[int] | None = None


class PlainStruct(msgspec.Struct):
    age: int = msgspec.field(default_factory=int)


class Model(pydantic.BaseModel):
    name: str = pydantic.Field(title="Your name", description="As on the card.", max_length=5)
    count: Annotated[int, pydantic.Field(ge=1)] = 3
    day: date = pydantic.Field(default_factory=date.today)


@attrs.define
class Attrs:
    name: str
    count: int = 3
    made: int = attrs.field(factory=int)
    hidden: int = attrs.field(init=False, default=1)


def test_records_of_every_kind_make_forms() -> None:
    made = form_of(Attrs).fields
    assert [(one.name, one.is_required, one.default) for one in made] == [
        ("name", True, None),
        ("count", False, "3"),
        ("made", True, None),
    ]
    name, count, day = form_of(Model).fields
    assert (name.label, name.hint, name.most) == ("Your name", "As on the card.", 5)
    assert (count.least, count.default, day.is_required, day.default) == (1, "3", True, None)
    assert form_of(PlainStruct).fields[0].default is None
    with pytest.raises(InputError, match=r"Struct\.later is list\[int\], a type that no field"):
        form_of(Struct)


def test_texts_have_bounds() -> None:
    text = Annotated[str, msgspec.Meta(min_length=2, max_length=4)]
    form = form_of(text)
    assert form.read({"answer": ["a"]}).errors == {"answer": "At least 2 characters."}
    assert form.read({"answer": ["abcde"]}).errors == {"answer": "At most 4 characters."}
    assert form.read({"answer": ["abc", "abcd"]}).text == '"abcd"'
    with pytest.raises(PayloadError, match="At least 2 characters"):
        form.check('"a"')
    short = Field("x", "X", FieldKind.TEXT, is_required=False, default='"ab"', least=2)
    assert Form((short,)).read({"x": [""]}).errors == {"x": "This needs a value."}
    assert Form((short,)).read({}).text == '{"x":"ab"}'


def test_single_answers_and_choices() -> None:
    assert form_of(bool).buttons == (Choice("Yes", "true"), Choice("No", "false"))
    assert [one.key for one in form_of(Colour).buttons] == ["red", "dark_blue"]
    assert form_of(bool | None).read({}).text == "null"
    assert form_of(int).buttons == ()
    form, values = form_of_choices(["approve", "reject", 3])
    assert values == ["approve", "reject", 3]
    assert [one.label for one in form.buttons] == ["Approve", "Reject", "3"]
    assert form.read({"answer": ["3"]}).text == "3"
    assert (form.chosen('"reject"'), form.chosen("3")) == (1, 2)
    with pytest.raises(PayloadError):
        form.chosen(None)
    form, values = form_of_choices({"Go on": True, "Stop": False})
    assert values == [True, False]
    assert [one.label for one in form.buttons] == ["Go on", "Stop"]
    assert [one.label for one in form_of_choices([True, False])[0].buttons] == ["Yes", "No"]


class Pair(NamedTuple):
    a: int


class Typed(TypedDict):
    a: int


@dataclass
class Unknown:
    a: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@dataclass
class Empty:
    pass


@dataclass
class Nested:
    inner: Everything


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (Pair, "Pair is no class that a form is made of"),
        (Typed, "Typed is no class that a form is made of"),
        (Unknown, "a field of Unknown has an unknown type"),
        (Empty, "Empty has 0 fields; a page asks for 1 to 50"),
        (Nested, "Nested.inner is Everything, a record inside the answer"),
        (bytes, "the answer is bytes, a type that no field is made of"),
        (int | str, r"the answer is int \| str, a type"),
        (Annotated[list[int], Unhashable()], r"the answer is list"),
        (Literal[tuple("x" * n for n in range(1, 203))], "there are 202 choices"),
        (Literal["a_b", "a b"], "there are two choices 'A b'"),
        (Literal[tuple(f"{n}{'x' * 700}" for n in range(100))], "the form takes 1"),
    ],
)
def test_what_a_page_cannot_ask_for_is_refused_by_name(annotation: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        form_of(annotation)


@pytest.mark.parametrize("choices", ["abc", {1, 2}, 7, [], ["a", "a"], {"": 1}])
def test_what_cannot_be_chosen_from_is_refused(choices: object) -> None:
    if choices == ["a", "a"]:
        with pytest.raises(InputError, match="there are two choices 'A'; each must be another"):
            form_of_choices(choices)
    if choices == {"": 1}:
        with pytest.raises(InputError, match="a choice is empty"):
            form_of_choices(choices)
    with pytest.raises(InputError):
        form_of_choices(choices)


def test_text_that_no_store_holds_is_refused() -> None:
    with pytest.raises(PayloadError, match="surrogate"):
        form_of_choices({"half \ud800": 1})
