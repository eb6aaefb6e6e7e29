"""``one_never_takes_all``: memory that runs out is charged to who takes most of it.

Here the shortage is made up, at one place each; tests/integration/test_memory.py has a real one.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import tenuto.engine.batch
from tenuto import App, Context, HoldReason, Host, StorageUnavailableError
from tenuto.engine.ports import CommitBatch, CommitResult, LoadedInstance
from tenuto.model.hold import Hold
from tenuto.orchestration.session import Session
from tests.support.waiting import until

MEBI = 1 << 20

app = App()
runs: Counter[str] = Counter()
short: list[str] = []
"""Orchestrators that find no memory, by name."""


@app.activity
async def text(length: int) -> str:
    runs["text"] += 1
    return "x" * length


@app.orchestrator
async def heavy(ctx: Context, count: int) -> int:
    parts = await asyncio.gather(*(ctx.call_activity(text, MEBI) for _ in range(count)))
    await ctx.wait_for_external_event("go")
    return sum(map(len, parts))


@app.orchestrator
async def light(ctx: Context) -> int:
    first = len(await ctx.call_activity(text, 3))
    if "light" in short:
        raise MemoryError
    await ctx.wait_for_external_event("go")
    return first + len(await ctx.call_activity(text, 4))


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    runs.clear()
    short.clear()
    async with Host(app, f"sqlite:///{tmp_path / 'hub.db'}") as host:
        yield host


async def hold_of(host: Host, instance_id: str) -> Hold | None:
    record = await host.engine.storage.get(instance_id)
    assert record is not None
    return record.hold


async def held(host: Host, instance_id: str) -> Hold:
    async with asyncio.timeout(20):
        while (hold := await hold_of(host, instance_id)) is None:  # noqa: ASYNC110 - the store is asked
            await asyncio.sleep(0.01)
    assert hold.reason is HoldReason.MEMORY
    return hold


def waiting(host: Host) -> set[str]:
    """Who is in memory and waits for an event."""
    residents = host.engine.residents
    return {one.state.instance_id for one in residents if one.state.work.awaits and one.is_idle}


async def both_wait(host: Host) -> None:
    """A heavy one and a light one are in memory and wait for an event."""
    await host.client.start(heavy, 20, instance_id="heavy")
    await host.client.start(light, instance_id="light")
    await until(lambda: waiting(host) == {"heavy", "light"})


async def goes_on(host: Host, instance_id: str, result: int) -> None:
    await host.client.raise_event(instance_id, "go")
    assert await host.client.handle(instance_id).result() == result


def broken(times: int, error: Callable[[], Exception], whole: Any) -> Any:  # noqa: ANN401 - any method
    """A method of a store that fails so often, and then works."""
    left = [times]

    async def method(*arguments: object) -> object:
        if left[0]:
            left[0] -= 1
            raise error()
        return await whole(*arguments)

    return method


def no_memory() -> StorageUnavailableError:
    error = StorageUnavailableError("memory ran out")
    error.out_of_memory = True
    return error


async def test_who_is_light_is_not_held_but_who_takes_it_all(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await both_wait(host)
    whole = Session.run_turn
    failed: list[str] = []

    def run_turn(self: Session, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - passed on
        if self.info.instance_id == "light" and not failed:
            failed.append("light")
            raise MemoryError
        return whole(self, *arguments, **more)

    monkeypatch.setattr(Session, "run_turn", run_turn)
    await goes_on(host, "light", 7)
    assert failed == ["light"]
    assert "memory ran out while it had some 2" in (await held(host, "heavy")).message
    assert await hold_of(host, "light") is None
    await host.client.raise_event("heavy", "go")
    await host.client.resume("heavy")
    assert await host.client.handle("heavy").result() == 20 * MEBI
    assert runs["text"] == 22


async def test_who_finds_no_memory_when_nobody_takes_it_is_held_itself(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_turn(self: Session, *_arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Session, "run_turn", run_turn)
        await host.client.start(light, instance_id="light")
        assert "its turn cannot be taken" in (await held(host, "light")).message
    await host.client.resume("light")
    await goes_on(host, "light", 7)


async def test_what_a_turn_adds_and_there_is_no_memory_for_is_taken_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its results that are not written yet run again; those of others do not."""
    await both_wait(host)
    whole = tenuto.engine.batch.Batch.add_turn

    def add_turn(self: Any, resident: Any, turn: Any) -> int:  # noqa: ANN401 - passed on
        if resident.state.instance_id == "heavy":
            raise MemoryError
        return whole(self, resident, turn)

    with monkeypatch.context() as patch:
        patch.setattr(tenuto.engine.batch.Batch, "add_turn", add_turn)
        patch.setattr(
            host.engine.storage,
            "load_instances",
            broken(2, no_memory, host.engine.storage.load_instances),
        )
        await host.client.raise_event("heavy", "go")
        await goes_on(host, "light", 7)
        assert "not enough memory to write" in (await held(host, "heavy")).message
    await host.client.resume("heavy")
    assert await host.client.handle("heavy").result() == 20 * MEBI
    assert runs["text"] == 22


