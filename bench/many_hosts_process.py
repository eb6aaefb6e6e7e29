"""One host of several, with a load of hello sequences of its own; prints its values as JSON.

Usage: ``python -m bench.many_hosts_process STORAGE HOSTS COUNT CONCURRENCY``. Says ``ready`` when
it has its share of the partitions, and begins when it is given a line.
"""

import asyncio
import itertools
import json
import sys
import time

from bench.app import CITIES, app
from tenuto import Host
from tenuto.host.own_loop import run_on_fast_loop
from tenuto.model.ids import InstanceId

_RESULT = [f"Hello {city}!" for city in CITIES[:3]]
_WARM_UP = 500


async def _measure(storage: str, hosts: int, count: int, concurrency: int) -> dict[str, float]:
    async with Host(app, storage=storage) as host:
        engine = host.engine
        while len(engine.partitions) != engine.hub_partitions // hosts:  # noqa: ASYNC110 - balance
            await asyncio.sleep(0.05)

        def ids(prefix: str) -> "itertools.islice[str]":
            """Of partitions that are this host's."""
            found = (f"{prefix}-{engine.origin}-{number}" for number in itertools.count())
            return itertools.islice(
                (one for one in found if engine.find(InstanceId(one)) is not None), None
            )

        async def run(prefix: str, total: int) -> None:
            names = ids(prefix)

            async def lane(jobs: range) -> None:
                for _ in jobs:
                    handle = await host.client.start("hello_3", instance_id=next(names))
                    if await handle.result() != _RESULT:
                        raise AssertionError("hello_3 gave a wrong result")

            lanes = (lane(range(first, total, concurrency)) for first in range(concurrency))
            await asyncio.gather(*lanes)

        await run("warm", _WARM_UP)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began, cpu = time.perf_counter(), time.process_time()
        await run("measured", count)
        values = {
            "seconds": time.perf_counter() - began,
            "cpu_us": (time.process_time() - cpu) * 1_000_000 / count,
        }
        print(json.dumps(values), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        return values


if __name__ == "__main__":
    run_on_fast_loop(_measure(sys.argv[1], *(int(word) for word in sys.argv[2:])))
