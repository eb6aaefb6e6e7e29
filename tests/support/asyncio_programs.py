"""Small programs of plain asyncio, in which time does not matter.

Each is run inside a session and on a stock event loop, and must take the same steps. ``note`` is
told every step. Where CPython changed, the program says since when the stock loop does what
sessions do on every version.
"""

# Each program shows how one part of asyncio behaves when it is used as it should not be, too.
# ruff: noqa: ANN401, ASYNC100, BLE001

import asyncio
import contextvars
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, NamedTuple, TypeAlias

from tests.support.program_interpreter import shape

Note: TypeAlias = Callable[[object], None]


class Program(NamedTuple):
    """A program, and the first Python whose stock loop runs it as sessions do."""

    run: Callable[[Note], Awaitable[object]]
    since: tuple[int, int]


PROGRAMS: Final[dict[str, Program]] = {}

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


def program(
    function: Callable[[Note], Awaitable[object]],
) -> Callable[[Note], Awaitable[object]]:
    """Add a program that every supported Python's own loop runs alike."""
    PROGRAMS[function.__name__] = Program(function, (3, 11))
    return function


def since(
    *version: int,
) -> Callable[[Callable[[Note], Awaitable[object]]], Callable[[Note], Awaitable[object]]]:
    """Add a program that older Pythons' own loops run in another way."""

    def add(function: Callable[[Note], Awaitable[object]]) -> Callable[[Note], Awaitable[object]]:
        PROGRAMS[function.__name__] = Program(function, (version[0], version[1]))
        return function

    return add


async def steps(note: Note, name: str, count: int = 3) -> str:
    """Something that takes a while."""
    for step in range(count):
        note(f"{name}{step}")
        await asyncio.sleep(0)
    return name


async def failing(note: Note, name: str, count: int = 1) -> None:
    await steps(note, name, count)
    raise ValueError(name)


async def stubborn(note: Note, name: str) -> str:
    """Takes no cancellation for an answer."""
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError as error:
        note(f"{name} swallows {shape(error)}")
    return name


async def forever(note: Note, name: str) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    except BaseException as error:
        note(f"{name} ends with {shape(error)}")
        raise


async def outcome(awaitable: Awaitable[object]) -> object:
    """The value, or the shape of the error, cancellation included."""
    try:
        return await awaitable
    except (Exception, asyncio.CancelledError) as error:
        return shape(error)


def new_future() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


# --- tasks ----------------------------------------------------------------------------------------


@program
async def tasks_take_turns(note: Note) -> object:
    return await asyncio.gather(*(steps(note, name) for name in "abc"))


@program
async def callbacks_run_in_the_order_of_their_making(note: Note) -> object:
    loop = asyncio.get_running_loop()
    future = new_future()
    future.add_done_callback(lambda _done: note("first callback"))
    future.add_done_callback(lambda _done: note("second callback"))
    dropped = lambda _done: note("dropped")  # noqa: E731 - it is compared
    future.add_done_callback(dropped)
    note(future.remove_done_callback(dropped))
    loop.call_soon(note, "soon")
    handle = loop.call_soon(note, "cancelled")
    handle.cancel()
    note(handle.cancelled())
    future.set_result(1)
    loop.call_soon(note, "sooner or later")
    await asyncio.sleep(0)
    return future.result()


@program
async def a_task_cancelled_before_its_first_step_never_starts(note: Note) -> object:
    task = asyncio.create_task(steps(note, "never"))
    note(task.cancel("too early"))
    note([task.cancelling(), task.cancelled(), task.done()])
    note(await outcome(task))
    return [task.cancelled(), task.cancel()]


@program
async def who_awaits_a_cancelled_task_gets_its_error_once(note: Note) -> object:
    task = asyncio.create_task(forever(note, "task"))
    await asyncio.sleep(0)
    task.cancel("why")
    note(await outcome(task))
    note(await outcome(task))
    with suppress(asyncio.CancelledError):
        task.result()
    try:
        task.exception()
    except asyncio.CancelledError as error:
        note(shape(error))
    return task.cancelled()


