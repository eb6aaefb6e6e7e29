"""A host killed at named points between its writes: after each, the next host finishes the work.

``durable_before_visible`` before and after a commit, ``exactly_once_turns`` when what was committed
has not taken effect yet.
"""

import asyncio
from pathlib import Path

import pytest

from tenuto import Client
from tenuto.testing import CRASH_POINTS
from tests.support import mixed_load
from tests.support.load_process import LoadProcess, check_all, check_unfinished, finish
from tests.support.mixed_load import drive, wave


async def crash_and_recover(store: Path, point: str, hits: list[int]) -> None:
    """Kill one host after the other at the given hits of a point, then let the work end."""
    first = await LoadProcess.start(store)
    assert await first.said("up")
    await first.kill()
    items = wave(0)
    async with Client.open(f"sqlite:///{store}", mixed_load.app) as client:
        driving = [asyncio.create_task(drive(client, item)) for item in items]
        is_done = False
        for hit in hits:
            host = await LoadProcess.start(store, range(1), crash=(point, hit))
            await host.ends_or(lambda: all(task.done() for task in driving))
            # The load may be done before the point is hit that often: then it did not crash, and
            # the next has nothing left to do.
            assert host.has_ended or hit > 1 or is_done
            is_done = not host.has_ended
            await host.kill()
            check_unfinished(store)
        await finish(client, store, range(1), driving)
    check_all(store, items)


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_exactly_once_turns_when_killed_at_each_of_the_first_hits(
    tmp_path: Path, point: str
) -> None:
    await crash_and_recover(tmp_path / "hub.db", point, [1, 2, 3, 1, 5])


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("hit", range(1, 31))
@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_exactly_once_turns_when_killed_at_a_later_hit_and_again_while_recovering(
    tmp_path: Path, point: str, hit: int
) -> None:
    await crash_and_recover(tmp_path / "hub.db", point, [hit, 1 + hit % 4])
