"""The deterministic loop by itself: its queue, its clock, what it refuses, who may use it when."""

import asyncio
import contextvars
import functools
import inspect
import math
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tenuto import Context, GuardError
from tenuto.model.errors import SessionDiscarded
from tenuto.model.events import EventSent, TaskCanceled, TimerCreated
from tenuto.orchestration.futures import SessionTask
from tenuto.orchestration.loop import SessionLoop
from tests.support.sessions import SECOND, START, Driven, answered, names, raised, run, work

# --- queue ----------------------------------------------------------------------------------------


def test_calls_run_in_the_order_in_which_they_were_made_ready() -> None:
    async def calls(ctx: Context) -> list[object]:
        order: list[object] = []
        loop = asyncio.get_running_loop()
        loop.call_soon(order.append, 1)
        loop.call_later(-1, order.append, 2)
        loop.call_at(loop.time(), order.append, 3)
        taken_back = loop.call_soon(order.append, "taken back")
        taken_back.cancel()
        await asyncio.sleep(0)
        return [*order, taken_back.cancelled()]

    assert run(calls) == [1, 2, 3, True]


@pytest.mark.parametrize(
    "kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
)
@pytest.mark.parametrize("how", ["soon", "done", "later"])
def test_an_error_in_a_callback_ends_the_turn_and_fails_the_instance(
    kind: type[BaseException], how: str
) -> None:
    """asyncio logs it; then whoever waits for what the callback should have done waits for ever."""
    seen: list[str] = []

    async def callbacks(ctx: Context) -> str:
        def broken(*_: object) -> None:
            raise kind("broken callback")

        loop = asyncio.get_running_loop()
        ctx.send_event("other", "before")
        if how == "soon":
            loop.call_soon(broken)
        elif how == "done":
            asyncio.create_task(asyncio.sleep(0)).add_done_callback(broken)
        else:
            loop.call_later(5, broken)
        loop.call_soon(seen.append, "beside")
        await ctx.call_activity(work)
        return "went on"

    driven = Driven(callbacks)
    driven.start()
    if how == "later":
        driven.fire(*driven.of_type(TimerCreated))
    failure = driven.failure
    assert failure.error_type.rpartition(".")[2] == kind.__name__
    assert failure.error_message == "broken callback"
    assert failure.stack_trace is not None
    assert "in broken" in failure.stack_trace
    assert "/tenuto/" not in failure.stack_trace
    assert len(driven.of_type(EventSent)) == 1, "what was sent before is sent"
    driven.replayed().close()
    assert driven.close() == 0


def test_what_others_report_to_the_loop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def reports(ctx: Context) -> str:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "nobody's fault"})
        loop.default_exception_handler({"message": "nobody's either", "exception": ValueError()})
        return "went on"

    driven = Driven(reports)
    logs = driven.start().logs
    assert driven.result == "went on"
    assert logs is not None
    assert [(record.getMessage(), bool(record.exc_info)) for record in logs] == [
        ("instance instance: nobody's fault", False),
        ("instance instance: nobody's either", True),
    ]
    driven.close()
    driven.session.report({"message": "after the end"})
    assert caplog.records == []


def started_and_answered(driven: Driven) -> None:
    driven.start()
    driven.turn(answered(1))


@pytest.mark.parametrize("where", ["task", "callback", "plain", "result"])
@pytest.mark.parametrize("handler", ["default", "python"])
def test_a_signal_from_the_keyboard_stops_the_turn(where: str, handler: str) -> None:
    """Whatever code it falls into, and also when the handler is written in Python."""

    def handle(*_: object) -> None:
        raise KeyboardInterrupt

    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    class Interrupted(dict[str, int]):
        def __iter__(self) -> Any:  # noqa: ANN401 - never gives anything
            interrupt()

        items = keys = __iter__

    async def in_task(ctx: Context) -> object:
        await ctx.call_activity(work)
        if where == "callback":
            asyncio.get_running_loop().call_soon(interrupt)
            await asyncio.sleep(0)
        if where == "result":
            return Interrupted(a=1)
        interrupt()
        return None

    def plain(ctx: Context) -> None:
        interrupt()

    before = signal.getsignal(signal.SIGINT)
    if handler == "python":
        signal.signal(signal.SIGINT, functools.partial(handle))
    else:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    driven = Driven(plain if where == "plain" else in_task)
    try:
        with pytest.raises(KeyboardInterrupt):
            started_and_answered(driven)
    finally:
        signal.signal(signal.SIGINT, before)
    assert driven.close() == 0


