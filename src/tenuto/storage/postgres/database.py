"""A hub's schema: is it there, is it ours, is it of our version; and making it.

Everybody who opens a hub looks; only hosts make it or bring it up to date, one at a time, which a
lock of the server's sees to. So no command of a newer Tenuto changes what living hosts stand on.
"""

import secrets
from typing import Final

import asyncpg
from msgspec import Struct

from tenuto.model.errors import SettingsError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.errors import newer, older
from tenuto.storage.postgres.statements import NEWEST_SCHEMA, migrations, quoted

_OLDEST_SERVER: Final = 140_000
_LOCK: Final = 0x54454E55  # "TENU": held while a hub is made or changed
_SECRET_BYTES: Final = 32
_LIFE_BYTES: Final = 16


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
    if facts is None or facts.schema < NEWEST_SCHEMA:
        async with wire.transaction():
            await wire.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            facts = await facts_of(session, address)  # another process may have been faster
            await _bring_up_to_date(wire, address, facts, partitions)
        facts = await facts_of(session, address)
    assert facts is not None
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


async def _bring_up_to_date(
    wire: "asyncpg.Connection[asyncpg.Record]",
    address: Address,
    facts: HubFacts | None,
    partitions: int,
) -> None:
    # Crash points: before COMMIT there is no hub, or the old one; after it the new one.
    schema, hub = address.schema, quoted(address.schema)
    if facts is None:
        found = await wire.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema)
        if found is None:
            await wire.execute(f"CREATE SCHEMA {hub}")
    version = 0 if facts is None else facts.schema
    for script in migrations(schema)[version:]:
        await wire.execute(script)
    if facts is not None:
        await wire.execute(f"UPDATE {hub}.hub SET schema = $1", NEWEST_SCHEMA)  # noqa: S608
        return
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
