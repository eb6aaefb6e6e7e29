"""``tenuto queues``: what waits in queues and what was put aside, in a store or on a host."""

from datetime import timedelta

import click
from rich.text import Text

from tenuto.cli import terminal
from tenuto.cli.arguments import json_text, length_of_time
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.failed_deliveries import (
    Chosen,
    Origin,
    confirmed,
    drop_failed,
    redrive_failed,
    show_failed,
    which_options,
)
from tenuto.cli.instances.documents import Document, encoded
from tenuto.cli.instances.looking import json_option
from tenuto.cli.known_names import check_queue
from tenuto.client.gateway import present
from tenuto.client.publishing import Stamp, message_of_text
from tenuto.engine.queue_ports import QueueStanding, WaitingMessage
from tenuto.insight.wording import duration, iso, moment, one_line
from tenuto.model.errors import InputError
from tenuto.model.payload.opaque import as_json
from tenuto.model.topics import checked_place

_SHOWN = 100
_PAGE_BYTES = 16 * 1024 * 1024
_limit_option = click.option(
    "--limit", type=click.IntRange(min=1, max=1_000), default=20, show_default=True, help="Most."
)
_ids_argument = click.argument("ids", metavar="[ID]...", nargs=-1)
_all_option = click.option("--all", "everything", is_flag=True, help="All that there are now.")
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def _queue(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    return checked_place(value, "a queue")


_queue_argument = click.argument("queue", metavar="NAME", callback=_queue)


@click.command("list")
@place_options
@json_option
def list_(*, place: Place, as_json: bool) -> None:
    """List queues: how many messages are ready, delayed, in work, and put aside."""

    async def read(connection: Connection) -> list[QueueStanding]:
        return await connection.gateway.queues()

    found = within(place, read)
    if as_json:
        terminal.say(encoded([_standing(one) for one in found]))
        return
    if not found:
        terminal.note("no queue has messages")
        return
    from tenuto.cli.picture.table import Column, Rows

    now = present()

    def numbers(name: str, values: list[int], leaves: int = 0) -> Column:
        cells = [Text(f"{one:,}") for one in values]
        return Column(name=name, cells=cells, leaves=leaves, to_the_right=True)

    columns = [
        Column(name="QUEUE", cells=[Text(one_line(one.name)) for one in found]),
        numbers("READY", [one.ready for one in found]),
        numbers("DELAYED", [one.delayed for one in found], 2),
        numbers("IN WORK", [one.in_work for one in found], 1),
        numbers("FAILED", [one.failed for one in found]),
        Column(
            name="OLDEST",
            cells=[
                Text("" if one.oldest is None else duration(max(0, now - one.oldest)))
                for one in found
            ],
            leaves=3,
            to_the_right=True,
        ),
    ]
    terminal.show(terminal.console(), Rows(columns=columns))


@click.command()
@_queue_argument
@_limit_option
@place_options
@json_option
def peek(queue: str, limit: int, *, place: Place, as_json: bool) -> None:
    """Show the next messages of the queue NAME, in the order in which they come; takes none."""

    async def read(connection: Connection) -> list[WaitingMessage]:
        return await connection.gateway.queue_messages(queue, limit, _PAGE_BYTES)

    found = within(place, read)
    if as_json:
        terminal.say(encoded([_message(one) for one in found]))
        return
    now = present()
    for one in found:
        terminal.say(one_line(one.id))
        terminal.say(f"  data      {one_line(one.data, _SHOWN)}")
        terminal.say(f"  queued    {moment(one.queued_at)}")
        if one.visible_at is None:
            terminal.say(f"  in work   attempt {one.attempts}")
        elif one.visible_at > now:
            terminal.say(f"  ready at  {moment(one.visible_at)}")
        if one.visible_at is not None and one.attempts:
            terminal.say(f"  attempts  {one.attempts} so far")
    if not found:
        terminal.note(f"queue {queue!r} has no messages")


@click.command()
@_queue_argument
@click.argument("text", metavar="JSON|@FILE", callback=json_text)
@click.option(
    "--delay",
    callback=length_of_time,
    metavar="10m",
    help="It is worked on no earlier than after this long.",
)
@click.option("--id", "message_id", help="The message's id; one that is there is left alone.")
@place_options
@json_option
def send(
    queue: str,
    text: str,
    delay: timedelta | None,
    message_id: str | None,
    *,
    place: Place,
    as_json: bool,
) -> None:
    """Put a message, JSON or @file or @- for standard input, into the queue NAME."""
    stamp = Stamp(present(), None, place.payload_bytes)
    message = message_of_text(queue, text, delay, message_id=message_id, stamp=stamp)

    async def act(connection: Connection) -> None:
        await connection.gateway.publish([], [message])
        if as_json:
            terminal.say(encoded({"id": message.message_id}))
        else:
            terminal.say(message.message_id)
            connection.say_kept("the message")

    within(place, act)


@click.command()
@click.argument("queue", metavar="[NAME]", required=False)
@_limit_option
@place_options
@json_option
def failed(queue: str | None, limit: int, *, place: Place, as_json: bool) -> None:
    """List messages that were put aside, of the queue NAME or of all queues, oldest first."""
    show_failed(place, _origin(queue), limit, as_json=as_json)


@click.command()
@_queue_argument
@which_options
@place_options
@json_option
def redrive(queue: str, *, chosen: Chosen, place: Place, as_json: bool) -> int:
    """Give messages that were put aside back to the queue NAME, by NUMBER or --all of them.

    They have all attempts again. One whose id is in the queue again stays put aside.
    """
    return redrive_failed(place, _origin(queue), chosen, as_json=as_json)


@click.command()
@_queue_argument
@which_options
@_yes_option
@place_options
@json_option
def drop(queue: str, *, chosen: Chosen, yes: bool, place: Place, as_json: bool) -> int:
    """Delete messages that were put aside of queue NAME, by NUMBER or --all, which asks first."""
    return drop_failed(place, _origin(queue), chosen, yes=yes, as_json=as_json)


@click.command()
@_queue_argument
@_ids_argument
@_all_option
@_yes_option
@place_options
@json_option
def purge(
    queue: str,
    ids: tuple[str, ...],
    *,
    everything: bool,
    yes: bool,
    place: Place,
    as_json: bool,
) -> int:
    """Delete messages that wait in the queue NAME, by ID or --all of them, which asks first.

    A function that has one runs on.
    """
    if bool(ids) == everything:
        raise click.UsageError("name messages by ID, or give --all")
    if everything and not yes and not confirmed(f"all messages of queue {queue!r}"):
        terminal.note("nothing was deleted")
        return FAILED

    async def act(connection: Connection) -> int:
        count = await connection.gateway.drop_queued(queue, None if everything else ids)
        if everything and not count:
            await check_queue(connection, queue)
        return count

    count = within(place, act)
    if ids and not count:
        raise InputError(f"none of these messages waits in queue {queue!r}; nothing was done")
    if as_json:
        terminal.say(encoded({"purged": count}))
    else:
        terminal.say(f"purged {count:,} message{'' if count == 1 else 's'}")
    return 0


def _origin(queue: str | None) -> Origin:
    return Origin(source="queue", name=None if queue is None else checked_place(queue, "a queue"))


def _standing(one: QueueStanding) -> Document:
    return {
        "name": one.name,
        "ready": one.ready,
        "delayed": one.delayed,
        "inWork": one.in_work,
        "failed": one.failed,
        "oldestReadyTime": None if one.oldest is None else iso(one.oldest),
    }


def _message(one: WaitingMessage) -> Document:
    return {
        "id": one.id,
        "data": as_json(one.data),
        "queuedTime": iso(one.queued_at),
        "readyTime": None if one.visible_at is None else iso(one.visible_at or one.queued_at),
        "attempts": one.attempts,
        "cause": one.cause,
    }
