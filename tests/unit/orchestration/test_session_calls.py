"""Calls of activities and sub-orchestrations, with their retries: ENGINE rules 4 and 10."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tenuto import (
    ActivityError,
    ActivityTimeoutError,
    Context,
    DurableTask,
    FailureDetails,
    InputError,
    LimitError,
    PayloadError,
    PayloadMisfitError,
    RetryPolicy,
    SubOrchestrationError,
)
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.events import (
    Incoming,
    SubOrchestrationInstanceCreated,
    TaskCanceled,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits
from tenuto.model.retry import RetryFacts
from tenuto.model.timing import to_datetime
from tenuto.orchestration.names import child_execution_id
from tests.support.sessions import (
    EXECUTION,
    SECOND,
    START,
    Driven,
    answered,
    child_answered,
    child_failed,
    execution,
    failed,
    names,
    raised,
    run,
    work,
)

SECONDS = timedelta(seconds=1)

app = FunctionRegistry()


@app.activity(timeout=timedelta(seconds=90))
def add(left: int, right: int) -> int:
    return left + right


@app.orchestrator(version="7")
async def child(ctx: Context, number: int) -> int:
    return number


# --- activities -----------------------------------------------------------------------------------


def test_a_call_schedules_at_the_call_not_at_the_first_await() -> None:
    async def calls(ctx: Context) -> list[int]:
        first = ctx.call_activity(add, 1, 2)
        _never_awaited = ctx.call_activity(add, 3, 4)
        second = ctx.call_activity(add, 5, 6)
        return [await second, await first]

    driven = Driven(calls, directory=app)
    assert driven.start().actions == [
        TaskScheduled(1, "add", '{"left":1,"right":2}', timeout=90 * SECOND),
        TaskScheduled(2, "add", '{"left":3,"right":4}', timeout=90 * SECOND),
        TaskScheduled(3, "add", '{"left":5,"right":6}', timeout=90 * SECOND),
    ]
    driven.turn(answered(1, 3))
    driven.turn(answered(3, 11))
    assert driven.result == [11, 3]
    driven.close()


def test_a_name_is_looked_up_and_what_is_not_registered_here_takes_one_value() -> None:
    async def calls(ctx: Context) -> list[Any]:
        message = ""
        try:
            _task = ctx.call_activity("elsewhere", 1, 2)
        except InputError as error:
            message = str(error)
        tasks = [
            ctx.call_activity("add", 1, 2),
            ctx.call_activity("elsewhere", {"any": "thing"}),
            ctx.call_activity("elsewhere"),
        ]
        return [message, *await asyncio.gather(*tasks)]

    driven = Driven(calls, directory=app)
    driven.start()
    assert [(one.name, one.input) for one in driven.of_type(TaskScheduled)] == [
        ("add", '{"left":1,"right":2}'),
        ("elsewhere", '{"any":"thing"}'),
        ("elsewhere", None),
    ]
    driven.turn(answered(1, 3), answered(2, [1, None]), answered(3))
    message, *results = driven.result
    assert "'elsewhere' is not registered here" in message
    assert results == [3, [1, None], None]
    driven.close()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda ctx: ctx.call_activity(add, 1), PayloadError),
        (lambda ctx: ctx.call_activity(add, 1, "two"), PayloadError),
        (lambda ctx: ctx.call_activity(work, object()), PayloadError),
        (lambda ctx: ctx.call_activity(work, "x" * 2000), LimitError),
        (lambda ctx: ctx.call_sub_orchestrator(child, "one"), PayloadError),
        (lambda ctx: ctx.call_sub_orchestrator("other", "x" * 2000), LimitError),
        (lambda ctx: ctx.call_sub_orchestrator(child, 1, instance_id="instance"), InputError),
        (lambda ctx: ctx.call_sub_orchestrator(child, 1, instance_id="a/b"), InputError),
        (lambda ctx: ctx.start_orchestrator("other", 1, 2), InputError),
    ],
)
def test_bad_input_is_refused_whole_where_the_call_stands(
    call: Callable[[Context], object], error: type[Exception]
) -> None:
    async def calls(ctx: Context) -> str:
        with pytest.raises(error):
            call(ctx)
        return "went on"

    info = execution("calls", limits=Limits(payload_bytes=1000))
    driven = Driven(calls, info=info)
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    assert driven.result == "went on"
    driven.close()


def test_a_failed_activity_raises_what_was_recorded() -> None:
    async def calls(ctx: Context) -> list[object]:
        seen: list[object] = []
        for _ in range(2):
            try:
                await ctx.call_activity(add, 1, 2)
            except ActivityTimeoutError as error:
                seen.append(["timeout", isinstance(error, TimeoutError)])
            except ActivityError as error:
                seen.append([error.function, error.failure.error_message, str(error)])
        return seen

    driven = Driven(calls)
    driven.start()
    driven.turn(failed(1, "shop.SoldOut", "no seats"))
    driven.turn(failed(2, "TimeoutError", "too slow"))
    assert driven.result == [
        ["add", "no seats", "activity 'add' failed: shop.SoldOut: no seats"],
        ["timeout", True],
    ]
    driven.close()


def test_a_deploy_loses_nothing_a_result_that_does_not_fit_its_type_is_no_answer() -> None:
    async def calls(ctx: Context) -> str:
        try:
            await ctx.call_activity(add, 1, 2)
        except Exception as error:  # noqa: BLE001 - it is not for the orchestrator
            return str(error)
        return "taken"

    driven = Driven(calls)
    driven.start()
    with pytest.raises(PayloadMisfitError, match="'add' does not fit: result of add: value at"):
        driven.turn(answered(1, "three"))
    driven.close()


def test_answers_that_nobody_waits_for_change_nothing() -> None:
    async def calls(ctx: Context) -> int:
        return await ctx.call_activity(add, 1, 2)

    driven = Driven(calls)
    driven.start()
    strangers: list[Incoming] = [answered(9), failed(9), child_answered(9), child_failed(9)]
    assert driven.turn(*strangers, TimerFired(9, 0)).actions == []
    driven.turn(answered(1, 3), answered(1, 4))
    assert driven.result == 3
    driven.close()


def test_a_task_that_user_code_set_ignores_its_answer() -> None:
    async def calls(ctx: Context) -> list[object]:
        ones: list[Any] = [ctx.call_activity(work) for _ in range(2)]
        timer: Any = ctx.create_timer(timedelta(seconds=1))
        ones.append(timer)
        for one in ones:
            one.set_result("mine")
        await ctx.wait_for_external_event("go on")
        return list(await asyncio.gather(*ones))

    driven = Driven(calls)
    driven.start()
    (timer,) = driven.of_type(TimerCreated)
    driven.turn(answered(1, "theirs"), failed(2), TimerFired(timer.event_id, timer.fire_at))
    driven.turn(raised("go on"))
    assert driven.result == ["mine"] * 3
    driven.close()


# --- retries --------------------------------------------------------------------------------------


def test_each_attempt_is_recorded_under_a_fresh_id_and_names_the_first() -> None:
    """The idempotency key is that of the call, the attempt number is separate."""
    policy = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=2), backoff=3)

    async def calls(ctx: Context) -> int:
        return await ctx.call_activity(add.options(retry=policy), 1, 2)

    driven = Driven(calls)
    driven.start()
    for attempt, pause in ((1, 2), (2, 6)):
        answer = driven.turn(failed(2 * attempt - 1))
        due = driven.now + pause * SECOND
        assert answer.actions == [TimerCreated(2 * attempt, due, "retry", 1)]
        driven.fire(*answer.actions)  # type: ignore[arg-type]
    assert [(one.event_id, one.attempt, one.call_id) for one in driven.of_type(TaskScheduled)] == [
        (1, 1, None),
        (3, 2, 1),
        (5, 3, 1),
    ]
    driven.turn(answered(5, 3))
    assert driven.result == 3
    driven.close()


def test_the_first_attempt_tells_the_policy_and_replay_does_not_ask_for_it() -> None:
    """What is deployed may have another policy: that strands nobody."""
    policies: list[RetryPolicy | None] = [
        RetryPolicy(max_attempts=3, first_interval=2 * SECONDS, backoff=3, timeout=90 * SECONDS)
    ]

    async def calls(ctx: Context) -> None:
        activity = add.options(retry=policies[0])
        again = child.options(retry=policies[0])
        await asyncio.gather(ctx.call_activity(activity, 1, 2), ctx.call_sub_orchestrator(again, 1))

    driven = Driven(calls)
    driven.start()
    driven.turn(failed(1), child_failed(2))
    driven.fire(*driven.of_type(TimerCreated))
    facts = RetryFacts(3, 2 * SECOND, 3.0, None, 90 * SECOND)
    assert [one.retry for one in driven.of_type(TaskScheduled)] == [facts, None]
    children = driven.of_type(SubOrchestrationInstanceCreated)
    assert [one.retry for one in children] == [facts, None]
    policies[0] = RetryPolicy(max_attempts=9, first_interval=2 * SECONDS)
    driven.replayed().close()
    driven.turns = driven.turns[:1]
    policies[0] = None
    driven.replayed().close()
    driven.close()


def test_the_last_failure_is_the_one_that_is_raised() -> None:
    policy = RetryPolicy(max_attempts=2)

    async def calls(ctx: Context) -> str:
        try:
            await ctx.call_activity(add.options(retry=policy), 1, 2)
        except ActivityError as error:
            return error.failure.error_message
        return ""

    driven = Driven(calls)
    driven.start()
    driven.turn(failed(1, message="first"))
    driven.fire(*driven.of_type(TimerCreated))
    driven.turn(failed(3, message="last"))
    assert driven.result == "last"
    driven.close()


def test_the_total_time_and_failures_that_forbid_it_end_the_retries() -> None:
    policy = RetryPolicy(max_attempts=9, timeout=timedelta(seconds=10))

    async def calls(ctx: Context) -> list[str]:
        raised = []
        for _ in range(2):
            try:
                await ctx.call_activity(add.options(retry=policy), 1, 2)
            except ActivityError as error:
                raised.append(error.failure.error_message)
        return raised

    driven = Driven(calls)
    driven.start()
    driven.turn(failed(1, message="too late"), seconds=9)
    driven.turn(failed(2, message="final", is_non_retriable=True))
    assert driven.result == ["too late", "final"]
    driven.close()


def test_a_predicate_decides_in_the_session_and_its_own_error_is_raised() -> None:
    def only_once(failure: FailureDetails) -> bool:
        if failure.error_message == "broken":
            raise KeyError("predicate")
        return failure.error_message == "again"

    policy = RetryPolicy(max_attempts=5, retry_if=only_once)

    async def calls(ctx: Context) -> list[str]:
        raised = []
        for _ in range(2):
            try:
                await ctx.call_activity(add.options(retry=policy), 1, 2)
            except (ActivityError, KeyError) as error:
                raised.append(type(error).__name__)
        return raised

    driven = Driven(calls)
    driven.start()
    driven.turn(failed(1, message="again"))
    driven.fire(*driven.of_type(TimerCreated))
    driven.turn(failed(3, message="never"))
    driven.turn(failed(4, message="broken"))
    assert driven.result == ["ActivityError", "KeyError"]
    driven.close()


def test_a_pause_between_attempts_can_be_cancelled() -> None:
    policy = RetryPolicy(max_attempts=2)

    async def calls(ctx: Context) -> str:
        task = ctx.call_activity(add.options(retry=policy), 1, 2)
        await ctx.wait_for_external_event("enough")
        task.cancel()
        return "gave up"

    driven = Driven(calls)
    driven.start()
    driven.turn(failed(1))
    (pause,) = driven.of_type(TimerCreated)
    driven.turn(raised("enough"))
    assert [one.task_id for one in driven.of_type(TaskCanceled)] == [pause.event_id]
    driven.close()


def test_the_longest_pause_can_still_be_a_timer() -> None:
    policy = RetryPolicy(max_attempts=9, first_interval=timedelta.max)

    async def calls(ctx: Context) -> int:
        return await ctx.call_activity(add.options(retry=policy), 1, 2)

    driven = Driven(calls)
    driven.start()
    (pause,) = driven.turn(failed(1)).actions
    assert isinstance(pause, TimerCreated)
    assert to_datetime(pause.fire_at).year == 3025
    driven.close()


# --- sub-orchestrations ---------------------------------------------------------------------------


def test_a_child_gets_ids_that_come_out_the_same_in_every_replay() -> None:
    async def calls(ctx: Context) -> list[int]:
        tagged = child.options(instance_id="chosen", tags={"a": "b"}, version="8")
        return list(
            await asyncio.gather(
                ctx.call_sub_orchestrator(child, 1),
                ctx.call_sub_orchestrator(tagged, 2),
                ctx.call_sub_orchestrator("child", 3, instance_id="by-name"),
            )
        )

    driven = Driven(calls, directory=app)
    assert driven.start().actions == [
        SubOrchestrationInstanceCreated(
            1,
            "child",
            InstanceId(f"{EXECUTION}:0001"),
            child_execution_id(EXECUTION, 1, START),
            "1",
            "7",
        ),
        SubOrchestrationInstanceCreated(
            2,
            "child",
            InstanceId("chosen"),
            child_execution_id(EXECUTION, 2, START),
            "2",
            "8",
            {"a": "b"},
        ),
        SubOrchestrationInstanceCreated(
            3, "child", InstanceId("by-name"), child_execution_id(EXECUTION, 3, START), "3", "7"
        ),
    ]
    driven.turn(child_answered(3, 30), child_answered(1, 10), child_answered(2, 20))
    assert driven.result == [10, 20, 30]
    assert driven.replayed().close() == 0
    driven.close()


def test_a_failed_child_is_tried_again_as_another_instance() -> None:
    policy = RetryPolicy(max_attempts=2)

    async def calls(ctx: Context) -> str:
        try:
            await ctx.call_sub_orchestrator(child.options(retry=policy), 1)
        except SubOrchestrationError as error:
            return str(error)
        return ""

    driven = Driven(calls, directory=app)
    driven.start()
    driven.turn(child_failed(1))
    driven.fire(*driven.of_type(TimerCreated))
    driven.turn(child_failed(3, "again"))
    first, second = driven.of_type(SubOrchestrationInstanceCreated)
    assert (first.instance_id, second.instance_id) == (f"{EXECUTION}:0001", f"{EXECUTION}:0003")
    assert driven.result == "sub-orchestration 'child' failed: ValueError: again"
    driven.close()


def test_a_detached_start_reports_to_nobody_and_gives_its_instance_id() -> None:
    async def calls(ctx: Context) -> list[str]:
        return [
            ctx.start_orchestrator(child, 1),
            ctx.start_orchestrator("elsewhere", instance_id="chosen"),
        ]

    driven = Driven(calls, directory=app)
    driven.start()
    one, other = driven.of_type(SubOrchestrationInstanceCreated)
    assert (one.detached, one.input, other.detached, other.input) == (True, "1", True, None)
    assert driven.result == [f"{EXECUTION}:0001", "chosen"]
    driven.close()


def test_a_call_below_the_nesting_limit_is_refused_naming_the_setting() -> None:
    async def calls(ctx: Context) -> str:
        try:
            _task = ctx.call_sub_orchestrator(child, 1)
        except LimitError as error:
            return str(error)
        return "allowed"

    driven = Driven(calls, info=execution("calls", depth=50))
    driven.start()
    assert "limits.nesting_depth" in driven.result
    driven.close()


# --- whatever asyncio offers takes them (rule 4) --------------------------------------------------


def test_durable_tasks_work_wherever_asyncio_takes_futures_or_coroutines() -> None:
    async def everywhere(ctx: Context) -> list[Any]:
        def call(number: int) -> "DurableTask[Any]":
            return ctx.call_activity(work, number)

        async with asyncio.TaskGroup() as group:
            grouped = group.create_task(call(1))
        done, _ = await asyncio.wait([call(2)])
        async with asyncio.timeout(60):
            timed = await call(3)
        return [
            grouped.result(),
            next(iter(done)).result(),
            timed,
            await asyncio.wait_for(call(4), 60),
            await asyncio.shield(call(5)),
            [await one for one in asyncio.as_completed([call(6)])],
            await asyncio.create_task(call(7)),
            await ctx.task_all([call(8)]),
            await (await ctx.task_any([call(9)])),
        ]

    driven = Driven(everywhere)
    answer = driven.start()
    while driven.ending is None:
        (scheduled,) = [one for one in answer.actions if isinstance(one, TaskScheduled)]
        answer = driven.turn(answered(scheduled.event_id, json.loads(scheduled.input or "")))
    assert driven.result == [1, 2, 3, 4, 5, [6], 7, [8], 9]
    assert driven.replayed().close() == 0
    driven.close()


def test_a_group_that_refuses_a_durable_task_cancels_it() -> None:
    async def refused(ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            pass
        try:
            group.create_task(ctx.call_activity(work))
        except RuntimeError as error:
            return str(error)
        return "taken"

    driven = Driven(refused)
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    assert "is finished" in driven.result
    driven.close()


def test_task_any_leaves_nothing_behind_with_those_that_lost() -> None:
    async def polling(ctx: Context) -> list[object]:
        approval = ctx.wait_for_external_event("approval")
        for _ in range(3):
            tick = ctx.call_activity(work)
            assert await ctx.task_any([approval, tick]) is tick
        waiting: Any = approval
        first = ctx.task_any([approval])
        first.cancel()
        return [len(waiting._callbacks or ()), first.cancelled()]

    driven = Driven(polling)
    driven.start()
    for number in (2, 3, 4):
        driven.turn(answered(number))
    # The cancelled one goes with its own turn of the queue.
    assert driven.result == [1, True]
    driven.close()


def test_task_any_of_what_is_done_gives_the_first_of_its_arguments() -> None:
    async def instant(ctx: Context) -> list[object]:
        one, other = (asyncio.get_running_loop().create_future() for _ in range(2))
        other.set_result("other")
        one.set_result("one")
        first = await ctx.task_any([one, other])
        nothing: list[asyncio.Future[object]] = []
        try:
            _first = await ctx.task_any(nothing)
        except InputError as error:
            return [first is one, str(error)]
        return []

    is_one, message = run(instant)
    assert is_one
    assert "wait for ever" in message


def test_ids_of_children_and_of_their_children_are_ordered_by_time() -> None:
    """ENGINE rule 35: an index of instance ids is written at its end, not all over."""
    moments = [START + number * 1_000 for number in range(200)]
    children = [child_execution_id(EXECUTION, 1, moment) for moment in moments]
    assert children == sorted(children)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in children)
    assert len({child_execution_id(EXECUTION, task, START) for task in range(200)}) == 200
