"""``tenuto instances list|show|history``: what is there. Only reads, also beside a host."""

import time
from typing import Final, TypeVar

import click
from msgspec import structs

from tenuto.cli import terminal
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.documents import (
    encoded,
    event_document,
    history_document,
    instance_document,
    run_document,
)
from tenuto.cli.instances.filters import filter_options
from tenuto.insight.follow import Follower
from tenuto.insight.steps import Run, as_its_host_says
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import failure_lines, one_line
from tenuto.model.codec import decode_turn
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.explanation import Explanation
from tenuto.model.ids import check_instance_id
from tenuto.model.requests import InstancePage, InstanceQuery

T = TypeVar("T")

_MOST_INSTANCES: Final = 500
_MOST_ROWS: Final = 500
_WIDTH: Final = 100

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("list")
@filter_options(without_status="")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most lines."
)
@place_options
@json_option
def list_(*, query: InstanceQuery, limit: int, place: Place, as_json: bool) -> None:
    """List instances, newest first."""
    wanted = structs.replace(query, limit=limit)

    async def read(opened: Connection) -> InstancePage:
        return await opened.gateway.query(wanted)

    page = within(place, read)
    if as_json:
        terminal.say(encoded([instance_document(one, payloads=False) for one in page.records]))
        return
    if page.records:
        from tenuto.cli.picture.report import instance_table

        output = terminal.console()
        table = instance_table(page.records, _now(), terminal.glyphs_for(output))
        terminal.show(output, table)
    else:
        terminal.note("no such instances")
    if page.after is not None:
        terminal.note(f"there are more; --limit shows more than {limit}")


@click.command()
@click.argument("instance_id")
@place_options
@json_option
def show(instance_id: str, *, place: Place, as_json: bool) -> None:
    """Draw an instance: what it did when, what it waits for, why it failed."""
    checked = check_instance_id(instance_id)

    async def read(opened: Connection) -> tuple[Run, Explanation | None]:
        run = await Follower(opened.reader, checked, most=_MOST_INSTANCES).read()
        if run.record.status.is_finished:
            return run, None
        around = Surroundings(
            now=_now(), has_host=opened.has_host(), hub=await opened.census(), place=place.options
        )
        _, why = await opened.inquire(checked, around)
        return as_its_host_says(run, why), why

    run, why = within(place, read)
    if as_json:
        terminal.say(encoded(run_document(run, why)))
    else:
        _draw(run, why)


def _draw(run: Run, why: Explanation | None) -> None:
    from rich.text import Text

    from tenuto.cli.picture.drawing import Sheet, bar_for, draw
    from tenuto.cli.picture.items import folded, item_of_run
    from tenuto.cli.picture.report import fact_table

    output = terminal.console()
    terminal.show(output, Text(one_line(run.record.instance_id), "bold"))
    terminal.show(output, fact_table(run, why))
    terminal.say("")
    picture = terminal.console(width=_WIDTH)
    glyphs, now = terminal.glyphs_for(picture), _now()
    items = folded(item_of_run(run), _MOST_ROWS)
    sheet = Sheet(glyphs=glyphs, rows=_MOST_ROWS, bar=bar_for(items, now, picture.width, glyphs))
    terminal.show(picture, draw(items, now, sheet))
    if run.record.failure is not None:
        terminal.say("")
        for line in failure_lines(run.record.failure):
            terminal.show(output, Text(line, "dim" if line.startswith("  ") else "red"))


@click.command()
@click.argument("instance_id")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many events, the newest.")
@click.option("--failed", is_flag=True, help="Only what failed.")
@place_options
@json_option
def history(
    instance_id: str, limit: int | None, *, failed: bool, place: Place, as_json: bool
) -> None:
    """List the events of an instance's current execution."""
    checked = check_instance_id(instance_id)

    async def read(opened: Connection) -> list[bytes]:
        turns = await opened.gateway.history(checked)
        if not turns and await opened.gateway.get(checked) is None:
            raise InstanceNotFoundError(instance_id)
        return turns

    turns = within(place, read)
    if as_json and limit is None and not failed:
        terminal.say(encoded(history_document(turns)))
        return
    from tenuto.cli.picture.history import event_table, lines_of

    found = lines_of([decode_turn(turn) for turn in turns], failed=failed)
    shown = found if limit is None else found[-limit:]
    if as_json:
        terminal.say(encoded([event_document(turns[one.turn], one.place) for one in shown]))
    else:
        terminal.show(terminal.console(), event_table(shown))
    if len(found) > len(shown):
        terminal.note(f"{len(found) - len(shown):,} earlier events; --limit shows more")


def _now() -> int:
    return time.time_ns() // 1000
