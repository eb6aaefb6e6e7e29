"""What a host finds when it starts: everything that was promised is done, once.

``exactly_once_turns``, ``at_least_once_activities``, ``durable_before_visible`` across crashes and
deployments; ENGINE rules 16, 17, 22, 27.
"""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenuto import (
    ActivityContext,
    App,
    Client,
    Context,
    Host,
    InstanceFilter,
    OrchestrationFailedError,
    OrchestrationHandle,
    RetryPolicy,
    RuntimeStatus,
    StorageCorruptError,
    StorageUnavailableError,
    SubOrchestrationError,
)
from tenuto.engine.ports import Storage
from tenuto.engine.rows import InboxRow
from tenuto.model.events import SubOrchestrationInstanceCreated
from tenuto.orchestration.session import Session
from tenuto.storage.postgres import PostgresStorage
from tenuto.storage.postgres.statements import quoted
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing import CRASH_POINTS, CrashAt, TestHost
from tests.support.held import holding
from tests.support.histories import check_invariants, kinds
from tests.support.inboxes import waiting_in


@pytest.fixture(autouse=True)
def functions(app: App) -> None:
    """What most tests here need."""

    @app.activity
    def add(left: int, right: int) -> int:
        return left + right

    @app.orchestrator
    async def collect(ctx: Context, count: int) -> list[int]:
        return [await ctx.wait_for_external_event("item", int) for _ in range(count)]

    @app.orchestrator
    async def nap(ctx: Context, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return f"slept {seconds:g} s"

    @app.orchestrator
    async def summed(ctx: Context, count: int) -> int:
        total = 0
        for number in range(count):
            total = await ctx.call_activity(add, total, number)
        return total


def storage_of(test: TestHost) -> Storage:
    return test.host.engine.storage


async def run_sql(storage: Storage, statement: str) -> None:
    """Change something behind the host's back; tables are named as in PostgreSQL's statements."""
    if isinstance(storage, SqliteStorage):
        plain = statement.replace("hub.", "")
        await storage._write(lambda writer: writer.connection.execute(plain))
    else:
        assert isinstance(storage, PostgresStorage)
        named = statement.replace("hub.", f"{quoted(storage._address.schema)}.")
        await storage.written(lambda session: session.wire.execute(named))


def commit_before_the_next_turn(test: TestHost) -> None:
    """Turns wait a little, and what is there is committed, so that no two turns share a commit."""
    engine = test.host.engine
    schedule_pump = engine.schedule_pump
    loop = asyncio.get_running_loop()

    def schedule_later() -> None:
        engine.pipeline.kick()
        loop.call_later(0.001, schedule_pump)

    engine.schedule_pump = schedule_later  # type: ignore[method-assign]


# --- activities ---------------------------------------------------------------------------------


async def test_at_least_once_activities_an_open_activity_runs_again_under_its_key(
    app: App, test: TestHost
) -> None:
    keys: list[tuple[str, int]] = []
    release = asyncio.Event()

    @app.activity
    async def slow(activity: ActivityContext, name: str) -> str:
        keys.append((activity.idempotency_key, activity.attempt))
        await release.wait()
        return name

    @app.orchestrator
    async def both(ctx: Context) -> list[str]:
        return list(await asyncio.gather(*(ctx.call_activity(slow, name) for name in "ab")))

    handle = await test.start(both)
    await test.idle(with_activities=False)
    await test.crash()
    await test.idle(with_activities=False)
    release.set()
    assert await handle.result() == ["a", "b"]
    counts = Counter(keys)
    assert len(counts) == 2
    assert set(counts.values()) == {2}
    history = await test.client.history(handle.instance_id)
    assert kinds(history).count("TaskCompleted") == 2


async def test_results_in_history_are_not_asked_for_again(app: App, test: TestHost) -> None:
    ran: list[int] = []
    release = asyncio.Event()

    @app.activity
    async def step(number: int) -> int:
        ran.append(number)
        if number == 2:
            await release.wait()
        return number

    @app.orchestrator
    async def steps(ctx: Context) -> list[int]:
        return [await ctx.call_activity(step, number) for number in range(4)]

    handle = await test.start(steps)
    await test.idle(with_activities=False)
    await test.crash()
    release.set()
    assert await handle.result() == [0, 1, 2, 3]
    assert Counter(ran) == {0: 1, 1: 1, 2: 2, 3: 1}


async def test_a_canceled_activity_is_not_derived_again(app: App, test: TestHost) -> None:
    """ENGINE rule 9."""
    ran: list[str] = []

    @app.activity
    async def endless(activity: ActivityContext, name: str) -> None:
        ran.append(name)
        await activity.cancellation.wait()

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        given_up = ctx.call_activity(endless, "given up")
        _kept = ctx.call_activity(endless, "kept")
        await ctx.wait_for_external_event("cancel")
        given_up.cancel()
        await ctx.wait_for_external_event("end")
        return "ended"

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    await handle.raise_event("cancel")
    await test.idle(with_activities=False)
    await test.crash()
    await test.idle(with_activities=False)
    assert Counter(ran) == {"given up": 1, "kept": 2}
    await handle.raise_event("end")
    assert await handle.result() == "ended"


async def test_a_retry_that_waits_for_its_turn_goes_on_after_a_crash(
    app: App, test: TestHost
) -> None:
    attempts: list[tuple[str, int]] = []

    @app.activity(retry=RetryPolicy(max_attempts=4, first_interval=timedelta(hours=1), backoff=2))
    async def flaky(activity: ActivityContext) -> int:
        attempts.append((activity.idempotency_key, activity.attempt))
        if activity.attempt < 4:
            raise ValueError("not yet")
        return activity.attempt

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        return await ctx.call_activity(flaky)

    began = test.clock.current_time
    handle = await test.start(parent)
    for hours in (0.5, 1, 2):
        await test.advance(timedelta(hours=hours))
        await test.crash()
    assert await handle.result() == 4
    assert [attempt for _, attempt in attempts] == [1, 2, 3, 4]
    assert len({key for key, _ in attempts}) == 1
    assert test.clock.current_time - began >= timedelta(hours=7)


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 30, 3_600, 90_000])
async def test_a_timer_that_came_due_while_no_host_ran_fires_at_the_start(
    test: TestHost, seconds: float
) -> None:
    handle = await test.start("nap", seconds)
    await test.idle()
    test.clock.jump(test.clock.now() + 10**12)  # days pass while the host is cut off ...
    await test.crash()
    assert await handle.result() == f"slept {seconds:g} s"
    await test.client.purge(handle.instance_id)


