"""``kill -9`` of both ends of a link, cuts at random bytes: nothing is lost or counted twice."""

import asyncio
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tenuto import Client, RuntimeStatus
from tenuto.link.links import dialled, let_in, link_store
from tenuto.model.topics import event_of
from tenuto.storage import open_storage
from tests.support import link_process
from tests.support.link_process import CONFIRMED, Counted, Emitting, count, device, emit, hub
from tests.support.rough_line import RoughLine, rough_line
from tests.support.waiting import until_given

ROOT = Path(__file__).parents[2]


class End:
    """One end, started again and again."""

    def __init__(self, which: str, store: str, log: Path) -> None:
        self._which, self._store, self._log = which, store, log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Start it; what it says once it is up, nothing when it was killed before."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(link_process.__file__),
                self._which,
                self._store,
                env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        said = (await self._process.stdout.readline()).decode().split()
        return said[-1] if said else ""

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def link(stores: tuple[str, str], url: str) -> None:
    here, there = (open_storage(url) for url in stores)
    for storage in (here, there):
        await storage.open()
    key = await let_in(link_store(here), "box")
    await link_store(there).put(dialled("hub", url, "box", key))
    for storage in (here, there):
        await storage.close()


async def begin(stores: tuple[str, str], keys: int, events: int) -> None:
    async with (
        Client.open(stores[0], hub) as there,
        Client.open(stores[1], device) as here,
    ):
        for key in range(keys):
            await there.start(count, Counted(events), instance_id=f"count-{key}")
            await here.start(emit, Emitting(key, events), instance_id=f"emit-{key}")


async def results(store: str, name: str, keys: int) -> list[object]:
    async with Client.open(store) as client:
        found = [await client.get_status(f"{name}-{key}") for key in range(keys)]
    return [
        one.output
        for one in found
        if one is not None and one.runtime_status is RuntimeStatus.COMPLETED
    ]


async def all_ended(store: str, name: str, keys: int) -> bool:
    return len(await results(store, name, keys)) == keys


async def kill_rounds(
    folder: Path, *, seed: int, keys: int, events: int, kills: int, most_bytes: int = 100_000
) -> int:
    """Run the load, killing; gives how many connections were cut."""
    stores = (f"sqlite:///{folder}/hub.db", f"sqlite:///{folder}/device.db")
    chance = random.Random(seed)
    async with rough_line("http://127.0.0.1:9") as line:
        await link(stores, line.url)
        await begin(stores, keys, events)
        line.cut_at_random(seed, most_bytes)
        ends = End("hub", stores[0], folder / "log"), End("device", stores[1], folder / "log")
        try:
            await _run(ends, line, chance, kills)
            await until_given(partial(all_ended, stores[0], "count", keys))
            await until_given(partial(all_ended, stores[1], "emit", keys))
        finally:
            for end in ends:
                await end.kill()
        cuts = line.cuts
    counted = await results(stores[0], "count", keys)
    assert counted == [{"left": 0, "next": events, "faults": 0}] * keys
    assert await results(stores[1], "emit", keys) == [key + 1 for key in range(keys)]
    for store in stores:
        async with Client.open(store) as client:
            assert await client.dead_letters() == []
    every = {str(key): list(range(events)) for key in range(keys)}
    assert await published(stores[0], "readings") == every
    assert await published(stores[1], "confirmed") == {key: [*range(CONFIRMED)] for key in every}
    return cuts


async def published(store: str, topic: str) -> dict[str | None, list[int]]:
    """The data of the events of a topic, by key, in their order."""
    storage = open_storage(store)
    await storage.open()
    found: dict[str | None, list[int]] = {}
    for event in map(event_of, await storage.events(topic, 0, 1_000_000, 1_000_000_000)):
        found.setdefault(event.key, []).append(event.data)
    await storage.close()
    return found


async def _run(ends: tuple[End, End], line: RoughLine, chance: random.Random, kills: int) -> None:
    line.target, _ = await asyncio.gather(*(end.start() for end in ends))
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0, 0.4))  # the random moment is the test
        who = chance.choice(((0, 1), (0,), (1,)))
        for which in who:
            await ends[which].kill()
        said = await asyncio.gather(*(ends[which].start() for which in who))
        if 0 in who:
            line.target = said[0]


async def test_kills_of_both_ends_lose_and_double_nothing(tmp_path: Path) -> None:
    async with asyncio.timeout(50):
        assert await kill_rounds(tmp_path, seed=1, keys=2, events=40, kills=1, most_bytes=30_000)


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_10_000_events_with_40_kills_and_cuts_at_random_bytes(tmp_path: Path) -> None:
    async with asyncio.timeout(850):
        assert await kill_rounds(tmp_path, seed=2, keys=20, events=500, kills=40) > 10
