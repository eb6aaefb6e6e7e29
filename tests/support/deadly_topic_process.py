"""A host with a subscription whose function ends the process for one of its events.

Arguments: storage URL, ledger file, whether to publish first (``publish`` or ``serve``). Prints
``idle`` when the subscription is through with what there is.
"""

import asyncio
import os
import sys
from pathlib import Path

from tenuto import App, Event, Host

DEADLY = 7
MANY = 20
app = App()
ledger = Path(sys.argv[2] if __name__ == "__main__" else "")


def note(number: int) -> None:
    with ledger.open("a", encoding="utf-8") as lines:
        lines.write(f"{number}\n")


@app.subscribe("numbers", name="deadly", from_beginning=True)
async def deadly(event: Event) -> None:
    await asyncio.sleep(0)
    if event.data == DEADLY:
        os._exit(9)
    note(event.data)


async def main(url: str, first: str) -> None:
    async with Host(app, storage=url) as host:
        if first == "publish":
            for number in range(MANY):
                await host.client.publish("numbers", number)
        storage = host.engine.storage
        while True:
            standing = await storage.subscriptions()
            if all(one.lag == 0 for one in standing):
                break
            await asyncio.sleep(0.02)
        print("idle", flush=True)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[3]))
