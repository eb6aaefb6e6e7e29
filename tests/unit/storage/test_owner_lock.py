"""One host owns the file: the lock beside it (``one_owner``)."""

import errno
import os
from pathlib import Path

import pytest

from tenuto.engine.ports import HostIdentity
from tenuto.model.errors import StorageOwnedError, StorageUnavailableError
from tenuto.storage.sqlite import SqliteStorage
from tenuto.storage.sqlite.lock import OwnerLock
from tests.conformance.storage_suite import Owner


async def test_one_owner_the_second_host_is_told_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    first = await Owner.of(SqliteStorage(path), "api on alpha")
    second = SqliteStorage(path)
    await second.open()
    host = HostIdentity(owner="b", description="worker on beta")
    with pytest.raises(StorageOwnedError) as caught:
        await second.acquire(host)
    text = str(caught.value)
    assert "api on alpha" in text
    assert f"pid {os.getpid()}" in text
    assert "since 20" in text
    assert "stop that host" in text
    await first.commit()
    await first.storage.release(first.leases)
    assert (await second.acquire(host))[0].epoch == 2
    await second.close()
    await first.storage.close()


async def test_one_owner_another_name_of_the_file_is_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hub.db"
    first = await Owner.of(SqliteStorage(path))
    (tmp_path / "link.db").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    second = SqliteStorage("link.db")
    await second.open()
    with pytest.raises(StorageOwnedError):
        await second.acquire(HostIdentity(owner="b", description=""))
    await first.storage.close()
    await second.acquire(HostIdentity(owner="b", description=""))
    await second.close()


async def test_one_owner_a_second_name_of_the_same_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    first = await Owner.of(SqliteStorage(path))
    (tmp_path / "link.db").hardlink_to(path)
    second = SqliteStorage(tmp_path / "link.db")
    await second.open()
    with pytest.raises(StorageOwnedError, match="one of 2 names of the same file"):
        await second.acquire(HostIdentity(owner="b", description=""))
    await second.close()
    await first.storage.close()
    (tmp_path / "link.db").unlink()
    await first.storage.open()
    await first.storage.acquire(HostIdentity(owner="a", description=""))
    await first.storage.close()


async def test_release_of_some_partitions_keeps_the_lock(tmp_path: Path) -> None:
    first = await Owner.of(SqliteStorage(tmp_path / "hub.db", partitions=2))
    second = SqliteStorage(tmp_path / "hub.db")
    await second.open()
    await first.storage.release(first.leases[:1])
    with pytest.raises(StorageOwnedError):
        await second.acquire(HostIdentity(owner="b", description=""))
    await first.storage.release(first.leases[1:])
    await second.acquire(HostIdentity(owner="b", description=""))
    await first.storage.close()
    await second.close()


async def test_a_failed_acquire_leaves_the_lock_free(tmp_path: Path) -> None:
    first = SqliteStorage(tmp_path / "hub.db")
    await first.open()
    await first._write(lambda one: one.connection.set_busy_timeout(0))
    second = SqliteStorage(tmp_path / "hub.db")
    await second.open()
    await second._write(lambda one: one.connection.execute("BEGIN IMMEDIATE"))
    with pytest.raises(StorageUnavailableError, match="locked"):
        await first.acquire(HostIdentity(owner="a", description=""))
    await second._write(lambda one: one.connection.execute("ROLLBACK"))
    await second.acquire(HostIdentity(owner="b", description=""))
    await first.close()
    await second.close()


def test_a_silent_holder_is_still_a_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    first, second = OwnerLock(str(tmp_path / "hub.db")), OwnerLock(str(tmp_path / "hub.db"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        first.take("first")
    assert first.held
    first.take("again")
    with pytest.raises(StorageOwnedError, match="has not said who it is"):
        second.take("second")
    first.drop()
    first.drop()
    first.forget()
    second.take("second")
    second.drop()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    first, second = OwnerLock(str(tmp_path / "hub.db")), OwnerLock(str(tmp_path / "hub.db"))
    first.take("first")
    ready, tells = os.pipe()
    asks, answers = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(answers)
            os.write(tells, b"forked")
            os.read(asks, 1)  # lives until the parent's end is closed
        finally:
            os._exit(0 if not first.held else 1)
    os.read(ready, 6)
    first.forget()  # as when this process dies
    second.take("second")
    second.drop()
    for descriptor in (ready, tells, asks, answers):
        os.close(descriptor)
    assert os.waitpid(child, 0)[1] == 0
