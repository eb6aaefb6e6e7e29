"""One step after the other: inputs, results, history, payloads."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from tenuto import App, Context, OrchestrationFailedError, RuntimeStatus
from tenuto.model.events import (
    ExecutionCompleted,
    ExecutionStarted,
    TaskCompleted,
    TaskScheduled,
)
from tenuto.model.ids import InstanceId
from tenuto.model.messages import TaskResult
from tenuto.testing import TestHost
from tests.support.histories import kinds, of_type

Json: TypeAlias = Any


async def test_an_orchestrator_without_steps_completes_with_its_result(
    app: App, test: TestHost
) -> None:
    """S1, S17: no activity, no await."""

    @app.orchestrator
    async def hello(ctx: Context, name: str) -> str:
        return f"Hello, {name}!"

    handle = await test.start(hello, "World")
    assert await handle.result() == "Hello, World!"
    status = await handle.status()
    assert status.runtime_status is RuntimeStatus.COMPLETED
    assert (status.input, status.output) == ("World", "Hello, World!")
    assert kinds(await test.client.history(handle.instance_id)) == [
        "ExecutionStarted",
        "ExecutionCompleted",
    ]


async def test_a_sequence_records_each_step_once_in_order(app: App, test: TestHost) -> None:
    """S2, S3, S15: history holds input, name and result of each step."""

    @app.activity
    def greet(name: str) -> str:
        return f"Hello {name}!"

    @app.orchestrator
    async def hello_cities(ctx: Context) -> list[str]:
        return [await ctx.call_activity(greet, name) for name in ("Tokyo", "Seattle", "London")]

    handle = await test.start(hello_cities)
    assert await handle.result() == ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]
    history = await test.client.history(handle.instance_id)
    assert kinds(history) == [
        "ExecutionStarted",
        *["TaskScheduled", "TaskCompleted"] * 3,
        "ExecutionCompleted",
    ]
    scheduled = of_type(history, TaskScheduled)
    assert [(one.event_id, one.name, one.input) for one in scheduled] == [
        (1, "greet", '"Tokyo"'),
        (2, "greet", '"Seattle"'),
        (3, "greet", '"London"'),
    ]
    assert [(one.task_scheduled_id, one.result) for one in of_type(history, TaskCompleted)] == [
        (1, '"Hello Tokyo!"'),
        (2, '"Hello Seattle!"'),
        (3, '"Hello London!"'),
    ]
    assert of_type(history, ExecutionCompleted)[0].orchestration_status is RuntimeStatus.COMPLETED


async def test_each_activity_of_a_sequence_runs_once(app: App, test: TestHost) -> None:
    """S2: with and without live sessions; ``at_least_once_activities`` is once without crashes."""
    calls: list[int] = []

    @app.activity
    def double(number: int) -> int:
        calls.append(number)
        return number * 2

    @app.orchestrator
    async def doubled(ctx: Context) -> int:
        number = 1
        for _ in range(6):
            number = await ctx.call_activity(double, number)
        return number

    assert await test.run(doubled) == 64
    assert calls == [1, 2, 4, 8, 16, 32]


async def test_factorial_by_ten_sequential_activities(app: App, test: TestHost) -> None:
    """S5."""

    @app.activity
    async def multiply(left: int, right: int) -> int:
        return left * right

    @app.orchestrator
    async def factorial(ctx: Context, number: int) -> int:
        result = 1
        for factor in range(1, number + 1):
            result = await ctx.call_activity(multiply, result, factor)
        return result

    assert await test.run(factorial, 10) == 3628800


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Leaf:
    size: Decimal
    colour: Colour = Colour.RED
    note: str | None = None


@dataclass
class Tree:
    id: UUID
    age: timedelta
    leaves: list[Leaf] = field(default_factory=list)
    by_name: dict[str, Leaf | None] = field(default_factory=dict)


async def test_nested_objects_come_back_equal_through_every_kind_of_call(
    app: App, test: TestHost
) -> None:
    """S8: with null members, time spans, lists; through activity and sub-orchestration."""

    @app.activity
    def same(tree: Tree) -> Tree:
        assert isinstance(tree.leaves[0].size, Decimal)
        return tree

    @app.orchestrator
    async def child(ctx: Context, tree: Tree) -> Tree:
        assert isinstance(tree, Tree)
        return await ctx.call_activity(same, tree)

    @app.orchestrator
    async def parent(ctx: Context, tree: Tree) -> Tree:
        return await ctx.call_sub_orchestrator(child, tree)

    tree = Tree(
        UUID(int=7),
        timedelta(days=3, microseconds=1),
        [Leaf(Decimal("1.10")), Leaf(Decimal(2), Colour.BLUE, "autumn")],
        {"none": None, "one": Leaf(Decimal(0))},
    )
    result = await test.run(parent, tree)
    assert result == tree
    assert isinstance(result, Tree)
    assert isinstance(result.leaves[1].colour, Colour)


@pytest.mark.parametrize("value", [0, "", False, None, [], {}, 0.0, "0"])
async def test_falsy_values_survive_every_leg(app: App, test: TestHost, value: Json) -> None:
    """S17: as input, result of an activity, result of a child, event, output."""

    @app.activity
    def same(given: Json) -> Json:
        return given

    @app.orchestrator
    async def child(ctx: Context, given: Json) -> Json:
        return await ctx.call_activity(same, given)

    @app.orchestrator
    async def parent(ctx: Context, given: Json) -> list[Json]:
        event = await ctx.wait_for_external_event("value")
        return [
            given,
            event,
            await ctx.call_activity(same, given),
            await ctx.call_sub_orchestrator(child, given),
        ]

    handle = await test.start(parent, value)
    await handle.raise_event("value", value)
    result = await handle.result()
    assert result == [value] * 4
    assert [type(one) for one in result] == [type(value)] * 4


async def test_large_payloads_are_kept_to_the_letter(app: App, test: TestHost) -> None:
    """More than a MiB in each direction, with characters outside ASCII."""
    text = "ä€😀" * 120_000

    @app.activity
    def same(given: str) -> str:
        return given

    @app.orchestrator
    async def parent(ctx: Context, given: str) -> str:
        return await ctx.call_activity(same, given)

    assert await test.run(parent, text) == text


async def test_functions_can_be_named_instead_of_given(app: App, test: TestHost) -> None:
    """S16: plain input under a name, as a portal or a remote client would send it."""

    @app.activity(name="Greet")
    def greet(name: str) -> str:
        return f"Hello {name}"

    @app.orchestrator(name="Parent")
    async def parent(ctx: Context, name: str) -> str:
        return str(await ctx.call_activity("Greet", name))

    assert await test.run("Parent", "Ada") == "Hello Ada"


async def test_several_parameters_travel_by_name(app: App, test: TestHost) -> None:
    @app.activity
    def join(first: str, second: str) -> str:
        return f"{first}-{second}"

    @app.orchestrator
    async def parent(ctx: Context, left: str, right: str = "z") -> str:
        return await ctx.call_activity(join, left, right)

    handle = await test.start("parent", "a")
    assert await handle.result() == "a-z"
    assert await test.run(parent, "a", "b") == "a-b"
    started = of_type(await test.client.history(handle.instance_id), ExecutionStarted)[0]
    assert started.input == '{"left":"a"}'


async def test_a_duplicate_completion_is_used_once_exactly_once_turns(
    app: App, test: TestHost
) -> None:
    """S18: two answers to one task, in one batch and one after the other."""
    release = asyncio.Event()

    @app.activity
    async def slow(number: int) -> int:
        await release.wait()
        return number

    @app.orchestrator
    async def parent(ctx: Context) -> list[int]:
        return [await ctx.call_activity(slow, 1), await ctx.call_activity(slow, 2)]

    handle = await test.start(parent)
    await test.idle(with_activities=False)
    engine = test.host.engine
    resident = engine.residents.named(InstanceId(handle.instance_id))
    assert resident is not None
    answer = TaskResult(
        execution_id=resident.state.facts.execution_id, sequence=1, event=TaskCompleted(1, "10")
    )
    engine.deliver(resident, answer)
    engine.deliver(resident, answer)
    await test.idle(with_activities=False)
    engine.deliver(resident, answer)
    await test.idle(with_activities=False)
    release.set()
    assert await handle.result() == [10, 2]


async def test_an_activity_may_be_scheduled_and_never_awaited(app: App, test: TestHost) -> None:
    """Never awaited means still scheduled, unlike with Azure's SDKs."""
    calls: list[str] = []

    @app.activity
    def note(text: str) -> None:
        calls.append(text)

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        _ = ctx.call_activity(note, "not awaited")
        await ctx.call_activity(note, "awaited")
        await ctx.create_timer(timedelta(minutes=1))

    await test.run(parent)
    assert sorted(calls) == ["awaited", "not awaited"]


