"""Work side by side: fan-out and fan-in, and the order in which answers are seen."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import ActivityError, App, Context, InputError, OrchestrationFailedError, RetryPolicy
from tenuto.model.events import TaskCompleted, TimerFired
from tenuto.testing import TestHost
from tests.support.histories import kinds, of_type


class Gates:
    """Async activities that end when, and in the order that, a test says."""

    def __init__(self, app: App) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.begun: list[str] = []

        @app.activity
        async def gated(name: str) -> str:
            self.begun.append(name)
            await self.gates.setdefault(name, asyncio.Event()).wait()
            if name.startswith("bad"):
                raise ValueError(name)
            return name

        self.activity = gated

    async def open(self, test: TestHost, *names: str) -> None:
        """Let these end, one after the other, each committed before the next."""
        for name in names:
            await test.idle(with_activities=False)
            self.gates.setdefault(name, asyncio.Event()).set()
            await _until_answered(test, len([one for one in self.gates.values() if one.is_set()]))


async def _until_answered(test: TestHost, count: int) -> None:
    while True:
        await test.idle(with_activities=False)
        answered = 0
        async for status in test.client.query():
            history = await test.client.history(status.instance_id)
            answered += sum(kind in {"TaskCompleted", "TaskFailed"} for kind in kinds(history))
            if status.runtime_status.is_finished:
                return
        if answered >= count:
            return


@pytest.fixture
def gates(app: App) -> Gates:
    return Gates(app)


async def test_gather_keeps_the_order_of_its_arguments_whatever_ends_first(
    app: App, test: TestHost, gates: Gates
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        return await asyncio.gather(*(ctx.call_activity(gates.activity, name) for name in "abc"))

    handle = await test.start(parent)
    await gates.open(test, "c", "a", "b")
    assert await handle.result() == ["a", "b", "c"]
    history = await test.client.history(handle.instance_id)
    assert [one.task_scheduled_id for one in of_type(history, TaskCompleted)] == [3, 1, 2]


async def test_a_fan_out_is_scheduled_in_one_turn_and_runs_side_by_side(
    app: App, test: TestHost, gates: Gates
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> int:
        tasks = [ctx.call_activity(gates.activity, str(number)) for number in range(50)]
        return len(await asyncio.gather(*tasks))

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    assert sorted(gates.begun, key=int) == [str(number) for number in range(50)]
    for name in gates.begun:
        gates.gates[name].set()
    assert await handle.result() == 50
    assert kinds(await test.client.history(handle.instance_id))[1:51] == ["TaskScheduled"] * 50


async def test_the_sizes_of_a_tree_of_files_are_summed_in_parallel(
    app: App, test: TestHost, tmp_path: Path
) -> None:
    """S6: recursive listing, one activity per file."""
    for number in range(1, 6):
        folder = tmp_path / f"folder{number % 2}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_bytes(b"x" * number)

    @app.activity
    def list_files(folder: str) -> list[str]:
        return sorted(str(path) for path in Path(folder).rglob("*.txt"))

    @app.activity
    def size_of(path: str) -> int:
        return Path(path).stat().st_size

    @app.orchestrator
    async def total_size(ctx: Context, folder: str) -> int:
        files = await ctx.call_activity(list_files, folder)
        return sum(await asyncio.gather(*(ctx.call_activity(size_of, path) for path in files)))

    assert await test.run(total_size, str(tmp_path)) == 15


async def test_wait_first_completed_gives_what_history_says_came_first(
    app: App, test: TestHost, gates: Gates
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[list[str]]:
        pending: set[asyncio.Future[str]] = {
            ctx.call_activity(gates.activity, name) for name in "abcd"
        }
        rounds = []
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            rounds.append([task.result() for task in done])
        return rounds

    handle = await test.start(parent)
    await gates.open(test, "c", "a", "d", "b")
    assert await handle.result() == [["c"], ["a"], ["d"], ["b"]]


async def test_wait_all_completed_with_a_timeout_reports_what_is_pending(
    app: App, test: TestHost, gates: Gates
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> tuple[list[str], int]:
        tasks = [ctx.call_activity(gates.activity, name) for name in "ab"]
        done, pending = await asyncio.wait(tasks, timeout=60)
        return [task.result() for task in done], len(pending)

    handle = await test.start(parent)
    await gates.open(test, "b")
    await test.advance(timedelta(seconds=61), with_activities=False)
    assert await handle.result() == (["b"], 1)
    gates.gates["a"].set()


async def test_wait_first_exception_stops_at_the_failure(
    app: App, test: TestHost, gates: Gates
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        tasks = [ctx.call_activity(gates.activity, name) for name in ("a", "bad", "c")]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        assert isinstance(tasks[1].exception(), ActivityError)
        return [len(done), len(pending)]

    handle = await test.start(parent)
    await gates.open(test, "a", "bad")
    assert await handle.result() == [2, 1]
    gates.gates["c"].set()


async def test_as_completed_follows_history(app: App, test: TestHost, gates: Gates) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        tasks = [ctx.call_activity(gates.activity, name) for name in "abc"]
        return [await one for one in asyncio.as_completed(tasks)]

    handle = await test.start(parent)
    await gates.open(test, "b", "c", "a")
    assert await handle.result() == ["b", "c", "a"]


async def test_as_completed_expires_for_what_is_late(
    app: App, test: TestHost, gates: Gates
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        seen = []
        tasks = [ctx.call_activity(gates.activity, name) for name in "ab"]
        try:
            for one in asyncio.as_completed(tasks, timeout=30):
                seen.append(await one)  # noqa: PERF401 - the error comes in the middle
        except TimeoutError:
            seen.append("late")
        return seen

    handle = await test.start(parent)
    await gates.open(test, "b")
    await test.advance(timedelta(seconds=30), with_activities=False)
    assert await handle.result() == ["b", "late"]
    gates.gates["a"].set()


async def test_task_group_takes_durable_tasks_and_coroutines(app: App, test: TestHost) -> None:
    @app.activity
    def double(number: int) -> int:
        return number * 2

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        async def twice(number: int) -> int:
            return await ctx.call_activity(double, await ctx.call_activity(double, number))

        async with asyncio.TaskGroup() as group:
            plain = group.create_task(ctx.call_activity(double, 1))
            nested = group.create_task(twice(1))
        return [plain.result(), nested.result()]

    assert await test.run(parent) == [2, 4]


async def test_task_group_cancels_its_tasks_when_one_fails(
    app: App, test: TestHost, gates: Gates
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        seen = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.call_activity(gates.activity, "bad"))
                group.create_task(ctx.call_activity(gates.activity, "never"))
                group.create_task(asyncio.sleep(1_000_000))
        except* ActivityError as failures:
            seen = [type(one).__name__ for one in failures.exceptions]
        return seen

    handle = await test.start(parent)
    await gates.open(test, "bad")
    assert await handle.result() == ["ActivityError"]
    assert kinds(await test.client.history(handle.instance_id))[-3:] == [
        "TaskCanceled",
        "TaskCanceled",
        "ExecutionCompleted",
    ]
    gates.gates["never"].set()


async def test_exception_groups_keep_every_failure_of_a_group(app: App, test: TestHost) -> None:
    @app.activity
    async def fail(text: str) -> None:
        raise ValueError(text)

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        async def failing(text: str) -> None:
            try:
                await ctx.call_activity(fail, text)
            except asyncio.CancelledError:
                raise KeyError(text) from None

        failures = []
        try:
            async with asyncio.TaskGroup() as group:
                for text in ("a", "b", "c"):
                    group.create_task(failing(text))
        except* ActivityError as first:
            failures += [type(one).__name__ for one in first.exceptions]
        except* KeyError as others:
            failures += [type(one).__name__ for one in others.exceptions]
        return failures

    assert await test.run(parent) == ["ActivityError", "KeyError", "KeyError"]


async def test_parallel_chains_interleave_by_history_and_replay_the_same(
    app: App, test: TestHost, gates: Gates
) -> None:
    """The order of user code is the order of answers, hot and in replay: ``replay_is_pure``."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        log: list[str] = []

        async def chain(name: str) -> None:
            for step in "12":
                await ctx.call_activity(gates.activity, f"{name}{step}")
                log.append(f"{name}{step}")

        await asyncio.gather(chain("x"), chain("y"))
        return log

    handle = await test.start(parent)
    await gates.open(test, "y1", "x1", "y2", "x2")
    assert await handle.result() == ["y1", "x1", "y2", "x2"]


