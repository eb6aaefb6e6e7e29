"""Everything that reads: functions over a connection, run on the reader thread.

A result leaves SQLite as one JSON value, because each row fetched would queue for the
interpreter lock (ENGINE rules 23, 27). Results that would be too long for one value are read in
halves. Never writes.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import apsw
import msgspec
from msgspec import Raw

from tenuto.engine.ports import (
    InboxPage,
    InstanceMark,
    LoadedInstance,
    PartitionPage,
    Standing,
    Wake,
)
from tenuto.engine.rows import Answer, InboxRow, Lease
from tenuto.engine.state import start_event, state_of
from tenuto.model.codec import READ_ERRORS, encode
from tenuto.model.errors import InputError, LimitError
from tenuto.model.hold import HoldReason
from tenuto.model.ids import ExecutionId, InstanceId, MessageId, arrival_of
from tenuto.model.links import FoundLink, Link
from tenuto.model.messages import Start
from tenuto.model.requests import DeadLetter, DeadLetterPage, HistoryPage
from tenuto.model.room import roomy
from tenuto.model.status import OPEN, InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.usage import DIMENSIONS, MOST_ROWS, Day, Dimension, UsageRow, bounded
from tenuto.storage.sqlite.database import transaction, value
from tenuto.storage.sqlite.queries import SQL

T = TypeVar("T")

_PLACE: Final = re.compile(r"([0-9]{1,18})\.(-1|[0-9]{1,18})")
_NUMBER: Final = re.compile("[0-9]{1,18}")
_FIRST_LETTER: Final = 2**63 - 1
_BEFORE_ALL: Final = -(2**63)

_KEYS_PER_QUERY = 500
_HARMFUL: Final = msgspec.json.encode([one for one in HoldReason if one.is_harmful]).decode()
_OPEN: Final = msgspec.json.encode(OPEN).decode()
LONGEST_VALUE = 16 * 1024 * 1024
"""Bytes of one value while results are gathered."""

_PAGE_ROWS: Final = 5_000
"""Messages that are read at once."""

_decode_leases: Final = msgspec.json.Decoder(list[Lease]).decode
_decode_sizes: Final = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_records: Final = roomy(msgspec.json.Decoder(list[InstanceRecord]).decode)
_decode_marks: Final = msgspec.json.Decoder(list[InstanceMark]).decode
_decode_wakes: Final = msgspec.json.Decoder(list[Wake]).decode
_decode_open: Final = msgspec.json.Decoder(dict[InstanceId, int]).decode
_decode_numbers: Final = msgspec.json.Decoder(list[int]).decode
_decode_notes: Final = msgspec.json.Decoder(dict[str, str]).decode
_decode_usage: Final = msgspec.json.Decoder(list[UsageRow]).decode
_decode_counts: Final = msgspec.json.Decoder(dict[str, int]).decode
_decode_by_status: Final = msgspec.json.Decoder(dict[RuntimeStatus, int], strict=False).decode
_decode_messages: Final = msgspec.json.Decoder(list[tuple[int, InboxRow]]).decode
_decode_turns: Final = msgspec.json.Decoder(list[tuple[int, list[Raw]]]).decode
_decode_link: Final = msgspec.json.Decoder(
    tuple[InstanceId, ExecutionId, RuntimeStatus, Link]
).decode
_decode_unread: Final = msgspec.json.Decoder(list[tuple[int, int, Raw]]).decode
_decode_last_turns: Final = msgspec.json.Decoder(list[tuple[int, Raw]]).decode
_decode_answers: Final = msgspec.json.Decoder(list[Answer]).decode
_decode_letters: Final = roomy(msgspec.json.Decoder(list[DeadLetter]).decode)


# --- many rows as one value --------------------------------------------------------------------


def _gather(
    connection: apsw.Connection,
    name: str,
    keys: Sequence[int],
    decode: Callable[[bytes], list[T]],
    alone: Callable[[int], list[T]] | None = None,
) -> list[T]:
    """Rows of a named query for all keys; ``alone`` reads a single key that is too long."""
    found: list[T] = []
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        found += _part(connection, name, keys[start : start + _KEYS_PER_QUERY], decode, alone)
    return found


def _part(
    connection: apsw.Connection,
    name: str,
    keys: Sequence[int],
    decode: Callable[[bytes], list[T]],
    alone: Callable[[int], list[T]] | None,
) -> list[T]:
    arguments = {"keys": _text(keys)}
    try:
        with _shorter_values(connection):
            return decode(value(connection, name, arguments))
    except apsw.TooBigError:
        if len(keys) > 1:
            middle = len(keys) // 2
            first = _part(connection, name, keys[:middle], decode, alone)
            return first + _part(connection, name, keys[middle:], decode, alone)
        return alone(keys[0]) if alone else decode(value(connection, name, arguments))


@contextmanager
def _shorter_values(connection: apsw.Connection) -> Iterator[None]:
    longest = connection.limit(apsw.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    try:
        yield
    finally:
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, longest)


def _text(keys: Sequence[Any]) -> str:
    return msgspec.json.encode(list(keys)).decode()


# --- instances ---------------------------------------------------------------------------------


def records(
    connection: apsw.Connection, iids: Sequence[int], *, payloads: bool = True
) -> list[InstanceRecord]:
    """The rows of these iids in their order, unknown ones left out."""
    name = "records" if payloads else "summaries"
    return _gather(connection, name, iids, _decode_records)


def fitting(
    connection: apsw.Connection, iids: Sequence[int], most_bytes: int, *, payloads: bool
) -> int:
    """How many of these rows, from the first on, are not too long together; one at least."""
    arguments = {"keys": _text(iids), "payloads": payloads}
    sizes = _decode_sizes(value(connection, "record_sizes", arguments))
    return len(_short_enough(sizes, most_bytes))


def find(connection: apsw.Connection, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
    """The rows of these instance ids in their order, unknown ones left out."""
    return records(connection, _iids(connection, instance_ids))


def _iids(connection: apsw.Connection, instance_ids: Sequence[InstanceId]) -> list[int]:
    return _decode_numbers(value(connection, "iids", {"ids": _text(instance_ids)}))


def load_instances(connection: apsw.Connection, iids: Sequence[int]) -> list[LoadedInstance]:
    """Rows, current histories and waiting messages, all of one moment."""
    with transaction(connection, "DEFERRED"):
        loaded = records(connection, iids)
        turns = _turns(connection, [record.iid for record in loaded])
        fresh = [record.iid for record in loaded if record.iid not in turns]
        previous = dict(_gather(connection, "last_turns", fresh, _decode_last_turns))
        inbox = _waiting(connection, [record.iid for record in loaded])
        unread = _unread(connection, [record.iid for record in loaded if record.generation])
    return [
        LoadedInstance(
            record=record,
            turns=turns.get(record.iid, []),
            inbox=inbox.get(record.instance_id, []),
            previous_turn=bytes(previous[record.iid]) if record.iid in previous else None,
            unread=unread.get(record.iid, []),
        )
        for record in loaded
    ]


def _turns(connection: apsw.Connection, iids: Sequence[int]) -> dict[int, list[bytes]]:
    def decode(value: bytes) -> list[tuple[int, list[bytes]]]:
        return [(iid, [bytes(turn) for turn in turns]) for iid, turns in _decode_turns(value)]

    def alone(iid: int) -> list[tuple[int, list[bytes]]]:
        return [(iid, [row[0] for row in connection.execute(SQL["turns_alone"], [iid])])]

    return dict(_gather(connection, "turns", iids, decode, alone))


def _unread(connection: apsw.Connection, iids: Sequence[int]) -> dict[int, list[tuple[int, bytes]]]:
    def alone(iid: int) -> list[tuple[int, int, Raw]]:
        rows = connection.execute(SQL["unread_alone"], [iid])
        return [(row[0], row[1], Raw(row[2])) for row in rows]

    found: dict[int, list[tuple[int, bytes]]] = {}
    for iid, number, event in _gather(connection, "unread", iids, _decode_unread, alone):
        found.setdefault(iid, []).append((number, bytes(event)))
    return found


def _waiting(connection: apsw.Connection, iids: Sequence[int]) -> dict[InstanceId, list[InboxRow]]:
    numbers: list[int] = []
    for start in range(0, len(iids), _KEYS_PER_QUERY):
        keys = _text(iids[start : start + _KEYS_PER_QUERY])
        numbers += _decode_numbers(value(connection, "waiting_messages", {"keys": keys}))
    inbox: dict[InstanceId, list[InboxRow]] = {}
    for _, row in _messages(connection, numbers):
        inbox.setdefault(row.instance_id, []).append(row)
    return inbox


def standings(connection: apsw.Connection, instance_ids: Sequence[InstanceId]) -> list[Standing]:
    """Instances' rows without payloads, and how far their histories go."""
    with transaction(connection, "DEFERRED"):
        return [
            Standing(record, value(connection, "turn_count", {"iid": record.iid}))
            for record in records(connection, _iids(connection, instance_ids), payloads=False)
        ]


