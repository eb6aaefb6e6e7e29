"""Functions that files start: real folders, a real store, virtual time."""

import asyncio
import json
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tenuto import App, ArrivedFile, Client, Context, RegistrationError, RetryPolicy, Settings
from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import FailedDelivery, Redriven
from tenuto.host.host import Host
from tenuto.messaging import suspects
from tenuto.model.arrived_files import note_key, note_of
from tenuto.model.errors import StorageUnavailableError
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing import TestHost
from tests.support import files_process
from tests.support.away import own_store_away
from tests.support.waiting import until, until_given

MIB = 1024 * 1024

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


class Noting:
    """An app with one function for the files of a folder, and what it was told."""

    def __init__(self, inbox: Path, **options: Any) -> None:
        self.app = App()
        self.told: list[ArrivedFile] = []
        self.then: Callable[[ArrivedFile], Any] = lambda _file: None

        @self.app.files(inbox, **options, name="noting")
        async def noting(file: ArrivedFile) -> None:
            self.told.append(file)
            result = self.then(file)
            if asyncio.iscoroutine(result):
                await result

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.told]


async def failed_of(host: TestHost) -> list[FailedDelivery]:
    return await host.host.engine.storage.failed_deliveries(source="files")


# --- what is delivered ---------------------------------------------------------------------------


async def test_each_file_is_delivered_once(inbox: Path) -> None:
    noting = Noting(inbox)
    (inbox / "before.txt").write_bytes(b"1")
    async with TestHost(noting.app) as host:
        await host.advance(SECOND)
        assert noting.names == ["before.txt"]
        (inbox / "later.txt").write_bytes(b"22")
        await host.advance(SECOND)
        await host.advance(HOUR)
        assert noting.names == ["before.txt", "later.txt"]
        assert host.problems == []
    assert len({one.id for one in noting.told}) == 2


async def test_what_a_function_is_told(inbox: Path) -> None:
    noting = Noting(inbox)
    path = inbox / "a.csv"
    path.write_bytes(b"hello")
    os.utime(path, ns=(0, 1_500_000_000_000_000_000))
    async with TestHost(noting.app) as host:
        await host.advance(SECOND)
    (told,) = noting.told
    assert told == ArrivedFile(
        id=told.id,
        path=path,
        name="a.csv",
        size=5,
        modified_at=datetime(2017, 7, 14, 2, 40, tzinfo=UTC),
        attempt=1,
    )


async def test_a_file_that_still_grows_waits_until_it_is_whole(inbox: Path) -> None:
    noting = Noting(inbox, settled=3 * SECOND)
    async with TestHost(noting.app) as host:
        for number in range(5):
            with (inbox / "log").open("ab") as file:
                file.write(b"x" * 10)
            await host.advance(2 * SECOND)
            assert noting.told == [], number
        await host.advance(SECOND)
        assert [one.size for one in noting.told] == [50]


async def test_a_file_that_changes_is_another_one(inbox: Path) -> None:
    noting = Noting(inbox)
    path = inbox / "a"
    async with TestHost(noting.app) as host:
        path.write_bytes(b"1")
        await host.advance(5 * SECOND)
        path.write_bytes(b"12")
        await host.advance(5 * SECOND)
        # Of the same length and time, moved over the old one.
        (inbox.parent / "new").write_bytes(b"34")
        os.utime(inbox.parent / "new", ns=(0, path.stat().st_mtime_ns))
        (inbox.parent / "new").rename(path)
        await host.advance(5 * SECOND)
    assert [one.size for one in noting.told] == [1, 2, 2]
    assert len({one.id for one in noting.told}) == 3


