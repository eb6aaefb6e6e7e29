"""Plain asyncio inside orchestrators: time, cancellation, locks, queues, what is refused."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from tenuto import ActivityContext, App, Context, GuardError, OrchestrationFailedError
from tenuto.model.events import TaskCanceled, TimerCreated, TimerFired
from tenuto.testing import TestHost
from tests.support.histories import kinds, of_type

# --- time -----------------------------------------------------------------------------------------


async def test_sleep_is_a_durable_timer(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> float:
        before = ctx.current_time
        await asyncio.sleep(3 * 86400)
        return (ctx.current_time - before).total_seconds()

    handle = await test.start(parent)
    assert await handle.result() == pytest.approx(3 * 86400, abs=0.001)
    history = await test.client.history(handle.instance_id)
    assert kinds(history) == [
        "ExecutionStarted",
        "TimerCreated",
        "TimerFired",
        "ExecutionCompleted",
    ]


async def test_sleep_zero_and_sleep_with_a_result_need_no_timer(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        return await asyncio.sleep(0, "done")

    handle = await test.start(parent)
    assert await handle.result() == "done"
    assert kinds(await test.client.history(handle.instance_id)) == [
        "ExecutionStarted",
        "ExecutionCompleted",
    ]


async def test_timeout_strikes_at_its_durable_time(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            async with asyncio.timeout(timedelta(days=3).total_seconds()):
                await ctx.wait_for_external_event("never")
        except TimeoutError:
            return str(ctx.current_time)
        return "no timeout"

    assert await test.run(parent) == "2026-01-04 00:00:00+00:00"


async def test_timeout_in_a_loop_leaves_no_open_timer_behind(app: App, test: TestHost) -> None:
    """Each round's timer is canceled and recorded as such, not left to fire days later."""

    @app.activity
    def step(number: int) -> int:
        return number

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        total = 0
        for number in range(5):
            async with asyncio.timeout(3 * 86400):
                total += await ctx.call_activity(step, number)
        await ctx.wait_for_external_event("end")
        return total

    handle = await test.start(parent)
    await test.idle()
    history = await test.client.history(handle.instance_id)
    created = [one.event_id for one in of_type(history, TimerCreated)]
    assert len(created) == 5
    assert [one.task_id for one in of_type(history, TaskCanceled)] == created
    await test.advance(timedelta(days=4))
    assert of_type(await test.client.history(handle.instance_id), TimerFired) == []
    await handle.raise_event("end")
    assert await handle.result() == 10


