"""Notifications while hosts and receivers fail: all that happened is told, and nothing else."""

import asyncio
import base64
import json
import os
import random
from collections import defaultdict
from pathlib import Path

import pytest

from tenuto.model.requests import InstanceQuery
from tenuto.storage import open_storage
from tests.support import told_process
from tests.support.answering_server import AnsweringServer, Asked, Reply, answering_server
from tests.support.host_process import HostProcess
from tests.support.postgres import Postgres

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "30"))


async def ends(url: str) -> dict[str, str]:
    """How each execution of the store has ended."""
    storage = open_storage(url, create=False)
    await storage.open()
    found: dict[str, str] = {}
    after = None
    while True:
        page = await storage.query(InstanceQuery(limit=500, after=after, payloads=False))
        for record in page.records:
            found[record.execution_id] = record.status.label.lower()
        after = page.after
        if after is None:
            await storage.close()
            return found


def complaints(log: Path) -> str:
    """Of the hosts."""
    return log.read_text()[-2_000:]


async def kill_rounds(url: str, log: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)

    def answer(_asked: Asked) -> Reply:
        return Reply(503 if chance.random() < 0.1 else 204)

    async with answering_server(answer) as server:
        for number in range(rounds):
            arguments = (url, server.url, f"round{number}")
            host = await HostProcess.begin(told_process.__file__, log, *arguments)
            assert await host.said("up"), complaints(log)
            await asyncio.sleep(chance.uniform(0.02, 0.5))  # the random moment is the test
            await host.kill()
        last = await HostProcess.begin(told_process.__file__, log, url, server.url, "finish")
        assert await last.said("up"), complaints(log)
        assert await last.ended() == 0, complaints(log)
        check(server, await ends(url))


def check(server: AnsweringServer, ended: dict[str, str]) -> None:
    bodies: dict[str, set[str]] = defaultdict(set)
    kinds: dict[str, list[str]] = defaultdict(list)
    for asked in server.asked:
        event = json.loads(asked.body)
        if asked.body not in bodies[event["id"]]:
            kinds[event["data"]["executionId"]].append(event["data"]["kind"])
        bodies[event["id"]].add(asked.body)
    assert all(len(one) == 1 for one in bodies.values()), "what comes twice is the same"
    assert kinds == {execution: ["started", end] for execution, end in ended.items()}
    assert len(ended) > 0


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_SECRET", "whsec_" + base64.b64encode(bytes(32)).decode())


@pytest.mark.faults
@pytest.mark.timeout(1500)
async def test_all_is_told_after_30_kills(tmp_path: Path) -> None:
    await kill_rounds(f"sqlite:///{tmp_path}/hub.db", tmp_path / "hosts.log", ROUNDS, 1)


@pytest.mark.faults
@pytest.mark.timeout(1500)
async def test_all_is_told_after_30_kills_on_postgres(postgres: Postgres, tmp_path: Path) -> None:
    await kill_rounds(postgres.fresh_url(), tmp_path / "hosts.log", ROUNDS, 1)
