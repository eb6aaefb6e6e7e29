"""What people do with dead letters: send them again, say that they have seen to them, or delete
them (promise ``no_silent_drop``).

Works beside the host that owns the store: to its engine a letter sent again is a message from
outside, and dead letters it never reads. Must never touch anything else of the store.
"""

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec

from tenuto.engine.upkeep import RedrivenLetters
from tenuto.model.codec import decode_letter
from tenuto.model.errors import (
    InputError,
    InstanceFinishedError,
    InstanceNotFoundError,
    NoSuchLinkError,
    TenutoError,
)
from tenuto.model.ids import InstanceId, MessageId, partition_of, split_address
from tenuto.model.messages import LETTERS
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite import reader
from tenuto.storage.sqlite.database import Arguments, open_writer, transaction, value
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.queries import SQL

_numbers: Final = msgspec.json.Decoder(list[int]).decode


def redrive(path: str, message_ids: Sequence[MessageId] | None) -> RedrivenLetters:
    """Send dead letters to their instances again, the oldest first.

    Args:
        path: The store's file.
        message_ids: Which ones, all or none; None for all that can be taken.

    Raises:
        InputError: there is no such letter, or it is no event.
        InstanceNotFoundError, InstanceFinishedError: still nobody can take one that is named.
        NoSuchLinkError: one that is named is for a hub that is not linked.
    """
    redriven = RedrivenLetters(sent=[], left=[])
    connection, facts = open_writer(path, 1, create=False)
    try:
        with translated(path, "write to"):
            if message_ids is not None:
                # Crash points: before COMMIT the letters are dead as before; after it, they wait in
                # the inbox and are dead letters no more.
                with transaction(connection):
                    for number in sorted({_number_of(connection, one) for one in message_ids}):
                        redriven.sent.append(_send(connection, number, facts.partitions))
                return redriven
            for number in _numbers(value(connection, "all_dead_letters", {})):
                # Each in a transaction of its own, so that a host gets its turn.
                with transaction(connection):
                    _send_if_possible(connection, number, facts.partitions, redriven)
        return redriven
    finally:
        connection.close()


def _number_of(connection: apsw.Connection, message_id: MessageId) -> int:
    number: int | None = value(connection, "dead_letter_number", {"message_id": message_id})
    if number is None:
        raise InputError(f"there is no dead letter {message_id!r}")
    return number


def _send(
    connection: apsw.Connection, number: int, partitions: int
) -> tuple[MessageId, InstanceId]:
    letter = reader.dead_letter(connection, number)
    if not isinstance(decode_letter(letter.message), LETTERS):
        raise InputError(
            f"dead letter {letter.message_id!r} is no event and no answer; it can only be purged"
        )
    _check_taker(connection, letter.instance_id)
    partition = partition_of(letter.instance_id, partitions)
    connection.execute(SQL["redrive"], {"number": number, "partition": partition})
    connection.execute(SQL["drop_dead_letter"], {"number": number})
    return letter.message_id, letter.instance_id


def _send_if_possible(
    connection: apsw.Connection, number: int, partitions: int, redriven: RedrivenLetters
) -> None:
    if value(connection, "is_dead_letter", {"number": number}) is None:
        return  # somebody else was faster
    try:
        redriven.sent.append(_send(connection, number, partitions))
    except TenutoError as error:
        letter = reader.dead_letter(connection, number)
        redriven.left.append((letter.message_id, str(error)))


def _check_taker(connection: apsw.Connection, instance_id: InstanceId) -> None:
    """See that somebody can take a message: an instance here, or a hub that is linked."""
    address = split_address(instance_id)
    if address is not None:
        if value(connection, "place", {"hub": address[0]}) is None:
            known = msgspec.json.decode(value(connection, "link_names"), type=list[str])
            raise NoSuchLinkError(address[0], known)
        return
    standing = reader.find(connection, [instance_id])
    if not standing:
        raise InstanceNotFoundError(instance_id)
    if standing[0].status.is_finished:
        raise InstanceFinishedError(instance_id, f"has already ended ({standing[0].status.label})")


def acknowledge(path: str, message_ids: Sequence[MessageId] | None, now: Microseconds) -> int:
    """Note that somebody has seen to dead letters; of how many that was not known yet.

    Args:
        path: The store's file.
        message_ids: Which ones; None for all.
        now: The present.
    """
    return _change(path, "acknowledge_dead_letters", message_ids, {"now": now})


def purge(path: str, message_ids: Sequence[MessageId] | None) -> int:
    """Delete dead letters; how many there were.

    Args:
        path: The store's file.
        message_ids: Which ones; None for all.
    """
    return _change(path, "drop_dead_letters", message_ids, {})


def _change(
    path: str, statement: str, message_ids: Sequence[MessageId] | None, arguments: Arguments
) -> int:
    ids = None if message_ids is None else msgspec.json.encode(message_ids).decode()
    connection, _ = open_writer(path, 1, create=False)
    try:
        # Crash points: one statement, a transaction of its own.
        with translated(path, "write to"):
            connection.execute(SQL[statement], {"ids": ids} | arguments)
            return connection.changes()
    finally:
        connection.close()
