"""Deliveries that were put aside, of queues, topics and folders: shown, given back, deleted.

What ``failed``, ``redrive`` and ``drop`` of ``tenuto queues``, ``topics`` and ``files`` have in
common. A delivery is named by its number, which no other ever has, or behind ``--id`` by that of
its event, message or file; a word never means both.
"""

import functools
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Literal

import click
import msgspec
from msgspec import Struct

from tenuto.cli import terminal
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, within
from tenuto.cli.instances.documents import Document, encoded
from tenuto.cli.known_names import check_function, check_queue, check_subscription
from tenuto.engine.topic_ports import FailedDelivery, Redriven
from tenuto.insight.wording import iso, moment, one_line
from tenuto.model.errors import InputError
from tenuto.model.payload.opaque import as_json

AnyFunction = Callable[..., Any]

_PAGE: Final = 500
_SHOWN: Final = 100
_FEW: Final = 3


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


class Chosen(Struct, frozen=True, kw_only=True):
    """Which deliveries are meant.

    Attributes:
        numbers: Theirs.
        ids: Those of their messages, events or files, each of one delivery.
        everything: Or all that there are now.
    """

    numbers: frozenset[int]
    ids: frozenset[str]
    everything: bool

    def has(self, one: FailedDelivery) -> bool:
        """Whether a delivery is meant."""
        return self.everything or one.number in self.numbers or one.message_id in self.ids


def which_options(function: AnyFunction) -> AnyFunction:
    """Give a command numbers, ``--id`` and ``--all``, as one argument ``chosen``."""

    @click.argument("numbers", metavar="[NUMBER]...", nargs=-1, callback=_numbers)
    @click.option(
        "--id",
        "ids",
        multiple=True,
        help="That of a message, event or file, instead of a number; may be given several times.",
    )
    @click.option("--all", "everything", is_flag=True, help="All that there are now.")
    @functools.wraps(function)
    def command(
        *arguments: Any,
        numbers: frozenset[int],
        ids: tuple[str, ...],
        everything: bool,
        **options: Any,
    ) -> Any:  # noqa: ANN401 - what it returns
        if bool(numbers or ids) == everything:
            raise click.UsageError("name deliveries by NUMBER or --id, or give --all")
        chosen = Chosen(numbers=numbers, ids=frozenset(ids), everything=everything)
        return function(*arguments, chosen=chosen, **options)

    return command


def _numbers(
    _context: click.Context, _argument: click.Parameter, words: tuple[str, ...]
) -> frozenset[int]:
    for word in words:
        if not re.fullmatch("[0-9]{1,18}", word):
            raise click.BadParameter(
                f"{word!r} is not the number of a delivery, as `failed` lists it; an id is given "
                f"behind --id"
            )
    return frozenset(map(int, words))


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


def redrive_failed(place: Place, origin: Origin, chosen: Chosen, *, as_json: bool) -> int:
    """Give deliveries back to their function: those named, or all."""

    async def act(connection: Connection) -> Redriven:
        meant = await _meant(connection, origin, chosen)
        count, left = 0, list[int]()
        for bite in _bites(meant):
            redriven = await connection.gateway.redrive(bite)
            count += redriven.count
            left += redriven.left
        if not as_json:
            terminal.say(f"gave back {_counted(count)}")
            _tell_left(left, meant)
            if count:
                connection.say_kept("it" if count == 1 else "all of it")
        return Redriven(count, tuple(left))

    redriven = within(place, act)
    if as_json:
        terminal.say(encoded({"redriven": redriven.count, "left": redriven.left}))
    return FAILED if redriven.left else 0


def _tell_left(left: Sequence[int], meant: dict[int, str]) -> None:
    if not left:
        return
    named = ", ".join(f"{one} ({meant[one]!r})" for one in left[:_FEW])
    terminal.note(
        f"{_counted(len(left))} stay{'s' if len(left) == 1 else ''} put aside, because a message "
        f"of the same id is in the queue: {named}{', …' if left[_FEW:] else ''}; give them back "
        "when it is done, or drop them"
    )


def drop_failed(place: Place, origin: Origin, chosen: Chosen, *, yes: bool, as_json: bool) -> int:
    """Delete deliveries that were put aside: those named, or all, which asks first."""
    is_sure = yes or not chosen.everything
    if not is_sure and not confirmed(f"all failed deliveries of {origin.words}"):
        terminal.note("nothing was deleted")
        return FAILED

    async def act(connection: Connection) -> int:
        meant = await _meant(connection, origin, chosen)
        return sum([await connection.gateway.drop_failed(bite) for bite in _bites(meant)])

    count = within(place, act)
    terminal.say(encoded({"dropped": count}) if as_json else f"deleted {_counted(count)}")
    return 0


def confirmed(what: str) -> bool:
    """Whether a person wants that deleted."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} would be deleted; give --yes to do so")
    return click.confirm(f"Delete {what}?", err=True)


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


async def _meant(connection: Connection, origin: Origin, chosen: Chosen) -> dict[int, str]:
    """Those that are meant: numbers, with their ids.

    Raises:
        InputError: some are not there, or an id is that of several; nothing was done.
    """
    meant: dict[int, str] = {}
    of_id: dict[str, list[int]] = {one: [] for one in sorted(chosen.ids)}
    async for page in _pages(connection, origin, _PAGE):
        for one in page:
            if chosen.has(one):
                meant[one.number] = one.message_id
            if one.message_id in of_id:
                of_id[one.message_id].append(one.number)
    for message_id, numbers in of_id.items():
        if len(numbers) > 1:
            named = ", ".join(map(str, numbers[:_FEW]))
            raise InputError(
                f"id {message_id!r} is that of {len(numbers)} failed deliveries of {origin.words}; "
                f"nothing was done; name them by number: {named}{', …' if numbers[_FEW:] else ''}"
            )
    missing = [str(one) for one in sorted(chosen.numbers - set(meant))]
    missing += [f"--id {one!r}" for one, numbers in of_id.items() if not numbers]
    if missing:
        named = ", ".join(missing[:_FEW])
        raise InputError(
            f"there is no failed delivery {named}{', …' if missing[_FEW:] else ''} of "
            f"{origin.words}; nothing was done"
        )
    if not meant:
        await _check_origin(connection, origin)
    return meant


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


def _bites(meant: dict[int, str]) -> list[list[int]]:
    numbers = sorted(meant)
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
        "cameTime": None if one.came_at is None else iso(one.came_at),
    }