def history(
    connection: apsw.Connection, instance_id: InstanceId, most_bytes: int | None = None
) -> list[bytes]:
    """The turns of the current generation, else of the one before.

    Raises:
        LimitError: it is longer than ``most_bytes``; nothing was read.
    """
    with transaction(connection, "DEFERRED"):
        for iid in _iids(connection, [instance_id]):
            if most_bytes is not None:
                _check_length(connection, iid, instance_id, most_bytes)
            found = _turns(connection, [iid])
            if found:
                return found[iid]
            rows = connection.execute(SQL["previous_turns"], {"iid": iid})
            return [row[0] for row in rows]
    return []


def history_page(
    connection: apsw.Connection, instance_id: InstanceId, after: str | None, most_bytes: int
) -> HistoryPage:
    """Turns of the current generation, else of the one before, as long as they fit; one at least.

    Raises:
        InputError: the token is none, or the instance has continued as new since the page before.
    """
    with transaction(connection, "DEFERRED"):
        for iid in _iids(connection, [instance_id]):
            generation = value(connection, "last_generation", {"iid": iid})
            known, last = (generation, -1) if after is None else _place(after)
            if generation != known:
                raise InputError(
                    f"instance {instance_id!r} has gone on under a new history since the page "
                    f"before ({after!r}); read its history from the beginning"
                )
            arguments = {"iid": iid, "generation": generation, "after": last}
            turns: list[bytes] = []
            total = 0
            for turn, events in connection.execute(SQL["turns_after"], arguments):
                total += len(events)
                if turns and total > most_bytes:
                    return HistoryPage(turns, f"{generation}.{last}")
                turns.append(events)
                last = turn
            return HistoryPage(turns, None)
    return HistoryPage([], None)


