"""One load of hello sequences in a process of its own; prints its values as JSON.

Usage: ``python -m bench.hello_process FOLDER COUNT WARM_UP CONCURRENCY``. Uses no more of Tenuto
than what every version has, because ``bench.checkout`` runs it on other checkouts too.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from bench.app import CITIES, app
from tenuto import Host
from tenuto.host.app import run_on_fast_loop  # type: ignore[attr-defined]  # in every version

_RESULT = [f"Hello {city}!" for city in CITIES[:3]]


async def _measure(folder: Path, count: int, warm_up: int, concurrency: int) -> dict[str, float]:
    async with Host(app, storage=f"sqlite:///{folder}/hello.db") as host:

        async def lane(jobs: range) -> None:
            for _ in jobs:
                handle = await host.client.start("hello_3")
                if await handle.result() != _RESULT:
                    raise AssertionError("hello_3 gave a wrong result")

        async def run(total: int) -> None:
            lanes = (lane(range(first, total, concurrency)) for first in range(concurrency))
            await asyncio.gather(*lanes)

        await run(warm_up)
        began, loop_cpu, cpu = time.perf_counter(), time.thread_time(), time.process_time()
        await run(count)
        each = 1_000_000 / max(count, 1)
        return {
            "rate": count / (time.perf_counter() - began),
            "loop_us": (time.thread_time() - loop_cpu) * each,
            "cpu_us": (time.process_time() - cpu) * each,
        }


if __name__ == "__main__":
    numbers = (int(word) for word in sys.argv[2:])
    print(json.dumps(run_on_fast_loop(_measure(Path(sys.argv[1]), *numbers))))
