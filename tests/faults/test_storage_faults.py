"""The SQLite store when processes die, disks fill up and fsync fails.

``exactly_once_turns``: an acknowledged commit is there, whatever happened, and a commit that was
not acknowledged is there whole or not at all. ``one_owner``: a dead owner blocks nobody.
"""

import asyncio
import functools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import CommitResult
from tenuto.model.errors import StorageError, StorageUnavailableError
from tenuto.model.requests import InstanceQuery
from tenuto.storage.sqlite import SqliteStorage
from tenuto.storage.sqlite.backup import back_up
from tests.conformance.storage_suite import (
    Owner,
    everything,
    message,
    record,
    turn,
    until,
    update,
    used,
)
from tests.support.inboxes import waiting_in

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("storage_process.py")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@asynccontextmanager
async def process(*arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        *map(str, arguments),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def told(started: asyncio.subprocess.Process) -> str:
    assert started.stdout is not None
    line = await asyncio.wait_for(started.stdout.readline(), 30)
    return line.decode().strip()


def assert_sound(path: Path) -> None:
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


# --- two processes -----------------------------------------------------------------------------


async def test_one_owner_a_second_process_is_refused_and_is_a_client(path: Path) -> None:
    owner = await Owner.of(SqliteStorage(path), "the first host")
    cursor = (await owner.storage.load_partition(0, None, 1)).cursor
    changed = asyncio.Event()
    owner.storage.on_change(changed.set)
    async with process("second", path) as other:
        refusal = await told(other)
        assert "the first host" in refusal
        assert f"pid {os.getpid()}" in refusal
        assert await told(other) == "1"
        await asyncio.wait_for(changed.wait(), 30)
    page = await owner.storage.fetch_inbox({0: cursor})
    assert [row.instance_id for row in page.rows] == ["x", "started outside"]
    await owner.commit(instances=[record(1)])
    await owner.storage.close()


async def test_one_owner_a_killed_owner_is_taken_over_at_once(path: Path) -> None:
    async with process("hold", path) as holder:
        assert await told(holder) == "owned 1"
        storage = SqliteStorage(path)
        await storage.open()
        host = HostIdentity(owner="next", description="next")
        with pytest.raises(StorageError, match=f"holder, pid {holder.pid}"):
            await storage.acquire(host)
        holder.kill()
        await holder.wait()
        (lease,) = await storage.acquire(host)
        assert (lease.owner, lease.epoch) == ("next", 2)
        await storage.close()


# --- kill -9 -----------------------------------------------------------------------------------


async def killed_storm(path: Path, size: int, seconds: float) -> int:
    """Let a process commit, kill it, and return the last commit that it was told of."""
    acknowledged = 0
    async with process("storm", path, size) as committer:
        acknowledged = int(await told(committer))
        await asyncio.sleep(seconds)
        committer.kill()
        assert committer.stdout is not None
        rest = (await committer.stdout.read()).decode().split("\n")
        return max([acknowledged, *(int(line) for line in rest[:-1])])


async def assert_nothing_lost(path: Path, size: int, acknowledged: int) -> None:
    assert_sound(path)
    storage = SqliteStorage(path)
    await storage.open()
    loaded = await storage.load_instances(list(range(1, size + 1)))
    assert len(loaded) == size
    landed = len(loaded[0].turns)
    assert acknowledged <= landed <= acknowledged + 1
    for one in loaded:
        assert one.record.output == str(landed)
        assert one.turns == [b'[{"turn":%d}]' % n for n in range(1, landed + 1)]
    assert [row.message_id for row in await waiting_in(storage)] == [f"m{landed}"]
    await storage.close()


@pytest.mark.parametrize("size", [1, 100])
async def test_durable_before_visible_kill_in_a_storm_of_commits(path: Path, size: int) -> None:
    for seconds in (0.05, 0.4):
        acknowledged = await killed_storm(path, size, seconds)
        await assert_nothing_lost(path, size, acknowledged)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [1, 30, 300])
