"""The server over HTTP, beside orchestrations that go on: starts, status reads, watchers.

The requests come from a process of their own (``bench.http_caller``), over connections that stay
open, as wrk would send them.
"""

import asyncio
import json
import sys
from asyncio import TaskGroup
from pathlib import Path
from typing import Final

from bench.app import app
from bench.catalogue import Plan
from bench.loads import Values
from bench.machine import ROOT, memory_mib
from tenuto import Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings

CONNECTIONS: Final = 32
_MOUNT: Final = "/runtime/webhooks/durabletask"
_LANES: Final = 10
_PAUSE_SECONDS: Final = 0.05
"""With so many lanes about 200 orchestrations a second go on beside the requests."""


async def measure(plan: Plan, folder: Path) -> Values:
    """All values of the figure, in one pass."""
    settings = Settings(
        storage=f"sqlite:///{folder / 'bench.db'}",
        http=HttpSettings(port=0, watchers=plan.width + 1),
    )
    async with Server(app, settings=settings) as server:
        await server.host.client.start("nothing", instance_id="known")
        port = server.url.rpartition(":")[2]
        start = f"{_MOUNT}/orchestrators/nothing"
        values: Values = {}
        async with TaskGroup() as load:
            lanes = [load.create_task(_lane(server)) for _ in range(_LANES)]
            await _call(port, "POST", start, plan.warm_up)
            posted = await _call(port, "POST", start, plan.count)
            read = await _call(port, "GET", f"{_MOUNT}/instances/known", 2 * plan.count)
            values |= {"rate": posted["rate"], "starts_p99_ms": posted["p99_ms"]}
            values |= {"reads_rate": read["rate"], "reads_p99_ms": read["p99_ms"]}
            values["orchestrations_beside"] = float(sum([await _ended(lane) for lane in lanes]))
        values |= await _watched(server, port, plan.width)
    return values


async def _lane(server: Server) -> int:
    done = 0
    try:
        while True:
            handle = await server.host.client.start("hello_3")
            await handle.result()
            done += 1
            await asyncio.sleep(_PAUSE_SECONDS)
    except asyncio.CancelledError:
        return done


async def _ended(lane: "asyncio.Task[int]") -> int:
    lane.cancel()
    return await lane


async def _call(port: str, method: str, path: str, count: int) -> Values:
    caller = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.http_caller", port, method, path, str(count)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await caller.communicate()
    if caller.returncode != 0:
        raise AssertionError(f"the caller ended with {caller.returncode}")
    values: Values = json.loads(out)
    return values


async def _watched(server: Server, port: str, watchers: int) -> Values:
    """Memory with so many watchers of the list, all of which are told of a start."""
    before = memory_mib().get("rss_mib", 0.0)
    streams = [await _watch(port) for _ in range(watchers)]
    await server.host.client.start("hello_3")
    await asyncio.gather(*(_told(reader) for reader, _ in streams))
    values = {
        "before_mib": before,
        "watchers_mib": memory_mib().get("rss_mib", 0.0),
        "watchers": float(server.host.engine.updates.listeners),
    }
    for _, writer in streams:
        writer.close()
    return values


async def _watch(port: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # The callers' ends count too, so their buffers are kept small.
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port), limit=4096)
    writer.write(b"GET /admin/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"event: reset")
    return reader, writer


async def _told(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"event: update")
