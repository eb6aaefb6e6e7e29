"""A span is sent for each step once, whenever a host is killed.

A killed host may have sent spans without hearing of it: they come again, the same to the letter. In
the end what came is what histories say, no more and no less, and nobody's parent is missing.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tenuto import Client
from tenuto.model.spans import TOPIC
from tenuto.storage import open_storage
from tests.support import spans_process
from tests.support.host_process import HostProcess
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.postgres import Postgres
from tests.support.traced import check_spans, once

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "50"))


def told(log: Path) -> str:
    """What the hosts have complained about."""
    return log.read_text()[-2_000:]


async def kill_rounds(url: str, log: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    program = spans_process.__file__
    with OtlpReceiver() as receiver:
        for number in range(rounds):
            # Now and then it cannot take what it is sent.
            receiver.answer = lambda _path, asked: 503 if asked % 7 == 3 else 200
            host = await HostProcess.begin(program, log, url, receiver.endpoint, f"round{number}")
            assert await host.said("up"), told(log)
            await asyncio.sleep(chance.uniform(0.02, 0.5))  # the random moment is the test
            await host.kill()
            once(receiver.spans)
        receiver.answer = lambda _path, _asked: 200
        last = await HostProcess.begin(program, log, url, receiver.endpoint, "finish")
        assert await last.said("up")
        assert await last.ended() == 0, told(log)
        async with Client.open(url) as client:
            assert await check_spans(client, receiver.spans) > 10 * rounds
    storage = open_storage(url, create=False)
    await storage.open()
    assert await storage.events(TOPIC, 0, 1, 1) == []
    await storage.close()


async def test_spans_are_those_of_the_histories_after_kills(tmp_path: Path) -> None:
    await kill_rounds(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path / "hosts.log", 1, 1)


@pytest.mark.faults
async def test_spans_are_those_of_the_histories_after_many_kills(tmp_path: Path) -> None:
    await kill_rounds(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path / "hosts.log", ROUNDS, 2)


@pytest.mark.faults
async def test_spans_are_those_of_the_histories_after_many_kills_on_postgres(
    postgres: Postgres, tmp_path: Path
) -> None:
    await kill_rounds(postgres.fresh_url(), tmp_path / "hosts.log", ROUNDS // 5, 3)
