"""References: what the decorators leave in place of a function."""

import asyncio
import inspect
import typing
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from tenuto.functions.activity_context import ActivityContext
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.runner import NativeRunner
from tenuto.model.actions import TurnActions
from tenuto.model.errors import InputError, InvalidInstanceIdError, LimitError
from tenuto.model.events import ExecutionCompleted, ExecutionStarted
from tenuto.model.ids import ExecutionId
from tenuto.model.limits import Limits
from tenuto.model.retry import RetryPolicy
from tenuto.orchestration.context import Context
from tenuto.orchestration.references import (
    ActivityFunction,
    OrchestratorFunction,
    checked_tags,
)
from tests.support.facts import execution_of

app = FunctionRegistry()


@app.activity
def add(left: int, right: int = 2) -> int:
    """Add two numbers."""
    return left + right


@app.activity
async def fetch(url: str) -> bytes:
    await asyncio.sleep(0)
    return url.encode()


@app.activity
def describe(context: ActivityContext, thing: str) -> str:
    return f"{thing} by {context.name}"


@app.orchestrator
async def double(ctx: Context, number: int) -> int:
    return number * 2


@app.orchestrator
def steps(ctx: Context) -> Generator[Any, Any, str]:
    yield ctx.call_activity(add, 1, 2)
    return "done"


FAKE_CONTEXT: Any = object()


# --- direct calls --------------------------------------------------------------------------------


def test_a_direct_call_runs_the_plain_function() -> None:
    assert add(1, 2) == 3
    assert add.function(1, 2) == 3


def test_defaults_and_names_of_arguments_hold_in_direct_calls() -> None:
    assert add(right=5, left=1) == 6  # type: ignore[call-arg]  # pyright knows better, see tests/typing
    assert add(1) == 3  # type: ignore[call-arg]


async def test_a_direct_call_of_an_async_activity_gives_its_coroutine() -> None:
    assert await fetch("x") == b"x"


def test_a_direct_call_makes_up_the_context_that_the_activity_takes() -> None:
    assert describe("cake") == "cake by describe"


async def test_orchestrators_called_directly_take_a_context_of_the_caller() -> None:
    assert await double(FAKE_CONTEXT, 21) == 42


def test_generator_orchestrators_called_directly_give_their_generator() -> None:
    assert inspect.isgenerator(steps(FAKE_CONTEXT))


# --- inside orchestrators ------------------------------------------------------------------------


@app.orchestrator
async def calls_an_activity(ctx: Context) -> int:
    return add(1, 2)


@app.orchestrator
async def calls_an_orchestrator(ctx: Context) -> int:
    return int(await double(ctx, 1))


@app.orchestrator
async def runs_an_orchestrator_as_part_of_itself(ctx: Context) -> int:
    return int(await double.function(ctx, 1))


class _NoClock:
    def now(self) -> int:
        raise NotImplementedError

    monotonic = now
    call_at: Any = now
    call_later: Any = now


def _run(orchestrator: OrchestratorFunction[Any]) -> ExecutionCompleted:
    info = execution_of(
        instance_id="i",
        execution_id="e",
        name=orchestrator.name,
        version=None,
        parent=None,
        tags=None,
        depth=0,
        limits=Limits(),
    )
    session = NativeRunner(app, _NoClock()).open_session(info)
    answer = session.run_turn(0, [ExecutionStarted(orchestrator.name, ExecutionId("e"))])
    session.close()
    assert isinstance(answer, TurnActions)
    actions = answer.actions
    assert isinstance(actions[-1], ExecutionCompleted)
    return actions[-1]