async def test_input_that_does_not_fit_fails_the_instance_of_a_test_and_names_the_place(
    app: App, test: TestHost, unreplayable: set[str]
) -> None:
    @app.orchestrator
    async def parent(ctx: Context, number: int) -> int:
        return number

    app_elsewhere = App()

    @app_elsewhere.orchestrator(name="parent")
    async def other_signature(ctx: Context, text: str) -> str:
        return text

    handle = await test.client.start(other_signature, "no number")
    unreplayable.add(handle.instance_id)
    with pytest.raises(OrchestrationFailedError, match=r"input does not fit.*int") as caught:
        await handle.result()
    assert caught.value.failure.error_type.endswith("PayloadMisfitError")


async def test_a_hundred_orchestrations_at_once_wait_side_by_side(app: App, test: TestHost) -> None:
    """S7: each waits ten seconds; together they take ten seconds, not a thousand."""

    @app.orchestrator
    async def wait(ctx: Context, number: int) -> int:
        await ctx.create_timer(timedelta(seconds=10))
        return number

    before = test.clock.current_time
    handles = [await test.start(wait, number) for number in range(100)]
    assert await asyncio.gather(*(handle.result() for handle in handles)) == list(range(100))
    assert test.clock.current_time - before < timedelta(seconds=11)