def _place(after: str) -> tuple[int, int]:
    match = _PLACE.fullmatch(after)
    if match is None:
        raise InputError(
            f"the page token {after!r} is not one of a history; use that of the page before"
        )
    return int(match[1]), int(match[2])


def _check_length(
    connection: apsw.Connection, iid: int, instance_id: InstanceId, most_bytes: int
) -> None:
    size = value(connection, "history_bytes", {"iid": iid})
    if size > most_bytes:
        raise LimitError(
            f"the history of instance {instance_id!r} takes {size:,} bytes; the limit over HTTP is "
            f"{most_bytes:,} (setting http.history_bytes). Ask for pages with `?after=`, or let "
            "`tenuto instances history` do that"
        )


# --- partitions --------------------------------------------------------------------------------


def leases(connection: apsw.Connection) -> list[Lease]:
    """Who owns which partitions."""
    return _decode_leases(value(connection, "leases"))


def not_held(connection: apsw.Connection, fences: Sequence[Lease]) -> list[int]:
    """The partitions of leases that do not hold."""
    return _decode_numbers(value(connection, "not_held", {"fences": _text(fences)}))


def load_partition(
    connection: apsw.Connection, partition: int, after: str | None, limit: int
) -> PartitionPage:
    """What an owner must know at takeover, a page at a time; each page is of one moment."""
    with transaction(connection, "DEFERRED"):
        arguments = {"partition": partition, "after": int(after or 0), "rows": limit + 1}
        sizes = _decode_sizes(value(connection, "inbox_page", arguments))
        numbers = _short_enough(sizes[:limit])
        page = PartitionPage(
            rows=[row for _, row in _messages(connection, numbers)],
            after=str(numbers[-1]) if len(numbers) < len(sizes) else None,
            cursor=value(connection, "cursor"),
        )
        if after is not None:
            return page
        opened = value(connection, "open_by_root", {"partition": partition})
        return msgspec.structs.replace(
            page,
            open_by_root=_decode_counts(opened),
            deaths=value(connection, "deaths", {"partition": partition}) or 0,
        )


