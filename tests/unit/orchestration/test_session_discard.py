"""Throwing sessions away: ENGINE rules 5 and 11. Nothing of one runs in the turn of another."""

import asyncio
import contextlib
import contextvars
import gc
import logging
import signal
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from datetime import timedelta
from gc import collect
from typing import Any

import pytest

from tenuto import Context
from tenuto.model.errors import SessionDiscarded
from tenuto.model.events import ExecutionStarted
from tenuto.model.limits import Limits
from tenuto.orchestration import session as session_module
from tenuto.orchestration.parking import PARKED
from tests.support.sessions import (
    EXECUTION,
    START,
    Driven,
    answered,
    execution,
    names,
    raised,
    run,
    work,
)

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


# --- discarding -----------------------------------------------------------------------------------


def test_finally_blocks_run_inside_their_own_loop_and_can_schedule_nothing() -> None:
    seen: list[object] = []

    def try_all(ctx: Context) -> None:
        loop = asyncio.get_running_loop()
        attempts: list[Any] = [
            lambda: ctx.call_activity(work),
            lambda: ctx.create_timer(ctx.current_time),
            lambda: ctx.send_event("other", "name"),
            lambda: ctx.start_orchestrator("other"),
            lambda: ctx.wait_for_external_event("name"),
            lambda: ctx.set_custom_status(1),
            lambda: asyncio.create_task(asyncio.sleep(0)),
            lambda: asyncio.gather(asyncio.sleep(0), asyncio.sleep(0)),
            lambda: loop.call_soon(print),
            lambda: loop.call_later(5, print),
            lambda: loop.call_at(5, print),
        ]
        for attempt in attempts:
            try:
                attempt()
            except SessionDiscarded:
                seen.append("refused")
            else:
                seen.append("allowed")

    async def waiting(ctx: Context) -> None:
        loop = asyncio.get_running_loop()
        VARIABLE.set("mine")
        try:
            await ctx.call_activity(work)
        finally:
            seen.append([asyncio.get_running_loop() is loop, VARIABLE.get(), loop.is_closed()])
            ctx.logger.warning("nobody hears this")
            try_all(ctx)

    driven = Driven(waiting)
    driven.start()
    assert driven.close() == 0
    assert seen == [[True, "mine", True], *["refused"] * 11]
    assert asyncio._get_running_loop() is None


def test_every_task_is_ended_the_youngest_first() -> None:
    ended: list[str] = []

    async def task(ctx: Context, name: str) -> None:
        try:
            await ctx.wait_for_external_event("never")
        finally:
            ended.append(name)

    async def parent(ctx: Context) -> None:
        await asyncio.gather(*(task(ctx, name) for name in "ab"))

    driven = Driven(parent)
    driven.start()
    assert driven.close() == 0
    assert ended == ["b", "a"]


def test_tasks_that_never_began_are_ended_without_a_warning() -> None:
    async def parent(ctx: Context) -> None:
        tasks = [asyncio.create_task(asyncio.sleep(0))]
        try:
            await ctx.call_activity(work)
        finally:
            tasks.clear()

    driven = Driven(parent)
    # As if the keyboard had interrupted the turn.
    driven.session.loop.run_ready = lambda: None  # type: ignore[method-assign]
    driven.start()
    assert driven.close() == 0


def test_a_finally_block_that_awaits_is_interrupted_there_not_cut_off() -> None:
    """With ``close()`` the inner coroutine would stay behind for the garbage collector."""
    ended: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                ended.append("inner")

    async def outer(ctx: Context) -> None:
        try:
            await inner()
        finally:
            ended.append("outer")

    driven = Driven(outer)
    driven.start()
    assert driven.close() == 0
    assert ended == ["inner", "outer"]


def test_errors_of_a_coroutine_that_is_thrown_away_are_thrown_away_too() -> None:
    async def failing(ctx: Context) -> None:
        try:
            await ctx.call_activity(work)
        finally:
            raise KeyboardInterrupt

    driven = Driven(failing)
    driven.start()
    assert driven.close() == 0


