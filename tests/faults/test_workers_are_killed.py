"""Workers of Azure Functions apps die at any moment, and so do their hosts: nothing is lost.

What each instance answers tells whether a number was missed: one answer at the wrong place, and the
sum or the list is another one.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tenuto.client.client import OrchestrationHandle
from tenuto.host.host import Host
from tenuto.interop.azure_app.program import ProgramOptions
from tenuto.interop.workers.pool import WorkerPool
from tests.support.azure_programs import LANGUAGES, matrix_program
from tests.support.json_requests import ask
from tests.support.served_apps import MOUNT, ended, served_folder, serving
from tests.support.waiting import until

pytestmark = pytest.mark.faults

ROUNDS = 30
EXPECTED: dict[str, object] = {
    "hello": ["Hello Tokyo!", "Hello Seattle!", "Hello London!"],
    "chain": [0, 1, 2],
    "fan": 190,
    "nested": [[1, 2], 3, "z"],
    "reyield": [["a", "b"], "a", "z"],
    "can": 4,
}


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[WorkerPool]:
    """Each pool that is made, so that its processes can be killed."""
    made: list[WorkerPool] = []
    make = WorkerPool.__init__

    def noted(self: WorkerPool, *args: object) -> None:
        make(self, *args)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(WorkerPool, "__init__", noted)
    return made


async def test_of_workers_that_are_killed_nothing_is_lost(
    language: str, tmp_path: Path, pools: list[WorkerPool]
) -> None:
    chance = random.Random(7)
    program = matrix_program(language, tmp_path, ProgramOptions(compare_every=3))
    async with Host(program, storage=f"sqlite:///{tmp_path}/hub.db") as host:
        started: list[tuple[str, OrchestrationHandle[object]]] = []
        for _ in range(ROUNDS):
            started += [(name, await host.client.start(name)) for name in EXPECTED]
            await until(lambda: pools[-1].pids)
            await asyncio.sleep(chance.random() * 0.3)
            for pid in pools[-1].pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for name, handle in started:
            assert await handle.result() == EXPECTED[name], handle.instance_id


def test_of_hosts_that_are_killed_nothing_is_lost(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(11)
    folder = served_folder(language, tmp_path, monkeypatch)
    started: list[tuple[str, str]] = []
    for number in range(ROUNDS):
        with serving(folder) as (command, url):
            for name in EXPECTED:
                instance_id = f"{name}-{number}"
                status, _ = ask("POST", f"{url}{MOUNT}/orchestrators/{name}/{instance_id}")
                assert status == 202
                started.append((name, instance_id))
            time.sleep(chance.random() * 0.5)
            os.kill(command.process.pid, signal.SIGKILL)
            command.process.wait()
    with serving(folder) as (command, url):
        for name, instance_id in started:
            found = ended(f"{url}{MOUNT}/instances/{instance_id}")
            assert found["output"] == EXPECTED[name], instance_id
        command.send(signal.SIGTERM)
        assert command.end() == 0