@program
async def a_cancelled_task_keeps_the_error_that_ended_it(note: Note) -> object:
    async def own() -> None:
        try:
            await new_future()
        except asyncio.CancelledError as error:
            raise asyncio.CancelledError("my own", 2) from error

    task = asyncio.create_task(own())
    await asyncio.sleep(0)
    task.cancel("theirs")
    try:
        await task
    except asyncio.CancelledError as error:
        note([error.args, shape(error.__cause__) if error.__cause__ else None])
    with suppress(asyncio.CancelledError):
        task.exception()
    return task.cancelled()


@program
async def waiters_of_one_cancelled_task_are_told_in_order(note: Note) -> object:
    task = asyncio.create_task(forever(note, "task"))

    async def wait(name: str) -> None:
        note([name, await outcome(task)])

    waiters = [asyncio.create_task(wait(name)) for name in "ab"]
    await asyncio.sleep(0)
    task.cancel("for all")
    await asyncio.wait(waiters)
    return task.cancelled()


@program
async def a_task_may_swallow_its_cancellation(note: Note) -> object:
    task = asyncio.create_task(stubborn(note, "stubborn"))
    await asyncio.sleep(0)
    note(task.cancel("once"))
    note(task.cancel("twice"))
    note(task.cancelling())
    result = await outcome(task)
    return [result, task.cancelled(), task.cancelling(), task.uncancel(), task.uncancel()]


@program
async def a_cancellation_reaches_through_nested_tasks(note: Note) -> object:
    async def middle() -> None:
        inner = asyncio.create_task(forever(note, "inner"))
        try:
            await inner
        finally:
            note(f"middle sees {inner.cancelled()}")

    task = asyncio.create_task(middle())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel("deep")
    return await outcome(task)


@program
async def a_task_that_cancels_itself_ends_at_its_next_wait(note: Note) -> object:
    async def suicidal() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("myself")
        note("still here")
        await asyncio.sleep(0)
        return "never"

    async def at_the_end() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("as last step")
        return "lost"

    async def with_a_future() -> str:
        task = asyncio.current_task()
        assert task is not None
        note(task.uncancel())
        task.cancel("myself")
        task.cancel("once more")
        note(task.uncancel())
        await new_future()
        return "never"

    return [
        await outcome(asyncio.create_task(suicidal())),
        await outcome(asyncio.create_task(with_a_future())),
        await outcome(asyncio.create_task(at_the_end())),
    ]


@since(3, 13)
async def the_last_uncancel_takes_back_what_was_not_delivered(note: Note) -> object:
    async def pardoned() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("never mind")
        note(task.uncancel())
        await asyncio.sleep(0)
        return "pardoned"

    return await outcome(asyncio.create_task(pardoned()))


@program
async def a_task_refuses_what_only_its_coroutine_may_decide(note: Note) -> object:
    task: Any = asyncio.create_task(steps(note, "task", 1))
    attempts: tuple[Callable[[], object], ...] = (
        lambda: task.set_result("x"),
        lambda: task.set_exception(ValueError()),
        task.result,
        task.exception,
    )
    for attempt in attempts:
        try:
            attempt()
        except (RuntimeError, asyncio.InvalidStateError) as error:
            note([type(error).__name__, str(error).partition(" ")[0]])
    return await task


@program
async def names_and_contexts_belong_to_tasks(note: Note) -> object:
    async def set_variable(value: str) -> str:
        before = VARIABLE.get()
        VARIABLE.set(value)
        await asyncio.sleep(0)
        return f"{before} {VARIABLE.get()}"

    context = contextvars.copy_context()
    context.run(VARIABLE.set, "given")
    one = asyncio.create_task(set_variable("one"), name="first")
    two = asyncio.create_task(set_variable("two"), context=context)
    two.set_name(2)
    note([one.get_name(), two.get_name()])
    note(sorted(task.get_name() for task in asyncio.all_tasks() if task in {one, two}))
    note(await asyncio.gather(one, two))
    note([VARIABLE.get(), context.get(VARIABLE)])
    held: Any = two
    if hasattr(held, "get_context"):  # since 3.12
        assert held.get_context() is context
    return [one.get_coro().__name__, await asyncio.shield(one)]  # type: ignore[union-attr]


