"""Events that nobody has read when an orchestrator continues as new: they stay where they are."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import msgspec
import pytest

from tenuto import (
    App,
    Client,
    Context,
    InstanceNotFoundError,
    Limits,
    OrchestrationFailedError,
    PayloadError,
    RuntimeStatus,
    Settings,
)
from tenuto.engine.rows import CommitBatch, CommitResult
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost


class WeighingStorage(SqliteStorage):
    """A store that counts what it is given to write."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.bytes = 0
        self.rows = 0

    async def commit(self, batch: CommitBatch) -> CommitResult:
        rows = {name: getattr(batch, name) for name in batch.__struct_fields__}
        del rows["usage_without"]
        self.bytes += len(msgspec.json.encode(rows))
        self.rows += len(batch.unread)
        return await super().commit(batch)


def actor(app: App, last: int, pause: timedelta | None = None) -> None:
    """Reads one event in each generation, after the first one has been told to go."""

    @app.orchestrator
    async def reader(ctx: Context, seen: int) -> int:
        name = "go" if seen == 0 else "item"
        await ctx.wait_for_external_event(name)
        if pause is not None:
            await ctx.create_timer(pause)
        if seen < last:
            ctx.continue_as_new(seen + 1)
        return seen


async def unread_of(test: TestHost, instance_id: str) -> list[int]:
    """The numbers of the events that the store keeps."""
    storage = test.host.engine.storage
    (record,) = await storage.find([InstanceId(instance_id)])
    (loaded,) = await storage.load_instances([record.iid])
    return [number for number, _ in loaded.unread]


@pytest.mark.parametrize("pause", [None, timedelta(hours=1)], ids=["one commit", "many commits"])
@pytest.mark.parametrize("events", [20, 500])
async def test_a_generation_costs_the_same_however_many_events_are_unread(
    app: App, open_host: OpenHost, events: int, pause: timedelta | None
) -> None:
    store = WeighingStorage()
    actor(app, 10, pause)
    test = await open_host(app, storage=store)
    handle = await test.start("reader", 0)
    for number in range(events):
        await handle.raise_event("item", number)
    await test.idle()
    await handle.raise_event("go")
    before = store.bytes, store.rows
    await test.idle()
    assert await handle.result() == 10
    per_event = 80  # once: they move from the first generation's history
    assert store.bytes - before[0] < 20_000 + per_event * events
    assert store.rows - before[1] <= events + 10
    assert len(await unread_of(test, handle.instance_id)) == events - 9


async def test_what_is_read_is_the_oldest_of_its_name_through_crashes(
    app: App, test: TestHost
) -> None:
    """Carried events come first, names ignore case, and those of other names stay."""

    @app.orchestrator
    async def reader(ctx: Context, seen: list[int]) -> list[int]:
        await ctx.create_timer(timedelta(hours=1))
        seen.append(await ctx.wait_for_external_event("Item", int))
        seen.append(await ctx.wait_for_external_event("iteM", int))
        if len(seen) < 6:
            ctx.continue_as_new(seen)
        return seen

    handle = await test.start(reader, [])
    for number in range(4):
        await handle.raise_event("item", number)
        await handle.raise_event(f"other {number}", number)
    for hour in range(3):
        await test.advance(timedelta(minutes=50))
        await test.restart()
        await test.check_replay(handle.instance_id)
        if hour < 2:
            await handle.raise_event("item", 10 + hour)
        await (test.restart() if hour else test.crash())
        await test.advance(timedelta(minutes=10))
    assert await handle.result() == [0, 1, 2, 3, 10, 11]
    await test.check_replay(handle.instance_id)


