"""What PostgreSQL says, in our words: passing trouble is tried again, the rest is not."""

import asyncpg
import pytest
from asyncpg import exceptions

from tenuto.model.errors import StorageError, StorageLostError, StorageUnavailableError
from tenuto.storage.postgres.errors import is_the_end, translate

URL = "postgresql://db/orders"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.DiskFullError("no room"), "its disk is full; free some space"),
        (exceptions.TooManyConnectionsError("sorry"), "raise max_connections"),
        (exceptions.ReadOnlySQLTransactionError("no"), "it is read-only"),
        (exceptions.DeadlockDetectedError("circle"), "it ended a deadlock"),
        (exceptions.SerializationError("again"), "another transaction was in the way"),
        (exceptions.LockNotAvailableError("later"), "another transaction holds a lock"),
        (exceptions.QueryCanceledError("slow"), "statement_timeout is too short for it"),
        (exceptions.AdminShutdownError("bye"), "it is stopping or starting"),
        (exceptions.CannotConnectNowError("starting up"), "it is st"),
        (exceptions.OutOfMemoryError("full"), "it ran out of memory"),
        (exceptions.InternalServerError("could not write init file"), "an internal error"),
        (exceptions.DataCorruptedError("invalid page"), "an internal error; look at its log"),
        (exceptions.ConnectionDoesNotExistError("gone"), "the connection broke"),
        (exceptions.InsufficientPrivilegeError("no"), "correct the URL or the rights"),
        (exceptions.InvalidPasswordError("no"), "correct the URL or the rights"),
        (asyncpg.InternalClientError("cannot switch to state 12"), "the connection broke"),
        (ConnectionRefusedError("nobody"), "the connection broke"),
        (TimeoutError(), "the connection broke"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
def test_passing_trouble_is_tried_again_and_named(error: Exception, words: str) -> None:
    told = translate(error, URL, "write to")
    assert isinstance(told, StorageUnavailableError)
    assert words in str(told)
    assert URL in str(told)


def test_whatever_ends_a_connection_is_tried_again_on_another() -> None:
    error = exceptions.PostgresSyntaxError("odd")
    error.severity_en = "FATAL"
    told = translate(error, URL, "read")
    assert isinstance(told, StorageUnavailableError)
    assert "it ended the connection" in str(told)


def test_what_is_not_passing_is_not_tried_again() -> None:
    gone = translate(exceptions.UndefinedTableError("no such table"), URL, "read")
    assert isinstance(gone, StorageLostError)
    defect = translate(exceptions.PostgresSyntaxError("near"), URL, "read")
    assert type(defect) is StorageError
    assert "a defect in Tenuto" in str(defect)


def test_which_connections_are_of_no_use_any_more() -> None:
    last_word = exceptions.PostgresError("bye")
    last_word.severity_en = "FATAL"
    assert is_the_end(last_word)
    assert is_the_end(exceptions.ReadOnlySQLTransactionError("no"))
    assert is_the_end(asyncpg.InternalClientError("odd"))
    assert not is_the_end(exceptions.DeadlockDetectedError("circle"))
    assert not is_the_end(ValueError("ours"))
