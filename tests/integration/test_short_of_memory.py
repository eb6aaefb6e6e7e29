"""``one_never_takes_all``: memory that runs out is charged to who takes most of it.

Here the shortage is made up, at one place each; tests/integration/test_memory.py has a real one.
"""

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tenuto.engine.batch
from tenuto import (
    App,
    Client,
    Context,
    HoldReason,
    Host,
    InputError,
    InstanceStateError,
    RowsRefusedError,
    StorageUnavailableError,
)
from tenuto.engine import arrivals, loader
from tenuto.engine.batch import Batch
from tenuto.engine.ports import LoadedInstance
from tenuto.engine.rows import CommitBatch, CommitResult
from tenuto.engine.takeback import TakeBack
from tenuto.engine.turns import orchestration
from tenuto.model import codec
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId
from tenuto.model.messages import TaskResult
from tenuto.orchestration.session import Session
from tests.support.waiting import until

LIGHT = InstanceId("light")

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


@app.orchestrator
async def takes(ctx: Context, text: str) -> int:
    return len(text)


@app.orchestrator
async def eats(ctx: Context) -> int:
    return sum([len(await ctx.wait_for_external_event("bite", str)) for _ in range(8)])


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    runs.clear()
    short.clear()
    # Who waits stays in memory for a second: on a busy machine that is less than a test needs.
    monkeypatch.setattr("tenuto.engine.retention._SOON", 3_600_000_000)
    async with Host(app, f"sqlite:///{tmp_path / 'hub.db'}") as host:
        yield host


async def hold_of(host: Host, instance_id: str) -> Hold | None:
    record = await host.engine.storage.get(InstanceId(instance_id))
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
    return StorageUnavailableError("memory ran out", out_of_memory=True)


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


async def test_a_result_for_which_there_is_no_memory_comes_later_and_nobody_waits_for_ever(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns were never run again by a host that had noted that they would be."""
    failed: list[int] = []

    def result(**facts: Any) -> Any:  # noqa: ANN401 - passed on
        if not failed:
            failed.append(1)
            raise MemoryError
        return TaskResult(**facts)

    monkeypatch.setattr("tenuto.engine.engine.TaskResult", result)
    async with asyncio.timeout(20):
        await host.client.start(light, instance_id="light")
        await goes_on(host, "light", 7)
    assert (failed, host.engine.running) == ([1], 0)


async def test_who_is_held_in_memory_only_and_fills_it_keeps_nobody_waiting(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store finds no memory to write its hold as long as all that it has is there."""
    await both_wait(host)
    engine = host.engine
    full = next(one for one in engine.residents if one.state.instance_id == "heavy")
    full.state.hold = Hold(HoldReason.MEMORY, "no memory for its turn", engine.clock.now())
    whole = engine.storage.commit

    async def commit(batch: CommitBatch) -> CommitResult:
        if full in list(engine.residents):
            raise no_memory()
        return await whole(batch)

    monkeypatch.setattr(engine.storage, "commit", commit)
    async with asyncio.timeout(20):
        await goes_on(host, "light", 7)
    await held(host, "heavy")


async def test_what_is_kept_for_a_shortage_is_let_go_in_one_and_kept_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from the last memory: nobody could start a thread beside it."""
    pipeline = host.engine.pipeline

    def has_reserve() -> bool:
        return pipeline._reserve is not None

    monkeypatch.setattr("tenuto.engine.shortage._REST_SECONDS", 0.01)
    assert has_reserve()
    host.engine.shortage.note()
    assert not has_reserve()
    with monkeypatch.context() as patch:
        patch.setattr("tenuto.engine.pipeline._LEFT_BYTES", 1 << 46)
        pipeline.keep_reserve()
        assert not has_reserve()
    await until(has_reserve)


async def test_a_callback_for_which_there_is_no_memory_is_asked_for_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pump's, and the one that looks for garbage: each notes that it is under way."""
    engine = host.engine

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(engine, "loop", SimpleNamespace(call_soon=fail))
        patch.setattr(engine.shortage, "_loop", SimpleNamespace(call_later=fail))
        for ask in (engine.schedule_pump, engine.shortage.note):
            with pytest.raises(MemoryError):
                ask()
    collected: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(1))
    engine.shortage.note()
    async with asyncio.timeout(20):
        await host.client.start(light, instance_id="light")
        await goes_on(host, "light", 7)
    await until(lambda: bool(collected))


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
        patch.setattr(tenuto.engine.batch, "HEAVY_BYTES", MEBI)
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
    light_one = host.engine.residents.named(LIGHT)
    assert light_one is not None
    host.engine.retention.unload(light_one)
    storage = host.engine.storage
    whole = storage.load_instances
    failed = []

    async def load(iids: Sequence[int]) -> list[LoadedInstance]:
        heavy_one = host.engine.residents.named(InstanceId("heavy"))
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
    resident = host.engine.residents.named(LIGHT)
    assert resident is not None
    host.engine.retention.unload(resident)
    short.append("light")
    await host.client.raise_event("light", "go")
    assert "its turn cannot be taken" in (await held(host, "light")).message
    short.clear()
    await host.client.resume("light")
    assert await host.client.handle("light").result() == 7


