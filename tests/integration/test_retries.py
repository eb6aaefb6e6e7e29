"""Retry policies: when the next attempt comes, when none comes, and what history says of it."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from tenuto import (
    ActivityContext,
    ActivityError,
    App,
    Context,
    FailureDetails,
    InputError,
    OrchestrationFailedError,
    RetryPolicy,
)
from tenuto.model.events import TaskFailed, TaskScheduled, TimerCreated
from tenuto.model.timing import to_datetime
from tenuto.testing import TestHost
from tests.support.histories import kinds, of_type


class Attempts:
    """An activity that fails a number of times and notes each attempt."""

    def __init__(self, app: App) -> None:
        self.failures = 1_000_000
        self.error: type[Exception] = ValueError
        self.seen: list[int] = []
        self.keys: list[str] = []

        @app.activity
        def flaky(context: ActivityContext, text: str) -> str:
            self.seen.append(context.attempt)
            self.keys.append(context.idempotency_key)
            if len(self.seen) <= self.failures:
                raise self.error(f"attempt {context.attempt}")
            return text

        self.activity = flaky

    def fail(self, times: int) -> None:
        self.failures = times


@pytest.fixture
def attempts(app: App) -> Attempts:
    return Attempts(app)


def policy(attempts: int = 3, **more: Any) -> RetryPolicy:
    return RetryPolicy(max_attempts=attempts, **more)


async def _times(test: TestHost, instance_id: str) -> list[datetime]:
    """When each attempt was made, by its turn."""
    turns: list[datetime] = []
    now = 0
    for event in await test.client.history(instance_id):
        now = getattr(event, "timestamp", now)
        if isinstance(event, TaskScheduled):
            turns.append(to_datetime(now))
    return turns


async def test_each_attempt_is_scheduled_failed_and_waited_for_in_history(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    """S37: native retries are seen in history, attempt by attempt (ENGINE rule 10)."""

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        return await ctx.call_activity(attempts.activity.options(retry=policy(4)), "done")

    attempts.fail(2)
    handle = await test.start(parent)
    assert await handle.result() == "done"
    history = await test.client.history(handle.instance_id)
    assert kinds(history) == [
        "ExecutionStarted",
        *["TaskScheduled", "TaskFailed", "TimerCreated", "TimerFired"] * 2,
        "TaskScheduled",
        "TaskCompleted",
        "ExecutionCompleted",
    ]
    scheduled = of_type(history, TaskScheduled)
    assert [one.event_id for one in scheduled] == [1, 3, 5]
    assert [one.attempt for one in scheduled] == [1, 2, 3]
    assert [one.call_id for one in scheduled] == [None, 1, 1]
    assert {one.input for one in scheduled} == {'"done"'}


async def test_the_idempotency_key_is_that_of_the_call_and_the_attempt_counts_up(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> None:
        retrying = attempts.activity.options(retry=policy(3))
        for _ in range(2):
            with pytest.raises(ActivityError):
                await ctx.call_activity(retrying, "x")

    await test.run(parent)
    assert attempts.seen == [1, 2, 3, 1, 2, 3]
    first, second = attempts.keys[:3], attempts.keys[3:]
    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]


async def test_the_last_failure_is_raised_and_names_activity_and_message(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    """S37: the activity fails on all 3 attempts."""

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_activity(attempts.activity.options(retry=policy(3)), "x")

    handle = await test.start(parent)
    with pytest.raises(OrchestrationFailedError) as caught:
        await handle.result()
    assert "'flaky'" in str(caught.value)
    assert "attempt 3" in str(caught.value)
    assert attempts.seen == [1, 2, 3]
    failed = of_type(await test.client.history(handle.instance_id), TaskFailed)
    assert [one.failure_details.error_message for one in failed] == [
        "attempt 1",
        "attempt 2",
        "attempt 3",
    ]


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        (policy(4), [1, 1, 1]),
        (policy(4, first_interval=timedelta(seconds=10)), [10, 10, 10]),
        (policy(5, first_interval=timedelta(seconds=1), backoff=2.0), [1, 2, 4, 8]),
        (
            policy(
                6,
                first_interval=timedelta(seconds=1),
                backoff=3.0,
                max_interval=timedelta(seconds=5),
            ),
            [1, 3, 5, 5, 5],
        ),
        (policy(3, first_interval=timedelta(0)), [0, 0]),
        (policy(3, first_interval=timedelta(days=10)), [864_000, 864_000]),
        (
            policy(
                1000,
                first_interval=timedelta(seconds=10),
                backoff=2.0,
                timeout=timedelta(seconds=100),
            ),
            [10, 20, 40],
        ),
        (policy(1), []),
    ],
    ids=["default", "first", "backoff", "cap", "zero", "days", "total", "once"],
)
async def test_attempts_come_when_the_policy_says(
    app: App, test: TestHost, attempts: Attempts, retry: RetryPolicy, waits: list[int]
) -> None:
    """S38: intervals of any length are allowed here."""

    @app.orchestrator
    async def parent(ctx: Context) -> bool:
        with pytest.raises(ActivityError):
            await ctx.call_activity(attempts.activity.options(retry=retry), "x")
        return True

    handle = await test.start(parent)
    assert await handle.result()
    times = await _times(test, handle.instance_id)
    passed = [(later - earlier).total_seconds() for earlier, later in zip(times, times[1:])]  # noqa: B905, RUF007
    assert passed == pytest.approx(waits, abs=0.001)


async def test_the_predicate_decides_from_the_failure(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    def only_passing(failure: FailureDetails) -> bool:
        return failure.is_caused_by(ConnectionError)

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        retry = policy(5, retry_if=only_passing)
        return await ctx.call_activity(attempts.activity.options(retry=retry), "done")

    attempts.fail(2)
    with pytest.raises(OrchestrationFailedError, match="attempt 1"):
        await test.run(parent)
    attempts.seen.clear()
    attempts.error = ConnectionError
    assert await test.run(parent) == "done"
    assert attempts.seen == [1, 2, 3]


async def test_a_predicate_that_raises_fails_the_call(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    def broken(failure: FailureDetails) -> bool:
        raise KeyError(failure.error_type)

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_activity(attempts.activity.options(retry=policy(retry_if=broken)), "x")

    with pytest.raises(OrchestrationFailedError, match="KeyError"):
        await test.run(parent)
    assert attempts.seen == [1]


class Hopeless(Exception):  # noqa: N818 - the name of the case
    is_non_retriable = True


async def test_a_failure_marked_non_retriable_is_not_tried_again(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_activity(attempts.activity.options(retry=policy(5)), "x")

    attempts.error = Hopeless
    with pytest.raises(OrchestrationFailedError) as caught:
        await test.run(parent)
    assert caught.value.failure.is_caused_by(Hopeless)
    assert attempts.seen == [1]


async def test_a_result_that_cannot_be_stored_is_not_tried_again(app: App, test: TestHost) -> None:
    calls: list[int] = []

    @app.activity(retry=RetryPolicy(max_attempts=5))
    def unstorable() -> object:
        calls.append(1)
        return object()

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_activity(unstorable)

    with pytest.raises(OrchestrationFailedError, match="object"):
        await test.run(parent)
    assert len(calls) == 1


async def test_the_policy_of_the_activity_holds_unless_the_call_has_another(
    app: App, test: TestHost
) -> None:
    calls: list[str] = []

    @app.activity(retry=RetryPolicy(max_attempts=3))
    def flaky(name: str) -> None:
        calls.append(name)
        raise ValueError(name)

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        for call, name in (
            (flaky, "own"),
            (flaky.options(retry=None), "none"),
            (flaky.options(retry=policy(2)), "two"),
        ):
            with pytest.raises(ActivityError):
                await ctx.call_activity(call, name)
        with pytest.raises(ActivityError):
            await ctx.call_activity("flaky", "by name")

    await test.run(parent)
    assert calls == [*["own"] * 3, "none", *["two"] * 2, *["by name"] * 3]


async def test_canceling_a_call_between_attempts_drops_the_wait(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> str:
        retry = policy(5, first_interval=timedelta(hours=1))
        try:
            async with asyncio.timeout(60):
                await ctx.call_activity(attempts.activity.options(retry=retry), "x")
        except TimeoutError:
            await ctx.create_timer(timedelta(hours=5))
        return "gave up"

    handle = await test.start(parent)
    assert await handle.result() == "gave up"
    assert attempts.seen == [1]
    history = await test.client.history(handle.instance_id)
    assert len(of_type(history, TimerCreated)) == 3
    assert kinds(history).count("TaskCanceled") == 1


async def test_attempts_are_counted_right_across_crashes(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    """Between attempts the host is lost; the policy goes on where it was."""

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        retry = policy(4, first_interval=timedelta(hours=1), backoff=2.0)
        await ctx.call_activity(attempts.activity.options(retry=retry), "x")

    handle = await test.start(parent)
    for hours in (1, 2, 4):
        await test.advance(timedelta(minutes=30))
        await test.crash()
        await test.advance(timedelta(hours=hours) - timedelta(minutes=30))
    with pytest.raises(OrchestrationFailedError, match="attempt 4"):
        await handle.result()
    assert attempts.seen == [1, 2, 3, 4]
    assert len(set(attempts.keys)) == 1


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 2.5}, "max_attempts"),
        ({"max_attempts": 2, "first_interval": timedelta(seconds=-1)}, "first_interval"),
        ({"max_attempts": 2, "backoff": 0.5}, "backoff"),
        ({"max_attempts": 2, "max_interval": 5}, "max_interval"),
        ({"max_attempts": 2, "timeout": timedelta(days=-1)}, "timeout"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name_bad_input_is_refused_whole(
    wrong: dict[str, Any], name: str
) -> None:
    """S38."""
    with pytest.raises(InputError, match=name):
        RetryPolicy(**wrong)


async def test_what_is_no_policy_is_refused_at_the_call(
    app: App, test: TestHost, attempts: Attempts
) -> None:
    """S37: wrong retry options fail with a message about them."""

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_activity(attempts.activity.options(retry=3), "x")  # type: ignore[arg-type]

    with pytest.raises(OrchestrationFailedError, match="retry"):
        await test.run(parent)
