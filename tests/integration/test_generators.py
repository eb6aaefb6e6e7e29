"""Generator orchestrators, as in Durable Functions: they yield tasks and are sent results."""

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from tenuto import (
    ActivityError,
    ActivityFunction,
    App,
    Context,
    OrchestrationFailedError,
    RetryPolicy,
    SubOrchestrationError,
)
from tenuto.testing import TestHost
from tests.support.histories import kinds

Steps: TypeAlias = Generator[Any, Any, Any]
Step: TypeAlias = ActivityFunction[str, str]
Json: TypeAlias = Any


@pytest.fixture
def flaky(app: App) -> Step:
    @app.activity
    def step(text: str) -> str:
        if text.startswith("bad"):
            raise ValueError(text)
        return text.upper()

    return step


async def test_a_generator_yields_tasks_and_gets_their_results(
    app: App, test: TestHost, flaky: Step
) -> None:
    @app.orchestrator
    def parent(ctx: Context, first: str) -> Steps:
        one = yield ctx.call_activity(flaky, first)
        two = yield ctx.call_activity(flaky, one + "b")
        return [one, two]

    handle = await test.start("parent", "a")
    assert await handle.result() == ["A", "AB"]
    assert kinds(await test.client.history(handle.instance_id)) == [
        "ExecutionStarted",
        *["TaskScheduled", "TaskCompleted"] * 2,
        "ExecutionCompleted",
    ]


async def test_a_function_without_a_single_yield_completes(app: App, test: TestHost) -> None:
    """S17."""

    @app.orchestrator
    def plain(ctx: Context, number: int) -> int:
        return number + 1

    @app.orchestrator
    def empty(ctx: Context) -> Steps:
        if ctx.is_replaying and not ctx.name:
            yield  # never reached, but it makes this a generator
        return "nothing was yielded"

    assert await test.run("plain", 1) == 2
    assert await test.run("empty") == "nothing was yielded"


async def test_a_failure_is_thrown_at_the_yield_and_can_be_caught(
    app: App, test: TestHost, flaky: Step
) -> None:
    """S35."""

    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        try:
            yield ctx.call_activity(flaky, "bad day")
        except ActivityError as error:
            undone = yield ctx.call_activity(flaky, "undo")
            return [error.failure.error_message, undone]
        return "not reached"

    assert await test.run("parent") == ["bad day", "UNDO"]


async def test_a_failure_that_is_not_caught_fails_the_instance(
    app: App, test: TestHost, flaky: Step
) -> None:
    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        yield ctx.call_activity(flaky, "bad day")

    with pytest.raises(OrchestrationFailedError, match="ValueError: bad day"):
        await test.run("parent")


@pytest.mark.parametrize("value", [None, 7, "text", ["a", "list"]])
async def test_yielding_what_is_no_task_is_an_error_that_says_so(
    app: App, test: TestHost, value: Json
) -> None:
    """S17."""

    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        yield value

    with pytest.raises(OrchestrationFailedError, match="must yield tasks"):
        await test.run("parent")


async def test_the_error_for_a_bad_yield_can_be_caught(
    app: App, test: TestHost, flaky: Step
) -> None:
    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        try:
            yield "no task"
        except TypeError:
            return (yield ctx.call_activity(flaky, "a"))

    assert await test.run("parent") == "A"


async def test_task_all_and_task_any_are_yielded_like_tasks(
    app: App, test: TestHost, flaky: Step
) -> None:
    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        results = yield ctx.task_all([ctx.call_activity(flaky, name) for name in "abc"])
        approval = ctx.wait_for_external_event("approval")
        deadline = ctx.create_timer(timedelta(hours=1))
        winner = yield ctx.task_any([approval, deadline])
        if winner is approval:
            deadline.cancel()
            return [*results, (yield approval)]
        return [*results, "expired"]

    expired = await test.start("parent")
    assert await expired.result() == ["A", "B", "C", "expired"]
    approved = await test.start("parent")
    await test.idle()
    await approved.raise_event("approval", "yes")
    assert await approved.result() == ["A", "B", "C", "yes"]
    assert kinds(await test.client.history(approved.instance_id))[-4:] == [
        "EventRaised",
        "EventTaken",
        "TaskCanceled",
        "ExecutionCompleted",
    ]


async def test_nested_generators_work_with_yield_from(
    app: App, test: TestHost, flaky: Step
) -> None:
    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        def both(first: str, second: str) -> Steps:
            one = yield ctx.call_activity(flaky, first)
            two = yield ctx.call_activity(flaky, second)
            return one + two

        left = yield from both("a", "b")
        right = yield from both("c", "d")
        return left + right

    assert await test.run("parent") == "ABCD"


async def test_a_task_may_be_yielded_twice_or_when_it_is_done(
    app: App, test: TestHost, flaky: Step
) -> None:
    """S17: yielding the same task twice schedules once."""

    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        task = ctx.call_activity(flaky, "a")
        first = yield task
        second = yield task
        return first + second

    handle = await test.start("parent")
    assert await handle.result() == "AA"
    assert kinds(await test.client.history(handle.instance_id)).count("TaskScheduled") == 1


async def test_generators_call_children_wait_for_events_and_retry(app: App, test: TestHost) -> None:
    attempts: list[int] = []

    @app.activity
    def flaky_step() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("again")
        return len(attempts)

    @app.orchestrator
    def child(ctx: Context, number: int) -> Steps:
        if number > 3:
            raise ValueError("too much")
        yield ctx.create_timer(timedelta(minutes=number))
        return number * 10

    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        retry = RetryPolicy(max_attempts=3)
        one = yield ctx.call_activity(flaky_step.options(retry=retry))
        two = yield ctx.call_sub_orchestrator("child", 2)
        three = yield ctx.wait_for_external_event("three", int)
        try:
            yield ctx.call_sub_orchestrator("child", 4)
        except SubOrchestrationError as error:
            return [one, two, three, error.failure.error_message]

    handle = await test.start("parent")
    await handle.raise_event("three", 30)
    assert await handle.result() == [3, 20, 30, "too much"]


async def test_generators_continue_as_new(app: App, test: TestHost) -> None:
    @app.orchestrator
    def parent(ctx: Context, number: int) -> Steps:
        yield ctx.create_timer(timedelta(seconds=1))
        if number < 3:
            ctx.continue_as_new(number + 1)
            return None
        return number

    assert await test.run("parent", 0) == 3


async def test_a_generator_may_use_asyncio_futures_too(
    app: App, test: TestHost, flaky: Step
) -> None:
    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        both = yield asyncio.gather(ctx.call_activity(flaky, "a"), ctx.call_activity(flaky, "b"))
        slept = yield asyncio.ensure_future(asyncio.sleep(60, "slept"))
        return [*both, slept]

    assert await test.run("parent") == ["A", "B", "slept"]


async def test_a_generator_that_waits_is_closed_when_its_session_goes(
    app: App, test: TestHost
) -> None:
    """Its ``finally`` runs when it is discarded, and can decide nothing then."""
    closed: list[str] = []

    @app.orchestrator
    def parent(ctx: Context) -> Steps:
        try:
            yield ctx.create_timer(timedelta(days=1))
        finally:
            closed.append("finally")
        return "done"

    handle = await test.start("parent")
    await test.idle()
    assert closed
    assert await handle.result() == "done"
