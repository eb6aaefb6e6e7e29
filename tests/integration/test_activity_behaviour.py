"""Activities: threads and loop, failures, timeouts, cancellation, limits, context."""

import asyncio
import contextvars
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenuto import (
    ActivityContext,
    ActivityError,
    ActivityTimeoutError,
    App,
    Context,
    Host,
    Limits,
    NonDeterminismError,
    OrchestrationFailedError,
    RetryPolicy,
    RuntimeStatus,
    Settings,
    UnknownFunctionError,
    current_activity,
)
from tenuto.model.ids import InstanceId
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.histories import kinds
from tests.support.waiting import until


async def test_sync_activities_run_in_threads_and_async_ones_on_the_loop(
    app: App, test: TestHost
) -> None:
    @app.activity
    def in_thread() -> str:
        return threading.current_thread().name

    @app.activity
    async def on_loop() -> str:
        return threading.current_thread().name

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        return [await ctx.call_activity(in_thread), await ctx.call_activity(on_loop)]

    thread, loop = await test.run(parent)
    assert thread != threading.main_thread().name
    assert loop == threading.main_thread().name


async def test_a_failure_is_caught_and_compensated(app: App, test: TestHost) -> None:
    """S35: the orchestrator catches, compensates, and completes."""
    undone: list[str] = []

    @app.activity
    def book(what: str) -> str:
        if what == "flight":
            raise LookupError("sold out")
        return what

    @app.activity
    def cancel(what: str) -> None:
        undone.append(what)

    @app.orchestrator
    async def trip(ctx: Context) -> str:
        hotel = await ctx.call_activity(book, "hotel")
        try:
            await ctx.call_activity(book, "flight")
        except ActivityError as error:
            await ctx.call_activity(cancel, hotel)
            return f"{error.function}: {error.failure.error_type}: {error.failure.error_message}"
        return "booked"

    handle = await test.start(trip)
    assert await handle.result() == "book: LookupError: sold out"
    assert undone == ["hotel"]
    assert (await handle.status()).runtime_status is RuntimeStatus.COMPLETED


class ShopError(Exception):
    pass


async def test_an_uncaught_failure_fails_the_instance_with_type_text_and_traceback(
    app: App, test: TestHost
) -> None:
    """S36: in an activity and in the orchestrator itself."""

    @app.activity
    def buy() -> None:
        raise ShopError("closed")

    @app.orchestrator
    async def by_activity(ctx: Context) -> None:
        await ctx.call_activity(buy)

    @app.orchestrator
    async def by_itself(ctx: Context) -> None:
        raise ShopError("closed here")

    first = await test.start(by_activity)
    with pytest.raises(OrchestrationFailedError) as caught:
        await first.result()
    assert "'by_activity'" in str(caught.value)
    assert "'buy'" in str(caught.value)
    assert "closed" in str(caught.value)
    inner = caught.value.failure.inner_failure
    assert inner is None or inner.is_caused_by(ShopError)
    assert caught.value.failure.is_caused_by(ShopError)
    with pytest.raises(OrchestrationFailedError) as caught:
        await test.run(by_itself)
    failure = caught.value.failure
    assert failure.error_type.endswith("ShopError")
    assert failure.stack_trace is not None
    assert "raise ShopError" in failure.stack_trace
    status = await first.status()
    assert status.runtime_status is RuntimeStatus.FAILED
    assert status.failure is not None
    assert status.output is None


async def test_an_unknown_activity_fails_the_call_with_a_helpful_text(
    app: App, test: TestHost
) -> None:
    """S41: catchable inside."""

    @app.activity
    def book_flight() -> None:
        return

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            await ctx.call_activity("book_fligth")
        except ActivityError as error:
            return error.failure.error_message
        return "not reached"

    text = await test.run(parent)
    assert "'book_fligth'" in text
    assert "did you mean 'book_flight'" in text


async def test_an_unknown_orchestrator_is_refused_at_the_start_naming_those_known(
    app: App, test: TestHost
) -> None:
    """S40."""

    @app.orchestrator
    async def book_trip(ctx: Context) -> None:
        return

    with pytest.raises(UnknownFunctionError, match="book_trip"):
        await test.start("book_tripp", instance_id="never")
    assert await test.client.get_status("never") is None


