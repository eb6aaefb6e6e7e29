"""What an orchestrator asks for and never looks at is named; what it leaves on purpose is not."""

# mypy: disable-error-code="unused-awaitable"
import asyncio
import gc
import inspect
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from tenuto import ActivityError, Context
from tenuto.model.actions import TurnActions
from tenuto.model.events import (
    ExecutionStarted,
    Incoming,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.orchestration import unawaited
from tests.support.sessions import (
    EXECUTION,
    SECOND,
    START,
    Driven,
    answered,
    failed,
    raised,
    work,
)

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def nothing_told() -> Iterator[None]:
    unawaited._TOLD.clear()
    yield
    unawaited._TOLD.clear()


def warnings(turn: TurnActions) -> list[str]:
    return [one.getMessage() for one in turn.logs or () if one.levelno >= logging.WARNING]


def marked(function: Callable[..., object], mark: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if mark in line)


async def call(ctx: Context) -> None:
    ctx.call_activity(work, 1)  # HERE


async def by_name(ctx: Context) -> None:
    ctx.call_activity("work", 1)  # HERE


async def child(ctx: Context) -> None:
    ctx.call_sub_orchestrator("child", 1)  # HERE


async def http(ctx: Context) -> None:
    ctx.call_http("GET", "https://example.org")  # HERE


async def timer(ctx: Context) -> None:
    ctx.create_timer(HOUR)  # HERE


async def event(ctx: Context) -> None:
    ctx.wait_for_external_event("paid")  # HERE


async def timed_event(ctx: Context) -> None:
    ctx.wait_for_external_event("paid", timeout=HOUR)  # HERE


async def question(ctx: Context) -> None:
    ctx.ask("Ship it?")  # HERE


async def timed_question(ctx: Context) -> None:
    ctx.ask("Ship it?", timeout=HOUR)  # HERE


async def gathered(ctx: Context) -> None:
    _ = asyncio.gather(ctx.call_activity(work, 1))  # HERE


async def raced(ctx: Context) -> None:
    ctx.task_any([ctx.call_activity(work, 1)])  # HERE


async def tasked(ctx: Context) -> None:
    async def helper() -> None:  # HERE
        await ctx.call_activity(work, 1)

    asyncio.create_task(helper())  # noqa: RUF006 - on purpose


async def raises(ctx: Context) -> None:
    ctx.call_activity(work, 1)  # HERE
    raise ValueError("no")


async def raises_later(ctx: Context) -> None:
    if True:
        ctx.create_timer(HOUR)  # HERE
    with suppress(KeyError):
        await asyncio.sleep(0)
        raise ValueError("no")


def generator(ctx: Context) -> Generator[Any, Any, None]:
    ctx.call_activity(work, 1)  # HERE
    yield ctx.call_activity(work, 2)


FORGOTTEN: dict[Callable[..., object], str] = {
    call: "call of 'work'",
    by_name: "call of 'work'",
    child: "call of 'child'",
    http: "HTTP call",
    timer: "timer",
    event: "wait for event 'paid'",
    timed_event: "wait for event 'paid'",
    question: "question 'Ship it?'",
    timed_question: "question 'Ship it?'",
    gathered: "call of 'work'",
    raced: "call of 'work'",
    tasked: "task of 'tasked.<locals>.helper'",
    raises: "call of 'work'",
    raises_later: "timer",
}


@pytest.mark.parametrize("function", FORGOTTEN, ids=lambda one: one.__name__)
def test_work_that_nobody_awaits_is_named_with_its_line_once(
    function: Callable[..., object],
) -> None:
    (text,) = warnings(Driven(function).start())
    place = f"{__file__}:{marked(function, 'HERE')}"
    assert f"nobody has awaited the {FORGOTTEN[function]} made at {place}:" in text
    assert warnings(Driven(function).start()) == [], "each instance would say it again"


def test_a_generator_that_forgets_to_yield_is_named() -> None:
    driven = Driven(generator)
    assert warnings(driven.start()) == []
    (text,) = warnings(driven.turn(answered(2)))
    assert f":{marked(generator, 'HERE')}:" in text


def test_replay_says_nothing_and_a_next_generation_says_what_does_not_run() -> None:
    driven = Driven(call)
    event = ExecutionStarted(driven.reference.name, EXECUTION)
    assert driven.session.run_turn(START, [event], replaying=True).logs is None

    async def again(ctx: Context) -> None:
        ctx.create_timer(HOUR)
        ctx.call_activity(work, 1)
        ctx.continue_as_new()

    (text,) = warnings(Driven(again).start())
    assert "1 calls do not run" in text


def test_places_that_were_told_of_are_forgotten_before_they_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unawaited, "_MOST_TOLD", 1)
    assert [len(warnings(Driven(one).start())) for one in (call, timer, call)] == [1, 1, 1]


def test_what_was_decided_in_the_last_turn_goes_out_all_the_same() -> None:
    async def both(ctx: Context) -> None:
        ctx.call_activity(work, 1)
        ctx.call_sub_orchestrator("child", 1)
        _ = asyncio.gather(ctx.call_activity(work, 2), ctx.call_activity(work, 3))

    actions = Driven(both).start().actions
    assert sum(isinstance(one, TaskScheduled) for one in actions) == 3
    assert sum(isinstance(one, SubOrchestrationInstanceCreated) for one in actions) == 1


# --- left on purpose -----------------------------------------------------------------------------


