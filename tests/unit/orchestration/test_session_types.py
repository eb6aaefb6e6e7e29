"""Types of users refuse answers and events in any way: it fails who asked, and nobody else."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tenuto import Context, RetryPolicy
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.errors import SessionDiscarded
from tenuto.model.events import EventRefused
from tests.support.sessions import Driven, answered, child_answered, failed, names, raised, work

raising: list[Callable[[], object]] = []


@dataclass
class Picky:
    number: int

    def __post_init__(self) -> None:
        raising[-1]()


functions = FunctionRegistry()


@functions.activity
def picky() -> Picky:
    raise NotImplementedError


ERRORS = [StopIteration, StopAsyncIteration, SystemExit, KeyboardInterrupt]
ERRORS += [GeneratorExit, asyncio.CancelledError]
"""A ``ValueError`` would say that the data do not fit: that holds an instance."""


def throwing(error: type[BaseException]) -> Callable[[], object]:
    def throw() -> None:
        raise error("no")

    return throw


@pytest.mark.parametrize("error", ERRORS)
def test_an_answer_that_its_type_refuses_is_an_error_of_the_call(
    error: type[BaseException],
) -> None:
    async def asks(ctx: Context) -> str:
        try:
            await ctx.call_activity(picky)
        except BaseException as refused:  # noqa: BLE001 - any may come
            return str(refused)
        return "taken"

    raising.append(throwing(error))
    driven = Driven(asks, directory=functions)
    driven.start()
    driven.turn(answered(1, {"number": 1}))
    assert "no" in driven.result
    driven.replayed().close()
    driven.close()


@pytest.mark.parametrize("error", ERRORS)
def test_an_event_that_its_type_refuses_is_put_aside(error: type[BaseException]) -> None:
    async def waits(ctx: Context) -> int:
        return (await ctx.wait_for_external_event("name", Picky)).number

    raising.append(throwing(error))
    driven = Driven(waits)
    driven.start()
    assert names(driven.turn(raised("name", {"number": 1})).actions) == ["EventRefused"]
    (refused,) = driven.of_type(EventRefused)
    assert refused.name == "name"
    raising.append(lambda: None)
    driven.turn(raised("name", {"number": 2}))
    assert driven.result == 2
    driven.close()


@pytest.mark.parametrize("what", ["answer", "event"])
def test_a_ctrl_c_meanwhile_ends_the_program(what: str) -> None:
    async def both(ctx: Context) -> None:
        waiting = ctx.wait_for_external_event("name", Picky)
        await ctx.call_activity(picky)
        await waiting

    raising.append(lambda: signal.raise_signal(signal.SIGINT))
    driven = Driven(both, directory=functions)
    driven.start()
    data = {"number": 1}
    with pytest.raises(KeyboardInterrupt):
        driven.turn(answered(2, data) if what == "answer" else raised("name", data))
    driven.close()


def test_a_type_that_crosses_a_limit_or_ends_the_session_stops_it() -> None:
    async def asks(ctx: Context) -> None:
        await ctx.call_activity(picky)

    def discarded() -> None:
        raise SessionDiscarded

    raising.append(discarded)
    driven = Driven(asks, directory=functions)
    driven.start()
    driven.turn(answered(1, {"number": 1}))
    assert driven.failure.error_type == "tenuto.model.errors.SessionDiscarded"
    driven.close()


def test_calls_that_user_code_has_set_are_not_given_up_twice() -> None:
    """A future may be set by anybody; its work goes on, and what comes of it changes nothing."""

    async def sets(ctx: Context) -> list[Any]:
        policy = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1))
        tasks = [
            ctx.call_activity(work.options(retry=policy)),
            ctx.call_sub_orchestrator("child"),
        ]
        for task in tasks:
            task.set_result("set")
            assert not task.cancel()
        await ctx.wait_for_external_event("go on")
        return [await task for task in tasks]

    driven = Driven(sets)
    driven.start()
    driven.turn(failed(1), child_answered(2, "late"), raised("go on"))
    assert driven.result == ["set", "set"]
    driven.close()
