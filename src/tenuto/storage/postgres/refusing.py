"""Which rows of a batch PostgreSQL cannot hold, and why: found without trying.

The server says that a statement is refused, not for which of a thousand rows. What can be wrong
with one is known: a text that it has no characters for, a number that is too great, no JSON, too
long, and a key that is there already, for which the store is asked.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from msgspec import structs

from tenuto.engine.rows import CommitBatch
from tenuto.model.errors import RowsRefusedError, StorageError
from tenuto.storage.batches import Unit, units_of
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.errors import (
    CONTENT_ERRORS,
    ERRORS,
    is_about_content,
    translate,
)
from tenuto.storage.postgres.packing import Values

MOST_ROW_BYTES: Final = 256 * 1024 * 1024
"""The server takes messages below 1 GB, and a row may have several texts."""

_MOST_KEY_BYTES: Final = 2_600
"""The server's indexes take a third of a page."""

_NOTHING: Final = CommitBatch(
    batch_id="",
    owner="",
    number=0,
    fences=[],
    instances=[],
    replaced=[],
    updates=[],
    history=[],
    forget=[],
    inbox=[],
    consumed=[],
    purged=[],
    dead_letters=[],
)
_PACKS: Final[dict[str, Callable[[Sequence[Any]], Values]]] = {
    "unread": packing.unread,
    "links": packing.links,
    "topic_waits": packing.topic_waits,
    "published": packing.published,
    "queued": packing.queued,
    "dead_letters": packing.dead_letters,
    "answers": packing.answers,
}
_BITS: Final = {"status": 16, "partition": 32, "partitions": 32, "depth": 32, "deliveries": 32}
_USUAL_BITS: Final = 64
_KEYS: Final = (("topics", "ids"), ("topics", "keys"), ("queues", "ids"))
"""Arguments that are one key of an index together."""


def reason_of(name: str, row: object) -> str | None:
    """Why a row of this list of a batch can never be held; None when it can."""
    try:
        values = _packed(name, row)
    except msgspec.DecodeError as error:
        return f"malformed JSON: {error}"
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        return str(error) or type(error).__name__
    total = 0
    for argument, column in values.items():
        for one in column if isinstance(column, tuple | list) else ():
            problem = _problem(argument, one)
            if problem is not None:
                return problem
            total += len(one) if isinstance(one, str | bytes) else 0
    if total > MOST_ROW_BYTES:
        return f"a row of {total:,} bytes; a row can have {MOST_ROW_BYTES:,}"
    for key in _KEYS:
        size = sum(len((values[part][0] or "").encode()) for part in key if values.get(part))
        if size > _MOST_KEY_BYTES:
            return f"its {' and '.join(key)} have {size:,} bytes; {_MOST_KEY_BYTES:,} are possible"
    return None


def _packed(name: str, row: object) -> Values:
    if name == "inbox" and packing.parted([row])[1]:  # type: ignore[list-item] # a row of the inbox
        return packing.outgoing([row])  # type: ignore[list-item] # the same
    pack = _PACKS.get(name)
    if pack is not None:
        return pack([row])
    return packing.turns(structs.replace(_NOTHING, **{name: [row]}))


def _problem(argument: str, one: object) -> str | None:
    if isinstance(one, str):
        if "\x00" in one:
            return "a text holds a NUL character, which PostgreSQL's texts cannot hold"
        try:
            one.encode()
        except UnicodeEncodeError as error:
            return f"a text has half of a surrogate pair at character {error.start}"
    elif isinstance(one, int) and not isinstance(one, bool):
        bits = _BITS.get(argument.rpartition("_")[2], _USUAL_BITS)
        if not -(2 ** (bits - 1)) <= one < 2 ** (bits - 1):
            return f"the number {one} is out of range"
    return None


@asynccontextmanager
async def named(url: str, rows: Sequence[tuple[str, Any, str, object]]) -> AsyncIterator[None]:
    """Around what writes rows from outside: what is refused for its content is named.

    Args:
        url: Of the store.
        rows: Kind and key, as ``RowsRefusedError`` has them, list of a batch, and row.

    Raises:
        RowsRefusedError: the store can never hold some of these.
        StorageError: what the server says, in our words.
    """
    try:
        yield
    except StorageError:
        raise
    except (*ERRORS, *CONTENT_ERRORS) as error:
        reasons: dict[str, dict[Any, str]] = {"instances": {}, "messages": {}}
        if is_about_content(error):
            for kind, key, name, row in rows:
                reason = reason_of(name, row)
                if reason is not None:
                    reasons[kind][key] = reason
        if not any(reasons.values()):
            raise translate(error, url, "write to") from error
        first = next(reason for some in reasons.values() for reason in some.values())
        raise RowsRefusedError(
            f"the store {url!r} cannot hold this: {first}; nothing was written",
            instances=reasons["instances"],
            messages=reasons["messages"],
        ).told_as(f"the store cannot hold this: {first}; nothing was written") from error


async def refused_rows(session: Session, batch: CommitBatch) -> list[tuple[Unit, str]]:
    """Units of a batch that the store cannot hold, and why.

    Args:
        session: In a transaction, in which the batch's purged instances are gone.
        batch: Without the rows whose instance ids are taken.
    """
    doubled = await _doubled(session, batch)
    found = []
    for unit in units_of(batch):
        for name, rows in unit.rows.items():
            reasons = (reason_of(name, row) or doubled.get((name, id(row))) for row in rows)
            reason = next(filter(None, reasons), None)
            if reason is not None:
                found.append((unit, reason))
                break
    return found


async def _doubled(session: Session, batch: CommitBatch) -> dict[tuple[str, int], str]:
    """Rows whose key is in the store already, or in the batch before them."""
    doubled: dict[tuple[str, int], str] = {}
    turns = [row for row in batch.history if reason_of("history", row) is None]
    there = {
        tuple(row)
        for row in await session.rows(
            "standing_turns",
            iids=[row.iid for row in turns],
            generations=[row.generation for row in turns],
            turns=[row.turn for row in turns],
        )
    }
    for row in turns:
        key = (row.iid, row.generation, row.turn)
        if key in there:
            doubled["history", id(row)] = f"turn {row.turn} of its history is there already"
        there.add(key)
    await _double_instances(session, batch, doubled)
    return doubled


async def _double_instances(
    session: Session, batch: CommitBatch, doubled: dict[tuple[str, int], str]
) -> None:
    again = {row.instance_id for row in batch.replaced}
    records = [row for row in batch.instances if reason_of("instances", row) is None]
    iids: set[int] = {
        row["iid"]
        for row in await session.rows("standing_iids", iids=[row.iid for row in records])
        if row["instance_id"] not in again
    }
    for row in records:
        if row.iid in iids:
            doubled["instances", id(row)] = f"the iid {row.iid} is another instance's"
        iids.add(row.iid)
