"""``tenuto backup --follow``: a copy that is the store as it was a moment ago, whatever dies.

``durable_before_visible`` for copies: what the copy says that it reaches to, it holds. And it is
restorable at any moment to a state that was committed, in part of which nobody has ever been.
"""

import asyncio
import sys
from pathlib import Path

import apsw
import pytest

from tenuto import App, Context, Host, StorageCopyError, StorageOwnedError
from tenuto.engine.upkeep import FollowedTo
from tenuto.model.errors import SettingsError, StorageCorruptError, StorageError
from tenuto.storage import upkeep_of
from tenuto.storage.sqlite import SqliteStorage
from tenuto.storage.sqlite.following import follower as following
from tenuto.storage.sqlite.following.folder import Folder
from tenuto.storage.sqlite.following.source import Source
from tests.conformance.storage_suite import Owner, everything, record, turn
from tests.support.following import (
    PATIENCE_SECONDS,
    Followed,
    followed,
    now,
    read_reach,
    restored,
    untold,
    up_to_now,
)
from tests.support.terminal import tenuto

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copy"


async def contents(path: Path) -> object:
    storage = SqliteStorage(path, create=False)
    await storage.open()
    try:
        return await everything(storage)
    finally:
        await storage.close()


# --- it is the store ---------------------------------------------------------------------------


async def test_the_copy_is_the_store(path: Path, folder: Path, tmp_path: Path) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    with followed(path, folder) as one:
        for number in range(50):
            await owner.commit(history=[turn(1, number)])
        await up_to_now(one)
        before = now()
        copy = await asyncio.to_thread(restored, folder, tmp_path / "new.db")
        assert await contents(tmp_path / "new.db") == await everything(owner.storage)
        assert copy.reaches_to <= before + 1_000_000
        assert not copy.host_had_stopped
    await owner.storage.close()
    assert rights_of_others(folder) == {0}


def rights_of_others(folder: Path) -> set[int]:
    return {one.stat().st_mode & 0o077 for one in (folder, *folder.rglob("*"))}


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def names(folder: Path, pattern: str) -> list[str]:
    return sorted(one.name for one in folder.glob(pattern))


