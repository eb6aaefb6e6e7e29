"""``tenuto backup`` and ``tenuto restore``: whole, checked, and never run beside the original.

``exactly_once_turns`` and ``one_owner`` for copies: what the host of the original did after the
copy was made would run again, so such a copy is started only when somebody says so.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from tenuto import App, Client, Context, Host, StorageCopyError, StorageOwnedError
from tenuto.cli.command import run_command_line
from tenuto.engine.upkeep import Copy
from tenuto.storage import upkeep_of
from tests.support import mixed_load
from tests.support.load_process import LoadProcess, check_unfinished
from tests.support.mixed_load import drive, wave
from tests.support.terminal import TENUTO, Program, tenuto

if sys.platform == "win32":
    pytest.skip("rights and signals of POSIX", allow_module_level=True)

app = App()
ran: list[str] = []


@app.activity
def note(word: str) -> str:
    ran.append(word)
    return word


@app.orchestrator
async def noting(ctx: Context, word: str) -> str:
    return await ctx.call_activity(note, word)


@app.orchestrator
async def waiting(ctx: Context) -> str:
    return await ctx.wait_for_external_event("go", str)


def now() -> int:
    return time.time_ns() // 1000


def untold(_done: int, _of: int) -> None: ...


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Client]:
    async with Host(app, f"sqlite:///{path}") as host:
        yield host.client


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TENUTO_")]:
        monkeypatch.delenv(name)
    return tmp_path


def command(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    found = run_command_line(list(arguments))
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    return captured.out, captured.err


async def stopped_store(path: Path, *words: str) -> None:
    async with running(path) as client:
        for word in words:
            handle = await client.start(noting, word, instance_id=word)
            await handle.result()


async def beside_a_host(path: Path, copy: Path) -> None:
    """A copy of a store whose host runs, and ended instances in both."""
    async with running(path) as client:
        await client.start(waiting, instance_id="waits")
        await (await client.start(noting, "one", instance_id="one")).result()
        await asyncio.to_thread(back_up, path, copy)


def back_up(path: Path, copy: Path, *, force: bool = False) -> Copy:
    return upkeep_of(f"sqlite:///{path}").back_up(str(copy), now, force=force, told=untold)


# --- what a copy holds -------------------------------------------------------------------------


async def test_a_copy_beside_a_host_holds_what_was_committed_and_is_for_its_owner_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(folder / "tenuto.db") as client:
        await (await client.start(noting, "one", instance_id="one")).result()
        before = now()
        out, err = await asyncio.to_thread(command, capsys, "backup", "copy.db", "--json")
        found = json.loads(out)
        await (await client.start(noting, "two", instance_id="two")).result()
    assert err == ""
    assert found["instances"] == 1
    assert found["bytes"] == (folder / "copy.db").stat().st_size
    assert found["hostHadStopped"] is False
    assert found["reachesTo"].startswith("20")
    assert (folder / "copy.db").stat().st_mode & 0o777 == 0o600
    examined = await upkeep_of("sqlite:///copy.db").examine(now(), full=True)
    assert examined.is_readable
    assert before <= (examined.copied_at or 0) <= now()
    assert files(folder, "*copy.db*") == ["copy.db"]


async def test_copies_under_load_are_whole(tmp_path: Path) -> None:
    store = tmp_path / "hub.db"
    host = await LoadProcess.start(store, range(6))
    try:
        assert await host.said("started")
        async with Client.open(f"sqlite:///{store}", mixed_load.app) as client:
            items = [item for one in range(6) for item in wave(one)]
            driving = [asyncio.create_task(drive(client, item)) for item in items]
            sizes = []
            for _ in range(10):
                copy = tmp_path / "copy.db"
                found = await asyncio.to_thread(back_up, store, copy, force=True)
                check_unfinished(copy)
                sizes.append(found.instances)
            await asyncio.gather(*driving)
    finally:
        await host.kill()
    assert sizes == sorted(sizes)
    assert sizes[-1] > 0


async def test_a_backup_does_not_keep_the_host_from_committing(tmp_path: Path) -> None:
    """Between two steps of the copy the host commits, and the copy knows nothing of it."""
    path = tmp_path / "tenuto.db"
    async with running(path) as client:
        await (await client.start(noting, "x" * 3_000_000, instance_id="big")).result()
        loop = asyncio.get_running_loop()
        committed: list[int] = []

        def told(_done: int, _of: int) -> None:
            if not committed:
                committed.append(1)
                start = client.start(noting, "meanwhile", instance_id="meanwhile")
                asyncio.run_coroutine_threadsafe(start, loop).result(10)

        upkeep = upkeep_of(f"sqlite:///{path}")
        copy = await asyncio.to_thread(
            upkeep.back_up, str(tmp_path / "copy.db"), now, force=False, told=told
        )
    assert committed
    assert copy.instances == 1


# --- a copy is not its original ----------------------------------------------------------------


async def test_one_owner_a_copy_of_a_running_store_is_refused(tmp_path: Path) -> None:
    path, copy = tmp_path / "tenuto.db", tmp_path / "copy.db"
    await beside_a_host(path, copy)
    with pytest.raises(StorageCopyError, match=r"reaches up to 20\d\d-.*Z; .*--accept-loss"):
        await Host(app, f"sqlite:///{copy}").start()
    async with Client.open(f"sqlite:///{copy}", app) as client:
        found = await client.get_status("one")
    assert found is not None, "a copy can be looked at"
    with pytest.raises(StorageCopyError):
        await Host(app, f"sqlite:///{copy}").start()


async def test_one_owner_what_had_stopped_is_taken_up_by_its_copy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, copy = tmp_path / "tenuto.db", tmp_path / "copy.db"
    await stopped_store(path, "one")
    found = back_up(path, copy)
    assert found.host_had_stopped
    caplog.set_level("INFO")
    async with running(copy) as client:
        assert await client.get_status("one") is not None
    assert "the store was a copy, which reaches up to 20" in caplog.text
    caplog.clear()
    async with running(copy):
        pass
    assert "was a copy" not in caplog.text, "once it was started it is a store as any"


async def test_a_copy_begins_a_life_of_its_own(tmp_path: Path) -> None:
    path, copy = tmp_path / "tenuto.db", tmp_path / "copy.db"
    await beside_a_host(path, copy)
    original = incarnation(path)
    assert incarnation(copy) == original
    reaches = upkeep_of(f"sqlite:///{copy}").accept_loss()
    assert reaches is not None
    async with running(copy) as client:
        await client.raise_event("waits", "go", "now")
        assert await client.handle("waits").result() == "now"
    assert incarnation(copy) not in {original, ""}
    assert incarnation(path) == original


async def test_accept_loss_changes_nothing_of_a_store_that_is_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "tenuto.db"
    async with running(path) as client:
        assert upkeep_of(f"sqlite:///{path}").accept_loss() is None
        await (await client.start(noting, "still its owner")).result()


def incarnation(path: Path) -> str:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return str(connection.execute("SELECT incarnation FROM hub").fetchall()[0][0])
    finally:
        connection.close()


APP = """
from tenuto import App, Context

