"""Usage is what histories say, whatever becomes of commits, attempts and instances."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
from msgspec import structs

from tenuto import App, Context, Host, InstanceExistsError, RuntimeStatus, Settings
from tenuto.engine.ports import Storage
from tenuto.engine.rows import CommitBatch, CommitResult
from tenuto.engine.usage_upkeep import UsageUpkeep
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.events import ExecutionCompleted
from tenuto.model.ids import new_execution_id
from tenuto.model.usage import OTHER_TAGS, Amounts, FunctionKind, UsageRow, day_of
from tenuto.storage import open_storage
from tenuto.telemetry.usage_settings import UsageSettings
from tenuto.testing import TestHost
from tests.support import usage_process
from tests.support.facts import asks
from tests.support.late_runner import HandRunner, beside
from tests.support.used import ALWAYS, Function, by_function, check_usage
from tests.support.waiting import until

ORCHESTRATOR, ACTIVITY = FunctionKind.ORCHESTRATOR, FunctionKind.ACTIVITY
SECOND = 1_000_000
BAD = 7_777_777

app = App()


@app.activity
def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.activity
def computes(seconds: float) -> float:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return seconds


@app.activity(cpu_bound=True)
def computes_apart(seconds: float) -> float:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return seconds


@app.activity
async def waits(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@app.activity
def echo(number: int) -> int:
    return number


@app.orchestrator
async def each(ctx: Context, seconds: float) -> None:
    for activity in (sleeps, computes, computes_apart, waits):
        await ctx.call_activity(activity, seconds)


@app.orchestrator
async def slow_turn(ctx: Context) -> None:
    sum(range(5_000_000))
    await ctx.create_timer(timedelta(seconds=0.2))


@app.orchestrator
async def child(ctx: Context, number: int) -> int:
    return await ctx.call_activity(echo, number)


@app.orchestrator
async def parent(ctx: Context, number: int) -> int:
    first = await ctx.call_activity(echo, number)
    return first + await ctx.call_sub_orchestrator(child, number)


@app.orchestrator
async def patient(ctx: Context, number: int) -> int:
    late = ctx.call_activity(waits, 0.05)
    event = await ctx.wait_for_external_event("go", int)
    return event + int(await late) + await ctx.call_activity(echo, number)


def settings(folder: Path, **usage: object) -> Settings:
    return Settings(
        storage=f"sqlite:///{folder / 'hub.db'}",
        usage=UsageSettings(**usage),  # type: ignore[arg-type] # as tests give them
    )


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(app, settings=settings(tmp_path)) as host:
        yield host


async def used(host: Host) -> dict[Function, Amounts]:
    return by_function(await host.engine.storage.usage(*ALWAYS))


# --- what is measured -----------------------------------------------------------------------------


async def test_attempts_are_measured_where_they_run(host: Host) -> None:
    handle = await host.client.start(each, 0.2)
    await handle.result()
    found = await check_usage(host.engine.storage)
    for name in ("sleeps", "computes", "computes_apart", "waits"):
        one = found[ACTIVITY, name, ""]
        assert one.executions == 1
        assert one.running >= 0.19 * SECOND, name
        assert one.memory >= one.running * 128, name
        assert one.waiting == 0
    assert found[ACTIVITY, "sleeps", ""].processor < 0.1 * SECOND
    assert found[ACTIVITY, "computes", ""].processor >= 0.19 * SECOND
    assert found[ACTIVITY, "computes_apart", ""].processor >= 0.19 * SECOND
    assert found[ACTIVITY, "waits", ""].processor == 0
    orchestrator = found[ORCHESTRATOR, "each", ""]
    assert orchestrator.executions == 5
    assert orchestrator.waiting >= 0.8 * SECOND
    assert orchestrator.running < orchestrator.waiting


async def test_turns_are_measured_and_waiting_is_none_of_it(host: Host) -> None:
    handle = await host.client.start(slow_turn)
    await handle.result()
    one = (await used(host))[ORCHESTRATOR, "slow_turn", ""]
    assert one.executions == 2
    assert 0.01 * SECOND <= one.running < one.waiting
    assert 0.01 * SECOND <= one.processor <= one.running
    assert one.waiting >= 0.2 * SECOND
    assert one.operations >= 3
    assert one.bytes > 0


async def test_turns_that_are_out_run_until_they_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = HandRunner()
    beside(monkeypatch, runner)
    async with Host(App(), settings=settings(tmp_path)) as host:
        now = host.clock.now()
        execution_id = new_execution_id(now)
        request = asks(instance_id="a", execution_id=execution_id, name="chain", input="1")
        await host.client.gateway.start(request)
        await until(lambda: bool(runner.requests))
        await asyncio.sleep(0.1)
        runner.requests[0].complete(ExecutionCompleted(RuntimeStatus.COMPLETED, "1"))
        assert await host.client.handle("a").result() == 1
        one = (await check_usage(host.engine.storage))[ORCHESTRATOR, "chain", ""]
        assert 0.09 * SECOND <= one.running <= 30 * SECOND
        assert one.processor < 0.05 * SECOND


async def test_results_that_wait_in_the_store_keep_their_figures(tmp_path: Path) -> None:
    async with Host(app, settings=settings(tmp_path)) as host:
        handle = await host.client.start(patient, 1)
        await until(lambda: host.engine.runner.running == 1)
        await handle.suspend()
        await handle.raise_event("go", 1)
        await until(lambda: host.engine.is_idle)
        assert (ACTIVITY, "waits", "") not in await used(host)
    async with Host(app, settings=settings(tmp_path)) as host:
        handle = host.client.handle(handle.instance_id)
        await handle.resume()
        assert await handle.result() == 2
        found = await check_usage(host.engine.storage)
        assert found[ACTIVITY, "waits", ""].running >= 0.04 * SECOND


async def test_an_attempt_that_nobody_waits_for_does_not_count(host: Host) -> None:
    handle = await host.client.start(patient, 1)
    await until(lambda: host.engine.runner.running == 1)
    await handle.terminate("enough")
    status = await host.client.wait(handle.instance_id)
    assert status.runtime_status is RuntimeStatus.TERMINATED
    await until(lambda: host.engine.is_idle)
    await check_usage(host.engine.storage)


# --- commits --------------------------------------------------------------------------------------


class Doubtful:
    """A store whose commits fail in every way, before and after they are written."""

    def __init__(self, storage: Storage, chance: random.Random) -> None:
        self.failed = {"before": 0, "after": 0}
        self._commit = storage.commit
        self._chance = chance
        setattr(storage, "commit", self.commit)  # noqa: B010 - mypy: a method is replaced

    async def commit(self, batch: CommitBatch) -> CommitResult:
        fate = self._chance.random()
        if fate < 0.2:
            self.failed["before"] += 1
            raise StorageUnavailableError("the line is cut")
        result = await self._commit(batch)
        if fate < 0.4:
            self.failed["after"] += 1
            raise StorageUnavailableError("the answer is lost")
        return result


async def start_patiently(host: Host, number: int) -> None:
    """While the store fails, a host takes nothing in."""
    tags = {usage_process.TAG: f"c{number % 3}"}
    while await host.client.get_status(f"i{number}") is None:
        with suppress(StorageUnavailableError, InstanceExistsError):
            await host.client.start(
                usage_process.mixture, number, instance_id=f"i{number}", tags=tags
            )
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_commits_in_doubt_count_once(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.engine.pipeline._FIRST_PAUSE", 0.001)
    storage = open_storage(f"sqlite:///{tmp_path / 'hub.db'}")
    chance = random.Random(seed)
    doubtful = Doubtful(storage, chance)
    options = Settings(usage=UsageSettings(tag=usage_process.TAG))
    async with Host(usage_process.app, storage, settings=options) as host:
        async with asyncio.timeout(60):
            for number in range(60):
                await start_patiently(host, number)
            for number in range(60):
                await host.client.wait(f"i{number}")
        found = await check_usage(storage, usage_process.TAG)
    assert all(doubtful.failed.values())
    assert sum(one.executions for (_, name, _), one in found.items() if name == "later") == 180


@pytest.mark.parametrize("seed", range(4))
async def test_crashes_at_any_moment_leave_usage_and_histories_in_step(seed: int) -> None:
    chance = random.Random(seed)
    options = Settings(usage=UsageSettings(tag=usage_process.TAG))
    async with TestHost(usage_process.app, settings=options) as test:
        for number in range(40):
            tags = {usage_process.TAG: f"c{number % 3}"}
            await test.client.start(
                usage_process.mixture, number, instance_id=f"i{number}", tags=tags
            )
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            if not chance.randrange(3):
                await test.crash()
        for number in range(40):
            await test.client.wait(f"i{number}")
        found = await check_usage(test.host.engine.storage, usage_process.TAG)
    fails = sum(one.executions for (_, name, _), one in found.items() if name == "fails")
    assert fails == 80


@pytest.mark.parametrize(("table", "column"), [("history", "events"), ("instance", "input")])
async def test_what_is_taken_back_has_used_nothing(
    host: Host, tmp_path: Path, table: str, column: str
) -> None:
    connection = apsw.Connection(str(tmp_path / "hub.db"))
    connection.set_busy_timeout(5_000)
    connection.execute(
        f"CREATE TRIGGER no BEFORE INSERT ON {table} WHEN new.{column} LIKE '%{BAD}%' "
        "BEGIN SELECT RAISE(ABORT, 'never this'); END"
    )
    connection.close()
    handles = [await host.client.start(parent, number) for number in range(30)]
    evil = await host.client.start(patient, 1)
    evil_parent = await host.client.start(parent, 1)
    others = await asyncio.gather(
        evil.raise_event("go", BAD if table == "history" else 1),
        *(host.client.start(child, BAD if not n % 5 else n) for n in range(20)),
        return_exceptions=True,
    )
    assert any(isinstance(one, Exception) for one in others)
    for handle in [*handles, evil_parent]:
        await handle.result()
    await until(lambda: not host.engine.takeback.left and host.engine.is_idle)
    await check_usage(host.engine.storage)


async def test_a_child_whose_id_is_taken_has_used_nothing(tmp_path: Path) -> None:
    """Its first turn was in the batch that the store took without it."""
    taken = App()

    @taken.orchestrator
    async def little(ctx: Context) -> int:
        return await ctx.wait_for_external_event("go", int)

    @taken.orchestrator
    async def calls(ctx: Context) -> int:
        return await ctx.call_sub_orchestrator(little)

    storage = open_storage(f"sqlite:///{tmp_path / 'hub.db'}")
    inner = storage.commit
    async with Host(taken, storage) as host:
        parents: list[str] = []

        async def commit(batch: CommitBatch) -> CommitResult:
            turned = {row.iid for row in batch.history}
            found = [one for one in batch.instances if one.depth and one.iid in turned]
            if found and not parents:
                assert found[0].parent is not None
                parents.append(found[0].parent.instance_id)
                another = structs.replace(
                    found[0], execution_id=new_execution_id(host.clock.now()), parent=None, depth=0
                )
                other = open_storage(f"sqlite:///{tmp_path / 'hub.db'}", create=False)
                await other.open()
                await other.start_instance(another)
                await other.close()
            await asyncio.sleep(0.02)  # meanwhile the next batch gets all that it can hold
            return await inner(batch)

        setattr(storage, "commit", commit)  # noqa: B010 - mypy: a method is replaced
        first = asyncio.ensure_future(host.client.start(calls))
        await until(lambda: host.engine.pipeline.committing_since is not None)
        await host.client.start(calls)
        await first
        async with asyncio.timeout(20):
            await until(lambda: bool(parents))
            status = await host.client.wait(parents[0])
        assert status.runtime_status is RuntimeStatus.FAILED
        await until(lambda: host.engine.is_idle)
        await check_usage(storage)


# --- what is told apart ---------------------------------------------------------------------------


async def test_values_of_a_tag_are_told_apart_up_to_so_many(tmp_path: Path) -> None:
    some = settings(tmp_path, tag="customer", most_tags=2, app="shop")
    async with Host(app, settings=some) as host:
        for tag in ("a", "b", "c", None):
            tags = None if tag is None else {"customer": tag}
            await (await host.client.start(parent, 1, tags=tags)).result()
        rows = await host.engine.storage.usage(*ALWAYS)
        assert {row.app for row in rows} == {"shop"}
        assert {row.tag for row in rows} == {"", "a", "b", OTHER_TAGS}
    async with Host(app, settings=some) as host:  # it knows what the day has already
        await (await host.client.start(parent, 1, tags={"customer": "d"})).result()
        rows = await host.engine.storage.usage(*ALWAYS)
        assert {row.tag for row in rows} == {"", "a", "b", OTHER_TAGS}
    echoes = {row.tag: row.executions for row in rows if row.function == "echo"}
    assert echoes == {"a": 1, "b": 1, OTHER_TAGS: 2, "": 6}  # children have no tags of their own


async def test_texts_that_no_store_holds_do_no_harm(tmp_path: Path) -> None:
    async with Host(app, settings=settings(tmp_path, tag="customer")) as host:
        await (await host.client.start(child, 1, tags={"customer": "a\x00b" * 300})).result()
        (tag,) = {row.tag for row in await host.engine.storage.usage(*ALWAYS)}
    assert tag.startswith("a\ufffdb")
    assert len(tag) == 200


async def test_old_days_go_and_the_others_stay(host: Host) -> None:
    await (await host.client.start(parent, 1)).result()
    await host.engine.pipeline.flush()
    storage = host.engine.storage
    before = await storage.usage(*ALWAYS)
    today = day_of(host.clock.now())
    assert {row.day for row in before} <= {today, today - 1}
    await UsageUpkeep(host.engine, keep_days=400).run()
    assert await storage.usage(*ALWAYS) == before
    await _add(storage, [UsageRow(today - 399, "a", ACTIVITY, "x", "", 1)])
    await _add(storage, [UsageRow(today - 400, "a", ACTIVITY, "x", "", 1)])
    await UsageUpkeep(host.engine, keep_days=400).run()
    found = {row.day for row in await storage.usage(*ALWAYS)}
    assert today - 399 in found
    assert today - 400 not in found


async def test_a_host_looks_after_old_days_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.engine.usage_upkeep._SOON_SECONDS", 0.05)
    options = settings(tmp_path, keep_days=1)
    async with Host(app, settings=options) as host:
        storage = host.engine.storage
        await _add(storage, [UsageRow(1, "a", ACTIVITY, "x", "", 1)])
        async with asyncio.timeout(20):
            while await storage.usage(0, 1):  # noqa: ASYNC110 - the store is asked
                await asyncio.sleep(0.01)


async def test_upkeep_that_fails_is_told_and_nothing_more(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(before: int, owner: str) -> None:
        raise StorageUnavailableError(f"no {before} {owner}")

    monkeypatch.setattr(host.engine.storage, "trim_usage", fails)
    with caplog.at_level("INFO"):
        await UsageUpkeep(host.engine, keep_days=400).run()
    assert "old figures of usage are deleted later" in caplog.text
    await (await host.client.start(parent, 1)).result()


async def _add(storage: Storage, rows: list[UsageRow]) -> None:
    """As a commit of those days would have."""
    hub = await storage.open()
    connection = apsw.Connection(hub.url.removeprefix("sqlite:///"))
    connection.set_busy_timeout(5_000)
    for row in rows:
        connection.execute(
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0)",
            (row.day, row.app, row.kind.value, row.function, row.tag, row.executions),
        )
    connection.close()
