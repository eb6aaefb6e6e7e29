"""Links to other hubs in SQLite: their places, and what waits for the other hub.

What comes in and the place that counts it are one transaction: a message that comes twice is not
written twice, and one whose place is written is there.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

import apsw
import msgspec

from tenuto.engine.linking import GivenUpCall, answer_to_call, check_delivered
from tenuto.engine.rows import InboxRow
from tenuto.model.errors import LinkInUseError, NoSuchLinkError
from tenuto.model.linking import LinkedHub, Outgoing, Place
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent
from tenuto.storage.sqlite.batch import ONE_STATEMENT_BYTES, cut, only
from tenuto.storage.sqlite.database import Arguments, value
from tenuto.storage.sqlite.queries import SQL

T = TypeVar("T")
Job = Callable[[apsw.Connection], T]

_MOST_ROWS: Final = 1_000
_GIVEN_UP_BYTES: Final = 16 * 1024 * 1024
"""So much is given up at a time."""
_LIFE_DIGITS: Final = 32
_decode_hubs = msgspec.json.Decoder(list[LinkedHub]).decode
_decode_outgoing = msgspec.json.Decoder(list[Outgoing]).decode
_decode_sizes = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_calls = msgspec.json.Decoder(list[GivenUpCall]).decode
_decode_place = msgspec.json.Decoder(tuple[str, list[str], int, str]).decode
_decode_known = msgspec.json.Decoder(tuple[int, int, str]).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_pair = msgspec.json.Decoder(tuple[int, int]).decode


class Runs(Protocol):
    """Runs a job on the connection of a store."""

    def __call__(self, job: Job[T], /) -> Awaitable[T]: ...


class SqliteLinks:
    """The links of one store.

    Args:
        read: Runs what reads.
        write: Runs what writes, as one transaction.
    """

    def __init__(self, read: Runs, write: Runs) -> None:
        self._read = read
        self._write = write

    async def life(self) -> str:
        """Of this store."""
        return await self._read(_life)

    async def hubs(self) -> list[LinkedHub]:
        """All links."""
        return await self._read(lambda reading: _decode_hubs(value(reading, "linked_hubs")))

    async def put(self, hub: LinkedHub) -> None:
        """Make a link or change it."""
        # Crash points: before COMMIT there is the old link or none, after it the new one.
        arguments = {"name": hub.name, "url": hub.url, "called": hub.called, "key": hub.key}
        await self._write(_run("put_linked_hub", arguments))

    async def bound(self, messages: int, size: int) -> None:
        """So much may wait for each hub."""
        # Crash points: before COMMIT the bound before holds for clients; a host has its own.
        await self._write(_run("bound_links", {"messages": messages, "bytes": size}))

    async def drop(self, name: str, now: Microseconds) -> None:
        """A link is no more, and what waits for it is given up."""

        def drop(connection: apsw.Connection) -> None:
            connection.execute(SQL["drop_linked_hub"], {"name": name})
            connection.execute(SQL["drop_pieces"], {"hub": name, "sequence": None})

        # Crash points: before COMMIT the link is there as before; after it, it is not, and what
        # waits still is given up by the next host.
        await self._write(drop)
        await self._give_up(name, now)

    async def bury(self, now: Microseconds) -> None:
        """What waits for hubs that are linked no more is given up."""
        for hub in await self._read(lambda reading: _decode_names(value(reading, "orphaned_hubs"))):
            await self._give_up(hub, now)

    async def _give_up(self, hub: str, now: Microseconds) -> None:
        """Some at a time: there may be more than memory holds, and commits go on between them."""

        def give_up(connection: apsw.Connection) -> bool:
            span = _page(connection, hub, 0, _GIVEN_UP_BYTES)
            if span is None or value(connection, "place", {"hub": hub}) is not None:
                return False  # nothing waits any more, or it has been linked anew
            _give_up(connection, span, now)
            return True

        # Crash points: before COMMIT they wait as before, and the next host gives them up.
        while await self._write(give_up):
            pass

    async def outgoing(self, hub: str, after: int, most_bytes: int) -> list[Outgoing]:
        """The next messages for a hub."""

        def read(reading: apsw.Connection) -> list[Outgoing]:
            span = _page(reading, hub, after, most_bytes)
            return [] if span is None else _decode_outgoing(value(reading, "outgoing", span))

        return await self._read(read)

    async def delivered(
        self, hub: str, sequence: int, now: Microseconds, mark: str = ""
    ) -> tuple[int, int]:
        """The other hub has these; how many, and how long they were."""

        def note(connection: apsw.Connection) -> tuple[int, int]:
            span = {"hub": hub, "first": 0, "last": sequence}
            known = _decode_known(value(connection, "known_delivered", {"hub": hub}))
            final = value(connection, "final_outgoing", span) if mark else None
            newest = None
            if final is not None:
                asked = {"hub": hub, "first": final, "last": final}
                (newest,) = _decode_outgoing(value(connection, "outgoing", asked))
            check_delivered(hub, sequence, mark, known, newest)
            gone = _decode_pair(value(connection, "outgoing_between", span))
            connection.execute(SQL["drop_outgoing"], span)
            noted = {"hub": hub, "sequence": sequence, "mark": mark, "now": now}
            connection.execute(SQL["note_delivered"], noted)
            return gone

        # Crash points: before COMMIT they are sent once more, and known there.
        return await self._write(note)

    async def drop_outgoing(self, hub: str, sequence: int) -> None:
        """One message is not to be sent."""
        # Crash points: before COMMIT it is refused once more.
        span = {"hub": hub, "first": sequence, "last": sequence}
        await self._write(_run("drop_outgoing", span))

    async def heard(self, hub: str, now: Microseconds | None, problem: str | None) -> None:
        """Note when a hub was heard of."""
        # Crash points: none that matter; it is for people.
        await self._write(_run("note_heard", {"hub": hub, "now": now, "problem": problem}))

    async def place(self, hub: str, life: str | None) -> Place:
        """How far the other hub's messages are here."""

        def look(reading: apsw.Connection) -> Place | None:
            known, past, received, mark = _place(reading, hub)
            if life is not None and life != known:
                if life in past:
                    raise LinkInUseError(
                        f"link {hub!r} is used by two stores: one has come with its key, and now "
                        "one comes that was here before; give each a link of its own"
                    )
                return None
            sequence, held = _decode_pair(value(reading, "piece_held", {"hub": hub}) or "[0,0]")
            return Place(received=received, mark=mark, piece_of=sequence, held=held)

        def begin(connection: apsw.Connection) -> None:
            connection.execute(SQL["new_life"], {"hub": hub, "life": life})
            connection.execute(SQL["drop_pieces"], {"hub": hub, "sequence": None})

        place = await self._read(look)
        if place is None:
            # Crash points: before COMMIT the other hub's first request begins its life again.
            await self._write(begin)
            return Place(received=0)
        return place

    async def keep_piece(self, hub: str, sequence: int, at: int, text: str) -> None:
        """Keep a part of a message."""

        def keep(connection: apsw.Connection) -> None:
            connection.execute(SQL["drop_other_pieces"], {"hub": hub, "sequence": sequence})
            piece = {"hub": hub, "sequence": sequence, "at": at, "text": text}
            connection.execute(SQL["keep_piece"], piece)

        # Crash points: before COMMIT it is sent once more.
        await self._write(keep)

    async def drop_pieces(self, hub: str) -> None:
        """Of a message that is refused."""
        # Crash points: before COMMIT it is refused once more, as it comes once more.
        await self._write(_run("drop_pieces", {"hub": hub, "sequence": None}))

    async def pieces(self, hub: str, sequence: int) -> str:
        """The parts of a message as one text."""
        asked = {"hub": hub, "sequence": sequence}
        return await self._read(lambda reading: value(reading, "pieces", asked) or "")

    async def take_in(
        self,
        hub: str,
        sequence: int,
        rows: Sequence[InboxRow],
        now: Microseconds,
        events: Sequence[PublishedEvent] = (),
        mark: str = "",
    ) -> None:
        """Messages and events of another hub and the place."""

        def write(connection: apsw.Connection) -> None:
            taken = {"hub": hub, "sequence": sequence, "mark": mark, "now": now}
            if value(connection, "received", taken) is None:
                return
            connection.execute(SQL["drop_pieces"], {"hub": hub, "sequence": sequence})
            for part in cut(rows, ONE_STATEMENT_BYTES):
                connection.execute(SQL["commit"], only(inbox=part))
            for part in cut(events, ONE_STATEMENT_BYTES):
                connection.execute(SQL["commit"], only(published=part))

        # Crash points: before COMMIT neither the messages are here nor the place, and they are sent
        # once more; after it both are, and what is sent once more is known by its number.
        await self._write(write)


