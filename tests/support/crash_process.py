"""A process that runs hello in three cities and kills itself at a crash point, if it is told to.

Arguments: storage URL, ledger file, crash point (or "none"), hit. Prints the result.
"""

import asyncio
import sys
from pathlib import Path

from tenuto import ActivityContext, App, Context, Host
from tenuto.testing import KillAt, RecordingObserver

app = App()
ledger = Path(sys.argv[2])


@app.activity
def greet(context: ActivityContext, name: str) -> str:
    with ledger.open("a") as lines:
        lines.write(f"{name} {context.idempotency_key}\n")
    return f"Hello {name}"


@app.orchestrator
async def hello(ctx: Context) -> list[str]:
    return [await ctx.call_activity(greet, name) for name in ("Tokyo", "Seattle", "London")]


async def main(url: str, point: str, hit: int) -> None:
    observer = RecordingObserver() if point == "none" else KillAt(point, hit)
    async with Host(app, storage=url, observer=observer) as host:
        if await host.client.get_status("hello") is None:
            await host.client.start(hello, instance_id="hello")
        print(await host.client.handle("hello").result())  # noqa: T201 - what the test reads


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[3], int(sys.argv[4])))