app = App()


@app.orchestrator
async def quick(ctx: Context) -> str:
    return "done"
"""


def test_start_and_run_refuse_a_copy_unless_the_loss_is_accepted(folder: Path) -> None:
    (folder / "travel.py").write_text(APP)
    asyncio.run(beside_a_host(folder / "tenuto.db", folder / "copy.db"))
    assert tenuto(folder, "backup", "--storage", "sqlite:///copy.db", "second.db").returncode == 0
    url = "sqlite:///copy.db"
    for name in ("start", "run"):
        refused = tenuto(folder, name, "travel.py", "--storage", url)
        assert refused.returncode == 1
        assert "TN-1609" in refused.stderr
    done = tenuto(folder, "run", "travel.py", "--id", "q", "--storage", url, "--accept-loss")
    assert done.returncode == 0, done.stderr
    options = ("--storage", "sqlite:///second.db", "--accept-loss", "--port", "0")
    with Program(folder, *TENUTO, "start", "travel.py", *options) as server:
        server.until("listening")


# --- restoring ---------------------------------------------------------------------------------


async def test_a_restored_store_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await stopped_store(folder / "tenuto.db", "one")
    command(capsys, "backup", "copy.db")
    await stopped_store(folder / "tenuto.db", "later")
    out, _ = command(capsys, "restore", "copy.db", "new.db")
    assert "1 instance" in out
    async with running(folder / "new.db") as client:
        assert await client.get_status("one") is not None
        assert await client.get_status("later") is None
    assert (folder / "new.db").stat().st_mode & 0o777 == 0o600


async def test_a_copy_of_a_copy_reaches_as_far_as_that_and_is_refused_as_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await beside_a_host(folder / "tenuto.db", folder / "copy.db")
    first = json.loads(command(capsys, "restore", "copy.db", "a.db", "--json")[0])
    second = json.loads(command(capsys, "restore", "a.db", "b.db", "--json")[0])
    third = json.loads(
        command(capsys, "backup", "c.db", "--storage", "sqlite:///a.db", "--json")[0]
    )
    assert first["reachesTo"] == second["reachesTo"] == third["reachesTo"]
    for name in ("a.db", "b.db", "c.db"):
        with pytest.raises(StorageCopyError):
            await Host(app, f"sqlite:///{name}").start()
    command(capsys, "restore", "copy.db", "d.db", "--accept-loss")
    async with running(folder / "d.db") as client:
        assert await client.get_status("one") is not None


async def test_restore_moves_aside_what_it_replaces_with_its_log(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await stopped_store(folder / "tenuto.db", "one")
    command(capsys, "backup", "copy.db")
    host = await LoadProcess.start(folder / "tenuto.db", range(1))
    assert await host.said("up")
    out, err = command(capsys, "restore", "copy.db", "tenuto.db", code=2)
    assert "is there already" in err
    out, err = command(capsys, "restore", "copy.db", "tenuto.db", "--force", code=1)
    assert "TN-1604" in err
    await host.kill()
    log = (folder / "tenuto.db-wal").read_bytes()
    assert log
    out, _ = command(capsys, "restore", "copy.db", "tenuto.db", "--force")
    kept = files(folder, "tenuto.db.replaced-*")
    assert log in [(folder / one).read_bytes() for one in kept]
    assert all(one in out for one in kept)
    async with running(folder / "tenuto.db") as client:
        assert await client.get_status("one") is not None


# --- what is refused ---------------------------------------------------------------------------


def test_bad_input_is_refused_whole_where_a_copy_cannot_go(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(stopped_store(folder / "tenuto.db", "one"))
    (folder / "kept.db").write_text("mine")
    (folder / "beside.db-wal").write_text("the log of another")
    os.mkfifo(folder / "pipe")
    for target, reason in (
        ("kept.db", "is there already"),
        ("no/such/folder.db", "does not exist"),
        (".", "it is a folder"),
        ("beside.db", "the log"),
    ):
        _, err = command(capsys, "backup", target, code=2)
        assert reason in err
    for target, reason in (
        ("tenuto.db", "belongs to the store itself"),
        ("tenuto.db-wal", "belongs to the store itself"),
        ("pipe", "no plain file"),
        ("beside.db", "the log"),
    ):
        _, err = command(capsys, "backup", target, "--force", code=2)
        assert reason in err
    assert (folder / "kept.db").read_text() == "mine"
    names = {one.name for one in folder.iterdir()}
    assert names <= {"kept.db", "beside.db-wal", "pipe"} | {
        f"tenuto.db{one}" for one in ("", "-wal", "-shm", ".owner")
    }


def test_bad_input_is_refused_whole_where_there_is_nothing_to_copy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = command(capsys, "backup", "copy.db", code=2)
    assert "there is no store at" in err
    (folder / "notes.txt").write_text("no database")
    _, err = command(capsys, "restore", "notes.txt", "new.db", code=1)
    assert "TN-1602" in err
    other = apsw.Connection("other.db")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    _, err = command(capsys, "backup", "copy.db", "--storage", "sqlite:///other.db", code=1)
    assert "is not a Tenuto store" in err
    asyncio.run(stopped_store(folder / "tenuto.db"))
    newer = apsw.Connection("tenuto.db")
    newer.pragma("user_version", 99)
    newer.close()
    _, err = command(capsys, "backup", "copy.db", code=1)
    assert "TN-1603" in err
    assert not (folder / "copy.db").exists()
    assert not (folder / "new.db").exists()


def test_a_damaged_store_gives_no_copy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(stopped_store(folder / "tenuto.db", *map(str, range(40))))
    connection = apsw.Connection("tenuto.db")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX instance_created ON instance (updated_at)' "
        "WHERE name = 'instance_created'"
    )
    connection.close()
    _, err = command(capsys, "backup", "copy.db", code=1)
    assert "TN-1602" in err
    assert "tenuto doctor --full" in err
    assert not list(folder.glob("*copy.db*"))


async def test_a_host_runs_on_what_would_be_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await stopped_store(folder / "tenuto.db", "one")
    async with running(folder / "live.db"):
        _, err = await asyncio.to_thread(command, capsys, "backup", "live.db", "--force", code=1)
    assert StorageOwnedError.code in err


async def test_a_killed_backup_leaves_nothing_that_stays(folder: Path) -> None:
    async with running(folder / "tenuto.db") as client:
        await (await client.start(noting, "x" * 3_000_000, instance_id="big")).result()
        await asyncio.to_thread(killed_backup, folder)
        done = await asyncio.to_thread(tenuto, folder, "backup", "copy.db", "--force")
    assert done.returncode == 0, done.stderr
    assert files(folder, "*copy.db*") == ["copy.db"]


def killed_backup(folder: Path) -> None:
    with Program(folder, *TENUTO, "backup", "copy.db") as killed:
        while not files(folder, ".copy.db.*.partial") and killed.process.poll() is None:
            time.sleep(0.001)
        killed.send(signal.SIGKILL)
        killed.end()


def files(folder: Path, pattern: str) -> list[str]:
    return sorted(one.name for one in folder.glob(pattern))


def test_doctor_says_that_a_store_is_a_copy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(beside_a_host(folder / "tenuto.db", folder / "copy.db"))
    out, _ = command(capsys, "doctor", "--storage", "sqlite:///copy.db")
    assert "a copy that reaches up to" in out
    assert "--accept-loss" in out
    command(capsys, "backup", "stopped.db")
    out, _ = command(capsys, "doctor", "--storage", "sqlite:///stopped.db")
    assert "the host of its original had stopped" in out
    found = json.loads(command(capsys, "doctor", "--storage", "sqlite:///stopped.db", "--json")[0])
    assert found["store"]["copiedAt"] > 0
