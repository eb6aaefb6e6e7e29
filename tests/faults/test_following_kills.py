"""``kill -9`` of host and follower at random moments: the copy is a state that was committed.

``durable_before_visible`` for copies: what was acknowledged before the moment that the copy says it
reaches to is in it, whoever died; and no commit is in it by half.
"""

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.support.following import now, read_reach, restored
from tests.support.storm import Storm, landed_in
from tests.support.terminal import TENUTO, Program

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

SIZE = 40


def follower_of(path: Path, folder: Path) -> Program:
    options = ("--follow", str(folder), "--storage", f"sqlite:///{path}")
    return Program(path.parent, *TENUTO, "backup", *options)


async def kill_rounds(tmp_path: Path, *, rounds: int, seed: int) -> None:
    path, folder, target = tmp_path / "hub.db", tmp_path / "copy", tmp_path / "new.db"
    chance = random.Random(seed)
    follower: Program | None = None
    reaches = landed = 0
    for _ in range(rounds):
        with Storm(path, SIZE) as storm:
            await asyncio.to_thread(storm.until_told)
            if follower is None:
                follower = follower_of(path, folder)
                await asyncio.to_thread(follower.until, "(generation")
            await asyncio.sleep(chance.uniform(0, 0.8))  # the random moment is the test
            victims = chance.choice(["host", "follower", "both", "nobody"])
            if victims in {"follower", "both"}:
                follower.send(signal.SIGKILL)
                await asyncio.to_thread(follower.end)
                follower = None
            if victims in {"host", "both"}:
                storm.kill()
            copy = await asyncio.to_thread(restored, folder, target)
            assert copy.reaches_to >= reaches, "it goes back"
            reaches = copy.reaches_to
            found = await landed_in(target, SIZE)
            storm.kill()
            assert found >= landed, "what it held is gone"
            assert found >= storm.acknowledged_before(reaches), "less than it says"
            assert found <= storm.told[-1][0] + 1, "more than was ever committed"
            landed = found
    if follower is not None:
        with follower:
            follower.send(signal.SIGTERM)
            assert await asyncio.to_thread(follower.end) == 0, follower.err


@pytest.mark.parametrize("seed", [1, 2])
async def test_durable_before_visible_a_copy_after_kills_at_random_moments(
    tmp_path: Path, seed: int
) -> None:
    await kill_rounds(tmp_path, rounds=4, seed=seed)


@pytest.mark.faults
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(3, 6))
async def test_durable_before_visible_a_copy_after_many_kills(tmp_path: Path, seed: int) -> None:
    await kill_rounds(tmp_path, rounds=40, seed=seed)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_the_copy_lags_at_most_a_second_under_load(tmp_path: Path) -> None:
    path, folder = tmp_path / "hub.db", tmp_path / "copy"
    with Storm(path, SIZE) as storm:
        await asyncio.to_thread(storm.until_told)
        await measure(storm, follower_of(path, folder), folder)


async def measure(storm: Storm, follower: Program, folder: Path) -> None:
    with follower:
        await asyncio.to_thread(follower.until, "(generation")
        lags = []
        for _ in range(1_000):
            reach = read_reach(folder)
            assert reach is not None
            lags.append((now() - reach.at) / 1_000_000)
            await asyncio.sleep(0.02)
    lags.sort()
    figures = (
        f"{lags[500]:.2f} s in the middle, {lags[990]:.2f} s of 99 %, {lags[-1]:.2f} s at most"
    )
    print(f"{len(storm.told):,} commits; the copy lags {figures}")  # noqa: T201 - a figure
    assert lags[500] < 1.0, figures
