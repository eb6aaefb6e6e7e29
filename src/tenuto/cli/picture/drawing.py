"""The picture of a run: a tree of lines with states, durations and bars of time. Pure.

States differ in their symbols, not only in colour. What cannot be shown in the terminal's
character set has a counterpart in ASCII.
"""

from typing import Final

from msgspec import Struct
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from tenuto.cli.picture.items import Item
from tenuto.insight.steps import StepState
from tenuto.insight.wording import duration
from tenuto.model.timing import Microseconds

BAR: Final = 24
"""Width of the bars of time."""

_GAP: Final = "  "
_NARROW: Final = 70
"""Columns below which there are no bars of time."""

_LEAST_BAR: Final = 8
_WHOLE: Final = 60
"""A detail up to this long, such as a child's id, is shown whole beside a shorter bar; a failure's
message is cut: it stands below the picture too.
"""


class Glyphs(Struct, frozen=True):
    """The characters of a picture."""

    states: dict[StepState, str]
    spinner: str
    branch: str
    last: str
    through: str
    bar: str
    waiting_bar: str
    ellipsis: str
    times: str


UNICODE: Final = Glyphs(
    states={
        StepState.RUNNING: "●",
        StepState.WAITING: "◌",
        StepState.RETRYING: "↻",
        StepState.COMPLETED: "✔",
        StepState.FAILED: "✖",
        StepState.CANCELED: "⊘",
        StepState.UNREAD: "✉",
    },
    spinner="⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏",
    branch="├─ ",
    last="└─ ",
    through="│  ",
    bar="━",
    waiting_bar="╌",
    ellipsis="…",
    times="\N{MULTIPLICATION SIGN}",
)
ASCII: Final = Glyphs(
    states={
        StepState.RUNNING: ">",
        StepState.WAITING: "~",
        StepState.RETRYING: "@",
        StepState.COMPLETED: "+",
        StepState.FAILED: "x",
        StepState.CANCELED: "-",
        StepState.UNREAD: "?",
    },
    spinner="|/-\\",
    branch="|-- ",
    last="`-- ",
    through="|   ",
    bar="=",
    waiting_bar=".",
    ellipsis="...",
    times="x",
)
STYLES: Final = {
    StepState.RUNNING: "cyan",
    StepState.WAITING: "blue",
    StepState.RETRYING: "yellow",
    StepState.COMPLETED: "green",
    StepState.FAILED: "red",
    StepState.CANCELED: "dim",
    StepState.UNREAD: "yellow",
}


class Sheet(Struct, frozen=True, kw_only=True):
    """What a picture is drawn on.

    Attributes:
        glyphs: The characters to use.
        rows: Most lines; equal ones are folded, then the rest is cut.
        bar: Width of the bars of time; 0 for none.
        frame: Which picture of the spinner; None for a still picture.
    """

    glyphs: Glyphs = UNICODE
    rows: int = 1_000
    bar: int = BAR
    frame: int | None = None


def draw(root: Item, now: Microseconds, sheet: Sheet) -> Table:
    """The tree of a run; what is open lasts until ``now`` (microseconds since 1970 UTC)."""
    lines = _lines(root, "", "", sheet.glyphs)
    shown = lines if len(lines) <= sheet.rows else lines[: max(sheet.rows - 1, 1)]
    table = Table.grid(expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, justify="right")
    if sheet.bar:
        table.add_column(no_wrap=True, width=len(_GAP) + sheet.bar)
    for guides, item in shown:
        cells = [_label(guides, item, sheet), Text(f"{_GAP}{_time(item, now)}", "dim")]
        if sheet.bar:
            cells.append(_bar(item, root.begun_at, root.ended_at or now, sheet))
        table.add_row(*cells)
    if hidden := len(lines) - len(shown):
        table.add_row(Text(f"{sheet.glyphs.ellipsis} {hidden} more lines", "dim"))
    return table


def bar_for(root: Item, now: Microseconds, width: int, glyphs: Glyphs) -> int:
    """How wide the bars of time may be in so many columns; 0 where there is no room for any."""
    if width < _NARROW:
        return 0
    lines = _lines(root, "", "", glyphs)
    labels = max(
        cell_len(f"{guides}* {_words(item, glyphs)}{_detail(item, most=_WHOLE)}")
        for guides, item in lines
    )
    times = max(cell_len(_time(item, now)) for _, item in lines)
    room = width - labels - times - 2 * len(_GAP)
    return min(room, BAR) if room >= _LEAST_BAR else 0


def _lines(item: Item, guides: str, below: str, glyphs: Glyphs) -> list[tuple[str, Item]]:
    lines = [(guides, item)]
    for child in item.children:
        is_last = child is item.children[-1]
        own = glyphs.last if is_last else glyphs.branch
        deeper = " " * len(glyphs.last) if is_last else glyphs.through
        lines += _lines(child, below + own, below + deeper, glyphs)
    return lines


def _label(guides: str, item: Item, sheet: Sheet) -> Text:
    glyphs, style = sheet.glyphs, STYLES[item.state]
    symbol = glyphs.states[item.state]
    if item.state is StepState.RUNNING and sheet.frame is not None:
        symbol = glyphs.spinner[sheet.frame % len(glyphs.spinner)]
    return Text.assemble(
        (guides, "dim"),
        (symbol, style),
        (f" {_words(item, glyphs)}", "bold" if item.state.is_open else ""),
        (_detail(item), style if item.state is StepState.FAILED else "dim"),
    )


def _detail(item: Item, most: int | None = None) -> str:
    is_shown = item.detail and (most is None or len(item.detail) <= most)
    return f"{_GAP}{item.detail}" if is_shown else ""


def _words(item: Item, glyphs: Glyphs) -> str:
    if item.count == 1:
        return item.label
    if item.label:
        return f"{item.label} {glyphs.times} {item.count:,}"
    return f"{item.count:,} {item.state}"


def _time(item: Item, now: Microseconds) -> str:
    if item.due_at is not None and item.state.is_open:
        return f"{duration(item.due_at - now)} left"
    if item.ended_at is None:  # in whole tenths, so that it does not flicker
        return duration(max(now - item.begun_at, 0), least_unit="s")
    return duration(item.ended_at - item.begun_at)


def _bar(item: Item, start: int, end: int, sheet: Sheet) -> Text:
    """Where the item lies between ``start`` and ``end``: one cell at least, never outside."""
    width, span = sheet.bar, max(end - start, 1)
    ended_at = end if item.ended_at is None else item.ended_at
    first = max(min((item.begun_at - start) * width // span, width - 1), 0)
    last = max(min(-((start - ended_at) * width // span), width), first + 1)
    idle = item.is_wait or item.state in {StepState.WAITING, StepState.RETRYING}
    glyph = sheet.glyphs.waiting_bar if idle else sheet.glyphs.bar
    return Text(_GAP + " " * first + glyph * (last - first), STYLES[item.state])