def test_locks_timeouts_and_groups_let_themselves_be_thrown_away() -> None:
    async def nested(ctx: Context) -> None:
        lock, condition = asyncio.Lock(), asyncio.Condition()

        async def hold() -> None:
            async with lock, asyncio.timeout(5):
                await ctx.call_activity(work)

        async def wait() -> None:
            async with condition:
                await condition.wait()

        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(hold())
                group.create_task(wait())
            await asyncio.wait_for(asyncio.shield(ctx.call_activity(work)), 5)

    driven = Driven(nested)
    driven.start()
    assert driven.close() == 0


def test_a_coroutine_that_refuses_to_end_is_kept_and_counted() -> None:
    attempts: list[str] = []

    async def stubborn(ctx: Context) -> None:
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except BaseException as error:
                attempts.append(type(error).__name__)
                if len(attempts) > 5:
                    raise

    kept = len(PARKED)
    driven = Driven(stubborn)
    driven.start()
    assert driven.close() == 1
    assert attempts == ["SessionDiscarded"] * 5
    assert len(PARKED) == kept + 1
    del driven
    gc.collect()
    assert len(attempts) == 5, "the garbage collector got it"
    with pytest.raises(SessionDiscarded):
        PARKED.pop().throw(SessionDiscarded())  # type: ignore[attr-defined]


def test_a_generator_that_refuses_to_end_is_kept_and_counted() -> None:
    attempts: list[str] = []

    def stubborn(ctx: Context) -> Generator[Any, Any, None]:
        while True:
            try:
                yield asyncio.get_running_loop().create_future()
            except BaseException as error:
                attempts.append(type(error).__name__)
                if len(attempts) > 5:
                    raise

    driven = Driven(stubborn)
    driven.start()
    assert driven.close() == 1
    assert attempts == ["SessionDiscarded"] * 5
    with pytest.raises(SessionDiscarded):
        PARKED.pop().throw(SessionDiscarded())  # type: ignore[attr-defined]


def test_a_closed_session_takes_no_turn() -> None:
    async def waiting(ctx: Context) -> None:
        await ctx.call_activity(work)

    driven = Driven(waiting)
    driven.start()
    driven.close()
    assert driven.close() == 0
    with pytest.raises(RuntimeError, match="is closed"):
        driven.turn(answered(1))


# --- never left to the garbage collector ----------------------------------------------------------


def test_a_session_dropped_unclosed_does_not_happen() -> None:
    ended: list[str] = []

    async def waiting(ctx: Context) -> None:
        try:
            await ctx.call_activity(work)
        finally:
            ended.append("by the garbage collector")

    driven = Driven(waiting)
    driven.start()
    kept = weakref.ref(driven.session)
    del driven
    gc.collect()
    session = kept()
    assert session is not None
    assert ended == []
    session.close()
    assert ended == ["by the garbage collector"]


def test_a_closed_session_is_freed_without_the_collector() -> None:
    async def waiting(ctx: Context) -> None:
        tasks = [asyncio.create_task(asyncio.sleep(5)) for _ in range(2)]
        _waiter = ctx.wait_for_external_event("never")
        await ctx.call_activity(work)
        await asyncio.gather(*tasks)

    gc.collect()
    gc.disable()
    try:
        driven = Driven(waiting)
        driven.start()
        session = weakref.ref(driven.session)
        driven.close()
        del driven
        assert session() is None
    finally:
        gc.enable()


def test_a_failed_task_is_freed_without_the_collector() -> None:
    """The traceback of its error must not hold the step that ran it."""
    tasks: list[weakref.ref[Any]] = []

    async def parent(ctx: Context) -> None:
        async def fail(error: type[BaseException]) -> None:
            raise error

        for error in (ValueError, asyncio.CancelledError):
            task = asyncio.create_task(fail(error))
            tasks.append(weakref.ref(task))
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            del task
        await ctx.call_activity(work)

    gc.collect()
    gc.disable()
    try:
        driven = Driven(parent)
        driven.start()
        assert [task() for task in tasks] == [None, None]
        driven.close()
    finally:
        gc.enable()


# --- async generators -----------------------------------------------------------------------------


