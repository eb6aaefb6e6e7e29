"""``tenuto instances purge``: delete what has ended, some hundred at a time.

While a host runs it is asked to, as it holds instances in memory. Where none runs this process
owns the store for as long as that takes, so that nothing waits for a host that may never come.
"""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import click
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.arguments import length_of_time
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.filters import STATUSES
from tenuto.cli.instances.looking import json_option
from tenuto.client.purging import check_ended, fitting, purge_records
from tenuto.engine.purging import BITE, purge_as_owner
from tenuto.model.errors import InstanceNotFoundError, InstanceStateError
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import to_microseconds


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be deleted: these ids, or whatever fits.

    Attributes:
        ids: Instances by id.
        statuses: Labels of the statuses that fit; any when empty.
        older_than: Ended, or last changed, so long ago.
        force: Those too that have not ended.
    """

    ids: tuple[str, ...]
    statuses: tuple[str, ...]
    older_than: timedelta | None
    force: bool

    def check(self) -> None:
        """Refuse what makes no sense."""
        for one in self.ids:
            check_instance_id(one)
        fits = bool(self.statuses) or self.older_than is not None
        if bool(self.ids) == fits:
            raise click.UsageError("name instances by id, or by --status and --older-than")
        check_ended((STATUSES[one] for one in self.statuses), force=self.force)


@click.command()
@click.argument("instance_ids", nargs=-1)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(list(STATUSES), case_sensitive=False),
    help="Those in this status; may be given several times.",
)
@click.option(
    "--older-than",
    callback=length_of_time,
    metavar="30d",
    help="Those that ended (or, with --force, last changed) so long ago.",
)
@click.option("--force", is_flag=True, help="Also those that have not ended; they are ended first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@place_options
@json_option
def purge(
    instance_ids: tuple[str, ...],
    statuses: tuple[str, ...],
    older_than: timedelta | None,
    *,
    force: bool,
    yes: bool,
    place: Place,
    as_json: bool,
) -> int:
    """Delete instances with their histories.

    Names them by id, or by status and age: what has ended, unless --force is given. Asks before
    it deletes what fits a filter; where nobody can be asked, --yes is needed.
    """
    wanted = Wanted(
        ids=tuple(dict.fromkeys(instance_ids)),
        statuses=statuses,
        older_than=older_than,
        force=force,
    )
    wanted.check()
    purged = within(place, lambda connection: _purge(connection, wanted, yes=yes))
    if purged is None:
        terminal.note("nothing was deleted")
        return FAILED
    if as_json:
        terminal.say(encoded({"purged": purged}))
    else:
        terminal.say(f"purged {_counted(purged)}")
    return 0


async def _purge(connection: Connection, wanted: Wanted, *, yes: bool) -> int | None:
    """Delete what is wanted; how many those were, None when somebody thought better of it."""
    found = await _found(connection, wanted)
    is_sure = yes or bool(wanted.ids) or not found
    if not is_sure and not _confirmed(len(found), connection):
        return None
    return await _carried_out(connection, found, force=wanted.force)


def _confirmed(count: int, connection: Connection) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{_counted(count)} would be deleted from {connection.label} {connection.where}; "
            "give --yes to do so"
        )
    question = f"Delete {_counted(count)} from {connection.label} {connection.where}?"
    return click.confirm(question, err=True)


def _counted(count: int) -> str:
    return f"{count:,} instance{'' if count == 1 else 's'}"


# --- finding -----------------------------------------------------------------------------------


async def _found(connection: Connection, wanted: Wanted) -> list[InstanceRecord]:
    """The instances that are meant; each id that is named must be deletable."""
    if not wanted.ids:
        return [one async for one in _fitting(connection, wanted)]
    found = []
    for one in wanted.ids:
        record = await connection.gateway.get(InstanceId(one))
        if record is None:
            raise InstanceNotFoundError(one)
        if not (record.status.is_finished or wanted.force):
            raise InstanceStateError(
                one, f"has not ended ({record.status.label}); --force ends and deletes it"
            )
        found.append(record)
    return found


async def _fitting(connection: Connection, wanted: Wanted) -> AsyncIterator[InstanceRecord]:
    before = None
    if wanted.older_than is not None:
        before = to_microseconds(datetime.now(UTC) - wanted.older_than)
    query = InstanceQuery(
        statuses=tuple(STATUSES[one] for one in wanted.statuses) or None,
        created_to=before,
        order="oldest" if connection.storage is not None else "newest",
    )
    async for records in fitting(connection.gateway, query, force=wanted.force):
        for record in records:
            last = record.completed_at or record.updated_at or record.created_at
            if before is None or last < before:
                yield record


# --- deleting ----------------------------------------------------------------------------------


async def _carried_out(
    connection: Connection, records: Sequence[InstanceRecord], *, force: bool
) -> int:
    if connection.storage is None or connection.has_host():
        going = purge_records(connection.gateway, records, force=force)
    else:
        going = purge_as_owner(connection.storage, records)
    purged = 0
    async for count in going:
        purged += count
        _tell(purged, len(records))
    return purged


def _tell(done: int, of: int) -> None:
    """Progress, where a person looks and it takes long enough."""
    if of > BITE and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        sys.stderr.write(f"\r{done:,} of {of:,}{os.linesep if done == of else ''}")
        sys.stderr.flush()
