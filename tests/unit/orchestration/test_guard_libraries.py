"""Libraries that stamp and number what they do: answered by the session, and nobody else is."""

import datetime as dt
import os
import random
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tenuto.orchestration.context import Context
from tenuto.orchestration.guard.calls import CallWatch
from tenuto.orchestration.guard.libraries import is_stamping
from tests.support.guarded import START, first_turn, refusal_of, run_inside

_NAMES = {"time": time, "uuid": uuid, "random": random, "os": os, "datetime": dt}


def made_in(module: str, expression: str) -> Callable[[Context], Any]:
    """A function as if a library of that name had it."""
    scope: dict[str, Any] = {"__name__": module, **_NAMES, "early": uuid.uuid4, "now": time.time}
    exec(compile(f"def work(ctx, call=None):\n    return {expression}", "<made>", "exec"), scope)
    work: Callable[[Context], Any] = scope["work"]
    return work


def asked(expression: str, module: str = "pydantic_ai.made") -> Any:  # noqa: ANN401 - anything
    ending = run_inside(made_in(module, expression))
    assert ending.failure_details is None, ending.failure_details
    return ending.result


ANSWERED = (
    "time.time()",
    "time.time_ns()",
    "time.monotonic()",
    "time.perf_counter_ns()",
    "str(uuid.uuid4())",
    "str(early())",
    "os.urandom(10).hex()",
    "random.random()",
    "random.uniform(1, 2)",
    "random.randint(1, 1_000_000)",
    "random.choice(range(1_000_000))",
    "random.getrandbits(99)",
)


@pytest.mark.parametrize("expression", ANSWERED)
def test_an_agents_library_gets_the_same_answer_in_every_run(expression: str) -> None:
    assert asked(expression) == asked(expression)


def test_the_answers_are_the_sessions_clock_and_different_ids() -> None:
    assert asked("[time.time_ns(), time.time()]") == f"[{START * 1_000},{START / 1_000_000}]"
    assert asked("[time.monotonic(), time.monotonic_ns()]") == "[0.0,0]"
    assert asked("[uuid.uuid4() != uuid.uuid4(), uuid.uuid4().version]") == "[true,4]"


def test_the_orchestrators_own_numbers_do_not_depend_on_them() -> None:
    wanted = asked("ctx.random.random()")
    assert asked("[random.random(), ctx.random.random()][1]") == wanted
    assert asked("random.random()") != wanted


@pytest.mark.parametrize("expression", ["str(datetime.datetime.now())", "now()"])
@pytest.mark.parametrize("every", [1, 1_000])
def test_clocks_in_c_go_through(
    expression: str, every: int, caplog: pytest.LogCaptureFixture
) -> None:
    work = made_in("pydantic_graph", expression)
    assert run_inside(work, watch=CallWatch(every)).failure_details is None
    assert caplog.records == []


@pytest.mark.parametrize("expression", [*ANSWERED, "str(datetime.datetime.now())"])
def test_everybody_else_is_refused(expression: str) -> None:
    for module in ("shop", "pydantic", "pydantic_ai_shop"):
        message = refusal_of(made_in(module, expression), watch=CallWatch(1)).error_message
        assert "inside an orchestrator" in message


@pytest.mark.parametrize("expression", ["time.sleep(0)", "uuid.uuid1()", "open('/dev/null')"])
def test_what_the_session_cannot_answer_is_refused_to_the_library_too(expression: str) -> None:
    message = refusal_of(made_in("pydantic_ai", expression), watch=CallWatch(1)).error_message
    assert "inside an orchestrator" in message


def test_own_code_below_the_library_is_refused() -> None:
    own = made_in("shop", "time.time()")
    through: Any = made_in("pydantic_ai", "call(ctx)")
    message = refusal_of(lambda ctx: through(ctx, own)).error_message
    assert "time.time() inside an orchestrator" in message


def test_nobody_stamps_where_nobody_asks() -> None:
    assert not is_stamping(None)
    assert not is_stamping(sys._getframe())


def test_a_librarys_finally_in_a_session_that_is_thrown_away_is_answered_too() -> None:
    seen: list[object] = []

    async def guarded(ctx: Context) -> None:
        try:
            await ctx.wait_for_external_event("never")
        finally:
            seen.append(made_in("pydantic_ai", "[random.random(), time.time_ns()]")(ctx))

    for _ in range(2):
        first_turn(guarded)
    assert seen[0] == seen[1]