def test_a_system_exit_in_a_task_of_a_group_ends_the_group_not_the_host() -> None:
    """asyncio's own loop ends with it, so this cannot be compared."""

    async def parent(ctx: Context) -> str:
        async def exits() -> None:
            raise SystemExit(3)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(exits())
                await ctx.wait_for_external_event("never")
        except SystemExit as error:
            return f"exit {error.code}"
        return "went on"

    assert run(parent) == "exit 3"


# --- clock ----------------------------------------------------------------------------------------


def test_loop_time_begins_at_zero_and_stands_still_within_a_turn() -> None:
    async def clock(ctx: Context) -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        await ctx.call_activity(work)
        times.append(loop.time())
        await asyncio.sleep(0)
        return [*times, loop.time()]

    driven = Driven(clock)
    driven.now = 0  # a virtual clock may begin here
    driven.start()
    driven.turn(answered(1), seconds=0.25)
    assert driven.result == [0, 0.25, 0.25]
    driven.close()


def test_call_later_and_call_at_are_durable_timers() -> None:
    async def timers(ctx: Context) -> list[object]:
        loop = asyncio.get_running_loop()
        rung: list[object] = []
        later = loop.call_later(1.5, rung.append, "later")
        at = loop.call_at(2.25, rung.append, "at")
        cancelled = loop.call_later(3, rung.append, "cancelled")
        cancelled.cancel()
        await ctx.wait_for_external_event("go on")
        at.cancel()
        at.cancel()
        return [rung, later.when(), at.when(), [one.cancelled() for one in (later, at)]]

    driven = Driven(timers)
    driven.start()
    later, at = driven.of_type(TimerCreated)
    assert [one.fire_at - START for one in (later, at)] == [1.5 * SECOND, 2.25 * SECOND]
    driven.fire(later)
    assert names(driven.turn(raised("go on")).actions) == [
        "EventTaken",
        "TaskCanceled",
        "ExecutionCompleted",
    ]
    assert driven.result == [["later"], 1.5, 2.25, [False, True]]
    driven.close()


def test_a_timer_that_fired_but_did_not_run_yet_can_still_be_taken_back() -> None:
    async def race(ctx: Context) -> list[object]:
        loop = asyncio.get_running_loop()
        rung: list[object] = []
        timer = loop.call_later(1, rung.append, "rung")
        # Both are made ready by one event each, but this one before the timer.
        loop.call_later(1, timer.cancel)
        await asyncio.sleep(2)
        return rung

    driven = Driven(race)
    driven.start()
    timer, canceller, sleeper = driven.of_type(TimerCreated)
    driven.fire(canceller)
    assert [one.task_id for one in driven.of_type(TaskCanceled)] == [timer.event_id]
    driven.fire(sleeper)
    assert driven.result == []
    driven.close()


def test_as_completed_gives_up_on_what_is_late_by_a_hair() -> None:
    async def hurry(ctx: Context) -> list[str]:
        future = asyncio.get_running_loop().create_future()
        coming = asyncio.as_completed([future, asyncio.sleep(5)], timeout=0)
        future.set_result("too late")  # its callback comes after the end of the time
        seen = []
        for one in coming:
            try:
                seen.append(str(await one))
            except TimeoutError as error:
                seen.append(type(error).__name__)
        return seen

    assert run(hurry) == ["TimeoutError"] * 2


@pytest.mark.parametrize("delay", [float("-inf"), float("nan")])
def test_a_delay_must_be_a_finite_number(delay: float) -> None:
    async def wait(ctx: Context) -> str:
        try:
            asyncio.get_running_loop().call_later(delay, print)
        except GuardError as error:
            return str(error)
        return "allowed"

    assert "use a finite number" in run(wait)


def test_a_timer_past_the_year_9999_is_refused_where_it_is_set() -> None:
    async def wait(ctx: Context) -> str:
        try:
            await asyncio.sleep(1e15)
        except ValueError as error:
            return str(error)
        return "allowed"

    assert "year 9999" in run(wait)


# --- contexts -------------------------------------------------------------------------------------

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


