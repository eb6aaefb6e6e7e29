"""``tenuto instances export``: histories as files, for replay checks. Only reads the store."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import click
from msgspec import structs

from tenuto.cli import terminal
from tenuto.cli.check_replay import Progress
from tenuto.cli.connection import Connection, Place, within
from tenuto.cli.instances.filters import filter_options
from tenuto.engine.ports import LoadedInstance, Storage
from tenuto.insight.fitting import PAGE, UNFINISHED, instances
from tenuto.insight.histories import histories_in, write_history
from tenuto.model.errors import InputError, InstanceNotFoundError
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.requests import InstanceQuery


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
@filter_options(without_status=" By default all that have not ended.")
@click.option("--limit", type=click.IntRange(min=1), help="Most files; by default all.")
@click.option("--storage", help="Storage URL; by default that of the settings.")
def export(
    instance_ids: tuple[str, ...],
    *,
    folder: Path,
    query: InstanceQuery,
    limit: int | None,
    storage: str | None,
) -> None:
    """Write histories as files that `tenuto check-replay` and tests read.

    One file for each instance that matches, in a folder without older ones: these would be
    checked too, of instances that may have ended since. Or one of each INSTANCE_ID that is named,
    beside what is there. They hold payloads, as replay needs these: keep them as you keep the
    store.
    """
    if instance_ids and (limit or query != InstanceQuery(payloads=False)):
        raise click.UsageError("name instances, or give filters, not both")
    wanted = structs.replace(
        query, statuses=query.statuses or UNFINISHED, order="oldest", limit=PAGE
    )
    ids = [check_instance_id(one) for one in instance_ids]
    if not ids:
        _refuse_used(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def write(opened: Connection) -> int:
        assert opened.storage is not None, "no address was given"
        found = _named(opened.storage, ids) if ids else instances(opened.storage, wanted)
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


def _refuse_used(folder: Path) -> None:
    """Stale histories would be checked with the others; whose they are, only their owner knows."""
    older = len(histories_in(folder)) if folder.is_dir() else 0
    if older:
        files = "1 history" if older == 1 else f"{older:,} histories"
        raise InputError(
            f"{str(folder)!r} has {files} of an earlier export, which a replay check would read "
            "too: name another folder, or empty this one"
        )


async def _named(storage: Storage, ids: Sequence[InstanceId]) -> AsyncIterator[LoadedInstance]:
    for instance_id in ids:
        record = await storage.get(instance_id)
        loaded = [] if record is None else await storage.load_instances([record.iid])
        if not loaded:
            raise InstanceNotFoundError(instance_id)
        yield loaded[0]
