"""The executor: limits, timeouts, cancelling, failures, and one outcome for each attempt."""

import asyncio
import contextvars
import dataclasses
import logging
import sys
import threading
from collections.abc import Awaitable, Iterator
from typing import Any, NoReturn

import pytest

from tenuto.engine.ports import ActivityWork, BegunWork, QueuedWork
from tenuto.functions.activities import ActivityExecutor
from tenuto.functions.activity_context import ActivityContext, current_activity
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.errors import UnknownFunctionError
from tenuto.model.events import TaskCompleted
from tests.unit.functions.conftest import FakeClock, MakeExecutor, Outcomes, failure, until, work


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Keeps sync activities from ending; opened at the end of the test at the latest."""
    event = threading.Event()
    yield event
    event.set()


# --- running -------------------------------------------------------------------------------------


async def test_sync_and_async_activities_give_their_results(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    def add(left: int, right: int = 10) -> int:
        return left + right

    @app.activity
    async def greet(name: str) -> str:
        await asyncio.sleep(0)
        return f"Hello {name}!"

    @app.activity
    def nothing() -> None: ...

    executor.start(
        [
            work("add", '{"left":1}', task_id=1),
            work("greet", '"Ada"', task_id=2),
            work("nothing", task_id=3),
        ]
    )
    await outcomes.wait(3)
    assert outcomes.results() == {1: 11, 2: "Hello Ada!", 3: None}


async def test_inputs_are_rebuilt_and_results_written(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @dataclasses.dataclass
    class Trip:
        city: str
        nights: int

    # Annotations of local classes are not resolvable from text; this module has none.
    @app.activity
    def extend(trip: Trip) -> Trip:
        return Trip(trip.city, trip.nights + 1)

    executor.start([work("extend", '{"city":"Oslo","nights":2}')])
    (outcome,) = await outcomes.wait(1)
    assert outcome.answer == TaskCompleted(1, '{"city":"Oslo","nights":3}')


async def test_sync_activities_run_in_threads_and_async_ones_on_the_loop(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    def sync() -> str:
        return threading.current_thread().name

    @app.activity
    async def on_loop() -> str:
        return threading.current_thread().name

    executor.start([work("sync", task_id=1), work("on_loop", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[1].startswith("tenuto-activity-")
    assert outcomes.results()[2] == threading.current_thread().name


async def test_outcomes_come_in_bursts_and_never_from_within_start(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    async def at_once() -> int:
        return 1

    executor.start([work("at_once", task_id=number) for number in range(100)])
    assert outcomes.bursts == []
    await outcomes.wait(100)
    assert len(outcomes.bursts) <= 2


async def test_async_activities_run_in_a_proper_task(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    async def patient() -> str:
        assert asyncio.current_task() is not None
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out inside"
        return "not reached"

    executor.start([work("patient")])
    await outcomes.wait(1)
    assert outcomes.results() == {1: "timed out inside"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_an_async_activity_that_never_waits_is_done_within_start(
    app: FunctionRegistry, executor: ActivityExecutor
) -> None:
    done = []

    @app.activity
    async def at_once() -> None:
        done.append(1)

    executor.start([work("at_once")])
    assert done == [1]


async def test_attempts_do_not_see_each_others_context_variables(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    variable = contextvars.ContextVar("variable", default="host")

    @app.activity
    def sync() -> str:
        seen = variable.get()
        variable.set("sync")
        return seen

    @app.activity
    async def on_loop() -> str:
        seen = variable.get()
        variable.set("async")
        return seen

    variable.set("changed by the host")
    names = ["sync", "on_loop"] * 2
    executor.start([work(name, task_id=number) for number, name in enumerate(names)])
    await outcomes.wait(4)
    assert set(outcomes.results().values()) == {"changed by the host"}


# --- the context ---------------------------------------------------------------------------------


async def test_activities_are_told_who_they_are(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    def injected(context: ActivityContext, number: int) -> list[Any]:
        assert current_activity() is context
        return [context.instance_id, context.name, context.attempt, context.idempotency_key, number]

    @app.activity
    async def asked() -> list[Any]:
        await asyncio.sleep(0)
        context = current_activity()
        return [context.instance_id, context.name, context.attempt, context.idempotency_key]

    executor.start([work("injected", "5", attempt=3), work("asked", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results() == {
        1: ["trip-1", "injected", 3, "exec:7", 5],
        2: ["trip-1", "asked", 1, "exec:7"],
    }


async def test_an_activity_called_by_another_shares_its_context(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    def inner(context: ActivityContext) -> str:
        return context.name

    @app.activity
    def outer() -> str:
        return inner()

    executor.start([work("outer")])
    await outcomes.wait(1)
    assert outcomes.results() == {1: "outer"}


# --- failures ------------------------------------------------------------------------------------


class SoldOutError(Exception):
    is_non_retriable = True


async def test_failures_keep_type_message_cause_and_the_users_own_frames(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    def sync() -> None:
        seats: dict[str, int] = {}
        try:
            seats["12A"] += 1
        except KeyError as error:
            raise SoldOutError("no seat left") from error

    @app.activity
    async def on_loop() -> NoReturn:
        await asyncio.sleep(0)
        raise SoldOutError("no seat left")

    executor.start([work("sync", task_id=1), work("on_loop", task_id=2)])
    for outcome in await outcomes.wait(2):
        found = failure(outcome)
        assert found.error_type == f"{__name__}.SoldOutError"
        assert found.error_message == "no seat left"
        assert found.is_non_retriable
        assert found.stack_trace is not None
        assert __file__ in found.stack_trace
        assert "attempt.py" not in found.stack_trace
    sync_failure = failure(min(outcomes.all, key=lambda one: one.task_id))
    assert sync_failure.inner_failure is not None
    assert sync_failure.inner_failure.error_type == "KeyError"


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()]
)
async def test_exceptions_that_end_programs_are_failures_and_workers_go_on(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes, error: BaseException
) -> None:
    @app.activity
    def sync() -> NoReturn:
        raise error

    @app.activity
    async def on_loop() -> NoReturn:
        raise error

    @app.activity
    def fine() -> str:
        return "fine"

    executor.start([work("sync", task_id=1), work("on_loop", task_id=2), work("fine", task_id=3)])
    await outcomes.wait(3)
    results = outcomes.results()
    assert results[1].error_type.endswith(type(error).__name__)
    assert results[2].error_type == results[1].error_type
    assert results[3] == "fine"


async def test_a_failure_that_cannot_be_recorded_is_still_a_failure(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    class HostileError(Exception):
        @property
        def is_non_retriable(self) -> bool:
            raise ZeroDivisionError

    @app.activity
    def hostile() -> NoReturn:
        raise HostileError

    executor.start([work("hostile")])
    (outcome,) = await outcomes.wait(1)
    assert failure(outcome).error_type.endswith("HostileError")


async def test_an_unknown_activity_fails_for_good_and_says_what_there_is(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    def book_hotel() -> None: ...

    executor.start([work("book_hotl"), work("book_hotel", task_id=2)])
    await outcomes.wait(2)
    found = outcomes.results()[1]
    assert found.is_caused_by(UnknownFunctionError)
    assert found.is_non_retriable
    assert "did you mean 'book_hotel'?" in found.error_message
    assert outcomes.results()[2] is None


@pytest.mark.parametrize("name", ["sync", "on_loop"])
async def test_bad_input_is_refused_whole(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes, name: str
) -> None:
    ran = []

    @app.activity
    def sync(number: int) -> None:
        ran.append(number)

    @app.activity
    async def on_loop(number: int) -> None:
        ran.append(number)

    executor.start([work(name, '"seven"')])
    (outcome,) = await outcomes.wait(1)
    assert failure(outcome).error_type.endswith("PayloadError")
    assert "argument 'number'" in failure(outcome).error_message
    assert failure(outcome).is_non_retriable
    assert ran == []


async def test_a_result_that_cannot_be_stored_fails_for_good(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    def odd() -> object:
        return {"door": object()}

    executor.start([work("odd")])
    (outcome,) = await outcomes.wait(1)
    assert "$.door" in failure(outcome).error_message
    assert failure(outcome).is_non_retriable


async def test_a_sync_activity_that_returns_a_coroutine_is_told_to_be_async(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    async def later() -> int:
        return 1

    @app.activity
    def forgot() -> Awaitable[int]:
        return later()

    executor.start([work("forgot")])
    (outcome,) = await outcomes.wait(1)
    message = "activity 'forgot' returned a coroutine; declare it `async def`"
    assert failure(outcome).error_message == message


async def test_a_result_over_the_limit_fails_naming_limit_and_setting(
    app: FunctionRegistry, make_executor: MakeExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    def fill(length: int) -> str:
        return "\N{SNOWMAN}" * length

    executor = make_executor(payload_bytes=302)
    executor.start([work("fill", "100", task_id=1), work("fill", "101", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[1] == "\N{SNOWMAN}" * 100
    found = outcomes.results()[2]
    assert found.error_type.endswith("LimitError")
    assert "the result of activity 'fill' takes 305 bytes; the limit is 302" in found.error_message
    assert "limits.payload_bytes" in found.error_message
    assert found.is_non_retriable


# --- limits --------------------------------------------------------------------------------------


async def test_max_concurrent_bounds_sync_activities_and_queues_the_rest_in_order(
    app: FunctionRegistry,
    executor: ActivityExecutor,
    outcomes: Outcomes,
    gate: threading.Event,
) -> None:
    begun: list[int] = []

    @app.activity(max_concurrent=2)
    def hold(number: int) -> None:
        begun.append(number)
        gate.wait()

    @app.activity
    def other() -> None: ...

    executor.start([work("hold", str(number), task_id=number) for number in range(6)])
    executor.start([work("other", task_id=10)])
    await outcomes.wait(1)
    await until(lambda: len(begun) == 2)
    assert (executor.running, executor.queued) == (2, 4)
    gate.set()
    await outcomes.wait(7)
    assert sorted(begun[:2]) == [0, 1]
    assert sorted(begun) == list(range(6))
    assert (executor.running, executor.queued) == (0, 0)


async def test_max_concurrent_bounds_async_activities(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    running = most = 0

    @app.activity(max_concurrent=3)
    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    executor.start([work("count", task_id=number) for number in range(20)])
    await outcomes.wait(20)
    assert most == 3


async def test_the_limit_of_all_async_activities_is_kept_first_come_first_served(
    app: FunctionRegistry, make_executor: MakeExecutor, outcomes: Outcomes
) -> None:
    order: list[int] = []
    opened = asyncio.Event()

    @app.activity
    async def first(number: int) -> None:
        order.append(number)
        await opened.wait()

    @app.activity
    async def second(number: int) -> None:
        order.append(number)

    executor = make_executor(max_async=2)
    executor.start([work("first", str(number), task_id=number) for number in range(3)])
    executor.start([work("second", str(number), task_id=number) for number in range(3, 6)])
    await until(lambda: len(order) == 2)
    assert (executor.running, executor.queued) == (2, 4)
    opened.set()
    await outcomes.wait(6)
    assert order == list(range(6))


@pytest.mark.parametrize("kind", ["lane", "threads", "loop"])
async def test_the_place_of_an_attempt_counts_those_alone_that_will_still_begin(
    app: FunctionRegistry,
    make_executor: MakeExecutor,
    outcomes: Outcomes,
    gate: threading.Event,
    kind: str,
) -> None:
    opened = asyncio.Event()

    @app.activity
    def in_thread() -> None:
        gate.wait()

    @app.activity(max_concurrent=1 if kind == "lane" else None)
    async def on_loop() -> None:
        await opened.wait()

    executor = make_executor(max_async=1, max_threads=1)
    name = "in_thread" if kind == "threads" else "on_loop"
    works = [work(name, task_id=number) for number in range(4)]
    executor.start(works)
    await until(lambda: executor.running == 1)
    assert isinstance(executor.stages_of(works)[works[0]], BegunWork)
    assert places(executor, works) == [None, 1, 2, 3]
    assert [executor.cancel(one) for one in works[1:3]] == [True, True]
    assert places(executor, works) == [None, None, None, 1]
    assert executor.queued == 1
    gate.set()
    opened.set()
    await outcomes.wait(2)
    assert executor.stages_of(works) == {}


async def test_the_place_is_that_of_the_queue_and_not_of_the_asking(
    app: FunctionRegistry, make_executor: MakeExecutor, outcomes: Outcomes
) -> None:
    opened = asyncio.Event()
    ended: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]

    @app.activity(max_concurrent=1)
    async def narrow(number: int) -> None:
        await ended[number].wait()

    @app.activity
    async def wide() -> None:
        await opened.wait()

    executor = make_executor(max_async=1)
    first, second = (work("narrow", str(number), task_id=number) for number in range(2))
    others = [work("wide", task_id=number) for number in (2, 3)]
    executor.start([first, second, *others])
    assert places(executor, [second, *others]) == [1, 1, 2]
    ended[0].set()
    await outcomes.wait(1)
    await until(lambda: places(executor, others) == [None, 1])
    assert places(executor, [second, *others]) == [2, None, 1]
    ended[1].set()
    opened.set()
    await outcomes.wait(4)


def places(executor: ActivityExecutor, works: list[ActivityWork]) -> list[int | None]:
    stages = map(executor.stages_of(works).get, works)
    return [stage.place if isinstance(stage, QueuedWork) else None for stage in stages]


async def test_a_long_queue_of_activities_that_never_wait_does_not_nest(
    app: FunctionRegistry, make_executor: MakeExecutor, outcomes: Outcomes
) -> None:
    @app.activity(max_concurrent=1)
    async def at_once() -> None: ...

    executor = make_executor(max_async=1)
    count = sys.getrecursionlimit() * 2
    executor.start([work("at_once", task_id=number) for number in range(count)])
    await outcomes.wait(count)


# --- timeouts ------------------------------------------------------------------------------------

SECOND = 1_000_000


async def test_a_sync_activity_that_runs_too_long_is_answered_in_time_and_gives_its_place_up(
    app: FunctionRegistry,
    executor: ActivityExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = threading.Event()
    tokens: list[ActivityContext] = []

    @app.activity(max_concurrent=1)
    def hang(context: ActivityContext) -> str:
        tokens.append(context)
        begun.set()
        gate.wait()
        return "late"

    executor.start([work("hang", timeout=5 * SECOND), work("hang", task_id=2)])
    await until(begun.is_set)
    clock.advance(5 * SECOND - 1)
    await asyncio.sleep(0)
    assert outcomes.all == []
    clock.advance(1)
    (outcome,) = await outcomes.wait(1)
    assert failure(outcome).error_type == "TimeoutError"
    message = (
        "activity 'hang' of instance 'trip-1', task 1, attempt 1 "
        "ran longer than its timeout of 0:00:05"
    )
    assert failure(outcome).error_message == message
    assert not failure(outcome).is_non_retriable
    assert f"{message}; its thread is given up and replaced (1 of at most " in caplog.text
    assert "in hang" in caplog.text, "it is said where"
    assert tokens[0].cancellation.requested
    await until(lambda: executor.running == 2)
    assert (executor.queued, executor.hung) == (0, 1)
    gate.set()
    await outcomes.wait(2)
    assert outcomes.results()[2] == "late"
    await until(lambda: executor.hung == 0)
    assert "attempt 1 ended after it was given up; its result is dropped" in caplog.text


async def test_attempts_that_hang_in_all_threads_are_said_to(
    app: FunctionRegistry, clock: FakeClock, gate: threading.Event, outcomes: Outcomes
) -> None:
    """Four for each thread are replaced; then it is said that nothing runs, and where it hangs."""
    executor = ActivityExecutor(app, clock, payload_bytes=1_000, max_threads=1)
    executor.bind(outcomes)

    @app.activity
    def hang() -> None:
        gate.wait()

    for number in range(1, 6):
        executor.start([work("hang", task_id=number, timeout=SECOND)])
        await until(lambda number=number: executor.running == number)  # type: ignore[misc]
        assert executor.shortages() == []
        clock.advance(SECOND)
        await outcomes.wait(number)
    assert executor.hung == 5
    (text,) = executor.shortages()
    assert "no sync activity runs: 5 attempts that were given up hold all threads" in text
    assert "in hang" in text
    gate.set()
    await until(lambda: executor.hung == 0)
    assert executor.shortages() == []
    await executor.stop()


async def test_that_no_more_threads_are_replaced_is_told_once(
    app: FunctionRegistry,
    clock: FakeClock,
    gate: threading.Event,
    outcomes: Outcomes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    executor = ActivityExecutor(app, clock, payload_bytes=1_000, max_threads=2)
    executor.bind(outcomes)

    @app.activity
    def hang() -> None:
        gate.wait()

    for number in range(1, 11):
        executor.start([work("hang", task_id=number, timeout=SECOND)])
        await until(lambda number=number: executor.running == number)  # type: ignore[misc]
        clock.advance(SECOND)
        await outcomes.wait(number)
    assert executor.hung == 10
    assert caplog.text.count("no more are replaced") == 1
    gate.set()
    await until(lambda: executor.hung == 0)
    await executor.stop()


async def test_an_async_activity_that_runs_too_long_is_cancelled(
    app: FunctionRegistry,
    executor: ActivityExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    @app.activity
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    @app.activity
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "late"

    executor.start([work(name, timeout=SECOND) for name in ("hang", "stubborn")])
    await until(lambda: executor.running == 2)
    clock.advance(SECOND)
    await outcomes.wait(2)
    assert {failure(one).error_type for one in outcomes.all} == {"TimeoutError"}
    await until(lambda: executor.running == 0)
    assert ended == ["cancelled"]
    assert "it is cancelled" in caplog.text
    assert len(outcomes.all) == 2


async def test_the_timeout_counts_from_the_start_of_the_function_not_from_the_queue(
    app: FunctionRegistry,
    make_executor: MakeExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
) -> None:
    begun: list[int] = []

    @app.activity
    def hold(number: int) -> int:
        begun.append(number)
        gate.wait()
        return number

    executor = make_executor(max_threads=1)
    executor.start([work("hold", "1"), work("hold", "2", task_id=2, timeout=2 * SECOND)])
    await until(lambda: begun == [1])
    clock.advance(10 * SECOND)
    await asyncio.sleep(0)
    assert outcomes.all == []
    gate.set()
    await outcomes.wait(2)
    assert outcomes.results() == {1: 1, 2: 2}
    assert clock.pending == []


@pytest.mark.parametrize("kind", ["lane", "threads", "loop"])
async def test_the_time_in_the_queue_has_a_limit_of_its_own(
    app: FunctionRegistry,
    make_executor: MakeExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun: list[int] = []

    async def on_loop(number: int) -> int:
        begun.append(number)
        await until(gate.is_set)
        return number

    def in_thread(number: int) -> int:
        begun.append(number)
        gate.wait()
        return number

    limit = 1 if kind == "lane" else None
    function = on_loop if kind == "loop" else in_thread
    app.activity(name="hold", max_concurrent=limit)(function)
    executor = make_executor(
        max_threads=1 if kind == "threads" else 8, max_async=1 if kind == "loop" else 10
    )
    now = clock.now()
    executor.start([work("hold", "1", start_by=now + SECOND)])
    await until(lambda: begun == [1])
    executor.start([work("hold", "2", task_id=2)])
    executor.start([work("hold", "3", task_id=3, start_by=now + 2 * SECOND)])
    executor.start([work("hold", "4", task_id=4, start_by=now + 3 * SECOND)])
    clock.advance(2 * SECOND - 1)
    await asyncio.sleep(0)
    assert outcomes.all == []
    assert executor.queued == 3
    clock.advance(1)
    (outcome,) = await outcomes.wait(1)
    found = failure(outcome)
    assert found.error_type == "tenuto.model.errors.ScheduleToStartTimeoutError"
    assert found.is_caused_by(TimeoutError)
    assert found.is_non_retriable
    message = (
        "activity 'hold' of instance 'trip-1', task 3, attempt 1 did not begin within its "
        "schedule_to_start_timeout"
    )
    assert found.error_message == message
    assert message in caplog.text
    assert executor.queued == 2
    gate.set()
    await outcomes.wait(4)
    assert {one: outcomes.results()[one] for one in (1, 2, 4)} == {1: 1, 2: 2, 4: 4}
    assert sorted(begun) == [1, 2, 4], "the one that was too late never began"
    assert clock.pending == []


async def test_a_place_that_is_taken_for_one_that_is_too_late_is_free_at_once(
    app: FunctionRegistry,
    make_executor: MakeExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
) -> None:
    @app.activity
    def fill(number: int) -> int:
        gate.wait()
        return number

    @app.activity(max_concurrent=1)
    def limited(number: int) -> int:
        return number

    executor = make_executor(max_threads=1)
    executor.start([work("fill", "0", task_id=10)])
    await until(lambda: executor.running == 1)
    by = clock.now() + SECOND
    executor.start([work("limited", "1", start_by=by), work("limited", "2", task_id=2)])
    clock.advance(SECOND)
    await outcomes.wait(1)
    clock.advance(SECOND)
    executor.start([work("limited", "3", task_id=3, start_by=by)])
    await outcomes.wait(2)  # its time was over before it came here
    assert outcomes.results()[3].is_caused_by(TimeoutError)
    gate.set()
    await outcomes.wait(4)
    assert outcomes.results()[2] == 2
    (lane,) = [one for name, one in executor._lanes.items() if name == "limited"]
    assert lane.free == 1


async def test_a_timer_that_was_set_when_the_attempt_was_queued_is_set_anew(
    app: FunctionRegistry,
    make_executor: MakeExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
) -> None:
    first, second = threading.Event(), threading.Event()

    @app.activity
    def wait_for_first() -> None:
        first.wait()

    @app.activity
    def hang() -> None:
        second.set()
        gate.wait()

    executor = make_executor(max_threads=1)
    executor.start([work("wait_for_first"), work("hang", task_id=2, timeout=2 * SECOND)])
    clock.advance(SECOND)
    first.set()
    await until(second.is_set)
    await outcomes.wait(1)
    clock.advance(2 * SECOND - 1)
    await asyncio.sleep(0)
    assert len(outcomes.all) == 1
    clock.advance(1)
    await outcomes.wait(2)
    assert outcomes.results()[2].error_type == "TimeoutError"


async def test_an_activity_that_ends_in_time_takes_its_timer_along(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes, clock: FakeClock
) -> None:
    @app.activity
    def sync() -> None: ...

    @app.activity
    async def on_loop() -> None:
        await asyncio.sleep(0)

    executor.start([work("sync", timeout=SECOND), work("on_loop", task_id=2, timeout=SECOND)])
    await outcomes.wait(2)
    assert clock.pending == []
    clock.advance(SECOND)
    assert outcomes.results() == {1: None, 2: None}


async def test_a_result_that_waits_to_be_fetched_at_the_deadline_counts(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes, clock: FakeClock
) -> None:
    ended = threading.Event()

    @app.activity
    def quick() -> str:
        return "in time"

    executor.start([work("quick", timeout=SECOND)])
    attempt = next(iter(executor._attempts.values()))
    while attempt.event is None:  # the loop is kept busy, so that it cannot fetch the result
        ended.wait(0.001)
    clock.advance(SECOND)
    await outcomes.wait(1)
    assert outcomes.results() == {1: "in time"}


# --- cancelling ----------------------------------------------------------------------------------


async def test_an_attempt_that_has_not_begun_never_begins(
    app: FunctionRegistry,
    make_executor: MakeExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
) -> None:
    ran: list[int] = []
    opened = asyncio.Event()

    @app.activity
    def sync(number: int) -> None:
        ran.append(number)
        gate.wait()

    @app.activity
    async def on_loop(number: int) -> None:
        ran.append(number)
        await opened.wait()

    @app.activity(max_concurrent=1)
    async def bounded(number: int) -> None:
        ran.append(number)
        await opened.wait()

    executor = make_executor(max_threads=1, max_async=2)
    works = [
        work(name, str(number), task_id=number, timeout=SECOND)
        for number, name in enumerate(["sync", "sync", "bounded", "bounded", "on_loop", "on_loop"])
    ]
    executor.start(works)
    await until(lambda: len(ran) == 3)
    for number in (1, 3, 5):
        assert executor.cancel(works[number])
        assert works[number].canceled
    assert (executor.running, executor.queued) == (3, 0)
    gate.set()
    opened.set()
    await outcomes.wait(3)
    await until(lambda: not executor._attempts)
    assert sorted(ran) == [0, 2, 4]
    assert clock.pending == []


async def test_a_withdrawn_attempt_does_not_time_out(
    app: FunctionRegistry,
    make_executor: MakeExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
) -> None:
    @app.activity
    def hold() -> None:
        gate.wait()

    executor = make_executor(max_threads=1)
    queued = work("hold", task_id=2, timeout=SECOND)
    executor.start([work("hold"), queued])
    await until(lambda: executor.running == 1)
    executor.cancel(queued)
    clock.advance(SECOND)
    gate.set()
    await outcomes.wait(1)
    await until(lambda: not executor._attempts)
    assert outcomes.results() == {1: None}


async def test_an_attempt_cancelled_before_it_was_handed_over_ends_without_beginning(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    ran: list[int] = []

    @app.activity
    async def run(number: int) -> None:
        ran.append(number)

    canceled = work("run", "1", task_id=1)
    assert not executor.cancel(canceled)
    executor.start([canceled, work("run", "2", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[1].error_message == "cancelled before it began"
    assert ran == [2]


async def test_cancelling_while_threads_begin_is_decided_once_for_each_attempt(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    ran: list[int] = []

    @app.activity
    def run(number: int) -> None:
        ran.append(number)

    withdrawn: set[int] = set()
    for first in range(0, 3_000, 30):
        works = [work("run", str(number), task_id=number) for number in range(first, first + 30)]
        executor.start(works)
        withdrawn.update(one.task_id for one in reversed(works) if executor.cancel(one))
    await until(lambda: not executor._attempts)
    assert withdrawn.isdisjoint(ran)
    assert len(withdrawn) + len(ran) == 3_000
    assert set(outcomes.results()) == set(ran)


async def test_an_async_activity_cancelled_right_after_start_has_begun_only_if_eager(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    @app.activity
    async def on_loop() -> None:
        await asyncio.sleep(0)

    canceled = work("on_loop")
    executor.start([canceled])
    is_withdrawn = executor.cancel(canceled)
    await until(lambda: not executor._attempts)
    await asyncio.sleep(0)
    assert is_withdrawn == (sys.version_info < (3, 12))
    assert len(outcomes.all) == (0 if is_withdrawn else 1)


async def test_running_activities_get_the_token_and_their_outcome_is_delivered(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    begun = threading.Event()

    @app.activity
    def sync(context: ActivityContext) -> None:
        begun.set()
        while True:
            context.cancellation.raise_if_requested()

    @app.activity
    async def on_loop() -> str:
        await current_activity().cancellation.wait()
        return "stopped in peace"

    works = [work("sync", task_id=1), work("on_loop", task_id=2)]
    executor.start(works)
    await until(lambda: begun.is_set() and executor.running == 2)
    await asyncio.sleep(0)
    for one in works:
        assert not executor.cancel(one)
    await outcomes.wait(2)
    assert outcomes.results()[1].error_message == "the activity was asked to stop"
    assert outcomes.results()[2] == "stopped in peace"


async def test_the_token_is_on_when_the_activity_asks_for_it_late(
    app: FunctionRegistry,
    executor: ActivityExecutor,
    outcomes: Outcomes,
    gate: threading.Event,
) -> None:
    @app.activity
    def sync() -> bool:
        gate.wait()
        return current_activity().cancellation.requested

    running = work("sync")
    executor.start([running])
    await until(lambda: executor.running)
    executor.cancel(running)
    gate.set()
    await outcomes.wait(1)
    assert outcomes.results() == {1: True}
    executor.cancel(running)  # harmless afterwards


# --- stopping ------------------------------------------------------------------------------------


async def test_draining_waits_for_what_runs_and_begins_nothing_more(
    app: FunctionRegistry,
    make_executor: MakeExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
) -> None:
    @app.activity
    def hold(number: int) -> int:
        gate.wait()
        return number

    executor = make_executor(max_threads=1)
    executor.start([work("hold", str(number), task_id=number) for number in range(3)])
    await until(lambda: executor.running == 1)
    drained = asyncio.create_task(executor.drain(30))
    await until(lambda: clock.pending)
    executor.start([work("hold", "4", task_id=4)])
    gate.set()
    assert await drained
    assert outcomes.results() == {0: 0}
    assert (executor.running, executor.queued) == (0, 0)
    assert clock.pending == []


async def test_draining_nothing_takes_no_time(executor: ActivityExecutor) -> None:
    assert await executor.drain(30)


async def test_draining_ends_at_its_deadline(
    app: FunctionRegistry, executor: ActivityExecutor, outcomes: Outcomes, clock: FakeClock
) -> None:
    @app.activity
    async def hang() -> None:
        await asyncio.Event().wait()

    executor.start([work("hang")])
    await until(lambda: executor.running)
    drained = asyncio.create_task(executor.drain(2.5))
    await until(lambda: clock.pending)
    clock.advance(2_500_000)
    assert not await drained
    assert outcomes.all == []


async def test_stopping_cancels_async_activities_and_leaves_sync_ones_without_outcomes(
    app: FunctionRegistry,
    executor: ActivityExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    gate: threading.Event,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    @app.activity
    async def on_loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("async")

    @app.activity
    def sync() -> None:
        gate.wait()
        ended.append("sync")

    executor.start([work("on_loop", timeout=SECOND), work("sync", task_id=2, timeout=SECOND)])
    await until(lambda: executor.running == 2)
    await executor.stop()
    assert ended == ["async"]
    gate.set()
    await until(lambda: ended == ["async", "sync"])
    await asyncio.sleep(0)
    assert clock.pending == []
    assert outcomes.all == []
    (record,) = caplog.records
    assert "activity 'sync' of instance 'trip-1'" in record.message
    assert f"is left: {__file__}:" in record.message
    assert " in sync > " in record.message
    executor.start([work("on_loop")])
    await executor.stop()


async def test_outcomes_without_a_place_to_go_are_let_go(
    app: FunctionRegistry, clock: FakeClock
) -> None:
    executor = ActivityExecutor(app, clock, payload_bytes=1000)
    logging.getLogger(__name__).debug("nothing is bound")
    executor.start([work("unknown")])
    await until(lambda: not executor._ended)
    await executor.stop()
