"""Usage in PostgreSQL: commits only add rows, and there are never many."""

import asyncpg

from tenuto.engine.ports import HostIdentity
from tenuto.model.usage import FunctionKind, UsageRow, total
from tenuto.storage import open_storage
from tests.conformance.storage_suite import Owner
from tests.support.postgres import Postgres, fresh_schema

TODAY = 20_000


def used(function: str, day: int = TODAY) -> UsageRow:
    return UsageRow(day, "shop", FunctionKind.ACTIVITY, function, "", 1, 2, 3)


async def test_rows_of_commits_become_one_for_each_function(postgres: Postgres) -> None:
    schema = fresh_schema()
    storage = open_storage(postgres.url(schema), partitions=1)
    owner = await Owner.of(storage)
    wire = await asyncpg.connect(postgres.url("x").partition("&schema")[0])

    async def rows(where: str = "true") -> int:
        found: int = await wire.fetchval(f"SELECT count(*) FROM {schema}.usage WHERE {where}")
        return found

    most = 0
    for number in range(450):
        await owner.commit(f"b{number}", usage=[used("pay"), used("ship")])
        most = max(most, await rows())
    assert 150 < most <= 210
    # A day that is over is added up once more, and then left alone.
    for number in range(250):
        await owner.commit(f"c{number}", usage=[used("pay", TODAY + 1)])
    assert await rows(f"day = {TODAY} AND number = 0") == 2
    assert await rows(f"day = {TODAY}") == 2
    ctid = f"SELECT min(ctid::text) FROM {schema}.usage WHERE day = {TODAY}"
    before = await wire.fetchval(ctid)
    for number in range(250):
        await owner.commit(f"d{number}", usage=[used("pay", TODAY + 1)])
    assert await wire.fetchval(ctid) == before
    # Many functions are added up the less often.
    for number in range(130):
        await owner.commit(f"e{number}", usage=[used(f"f{n}", TODAY + 1) for n in range(300)])
    assert total(await storage.usage(0, 100_000)).executions == 2 * 450 + 500 + 130 * 300
    # Whoever comes after adds up what this one has left.
    await storage.release(owner.leases)
    leases = await storage.acquire(HostIdentity(owner="next", description="next"))
    owner = Owner(storage, leases)
    await owner.commit("f", usage=[used("pay", TODAY + 1)])
    await storage.trim_usage(TODAY + 1, "next")
    assert await rows("owner = ''") == 301
    assert await rows() == 302
    assert total(await storage.usage(0, 100_000)).executions == 500 + 130 * 300 + 1
    await wire.close()
    await storage.close()
