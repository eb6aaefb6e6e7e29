"""``tenuto dead-letters``: what nobody could take, mostly events (promise ``no_silent_drop``).

Read from a store or a host; sent again, acknowledged and deleted in a store, also beside its host.
"""

import asyncio
import sys
import time
from typing import Final

import click

from tenuto.cli import terminal
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.documents import Document, encoded
from tenuto.cli.instances.looking import json_option
from tenuto.cli.nearby import storage_of
from tenuto.insight.wording import iso, moment, one_line
from tenuto.model.codec import decode_letter
from tenuto.model.ids import MessageId
from tenuto.model.messages import AnswerQuestion, Start, letter_facts
from tenuto.model.payload.opaque import as_json
from tenuto.model.requests import DeadLetter
from tenuto.model.shown_urls import shown_url
from tenuto.storage import upkeep_of

_storage_option = click.option("--storage", help="Storage URL; by default that of the settings.")
_SHOWN = 100
_WHAT: Final = {AnswerQuestion.__name__: "answer to", Start.__name__: "start of "}


@click.command("list")
@click.option(
    "--limit", type=click.IntRange(min=1, max=10_000), default=50, show_default=True, help="Most."
)
@place_options
@json_option
def list_(limit: int, *, place: Place, as_json: bool) -> None:
    """List events, answers and starts that came to nothing, newest first: for whom, why, with what.

    A start is one that nobody waited for, such as an outbox hands over: its id was taken.
    """

    async def read(connection: Connection) -> list[DeadLetter]:
        return await connection.gateway.dead_letters(limit)

    letters = within(place, read)
    if as_json:
        terminal.say(encoded([_document(one) for one in letters]))
        return
    for one in letters:
        document = _document(one)
        data = one_line(bytes(document["data"]).decode(), _SHOWN)
        terminal.say(f"{one.message_id}")
        terminal.say(f"  for       {one_line(one.instance_id)}")
        what = _WHAT.get(document["kind"], "event    ")
        if document["kind"] == Start.__name__:  # what was started may have a long input
            data = f"with an input of {len(bytes(document['data'])):,} bytes of JSON"
        name = one_line(str(document["name"] or document["kind"]), _SHOWN)
        terminal.say(f"  {what} {name} {data}")
        terminal.say(f"  given up  {moment(one.created_at)}: {one_line(one.reason)}")
        if one.acknowledged_at is not None:
            terminal.say(f"  seen      {moment(one.acknowledged_at)}")
    if not letters:
        terminal.note("no dead letters")


@click.command()
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that somebody can take now.")
@_storage_option
@json_option
def redrive(
    letter_ids: tuple[str, ...], storage: str | None, *, everything: bool, as_json: bool
) -> int:
    """Send dead letters to their instances again, by ID, or --all of them: the oldest first.

    An instance must be there and not have ended, so starts stay: start them anew, with another id.
    Of those that are named all are sent, or none.
    """
    named = _named(letter_ids, everything=everything)
    url = _url(storage)
    upkeep = upkeep_of(url)
    redriven = asyncio.run(upkeep.redrive_letters(named))
    has_host = upkeep.owner is not None
    if as_json:
        sent = [{"id": one, "instanceId": instance_id} for one, instance_id in redriven.sent]
        left = [{"id": one, "reason": reason} for one, reason in redriven.left]
        document = {"redriven": sent, "left": left, "store": shown_url(url), "hostRuns": has_host}
        terminal.say(encoded(document))
        return FAILED if left else 0
    for _, instance_id in redriven.sent:
        terminal.say(f"sent to {one_line(instance_id)} again")
    for one, reason in redriven.left:
        terminal.note(f"{one} stays: {one_line(reason)}")
    if not (redriven.sent or redriven.left):
        terminal.note("no dead letters")
    if redriven.sent and not has_host:
        what = "it is" if len(redriven.sent) == 1 else "they are"
        terminal.note(f"{what} kept in the store; it happens when a host runs on it")
    return FAILED if redriven.left else 0


@click.command()
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that there are now.")
@_storage_option
@json_option
def acknowledge(
    letter_ids: tuple[str, ...], storage: str | None, *, everything: bool, as_json: bool
) -> int:
    """Say that dead letters were seen to, by ID, or --all of them.

    They stay and are listed; `tenuto doctor` finds nothing wrong with them any more.
    """
    named = _named(letter_ids, everything=everything)
    now = time.time_ns() // 1000
    count = asyncio.run(upkeep_of(_url(storage)).acknowledge_letters(named, now))
    if as_json:
        terminal.say(encoded({"acknowledged": count}))
    else:
        terminal.say(f"acknowledged {count:,} dead letter{'' if count == 1 else 's'}")
    return 0


@click.command()
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_storage_option
@json_option
def purge(
    letter_ids: tuple[str, ...],
    storage: str | None,
    *,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete dead letters by ID, or --all of them, which asks first."""
    named = _named(letter_ids, everything=everything)
    url = _url(storage)
    if everything and not yes and not _confirmed(url):
        terminal.note("nothing was deleted")
        return FAILED
    count = asyncio.run(upkeep_of(url).drop_letters(named))
    if as_json:
        terminal.say(encoded({"purged": count}))
    else:
        terminal.say(f"purged {count:,} dead letter{'' if count == 1 else 's'}")
    return 0


def _named(letter_ids: tuple[str, ...], *, everything: bool) -> list[MessageId] | None:
    if bool(letter_ids) == everything:
        raise click.UsageError("name dead letters by ID, or give --all")
    return None if everything else [MessageId(one) for one in letter_ids]


def _url(storage: str | None) -> str:
    return storage_of(storage).values.storage


def _confirmed(url: str) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"all dead letters of {shown_url(url)} would be deleted; give --yes to do so"
        )
    return click.confirm(f"Delete all dead letters of {shown_url(url)}?", err=True)


def _document(letter: DeadLetter) -> Document:
    message = decode_letter(letter.message)
    name, data = letter_facts(message)
    return {
        "id": letter.message_id,
        "instanceId": letter.instance_id,
        "kind": type(message).__name__,
        "name": name,
        "data": as_json(data),
        "reason": letter.reason,
        "givenUpTime": iso(letter.created_at),
        "acknowledgedTime": None if letter.acknowledged_at is None else iso(letter.acknowledged_at),
    }
