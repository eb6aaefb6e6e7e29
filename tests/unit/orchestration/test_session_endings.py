"""How executions end, and what of their turns is shown: results, failures, limits, status, logs."""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from datetime import timedelta
from typing import Any

import pytest

from tenuto import Context
from tenuto.model.errors import PayloadMisfitError
from tenuto.model.events import ContinueAsNew, ExecutionCompleted, ExecutionStarted
from tenuto.model.limits import Limits
from tenuto.model.status import RuntimeStatus
from tenuto.orchestration.names import child_execution_id
from tests.support.sessions import (
    EXECUTION,
    START,
    Driven,
    answered,
    execution,
    failed,
    names,
    raised,
    run,
    work,
)


class ForeignCoroutine(Coroutine[Any, Any, int]):
    """A coroutine that Python did not make, such as Cython's."""

    def __init__(self, native: Coroutine[Any, Any, int]) -> None:
        self.native = native

    def __await__(self) -> Generator[Any, Any, int]:
        return self.native.__await__()

    def send(self, value: object) -> object:
        return self.native.send(value)

    def throw(self, *error: Any) -> object:
        return self.native.throw(*error)

    def close(self) -> None:
        self.native.close()


# --- results and failures -------------------------------------------------------------------------


def test_any_kind_of_function_can_be_an_orchestrator() -> None:
    async def coroutine(ctx: Context) -> int:
        return 1

    def plain(ctx: Context) -> int:
        return 2

    def awaitable(ctx: Context) -> object:
        return ctx.task_all([])

    def foreign(ctx: Context) -> object:
        return ForeignCoroutine(coroutine(ctx))

    functions = (coroutine, plain, awaitable, foreign)
    assert [run(function) for function in functions] == [1, 2, [], 1]


def test_a_failure_is_recorded_with_the_frames_of_user_code_only() -> None:
    async def inner() -> None:
        raise LookupError("inside")

    async def outer(ctx: Context) -> None:
        try:
            await asyncio.gather(inner())
        except LookupError as error:
            raise ValueError("outside") from error

    driven = Driven(outer)
    driven.start()
    failure = driven.failure
    assert (failure.error_type, failure.error_message) == ("ValueError", "outside")
    assert failure.inner_failure is not None
    for one, function in ((failure, "in outer"), (failure.inner_failure, "in inner")):
        assert one.stack_trace is not None
        assert function in one.stack_trace
        assert "/tenuto/" not in one.stack_trace
    driven.close()


@pytest.mark.parametrize(
    ("function", "error_type"),
    [
        ("async", "SystemExit"),
        ("async", "asyncio.CancelledError"),
        ("async", "GeneratorExit"),
        ("plain", "ValueError"),
        ("async", "SessionDiscarded"),
    ],
)
def test_whatever_an_orchestrator_raises_fails_its_instance_and_nothing_else(
    function: str, error_type: str
) -> None:
    from tenuto.model.errors import SessionDiscarded

    errors = {
        "SystemExit": SystemExit(3),
        "asyncio.CancelledError": asyncio.CancelledError("me"),
        "GeneratorExit": GeneratorExit(),
        "ValueError": ValueError("no"),
        "SessionDiscarded": SessionDiscarded(),
    }

    async def coroutine(ctx: Context) -> None:
        raise errors[error_type]

    def plain(ctx: Context) -> None:
        raise errors[error_type]

    driven = Driven(coroutine if function == "async" else plain)
    driven.start()
    assert driven.failure.error_type.endswith(error_type)
    assert driven.close() == 0


def test_an_input_does_not_fit_the_code_a_result_that_cannot_be_stored_fails_the_instance() -> None:
    async def typed(ctx: Context, number: int) -> object:
        return object() if number else lambda: number

    driven = Driven(typed)
    with pytest.raises(PayloadMisfitError, match="argument 'number'"):
        driven.turn(ExecutionStarted("typed", EXECUTION, '"text"'))
    driven.close()
    driven = Driven(typed)
    driven.start(1)
    assert driven.failure.error_type.endswith("PayloadError")
    assert driven.failure.error_message.startswith("the result of orchestrator ")
    driven.close()


def test_a_result_over_the_limit_fails_the_instance_naming_the_setting() -> None:
    async def long(ctx: Context, size: int) -> str:
        return "ü" * size

    info = execution("long", limits=Limits(payload_bytes=100))
    fits, is_over = Driven(long, info=info), Driven(long, info=info)
    fits.start(49)
    is_over.start(50)
    assert fits.result == "ü" * 49
    assert "the result takes 102 bytes" in is_over.failure.error_message
    assert "limits.payload_bytes" in is_over.failure.error_message
    for driven in (fits, is_over):
        driven.close()


def test_deciding_too_much_in_a_turn_fails_the_instance_and_nothing_of_it_happens() -> None:
    swallowed: list[BaseException] = []

    async def greedy(ctx: Context) -> str:
        try:
            for _ in range(9):
                _task = ctx.call_activity(work)
        except BaseException as error:  # noqa: BLE001 - swallowing it must not help
            swallowed.append(error)
        ctx.send_event("other", "hello")
        return "done"

    driven = Driven(greedy, info=execution("greedy", limits=Limits(actions_per_turn=5)))
    assert names(driven.start().actions) == ["ExecutionCompleted"]
    assert "limits.actions_per_turn" in driven.failure.error_message
    assert driven.failure.stack_trace is None
    assert len(swallowed) == 1
    assert driven.turn(answered(1)).actions == []
    driven.close()