@program
async def errors_nobody_catches_leave_the_loop_running(note: Note) -> object:
    # Those of callbacks do not: there a session ends (ENGINE rule 40).
    task = asyncio.create_task(failing(note, "task"))
    await steps(note, "after")
    return task.done()


@program
async def bad_yields_are_errors_of_the_task(note: Note) -> object:
    @types.coroutine
    def yields(value: object) -> Generator[Any, None, None]:
        yield value

    async def await_self() -> None:
        task = asyncio.current_task()
        assert task is not None
        await task

    results: list[str] = []
    for bad in (yields(1), yields(new_future()), await_self()):
        result = str(await outcome(asyncio.create_task(outcome(bad))))
        results.append(result.partition("(")[0])
    note(results)
    return await outcome(asyncio.ensure_future(yields(None)))


@program
async def awaitable_objects_are_awaited(note: Note) -> object:
    class Later:
        def __init__(self, value: int) -> None:
            self.value = value

        def __await__(self) -> Generator[Any, None, int]:
            yield from asyncio.sleep(0).__await__()
            return self.value

    @types.coroutine
    def old_style(task: "asyncio.Task[str]") -> Generator[Any, Any, str]:
        return (yield from task)

    note(await old_style(asyncio.create_task(steps(note, "task", 1))))
    note(await Later(1))
    note(await asyncio.ensure_future(Later(2)))
    note(await asyncio.wait_for(Later(3), None))
    return await asyncio.gather(Later(4), Later(5))


# --- gather ---------------------------------------------------------------------------------------


@program
async def gather_gives_results_in_the_order_of_arguments(note: Note) -> object:
    future = new_future()
    asyncio.get_running_loop().call_soon(future.set_result, "future")
    note(await asyncio.gather())
    shared = asyncio.create_task(steps(note, "shared"))
    return await asyncio.gather(steps(note, "a", 3), future, steps(note, "b", 1), shared, shared)


@program
async def gather_fails_with_the_first_error_and_lets_the_others_go_on(note: Note) -> object:
    others = [asyncio.create_task(steps(note, "slow", 6))]
    gathering = asyncio.gather(failing(note, "bad"), failing(note, "worse", 2), *others)
    note(await outcome(gathering))
    return await others[0]


@program
async def gather_keeps_errors_among_the_results(note: Note) -> object:
    task = asyncio.create_task(forever(note, "cancelled"))
    asyncio.get_running_loop().call_soon(task.cancel, "one of them")
    results = await asyncio.gather(
        failing(note, "bad"), task, steps(note, "good"), return_exceptions=True
    )
    return [shape(one) if isinstance(one, BaseException) else one for one in results]


@program
async def a_cancelled_child_fails_gather(note: Note) -> object:
    task = asyncio.create_task(forever(note, "child"))
    asyncio.get_running_loop().call_soon(task.cancel, "child only")
    other = asyncio.create_task(steps(note, "other", 5))
    note(await outcome(asyncio.gather(task, other)))
    return [await other]


