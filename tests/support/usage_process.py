"""A host that runs a mixture of functions for ever, for tests that kill it and count what it used.

Arguments: storage URL, a word for its instances, or ``finish``: run to the end what there is.
Prints ``up`` once it serves.
"""

import asyncio
import sys
from datetime import timedelta

from tenuto import App, Context, Host, InstanceFilter, RetryPolicy, RuntimeStatus
from tenuto.host.settings import Settings
from tenuto.telemetry.usage_settings import UsageSettings

PATIENCE = timedelta(milliseconds=1)
TWICE = RetryPolicy(max_attempts=2, first_interval=PATIENCE)
COUNT = 120
TAG = "customer"
CUSTOMERS = ("ada", "bob", "cleo")

app = App()


@app.activity
def add(first: int, second: int) -> int:
    return first + second


@app.activity
async def later(number: int) -> int:
    await asyncio.sleep(0.002)
    return number


@app.activity
def fails(number: int) -> int:
    raise ValueError(number)


@app.orchestrator
async def child(ctx: Context, number: int) -> int:
    return await ctx.call_activity(add, number, 1)


@app.orchestrator
async def mixture(ctx: Context, number: int) -> int:
    total = await ctx.call_activity(add, number, 0)
    many = [ctx.call_activity(later, one) for one in range(3)]
    total += sum([await one for one in many])
    try:
        await ctx.call_activity(fails.options(retry=TWICE), number)
    except Exception:  # noqa: BLE001 - a test of what is counted
        total += 1
    await ctx.create_timer(PATIENCE)
    return total + await ctx.call_sub_orchestrator(child, number)


async def main(url: str, word: str) -> None:
    settings = Settings(storage=url, usage=UsageSettings(tag=TAG))
    async with Host(app, settings=settings) as host:
        print("up", flush=True)  # noqa: T201 - what the test reads
        if word == "finish":
            unfinished = InstanceFilter(
                statuses=(RuntimeStatus.PENDING, RuntimeStatus.RUNNING), payloads=False
            )
            while [one async for one in host.client.query(unfinished)]:  # noqa: ASYNC110 - asked
                await asyncio.sleep(0.02)
            return
        for number in range(COUNT):
            tags = {TAG: CUSTOMERS[number % 3]} if number % 4 else None
            await host.client.start(mixture, number, instance_id=f"{word}-{number}", tags=tags)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