async def test_a_timer_made_and_canceled_in_one_turn_leaves_no_trace(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        return "done"

    handle = await test.start(parent)
    assert await handle.result() == "done"
    assert "TimerCreated" not in kinds(await test.client.history(handle.instance_id))


async def test_timeout_can_be_rescheduled(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> float:
        before = ctx.current_time
        try:
            async with asyncio.timeout(10) as timeout:
                await asyncio.sleep(5)
                timeout.reschedule(asyncio.get_running_loop().time() + 20)
                await ctx.wait_for_external_event("never")
        except TimeoutError:
            pass
        return (ctx.current_time - before).total_seconds()

    assert await test.run(parent) == pytest.approx(25, abs=0.01)


async def test_wait_for_gives_the_result_or_cancels_what_it_waits_for(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        seen = [await asyncio.wait_for(ctx.wait_for_external_event("first", str), 60)]
        try:
            await asyncio.wait_for(ctx.wait_for_external_event("second", str), 60)
        except TimeoutError:
            seen.append("timeout")
        # The wait that timed out consumed nothing, so this one gets the event.
        seen.append(await ctx.wait_for_external_event("second", str))
        return seen

    handle = await test.start(parent)
    await handle.raise_event("first", "1")
    await test.advance(timedelta(seconds=61))
    await handle.raise_event("second", "2")
    assert await handle.result() == ["1", "timeout", "2"]


async def test_shield_lets_the_work_go_on_when_the_wait_is_over(app: App, test: TestHost) -> None:
    release = asyncio.Event()

    @app.activity
    async def slow() -> str:
        await release.wait()
        return "done after all"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        task = ctx.call_activity(slow)
        try:
            async with asyncio.timeout(30):
                await asyncio.shield(task)
        except TimeoutError:
            await ctx.wait_for_external_event("go on")
        return await task

    handle = await test.start(parent)
    await test.advance(timedelta(seconds=31), with_activities=False)
    await handle.raise_event("go on")
    release.set()
    assert await handle.result() == "done after all"
    assert "TaskCanceled" not in kinds(await test.client.history(handle.instance_id))


async def test_call_later_of_the_loop_is_durable(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        loop.call_later(90, future.set_result, "called")
        loop.call_soon(lambda: None)
        return await future

    before = test.clock.current_time
    assert await test.run(parent) == "called"
    assert test.clock.current_time - before == timedelta(seconds=90)


# --- cancellation ---------------------------------------------------------------------------------


async def test_canceling_an_activity_turns_its_token_on_and_ignores_its_result(
    app: App, test: TestHost
) -> None:
    stopped = asyncio.Event()

    @app.activity
    async def slow(context: ActivityContext) -> str:
        await context.cancellation.wait()
        stopped.set()
        return "too late"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        task = ctx.call_activity(slow)
        await ctx.create_timer(timedelta(seconds=5))
        assert task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            await ctx.create_timer(timedelta(seconds=5))
            return "canceled"
        return "not canceled"

    handle = await test.start(parent)
    await test.advance(timedelta(seconds=5), with_activities=False)
    await stopped.wait()
    assert await handle.result() == "canceled"
    history = await test.client.history(handle.instance_id)
    assert [one.task_id for one in of_type(history, TaskCanceled)] == [1]
    assert "TaskCompleted" not in kinds(history)


async def test_cancel_in_a_task_runs_finally_blocks_that_do_durable_work(
    app: App, test: TestHost
) -> None:
    undone: list[str] = []

    @app.activity
    def undo(what: str) -> None:
        undone.append(what)

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        async def branch() -> None:
            try:
                await asyncio.sleep(1_000)
            finally:
                await ctx.call_activity(undo, "branch")

        task = asyncio.create_task(branch())
        await asyncio.sleep(1)
        task.cancel("enough")
        try:
            await task
        except asyncio.CancelledError as error:
            return str(error)
        return "not canceled"

    assert await test.run(parent) == "enough"
    assert undone == ["branch"]


async def test_an_orchestrator_that_cancels_itself_fails(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> None:
        raise asyncio.CancelledError

    with pytest.raises(OrchestrationFailedError, match="CancelledError"):
        await test.run(parent)


async def test_open_tasks_end_with_the_orchestrator_without_deciding_anything(
    app: App, test: TestHost
) -> None:
    """ENGINE rule 11: a ``finally`` that runs at the end can schedule nothing any more."""
    calls: list[str] = []

    @app.activity
    def note(text: str) -> None:
        calls.append(text)

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        async def background() -> None:
            try:
                await asyncio.sleep(1_000)
            finally:
                await ctx.call_activity(note, "from finally")

        task = asyncio.create_task(background())
        await asyncio.sleep(1)
        assert not task.done()
        return "done"

    before = test.clock.current_time
    assert await test.run(parent) == "done"
    await test.idle()
    assert calls == []
    assert test.clock.current_time - before == timedelta(seconds=1)


# --- synchronization ------------------------------------------------------------------------------


async def test_a_lock_is_handed_on_in_order(app: App, test: TestHost) -> None:
    @app.activity
    def work(name: str) -> str:
        return name

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        lock = asyncio.Lock()
        log: list[str] = []

        async def worker(name: str) -> None:
            async with lock:
                log.append(f"{name} in")
                await ctx.call_activity(work, name)
                log.append(f"{name} out")

        await asyncio.gather(worker("a"), worker("b"), worker("c"))
        return log

    assert await test.run(parent) == ["a in", "a out", "b in", "b out", "c in", "c out"]


async def test_a_semaphore_bounds_what_runs_side_by_side(app: App, test: TestHost) -> None:
    running: set[int] = set()
    most: list[int] = []
    guard = threading.Lock()

    @app.activity
    async def work(number: int) -> int:
        with guard:
            running.add(number)
            most.append(len(running))
        await asyncio.sleep(0.002)
        with guard:
            running.discard(number)
        return number

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        semaphore = asyncio.Semaphore(3)

        async def bounded(number: int) -> int:
            async with semaphore:
                return await ctx.call_activity(work, number)

        return sum(await asyncio.gather(*(bounded(number) for number in range(12))))

    assert await test.run(parent) == 66
    assert max(most) == 3


async def test_a_queue_connects_producer_and_consumers(app: App, test: TestHost) -> None:
    @app.activity
    def square(number: int) -> int:
        return number * number

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        queue: asyncio.Queue[int | None] = asyncio.Queue(maxsize=2)
        results: list[int] = []

        async def produce() -> None:
            for number in range(6):
                await queue.put(number)
                await asyncio.sleep(0.5)
            for _ in range(2):
                await queue.put(None)

        async def consume() -> None:
            while (number := await queue.get()) is not None:
                results.append(await ctx.call_activity(square, number))
                queue.task_done()

        await asyncio.gather(produce(), consume(), consume())
        return results

    assert sorted(await test.run(parent)) == [0, 1, 4, 9, 16, 25]


async def test_event_condition_and_barrier_work(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        log: list[str] = []
        event, condition, barrier = asyncio.Event(), asyncio.Condition(), asyncio.Barrier(2)

        async def waiter() -> None:
            await event.wait()
            log.append("event")
            async with condition:
                condition.notify_all()
            await barrier.wait()
            log.append("barrier")

        task = asyncio.create_task(waiter())
        async with condition:
            event.set()
            await condition.wait()
            log.append("condition")
        await asyncio.sleep(1)
        await barrier.wait()
        await task
        return log

    assert await test.run(parent) == ["event", "condition", "barrier"]


async def test_futures_of_user_code_connect_its_tasks(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[Any]:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(asyncio.sleep(1, "slept"), name="sleeper")
        task.add_done_callback(lambda done: future.set_result(done.result() + "!"))
        current = asyncio.current_task()
        assert current is not None
        return [await future, task.get_name(), len(asyncio.all_tasks()) >= 1]

    assert await test.run(parent) == ["slept!", "sleeper", True]


async def test_context_variables_and_context_managers_keep_their_values(
    app: App, test: TestHost
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        log: list[str] = [variable.get()]

        @asynccontextmanager
        async def saying(text: str) -> AsyncIterator[None]:
            await asyncio.sleep(1)
            log.append(f"enter {text}")
            yield
            await asyncio.sleep(1)
            log.append(f"leave {text}")

        async def child(value: str) -> None:
            variable.set(value)
            await asyncio.sleep(1)
            log.append(variable.get())

        async with saying("a"), saying("b"):
            await asyncio.gather(child("one"), child("two"))
        log.append(variable.get())
        return log

    variable.set("the host's, which no orchestrator sees")
    assert await test.run(parent) == [
        "unset",
        "enter a",
        "enter b",
        "one",
        "two",
        "leave b",
        "leave a",
        "unset",
    ]


async def test_async_generators_suspend_and_close_in_their_session(
    app: App, test: TestHost
) -> None:
    @app.activity
    def page(number: int) -> list[int]:
        return [number * 2, number * 2 + 1] if number < 3 else []

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        async def items() -> AsyncIterator[int]:
            number = 0
            while found := await ctx.call_activity(page, number):
                for one in found:
                    yield one
                number += 1

        seen = [one async for one in items()]
        async for one in items():
            seen.append(one)
            break
        return seen

    assert await test.run(parent) == [0, 1, 2, 3, 4, 5, 0]


async def test_asyncio_of_the_host_is_untouched_while_orchestrators_run(
    app: App, test: TestHost
) -> None:
    """Two loops in one thread: what the test itself awaits is real."""

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        await asyncio.gather(asyncio.sleep(60), asyncio.sleep(30))
        return "done"

    async def own() -> str:
        async with asyncio.timeout(10):
            done, _ = await asyncio.wait(
                {asyncio.create_task(asyncio.sleep(0.01, "mine")) for _ in range(3)}
            )
        return next(iter(done)).result()

    mine, result = await asyncio.gather(own(), test.run(parent))
    assert (mine, result) == ("mine", "done")


# --- refused --------------------------------------------------------------------------------------


async def _to_thread() -> None:
    await asyncio.to_thread(print)


async def _executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, print)


async def _connection() -> None:
    await asyncio.open_connection("localhost", 1)


async def _subprocess() -> None:
    await asyncio.create_subprocess_exec("true")


async def _threadsafe() -> None:
    asyncio.get_running_loop().call_soon_threadsafe(print)


async def _delay_of_no_length() -> None:
    asyncio.get_running_loop().call_later(float("nan"), print)


@pytest.mark.parametrize(
    ("forbidden", "hint"),
    [
        (_to_thread, "activity"),
        (_executor, "activity"),
        (_connection, "activity"),
        (_subprocess, "activity"),
        (_threadsafe, "external event"),
        (_delay_of_no_length, "finite"),
    ],
)
async def test_what_cannot_be_replayed_is_refused_by_name_with_the_alternative(
    app: App, test: TestHost, forbidden: Callable[[], Awaitable[None]], hint: str
) -> None:
    """ENGINE rule 7."""

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            await forbidden()
        except GuardError as error:
            return str(error)
        return "allowed"

    assert hint in await test.run(parent)


async def test_a_future_of_the_hosts_loop_is_refused(app: App, test: TestHost) -> None:
    foreign: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            return await foreign
        except GuardError as error:
            return str(error)

    assert "another event loop" in await test.run(parent)
