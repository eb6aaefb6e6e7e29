"""The way to the server that leads past a pooler: whether it leads to the same hub.

What goes there is a host's sign of life: one that leads elsewhere makes a host that says it runs,
and is dead to all others. So nobody opens a hub before that is seen.
"""

from tenuto.model.errors import SettingsError, StorageError
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.connection import Connection, Session
from tenuto.storage.postgres.database import HubFacts, facts_of


async def check_direct(address: Address, facts: HubFacts) -> None:
    """Connect that way, once.

    Args:
        address: Of the store.
        facts: What stands in the hub's own row, as the other way leads to it.

    Raises:
        SettingsError: it leads nowhere, or to another hub.
    """
    if not address.direct_dsn:
        return
    straight = address.directly

    async def look(session: Session) -> str | None:
        found = await facts_of(session, straight)
        if found is None:
            return f"there is no hub in the schema {straight.schema!r} of its database"
        if (found.incarnation, found.secret) != (facts.incarnation, facts.secret):
            return f"the schema {straight.schema!r} of its database is another hub"
        if await session.wire.fetchval("SELECT pg_is_in_recovery()"):
            return "it leads to a standby, where nothing can be written"
        return None

    connection = Connection(straight, "looks")
    try:
        await connection.open()
        reason = await connection.do(look, "read")
    except (SettingsError, StorageError) as error:
        # In its text stands the store's own URL, which is not the one that is wrong.
        reason = str(error.__cause__ or error)
    finally:
        await connection.close()
    if reason is not None:
        raise SettingsError(
            f"storage_direct (--storage-direct) does not lead to the hub of {address.url!r}: "
            f"{' '.join(reason.split())}. It must be the same database without the pooler; correct "
            "it, or leave it out"
        )
