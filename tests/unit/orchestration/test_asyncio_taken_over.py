"""asyncio's own functions: ours inside a session, untouched outside, refused where they must be."""

import asyncio
import concurrent.futures
import inspect
from asyncio import all_tasks, as_completed, gather, to_thread, wait, wait_for
from asyncio import run as run_program
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tenuto import Context, GuardError
from tenuto.orchestration.asyncio_inside import classes as asyncio_classes
from tenuto.orchestration.asyncio_inside import functions as asyncio_functions
from tenuto.orchestration.preparation import prepare_process
from tests.support.sessions import run, work

prepare_process()

TAKEN_OVER: list[Any] = [
    asyncio.gather, asyncio.wait, asyncio.wait_for, asyncio.as_completed, asyncio.all_tasks,
    asyncio.wrap_future, asyncio.run, asyncio.new_event_loop, asyncio.to_thread,
    asyncio.run_coroutine_threadsafe,
    asyncio.TaskGroup.create_task, asyncio.TaskGroup.__aexit__, asyncio.Semaphore.acquire,
    asyncio.Semaphore.release, asyncio.Condition.wait, asyncio.Condition.notify,
    asyncio.Runner.run, asyncio.Runner.get_loop, asyncio.Runner.__enter__,
]  # fmt: skip


# --- outside --------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", TAKEN_OVER, ids=lambda one: one.__qualname__)
def test_outside_a_function_looks_as_it_always_did(function: Any) -> None:  # noqa: ANN401
    stock = inspect.unwrap(function)
    assert stock is not function
    assert inspect.signature(function) == inspect.signature(stock)
    assert inspect.iscoroutinefunction(function) == inspect.iscoroutinefunction(stock)
    assert function.__module__.startswith("asyncio.")
    assert "asyncio" in str(inspect.getsourcefile(stock))
    assert inspect.getdoc(function) == inspect.getdoc(stock)


def test_taking_over_twice_changes_nothing() -> None:
    before = [function.__code__ for function in TAKEN_OVER]
    asyncio_functions.install()
    asyncio_classes.install()
    assert [function.__code__ for function in TAKEN_OVER] == before


def test_outside_everything_works_as_it_always_did() -> None:
    async def host() -> list[Any]:
        async def give(value: int) -> int:
            await asyncio.sleep(0)
            return value

        gathering = gather(give(1), give(2))
        assert type(gathering).__module__ == "asyncio.tasks"
        done, _ = await wait([asyncio.create_task(give(3))])
        semaphore, condition = asyncio.BoundedSemaphore(), asyncio.Condition()
        async with semaphore, condition, asyncio.TaskGroup() as group:
            condition.notify_all()
            grouped = group.create_task(give(4))
        loop = asyncio.get_running_loop()
        future: concurrent.futures.Future[int] = concurrent.futures.Future()
        future.set_result(7)
        return [
            await gathering,
            done.pop().result(),
            grouped.result(),
            await wait_for(give(5), 5),
            [await one for one in as_completed([give(6)])],
            await asyncio.wrap_future(future),
            await to_thread(lambda: 8),
            await loop.run_in_executor(
                None, lambda: asyncio.run_coroutine_threadsafe(give(9), loop).result()
            ),
            len(all_tasks()),
        ]

    assert run_program(host()) == [[1, 2], 3, 4, 5, [6], 7, 8, 9, 1]
    with asyncio.Runner() as runner:
        runner.get_loop()
        assert runner.run(asyncio.sleep(0, 1)) == 1


# --- inside ---------------------------------------------------------------------------------------


def test_a_name_imported_long_before_is_ours_too() -> None:
    """``from asyncio import gather`` at the top of this file came before any session."""

    async def by_name(ctx: Context) -> list[str]:
        async def nothing() -> None:
            pass

        gathering = gather(nothing())
        completing: Any = as_completed([nothing()])
        await gathering
        for one in completing:
            await one
        return [type(gathering).__module__, type(completing).__module__]

    assert run(by_name) == ["tenuto.orchestration.asyncio_inside.functions"] * 2