async def test_code_that_lost_a_step_fails_with_a_determinism_error_replay_is_pure(
    app: App, test: TestHost, unreplayable: set[str]
) -> None:
    """S42: the activity was removed between start and replay."""

    @app.activity
    def first() -> None:
        return

    @app.orchestrator(name="parent")
    async def before(ctx: Context) -> None:
        await ctx.call_activity(first)
        await ctx.create_timer(timedelta(hours=1))

    changed = App()

    @changed.activity
    def second() -> None:
        return

    @changed.orchestrator(name="parent")
    async def after(ctx: Context) -> None:
        await ctx.call_activity(second)
        await ctx.create_timer(timedelta(hours=1))

    handle = await test.start(before, instance_id="changed")
    await test.idle()
    test.app = changed
    with pytest.raises(NonDeterminismError):
        await test.check_replay("changed")
    await test.restart()
    with pytest.raises(OrchestrationFailedError) as caught:
        await handle.result()
    failure = caught.value.failure
    assert failure.error_type.endswith("NonDeterminismError")
    assert "TaskScheduled #1 'first'" in failure.error_message
    assert "TaskScheduled #1 'second'" in failure.error_message
    assert f"{__file__.rpartition('/')[2]}" in failure.error_message
    unreplayable.add("changed")


# --- timeouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_timeout_really_ends_the_wait_and_turns_the_token_on(
    app: App, test: TestHost, is_async: bool
) -> None:
    """S44: a catchable exception whose inner error is a timeout."""
    stopped = threading.Event()

    @app.activity(timeout=timedelta(minutes=5))
    def slow_in_thread(context: ActivityContext) -> str:
        while not context.cancellation.requested:
            time.sleep(0.001)
        stopped.set()
        return "too late"

    @app.activity(timeout=timedelta(minutes=5))
    async def slow_on_loop(context: ActivityContext) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            if context.cancellation.requested:
                stopped.set()
        return "too late"

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        try:
            return [await ctx.call_activity(slow_on_loop if is_async else slow_in_thread)]
        except ActivityTimeoutError as error:
            return [error.failure.error_type, error.failure.error_message, str(ctx.current_time)]

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    await until(lambda: test.host.engine.runner.running == 1)
    await test.advance(timedelta(minutes=5), with_activities=False)
    kind, text, at = await handle.result()
    assert kind == "TimeoutError"
    assert "0:05:00" in text
    assert at == "2026-01-01 00:05:00+00:00"
    await asyncio.to_thread(stopped.wait, 10)


def test_a_timeout_of_an_activity_is_a_timeout_as_python_knows_it() -> None:
    assert issubclass(ActivityTimeoutError, TimeoutError)


async def test_each_attempt_has_the_whole_timeout(app: App, test: TestHost) -> None:
    attempts: list[int] = []

    @app.activity
    async def slow(context: ActivityContext) -> str:
        attempts.append(context.attempt)
        if context.attempt < 3:
            await context.cancellation.wait()
        return "third time"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        options = slow.options(
            timeout=timedelta(minutes=1),
            retry=RetryPolicy(max_attempts=3, first_interval=timedelta(minutes=10)),
        )
        return await ctx.call_activity(options)

    handle = await test.start(parent)
    await test.advance(timedelta(minutes=23), with_activities=False)
    assert await handle.result() == "third time"
    assert attempts == [1, 2, 3]


async def test_an_activity_without_timeout_may_take_for_ever(app: App, test: TestHost) -> None:
    release = asyncio.Event()

    @app.activity
    async def slow() -> str:
        await release.wait()
        return "at last"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        return await ctx.call_activity(slow)

    handle = await test.start(parent)
    await test.advance(timedelta(days=30), with_activities=False)
    release.set()
    assert await handle.result() == "at last"


# --- cancellation ---------------------------------------------------------------------------------


async def test_terminating_an_instance_turns_the_tokens_of_its_activities_on(
    app: App, test: TestHost
) -> None:
    stopped: list[str] = []

    @app.activity
    async def slow(context: ActivityContext, name: str) -> None:
        await context.cancellation.wait()
        stopped.append(name)

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await asyncio.gather(*(ctx.call_activity(slow, name) for name in "ab"))

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    await handle.terminate("enough")
    await until(lambda: len(stopped) == 2)
    assert (await handle.status()).runtime_status is RuntimeStatus.TERMINATED


async def test_activities_nobody_waits_for_any_more_are_told_when_the_instance_ends(
    app: App, test: TestHost
) -> None:
    stopped = asyncio.Event()

    @app.activity
    async def slow(context: ActivityContext) -> None:
        await context.cancellation.wait()
        stopped.set()

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        _ = ctx.call_activity(slow)
        await ctx.wait_for_external_event("end")
        return "completed at once"

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    await handle.raise_event("end")
    assert await handle.result() == "completed at once"
    await asyncio.wait_for(stopped.wait(), 10)


