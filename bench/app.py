"""The functions that are run: small ones, so that what is measured is Tenuto."""

import asyncio
from datetime import datetime

from tenuto import App, Context

CITIES = ("Tokyo", "Seattle", "London", "Lima", "Oslo")

app = App()


@app.activity
def greet(city: str) -> str:
    return f"Hello {city}!"


@app.activity
async def greet_async(city: str) -> str:
    return f"Hello {city}!"


@app.activity
def double(number: int) -> int:
    return 2 * number


@app.orchestrator
async def hello_3(ctx: Context) -> list[str]:
    return [await ctx.call_activity(greet, city) for city in CITIES[:3]]


@app.orchestrator
async def hello_5(ctx: Context) -> list[str]:
    return [await ctx.call_activity(greet, city) for city in CITIES]


@app.orchestrator
async def hello_3_async(ctx: Context) -> list[str]:
    return [await ctx.call_activity(greet_async, city) for city in CITIES[:3]]


@app.orchestrator
async def hello_5_async(ctx: Context) -> list[str]:
    return [await ctx.call_activity(greet_async, city) for city in CITIES]


@app.orchestrator
async def fan_out(ctx: Context, width: int) -> int:
    return sum(await asyncio.gather(*(ctx.call_activity(double, n) for n in range(width))))


@app.activity
async def rest(milliseconds: int) -> None:
    await asyncio.sleep(milliseconds / 1000)


@app.orchestrator
async def slow_chain(ctx: Context, length: int) -> None:
    for _ in range(length):
        await ctx.call_activity(rest, 200)


@app.orchestrator
async def chain(ctx: Context, length: int) -> int:
    total = 0
    for number in range(length):
        total += await ctx.call_activity(double, number)
    return total


@app.orchestrator
async def nothing(_ctx: Context) -> None:
    """Ends with its first turn, in the commit that starts it."""


@app.orchestrator
async def sleep_until(ctx: Context, moment: datetime) -> None:
    await ctx.create_timer(moment)


def expected(orchestrator: str, width: int) -> object:
    """The right result: a load that gives another one has measured nothing."""
    if orchestrator.startswith("hello"):
        return [f"Hello {city}!" for city in CITIES[: int(orchestrator.split("_")[1])]]
    return width * (width - 1)