@program
async def cancelling_gather_cancels_its_children(note: Note) -> object:
    gathering = asyncio.gather(forever(note, "a"), stubborn(note, "b"), steps(note, "c", 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    note(gathering.cancel("all of you"))
    note(await outcome(gathering))
    return [gathering.cancelled(), gathering.cancel()]


@program
async def cancelling_a_gather_that_keeps_errors_still_raises(note: Note) -> object:
    gathering = asyncio.gather(forever(note, "a"), forever(note, "b"), return_exceptions=True)
    await asyncio.sleep(0)
    gathering.cancel()
    return await outcome(gathering)


@program
async def awaiting_a_cancelled_gather_cancels_the_awaiting_task(note: Note) -> object:
    async def parent() -> None:
        await asyncio.gather(forever(note, "a"), forever(note, "b"))

    task = asyncio.create_task(parent())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel("parent")
    note(await outcome(task))
    return task.cancelled()


@since(3, 12)
async def gather_of_what_is_done_is_done_at_once(note: Note) -> object:
    done = [new_future(), new_future()]
    for number, future in enumerate(done):
        future.set_result(number)
    gathering = asyncio.gather(*done)
    note(gathering.done())
    task = asyncio.create_task(steps(note, "task", 2))
    note(await gathering)
    failed = new_future()
    failed.set_exception(ValueError("at once"))
    note(await outcome(asyncio.gather(failed, done[0])))
    return await task


# --- wait, as_completed, shield -------------------------------------------------------------------


@program
async def wait_returns_when_it_is_told_to(note: Note) -> object:
    for mode in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED):
        tasks = [
            asyncio.create_task(steps(note, "a", 2)),
            asyncio.create_task(failing(note, "b", 3)),
            asyncio.create_task(steps(note, "c", 4)),
        ]
        done, pending = await asyncio.wait(tasks, return_when=mode)
        note([mode, len(done), len(pending), [task.done() for task in tasks]])
        for task in tasks:
            note(await outcome(task))
    return None


@program
async def wait_leaves_its_tasks_alone_when_it_is_cancelled(note: Note) -> object:
    task = asyncio.create_task(steps(note, "task", 5))

    async def waiting() -> None:
        await asyncio.wait([task])

    waiter = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    waiter.cancel("stop waiting")
    note(await outcome(waiter))
    return await task


@program
async def wait_refuses_what_it_cannot_wait_for(note: Note) -> object:
    coroutine = steps(note, "never")
    bad: Any
    for bad in ([], coroutine, [coroutine]):
        try:
            await asyncio.wait(bad)
        except (TypeError, ValueError) as error:
            note(type(error).__name__)
    coroutine.close()
    try:
        await asyncio.wait([new_future()], return_when="sometime")
    except ValueError as error:
        return shape(error)
    return None


@program
async def as_completed_gives_results_as_they_come(note: Note) -> object:
    # Which begins first is a matter of addresses on a stock loop.
    names = iter(asyncio.as_completed([steps(_deaf, "slow", 4), steps(_deaf, "quick", 1)]))
    note(await next(names))
    note(await next(names))
    return [[await one for one in names], list(asyncio.as_completed([]))]


@program
async def as_completed_raises_the_error_of_each(note: Note) -> object:
    coming = asyncio.as_completed([failing(_deaf, "bad", 1), steps(_deaf, "good", 4)])
    return [await outcome(one) for one in coming]


def _deaf(_what: object) -> None:
    pass


@program
async def as_completed_refuses_a_single_awaitable(note: Note) -> object:
    future: Any = new_future()
    try:
        list(asyncio.as_completed(future))
    except TypeError as error:
        return type(error).__name__
    return None


@program
async def shield_keeps_the_cancellation_from_the_inner_task(note: Note) -> object:
    inner = asyncio.create_task(steps(note, "inner", 4))

    async def protected() -> str:
        return await asyncio.shield(inner)

    outer = asyncio.create_task(protected())
    await asyncio.sleep(0)
    outer.cancel("outer only")
    note(await outcome(outer))
    note(await inner)
    return await asyncio.shield(inner)


@program
async def shield_passes_the_inner_end_on(note: Note) -> object:
    inner = asyncio.create_task(forever(note, "inner"))
    shielded = asyncio.shield(inner)
    await asyncio.sleep(0)
    inner.cancel("inner")
    note(await outcome(shielded))
    return await outcome(asyncio.shield(failing(note, "bad")))


# --- time outs ------------------------------------------------------------------------------------


@since(3, 12)
async def wait_for_runs_a_coroutine_in_the_task_that_waits(note: Note) -> object:
    async def nest(name: str) -> str:
        task = asyncio.current_task()
        assert task is not None
        note([name, task.get_name()])
        return name

    one = asyncio.create_task(asyncio.wait_for(nest("inner"), 60), name="waiting")
    two = asyncio.create_task(nest("beside"), name="other")
    return await asyncio.gather(one, two)


@program
async def wait_for_with_no_time_left(note: Note) -> object:
    done = new_future()
    done.set_result("done")
    note(await asyncio.wait_for(done, 0))
    note(await outcome(asyncio.wait_for(steps(note, "never"), 0)))
    note(await outcome(asyncio.wait_for(new_future(), -1)))
    note(await outcome(asyncio.wait_for(failing(note, "bad", 0), None)))
    task = asyncio.create_task(stubborn(note, "stubborn"))
    await asyncio.sleep(0)
    return await outcome(asyncio.wait_for(task, 0))


@program
async def wait_for_of_a_cancelled_future_times_out(note: Note) -> object:
    cancelled = new_future()
    cancelled.cancel("before")
    note(await outcome(asyncio.wait_for(cancelled, None)))
    note(await outcome(asyncio.wait_for(cancelled, 0)))
    return await outcome(asyncio.wait_for(cancelled, 5))


@program
async def cancelling_wait_for_cancels_what_it_waits_for(note: Note) -> object:
    task = asyncio.create_task(outcome(asyncio.wait_for(forever(note, "inner"), None)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel("from outside")
    return await task


@program
async def cancelling_wait_for_while_it_gives_up(note: Note) -> object:
    inner = asyncio.create_task(stubborn(note, "inner"))
    await asyncio.sleep(0)

    async def hurried() -> object:
        return await asyncio.wait_for(inner, 0)

    task = asyncio.create_task(hurried())
    await asyncio.sleep(0)
    note(task.cancel("in the middle"))
    return [await outcome(task), await outcome(inner)]


@program
async def a_timeout_of_nothing_strikes_at_the_first_wait(note: Note) -> object:
    async with asyncio.timeout(None) as timeout:
        note(timeout.when())
    try:
        async with asyncio.timeout(0) as timeout:
            note("inside")
            await forever(note, "body")
    except TimeoutError as error:
        note([shape(error), shape(error.__cause__) if error.__cause__ else None])
    return timeout.expired()


@program
async def a_timeout_that_is_not_needed_leaves_no_trace(note: Note) -> object:
    async with asyncio.timeout(60) as timeout:
        note(await steps(note, "body"))
    task = asyncio.current_task()
    assert task is not None
    return [timeout.expired(), task.cancelling()]


@program
async def nested_timeouts_strike_from_the_outside(note: Note) -> object:
    outer = asyncio.timeout(0)
    try:
        async with outer:
            try:
                async with asyncio.timeout(60) as inner:
                    await forever(note, "body")
            finally:
                note(f"inner expired {inner.expired()}")
    except TimeoutError:
        note("outer timed out")
    return outer.expired()


@program
async def a_cancellation_from_outside_wins_over_a_timeout(note: Note) -> object:
    async def timed() -> str:
        try:
            async with asyncio.timeout(0):
                await forever(note, "body")
        except TimeoutError:
            return "timed out"
        return "not at all"

    task = asyncio.create_task(timed())
    await asyncio.sleep(0)
    task.cancel("outside")
    return await outcome(task)


def chain(error: BaseException | None) -> list[str]:
    """An error and what it came of."""
    return [] if error is None else [shape(error), *chain(error.__context__)]


@since(3, 13)
async def an_error_that_came_of_a_timeout_names_it(note: Note) -> object:
    """Histories keep the causes of errors."""
    try:
        async with asyncio.timeout(0):
            try:
                await forever(note, "body")
            finally:
                raise ValueError("cleaning up failed")
    except ValueError as error:
        note(chain(error))
    try:
        async with asyncio.timeout(0), asyncio.TaskGroup():
            try:
                await forever(note, "body")
            except asyncio.CancelledError:
                raise LookupError from KeyError()
    except ExceptionGroup as error:
        note([chain(error), *(chain(one) for one in error.exceptions)])
    return None


@program
async def an_error_within_a_timeout_that_was_not_needed_is_as_it_was(note: Note) -> object:
    try:
        async with asyncio.timeout(60):
            await failing(note, "no wait", 0)
    except ValueError as error:
        note(chain(error))
    try:
        async with asyncio.timeout(0):
            with suppress(asyncio.CancelledError):
                await forever(note, "body")
            note("got by")
    except TimeoutError as error:
        note(chain(error))
    return None


# --- TaskGroup ------------------------------------------------------------------------------------


@program
async def a_group_waits_for_all_its_tasks(note: Note) -> object:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(steps(note, name), name=name) for name in "ab"]
        note([task.get_name() for task in tasks])
        await steps(note, "body", 1)
        note("body done")
    return [task.result() for task in tasks]


@program
async def a_failing_task_aborts_its_group(note: Note) -> object:
    async def group_of_three() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever(note, "a"))
            group.create_task(failing(note, "b", 2))
            await forever(note, "body")

    note(await outcome(group_of_three()))
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


@program
async def a_failing_body_aborts_its_group(note: Note) -> object:
    async def group_of_two() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever(note, "a"))
            await failing(note, "body", 2)

    return await outcome(group_of_two())


