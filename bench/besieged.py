"""A server with keys while two callers without one post 5 MB bodies to a webhook that they made up.

The status is read by one caller, request after request, alone and beside them; both callers and the
reader are processes of their own (``bench.http_poster``, ``bench.http_reader``).
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from bench.app import app
from bench.catalogue import Plan
from bench.loads import Values
from bench.machine import ROOT
from tenuto import Settings
from tenuto.host.server import Server
from tenuto.http.options import AccessKey, HttpSettings

_KEY: Final = "a-key-for-the-reader"
_STATUS: Final = f"/runtime/webhooks/durabletask/instances/known?code={_KEY}"
_MADE_UP: Final = f"/callbacks/known/{'x' * 43}"
_POSTERS: Final = 2


async def measure(plan: Plan, folder: Path) -> Values:
    """All values of the figure, in one pass."""
    settings = Settings(
        storage=f"sqlite:///{folder / 'bench.db'}",
        http=HttpSettings(port=0, keys={"reader": AccessKey(key=_KEY)}),
    )
    async with Server(app, settings=settings) as server:
        await server.host.client.start("nothing", instance_id="known")
        port = server.url.rpartition(":")[2]
        await _read(port, plan.warm_up)
        alone = await _read(port, plan.count)
        posters = [await _program("http_poster", port, _MADE_UP) for _ in range(_POSTERS)]
        try:
            await asyncio.sleep(0.5)
            beside = await _read(port, plan.count)
        finally:
            for poster in posters:
                poster.terminate()
                await poster.communicate()
    return {
        "alone_p99_ms": alone["p99_ms"],
        "beside_p99_ms": beside["p99_ms"],
        "factor": beside["p99_ms"] / alone["p99_ms"],
    }


async def _read(port: str, count: int) -> Values:
    reader = await _program("http_reader", port, _STATUS, str(count))
    out, _ = await reader.communicate()
    if reader.returncode != 0:
        raise AssertionError(f"the reader ended with {reader.returncode}")
    values: Values = json.loads(out)
    return values


async def _program(name: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"bench.{name}", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
