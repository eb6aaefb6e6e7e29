"""Which event ends its host: who is suspected, who runs alone, and who is blamed."""

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from tenuto.engine.options import EngineOptions
from tenuto.engine.rows import Lease
from tenuto.messaging import suspects
from tenuto.messaging.listening import ListenerMeans
from tenuto.messaging.suspects import Suspects, patience_seconds
from tenuto.messaging.topics.suspicion import Suspicion
from tenuto.model.errors import StorageUnavailableError


@pytest.fixture(autouse=True)
def no_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts of these tests die as soon as all has begun."""
    monkeypatch.setattr(suspects, "_QUIET_SECONDS", 0.0)


class Notes:
    """The notes of a store."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.writes = 0
        self.is_away = False

    async def notes(self, keys: list[str]) -> dict[str, str]:
        return {key: self.texts[key] for key in keys if key in self.texts}

    async def write_note(self, _lease: Lease, key: str, text: str) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise StorageUnavailableError("away")
        self.writes += 1
        self.texts[key] = text


class Life:
    """One host, until it dies: what runs then is given up, and nothing more is noted."""

    def __init__(self, notes: Notes, epoch: int) -> None:
        self.is_careful = False
        self.suspects = Suspects(lambda: self.is_careful)
        self.storage = notes
        self.options = EngineOptions()
        self.engine = self
        self._epoch = epoch
        self.begun: list[tuple[str, int]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def subscription(self, name: str) -> Suspicion:
        means = cast("ListenerMeans", cast("Any", self))
        suspicion = Suspicion(means, Lease(1, "host", self._epoch), name)
        await suspicion.look()
        return suspicion

    def run(self, suspicion: Suspicion, name: str, position: int, seconds: float = 60) -> None:
        async def attempt() -> None:
            async with suspicion.turn(position):
                self.begun.append((name, position))
                await asyncio.sleep(seconds)

        self._tasks.append(asyncio.create_task(attempt()))

    async def settle(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    async def die(self) -> None:
        await self.settle()
        for one in self._tasks:
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one


async def lived(notes: Notes, epoch: int, *positions: int, name: str = "a") -> Life:
    """A host that has begun these, and dies with them."""
    life = Life(notes, epoch)
    suspicion = await life.subscription(name)
    for one in positions:
        life.run(suspicion, name, one)
    await life.die()
    return life


async def test_after_a_death_all_run_at_once_and_are_noted_together() -> None:
    notes = Notes()
    life = await lived(notes, 1, *range(50))
    assert len(life.begun) == 50
    assert notes.writes <= 2


async def test_only_those_that_were_running_run_one_at_a_time() -> None:
    notes = Notes()
    await lived(notes, 1, 1, 2, 3)
    life = await lived(notes, 2, *range(1, 9))
    assert sorted(life.begun) == [("a", one) for one in (1, 4, 5, 6, 7, 8)]


async def test_only_the_one_that_ran_alone_is_blamed() -> None:
    notes = Notes()
    for epoch in range(1, 4):
        await lived(notes, epoch, 7, 8, 9)  # 7 has its turn first, in each life
    last = await Life(notes, 4).subscription("a")
    verdict = last.verdict(7)
    assert verdict is not None
    assert "the host has died 3 times while the function ran" in str(verdict)
    assert last.verdict(8) is None
    assert last.verdict(9) is None


async def test_one_event_has_no_innocents_of_other_subscriptions_put_aside() -> None:
    notes = Notes()
    for epoch in range(1, 8):
        life = Life(notes, epoch)
        for name in ("deadly", "a", "b", "c"):
            suspicion = await life.subscription(name)
            if suspicion.verdict(1) is None:
                life.run(suspicion, name, 1)
            else:
                assert name == "deadly"
        await life.settle()
        await life.die()
        if ("deadly", 1) not in life.begun:
            break
    assert epoch == 4


async def test_a_suspect_that_does_not_end_holds_up_the_others_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "_PATIENCE_SECONDS", 0.01)
    notes = Notes()
    await lived(notes, 1, 1, 2)
    life = Life(notes, 2)
    suspicion = await life.subscription("a")
    life.run(suspicion, "a", 1)
    life.run(suspicion, "a", 2)
    await life.settle()
    assert life.begun == [("a", 1)]
    async with asyncio.timeout(5):
        while len(life.begun) < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    assert '"alone":2' in notes.texts["begun/a"]
    await life.die()


async def test_hosts_that_are_ended_from_outside_as_soon_as_they_begin_blame_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suspects, "_QUIET_SECONDS", 60.0)
    notes = Notes()
    for epoch in range(1, 20):
        life = await lived(notes, epoch, 7, 8, 9)
        assert bool(life.begun) == (epoch < 3)
    last = await Life(notes, 20).subscription("a")
    assert [last.verdict(one) for one in (7, 8, 9)] == [None, None, None]