async def test_logs_are_bounded_and_folded_under_a_load_without_end(
    path: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LONG_LOG_FRAMES", 100)
    monkeypatch.setattr(following, "_POLL_SECONDS", 0.01)
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    events = b'["%8000d"]' % 1
    with followed(path, folder) as one:
        await up_to_now(one)
        number = 0
        newest = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while newest < 5:
                number += 1
                await owner.commit(history=[turn(1, number, events=events)])
                newest = max((reach.log if (reach := read_reach(folder)) else 0), newest)
        await up_to_now(one)
        generation = folder / "000001"
        logs = names(generation, "log-*")
        assert len(logs) <= 2
        assert logs[-1] >= "log-000005"
        await asyncio.to_thread(restored, folder, tmp_path / "new.db")
        assert await contents(tmp_path / "new.db") == await everything(owner.storage)
    await owner.storage.close()
    assert not one.says("behind"), one.news


async def test_nobody_writes_between_the_last_frame_that_is_copied_and_a_log_that_begins_anew(
    path: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written there would be in no log, and missing in the copy without a word."""
    monkeypatch.setattr(following, "_LONG_LOG_FRAMES", 20)
    monkeypatch.setattr(following, "_POLL_SECONDS", 0.01)
    free_log = Source.free_log
    waited: list[bool] = []

    def crowded(source: Source) -> None:
        writer = apsw.Connection(str(path))
        try:
            writer.execute("UPDATE instance SET updated_at = updated_at + 1")
            waited.append(False)
        except apsw.BusyError:
            waited.append(True)
        finally:
            writer.close()
        free_log(source)

    monkeypatch.setattr(Source, "free_log", crowded)
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    with followed(path, folder) as one:
        await up_to_now(one)
        number = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(waited) < 3:
                number += 1
                await owner.commit(history=[turn(1, number)])
        await up_to_now(one)
        await asyncio.to_thread(restored, folder, tmp_path / "new.db")
        assert await contents(tmp_path / "new.db") == await everything(owner.storage)
    await owner.storage.close()
    assert set(waited) == {True}
    assert not one.says("behind"), one.news


async def test_logs_that_were_not_folded_yet_are_played_in_their_order(
    path: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody reads the copy for long, or a fold was killed half way."""
    monkeypatch.setattr(following, "_LONG_LOG_FRAMES", 20)
    monkeypatch.setattr(following, "_POLL_SECONDS", 0.01)
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    with followed(path, folder) as one:
        await up_to_now(one)
        with Folder(str(folder)).unchanged():
            number = 0
            while len(names(folder / "000001", "log-*")) < 4:
                number += 1
                await owner.commit(history=[turn(1, number)])
            await up_to_now(one)
            await asyncio.to_thread(one.stop)
    generation = folder / "000001"
    for half_way in (False, True):
        if half_way:
            first = names(generation, "log-*")[0]
            (generation / first).rename(generation / "base-wal")
        await asyncio.to_thread(restored, folder, tmp_path / "new.db")
        assert await contents(tmp_path / "new.db") == await everything(owner.storage)
    with followed(path, folder) as one:
        await up_to_now(one)
        assert not one.says("copying")
        await asyncio.to_thread(one.until, lambda: len(names(generation, "*")) == 3)
        assert "base-wal" not in names(generation, "*")
        await asyncio.to_thread(restored, folder, tmp_path / "new.db")
        assert await contents(tmp_path / "new.db") == await everything(owner.storage)
    await owner.storage.close()


async def test_nothing_is_missing_over_restarts_of_host_and_follower(
    path: Path, folder: Path, tmp_path: Path
) -> None:
    one: Followed | None = None
    for number in range(6):
        owner = await Owner.of(SqliteStorage(path), f"host {number}")
        if number == 0:
            await owner.commit(instances=[record(1)])
        if number % 2 == 0:
            one = Followed(path, folder)
            await up_to_now(one)
        await owner.commit(history=[turn(1, number)])
        assert one is not None
        await up_to_now(one)
        await owner.storage.release(owner.leases)
        await owner.storage.close()
        await up_to_now(one)
        copy = await asyncio.to_thread(restored, folder, tmp_path / "new.db")
        assert copy.host_had_stopped
        assert await contents(tmp_path / "new.db") == await contents(path)
        if number % 2 == 1:
            one.stop()


async def test_a_log_that_began_anew_unseen_makes_a_new_generation(
    path: Path, folder: Path, tmp_path: Path
) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    with followed(path, folder) as one:
        await up_to_now(one)
    await owner.commit(history=[turn(1, 0)])
    await owner.storage.close()  # the last one: the log is folded in and deleted
    owner = await Owner.of(SqliteStorage(path), "another")
    await owner.commit(history=[turn(1, 1)])
    with followed(path, folder) as one:
        await up_to_now(one)
        assert one.says("copying")
        await asyncio.to_thread(one.until, lambda: names(folder, "0*") == ["000002"])
        await asyncio.to_thread(restored, folder, tmp_path / "new.db")
        assert await contents(tmp_path / "new.db") == await everything(owner.storage)
    await owner.storage.close()


async def test_a_follower_that_comes_back_goes_on_where_it_was(
    path: Path, folder: Path, tmp_path: Path
) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    with followed(path, folder) as one:
        await up_to_now(one)
        await owner.commit(history=[turn(1, 0)])
        await up_to_now(one)
    await owner.commit(history=[turn(1, 1)])
    newest = names(folder / "000001", "log-*")[-1]
    append(folder / "000001" / newest, b"half a frame of a follower that was killed")
    append(folder / "000001" / "log-000099", b"a log of which nothing was noted")
    with followed(path, folder) as one:
        await up_to_now(one)
        assert not one.says("copying")
        await asyncio.to_thread(restored, folder, tmp_path / "new.db")
        assert await contents(tmp_path / "new.db") == await everything(owner.storage)
    await owner.storage.close()


async def test_a_store_that_is_away_is_followed_again(path: Path, folder: Path) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.storage.close()
    with followed(path, folder) as one:
        await up_to_now(one)
        await asyncio.to_thread(path.rename, path.with_name("away"))
        await asyncio.to_thread(one.until, lambda: one.says("behind", "is not there"))
        await asyncio.to_thread(path.with_name("away").rename, path)
        await asyncio.to_thread(one.until, lambda: one.news[-1].state == "following")
        await up_to_now(one)


async def test_a_folder_that_cannot_be_written_lets_the_store_go(path: Path, folder: Path) -> None:
    owner = await Owner.of(SqliteStorage(path))
    with followed(path, folder) as one:
        await up_to_now(one)
        (folder / "reach.json").unlink()
        (folder / "reach.json.partial").mkdir()
        await owner.commit(instances=[record(1)])
        await asyncio.to_thread(one.until, lambda: one.says("behind"))
        assert one.news[-1].reaches_to is not None
        (folder / "reach.json.partial").rmdir()
        await up_to_now(one)
    await owner.storage.close()


# --- it is not the store -----------------------------------------------------------------------

app = App()


@app.orchestrator
async def quick(ctx: Context) -> str:
    return ctx.instance_id


async def test_one_owner_a_copy_that_has_seen_its_host_stop_is_started(
    path: Path, folder: Path, tmp_path: Path
) -> None:
    with_host, stopped = tmp_path / "with.db", tmp_path / "stopped.db"
    async with Host(app, f"sqlite:///{path}") as host:
        one = Followed(path, folder)
        await (await host.client.start(quick, instance_id="a")).result()
        await up_to_now(one)
        await asyncio.to_thread(restored, folder, with_host)
    await asyncio.to_thread(one.until, lambda: one.says("following", "the host has stopped"))
    await up_to_now(one)
    result = one.stop()
    assert isinstance(result, FollowedTo)
    assert result.host_had_stopped
    with pytest.raises(StorageCopyError, match="reaches up to"):
        await Host(app, f"sqlite:///{with_host}").start()
    await asyncio.to_thread(restored, folder, stopped)
    async with Host(app, f"sqlite:///{stopped}") as host:
        assert await host.client.get_status("a") is not None


async def test_a_folder_belongs_to_one_store_and_one_follower(
    path: Path, folder: Path, tmp_path: Path
) -> None:
    owner = await Owner.of(SqliteStorage(path))
    with followed(path, folder) as one:
        await up_to_now(one)
        second = await asyncio.to_thread(Followed(path, folder).stop)
        assert isinstance(second, StorageOwnedError)
    other = await Owner.of(SqliteStorage(tmp_path / "other.db"))
    refused = Followed(tmp_path / "other.db", folder)
    await asyncio.to_thread(refused._thread.join, PATIENCE_SECONDS)
    assert isinstance(refused.result, SettingsError)
    assert "the copy of another store" in str(refused.result)
    await other.storage.close()
    await owner.storage.close()


async def test_a_store_made_of_the_copy_is_not_taken_for_the_original(
    path: Path, folder: Path, tmp_path: Path
) -> None:
    """It stands in the original's place and goes on; then all of it is copied again."""
    async with Host(app, f"sqlite:///{path}") as host:
        with followed(path, folder) as one:
            await (await host.client.start(quick, instance_id="a")).result()
            await up_to_now(one)
    upkeep = upkeep_of(f"sqlite:///{path}")
    upkeep.restore(str(folder), now, force=True, accept_loss=True, told=untold)
    async with Host(app, f"sqlite:///{path}") as host:
        await (await host.client.start(quick, instance_id="b")).result()
        with followed(path, folder) as one:
            await up_to_now(one)
            assert one.says("copying")
            await asyncio.to_thread(restored, folder, tmp_path / "new.db", accept_loss=True)
    async with Host(app, f"sqlite:///{tmp_path / 'new.db'}") as host:
        assert await host.client.get_status("b") is not None


def test_bad_input_is_refused_whole(tmp_path: Path, path: Path, folder: Path) -> None:
    missing = Followed(path, folder)
    assert "there is no store" in str(missing.stop()) or isinstance(missing.result, StorageError)
    asyncio.run(make_store(path))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    refused = Followed(path, tmp_path / "full").stop()
    assert isinstance(refused, SettingsError)
    assert "holds other things, such as 'notes.txt'" in str(refused)
    with pytest.raises(SettingsError, match="there is no copy in the folder"):
        restored(tmp_path / "full", tmp_path / "new.db")
    found = tenuto(tmp_path, "backup", "a.db", "--follow", "b")
    assert found.returncode == 2
    assert "give FILE" in found.stderr


async def make_store(path: Path) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    await owner.storage.close()


async def test_a_part_of_the_copy_is_no_store(path: Path, folder: Path) -> None:
    await make_store(path)
    with followed(path, folder) as one:
        await up_to_now(one)
        with pytest.raises(SettingsError, match="tenuto restore"):
            await SqliteStorage(folder / "000001" / "base").open()


def newest_log(folder: Path) -> Path:
    """On a slow machine the log may have begun anew meanwhile."""
    return max(folder.glob("0*/log-*"))


async def test_a_damaged_copy_is_refused(path: Path, folder: Path, tmp_path: Path) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    with followed(path, folder) as one:
        await up_to_now(one)
        for number in range(5):
            await owner.commit(history=[turn(1, number)])
        await up_to_now(one)
    await owner.storage.close()
    log = newest_log(folder)
    whole = log.read_bytes()
    target = tmp_path / "new.db"
    log.write_bytes(whole[:-5000])
    with pytest.raises(StorageCorruptError, match="is not whole"):
        restored(folder, target)
    log.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(StorageCorruptError, match="is not whole"):
        restored(folder, target)
    log.unlink()
    with pytest.raises(StorageCorruptError, match="is missing"):
        restored(folder, target)
    log.write_bytes(whole)
    (folder / "reach.json").write_text("{")
    assert restored(folder, target).reaches_to > 0, "less is promised then, and that is kept"