def test_the_limit_itself_is_allowed() -> None:
    async def modest(ctx: Context) -> None:
        tasks = [ctx.call_activity(work) for _ in range(5)]
        await tasks[0]

    driven = Driven(modest, info=execution("modest", limits=Limits(actions_per_turn=5)))
    assert names(driven.start().actions) == ["TaskScheduled"] * 5
    driven.close()


# --- continue as new ------------------------------------------------------------------------------


def test_continue_as_new_takes_effect_when_the_orchestrator_returns() -> None:
    async def again(ctx: Context, number: int, text: str = "") -> str:
        ctx.continue_as_new(number + 1, "first")
        ctx.continue_as_new(number + 2, "last")
        await ctx.call_activity(work)
        return "not used"

    driven = Driven(again)
    assert names(driven.start(1, "").actions) == ["TaskScheduled"]
    driven.turn(answered(1))
    assert driven.ending == ContinueAsNew(
        child_execution_id(EXECUTION, 0, driven.now), '{"number":3,"text":"last"}'
    )
    driven.close()


def test_an_orchestrator_that_fails_does_not_continue() -> None:
    async def failing(ctx: Context) -> None:
        ctx.continue_as_new()
        await ctx.call_activity(work)

    driven = Driven(failing)
    driven.start()
    driven.turn(failed(1))
    assert isinstance(driven.ending, ExecutionCompleted)
    assert driven.ending.orchestration_status is RuntimeStatus.FAILED
    driven.close()


# --- status and logs ------------------------------------------------------------------------------


def test_the_custom_status_is_that_of_the_turn_that_set_it() -> None:
    from msgspec import UNSET

    async def status(ctx: Context) -> None:
        ctx.set_custom_status({"step": 1})
        ctx.set_custom_status({"step": 2})
        await ctx.call_activity(work)
        await ctx.call_activity(work)
        ctx.set_custom_status(None)

    driven = Driven(status)
    seen = [driven.start(), driven.turn(answered(1)), driven.turn(answered(2))]
    assert [answer.custom_status for answer in seen] == ['{"step":2}', UNSET, None]
    driven.close()


def test_log_lines_belong_to_their_turn_and_are_silent_in_replay() -> None:
    async def chatty(ctx: Context) -> list[bool]:
        ctx.logger.warning("one %s", ctx.instance_id)
        replaying = [ctx.is_replaying]
        await ctx.call_activity(work)
        ctx.logger.warning("two")
        ctx.logger.debug("too low")
        return [*replaying, ctx.is_replaying]

    driven = Driven(chatty)
    first, second = driven.start(), driven.turn(answered(1))
    assert first.logs is not None
    assert second.logs is not None
    assert [record.getMessage() for record in first.logs + second.logs] == ["one instance", "two"]
    record = first.logs[0]
    assert (record.name, record.levelno, record.funcName) == (
        "tenuto.orchestration",
        logging.WARNING,
        "chatty",
    )
    assert vars(record)["instance_id"] == "instance"
    driven.close()

    fresh = driven.open()
    replayed = fresh.run_turn(START, [ExecutionStarted("chatty", EXECUTION)], replaying=True)
    assert replayed.logs is None
    hot = fresh.run_turn(START + 1, [answered(1)])
    assert hot.logs is not None
    assert [record.getMessage() for record in hot.logs] == ["two"]
    assert hot.actions[-1] == ExecutionCompleted(RuntimeStatus.COMPLETED, "[true,false]")
    fresh.close()


def test_a_line_logged_between_turns_is_shown_with_the_next_one() -> None:
    """An error that nobody looked at is found by the garbage collector, whenever that comes."""

    async def waiting(ctx: Context) -> None:
        await ctx.call_activity(work)

    driven = Driven(waiting)
    assert driven.start().logs is None
    driven.session.report({"message": "found later", "exception": ValueError("lost")})
    logs = driven.turn(answered(1)).logs
    assert logs is not None
    assert [record.getMessage() for record in logs] == ["instance instance: found later"]
    driven.close()


# --- while it runs --------------------------------------------------------------------------------


def test_positions_tell_where_every_coroutine_waits() -> None:
    async def inner(ctx: Context) -> None:
        await ctx.call_activity(work)

    async def parent(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(inner(ctx))
            group.create_task(asyncio.sleep(5))
            await ctx.create_timer(timedelta(seconds=1))

    driven = Driven(parent)
    driven.start()
    functions = [position.rpartition(" ")[2] for position in driven.session.positions()]
    assert functions == [
        "test_positions_tell_where_every_coroutine_waits.<locals>.parent",
        "test_positions_tell_where_every_coroutine_waits.<locals>.inner",
    ]
    assert all(position.startswith(f"{__file__}:") for position in driven.session.positions())
    driven.turn(raised("nothing"))
    driven.close()
    assert driven.session.positions() == []


def test_calls_that_do_not_run_any_more_are_told_once() -> None:
    async def forgetful(ctx: Context) -> str:
        await ctx.call_activity(work)
        _left = [ctx.call_activity(work) for _ in range(2)]
        _timer = ctx.create_timer(timedelta(seconds=1))
        ctx.continue_as_new()
        return "done"

    driven = Driven(forgetful)
    assert driven.start().logs is None
    answer = driven.turn(answered(1))
    assert answer.logs is not None
    (line,) = answer.logs
    assert line.levelname == "WARNING"
    assert line.getMessage() == (
        "instance instance: 2 calls do not run, since the orchestrator 'forgetful' continued as "
        "new in the turn that made them: await 'work'"
    )
    assert driven.replayed().close() == 0
    driven.close()
