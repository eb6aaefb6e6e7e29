"""Instances as tables and blocks of text. Pure."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from rich.table import Table
from rich.text import Text

from tenuto.cli.picture.drawing import STYLES, Glyphs
from tenuto.cli.picture.items import state_of
from tenuto.insight.steps import Run, StepKind, StepState
from tenuto.insight.wording import (
    clock_time,
    duration,
    moment,
    one_line,
    visible,
    zone,
)
from tenuto.model.explanation import Explanation
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds

_LONG: Final = 300
_WIDE: Final = 1_000
_LEAST_ROOM: Final = 20
_FEW: Final = 5


def instance_table(
    records: Sequence[InstanceRecord], now: Microseconds, glyphs: Glyphs, width: int = _WIDE
) -> Table:
    """One line for each instance; why it is held as far as there is room in ``width``."""
    states = [state_of(record.status) for record in records]
    statuses = [
        f"{glyphs.states[state]} {record.status.label}"
        for record, state in zip(records, states, strict=True)
    ]
    took = [_length(record, now) for record in records]
    holds = [str(record.hold.reason) if record.hold else "" for record in records]
    columns = [
        Column("INSTANCE", [Text(one_line(record.instance_id)) for record in records]),
        Column("NAME", [Text(one_line(record.name)) for record in records], leaves=3),
        Column(
            "STATUS",
            [Text(one, STYLES[state]) for one, state in zip(statuses, states, strict=True)],
        ),
        Column("HELD", [Text(one) for one in holds] if any(holds) else []),
        Column(
            f"STARTED ({zone(now)})",
            [Text(clock_time(record.created_at)) for record in records],
            leaves=2,
        ),
        Column("DURATION", [Text(one, justify="right") for one in took], leaves=1),
    ]
    shown = _fitting([one for one in columns if one.cells], width)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for one in shown:
        # An id is never cut: people copy it.
        least = None if one.name == "INSTANCE" else max(one.cells_wide, 1)
        justify: Literal["left", "right"] = "right" if one.name == "DURATION" else "left"
        table.add_column(one.name, min_width=least, overflow="fold", justify=justify)
    rows = [list(row) for row in zip(*(one.cells for one in shown), strict=True)]
    # Never on several lines: it would make a page of each instance; `show` has all of it.
    room = width - sum(one.width for one in shown)
    if any(holds) and room >= _LEAST_ROOM:
        table.add_column("WHY", no_wrap=True)
        for record, row in zip(records, rows, strict=True):
            why = "" if record.hold is None else record.hold.message
            row.append(Text(one_line(why, min(room, _LONG))))
    for row in rows:
        table.add_row(*row)
    return table


class Column(NamedTuple):
    """A column of a table. The first that ``leaves`` makes room in a narrow terminal; 0 stays."""

    name: str
    cells: list[Text]
    leaves: int = 0

    @property
    def cells_wide(self) -> int:
        """Columns of the terminal that its cells need."""
        return max((cell.cell_len for cell in self.cells), default=0)

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes."""
        return max(self.cells_wide, len(self.name)) + 2


def _fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """What there is room for: better a column less than ids in towers of ten letters."""
    shown = list(columns)
    for one in sorted((one for one in columns if one.leaves), key=lambda one: one.leaves):
        if sum(each.width for each in shown) <= width:
            break
        shown.remove(one)
    return shown


def _length(record: InstanceRecord, now: Microseconds) -> str:
    """How long it took, or has been there."""
    if record.completed_at is not None:
        return duration(record.completed_at - record.created_at)
    return f"{duration(now - record.created_at)} so far"


def fact_table(run: Run, why: Explanation | None) -> Table:
    """What there is to say of an instance, one line for each; ``why`` it does not go on."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, text in facts(run, why):
        table.add_row(f"  {name}", Text(text))
    return table


def facts(run: Run, why: Explanation | None = None) -> list[tuple[str, str]]:
    """What there is to say of an instance, beside its steps."""
    record = run.record
    hold = record.hold
    found = [
        ("status", record.status.label),
        ("started", moment(record.created_at)),
        ("ended", "" if record.completed_at is None else moment(record.completed_at)),
        ("due", "" if record.scheduled_at is None else moment(record.scheduled_at)),
        ("called by", "" if record.parent is None else record.parent.instance_id),
        ("version", record.version or ""),
        ("tags", ", ".join(f"{key}={value}" for key, value in (record.tags or {}).items())),
        ("input", record.input or ""),
        ("output", record.output or ""),
        ("custom status", record.custom_status or ""),
        ("recorded", "" if hold is None else hold.recorded or ""),
        ("produced", "" if hold is None else hold.produced or ""),
        ("refused", _refused(run)),
    ]
    shown = [(name, one_line(text, _LONG)) for name, text in found if text]
    if why is not None:  # whole: what helps may stand at the end
        shown += [("now", why.sentence), ("what to do", visible(why.advice))]
    return [(name, text) for name, text in shown if text]


def _refused(run: Run) -> str:
    """Why the newest event that did not fit its wait was put aside: the tree has no room for it."""
    if run.record.completed_at is not None:
        return ""
    refused = [
        step for step in run.steps if step.kind is StepKind.EVENT and step.state is StepState.FAILED
    ]
    newest = refused[-1] if refused else None
    if newest is None or newest.failure is None:
        return ""
    return f"{newest.failure.error_message} (at {moment(newest.changed_at)})"
