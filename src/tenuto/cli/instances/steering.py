"""``tenuto instances start|raise-event|terminate|suspend|resume|restart``.

Each asks a store or a host for one thing and says what became of it. Through a store nothing is
carried out before a host runs; that is said, and what would have to wait for a host's answer is
refused at once when there is none (promise ``bad_input_is_refused_whole``).
"""

import sys
from typing import Final

import click
import msgspec

from tenuto.cli import terminal
from tenuto.cli.arguments import json_text, tag_pairs
from tenuto.cli.connection import Connection, Place, asking_options, place_options, within
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.client.client import Client
from tenuto.client.gateway import check_here, present
from tenuto.client.starting import HOSTS_OWN_LIMITS, StartOptions, start_request
from tenuto.model.control import CONTROLS, Control
from tenuto.model.errors import InputError, InstanceStateError
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId, check_address, check_instance_id
from tenuto.model.messages import ClientMessage, RaiseEvent, Terminate
from tenuto.model.texts import checked_name, checked_text_or_none
from tenuto.model.topics import checked_event_name

reason_option = click.option("--reason", help="Why, in a few words; kept with the instance.")


@click.command()
@click.argument("name")
@click.option(
    "--input",
    "text",
    callback=json_text,
    metavar="JSON|@FILE",
    help="The input: JSON, or @file, or @- for standard input.",
)
@click.option("--id", "instance_id", help="The instance's id; a fresh one by default.")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    callback=tag_pairs,
    metavar="KEY=VALUE",
    help="A label; may be given several times.",
)
@click.option("--wait", is_flag=True, help="Watch it until it ends; the exit code tells how.")
@asking_options
@json_option
def start(
    name: str,
    text: str | None,
    instance_id: str | None,
    tags: dict[str, str] | None,
    *,
    wait: bool,
    place: Place,
    as_json: bool,
) -> int:
    """Start the orchestrator NAME.

    With --wait the exit code is 0 when it completed, 1 when it failed or was terminated.
    """
    options = StartOptions(instance_id=instance_id, tags=tags)
    request = start_request(
        _named(name, "an orchestrator"), text, present(), HOSTS_OWN_LIMITS, options
    )

    async def begin(connection: Connection) -> int:
        if not request.is_fresh:
            await _refuse_taken(connection, request.instance_id)
        await connection.gateway.start(request)
        if wait:
            from tenuto.cli.instances.watching import watch_instance
            from tenuto.cli.picture.view import view_for

            connection.say_kept("the start")
            view = view_for(json=as_json, output=sys.stdout)
            return await watch_instance(connection, request.instance_id, view)
        _say_started(connection, request.instance_id, as_json=as_json)
        return 0

    return within(place, begin)


@click.command("raise-event")
@click.argument("instance_id")
@click.argument("event")
@click.option(
    "--data",
    callback=json_text,
    metavar="JSON|@FILE",
    help="The event's data: JSON, or @file, or @- for standard input.",
)
@asking_options
@json_option
def raise_event(
    instance_id: str, event: str, data: str | None, *, place: Place, as_json: bool
) -> None:
    """Raise the external event EVENT for an instance."""
    checked_event_name(_named(event, "an event"))
    message = RaiseEvent(event=EventRaised(event, data))
    _tell(place, instance_id, message, f"event {event!r}", as_json=as_json)


@click.command()
@click.argument("instance_id")
@reason_option
@click.option("--recurse", is_flag=True, help="Also what it has called, and what that has called.")
@place_options
@json_option
def terminate(
    instance_id: str, reason: str | None, *, recurse: bool, place: Place, as_json: bool
) -> None:
    """End an instance now; what it has called goes on unless --recurse is given."""
    checked_text_or_none(reason, "the reason")
    text = None if reason is None else msgspec.json.encode(reason).decode()
    message = Terminate(reason=text, recurse=recurse)
    _tell(place, instance_id, message, "the request to terminate", as_json=as_json)


def control_command(control: Control) -> click.Command:
    """The command of a word of control."""

    @click.command(control.name, help=control.explained)
    @click.argument("instance_id")
    @reason_option
    @place_options
    @json_option
    def steer(instance_id: str, reason: str | None, *, place: Place, as_json: bool) -> None:
        checked_text_or_none(reason, "the reason")
        what = f"the request to {control.name}"
        _tell(place, instance_id, control.message(reason=reason), what, as_json=as_json)

    return steer


controls: Final = {one.name: control_command(one) for one in CONTROLS}


@click.command()
@click.argument("instance_id")
@click.option(
    "--same-id", is_flag=True, help="Under its own id, once it has ended; else under a fresh one."
)
@place_options
@json_option
def restart(instance_id: str, *, same_id: bool, place: Place, as_json: bool) -> None:
    """Run an instance again, with the same orchestrator and input."""
    checked = check_instance_id(instance_id)

    async def again(connection: Connection) -> None:
        if same_id:
            await _refuse_taken(connection, checked)
        client = Client(connection.gateway)
        handle = await client.restart(instance_id, new_instance_id=not same_id)
        _say_started(connection, handle.instance_id, as_json=as_json)

    within(place, again)


# --- together ----------------------------------------------------------------------------------


def _named(name: str, what: str) -> str:
    if not name.strip():
        raise InputError(f"{what} needs a name; got {name!r}")
    return checked_name(name, what)


def _tell(
    place: Place, instance_id: str, message: ClientMessage, what: str, *, as_json: bool
) -> None:
    # Somebody may think that an event goes over a link from here as well: it is told why not.
    is_event = isinstance(message, RaiseEvent)
    checked = check_address(instance_id) if is_event else check_instance_id(instance_id)
    check_here(checked)

    async def act(connection: Connection) -> None:
        await connection.gateway.tell(checked, message)
        if as_json:
            _say_document(connection, instance_id)
        else:
            terminal.say(f"{what} was handed to {connection.label} {connection.where}")
            connection.say_kept("it")

    within(place, act)


def _say_started(connection: Connection, instance_id: str, *, as_json: bool) -> None:
    if as_json:
        _say_document(connection, instance_id)
    else:
        terminal.say(instance_id)
        connection.say_kept("the start")


def _say_document(connection: Connection, instance_id: str) -> None:
    document = {
        "instanceId": instance_id,
        connection.label: connection.where,
        "hostRuns": connection.has_host(),
    }
    terminal.say(encoded(document))


async def _refuse_taken(connection: Connection, instance_id: InstanceId) -> None:
    """Who must give way to a new instance does so by the hand of a host: say so before."""
    if connection.has_host():
        return
    standing = await connection.gateway.get(instance_id)
    if standing is not None and standing.status.is_finished:
        raise InstanceStateError(
            instance_id,
            f"has ended ({standing.status.label}) and can be replaced only while a host runs on "
            "this store; start one, or choose another id",
        )
