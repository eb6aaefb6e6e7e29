"""The table: every value with its spread, beside the raw store and its target."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from bench.catalogue import FIGURES, Scale, Target, Value
from bench.results import FigureResult, Run, Summary

_BUSY_CORES = 0.25
"""With more than this taken by other processes, a figure is noisy."""

Before = dict[tuple[str, str], float]


def print_report(
    console: Console,
    run: Run,
    figures: Sequence[FigureResult],
    before: Before | None = None,
    *,
    markdown: bool = False,
) -> None:
    """The facts of the machine, the table, and what to mind when reading it."""
    for line in _header(run):
        console.print(line, highlight=False)
    table = _table(before, markdown=markdown)
    for result in figures:
        rows = _rows(result, before)
        for row in rows:
            table.add_row(*row, end_section=row is rows[-1] and not markdown)
    console.print(table)
    for line in _footer(run, figures):
        console.print(line, highlight=False)


def before_of(figures: Sequence[FigureResult]) -> Before:
    """The medians of an earlier run, to compare with."""
    return {
        (result.figure, key): summary.median
        for result in figures
        for key, summary in result.values.items()
    }


def _header(run: Run) -> list[str]:
    machine = run.machine
    before = " ".join(map(str, machine.load))
    after = " ".join(map(str, run.load_at_end))
    return [
        f"Tenuto {machine.revision}, {machine.date}, {run.seconds:.0f} s: {run.command}",
        f"{machine.python}, SQLite {machine.sqlite}, {machine.system}",
        f"{machine.cores} cores, {machine.processor}, fsync p50 {machine.fsync_ms} ms",
        f"load average before {before}, after {after}",
    ]


def _table(before: Before | None, *, markdown: bool) -> Table:
    table = Table(box=box.MARKDOWN if markdown else box.HEAVY_HEAD)
    table.add_column("figure", no_wrap=True)
    table.add_column("value")
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("lowest .. highest", justify="right", no_wrap=True)
    table.add_column("CPU µs each", justify="right")
    table.add_column("raw store", justify="right")
    table.add_column("target", no_wrap=True)
    if before is not None:
        table.add_column("before", justify="right", no_wrap=True)
    return table


def _known(result: FigureResult) -> list[tuple[Value, Summary]]:
    """The values of a figure that were measured, in the order of the catalogue."""
    wanted = next((one.values for one in FIGURES if one.name == result.figure), ())
    return [(value, result.values[value.key]) for value in wanted if value.key in result.values]


def _rows(result: FigureResult, before: Before | None) -> list[list[str]]:
    rows = []
    for index, (value, summary) in enumerate(_known(result)):
        row = [
            result.figure if index == 0 else "",
            value.label,
            f"[bold]{_number(summary.median)}[/] {value.unit}",
            f"{_number(summary.min)} .. {_number(summary.max)} ({len(summary.all)})",
            _of(result, "cpu_us") if index == 0 else "",
            _of(result, "raw_rate") if value.key == "rate" else "",
            _target(value.target, summary),
        ]
        if before is not None:
            row.append(_change(summary.median, before.get((result.figure, value.key))))
        rows.append(row)
    if not rows:
        rows.append([result.figure, f"[red]{result.problem or 'nothing measured'}[/]"])
    return rows


def _of(result: FigureResult, key: str) -> str:
    summary = result.values.get(key)
    return "" if summary is None else _number(summary.median)


def _number(number: float) -> str:
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if abs(number) < 100 else f"{number:.0f}"


def _target(target: Target | None, summary: Summary) -> str:
    if target is None or summary.reached is None:
        return ""
    mark = "[green]reached[/]" if summary.reached else "[red]NOT reached[/]"
    aim = "" if target.aim is None else f", aim {_number(target.aim)}"
    return f"{_wanted(target)}{aim}: {mark}"


def _wanted(target: Target) -> str:
    if target.at_least is not None:
        return f"≥ {_number(target.at_least)}"
    return "" if target.at_most is None else f"≤ {_number(target.at_most)}"


def _change(median: float, old: float | None) -> str:
    if not old:
        return ""
    return f"{_number(old)} ({(median / old - 1) * 100:+.0f} %)"


def _footer(run: Run, figures: Sequence[FigureResult]) -> list[str]:
    lines = [
        "raw store: the rate at which a plain loop writes the same history rows, 200 a statement.",
    ]
    if run.scale is Scale.QUICK:
        lines.append("This was a smoke run: the figures mean nothing.")
    lines += [f"{one.figure}: {one.problem}" for one in figures if one.problem is not None]
    busy = {
        one.figure: one.values["foreign_cores"].max
        for one in figures
        if "foreign_cores" in one.values and one.values["foreign_cores"].max > _BUSY_CORES
    }
    if busy:
        worst = max(busy.values())
        lines.append(
            f"Noisy: other processes took up to {worst:.1f} cores during {', '.join(busy)}."
        )
    return lines
