"""Sessions that are led along a history turn by turn: what parts from it says where, at once."""

import time
from datetime import timedelta
from typing import Any

import pytest

from tenuto import Context, GuardError, NonDeterminismError
from tenuto.model.events import EventAwaited, ExecutionStarted, OrchestratorStarted, TaskScheduled
from tenuto.orchestration.replay import retrace
from tenuto.orchestration.session import Session
from tests.support.sessions import (
    EXECUTION,
    START,
    Driven,
    answered,
    execution,
    functions,
    orchestrator,
    raised,
    work,
)


async def recorded(ctx: Context) -> None:
    await ctx.call_activity(work, "a")
    ctx.set_custom_status("half")
    await ctx.call_activity(work, "b")


def session_of(function: Any) -> Session:  # noqa: ANN401 - an orchestrator
    return Session(execution(), orchestrator(function, "orchestrator"), functions, trace=True)


def begun() -> list[Any]:
    return [OrchestratorStarted(START), ExecutionStarted("orchestrator", EXECUTION)]


def test_a_history_is_retraced_turn_by_turn_with_what_each_turn_says() -> None:
    driven = Driven(recorded)
    driven.start()
    driven.turn(answered(1))
    driven.close()
    session = session_of(recorded)
    answers = [retrace(session, turn, number) for number, turn in enumerate(driven.turns)]
    assert answers[1].custom_status == '"half"'
    assert [type(one) for one in answers[1].actions] == [TaskScheduled]
    session.close()


def test_code_that_decides_otherwise_is_told_with_its_line() -> None:
    async def changed(ctx: Context) -> None:
        await ctx.create_timer(timedelta(1))

    session = session_of(changed)
    with pytest.raises(NonDeterminismError) as refused:
        retrace(session, [*begun(), TaskScheduled(1, "work")], 0)
    session.close()
    assert "history recorded TaskScheduled #1 'work', the code produced TimerCreated #1" in str(
        refused.value
    )
    assert "test_retracing.py:" in str(refused.value.produced)


def test_code_that_decides_less_is_told_with_where_it_waits() -> None:
    async def silent(ctx: Context) -> None:
        await ctx.wait_for_external_event("go")

    session = session_of(silent)
    with pytest.raises(NonDeterminismError, match=r"produced nothing at .*test_retracing.py:"):
        retrace(session, [*begun(), EventAwaited(1, "go"), TaskScheduled(2, "work")], 0)
    session.close()


def test_code_that_the_guard_refuses_is_told_so() -> None:
    async def guarded(ctx: Context) -> None:
        time.time()
        await ctx.call_activity(work)

    session = session_of(guarded)
    with pytest.raises(GuardError) as refused:
        retrace(session, [*begun(), TaskScheduled(1, "work")], 0)
    session.close()
    assert refused.value.recorded == "TaskScheduled #1 'work'"


def test_the_types_of_awaited_events_are_known_while_they_are_awaited() -> None:
    async def waiting(ctx: Context) -> None:
        await ctx.wait_for_external_event("one", int)
        await ctx.wait_for_external_event("two")

    driven = Driven(waiting)
    driven.start()
    assert driven.session.awaited_types() == {1: int}
    driven.turn(raised("one", 1))
    assert driven.session.awaited_types() == {2: None}
    driven.close()
