"""Links to other hubs on PostgreSQL: their places, and what waits for the other hub.

What comes in and the place that counts it are one transaction: a message that comes twice is not
written twice, and one whose place is written is there.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Final

import asyncpg
from msgspec import Raw

from tenuto.engine.linking import GivenUpCall, answer_to_call, check_delivered
from tenuto.engine.rows import InboxRow
from tenuto.model.codec import decode_any_message
from tenuto.model.errors import LinkInUseError, NoSuchLinkError
from tenuto.model.ids import InstanceId
from tenuto.model.linking import LinkedHub, Outgoing, Place
from tenuto.model.messages import Start
from tenuto.model.requests import DeadLetter
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.access import Access, add_messages
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.refusing import named

_MOST_ROWS: Final = 1_000
_LIFE_DIGITS: Final = 32
_LAST: Final = 2**63 - 1


class PostgresLinks:
    """The links of one store.

    Args:
        store: Whose ways to the server these are.
    """

    def __init__(self, store: Access) -> None:
        self._store = store

    async def life(self) -> str:
        """Of this store."""
        (row,) = await self._store.rows("facts")
        facts = f"{row['secret']}:{row['incarnation']}"
        return hashlib.sha256(facts.encode()).hexdigest()[:_LIFE_DIGITS]

    async def hubs(self) -> list[LinkedHub]:
        """All links."""
        return [LinkedHub(**dict(row)) for row in await self._store.rows("linked_hubs")]

    async def put(self, hub: LinkedHub) -> None:
        """Make a link or change it."""
        # Crash points: before COMMIT there is the old link or none, after it the new one.
        await self._store.written(
            lambda session: session.run(
                "put_linked_hub", name=hub.name, url=hub.url, called=hub.called, key=hub.key
            )
        )

    async def bound(self, messages: int, size: int) -> None:
        """So much may wait for each hub."""
        # Crash points: before COMMIT the bound before holds for clients; a host has its own.
        await self._store.written(
            lambda session: session.run("bound_links", messages=messages, bytes=size)
        )

    async def drop(self, name: str, now: Microseconds) -> None:
        """A link is no more, and what waits for it is given up."""

        async def drop(session: Session) -> None:
            await _give_up(session, name, now)
            await session.run("drop_linked_hub", name=name)
            await session.run("drop_pieces", hub=name, sequence=None)

        # Crash points: before COMMIT the link is there as before.
        await self._store.written(drop)

    async def bury(self, now: Microseconds) -> None:
        """What waits for hubs that are linked no more is given up."""
        # Crash points: before COMMIT it waits as before, and the next host buries it.
        await self._store.written(lambda session: _give_up(session, None, now))

    async def outgoing(self, hub: str, after: int, most_bytes: int) -> list[Outgoing]:
        """The next messages for a hub."""
        found = await self._store.rows(
            "outgoing", hub=hub, after=after, most_bytes=most_bytes, rows=_MOST_ROWS
        )
        return [_outgoing(row) for row in found]

    async def delivered(
        self, hub: str, sequence: int, now: Microseconds, mark: str = ""
    ) -> tuple[int, int]:
        """The other hub has these; how many, and how long they were."""

        async def note(session: Session) -> tuple[int, int]:
            known = await session.row("known_delivered", hub=hub)
            assert known is not None
            last = await session.row("final_outgoing", hub=hub, last=sequence) if mark else None
            newest = None if last is None else _outgoing(last)
            facts = known["last"], known["delivered"], known["mark"]
            check_delivered(hub, sequence, mark, facts, newest)
            row = await session.row("drop_outgoing", hub=hub, first=0, last=sequence)
            assert row is not None
            await session.run("note_delivered", hub=hub, sequence=sequence, mark=mark, now=now)
            return row["count"], row["size"]

        # Crash points: before COMMIT they are sent once more, and known there.
        return await self._store.written(note)

    async def drop_outgoing(self, hub: str, sequence: int) -> None:
        """One message is not to be sent."""
        # Crash points: before COMMIT it is refused once more.
        await self._store.written(
            lambda session: session.run("drop_outgoing", hub=hub, first=sequence, last=sequence)
        )

    async def heard(self, hub: str, now: Microseconds | None, problem: str | None) -> None:
        """Note when a hub was heard of."""
        # Crash points: none that matter; it is for people.
        await self._store.written(
            lambda session: session.run("note_heard", hub=hub, now=now, problem=problem)
        )

    async def place(self, hub: str, life: str | None) -> Place:
        """How far the other hub's messages are here."""

        async def look(session: Session) -> Place | None:
            row = await session.row("place", hub=hub)
            if row is None:
                known = await session.rows("link_names")
                raise NoSuchLinkError(hub, [one["name"] for one in known])
            if life is not None and life != row["life"]:
                if life in row["past_lives"]:
                    raise LinkInUseError(
                        f"link {hub!r} is used by two stores: one has come with its key, and now "
                        "one comes that was here before; give each a link of its own"
                    )
                return None
            piece = await session.row("piece_held", hub=hub)
            sequence, held = (piece["sequence"], piece["held"]) if piece else (0, 0)
            return Place(
                received=row["received"], mark=row["received_mark"], piece_of=sequence, held=held
            )

        async def begin(session: Session) -> None:
            await session.run("new_life", hub=hub, life=life)
            await session.run("drop_pieces", hub=hub, sequence=None)

        place = await self._store.read(look)
        if place is None:
            # Crash points: before COMMIT the other hub's first request begins its life again.
            await self._store.written(begin)
            return Place(received=0)
        return place

    async def keep_piece(self, hub: str, sequence: int, at: int, text: str) -> None:
        """Keep a part of a message."""

        async def keep(session: Session) -> None:
            await session.run("drop_other_pieces", hub=hub, sequence=sequence)
            await session.run("keep_piece", hub=hub, sequence=sequence, at=at, text=text)

        # Crash points: before COMMIT it is sent once more.
        await self._store.written(keep)

    async def drop_pieces(self, hub: str) -> None:
        """Parts of a message that is refused are kept no longer."""
        # Crash points: before COMMIT they are there, and go with the next refusal.
        await self._store.written(
            lambda session: session.run("drop_pieces", hub=hub, sequence=None)
        )

    async def pieces(self, hub: str, sequence: int) -> str:
        """The parts of a message as one text."""
        found = await self._store.rows("pieces", hub=hub, sequence=sequence)
        return "".join(row["text"] for row in found)

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

        async def write(session: Session) -> None:
            taken = await session.value("received", hub=hub, sequence=sequence, mark=mark, now=now)
            if taken is None:
                return
            await session.run("drop_pieces", hub=hub, sequence=sequence)
            await add_messages(session, rows)
            if events:
                await session.run("publish_in_order", **packing.published(events))

        # Crash points: before COMMIT neither the messages are here nor the place, and they are sent
        # once more; after it both are, and what is sent once more is known by its number.
        given = [
            *(("messages", row.message_id, "inbox", row) for row in rows),
            *(("messages", one.post_key, "published", one) for one in events),
        ]
        async with named(self._store.url, given):
            await self._store.written(write, tells=True)