@program
async def a_group_collects_errors_of_its_cleanup(note: Note) -> object:
    async def dirty() -> None:
        try:
            await forever(note, "dirty")
        finally:
            raise KeyError("cleanup")

    async def group_of_two() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(dirty())
            group.create_task(failing(note, "first"))

    return await outcome(group_of_two())


@program
async def a_cancelled_member_does_not_concern_its_group(note: Note) -> object:
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(forever(note, "gone"))
        stays = group.create_task(steps(note, "stays"))
        await asyncio.sleep(0)
        gone.cancel("alone")
    return [gone.cancelled(), stays.result()]


@program
async def cancelling_a_group_from_outside(note: Note) -> object:
    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            # One only: in which order several are told is a matter of addresses on a stock loop.
            group.create_task(stubborn(note, "a"))
        note("never")

    task = asyncio.create_task(grouped())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel("outside")
    note(await outcome(task))
    return task.cancelled()


@since(3, 13)
async def a_group_that_fails_while_it_is_cancelled_passes_both_on(note: Note) -> object:
    async def dirty() -> None:
        try:
            await forever(note, "dirty")
        finally:
            raise KeyError("cleanup")

    async def grouped() -> object:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(dirty())
                await forever(note, "body")
        except* KeyError as errors:
            note(shape(errors))
        note("handled")
        await asyncio.sleep(0)
        return "not cancelled"

    task = asyncio.create_task(grouped())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel("outside")
    return [await outcome(task), task.cancelling()]


