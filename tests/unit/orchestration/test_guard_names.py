"""Clocks, chance and ids: refused inside orchestrators, untouched elsewhere."""

import asyncio
import contextlib
import email.utils
import pickle
import random
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from tenuto.functions.registry import FunctionRegistry
from tenuto.model.errors import GuardError
from tenuto.model.events import (
    ExecutionCompleted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.retry import RetryPolicy
from tenuto.model.status import RuntimeStatus
from tenuto.orchestration.context import Context
from tenuto.orchestration.guard import installing as guard
from tenuto.orchestration.guard.names import GUARDED_NAMES, GuardedName
from tests.support.guarded import (
    START,
    STARTED,
    allowed,
    first_turn,
    open_session,
    refusal_of,
    run_inside,
)

guard.install()

# Arguments for the functions that need some.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "time.clock_gettime": (0,),
    "time.clock_gettime_ns": (0,),
    "time.sleep": (0,),
    "time.strftime": ("%Y",),
    "random.betavariate": (1, 1),
    "random.choice": ("ab",),
    "random.choices": ("ab",),
    "random.gammavariate": (1, 1),
    "random.getrandbits": (8,),
    "random.paretovariate": (1,),
    "random.randbytes": (2,),
    "random.randint": (1, 2),
    "random.randrange": (2,),
    "random.sample": ("ab", 1),
    "random.setstate": (random.getstate(),),
    "random.shuffle": ([1, 2],),
    "random.uniform": (0, 1),
    "random.vonmisesvariate": (0, 1),
    "random.weibullvariate": (1, 1),
    "random.lognormvariate": (0, 1),
    "random.expovariate": (1,),
    "secrets.choice": ("ab",),
    "secrets.randbelow": (5,),
    "secrets.randbits": (5,),
    "os.urandom": (2,),
    "os.getrandom": (2,),
}


def call(row: GuardedName) -> object:
    return getattr(row.module, row.name)(*ARGUMENTS.get(str(row), ()))


@pytest.mark.parametrize("row", GUARDED_NAMES, ids=str)
def test_replay_is_pure_refuses_each_name_inside_and_says_where_and_what_instead(
    row: GuardedName,
) -> None:
    message = refusal_of(lambda _ctx: call(row)).error_message
    assert message.startswith(f"{row}() inside an orchestrator, at {__file__}:")
    assert " in call: " in message
    assert message.endswith(f"use {row.instead}")


@pytest.mark.parametrize("row", GUARDED_NAMES, ids=str)
def test_outside_each_name_is_the_stock_function(row: GuardedName) -> None:
    stock = getattr(row.module, row.name)
    assert stock is vars(row.module)[row.name]
    assert "tenuto" not in str(getattr(stock, "__module__", ""))
    call(row)


def test_no_name_of_the_shared_generator_is_forgotten() -> None:
    shared = {
        name
        for name in random.__all__
        if getattr(getattr(random, name), "__self__", None) is random._inst
    }
    assert shared == {row.name for row in GUARDED_NAMES if row.module is random}


# --- where the guard does not reach ---------------------------------------------------------------


def test_other_threads_are_not_affected_while_an_orchestrator_runs() -> None:
    inside, looked = threading.Event(), threading.Event()
    seen: list[object] = []

    def look() -> None:
        assert inside.wait(10)
        seen.extend([time.time(), random.random(), uuid.uuid4(), time.time is stock])
        looked.set()

    stock = vars(time)["time"]
    thread = threading.Thread(target=look)
    thread.start()

    def work(_ctx: Context) -> bool:
        inside.set()
        return looked.wait(10)

    assert allowed(work) == "true"
    thread.join()
    assert seen[-1] is True
    assert len(seen) == 4


async def test_other_loops_are_not_affected() -> None:
    assert time.time is vars(time)["time"]
    await asyncio.sleep(0)
    assert 0 <= random.random() < 1
    assert secrets.token_hex()


def test_a_function_that_was_taken_inside_works_outside() -> None:
    taken: list[Any] = []
    allowed(lambda _ctx: taken.append(time.monotonic))
    (monotonic,) = taken
    assert monotonic is not time.monotonic
    assert monotonic() <= time.monotonic()
    assert monotonic.__name__ == "monotonic"


