"""``tenuto instances watch``: one instance as a live tree, or all as lines.

Looks on from outside, by a store or by a host. Never changes anything.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.changes import BREAK, Changes, EventStream, StoreChanges, changes_of
from tenuto.cli.instances.documents import instance_document
from tenuto.cli.instances.looking import json_option
from tenuto.cli.picture.view import Heading, View, view_for, watch_foot
from tenuto.cli.running.stopping import stop_key, stop_requests
from tenuto.insight.follow import Follower
from tenuto.insight.steps import Run, StepKind
from tenuto.insight.wording import iso, local, one_line
from tenuto.model.errors import ConnectionFailedError, UnexpectedAnswerError
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.payload.opaque import as_json
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds, to_microseconds

_MOST_INSTANCES: Final = 100
_MOST_LISTED: Final = 500
_RETRY_SECONDS: Final = 0.5


@click.command()
@click.argument("instance_id", required=False)
@place_options
@json_option
def watch(instance_id: str | None, *, place: Place, as_json: bool) -> int:
    """Follow an instance until it ends, or all instances until Ctrl-C.

    With INSTANCE_ID, draws what it does; the exit code is 0 when it completed, 1 when it failed or
    was terminated. Without, prints a line whenever an instance changes its status; in a store,
    among the 500 newest. With --json, one JSON document a line.
    """
    checked = None if instance_id is None else check_instance_id(instance_id)

    async def follow(connection: Connection) -> int:
        if checked is not None:
            view = JsonLinesView() if as_json else view_for(json=False, output=sys.stdout)
            return await watch_instance(connection, checked, view)
        return await _watch_all(connection, as_json=as_json)

    return within(place, follow)


async def watch_instance(connection: Connection, instance_id: InstanceId, view: View) -> int:
    """Show an instance until it ends or somebody stops watching; the exit code.

    Raises:
        InstanceNotFoundError: there is no such instance, or no more.
    """
    follower = Follower(connection.reader, instance_id, most=_MOST_INSTANCES)
    run = await follower.read()
    view.begin(
        Heading(
            storage=connection.where,
            is_default_storage=False,
            instance_id=instance_id,
            since=run.record.created_at,
            is_host=connection.storage is None,
            known="",
            foot=watch_foot(),
        )
    )
    try:
        with stop_requests(view.pause) as stop:
            async with changes_of(connection, instance_id) as changes:
                run = await _until_end(run, follower.read, changes, view, stop)
    finally:
        view.pause()
    if not run.record.status.is_finished:
        return 128 + stop.result()
    view.end(run, _now())
    return 0 if run.record.status is RuntimeStatus.COMPLETED else FAILED


async def _until_end(
    run: Run,
    read: Callable[[], Awaitable[Run]],
    changes: Changes,
    view: View,
    stop: "asyncio.Future[int]",
) -> Run:
    moved: asyncio.Future[Run] = asyncio.ensure_future(_looked(run, changes, read))
    try:
        while not (run.record.status.is_finished or stop.done()):
            view.show(run, _now())
            watched: set[asyncio.Future[Any]] = {moved, stop}
            await asyncio.wait(
                watched, timeout=view.frame_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if moved.done():
                run = moved.result()
                moved = asyncio.ensure_future(_looked(run, changes, read))
        return run
    finally:
        moved.cancel()
        await asyncio.gather(moved, return_exceptions=True)


async def _looked(run: Run, changes: Changes, read: Callable[[], Awaitable[Run]]) -> Run:
    """The run after the next change; a host that is away is waited for."""
    was_told = False
    nested = any(step.kind is StepKind.CHILD for step in run.open_steps())
    while True:
        # What could not be looked at is looked at again soon, even if nothing more is told of it.
        await changes.next(nested=nested or was_told)
        try:
            return await read()
        except UnexpectedAnswerError:
            raise
        except ConnectionFailedError as error:
            if not was_told:
                terminal.note(f"{error}; waiting for it to come back")
                was_told = True


class JsonLinesView:
    """The instance as one JSON document a line, whenever it has changed."""

    frame_seconds: float | None = None

    def __init__(self) -> None:
        self._last = b""

    def begin(self, heading: Heading) -> None:
        """Nothing."""

    def show(self, run: Run, now: Microseconds) -> None:  # noqa: ARG002 - the document has its own times
        """Print the document, unless it is the last one again."""
        document = msgspec.json.encode(instance_document(run.record))
        if document != self._last:
            self._last = document
            terminal.say(document.decode())

    def pause(self) -> None:
        """Nothing."""

    def end(self, run: Run, now: Microseconds) -> None:
        """Print the last one."""
        self.show(run, now)


# --- all of them -------------------------------------------------------------------------------


async def _watch_all(connection: Connection, *, as_json: bool) -> int:
    listing = _Listing(as_json=as_json)
    watching: asyncio.Future[None] = asyncio.ensure_future(
        _hear_all(connection, listing)
        if connection.storage is None
        else _see_all(connection, listing)
    )
    with stop_requests(lambda: None) as stop:
        watched: list[asyncio.Future[Any]] = [watching, stop]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    if not stop.done():
        watching.result()  # or its error
        return 0
    watching.cancel()
    await asyncio.wait([watching])
    return 128 + stop.result()


async def _see_all(connection: Connection, listing: "_Listing") -> None:
    """The list of a store, whenever it was written to."""
    assert connection.storage is not None
    changes = StoreChanges(connection.storage)
    while True:
        await _read_list(connection, listing)
        await changes.next(nested=False)


async def _hear_all(connection: Connection, listing: "_Listing") -> None:
    """The list of a host, then what it tells; after a gap, the list again."""
    await _read_list(connection, listing)
    async for event in EventStream(connection):
        if event.kind == BREAK:
            terminal.note(f"{connection.where} has gone away; waiting for it to come back")
        elif event.kind == "reset":
            await _read_again(connection, listing)
        elif event.data.get("purged"):
            listing.purged(event.data["instanceId"])
        elif "runtimeStatus" in event.data:
            listing.add([_row(event.data)])


async def _read_again(connection: Connection, listing: "_Listing") -> None:
    """The list after a gap, even if the host is away once more."""
    while True:
        try:
            return await _read_list(connection, listing)
        except ConnectionFailedError:
            await asyncio.sleep(_RETRY_SECONDS)


async def _read_list(connection: Connection, listing: "_Listing") -> None:
    page = await connection.gateway.query(InstanceQuery(limit=_MOST_LISTED, payloads=False))
    if listing.is_first:
        terminal.note(f"watching {connection.where} ({stop_key()} to stop)")
    listing.add([_Row.of(record) for record in reversed(page.records)])


class _Row(Struct, frozen=True, kw_only=True):
    """What the list shows of an instance."""

    instance_id: str
    name: str
    status: str
    custom_status: str
    updated_at: Microseconds
    held: str = ""

    @classmethod
    def of(cls, record: InstanceRecord) -> "_Row":
        """The same of a stored row."""
        return cls(
            instance_id=record.instance_id,
            name=record.name,
            status=record.status.label,
            custom_status=record.custom_status or "null",
            updated_at=record.updated_at or record.created_at,
            held="" if record.hold is None else _held(record.hold.reason, record.hold.message),
        )

    def document(self) -> dict[str, object]:
        """For machines."""
        document: dict[str, object] = {
            "instanceId": self.instance_id,
            "name": self.name,
            "runtimeStatus": self.status,
            "customStatus": as_json(self.custom_status),
            "lastUpdatedTime": iso(self.updated_at),
        }
        return document | {"held": self.held} if self.held else document


def _row(data: dict[str, Any]) -> _Row:
    """The same of what a host tells."""
    hold = data.get("hold")
    return _Row(
        instance_id=data["instanceId"],
        name=data["name"],
        status=data["runtimeStatus"],
        custom_status=msgspec.json.encode(data["customStatus"]).decode(),
        updated_at=to_microseconds(datetime.fromisoformat(data["lastUpdatedTime"])),
        held=_held(hold["reason"], hold["message"]) if hold else "",
    )


def _held(reason: str, message: str) -> str:
    return f"{reason}: {message}"


class _Listing:
    """Prints what is new of instances. What is there at first counts as known."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._known: dict[str, tuple[str, str, str]] = {}
        self.is_first: bool = True

    def add(self, rows: Iterable[_Row]) -> None:
        """Take in some rows, the oldest first."""
        for row in rows:
            stands = (row.status, row.custom_status, row.held)
            if self._known.get(row.instance_id) != stands:
                self._known[row.instance_id] = stands
                if not self.is_first:
                    self._print(row)
        self.is_first = False

    def purged(self, instance_id: str) -> None:
        """An instance is no more."""
        self._known.pop(instance_id, None)
        if self._as_json:
            document = {"instanceId": instance_id, "purged": True}
            terminal.say(msgspec.json.encode(document).decode())
        else:
            terminal.say(f"{_clock(_now())}  {'Purged':<11}  {one_line(instance_id)}")

    def _print(self, row: _Row) -> None:
        if self._as_json:
            terminal.say(msgspec.json.encode(row.document()).decode())
            return
        parts = [
            _clock(row.updated_at),
            f"{row.status:<11}",
            one_line(row.instance_id),
            one_line(row.name),
        ]
        if row.custom_status != "null":
            parts.append(one_line(row.custom_status, 100))
        if row.held:
            parts.append(one_line(f"held ({row.held})", 200))
        terminal.say("  ".join(parts))


def _clock(microseconds: int) -> str:
    return f"{local(microseconds):%H:%M:%S}"


def _now() -> int:
    return time.time_ns() // 1000
