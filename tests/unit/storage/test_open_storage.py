"""Store URLs, and files that are no store, no longer one, or not ours yet."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from tenuto.engine.ports import HostIdentity
from tenuto.engine.topic_ports import FIRST_WAIT
from tenuto.model.causes import CAUSE_TAG
from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import (
    SettingsError,
    StorageCorruptError,
    StorageError,
    StorageReadOnlyError,
    StorageUnavailableError,
    StorageVersionError,
)
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.messages import Purge
from tenuto.storage import open_storage, path_of, upkeep_of
from tenuto.storage.postgres import address_of
from tenuto.storage.sqlite import SqliteStorage, database
from tenuto.storage.sqlite.queries import MIGRATIONS
from tests.conformance.storage_suite import Owner, everything, message, record, turn
from tests.conformance.topics_suite import event, wait

HOST = HostIdentity(owner="me", description="the first host")
NOBODY = 65_534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


async def refused(path: Path, error: type[StorageError]) -> str:
    storage = SqliteStorage(path)
    with pytest.raises(error) as caught:
        await storage.open()
    assert str(path) in str(caught.value)
    with pytest.raises(StorageError, match="not open"):
        await storage.get(InstanceId("x"))
    await storage.close()
    return str(caught.value)


# --- URLs --------------------------------------------------------------------------------------


async def test_a_relative_url_is_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = open_storage("sqlite:///sub.db")
    info = await storage.open()
    assert info.url == f"sqlite:///{tmp_path}/sub.db"
    await storage.close()
    assert (tmp_path / "sub.db").is_file()


async def test_an_absolute_url_and_memory(path: Path) -> None:
    for url in (f"sqlite:///{path}", "sqlite://"):
        storage = open_storage(url)
        assert (await storage.open()).url == url
        await storage.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hub.db",
        "sqlite:hub.db",
        "sqlite:///",
        "sqlite://host/hub.db",
        "sqlite:///:memory:",
        "sqlite:///hub.db?timeout=5",
        "sqlite:///hub.db#x",
        "mysql://localhost/hub",
    ],
)
def test_bad_input_is_refused_whole_other_urls(url: str) -> None:
    with pytest.raises(SettingsError, match=r"not understood.*sqlite:///name\.db"):
        open_storage(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql+asyncpg://localhost/hub", "not understood"),
        ("postgresql://localhost", "names no database"),
        ("postgresql://localhost/", "names no database"),
        ("postgresql://localhost/db#x", "not understood"),
        ("postgresql://localhost:port/db", "not understood"),
        ("postgresql://localhost/db?schema", "not understood"),
        ("postgresql://localhost/db?schema=", "names the schema ''"),
        ("postgresql://localhost/db?schema=pg_x", "names the schema 'pg_x'"),
        ("postgresql://localhost/db?schema=a&schema=b", "names the schema 'a'"),
        ("postgresql://localhost/db?schema=a%00b", "names the schema"),
        (f"postgresql://localhost/db?schema={'x' * 64}", "of 1 to 63 bytes"),
    ],
)
def test_bad_input_is_refused_whole_urls_of_postgresql(url: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        open_storage(url)
    assert reason in str(refused.value)


def test_no_password_is_shown() -> None:
    url = (
        "postgresql://me:secret-1@db.example:5433/orders?sslmode=require&schema=a&password=secret-2"
    )
    assert path_of(url) == (
        "postgresql://me@db.example:5433/orders?sslmode=require&schema=a&password=hidden"
    )
    address = address_of(url)
    assert "secret" not in repr(address)
    assert address.schema == "a"
    assert "secret-1" in address.dsn
    assert "schema" not in address.dsn
    with pytest.raises(SettingsError) as refused:
        open_storage("postgresql://me:secret-1@db.example/")
    assert "secret" not in str(refused.value)


def test_of_several_servers_the_one_is_taken_that_can_be_written_to() -> None:
    for url in (
        "postgresql://me@one:5432,two:5433/orders",
        "postgresql://me@/orders?host=one,two&port=5432,5433",
    ):
        assert "target_session_attrs=read-write" in address_of(url).dsn
    assert "target_session_attrs" not in address_of("postgresql://me@one/orders").dsn
    asked = address_of("postgresql://me@one,two/orders?target_session_attrs=any").dsn
    assert asked.count("target_session_attrs") == 1
    with pytest.raises(SettingsError, match="not understood"):
        open_storage("postgresql://me@one:5432,two:port/orders")


def test_a_url_past_the_pooler_leads_to_the_same_hub() -> None:
    pooled = "postgresql://me@pooler:6432/orders?schema=a"
    address = address_of(pooled, "postgresql://me:secret@db:5432/orders")
    assert address.directly.dsn == "postgresql://me:secret@db:5432/orders"
    assert (address.directly.schema, address.directly.url) == ("a", address.url)
    assert "secret" not in repr(address)
    assert address_of(pooled).directly == address_of(pooled)
    assert address_of(pooled, "postgresql://db/orders?schema=a").directly.schema == "a"
    with pytest.raises(SettingsError, match="'a', and storage_direct 'b'"):
        open_storage(pooled, direct="postgresql://db/orders?schema=b")
    for open_it in (open_storage, upkeep_of):
        with pytest.raises(SettingsError, match="this one is a file"):
            open_it("sqlite:///hub.db", direct="postgresql://db/orders")


def test_a_store_needs_a_partition() -> None:
    with pytest.raises(SettingsError, match="at least 1 partition"):
        open_storage("sqlite://", partitions=0)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"folder '.*/missing' does not exist"):
        await SqliteStorage(tmp_path / "missing" / "hub.db").open()


async def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it is a folder"):
        await SqliteStorage(tmp_path).open()


async def test_a_client_makes_no_store_out_of_an_empty_file(path: Path) -> None:
    emptied(path)
    with pytest.raises(SettingsError, match="is empty: there is no store in it yet"):
        await SqliteStorage(path, create=False).open()
    assert content(path) == b""
    await created(path)
    client = SqliteStorage(path, create=False)
    await client.open()
    await client.close()


async def test_a_client_does_not_create_what_it_looks_for(path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no store at"):
        await open_storage(f"sqlite:///{path}", create=False).open()
    assert list_of(path.parent) == []
    await created(path)
    storage = open_storage(f"sqlite:///{path}", create=False)
    await storage.open()
    await storage.close()


# --- files that are not ours -------------------------------------------------------------------


async def test_a_garbage_file_is_left_alone(path: Path) -> None:
    before = write(path, 0, b"not a database " * 1000)
    assert "not a Tenuto store" in await refused(path, StorageCorruptError)
    assert content(path) == before


async def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE customers (name TEXT)")
    other.close()
    before = content(path)
    assert "another program" in await refused(path, StorageCorruptError)
    assert content(path) == before


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await created(path)
    set_version(path, len(MIGRATIONS) + 1)
    text = await refused(path, StorageVersionError)
    assert f"schema {len(MIGRATIONS) + 1}" in text
    assert f"up to {len(MIGRATIONS)}" in text


async def test_missing_tables_are_named(path: Path) -> None:
    await created(path)
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE hub")
    connection.close()
    assert "hub" in await refused(path, StorageCorruptError)


async def test_a_truncated_store_is_corrupt(path: Path) -> None:
    await created(path)
    os.truncate(path, 3 * 4096)
    await refused(path, StorageCorruptError)


async def test_a_broken_page_is_corrupt_when_it_is_read(path: Path) -> None:
    storage = SqliteStorage(path)
    owner = await Owner.of(storage)
    rows = [record(iid, input='"x"' * 500) for iid in range(1, 200)]
    await owner.commit(instances=rows)
    await storage.close()
    # Pages of the instances alone: what every opening looks at stays whole.
    whole = content(path)
    for begin in range(0, len(whole), 4096):
        if b'"x""x""x"' in whole[begin : begin + 4096]:
            write(path, begin, b"\xff" * 4096)
    await storage.open()
    with pytest.raises(StorageCorruptError, match="backup"):
        await storage.load_instances([row.iid for row in rows])
    await storage.close()


def list_of(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, offset: int, data: bytes) -> bytes:
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(offset)
        file.write(data)
    return data


async def created(path: Path) -> None:
    storage = SqliteStorage(path)
    await storage.open()
    await storage.close()


def set_version(path: Path, version: int) -> None:
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", version)
    connection.close()


# --- migrations --------------------------------------------------------------------------------

SECOND = "CREATE TABLE added (x INTEGER) STRICT; INSERT INTO added VALUES (42);"


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Tenuto with a second migration."""
    monkeypatch.setattr(database, "MIGRATIONS", [*MIGRATIONS, SECOND])


