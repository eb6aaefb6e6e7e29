"""The limit of open descendants holds for the hub, whatever partitions and hosts it has."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tenuto import App, Context
from tenuto.model.limits import Limits
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster

LIMIT = 20

app = App()


@app.activity
async def pause() -> None:
    await asyncio.sleep(0.15)  # some seconds of the virtual time: what others have is known by then


@app.orchestrator
async def waits(ctx: Context) -> None:
    await ctx.wait_for_external_event("go")


@app.orchestrator
async def ends(ctx: Context) -> None:
    await ctx.call_activity(pause)


@app.orchestrator
async def begins_many(ctx: Context, batches: list[int]) -> str:
    """So many children in each turn, none waited for."""
    for batch in batches:
        for _number in range(batch):
            _ = ctx.call_sub_orchestrator(waits)
        await ctx.call_activity(pause)
    return "all"


@app.orchestrator
async def begins_again_and_again(ctx: Context, rounds: int) -> str:
    for _ in range(rounds):
        await asyncio.gather(*(ctx.call_sub_orchestrator(ends) for _ in range(15)))
    return "all"


@app.orchestrator
async def begins_below(ctx: Context, first: int, second: int) -> str:
    """A child, wherever, begins many, then so does this one."""
    child = ctx.call_sub_orchestrator(begins_many, [first])
    await asyncio.gather(*(ctx.call_activity(pause) for _ in range(2)))
    for _number in range(second):
        _ = ctx.call_sub_orchestrator(waits)
        await ctx.call_activity(pause)
    return str(child.done())


@asynccontextmanager
async def hosts(count: int) -> AsyncIterator[Cluster]:
    limits = Limits(open_descendants=LIMIT)
    cluster = Cluster(SharedHub(8), app, ["a", "b", "c"][:count], limits)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


async def ended(cluster: Cluster, instance_id: str) -> InstanceRecord:
    async with asyncio.timeout(20):
        while not (record := cluster.hub.named(instance_id)) or not record.status.is_finished:
            cluster.pass_time(1)
            await asyncio.sleep(0.02)
    return record


ANY = pytest.mark.parametrize("count", [1, 3])


@ANY
@pytest.mark.parametrize("batches", [[21], [12, 12], [7, 7, 7], [20, 1]])
async def test_one_more_than_the_limit_is_refused(count: int, batches: list[int]) -> None:
    async with hosts(count) as cluster:
        await cluster.begin("begins_many", "root", str(batches))
        record = await ended(cluster, "root")
    assert record.status is RuntimeStatus.FAILED
    assert "open_descendants" in str(record.failure)


@ANY
@pytest.mark.parametrize("batches", [[20], [10, 10], [6, 7, 7]])
async def test_as_many_as_the_limit_are_not(count: int, batches: list[int]) -> None:
    async with hosts(count) as cluster:
        await cluster.begin("begins_many", "root", str(batches))
        record = await ended(cluster, "root")
    assert record.output == '"all"', record.failure


@ANY
async def test_who_has_ended_makes_room(count: int) -> None:
    async with hosts(count) as cluster:
        await cluster.begin("begins_again_and_again", "root", "3")
        record = await ended(cluster, "root")
    assert record.output == '"all"', record.failure


@ANY
@pytest.mark.parametrize(("first", "second", "fits"), [(14, 5, True), (14, 7, False)])
async def test_the_whole_tree_counts(count: int, first: int, second: int, fits: bool) -> None:
    async with hosts(count) as cluster:
        await cluster.begin("begins_below", "root", json.dumps({"first": first, "second": second}))
        record = await ended(cluster, "root")
    assert (record.status is RuntimeStatus.COMPLETED) == fits, record.failure
