"""Everything that reads of instances, histories and messages. Never writes."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Self

import asyncpg
import msgspec

from tenuto.engine.ports import (
    InboxPage,
    InstanceMark,
    LoadedInstance,
    PartitionPage,
    Standing,
    Wake,
)
from tenuto.engine.rows import Answer, InboxRow
from tenuto.model.errors import InputError, LimitError
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.links import FoundLink, Link
from tenuto.model.requests import DeadLetter, DeadLetterPage, HistoryPage
from tenuto.model.status import OPEN, InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.usage import (
    DIMENSIONS,
    MOST_ROWS,
    Day,
    Dimension,
    FunctionKind,
    UsageRow,
    bounded,
)
from tenuto.storage.postgres import rows
from tenuto.storage.postgres.connection import Session

LONGEST_PAGE: Final = 16 * 1024 * 1024
"""Bytes of messages that are read at once."""

_PAGE_ROWS: Final = 5_000
"""Messages that are read at once."""

_PLACE: Final = re.compile(r"([0-9]{1,18})\.(-1|[0-9]{1,18})")
_NUMBER: Final = re.compile("[0-9]{1,18}")
_LAST: Final = 2**63 - 1
_FIRST: Final = -(2**63)
_HARMFUL: Final = [str(one.value) for one in HoldReason if one.is_harmful]
_link: Final = msgspec.json.Decoder(Link).decode
_text: Final = msgspec.json.Decoder(str).decode


async def records(
    session: Session, iids: Sequence[int], *, payloads: bool = True
) -> list[InstanceRecord]:
    """The rows of these iids in their order, unknown ones left out."""
    if not iids:
        return []
    name = "records" if payloads else "summaries"
    return rows.in_order(await session.rows(name, iids=list(iids)), iids)


async def fitting(session: Session, iids: Sequence[int], most_bytes: int, *, payloads: bool) -> int:
    """How many of these rows, from the first on, are not too long together; one at least."""
    found = await session.rows("record_sizes", iids=list(iids), payloads=payloads)
    sizes = {row["iid"]: row["size"] for row in found}
    total = 0
    for count, iid in enumerate(iids):
        total += sizes.get(iid, 0)
        if count and total > most_bytes:
            return count
    return len(iids)


async def find(session: Session, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
    """The rows of these instance ids in their order, unknown ones left out."""
    wanted = [one for one in instance_ids if _is_storable(one)]
    if not wanted:
        return []
    found = {
        record.instance_id: record
        for record in map(rows.record_of, await session.rows("found", ids=wanted))
    }
    return [found[one] for one in wanted if one in found]


def _is_storable(text: str) -> bool:
    """Whether there can be such an id at all."""
    return "\x00" not in text and (text.isascii() or text.encode(errors="replace").decode() == text)


async def load_instances(session: Session, iids: Sequence[int]) -> list[LoadedInstance]:
    """Rows, current histories and waiting messages, all of one moment."""
    if not iids:
        return []
    async with session.together(of_one_moment=True):
        loaded = await records(session, iids)
        known = [record.iid for record in loaded]
        turns: dict[int, list[bytes]] = {}
        for iid, events in await session.rows("turns", iids=known):
            turns.setdefault(iid, []).append(events)
        fresh = [record.iid for record in loaded if record.iid not in turns and record.generation]
        last = await session.rows("last_turns", iids=fresh) if fresh else []
        previous: dict[int, bytes] = {row["iid"]: row["events"] for row in last}
        inbox: dict[InstanceId, list[InboxRow]] = {}
        waiting = await session.rows(
            "waiting_messages", ids=[record.instance_id for record in loaded]
        )
        for row in map(rows.message_of, waiting):
            inbox.setdefault(row.instance_id, []).append(row)
        unread: dict[int, list[tuple[int, bytes]]] = {}
        older = [record.iid for record in loaded if record.generation]
        for iid, number, event in await session.rows("unread", iids=older) if older else ():
            unread.setdefault(iid, []).append((number, event))
    return [
        LoadedInstance(
            record=record,
            turns=turns.get(record.iid, []),
            inbox=inbox.get(record.instance_id, []),
            previous_turn=previous.get(record.iid),
            unread=unread.get(record.iid, []),
        )
        for record in loaded
    ]


async def standings(session: Session, instance_ids: Sequence[InstanceId]) -> list[Standing]:
    """Instances' rows without payloads, and how far their histories go."""
    wanted = [one for one in instance_ids if _is_storable(one)]
    if not wanted:
        return []
    async with session.together(of_one_moment=True):
        counted = await session.rows("turn_counts", ids=wanted)
        counts: dict[int, int] = {row["iid"]: row["turns"] for row in counted}
        found = await records(session, list(counts), payloads=False)
    known = {record.instance_id: record for record in found}
    return [Standing(known[one], counts[known[one].iid]) for one in wanted if one in known]