async def filled(path: Path) -> object:
    storage = SqliteStorage(path)
    owner = await Owner.of(storage)
    await owner.commit(instances=[record(1)], history=[turn(1, 0)], inbox=[message("m")])
    before = await everything(storage)
    await storage.close()
    return before


async def test_an_older_schema_is_migrated(path: Path, request: pytest.FixtureRequest) -> None:
    before = await filled(path)
    request.getfixturevalue("newer")
    storage = SqliteStorage(path)
    await storage.open()
    assert await everything(storage) == before
    await storage.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == len(MIGRATIONS) + 1
    assert connection.execute("SELECT x FROM added").fetchall() == [(42,)]
    connection.close()


async def test_a_store_of_the_first_release_gets_a_secret_that_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(database, "MIGRATIONS", MIGRATIONS[:1])
        connection = apsw.Connection(str(path))
        connection.execute(MIGRATIONS[0])
        connection.execute("INSERT INTO hub (id, partitions) VALUES (1, 1)")
        connection.execute("INSERT INTO partition (partition) VALUES (0)")
        connection.pragma("application_id", database.APPLICATION_ID)
        connection.pragma("user_version", 1)
        connection.close()
    secrets = []
    for _ in range(2):
        storage = SqliteStorage(path)
        secrets.append((await storage.open()).secret)
        await storage.close()
    assert re.fullmatch("[0-9a-f]{64}", secrets[0])
    assert secrets[0] == secrets[1]
    other = await SqliteStorage(path.with_name("other.db")).open()
    assert other.secret != secrets[0]
    assert other.secret not in repr(other)