async def test_all_fails_with_the_first_fault_and_the_rest_goes_on(
    app: App, test: TestHost, gates: Gates
) -> None:
    """S45: failed tasks do not hang the rest."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        tasks = [ctx.call_activity(gates.activity, name) for name in ("a", "bad", "b")]
        seen = []
        try:
            await ctx.task_all(tasks)
        except ActivityError as error:
            seen.append(error.failure.error_message)
        seen.append(await tasks[0])
        seen.append(await tasks[2])
        return seen

    handle = await test.start(parent)
    await gates.open(test, "bad", "a", "b")
    assert await handle.result() == ["bad", "a", "b"]


async def test_any_gives_the_task_that_was_first_even_a_failed_one(
    app: App, test: TestHost, gates: Gates
) -> None:
    """S45: ``task_any`` does not raise; the task it gives does."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        tasks = [ctx.call_activity(gates.activity, name) for name in ("a", "bad")]
        first = await ctx.task_any(tasks)
        assert first is tasks[1]
        assert isinstance(first.exception(), ActivityError)
        second = await ctx.task_any([tasks[0]])
        return [await second]

    handle = await test.start(parent)
    await gates.open(test, "bad", "a")
    assert await handle.result() == ["a"]


async def test_any_of_nothing_is_refused_and_all_of_nothing_is_empty(
    app: App, test: TestHost
) -> None:
    """S45: any with zero children would wait for ever."""

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        with pytest.raises(InputError, match="at least one task"):
            _ = ctx.task_any([])
        return await ctx.task_all([])

    assert await test.run(parent) == []


