"""``tenuto hosts``: which hosts run on a store, what each serves and how busy it is.

Reads the store, or asks one of its hosts; each of them knows the same of all.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec
from rich.text import Text

from tenuto.cli import terminal
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.documents import Document, encoded
from tenuto.cli.instances.looking import json_option
from tenuto.engine.member_ports import HasMembers
from tenuto.http.admin.hosts import PATH
from tenuto.insight.hosts import HubHost, HubHosts, UnservedPartitions, hub_hosts, owned_by
from tenuto.insight.scaling import ScaleAdvice, ScaleAsked, advice
from tenuto.insight.wording import duration, iso, one_line
from tenuto.model.lines import listed_numbers
from tenuto.model.timing import MICROSECONDS, Microseconds

_TIMES: Final = {"at": "time", "since": "sinceTime", "until": "untilTime"}
"""What a document calls the times, which are texts there."""


@click.command()
@place_options
@json_option
@click.option("--advice", "is_advised", is_flag=True, help="Tell how many hosts there should be.")
def hosts(*, place: Place, as_json: bool, is_advised: bool) -> None:
    """List the hosts that run on a store: version, partitions, load, and what nobody serves.

    OLDEST is for how long the instance has waited that waits longest for its turn on that host.
    """
    found = within(place, read_hosts)
    if is_advised:
        told = advice(found, ScaleAsked())
        terminal.say(encoded(_timed(msgspec.to_builtins(told))) if as_json else _advice_text(told))
        return
    if as_json:
        terminal.say(encoded(_document(found)))
        return
    if found.hosts:
        _show(found)
    else:
        terminal.note("no host runs on this store")
    for one in found.unserved:
        terminal.note(unserved_text(one, found.at))


async def read_hosts(connection: Connection) -> HubHosts:
    """Who serves the hub of a place.

    Raises:
        StorageError, ConnectionFailedError, InputError: it cannot be asked.
    """
    storage = connection.storage
    if storage is None:
        return await connection.read(PATH, HubHosts)
    if isinstance(storage, HasMembers):
        return hub_hosts(await storage.members.census())
    hub = await storage.open()
    return owned_by(connection.owner, hub.partitions, time.time_ns() // 1000)


def unserved_text(one: UnservedPartitions, now: Microseconds) -> str:
    """What nobody serves, since when, and who had it."""
    which = "partition" if len(one.partitions) == 1 else "partitions"
    text = f"nobody serves {which} {listed_numbers(one.partitions)}"
    if one.since is not None:
        text += f" for {duration(max(0, now - one.since), least_unit='s')} now"
    return f"{text}{one.had}"


def _advice_text(told: ScaleAdvice) -> str:
    now = "1 host now" if told.hosts == 1 else f"{told.hosts} hosts now"
    return f"{now}, {told.wanted} wanted: {told.reason}"


def _show(found: HubHosts) -> None:
    from tenuto.cli.picture.table import Column, Rows

    rows = found.hosts

    def column(name: str, cells: Sequence[str], leaves: int = 0, *, right: bool = False) -> Column:
        texts = [
            Text(cell, "" if one.is_alive else "dim") for cell, one in zip(cells, rows, strict=True)
        ]
        return Column(name=name, cells=texts, leaves=leaves, to_the_right=right)

    columns = [
        column("HOST", [one_line(one.description) for one in rows]),
        column("ADDRESS", [one_line(one.address or "") for one in rows], 5),
        column("VERSION", [_version(one, rows) for one in rows], 4),
        column("STATE", [_state(one, found.at) for one in rows], 7),
        column("PARTITIONS", [str(len(one.partitions)) for one in rows], 6, right=True),
        column("INSTANCES", _loads(rows, "instances"), 2, right=True),
        column("ACTIVITIES", _loads(rows, "activities"), 1, right=True),
        column("READY", _loads(rows, "ready"), 1, right=True),
        column("OLDEST", [_oldest(one) for one in rows], 3, right=True),
    ]
    which = Column(name="WHICH", cells=[Text(listed_numbers(one.partitions)) for one in rows])
    terminal.show(terminal.console(), Rows(columns=columns, text=which))


def _version(one: HubHost, rows: Sequence[HubHost]) -> str:
    """Its app version, and whether that is the newest where there are several."""
    version = one_line(one.app_version) or "none"
    several = len({row.app_version for row in rows if row.is_alive}) > 1
    return f"{version} (newest)" if several and one.is_newest and one.is_alive else version


def _state(one: HubHost, now: Microseconds) -> str:
    if not one.is_alive:
        gone = "" if one.until is None else f" for {_ago(now, one.until)}"
        return f"gone{gone}"
    if one.silent_seconds is not None:
        return _silence(one.silent_seconds, None if one.until is None else one.until - now)
    since = "" if one.since is None else f" for {_ago(now, one.since)}"
    return f"{'leaving' if one.is_leaving else 'runs'}{since}"


def _silence(seconds: float, left: Microseconds | None) -> str:
    """How long a host has said nothing: it may have died, and others wait for its lease to end."""
    silent = f"silent for {duration(int(seconds * MICROSECONDS), least_unit='s')}"
    if left is None:
        return silent
    return f"{silent}, its lease ends in {duration(max(0, left), least_unit='s')}"


def _ago(now: Microseconds, moment: Microseconds) -> str:
    return duration(max(0, now - moment), least_unit="s")


def _loads(rows: Sequence[HubHost], name: str) -> list[str]:
    return ["" if one.load is None else f"{getattr(one.load, name):,}" for one in rows]


def _oldest(one: HubHost) -> str:
    waited = 0.0 if one.load is None else one.load.waited
    return duration(int(waited * MICROSECONDS)) if waited else ""


def _document(found: HubHosts) -> Document:
    document: dict[str, Any] = msgspec.to_builtins(found)
    for one in (*document["hosts"], *document["unserved"]):
        _timed(one)
    return _timed(document)


def _timed(document: Document) -> Document:
    """With the times as texts."""
    for name, called in _TIMES.items():
        if name in document:
            moment = document.pop(name)
            document[called] = None if moment is None else iso(moment)
    return document