def test_all_tasks_are_those_of_the_session() -> None:
    async def look(ctx: Context) -> list[str]:
        task = asyncio.create_task(asyncio.sleep(0), name="other")
        found = sorted(one.get_name() for one in all_tasks())
        assert all_tasks(asyncio.get_running_loop()) == all_tasks()
        await task
        try:
            all_tasks(foreign_loop)
        except GuardError as error:
            return [*found, str(error).partition(" is not")[0]]
        return found

    foreign_loop = asyncio.new_event_loop()
    try:
        assert run(look) == ["look", "other", "asyncio.all_tasks() of another loop"]
    finally:
        foreign_loop.close()


async def _nothing() -> None:
    pass


REFUSED: dict[str, Callable[[], object]] = {
    "asyncio.run": lambda: run_program(_nothing()),
    "asyncio.new_event_loop": asyncio.new_event_loop,
    "asyncio.to_thread": lambda: to_thread(print),
    "asyncio.Runner()": lambda: asyncio.Runner().run(_nothing()),
    "asyncio.Runner": lambda: asyncio.Runner().__enter__(),
    "get_loop": lambda: asyncio.Runner().get_loop(),
    "asyncio.wrap_future": lambda: asyncio.wrap_future(concurrent.futures.Future()),
    "asyncio.run_coroutine_threadsafe": lambda: asyncio.run_coroutine_threadsafe(
        _nothing(), asyncio.get_running_loop()
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_replayed_is_refused_by_name_with_the_alternative(name: str) -> None:
    """ENGINE rule 7."""

    async def call(ctx: Context) -> str:
        try:
            result = REFUSED[name]()
            if inspect.isawaitable(result):
                await result
        except GuardError as error:
            return str(error)
        return "allowed"

    message = run(call)
    assert "is not available inside an orchestrator, because it cannot be replayed; " in message
    assert name.removesuffix("()") in message or "Runner" in message
    assert message.startswith("asyncio.")


def test_wrap_future_leaves_futures_of_the_session_alone() -> None:
    async def wrap(ctx: Context) -> bool:
        future = asyncio.get_running_loop().create_future()
        return asyncio.wrap_future(future) is future

    assert run(wrap) is True


FOREIGN: dict[str, Callable[[Any], Any]] = {
    "await": lambda future: future,
    "gather": lambda future: gather(_nothing(), future, _nothing()),
    "wait": lambda future: wait([future]),
    "wait_for": lambda future: wait_for(future, 5),
    "no time": lambda future: wait_for(future, 0),
    "as_completed": lambda future: next(iter(as_completed([_nothing(), future]))),
    "shield": asyncio.shield,
}


@pytest.mark.parametrize("way", FOREIGN)
def test_futures_of_other_loops_are_refused_whichever_way_they_come(way: str) -> None:
    """ENGINE rule 7; what refused them leaves them as they were."""
    foreign_loop = asyncio.new_event_loop()
    foreign = foreign_loop.create_future()

    async def take(ctx: Context) -> str:
        try:
            await FOREIGN[way](foreign)
        except GuardError as error:
            return str(error)
        return "taken"

    try:
        message = run(take)
        assert "belongs to another event loop" in message
        assert "await ctx.call_activity(...)" in message
        assert not foreign.done()
        foreign.set_result(1)
        assert foreign_loop.run_until_complete(foreign) == 1
    finally:
        foreign_loop.close()


def test_a_future_that_is_waited_for_in_a_wrong_way_is_an_error_of_the_task() -> None:
    class Strange:
        """Yields a future without saying that it waits for it."""

        def __await__(self) -> Any:  # noqa: ANN401 - of any kind
            yield asyncio.get_running_loop().create_future()

    async def wait_strangely(ctx: Context) -> str:
        strange: Awaitable[None] = Strange()
        try:
            await strange
        except RuntimeError as error:
            return str(error)
        return "waited"

    assert "yield was used instead of yield from" in run(wait_strangely)


def test_a_lock_that_two_orchestrations_share_is_refused_when_they_meet() -> None:
    from tests.support.sessions import Driven, answered

    lock = asyncio.Lock()

    async def hold(ctx: Context) -> None:
        async with lock:
            await ctx.call_activity(work)

    one, other = Driven(hold), Driven(hold)
    one.start()
    other.start()
    one.turn(answered(1))
    assert "several orchestrations share" in one.failure.error_message
    one.close()
    other.close()
