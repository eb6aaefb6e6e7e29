"""Instances and histories as tables and blocks of text. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.table import Table
from rich.text import Text

from tenuto.cli.picture.drawing import STYLES, Glyphs
from tenuto.cli.picture.items import state_of
from tenuto.insight.steps import Run, StepKind, StepState
from tenuto.insight.wording import duration, failure_text, local, moment, one_line, visible
from tenuto.model.events import HistoryEvent, OrchestratorStarted
from tenuto.model.explanation import Explanation
from tenuto.model.failure import FailureDetails
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds

_SHORT: Final = 60
_LONG: Final = 300
_WIDE: Final = 1_000
_LEAST_ROOM: Final = 20
_FEW: Final = 5
_MOMENT: Final = "2026-01-31 18:00:00"


def instance_table(
    records: Sequence[InstanceRecord], now: Microseconds, glyphs: Glyphs, width: int = _WIDE
) -> Table:
    """One line for each instance; why it is held as far as there is room in ``width``."""
    states = [state_of(record.status) for record in records]
    statuses = [
        f"{glyphs.states[state]} {record.status.label}"
        for record, state in zip(records, states, strict=True)
    ]
    took = [duration((record.completed_at or now) - record.created_at) for record in records]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("INSTANCE", overflow="fold")  # an id is never cut: people copy it
    table.add_column("NAME", overflow="fold")
    table.add_column("STATUS", min_width=max(map(len, statuses), default=0))
    holds = [str(record.hold.reason) if record.hold else "" for record in records]
    longest = max(map(len, holds), default=0)
    if longest:
        table.add_column("HELD", min_width=longest)
    table.add_column("STARTED", min_width=len(_MOMENT))
    table.add_column("TOOK", min_width=max(map(len, took), default=0), justify="right")
    rows = [
        [
            Text(one_line(record.instance_id)),
            Text(one_line(record.name)),
            Text(status, STYLES[state]),
            *([Text(hold)] if longest else ()),
            Text(moment(record.created_at)),
            Text(length),
        ]
        for record, state, status, hold, length in zip(
            records, states, statuses, holds, took, strict=True
        )
    ]
    # Never on several lines: it would make a page of each instance; `show` has all of it.
    taken = sum(max(cell.cell_len for cell in column) + 2 for column in zip(*rows, strict=True))
    if longest and width - taken >= _LEAST_ROOM:
        table.add_column("WHY", no_wrap=True)
        for record, row in zip(records, rows, strict=True):
            why = "" if record.hold is None else record.hold.message
            row.append(Text(one_line(why, min(width - taken, _LONG))))
    for row in rows:
        table.add_row(*row)
    return table


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


def event_table(turns: Sequence[Sequence[HistoryEvent]]) -> Table:
    """A history, one line for each event; times are those of the turns."""
    kinds = [type(event).__name__ for turn in turns for event in turn]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    table.add_column("TURN", width=max(len("TURN"), len(str(len(turns)))), justify="right")
    table.add_column("TIME", width=len(f"{_MOMENT}.000"))
    table.add_column("EVENT", width=max(map(len, kinds), default=0))
    table.add_column("DETAILS", no_wrap=True, overflow="ellipsis", ratio=1)
    for number, turn in enumerate(turns, 1):
        first, *events = turn
        assert isinstance(first, OrchestratorStarted), "each turn begins with its time"
        time = f"{local(first.timestamp):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        for index, event in enumerate(events):
            table.add_row(
                Text(str(number) if index == 0 else "", "dim"),
                Text(time if index == 0 else "", "dim"),
                Text(type(event).__name__),
                Text(_details(event), "dim"),
            )
    return table


def _details(event: HistoryEvent) -> str:
    """The fields of an event that say something: ``#3 book_flight input={"to":"Oslo"}``."""
    parts = []
    fields = msgspec.to_builtins(event)  # without those that have their default
    for name in (*_FIRST, *(name for name in fields if name not in _FIRST)):
        value = fields.get(name)
        if name == "type" or value is None:
            continue
        if name in _NUMBERS:
            parts.append(f"#{value}")
        elif name in _TIMES:
            parts.append(f"{name}={moment(value)}")
        elif name == "failureDetails":
            parts.append(failure_text(msgspec.convert(value, FailureDetails)))
        elif name == "orchestrationStatus":
            parts.append(RuntimeStatus(value).label)
        else:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            parts.append(one_line(text if name == "name" else f"{name}={text}", _SHORT))
    return " ".join(parts)


_NUMBERS: Final = ("eventId", "taskScheduledId", "timerId", "taskId")
_FIRST: Final = (*_NUMBERS, "name")
_TIMES: Final = {"fireAt", "scheduledStart"}
