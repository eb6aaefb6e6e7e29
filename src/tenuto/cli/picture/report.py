"""Instances as tables and blocks of text. Pure."""

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from tenuto.cli.picture.drawing import STYLES, Glyphs
from tenuto.cli.picture.items import state_of
from tenuto.cli.picture.table import Column, Rows
from tenuto.insight.steps import Run, StepKind, StepState
from tenuto.insight.wording import (
    clock_time,
    duration,
    moment,
    one_line,
    unbroken,
    visible,
    zone,
)
from tenuto.model.explanation import Explanation
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds

_LONG: Final = 300


def instance_table(records: Sequence[InstanceRecord], now: Microseconds, glyphs: Glyphs) -> Rows:
    """A row for each instance; of held ones with all that is said of why."""
    states = [state_of(record.status) for record in records]
    statuses = [
        Text(f"{glyphs.states[state]} {record.status.label}", STYLES[state])
        for record, state in zip(records, states, strict=True)
    ]
    columns = [
        # An id is never cut: people copy it.
        Column(name="INSTANCE", cells=[Text(one_line(record.instance_id)) for record in records]),
        Column(name="NAME", cells=[Text(one_line(record.name)) for record in records], leaves=3),
        Column(name="STATUS", cells=statuses, leaves=5),
        Column(
            name=f"STARTED ({zone(now)})",
            cells=[Text(clock_time(record.created_at)) for record in records],
            leaves=2,
        ),
        Column(
            name="DURATION",
            cells=[Text(_length(record, now)) for record in records],
            leaves=1,
            to_the_right=True,
        ),
    ]
    holds = [record.hold for record in records]
    if not any(holds):
        return Rows(columns=columns)
    reasons = [Text("" if hold is None else str(hold.reason)) for hold in holds]
    columns.insert(3, Column(name="HELD", cells=reasons, leaves=4))
    whys = [Text("" if hold is None else unbroken(hold.message)) for hold in holds]
    return Rows(columns=columns, text=Column(name="WHY", cells=whys))


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