def test_context_variables_of_the_host_and_of_a_session_do_not_meet() -> None:
    async def variables(ctx: Context) -> list[str]:
        seen = [VARIABLE.get()]
        VARIABLE.set("the orchestrator's")
        await ctx.call_activity(work)
        seen.append(VARIABLE.get())

        async def child() -> None:
            seen.append(VARIABLE.get())
            VARIABLE.set("the child's")

        await asyncio.create_task(child())
        return [*seen, VARIABLE.get()]

    token = VARIABLE.set("the host's")
    try:
        one, other = Driven(variables), Driven(variables)
        for driven in (one, other):
            driven.start()
        for driven in (one, other):
            driven.turn(answered(1))
            assert driven.result == ["unset", *["the orchestrator's"] * 3]
            driven.close()
        assert VARIABLE.get() == "the host's"
    finally:
        VARIABLE.reset(token)


def test_an_empty_context_that_is_given_is_used() -> None:
    async def contexts(ctx: Context) -> list[str]:
        VARIABLE.set("the orchestrator's")
        loop = asyncio.get_running_loop()
        seen: list[str] = []

        def look() -> None:
            seen.append(VARIABLE.get())

        empty = contextvars.Context()
        loop.call_soon(look, context=empty)
        loop.call_later(0, look, context=empty)
        loop.call_at(0, look, context=empty)
        await asyncio.sleep(0)
        return seen

    assert run(contexts) == ["unset"] * 3


def test_callbacks_and_decoders_of_user_code_run_in_the_sessions_context() -> None:
    """Also what no task runs: here a function that is no coroutine at all."""

    def plain(ctx: Context) -> str:
        return VARIABLE.get()

    token = VARIABLE.set("the host's")
    try:
        assert run(plain) == "unset"
    finally:
        VARIABLE.reset(token)


# --- what is refused, by name ---------------------------------------------------------------------

OFFERED = {
    "call_at", "call_exception_handler", "call_later", "call_soon", "create_future", "create_task",
    "default_exception_handler", "get_debug", "get_exception_handler", "get_task_factory",
    "is_closed", "is_running", "time",
}  # fmt: skip
INTERFACE = {name for name in dir(asyncio.AbstractEventLoop) if not name.startswith("_")}


@pytest.mark.parametrize("name", sorted(INTERFACE - OFFERED))
def test_every_other_method_of_an_event_loop_is_refused_with_an_alternative(name: str) -> None:
    """ENGINE rule 7."""

    async def call(ctx: Context) -> str:
        coroutine = asyncio.sleep(0)
        try:
            result = getattr(asyncio.get_running_loop(), name)(coroutine)
            if inspect.isawaitable(result):
                await result
        except GuardError as error:
            return str(error)
        return "allowed"

    message = run(call)
    assert message.startswith(f"loop.{name}() is not available inside an orchestrator")
    assert len(message.partition("; ")[2]) > 5


def test_the_loop_tells_what_it_is() -> None:
    async def ask(ctx: Context) -> list[object]:
        loop = asyncio.get_running_loop()
        return [
            loop.is_running(),
            loop.is_closed(),
            loop.get_debug(),
            loop.get_exception_handler(),
            loop.get_task_factory(),
        ]

    assert run(ask) == [True, False, False, None, None]


def test_tasks_that_hash_by_address_cannot_be_made() -> None:
    async def make(ctx: Context) -> str:
        try:
            await asyncio.Task(asyncio.sleep(0))
        except GuardError as error:
            return str(error)
        return "allowed"

    assert "use asyncio.create_task(...)" in run(make)


def test_create_task_takes_what_can_be_awaited_and_nothing_else() -> None:
    async def make(ctx: Context) -> list[object]:
        loop: Any = asyncio.get_running_loop()
        refused: list[object] = []
        bad: Any
        for attempt, bad in ((loop.create_task, 5), (asyncio.gather, iter(()))):
            try:
                attempt(bad)
            except TypeError as error:
                refused.append(str(error))
        try:
            await loop.create_task(asyncio.sleep(0), eager_start=True)
        except GuardError as error:
            refused.append(str(error))
        task = loop.create_task(ctx.call_activity(work, 1), name=7, eager_start=False)
        task.cancel()
        return [*refused, task.get_name()]

    no_task, no_awaitable, eager, name = run(make)
    assert "a coroutine was expected, got 5" in no_task
    assert "an awaitable is required" in no_awaitable
    assert "not every Python has it" in eager
    assert name == "7"


# --- only while a turn goes on --------------------------------------------------------------------


