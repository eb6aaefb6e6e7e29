"""In which order user code runs: ENGINE rules 1 and 2, seen from single programs."""

import asyncio
from typing import Any

import pytest

from tenuto import Context
from tenuto.model.events import TaskScheduled, TimerCreated
from tests.support.sessions import Driven, answered, raised, run, work


def scheduled(driven: Driven) -> list[object]:
    """What activities were asked, in order."""
    return [one.input for one in driven.of_type(TaskScheduled)]


# --- rule 1: one event at a time ------------------------------------------------------------------


def test_each_event_runs_to_its_end_before_the_next_also_within_one_batch() -> None:
    async def two_chains(ctx: Context) -> list[str]:
        order: list[str] = []

        async def chain(name: str) -> None:
            await ctx.call_activity(work, f"{name}1")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            order.append(name)
            await ctx.call_activity(work, f"{name}2")

        async def quick(name: str) -> None:
            await ctx.call_activity(work, f"{name}1")
            order.append(name)
            await ctx.call_activity(work, f"{name}2")

        await asyncio.gather(chain("x"), quick("y"))
        return order

    driven = Driven(two_chains)
    driven.start()
    driven.turn(answered(1), answered(2))
    assert scheduled(driven)[2:] == ['"x2"', '"y2"']
    driven.turn(answered(3), answered(4))
    assert driven.result == ["x", "y"]
    driven.close()


def test_wait_for_the_first_sees_one_done_though_the_batch_holds_both_answers() -> None:
    async def race(ctx: Context) -> int:
        done, _ = await asyncio.wait(
            [ctx.call_activity(work), ctx.call_activity(work)],
            return_when=asyncio.FIRST_COMPLETED,
        )
        return len(done)

    driven = Driven(race)
    driven.start()
    driven.turn(answered(2), answered(1))
    assert driven.result == 1
    driven.close()


def test_all_events_of_a_turn_see_the_same_clock() -> None:
    async def watch(ctx: Context) -> list[Any]:
        seen = []
        for name in ("a", "b"):
            await ctx.wait_for_external_event(name)
            seen.append(str(ctx.current_time))
        return [seen, asyncio.get_running_loop().time()]

    driven = Driven(watch)
    driven.start()
    driven.turn(raised("a"), raised("b"), seconds=2.5)
    times, loop_time = driven.result
    assert times == ["2026-01-01 00:00:02.500000+00:00"] * 2
    assert loop_time == 2.5
    driven.close()


# --- rule 2: no order by address ------------------------------------------------------------------


def test_tasks_and_futures_hash_and_print_by_a_counter_of_their_session() -> None:
    async def numbers(ctx: Context) -> list[Any]:
        loop = asyncio.get_running_loop()
        ones: list[Any] = [
            asyncio.current_task(),
            loop.create_future(),
            ctx.call_activity(work),
            asyncio.ensure_future(asyncio.sleep(0)),
        ]
        ones[1].set_result(None)
        ones[2].cancel()
        await ones[3]
        return [[hash(one) for one in ones], [repr(one) for one in ones]]

    first = run(numbers)
    assert first == [
        [1, 2, 3, 4],
        [
            "<SessionTask 'numbers' pending>",
            "<SessionFuture #2 finished>",
            "<ActivityTask #3 cancelled>",
            "<SessionTask 'Task-4' finished>",
        ],
    ]
    rubble = [object() for _ in range(999)]
    assert run(numbers) == first
    del rubble


@pytest.mark.parametrize("count", [2, 9, 70])
def test_an_aborted_group_cancels_its_tasks_in_the_same_order_in_every_session(count: int) -> None:
    async def abort(ctx: Context) -> list[int]:
        order: list[int] = []

        async def wait(number: int) -> None:
            try:
                await ctx.wait_for_external_event("never")
            finally:
                order.append(number)

        async def fail() -> None:
            raise ValueError

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(count):
                    group.create_task(wait(number))
                group.create_task(fail())
        except* ValueError:
            pass
        return order

    orders = []
    for _ in range(5):
        orders.append(run(abort))
        orders.append(run(abort))
    assert all(one == orders[0] for one in orders)
    assert sorted(orders[0]) == list(range(count))


def test_as_completed_begins_coroutines_in_the_order_of_its_arguments() -> None:
    async def begin(ctx: Context) -> list[int]:
        order: list[int] = []

        async def step(number: int) -> None:
            order.append(number)

        for one in asyncio.as_completed([step(number) for number in range(40)]):
            await one
        return order

    assert run(begin) == list(range(40))


def test_timers_that_are_due_together_ring_in_the_order_of_history() -> None:
    async def two(ctx: Context) -> list[str]:
        order: list[str] = []

        async def sleep(name: str) -> None:
            await asyncio.sleep(5)
            order.append(name)

        await asyncio.gather(sleep("a"), sleep("b"))
        return order

    driven = Driven(two)
    driven.start()
    first, second = driven.of_type(TimerCreated)
    driven.fire(second, first)
    assert driven.result == ["b", "a"]
    driven.close()
