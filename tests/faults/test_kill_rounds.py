"""``kill -9`` at random moments during a mixed load.

``exactly_once_turns``, ``at_least_once_activities``, ``durable_before_visible``: every instance
ends with the right result, none is stuck, and no history has two answers for one task.
"""

import asyncio
import random
from pathlib import Path

import pytest

from tenuto import Client
from tenuto.storage import open_storage
from tests.support import mixed_load
from tests.support.load_process import LoadProcess, check_all, check_unfinished, finish
from tests.support.mixed_load import Item, drive, wave

WAVES_PER_ROUND = 3


async def kill_rounds(store: Path, rounds: int, seed: int, partitions: int) -> None:
    chance = random.Random(seed)
    storage = open_storage(f"sqlite:///{store}", partitions=partitions)
    assert (await storage.open()).partitions == partitions
    await storage.close()
    first = await LoadProcess.start(store)
    assert await first.said("up")
    await first.kill()
    items: list[Item] = []
    driving: list[asyncio.Task[None]] = []
    async with Client.open(f"sqlite:///{store}", mixed_load.app) as client:
        for number in range(rounds):
            waves = range(number * WAVES_PER_ROUND, (number + 1) * WAVES_PER_ROUND)
            for fresh in [item for one in waves for item in wave(one)]:
                items.append(fresh)
                driving.append(asyncio.create_task(drive(client, fresh)))
            # Also what the host before may have been killed too early to start.
            since = max(0, waves.start - WAVES_PER_ROUND)
            host = await LoadProcess.start(store, range(since, waves.stop))
            if chance.random() < 0.85:
                await host.said("up")
            await asyncio.sleep(chance.uniform(0, 0.3))  # the random moment is the test
            await host.kill()
            check_unfinished(store)
        await finish(client, store, range(rounds * WAVES_PER_ROUND), driving)
    check_all(store, items)


@pytest.mark.parametrize(("seed", "partitions"), [(1, 1), (2, 8)])
async def test_exactly_once_turns_and_right_results_after_kills_at_random_moments(
    tmp_path: Path, seed: int, partitions: int
) -> None:
    await kill_rounds(tmp_path / "hub.db", 8, seed, partitions)


@pytest.mark.faults
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("seed", "partitions"), [(1, 1), (2, 8)])
async def test_exactly_once_turns_and_right_results_after_200_kills(
    tmp_path: Path, seed: int, partitions: int
) -> None:
    await kill_rounds(tmp_path / "hub.db", 200, seed, partitions)
