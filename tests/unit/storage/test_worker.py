"""The thread that does jobs in order."""

import asyncio
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tenuto.model.errors import StorageError
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite import SqliteStorage, changes, writer
from tenuto.storage.sqlite.changes import ChangeWatcher
from tenuto.storage.sqlite.worker import Worker
from tests.conformance.storage_suite import Owner, message, turn, until


async def test_jobs_run_in_order_on_one_thread() -> None:
    worker = Worker("jobs")
    seen: list[object] = []
    futures = [worker.submit(partial(seen.append, number)) for number in range(100)]
    thread = await worker.submit(threading.current_thread)
    await asyncio.gather(*futures)
    assert seen == list(range(100))
    assert thread.name == "jobs"
    assert thread.daemon
    await worker.stop(lambda: seen.append("end"))
    assert seen[-1] == "end"
    assert not thread.is_alive()
    with pytest.raises(StorageError, match="closed"):
        await worker.submit(lambda: None)


async def test_an_error_goes_to_the_caller_and_the_thread_lives_on() -> None:
    worker = Worker("jobs")
    with pytest.raises(ZeroDivisionError):
        await worker.submit(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        await worker.submit(sys.exit)
    assert await worker.submit(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        await worker.stop(partial(divmod, 1, 0))


async def test_a_thread_without_memory_to_say_so_says_it_later_and_lives_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its word was noted as said, so that all later ones would have gone unheard with it."""
    loop = asyncio.get_running_loop()
    say = loop.call_soon_threadsafe
    tries: list[str] = []

    def call_soon_threadsafe(callback: Callable[[], object]) -> None:
        tries.append("word")
        if len(tries) == 1:
            raise MemoryError
        say(callback)

    def upkeep() -> None:
        tries.append("upkeep")
        raise MemoryError

    monkeypatch.setattr(loop, "call_soon_threadsafe", call_soon_threadsafe)
    worker = Worker("jobs", upkeep)
    async with asyncio.timeout(20):
        assert await worker.submit(lambda: 5) == 5
        assert await worker.submit(lambda: 6) == 6
    await worker.stop(lambda: None)
    assert tries[:2] == ["word", "word"]
    assert "upkeep" in tries


async def test_a_cancelled_caller_harms_nobody() -> None:
    worker = Worker("jobs")
    gate = threading.Event()
    done: list[int] = []

    def job() -> None:
        gate.wait()
        done.append(1)

    future = worker.submit(job)
    future.cancel()
    gate.set()
    assert await worker.submit(lambda: done) == [1]
    await worker.stop(lambda: None)


async def test_upkeep_comes_after_jobs_and_after_its_pause() -> None:
    calls: list[int] = []
    again = threading.Event()

    def upkeep() -> float | None:
        calls.append(1)
        if len(calls) > 1:
            again.set()
            return None
        return 0.01

    worker = Worker("jobs", upkeep)
    await worker.submit(lambda: None)
    assert await asyncio.to_thread(again.wait, 10)
    await worker.stop(lambda: None)


async def test_a_job_is_done_here_when_the_thread_has_nothing_to_do() -> None:
    looks: list[int] = []
    worker = Worker("jobs", lambda: looks.append(1))
    assert worker.try_here(threading.current_thread) == (threading.current_thread(),)
    await until(lambda: bool(looks))  # the thread looks after what was done here
    await until(lambda: worker.try_here(lambda: 5) == (5,))
    await until(worker._jobs.empty)
    with worker._in_use:  # the thread has nothing to do, and is not looking either
        pass
    with pytest.raises(ZeroDivisionError):
        worker.try_here(partial(divmod, 1, 0))
    await worker.stop(lambda: None)
    assert worker.try_here(lambda: 1) is None


async def test_a_job_is_not_done_here_while_the_thread_is_at_work() -> None:
    worker = Worker("jobs")
    begun, gate = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        gate.wait()

    working = worker.submit(job)
    assert await asyncio.to_thread(begun.wait, 10)
    assert worker.try_here(lambda: 1) is None
    gate.set()
    await working
    await worker.stop(lambda: None)


def test_a_loop_that_is_gone_harms_nobody() -> None:
    gate, seen = threading.Event(), threading.Event()

    async def main() -> Worker:
        worker = Worker("jobs")
        worker.submit(gate.wait).cancel()
        worker.submit(seen.set).cancel()
        return worker

    worker = asyncio.run(main())
    gate.set()
    assert seen.wait(10)
    worker._jobs.put(None)
    worker._thread.join(10)
    assert not worker._thread.is_alive()
    assert not worker._outcomes


# --- the log and its watcher -------------------------------------------------------------------


async def test_a_long_log_is_folded_in_and_then_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PAGES_KEPT", 5)
    owner = await Owner.of(SqliteStorage(tmp_path / "hub.db"))
    log = tmp_path / "hub.db-wal"
    await owner.commit(history=[turn(1, number) for number in range(1000)])
    assert log.stat().st_size > 30_000
    await until(lambda: log.stat().st_size == 0)
    await owner.commit(history=[turn(2, 0)])
    await owner.storage.close()
    assert not log.exists()


async def test_a_usual_log_is_kept_to_be_written_over(tmp_path: Path) -> None:
    owner = await Owner.of(SqliteStorage(tmp_path / "hub.db"))
    log = tmp_path / "hub.db-wal"
    hub = owner.storage._hub  # type: ignore[attr-defined]
    await owner.commit(history=[turn(1, number) for number in range(1000)])
    await until(lambda: hub.writer._unsaved_since is None)
    size = log.stat().st_size
    await owner.commit(history=[turn(2, 0)])
    assert log.stat().st_size == size > 30_000
    await owner.storage.close()


async def test_the_log_does_not_grow_without_end(tmp_path: Path) -> None:
    owner = await Owner.of(SqliteStorage(tmp_path / "hub.db"))
    events = b'["%s"]' % (b"x" * 100_000)
    for number in range(300):
        await owner.commit(history=[turn(1, number, events=events)])
    assert (tmp_path / "hub.db-wal").stat().st_size < 10 * 1024 * 1024
    assert (tmp_path / "hub.db").stat().st_size > 25 * 1024 * 1024
    await owner.storage.close()


async def test_a_reader_in_the_way_delays_the_checkpoint_only(tmp_path: Path) -> None:
    owner = await Owner.of(SqliteStorage(tmp_path / "hub.db"))
    other = SqliteStorage(tmp_path / "hub.db")
    await other.open()
    await other.get(InstanceId("x"))
    await other._read(lambda one: one.execute("BEGIN").execute("SELECT * FROM hub").fetchall())
    await owner.commit(history=[turn(1, 0)])
    hub = owner.storage._hub  # type: ignore[attr-defined]
    unsaved = hub.writer._unsaved_since
    await until(lambda: hub.writer._unsaved_since not in (None, unsaved))
    await other._read(lambda one: one.execute("COMMIT"))
    await until(lambda: hub.writer._unsaved_since is None)
    await other.close()
    await owner.storage.close()


async def test_a_reader_in_the_way_leaves_the_log_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PAGES_KEPT", 0)
    owner = await Owner.of(SqliteStorage(tmp_path / "hub.db"))
    other = SqliteStorage(tmp_path / "hub.db")
    await other.open()
    await owner.commit(history=[turn(1, 0)])
    await other._read(lambda one: one.execute("BEGIN").execute("SELECT * FROM hub").fetchall())
    hub = owner.storage._hub  # type: ignore[attr-defined]
    await until(lambda: hub.writer._unsaved_since is None and hub.writer._log_since is None)
    assert (tmp_path / "hub.db-wal").stat().st_size > 0
    await other._read(lambda one: one.execute("COMMIT"))
    await owner.commit(history=[turn(1, 1)])
    await other.close()
    await owner.storage.close()


async def test_waiting_costs_nothing_an_idle_store_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_SECONDS", 0.001)
    owner = await Owner.of(SqliteStorage(tmp_path / "hub.db"))
    asked: list[int] = []
    hub = owner.storage._hub  # type: ignore[attr-defined]
    real: Callable[[], asyncio.Future[int]] = hub._data_version
    watcher = hub.watcher

    def counted() -> asyncio.Future[int]:
        asked.append(1)
        return real()

    monkeypatch.setattr(watcher, "_data_version", counted)
    changed: list[int] = []
    owner.storage.on_change(lambda: changed.append(1))
    owner.storage.on_change(lambda: changed.append(2))
    await until(lambda: hub.writer._log_since is None and hub.writer._unsaved_since is None)
    await asyncio.sleep(0.05)
    assert changed == [1, 2]  # once each: what came before they were registered is not missed
    changed.clear()
    before = len(asked)
    await asyncio.sleep(0.2)
    assert len(asked) == before
    # Our own commits are asked about, once or twice each, but not reported.
    await owner.commit(inbox=[message("m")])
    await until(lambda: len(asked) > before)
    assert changed == []
    await owner.storage.close()


async def test_callbacks_given_before_open_are_kept(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "hub.db")
    changed = asyncio.Event()
    storage.on_change(changed.set)
    await storage.open()
    client = SqliteStorage(tmp_path / "hub.db")
    await client.open()
    async with asyncio.timeout(20):
        for number in range(100):
            await client.append([message(f"m{number}")])
            await asyncio.sleep(0.02)
            if changed.is_set():
                break
    assert changed.is_set()
    await client.close()
    await storage.close()


async def test_a_store_in_memory_has_nothing_to_watch() -> None:
    storage = SqliteStorage(":memory:")
    storage.on_change(lambda: None)
    await storage.open()
    await storage.close()


async def test_the_watcher_asks_again_when_the_store_could_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_SECONDS", 0.001)
    loop = asyncio.get_running_loop()
    answers: list[object] = [1, StorageError("broken"), None, 1, 2]
    called: list[int] = []  # how many answers were left: at the first one, and at the change

    def data_version() -> asyncio.Future[int]:
        future = loop.create_future()
        answer = answers.pop(0) if answers else 2
        if answer is None:
            future.cancel()
        elif isinstance(answer, StorageError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
            (tmp_path / "log").write_bytes(b"x" * (len(answers) + 1))
        return future

    def signature() -> object:
        log = tmp_path / "log"
        return log.exists() and (log.stat().st_size, log.stat().st_mtime_ns)

    watcher = ChangeWatcher(signature, data_version, lambda: True)
    watcher.stop()
    watcher.add(lambda: called.append(len(answers)))
    while len(called) < 2:
        # A cancelled question is not repeated by itself; a change does that.
        (tmp_path / "log").write_bytes(b"y" * (10 + len(answers)))
        async with asyncio.timeout(30):
            await asyncio.sleep(0.005)
    watcher.stop()
    assert called == [4, 0]


async def test_a_commit_that_the_disk_takes_its_time_for_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log has grown before it counts, and nothing of the files changes when it does."""
    monkeypatch.setattr(changes, "_SECONDS", 0.001)
    loop = asyncio.get_running_loop()
    log, version = ["begun"], [1]
    asked: list[int] = []
    seen = asyncio.Event()

    def data_version() -> asyncio.Future[int]:
        asked.append(version[0])
        future = loop.create_future()
        future.set_result(version[0])
        return future

    watcher = ChangeWatcher(lambda: log[0], data_version, lambda: log[0] == "begun")
    watcher.add(lambda: seen.set() if version[0] == 2 else None)
    await until(lambda: len(asked) >= 2)
    await asyncio.sleep(0.02)
    before = len(asked)
    log[0] = "written by another"
    await asyncio.sleep(0.2)
    assert before < len(asked) < before + 12
    version[0] = 2
    await asyncio.wait_for(seen.wait(), 10)
    watcher.stop()