async def pages(ctx: Context, log: list[str]) -> AsyncIterator[int]:
    try:
        yield 1
        yield 2
    finally:
        log.append("closing")
        try:
            await ctx.call_activity(work, "closing")
        finally:
            log.append("closed")


def test_a_generator_left_early_is_closed_in_the_turn_that_left_it() -> None:
    log: list[str] = []

    async def leave(ctx: Context) -> None:
        async for _page in pages(ctx, log):
            break
        await ctx.call_activity(work, "after")

    driven = Driven(leave)
    assert names(driven.start().actions) == ["TaskScheduled"] * 2
    assert log == ["closing"]
    driven.turn(answered(2), answered(1))
    assert log == ["closing", "closed"]
    driven.close()


def test_a_generator_that_only_the_collector_finds_decides_nothing() -> None:
    """The collector comes at another moment in every run."""
    log: list[str] = []

    async def circle(ctx: Context) -> None:
        holder: list[Any] = []
        holder.append(pages(ctx, log))
        holder.append(holder)
        await anext(holder[0])
        del holder
        gc.collect()
        assert log == []
        await ctx.call_activity(work, "after")
        await ctx.call_activity(work, "and after that")

    driven = Driven(circle)
    assert [one.input for one in driven.start().actions] == ['"after"']  # type: ignore[union-attr]
    assert log == []
    assert names(driven.turn(answered(1)).actions) == ["TaskScheduled"]
    assert driven.close() == 0
    assert log == ["closing", "closed"]


def test_a_generator_collected_between_turns_waits_for_the_end() -> None:
    log: list[str] = []

    async def circle(ctx: Context) -> None:
        holder: list[Any] = []
        holder.append(pages(ctx, log))
        holder.append(holder)
        await anext(holder[0])
        del holder
        await ctx.call_activity(work, "after")

    gc.disable()
    try:
        driven = Driven(circle)
        driven.start()
        gc.collect()
        assert log == []
        assert names(driven.turn(answered(1)).actions) == ["ExecutionCompleted"]
        assert log == []
        assert driven.close() == 0
        assert log == ["closing", "closed"]
    finally:
        gc.enable()


def test_a_generator_still_in_use_is_ended_with_its_session() -> None:
    log: list[str] = []

    async def use(ctx: Context) -> None:
        async for _page in pages(ctx, log):
            await ctx.call_activity(work)

    async def hold(ctx: Context) -> None:
        generator = pages(ctx, log)
        await anext(generator)
        await ctx.call_activity(work)

    for function in (use, hold):
        driven = Driven(function)
        driven.start()
        assert driven.close() == 0
    assert log == ["closing", "closed"] * 2


def test_a_generator_that_waits_inside_is_ended_with_its_session() -> None:
    """Before Python 3.13 closing the coroutine that uses it would leave it hanging."""
    log: list[str] = []

    async def slow(ctx: Context) -> AsyncIterator[int]:
        try:
            await ctx.call_activity(work)
            yield 1
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                log.append("closed")

    async def use(ctx: Context) -> None:
        async for _page in slow(ctx):
            pass

    driven = Driven(use)
    driven.start()
    assert driven.close() == 0
    assert log == ["closed"]


def test_an_async_generator_that_refuses_to_end_is_kept_and_counted() -> None:
    attempts: list[int] = []

    async def stubborn() -> AsyncIterator[int]:
        while True:
            try:
                yield 1
            except BaseException:
                attempts.append(1)
                if len(attempts) > 5:
                    raise

    async def use(ctx: Context) -> None:
        generator = stubborn()
        await anext(generator)
        await ctx.call_activity(work)

    driven = Driven(use)
    driven.start()
    assert driven.close() == 1
    assert len(attempts) == 5
    with pytest.raises(SessionDiscarded):
        PARKED.pop().athrow(SessionDiscarded()).send(None)  # type: ignore[attr-defined]