async def _iid(session: Session, instance_id: InstanceId) -> int | None:
    if not _is_storable(instance_id):
        return None
    iid: int | None = await session.value("iid_of", instance_id=instance_id)
    return iid


async def history(
    session: Session, instance_id: InstanceId, most_bytes: int | None = None
) -> list[bytes]:
    """The turns of the current generation, else of the one before.

    Raises:
        LimitError: it is longer than ``most_bytes``; nothing was read.
    """
    async with session.together(of_one_moment=True):
        iid = await _iid(session, instance_id)
        if iid is None:
            return []
        if most_bytes is not None:
            size = await session.value("history_bytes", iid=iid)
            if size > most_bytes:
                raise LimitError(
                    f"the history of instance {instance_id!r} takes {size:,} bytes; the limit over "
                    f"HTTP is {most_bytes:,} (setting http.history_bytes). Ask for pages with "
                    "`?after=`, or let `tenuto instances history` do that"
                )
        generation = await session.value("last_generation", iid=iid)
        found = await session.rows("turns_of", iid=iid, generation=generation)
        return [row["events"] for row in found]


async def history_page(
    session: Session, instance_id: InstanceId, after: str | None, most_bytes: int
) -> HistoryPage:
    """Turns of the current generation, else of the one before, as long as they fit; one at least.

    Raises:
        InputError: the token is none, or the instance has continued as new since the page before.
    """
    async with session.together(of_one_moment=True):
        iid = await _iid(session, instance_id)
        if iid is None:
            return HistoryPage([], None)
        generation = await session.value("last_generation", iid=iid)
        known, last = (generation, -1) if after is None else _place(after)
        if generation != known:
            raise InputError(
                f"instance {instance_id!r} has gone on under a new history since the page "
                f"before ({after!r}); read its history from the beginning"
            )
        found = await session.rows(
            "turns_after", iid=iid, generation=generation, after=last, most_bytes=most_bytes
        )
    count = _fitting(found, most_bytes)
    turns = [row["events"] for row in found[:count]]
    more = count < len(found)
    return HistoryPage(turns, f"{generation}.{found[count - 1]['turn']}" if more else None)


def _fitting(found: Sequence[asyncpg.Record], most_bytes: int) -> int:
    """How many of these rows, from the first on, are not too long together; one at least.

    Statements that measure give one row more than fits, when there is one.
    """
    total = 0
    for count, row in enumerate(found):
        total += row["size"]
        if count and total > most_bytes:
            return count
    return len(found)


def _place(after: str) -> tuple[int, int]:
    match = _PLACE.fullmatch(after)
    if match is None:
        raise InputError(
            f"the page token {after!r} is not one of a history; use that of the page before"
        )
    return int(match[1]), int(match[2])


async def load_partition(
    session: Session, partition: int, after: str | None, limit: int, life: int
) -> PartitionPage:
    """What an owner must know at takeover, a page at a time; each page is of one moment."""
    async with session.together(of_one_moment=True):
        (now,) = await session.rows("cursor")
        cursor = Cursor(now["cursor"], None, now["server"], life)
        found = await session.rows(
            "inbox_page",
            partition=partition,
            after=int(after or _FIRST),
            rows=limit + 1,
            most_bytes=LONGEST_PAGE,
        )
        count = min(_fitting(found, LONGEST_PAGE), limit)
        more = count < len(found)
        page = PartitionPage(
            rows=[rows.message_of(row) for row in found[:count]],
            after=str(found[count - 1]["number"]) if more else None,
            cursor=cursor,
        )
        if after is not None:
            return page
        opened = await session.rows("open_by_root", partition=partition)
        return msgspec.structs.replace(
            page,
            open_by_root={row["root_id"]: row["count"] for row in opened},
            deaths=await session.value("deaths", partition=partition) or 0,
        )


