"""Deliveries that were put aside, of queues, topics and folders: shown, given back, deleted.

What ``failed``, ``redrive`` and ``drop`` of ``tenuto queues``, ``topics`` and ``files`` have in
common.
"""

import re
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal

import click
import msgspec
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, within
from tenuto.cli.instances.documents import Document, encoded
from tenuto.cli.known_names import check_function, check_queue, check_subscription
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.insight.wording import iso, moment, one_line
from tenuto.model.errors import InputError
from tenuto.model.payload.opaque import as_json

_PAGE: Final = 500
_SHOWN: Final = 100
_FEW: Final = 3
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


class Origin(Struct, frozen=True, kw_only=True):
    """Where deliveries come from.

    Attributes:
        source: ``queue``, ``topic`` or ``files``.
        name: Of the queue or topic; None for any.
        function: Of one function or subscription; None for any.
    """

    source: Literal["queue", "topic", "files"]
    name: str | None = None
    function: str | None = None

    @property
    def words(self) -> str:
        """The same for people."""
        source = "folder" if self.source == "files" else self.source
        place = f"any {source}" if self.name is None else f"{source} {self.name!r}"
        kind = "subscription" if self.source == "topic" else "function"
        return place if self.function is None else f"{place}, {kind} {self.function!r}"


class _Content(Struct):
    """Of an event that was put aside."""

    data: msgspec.Raw = msgspec.Raw(b"null")


def show_failed(place: Place, origin: Origin, limit: int, *, as_json: bool) -> None:
    """List what was put aside, oldest first."""

    async def read(connection: Connection) -> list[FailedDelivery]:
        found: list[FailedDelivery] = []
        async for page in _pages(connection, origin, limit):
            found += page
            if len(found) >= limit:
                break
        if not found and origin.source == "topic":
            # A queue or a folder that has nothing any more is one of which nothing is known.
            await _check_origin(connection, origin)
        return found[:limit]

    found = within(place, read)
    if as_json:
        terminal.say(encoded([_document(one) for one in found]))
        return
    for one in found:
        terminal.say(f"{one.number}  {one_line(one.message_id)}")
        source = "folder" if one.source == "files" else one.source
        terminal.say(f"  of        {source} {one_line(one.name)}, for {one_line(one.function)}")
        if one.key is not None:
            terminal.say(f"  key       {one_line(one.key, _SHOWN)}")
        terminal.say(f"  data      {one_line(_data(one), _SHOWN)}")
        attempts = f"{one.attempts:,} attempt{'' if one.attempts == 1 else 's'}"
        terminal.say(f"  put aside {moment(one.failed_at)}, after {attempts}")
        terminal.say(f"  error     {one_line(one.error)}")
    if not found:
        limited = origin.name is not None or origin.function is not None
        terminal.note(f"no failed deliveries{f' of {origin.words}' if limited else ''}")


def redrive_failed(
    place: Place, origin: Origin, ids: Sequence[str], *, everything: bool, as_json: bool
) -> None:
    """Give deliveries back to their function: those named, or all."""
    _check(ids, everything=everything)

    async def act(connection: Connection) -> int:
        numbers = await _numbers(connection, origin, None if everything else ids)
        count = 0
        for bite in _bites(numbers):
            count += await connection.gateway.redrive(bite)
        if not as_json:
            terminal.say(f"gave back {_counted(count)}")
            if count:
                connection.say_kept("it" if count == 1 else "all of it")
        return count

    count = within(place, act)
    if as_json:
        terminal.say(encoded({"redriven": count}))