# --- what follows a take-back --------------------------------------------------------------------


@pytest.fixture
def takebacks(monkeypatch: pytest.MonkeyPatch) -> list[RowsRefusedError]:
    told: list[RowsRefusedError] = []
    whole = TakeBack.refused

    async def refused(self: TakeBack, batch: Batch, error: RowsRefusedError, commit: Any) -> None:  # noqa: ANN401 - passed on
        told.append(error)
        await whole(self, batch, error, commit)

    monkeypatch.setattr(TakeBack, "refused", refused)
    return told


async def test_a_resume_from_another_process_is_used_up_when_it_is_in_vain(
    takebacks: list[RowsRefusedError],
    host: Host,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await both_wait(host)
    whole = Batch.add_turn

    def add_turn(self: Batch, resident: Any, new: Any) -> int:  # noqa: ANN401 - passed on
        if resident.state.instance_id == "heavy":
            raise MemoryError
        return whole(self, resident, new)

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "add_turn", add_turn)
        await host.client.raise_event("heavy", "go")
        await held(host, "heavy")
        async with Client.open(f"sqlite:///{tmp_path / 'hub.db'}", app) as client:
            await client.resume("heavy")
            await until(lambda: len(takebacks) >= 2)
            await until(lambda: host.engine.is_idle)
            await goes_on(host, "light", 7)
        assert len(takebacks) == 2
    await host.client.resume("heavy")
    assert await host.client.handle("heavy").result() == 20 * MEBI