def _short_enough(sizes: Sequence[tuple[int, int]], most_bytes: int = LONGEST_VALUE) -> list[int]:
    """The first of these numbers, so many that they are not too long together; one at least."""
    numbers: list[int] = []
    total = 0
    for number, size in sizes:
        total += size
        if numbers and total > most_bytes:
            break
        numbers.append(number)
    return numbers


def is_asked(connection: apsw.Connection, instance_id: InstanceId, kinds: Collection[str]) -> bool:
    """Whether a request of one of these kinds to an instance waits to be taken in."""
    arguments = {"instance_id": instance_id, "kinds": encode(list(kinds)).decode()}
    return bool(value(connection, "is_asked", arguments))


def notes(connection: apsw.Connection, keys: Sequence[str]) -> dict[str, str]:
    """The notes of these keys that there are."""
    return _decode_notes(value(connection, "notes", {"keys": _text([*keys])}))


def usage(
    connection: apsw.Connection, first: Day, last: Day, by: Sequence[Dimension]
) -> list[UsageRow]:
    """What was used between two days, both included."""
    wanted = {"first": first, "last": last, "most": MOST_ROWS + 1}
    told = {name: name in by for name in DIMENSIONS}
    return bounded(_decode_usage(value(connection, "usage", wanted | told)))


def root_usage(connection: apsw.Connection, root_ids: Sequence[InstanceId]) -> list[UsageRow]:
    """What root instances have used with all that they call; those that have used nothing are left
    out.
    """
    return _decode_usage(value(connection, "root_usage", {"roots": _text([*root_ids])}))


def held_counts(connection: apsw.Connection) -> dict[str, int]:
    """How many instances are held, by reason."""
    return _decode_counts(value(connection, "held_counts"))


def open_counts(connection: apsw.Connection, most: int) -> dict[RuntimeStatus, int]:
    """How many instances of each status have not ended and are not held, each up to so many."""
    found = value(connection, "open_counts", {"statuses": _OPEN, "most": most})
    return _decode_by_status(found)


def misfits(
    connection: apsw.Connection, partitions: Collection[int], reason: str | None
) -> list[int]:
    """Held instances that a host tries again at its start."""
    arguments = {"partitions": _text([*partitions]), "harmful": _HARMFUL, "reason": reason}
    return _decode_numbers(value(connection, "misfits", arguments))


def marks(connection: apsw.Connection, after: int | None, limit: int) -> list[InstanceMark]:
    """How far instances are, a page by iid."""
    arguments = {"after": _BEFORE_ALL if after is None else after, "rows": limit}
    return _decode_marks(value(connection, "marks", arguments))


def due(
    connection: apsw.Connection,
    partitions: Collection[int],
    after: Microseconds | None,
    until: Microseconds,
) -> list[Wake]:
    """Unfinished instances whose time comes, soonest first."""
    arguments = {"partitions": _text([*partitions]), "after": after, "until": until}
    return _decode_wakes(value(connection, "due", arguments))


def next_wake(
    connection: apsw.Connection, partitions: Collection[int], after: Microseconds
) -> Microseconds | None:
    """The first time after this one at which an instance is due."""
    arguments = {"partitions": _text([*partitions]), "after": after}
    found: Microseconds | None = value(connection, "next_wake", arguments)
    return found


def fetch_inbox(
    connection: apsw.Connection, cursors: Mapping[int, int], after: int | None
) -> InboxPage:
    """Messages and instances that arrived after the cursors, a page in the order of arrival."""
    least = max(min(cursors.values(), default=0), after or 0)
    arguments = {"cursors": _text([*cursors.items()]), "least": least, "rows": _PAGE_ROWS + 1}
    with transaction(connection, "DEFERRED"):
        messages = dict(_decode_sizes(value(connection, "arrived_messages", arguments)))
        instances = dict(_decode_sizes(value(connection, "arrived_instances", arguments)))
        # Arrival numbers are those of all partitions, messages and instances together.
        sizes = sorted([*messages.items(), *instances.items()])
        numbers = _short_enough(sizes[:_PAGE_ROWS])
        arrived = _messages(connection, [one for one in numbers if one in messages])
        iids = [-one for one in numbers if one in instances]
        arrived += [(arrival_of(one.iid), _start(one)) for one in records(connection, iids)]
        last = value(connection, "cursor")
    arrived.sort(key=lambda numbered: numbered[0])
    return InboxPage(
        [row for _, row in arrived],
        {partition: max(cursor, last) for partition, cursor in cursors.items()},
        numbers[-1] if len(numbers) < len(sizes) else None,
    )


