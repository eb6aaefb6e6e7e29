"""Expressions in bindings."""

import re
import uuid
from datetime import UTC, datetime

import pytest

from tenuto.interop.azure_app.bindings.expressions import ExpressionError, filled

NOW = datetime(2026, 3, 7, 15, 4, 5, 123456, tzinfo=UTC)
DATA = {
    "name": "Ada",
    "Size": 7,
    "sold": True,
    "nothing": None,
    "headers": {"X-Id": "9"},
    "many": [1],
    "sys": {"methodname": "f"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a/{name}.jpg", "a/Ada.jpg"),
        ("{NAME}{size}{sold}{nothing}", "Ada7true"),
        ("{headers.x-id}", "9"),
        ("{{{name}}}", "{Ada}"),
        ("{sys.methodname}", "f"),
        ("{DateTime}", "2026-03-07T15-04-05Z"),
        ("{DateTime:yyyy/M/d HH:mm:ss.fff}", "2026/3/7 15:04:05.123"),
        ("{datetime:yy-MM-dd h'h'\\m}", "26-03-07 3hm"),
        ("{sys.utcnow:yyyyMMdd}", "20260307"),
    ],
)
def test_what_is_known_stands_in_the_place_of_an_expression(text: str, expected: str) -> None:
    assert filled(text, DATA, NOW) == expected


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("", r"[0-9a-f]{8}-[0-9a-f-]{27}"),
        (":N", r"[0-9a-f]{32}"),
        (":B", r"\{[0-9a-f-]{36}\}"),
        (":P", r"\([0-9a-f-]{36}\)"),
    ],
)
def test_each_guid_is_another(form: str, pattern: str) -> None:
    first, second = filled(f"{{rand-guid{form}}} {{sys.randguid{form}}}", {}, NOW).split(" ")
    assert re.fullmatch(pattern, first)
    assert uuid.UUID(first.strip("()")) != uuid.UUID(second.strip("()"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{other}", "nothing is known under {other}"),
        ("{name.first}", "nothing is known under {name.first}"),
        ("{many}", "{many} is no text and no number"),
        ("{rand-guid:X}", "has no such form"),
    ],
)
def test_what_is_not_known_is_an_error(text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(said)):
        filled(text, DATA, NOW)