async def test_whose_next_death_decides_waits_until_the_engine_is_not_careful_any_more() -> None:
    notes = Notes()
    for epoch in (1, 2):
        await lived(notes, epoch, 7)
    life = Life(notes, 3)
    life.is_careful = True
    suspicion = await life.subscription("a")
    life.run(suspicion, "a", 7)
    life.run(suspicion, "a", 8)
    await life.settle()
    assert life.begun == [("a", 8)]
    life.is_careful = False
    async with asyncio.timeout(5):
        while len(life.begun) < 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    await life.die()


async def test_a_host_that_stops_waits_for_no_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "_QUIET_SECONDS", 60.0)
    alone = Suspects(lambda: True)
    waiting = asyncio.create_task(alone.quiet())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    alone.is_stopping = True
    async with asyncio.timeout(5):
        await waiting


async def test_a_suspect_that_has_ended_is_not_blamed_for_a_later_death() -> None:
    notes = Notes()
    await lived(notes, 1, 1)
    for epoch in (2, 3, 4):
        life = Life(notes, epoch)
        suspicion = await life.subscription("a")
        life.run(suspicion, "a", 1, seconds=0)
        await life.settle()
        assert '"alone":null' in notes.texts["begun/a"]
        await life.die()
    assert (await Life(notes, 5).subscription("a")).verdict(1) is None


async def test_what_is_done_with_is_noted_no_more() -> None:
    notes = Notes()
    await lived(notes, 1, 1, 2)
    suspicion = await Life(notes, 2).subscription("a")
    suspicion.forget(1)
    async with suspicion.turn(3):
        assert '"waiting":[{"position":2,"deaths":1,"alone":0}]' in notes.texts["begun/a"]


async def test_a_subscription_that_begins_anew_on_the_same_host_has_seen_no_death() -> None:
    notes = Notes()
    life = Life(notes, 1)
    for _ in range(5):
        suspicion = await life.subscription("a")
        assert suspicion.verdict(1) is None
        life.run(suspicion, "a", 1)
        await life.die()
    assert '"deaths":1' not in notes.texts["begun/a"]


async def test_what_cannot_be_noted_does_not_run() -> None:
    notes = Notes()
    suspicion = await Life(notes, 1).subscription("a")
    notes.is_away = True
    with pytest.raises(StorageUnavailableError):
        async with suspicion.turn(1):
            pytest.fail("it runs")
    notes.is_away = False
    async with suspicion.turn(2):
        assert '"running":[{"position":2' in notes.texts["begun/a"]


async def test_a_host_that_has_lived_for_a_while_notes_nothing_more() -> None:
    notes = Notes()
    suspicion = await Life(notes, 1).subscription("a")
    suspicion._end = 0.0
    async with suspicion.turn(1):
        assert notes.writes == 0


async def test_a_note_of_another_form_is_no_suspicion() -> None:
    notes = Notes()
    notes.texts["begun/a"] = '{"position":1,"deaths":5}'
    assert (await Life(notes, 1).subscription("a")).verdict(1) is None


def test_who_ends_one_host_after_another_has_more_time_to_do_it() -> None:
    assert [patience_seconds(one) for one in (0, 1, 2, 3)] == [5, 10, 20, 40]
    assert patience_seconds(1_000) == 600
