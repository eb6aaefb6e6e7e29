"""How a connection comes to be, whatever stands between here and the server.

Finds out by itself whether that is a pooler, which gives each transaction another connection: it
refuses settings, and passes on neither what is prepared nor notifications. Nobody has to say so.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg import exceptions
from msgspec import Struct

CONNECT_SECONDS: Final = 10.0

OWN_SETTINGS: Final = {
    # What is set for the user or the database is meant for people's queries. A lock is waited for
    # less long than for an answer, so that no connection is left behind that waits for it still.
    "statement_timeout": "0",
    "lock_timeout": "30s",
    # What is done here is meant for this level; another one makes commits fail that need not.
    "default_transaction_isolation": "read committed",
    # An idle host keeps its connections.
    "idle_session_timeout": "0",
    # The host may be stopped, or its line dead, between two statements of a transaction: the locks
    # that it holds must not keep others for ever.
    "idle_in_transaction_session_timeout": "60s",
}

_NAME: Final = "application_name"
_NOT_FLUSHED: Final = {"off": "on", "local": "on"}
"""With these the server says that it has written before it has, or before its standbys have."""

_STATE: Final = (
    "SELECT pg_backend_pid() AS process, current_setting('synchronous_commit') AS waits, "
    "coalesce(current_setting('transaction_timeout', true), '0') AS longest"
)

RawWire: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Wire(Struct, frozen=True):
    """A connection that is open.

    Attributes:
        raw: The driver's.
        is_pooled: There is a pooler between.
        waits: What the server's commits wait for: its ``synchronous_commit``.
    """

    raw: RawWire
    is_pooled: bool
    waits: str


async def wired(dsn: str, name: str, settings: dict[str, str]) -> Wire:
    """Connect.

    Args:
        dsn: For the driver.
        name: What the server lists it as.
        settings: Of the server, for this connection; a pooler has none of them.

    Raises:
        asyncpg.PostgresError: the server, or a pooler before it, does not want to.
        OSError: nobody is there.
    """
    try:
        raw = await _connected(dsn, {_NAME: name, **OWN_SETTINGS, **settings})
    except exceptions.ProtocolViolationError as error:
        if "startup parameter" not in str(error):
            raise
    else:
        wire = await _looked_at(raw, settings)
        if not wire.is_pooled:
            return wire
        raw.terminate()
    return await _looked_at(await _connected(dsn, {_NAME: name}, statement_cache_size=0), settings)


async def _connected(dsn: str, settings: dict[str, str], **options: Any) -> RawWire:
    return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS, server_settings=settings, **options)


async def _looked_at(raw: RawWire, settings: dict[str, str]) -> Wire:
    try:
        # Without a name, so that behind a pooler nothing of it stays with another's connection.
        row = await (await raw.prepare(_STATE, name="")).fetchrow(timeout=CONNECT_SECONDS)
        assert row is not None
        if row["process"] != raw.get_server_pid():
            return Wire(raw, is_pooled=True, waits=row["waits"])
        if row["longest"] != "0":  # older servers do not know it, and refuse who says it at once
            await raw.execute("SET transaction_timeout = 0")
        return Wire(raw, is_pooled=False, waits=await _waiting(raw, row["waits"], settings))
    except BaseException:
        raw.terminate()
        raise


async def _waiting(raw: RawWire, waits: str, settings: dict[str, str]) -> str:
    """What commits wait for, from now on at least for the server's own disk (and its standbys)."""
    wanted = _NOT_FLUSHED.get(waits)
    if wanted is None or "synchronous_commit" in settings:
        return waits
    await raw.execute(f"SET synchronous_commit = {wanted}")
    return wanted


def on_unreplicated(raw: RawWire, callback: Callable[[], None]) -> None:
    """Call back when the server says that a commit has not waited for its standbys: somebody has
    canceled the wait. It says so before it says that the commit is over.
    """

    def told(_raw: object, message: Any) -> None:  # noqa: ANN401 - the driver's
        if message.server_source_function == "SyncRepWaitForLSN":  # the text is translated
            callback()

    raw.add_log_listener(told)
