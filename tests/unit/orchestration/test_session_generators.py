"""Orchestrators in the generator style."""

import asyncio
from collections.abc import Generator
from typing import Any, TypeAlias

from tenuto import ActivityError, Context
from tenuto.model.events import TaskScheduled
from tests.support.sessions import Driven, answered, failed, names, raised, work

Steps: TypeAlias = Generator[Any, Any, Any]


def test_a_generator_gets_the_result_of_each_task_that_it_yields() -> None:
    def steps(ctx: Context) -> Steps:
        first = yield ctx.call_activity(work)
        second, third = yield ctx.task_all([ctx.call_activity(work), ctx.call_activity(work)])
        return [first, second, third]

    driven = Driven(steps)
    driven.start()
    driven.turn(answered(1, "a"))
    driven.turn(answered(3, "c"), answered(2, "b"))
    assert driven.result == ["a", "b", "c"]
    assert driven.replayed().close() == 0
    driven.close()


def test_errors_and_cancellations_come_out_of_the_yield() -> None:
    def steps(ctx: Context) -> Steps:
        seen = []
        try:
            yield ctx.call_activity(work)
        except ActivityError as error:
            seen.append(type(error).__name__)
        task = ctx.call_activity(work)
        task.cancel()
        try:
            yield task
        except asyncio.CancelledError as error:
            seen.append(type(error).__name__)
        return seen

    driven = Driven(steps)
    driven.start()
    driven.turn(failed(1))
    assert driven.result == ["ActivityError", "CancelledError"]
    driven.close()


def test_only_tasks_may_be_yielded_and_the_error_can_be_caught() -> None:
    async def coroutine() -> None:
        """Is closed unawaited."""

    def steps(ctx: Context) -> Steps:
        seen = []
        for bad in (5, coroutine(), None):
            try:
                yield bad
            except TypeError as error:
                seen.append(str(error).partition(";")[0])
        seen.append((yield ctx.call_activity(work)))
        yield "uncaught"

    driven = Driven(steps)
    driven.start()
    driven.turn(answered(1))
    assert "it yielded 'uncaught'" in driven.failure.error_message
    driven.close()


def test_a_generator_without_a_yield_that_is_reached_returns_at_once() -> None:
    def steps(ctx: Context, go_on: bool) -> Steps:
        if go_on:
            yield ctx.call_activity(work)
        return go_on

    driven = Driven(steps)
    driven.start(False)
    assert driven.result is False
    driven.close()


def test_positions_look_into_generators() -> None:
    def inner(ctx: Context) -> Steps:
        return (yield ctx.wait_for_external_event("go on"))

    def steps(ctx: Context) -> Steps:
        yield ctx.call_activity(work)
        return (yield from inner(ctx))

    driven = Driven(steps)
    driven.start()
    assert driven.session.positions()[0].endswith("<locals>.steps")
    assert names(driven.turn(answered(1)).actions) == ["EventAwaited"]
    assert driven.session.positions()[0].endswith("<locals>.inner")
    driven.turn(raised("go on", 1))
    assert driven.result == 1
    driven.close()


def test_a_generator_that_is_thrown_away_runs_its_finally_block() -> None:
    ended: list[str] = []

    def steps(ctx: Context) -> Steps:
        try:
            yield ctx.call_activity(work)
        finally:
            ended.append("finally")
            yield ctx.call_activity(work)

    driven = Driven(steps)
    driven.start()
    assert driven.close() == 0
    assert ended == ["finally"]
    assert len(driven.of_type(TaskScheduled)) == 1
