"""What happens to a host in the middle of its work: deployments, pauses, rivals, full disks."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tenuto import (
    App,
    Client,
    Context,
    Host,
    RuntimeStatus,
    StorageOwnedError,
    StorageUnavailableError,
)
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing import RecordingObserver
from tests.support import mixed_load
from tests.support.load_process import LoadProcess, check_all, check_unfinished, finish, unfinished
from tests.support.mixed_load import Item, drive, wave


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)


def has_lines(file: Path, count: int) -> bool:
    return len(file.read_text().splitlines()) >= count


async def make_store(store: Path) -> None:
    host = await LoadProcess.start(store)
    assert await host.said("up")
    await host.stop()


def begin(client: Client, waves: range) -> tuple[list[Item], list[asyncio.Task[None]]]:
    items = [item for number in waves for item in wave(number)]
    return items, [asyncio.create_task(drive(client, item)) for item in items]


async def test_a_graceful_stop_in_the_middle_lets_each_activity_run_exactly_once(
    store: Path, tmp_path: Path
) -> None:
    note = tmp_path / "notes"
    note.touch()
    await make_store(store)
    async with Client.open(f"sqlite:///{store}", mixed_load.app) as client:
        items, driving = begin(client, range(6))
        stopped_with_open_work = 0
        # On a busy machine a stop may come when all that was started has just ended.
        for number in range(6):
            noted = len(note.read_text().splitlines())
            host = await LoadProcess.start(store, range(number + 1), note=note)
            await until(partial(has_lines, note, noted + 5))
            await host.stop()
            check_unfinished(store)
            stopped_with_open_work += bool(await unfinished(client))
        assert stopped_with_open_work >= 2
        await finish(client, store, range(6), driving, note=note)
    check_all(store, items)
    ran = Counter(note.read_text().splitlines())
    assert len(ran) > 200
    assert [line for line, times in ran.items() if times > 1] == []


async def test_one_owner_a_second_host_is_refused_while_the_first_lives_even_when_it_is_paused(
    store: Path,
) -> None:
    await make_store(store)
    async with Client.open(f"sqlite:///{store}", mixed_load.app) as client:
        items, driving = begin(client, range(3))
        host = await LoadProcess.start(store, range(3))
        assert await host.said("up")
        for number in (signal.SIGSTOP, signal.SIGCONT):
            host.send(number)
            with pytest.raises(StorageOwnedError, match=f"pid {host.pid}"):
                await Host(mixed_load.app, f"sqlite:///{store}").start()
        await host.stop()
        await finish(client, store, range(3), driving)
    check_all(store, items)


async def test_exactly_once_turns_when_a_host_is_paused_again_and_again(store: Path) -> None:
    await make_store(store)
    async with Client.open(f"sqlite:///{store}", mixed_load.app) as client:
        items, driving = begin(client, range(3))
        host = await LoadProcess.start(store, range(3))
        assert await host.said("up")
        for _ in range(8):
            host.send(signal.SIGSTOP)
            await asyncio.sleep(0.1)  # timers and activities come due while it sleeps
            host.send(signal.SIGCONT)
            await asyncio.sleep(0.03)
        await host.stop()
        await finish(client, store, range(3), driving)
    check_all(store, items)


# --- disks ----------------------------------------------------------------------------------------

app = App()


@app.activity
async def pad(length: int) -> str:
    return "x" * length


@app.orchestrator
async def fill(ctx: Context, steps: int) -> int:
    total = 0
    for _ in range(steps):
        total += len(await ctx.call_activity(pad, 4_000))
    return total


async def test_a_full_disk_stops_the_work_and_loses_nothing(store: Path) -> None:
    storage = SqliteStorage(store)
    observer = RecordingObserver()

    async def limit_pages(pages: int) -> None:
        await storage._write(lambda writer: writer.connection.pragma("max_page_count", pages))

    async with Host(app, storage, observer=observer) as host:
        before = await host.client.start(fill, 1, instance_id="before")
        assert await before.result() == 4_000
        await limit_pages(120)
        handles = [await host.client.start(fill, 40, instance_id=f"full-{n}") for n in range(3)]
        await until(lambda: bool(observer.storage_failures))

        assert "disk is full" in str(observer.storage_failures[0])
        with pytest.raises(StorageUnavailableError, match=r"accepted now.*disk is full"):
            await host.client.start(fill, 1, instance_id="refused")
        with pytest.raises(StorageUnavailableError):
            await host.client.terminate("full-0")
        assert (await before.status()).runtime_status is RuntimeStatus.COMPLETED  # reading works

        await limit_pages(1_000_000)
        assert [await handle.result() for handle in handles] == [160_000] * 3
        assert await host.client.get_status("refused") is None
        later = await host.client.start(fill, 1, instance_id="refused")
        assert await later.result() == 4_000
    check_all(store, [])


async def test_a_full_disk_at_the_end_of_a_host_leaves_what_was_acknowledged(store: Path) -> None:
    storage = SqliteStorage(store)
    observer = RecordingObserver()
    async with Host(app, storage, observer=observer) as host:
        await host.client.start(fill, 1, instance_id="before")
        await storage._write(lambda writer: writer.connection.pragma("max_page_count", 120))
        for n in range(3):
            await host.client.start(fill, 40, instance_id=f"full-{n}")
        await until(lambda: bool(observer.storage_failures))
    check_unfinished(store)

    async with Host(app, f"sqlite:///{store}") as host:
        for n in range(3):
            assert await host.client.handle(f"full-{n}").result() == 160_000
    check_all(store, [])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="tenuto-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


READ_ONLY = """
import asyncio, os, sys
from tenuto import App, Host, StorageReadOnlyError
if os.geteuid() == 0:
    os.seteuid(65534)  # the rights of files mean nothing to root
async def main():
    try:
        await Host(App(), sys.argv[1]).start()
    except StorageReadOnlyError as error:
        print(error)
asyncio.run(main())
"""


def test_a_read_only_store_is_refused_with_a_reason_and_left_alone(open_folder: Path) -> None:
    store = open_folder / "hub.db"
    asyncio.run(_run_once(store))
    for file in open_folder.iterdir():
        file.chmod(0o444)
    open_folder.chmod(0o555)
    before = store.read_bytes()

    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, f"sqlite:///{store}"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    open_folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "read-only for this user; give the user the right to write both" in done.stdout
    assert store.read_bytes() == before


async def _run_once(store: Path) -> None:
    async with Host(app, f"sqlite:///{store}") as host:
        await (await host.client.start(fill, 1)).result()