class Cursor(int):
    """The oldest transaction that was open when an inbox was read, with what was seen beyond it.

    Somebody may leave a transaction open, in another database of the server too: by the number
    alone all that has come since would be read at each look.

    Numbers of transactions hold for one life of a server. One that has crashed, and a standby that
    takes its place, give those of its last transactions once more, when nothing of these was
    durable. So after another start, or a broken line, everything that waits is read anew.
    """

    seen: str | None
    server: str
    life: int

    def __new__(cls, number: int, seen: str | None, server: str, life: int) -> Self:
        """Of a number, a snapshot, the server's beginning, and the lives of the line to it."""
        cursor = super().__new__(cls, number)
        cursor.seen, cursor.server, cursor.life = seen, server, life
        return cursor

    @classmethod
    def of(cls, snapshot: str, server: str, life: int) -> "Cursor":
        """That of a snapshot."""
        return cls(int(snapshot.partition(":")[0]), snapshot, server, life)

    def is_of(self, server: str, life: int) -> bool:
        """Whether it holds for a server and a line."""
        return (self.server, self.life) == (server, life)


async def fetch_inbox(
    session: Session, cursors: Mapping[int, int], after: int | None, life: int
) -> InboxPage:
    """Messages and instances that arrived after the cursors, a page in the order of arrival."""
    if not cursors:
        return InboxPage([], {})
    known = [
        one if isinstance(one, Cursor) and one.life == life else Cursor(0, None, "", life)
        for one in cursors.values()
    ]
    found = await session.rows(
        "arrived",
        partitions=list(cursors),
        cursors=list(known),
        seen=[one.seen for one in known],
        servers=[one.server for one in known],
        after=_FIRST if after is None else after,
        rows=_PAGE_ROWS + 1,
        most_bytes=LONGEST_PAGE,
    )
    last = Cursor.of(found[0]["snapshot"], found[0]["server"], life)
    come = [row for row in found if row["number"] is not None]
    count = min(_fitting(come, LONGEST_PAGE), _PAGE_ROWS)
    more = count < len(come)
    come = come[:count]
    started = await _starts(session, [-row["number"] for row in come if row["message"] is None])
    arrived = []
    for row in come:
        if row["message"] is not None:
            arrived.append(rows.message_of(row))
        elif -row["number"] in started:
            arrived.append(started[-row["number"]])
    new: dict[int, int] = {
        partition: max(last, cursor) if cursor.is_of(last.server, life) else last
        for partition, cursor in zip(cursors, known, strict=True)
    }
    return InboxPage(arrived, new, come[-1]["number"] if more else None)


async def _starts(session: Session, iids: Sequence[int]) -> dict[int, InboxRow]:
    return {
        record.iid: rows.start_of(record)
        for record in await records(session, iids)
        if record.status is RuntimeStatus.PENDING
    }


async def due(
    session: Session,
    partitions: Collection[int],
    after: Microseconds | None,
    until: Microseconds,
) -> list[Wake]:
    """Unfinished instances whose time comes, soonest first."""
    found = await session.rows("due", partitions=list(partitions), after=after, until=until)
    return [Wake(*row) for row in found]


async def next_wake(
    session: Session, partitions: Collection[int], after: Microseconds
) -> Microseconds | None:
    """The first time after this one at which an instance is due."""
    found: Microseconds | None = await session.value(
        "next_wake", partitions=list(partitions), after=after
    )
    return found


async def marks(session: Session, after: int | None, limit: int) -> list[InstanceMark]:
    """How far instances are, a page by iid."""
    found = await session.rows("marks", after=_FIRST if after is None else after, rows=limit)
    return [InstanceMark(*row) for row in found]


async def misfits(
    session: Session, partitions: Collection[int], reason: HoldReason | None
) -> list[int]:
    """Held instances that a host tries again at its start."""
    found = await session.rows(
        "misfits", partitions=list(partitions), harmful=_HARMFUL, reason=reason
    )
    return [row["iid"] for row in found]