async def test_who_waits_for_an_answer_when_a_store_is_migrated_still_gets_one(path: Path) -> None:
    """Before, that was said by the name of the message."""
    asked, other = MessageId("asked-1"), MessageId("client-1")
    connection = apsw.Connection(str(path))
    for script in MIGRATIONS[:2]:
        connection.execute(script)
    connection.execute("INSERT INTO hub (id, partitions, secret) VALUES (1, 1, 'secret')")
    connection.execute("INSERT INTO partition (partition) VALUES (0)")
    for key in (asked, other):
        text = encode(Purge(message_id=key)).decode()
        connection.execute(
            "INSERT INTO inbox (message_id, partition, instance_id, message) VALUES (?, 0, 'i', ?)",
            (key, text),
        )
    connection.pragma("application_id", database.APPLICATION_ID)
    connection.pragma("user_version", 2)
    connection.close()
    storage = SqliteStorage(path)
    await storage.open()
    page = await storage.load_partition(0, None, 10)
    await storage.close()
    awaits = {row.message_id: decode_message(row.message).awaits_answer for row in page.rows}
    assert awaits == {asked: True, other: False}


async def test_a_store_that_knew_no_topics_goes_on_and_has_them(path: Path) -> None:
    """One of 0.1, with an instance that waits and a message for it."""
    one = record(1, tags={CAUSE_TAG: "message:plates/m"})
    connection = apsw.Connection(str(path))
    for script in MIGRATIONS[:7]:
        connection.execute(script)
    connection.execute("INSERT INTO hub (id, partitions, secret) VALUES (1, 1, 'secret')")
    connection.execute("INSERT INTO partition (partition) VALUES (0)")
    connection.execute(
        "INSERT INTO instance (iid, partition, status, wake_at, created_at, updated_at, "
        "instance_id, name, execution_id, root_id, generation, depth, deliveries, tags) "
        "VALUES (1, 0, 0, NULL, ?, 0, ?, ?, ?, ?, 0, 0, 0, ?)",
        (
            one.created_at,
            one.instance_id,
            one.name,
            one.execution_id,
            one.root_id,
            encode(one.tags).decode(),
        ),
    )
    connection.execute(
        "INSERT INTO inbox (message_id, partition, instance_id, message) VALUES (?, 0, ?, ?)",
        ("m1", one.instance_id, bytes(message("m1").message).decode()),
    )
    connection.pragma("application_id", database.APPLICATION_ID)
    connection.pragma("user_version", 7)
    connection.close()
    storage = SqliteStorage(path)
    owner = await Owner.of(storage)
    try:
        assert [row.message_id for row in (await owner.loaded(1)).inbox] == ["m1"]
        await owner.commit(
            published=[event("a", key="k", iid=1)], topic_waits=[wait(1)], history=[turn(1, 0)]
        )
        page = await storage.topic_matches_of([(1, 1)], 1_000)
        assert [one.instance_id for one in page.matches] == [one.instance_id]
        (started,) = await storage.flow_instances(["message:plates/m"], 10)
        assert started.instance_id == one.instance_id
        await owner.commit(purged=[1])
        assert await storage.topic_waits([0], FIRST_WAIT, 10) == []
    finally:
        await storage.close()


