"""A host or a client that does what its standard input says, for ``bench.growth``.

Usage: ``python -m bench.growth_process STORAGE HOSTS`` for one host of so many, or with 0 for a
client that is no host. Each line of input is a JSON list of a verb and its arguments; what is
printed after it is one line of JSON, when that is done.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.app import CITIES, app, double
from tenuto import Client, Context, Host
from tenuto.host.own_loop import run_on_fast_loop
from tenuto.model.ids import InstanceId, partition_of

_RESULT = [f"Hello {city}!" for city in CITIES[:3]]
_reached: "asyncio.Queue[int]" = asyncio.Queue()


@app.activity
async def reach(window: int) -> None:
    """Tell that a chain has come so far."""
    _reached.put_nowait(window)


@app.orchestrator
async def chain_in_windows(ctx: Context, windows: list[int]) -> None:
    """Activities one after another; before and after each window it waits for a word."""
    for number, length in enumerate(windows):
        await ctx.wait_for_external_event("go")
        for step in range(length):
            await ctx.call_activity(double, step)
        await ctx.call_activity(reach, number)


class _Doing:
    """What may be asked for."""

    def __init__(self, client: Client, host: Host | None) -> None:
        self._client = client
        self._host = host
        self._names = itertools.count()

    def _ids(self) -> Iterator[str]:
        """Of partitions that are this host's."""
        assert self._host is not None
        engine = self._host.engine
        for number in self._names:
            name = f"growth-{engine.origin}-{number}"
            if engine.find(InstanceId(name)) is not None:
                yield name

    async def hello(self, blocks: int, at_once: int) -> None:
        """Run hello sequences, each block after the one before it."""
        ids = self._ids()

        async def one() -> None:
            handle = await self._client.start("hello_3", instance_id=next(ids))
            if await handle.result() != _RESULT:
                raise AssertionError("hello_3 gave a wrong result")

        for _ in range(blocks):
            await asyncio.gather(*(one() for _ in range(at_once)))

    async def sleepers(self, count: int) -> None:
        """Start so many that stay open."""
        moment = datetime.now(UTC) + timedelta(days=30)
        for _ in range(0, count, 1_000):
            await asyncio.gather(
                *(self._client.start("sleep_until", moment) for _ in range(min(count, 1_000)))
            )

    async def chains(self, count: int, windows: list[int]) -> None:
        """Start chains that wait before their first window."""
        for number in range(count):
            await self._client.start(
                "chain_in_windows", windows, instance_id=f"chain-{count}-{number}"
            )

    async def go(self, count: int) -> None:
        """Let all chains run their next window."""
        for number in range(count):
            await self._client.raise_event(f"chain-{count}-{number}", "go")
        for _ in range(count):
            await _reached.get()

    async def start_for(self, partitions: list[int], of: int, count: int) -> None:
        """Start hello sequences one after another, all in these partitions."""
        names = (f"given-{number}" for number in self._names)
        ids = (name for name in names if partition_of(InstanceId(name), of) in partitions)
        for name in itertools.islice(ids, count):
            await self._client.start("hello_3", instance_id=name)

    async def partitions(self) -> list[int]:
        """What this host serves."""
        assert self._host is not None
        return sorted(self._host.engine.partitions)


async def _serve(doing: _Doing) -> None:
    print('"ready"', flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        verb, *arguments = json.loads(line)
        print(json.dumps(await getattr(doing, verb)(*arguments)), flush=True)


async def _run(storage: str, hosts: int) -> None:
    if not hosts:
        async with Client.open(storage) as client:
            await _serve(_Doing(client, None))
        return
    async with Host(app, storage=storage) as host:
        engine = host.engine
        while len(engine.partitions) != engine.hub_partitions // hosts:  # noqa: ASYNC110 - balance
            await asyncio.sleep(0.05)
        await _serve(_Doing(host.client, host))


if __name__ == "__main__":
    run_on_fast_loop(_run(sys.argv[1], int(sys.argv[2])))