async def usage(session: Session, first: Day, last: Day, by: Sequence[Dimension]) -> list[UsageRow]:
    """What was used between two days, both included."""
    told = {f"by_{name}": name in by for name in DIMENSIONS}
    found = await session.rows("usage", first=first, last=last, most=MOST_ROWS + 1, **told)
    return bounded([_usage_row(row) for row in found])


async def root_usage(session: Session, root_ids: Sequence[InstanceId]) -> list[UsageRow]:
    """What root instances have used with all that they call; those that have used nothing are left
    out.
    """
    return [_usage_row(row) for row in await session.rows("root_usage", roots=list(root_ids))]


def _usage_row(row: asyncpg.Record) -> UsageRow:
    return UsageRow(row["day"], row["app"], FunctionKind(row["kind"]), *tuple(row)[3:])


async def held_counts(session: Session) -> dict[str, int]:
    """How many instances are held, by reason."""
    return {row["held_for"]: row["count"] for row in await session.rows("held_counts")}


async def open_counts(session: Session, most: int) -> dict[RuntimeStatus, int]:
    """How many instances of each status have not ended and are not held, each up to so many."""
    found = await session.rows("open_counts", statuses=[*OPEN], most=most)
    return {RuntimeStatus(row["status"]): row["count"] for row in found}


async def notes(session: Session, keys: Sequence[str]) -> dict[str, str]:
    """The notes of these keys that there are."""
    found = await session.rows("notes", keys=[key.encode() for key in keys])
    return {row["key"].decode(): row["text"].decode() for row in found}


async def is_asked(session: Session, instance_id: InstanceId, kinds: Collection[str]) -> bool:
    """Whether a request of one of these kinds to an instance waits to be taken in."""
    if not _is_storable(instance_id):
        return False
    return bool(await session.value("is_asked", instance_id=instance_id, kinds=list(kinds)))


async def waiting_start(session: Session, instance_id: InstanceId) -> InboxRow | None:
    """The oldest start of an id that waits in the inbox."""
    if not _is_storable(instance_id):
        return None
    row = await session.row("waiting_start", instance_id=instance_id)
    return None if row is None else rows.message_of(row)


async def answers(session: Session, message_ids: Sequence[MessageId]) -> list[Answer]:
    """What became of messages from other processes."""
    found = await session.rows("answers", ids=list(message_ids))
    return [Answer(row["message_id"], row["code"], _text(row["text"])) for row in found]


async def open_below(
    session: Session, partitions: Collection[int], root_ids: Sequence[InstanceId]
) -> dict[InstanceId, int]:
    """Unfinished instances of some partitions below each of some roots."""
    found = await session.rows("open_below", partitions=sorted(partitions), roots=list(root_ids))
    return {row["root_id"]: row["open"] for row in found}


async def link(session: Session, digest: str) -> FoundLink | None:
    """The link whose token has this digest."""
    row = await session.row("link", digest=digest)
    if row is None:
        return None
    return FoundLink(
        row["instance_id"], row["execution_id"], RuntimeStatus(row["status"]), _link(row["link"])
    )


async def is_waiting(session: Session, message_id: MessageId) -> bool:
    """Whether a message is in the inbox."""
    return bool(await session.value("is_waiting", message_id=message_id))


async def dead_letters(session: Session, limit: int) -> list[DeadLetter]:
    """The newest dead letters, newest first."""
    found = await session.rows("dead_letters", before=_LAST, rows=max(limit, 0), most_bytes=_LAST)
    return [rows.letter_of(row) for row in found]


async def dead_letter_page(
    session: Session, limit: int, after: str | None, most_bytes: int
) -> DeadLetterPage:
    """Dead letters, newest first, as long as they fit; one at least.

    Raises:
        InputError: the token is none.
    """
    if after is not None and not _NUMBER.fullmatch(after):
        raise InputError(
            f"the page token {after!r} is not one of dead letters; use that of the page before"
        )
    before = _LAST if after is None else int(after)
    found = await session.rows(
        "dead_letters", before=before, rows=max(limit, 0) + 1, most_bytes=most_bytes
    )
    count = min(_fitting(found, most_bytes), max(limit, 0))
    more = count < len(found)
    return DeadLetterPage(
        [rows.letter_of(row) for row in found[:count]],
        str(found[count - 1]["number"]) if more else None,
    )