async def test_durable_before_visible_kill_at_many_moments(path: Path, size: int) -> None:
    for seed in range(20):
        acknowledged = await killed_storm(path, size, random.Random(seed).uniform(0, 0.7))
        await assert_nothing_lost(path, size, acknowledged)


# --- disks -------------------------------------------------------------------------------------


class Disk:
    """What goes wrong at the next write or sync of a file whose name ends with ``suffix``."""

    def __init__(self) -> None:
        self.error: type[apsw.Error] | None = None
        self.suffix = "-wal"
        self.at = "sync"
        self.failures = 0

    def check(self, at: str, name: str) -> None:
        if self.error is not None and self.at == at and name.endswith(self.suffix):
            self.failures += 1
            raise self.error("the disk of the test")


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: object, flags: list[int]) -> None:
        self.disk = disk
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)  # type: ignore[arg-type]

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self.disk.check("write", self.name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self.disk.at == "late sync":
            super().xSync(flags)
            self.disk.check("late sync", self.name)
            return
        self.disk.check("sync", self.name)
        super().xSync(flags)


class DiskVfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__("tests", "", exclude=set())

    def xOpen(self, name: object, flags: list[int]) -> DiskFile:  # noqa: N802 - SQLite's name
        return DiskFile(self.disk, name, flags)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    vfs = DiskVfs(disk)
    monkeypatch.setattr(apsw, "Connection", functools.partial(apsw.Connection, vfs="tests"))
    yield disk
    vfs.unregister()


@pytest.mark.parametrize("at", ["write", "sync", "late sync"])
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError, apsw.NoMemError])
async def test_exactly_once_a_batch_that_failed_is_sent_again(
    path: Path, disk: Disk, at: str, error: type[apsw.Error]
) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit("before", instances=[record(1)], inbox=[message("m1")])
    batch = owner.batch(
        "failing",
        instances=[record(2)],
        updates=[update(1, output="1")],
        history=[turn(1, 0), turn(2, 0)],
        inbox=[message("m2")],
        consumed=[used("m1")],
    )
    disk.at, disk.error = at, error
    for _ in range(3):
        with pytest.raises(StorageUnavailableError, match="cannot write to the store"):
            await owner.storage.commit(batch)
        assert await owner.storage.landed(batch) is None
        assert (await owner.loaded(1)).turns == []
    disk.error = None
    assert disk.failures >= 3
    await owner.send(batch)
    assert await owner.storage.landed(batch) == CommitResult()
    loaded = await owner.storage.load_instances([1, 2])
    assert [len(one.turns) for one in loaded] == [1, 1]
    after = await everything(owner.storage)
    await owner.storage.close()
    assert_sound(path)
    again = SqliteStorage(path)
    await again.open()
    assert await everything(again) == after
    await again.close()


@pytest.mark.parametrize("at", ["write", "sync"])
async def test_a_disk_that_is_full_at_a_checkpoint_stops_nobody(
    path: Path, disk: Disk, at: str
) -> None:
    """The log takes the commits; the file gets them when there is space again."""
    owner = await Owner.of(SqliteStorage(path))
    disk.at, disk.error, disk.suffix = at, apsw.FullError, "hub.db"
    for number in range(20):
        await owner.commit(history=[turn(1, number)])
        await asyncio.sleep(0.02)
    await until(lambda: disk.failures >= 2)
    disk.error = None
    hub = owner.storage._hub  # type: ignore[attr-defined]
    await until(lambda: hub.writer._unsaved_since is None)
    await owner.storage.close()
    assert_sound(path)


@pytest.mark.parametrize("at", ["write", "sync"])
async def test_a_backup_to_a_full_disk_leaves_nothing_and_says_so(
    path: Path, disk: Disk, at: str
) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1)])
    disk.at, disk.error, disk.suffix = at, apsw.FullError, ".partial"
    target = path.with_name("copy.db")
    with pytest.raises(StorageUnavailableError, match=r"copy\.db.*disk is full"):
        back_up(str(path), str(target), lambda: 1, force=False, told=lambda _done, _of: None)
    assert not list(path.parent.glob("*copy*"))
    assert not list(path.parent.glob(".copy*"))
    disk.error = None
    await owner.commit(instances=[record(2)])
    await owner.storage.close()


