"""What mypy and pyright make of the decorators: the types of references and of plain calls.

Never run. A wrong line carries the complaint of each checker as an ignore comment; an ignore
without a complaint is an error, so each of these lines is known to be refused by both.
"""

import asyncio
from collections.abc import Coroutine, Generator
from datetime import timedelta
from typing import Any, assert_type

from tenuto.client.client import Client
from tenuto.functions.activity_context import ActivityContext
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.timer_info import TimerInfo
from tenuto.host.app import App
from tenuto.model.retry import RetryPolicy
from tenuto.orchestration.context import Context
from tenuto.orchestration.references import (
    ActivityFunction,
    AnyActivity,
    AnyOrchestrator,
    OrchestratorFunction,
)

app = FunctionRegistry()

# --- activities ----------------------------------------------------------------------------------


@app.activity
def none() -> int:
    return 1


@app.activity
def one(number: int) -> str:
    return str(number)


@app.activity()
def two(number: int, text: str = "") -> list[str]:
    return [text] * number


@app.activity(
    name="Later", retry=RetryPolicy(max_attempts=2), timeout=timedelta(1), max_concurrent=3
)
async def later(number: int) -> str:
    await asyncio.sleep(0)
    return str(number)


@app.activity
def told(context: ActivityContext, number: int) -> str:
    return context.name * number


@app.activity(name="ToldLater")
async def told_later(context: ActivityContext) -> str:
    await asyncio.sleep(0)
    return context.name


@app.activity
def optional(number: int | None) -> None:
    assert number


@app.activity
def loose(data: dict[str, Any], flag: bool) -> dict[str, Any]:
    return data if flag else {}


@app.activity
def takes_objects(thing: object, number: int) -> str:
    return f"{thing}{number}"


@app.activity
def gives_anything(number: int) -> Any:  # noqa: ANN401 - what it tests
    return number


assert_type(none, ActivityFunction[int])
assert_type(one, ActivityFunction[int, str])
assert_type(two, ActivityFunction[int, str, list[str]])
assert_type(told, ActivityFunction[int, str])
assert_type(optional, ActivityFunction[int | None, None])
assert_type(loose, ActivityFunction[dict[str, Any], bool, dict[str, Any]])
assert_type(takes_objects, ActivityFunction[Any, int, str])
assert_type(gives_anything, ActivityFunction[int, Any])

# --- plain calls of activities -------------------------------------------------------------------

assert_type(none(), int)
assert_type(one(1), str)
assert_type(two(1, "x"), list[str])
assert_type(told(2), str)
assert_type(gives_anything(1), Any)


async def plain_calls() -> None:
    assert_type(await later(1), str)
    assert_type(await told_later(), str)


none(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
one()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
one("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
one(1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
told(ActivityContext(), 1)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]

# --- options of activities -----------------------------------------------------------------------

assert_type(one.options(timeout=timedelta(seconds=1), retry=None), ActivityFunction[int, str])
one.options(timeout=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
one.options(retry=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
one.options(instance_id="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
app.activity(retries=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
app.activity(timeout=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
app.activity("one")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]

# --- orchestrators -------------------------------------------------------------------------------


@app.orchestrator
async def nothing_in(ctx: Context) -> None:
    await asyncio.sleep(0)


@app.orchestrator
async def greets(ctx: Context, name: str) -> int:
    return len(name)


@app.orchestrator(name="Yields", version="2")
def yields(ctx: Context, name: str, times: int) -> Generator[Any, Any, bool]:
    yield ctx.call_activity(one, times)
    return True


assert_type(nothing_in, OrchestratorFunction[None])
assert_type(greets, OrchestratorFunction[str, int])
assert_type(yields, OrchestratorFunction[str, int, bool])
assert_type(
    greets.options(instance_id="x", version="2", tags={}, retry=None),
    OrchestratorFunction[str, int],
)

greets.options(timeout=timedelta(1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
greets.options(tags={"a": 1})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
app.orchestrator(version=2)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


@app.orchestrator  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def without_context(name: str) -> None:
    await asyncio.sleep(0)


def call_plain(ctx: Context) -> None:
    greets(ctx, "Ada")
    greets("Ada")  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    greets(ctx, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# --- references as values ------------------------------------------------------------------------

any_activities: list[AnyActivity] = [none, one, two, later, told, told_later, gives_anything]
any_orchestrators: list[AnyOrchestrator] = [nothing_in, greets, yields]
wider: ActivityFunction[int, object] = one
coroutine: ActivityFunction[int, Coroutine[Any, Any, str]] = later
other: ActivityFunction[str, str] = one  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
narrower: ActivityFunction[int, bool] = one  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
wrong_kind: AnyActivity = greets  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
one.retry = None  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

# --- functions that schedules start --------------------------------------------------------------

timed = App()


@timed.timer("0 0 9 * * *", zone="Europe/Berlin", run_on_startup=True, catch_up=False, name="x")
async def every_morning(timer: TimerInfo, *, client: Client) -> int:
    await asyncio.sleep(0)
    return timer.due_at.day


@timed.timer("00:05:00")
def often() -> None: ...


assert_type(often(), None)
often(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
timed.timer(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
timed.timer("00:05:00", "UTC")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
