"""Tables in narrow terminals: nothing is cut, nothing left out."""

from collections.abc import Sequence
from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console
from rich.text import Text

from tenuto.cli.config import settings_table
from tenuto.cli.picture.drawing import UNICODE
from tenuto.cli.picture.history import event_table, lines_of
from tenuto.cli.picture.report import instance_table
from tenuto.cli.picture.table import Column, Rows
from tenuto.model.events import EventAwaited, TaskScheduled
from tenuto.model.hold import Hold, HoldReason
from tests.support.runs import at, opening, record, turn

WIDTHS = (50, 80, 110, 200)
LONG_ID = "order-of-the-northern-branch-2026-11-29-000017"
HOLD = Hold(
    reason=HoldReason.DECISIONS,
    message="replay went another way than what is recorded; start a host with code that fits "
    "or let the instance be tried again once the code is back, and look at both sides",
    since=at(1),
    recorded="a",
    produced="b",
)


def written(rows: Rows, width: int) -> list[str]:
    output = Console(file=StringIO(), width=width, color_system=None)
    with output.capture() as captured:
        output.print(rows)
    return captured.get().splitlines()


def column(name: str, *cells: str, leaves: int = 0, most: int | None = None) -> Column:
    return Column(name=name, cells=[Text(one) for one in cells], leaves=leaves, most=most)


def _instances() -> Rows:
    held = structs.replace(record(instance_id=LONG_ID), hold=HOLD)
    return instance_table([held, record(name="a_rather_long_name_of_a_trip")], at(60), UNICODE)


def _history() -> Rows:
    turns = [
        opening(TaskScheduled(1, "book", '"to Oslo and back, with one bag"', timeout=5)),
        turn(2, EventAwaited(2, "paid" * 10), TaskScheduled(3, "b" * 50)),
    ]
    return event_table(lines_of(turns))


def _settings() -> Rows:
    values = {"storage": "sqlite:///" + "x" * 60, "http.port": 7071, "http.keys": {"a": "b" * 40}}
    sources = {"storage": "environment TENUTO_STORAGE", "http.port": "default", "http.keys": "file"}
    return settings_table(values, sources)


TABLES = {"list": _instances, "history": _history, "config": _settings}


def packed(parts: Sequence[str]) -> str:
    """What stands there, whatever the lines."""
    return "".join("".join(parts).split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_every_cell_of_every_table_is_shown_whole_at_every_width(name: str, width: int) -> None:
    rows = TABLES[name]()
    lines = written(rows, width)
    assert max(map(len, lines)) <= width
    shown = packed(lines)
    for one in [*rows.columns, *([] if rows.text is None else [rows.text])]:
        for cell in one.cells:
            assert packed([cell.plain]) in shown, one.name


@pytest.mark.parametrize("name", TABLES)
def test_what_has_room_is_one_line_for_each_row(name: str) -> None:
    rows = TABLES[name]()
    assert len(written(rows, 1_000)) == len(rows.columns[0].cells) + rows.has_head


def test_what_leaves_a_row_stands_below_it_by_name_in_the_order_of_the_columns() -> None:
    rows = Rows(
        columns=[
            column("ID", "a" * 10, "b"),
            column("NAME", "nnnn", "", leaves=2),
            column("SINCE (UTC)", "12:00", "13:00", leaves=1),
        ]
    )
    assert written(rows, 30)[1:] == ["aaaaaaaaaa  nnnn  12:00", "b                 13:00"]
    assert written(rows, 20)[1:] == [
        "aaaaaaaaaa  nnnn",
        "  since (UTC) 12:00",
        "b",
        "  since (UTC) 13:00",
    ]
    assert written(rows, 14)[1:3] == ["aaaaaaaaaa", "  name nnnn"]
    names = [line for line in written(rows, 14) if line.strip().startswith("name")]
    assert names == ["  name nnnn"], "what is empty is not named"


def test_a_long_text_is_wrapped_beside_its_row_where_that_can_be_read_and_else_below() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    rows = Rows(columns=[column("ID", "abc")], text=column("WHY", text))
    assert written(rows, 50) == [
        "ID   WHY",
        "abc  one two three four five six seven eight nine",
        "     ten eleven twelve",
    ]
    assert written(rows, 30) == [
        "ID   WHY",
        "abc",
        "  why one two three four",
        "    five six seven eight nine",
        "    ten eleven twelve",
    ]


def test_a_cell_that_is_wider_than_its_column_moves_only_its_own_row() -> None:
    rows = Rows(
        columns=[column("K", "a", "b"), column("V", "1", "2" * 12, most=4)],
        text=column("S", "x", "y"),
        has_head=False,
    )
    assert written(rows, 40) == ["a  1     x", "b  222222222222  y"]


def test_an_empty_table_is_its_head() -> None:
    assert written(Rows(columns=[column("A"), column("B")], text=column("C")), 50) == ["A  B  C"]
