"""``kill -9`` of a host that publishes to topics and delivers their events.

``durable_before_visible``, ``no_silent_drop``: each event that was acknowledged comes to each
subscription, an idempotent consumer counts each once, and the events of a key come in their order.
"""

import asyncio
import random
import sqlite3
import sys
from collections import defaultdict
from itertools import chain
from pathlib import Path

import pytest

from tests.support.deadly_topic_process import DEADLY
from tests.support.topic_process import KEYS

SUPPORT = Path(__file__).parents[1] / "support"
PROCESS = SUPPORT / "topic_process.py"
DEADLY_PROCESS = SUPPORT / "deadly_topic_process.py"


class Publisher:
    """A process that publishes a part of the numbers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.acknowledged: list[int] = []
        self.is_idle = False

    @classmethod
    async def start(cls, store: Path, ledger: Path, first: int, count: int) -> "Publisher":
        arguments = (f"sqlite:///{store}", str(ledger), str(first), str(count))
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROCESS), *arguments, stdout=asyncio.subprocess.PIPE
        )
        return cls(process)

    async def read(self, until: int | None = None) -> None:
        """Read what was acknowledged: so many, or all until nothing is left to do."""
        assert self._process.stdout is not None
        while until is None or len(self.acknowledged) < until:
            line = (await self._process.stdout.readline()).decode().strip()
            if line in {"idle", ""}:
                self.is_idle = line == "idle"
                return
            self.acknowledged.append(int(line))

    async def kill(self) -> None:
        self._process.kill()
        await self.read()
        await self._process.wait()


async def kill_rounds(folder: Path, count: int, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    store, ledger = folder / "hub.db", folder / "ledger"
    ledger.touch()
    acknowledged: set[int] = set()
    first = 0
    for _ in range(kills):
        host = await Publisher.start(store, ledger, first, count - first)
        await host.read(chance.randrange(1, max(2, 2 * (count - first) // kills)))
        await asyncio.sleep(chance.uniform(0, 0.05))  # the random moment is the test
        await host.kill()
        acknowledged.update(host.acknowledged)
        while first in acknowledged:
            first += 1
    host = await Publisher.start(store, ledger, first, count - first)
    await host.read()
    assert host.is_idle
    await host.kill()
    check(store, ledger, count)


def all_of(numbers: dict[str, list[int]]) -> list[int]:
    return sorted(chain.from_iterable(numbers.values()))


def check(store: Path, ledger: Path, count: int) -> None:
    seen: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for line in ledger.read_text("utf-8").splitlines():
        subscription, key, number = line.split()
        numbers = seen[subscription][key]
        if int(number) not in numbers:  # an idempotent consumer
            numbers.append(int(number))
    everything = list(range(count))
    assert all_of(seen["plain"]) == everything
    assert all_of(seen["doubled"]) == [2 * one for one in everything]
    assert all_of(seen["told"]) == everything[::50]
    for subscription in ("plain", "doubled"):
        assert len(seen[subscription]) == KEYS
        for numbers in seen[subscription].values():
            assert numbers == sorted(numbers), "the order of a key is kept"
    with sqlite3.connect(store) as connection:
        ended = connection.execute("SELECT output FROM instance ORDER BY CAST(output AS INT)")
        assert [int(row[0]) for row in ended] == everything[::50]
        assert connection.execute("SELECT count(*) FROM failed_delivery").fetchone() == (0,)


async def test_no_event_is_lost_and_none_counted_twice_when_hosts_are_killed(
    tmp_path: Path,
) -> None:
    await kill_rounds(tmp_path, count=600, kills=3, seed=7)


@pytest.mark.faults
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_10_000_events_and_30_kills(tmp_path: Path, seed: int) -> None:
    await kill_rounds(tmp_path, count=10_000, kills=30, seed=seed)


async def test_one_never_takes_all_an_event_that_ends_its_host_is_found_and_put_aside(
    tmp_path: Path,
) -> None:
    store, ledger = tmp_path / "hub.db", tmp_path / "ledger"
    ledger.touch()
    deaths, first = 0, "publish"
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(DEADLY_PROCESS),
            f"sqlite:///{store}",
            str(ledger),
            first,
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await process.communicate()
        if first == "publish" and process.returncode == 9:
            first = "serve"
        if process.returncode == 0:
            break
        assert process.returncode == 9
        deaths += 1
        assert deaths <= 5, "nobody finds out"
    assert told.decode().strip() == "idle"
    with sqlite3.connect(store) as connection:
        rows = connection.execute("SELECT function, error FROM failed_delivery").fetchall()
        count = connection.execute("SELECT count(*) FROM event").fetchone()[0]
    assert [row[0] for row in rows] == ["deadly"]
    assert "the host has died" in rows[0][1]
    seen = {int(line) for line in ledger.read_text("utf-8").split()}
    assert seen == set(range(count)) - {DEADLY}
