"""``tenuto usage``: what functions have used up, and what a plan would charge for it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from tenuto.cli import terminal
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.client.gateway import present
from tenuto.client.usage_bodies import UsageBody, total_of, usage_csv
from tenuto.host.settings import load_settings
from tenuto.insight.wording import duration, one_line, size
from tenuto.model.usage import (
    DEFAULT_DAYS,
    DIMENSIONS,
    Amounts,
    Dimension,
    PricePlan,
    UsageLine,
    checked_day,
    checked_dimensions,
    checked_span,
    date_of,
    day_of,
)

if TYPE_CHECKING:
    from tenuto.cli.picture.table import Column


@click.command()
@click.option(
    "--from", "first", metavar="DAY", help=f"The first day, UTC; {DEFAULT_DAYS} days by default."
)
@click.option("--to", "last", metavar="DAY", help="The last day, UTC; today by default.")
@click.option(
    "--by",
    metavar="NAMES",
    default="function",
    show_default=True,
    help=f"What is told apart, with commas between: {', '.join(DIMENSIONS)}; '' for the total.",
)
@click.option("--price", metavar="PLAN", help="What this plan of the settings would charge.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values.")
@place_options
@json_option
def usage(
    first: str | None,
    last: str | None,
    by: str,
    price: str | None,
    *,
    as_csv: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Show what functions have used up: executions, time, memory, rows and bytes, by day.

    An execution is a turn of an orchestrator or an attempt of an activity. Waiting costs nothing.
    Plans are those of the settings in this folder (tables [usage.prices.NAME]).
    """
    if as_csv and as_json:
        raise click.UsageError("give --csv or --json, not both")
    dimensions = checked_dimensions(by, "--by")
    end = day_of(present()) if last is None else checked_day(last, "--to")
    begin = end - DEFAULT_DAYS + 1 if first is None else checked_day(first, "--from")
    begin, end = checked_span(begin, end)
    plan = None if price is None else load_settings().values.usage.plan(price)

    async def read(connection: Connection) -> list[UsageLine]:
        return await connection.gateway.usage(begin, end, dimensions)

    lines = within(place, read)
    if as_json:
        terminal.say(encoded(UsageBody.of((begin, end), dimensions, lines, plan, price)))
    elif as_csv:
        terminal.say(usage_csv(lines, dimensions, plan).replace("\r\n", "\n").rstrip("\n"))
    elif lines:
        _show(lines, dimensions, plan)
    else:
        terminal.note(f"nothing was used from {date_of(begin)} to {date_of(end)}")


def _show(lines: list[UsageLine], by: Sequence[Dimension], plan: PricePlan | None) -> None:
    """A row for each line, and one for all of them."""
    from tenuto.cli.picture.table import Column, Rows

    rows = lines if len(lines) == 1 else [*lines, total_of(lines)]
    used = [line.used for line in rows]

    def numbers(name: str, tell: Callable[[Amounts], str], leaves: int = 0) -> Column:
        cells = [Text(tell(one)) for one in used]
        return Column(name=name, cells=cells, leaves=leaves, to_the_right=True)

    columns = _names(rows, by)
    columns += [
        numbers("EXECUTIONS", lambda one: f"{one.executions:,}"),
        numbers("GB-SECONDS", lambda one: f"{one.gigabyte_seconds:,.3f}"),
        numbers("RUNNING", lambda one: duration(one.running), 4),
        numbers("PROCESSOR", lambda one: duration(one.processor), 3),
        numbers("WAITING", lambda one: duration(one.waiting), 2),
        numbers("OPERATIONS", lambda one: f"{one.operations:,}", 5),
        numbers("BYTES", lambda one: size(one.bytes), 6),
    ]
    if plan is not None:
        columns.append(numbers(plan.currency, lambda one: f"{plan.cost(one):,.6f}"))
    terminal.show(terminal.console(), Rows(columns=columns))
    if plan is not None:
        terminal.note(f"waiting costs nothing: 0 {plan.currency}")


def _names(rows: Sequence[UsageLine], by: Sequence[Dimension]) -> list["Column"]:
    """The columns that say what is told apart; without any, one that says that it is all."""
    from tenuto.cli.picture.table import Column

    tells: dict[Dimension, Callable[[UsageLine], str]] = {
        "day": lambda line: "" if line.day is None else date_of(line.day),
        "app": lambda line: line.app or "",
        "function": lambda line: line.function or "",
        "tag": lambda line: line.tag or "",
    }
    columns = []
    for name in by:
        cells = [Text(one_line(tells[name](line))) for line in rows]
        columns.append(Column(name=name.upper(), cells=cells))
        if name == "function":
            kinds = [Text("" if line.kind is None else line.kind.value) for line in rows]
            columns.append(Column(name="KIND", cells=kinds, leaves=1))
    if len(rows) > 1 or not by:
        total = Text("total")
        first = columns[0] if columns else Column(name="", cells=[total])
        columns[:1] = [Column(name=first.name, cells=[*first.cells[: len(rows) - 1], total])]
    return columns
