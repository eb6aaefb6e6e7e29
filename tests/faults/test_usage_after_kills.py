"""Usage is what histories say, whenever a host is killed.

Both stand in the same commit, so they agree at each moment at which a host may die, not only in the
end; and a commit that the host before had sent, without hearing of it, counts once.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tenuto.model.usage import FunctionKind
from tenuto.storage import open_storage
from tests.support import usage_process
from tests.support.host_process import HostProcess
from tests.support.postgres import Postgres
from tests.support.used import check_usage

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "50"))


async def check(url: str) -> int:
    """Usage agrees with the histories; how many executions there are."""
    storage = open_storage(url, create=False)
    await storage.open()
    try:
        used = await check_usage(storage, usage_process.TAG)
    finally:
        await storage.close()
    return sum(one.executions for one in used.values())


def told(log: Path) -> str:
    """What the hosts have complained about."""
    return log.read_text()[-2_000:]


async def kill_rounds(url: str, log: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    seen = [0]
    for number in range(rounds):
        host = await HostProcess.begin(usage_process.__file__, log, url, f"round{number}")
        assert await host.said("up"), told(log)
        await asyncio.sleep(chance.uniform(0.02, 0.5))  # the random moment is the test
        await host.kill()
        seen.append(await check(url))
    assert seen == sorted(seen)
    last = await HostProcess.begin(usage_process.__file__, log, url, "finish")
    assert await last.said("up"), told(log)
    assert await last.ended() == 0, told(log)
    storage = open_storage(url, create=False)
    await storage.open()
    used = await check_usage(storage, usage_process.TAG)
    await storage.close()
    tags = {tag for _, _, tag in used}
    assert tags == {"", *usage_process.CUSTOMERS}
    fails = sum(one.executions for (_, name, _), one in used.items() if name == "fails")
    children = sum(one.executions for (_, name, _), one in used.items() if name == "child")
    assert fails == children > 0  # two attempts and two turns each, however often hosts have died
    assert all(
        one.waiting == 0 for (kind, _, _), one in used.items() if kind is FunctionKind.ACTIVITY
    )


def in_file(folder: Path) -> str:
    return f"sqlite:///{folder / 'hub.db'}"


async def test_usage_equals_the_histories_after_kills(tmp_path: Path) -> None:
    await kill_rounds(in_file(tmp_path), tmp_path / "hosts.log", 4, 1)


async def test_usage_equals_the_histories_after_kills_on_postgres(
    postgres: Postgres, tmp_path: Path
) -> None:
    await kill_rounds(postgres.fresh_url(), tmp_path / "hosts.log", 3, 1)


@pytest.mark.faults
@pytest.mark.timeout(1500)
async def test_usage_equals_the_histories_after_50_kills(tmp_path: Path) -> None:
    await kill_rounds(in_file(tmp_path), tmp_path / "hosts.log", ROUNDS, 2)


@pytest.mark.faults
@pytest.mark.timeout(1500)
async def test_usage_equals_the_histories_after_50_kills_on_postgres(
    postgres: Postgres, tmp_path: Path
) -> None:
    await kill_rounds(postgres.fresh_url(), tmp_path / "hosts.log", ROUNDS, 2)