def test_installing_twice_changes_nothing() -> None:
    kind = type(time)
    guard.install()
    assert type(time) is kind


@pytest.mark.parametrize("module", [time, random, uuid, secrets])
def test_a_guarded_module_stays_a_module(module: ModuleType) -> None:
    assert isinstance(module, type(sys))
    assert f"<module '{module.__name__}'" in repr(module)
    assert pickle.loads(pickle.dumps(module)) is module
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        module.no_such_name  # noqa: B018 - asked for its error


def test_tools_may_replace_and_remove_what_is_guarded() -> None:
    stock = time.time
    with mock.patch("time.time", return_value=7.0):
        assert time.time() == 7.0
        assert "time.time()" in refusal_of(lambda _ctx: time.time()).error_message
    assert time.time is stock
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(time, "time")
        assert not hasattr(time, "time")
    assert time.time is stock


# --- calls that are harmless ----------------------------------------------------------------------


def test_conversions_of_a_given_time_are_allowed() -> None:
    def work(_ctx: Context) -> str:
        moment = time.gmtime(0)
        assert time.localtime(0).tm_year in {1969, 1970}
        assert "19" in time.ctime(0)
        assert time.asctime(moment) == "Thu Jan  1 00:00:00 1970"
        return time.strftime("%Y-%m-%d", moment)

    assert allowed(work) == '"1970-01-01"'


def test_conversions_of_no_time_read_the_clock() -> None:
    message = refusal_of(lambda _ctx: time.gmtime(None)).error_message
    assert "time.gmtime() inside an orchestrator" in message


def test_what_the_messages_offer_instead_works() -> None:
    def work(ctx: Context) -> list[object]:
        ctx.logger.info("a line")
        return [str(ctx.current_time), ctx.random.randint(1, 6), str(ctx.new_uuid())]

    assert allowed(work) == allowed(work)


def test_asyncio_inside_is_not_disturbed() -> None:
    async def guarded(ctx: Context) -> str:
        async def step(name: str) -> str:
            await asyncio.sleep(0)
            return name

        queue: asyncio.Queue[str] = asyncio.Queue()
        async with asyncio.timeout(5), asyncio.Lock(), asyncio.TaskGroup() as group:
            group.create_task(queue.put("queued"))
        names = await asyncio.gather(step("a"), step("b"))
        return "".join([*names, await asyncio.wait_for(queue.get(), 5)])

    *_timers, ending = first_turn(guarded)
    assert isinstance(ending, ExecutionCompleted)
    assert ending.result == '"abqueued"'


# --- violations -----------------------------------------------------------------------------------


def test_a_swallowed_violation_fails_the_orchestration_all_the_same() -> None:
    app = FunctionRegistry()

    @app.activity
    def greet() -> str:
        return "hello"

    async def guarded(ctx: Context) -> str:
        with contextlib.suppress(GuardError):
            time.time()
        await ctx.call_activity(greet)
        return "went on"

    (ending,) = first_turn(guarded, app=app)
    assert isinstance(ending, ExecutionCompleted)
    assert ending.orchestration_status is RuntimeStatus.FAILED
    assert ending.failure_details is not None
    assert ending.failure_details.error_message.startswith("time.time() inside")
    assert "in guarded" in (ending.failure_details.stack_trace or "")


def test_the_first_of_several_violations_is_the_failure() -> None:
    def work(_ctx: Context) -> None:
        for forbidden in (time.time_ns, random.random):
            with contextlib.suppress(GuardError):
                forbidden()
        raise ValueError("something else")

    assert refusal_of(work).error_message.startswith("time.time_ns()")


def test_a_violation_in_a_later_turn_fails_that_turn() -> None:
    app = FunctionRegistry()

    @app.activity
    def greet() -> str:
        return "hello"

    async def guarded(ctx: Context) -> str:
        await ctx.call_activity(greet)
        return str(time.time())

    session = open_session(guarded, app=app)
    (scheduled,) = session.run_turn(START, [STARTED]).actions
    assert isinstance(scheduled, TaskScheduled)
    (ending,) = session.run_turn(START + 1, [TaskCompleted(1, '"hello"')]).actions
    assert isinstance(ending, ExecutionCompleted)
    assert ending.orchestration_status is RuntimeStatus.FAILED
    session.close()


