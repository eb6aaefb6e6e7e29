"""A host that subscribes to a topic, and publishes to it, until it is killed.

Arguments: storage URL, ledger file, first number, count. It publishes the numbers from the first
one on under ids of their own, so that what it had published when it was killed is not there twice,
prints a line for each that was acknowledged, and writes down each delivery. Prints ``idle`` when
all subscriptions are through with what there is.
"""

import asyncio
import sys
from pathlib import Path

from tenuto import App, Client, Context, Event, Host

KEYS = 20
app = App()
ledger = Path(sys.argv[2] if __name__ == "__main__" else "")


def note(subscription: str, event: Event) -> None:
    with ledger.open("a", encoding="utf-8") as lines:
        lines.write(f"{subscription} {event.key} {event.data}\n")


@app.subscribe("numbers", name="plain", from_beginning=True)
async def plain(event: Event) -> None:
    note("plain", event)


@app.subscribe("numbers", name="again", from_beginning=True, concurrency=4)
async def again(event: Event, client: Client) -> None:
    """What one event leads to is published under its id: once, however often it comes."""
    await client.publish("doubles", 2 * event.data, key=event.key, event_id=event.id)


@app.subscribe("doubles", name="doubled", from_beginning=True)
async def doubled(event: Event) -> None:
    note("doubled", event)


@app.subscribe("numbers", name="started", from_beginning=True, filter=lambda e: e.data % 50 == 0)
@app.orchestrator
async def started(ctx: Context, number: int) -> int:
    await ctx.publish("started", number)
    return number


@app.subscribe("started", name="told", from_beginning=True)
async def told(event: Event) -> None:
    note("told", event)


async def publish(client: Client, first: int, many: int) -> None:
    async def lane(number: int) -> None:
        """Numbers of one lane have their keys for themselves, so their order is known."""
        for one in range(first + number, first + many, KEYS):
            await client.publish("numbers", one, key=f"key-{number}", event_id=f"number-{one}")
            print(one, flush=True)  # noqa: T201 - what the test reads

    await asyncio.gather(*(lane(number) for number in range(KEYS)))


async def main(url: str, first: int, many: int) -> None:
    async with Host(app, storage=url) as host:
        await publish(host.client, first, many)
        storage = host.engine.storage
        while True:
            standing = await storage.subscriptions()
            if all(one.lag == 0 for one in standing) and host.engine.is_idle:
                break
            await asyncio.sleep(0.02)
        print("idle", flush=True)  # noqa: T201 - what the test reads
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[3]), int(sys.argv[4])))