@since(3, 13)
async def a_failure_after_the_body_leaves_no_cancellation_behind(note: Note) -> object:
    async def grouped() -> object:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(failing(note, "late", 3))
        except* ValueError:
            note(f"cancelling {task.cancelling()}")
        async with asyncio.timeout(0):
            await forever(note, "body")
        return "never"

    return await outcome(asyncio.create_task(grouped()))


@program
async def a_system_exit_in_a_group_is_raised_alone(note: Note) -> object:
    async def in_body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever(note, "a"))
            await asyncio.sleep(0)
            raise SystemExit("body")

    try:
        await in_body()
    except SystemExit as error:
        return shape(error)
    return None


@program
async def a_member_that_fails_when_nobody_waits_for_its_group(note: Note) -> object:
    group = asyncio.TaskGroup()

    async def enter_only() -> None:
        await group.__aenter__()

    await asyncio.create_task(enter_only())
    task = group.create_task(failing(note, "orphan"))
    return await outcome(task)


@program
async def nested_groups_end_from_the_inside(note: Note) -> object:
    async def nested() -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(forever(note, "outer"))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(failing(note, "inner", 2))
                inner.create_task(forever(note, "beside"))

    return await outcome(nested())


@program
async def a_group_refuses_tasks_when_it_is_not_open(note: Note) -> object:
    results: list[str] = []

    def refused(group: asyncio.TaskGroup) -> None:
        coroutine = steps(note, "never")
        try:
            group.create_task(coroutine)
        except RuntimeError as error:
            coroutine.close()  # the group does since 3.13
            results.append(str(error).partition(">")[2])

    group = asyncio.TaskGroup()
    refused(group)
    async with group:
        pass
    refused(group)

    async def late(group: asyncio.TaskGroup) -> None:
        try:
            await forever(note, "late")
        finally:
            refused(group)

    async def failing_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(late(group))
            group.create_task(failing(note, "bad"))

    note(await outcome(failing_group()))
    return results