async def test_a_host_that_has_refused_a_start_takes_others(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = host.engine.storage
    whole = storage.commit

    async def commit(batch: CommitBatch) -> CommitResult:
        if any(len(row.input or "") > MEBI for row in batch.instances):
            raise no_memory()
        return await whole(batch)

    monkeypatch.setattr(tenuto.engine.batch, "HEAVY_BYTES", MEBI)
    monkeypatch.setattr(storage, "commit", commit)
    with pytest.raises(InputError, match="not enough memory"):
        await host.client.start(takes, "x" * (2 * MEBI))
    assert host.engine.pipeline.unavailable is None
    await host.client.start(light, instance_id="light")
    await goes_on(host, "light", 7)


@pytest.mark.parametrize("times", [1, 9])
async def test_an_event_that_cannot_be_kept_is_answered_whatever_comes_beside_it(
    takebacks: list[RowsRefusedError], host: Host, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    await both_wait(host)
    await host.client.suspend("heavy")
    whole = codec.encode
    left = [times]

    def encode(value: Any) -> bytes:  # noqa: ANN401 - passed on
        if left[0] and "much" in str(getattr(getattr(value, "event", None), "input", "")):
            left[0] -= 1
            raise MemoryError
        return whole(value)

    monkeypatch.setattr("tenuto.engine.batch.encode", encode)
    kept, refused = await asyncio.gather(
        host.client.raise_event("heavy", "go", "much"),
        host.client.resume("light"),  # a turn without a row, in the same batch
        return_exceptions=True,
    )
    assert isinstance(refused, InstanceStateError)
    assert isinstance(kept, StorageUnavailableError) == (times > 1)
    assert len(takebacks) == min(times, 2)
    await held(host, "heavy")
    left[0] = 0
    await host.client.resume("heavy")
    if times > 1:
        await host.client.raise_event("heavy", "go")
    assert await host.client.handle("heavy").result() == 20 * MEBI


async def test_there_is_no_memory_even_to_hold(
    takebacks: list[RowsRefusedError], host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.client.start(light, instance_id="light")
    await until(lambda: waiting(host) == {"light"})
    failed: list[object] = []
    whole = orchestration.prepare

    def prepare(*arguments: Any) -> Any:  # noqa: ANN401 - passed on
        if len(failed) < 2:
            failed.append(arguments)
            raise MemoryError
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("tenuto.engine.turning.prepare", prepare)
        patch.setattr("tenuto.engine.turns.orchestration.prepare", prepare)
        await host.client.raise_event("light", "go")
        await held(host, "light")
    assert len(takebacks) == 1
    await host.client.resume("light")
    assert await host.client.handle("light").result() == 7


async def test_the_garbage_of_a_shortage_is_given_back_soon(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else looks for it here, as in a host that makes nothing new."""

    class Circle:
        def __init__(self) -> None:
            self.itself = self

    await both_wait(host)
    gc.disable()
    try:
        gone = weakref.ref(Circle())
        storage = host.engine.storage
        monkeypatch.setattr(storage, "commit", broken(1, no_memory, storage.commit))
        await goes_on(host, "light", 7)
        await until(lambda: gone() is None)
    finally:
        gc.enable()


# --- decoding ------------------------------------------------------------------------------------


def fail_once(patch: pytest.MonkeyPatch, name: str) -> list[int]:
    """What reads the store in the engine finds no memory, once."""
    whole = getattr(arrivals, name)
    failed: list[int] = []

    def decode(*given: Any, **named: Any) -> object:
        if not failed:
            failed.append(1)
            raise MemoryError
        return whole(*given, **named)

    patch.setattr(arrivals, name, decode)
    return failed


async def test_a_message_from_another_process_for_which_there_is_no_memory_comes_later(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.client.start(light, instance_id="light")
    await until(lambda: waiting(host) == {"light"})
    failed = fail_once(monkeypatch, "received")
    async with Client.open(f"sqlite:///{tmp_path / 'hub.db'}", app) as client:
        await client.raise_event("light", "go")
    assert await host.client.handle("light").result() == 7
    assert failed


@pytest.mark.parametrize("name", ["decode_turn", "received", "due_timers"])
async def test_an_instance_for_which_there_is_no_memory_is_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nothing of the first try is left, nor is anything lost."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with Host(app, url) as host:
        await host.client.start(light, instance_id="light")
        await until(lambda: waiting(host) == {"light"})
    async with Client.open(url, app) as client:
        await client.raise_event("light", "go")
    if name == "due_timers":
        whole = arrivals.due_timers
        failed: list[int] = []

        def due_timers(state: Any, now: int) -> Any:  # noqa: ANN401 - passed on
            if not failed:
                failed.append(1)
                raise MemoryError
            return whole(state, now)

        monkeypatch.setattr(arrivals, "due_timers", due_timers)
    else:
        failed = fail_once(monkeypatch, name)
    async with Host(app, url) as host:
        assert await host.client.handle("light").result() == 7
    assert failed


async def test_who_cannot_be_loaded_is_told_of_and_tried_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.client.start(light, instance_id="light")
    await until(lambda: waiting(host) == {"light"})
    resident = host.engine.residents.named(LIGHT)
    assert resident is not None
    host.engine.retention.unload(resident)
    storage = host.engine.storage
    monkeypatch.setattr(loader, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(arrivals, "_AGAIN_SECONDS", 0.1)
    load = broken(loader._TRIES_WITHOUT_MEMORY + 1, no_memory, storage.load_instances)
    monkeypatch.setattr(storage, "load_instances", load)
    with pytest.raises(StorageUnavailableError, match="Give the host more memory"):
        await host.client.raise_event("light", "go")
    await goes_on(host, "light", 7)


async def test_a_turn_that_fails_once_keeps_what_its_inbox_was_cut_off(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.client.start(eats, instance_id="eats")
    await until(lambda: waiting(host) == {"eats"})
    whole = Session.run_turn
    failed: list[int] = []

    def run_turn(self: Session, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - passed on
        if not failed:
            failed.append(1)
            raise ZeroDivisionError
        return whole(self, *arguments, **more)

    monkeypatch.setattr(Session, "run_turn", run_turn)
    text = "y" * MEBI
    await asyncio.gather(*(host.client.raise_event("eats", "bite", text) for _ in range(8)))
    assert await host.client.handle("eats").result() == 8 * MEBI
