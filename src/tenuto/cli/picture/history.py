"""Histories as tables: all of one, or what of it is looked for. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from rich.text import Text

from tenuto.cli.picture.table import Column, Rows
from tenuto.insight.built_in import call_text, request_text
from tenuto.insight.wording import failure_text, local, moment, one_line, zone
from tenuto.model.events import HistoryEvent, OrchestratorStarted
from tenuto.model.failure import FailureDetails
from tenuto.model.form import Form
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds

_SHORT: Final = 60


class Line(NamedTuple):
    """An event, and where it stands: which turn of the history, at which place in that."""

    turn: int
    place: int
    at: Microseconds
    event: HistoryEvent


def lines_of(turns: Sequence[Sequence[HistoryEvent]], *, failed: bool = False) -> list[Line]:
    """The events of a history, without the marks of turns; with ``failed`` only failures."""
    lines = []
    for number, turn in enumerate(turns):
        first, *events = turn
        assert isinstance(first, OrchestratorStarted), "each turn begins with its time"
        lines += [
            Line(number, index, first.timestamp, event)
            for index, event in enumerate(events, 1)
            if not failed or getattr(event, "failure_details", None) is not None
        ]
    return lines


def event_table(lines: Sequence[Line]) -> Rows:
    """A row for each event; times are those of the turns, and stand at their first event."""
    first = [index == 0 or lines[index - 1].turn != line.turn for index, line in enumerate(lines)]
    turns = [
        str(line.turn + 1) if is_first else "" for line, is_first in zip(lines, first, strict=True)
    ]
    times = [_time(line) if is_first else "" for line, is_first in zip(lines, first, strict=True)]
    columns = [
        Column(name="TURN", cells=[Text(one, "dim") for one in turns], to_the_right=True),
        Column(
            name=f"TIME ({zone(lines[-1].at)})" if lines else "TIME",
            cells=[Text(one, "dim") for one in times],
            leaves=1,
        ),
        Column(name="EVENT", cells=[Text(type(line.event).__name__) for line in lines]),
    ]
    details = [Text(_details(line.event), "dim") for line in lines]
    return Rows(columns=columns, text=Column(name="DETAILS", cells=details))


def _time(line: Line) -> str:
    return f"{local(line.at):%Y-%m-%d %H:%M:%S.%f}"[:-3]


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
        elif name in _TIMES or name.endswith("At"):
            parts.append(f"{name}={moment(value)}")
        elif name == "failureDetails":
            parts.append(failure_text(msgspec.convert(value, FailureDetails)))
        elif name == "form":
            form = msgspec.convert(value, Form)
            choices = [one.key for one in form.buttons] or [one.name for one in form.fields]
            parts.append(one_line(f"form={', '.join(choices)}", _SHORT))
        elif name == "orchestrationStatus":
            parts.append(RuntimeStatus(value).label)
        else:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            if name == "name":
                text = call_text(text, request_text(text, fields.get("input"))) or text
            parts.append(one_line(text if name == "name" else f"{name}={text}", _SHORT))
    return " ".join(parts)


_NUMBERS: Final = ("eventId", "taskScheduledId", "timerId", "taskId")
_FIRST: Final = (*_NUMBERS, "name")
_TIMES: Final = {"scheduledStart"}
"""Besides those whose names end in ``At``."""
