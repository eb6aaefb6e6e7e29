"""PostgreSQL's errors in the words of ``tenuto.model.errors``: what happened, where, what to do.

Keeps apart what the host retries (StorageUnavailableError), what may be the fault of single rows,
and what only a person can mend.
"""

import socket
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Final

import asyncpg
from asyncpg import exceptions

from tenuto.model.errors import (
    FencedError,
    SettingsError,
    StorageError,
    StorageLostError,
    StorageUnavailableError,
    StorageVersionError,
)
from tenuto.storage.postgres.address import ESCAPED, PARAMETERS, Address
from tenuto.storage.postgres.statements import NEWEST_SCHEMA

FENCED: Final = "TN001"
TAKEN: Final = "TN002"

CONTENT_ERRORS: Final = (
    exceptions.DataError,
    exceptions.IntegrityConstraintViolationError,
    exceptions.ProgramLimitExceededError,
    asyncpg.InterfaceError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    MemoryError,
)
"""What may be the fault of a row: the server's refusals, and those of the encoder before it."""

_UNAVAILABLE: Final = (
    (exceptions.DiskFullError, "its disk is full; free some space on the database's machine"),
    (
        exceptions.TooManyConnectionsError,
        "it has no connection left; raise max_connections, or put PgBouncer before it",
    ),
    (
        exceptions.OutOfMemoryError,
        "it ran out of memory; look at the database's machine",
    ),
    (
        exceptions.ReadOnlySQLTransactionError,
        "it is read-only: a standby, or set to be so; let the URL name the primary",
    ),
    (exceptions.DeadlockDetectedError, "it ended a deadlock"),
    (exceptions.SerializationError, "another transaction was in the way"),
    (exceptions.LockNotAvailableError, "another transaction holds a lock"),
    (
        exceptions.QueryCanceledError,
        "it canceled the statement: statement_timeout is too short for it, or somebody did",
    ),
    (exceptions.OperatorInterventionError, "it is stopping or starting"),
    (exceptions.CannotConnectNowError, "it is starting"),
    (
        exceptions.IdleInTransactionSessionTimeoutError,
        "it ended a transaction in which this host had said nothing for a third of its lease",
    ),
    (exceptions.InsufficientResourcesError, "it lacks resources"),
    (exceptions.PostgresSystemError, "its machine reports an error; look at its log"),
    (exceptions.InternalServerError, "it reports an internal error; look at its log"),
    (exceptions.PostgresConnectionError, "the connection broke"),
    (
        # The driver's internal error comes when a connection breaks while something is on its way.
        (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError),
        "the connection broke",
    ),
)
_OF_A_CONNECTION: Final = (
    exceptions.ReadOnlySQLTransactionError,
    exceptions.QueryCanceledError,
    exceptions.LockNotAvailableError,
    asyncpg.InternalClientError,
)
"""What another connection may not say: the server's settings are read when one is made, and after
a failover the next one leads to the primary. The driver's own is that of a connection which the
server is about to end: its last word has come, and not yet that it has gone."""

_LAST_WORDS: Final = {"FATAL", "PANIC"}

GONE: Final = (
    exceptions.UndefinedTableError,
    exceptions.UndefinedFunctionError,
    exceptions.InvalidSchemaNameError,
    exceptions.UndefinedColumnError,
)
"""What the schema of another version says, or one that somebody has taken away."""

_NOT_LET_IN: Final = (
    exceptions.InvalidAuthorizationSpecificationError,
    exceptions.InvalidCatalogNameError,
    exceptions.InsufficientPrivilegeError,
    exceptions.ClientConfigurationError,
)
_WRONG_PARAMETERS: Final = (
    exceptions.UndefinedObjectError,
    exceptions.InvalidParameterValueError,
    exceptions.CantChangeRuntimeParamError,
)
"""What the server says of a parameter in the URL that it does not know, or whose value is none."""

ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    MemoryError,
)
"""What is told in our words; other exceptions are defects."""


def translate(error: BaseException, url: str, doing: str) -> StorageError:
    """The error of ours that stands for one of the server's, or of the connection.

    Args:
        error: What was raised.
        url: Of the store, without its password.
        doing: What was being done: ``write to``.
    """
    error = _cause(error)
    if isinstance(error, StorageError):
        return error
    if getattr(error, "sqlstate", None) == FENCED:
        return FencedError(
            f"a commit to the store {url!r} was refused: another host has taken over, or the batch "
            "was already written; nothing of it was written now"
        )
    made, reason, advice = _told(error)
    told = made(f"cannot {doing} the store {url!r}: {reason} (PostgreSQL: {_words(error)}){advice}")
    return told.told_as(f"cannot {doing} the store: {reason}{advice}")