async def test_a_failed_migration_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await filled(path)
    with monkeypatch.context() as patched:
        broken = [*MIGRATIONS, f"{SECOND} SELECT no_such_thing();"]
        patched.setattr(database, "MIGRATIONS", broken)
        with pytest.raises(StorageError, match="no_such_thing"):
            await SqliteStorage(path).open()
    storage = SqliteStorage(path)
    await storage.open()
    assert await everything(storage) == before
    await storage.close()


async def test_no_migration_under_a_running_host(
    path: Path, request: pytest.FixtureRequest
) -> None:
    storage = SqliteStorage(path)
    await storage.open()
    await storage.acquire(HOST)
    request.getfixturevalue("newer")
    text = await refused(path, StorageVersionError)
    assert "the first host" in text
    await storage.close()
    await created(path)


async def test_two_processes_may_create_the_store_at_once(path: Path) -> None:
    """The slower one finds the schema made while it waited for the lock."""
    connection = apsw.Connection(str(path))
    await created(path)
    database._create(connection, str(path), 3)
    assert database.value(connection, "hub_partitions") == 1
    connection.close()


# --- read-only ---------------------------------------------------------------------------------


@pytest.fixture
def rights(tmp_path: Path) -> Iterator[Callable[[int, int], None]]:
    """Sets the modes of the folder and its files, for a user who is not root."""
    is_root = os.geteuid() == 0

    def change(folder: int, files: int) -> None:
        tmp_path.chmod(folder)
        for file in tmp_path.iterdir():
            file.chmod(files)
        if is_root:
            for parent in tmp_path.parents:
                if "pytest" in str(parent):
                    parent.chmod(0o755)
            os.seteuid(NOBODY)

    yield change
    if is_root:
        os.seteuid(0)
    tmp_path.chmod(0o755)


async def test_an_unwritable_folder_is_named(
    path: Path, rights: Callable[[int, int], None]
) -> None:
    rights(0o555, 0o444)
    text = await refused(path, StorageReadOnlyError)
    assert "right to write" in text


async def test_a_read_only_file_can_be_read_but_not_written(
    path: Path, rights: Callable[[int, int], None]
) -> None:
    before = await filled(path)
    rights(0o777, 0o444)
    storage = SqliteStorage(path)
    await storage.open()
    assert await everything(storage) == before
    for attempt in (
        storage.acquire(HOST),
        storage.start_instance(record(0, "x")),
        storage.append([message("m2")]),
    ):
        with pytest.raises(StorageReadOnlyError):
            await attempt
    assert await everything(storage) == before
    await storage.close()


async def test_an_owner_file_that_cannot_be_written_is_read_only(
    path: Path, rights: Callable[[int, int], None]
) -> None:
    await filled(path)
    storage = SqliteStorage(path)
    await storage.open()
    rights(0o555, 0o444)
    with pytest.raises(StorageReadOnlyError, match="cannot own"):
        await storage.acquire(HOST)
    await storage.close()


@pytest.fixture
def loop_of_links(path: Path) -> Path:
    path.symlink_to("loop")
    path.with_name("loop").symlink_to(path)
    return path


async def test_a_path_that_cannot_be_opened(loop_of_links: Path) -> None:
    storage = SqliteStorage(loop_of_links)
    with pytest.raises(StorageUnavailableError, match="cannot be opened"):
        await storage.open()


def test_a_wrong_way_past_the_pooler_is_named_as_such() -> None:
    with pytest.raises(SettingsError, match="the setting storage_direct 'sqlite:///x"):
        open_storage("postgresql://db/orders", direct="sqlite:///x.db")