# --- locks and queues -----------------------------------------------------------------------------


@program
async def a_lock_is_fair_and_survives_cancelled_waiters(note: Note) -> object:
    lock = asyncio.Lock()

    async def hold(name: str) -> None:
        async with lock:
            await steps(note, name, 2)

    tasks = [asyncio.create_task(hold(name)) for name in "abcd"]
    await asyncio.sleep(0)
    tasks[1].cancel("b")
    for task in tasks:
        note(await outcome(task))
    try:
        lock.release()
    except RuntimeError as error:
        note(shape(error))
    return lock.locked()


@program
async def a_lock_waiter_cancelled_after_its_turn_came_wakes_the_next(note: Note) -> object:
    lock = asyncio.Lock()
    await lock.acquire()

    async def hold(name: str) -> str:
        async with lock:
            note(name)
        return name

    one, two = (asyncio.create_task(hold(name)) for name in ("one", "two"))
    await asyncio.sleep(0)
    lock.release()
    one.cancel("too late")
    note(await outcome(one))
    return await two


@program
async def a_semaphore_lets_so_many_in(note: Note) -> object:
    semaphore = asyncio.BoundedSemaphore(2)

    async def enter(name: str) -> None:
        async with semaphore:
            await steps(note, name, 2)

    note([semaphore.locked(), await asyncio.gather(*(enter(name) for name in "abcde"))])
    try:
        semaphore.release()
    except ValueError as error:
        note(shape(error))
    plain = asyncio.Semaphore(0)
    plain.release()
    note(plain.locked())
    return await plain.acquire()


@since(3, 13)
async def a_semaphore_wakes_all_that_it_has_room_for(note: Note) -> object:
    semaphore = asyncio.Semaphore(0)

    async def enter(name: str) -> None:
        await semaphore.acquire()
        note(name)

    first = asyncio.create_task(enter("first"))
    await asyncio.sleep(0)
    # These queue behind the first, who is awake but has not run yet.
    late = [asyncio.create_task(enter(name)) for name in "abc"]
    for _ in range(4):
        semaphore.release()
    ticking = asyncio.create_task(steps(note, "tick", 6))
    await asyncio.wait([first, *late])
    return await ticking


@program
async def a_semaphore_waiter_cancelled_after_its_turn_came_wakes_the_next(note: Note) -> object:
    semaphore = asyncio.Semaphore(0)

    async def enter(name: str) -> str:
        await semaphore.acquire()
        note(name)
        return name

    tasks = [asyncio.create_task(enter(name)) for name in "abcd"]
    await asyncio.sleep(0)
    semaphore.release()
    semaphore.release()
    tasks[0].cancel("first")
    tasks[2].cancel("third")
    await asyncio.sleep(0)
    semaphore.release()
    note([await outcome(task) for task in tasks[:3]])
    await asyncio.sleep(0)
    return [tasks[3].done(), semaphore.locked()]


@program
async def a_condition_wakes_as_many_as_it_is_told(note: Note) -> object:
    condition = asyncio.Condition()

    async def wait(name: str) -> None:
        async with condition:
            note([name, await condition.wait()])

    tasks = [asyncio.create_task(wait(name)) for name in "abc"]
    await asyncio.sleep(0)
    for misuse in (condition.wait, condition.notify):
        try:
            waiting = misuse()
            if waiting is not None:
                await waiting
        except RuntimeError as error:
            note(shape(error))
    async with condition:
        condition.notify(2)
        note("notified two")
    await steps(note, "meanwhile")
    async with condition:
        condition.notify_all()
    await asyncio.wait(tasks)
    values = iter((False, True))
    async with condition:
        return await condition.wait_for(lambda: next(values) or next(values))


