"""Upkeep of a hub in PostgreSQL: see ``engine.upkeep``. Each thing is done with a connection of its
own.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from threading import Event
from time import monotonic
from typing import Final, NoReturn, TypeVar

import msgspec
from msgspec import Raw

from tenuto.engine.rows import InboxRow
from tenuto.engine.upkeep import (
    Copy,
    Examination,
    FollowedTo,
    Following,
    RedrivenLetters,
    Told,
)
from tenuto.model.codec import decode_letter
from tenuto.model.errors import (
    InputError,
    InstanceFinishedError,
    InstanceNotFoundError,
    NoSuchLinkError,
    SettingsError,
    TenutoError,
)
from tenuto.model.ids import InstanceId, MessageId, partition_of, split_address
from tenuto.model.messages import LETTERS
from tenuto.model.received import KNOWN_TYPES
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.storage.postgres import reading
from tenuto.storage.postgres.access import add_messages
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.condition import remarks_of
from tenuto.storage.postgres.connection import Connection, Session, Work
from tenuto.storage.postgres.database import facts_of
from tenuto.storage.postgres.statements import NEWEST_SCHEMA

T = TypeVar("T")

_FEW: Final = 1_000
_FRESH_SECONDS: Final = 1.0
_owners: dict[str, tuple[float, str | None]] = {}


class PostgresUpkeep:
    """Looks after a hub.

    Args:
        address: Where it is.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._is_pooled = False

    @property
    def owner(self) -> str | None:
        """The hosts that own it now, in words; None when none does. Blocks while it asks."""
        seen = _owners.get(self._address.dsn + self._address.schema)
        if seen is None or monotonic() - seen[0] > _FRESH_SECONDS:
            seen = monotonic(), _in_thread(lambda: self._do(_owner))
            _owners[self._address.dsn + self._address.schema] = seen
        return seen[1]

    async def _do(self, work: Work[T], *, writes: bool = False) -> T:
        connection = Connection(self._address, "upkeep")
        try:
            await connection.open()
            self._is_pooled = connection.is_pooled

            async def whole(session: Session) -> T:
                facts = await facts_of(session, self._address)
                if facts is None:
                    raise SettingsError(
                        f"there is no hub in the schema {self._address.schema!r} of "
                        f"{self._address.url!r}; a host makes it: tenuto start APP, tenuto run"
                    )
                async with session.together():
                    return await work(session)

            return await connection.do(whole, "write to" if writes else "read")
        finally:
            await connection.close()

    async def examine(self, now: Microseconds, *, full: bool = False) -> Examination:  # noqa: ARG002 - the server checks its own pages
        """Look it over without touching it. Whether its pages are sound the server sees itself."""

        async def look(session: Session) -> Examination:
            facts = await facts_of(session, self._address)
            assert facts is not None
            found = Examination(
                path=self._address.url,
                schema=facts.schema,
                known_schema=NEWEST_SCHEMA,
                faults=[],
                size=await session.value("hub_size", schema=self._address.schema),
                log_size=0,
                free_bytes=None,
                owner=await _owner(session),
                partitions=facts.partitions,
            )
            remarks = await remarks_of(session, self._address, is_pooled=self._is_pooled)
            found = msgspec.structs.replace(found, remarks=remarks)
            return await _with_contents(session, found, now) if found.is_readable else found

        return await self._do(look)

    async def waiting(self) -> list[tuple[int, InstanceId]]:
        """The oldest messages that nobody has taken in: arrival number and instance."""
        return await self._do(_waiting)

    async def redrive_letters(self, message_ids: Sequence[MessageId] | None) -> RedrivenLetters:
        """Send dead letters to their instances again, the oldest first."""
        redriven = RedrivenLetters(sent=[], left=[])
        ids = None if message_ids is None else list(message_ids)
        rows = await self._do(lambda session: session.rows("dead_letter_numbers", ids=ids))
        missing = set(ids or ()) - {row["message_id"] for row in rows}
        if missing:
            raise InputError(f"there is no dead letter {min(missing)!r}")

        async def named(session: Session) -> None:
            for row in rows:
                redriven.sent.append(await self._send(session, row["number"]))

        if ids is not None:
            # Crash points: before COMMIT the letters are dead as before; after it, they wait in the
            # inbox and are dead letters no more.
            await self._do(named, writes=True)
            return redriven
        for row in rows:
            number = row["number"]
            # Each in a transaction of its own, so that one that nobody can take keeps no other.
            try:
                sent = await self._do(lambda session, one=number: self._send(session, one))  # type: ignore[misc]
            except TenutoError as error:
                redriven.left.append((MessageId(row["message_id"]), str(error)))
            else:
                redriven.sent.append(sent)
        return redriven

    async def _send(self, session: Session, number: int) -> tuple[MessageId, InstanceId]:
        row = await session.row("dead_letter", number=number)
        if row is None:
            raise InputError("somebody else was faster")
        message_id, instance_id = MessageId(row["message_id"]), InstanceId(row["instance_id"])
        if not isinstance(decode_letter(Raw(row["message"])), LETTERS):
            raise InputError(
                f"dead letter {message_id!r} is no event and no answer; it can only be purged"
            )
        await _check_taker(session, instance_id)
        facts = await facts_of(session, self._address)
        assert facts is not None
        name = MessageId(f"redriven-{number}")
        message = Raw(msgspec.json.encode(json.loads(row["message"]) | {"messageId": name}))
        partition = partition_of(instance_id, facts.partitions)
        await add_messages(session, [InboxRow(name, partition, instance_id, message)])
        await session.run("drop_dead_letter", number=number)
        return message_id, instance_id

    async def acknowledge_letters(
        self, message_ids: Sequence[MessageId] | None, now: Microseconds
    ) -> int:
        """Note that somebody has seen to these dead letters, or with None to all."""
        ids = None if message_ids is None else list(message_ids)
        # Crash points: one statement, a transaction of its own.
        return await self._do(
            lambda session: session.run("acknowledge_dead_letters", ids=ids, now=now), writes=True
        )

    async def drop_letters(self, message_ids: Sequence[MessageId] | None) -> int:
        """Delete these dead letters, or with None all; how many there were."""
        ids = None if message_ids is None else list(message_ids)
        # Crash points: one statement, a transaction of its own.
        return await self._do(
            lambda session: session.run("drop_dead_letters", ids=ids), writes=True
        )

    def back_up(
        self, target: str, now: Callable[[], Microseconds], *, force: bool, told: Told
    ) -> Copy:
        """PostgreSQL has tools of its own for this."""
        self._is_the_servers("backup", target, now, force, told)

    def follow(
        self,
        folder: str,
        now: Callable[[], Microseconds],
        stop: Event,
        told: Callable[[Following], None],
    ) -> FollowedTo:
        """PostgreSQL has tools of its own for this."""
        self._is_the_servers("a continuous copy", folder, now, stop, told)

    def restore(
        self,
        source: str,
        now: Callable[[], Microseconds],
        *,
        force: bool,
        accept_loss: bool,
        told: Told,
    ) -> Copy:
        """PostgreSQL has tools of its own for this."""
        self._is_the_servers("restore", source, now, force, accept_loss, told)

    def accept_loss(self) -> Microseconds | None:
        """There is no copy of a hub in PostgreSQL that a host would refuse."""
        return None

    def seal(self) -> None:
        """Imports go into files."""
        self._is_the_servers("an import to be looked at")

    def _is_the_servers(self, what: str, *_given: object) -> NoReturn:
        raise SettingsError(
            f"{what} is for stores in a file; {self._address.url!r} is kept by PostgreSQL: use "
            "pg_basebackup with an archive of its log (pg_dump while no host runs), which copy "
            "the whole hub at one moment"
        )