@pytest.mark.parametrize(
    ("orchestrator", "way_out"),
    [
        (calls_an_activity, "use `await ctx.call_activity(add, ...)`"),
        (calls_an_orchestrator, "use `await ctx.call_sub_orchestrator(double, ...)`"),
    ],
)
def test_a_direct_call_inside_an_orchestrator_is_refused_with_the_durable_way(
    orchestrator: OrchestratorFunction[Any], way_out: str
) -> None:
    failure = _run(orchestrator).failure_details
    assert failure is not None
    assert failure.error_type.endswith("GuardError")
    assert way_out in failure.error_message


def test_the_plain_function_of_an_orchestrator_can_be_part_of_another() -> None:
    assert _run(runs_an_orchestrator_as_part_of_itself).result == "2"


# --- what tools see ------------------------------------------------------------------------------


def test_tools_see_the_function() -> None:
    assert vars(add)["__name__"] == "add"
    assert add.__doc__ == "Add two numbers."
    assert add.__module__ == __name__
    assert inspect.unwrap(add) is add.function
    assert list(inspect.signature(add).parameters) == ["left", "right"]
    assert typing.get_type_hints(add)["return"] is int


def test_references_say_what_they_are() -> None:
    assert repr(add) == "<activity 'add'>"
    assert repr(double) == "<orchestrator 'double'>"


def test_references_do_not_change() -> None:
    with pytest.raises(AttributeError, match="cannot assign to field 'retry'"):
        add.retry = None  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot delete field 'version'"):
        del double.version


# --- options -------------------------------------------------------------------------------------


def test_options_give_a_changed_copy() -> None:
    retry = RetryPolicy(max_attempts=3)
    changed = add.options(retry=retry, timeout=timedelta(seconds=5))
    assert isinstance(changed, ActivityFunction)
    assert (changed.retry, changed.timeout) == (retry, timedelta(seconds=5))
    assert (add.retry, add.timeout) == (None, None)
    assert (changed.name, changed.function) == ("add", add.function)
    assert changed(1, 2) == 3


def test_options_that_are_not_given_stay_and_none_takes_them_away() -> None:
    changed = add.options(retry=RetryPolicy(max_attempts=3), timeout=timedelta(seconds=5))
    assert changed.options(timeout=None).retry == RetryPolicy(max_attempts=3)
    assert changed.options(timeout=None).timeout is None
    assert changed.options(retry=None).retry is None


def test_options_of_orchestrators() -> None:
    retry = RetryPolicy(max_attempts=2)
    tags = {"team": "travel"}
    changed = double.options(instance_id="trip-1", retry=retry, version="2", tags=tags)
    tags.clear()
    assert changed.instance_id == "trip-1"
    assert changed.retry == retry
    assert changed.version == "2"
    assert changed.tags == {"team": "travel"}
    assert changed.options(instance_id=None, tags=None).tags is None
    assert changed.options(instance_id=None).instance_id is None
    assert changed.options(version=None).version is None
    assert double.instance_id is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry": 3}, "retry must be a RetryPolicy or None, got 3"),
        ({"timeout": 30}, "timeout must be a timedelta or None, got 30"),
        ({"timeout": timedelta(0)}, "timeout must be longer than nothing, got 0:00:00"),
    ],
)
def test_options_of_activities_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        add.options(**options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"instance_id": "a/b"}, InvalidInstanceIdError, "it contains '/'"),
        ({"instance_id": 5}, InvalidInstanceIdError, "no string"),
        ({"retry": 3}, InputError, "retry must be a RetryPolicy"),
        ({"version": 2}, InputError, "version must be a str or None, got 2"),
        ({"on_cancel": "stop"}, InputError, 'on_cancel must be "terminate" or "abandon"'),
        ({"tags": ["x"]}, InputError, "tags must map str to str"),
        ({"tags": {"x": 1}}, InputError, "tags must map str to str"),
    ],
)
def test_options_of_orchestrators_are_checked(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        double.options(**options)


def test_very_many_tags_are_refused_without_being_looked_at() -> None:
    with pytest.raises(LimitError, match="5,000 tags: all together"):
        checked_tags({str(number): "" for number in range(5_000)})
