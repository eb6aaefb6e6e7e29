"""Commit batches as arguments of the ``commit`` statement: one JSON text per list.

Encoded on the loop's thread, so that the writer thread touches few Python objects (ENGINE rule
23). Also cuts a batch that cannot be written in one statement into several.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from tenuto.engine.rows import CommitBatch
from tenuto.model.room import encoded
from tenuto.storage.sqlite.database import Arguments

_encode_into: Final = msgspec.json.Encoder().encode_into

ONE_STATEMENT_BYTES: Final = 16 * 1024 * 1024
"""What is longer is cut up: SQLite's values end at 1 GB and it copies them."""

LISTS: Final = (
    "purged",
    "instances",
    "replaced",
    "updates",
    "history",
    "forget",
    "unread",
    "links",
    "inbox",
    "consumed",
    "dead_letters",
    "answers",
    "published",
    "queued",
    "topic_waits",
    "usage",
)
"""The lists of rows of a batch in the order in which they are written."""

_NOTHING: Final[Arguments] = dict.fromkeys(
    ("batch_id", "owner", "number", "refused", "fences", *LISTS, "released")
)


def text(rows: Sequence[Any]) -> str | None:
    """A list as JSON text; None for an empty one, which costs SQLite nothing."""
    return encoded(rows).decode() if rows else None


def pack(batch: CommitBatch) -> Arguments:
    """The arguments that write a whole batch."""
    return {
        **_NOTHING,
        **claim(batch),
        "purged": text(batch.purged),
        "instances": text(batch.instances),
        "replaced": text(batch.replaced),
        "updates": text(batch.updates),
        "history": text(batch.history),
        "forget": text(batch.forget),
        "unread": text(batch.unread),
        "links": text(batch.links),
        "inbox": text(batch.inbox),
        "consumed": text(batch.consumed),
        "dead_letters": text(batch.dead_letters),
        "answers": text(batch.answers),
        "published": text(batch.published),
        "queued": text(batch.queued),
        "topic_waits": text(batch.topic_waits),
        "usage": text(batch.usage),
    }


def claim(batch: CommitBatch, refused: Iterable[int] = ()) -> Arguments:
    """What is no row of a batch: whose it is, its fences, and what it gives back."""
    return {
        "batch_id": batch.batch_id,
        "owner": batch.owner,
        "number": batch.number,
        "refused": text(sorted(refused)),
        "fences": text(batch.fences),
        "released": text(batch.released),
    }


def weight(arguments: Arguments) -> int:
    """Bytes of a packed batch, near enough."""
    return sum(len(part) for part in arguments.values() if type(part) is str)


def pieces(batch: CommitBatch, longest: int) -> Iterator[Arguments]:
    """The rows of a batch as several statements, none much over ``longest`` bytes.

    Purged instances are deleted first and once more at the end, as within one statement.
    """
    for name in (*LISTS, "purged"):
        for part in cut(getattr(batch, name), longest):
            yield only(**{name: part})


def only(**parts: str | int | None) -> Arguments:
    """The arguments of a commit that writes nothing but this."""
    return {**_NOTHING, **parts}


def cut(rows: Sequence[Any], longest: int) -> Iterator[str]:
    """A list as JSON texts, each of at most ``longest`` bytes or of one row; none if empty.

    Row by row, so that no more than one of these texts is in memory.
    """
    part = bytearray(b"[")
    for row in rows:
        begins = len(part)
        _encode_into(row, part, begins)
        if begins > 1 and len(part) >= longest:
            ahead = part[begins:]
            del part[begins:]
            yield _closed(part)
            part += b"["
            part += ahead
        part += b","
    if len(part) > 1:
        yield _closed(part)


def _closed(part: bytearray) -> str:
    """A list that ends with a comma as a whole text; its bytes are let go."""
    part[-1:] = b"]"
    whole = part.decode()
    part.clear()
    return whole