def test_an_async_generator_that_goes_on_waiting_is_kept_and_counted() -> None:
    attempts: list[int] = []

    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            while len(attempts) < 99:
                attempts.append(1)
                with contextlib.suppress(SessionDiscarded):
                    await asyncio.sleep(0)

    async def use(ctx: Context) -> None:
        generator = stubborn()
        await anext(generator)
        await ctx.call_activity(work)

    driven = Driven(use)
    driven.start()
    assert driven.close() == 1
    assert len(attempts) < 99
    PARKED.pop()
    attempts.extend([1] * 99)


def test_a_generator_dropped_after_its_session_is_just_dropped() -> None:
    log: list[str] = []
    stash: list[Any] = []

    async def inner() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            log.append("inner ends")

    async def outer() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            # Made while generators are ended, it is too late for this one.
            stash.append(inner())
            await anext(stash[0])

    async def use(ctx: Context) -> None:
        generator = outer()
        await anext(generator)
        await ctx.call_activity(work)

    driven = Driven(use)
    driven.start()
    assert driven.close() == 0
    stash.clear()
    assert log == []


def test_a_generator_dropped_while_the_session_is_thrown_away_does_not_come_back() -> None:
    log: list[str] = []

    async def silent() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            log.append("finally")

    async def late(ctx: Context) -> None:
        try:
            await ctx.call_activity(work)
        finally:
            async for _one in silent():
                break

    driven = Driven(late)
    driven.start()
    assert driven.close() == 0
    generator = driven.session.loop._abandoned
    assert generator == []


# --- the end of an orchestrator -------------------------------------------------------------------


def test_nothing_runs_any_more_once_the_orchestrator_has_returned() -> None:
    """ENGINE rule 11."""
    seen: list[str] = []

    async def parent(ctx: Context) -> str:
        async def background(name: str) -> None:
            try:
                seen.append(f"{name} begins")
                await ctx.call_activity(work, name)
                seen.append(f"{name} goes on")
                await ctx.call_activity(work, name)
            finally:
                seen.append(f"{name} ends")
                await ctx.call_activity(work, "cleanup")

        tasks = [asyncio.create_task(background("first"))]
        tasks[0].add_done_callback(lambda _task: seen.append("callback"))
        await ctx.wait_for_external_event("go on")
        tasks.append(asyncio.create_task(background("second")))
        asyncio.get_running_loop().call_soon(seen.append, "soon")
        return "done"

    driven = Driven(parent)
    driven.start()
    answer = driven.turn(raised("go on"), answered(1), raised("late"))
    assert names(answer.actions) == ["EventTaken", "ExecutionCompleted"]
    assert seen == ["first begins"]
    assert driven.turn(answered(1)).actions == []
    assert driven.close() == 0
    assert seen == ["first begins", "first ends"]


def test_a_session_that_ended_at_once_leaves_nothing() -> None:
    async def quick(ctx: Context) -> int:
        return 1

    def plain(ctx: Context) -> int:
        return 1

    assert [run(quick), run(plain)] == [1, 1]
    driven = Driven(quick)
    session = driven.session
    session.run_turn(START, [ExecutionStarted("quick", EXECUTION)])
    assert session.close() == 0
    assert session not in session_module._LIVE


def test_errors_that_nobody_looked_at_are_not_reported_after_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def careless(ctx: Context) -> None:
        async def fail() -> None:
            raise ValueError

        tasks = [asyncio.create_task(fail())]
        await asyncio.sleep(0)
        tasks.clear()

    with caplog.at_level(logging.DEBUG):
        assert run(careless) is None
        gc.collect()
    assert caplog.records == []


# --- code that catches everything -----------------------------------------------------------------


async def _swallow_sleep(ctx: Context) -> None:
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(3)
            await ctx.call_activity(work)


async def _swallow_status(ctx: Context) -> None:
    """The refused call stands before the await, and the loop never gets past it."""
    while True:
        with contextlib.suppress(BaseException):
            ctx.set_custom_status("polling")
            ctx.send_event("other", "polling")
            ctx.start_orchestrator("other")
            ctx.continue_as_new()
            await ctx.wait_for_external_event("done", timeout=timedelta(days=1))


