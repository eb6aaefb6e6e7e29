"""``one_never_takes_all``: who ends the process of its host is found among others, and held.

With real processes (ENGINE rule 32).
"""

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from tenuto import Client, RuntimeStatus
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite import SqliteStorage
from tests.support import deadly_process, mixed_load
from tests.support.load_process import LoadProcess, check_all, check_unfinished, finish
from tests.support.mixed_load import Item, drive, wave
from tests.support.stored_histories import read_instances

ROOT = Path(__file__).parents[2]
TRIES = 3  # ``max_deliveries``


async def run(
    store: Path, kind: str, way: str, *, delay: float = 0, count: int = 0, seconds: float = 50
) -> tuple[int, list[str]]:
    """One life of a host: its exit code and what it said."""
    arguments = [f"sqlite:///{store}", kind, way, str(delay), str(count)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(deadly_process.__file__),
        *arguments,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, said.decode().split()


async def until_held(
    store: Path, kind: str, way: str, *, count: int, lives: int, delay: float = 0
) -> int:
    """Start hosts until one finds that only the deadly one is left, held; how many died."""
    for deaths in range(lives + 1):
        code, said = await run(store, kind, way, delay=delay, count=0 if deaths else count)
        if code == 0:
            assert said[-1] == "held", said
            return deaths
    raise AssertionError(f"not held after {lives + 1} lives")


async def check(store: Path, count: int) -> None:
    """Exactly one is held; all the others have completed."""
    storage = SqliteStorage(store)
    await storage.open()
    for number in range(count):
        record = await storage.get(InstanceId(f"good-{number:04}"))
        assert record is not None
        assert (record.status, record.hold) == (RuntimeStatus.COMPLETED, None)
        assert record.output == str(2 * number)
    record = await storage.get(InstanceId("evil"))
    await storage.close()
    assert record is not None
    assert record.status is RuntimeStatus.RUNNING
    assert record.hold is not None
    assert record.hold.reason is HoldReason.CRASHED
    assert f"died {TRIES} times" in record.hold.message
    assert record.wake_at is None


@pytest.mark.parametrize("kind", ["turn", "activity"])
async def test_one_never_takes_all_who_crashes_its_host_is_held_among_its_neighbours(
    tmp_path: Path, kind: str
) -> None:
    store = tmp_path / "hub.db"
    deaths = await until_held(store, kind, "segfault", count=40, lives=TRIES + 2)
    assert deaths >= TRIES
    await check(store, 40)
    # Nothing tries it again but a resume; then it dies as before, and is held as before.
    assert await run(store, kind, "none") == (0, ["armed", "held"])


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("delay", [0, 0.3])
@pytest.mark.parametrize("kind", ["turn", "activity"])
async def test_one_never_takes_all_among_1000_neighbours(
    tmp_path: Path, kind: str, delay: float
) -> None:
    store = tmp_path / "hub.db"
    await until_held(store, kind, "segfault", count=1_000, lives=TRIES + 2, delay=delay)
    await check(store, 1_000)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["exit", "kill"])
@pytest.mark.parametrize("kind", ["turn", "activity"])
@pytest.mark.parametrize("count", [40, 1_000])
async def test_one_never_takes_all_also_when_the_process_leaves_no_word(
    tmp_path: Path, kind: str, way: str, count: int
) -> None:
    store = tmp_path / "hub.db"
    await until_held(store, kind, way, count=count, lives=14)
    await check(store, count)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["turn", "activity"])
async def test_who_takes_its_time_before_it_ends_the_process_is_found_as_well(
    tmp_path: Path, kind: str
) -> None:
    """Without a word, a second after it has begun."""
    store = tmp_path / "hub.db"
    await until_held(store, kind, "exit", count=40, lives=20, delay=1.0)
    await check(store, 40)


async def test_what_was_held_for_a_crash_is_tried_again_when_it_is_resumed(tmp_path: Path) -> None:
    store = tmp_path / "hub.db"
    await until_held(store, "turn", "segfault", count=3, lives=TRIES + 2)
    async with Client.open(f"sqlite:///{store}", deadly_process.app) as client:
        # It crashes still, and is found again.
        asking = asyncio.ensure_future(client.resume("evil"))
        await asyncio.sleep(0.2)
        assert await until_held(store, "turn", "segfault", count=0, lives=TRIES + 2) >= TRIES
        await asking
        await check(store, 3)
        asking = asyncio.ensure_future(client.resume("evil"))
        await asyncio.sleep(0.2)
        assert await run(store, "turn", "none") == (0, ["armed", "done"])
        await asking
        assert await client.handle("evil").result() == "lived"


async def kills(store: Path, rounds: int, seed: int, latest: tuple[float, float]) -> None:
    """``kill -9`` at random moments: nobody is to blame."""
    chance = random.Random(seed)
    first = await LoadProcess.start(store)
    assert await first.said("up")
    await first.kill()
    items: list[Item] = []
    driving: list[asyncio.Task[None]] = []
    async with Client.open(f"sqlite:///{store}", mixed_load.app) as client:
        for number in range(rounds):
            for fresh in wave(number):
                items.append(fresh)
                driving.append(asyncio.create_task(drive(client, fresh)))
            host = await LoadProcess.start(store, range(max(0, number - 1), number + 1))
            await host.said("up")
            await asyncio.sleep(chance.uniform(*latest))  # the random moment is the test
            await host.kill()
            check_unfinished(store)
            assert held_in(store) == []
        await finish(client, store, range(rounds), driving)
    check_all(store, items)


def held_in(store: Path) -> list[str]:
    return [one.instance_id for one in read_instances(store) if one.row["held"] is not None]


EARLY = (0.0, 0.3)
LATER = (0.3, 1.5)


@pytest.mark.parametrize("moments", [EARLY])
async def test_kills_at_random_moments_hold_nobody(
    tmp_path: Path, moments: tuple[float, float]
) -> None:
    await kills(tmp_path / "hub.db", 10, 1, moments)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("moments", [EARLY, LATER])
async def test_40_kills_at_random_moments_hold_nobody(
    tmp_path: Path, moments: tuple[float, float], seed: int
) -> None:
    await kills(tmp_path / "hub.db", 40, seed, moments)
