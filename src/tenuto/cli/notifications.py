"""``tenuto notifications``: whom a host tells what becomes of instances, and how far it is."""

import asyncio

import click
from msgspec import Struct
from rich.text import Text

from tenuto.cli import terminal
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.client.gateway import present
from tenuto.engine.topic_ports import SubscriptionStanding
from tenuto.functions.http_activity import HttpActivity
from tenuto.host.clock import SystemClock
from tenuto.host.notifications.options import NotificationSettings, NotificationTarget
from tenuto.host.notifications.targets import PREFIX, NotificationDelivery, event_for_test
from tenuto.host.settings import Settings, load_settings
from tenuto.insight.wording import duration, one_line
from tenuto.model.errors import InputError, TenutoError
from tenuto.model.notices import TOPIC
from tenuto.model.shown_urls import without_query
from tenuto.model.timing import Microseconds

_OK = range(200, 300)


class TargetStanding(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a target stands, for programs.

    Attributes:
        name: Its name.
        kind: What it is; None where the settings of this folder do not have it.
        to: Its address or name.
        events: Of what it is told.
        pending: Notices that it has not been told of.
        retrying: Of these, those that have failed and are sent again.
        failed: Notices that were put aside.
        oldest: When the first of those that are pending came up, in microseconds since 1970 UTC.
    """

    name: str
    kind: str | None = None
    to: str | None = None
    events: tuple[str, ...] = ()
    pending: int = 0
    retrying: int = 0
    failed: int = 0
    oldest: Microseconds | None = None


@click.command("list")
@place_options
@json_option
def list_(*, place: Place, as_json: bool) -> None:
    """List targets: of what each is told, and how far it is.

    Targets are those of the settings in this folder, and those that the store knows.
    """
    settings = load_settings().values.notifications

    async def read(connection: Connection) -> list[SubscriptionStanding]:
        return await connection.gateway.topics.subscriptions()

    found = _standings(settings, within(place, read))
    if as_json:
        terminal.say(encoded(found))
        return
    if not found:
        terminal.note(
            "nobody is told what becomes of instances; targets are tables "
            "[notifications.targets.NAME] of the settings"
        )
        return
    from tenuto.cli.picture.table import Column, Rows

    rows = [_row(one, present()) for one in found]
    heads = ("TARGET", "KIND", "TO", "EVENTS", "PENDING", "WAITS", "FAILED")
    leaves = (0, 1, 3, 5, 0, 2, 0)
    columns = [
        Column(
            name=head,
            cells=[row[place] for row in rows],
            leaves=leaves[place],
            to_the_right=place > 3,  # noqa: PLR2004 - what counts
        )
        for place, head in enumerate(heads)
    ]
    terminal.show(terminal.console(), Rows(columns=columns))
    for one in found:
        if one.failed:
            name = f"{PREFIX}{one.name}"
            terminal.note(
                f"what {one.name} did not accept: tenuto topics failed {name}; send it again: "
                f"tenuto topics redrive --all --subscription {name}"
            )


def _standings(
    settings: NotificationSettings, subscriptions: list[SubscriptionStanding]
) -> list[TargetStanding]:
    known = {
        one.name.removeprefix(PREFIX): one
        for one in subscriptions
        if one.topic == TOPIC and one.name.startswith(PREFIX)
    }
    return [
        _standing(name, settings.targets.get(name), known.get(name))
        for name in sorted({*known, *settings.targets})
    ]


def _standing(
    name: str, target: NotificationTarget | None, found: SubscriptionStanding | None
) -> TargetStanding:
    return TargetStanding(
        name=name,
        kind=None if target is None else target.kind,
        to=None if target is None else without_query(target.place),
        events=() if target is None else tuple(sorted(target.wanted)),
        pending=0 if found is None else found.lag,
        retrying=0 if found is None else found.retrying,
        failed=0 if found is None else found.failed,
        oldest=None if found is None else found.oldest,
    )


def _row(one: TargetStanding, now: Microseconds) -> tuple[Text, ...]:
    waits = "" if one.oldest is None else duration(max(0, now - one.oldest))
    return (
        Text(one.name, "bold"),
        Text(one.kind or "not in the settings here", "" if one.kind else "yellow"),
        Text(one_line(one.to or "")),
        Text(", ".join(one.events)),
        Text(f"{one.pending:,}", "yellow" if one.pending else ""),
        Text(waits, "yellow" if waits else ""),
        Text(f"{one.failed:,}", "red" if one.failed else ""),
    )


@click.command()
@click.argument("name", metavar="TARGET")
@json_option
def test(name: str, *, as_json: bool) -> int:
    """Send a notification of an instance that there is not, from here, and say what came of it.

    TARGET is a webhook or an Event Grid of the settings in this folder. No host is needed.
    """
    settings = load_settings().values
    target = settings.notifications.targets.get(name)
    if target is None:
        known = ", ".join(sorted(settings.notifications.targets)) or "none"
        raise InputError(
            f"there is no target {name!r} in the settings of this folder; they have {known} "
            "(tables [notifications.targets.NAME])"
        )
    if not target.secret_variable:
        raise InputError(
            f"target {name!r} is a {target.kind} of the hub: there is nothing to reach; start an "
            f"instance, and look: tenuto {target.kind}s list"
        )
    status = asyncio.run(_sent(name, target, settings))
    if as_json:
        terminal.say(encoded({"target": name, "status": status, "isAccepted": status in _OK}))
    elif status in _OK:
        terminal.say(f"{one_line(without_query(target.place))} answered {status}: accepted")
    else:
        terminal.note(
            f"{one_line(without_query(target.place))} answered {status}: not accepted; any answer "
            "from 200 to 299 is, and redirects are not followed"
        )
    return 0 if status in _OK else FAILED


async def _sent(name: str, target: NotificationTarget, settings: Settings) -> int:
    clock = SystemClock()
    delivery = NotificationDelivery(
        name=name, hub=settings.notifications.hub, target=target, clock=clock
    )
    http = HttpActivity({}, clock, settings.outbound, settings.limits.payload_bytes)
    try:
        return await http.deliver(delivery.request(event_for_test(target, clock.now())))
    except (ConnectionError, TimeoutError) as error:
        text = str(error).replace(target.place, without_query(target.place))
        raise TenutoError(f"target {name!r} was not reached: {text}") from None
    finally:
        await http.stop()