async def _swallow_all_kinds(ctx: Context) -> None:
    async def child() -> None:
        await ctx.create_timer(timedelta(seconds=5))

    calls: list[Any] = [
        lambda: ctx.call_activity(work),
        lambda: asyncio.sleep(0),
        lambda: asyncio.gather(child(), ctx.call_activity(work)),
        lambda: asyncio.wait_for(child(), 5),
        lambda: asyncio.create_task(child()),
        lambda: ctx.task_any([ctx.call_activity(work)]),
        lambda: ctx.call_sub_orchestrator("other"),
        lambda: asyncio.Event().wait(),
    ]
    number = 0
    while True:
        try:
            waiting = ctx.wait_for_external_event("name")
            waiting.cancel()
            asyncio.get_running_loop().call_later(5, print).cancel()
            await calls[number % len(calls)]()
        except BaseException:  # noqa: BLE001 - the careless code that this is about
            ctx.logger.warning("poll failed, next try at %s", ctx.current_time)
            number += 1


async def _swallow_in_timeout(ctx: Context) -> None:
    while True:
        with contextlib.suppress(BaseException):
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(3))
                await ctx.call_activity(work)


async def _swallow_in_task(ctx: Context) -> None:
    await asyncio.gather(*(_swallow_sleep(ctx) for _ in range(3)), ctx.call_activity(work))


async def _clean_up_for_ever(ctx: Context) -> None:
    try:
        await ctx.call_activity(work)
    finally:
        while True:
            try:
                ctx.send_event("other", "clean up")
                break
            except BaseException:  # noqa: BLE001 - as above
                continue
        while True:
            with contextlib.suppress(BaseException):
                await ctx.call_activity(work)


def _swallow_as_generator(ctx: Context) -> Generator[Any, Any, None]:
    while True:
        with contextlib.suppress(BaseException):
            yield ctx.call_activity(work)


def _swallow_and_yield_done(ctx: Context) -> Generator[Any, Any, None]:
    done = ctx.create_timer(timedelta(0))
    done.cancel()
    wanted: Any = ctx.call_activity(work)
    while True:
        with contextlib.suppress(BaseException):
            yield wanted
        wanted = done


def _swallow_and_yield_nonsense(ctx: Context) -> Generator[Any, Any, None]:
    wanted: Any = ctx.call_activity(work)
    while True:
        with contextlib.suppress(BaseException):
            yield wanted
        wanted = 5


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("function", "refused"),
    [
        (_swallow_sleep, 1),
        (_swallow_status, 1),
        (_swallow_all_kinds, 1),
        (_swallow_in_timeout, 1),
        (_swallow_in_task, 3),
        (_clean_up_for_ever, 1),
        (_swallow_as_generator, 1),
        (_swallow_and_yield_done, 1),
        (_swallow_and_yield_nonsense, 1),
    ],
)
def test_code_that_catches_everything_is_parked(function: Any, refused: int) -> None:  # noqa: ANN401 - of both styles
    """ENGINE rule 40: it would spin, and take the host along each time its session is discarded."""
    driven = Driven(function)
    driven.start()
    turns = len(driven.turns)
    assert driven.close() == refused
    assert len(driven.turns) == turns
    fresh = Driven(function)
    fresh.start()
    fresh.replayed().close()
    assert fresh.close() == refused


@pytest.mark.timeout(20)
def test_an_async_generator_that_catches_everything_is_parked() -> None:
    async def pages(ctx: Context) -> AsyncIterator[int]:
        while True:
            with contextlib.suppress(BaseException):
                await ctx.call_activity(work)
                yield 1

    async def use(ctx: Context) -> None:
        generator = pages(ctx)
        _task: object = asyncio.create_task(anext(generator))  # type: ignore[arg-type]  # noqa: RUF006 - forgotten on purpose
        await ctx.call_activity(work)

    driven = Driven(use)
    driven.start()
    assert driven.close() >= 1


@pytest.mark.timeout(20)
def test_code_that_swallows_a_crossed_limit_does_not_spin() -> None:
    async def greedy(ctx: Context) -> None:
        while True:
            with contextlib.suppress(BaseException):
                for _ in range(9):
                    _task = ctx.call_activity(work)
                await ctx.call_activity(work)

    driven = Driven(greedy, info=execution("greedy", limits=Limits(actions_per_turn=5)))
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    assert "limits.actions_per_turn" in driven.failure.error_message
    assert driven.close() == 1