@pytest.mark.parametrize("seconds", [2, 300, 601, 3_600, 10**7])
async def test_a_timer_that_is_still_ahead_fires_at_its_time(
    test: TestHost, seconds: float
) -> None:
    due = test.clock.current_time + timedelta(seconds=seconds)
    handle = await test.start("nap", seconds)
    await test.crash()
    await test.advance(timedelta(seconds=1))
    await test.restart()
    assert await handle.result() == f"slept {seconds:g} s"
    assert test.clock.current_time == due


async def test_a_distant_timer_beside_a_running_activity_fires_at_its_time(
    app: App, test: TestHost
) -> None:
    """The row says "now" as long as the activity runs, and not when the timer is due."""

    @app.activity
    async def endless(activity: ActivityContext) -> None:
        await activity.cancellation.wait()

    @app.orchestrator
    async def impatient(ctx: Context) -> str:
        try:
            async with asyncio.timeout(45 * 60):
                await ctx.call_activity(endless)
        except TimeoutError:
            return "no more patience"
        return "it ended"

    due = test.clock.current_time + timedelta(minutes=45)
    handle = await test.start(impatient)
    await test.advance(timedelta(minutes=44), with_activities=False)
    assert (await handle.status()).runtime_status is RuntimeStatus.RUNNING
    await test.advance(timedelta(minutes=2), with_activities=False)
    status = await handle.status()
    assert status.output == "no more patience"
    assert status.completed_time is not None
    assert timedelta(0) <= status.completed_time - due < timedelta(seconds=1)


# --- pauses and messages ------------------------------------------------------------------------


async def test_a_suspended_instance_keeps_its_messages_over_crashes_in_their_order(
    test: TestHost,
) -> None:
    handle = await test.start("collect", 6)
    await handle.raise_event("item", 0)
    await handle.suspend()
    for number in range(1, 5):
        await handle.raise_event("item", number)
        await (test.crash() if number % 2 else test.restart())
        assert (await handle.status()).runtime_status is RuntimeStatus.SUSPENDED
    await asyncio.gather(handle.resume(), handle.raise_event("item", 5))
    assert await handle.result() == [0, 1, 2, 3, 4, 5]
    assert await waiting_in(storage_of(test)) == []


