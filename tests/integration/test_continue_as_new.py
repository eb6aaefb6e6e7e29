"""Continue-as-new: a fresh history under the same id, and what goes along."""

import asyncio
from datetime import timedelta

import pytest

from tenuto import (
    ActivityContext,
    App,
    Context,
    Limits,
    OrchestrationFailedError,
    RuntimeStatus,
    Settings,
)
from tenuto.engine.rows import CommitBatch, CommitResult
from tenuto.model.events import ExecutionStarted
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing import RecordingObserver, TestHost
from tests.integration.conftest import OpenHost
from tests.support.histories import kinds, of_type
from tests.support.waiting import until


async def test_each_generation_has_a_fresh_history_and_execution_id(
    app: App, test: TestHost
) -> None:
    @app.activity
    def note(text: str) -> str:
        return text

    @app.orchestrator
    async def loop(ctx: Context, number: int, seen: list[str]) -> list[str]:
        await ctx.call_activity(note, "work")
        seen.append(ctx.execution_id)
        if len(seen) < 4:
            ctx.continue_as_new(number + 1, seen)
            return []
        return seen

    handle = await test.start(loop, 0, [])
    executions = await handle.result()
    assert len(set(executions)) == 4
    history = await test.client.history(handle.instance_id)
    assert kinds(history) == [
        "ExecutionStarted",
        "TaskScheduled",
        "TaskCompleted",
        "ExecutionCompleted",
    ]
    assert of_type(history, ExecutionStarted)[0].generation == 3
    status = await handle.status()
    assert status.execution_id == executions[-1]
    assert status.input == {"number": 3, "seen": executions[:3]}


