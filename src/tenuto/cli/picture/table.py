"""Tables, however narrow the terminal is: nothing is cut and nothing left out. Pure.

A row that fits is one line. What has no room in it stands below, indented, each with its name. A
long text, the last column, is wrapped beside the others where that leaves it some room.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct
from rich.console import Console, ConsoleOptions
from rich.text import Text

_GAP: Final = 2
_INDENT: Final = 2
_LEAST_BESIDE: Final = 40
"""Columns of the terminal that a long text needs, to be read beside the others."""


class Column(Struct, frozen=True, kw_only=True):
    """A column of a table.

    Attributes:
        name: Its head.
        cells: What stands in it, one for each row.
        leaves: The first that leaves makes room in a narrow terminal; 0 stays.
        to_the_right: Whether its cells end in one place rather than begin in one.
        most: Its width at most; what stands behind a wider cell moves to the right.
    """

    name: str
    cells: Sequence[Text]
    leaves: int = 0
    to_the_right: bool = False
    most: int | None = None

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes."""
        widest = max((cell.cell_len for cell in self.cells), default=0)
        return widest if self.most is None else min(widest, self.most)

    @property
    def label(self) -> str:
        """What its cells are called below a row: ``started (UTC)``."""
        first, gap, rest = self.name.partition(" ")
        return f"{first.lower()}{gap}{rest}"

    def padded(self, cell: Text, width: int) -> Text:
        """A cell as wide as the column."""
        rest = " " * max(width - cell.cell_len, 0)
        return Text.assemble(rest, cell) if self.to_the_right else Text.assemble(cell, rest)


class Rows(Struct, frozen=True, kw_only=True):
    """A table, for rich.

    Attributes:
        columns: Its columns; all have as many cells.
        text: The last column, whose cells may be long; None when there is none.
        has_head: Whether the names of the columns stand above.
    """

    columns: Sequence[Column]
    text: Column | None = None
    has_head: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Its lines in the width that there is."""
        return self._lines(console, options.max_width)

    def _lines(self, console: Console, width: int) -> Iterator[Text]:
        beside, below = self._arranged(width)
        widths = [self._width_of(one) for one in beside]
        if self.has_head:
            room = 0 if below else width
            yield from self._head(beside, widths, room)
        for row in range(len(self.columns[0].cells)):
            line = _side_by_side(
                [one.padded(one.cells[row], to) for one, to in zip(beside, widths, strict=True)]
            )
            others = [(one.label, one.cells[row]) for one in below]
            if self.text is not None:
                long, room = self.text.cells[row], width - line.cell_len - _GAP
                if not below and (long.cell_len <= room or room >= _LEAST_BESIDE):
                    first, *more = _wrapped(long, console, room)
                    yield from _fitted(_side_by_side([line, first]))
                    yield from (Text.assemble(" " * (width - room), one) for one in more)
                    continue
                others.append((self.text.label, long))
            yield from _fitted(line)
            yield from _below(others, console, width)

    def _head(self, beside: Sequence[Column], widths: Sequence[int], room: int) -> Iterator[Text]:
        names = [one.padded(Text(one.name), to) for one, to in zip(beside, widths, strict=True)]
        line = _side_by_side(names)
        if self.text is not None and line.cell_len + _GAP + len(self.text.name) <= room:
            line = _side_by_side([line, Text(self.text.name)])
        line.stylize("dim")
        yield from _fitted(line)

    def _arranged(self, width: int) -> tuple[list[Column], list[Column]]:
        """Which columns stand side by side, and which below."""
        beside, below = list(self.columns), list[Column]()
        for most in range(1, max((one.leaves for one in self.columns), default=0) + 1):
            if sum(self._width_of(one) + _GAP for one in beside) - _GAP <= width:
                break
            beside = [one for one in self.columns if not 0 < one.leaves <= most]
            below = [one for one in self.columns if 0 < one.leaves <= most]
        return beside, below

    def _width_of(self, column: Column) -> int:
        return max(column.width, len(column.name)) if self.has_head else column.width


def _side_by_side(cells: Sequence[Text]) -> Text:
    return Text(" " * _GAP).join(cells)


def _fitted(line: Text) -> Iterator[Text]:
    """A line; one that is wider than the terminal goes on in its next."""
    line.rstrip()
    line.overflow = "fold"
    yield line


def _below(cells: Sequence[tuple[str, Text]], console: Console, width: int) -> Iterator[Text]:
    """What had no room in its row: as many side by side as fit, each after its name."""
    line = Text()
    for label, cell in cells:
        if not cell.plain.strip():
            continue
        piece = Text.assemble((f"{label} ", "dim"), cell)
        if line and _INDENT + line.cell_len + _GAP + piece.cell_len > width:
            yield from _indented(line, console, width)
            line = Text()
        line = Text.assemble(line, " " * _GAP, piece) if line else piece
    if line:
        yield from _indented(line, console, width)


def _indented(text: Text, console: Console, width: int) -> Iterator[Text]:
    """Further lines stand deeper, so that one sees where the next name begins."""
    if _INDENT + text.cell_len <= width:
        yield Text.assemble(" " * _INDENT, text)
        return
    first, *more = _wrapped(text, console, width - 2 * _INDENT)
    yield Text.assemble(" " * _INDENT, first)
    yield from (Text.assemble(" " * 2 * _INDENT, line) for line in more)


def _wrapped(text: Text, console: Console, width: int) -> list[Text]:
    if text.cell_len <= width:
        return [text]
    lines = text.wrap(console, max(width, 1), overflow="fold")
    for line in lines:
        line.rstrip()
    return list(lines)