async def test_a_queued_activity_that_is_canceled_never_begins(app: App, test: TestHost) -> None:
    release = asyncio.Event()
    begun: list[str] = []

    @app.activity(max_concurrent=1)
    async def one_at_a_time(name: str) -> str:
        begun.append(name)
        await release.wait()
        return name

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        first = ctx.call_activity(one_at_a_time, "first")
        second = ctx.call_activity(one_at_a_time, "second")
        await ctx.wait_for_external_event("cancel")
        second.cancel()
        return await first

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    await handle.raise_event("cancel")
    release.set()
    assert await handle.result() == "first"
    await test.idle()
    assert begun == ["first"]


# --- limits ---------------------------------------------------------------------------------------


async def test_an_activitys_own_limit_bounds_it_over_all_instances(
    app: App, test: TestHost
) -> None:
    running = [0]
    most = [0]

    @app.activity(max_concurrent=2)
    async def bounded() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.001)
        running[0] -= 1

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await asyncio.gather(*(ctx.call_activity(bounded) for _ in range(5)))

    handles = [await test.start(parent) for _ in range(4)]
    await asyncio.gather(*(handle.result() for handle in handles))
    assert most == [2]


async def test_the_global_limit_of_threads_holds(app: App, open_host: OpenHost) -> None:
    lock = threading.Lock()
    running = [0]
    most = [0]

    @app.activity
    def in_thread() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.002)
        with lock:
            running[0] -= 1

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await asyncio.gather(*(ctx.call_activity(in_thread) for _ in range(20)))

    test = await open_host(app, settings=Settings(activity_threads=3))
    await test.run(parent)
    assert 1 <= most[0] <= 3


async def test_too_many_actions_in_one_turn_fail_naming_limit_and_setting(
    app: App, open_host: OpenHost
) -> None:
    """S43: the custom status set before is kept."""

    @app.activity
    def work(number: int) -> int:
        return number

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        ctx.set_custom_status("going too far")
        await asyncio.gather(*(ctx.call_activity(work, number) for number in range(8)))

    test = await open_host(app, settings=Settings(limits=Limits(actions_per_turn=7)))
    handle = await test.start(parent)
    with pytest.raises(OrchestrationFailedError, match="actions_per_turn") as caught:
        await handle.result()
    assert "7" in str(caught.value)
    history = await test.client.history(handle.instance_id)
    assert "TaskScheduled" not in kinds(history)
    assert (await handle.status()).custom_status == "going too far"


async def test_a_result_over_the_limit_fails_the_call_naming_it(
    app: App, open_host: OpenHost
) -> None:
    @app.activity
    def big() -> str:
        return "x" * 2000

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            return await ctx.call_activity(big)
        except ActivityError as error:
            return error.failure.error_message

    test = await open_host(app, settings=Settings(limits=Limits(payload_bytes=1000)))
    text = await test.run(parent)
    assert "payload_bytes" in text
    assert "'big'" in text


async def test_an_argument_over_the_limit_fails_at_the_call(app: App, open_host: OpenHost) -> None:
    @app.activity
    def take(text: str) -> None:
        return

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        await ctx.call_activity(take, "x" * 2000)

    test = await open_host(app, settings=Settings(limits=Limits(payload_bytes=1000)))
    with pytest.raises(OrchestrationFailedError, match="payload_bytes"):
        await test.run(parent)


# --- what an activity is told ---------------------------------------------------------------------


async def test_an_activity_is_told_for_whom_and_which_attempt_it_runs(
    app: App, test: TestHost
) -> None:
    @app.activity
    def by_parameter(context: ActivityContext, number: int) -> list[Any]:
        return [context.name, context.instance_id, context.attempt, context.idempotency_key]

    @app.activity
    async def by_function() -> list[Any]:
        context = current_activity()
        return [context.name, context.instance_id, context.attempt, context.idempotency_key]

    @app.orchestrator
    async def parent(ctx: Context) -> list[list[Any]]:
        return [await ctx.call_activity(by_parameter, 7), await ctx.call_activity(by_function)]

    first, second = await test.run(parent, instance_id="the-id")
    assert first[:3] == ["by_parameter", "the-id", 1]
    assert second[:3] == ["by_function", "the-id", 1]
    assert first[3] != second[3]


async def test_the_idempotency_key_survives_a_crash_at_least_once_activities(
    app: App, test: TestHost
) -> None:
    """An activity that was running when the host was lost runs again, under the same key."""
    keys: list[str] = []
    release = asyncio.Event()

    @app.activity
    async def charge(context: ActivityContext) -> str:
        keys.append(context.idempotency_key)
        if len(keys) == 1:
            await release.wait()
        return "charged"

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        return await ctx.call_activity(charge)

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    await test.crash()
    assert await handle.result() == "charged"
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert kinds(await test.client.history(handle.instance_id)).count("TaskCompleted") == 1