def stash_of(attempt: str) -> tuple[Driven, Callable[[], object]]:
    """A session that waits, and something that user code should not do from outside."""
    stash: dict[str, Callable[[], object]] = {}

    async def waiting(ctx: Context) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        future.add_done_callback(print)
        task = ctx.call_activity(work)
        stash.update(
            {
                "call": lambda: ctx.call_activity(work),
                "cancel": task.cancel,
                "call_soon": lambda: loop.call_soon(print),
                "call_later": lambda: loop.call_later(1, print),
                "create_task": lambda: loop.create_task(asyncio.sleep(0)),
                "set_result": lambda: future.set_result(None),
                "custom_status": lambda: ctx.set_custom_status("outside"),
                "continue_as_new": ctx.continue_as_new,
                "event": lambda: ctx.wait_for_external_event("outside"),
            }
        )
        await task

    driven = Driven(waiting)
    driven.start()
    return driven, stash[attempt]


OUTSIDE = [
    "call", "cancel", "call_soon", "call_later", "create_task", "set_result", "custom_status",
    "continue_as_new", "event",
]  # fmt: skip


@pytest.mark.parametrize("attempt", OUTSIDE)
def test_nothing_of_an_orchestration_can_be_used_between_its_turns(attempt: str) -> None:
    driven, act = stash_of(attempt)
    with pytest.raises(GuardError, match=r"while it was not running|outside its orchestrator"):
        act()
    assert driven.turn(answered(1)).actions != []
    driven.close()


@pytest.mark.parametrize("attempt", OUTSIDE)
def test_nothing_of_an_orchestration_can_be_used_after_its_end(attempt: str) -> None:
    driven, act = stash_of(attempt)
    driven.close()
    with pytest.raises(SessionDiscarded):
        act()


def test_another_thread_cannot_decide_anything_while_a_turn_goes_on() -> None:
    inside, tried = threading.Event(), threading.Event()
    stash: list[Context] = []
    errors: list[BaseException] = []

    def interfere() -> None:
        assert inside.wait(10)
        try:
            _task = stash[0].call_activity(work)
        except GuardError as error:
            errors.append(error)
        tried.set()

    async def waiting(ctx: Context) -> None:
        stash.append(ctx)
        inside.set()
        assert tried.wait(10)

    thread = threading.Thread(target=interfere)
    thread.start()
    driven = Driven(waiting)
    driven.start()
    thread.join()
    assert driven.result is None
    assert "used outside its orchestrator" in str(errors[0])
    driven.close()


def test_a_turn_leaves_the_thread_as_it_found_it() -> None:
    class Outer(asyncio.AbstractEventLoop):
        pass

    async def inner(ctx: Context) -> bool:
        return isinstance(asyncio.get_running_loop(), SessionLoop)

    outer = Outer()  # type: ignore[abstract]  # nobody calls it
    asyncio._set_running_loop(outer)
    try:
        assert run(inner) is True
        assert asyncio._get_running_loop() is outer
    finally:
        asyncio._set_running_loop(None)


def test_a_timer_says_what_it_was_set_for() -> None:
    async def pauses(ctx: Context) -> None:
        timer = ctx.create_timer(timedelta(seconds=1))
        sleeping = asyncio.create_task(asyncio.sleep(2))
        asyncio.get_running_loop().call_later(3, print)
        async with asyncio.timeout(4):
            await asyncio.wait([timer, sleeping], timeout=5)
            await asyncio.wait_for(sleeping, 6)

    driven = Driven(pauses)
    driven.start()
    timers = driven.of_type(TimerCreated)
    assert [(one.purpose, (one.fire_at - START) // SECOND) for one in timers] == [
        ("timer", 1),
        ("timeout", 3),
        ("timeout", 4),
        ("timeout", 5),
        ("timer", 2),
    ]
    driven.close()


def test_libraries_that_ask_for_a_task_find_one() -> None:
    async def asks(_ctx: Context) -> list[bool]:
        task = asyncio.create_task(asyncio.sleep(0))
        asked = [isinstance(one, asyncio.Task) for one in (task, asyncio.current_task())]
        return [*asked, isinstance(task, SessionTask), asyncio.isfuture(task)]

    assert run(asks) == [True] * 4


def test_an_endless_sleep_sets_no_timer_and_waits() -> None:
    async def sleeps(_ctx: Context) -> list[bool]:
        handle = asyncio.get_running_loop().call_later(math.inf, print)
        seen = [handle.when() == math.inf, handle.cancelled()]
        handle.cancel()
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(math.inf)
        except TimeoutError:
            seen.append(handle.cancelled())
        return seen

    driven = Driven(sleeps)
    driven.start()
    (timer,) = driven.of_type(TimerCreated)
    driven.fire(timer)
    assert driven.result == [True, False, True]
    driven.close()
