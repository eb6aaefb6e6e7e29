"""An agent of pydantic-ai runs inside an orchestrator; what model and tools do is durable."""

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.test import TestModel
from pydantic_ai.settings import ModelSettings

from tenuto import App, Context, OrchestrationFailedError
from tenuto.host.settings import Settings
from tenuto.testing import TestHost

app = App()
asked: list[str] = []


@app.activity
def weather(city: str) -> str:
    asked.append(city)
    return f"rain in {city}"


@app.activity
def think(rounds: int) -> int:
    return rounds


class DurableModel(TestModel):
    """Asks an activity before it answers, as a model that is somewhere else would."""

    def __init__(self, ctx: Context) -> None:
        super().__init__()
        self.ctx = ctx

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        await self.ctx.call_activity(think, len(messages))
        return await super().request(messages, model_settings, model_request_parameters)


agent: Agent[Context, str] = Agent(deps_type=Context)


@agent.tool_plain
def add(a: int, b: int) -> int:
    return a + b + 5


@agent.tool
async def ask(run: RunContext[Context], city: str) -> str:
    return await run.deps.call_activity(weather, city)


@agent.tool
async def ask_twice(run: RunContext[Context], city: str) -> list[str]:
    first, second = run.deps.call_activity(weather, city), run.deps.call_activity(weather, "b")
    return list(await asyncio.gather(first, second))


@app.orchestrator
async def with_agent(ctx: Context) -> list[object]:
    result = await agent.run("What is it like?", deps=ctx, model=DurableModel(ctx))
    await ctx.create_timer(timedelta(hours=1))
    again = await agent.run(
        "And now?", deps=ctx, model=DurableModel(ctx), message_history=result.all_messages()
    )
    kinds = [type(part).__name__ for one in again.all_messages() for part in one.parts]
    return [result.output, len(kinds), kinds[-1]]


ANSWER = '{"add":5,"ask":"rain in a","ask_twice":["rain in a","rain in b"]}'


@pytest.mark.parametrize("how", ["hot", "replayed at each turn", "host thrown away"])
async def test_an_agent_of_pydantic_ai_runs_inside_an_orchestrator(how: str) -> None:
    settings = Settings(hot_sessions=10_000 if how == "hot" else 1)
    asked.clear()
    async with TestHost(app, settings=settings) as test:
        handle = await test.start("with_agent")
        other = await test.start("with_agent")  # what is evicted makes room for somebody
        await test.advance(timedelta(minutes=5))
        if how == "host thrown away":
            await test.crash()
        result: Any = await handle.result()
        assert result[0] == ANSWER
        assert result[2] == "TextPart"
        await test.check_replay(handle.instance_id)
        assert await other.result() == result
    assert sorted(asked) == ["a"] * 4 + ["b"] * 2, "work is done once, whatever happens to the host"


@app.orchestrator
async def with_tool(ctx: Context, name: str) -> str:
    careless: Agent[None, str] = Agent(TestModel())
    careless.tool_plain(TOOLS[name])
    return (await careless.run("go")).output


def own_clock() -> float:
    return time.time()


def own_id() -> str:
    return str(uuid.uuid4())


def own_date() -> str:
    return str(datetime.now(UTC))


def own_file() -> str:
    with open(__file__, encoding="utf-8") as file:  # noqa: PTH123 - as careless code does
        return file.read()


TOOLS: dict[str, Callable[[], object]] = {
    one.__name__: one for one in (own_clock, own_id, own_date, own_file)
}


@pytest.mark.parametrize("name", TOOLS)
async def test_what_a_tool_does_by_itself_is_refused_as_ever(name: str) -> None:
    async with TestHost(app) as test:
        handle = await test.start("with_tool", name)
        with pytest.raises(OrchestrationFailedError, match=f"inside an orchestrator, at .* {name}"):
            await handle.result()
