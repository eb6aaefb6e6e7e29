"""Files deleted, replaced or cut short under a running host (``durable_before_visible``).

Whatever was acknowledged was in the file then, and nothing is acknowledged afterwards.
"""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from tenuto import App, Client, Context, Host, Settings, StorageLostError
from tenuto.model.errors import StorageError
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite import SqliteStorage
from tenuto.storage.sqlite.examination import examine
from tenuto.storage.sqlite.files import StoreFiles
from tenuto.telemetry.health import health_of
from tests.conformance.storage_suite import Owner, message, record, turn
from tests.support.inboxes import waiting_in
from tests.support.waiting import until

Harm = Callable[[Path], None]

_LOG_HEADER = 32
_FRAME_HEADER = 24

app = App()


@app.orchestrator
async def waiting(ctx: Context) -> None:
    await ctx.wait_for_external_event("never")


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def delete(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def replace_by_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def truncate_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def truncate_to_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def delete_the_log(path: Path) -> None:
    _log(path).unlink()


def replace_the_log(path: Path) -> None:
    replace_by_a_copy(_log(path))


def truncate_the_log(path: Path) -> None:
    os.truncate(_log(path), 0)


def truncate_the_log_to_half(path: Path) -> None:
    """Half of what it holds: behind that are pages from before the last checkpoint."""
    log = _log(path).read_bytes()
    salts, page_bytes = log[16:24], int.from_bytes(log[8:12], "big")
    frames = range(_LOG_HEADER, len(log), page_bytes + _FRAME_HEADER)
    held = sum(log[start + 8 : start + 16] == salts for start in frames)
    os.truncate(_log(path), frames[held // 2])


def delete_the_index(path: Path) -> None:
    path.with_name(f"{path.name}-shm").unlink()


def delete_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


HARMS = [
    delete,
    move_away,
    replace_by_a_copy,
    truncate_to_nothing,
    truncate_to_half,
    delete_the_log,
    replace_the_log,
    truncate_the_log,
    truncate_the_log_to_half,
    delete_the_folder,
    move_the_folder,
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "hub.db"


def everybody(path: Path) -> set[str]:
    """Whom a reader of the file finds now."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {str(row[0]) for row in connection.execute("SELECT instance_id FROM instance")}
    finally:
        connection.close()


@pytest.mark.parametrize("harm", HARMS)
async def test_durable_before_visible_nothing_is_acknowledged_into_a_lost_store(
    path: Path, harm: Harm
) -> None:
    owner = await Owner.of(SqliteStorage(path))
    for number in range(1, 40):
        await owner.commit(instances=[record(number)], history=[turn(number, 0)])
    outside = SqliteStorage(path)
    await outside.open()
    # Without a checkpoint in between, which moves the log into the file.
    await owner.commit(history=[turn(1, 1, events=b'["' + b"x" * 100_000 + b'"]')])
    harm(path)
    for _ in range(3):
        with pytest.raises(StorageLostError, match=r"(deleted|replaced|cut short)"):
            await owner.storage.commit(owner.batch(instances=[record(99)]))
    with pytest.raises(StorageLostError):
        await outside.append([message("m")])
    with pytest.raises(StorageLostError):
        await outside.start_instance(record(0, "late"))
    with pytest.raises(StorageLostError):
        await outside.get(InstanceId("instance-1"))
    await owner.storage.close()
    await outside.close()


@pytest.mark.parametrize("harm", [truncate_the_log, truncate_the_log_to_half])
async def test_a_log_cut_short_between_the_look_and_the_write_is_noticed(
    path: Path, harm: Harm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write makes the log as long as it was: only the hole tells."""
    owner = await Owner.of(SqliteStorage(path))
    for number in range(1, 40):
        await owner.commit(instances=[record(number)], history=[turn(number, 0)])
    look = StoreFiles.before_write

    def harmed(self: StoreFiles) -> None:
        look(self)
        harm(path)

    with monkeypatch.context() as patched:
        patched.setattr(StoreFiles, "before_write", harmed)
        with pytest.raises(StorageLostError, match="cut short"):
            await owner.storage.commit(owner.batch(instances=[record(98)]))
    with pytest.raises(StorageLostError):
        await owner.storage.commit(owner.batch(instances=[record(99)]))
    await owner.storage.close()


@pytest.mark.parametrize("harm", [*HARMS, delete_the_index])
async def test_a_host_under_load_stops_acknowledging_at_once(path: Path, harm: Harm) -> None:
    settings = Settings(storage=f"sqlite:///{path}", drain_seconds=1)
    acknowledged: list[str] = []
    found: set[str] = set()
    async with Host(app, settings=settings) as host:

        async def starter(name: str) -> None:
            for number in range(100_000):
                await host.client.start(waiting, instance_id=f"{name}-{number}")
                acknowledged.append(f"{name}-{number}")

        starters = [asyncio.create_task(starter(str(number))) for number in range(10)]
        async with asyncio.timeout(60):
            while len(acknowledged) < 100:  # noqa: ASYNC110 - nothing tells of a list's length
                await asyncio.sleep(0)
        # On the loop: nothing is acknowledged between these three.
        known = set(acknowledged)
        found = everybody(path)
        harm(path)
        async with asyncio.timeout(60):
            ends = await asyncio.gather(*starters, return_exceptions=True)
            lost = await host.until_lost()
        assert known <= found
        assert isinstance(lost, StorageLostError)
        assert all(isinstance(end, StorageError) for end in ends)
        assert set(acknowledged) <= found | _still_found(path, harm)
        health = health_of(host.engine, 0.0)
        assert not health.ready
        assert "lost" in health.reasons[0]
        with pytest.raises(StorageError, match="lost"):
            await host.client.start(waiting, instance_id="late")


def _still_found(path: Path, harm: Harm) -> set[str]:
    """Only where the index alone is gone, commits are found by whoever comes next."""
    return everybody(path) if harm is delete_the_index else set()


@pytest.mark.parametrize("harm", [*HARMS, delete_the_index])
async def test_an_idle_host_notices_too(path: Path, harm: Harm) -> None:
    settings = Settings(storage=f"sqlite:///{path}", drain_seconds=1)
    async with Host(app, settings=settings) as host:
        await host.client.start(waiting, instance_id="first")
        harm(path)
        async with asyncio.timeout(60):
            assert isinstance(await host.until_lost(), StorageLostError)
        assert not health_of(host.engine, 0.0).ready


async def test_a_client_that_waits_hears_that_the_store_is_lost(path: Path) -> None:
    url = f"sqlite:///{path}"
    async with (
        Host(app, settings=Settings(storage=url, drain_seconds=1)) as host,
        Client.open(url, app) as client,
    ):
        handle = await host.client.start(waiting, instance_id="first")
        answer = asyncio.create_task(client.handle(handle.instance_id).result())
        await asyncio.sleep(0)
        delete(path)
        async with asyncio.timeout(60):
            with pytest.raises(StorageLostError):
                await answer


async def test_what_others_may_do_is_no_alarm(path: Path) -> None:
    """Checkpoints of every kind, VACUUM, readers, other processes that come and go."""
    owner = await Owner.of(SqliteStorage(path))
    text = b'["' + b"x" * 100_000 + b'"]'
    modes = [
        apsw.SQLITE_CHECKPOINT_PASSIVE,
        apsw.SQLITE_CHECKPOINT_FULL,
        apsw.SQLITE_CHECKPOINT_RESTART,
        apsw.SQLITE_CHECKPOINT_TRUNCATE,
    ]
    for number in range(1, 41):
        row = turn(number, 0, events=text)
        await owner.commit(instances=[record(number)], history=[row])
        other = apsw.Connection(str(path))
        other.set_busy_timeout(5_000)
        other.wal_checkpoint(mode=modes[number % 4])
        if not number % 10:
            await owner.commit(purged=list(range(number - 9, number)))
            other.execute("VACUUM")
            with suppress(apsw.BusyError):
                other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        other.close()
        outside = SqliteStorage(path)
        await outside.open()
        await outside.append([message(f"m{number}", "somebody")])
        await outside.close()
    assert len(await waiting_in(owner.storage)) == 40
    assert len(everybody(path)) == 4
    await owner.storage.close()
    assert not _log(path).exists()


async def test_a_log_index_that_is_half_written_just_now_is_waited_for(path: Path) -> None:
    """Its writer goes on in a moment, or was killed in the middle: then the index is set right."""
    storage = SqliteStorage(path)
    await storage.open()
    await storage.append([message("before")])
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with path.with_name(f"{path.name}-shm").open("r+b") as index:
        index.seek(8)  # the counter in the first of the two copies of its head
        index.write(b"torn")
    asyncio.get_running_loop().call_later(0.05, other.close)
    await storage.append([message("meanwhile")])
    assert [row.message_id for row in (await storage.fetch_inbox({0: 0})).rows] == [
        "before",
        "meanwhile",
    ]
    await storage.close()


async def test_no_host_begins_an_empty_store_beside_the_log_of_one_that_is_gone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hub.db"
    _log(path).write_bytes(b"all that is newest")
    with pytest.raises(StorageLostError, match="is gone, and its log"):
        async with Host(app, settings=Settings(storage=f"sqlite:///{path}")):
            pass
    assert _log(path).read_bytes() == b"all that is newest"
    with pytest.raises(StorageLostError, match="is gone, and its log"):
        examine(str(path), 0)


def _is_longer_than(count: int, moved: list[int]) -> bool:
    return len(moved) > count


@pytest.mark.parametrize("harm", [truncate_to_nothing, truncate_to_half])
@pytest.mark.parametrize("before", [0, 1])
async def test_a_file_cut_short_in_the_moment_of_a_checkpoint_is_noticed(
    path: Path, harm: Harm, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_log = StoreFiles.move_log
    moved: list[int] = []

    def cut_short(self: StoreFiles, checkpoint: Callable[[], Any]) -> object:
        def harmed() -> object:
            moved.append(len(everybody(path)))
            if len(moved) > before:
                harm(path)
            return checkpoint()

        return move_log(self, harmed)

    monkeypatch.setattr(StoreFiles, "move_log", cut_short)
    settings = Settings(storage=f"sqlite:///{path}", drain_seconds=1)
    async with Host(app, settings=settings) as host:
        for number in range(before + 1):
            with suppress(StorageLostError):  # a slow machine comes to it while they start
                for name in range(50):
                    await host.client.start(waiting, instance_id=f"{number}-{name}")
            await until(partial(_is_longer_than, number, moved))
        async with asyncio.timeout(60):
            lost = await host.until_lost()
        assert isinstance(lost, StorageLostError)
        assert "cut short while the log went into it" in str(lost)
        with pytest.raises(StorageError, match="lost"):
            await host.client.start(waiting, instance_id="late")