async def detached(ctx: Context) -> None:
    ctx.start_orchestrator("child", 1)
    ctx.send_event("other", "paid", 1)


async def timeout(ctx: Context) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await ctx.call_activity(work, 1)


async def first_completed(ctx: Context) -> None:
    await asyncio.wait(
        [ctx.call_activity(work, 1), ctx.create_timer(HOUR)],
        return_when=asyncio.FIRST_COMPLETED,
    )


async def task_any(ctx: Context) -> None:
    await ctx.task_any([ctx.call_activity(work, 1), ctx.wait_for_external_event("paid")])


async def failed_gather(ctx: Context) -> None:
    with suppress(ActivityError):
        await asyncio.gather(ctx.call_activity(work, 1), ctx.call_activity(work, 2))


async def completed_first(ctx: Context) -> None:
    for one in asyncio.as_completed([ctx.call_activity(work, 1), ctx.call_activity(work, 2)]):
        await one
        return


async def cancelled(ctx: Context) -> None:
    ctx.call_activity(work, 0).cancel()
    await ctx.call_activity(work, 1)


async def shielded(ctx: Context) -> None:
    await asyncio.wait(
        [asyncio.shield(ctx.create_timer(HOUR)), ctx.call_activity(work, 1)],
        return_when=asyncio.FIRST_COMPLETED,
    )


async def beside(ctx: Context) -> None:
    async def beat() -> None:
        while True:
            await ctx.create_timer(HOUR)

    asyncio.create_task(beat())  # noqa: RUF006 - it runs beside, until the end
    await ctx.call_activity(work, 1)


async def watched(ctx: Context) -> None:
    ctx.create_timer(HOUR).add_done_callback(lambda _: None)


async def done_unseen(ctx: Context) -> None:
    ctx.call_activity(work, 1)
    await ctx.wait_for_external_event("paid")


async def fails_before_the_second(ctx: Context) -> None:
    first, second = ctx.call_activity(work, 1), ctx.call_activity(work, 2)
    await first
    await second


async def fails_among_others(ctx: Context) -> None:
    calls = [ctx.call_activity(work, one) for one in range(3)]
    calls.append(ctx.call_activity(work, 3))
    for one in calls:
        await one


LEFT: dict[Callable[..., object], list[Incoming]] = {
    detached: [],
    timeout: [TimerFired(1, START + SECOND)],
    first_completed: [answered(1)],
    task_any: [answered(1)],
    failed_gather: [failed(1)],
    completed_first: [answered(1)],
    cancelled: [answered(2)],
    shielded: [answered(2)],
    beside: [answered(1)],
    watched: [],
    done_unseen: [answered(1), raised("paid")],
    fails_before_the_second: [failed(1)],
    fails_among_others: [failed(1)],
}


@pytest.mark.parametrize("function", LEFT, ids=lambda one: one.__name__)
def test_what_is_left_on_purpose_is_not_named(function: Callable[..., object]) -> None:
    driven = Driven(function)
    said = warnings(driven.start())
    for one in LEFT[function]:
        assert driven.ending is None
        said += warnings(driven.turn(one))
    assert driven.ending is not None, driven.turns
    assert said == []


def test_a_failure_that_nobody_sees_is_said_with_its_line() -> None:
    async def unseen(ctx: Context) -> None:
        ctx.call_activity(work, 1)  # HERE
        await ctx.wait_for_external_event("paid")

    driven = Driven(unseen)
    driven.start()
    (text,) = warnings(driven.turn(failed(1)))
    place = f"{__file__}:{marked(unseen, 'HERE')}"
    assert text.endswith(f"exception was never retrieved: call of 'work' made at {place}")


async def asks_and_sends_the_link(ctx: Context) -> None:
    question = ctx.ask("Ship it?")  # HERE
    await ctx.call_activity(work, await question.url)


async def asks_sends_and_does_not_look(ctx: Context) -> None:
    question = ctx.ask("Ship it?", timeout=timedelta(seconds=1))  # HERE
    await ctx.call_activity(work, await question.url)


LINK = {"digest": "d", "url": "http://127.0.0.1/callbacks/1"}


def test_an_orchestrator_that_cancels_itself_forgets_nothing() -> None:
    async def cancels(ctx: Context) -> None:
        ctx.call_activity(work, 1)
        raise asyncio.CancelledError

    assert warnings(Driven(cancels).start()) == []


def test_a_question_whose_address_was_sent_and_that_nobody_awaits_is_named() -> None:
    driven = Driven(asks_and_sends_the_link)
    driven.start()
    assert warnings(driven.turn(answered(2, LINK))) == []
    (text,) = warnings(driven.turn(answered(3)))
    place = f"{__file__}:{marked(asks_and_sends_the_link, 'HERE')}"
    assert f"nobody has awaited the question 'Ship it?' made at {place}:" in text


def test_a_question_that_timed_out_and_that_nobody_looked_at_is_named() -> None:
    gc.disable()  # it is said when the orchestrator ends, not when the collector comes
    try:
        driven = Driven(asks_sends_and_does_not_look)
        (_asked, timer, _made) = driven.start().actions
        assert isinstance(timer, TimerCreated)
        driven.turn(answered(3, LINK))
        assert warnings(driven.fire(timer)) == []
        (text,) = warnings(driven.turn(answered(4)))
    finally:
        gc.enable()
    place = f"{__file__}:{marked(asks_sends_and_does_not_look, 'HERE')}"
    assert text.endswith(f"exception was never retrieved: question 'Ship it?' made at {place}")
