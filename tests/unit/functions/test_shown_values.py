"""Values of user code as text: plain data are shown, and no code of users is run for it."""

import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tenuto.functions.shown_values import shown, type_name


class Color(Enum):
    RED = 1


class Level(IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Order:
    kinds: ClassVar[int] = 3
    number: int
    note: str = "x"
    password: str = dataclasses.field(default="secret", repr=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    number: int
    unset: int = dataclasses.field(init=False)


class Bill(msgspec.Struct):
    number: int
    orders: list[Order] = msgspec.field(default_factory=list)


ZONE = type("Zone", (tzinfo,), {})()
"""Says nothing of itself, which is an error for whoever asks."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (1 << 4000, "<a whole number of 4,001 bits>"),
        (1.5, "1.5"),
        ('a"b', r'"a\"b"'),
        ("\udcff", r'"\\udcff"'),
        (b"abc", "<3 bytes>"),
        (bytearray(2), "<2 bytes>"),
        ([1, "a"], '[1, "a"]'),
        ((1,), "[1]"),
        ({1}, "[1]"),
        (deque([1]), "[1]"),
        ({"a": [1], 2: None}, '{"a": [1], 2: null}'),
        (defaultdict(int, a=1), '{"a": 1}'),
        (OrderedDict(a=1), '{"a": 1}'),
        (Counter("a"), '{"a": 1}'),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), '"2026-01-02T03:00:00+00:00"'),
        (datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC")), '"2026-01-02T00:00:00+00:00"'),
        (datetime(2026, 1, 2, tzinfo=ZONE), "<datetime>"),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(3, 4), '"03:04:00"'),
        (timedelta(seconds=90), '"0:01:30"'),
        (Decimal("1.50"), '"1.50"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Path("a/b"), '"a/b"'),
        (PurePosixPath("/c"), '"/c"'),
        (Color.RED, "Color.RED"),
        (Level.HIGH, "Level.HIGH"),
        (Order(1), '{"number": 1, "note": "x"}'),
        (Slotted(1), '{"number": 1}'),
        (Bill(2, [Order(1)]), '{"number": 2, "orders": [{"number": 1, "note": "x"}]}'),
        (ValueError("no", 2), '["no", 2]'),
        (Order, "<type>"),
        (len, "<builtin_function_or_method>"),
    ],
)
def test_plain_data_are_shown(value: object, text: str) -> None:
    assert shown(value, 1_000) == text


def refuse(*_: object) -> NoReturn:
    raise AssertionError("code of users was run")


def hostile_values() -> list[tuple[object, str]]:
    """Values whose classes answer whatever is asked of them with an error. Not in the module: the
    tools of tests ask classes there.
    """
    asked = ("__repr__", "__str__", "__len__", "__iter__", "__eq__", "__bool__", "__getattribute__")
    answers = dict.fromkeys(asked, refuse)
    hostile = type("Hostile", (), {**answers, "__hash__": refuse, "__format__": refuse})
    metaclass = type("HostileClass", (type,), {"__getattribute__": refuse, "__repr__": refuse})
    made = metaclass("Made", (), {})
    ordered = dataclasses.make_dataclass("HostileOrder", [("number", int, 1)])
    order = ordered()
    ordered.__getattribute__ = ordered.__repr__ = refuse  # type: ignore[method-assign]
    return [
        (hostile(), "<Hostile>"),
        ([hostile()], "[<Hostile>]"),
        (type.__call__(made), "<Made>"),
        (type("HostileList", (list,), answers)(), "<HostileList>"),
        (order, '{"number": 1}'),
        (type("Text", (str,), {"__repr__": refuse, "__str__": refuse})("a"), "<Text>"),
    ]


@pytest.mark.parametrize("which", range(6))
def test_no_code_of_users_is_run(which: int) -> None:
    value, text = hostile_values()[which]
    assert shown(value, 1_000) == text
    assert type_name(value).isidentifier()


def test_a_class_that_only_says_that_it_is_a_dataclass_is_none() -> None:
    kind = type("Odd", (), {"__dataclass_fields__": {"a": 1}})
    assert shown(kind(), 100) == "{}"
    odd = type("Odder", (), {"__dataclass_fields__": 7})
    assert shown(odd(), 100) == "<Odder>"


def test_an_enum_member_that_has_lost_its_name_is_of_its_kind() -> None:
    member = object.__new__(Color)
    assert shown(member, 100) == "<Color>"


def test_long_text_ends_with_a_whole_word_so_that_no_half_of_a_secret_is_left() -> None:
    pays = "pay " * 30
    text = shown(f"{pays}at http://a.example/callbacks/one/" + "t" * 100, 1_000)
    assert text == f'"{pays}at http://a.example/callbacks/one/..."'


def test_much_is_cut_in_items_in_depth_and_in_length() -> None:
    assert shown(list(range(100)), 1_000).endswith("18, 19, ...]")
    assert shown(dict.fromkeys(range(100)), 1_000).endswith("19: null, ...}")
    deep: list[Any] = []
    deep.append(deep)
    assert shown(deep, 1_000) == "[[[[...]]]]"
    cut = shown(["word"] * 20, 30)
    assert cut.endswith("...")
    assert len(cut) <= 33


def test_no_metaclass_is_asked_what_its_class_is_like() -> None:
    asked: list[str] = []

    class Asked(type):
        def __hash__(cls) -> int:
            asked.append("hash")
            return 1

        def __eq__(cls, other: object) -> bool:
            asked.append("eq")
            return cls is other

    assert Asked.__eq__ is not type.__eq__

    class Tricky(metaclass=Asked):
        pass

    assert shown([Tricky()], 200).startswith("[<")
    assert asked == []
