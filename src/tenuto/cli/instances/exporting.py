"""``tenuto instances export``: histories as files, for replay checks. Only reads the store."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

import click

from tenuto.cli import terminal
from tenuto.cli.arguments import since
from tenuto.cli.check_replay import Progress
from tenuto.cli.connection import Connection, Place, within
from tenuto.cli.instances.looking import STATUSES
from tenuto.engine.ports import LoadedInstance, Storage
from tenuto.insight.fitting import PAGE, UNFINISHED, instances
from tenuto.insight.histories import write_history
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.requests import InstanceQuery
from tenuto.model.timing import to_microseconds


@click.command()
@click.argument("instance_ids", nargs=-1)
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Where to; made when it does not exist.",
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(list(STATUSES), case_sensitive=False),
    help="Only these; may be given several times. By default all that have not ended.",
)
@click.option("--name", help="Only instances of this orchestrator.")
@click.option("--prefix", help="Only ids that begin so.")
@click.option("--held", is_flag=True, help="Only those that are held.")
@click.option(
    "--since",
    "created_from",
    callback=since,
    metavar="2h|DATE",
    help="Only those started since then: 30s, 10m, 2h, 7d ago, or a date or time.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Most files; by default all.")
@click.option("--storage", help="Storage URL; by default that of the settings.")
def export(  # noqa: PLR0913 - one for each option
    instance_ids: tuple[str, ...],
    folder: Path,
    statuses: tuple[str, ...],
    name: str | None,
    prefix: str | None,
    created_from: datetime | None,
    limit: int | None,
    *,
    held: bool,
    storage: str | None,
) -> None:
    """Write histories as files that `tenuto check-replay` and tests read.

    One file for each instance that matches, or of each INSTANCE_ID that is named. They hold
    payloads, as replay needs these: keep them as you keep the store.
    """
    if instance_ids and (statuses or name or prefix or created_from or held or limit):
        raise click.UsageError("name instances, or give filters, not both")
    query = InstanceQuery(
        statuses=tuple(STATUSES[one] for one in statuses) or UNFINISHED,
        name=name,
        id_prefix=prefix,
        created_from=None if created_from is None else to_microseconds(created_from),
        held=True if held else None,
        order="oldest",
        limit=PAGE,
        payloads=False,
    )
    ids = [check_instance_id(one) for one in instance_ids]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def write(opened: Connection) -> int:
        assert opened.storage is not None, "no address was given"
        found = _named(opened.storage, ids) if ids else instances(opened.storage, query)
        progress, written = Progress(), 0
        async for loaded in found:
            write_history(folder, loaded)
            written += 1
            progress(written)
            if written == limit:
                break
        return written

    written = within(Place(storage=storage), write)
    files = "1 file" if written == 1 else f"{written:,} files"
    terminal.say(f"{files} in {folder}")
    if not written:
        terminal.note("no such instances")


async def _named(storage: Storage, ids: Sequence[InstanceId]) -> AsyncIterator[LoadedInstance]:
    for instance_id in ids:
        record = await storage.get(instance_id)
        loaded = [] if record is None else await storage.load_instances([record.iid])
        if not loaded:
            raise InstanceNotFoundError(instance_id)
        yield loaded[0]
