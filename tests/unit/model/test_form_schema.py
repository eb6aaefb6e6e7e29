"""Forms as JSON schemas: what a schema lets pass, the form takes."""

from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated

from msgspec import Meta

from tenuto.model.form import Field, FieldKind, Form
from tenuto.model.form_schema import form_schema
from tenuto.model.form_types import form_of, form_of_choices


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Order:
    name: Annotated[str, Meta(min_length=2, max_length=9)]
    count: Annotated[int, Meta(ge=1, le=5)]
    price: Decimal
    on: date
    at: time
    sent: datetime
    weight: float | None = None
    is_gift: bool = False
    size: Size | None = None
    tags: str = field(default="none")


def test_a_form_of_fields_is_an_object_of_them() -> None:
    schema = form_schema(form_of(Order))
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name", "count", "price", "on", "at", "sent"]
    fields = schema["properties"]
    assert fields["name"] == {
        "title": "Name", "type": "string", "minLength": 2, "maxLength": 9,
    }  # fmt: skip
    assert (fields["count"]["minimum"], fields["count"]["maximum"]) == (1, 5)
    assert fields["price"]["format"] == "decimal"
    formats = [fields[name]["format"] for name in ("on", "at", "sent")]
    assert formats == ["date", "time", "date-time"]
    assert fields["weight"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert (fields["is_gift"]["type"], fields["is_gift"]["default"]) == ("boolean", False)
    assert fields["size"]["enum"] == ["s", "l", None]
    assert fields["tags"]["default"] == "none"


def test_a_single_value_is_its_own_schema() -> None:
    assert form_schema(form_of(int))["type"] == "integer"
    assert form_schema(form_of_choices(["yes", "no"])[0])["enum"] == ["yes", "no"]


def test_a_hint_is_a_description_and_a_field_without_a_label_has_no_title() -> None:
    form = Form((Field("answer", "", FieldKind.TEXT, hint="As on the bill."),), is_single=True)
    assert form_schema(form) == {"description": "As on the bill.", "type": "string"}
