"""What mypy and pyright make of durable calls: the types of results and the refused arguments.

Never run; ignore comments mark refused lines, as in ``decorators``.
"""

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import Any, Protocol, TypeVar, TypeVarTuple, assert_type, overload

from tenuto.functions.activity_context import ActivityContext
from tenuto.functions.registry import FunctionRegistry
from tenuto.orchestration.context import Context
from tenuto.orchestration.references import OrchestratorFunction
from tenuto.orchestration.tasks import DurableTask

Ts = TypeVarTuple("Ts")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

app = FunctionRegistry()


@app.activity
def none() -> int:
    return 1


@app.activity
def one(number: int) -> str:
    return str(number)


@app.activity
async def later(number: int, text: str) -> bool:
    await asyncio.sleep(0)
    return bool(number) and bool(text)


@app.activity
def told(context: ActivityContext, number: int) -> str:
    return context.name * number


@app.activity
def numbers(values: list[int], factor: float) -> float:
    return sum(values) * factor


@app.activity
def gives_anything(number: int) -> Any:
    return number


@app.orchestrator
async def child(ctx: Context, name: str) -> int:
    return len(name)


# --- activities ------------------------------------------------------------------------------------


@app.orchestrator
async def calls(ctx: Context) -> None:
    assert_type(ctx.call_activity(one, 1), DurableTask[str])
    assert_type(await ctx.call_activity(none), int)
    assert_type(await ctx.call_activity(one, 1), str)
    assert_type(await ctx.call_activity(one.options(timeout=timedelta(1)), 1), str)
    assert_type(await ctx.call_activity(later, 1, "x"), bool)
    assert_type(await ctx.call_activity(told, 1), str)
    assert_type(await ctx.call_activity(numbers, [], 2), float)
    assert_type(await ctx.call_activity("by name", 1, "x"), Any)

    ctx.call_activity(none, 1)  # type: ignore[misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    ctx.call_activity(one)  # type: ignore[misc, arg-type, call-arg]  # pyright: ignore[reportCallIssue, reportArgumentType]
    ctx.call_activity(one, "x")  # type: ignore[misc, arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    ctx.call_activity(one, 1, 2)  # type: ignore[misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    ctx.call_activity(later, "x", 1)  # type: ignore[misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    ctx.call_activity(child, "x")  # type: ignore[misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    ctx.call_activity(len, "x")  # type: ignore[misc]  # pyright: ignore[reportCallIssue, reportArgumentType]


@app.orchestrator
async def composes(ctx: Context) -> None:
    text, count = await asyncio.gather(ctx.call_activity(one, 1), ctx.call_activity(none))
    assert_type(text, str)
    assert_type(count, int)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ctx.call_activity(one, 1))
    assert_type(task.result(), str)


# --- orchestrators ---------------------------------------------------------------------------------


@app.orchestrator
async def has_children(ctx: Context) -> None:
    assert_type(await ctx.call_sub_orchestrator(child, "Ada"), int)
    assert_type(await ctx.call_sub_orchestrator(child.options(instance_id="x"), "Ada"), int)
    assert_type(ctx.start_orchestrator(child, "Ada"), str)
    assert_type(await ctx.call_sub_orchestrator("by name", "Ada", instance_id="x"), Any)

    ctx.call_sub_orchestrator(child, 1)
    ctx.call_sub_orchestrator(child)
    ctx.start_orchestrator(child, "Ada", "Bob")
    ctx.call_sub_orchestrator(one, 1)


@app.orchestrator
def yields(ctx: Context) -> Generator[Any, Any, str]:
    text: str = yield ctx.call_activity(one, 1)
    yield ctx.call_activity(one, "x")
    return text


# --- clients ---------------------------------------------------------------------------------------


class Handle(Protocol[T_co]):
    async def result(self) -> T_co: ...


class Client(Protocol):
    """The form that every client method has that takes an orchestrator and its arguments."""

    @overload
    async def start(
        self,
        orchestrator: OrchestratorFunction[*Ts, T],
        *args: *Ts,
        instance_id: str | None = None,
    ) -> Handle[T]: ...
    @overload
    async def start(
        self, orchestrator: str, *args: Any, instance_id: str | None = None
    ) -> Handle[Any]: ...


async def starts(client: Client) -> None:
    handle = await client.start(child, "Ada", instance_id="x")
    assert_type(handle, Handle[int])
    assert_type(await handle.result(), int)
    assert_type(await (await client.start(yields)).result(), str)
    assert_type(await client.start("by name", 1, 2), Handle[Any])

    await client.start(child, 1)
    await client.start(child)
    await client.start(yields, 1)
    await client.start(one, 1)