def _page(connection: apsw.Connection, hub: str, after: int, most_bytes: int) -> Arguments | None:
    """The next messages for a hub, as long as they fit, one at least; None when there is none."""
    arguments = {"hub": hub, "after": after, "rows": _MOST_ROWS}
    sizes = _decode_sizes(value(connection, "outgoing_sizes", arguments))
    if not sizes:
        return None
    total, last = 0, sizes[0][0]
    for sequence, size in sizes:
        total += size
        if total > most_bytes and sequence != sizes[0][0]:
            break
        last = sequence
    return {"hub": hub, "first": sizes[0][0], "last": last}


def _run(statement: str, arguments: Arguments) -> Job[None]:
    def job(connection: apsw.Connection) -> None:
        connection.execute(SQL[statement], arguments)

    return job


def _give_up(connection: apsw.Connection, span: Arguments, now: Microseconds) -> None:
    """Some of what waits for a hub will not go: calls fail, what else there is is a dead letter.

    Args:
        connection: In a transaction.
        span: The hub, and the first and the last number.
        now: The present.
    """
    calls = _decode_calls(value(connection, "calls_given_up", span))
    if calls:
        partitions = value(connection, "hub_partitions")
        rows = [answer_to_call(call, partitions) for call in calls]
        for part in cut(rows, ONE_STATEMENT_BYTES):
            connection.execute(SQL["commit"], only(inbox=part))
    connection.execute(SQL["bury_outgoing"], span | {"now": now})
    connection.execute(SQL["drop_outgoing"], span)
    connection.execute(SQL["forget_dead_letters"])


def _life(reading: apsw.Connection) -> str:
    facts = f"{value(reading, 'hub_secret')}:{value(reading, 'incarnation')}"
    return hashlib.sha256(facts.encode()).hexdigest()[:_LIFE_DIGITS]


def _place(reading: apsw.Connection, hub: str) -> tuple[str, list[str], int, str]:
    found = value(reading, "place", {"hub": hub})
    if found is None:
        raise NoSuchLinkError(hub, _decode_names(value(reading, "link_names")))
    return _decode_place(found)