async def test_names_that_count(inbox: Path) -> None:
    (inbox / "deep" / "er").mkdir(parents=True)
    (inbox / ".hidden").mkdir()
    for name in ("a.csv", "b.CSV", ".c.csv", "d.csv.part", "deep/e.csv", "deep/er/f.csv"):
        (inbox / name).write_bytes(b"")
    (inbox / ".hidden" / "g.csv").write_bytes(b"")
    (inbox / "h.csv").mkdir()
    (inbox / "i.csv").symlink_to(inbox / "b.CSV")
    (inbox / "p.csv").symlink_to("/etc/passwd")
    (inbox / "j.csv").symlink_to(inbox / "nothing")
    (inbox / "deep" / "back").symlink_to(inbox)
    kinds: dict[str, dict[str, Any]] = {
        "flat": {"pattern": "*.csv"},
        "deep": {"pattern": "*.csv", "recursive": True},
        "hidden": {"pattern": ".*.csv"},
    }
    found = {}
    for key, options in kinds.items():
        noting = Noting(inbox, **options)
        async with TestHost(noting.app) as host:
            await host.advance(SECOND)
        found[key] = sorted(noting.names)
    assert found == {  # and no link, which a function would follow out of the folder
        "flat": ["a.csv"],
        "deep": ["a.csv", "e.csv", "f.csv"],
        "hidden": [".c.csv"],
    }