def test_generator_orchestrators_are_guarded() -> None:
    def guarded(ctx: Context) -> Generator[object, object, float]:
        yield ctx.create_timer(ctx.current_time)
        return random.random()

    session = open_session(guarded)
    (timer,) = session.run_turn(START, [STARTED]).actions
    assert type(timer).__name__ == "TimerCreated"
    session.close()

    def at_once(ctx: Context) -> Generator[object, object, None]:
        random.random()
        yield ctx.create_timer(ctx.current_time)

    (ending,) = first_turn(at_once)
    assert isinstance(ending, ExecutionCompleted)
    assert "random.random()" in str(ending.failure_details)


def test_retry_predicates_are_guarded() -> None:
    app = FunctionRegistry()

    def not_after_noon(_failure: FailureDetails) -> bool:
        return time.localtime().tm_hour < 12

    @app.activity(retry=RetryPolicy(max_attempts=3, retry_if=not_after_noon))
    def greet() -> str:
        return "hello"

    async def guarded(ctx: Context) -> str:
        return await ctx.call_activity(greet)

    session = open_session(guarded, app=app)
    session.run_turn(START, [STARTED])
    (ending,) = session.run_turn(
        START + 1, [TaskFailed(1, FailureDetails("ValueError", "no"))]
    ).actions
    assert isinstance(ending, ExecutionCompleted)
    assert "time.localtime() inside an orchestrator" in str(ending.failure_details)
    assert "not_after_noon: it gives" in str(ending.failure_details)
    session.close()


@dataclass
class Order:
    number: uuid.UUID = field(default_factory=lambda: uuid.uuid4())  # noqa: PLW0108 - looked up at each call


def test_defaults_that_come_from_chance_are_refused_when_a_value_is_rebuilt() -> None:
    app = FunctionRegistry()

    @app.activity
    def place() -> Order:
        return Order()

    async def guarded(ctx: Context) -> str:
        return str(await ctx.call_activity(place))

    session = open_session(guarded, app=app)
    session.run_turn(START, [STARTED])
    (ending,) = session.run_turn(START + 1, [TaskCompleted(1, "{}")]).actions
    assert isinstance(ending, ExecutionCompleted)
    assert "uuid.uuid4() inside an orchestrator" in str(ending.failure_details)
    session.close()


# --- whose line it is -----------------------------------------------------------------------------


def test_the_message_names_the_users_line_when_a_library_makes_the_call() -> None:
    message = refusal_of(lambda _ctx: email.utils.formatdate()).error_message
    assert f"inside an orchestrator, at {__file__}:" in message
    assert "(by way of " in message
    assert "utils.py:" in message


def test_the_message_names_some_line_when_no_line_is_the_users() -> None:
    scope: dict[str, Any] = {"__name__": "made", "time": time}
    exec(compile("def work(ctx):\n    return time.time()", "<made>", "exec"), scope)

    async def guarded(ctx: Context) -> None:
        asyncio.get_running_loop().call_soon(scope["work"], ctx)
        await asyncio.sleep(0)

    (ending,) = first_turn(guarded)
    assert isinstance(ending, ExecutionCompleted)
    assert "at <made>:2 in work: " in str(ending.failure_details)


def test_a_call_without_a_python_caller_is_refused_too() -> None:
    async def guarded(_ctx: Context) -> None:
        asyncio.get_running_loop().call_soon(time.time)
        await asyncio.sleep(0)

    (ending,) = first_turn(guarded)
    assert isinstance(ending, ExecutionCompleted)
    assert "time.time() inside an orchestrator, at " in str(ending.failure_details)


def test_cleaning_up_a_discarded_session_may_not_read_the_clock_either() -> None:
    told: list[BaseException] = []

    async def guarded(ctx: Context) -> None:
        try:
            await ctx.wait_for_external_event("never")
        finally:
            try:
                time.time()
            except GuardError as error:
                told.append(error)

    session = open_session(guarded)
    session.run_turn(START, [STARTED])
    assert session.close() == 0
    assert len(told) == 1
    assert session.loop.violation is None


def test_the_status_of_an_instance_says_guard_error_and_not_something_broken() -> None:
    ending = run_inside(lambda _ctx: uuid.uuid1())
    assert ending.result is None
    assert "use ctx.new_uuid()" in str(ending.failure_details)