async def test_a_wait_that_has_begun_gets_the_next_that_arrives(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def reader(ctx: Context, seen: list[str]) -> list[str]:
        seen.append(await ctx.wait_for_external_event("item", str))
        if len(seen) < 3:
            ctx.continue_as_new(seen)
        return seen

    handle = await test.start(reader, [])
    await test.idle()
    await handle.raise_event("item", "a")
    await handle.raise_event("item", "b")
    await test.idle()
    await handle.raise_event("item", "c")
    assert await handle.result() == ["a", "b", "c"]


async def test_they_wait_while_the_instance_is_suspended_between_generations(
    app: App, test: TestHost
) -> None:
    actor(app, last=3)
    handle = await test.start("reader", 0)
    for number in range(4):
        await handle.raise_event("item", number)
    await test.idle()
    await asyncio.gather(handle.raise_event("go"), handle.suspend("a break"))
    await test.idle()
    assert (await handle.status()).runtime_status is RuntimeStatus.SUSPENDED
    assert await unread_of(test, handle.instance_id) == [1, 2, 3, 4]
    await test.crash()
    await handle.resume()
    assert await handle.result() == 3


async def test_events_dropped_with_a_generation_leave_the_store(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def reader(ctx: Context, generation: int) -> int:
        await ctx.wait_for_external_event("go")
        if generation < 2:
            ctx.continue_as_new(generation + 1, keep_events=generation == 0)
        return generation

    handle = await test.start(reader, 0)
    await handle.raise_event("item", 1)
    await test.idle()
    await handle.raise_event("go")
    await test.idle()
    assert await unread_of(test, handle.instance_id) == [1]
    await handle.raise_event("item", 2)
    await test.idle()
    await handle.raise_event("go")
    await test.idle()
    assert await unread_of(test, handle.instance_id) == []
    await handle.raise_event("go")
    assert await handle.result() == 2


async def test_one_that_does_not_fit_is_put_aside_as_others_are(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def reader(ctx: Context, generation: int) -> list[int]:
        if generation == 0:
            await ctx.wait_for_external_event("go")
            ctx.continue_as_new(1)
            return []
        if generation == 1:
            number = await ctx.wait_for_external_event("item", int)
            await ctx.wait_for_external_event("go")
            ctx.continue_as_new(2)
            return [number]
        return [await ctx.wait_for_external_event("item", int)]

    handle = await test.start(reader, 0)
    for value in ("no number", 5, 6):
        await handle.raise_event("item", value)
    await test.idle()
    await handle.raise_event("go")
    await test.idle()
    await test.crash()
    await test.check_replay(handle.instance_id)
    test.problems.clear()
    (letter,) = await test.host.engine.storage.dead_letters()
    assert b"no number" in bytes(letter.message)
    await handle.raise_event("go")
    assert await handle.result() == [6]


async def test_purge_takes_them_along_and_a_new_start_begins_without(
    app: App, test: TestHost
) -> None:
    actor(app, last=2)
    for _ in range(2):
        handle = await test.start("reader", 0, instance_id="the-actor")
        for number in range(5):
            await handle.raise_event("item", number)
        await test.idle()
        await handle.raise_event("go")
        assert await handle.result() == 2
        assert await unread_of(test, "the-actor") == [2, 3, 4, 5]
        assert await test.client.purge("the-actor")
    with pytest.raises(InstanceNotFoundError):
        await test.check_replay("the-actor")
    handle = await test.start("reader", 5, instance_id="the-actor")
    await test.idle()
    assert not (await handle.status()).runtime_status.is_finished


async def test_a_loop_that_takes_none_of_them_is_a_runaway_all_the_same(
    app: App, open_host: OpenHost
) -> None:
    @app.orchestrator
    async def runaway(ctx: Context, number: int) -> None:
        if number == 0:
            await ctx.wait_for_external_event("go")
        ctx.continue_as_new(number + 1)

    test = await open_host(app, settings=Settings(limits=Limits(generations_per_minute=20)))
    handle = await test.start(runaway, 0)
    await handle.raise_event("item")
    await test.idle()
    await handle.raise_event("go")
    with pytest.raises(OrchestrationFailedError, match="generations_per_minute"):
        await handle.result()
    test.problems.clear()


async def test_draining_many_of_them_is_no_runaway(app: App, open_host: OpenHost) -> None:
    actor(app, last=50)
    test = await open_host(app, settings=Settings(limits=Limits(generations_per_minute=20)))
    handle = await test.start("reader", 0)
    for number in range(60):
        await handle.raise_event("item", number)
    await test.idle()
    await handle.raise_event("go")
    assert await handle.result() == 50


async def test_they_count_for_the_memory_of_a_session(app: App, test: TestHost) -> None:
    actor(app, last=2)
    handle = await test.start("reader", 0)
    await handle.raise_event("other", "x" * 100_000)
    await test.idle()
    await handle.raise_event("go")
    for _ in range(2):
        await test.idle()
        resident = test.host.engine.residents.named(InstanceId(handle.instance_id))
        assert resident is not None
        assert resident.size > 100_000
        await test.restart()
        await handle.raise_event("nobody waits for this")


async def test_a_new_instance_of_an_id_reads_nothing_that_its_predecessor_has_left(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def order(ctx: Context, number: int) -> object:
        if number == 0:
            await ctx.wait_for_external_event("begin")
            ctx.continue_as_new(1)
            return None
        if number == 1:
            return "done"
        return await ctx.wait_for_external_event("approval", str)

    first = await test.start(order, 0, instance_id="order")
    await first.raise_event("approval", "the old one")
    await first.raise_event("begin")
    assert await first.result() == "done"
    second = await test.client.start(order, 2, instance_id="order")
    await test.restart()
    await second.raise_event("approval", "the new one")
    assert await second.result() == "the new one"


END: dict[str, Callable[[Client, str], Awaitable[object]]] = {
    "terminated": lambda client, name: client.terminate(name, "enough"),
    "failed by an operator": lambda client, name: client.fail(name, "enough"),
    "purged by force": lambda client, name: client.purge(name, force=True),
}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("how", END)
async def test_what_is_ended_from_outside_names_the_events_that_nobody_has_taken(
    app: App, test: TestHost, caplog: pytest.LogCaptureFixture, how: str, restarts: bool
) -> None:
    @app.orchestrator
    async def reader(ctx: Context, generation: int) -> None:
        await ctx.wait_for_external_event("go")
        if generation == 0:
            ctx.continue_as_new(1)
        else:
            await ctx.wait_for_external_event("paid")

    handle = await test.start(reader, 0)
    await test.idle()
    for name in ("old", "go", "Go", "piad", "Piad"):
        await handle.raise_event(name)
        await test.idle()
    if restarts:
        await test.restart()
    caplog.clear()
    await END[how](test.client, handle.instance_id)
    await test.idle()
    lines = [one.getMessage() for one in caplog.records if "nobody waited" in one.getMessage()]
    (line,) = lines
    assert f"instance {handle.instance_id}: orchestrator 'reader' was ended from outside" in line
    assert "nobody waited for 3 of the events" in line
    assert line.endswith(": 'old' (1), 'piad' (2)")


async def test_events_that_open_waits_have_taken_are_not_named(
    app: App, test: TestHost, caplog: pytest.LogCaptureFixture
) -> None:
    @app.orchestrator
    async def reader(ctx: Context) -> None:
        for _ in range(3):
            await ctx.wait_for_external_event("Item", int)
        await ctx.ask("Go on?")

    handle = await test.start(reader)
    await test.idle()
    for number in (1, "no number", 2, 3):
        with suppress(PayloadError):
            await handle.raise_event("item", number)
        await test.idle()
    await handle.terminate("enough")
    await test.idle()
    assert "nobody waited" not in caplog.text