async def test_context_variables_of_one_attempt_are_not_seen_by_the_next(
    app: App, test: TestHost
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @app.activity
    def in_thread() -> str:
        before = variable.get()
        variable.set("left behind")
        return before

    @app.activity
    async def on_loop() -> str:
        before = variable.get()
        variable.set("left behind")
        return before

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        return [await ctx.call_activity(activity) for activity in (in_thread, in_thread)] + [
            await ctx.call_activity(on_loop) for _ in range(2)
        ]

    assert await test.run(parent) == ["unset"] * 4


async def test_calling_an_activity_directly_is_a_plain_call_outside_and_refused_inside(
    app: App, test: TestHost
) -> None:
    @app.activity
    def double(number: int) -> int:
        return number * 2

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        return double(21)

    assert double(21) == 42
    with pytest.raises(OrchestrationFailedError, match="GuardError"):
        await test.run(parent)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_no_exception_of_an_activity_ends_the_host(
    app: App, test: TestHost, kind: type[BaseException]
) -> None:
    @app.activity
    def in_thread() -> None:
        raise kind("in thread")

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        try:
            await ctx.call_activity(in_thread)
        except ActivityError as error:
            return error.failure.error_type
        return "not reached"

    assert await test.run(parent) == kind.__name__


@pytest.mark.parametrize("how", ["returns", "raises"])
async def test_a_call_of_the_turn_that_ends_runs_once_and_nobody_gets_its_answer(
    app: App, test: TestHost, how: str
) -> None:
    ran: list[str] = []

    @app.activity
    def note(text: str) -> None:
        ran.append(text)
        if text == "fails":
            raise ValueError(text)

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        await ctx.call_activity(note, "awaited")
        _ = ctx.call_activity(note, "left behind")
        _ = ctx.call_activity(note, "fails")
        _ = ctx.create_timer(timedelta(days=1))
        if how == "raises":
            raise RuntimeError(how)
        return "done"

    handle = await test.start(parent)
    ended = await test.client.wait(handle.instance_id)
    assert ended.runtime_status.label == ("Completed" if how == "returns" else "Failed")
    await test.idle()
    assert sorted(ran) == ["awaited", "fails", "left behind"]
    events = await test.client.history(handle.instance_id)
    names = [type(event).__name__ for event in events]
    assert names.count("TaskScheduled") == 3
    assert "TimerCreated" not in names
    assert names[-1] == "ExecutionCompleted"
    record = await test.host.engine.storage.get(InstanceId(handle.instance_id))
    assert record is not None
    assert record.wake_at is None
    assert not len(test.host.engine.residents)
    await test.restart()
    await test.idle()
    assert len(ran) == 3


async def test_at_least_once_activities_a_call_of_the_last_turn_survives_a_crash(
    app: App, tmp_path: Path
) -> None:
    ran: list[int] = []
    begun = asyncio.Event()

    @app.activity
    async def note(number: int) -> None:
        ran.append(number)
        begun.set()
        if len(ran) == 1:
            await asyncio.sleep(60)

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        _ = ctx.call_activity(note, 1)
        return "done"

    url = f"sqlite:///{tmp_path / 'hub.db'}"
    host = Host(app, url)
    await host.start()
    handle = await host.client.start(parent, instance_id="parent")
    assert await handle.result() == "done"
    await begun.wait()
    await host.abandon()
    begun.clear()
    async with Host(app, url) as host:
        await begun.wait()
        assert ran == [1, 1]
        async with asyncio.timeout(30):
            while (  # noqa: ASYNC110 - the store is asked
                await host.engine.storage.due([0], None, 1)
            ) or len(host.engine.residents):
                await asyncio.sleep(0.01)
        # Another may have the id at once, whatever still runs.
        again = await host.client.start(parent, instance_id="parent")
        assert await again.result() == "done"


async def test_of_what_still_ran_when_it_ended_only_calls_of_the_last_turn_survive_a_crash(
    app: App, tmp_path: Path
) -> None:
    """Earlier ones were told to end, since nobody waited for them any more."""
    ran: list[str] = []
    may_end = asyncio.Event()

    @app.activity
    async def note(key: str) -> None:
        ran.append(key)
        await may_end.wait()

    @app.orchestrator
    async def parent(ctx: Context) -> str:
        early = ctx.call_activity(note, "early")
        await ctx.wait_for_external_event("go")
        _ = ctx.call_activity(note, "last"), early
        return "done"

    url = f"sqlite:///{tmp_path / 'hub.db'}"
    host = Host(app, url)
    await host.start()
    handle = await host.client.start(parent)
    await until(lambda: ran == ["early"])
    await handle.raise_event("go")
    assert await handle.result() == "done"
    await until(lambda: ran == ["early", "last"])
    await host.abandon()
    async with Host(app, url):
        await until(lambda: ran[2:])  # they begin in the order of their calls
        assert ran == ["early", "last", "last"]
        may_end.set()