async def test_a_name_that_is_no_utf_8(inbox: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    (inbox / name).write_bytes(b"1")
    noting = Noting(inbox, retry=ONCE)
    noting.then = lambda _file: 1 / 0
    async with TestHost(noting.app) as host:
        await host.advance(SECOND)
        await host.restart()
        await host.advance(SECOND)
        assert noting.names == [name]
        assert noting.told[0].path.read_bytes() == b"1"
        assert len(await failed_of(host)) == 1


async def test_two_functions_on_one_folder(inbox: Path) -> None:
    app, told = App(), list[str]()

    @app.files(inbox)
    def first(file: ArrivedFile) -> None:
        told.append(f"first {file.name}")

    @app.files(inbox, pattern="*.txt")
    async def second(file: ArrivedFile) -> None:
        told.append(f"second {file.name}")

    (inbox / "a.txt").write_bytes(b"")
    (inbox / "b").write_bytes(b"")
    async with TestHost(app) as host:
        await host.advance(SECOND)
    assert sorted(told) == ["first a.txt", "first b", "second a.txt"]


async def test_a_file_starts_an_orchestration_once(inbox: Path) -> None:
    app = App()

    @app.orchestrator
    async def process(ctx: Context, name: str) -> str:
        await ctx.create_timer(timedelta(days=2))
        return name.upper()

    @app.files(inbox)
    async def arrived(file: ArrivedFile, client: Client) -> None:
        await client.start(process, file.name, instance_id=f"file-{file.id}")

    (inbox / "a").write_bytes(b"")
    async with TestHost(app) as host:
        await host.advance(SECOND)
        (instance,) = [one async for one in host.client.query()]
        assert instance.tags is not None
        assert instance.tags["tenuto.cause"].startswith("file:arrived/a#")
        # Waiting for days does not look at the folder for each second of them.
        assert await host.client.handle_of(instance.instance_id, process).result() == "A"


# --- restarts and deaths -------------------------------------------------------------------------


async def test_a_file_that_does_not_end_holds_up_no_other_after_a_death(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspects, "_PATIENCE_SECONDS", 0.01)
    noting = Noting(inbox)
    noting.then = lambda _file: asyncio.Event().wait()
    for order, name in enumerate(["a", "b"]):
        (inbox / name).write_bytes(b"")
        os.utime(inbox / name, ns=(order, order))
    async with TestHost(noting.app) as host:
        await host.advance(SECOND, with_activities=False)
        await until(lambda: noting.names == ["a", "b"])
        await host.crash()
        noting.told.clear()
        await host.advance(SECOND, with_activities=False)
        await until(lambda: noting.names == ["a", "b"])
        await host.crash()


async def test_what_was_done_is_done_after_a_restart_and_a_crash(inbox: Path) -> None:
    noting = Noting(inbox)
    for number in range(50):
        (inbox / str(number)).write_bytes(b"")
    async with TestHost(noting.app) as host:
        await host.advance(SECOND)
        assert len(noting.told) == 50
        await host.restart()
        await host.advance(5 * SECOND)
        await host.crash()
        await host.advance(5 * SECOND)
        assert len(noting.told) == 50


async def test_a_file_whose_host_dies_is_delivered_again(inbox: Path) -> None:
    noting = Noting(inbox)
    noting.then = lambda _file: asyncio.Event().wait()
    (inbox / "a").write_bytes(b"")
    async with TestHost(noting.app) as host:
        await host.advance(SECOND, with_activities=False)
        await until(lambda: noting.told)
        await host.crash()
        noting.then = lambda _file: None
        await host.advance(SECOND)
        await host.advance(HOUR)
    assert [(one.name, one.attempt) for one in noting.told] == [("a", 1), ("a", 2)]
    assert len({one.id for one in noting.told}) == 1


async def test_one_that_ends_its_host_again_and_again_is_told_from_those_beside_it(
    inbox: Path,
) -> None:
    noting = Noting(inbox)
    noting.then = lambda file: asyncio.Event().wait() if file.name == "deadly" else None
    for order, name in enumerate(["deadly", "a", "b"]):
        (inbox / name).write_bytes(b"")
        os.utime(inbox / name, ns=(order, order))
    async with TestHost(noting.app) as host:
        for _ in range(3):
            noting.told.clear()
            await host.advance(SECOND, with_activities=False)
            await until(lambda: "deadly" in noting.names)
            await host.crash()
        noting.told.clear()
        await host.advance(5 * SECOND)
        assert "deadly" not in noting.names
        (failed,) = await failed_of(host)
        assert failed.error == "TenutoError: the host has died 3 times while the function ran"
        assert failed.attempts == 3
        # Given back, it has all attempts again.
        noting.then = lambda _file: None
        await host.host.engine.storage.redrive([failed.number], host.clock.now())
        await host.advance(5 * SECOND)
        assert [(one.name, one.attempt) for one in noting.told] == [("deadly", 1)]


async def test_a_file_that_goes_while_it_waits_is_not_run(inbox: Path) -> None:
    policy = RetryPolicy(max_attempts=5, first_interval=10 * SECOND)
    noting = Noting(inbox, retry=policy)
    noting.then = lambda _file: 1 / 0
    for name in ("gone", "changed"):
        (inbox / name).write_bytes(b"")
    async with TestHost(noting.app) as host:
        await host.advance(SECOND)
        (inbox / "gone").unlink()
        (inbox / "changed").write_bytes(b"12")
        noting.then = lambda _file: None
        await host.advance(HOUR)
    assert sorted((one.name, one.size) for one in noting.told) == [
        ("changed", 0),
        ("changed", 2),
        ("gone", 0),
    ]
    assert {one.attempt for one in noting.told} == {1}


async def test_a_folder_in_it_that_cannot_be_read_forgets_nothing(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noting = Noting(inbox, recursive=True)
    (inbox / "deep").mkdir()
    for name in ("a", "deep/b"):
        (inbox / name).write_bytes(b"")
    scandir, is_away = os.scandir, False

    def failing(path: str) -> object:
        # Whoever runs this test may be allowed to read everything.
        if is_away and str(path).endswith("/deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    async with TestHost(noting.app) as host:
        await host.advance(2 * SECOND)
        is_away = True
        await host.advance(5 * SECOND)
        await host.advance(5 * SECOND)
        is_away = False
        await host.advance(5 * SECOND)
        assert sorted(noting.names) == ["a", "b"]
        ((_, problem),) = host.problems
        assert f"the folder {str(inbox / 'deep')!r} cannot be read: Permission denied" in problem


async def test_what_is_gone_is_forgotten(inbox: Path) -> None:
    noting = Noting(inbox)
    async with TestHost(noting.app) as host:
        for number in range(20):
            (inbox / str(number)).write_bytes(b"")
        await host.advance(2 * SECOND)
        for number in range(20):
            (inbox / str(number)).unlink()
        await host.advance(2 * SECOND)
        storage = host.host.engine.storage
        keys = [f"files/{number:x}/noting" for number in range(1_024)]
        assert set((await storage.notes(keys)).values()) == {"{}"}
    assert len(noting.told) == 20


async def test_a_folder_that_is_away_for_a_while_forgets_nothing(
    tmp_path: Path, inbox: Path
) -> None:
    noting = Noting(inbox)
    (inbox / "a").write_bytes(b"")
    async with TestHost(noting.app) as host:
        await host.advance(2 * SECOND)
        away = tmp_path / "away"
        shutil.move(inbox, away)
        await host.advance(2 * SECOND)
        await host.advance(2 * SECOND)
        shutil.move(away, inbox)
        (inbox / "b").write_bytes(b"")
        await host.advance(2 * SECOND)
        assert noting.names == ["a", "b"]
        ((_, problem),) = host.problems
        assert repr(str(inbox)) in problem
        assert "No such file or directory" in problem


@pytest.fixture
def share(tmp_path: Path, inbox: Path) -> Iterator[Path]:
    """A folder on another file system."""
    share = Path("/dev/shm") / f"tenuto-{os.getpid()}-{tmp_path.name}"
    try:
        share.mkdir()
    except OSError:
        pytest.skip("needs a second file system")
    try:
        if share.stat().st_dev == inbox.stat().st_dev:
            pytest.skip("needs a second file system")
        yield share
    finally:
        shutil.rmtree(share)


async def test_a_mount_that_is_away_forgets_nothing(
    tmp_path: Path, inbox: Path, share: Path
) -> None:
    link = tmp_path / "link"

    def lead(to: Path) -> None:
        link.unlink(missing_ok=True)
        link.symlink_to(to)

    lead(share)
    noting = Noting(link)
    (share / "a").write_bytes(b"")
    async with TestHost(noting.app) as host:
        await host.advance(2 * SECOND)
        lead(inbox)
        await host.restart()
        await host.advance(2 * SECOND)
        assert "another device" in host.problems[0][1]
        lead(share)
        await host.advance(2 * SECOND)
        assert noting.names == ["a"]
        # What is there now is another folder, and counts.
        lead(inbox)
        (inbox / "b").write_bytes(b"")
        await host.advance(2 * SECOND)
        assert noting.names == ["a", "b"]


# --- failures ------------------------------------------------------------------------------------


async def test_a_file_that_fails_is_tried_again_and_put_aside(inbox: Path) -> None:
    policy = RetryPolicy(max_attempts=3, first_interval=10 * SECOND, backoff=2.0)
    noting = Noting(inbox, retry=policy)
    at = list[datetime]()
    (inbox / "bad").write_bytes(b"123")
    async with TestHost(noting.app) as host:

        def fail(file: ArrivedFile) -> None:
            at.append(host.clock.current_time)
            raise ValueError(f"{file.name} is bad")

        noting.then = fail
        await host.advance(HOUR)
        assert [one.attempt for one in noting.told] == [1, 2, 3]
        assert [b - a for a, b in pairwise(at)] == [10 * SECOND, 20 * SECOND]
        (failed,) = await failed_of(host)
        assert failed.source == "files"
        assert (failed.name, failed.function) == (str(inbox), "noting")
        assert (failed.message_id, failed.attempts) == (noting.told[0].id, 3)
        assert failed.error == "ValueError: bad is bad"
        assert json.loads(failed.content) == {"path": "bad", "size": 3}
        await host.restart()
        await host.advance(HOUR)
        assert len(noting.told) == 3
        assert len(await failed_of(host)) == 1


async def test_that_the_store_is_away_is_no_attempt_of_a_file(inbox: Path) -> None:
    noting = Noting(inbox, retry=RetryPolicy(max_attempts=2))
    (inbox / "a").write_bytes(b"")

    def fail(_file: ArrivedFile) -> None:
        if len(noting.told) <= 4:
            raise own_store_away()
        if len(noting.told) == 5:
            raise ValueError("once")

    noting.then = fail
    async with TestHost(noting.app) as host:
        await host.advance(HOUR)
        assert [one.attempt for one in noting.told] == [1, 1, 1, 1, 1, 2]
        assert await failed_of(host) == []
        await host.restart()
        await host.advance(HOUR)
        assert len(noting.told) == 6


async def test_a_file_that_was_put_aside_is_given_back(inbox: Path) -> None:
    noting = Noting(inbox, retry=ONCE)
    noting.then = lambda _file: 1 / 0
    (inbox / "a").write_bytes(b"")
    async with TestHost(noting.app) as host:
        await host.advance(SECOND)
        (failed,) = await failed_of(host)
        noting.then = lambda _file: None
        storage = host.host.engine.storage
        assert await storage.redrive([failed.number], host.clock.now()) == Redriven(1)
        await host.advance(HOUR)
        assert noting.names == ["a", "a"]
        assert await failed_of(host) == []
        assert await storage.redeliveries("files/noting", 0, 10, MIB) == []
        await host.restart()
        await host.advance(HOUR)
        assert noting.names == ["a", "a"]


async def test_no_silent_drop_a_file_that_is_given_back_and_gone_is_put_aside_again(
    inbox: Path,
) -> None:
    noting = Noting(inbox, retry=ONCE)
    noting.then = lambda file: 1 / 0 if file.size else None
    for name in ("gone", "changed", "there"):
        (inbox / name).write_bytes(b"x")
    async with TestHost(noting.app) as host:
        await host.advance(SECOND)
        before = {json.loads(one.content)["path"]: one for one in await failed_of(host)}
        (inbox / "gone").unlink()
        (inbox / "changed").write_bytes(b"")
        await host.advance(5 * SECOND)
        noting.told.clear()
        noting.then = lambda _file: None
        gateway = host.host.client.gateway
        assert await gateway.redrive([one.number for one in before.values()]) == Redriven(3)
        await host.advance(5 * SECOND)
        assert noting.names == ["there"]
        again = {json.loads(one.content)["path"]: one for one in await failed_of(host)}
        assert {path: one.error for path, one in again.items()} == {
            "gone": "TenutoError: it was given back, but it is not in the folder any more",
            "changed": "TenutoError: it was given back, but it has changed, and is another file "
            "now",
        }
        for path, one in again.items():
            old = before[path]
            assert (one.message_id, one.function, one.name) == (
                *(old.message_id, old.function, old.name),
            )
            assert (one.content, one.cause, one.attempts) == (old.content, old.cause, 0)
        assert await host.host.engine.storage.redeliveries("files/noting", 0, 10, 1_000) == []
        # When it is there again it is another file; what was put aside stays listed.
        (inbox / "gone").write_bytes(b"x")
        await host.advance(5 * SECOND)
        assert noting.names == ["there", "gone"]
        assert len(await failed_of(host)) == 2


async def test_no_silent_drop_the_last_file_of_a_folder_is_given_back_when_it_is_gone(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another process, while the host is not there; and the store takes the note in late."""
    noting = Noting(inbox, retry=ONCE)
    noting.then = lambda _file: 1 / 0
    (inbox / "a").write_bytes(b"")
    async with TestHost(noting.app) as host:
        await host.advance(SECOND)
        (inbox / "a").unlink()
        await host.advance(5 * SECOND)
        (failed,) = await failed_of(host)
        storage = host.host.engine.storage
        assert await storage.redrive([failed.number], host.clock.now()) == Redriven(1)
        await host.restart()
        storage, real, left = host.host.engine.storage, host.host.engine.storage.write_notes, [1, 2]

        async def write_notes(*given: Any) -> None:
            if left:
                left.pop()
                raise StorageUnavailableError("away")
            await real(*given)

        monkeypatch.setattr(storage, "write_notes", write_notes)
        for _ in range(4):
            await host.advance(HOUR)
        assert left == []
        (again,) = await failed_of(host)
        assert again.message_id == failed.message_id
        await host.advance(HOUR)
        assert len(await failed_of(host)) == 1
        assert await storage.redeliveries("files/noting", 0, 10, 1_000) == []
        assert noting.names == ["a"]


async def test_a_file_that_is_tried_again_or_takes_long_holds_up_no_other(inbox: Path) -> None:
    slow = asyncio.Event()
    noting = Noting(inbox, concurrency=2)

    async def then(file: ArrivedFile) -> None:
        if file.name == "slow":
            await slow.wait()
        if file.name == "bad":
            raise ValueError

    noting.then = then
    for order, name in enumerate(["slow", "bad", "c", "d", "e"]):
        (inbox / name).write_bytes(b"")
        os.utime(inbox / name, ns=(order, order))
    async with TestHost(noting.app) as host:
        await host.advance(SECOND, with_activities=False)
        await until(lambda: len(noting.told) == 5)
        assert noting.names == ["slow", "bad", "c", "d", "e"]
        slow.set()


async def test_no_more_files_run_at_once_than_allowed(inbox: Path) -> None:
    app, lock = App(), threading.Lock()
    running, most = 0, 0

    @app.files(inbox, concurrency=3)
    def busy() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        event.wait(0.01)
        with lock:
            running -= 1

    event = threading.Event()
    for number in range(20):
        (inbox / str(number)).write_bytes(b"")
    async with TestHost(app) as host:
        await host.advance(SECOND)
    assert most == 3


async def test_files_that_a_stopping_host_gives_up_are_no_deaths(inbox: Path) -> None:
    noting = Noting(inbox)
    noting.then = lambda _file: asyncio.Event().wait()
    (inbox / "a").write_bytes(b"")
    host = TestHost(noting.app, settings=Settings(drain_seconds=0))
    async with host:
        for _ in range(5):
            noting.told.clear()
            await host.advance(SECOND, with_activities=False)
            await until(lambda: noting.told)
            await host.restart()
        noting.then = lambda _file: None
        await host.advance(SECOND)
        await host.advance(SECOND)
        assert [one.attempt for one in noting.told] == [1, 1]
        assert await failed_of(host) == []


# --- a store that is away ------------------------------------------------------------------------


class AwayStore(SqliteStorage):
    """Takes no notes as long as it is away."""

    is_away = False

    async def write_notes(
        self,
        lease: Lease,
        notes: Mapping[str, str],
        failed: Sequence[FailedDelivery] = (),
        redelivered: Sequence[int] = (),
    ) -> None:
        if self.is_away:
            raise StorageUnavailableError("the disk is away")
        await super().write_notes(lease, notes, failed, redelivered)


async def test_nothing_runs_that_could_not_be_noted_before(tmp_path: Path, inbox: Path) -> None:
    noting = Noting(inbox)
    storage = AwayStore(tmp_path / "away.db")
    (inbox / "a").write_bytes(b"")
    async with TestHost(noting.app, storage=storage) as host:
        storage.is_away = True
        for _ in range(10):
            await host.advance(SECOND)
        assert noting.told == []
        storage.is_away = False
        for _ in range(10):
            await host.advance(SECOND)
        assert [(one.name, one.attempt) for one in noting.told] == [("a", 1)]
        assert sum("the disk is away" in text for _, text in host.problems) <= 2


@pytest.mark.parametrize("fails", [False, True])
async def test_what_ran_while_the_store_went_away_does_not_run_again(
    tmp_path: Path, inbox: Path, *, fails: bool
) -> None:
    noting = Noting(inbox, retry=ONCE)
    storage = AwayStore(tmp_path / "away.db")
    (inbox / "a").write_bytes(b"")

    def then(_file: ArrivedFile) -> None:
        storage.is_away = True
        if fails:
            raise ValueError

    noting.then = then
    async with TestHost(noting.app, storage=storage) as host:
        await host.advance(SECOND)
        for _ in range(10):
            await host.advance(SECOND)
        storage.is_away = False
        for _ in range(10):
            await host.advance(SECOND)
        assert len(await failed_of(host)) == fails
        await host.crash()
        await host.advance(5 * SECOND)
        assert noting.names == ["a"]


async def test_notes_that_cannot_be_read_are_said_and_made_anew(
    tmp_path: Path, inbox: Path
) -> None:
    noting = Noting(inbox)
    storage = SqliteStorage(tmp_path / "notes.db")
    (inbox / "a").write_bytes(b"")
    async with TestHost(noting.app, storage=storage) as host:
        await host.advance(SECOND)
        engine = host.host.engine
        lease = engine.partitions[engine.number_of(InstanceId("noting"))].lease
        await storage.write_note(lease, note_key("noting", note_of("a")), "{")
        await host.restart()
        await host.advance(SECOND)
        assert noting.names == ["a", "a"]
        assert "cannot be read" in host.problems[0][1]


async def test_another_host_takes_the_folder_over(tmp_path: Path, inbox: Path) -> None:
    """Who has lost the partition begins nothing, and what it has done nobody believes it."""
    store = AwayStore(tmp_path / "shared.db")
    noting = Noting(inbox)
    (inbox / "a").write_bytes(b"")
    async with TestHost(noting.app, storage=store) as host:
        await host.advance(SECOND)
        assert noting.names == ["a"]
        await store.acquire(HostIdentity(owner="another", description="another"))
        (inbox / "b").write_bytes(b"")
        for _ in range(5):
            await host.advance(SECOND)
        assert noting.names == ["a"]


# --- refused -------------------------------------------------------------------------------------


def misuses(inbox: Path) -> Iterator[tuple[dict[str, Any], str]]:
    yield {"folder": ""}, "folder must be the path of a folder, got ''"
    yield {"folder": 7}, "got 7"
    yield {"pattern": "a/*"}, "pattern must be one for names of files"
    yield {"settled": 1}, "settled must be a timedelta"
    yield {"settled": -SECOND}, "0 to 1 day"
    yield {"concurrency": 0}, "from 1 to 1,000"
    yield {"retry": "often"}, "retry must be a RetryPolicy"


def test_what_cannot_be_is_refused_where_it_is_decorated(inbox: Path) -> None:
    for wrong, words in misuses(inbox):
        options = {"folder": inbox} | wrong
        with pytest.raises(RegistrationError, match=words):
            App().files(**options)(lambda_less)
    with pytest.raises(RegistrationError, match="nothing that a file can give"):
        App().files(inbox)(takes_more)


def lambda_less() -> None: ...


def takes_more(file: ArrivedFile, content: bytes) -> None: ...


async def test_a_folder_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    app = App()

    @app.files(tmp_path / "nothing")
    def arrived() -> None: ...

    with pytest.raises(RegistrationError) as raised:
        await Host(app, storage="sqlite://").start()
    assert f"in the folder {str(tmp_path / 'nothing')!r}" in str(raised.value)
    assert "function 'arrived'" in str(raised.value)
    assert "create it, or name another one" in str(raised.value)


# --- processes -----------------------------------------------------------------------------------

COPIED = [
    *(f"a{number}" for number in range(10)),
    "deadly",
    *(f"b{number}" for number in range(10)),
]


def copy_all(inbox: Path) -> None:
    """As some program does that knows nothing of us: piece by piece."""
    for name in COPIED:
        with (inbox / name).open("wb") as file:
            for _ in range(5):
                file.write(b"x" * 1_000)
                file.flush()


async def life(command: Sequence[str], is_over: Callable[[], bool]) -> int:
    """Run a process until it ends, or kill it when there is nothing more to see; how it ended."""
    process = await asyncio.create_subprocess_exec(*command)
    ended = asyncio.ensure_future(process.wait())
    try:
        await until(lambda: ended.done() or is_over())
    finally:
        if not ended.done():
            process.kill()
        await ended
    return ended.result()


async def test_files_are_copied_while_their_hosts_are_killed(tmp_path: Path, inbox: Path) -> None:
    """None is lost or seen half; the one that kills its host is put aside, and its neighbours run
    again at most as often as they have seen that.
    """
    store, log = f"sqlite:///{tmp_path / 'files.db'}", tmp_path / "log"
    log.touch()

    def told() -> Counter[str]:
        return Counter(line.split()[0] for line in log.read_text().splitlines())

    copying = asyncio.ensure_future(asyncio.to_thread(copy_all, inbox))
    command = [sys.executable, files_process.__file__, store, str(inbox), str(log)]
    for _ in range(3):
        assert await life(command, lambda: False) == -signal.SIGKILL
    await life(command, lambda: len(told()) == len(COPIED))
    await copying
    assert {line.split()[1] for line in log.read_text().splitlines()} == {"5000"}
    found = told()
    assert found.pop("deadly") == 3
    assert set(found) == {*COPIED} - {"deadly"}
    # Three others ran beside it, at the most, at each of its deaths; and four when we killed.
    assert found.total() <= len(found) + 3 * 3 + 4
    async with Host(files_process.app_for(inbox, log), storage=store) as host:
        storage = host.engine.storage
        # Those that ran when we killed the last host come first.
        (failed,) = await until_given(lambda: storage.failed_deliveries(source="files"))
        assert json.loads(failed.content)["path"] == "deadly"
        assert failed.error == "TenutoError: the host has died 3 times while the function ran"