async def test_clients_never_see_an_end_between_generations(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def loop(ctx: Context, number: int) -> int:
        await ctx.create_timer(timedelta(minutes=1))
        if number < 5:
            ctx.continue_as_new(number + 1)
        return number

    handle = await test.start(loop, 0)
    before = await handle.status()
    seen = set()
    for _ in range(5):
        await test.advance(timedelta(minutes=1))
        status = await handle.status()
        seen.add(status.runtime_status)
        assert status.created_time == before.created_time
        assert status.completed_time is None
    assert seen <= {RuntimeStatus.RUNNING, RuntimeStatus.PENDING}
    assert await handle.result() == 5


@pytest.mark.parametrize("slow", [False, True])
async def test_an_actor_loop_counts_what_it_is_sent(app: App, test: TestHost, slow: bool) -> None:
    """S50: incr, incr, incr, decr, incr, end gives 3, waiting between sends or not."""

    @app.orchestrator
    async def counter(ctx: Context, count: int) -> int:
        operation = await ctx.wait_for_external_event("operation", str)
        if operation == "end":
            return count
        ctx.continue_as_new(count + (1 if operation == "incr" else -1))
        return count

    handle = await test.start(counter, 0)
    for operation in ("incr", "incr", "incr", "decr", "incr", "end"):
        await handle.raise_event("operation", operation)
        if slow:
            await test.idle()
            await test.advance(timedelta(seconds=3))
    assert await handle.result() == 3


async def test_unread_events_go_along_in_order_by_default(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context, seen: list[int]) -> list[int]:
        if not seen:
            await ctx.create_timer(timedelta(hours=1))
        seen.append(await ctx.wait_for_external_event("item", int))
        if len(seen) < 4:
            ctx.continue_as_new(seen)
        return seen

    handle = await test.start(parent, [])
    for number in range(4):
        await handle.raise_event("item", number)
    assert await handle.result() == [0, 1, 2, 3]


async def test_unread_events_stay_behind_when_asked(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context, generation: int) -> list[int]:
        if generation == 0:
            await ctx.create_timer(timedelta(hours=1))
            ctx.continue_as_new(1, keep_events=False)
            return []
        return [await ctx.wait_for_external_event("item", int)]

    handle = await test.start(parent, 0)
    await handle.raise_event("item", 1)
    await test.advance(timedelta(hours=2))
    assert not (await handle.status()).runtime_status.is_finished
    await handle.raise_event("item", 2)
    assert await handle.result() == [2]


async def test_a_burst_of_events_with_different_names_is_consumed_over_generations(
    app: App, test: TestHost
) -> None:
    """S55: each generation sets a timer and cancels it when its signal arrives."""

    @app.orchestrator
    async def chain(ctx: Context, number: int) -> str:
        deadline = ctx.create_timer(timedelta(hours=1))
        signal = ctx.wait_for_external_event(f"signal{number}")
        if await ctx.task_any([signal, deadline]) is deadline:
            return f"signal{number} never came"
        deadline.cancel()
        if number == 19:
            return "ok"
        ctx.continue_as_new(number + 1)
        return ""

    handle = await test.start(chain, 0)
    await asyncio.gather(*(handle.raise_event(f"signal{number}") for number in range(20)))
    assert await handle.result() == "ok"


async def test_old_answers_never_reach_the_new_generation(app: App, test: TestHost) -> None:
    """Activity result, timer and child of generation 0 come while generation 1 waits on the
    same ids: they must not be taken for answers to it."""
    release = asyncio.Event()

    @app.activity
    async def slow(text: str) -> str:
        if text == "old":
            await release.wait()
        else:
            await asyncio.sleep(0)
        return text

    @app.orchestrator
    async def child(ctx: Context, text: str) -> str:
        await ctx.create_timer(timedelta(minutes=2 if text == "old" else 30))
        return text

    @app.orchestrator
    async def parent(ctx: Context, generation: int) -> list[str]:
        text = ("old", "new")[generation]
        activity = ctx.call_activity(slow, text)
        timer = ctx.create_timer(timedelta(minutes=5 if generation == 0 else 60))
        task = ctx.call_sub_orchestrator(child, text)
        if generation == 0:
            await ctx.wait_for_external_event("next")
            ctx.continue_as_new(1)
            return []
        began = ctx.current_time
        results = [await task, await activity]
        await timer
        return [*results, str(ctx.current_time - began)]

    handle = await test.start(parent, 0)
    await test.idle(with_activities=False)
    await handle.raise_event("next")
    await test.idle(with_activities=False)
    release.set()
    assert await handle.result() == ["new", "new", "1:00:00"]


async def test_activities_of_the_old_generation_get_their_cancellation_token(
    app: App, test: TestHost
) -> None:
    stopped = asyncio.Event()

    @app.activity
    async def slow(context: ActivityContext) -> None:
        await context.cancellation.wait()
        stopped.set()

    @app.orchestrator
    async def parent(ctx: Context, generation: int) -> str:
        if generation == 0:
            _ = ctx.call_activity(slow)
            await ctx.wait_for_external_event("next")
            ctx.continue_as_new(1)
            return ""
        return "done"

    handle = await test.start(parent, 0)
    await test.idle(with_activities=False)
    await handle.raise_event("next")
    assert await handle.result() == "done"
    await asyncio.wait_for(stopped.wait(), 10)


async def test_identity_status_and_labels_are_kept(app: App, test: TestHost) -> None:
    """Custom status, tags, version, name and parent go along; so does the wait of the parent."""

    @app.orchestrator
    async def child(ctx: Context, number: int) -> list[str | None]:
        if number == 0:
            ctx.set_custom_status({"set by": "generation 0"})
        await ctx.create_timer(timedelta(minutes=1))
        if number < 3:
            ctx.continue_as_new(number + 1)
        return [ctx.name, ctx.version, ctx.tags.get("team"), ctx.parent_instance_id]

    @app.orchestrator
    async def parent(ctx: Context) -> list[str | None]:
        options = child.options(instance_id="the-child", version="7", tags={"team": "sea"})
        return await ctx.call_sub_orchestrator(options, 0)

    result = await test.run(parent, instance_id="the-parent")
    assert result == ["child", "7", "sea", "the-parent"]
    status = await test.client.get_status("the-child")
    assert status is not None
    assert status.custom_status == {"set by": "generation 0"}
    assert (status.version, dict(status.tags)) == ("7", {"team": "sea"})


async def test_continue_as_new_takes_effect_when_the_orchestrator_returns(
    app: App, test: TestHost
) -> None:
    done: list[str] = []

    @app.activity
    def note(text: str) -> None:
        done.append(text)

    @app.orchestrator
    async def parent(ctx: Context, number: int) -> int:
        if number == 0:
            ctx.continue_as_new(5)
            ctx.continue_as_new(1)
            await ctx.call_activity(note, "after the call")
            return 0
        return number

    assert await test.run(parent, 0) == 1
    assert done == ["after the call"]


async def test_an_orchestrator_that_fails_after_continue_as_new_fails(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context, number: int) -> None:
        ctx.continue_as_new(number + 1)
        raise ValueError("after the call")

    with pytest.raises(OrchestrationFailedError, match="after the call"):
        await test.run(parent, 0)


async def test_generations_survive_restart_and_crash(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def loop(ctx: Context, number: int, seen: list[int]) -> list[int]:
        await ctx.create_timer(timedelta(hours=1))
        seen.append(await ctx.wait_for_external_event("item", int))
        if number < 5:
            ctx.continue_as_new(number + 1, seen)
        return seen

    handle = await test.start(loop, 0, [])
    for number in range(6):
        await handle.raise_event("item", number)
    for turn in range(5):
        await test.advance(timedelta(minutes=50))
        await (test.crash() if turn % 2 else test.restart())
    assert await handle.result() == [0, 1, 2, 3, 4, 5]


async def test_an_endless_loop_without_waiting_is_stopped_by_its_limit(
    app: App, open_host: OpenHost
) -> None:
    @app.orchestrator
    async def runaway(ctx: Context, number: int) -> None:
        ctx.continue_as_new(number + 1)

    test = await open_host(app, settings=Settings(limits=Limits(generations_per_minute=20)))
    handle = await test.start(runaway, 0)
    with pytest.raises(OrchestrationFailedError, match="generations_per_minute"):
        await handle.result()
    assert (await handle.status()).input == 20
    assert [text.partition(",")[0] for _, text in test.problems] == [
        "11 generations followed each other without a wait"
    ]
    test.problems.clear()


class GatedStorage(SqliteStorage):
    """A store whose commits wait until a test lets one more through."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.waiting = 0
        self.gate = asyncio.Semaphore(0)

    async def commit(self, batch: CommitBatch) -> CommitResult:
        self.waiting += 1
        await self.gate.acquire()
        return await super().commit(batch)

    def open_gate(self) -> None:
        """Hold nothing back any more."""
        for _ in range(1_000):
            self.gate.release()


async def test_an_end_in_the_next_batch_is_not_told_with_this_one_durable_before_visible(
    app: App,
) -> None:
    """The last generation has ended in memory while the commit of the first is under way."""
    store = GatedStorage()
    observer = RecordingObserver()

    @app.orchestrator
    async def twice(ctx: Context, number: int) -> int:
        await ctx.wait_for_external_event("next")
        if number == 0:
            ctx.continue_as_new(1)
        return number

    async with TestHost(app, storage=store, observer=observer) as test:
        try:
            client = test.host.client
            store.gate.release()
            handle = await client.start(twice, 0)
            waiting = asyncio.create_task(client.wait(handle.instance_id))
            events = []
            for _ in range(2):
                events.append(asyncio.create_task(client.raise_event(handle.instance_id, "next")))
                await until(lambda: store.waiting == 2)
                for _ in range(20):
                    await asyncio.sleep(0)  # turns go on in memory while the commit waits
            resident = test.host.engine.residents.named(InstanceId(handle.instance_id))
            assert resident is not None
            assert resident.state.is_finished
            store.gate.release()
            await until(lambda: store.waiting == 3)
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
            assert observer.ended == []
            store.gate.release()
            assert (await waiting).output == 1
            assert len(observer.ended) == 1
            await asyncio.gather(*events)
        finally:
            store.open_gate()


async def test_a_loop_that_waits_runs_for_ever(app: App, open_host: OpenHost) -> None:
    @app.orchestrator
    async def monitor(ctx: Context, number: int) -> int:
        await ctx.create_timer(timedelta(seconds=1))
        if number < 200:
            ctx.continue_as_new(number + 1)
        return number

    test = await open_host(app, settings=Settings(limits=Limits(generations_per_minute=20)))
    assert await test.run(monitor, 0) == 200


async def test_an_orchestrator_without_parameters_starts_over(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def poll(ctx: Context) -> str:
        await ctx.create_timer(timedelta(minutes=1))
        try:
            return await ctx.wait_for_external_event("end", str, timedelta(0))
        except TimeoutError:
            ctx.continue_as_new()
            return ""

    handle = await test.start(poll)
    await test.advance(timedelta(minutes=10))
    await handle.raise_event("end", "enough")
    assert await handle.result() == "enough"