async def test_nested_all_and_any_compose(app: App, test: TestHost) -> None:
    @app.activity
    def double(number: int) -> int:
        return number * 2

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        fast = ctx.task_all([ctx.call_activity(double, number) for number in (1, 2)])
        slow = ctx.task_all([ctx.create_timer(timedelta(days=1))])
        winner = await ctx.task_any([fast, slow])
        assert winner is fast
        return await fast

    assert await test.run(parent) == [2, 4]


async def test_gather_with_return_exceptions_gives_all_outcomes(app: App, test: TestHost) -> None:
    @app.activity
    def check(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        outcomes = await asyncio.gather(
            *(ctx.call_activity(check, number) for number in (1, 2, 3)), return_exceptions=True
        )
        return [type(one).__name__ for one in outcomes]

    assert await test.run(parent) == ["int", "ActivityError", "int"]


async def test_an_uncaught_failure_of_one_branch_ends_the_instance(
    app: App, test: TestHost, gates: Gates
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await asyncio.gather(*(ctx.call_activity(gates.activity, name) for name in ("a", "bad")))

    handle = await test.start(parent)
    await gates.open(test, "bad")
    with pytest.raises(OrchestrationFailedError, match="ValueError: bad"):
        await handle.result()
    gates.gates["a"].set()


async def test_retries_of_parallel_tasks_in_any_order_yield_right_results(
    app: App, test: TestHost
) -> None:
    """S39: time travel with timers is deterministic."""
    attempts: dict[str, int] = {}

    @app.activity
    def flaky(name: str, failures: int) -> str:
        attempts[name] = attempts.get(name, 0) + 1
        if attempts[name] <= failures:
            raise RuntimeError(name)
        return name

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        def call(name: str, failures: int, first: float) -> "asyncio.Future[str]":
            retry = RetryPolicy(max_attempts=4, first_interval=timedelta(seconds=first), backoff=3)
            return ctx.call_activity(flaky.options(retry=retry), name, failures)

        return await ctx.task_all(
            [call("a", 3, 1), call("b", 0, 1), call("c", 1, 2), call("d", 2, 0.5)]
        )

    handle = await test.start(parent)
    assert await handle.result() == ["a", "b", "c", "d"]
    assert attempts == {"a": 4, "b": 1, "c": 2, "d": 3}
    history = await test.client.history(handle.instance_id)
    fired = [one.fire_at for one in of_type(history, TimerFired)]
    assert fired == sorted(fired)
    assert len(fired) == 6


async def test_yielding_or_awaiting_one_task_twice_schedules_it_once(
    app: App, test: TestHost
) -> None:
    """S17."""

    @app.activity
    def number() -> int:
        return 7

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        task = ctx.call_activity(number)
        return await task + await task

    handle = await test.start(parent)
    assert await handle.result() == 14
    assert kinds(await test.client.history(handle.instance_id)).count("TaskScheduled") == 1
