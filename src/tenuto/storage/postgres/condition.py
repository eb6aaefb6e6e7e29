"""What a server is like: what of it keeps hosts from working, or breaks a promise.

For people who look a hub over; each remark says what to do. Only reads.
"""

from collections.abc import Iterator
from typing import Final

import asyncpg

from tenuto.engine.upkeep import Remark
from tenuto.storage.postgres.address import Address
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.listening import FULL, FULL_ADVICE, FULL_QUEUE

_FULL: Final = 0.9


async def remarks_of(session: Session, address: Address, *, is_pooled: bool) -> list[Remark]:
    """What is worth saying of the server behind a connection."""
    found = await session.row("condition", schema=address.schema)
    assert found is not None
    return [
        *_about_writing(found),
        *_about_connections(found),
        *_about_notifications(found),
        *_about_standbys(found),
        *_about_pooler(address, is_pooled=is_pooled),
    ]


def _about_writing(found: asyncpg.Record) -> Iterator[Remark]:
    if found["is_standby"]:
        yield Remark(
            is_wrong=True,
            text="the server is a standby, which can only be read",
            advice="let the URL name the primary, or all servers: "
            "postgresql://user@first:5432,second:5432/database",
        )
    elif found["is_read_only"]:
        yield Remark(
            is_wrong=True,
            text="the database is read-only: default_transaction_read_only is on",
            advice="ALTER DATABASE … RESET default_transaction_read_only, or that of the user",
        )
    elif found["lacks"]:
        yield Remark(
            is_wrong=True,
            text=f"the user may not write to {', '.join(found['lacks'])}",
            advice="give it the rights of docs/postgresql.md",
        )
    if not found["syncs"]:
        yield Remark(
            is_wrong=True,
            text="fsync is off: when the server's machine fails, all may be lost",
            advice="set fsync = on",
        )
    if found["keeps_text"] != "UTF8":
        yield Remark(
            is_wrong=True,
            text=f"the database has the encoding {found['keeps_text']} and cannot keep every text",
            advice="move the hub to one with UTF8",
        )


def _about_connections(found: asyncpg.Record) -> Iterator[Remark]:
    used, most = found["connections"], found["most_connections"]
    if used >= _FULL * most:
        yield Remark(
            is_wrong=False,
            text=f"{used} of the server's {most} connections are used; a host takes six",
            advice="raise max_connections, or put PgBouncer before it",
        )


def _about_notifications(found: asyncpg.Record) -> Iterator[Remark]:
    if found["queue_usage"] >= FULL:
        yield Remark(
            is_wrong=True,
            text=f"notifications cannot be sent: {FULL_QUEUE}; hosts look once a second instead",
            advice=FULL_ADVICE,
        )


def _about_standbys(found: asyncpg.Record) -> Iterator[Remark]:
    if found["is_standby"] or found["hides_standbys"]:  # it takes the role pg_monitor to see them
        return
    if found["wants_standbys"] and not found["synchronous"]:
        yield Remark(
            is_wrong=True,
            text="commits wait for a synchronous standby, and none is connected",
            advice="start it again, or take it out of synchronous_standby_names",
        )
    if found["asynchronous"] and not found["synchronous"]:
        count = found["asynchronous"]
        yield Remark(
            is_wrong=False,
            text=f"{count} standby{'' if count == 1 else 's'}, none of them synchronous: a "
            "failover can lose what was acknowledged, and a host that finds this out stops",
            advice="name them in synchronous_standby_names, which keeps every promise",
        )


def _about_pooler(address: Address, *, is_pooled: bool) -> Iterator[Remark]:
    if is_pooled and not address.direct_dsn:
        yield Remark(
            is_wrong=False,
            text="a pooler is before the server: in transaction mode notifications do not arrive, "
            "and hosts look once a second instead",
            advice="set storage_direct (--storage-direct) to a URL that leads past the pooler",
        )