@pytest.mark.parametrize("where", ["batch", "next batch"])
async def test_a_batch_for_which_there_is_no_memory_is_taken_back(
    host: Host, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    storage = host.engine.storage
    whole = storage.commit
    tried: list[int] = []

    async def commit(batch: CommitBatch) -> CommitResult:
        size = sum(memoryview(row.events).nbytes for row in batch.history)
        making = host.engine.pipeline.batch.bytes if where == "next batch" else 0
        if max(size, making) > 2 * MEBI:
            tried.append(size)
            raise no_memory()
        return await whole(batch)

    with monkeypatch.context() as patch:
        patch.setattr(tenuto.engine.batch, "_HEAVY_BYTES", MEBI)
        patch.setattr(storage, "commit", commit)
        await host.client.start(light, instance_id="light")
        await host.client.start(heavy, 20, instance_id="heavy")
        assert "not enough memory to write" in (await held(host, "heavy")).message
        await goes_on(host, "light", 7)
    assert len(tried) >= 4
    await host.client.resume("heavy")
    await goes_on(host, "heavy", 20 * MEBI)


async def test_a_light_batch_waits_for_memory_as_for_a_store(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = host.engine.storage
    with monkeypatch.context() as patch:
        patch.setattr(storage, "commit", broken(5, MemoryError, storage.commit))
        await host.client.start(light, instance_id="light")
    await goes_on(host, "light", 7)


async def test_what_cannot_be_loaded_for_want_of_memory_is_tried_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await both_wait(host)
    light_one = host.engine.residents.named("light")
    assert light_one is not None
    host.engine.retention.unload(light_one)
    storage = host.engine.storage
    whole = storage.load_instances
    failed = []

    async def load(iids: Sequence[int]) -> list[LoadedInstance]:
        heavy_one = host.engine.residents.named("heavy")
        if light_one.state.iid in iids and heavy_one is not None and heavy_one.size:
            failed.append(len(iids))
            raise no_memory() if len(failed) > 1 else MemoryError
        return await whole(iids)

    monkeypatch.setattr(storage, "load_instances", load)
    await goes_on(host, "light", 7)
    assert failed
    await held(host, "heavy")


async def test_a_replay_that_finds_no_memory_has_not_decided_otherwise(host: Host) -> None:
    await host.client.start(light, instance_id="light")
    await until(lambda: host.engine.is_idle and "light" in waiting(host))
    resident = host.engine.residents.named("light")
    assert resident is not None
    host.engine.retention.unload(resident)
    short.append("light")
    await host.client.raise_event("light", "go")
    assert "its turn cannot be taken" in (await held(host, "light")).message
    short.clear()
    await host.client.resume("light")
    assert await host.client.handle("light").result() == 7