def _in_thread(ask: Callable[[], "asyncio.Future[T] | object"]) -> str | None:
    """The answer of a coroutine, for who has no loop, or must not wait in it."""
    answers: list[str | None] = []
    errors: list[TenutoError] = []

    def run() -> None:
        try:
            answers.append(asyncio.run(ask()))  # type: ignore[arg-type] # a coroutine
        except TenutoError as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="tenuto-owner", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return answers[0] if answers else None


async def _owner(session: Session) -> str | None:
    """Who owns partitions and lives, in words."""
    found = [row for row in await session.rows("owned") if row["lives"]]
    names = dict.fromkeys(row["description"] or row["owner"] for row in found)
    return "; ".join(names) or None


async def _waiting(session: Session) -> list[tuple[int, InstanceId]]:
    found = await session.rows("inbox_waiting", rows=_FEW)
    return [(row["number"], InstanceId(row["instance_id"])) for row in found]


async def _with_contents(session: Session, found: Examination, now: Microseconds) -> Examination:
    letters = await session.row("dead_letter_count")
    assert letters is not None
    counts = await session.rows("status_counts")
    return msgspec.structs.replace(
        found,
        was_left=bool(await session.rows("owned")),
        counts={RuntimeStatus(row["status"]): row["count"] for row in counts},
        messages=await session.value("inbox_count"),
        waiting=await _waiting(session),
        oldest_pending=await session.value("oldest_pending", now=now),
        dead_letters=letters["count"],
        newest_dead_letter=letters["newest"],
        unseen_dead_letters=letters["unseen"],
        lost_histories=[row["iid"] for row in await session.rows("lost_histories", rows=_FEW)],
        without_history=[
            row["instance_id"] for row in await session.rows("without_history", rows=_FEW)
        ],
        lost_messages=[
            row["instance_id"] for row in await session.rows("lost_messages", rows=_FEW)
        ],
        unserved_partitions=[
            row["partition"] for row in await session.rows("unserved_partitions", rows=_FEW)
        ],
        unknown_types=[
            row["kind"]
            for row in await session.rows("unknown_types", known=sorted(KNOWN_TYPES), rows=_FEW)
        ],
    )


async def _check_taker(session: Session, instance_id: InstanceId) -> None:
    """See that somebody can take a message: an instance here, or a hub that is linked."""
    address = split_address(instance_id)
    if address is not None:
        if await session.row("place", hub=address[0]) is None:
            known = [row["name"] for row in await session.rows("link_names")]
            raise NoSuchLinkError(address[0], known)
        return
    standing = await reading.find(session, [instance_id])
    if not standing:
        raise InstanceNotFoundError(instance_id)
    if standing[0].status.is_finished:
        raise InstanceFinishedError(instance_id, f"has already ended ({standing[0].status.label})")