def _messages(connection: apsw.Connection, numbers: Sequence[int]) -> list[tuple[int, InboxRow]]:
    # A decoded Raw is a view that would keep the whole value alive.
    return [
        (number, msgspec.structs.replace(row, message=row.message.copy()))
        for number, row in _gathered_messages(connection, numbers)
    ]


def _gathered_messages(
    connection: apsw.Connection, numbers: Sequence[int]
) -> list[tuple[int, InboxRow]]:
    try:
        return _gather(connection, "messages", numbers, _decode_messages)
    except READ_ERRORS:
        # One is no JSON: each by itself, so that the others do not suffer from it.
        found = (
            (number, connection.execute(SQL["message_bytes"], {"number": number}).fetchone())
            for number in numbers
        )
        return [(number, _message_of(*row)) for number, row in found if row is not None]


def _message_of(message_id: str, partition: int, instance_id: str, message: bytes) -> InboxRow:
    return InboxRow(MessageId(message_id), partition, InstanceId(instance_id), Raw(message))


def _start(record: InstanceRecord) -> InboxRow:
    message = Raw(encode(Start(event=start_event(state_of(record), ""))))
    return InboxRow(None, record.partition, record.instance_id, message)


def answers(connection: apsw.Connection, message_ids: Sequence[MessageId]) -> list[Answer]:
    """What became of messages from other processes."""
    return _decode_answers(value(connection, "answers", {"ids": _text(message_ids)}))


def open_below(
    connection: apsw.Connection, partitions: Collection[int], root_ids: Sequence[InstanceId]
) -> dict[InstanceId, int]:
    """Unfinished instances of some partitions below each of some roots."""
    keys = {"partitions": _text(sorted(partitions)), "roots": _text(root_ids)}
    return _decode_open(value(connection, "open_below", keys))


def link(connection: apsw.Connection, digest: str) -> FoundLink | None:
    """The link whose token has this digest."""
    found = value(connection, "link", {"digest": digest})
    if found is None:
        return None
    instance_id, execution_id, status, row = _decode_link(found)
    return FoundLink(instance_id, execution_id, status, row)


def is_waiting(connection: apsw.Connection, message_id: MessageId) -> bool:
    """Whether a message is in the inbox."""
    return bool(value(connection, "is_waiting", {"message_id": message_id}))


def waiting_start(connection: apsw.Connection, instance_id: InstanceId) -> InboxRow | None:
    """The oldest start of an id that waits in the inbox."""
    number = value(connection, "waiting_start", {"instance_id": instance_id})
    found = [] if number is None else _messages(connection, [number])
    return found[0][1] if found else None


def dead_letters(connection: apsw.Connection, limit: int) -> list[DeadLetter]:
    """The newest dead letters, newest first."""
    with transaction(connection, "DEFERRED"):
        numbers = value(connection, "dead_letter_numbers", {"rows": max(limit, 0)})
        letters = _gather(connection, "dead_letters", _decode_numbers(numbers), _decode_letters)
    return [msgspec.structs.replace(row, message=row.message.copy()) for row in letters]


def dead_letter_page(
    connection: apsw.Connection, limit: int, after: str | None, most_bytes: int
) -> DeadLetterPage:
    """Dead letters, newest first, as long as they fit; one at least.

    Raises:
        InputError: the token is none.
    """
    if after is not None and not _NUMBER.fullmatch(after):
        raise InputError(
            f"the page token {after!r} is not one of dead letters; use that of the page before"
        )
    arguments = {
        "before": _FIRST_LETTER if after is None else int(after),
        "rows": max(limit, 0) + 1,
    }
    with transaction(connection, "DEFERRED"):
        sizes = _decode_sizes(value(connection, "dead_letter_sizes", arguments))
        numbers = _short_enough(sizes[:limit], most_bytes)
        letters = _gather(connection, "dead_letters", numbers, _decode_letters)
    return DeadLetterPage(
        [msgspec.structs.replace(row, message=row.message.copy()) for row in letters],
        str(numbers[-1]) if len(numbers) < len(sizes) else None,
    )


def dead_letter(connection: apsw.Connection, number: int) -> DeadLetter:
    """One dead letter, which is there."""
    return _gather(connection, "dead_letters", [number], _decode_letters)[0]
