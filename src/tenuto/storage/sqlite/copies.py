"""What makes a file a copy, and what becomes of one that is to be started.

A copy holds what its original held up to a moment. When the host of the original had stopped by
then, the copy is as good as the original. Else the host has gone on: a host on the copy would run
again what was done since, beside the original or after it. So such a copy is refused until a
person says that the loss is accepted. Keeps the promise ``one_owner`` where no lock reaches.
"""

from typing import Final

import apsw

from tenuto.model.errors import StorageCopyError
from tenuto.model.timing import Microseconds, to_datetime
from tenuto.storage.sqlite import reader
from tenuto.storage.sqlite.database import open_writer, transaction, value
from tenuto.storage.sqlite.errors import translated
from tenuto.storage.sqlite.queries import SQL

_SEALS: Final = (
    "refuse_owners",
    "refuse_instances",
    "refuse_messages",
    "refuse_events",
    "refuse_queued",
)


def mark_copy(connection: apsw.Connection, reaches_to: Microseconds) -> None:
    """Make a file a copy; inside a transaction of the caller or as one.

    Args:
        connection: To the copy, never to the original.
        reaches_to: All that was committed before then is in it.
    """
    connection.execute(SQL["mark_copy"], {"copied_at": reaches_to})


def host_had_stopped(connection: apsw.Connection) -> bool:
    """Whether the last host had given back what it owned: then nothing came after."""
    return not reader.leases(connection)


def start_copy(connection: apsw.Connection, path: str) -> None:
    """A host is about to own a copy: let it begin a life of its own, or refuse.

    Inside the caller's transaction: a host that is not given its leases leaves a copy behind.

    Raises:
        StorageCopyError: the host of the original had not stopped.
    """
    if not host_had_stopped(connection):
        moment = said(value(connection, "copied_at"))
        raise StorageCopyError(
            f"the store {path!r} is a copy, made while its original had not been stopped. It "
            f"reaches up to {moment}; what came after that is not in it and would run again. Start "
            "the original if it is there. If it is lost, go on with the copy by --accept-loss "
            "(tenuto start, tenuto run, tenuto restore)"
        )
    connection.execute(SQL["begin_new_life"])


def accept_loss(path: str) -> Microseconds | None:
    """Let a copy be started though its host had not stopped.

    Args:
        path: The file. A store that is no copy is left as it is.

    Returns:
        Up to when the copy reaches; None when it is none.

    Raises:
        SettingsError: there is no store.
        StorageError: it cannot be used.
    """
    connection, facts = open_writer(path, 1, create=False)
    try:
        # Crash points: one statement, a transaction of its own.
        with translated(path, "write to"), transaction(connection):
            connection.execute(SQL["part_from_owners"])
        return facts.copied_at
    finally:
        connection.close()


def seal(path: str) -> None:
    """Let nobody ever own a store, start something in it or ask something of what is in it.

    The file itself refuses: triggers in it, so that every version of Tenuto, and every copy of the
    file, keeps to it, and other stores pay nothing for the question.

    Raises:
        SettingsError: there is no store.
        StorageError: it cannot be used.
    """
    connection, _ = open_writer(path, 1, create=False)
    try:
        # Crash points: before COMMIT it is open as before, after it sealed.
        with translated(path, "write to"), transaction(connection):
            for name in _SEALS:
                connection.execute(SQL[name])
    finally:
        connection.close()


def said(moment: Microseconds) -> str:
    """A moment in a message: UTC, to the second, rounded down."""
    return f"{to_datetime(moment):%Y-%m-%d %H:%M:%SZ}"
