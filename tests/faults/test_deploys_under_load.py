"""A hundred deployments in a row under load, every tenth of them broken.

Nothing is lost, no step counts twice, and no caller is refused for longer than a second.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from tenuto.model.status import RuntimeStatus
from tests.support.deploying import PATH, DeployServer, version
from tests.support.ports import held_port
from tests.support.postgres import Postgres

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

DEPLOYS = int(os.environ.get("DEPLOYS", "100"))
BROKEN = 10
_PAUSE_SECONDS = 0.2
_MOST_SECONDS = 1.0


class Callers:
    """Start one instance after the other, each until the server has taken it.

    Attributes:
        started: The ids that were taken.
        refused: For how long each caller that was refused went on being refused.
        waited: The longest wait for an answer.
    """

    def __init__(self, server: DeployServer) -> None:
        self._server = server
        self.started: list[str] = []
        self.refused: list[float] = []
        self.waited = 0.0

    async def call(self, name: str, stop: asyncio.Event) -> None:
        """Start instances until it is enough."""
        number = 0
        while not stop.is_set():
            number += 1
            await self._start(f"{name}-{number}")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _start(self, instance_id: str) -> None:
        body = {
            "name": "main",
            "input": instance_id,
            "instanceId": instance_id,
            "executionId": hashlib.sha256(instance_id.encode()).hexdigest()[:32],
        }
        refused_at: float | None = None
        while True:
            began = time.monotonic()
            try:
                told = await self._server.client.post("/admin/instances", json=body)
            except httpx2.TransportError:
                refused_at = refused_at or time.monotonic()
                await asyncio.sleep(0.01)
                continue
            self.waited = max(self.waited, time.monotonic() - began)
            if told.is_success:
                break
            assert told.status_code == 503, told.text
            refused_at = refused_at or time.monotonic()
            await asyncio.sleep(0.01)
        if refused_at is not None:
            # What was accepted and waits is answered; being refused ends with the first try of
            # these that is let in.
            self.refused.append(began - refused_at)
        self.started.append(instance_id)


async def test_a_hundred_deploys_under_load(tmp_path: Path) -> None:
    with held_port() as port:
        server = DeployServer(tmp_path, port)
        await server.start()
        callers, stop = Callers(server), asyncio.Event()
        calling = [asyncio.create_task(callers.call(f"c{one}", stop)) for one in range(4)]
        gaps: list[float] = []
        try:
            for number in range(1, DEPLOYS + 1):
                is_broken = number % BROKEN == 0
                more = "\nraise RuntimeError('broken on purpose')\n" if is_broken else ""
                done = await server.deploy(version(f"v{number}", more))
                assert done["state"] == ("refused" if is_broken else "done"), done
                if not is_broken:
                    gaps.append(done["gapSeconds"])
                assert not any(one.done() for one in calling)
            stop.set()
            await asyncio.gather(*calling)
            for at in range(0, len(callers.started), 20):
                await asyncio.gather(*(check(server, one) for one in callers.started[at : at + 20]))
        finally:
            for one in calling:
                one.cancel()
            await server.stop()
    ran = Counter(line.split()[0] for line in server.ledger.read_text().splitlines())
    assert set(ran) == {f"{one}/{step}" for one in callers.started for step in (1, 2)}
    again = sum(count - 1 for count in ran.values())
    figures = {
        "deploys": DEPLOYS,
        "instances": len(callers.started),
        "activities offered again": again,
        "longest change": max(gaps),
        "median change": sorted(gaps)[len(gaps) // 2],
        "callers refused": len(callers.refused),
        "longest refusal": round(max(callers.refused, default=0.0), 3),
        "longest answer": round(callers.waited, 3),
    }
    sys.stdout.write(f"{json.dumps(figures)}\n")
    assert max(callers.refused, default=0.0) <= _MOST_SECONDS, figures


async def check(server: DeployServer, instance_id: str) -> None:
    """It has completed, and each of its steps is in its history once."""
    record = await server.result(instance_id)
    assert record["status"] == RuntimeStatus.COMPLETED, record
    text = (await server.client.get(f"/admin/instances/{instance_id}/history")).text
    assert text.count(f"{instance_id}/1") == 1, text
    assert text.count(f"{instance_id}/2") == 1, text


async def test_after_the_death_of_a_process_the_right_version_runs(tmp_path: Path) -> None:
    with held_port() as port:
        server = DeployServer(tmp_path, port)
        await server.start()
        try:
            assert (await server.deploy(version("two")))["state"] == "done"
            os.kill(server.child(), signal.SIGKILL)
            await server.run("a")
            assert (await server.result("a"))["output"] == '["two","two"]'
            begun = (await server.client.post(PATH, content=version("three"))).json()
            child = server.child()
            await server.kill()
            await asyncio.to_thread(until_gone, child)
            await server.start()
            assert (await server.followed(begun["number"]))["state"] == "interrupted"
            await server.run("b")
            assert (await server.result("b"))["output"] == '["two","two"]'
        finally:
            await server.stop()


async def test_hosts_of_a_hub_change_one_after_the_other(
    postgres: Postgres, tmp_path: Path
) -> None:
    """Instances go on with whichever host has them; each step counts once."""
    url = postgres.fresh_url()
    with held_port() as one, held_port() as other:
        servers = [DeployServer(tmp_path / str(port), port, url) for port in (one, other)]
        for server in servers:
            server.folder.mkdir()
            await server.start()
        first, _ = servers
        callers, stop = Callers(first), asyncio.Event()
        calling = [asyncio.create_task(callers.call(f"c{number}", stop)) for number in range(2)]
        try:
            await first.run("waiting", "waits")
            for number in range(1, 6):
                for server in servers:
                    done = await server.deploy(version(f"v{number}"))
                    assert done["state"] == "done", done
            stop.set()
            await asyncio.gather(*calling)
            for instance_id in callers.started:
                await check(first, instance_id)
            event = "/runtime/webhooks/durabletask/instances/waiting/raiseEvent/go"
            assert (await first.client.post(event, json="on")).is_success
            assert (await first.result("waiting"))["status"] == RuntimeStatus.COMPLETED
        finally:
            for task in calling:
                task.cancel()
            for server in servers:
                await server.stop()
    assert max(callers.refused, default=0.0) <= _MOST_SECONDS


def until_gone(pid: int) -> None:
    """Wait for the end of a process that is nobody's child any more; it may stay as a zombie."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} lives on")