async def test_a_failed_slow_commit_writes_nothing(path: Path, disk: Disk) -> None:
    owner = await Owner.of(SqliteStorage(path))
    await owner.commit(instances=[record(1, "taken")])
    before = await everything(owner.storage)
    batch = owner.batch(instances=[record(2, "taken"), record(3)])
    disk.error = apsw.FullError
    with pytest.raises(StorageUnavailableError, match="disk is full"):
        await owner.storage.commit(batch)
    with pytest.raises(StorageUnavailableError):
        await owner.storage.append([message("m")])
    with pytest.raises(StorageUnavailableError):
        await owner.storage.start_instance(record(0, "x"))
    disk.error = None
    assert await everything(owner.storage) == before
    assert (await owner.send(batch)).refused == {2}
    await owner.storage.close()


async def test_a_full_store_takes_the_same_batch_when_there_is_space(path: Path) -> None:
    owner = await Owner.of(SqliteStorage(path))
    storage = owner.storage
    assert isinstance(storage, SqliteStorage)

    def limit(pages: int) -> object:
        return storage._write(lambda one: one.connection.pragma("max_page_count", pages))

    taken = await storage._write(lambda one: one.connection.pragma("page_count"))
    await limit(taken + 15)  # type: ignore[misc]
    number = 0
    while True:
        number += 1
        batch = owner.batch(str(number), history=[turn(1, number, events=b'["%4000d"]' % number)])
        try:
            await owner.send(batch)
        except StorageUnavailableError as error:
            assert "disk is full; free some space" in str(error)  # noqa: PT017 - ends the loop
            break
    assert number > 5
    assert batch.number == number
    assert await storage.landed(batch) is None
    with pytest.raises(StorageUnavailableError):
        await storage.commit(batch)
    await limit(10_000)  # type: ignore[misc]
    await owner.send(batch)
    await owner.commit(instances=[record(1)])
    assert len((await owner.loaded(1)).turns) == number
    await storage.close()
    assert_sound(path)


async def test_a_locked_store_is_unavailable_and_recovers(path: Path) -> None:
    owner = await Owner.of(SqliteStorage(path))
    storage = owner.storage
    assert isinstance(storage, SqliteStorage)
    await storage._write(lambda one: one.connection.set_busy_timeout(10))
    blocker = apsw.Connection(str(path))
    blocker.execute("BEGIN IMMEDIATE")
    batch = owner.batch("blocked", history=[turn(1, 0)])
    with pytest.raises(StorageUnavailableError, match="another process keeps it locked"):
        await storage.commit(batch)
    assert await storage.landed(batch) is None
    blocker.execute("ROLLBACK")
    blocker.close()
    await owner.send(batch)
    await storage.close()


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="makes a small file system with mount")
def test_a_really_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = shutil.which("mount")
    made = subprocess.run(
        [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False
    )
    if made.returncode != 0:
        pytest.skip("this user may not mount")
    try:
        asyncio.run(_fill_and_free(small))
    finally:
        subprocess.run(["umount", str(small)], check=True)


async def _fill_and_free(small: Path) -> None:
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 400_000)
    owner = await Owner.of(SqliteStorage(small / "hub.db"))
    await owner.commit(instances=[record(1)])
    number = 0
    while True:
        number += 1
        batch = owner.batch(str(number), history=[turn(1, number, events=b'["%9000d"]' % number)])
        try:
            await owner.send(batch)
        except StorageUnavailableError:
            break
    assert await owner.storage.landed(batch) is None
    ballast.unlink()
    await owner.send(batch)
    assert len((await owner.loaded(1)).turns) == number
    assert len((await owner.storage.query(InstanceQuery())).records) == 1
    await owner.storage.close()
    assert_sound(small / "hub.db")
