"""A hub's schema: is it there, is it ours, is it of our version; and making it.

Everybody who opens a hub looks; only hosts make it or bring it up to date, one at a time. So no
command of a newer Tenuto changes what living hosts stand on. Takes no advisory lock: any user of
the database could hold that, and no host would start.
"""

import secrets
from typing import Final

import asyncpg
from asyncpg import exceptions
from msgspec import Struct

from tenuto.model.errors import SettingsError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.errors import newer, older
from tenuto.storage.postgres.statements import NEWEST_SCHEMA, migrations, quoted

_OLDEST_SERVER: Final = 140_000
_SECRET_BYTES: Final = 32
_LIFE_BYTES: Final = 16

_MADE_MEANWHILE: Final = (
    exceptions.DuplicateSchemaError,
    exceptions.DuplicateTableError,
    exceptions.UniqueViolationError,
)
"""What the server says to all but the first of those who make the same at once."""


class HubFacts(Struct, frozen=True):
    """What stands in the hub's own row."""

    schema: int
    partitions: int
    secret: str
    incarnation: str


async def open_hub(
    session: Session, address: Address, partitions: int, *, create: bool
) -> HubFacts:
    """The facts of a hub, which with ``create`` is made or brought up to date.

    Raises:
        SettingsError: there is none and none is to be made, or the database is unfit for one.
        StorageVersionError: it was made by a newer Tenuto, or by an older one and ``create`` is not
            said.
    """
    wire = session.wire
    await _check_database(wire, address)
    facts = await facts_of(session, address)
    if facts is None and not create:
        raise SettingsError(
            f"there is no hub in the schema {address.schema!r} of {address.url!r}; correct the "
            "store's URL, or start a host, which makes it"
        )
    if facts is not None and facts.schema < NEWEST_SCHEMA and not create:
        raise older(address.url, facts.schema)
    if facts is None:
        facts = await _made(session, address, partitions)
    if facts.schema < NEWEST_SCHEMA:
        facts = await _upgraded(session, address)
    if facts.schema > NEWEST_SCHEMA:
        raise newer(address.url, facts.schema)
    return facts


async def _check_database(wire: "asyncpg.Connection[asyncpg.Record]", address: Address) -> None:
    encoding = await wire.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise SettingsError(
            f"the database of {address.url!r} has the encoding {encoding}; Tenuto needs UTF8, else "
            "it could not keep every text: make one with CREATE DATABASE … ENCODING 'UTF8' "
            "TEMPLATE template0"
        )
    version = int(await wire.fetchval("SHOW server_version_num"))
    if version < _OLDEST_SERVER:
        raise SettingsError(
            f"the server of {address.url!r} is PostgreSQL {version // 10_000}; Tenuto needs "
            f"{_OLDEST_SERVER // 10_000} or newer"
        )


async def facts_of(session: Session, address: Address) -> HubFacts | None:
    """What stands in a hub's own row; None when there is no hub."""
    hub = f"{quoted(address.schema)}.hub"
    if await session.wire.fetchval("SELECT to_regclass($1)", hub) is None:
        return None
    row = await session.row("facts")
    return None if row is None else HubFacts(*row)


async def _made(session: Session, address: Address, partitions: int) -> HubFacts:
    """The facts of a hub that was not there; those of another process's when that was faster."""
    # Crash points: before COMMIT there is no hub, after it there is one. Who makes the same at the
    # same time waits within its first statement for what comes of this, and then cannot make it.
    wire = session.wire
    try:
        async with wire.transaction():
            await _make(wire, address.schema, partitions)
    except _MADE_MEANWHILE:
        facts = await facts_of(session, address)
        if facts is None:  # something of this name, which is no hub
            raise
        return facts
    facts = await facts_of(session, address)
    assert facts is not None
    return facts


async def _make(wire: "asyncpg.Connection[asyncpg.Record]", schema: str, partitions: int) -> None:
    hub = quoted(schema)
    if await wire.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema) is None:
        await wire.execute(f"CREATE SCHEMA {hub}")
    for script in migrations(schema):
        await wire.execute(script)
    await wire.execute(
        f"INSERT INTO {hub}.hub (id, schema, partitions, secret, incarnation) "  # noqa: S608
        "VALUES (1, $1, $2, $3, $4)",
        NEWEST_SCHEMA,
        partitions,
        secrets.token_hex(_SECRET_BYTES),
        secrets.token_hex(_LIFE_BYTES),
    )
    await wire.execute(
        f"INSERT INTO {hub}.partition (partition) SELECT generate_series(0, $1::int - 1)",
        partitions,
    )


async def _upgraded(session: Session, address: Address) -> HubFacts:
    """The facts of a hub after all scripts that it has not had yet."""
    # Crash points: before COMMIT it is the old hub, after it the new one. Others wait for its row.
    wire, hub = session.wire, quoted(address.schema)
    async with wire.transaction():
        await wire.execute(f"SELECT 1 FROM {hub}.hub FOR UPDATE")  # noqa: S608
        facts = await facts_of(session, address)  # another process may have been faster
        assert facts is not None
        if facts.schema < NEWEST_SCHEMA:
            for script in migrations(address.schema)[facts.schema :]:
                await wire.execute(script)
            await wire.execute(f"UPDATE {hub}.hub SET schema = $1", NEWEST_SCHEMA)  # noqa: S608
            facts = await facts_of(session, address)
            assert facts is not None
    return facts
