"""``tenuto flow``: what has led to something, and all that followed, over topics and queues."""

import sys
from typing import Final

import click
import msgspec

from tenuto.cli import terminal
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.documents import Document, encoded
from tenuto.cli.instances.looking import json_option
from tenuto.client.flows import MOST_ITEMS
from tenuto.insight.flow import FlowLine, flow_lines
from tenuto.insight.wording import iso
from tenuto.model.flow import Flow, FlowItem

_COLOURS: Final = {
    "event": "cyan",
    "message": "cyan",
    "file": "cyan",
    "instance": "green",
    "failed": "red",
}
_FORMS: Final = ("├─ ", "└─ ", "│  ")
_ASCII_FORMS: Final = ("|- ", "`- ", "|  ")


@click.command()
@click.argument("of", metavar="ID")
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=MOST_ITEMS),
    default=500,
    show_default=True,
    help="Most lines.",
)
@place_options
@json_option
def flow(of: str, limit: int, *, place: Place, as_json: bool) -> None:
    """Draw the flow that ID belongs to: an instance id, or topic/event-id.

    From its first cause on: the events and messages, the instances that they have started, what
    those have published, and what was put aside.
    """

    async def read(connection: Connection) -> Flow:
        return await connection.gateway.topics.flow(of, limit)

    found = within(place, read)
    if as_json:
        terminal.say(encoded(_document(found)))
    else:
        for line in flow_lines(found):
            for part in _drawn(line):
                terminal.say(part)
    if found.is_cut:
        terminal.note(f"there is more of it; --limit shows more than {limit:,}")


def _drawn(line: FlowLine) -> list[str]:
    branch, last, through = _FORMS if _shows(_FORMS) else _ASCII_FORMS
    below = "".join("   " if one else through for one in line.lasts)
    before = below[: -len(through)] if line.lasts else ""
    if line.lasts:
        before += last if line.lasts[-1] else branch
    item = line.item
    time = f"  {line.time}" if line.time else ""
    time += "  <- asked for" if line.is_asked else ""
    colour = "red" if item.has_failed else _COLOURS[item.kind]
    *above, end = terminal.folded(line.words, before, below, colour)
    width = terminal.columns()
    if width is None or len(click.unstyle(end)) + len(time) <= width:
        return [*above, f"{end}{time}"]
    return [*above, end, *terminal.folded(time.strip(), f"{below}  ", f"{below}  ")]


def _shows(forms: tuple[str, ...]) -> bool:
    try:
        "".join(forms).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _document(found: Flow) -> Document:
    return {
        "asked": found.asked,
        "root": found.root,
        "isCut": found.is_cut,
        "items": [_item(one) for one in found.items],
    }


def _item(one: FlowItem) -> Document:
    document: Document = msgspec.to_builtins(one)
    for name, moment in (("at", one.at), ("endedAt", one.ended_at)):
        document.pop(name, None)
        if moment is not None:
            document["time" if name == "at" else "endedTime"] = iso(moment)
    return document
