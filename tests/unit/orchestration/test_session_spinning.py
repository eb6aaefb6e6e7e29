"""Code that goes on and on without waiting is stopped: it would take the host (ENGINE rule 40)."""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

import anyio
import pytest

from tenuto import Context
from tenuto.model.events import ExecutionCompleted
from tenuto.model.limits import Limits
from tenuto.orchestration.parking import PARKED
from tests.support.sessions import Driven, answered, execution, names, work

_FEW = Limits(callbacks_per_event=2_000)


async def polls(ctx: Context) -> None:
    while True:  # noqa: ASYNC110 - the careless code that this is about
        await asyncio.sleep(0)  # here


async def polls_in_a_task(ctx: Context) -> None:
    async def poll(event: asyncio.Event) -> None:
        while not event.is_set():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)  # here

    await asyncio.gather(poll(asyncio.Event()), ctx.call_activity(work))


async def hands_over(ctx: Context) -> None:
    loop = asyncio.get_running_loop()

    def again() -> None:
        loop.call_soon(again)

    again()
    await ctx.call_activity(work)


async def refuses_to_be_cancelled(ctx: Context) -> None:
    """anyio asks again and again."""
    with anyio.move_on_after(0) as scope:
        scope.cancel()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await ctx.call_activity(work)  # here


def yields_nonsense(ctx: Context) -> Generator[Any, Any, None]:
    while True:
        with contextlib.suppress(TypeError):
            yield 5  # here


def yields_what_is_done(ctx: Context) -> Generator[Any, Any, None]:
    done = ctx.call_activity(work)
    done.cancel()
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            yield done  # here


def catches_everything(ctx: Context) -> Generator[Any, Any, None]:
    while True:
        with contextlib.suppress(BaseException):
            yield 5  # here


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("function", "parked"),
    [
        (polls, 0),
        (polls_in_a_task, 0),
        (hands_over, 0),
        (refuses_to_be_cancelled, 0),
        (yields_nonsense, 0),
        (yields_what_is_done, 0),
        (catches_everything, 1),
    ],
)
def test_one_never_takes_all_whatever_goes_on_without_waiting_is_stopped(
    function: Callable[..., Any], parked: int
) -> None:
    before = len(PARKED)
    driven = Driven(function, info=execution(function.__name__, limits=_FEW))
    answer = driven.start()
    assert names(answer.actions) == ["ExecutionCompleted"], "what the turn decided does not happen"
    assert driven.failure.error_type == "tenuto.model.errors.LimitError"
    assert "TENUTO_LIMITS_CALLBACKS_PER_EVENT" in driven.failure.error_message
    if function is hands_over:
        assert "hands_over.<locals>.again" in driven.failure.error_message
    else:
        place = driven.failure.error_message.partition(", at ")[2].partition(" in ")[0]
        file, _, line = place.rpartition(":")
        with open(file, encoding="utf-8") as source:  # noqa: PTH123 - the line that is named
            assert source.readlines()[int(line) - 1].rstrip().endswith("# here")
    assert driven.close() == 0
    assert len(PARKED) == before + parked
    driven.replayed().close()


def test_the_limit_is_one_of_each_event_not_of_a_turn() -> None:
    async def busy(ctx: Context) -> None:
        for _ in range(3):
            for _ in range(1_500):
                await asyncio.sleep(0)
            await ctx.call_activity(work)

    driven = Driven(busy, info=execution("busy", limits=_FEW))
    driven.start()
    answer = driven.turn(answered(1), answered(2), answered(3))
    ending = answer.actions[-1]
    assert isinstance(ending, ExecutionCompleted)
    assert ending.failure_details is None
    driven.close()


def test_a_generator_may_yield_what_is_done_as_often_as_it_waits_in_between() -> None:
    def steps(ctx: Context) -> Generator[Any, Any, int]:
        done = 0
        for _ in range(4):
            task = ctx.call_activity(work)
            yield task
            for _ in range(5):
                done += yield task
        return done

    driven = Driven(steps, info=execution("steps", limits=Limits(callbacks_per_event=20)))
    driven.start()
    for number in range(1, 5):
        driven.turn(answered(number, 1))
    assert driven.result == 20
    driven.close()


def test_a_wide_gather_is_far_from_the_limit() -> None:
    async def wide(ctx: Context) -> int:
        async def one() -> int:
            await asyncio.sleep(0)
            return 1

        async with asyncio.timeout(timedelta(days=1).total_seconds()):
            return sum(await asyncio.gather(*(one() for _ in range(20_000))))

    driven = Driven(wide)
    driven.start()
    assert driven.result == 20_000
    driven.close()


def test_the_last_callback_that_is_allowed_still_runs() -> None:
    async def some(ctx: Context) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    def ending(limit: int) -> ExecutionCompleted:
        info = execution("some", limits=Limits(callbacks_per_event=limit))
        (ended,) = Driven(some, info=info).start().actions
        assert isinstance(ended, ExecutionCompleted)
        return ended

    failed = [ending(limit).failure_details is not None for limit in range(1, 9)]
    assert failed == [True] * 5 + [False] * 3