@since(3, 13)
async def a_notified_waiter_that_is_cancelled_passes_it_on(note: Note) -> object:
    condition = asyncio.Condition()

    async def wait(name: str) -> str:
        async with condition:
            await condition.wait()
            note(name)
        return name

    one, two = (asyncio.create_task(wait(name)) for name in ("one", "two"))
    await asyncio.sleep(0)
    async with condition:
        condition.notify()
        one.cancel("after the notification")
        await asyncio.sleep(0)
        one.cancel("and again")
    note(await outcome(one))
    await steps(note, "meanwhile")
    done = two.done()
    two.cancel()
    return [done, await outcome(two)]


@program
async def an_event_wakes_all_that_wait(note: Note) -> object:
    event = asyncio.Event()

    async def wait(name: str) -> None:
        note([name, await event.wait()])

    tasks = [asyncio.create_task(wait(name)) for name in "ab"]
    await asyncio.sleep(0)
    event.set()
    event.clear()
    await asyncio.wait(tasks)
    return event.is_set()


@program
async def a_barrier_lets_all_through_together(note: Note) -> object:
    barrier = asyncio.Barrier(2)

    async def meet(name: str) -> int:
        await steps(note, name, 1 + len(name))
        return await barrier.wait()

    note(await asyncio.gather(meet("a"), meet("bb")))
    waiting = asyncio.create_task(outcome(barrier.wait()))
    await asyncio.sleep(0)
    await barrier.abort()
    note([await waiting, barrier.broken])
    await barrier.reset()
    return barrier.broken


@program
async def a_queue_hands_items_on_in_order(note: Note) -> object:
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def consume(name: str) -> None:
        while True:
            item = await queue.get()
            note([name, item])
            queue.task_done()

    consumers = [asyncio.create_task(consume(name)) for name in "ab"]
    for item in range(4):
        await queue.put(item)
    await queue.join()
    for consumer in consumers:
        consumer.cancel()
        note(await outcome(consumer))
    return queue.empty()


@program
async def queues_of_every_kind_and_their_limits(note: Note) -> object:
    priorities: asyncio.PriorityQueue[int] = asyncio.PriorityQueue(3)
    stack: asyncio.LifoQueue[int] = asyncio.LifoQueue()
    for item in (3, 1, 2):
        priorities.put_nowait(item)
        stack.put_nowait(item)
    note([priorities.get_nowait() for _ in range(3)])
    note([stack.get_nowait() for _ in range(3)])
    attempts: tuple[Callable[[], object], ...] = (
        priorities.get_nowait,
        *(lambda: priorities.put_nowait(0) for _ in range(4)),
        *(stack.task_done for _ in range(4)),
    )
    for attempt in attempts:
        try:
            attempt()
        except (asyncio.QueueEmpty, asyncio.QueueFull, ValueError) as error:
            note(shape(error))
    putter = asyncio.create_task(outcome(priorities.put(9)))
    await asyncio.sleep(0)
    putter.cancel("no room")
    return await putter


# --- async generators and context managers --------------------------------------------------------


@program
async def a_generator_left_early_is_closed_by_a_task_of_its_own(note: Note) -> object:
    async def pages() -> AsyncIterator[int]:
        try:
            for number in range(5):
                await asyncio.sleep(0)
                yield number
        finally:
            note("closing")
            await asyncio.sleep(0)
            note("closed")

    async for page in pages():
        note(page)
        if page == 1:
            break
    note("left")
    await steps(note, "after", 5)
    return [page async for page in pages()]


@program
async def generators_take_values_and_errors(note: Note) -> object:
    async def echo() -> Any:
        value: object = "first"
        while True:
            try:
                value = yield value
            except ValueError as error:
                value = shape(error)

    generator = echo()
    note(await anext(generator))
    note(await generator.asend("sent"))
    note(await generator.athrow(ValueError("thrown")))
    await generator.aclose()
    return await outcome(anext(generator, "over"))


@program
async def context_managers_unwind_from_the_inside(note: Note) -> object:
    @asynccontextmanager
    async def saying(name: str) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        note(f"enter {name}")
        try:
            yield name
        finally:
            await asyncio.sleep(0)
            note(f"leave {name}")

    async def body() -> None:
        async with saying("a"), saying("b"), AsyncExitStack() as stack:
            await stack.enter_async_context(saying("c"))
            raise ValueError("inside")

    return await outcome(body())