def _told(error: BaseException) -> tuple[Callable[[str], StorageError], str, str]:
    """What one of the server's errors is, why, and what to do: nothing that names a place."""
    if isinstance(error, GONE):
        reason = "its tables are gone or of another form"
        return StorageLostError, reason, "; restore the database"
    if isinstance(error, _NOT_LET_IN):
        reason = "it does not let this user in, or do this; correct the URL or the rights"
        return StorageUnavailableError, reason, ""
    if isinstance(error, MemoryError):
        return partial(StorageUnavailableError, out_of_memory=True), "memory ran out", ""
    for classes, reason in _UNAVAILABLE:
        if isinstance(error, classes):
            return StorageUnavailableError, reason, ""
    if _is_last_word(error):  # whatever its code: the next connection may fare better
        return StorageUnavailableError, "it ended the connection; look at its log", ""
    return StorageError, "PostgreSQL refused it, which is a defect in Tenuto", ""


def _cause(error: BaseException) -> BaseException:
    """What the server had said before the driver complained of what came of it."""
    if not isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return error
    found: BaseException | None = error.__cause__ or error.__context__
    while found is not None and not isinstance(found, asyncpg.PostgresError):
        found = found.__cause__ or found.__context__
    return error if found is None else found


def not_opened(error: BaseException, address: Address) -> StorageError | SettingsError:
    """The same for who opens a store: what a person must correct is an error of settings."""
    url = address.url
    if isinstance(error, _WRONG_PARAMETERS):
        return SettingsError(
            f"the store {url!r} cannot be opened: PostgreSQL says {_words(error)!r}"
            f"{_meant(error, address.asked)}; correct what stands behind the ? of its URL"
        )
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return StorageUnavailableError(
            f"cannot open the store {url!r}: {_nobody(error, address.places)}"
        )
    if isinstance(error, _NOT_LET_IN):
        return SettingsError(
            f"the store {url!r} cannot be opened: PostgreSQL says {_words(error)!r}; correct the "
            "user, password or database of its URL, or give the user its rights"
        )
    return translate(error, url, "open")


def _meant(error: BaseException, asked: list[str]) -> str:
    """What may be meant by a parameter that the server does not know."""
    unknown = next((name for name in asked if f'"{name}"' in str(error)), "")
    close = get_close_matches(unknown, PARAMETERS, n=1)
    return f". Did you mean {close[0]!r}?" if close else ""


def _nobody(error: OSError, places: str) -> str:
    """Why nobody is reached there, and what to look at."""
    if isinstance(error, socket.gaierror):
        return (
            f"no machine is found by the name in {places!r} ({_words(error)}); correct the name. "
            f"In a password {ESCAPED}"
        )
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return f"nothing answers at {places}; does PostgreSQL run there? ({_words(error)})"
    return f"{places} cannot be reached; does PostgreSQL run there? ({_words(error)})"


def newer(url: str, schema: int) -> StorageVersionError:
    """The error of a hub that a newer Tenuto has made or changed."""
    return StorageVersionError(
        f"the store {url!r} has schema {schema}, written by a newer Tenuto; this one knows schemas "
        f"up to {NEWEST_SCHEMA}. Upgrade Tenuto, or choose another store"
    )


def older(url: str, schema: int) -> StorageVersionError:
    """The error of a hub that no host has brought up to date yet."""
    return StorageVersionError(
        f"the store {url!r} has schema {schema}, written by an older Tenuto; this one needs schema "
        f"{NEWEST_SCHEMA}, and only hosts bring a store up to date: stop its hosts and start them "
        "with this Tenuto, or use the Tenuto that they run"
    )


def is_the_end(error: BaseException) -> bool:
    """Whether a connection is of no use after this."""
    return _is_last_word(error) or isinstance(error, _OF_A_CONNECTION)


def _is_last_word(error: BaseException) -> bool:
    return getattr(error, "severity_en", None) in _LAST_WORDS


def is_about_content(error: BaseException) -> bool:
    """Whether an error may be the fault of single rows; a broken connection is not."""
    if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError):
        return False
    return isinstance(error, CONTENT_ERRORS)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