def drop_failed(
    place: Place,
    origin: Origin,
    ids: Sequence[str],
    *,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete deliveries that were put aside: those named, or all, which asks first."""
    _check(ids, everything=everything)
    if everything and not yes and not confirmed(f"all failed deliveries of {origin.words}"):
        terminal.note("nothing was deleted")
        return FAILED

    async def act(connection: Connection) -> int:
        numbers = await _numbers(connection, origin, None if everything else ids)
        return sum([await connection.gateway.drop_failed(bite) for bite in _bites(numbers)])

    count = within(place, act)
    terminal.say(encoded({"dropped": count}) if as_json else f"deleted {_counted(count)}")
    return 0


def confirmed(what: str) -> bool:
    """Whether a person wants that deleted."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} would be deleted; give --yes to do so")
    return click.confirm(f"Delete {what}?", err=True)


def _check(ids: Sequence[str], *, everything: bool) -> None:
    if bool(ids) == everything:
        raise click.UsageError("name deliveries by ID or number, or give --all")


async def _pages(
    connection: Connection, origin: Origin, limit: int
) -> AsyncIterator[list[FailedDelivery]]:
    after = 0
    while True:
        page = await connection.gateway.failed_deliveries(
            origin.source, origin.name, origin.function, after, min(limit, _PAGE)
        )
        if not page:
            return
        yield page
        after = page[-1].number


async def _numbered(connection: Connection, origin: Origin, ids: Sequence[str]) -> list[int]:
    """Those of the ids that are numbers: looked at alone, however much was put aside."""
    found = []
    for number in {int(one) for one in ids if _NUMBER.fullmatch(one)}:
        page = await connection.gateway.failed_deliveries(
            origin.source, origin.name, origin.function, number - 1, 1
        )
        found += [one.number for one in page if one.number == number]
    return sorted(found)


async def _numbers(connection: Connection, origin: Origin, ids: Sequence[str] | None) -> list[int]:
    """The numbers of those that are meant; all when no ids are given.

    Raises:
        InputError: some are not there; nothing was done.
    """
    numbers = [] if ids is None else await _numbered(connection, origin, ids)
    seen = set(map(str, numbers))
    wanted = None if ids is None else set(ids) - seen
    if wanted is None or wanted:
        async for page in _pages(connection, origin, _PAGE):
            for one in page:
                if wanted is None or one.message_id in wanted:
                    numbers.append(one.number)
                    seen.add(one.message_id)
    missing = sorted((wanted or set()) - seen)
    if missing:
        named = ", ".join(map(repr, missing[:_FEW]))
        raise InputError(
            f"there is no failed delivery {named}{', …' if missing[_FEW:] else ''} of "
            f"{origin.words}; nothing was done"
        )
    if not numbers:
        await _check_origin(connection, origin)
    return list(dict.fromkeys(numbers))


async def _check_origin(connection: Connection, origin: Origin) -> None:
    """See that there is what deliveries are said to be of.

    Raises:
        InputError: there is nothing of that name.
    """
    if origin.source == "queue" and origin.name is not None:
        await check_queue(connection, origin.name)
    elif origin.source == "topic" and origin.function is not None:
        await check_subscription(connection, origin.function)
    elif origin.source == "files" and origin.function is not None:
        pages = _pages(connection, Origin(source="files"), _PAGE)
        check_function(origin.function, {one.function async for page in pages for one in page})


def _bites(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[start : start + _PAGE] for start in range(0, len(numbers), _PAGE)]


def _counted(count: int) -> str:
    return f"{count:,} {'delivery' if count == 1 else 'deliveries'}"


def _data(one: FailedDelivery) -> str:
    """What it carried; of an event its data alone, as `tenuto topics show` has it."""
    if one.source != "topic":
        return one.content
    return bytes(msgspec.json.decode(one.content, type=_Content).data).decode()


def _document(one: FailedDelivery) -> Document:
    return {
        "number": one.number,
        "source": one.source,
        "name": one.name,
        "function": one.function,
        "id": one.message_id,
        "attempts": one.attempts,
        "failedTime": iso(one.failed_at),
        "error": one.error,
        "cause": one.cause,
        "key": one.key,
        "content": as_json(one.content),
    }
