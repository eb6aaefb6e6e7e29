"""Giving work up: ENGINE rule 9. What is cancelled is recorded, unless nothing was scheduled."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tenuto import Context, RetryPolicy
from tenuto.model.events import (
    EventAwaited,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskScheduled,
    TimerCreated,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.limits import Limits
from tests.support.sessions import Driven, answered, execution, names, orchestrator, raised, work

OPEN: list[Callable[[Context], Awaitable[object]]] = [
    lambda ctx: ctx.call_activity(work),
    lambda ctx: ctx.call_sub_orchestrator("child"),
    lambda ctx: ctx.create_timer(timedelta(seconds=5)),
    lambda ctx: asyncio.sleep(5),
    lambda ctx: ctx.wait_for_external_event("never", timeout=timedelta(seconds=5)),
]


@pytest.mark.parametrize("make", OPEN)
def test_cancelling_open_work_is_recorded(make: Callable[[Context], Awaitable[object]]) -> None:
    async def cancel(ctx: Context) -> str:
        task = asyncio.ensure_future(make(ctx))
        await ctx.wait_for_external_event("go on")
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    driven = Driven(cancel)
    opened, *_ = [one for one in driven.start().actions if one != EventAwaited(1, "go on")]
    answer = driven.turn(raised("go on"))
    (canceled,) = [one for one in answer.actions if isinstance(one, TaskCanceled)]
    assert canceled.task_id == opened.event_id  # type: ignore[union-attr]
    assert canceled.child == getattr(opened, "instance_id", None)
    assert driven.result == "cancelled"
    assert driven.replayed().close() == 0
    driven.close()


def test_a_child_that_may_go_on_or_has_failed_is_not_asked_to_end() -> None:
    async def nothing(ctx: Context) -> None: ...

    child = orchestrator(nothing)
    retry = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=5))

    async def parent(ctx: Context) -> None:
        left = ctx.call_sub_orchestrator(child.options(on_cancel="abandon"))
        pausing = ctx.call_sub_orchestrator(child.options(retry=retry))
        await ctx.wait_for_external_event("go on")
        assert left.cancel()
        assert pausing.cancel()

    driven = Driven(parent)
    driven.start()
    driven.turn(SubOrchestrationInstanceFailed(2, FailureDetails("E", "no")))
    driven.turn(raised("go on"))
    assert driven.of_type(TaskCanceled) == [TaskCanceled(1), TaskCanceled(4)]
    assert driven.replayed().close() == 0
    driven.close()


def test_what_is_not_open_any_more_is_cancelled_and_nothing_is_recorded() -> None:
    async def parent(ctx: Context) -> None:
        tasks = [ctx.call_activity(work), ctx.call_sub_orchestrator("child")]
        await ctx.wait_for_external_event("go on")
        for task in tasks:
            task._open_id = None
            assert task.cancel()
            assert task.cancelled()
        await ctx.wait_for_external_event("never")

    driven = Driven(parent)
    driven.start()
    driven.turn(raised("go on"))
    assert driven.of_type(TaskCanceled) == []
    driven.close()


@pytest.mark.parametrize("make", OPEN)
def test_work_made_and_cancelled_in_one_turn_consumes_ids_and_schedules_nothing(
    make: Callable[[Context], Awaitable[object]],
) -> None:
    async def cancel(ctx: Context) -> None:
        task = asyncio.ensure_future(make(ctx))
        await asyncio.sleep(0)
        task.cancel()
        await ctx.call_activity(work)

    driven = Driven(cancel)
    (last,) = driven.start().actions
    assert isinstance(last, TaskScheduled)
    assert last.event_id > 1
    driven.turn(answered(last.event_id))
    assert driven.replayed().close() == 0
    driven.close()


def test_a_late_answer_to_cancelled_work_is_ignored() -> None:
    async def cancel(ctx: Context) -> bool:
        task = ctx.call_activity(work)
        await ctx.wait_for_external_event("go on")
        assert task.cancel()
        assert not task.cancel()
        await ctx.wait_for_external_event("go on")
        return task.cancelled()

    driven = Driven(cancel)
    driven.start()
    driven.turn(raised("go on"))
    assert driven.turn(answered(1)).actions == []
    driven.turn(raised("go on"))
    assert driven.result is True
    driven.close()


def test_a_timeout_in_a_loop_leaves_no_open_timer() -> None:
    async def rounds(ctx: Context) -> None:
        for _ in range(3):
            async with asyncio.timeout(3 * 86_400):
                await ctx.call_activity(work)

    driven = Driven(rounds)
    driven.start()
    for task_id in (2, 4, 6):
        driven.turn(answered(task_id))
    opened = [one.event_id for one in driven.of_type(TimerCreated)]
    assert [one.task_id for one in driven.of_type(TaskCanceled)] == opened
    driven.close()


def test_what_a_turn_takes_back_does_not_count_as_decided() -> None:
    async def many(ctx: Context) -> str:
        for _ in range(50):
            ctx.create_timer(timedelta(seconds=5)).cancel()
        return "done"

    driven = Driven(many, info=execution("many", limits=Limits(actions_per_turn=3)))
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    assert driven.result == "done"
    driven.close()


def test_cancelling_many_in_one_turn_takes_linear_time() -> None:
    """Quadratic would run into the time limit of tests."""
    count = 100_000

    async def many(ctx: Context) -> int:
        tasks = [ctx.call_activity(work) for _ in range(count)]
        for task in tasks:
            task.cancel()
        return len(tasks)

    driven = Driven(many)
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    driven.close()
