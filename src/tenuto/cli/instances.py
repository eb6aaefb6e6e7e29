"""``tenuto instances``: what is in a store. Only reads, also while a host runs on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeVar

import click
from rich.text import Text

from tenuto.cli import terminal
from tenuto.cli.arguments import since
from tenuto.cli.documents import encoded, history_document, instance_document, run_document
from tenuto.cli.drawing import Sheet, draw
from tenuto.cli.follow import Follower
from tenuto.cli.report import event_table, fact_table, instance_table
from tenuto.cli.steps import Run
from tenuto.cli.wording import failure_lines
from tenuto.engine.ports import InstancePage, InstanceQuery, Storage
from tenuto.host.settings import load_settings
from tenuto.model.codec import decode_turn
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.ids import check_instance_id
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import to_microseconds
from tenuto.storage import open_storage

T = TypeVar("T")

_MOST_INSTANCES: Final = 500
_MOST_ROWS: Final = 500
_WIDTH: Final = 100
_STATUSES: Final = {status.label: status for status in RuntimeStatus}

_storage_option = click.option("--storage", help="Storage URL; by default that of the settings.")
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("list")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(list(_STATUSES), case_sensitive=False),
    help="Only these; may be given several times.",
)
@click.option("--name", help="Only instances of this orchestrator.")
@click.option("--prefix", help="Only ids that begin so.")
@click.option(
    "--since",
    "created_from",
    callback=since,
    metavar="2h|DATE",
    help="Only those started since then: 30s, 10m, 2h, 7d ago, or a date or time.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Most lines."
)
@_storage_option
@_json_option
def list_(
    statuses: tuple[str, ...],
    name: str | None,
    prefix: str | None,
    created_from: datetime | None,
    limit: int,
    storage: str | None,
    *,
    as_json: bool,
) -> None:
    """List instances, newest first."""
    query = InstanceQuery(
        statuses=tuple(_STATUSES[one] for one in statuses) or None,
        name=name,
        id_prefix=prefix,
        created_from=None if created_from is None else to_microseconds(created_from),
        limit=limit,
        payloads=False,
    )

    async def read(opened: Storage) -> InstancePage:
        return await opened.query(query)

    page = _read(storage, read)
    if as_json:
        terminal.say(encoded([instance_document(one, payloads=False) for one in page.records]))
        return
    output = terminal.console()
    if page.records:
        table = instance_table(page.records, _now(), terminal.glyphs_for(output))
        terminal.show(output, table)
    else:
        terminal.note("no such instances")
    if page.after is not None:
        terminal.note(f"there are more; --limit shows more than {limit}")


@click.command()
@click.argument("instance_id")
@_storage_option
@_json_option
def show(instance_id: str, storage: str | None, *, as_json: bool) -> None:
    """Draw an instance: what it did when, what it waits for, why it failed."""
    check_instance_id(instance_id)

    async def read(opened: Storage) -> Run:
        return await Follower(opened, instance_id, most=_MOST_INSTANCES).read()

    run = _read(storage, read)
    if as_json:
        terminal.say(encoded(run_document(run)))
        return
    output = terminal.console()
    terminal.show(output, Text(instance_id, "bold"))
    terminal.show(output, fact_table(run))
    terminal.say("")
    picture = terminal.console(width=_WIDTH)
    sheet = Sheet(glyphs=terminal.glyphs_for(picture), rows=_MOST_ROWS)
    terminal.show(picture, draw(run, _now(), sheet))
    if run.record.failure is not None:
        terminal.say("")
        for line in failure_lines(run.record.failure):
            terminal.show(output, Text(line, "dim" if line.startswith("  ") else "red"))


@click.command()
@click.argument("instance_id")
@_storage_option
@_json_option
def history(instance_id: str, storage: str | None, *, as_json: bool) -> None:
    """List every event of an instance's current execution."""
    check_instance_id(instance_id)

    async def read(opened: Storage) -> list[bytes]:
        turns = await opened.history(instance_id)
        if not turns and await opened.get(instance_id) is None:
            raise InstanceNotFoundError(instance_id)
        return turns

    turns = _read(storage, read)
    if as_json:
        terminal.say(encoded(history_document(turns)))
        return
    terminal.show(terminal.console(), event_table([decode_turn(turn) for turn in turns]))


def _read(url: str | None, read: Callable[[Storage], Awaitable[T]]) -> T:
    """Open the store beside whoever owns it, read, close."""
    settings = load_settings(storage=url, given_as="option --{}").values

    async def opened() -> T:
        storage = open_storage(settings.storage, create=False)
        await storage.open()
        try:
            return await read(storage)
        finally:
            await storage.close()

    return asyncio.run(opened())


def _now() -> int:
    return time.time_ns() // 1000