async def _give_up(session: Session, hub: str | None, now: Microseconds) -> None:
    """Answer whoever has called over a link that is no more; what else waits is a dead letter."""
    partitions = (await session.rows("facts"))[0]["partitions"]
    after = 0
    while True:  # some at a time: as much may wait as the settings allow
        rows = await session.rows("waiting_for", hub=hub, after=after, rows=_MOST_ROWS)
        if not rows:
            return
        letters: list[DeadLetter] = []
        answers: list[InboxRow] = []
        for row in rows:
            call = _call(row)
            if call is not None:
                answers.append(answer_to_call(call, partitions))
            else:
                letters.append(_letter(row, now))
        if letters:
            await session.run("add_dead_letters", **packing.dead_letters(letters))
        if answers:
            await add_messages(session, answers)
        sequences = [row["sequence"] for row in rows]
        await session.run("drop_waiting", sequences=sequences)
        after = sequences[-1]


def _outgoing(row: asyncpg.Record) -> Outgoing:
    return Outgoing(row["sequence"], row["message_id"], row["instance_id"], Raw(row["message"]))


def _call(row: asyncpg.Record) -> GivenUpCall | None:
    """The call that a message makes, where it makes one."""
    message = decode_any_message(Raw(row["message"]))
    if not isinstance(message, Start) or message.event.parent is None:
        return None
    return GivenUpCall(row["message_id"], row["hub"], message.event.parent)


def _letter(row: asyncpg.Record, now: Microseconds) -> DeadLetter:
    return DeadLetter(
        row["message_id"],
        InstanceId(f"{row['hub']}/{row['instance_id']}"),
        f"TN-1801 the link {json.dumps(row['hub'])} was removed",
        now,
        Raw(row["message"]),
    )
