"""``tenuto topics``: topics, their subscriptions, and what these have put aside."""

import click
from rich.text import Text

from tenuto.cli import terminal
from tenuto.cli.arguments import json_text
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
from tenuto.cli.known_names import check_subscription, check_topic
from tenuto.client.gateway import present
from tenuto.client.publishing import Stamp, event_of_text
from tenuto.engine.topic_ports import SubscriptionStanding, TopicStanding
from tenuto.insight.wording import duration, iso, moment, one_line, size
from tenuto.model.errors import InputError
from tenuto.model.timing import Microseconds
from tenuto.model.topics import (
    EventHead,
    StoredEvent,
    checked_place,
    checked_topic,
    content_in,
    is_of_linked_hub,
)

_SHOWN = 200
_limit_option = click.option(
    "--limit", type=click.IntRange(min=1, max=1_000), default=20, show_default=True, help="Most."
)
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def _topic(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    if is_of_linked_hub(value):
        hub, _, name = checked_topic(value).partition("/")
        raise InputError(
            f"{value!r} is a topic of the linked hub {hub!r}, which has its events; look at it "
            f"there: tenuto topics show {name}"
        )
    return checked_place(value, "a topic")


def _any_topic(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    return checked_topic(value)


def _subscription(
    _context: click.Context, _argument: click.Parameter, value: str | None
) -> str | None:
    return None if value is None else checked_place(value, "a subscription")


_topic_argument = click.argument("topic", metavar="TOPIC", callback=_topic)
_subscription_option = click.option(
    "--subscription", callback=_subscription, help="Only of this subscription."
)


@click.command("list")
@place_options
@json_option
def list_(*, place: Place, as_json: bool) -> None:
    """List topics, below each its subscriptions: how far behind, and what was put aside."""

    async def read(
        connection: Connection,
    ) -> tuple[list[TopicStanding], list[SubscriptionStanding]]:
        topics = connection.gateway.topics
        return await topics.all(), await topics.subscriptions()

    topics, subscriptions = within(place, read)
    if as_json:
        terminal.say(encoded(_standings(topics, subscriptions)))
        return
    if not topics and not subscriptions:
        terminal.note("no topic has events, and nobody subscribes to one")
        return
    rows = _rows(topics, subscriptions, present())
    from tenuto.cli.picture.table import Column, Rows

    heads = ("TOPIC", "EVENTS", "SIZE", "OLDEST", "LAG", "WAITS", "FAILED")
    leaves = (0, 3, 4, 5, 1, 2, 0)
    columns = [
        Column(
            name=head,
            cells=[row[place] for row in rows],
            leaves=leaves[place],
            to_the_right=place > 0,
        )
        for place, head in enumerate(heads)
    ]
    terminal.show(terminal.console(), Rows(columns=columns))


def _rows(
    topics: list[TopicStanding], subscriptions: list[SubscriptionStanding], now: Microseconds
) -> list[tuple[Text, ...]]:
    """A topic, then its subscriptions; those of topics without events stand below theirs, too."""
    found = {one.name: one for one in topics}
    empty = Text("")
    rows: list[tuple[Text, ...]] = []
    for name in sorted({*found, *(one.topic for one in subscriptions)}):
        topic = found.get(name)
        if topic is None:
            numbers = (Text("0"), Text(size(0)), empty)
        else:
            oldest = duration(max(0, now - topic.first))
            numbers = (Text(f"{topic.events:,}"), Text(size(topic.bytes)), Text(oldest))
        rows.append((Text(one_line(name), "bold"), *numbers, empty, empty, empty))
        for one in subscriptions:
            if one.topic == name:
                waits = "" if one.oldest is None else duration(max(0, now - one.oldest))
                rows.append(
                    (
                        Text(f"  {one_line(one.name)}"),
                        empty,
                        empty,
                        empty,
                        Text(f"{one.lag:,}", "yellow" if one.lag else ""),
                        Text(waits, "yellow" if waits else ""),
                        Text(f"{one.failed:,}", "red" if one.failed else ""),
                    )
                )
    return rows


@click.command()
@_topic_argument
@_limit_option
@place_options
@json_option
def show(topic: str, limit: int, *, place: Place, as_json: bool) -> None:
    """Show the newest events of TOPIC, newest first."""

    async def read(connection: Connection) -> list[StoredEvent]:
        events = await connection.gateway.topics.events(topic, None, limit)
        if not events:
            await check_topic(connection, topic)
        return events

    found = within(place, read)
    if as_json:
        terminal.say(encoded([_event(one) for one in found]))
        return
    for one in found:
        content = content_in(one.event)
        terminal.say(one_line(one.event_id))
        facts = [("type", content.type), ("key", one.key), ("subject", content.subject)]
        for name, value in facts:
            if value is not None:
                terminal.say(f"  {name:9} {one_line(value, _SHOWN)}")
        terminal.say(f"  data      {one_line(bytes(content.data).decode(), _SHOWN)}")
        terminal.say(f"  published {moment(one.published_at)}")
        if one.cause is not None:
            terminal.say(f"  caused by {one_line(one.cause)}")
    if not found:
        terminal.note(f"topic {topic!r} has no events")


@click.command()
@click.argument("topic", metavar="TOPIC", callback=_any_topic)
@click.argument("text", metavar="JSON|@FILE", callback=json_text)
@click.option(
    "--event-key", help="Events of one key are delivered one after another; --key opens a host."
)
@click.option("--type", "type_", help="What kind of event it is, such as order.placed.")
@click.option("--id", "event_id", help="The event's id; one that is there is left alone.")
@place_options
@json_option
def publish(
    topic: str,
    text: str,
    event_key: str | None,
    type_: str | None,
    event_id: str | None,
    *,
    place: Place,
    as_json: bool,
) -> None:
    """Publish an event, JSON or @file or @- for standard input, to TOPIC."""
    stamp = Stamp(present(), None, place.payload_bytes)
    head = EventHead(key=event_key, type=type_)
    event = event_of_text(topic, text, head, event_id=event_id, stamp=stamp)

    async def act(connection: Connection) -> None:
        await connection.gateway.publish([event], [])
        if as_json:
            terminal.say(encoded({"id": event.event_id}))
        else:
            terminal.say(event.event_id)
            connection.say_kept("the event")

    within(place, act)


@click.command()
@click.argument("subscription", metavar="[SUBSCRIPTION]", required=False, callback=_subscription)
@_limit_option
@place_options
@json_option
def failed(subscription: str | None, limit: int, *, place: Place, as_json: bool) -> None:
    """List events that were put aside, of SUBSCRIPTION or of all, oldest first."""
    show_failed(place, _origin(subscription), limit, as_json=as_json)


@click.command()
@which_options
@_subscription_option
@place_options
@json_option
def redrive(*, chosen: Chosen, subscription: str | None, place: Place, as_json: bool) -> int:
    """Give events that were put aside to their subscription again, by NUMBER or --all of them.

    They have all attempts again; other subscriptions do not see them.
    """
    return redrive_failed(place, _origin(subscription), chosen, as_json=as_json)


@click.command()
@which_options
@_subscription_option
@_yes_option
@place_options
@json_option
def drop(
    *, chosen: Chosen, subscription: str | None, yes: bool, place: Place, as_json: bool
) -> int:
    """Delete what was put aside, by NUMBER or --all, which asks first; the topic keeps its events.

    Those that are kept can still be seen by `tenuto topics show`.
    """
    return drop_failed(place, _origin(subscription), chosen, yes=yes, as_json=as_json)


@click.command()
@click.argument("subscription", metavar="SUBSCRIPTION", callback=_subscription)
@_yes_option
@place_options
@json_option
def remove(subscription: str, *, yes: bool, place: Place, as_json: bool) -> int:
    """Forget SUBSCRIPTION, its place and what it has put aside, when no app has it any more.

    One that an app still has comes back: with the next event on a host that serves it, or as a new
    one when its host starts.
    """
    what = f"subscription {subscription!r}, its place and what it has put aside"
    if not yes and not confirmed(what):
        terminal.note("nothing was deleted")
        return FAILED

    async def act(connection: Connection) -> None:
        if not await connection.gateway.topics.remove_subscription(subscription):
            await check_subscription(connection, subscription)

    within(place, act)
    terminal.say(encoded({"removed": subscription}) if as_json else f"removed {subscription}")
    return 0


def _origin(subscription: str | None) -> Origin:
    return Origin(source="topic", function=subscription)


def _standings(topics: list[TopicStanding], subscriptions: list[SubscriptionStanding]) -> Document:
    return {
        "topics": [
            {
                "name": one.name,
                "events": one.events,
                "bytes": one.bytes,
                "oldestTime": iso(one.first),
                "newestTime": iso(one.last),
            }
            for one in topics
        ],
        "subscriptions": [
            {
                "name": one.name,
                "topic": one.topic,
                "position": one.position,
                "lag": one.lag,
                "oldestTime": None if one.oldest is None else iso(one.oldest),
                "failed": one.failed,
                "updatedTime": iso(one.updated_at),
            }
            for one in subscriptions
        ],
    }


def _event(one: StoredEvent) -> Document:
    content = content_in(one.event)
    return {
        "position": one.position,
        "id": one.event_id,
        "topic": one.topic,
        "key": one.key,
        "type": content.type,
        "source": content.source,
        "subject": content.subject,
        "attributes": content.attributes or {},
        "publishedTime": iso(one.published_at),
        "cause": one.cause,
        "data": content.data,
    }
