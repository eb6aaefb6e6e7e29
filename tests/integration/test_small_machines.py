"""What a small machine asks for: little memory when idle, a limit that holds, no uvloop.

The processes are real ones, set up as docs/small-machines.md says.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.small_machine import MEBI, Loop, memory_bytes, unmeasured, unmeasured_python
from tests.support.terminal import Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, limits memory")

IDLE_BYTES = 64 * MEBI
LIMIT_BYTES = 128 * MEBI
TRIPS = 300
TEXTS = 1_000
TEXT_LENGTH = 200_000
MOUNT = "/runtime/webhooks/durabletask"

APP = f"""
import asyncio, sys

from tenuto import App, Context

app = App()


@app.activity
def twice(number: int) -> int:
    return 2 * number


@app.activity
async def text(number: int) -> str:
    return chr(97 + number % 26) * {TEXT_LENGTH}


@app.activity
def text_of_thread(number: int) -> str:
    return chr(97 + number % 26) * {TEXT_LENGTH}


@app.activity
async def compiled() -> list[str]:
    loop = type(asyncio.get_running_loop()).__module__.split(".")[0]
    files = [getattr(one, "__file__", None) or "" for one in list(sys.modules.values())]
    parts = [file.rpartition("site-packages/")[2].split("/") for file in files
             if file.endswith(".so") and "site-packages/" in file]
    return [loop, *sorted({{part[0].split(".")[0] for part in parts}})]


@app.orchestrator
async def trip(ctx: Context, number: int) -> int:
    first = await ctx.call_activity(twice, number)
    return first + await ctx.call_activity(twice, first)


@app.orchestrator
async def built_of(ctx: Context) -> list[str]:
    return await ctx.call_activity(compiled)


@app.orchestrator
async def greedy(ctx: Context, activity: str) -> int:
    texts = await asyncio.gather(*(ctx.call_activity(activity, n) for n in range({TEXTS})))
    return sum(map(len, texts))
"""

HOST = """
import asyncio, sys
from tenuto import Host
from travel import app


async def main() -> None:
    async with Host(app, "sqlite:///hub.db"):
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "travel.py").write_text(APP)
    (tmp_path / "host.py").write_text(HOST)
    return tmp_path


@asynccontextmanager
async def serving(
    folder: Path, loop: Loop, limit_bytes: int
) -> AsyncIterator[tuple[Program, httpx2.AsyncClient]]:
    arguments = ("start", "travel.py", "--port", "0")
    with unmeasured(folder, *arguments, limit_bytes=limit_bytes, loop=loop) as program:
        await asyncio.to_thread(program.until, "listening ")
        url = program.out.rpartition("listening")[2].split()[0]
        async with httpx2.AsyncClient(base_url=f"{url}{MOUNT}", timeout=30) as http:
            yield program, http
        program.send(signal.SIGTERM)
        assert await asyncio.to_thread(program.end) == 0


async def start(http: httpx2.AsyncClient, name: str, instance_id: str, body: object) -> None:
    """Start it, and again with the same id while there is no answer."""
    while True:
        try:
            answer = await http.post(
                f"/orchestrators/{name}/{instance_id}", content=json.dumps(body)
            )
        except httpx2.ConnectError:  # nobody listens: it has died, and never answers
            raise
        except httpx2.TransportError:  # a connection for whose bytes there was no memory
            answer = None
        if answer is None or answer.status_code == 503:  # nothing can be written now
            await asyncio.sleep(0.01)
            continue
        assert answer.status_code in {202, 409}, answer.text
        return


async def standing(http: httpx2.AsyncClient, instance_id: str) -> dict[str, Any]:
    """The status once it has ended or is held."""
    while True:
        try:
            status: dict[str, Any] = (await http.get(f"/instances/{instance_id}")).json()
        except httpx2.ConnectError:
            raise
        except httpx2.TransportError:
            status = {}
        if status.get("hold") or status.get("runtimeStatus") in {"Completed", "Failed"}:
            return status
        await asyncio.sleep(0.02)


async def travel(http: httpx2.AsyncClient, numbers: range) -> None:
    async def one(number: int) -> None:
        await start(http, "trip", f"trip-{number}", number)
        status = await standing(http, f"trip-{number}")
        assert (status["runtimeStatus"], status["output"]) == ("Completed", 6 * number)

    await asyncio.gather(*(one(number) for number in numbers))


async def test_an_idle_server_takes_less_than_64_mib(folder: Path) -> None:
    async with serving(folder, "uvloop", 0) as (program, http):
        assert (await http.get("/instances/nobody")).status_code == 404
        assert memory_bytes(program.process.pid, "Rss", "smaps_rollup") < IDLE_BYTES


async def test_an_idle_host_in_a_program_takes_less_than_64_mib(folder: Path) -> None:
    with unmeasured_python(folder, "host.py") as program:
        await asyncio.to_thread(program.until, "ready")
        assert memory_bytes(program.process.pid, "Rss", "smaps_rollup") < IDLE_BYTES


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_server_of_128_mib_works_with_uvloop_and_without(folder: Path, loop: Loop) -> None:
    """Never more than that in memory, whatever the limit counts; every result is looked at."""
    async with serving(folder, loop, LIMIT_BYTES) as (program, http):
        await travel(http, range(TRIPS))
        await start(http, "built_of", "built-of", None)
        output = (await standing(http, "built-of"))["output"]
        extras = ["uvloop"] if loop == "uvloop" else []
        assert output == [loop, *sorted(["apsw", "httptools", "msgspec", *extras])]
        assert memory_bytes(program.process.pid, "VmHWM") < LIMIT_BYTES
