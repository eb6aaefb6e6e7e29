"""Libraries built on anyio work inside orchestrators: scopes, limits, groups, streams, an agent."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from anyio import to_thread

from tenuto import App, Context, GuardError
from tenuto.host.settings import Settings
from tenuto.orchestration.asyncio_inside import anyio_scopes
from tenuto.testing import TestHost

app = App()


@app.activity
def double(number: int) -> int:
    return 2 * number


async def limits(ctx: Context) -> list[object]:
    seen: list[object] = []
    with anyio.move_on_after(60) as scope:
        await ctx.wait_for_external_event("never")
    seen.append(scope.cancelled_caught)
    try:
        with anyio.fail_after(5):
            await anyio.sleep_forever()
    except TimeoutError:
        seen.append("timed out")
    with anyio.move_on_after(60) as scope:
        seen.append(await ctx.call_activity(double, 2))
        await anyio.sleep(2)
    return [*seen, scope.cancelled_caught]


async def cancelled_group(ctx: Context) -> list[int]:
    seen: list[int] = []

    async def waiter(number: int) -> None:
        with anyio.move_on_after(3600):
            try:
                await ctx.wait_for_external_event("never")
            finally:
                with anyio.CancelScope(shield=True):
                    seen.append(await ctx.call_activity(double, number))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(waiter, number)
        await ctx.call_activity(double, 1)
        group.cancel_scope.cancel()
    return sorted(seen)  # they are answered in any order, by several threads


async def failing_group(ctx: Context) -> list[str]:
    async def waiter() -> None:
        await ctx.wait_for_external_event("never")

    async def bad() -> None:
        await ctx.call_activity(double, 1)
        raise ValueError("bad")

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(waiter)
            group.start_soon(bad)
    except ExceptionGroup as group_error:
        return [str(error) for error in group_error.exceptions]
    return []


async def streams(ctx: Context) -> list[int]:
    sender, receiver = anyio.create_memory_object_stream[int](1)
    seen: list[int] = []

    async def send() -> None:
        async with sender:
            for number in range(4):
                await sender.send(await ctx.call_activity(double, number))

    async with anyio.create_task_group() as group, receiver:
        group.start_soon(send)
        async for number in receiver:
            seen.append(await ctx.call_activity(double, number))  # noqa: PERF401 - one after another
    return seen


async def locks(ctx: Context) -> list[str]:
    seen: list[str] = []
    lock, semaphore, limiter = anyio.Lock(), anyio.Semaphore(1), anyio.CapacityLimiter(1)
    event, condition = anyio.Event(), anyio.Condition()

    async def one(name: str, holder: Any) -> None:  # noqa: ANN401 - several kinds of lock
        async with holder:
            await ctx.call_activity(double, 1)
            seen.append(name)

    async def notified() -> None:
        async with condition:
            await condition.wait()
        await event.wait()
        seen.append("notified")

    async with anyio.create_task_group() as group:
        group.start_soon(notified)
        for name in ("a", "b"):
            for holder in (lock, semaphore, limiter):
                group.start_soon(one, f"{type(holder).__name__} {name}", holder)
        await ctx.call_activity(double, 1)
        async with condition:
            condition.notify_all()
        event.set()
    return seen


async def started_task(ctx: Context) -> int:
    async def serve(*, task_status: anyio.abc.TaskStatus[int]) -> None:
        task_status.started(await ctx.call_activity(double, 21))
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        value: int = await group.start(serve)
        group.cancel_scope.cancel()
    return value


PROGRAMS: dict[Callable[[Context], Awaitable[object]], object] = {
    limits: [True, "timed out", 4, False],
    cancelled_group: [2 * number for number in range(20)],
    failing_group: ["bad"],
    streams: [0, 4, 8, 12],
    locks: None,
    started_task: 42,
}
for _program in PROGRAMS:
    app.orchestrator(_program)


@pytest.mark.parametrize("hot", ["hot", "replayed at each turn"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
async def test_replay_is_pure_for_programs_of_anyio(
    program: Callable[[Context], Awaitable[object]], hot: str
) -> None:
    settings = Settings(hot_sessions=10_000 if hot == "hot" else 1)
    async with TestHost(app, settings=settings) as test:
        handle = await test.start(program.__name__)
        other = await test.start("limits")  # what is evicted makes room for somebody
        await test.advance(timedelta(minutes=5))
        result = await handle.result()
        if PROGRAMS[program] is not None:
            assert result == PROGRAMS[program]
        else:
            assert isinstance(result, list)
            assert len(result) == 7
        await test.check_replay(handle.instance_id)
        assert await other.result() == PROGRAMS[limits]


@app.orchestrator
async def threads(ctx: Context) -> str:
    try:
        await to_thread.run_sync(print)
    except GuardError as error:
        return str(error)
    return "allowed"


async def test_threads_of_anyio_are_refused_by_name() -> None:
    async with TestHost(app) as test:
        handle = await test.start(threads)
        await test.idle()
        assert "anyio.to_thread.run_sync()" in await handle.result()


def test_the_scopes_of_a_session_are_what_anyio_wants_of_a_set() -> None:
    scopes = anyio_scopes._InOrder[int]()
    for number in (3, 1, 2, 1):
        scopes.add(number)
    scopes.discard(1)
    scopes.discard(9)
    scopes.remove(3)
    assert list(scopes) == [2]
    with pytest.raises(KeyError):
        scopes.remove(9)