# --- code that catches everything and never waits -------------------------------------------------


def _once(ctx: Context) -> None:
    ctx.set_custom_status("on and on")


def _in_a_loop(ctx: Context) -> None:
    while True:
        try:
            _once(ctx)
        except BaseException:  # noqa: BLE001 - the careless code that this is about
            continue


def _in_loops(ctx: Context) -> None:
    while True:
        try:
            while True:
                try:
                    _in_a_loop(ctx)
                except BaseException:  # noqa: BLE001 - as above
                    continue
                finally:
                    _once(ctx)
        except BaseException:  # noqa: BLE001 - as above
            pass


def _in_with_blocks(ctx: Context) -> None:
    while True:
        with contextlib.suppress(BaseException):
            while True:
                with contextlib.suppress(BaseException):
                    ctx.send_event("other", "on and on")


def _in_a_generator(ctx: Context) -> None:
    def steps() -> Iterator[None]:
        while True:
            with contextlib.suppress(BaseException):
                _once(ctx)
                yield

    for _step in steps():
        pass


def _in_a_finally_block(ctx: Context) -> None:
    try:
        _once(ctx)
    finally:
        while True:
            try:
                asyncio.get_running_loop().call_soon(print)
            except BaseException:  # noqa: BLE001 - as above
                continue


SPINNING = [_in_a_loop, _in_loops, _in_with_blocks, _in_a_generator, _in_a_finally_block]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("spin", SPINNING)
def test_a_loop_that_never_waits_is_broken(spin: Callable[[Context], None]) -> None:
    """ENGINE rule 40: no call and no await would get it out."""
    ended: list[str] = []

    async def in_a_coroutine(ctx: Context) -> None:
        try:
            await ctx.call_activity(work)
        except BaseException:  # noqa: BLE001 - as above
            spin(ctx)

    async def beside(ctx: Context) -> None:
        async def other() -> None:
            try:
                await ctx.call_activity(work)
            finally:
                ended.append("other")

        await asyncio.gather(other(), in_a_coroutine(ctx), other())

    async def in_an_async_generator(ctx: Context) -> None:
        async def pages() -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                spin(ctx)

        kept = pages()
        await anext(kept)
        await ctx.call_activity(work)

    def in_a_generator(ctx: Context) -> Generator[Any, Any, None]:
        try:
            yield ctx.call_activity(work)
        except BaseException:  # noqa: BLE001 - as above
            spin(ctx)

    tracer = sys.gettrace()
    for function in (in_a_coroutine, beside, in_an_async_generator, in_a_generator):
        driven = Driven(function)
        driven.start()
        assert driven.close() == 0
        assert sys.gettrace() is tracer
    assert ended == ["other"] * 2, "the others end as they do without it"


@pytest.mark.timeout(20)
def test_a_loop_that_crossed_a_limit_and_never_waits_is_broken_in_its_turn() -> None:
    async def greedy(ctx: Context) -> None:
        while True:
            with contextlib.suppress(BaseException):
                ctx.send_event("other", "on and on")

    tracer = sys.gettrace()
    driven = Driven(greedy, info=execution("greedy", limits=Limits(actions_per_turn=5)))
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    assert "limits.actions_per_turn" in driven.failure.error_message
    assert sys.gettrace() is tracer
    assert driven.close() == 0


def test_work_may_be_given_up_again_and_again_in_a_session_that_is_thrown_away() -> None:
    async def thorough(ctx: Context) -> None:
        tasks = [ctx.call_activity(work), ctx.create_timer(timedelta(days=1))]
        event = ctx.wait_for_external_event("never", timeout=timedelta(days=1))
        try:
            await event
        finally:
            for task in [*tasks, event] * 200:
                with contextlib.suppress(BaseException):
                    task.cancel()

    driven = Driven(thorough)
    driven.start()
    assert driven.close() == 0


