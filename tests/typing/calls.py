"""What mypy and pyright make of durable calls: the types of results and the refused arguments.

Never run. A wrong line carries the complaint of each checker as an ignore comment; an ignore
without a complaint is an error, so each of these lines is known to be refused by both.
"""

import asyncio
from collections.abc import Generator
from datetime import date, timedelta
from typing import Any, assert_type

from tenuto import (
    ActivityContext,
    App,
    Client,
    Context,
    DurableTask,
    OrchestrationHandle,
    Question,
    SyncClient,
    SyncOrchestrationHandle,
)

app = App()


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
def gives_anything(number: int) -> Any:  # noqa: ANN401 - what it tests
    return number


@app.orchestrator
async def child(ctx: Context, name: str) -> int:
    return len(name)


# --- activities ----------------------------------------------------------------------------------


@app.orchestrator
async def calls(ctx: Context) -> None:
    scheduled = ctx.call_activity(one, 1)
    _ = assert_type(scheduled, DurableTask[str])
    assert_type(await ctx.call_activity(none), int)
    assert_type(await ctx.call_activity(one, 1), str)
    assert_type(await ctx.call_activity(one.options(timeout=timedelta(1)), 1), str)
    assert_type(await ctx.call_activity(later, 1, "x"), bool)
    assert_type(await ctx.call_activity(told, 1), str)
    assert_type(await ctx.call_activity(numbers, [1], 2), float)
    assert_type(await ctx.call_activity(gives_anything, 1), Any)
    assert_type(await ctx.call_activity("by name", 1, "x"), Any)

    await ctx.call_activity(none, 1)  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_activity(one)  # type: ignore[arg-type, call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_activity(one, "x")  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_activity(one, 1, 2)  # type: ignore[arg-type, call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_activity(one, number=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ctx.call_activity(later, "x", 1)  # type: ignore[call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_activity(told, ActivityContext(), 1)  # type: ignore[arg-type, call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_activity(numbers, ["x"], 2)  # type: ignore[arg-type, call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_activity(child, "x")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_activity(len, "x")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


@app.orchestrator
async def composes(ctx: Context) -> None:
    text, count = await asyncio.gather(ctx.call_activity(one, 1), ctx.call_activity(none))
    assert_type(text, str)
    assert_type(count, int)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ctx.call_activity(one, 1))
    assert_type(task.result(), str)
    all_of_them = await ctx.task_all([ctx.call_activity(one, number) for number in range(3)])
    assert_type(all_of_them, list[str])


@app.orchestrator
async def asks(ctx: Context) -> None:
    question = ctx.ask("Ship it?")
    _ = assert_type(question, Question[bool])
    assert_type(await question, bool)
    assert_type(await question.url, str)
    assert_type(await ctx.ask("When?", date, timeout=timedelta(1)), date)
    assert_type(await ctx.ask("How?", choices=["ship", "train"]), str)
    assert_type(await ctx.ask("How many?", choices={"One": 1, "Two": 2}), int)
    both = await asyncio.gather(ctx.ask("A?"), ctx.ask("B?", int))
    assert_type(both, tuple[bool, int])

    await ctx.ask("A?", int, choices=[1])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ctx.ask(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await ctx.ask("A?", timeout=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


# --- orchestrators -------------------------------------------------------------------------------


@app.orchestrator
async def has_children(ctx: Context) -> None:
    scheduled = ctx.call_sub_orchestrator(child, "Ada")
    _ = assert_type(scheduled, DurableTask[int])
    assert_type(await ctx.call_sub_orchestrator(child.options(instance_id="x"), "Ada"), int)
    assert_type(await ctx.call_sub_orchestrator(yields), str)
    assert_type(ctx.start_orchestrator(child, "Ada"), str)
    assert_type(await ctx.call_sub_orchestrator("by name", "Ada", instance_id="x"), Any)

    await ctx.call_sub_orchestrator(child, 1)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_sub_orchestrator(child)  # type: ignore[call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.call_sub_orchestrator(one, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    ctx.start_orchestrator(child, "Ada", "Bob")  # type: ignore[call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]


@app.orchestrator
def yields(ctx: Context) -> Generator[Any, Any, str]:
    text: str = yield ctx.call_activity(one, 1)
    yield ctx.call_activity(one, "x")  # type: ignore[arg-type, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    return text


# --- clients -------------------------------------------------------------------------------------


async def starts(client: Client) -> None:
    handle = await client.start(child, "Ada", instance_id="x")
    assert_type(handle, OrchestrationHandle[int])
    assert_type(await handle.result(), int)
    assert_type(await (await client.start(yields)).result(), str)
    assert_type(await client.start("by name", 1), OrchestrationHandle[Any])

    await client.start(child, 1)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.start(child)  # type: ignore[call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.start(child, "Ada", instance="x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await client.start(yields, 1)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await client.start(one, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def starts_and_blocks(client: SyncClient) -> None:
    handle = client.start(child, "Ada", instance_id="x")
    assert_type(handle, SyncOrchestrationHandle[int])
    assert_type(handle.result(timeout=timedelta(seconds=1)), int)
    assert_type(client.start(yields).result(), str)
    assert_type(client.start("by name", 1), SyncOrchestrationHandle[Any])

    client.start(child, 1)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.start(child)  # type: ignore[call-arg, misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    handle.result(timeout=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.start(one, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


assert_type(app.run(child, "Ada"), int)
assert_type(app.run("by name"), Any)
app.run(child, 1)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
app.run(one, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
