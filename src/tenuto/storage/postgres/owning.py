"""Taking partitions: of whoever has them, or those that nobody has any more."""

from collections.abc import Sequence

from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import Lease
from tenuto.storage.postgres.connection import Session


async def take(
    session: Session,
    host: HostIdentity,
    partitions: Sequence[int] | None,
    seconds: float,
    *,
    only_free: bool = False,
) -> list[Lease]:
    """Own partitions, in a new epoch each; in the transaction of the session.

    Args:
        session: The transaction's.
        host: Who it is.
        partitions: Which; None for all.
        seconds: How long the leases hold.
        only_free: Whether those are left out that a living host has.
    """
    # Crash points: before COMMIT the old epoch stands; after it the epoch is counted up without an
    # owner at work, and others wait for the end of its lease.
    await session.run(
        "begin_owner",
        owner=host.owner,
        description=host.description,
        member=host.member,
        seconds=seconds,
    )
    await session.run("begin_landed", owner=host.owner)
    wanted = None if partitions is None else list(partitions)
    await session.rows("lock_partitions", partitions=wanted)
    if only_free:
        free = await session.rows("free_partitions", partitions=wanted)
        wanted = [row["partition"] for row in free]
    found = await session.rows("acquire", owner=host.owner, partitions=wanted)
    await session.run("forget_owners", owner=host.owner)
    await session.run("forget_landed")
    return [
        Lease(row["partition"], host.owner, row["epoch"])
        for row in sorted(found, key=lambda row: row["partition"])
    ]