async def test_an_event_of_a_topic_is_kept_once_for_a_suspended_instance_however_often_hosts_come(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def trip(ctx: Context) -> list[str]:
        flight = ctx.wait_for_event("flights", match="lyon")
        hotel = ctx.wait_for_event("hotels", match="lyon")
        return [(await flight).data, (await hotel).data]

    handle = await test.start(trip)
    await test.idle()
    await handle.suspend()
    await test.client.publish("flights", "AF 7", key="lyon")
    await test.client.publish("flights", "AF 9", key="lyon")
    for number in range(5):
        await (test.crash() if number % 2 else test.restart())
        await test.idle()
        assert len(await waiting_in(storage_of(test))) == 1
    await test.client.publish("hotels", "Bellecour", key="lyon")
    for _ in range(2):
        await test.restart()
        await test.idle()
        assert len(await waiting_in(storage_of(test))) == 2
    await handle.resume()
    assert await handle.result() == ["AF 7", "Bellecour"]
    assert await waiting_in(storage_of(test)) == []


async def test_work_of_a_suspended_instance_is_taken_up_at_the_resume(
    app: App, test: TestHost
) -> None:
    ran: list[int] = []
    release = asyncio.Event()

    @app.activity
    async def slow() -> int:
        ran.append(1)
        await release.wait()
        return len(ran)

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        await asyncio.sleep(60)
        slow_one = ctx.call_activity(slow)
        await asyncio.sleep(3_600)
        return await slow_one

    handle = await test.start(parent)
    await test.advance(timedelta(seconds=61), with_activities=False)
    await handle.suspend()
    await test.crash()
    await test.advance(timedelta(minutes=5), with_activities=False)
    assert ran == [1]  # a pause begins nothing
    await handle.resume()
    await test.idle(with_activities=False)
    assert ran == [1, 1]
    release.set()
    assert await handle.result() == 2


async def test_durable_before_visible_an_acknowledged_event_survives_a_crash(
    test: TestHost,
) -> None:
    handle = await test.start("collect", 5)
    for number in range(5):
        await handle.raise_event("item", number)
        await test.crash()
    assert await handle.result() == [0, 1, 2, 3, 4]


# --- families -----------------------------------------------------------------------------------


async def test_results_of_children_that_end_while_their_parent_is_unloaded_arrive(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def family(ctx: Context) -> list[object]:
        calls = [
            ctx.call_sub_orchestrator("nap", seconds, instance_id=f"nap-{seconds}")
            for seconds in (5, 5_000, 50_000)
        ]
        calls.append(ctx.call_sub_orchestrator("collect", 1, instance_id="listener"))
        return list(await asyncio.gather(*calls))

    handle = await test.start(family)
    await test.advance(timedelta(seconds=10))
    await test.crash()
    await test.client.raise_event("listener", "item", 7)
    await test.advance(timedelta(seconds=6_000))
    await test.restart()
    assert await handle.result() == ["slept 5 s", "slept 5000 s", "slept 50000 s", [7]]


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_exactly_once_turns_a_family_is_cut_off_at_every_commit(
    app: App, unreplayable: set[str], point: str
) -> None:
    """Starts of children, their results, chosen ids and events, with a crash at the n-th commit."""

    @app.orchestrator
    async def child(ctx: Context, n: int) -> int:
        return int(await ctx.call_activity("add", n, 100))

    @app.orchestrator
    async def failing(ctx: Context) -> None:
        raise ValueError("on purpose")

    @app.orchestrator
    async def family(ctx: Context) -> list[object]:
        chosen = ctx.call_sub_orchestrator(child.options(instance_id="chosen"), 1)
        derived = [ctx.call_sub_orchestrator(child, n) for n in range(3)]
        ctx.start_orchestrator("collect", 2, instance_id="detached")
        ctx.send_event("detached", "item", 1)
        got: list[object] = [await chosen, *await asyncio.gather(*derived)]
        ctx.send_event("detached", "item", 2)
        try:
            await ctx.call_sub_orchestrator(failing)
        except SubOrchestrationError:
            got.append("failed")
        return got

    crashes = 0
    for hit in range(1, 16):
        crash = CrashAt(point, hit)
        async with TestHost(app, observer=crash) as test:
            starting = asyncio.ensure_future(test.start(family, instance_id="family"))
            happened = asyncio.ensure_future(crash.happened())
            await asyncio.wait([starting, happened], return_when=asyncio.FIRST_COMPLETED)
            ending = asyncio.ensure_future(test.client.wait("family"))
            await asyncio.wait([ending, happened], return_when=asyncio.FIRST_COMPLETED)
            if happened.done():
                crashes += 1
                await test.crash()
            happened.cancel()
            outcomes = await asyncio.gather(starting, ending, return_exceptions=True)
            if await test.client.get_status("family") is None:
                # Cut off before the start was durable: then it was not acknowledged either.
                assert isinstance(outcomes[0], StorageUnavailableError)
                continue
            assert await test.client.handle("family").result() == [101, 100, 101, 102, "failed"]
            assert await test.client.handle("detached").result() == [1, 2]
            await test.idle()
            assert await waiting_in(storage_of(test)) == []
            assert await storage_of(test).dead_letters() == []
            async for status in test.client.query():
                assert status.runtime_status.is_finished
                check_invariants(await test.client.history(status.instance_id))
    assert crashes >= 5


async def test_a_child_whose_row_is_committed_before_its_first_turn_recovers(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        child = ctx.call_sub_orchestrator("collect", 2, instance_id=f"{ctx.execution_id}-child")
        return list(await child)

    commit_before_the_next_turn(test)
    handle = await test.start(parent)
    await until(test, handle, "SubOrchestrationInstanceCreated")
    (child,) = [
        event.instance_id
        for event in await test.client.history(handle.instance_id)
        if isinstance(event, SubOrchestrationInstanceCreated)
    ]
    await until(test, test.client.handle(child), "ExecutionStarted")
    status = await test.client.handle(child).status()
    assert status.runtime_status is RuntimeStatus.RUNNING
    await test.client.raise_event(child, "item", 1)
    await test.crash()
    assert (await test.client.handle(child).status()).runtime_status is RuntimeStatus.RUNNING
    await test.client.raise_event(child, "item", 2)
    assert await handle.result() == [1, 2]


async def test_exactly_once_turns_a_request_to_replace_is_used_up_with_the_turn_it_leads_to(
    app: App, tmp_path: Path
) -> None:
    """Asked for from outside, and the host is cut off at its next commit."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    crash = CrashAt("after_commit", 10**9)
    async with (
        TestHost(app, storage=url, observer=crash) as test,
        Client.open(url, app) as outside,
    ):
        assert await test.run("summed", 2, instance_id="x") == 1
        commit_before_the_next_turn(test)
        crash.hits_left = 1
        starting = asyncio.ensure_future(outside.start("summed", 3, instance_id="x"))
        await asyncio.wait_for(crash.happened(), 10)
        await test.crash()
        handle = await asyncio.wait_for(starting, 10)
        assert await handle.result() == 3


# --- generations --------------------------------------------------------------------------------


async def test_exactly_once_turns_continue_as_new_is_cut_between_generations(app: App) -> None:
    """The old generation is durable with the events it carries, the new one has no turn yet."""

    @app.orchestrator
    async def countdown(ctx: Context, left: int, seen: list[int]) -> list[int]:
        if not seen:
            await ctx.wait_for_external_event("go")
        if left:
            seen.append(await ctx.call_activity("add", left, 10))
            ctx.continue_as_new(left - 1, seen)
            return []
        return [*seen, await ctx.wait_for_external_event("item", int)]

    cuts = 0
    for hit in range(1, 12):
        crash = CrashAt("after_commit", 10**9)
        async with TestHost(app, observer=crash) as test:
            handle = await test.start(countdown, 3, [])
            await handle.raise_event("item", 7)
            commit_before_the_next_turn(test)
            crash.hits_left = hit
            ending = asyncio.ensure_future(handle.result())
            happened = asyncio.ensure_future(crash.happened())
            going = asyncio.ensure_future(handle.raise_event("go"))
            await asyncio.wait([ending, happened], return_when=asyncio.FIRST_COMPLETED)
            if happened.done():
                (loaded,) = await storage_of(test).load_instances([1])
                cuts += loaded.record.generation > 0 and not loaded.turns
                await test.crash()
            happened.cancel()
            await asyncio.gather(going, return_exceptions=True)
            assert await ending == [13, 12, 11, 7]
            (loaded,) = await storage_of(test).load_instances([1])
            assert (loaded.record.generation, loaded.inbox) == (3, [])
            check_invariants(await test.client.history(handle.instance_id))
    assert cuts == 3


# --- many, and broken ones ----------------------------------------------------------------------


async def test_more_instances_than_one_read_takes_recover(test: TestHost) -> None:
    """ENGINE rule 27: in chunks, with messages that wait for each of them."""
    count = 1_300
    handles = await asyncio.gather(
        *(test.start("collect", 2, instance_id=f"c-{number}") for number in range(count))
    )
    await asyncio.gather(*(one.suspend() for one in handles))
    await asyncio.gather(*(one.raise_event("item", 1) for one in handles))
    await test.crash()
    await asyncio.gather(*(one.resume() for one in handles))
    await test.crash()
    await asyncio.gather(*(one.raise_event("item", 2) for one in handles))
    results = await asyncio.gather(*(one.result() for one in handles))
    assert results == [[1, 2]] * count


async def test_an_instance_whose_history_is_damaged_keeps_nobody_else_from_work(
    test: TestHost, unreplayable: set[str]
) -> None:
    broken = await test.start("nap", 60, instance_id="broken")
    sound = [await test.start("nap", 60, instance_id=f"sound-{n}") for n in range(3)]
    await test.idle()
    storage = storage_of(test)
    await run_sql(
        storage,
        """UPDATE hub.history SET events = '[{"type":"Nonsense"}]'
        WHERE iid = (SELECT iid FROM hub.instance WHERE instance_id = 'broken')""",
    )
    await test.crash()
    assert [await one.result() for one in sound] == ["slept 60 s"] * 3
    assert any("cannot be read" in text for _, text in test.problems)
    with pytest.raises(StorageCorruptError, match=r"cannot be read.*Nonsense"):
        await broken.terminate()
    names = [one.instance_id async for one in test.client.query(InstanceFilter(id_prefix="b"))]
    assert names == ["broken"]
    await run_sql(storage, "DELETE FROM hub.instance WHERE instance_id = 'broken'")
    test.problems.clear()


async def test_a_message_of_the_inbox_that_was_taken_twice_counts_once(test: TestHost) -> None:
    """``exactly_once_turns``: the row is in the store, on the way, and in memory."""
    handle = await test.start("collect", 3)
    await handle.suspend()
    for number in range(3):
        await handle.raise_event("item", number)
    await test.idle()
    rows: list[InboxRow] = await waiting_in(storage_of(test))
    assert len(rows) == 3
    for row in rows * 2:
        test.host.engine.arrivals.route(row)
    resuming = asyncio.ensure_future(handle.resume())
    for row in rows:
        test.host.engine.arrivals.route(row)
    await resuming
    assert await handle.result() == [0, 1, 2]
    history = await test.client.history(handle.instance_id)
    assert kinds(history).count("EventRaised") == 3


async def test_exactly_once_turns_a_message_that_is_used_up_while_the_inbox_is_read(
    app: App, tmp_path: Path
) -> None:
    """The page that the poll holds still shows it."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with TestHost(app, storage=url) as test, Client.open(url) as outside:
        handle = await test.start("collect", 2)
        other = await test.start("collect", 1)
        await test.advance(timedelta(seconds=5))
        storage = test.host.engine.storage
        async with holding(storage, "fetch_inbox", "after") as reading:
            await outside.raise_event(handle.instance_id, "item", 1)
            await asyncio.wait_for(reading.arrived.wait(), 10)
            # Loaded for another reason, it finds the row in its inbox by itself.
            await handle.suspend()
            await handle.resume()
            await until(test, handle, "EventRaised")
            reading.let_go()
            await outside.raise_event(other.instance_id, "item", 3)
            assert await outside.handle(other.instance_id).result() == [3]
        await handle.raise_event("item", 2)
        assert await handle.result() == [1, 2]
        assert kinds(await test.client.history(handle.instance_id)).count("EventRaised") == 2


async def until(test: TestHost, handle: OrchestrationHandle[object], kind: str) -> None:
    async with asyncio.timeout(30):
        while kind not in kinds(await test.client.history(handle.instance_id)):  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_an_event_that_is_on_its_way_when_its_id_is_used_again_reaches_the_new_instance(
    test: TestHost,
) -> None:
    """What was read of the old one is out of date when it arrives."""
    assert await test.run("summed", 2, instance_id="x") == 1
    storage = test.host.engine.storage
    async with holding(storage, "load_instances", "after", only_first=True) as reading:
        asking = asyncio.ensure_future(test.client.raise_event("x", "item", 7))
        await reading.arrived.wait()
        again = await test.client.start("collect", 1, instance_id="x")
        await asking
        reading.let_go()
        assert await again.result() == [7]
    assert (await again.status()).output == [7]


async def test_a_turn_that_went_wrong_is_taken_again_from_history(
    test: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENGINE rule 6; the turn before is still being committed when it happens."""
    handle = await test.start("collect", 3)
    await test.idle()
    engine = test.host.engine
    failures = [RuntimeError("of the engine's own")]
    run_turn = Session.run_turn

    def sometimes(session: Session, *arguments: Any, **named: Any) -> object:
        if failures and not named.get("replaying"):
            raise failures.pop()
        return run_turn(session, *arguments, **named)

    async with holding(engine.storage, "commit", "before") as commit:
        first = asyncio.ensure_future(handle.raise_event("item", 1))
        await commit.arrived.wait()
        monkeypatch.setattr(Session, "run_turn", sometimes)
        second = asyncio.ensure_future(handle.raise_event("item", 2))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not failures
        commit.let_go()
        await asyncio.gather(first, second)
    failures.append(RuntimeError("another one, much later"))
    await handle.raise_event("item", 3)
    assert await handle.result() == [1, 2, 3]
    assert ["tried again" in text for _, text in test.problems] == [True, True]
    test.problems.clear()


async def test_a_turn_that_keeps_going_wrong_fails_its_instance_alone(
    app: App, test: TestHost, monkeypatch: pytest.MonkeyPatch, unreplayable: set[str]
) -> None:
    """Poison: given up after the second time; the others go on, and its events are buried."""

    @app.orchestrator
    async def sender(ctx: Context) -> None:
        ctx.send_event("poisoned", "item", 9)

    handle = await test.start("collect", 1, instance_id="poisoned")
    other = await test.start("collect", 1)
    await test.idle()
    unreplayable.add("poisoned")
    run_turn = Session.run_turn

    def broken(session: Session, *arguments: Any, **named: Any) -> object:
        if session.info.instance_id == "poisoned":
            raise RuntimeError("of the engine's own")
        return run_turn(session, *arguments, **named)

    monkeypatch.setattr(Session, "run_turn", broken)
    await (await test.start(sender)).result()
    await other.raise_event("item", 2)
    with pytest.raises(OrchestrationFailedError, match="of the engine's own"):
        await handle.result()
    (letter,) = await storage_of(test).dead_letters()
    assert letter.instance_id == "poisoned"
    assert "its turn failed: of the engine's own" in letter.reason
    assert await other.result() == [2]
    monkeypatch.undo()
    assert [instance_id for instance_id, _ in test.problems] == ["poisoned"] * len(test.problems)
    test.problems.clear()


# --- graceful ends ------------------------------------------------------------------------------


async def test_a_graceful_stop_lets_running_activities_end_and_keeps_their_results(
    app: App, test: TestHost
) -> None:
    ran: list[str] = []

    @app.activity
    async def slow(name: str) -> str:
        ran.append(name)
        await asyncio.sleep(0.05)  # a call to the world, in real time
        return name.upper()

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        first = await asyncio.gather(*(ctx.call_activity(slow, name) for name in "ab"))
        return [*first, await ctx.call_activity(slow, "c")]

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    await test.restart()
    assert await handle.result() == ["A", "B", "C"]
    assert Counter(ran) == {"a": 1, "b": 1, "c": 1}


async def test_who_waits_at_a_host_that_stops_is_told(app: App) -> None:
    host = Host(app, "sqlite://")
    await host.start()
    handle = await host.client.start("collect", 1)
    waiting = asyncio.ensure_future(handle.result())
    await asyncio.sleep(0.01)
    await host.stop()
    with pytest.raises(StorageUnavailableError, match="the host has stopped"):
        await waiting
    with pytest.raises(StorageUnavailableError):
        await handle.raise_event("item", 1)