def test_a_plain_function_that_crosses_a_limit_is_stopped_where_it_stands() -> None:
    def greedy(ctx: Context) -> None:
        for _ in range(9):
            _task = ctx.call_activity(work)

    driven = Driven(greedy, info=execution("greedy", limits=Limits(actions_per_turn=5)))
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    assert "limits.actions_per_turn" in driven.failure.error_message
    assert driven.close() == 0


def test_long_work_in_a_session_that_is_thrown_away_may_end_by_itself() -> None:
    done: list[int] = []

    async def thorough(ctx: Context) -> None:
        try:
            await ctx.call_activity(work)
        finally:
            for number in range(9_000):
                with contextlib.suppress(BaseException):
                    ctx.set_custom_status(number)
            done.append(1)

    driven = Driven(thorough)
    driven.start()
    assert driven.close() == 0
    assert done == [1]


_EXIT = """
import asyncio, sys
from tests.support.sessions import Driven
from tests.unit.orchestration.test_session_discard import _swallow_sleep
driven = Driven(_swallow_sleep)
driven.start()
assert driven.close() == 1
"""


def test_what_is_parked_does_not_hold_up_the_end_of_the_process() -> None:
    """The interpreter ends coroutines that it frees: one that catches everything would spin."""
    subprocess.run([sys.executable, "-c", _EXIT], check=True, timeout=20)


# --- strangers (ENGINE rule 40) -------------------------------------------------------------------


class Strange:
    """Somebody's garbage, as of a library whose ``__init__`` failed half way."""

    def __init__(self, seen: list[object]) -> None:
        self.me = self
        self.seen = seen

    def __del__(self) -> None:
        self.seen.append(asyncio._get_running_loop())
        raise AttributeError("half made")


async def _strange_coroutine(seen: list[object]) -> None:
    try:
        await asyncio.Future(loop=_elsewhere)
    finally:
        seen.append(asyncio._get_running_loop())
        await asyncio.sleep(5)


_elsewhere = asyncio.new_event_loop()
_elsewhere.close()


def _litter(seen: list[object]) -> None:
    Strange(seen)
    coroutine = _strange_coroutine(seen)
    coroutine.send(None)
    circle: list[object] = [coroutine]
    circle.append(circle)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["threshold", "explicit", "turned on"])
def test_garbage_of_strangers_decides_nothing_and_fails_nobody(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    seen: list[object] = []

    async def innocent(ctx: Context) -> int:
        for _ in range(2):
            _litter(seen)  # as the process around it does
            if how == "explicit":
                collect()
            elif how == "turned on":
                gc.enable()
            rows = [{"a": [number]} for number in range(50)]
            await ctx.call_activity(work)
            assert len(rows) == 50
        return 50

    threshold = gc.get_threshold()
    gc.set_threshold(10, 2, 2)
    try:
        for _ in range(20):
            _litter(seen)
            driven = Driven(innocent)
            assert names(driven.start().actions) == ["TaskScheduled"]
            assert names(driven.turn(answered(1)).actions) == ["TaskScheduled"]
            driven.turn(answered(2))
            assert driven.result == 50
            driven.replayed().close()
            assert driven.close() == 0
    finally:
        gc.set_threshold(*threshold)
        gc.enable()
    gc.collect()
    assert seen
    assert set(seen) == {None}, "no session was running for them"


def test_the_collector_is_left_as_it_was_found() -> None:
    async def look(ctx: Context) -> bool:
        return gc.isenabled()

    async def fails(ctx: Context) -> None:
        signal.raise_signal(signal.SIGINT)

    for wanted in (False, True):
        (gc.enable if wanted else gc.disable)()
        try:
            assert run(look) is False
            assert gc.isenabled() is wanted
            with pytest.raises(KeyboardInterrupt):
                run(fails)
            assert gc.isenabled() is wanted
        finally:
            gc.enable()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_in_a_finalizer_is_not_the_orchestrators_fault(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The interpreter opens the source file to print it, in the name of who dropped the object."""
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)

    class Half:
        def __del__(self) -> None:
            raise SystemExit(3)

    async def drops(ctx: Context) -> str:
        half = Half()
        del half
        return "went on"

    assert run(drops) == "went on"
    assert "SystemExit: 3" in capfd.readouterr().err
