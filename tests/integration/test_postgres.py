"""One host on a real PostgreSQL: what the database does to it, and what it never loses by that."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from msgspec import Raw

from tenuto import App, Client, Context, Host
from tenuto.cli.command import run_command_line
from tenuto.engine.ports import HostIdentity
from tenuto.engine.rows import CommitResult
from tenuto.model.errors import (
    InstanceNotFoundError,
    SettingsError,
    StorageLostError,
    StorageOwnedError,
    StorageUnavailableError,
    StorageVersionError,
)
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.status import RuntimeStatus
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tenuto.storage import open_storage, owner_of, upkeep_of
from tenuto.storage.postgres.address import address_of
from tenuto.storage.postgres.connection import Connection, Session
from tenuto.storage.postgres.statements import NEWEST_SCHEMA, migrations
from tenuto.storage.postgres.store import PostgresStorage
from tests.conformance.storage_suite import (
    ONE,
    Owner,
    Places,
    letter,
    message,
    record,
    turn,
    update,
)
from tests.support.postgres import Postgres, fresh_schema, running_postgres
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]

app = App()
runs: Counter[str] = Counter()


@app.activity
async def step(name: str) -> str:
    runs[name] += 1
    await asyncio.sleep(0.01)
    return name


@app.orchestrator
async def chain(ctx: Context, name: str) -> list[str]:
    return [await ctx.call_activity(step, f"{name}-{number}") for number in range(5)]


@pytest.fixture
async def proxy(postgres: Postgres) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(postgres.port) as one:
        yield one


@pytest.fixture(autouse=True)
def _one_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Places, "partitions", 1)
    runs.clear()


@pytest.fixture
async def owner(postgres: Postgres, proxy: TcpProxy) -> AsyncIterator[Owner]:
    storage = open_storage(postgres.tcp_url(fresh_schema(), proxy.port), partitions=1)
    yield await Owner.of(storage)
    proxy.is_mute = proxy.is_frozen = False
    await storage.close()


# --- what a commit costs -----------------------------------------------------------------------


async def test_a_commit_reads_no_table_from_end_to_end(postgres: Postgres) -> None:
    """Its plans are made while the tables are empty, and kept when they are not any more."""
    schema = fresh_schema()
    storage = open_storage(postgres.url(schema), partitions=1)
    owner = await Owner.of(storage)
    await owner.commit(instances=[record(number) for number in range(1, 11)])
    for number in range(100):
        key = f"m-{number}"
        await owner.commit(
            instances=[record(100 + number)],
            history=[turn(100 + number, 0)],
            inbox=[message(key)],
            consumed=[(0, f"m-{number - 1}")],
            updates=[update(one) for one in range(1, 11)],
        )
    await storage.close()
    asked = (
        "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = "
        f"'{schema}' AND relname IN ('instance', 'history', 'inbox')"
    )
    gone = f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{schema}%' AND pid <> "
    await until(lambda: postgres.psql(f"{gone}pg_backend_pid()") == "0")
    assert int(postgres.psql(asked)) < 100


# --- a commit whose answer is lost -------------------------------------------------------------


async def test_a_commit_whose_answer_is_lost_is_known_to_have_landed(
    owner: Owner, proxy: TcpProxy
) -> None:
    await owner.commit("before", instances=[record(1)])
    proxy.is_mute = True
    doubted = owner.batch("doubted", history=[turn(1, 0)], inbox=[message("m")])
    with pytest.raises(StorageUnavailableError):
        await owner.storage.commit(doubted)
    with pytest.raises(StorageUnavailableError):
        await owner.storage.landed(doubted)
    proxy.is_mute = False
    assert await owner.storage.landed(doubted) == CommitResult()
    assert len((await owner.loaded(1)).turns) == 1


async def test_a_commit_that_never_arrived_may_be_sent_again(owner: Owner, proxy: TcpProxy) -> None:
    await owner.commit("before", instances=[record(1)])
    proxy.cut()
    doubted = owner.batch("doubted", history=[turn(1, 0)])
    proxy.is_frozen = True
    sent = asyncio.ensure_future(owner.storage.commit(doubted))
    await asyncio.sleep(0.2)
    proxy.cut()
    proxy.is_frozen = False
    with pytest.raises(StorageUnavailableError):
        await sent
    assert await owner.storage.landed(doubted) is None
    await owner.send(doubted)
    assert len((await owner.loaded(1)).turns) == 1


@pytest.mark.parametrize(
    "set_back",
    ["DELETE FROM {hub}.landed WHERE number = 2", "UPDATE {hub}.partition SET epoch = epoch - 1"],
    ids=["the commit is gone", "the partitions are in an earlier epoch"],
)
async def test_a_commit_that_is_known_to_have_landed_is_missed_when_the_server_is_set_back(
    owner: Owner, proxy: TcpProxy, postgres: Postgres, set_back: str
) -> None:
    await owner.commit("before", instances=[record(1)])
    proxy.is_mute = True
    doubted = owner.batch("doubted", history=[turn(1, 0)])
    with pytest.raises(StorageUnavailableError):
        await owner.storage.commit(doubted)
    proxy.is_mute = False
    assert await owner.storage.landed(doubted) == CommitResult()
    assert isinstance(owner.storage, PostgresStorage)
    committer = owner.storage._opened().committer
    await committer.check()
    postgres.psql(set_back.format(hub=owner.storage._address.schema))
    with pytest.raises(StorageLostError, match="written up to commit 2"):
        await committer.check()


async def test_who_is_canceled_cancels_nothing_that_was_sent(owner: Owner) -> None:
    """The driver would ask the server to cancel: with replicas that shows what none of them has."""
    await owner.commit("before", instances=[record(1)])
    batch = owner.batch("left alone", history=[turn(1, 0)])
    sent = asyncio.ensure_future(owner.storage.commit(batch))
    await asyncio.sleep(0)
    sent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sent
    assert await owner.storage.landed(batch) == CommitResult()


async def test_long_batches_are_cut_up_inside_one_transaction(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.storage.postgres.committing.ONE_STATEMENT_BYTES", 2_000)
    await owner.commit("before", instances=[record(50)], history=[turn(50, 0)])
    texts = [f'"{"x" * 900}"' for _ in range(12)]
    many = {
        "instances": [record(number, input=text) for number, text in enumerate(texts, 1)],
        "updates": [update(number, output=texts[0]) for number in range(1, 13)],
        "history": [turn(number, 0, events=f"[{text}]".encode()) for number, text in
                    enumerate(texts, 1)],
        "inbox": [message(f"m{number}", text=text) for number, text in enumerate(texts)],
        "purged": [50],
        "published": [
            PublishedEvent(f"e{number}", "orders", None, 5, None, 1, Raw(text.encode()))
            for number, text in enumerate(texts)
        ],
        "queued": [
            QueuedMessage(f"q{number}", "jobs", 0, 0, None, 1, text)
            for number, text in enumerate(texts)
        ],
    }  # fmt: skip
    statements: Counter[str] = Counter()
    run = Session.run

    async def counted(self: Session, name: str, /, **values: Any) -> int:
        statements[name] += 1
        return await run(self, name, **values)

    monkeypatch.setattr(Session, "run", counted)
    await owner.commit("long", **many)
    assert statements["write_turns"] == 6 + 6 + 6 + 12  # two texts fit, and one message
    assert statements["publish_in_order"] == statements["add_queued"] == 6
    events = await owner.storage.events("orders", 0, 100, 100_000)
    assert [one.event_id for one in events] == [f"e{number}" for number in range(12)]
    loaded = await owner.storage.load_instances(range(1, 51))
    assert [(one.record.output, len(one.turns)) for one in loaded] == [(texts[0], 1)] * 12
    # All of it or nothing: the last piece is refused, and the first has left no trace.
    many["instances"] = [record(number + 100) for number in range(12)]
    with pytest.raises(Exception, match="turn 0 of its history is there already"):
        await owner.commit("doubled", **{name: many[name] for name in ("instances", "history")})
    assert await owner.storage.load_instances([100, 111]) == []


async def test_a_connection_that_the_server_ends_in_a_transaction_is_one_that_broke(
    owner: Owner,
) -> None:
    """Its last word comes a moment before its end, and in between the driver says odd things."""
    writes = owner.storage._opened().writes  # type: ignore[attr-defined]

    async def end_me(session: Session) -> None:
        async with session.together():
            await session.wire.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    for _ in range(5):
        with pytest.raises(StorageUnavailableError, match=r"stopping or starting|broke"):
            await writes.do(end_me, "write to")
        assert await writes.do(lambda session: session.value("facts"), "read") == NEWEST_SCHEMA


# --- what people's texts hold ------------------------------------------------------------------


async def test_nothing_that_json_can_hold_refuses_a_batch(owner: Owner) -> None:
    nasty = '"\\u0000 \\ud800 \x7f \U0001f3b5"'
    event = Raw(f'[{{"type":"x","a":{nasty}}}]'.encode())
    failed = msgspec.structs.replace(letter(1), reason="said \x00 and \ud800")
    await owner.commit(
        instances=[record(1, input=nasty, output=nasty, custom_status=nasty)],
        history=[turn(1, 0, events=bytes(event))],
        inbox=[message("m", text=nasty)],
        dead_letters=[failed],
    )
    loaded = await owner.loaded(1)
    assert (loaded.record.input, loaded.turns) == (nasty, [bytes(event)])
    (kept,) = await owner.storage.dead_letters()
    assert kept.reason == "said \ufffd and ?"
    assert await owner.storage.is_asked(ONE, ["RaiseEvent"])
    assert not await owner.storage.is_asked(ONE, ["Terminate"])
    assert await owner.storage.find([InstanceId("no\x00body")]) == []


# --- opening -----------------------------------------------------------------------------------


async def test_a_database_that_is_not_utf8_is_refused(postgres: Postgres) -> None:
    postgres.run(
        "createdb",
        *("-h", str(postgres.folder), "-p", str(postgres.port), "-U", "postgres"),
        *("-E", "LATIN1", "--locale=C", "-T", "template0", "latin"),
    )
    storage = open_storage(postgres.url("hub", database="latin"))
    with pytest.raises(SettingsError, match="encoding LATIN1"):
        await storage.open()


async def test_only_hosts_bring_a_hub_of_an_older_tenuto_up_to_date(postgres: Postgres) -> None:
    url = postgres.url(schema := fresh_schema())
    host = open_storage(url, partitions=1)
    await host.open()
    await host.close()
    # As if this Tenuto had one migration more than that which has made the hub.
    postgres.psql(f"UPDATE {schema}.hub SET schema = schema - 1")
    version = postgres.psql(f"SELECT schema FROM {schema}.hub")
    client = open_storage(url, create=False)
    with pytest.raises(StorageVersionError, match="only hosts bring a store up to date"):
        await client.open()
    await client.close()
    assert postgres.psql(f"SELECT schema FROM {schema}.hub") == version


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ("UPDATE {hub}.hub SET schema = 99", StorageVersionError, "newer Tenuto"),
        ("DROP TABLE {hub}.instance CASCADE", StorageLostError, "tables are gone"),
    ],
)
async def test_a_hub_that_is_not_as_it_should_be_is_told_of(
    postgres: Postgres, change: str, error: type[Exception], words: str
) -> None:
    schema = fresh_schema()
    first = open_storage(postgres.url(schema), partitions=1)
    await first.open()
    await first.close()
    wire = await asyncpg.connect(postgres.url("x").partition("&schema")[0])
    await wire.execute(change.format(hub=schema))
    await wire.close()
    second = open_storage(postgres.url(schema))

    async def look() -> None:
        await second.open()
        await second.get(ONE)

    with pytest.raises(error, match=words):
        await look()
    await second.close()


async def test_who_only_looks_makes_no_hub(postgres: Postgres) -> None:
    storage = open_storage(postgres.fresh_url(), create=False)
    with pytest.raises(SettingsError, match="there is no hub in the schema"):
        await storage.open()
    for url, words in [
        (postgres.url("x", database="nowhere"), "nowhere"),
        (postgres.url("x", user="nobody_known"), "nobody_known"),
    ]:
        with pytest.raises(SettingsError, match=words):
            await open_storage(url).open()
    with pytest.raises(StorageUnavailableError, match="nothing answers at"):
        await open_storage("postgresql://postgres@127.0.0.1:1/x").open()


async def test_many_make_one_hub_at_once(postgres: Postgres) -> None:
    url = postgres.fresh_url()
    handles = [open_storage(url, partitions=number + 1) for number in range(5)]
    infos = await asyncio.gather(*(one.open() for one in handles))
    assert len({info.secret for info in infos}) == len({info.partitions for info in infos}) == 1
    for one in handles:
        await one.close()


async def test_many_bring_one_hub_up_to_date_at_once(postgres: Postgres) -> None:
    url = postgres.url(schema := fresh_schema())
    old = NEWEST_SCHEMA - 1
    wire = await asyncpg.connect(postgres.url("x").partition("&schema")[0])
    await wire.execute(f"CREATE SCHEMA {schema}")
    for script in migrations(schema)[:old]:
        await wire.execute(script)
    await wire.execute(
        f"INSERT INTO {schema}.hub (id, schema, partitions, secret, incarnation) "
        f"VALUES (1, {old}, 3, 's', 'i')"
    )
    await wire.close()
    handles = [open_storage(url) for _ in range(5)]
    infos = await asyncio.gather(*(one.open() for one in handles))
    assert [info.partitions for info in infos] == [3] * 5
    for one in handles:
        await one.close()
    assert postgres.psql(f"SELECT schema FROM {schema}.hub") == str(NEWEST_SCHEMA)


async def test_a_user_without_rights_on_the_hub_stops_nobody(postgres: Postgres) -> None:
    schema, user = fresh_schema(), f"user_{fresh_schema()}"
    postgres.psql(f"CREATE ROLE {user} LOGIN")
    stranger = await asyncpg.connect(postgres.url("x", user=user).partition("&schema")[0])
    await stranger.execute("SELECT pg_advisory_lock(1413828181)")  # "TENU"
    async with asyncio.timeout(20), Host(app, storage=postgres.url(schema)) as host:
        # An advisory lock needs no rights, and what is in pg_class anybody may read.
        await stranger.execute(
            "SELECT pg_advisory_lock(oid::int, 0), pg_advisory_lock(oid::bigint) FROM pg_class "
            f"WHERE relnamespace = '{schema}'::regnamespace"
        )
        for refused in ("line_to_publish", "line_to_send", "hub"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await stranger.execute(f"BEGIN; LOCK TABLE {schema}.{refused}")
            await stranger.execute("ROLLBACK")
        await host.client.publish("orders", {"id": 1})
        assert len(await (await host.client.start(chain, "a")).result()) == 5
        await stranger.close()


RIGHTS = (ROOT / "docs" / "postgresql.md").read_text(encoding="utf-8")


async def test_a_user_with_the_rights_that_the_page_names_runs_a_host(postgres: Postgres) -> None:
    schema, user = fresh_schema(), f"user_{fresh_schema()}"
    maker = open_storage(postgres.url(schema), partitions=2)
    await maker.open()
    await maker.close()
    given = RIGHTS.partition("```sql\n")[2].partition("```")[0]
    wire = await asyncpg.connect(postgres.url("x").partition("&schema")[0])
    await wire.execute(
        given.replace("tenuto_host", user).replace("SCHEMA tenuto", f"SCHEMA {schema}")
    )
    assert not await wire.fetchval("SELECT has_schema_privilege($1, $2, 'CREATE')", user, schema)
    await wire.close()
    async with Host(app, storage=postgres.url(schema, user=user)) as host:
        handle = await host.client.start(chain, "a")
        assert await handle.result() == [f"a-{number}" for number in range(5)]
        await host.client.publish("orders", {"id": 1})
        await host.client.enqueue("jobs", {"id": 1})
        assert (await handle.status()).runtime_status is RuntimeStatus.COMPLETED
        assert await host.client.purge(handle.instance_id)
        with pytest.raises(InstanceNotFoundError):
            await handle.status()
    # Who looks the hub over with these rights sees nothing amiss, and what is missing of them.
    upkeep = upkeep_of(postgres.url(schema, user=user))
    fsync = ["fsync is off: when the server's machine fails, all may be lost"]
    assert [one.text for one in (await upkeep.examine(9)).remarks] == fsync
    postgres.psql(f"REVOKE INSERT ON {schema}.inbox, {schema}.landed FROM {user}")
    found = await upkeep.examine(9)
    assert [one.text for one in found.remarks] == [
        "the user may not write to inbox, landed",
        *fsync,
    ]


# --- owners ------------------------------------------------------------------------------------


async def test_one_owner_a_second_host_is_refused_while_the_first_renews(
    postgres: Postgres,
) -> None:
    url = postgres.fresh_url()
    first, second = open_storage(url, partitions=2), open_storage(url)
    await first.open()
    await first.acquire(HostIdentity(owner="one", description="process 1 on here"))
    await second.open()
    assert owner_of(url) == "process 1 on here"
    with pytest.raises(StorageOwnedError, match="process 1 on here"):
        await second.acquire(HostIdentity(owner="two", description="process 2 on here"))
    # Who closes without a word has its leases ended, and counts as dead.
    await first.close()
    began = time.monotonic()
    leases = await second.acquire(HostIdentity(owner="two", description="process 2 on here"))
    assert time.monotonic() - began < 2
    assert [lease.epoch for lease in leases] == [2, 2]
    assert (await second.load_partition(0, None, 1)).deaths == 1
    await second.close()


# --- the host ----------------------------------------------------------------------------------


async def test_nothing_is_lost_or_doubled_when_the_database_is_restarted_at_once() -> None:
    with running_postgres(fsync="on", synchronous_commit="on") as server:
        async with Host(app, storage=server.fresh_url()) as host:
            handles = [await host.client.start(chain, f"n{number}") for number in range(40)]
            for _ in range(2):
                await asyncio.sleep(0.1)
                server.stop_at_once()
                await asyncio.sleep(0.3)
                server.start()
            results = await asyncio.gather(*(handle.result() for handle in handles))
            assert results == [[f"n{one}-{two}" for two in range(5)] for one in range(40)]
            # The host had all of it in memory: no step ran again.
            assert set(runs.values()) == {1}
            assert len(runs) == 200


async def test_a_full_server_and_a_read_only_one_are_told_of_and_waited_for() -> None:
    with running_postgres(max_connections="8", superuser_reserved_connections="0") as server:
        url = server.fresh_url()
        async with Host(app, storage=url) as host:
            assert len(await (await host.client.start(chain, "a")).result()) == 5
            dsn = url.partition("&schema")[0]
            wire = await asyncpg.connect(dsn)
            await wire.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await wire.execute("SELECT pg_reload_conf()")
            await asyncio.sleep(0.2)
            started = asyncio.ensure_future(host.client.start(chain, "b"))
            for _ in range(100):
                if host.engine.pipeline.unavailable is not None:
                    break
                await asyncio.sleep(0.05)
            assert "read-only" in str(host.engine.pipeline.unavailable)
            await wire.execute("SET default_transaction_read_only = off")
            await wire.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await wire.execute("SELECT pg_reload_conf()")
            assert len(await (await started).result()) == 5
            await wire.close()
        others = [await asyncpg.connect(dsn) for _ in range(8)]
        with pytest.raises(StorageUnavailableError, match="raise max_connections"):
            await open_storage(url).open()
        for one in others:
            await one.close()


PROGRAM = """
import asyncio, sys
sys.path.insert(0, {root!r})
import tenuto.storage.postgres.store
tenuto.storage.postgres.store.LEASE_SECONDS = 2.0
from tenuto import Host
from tests.integration.test_postgres import app

async def main():
    async with Host(app, storage={url!r}) as host:
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_host_that_is_killed_is_followed_by_one_that_loses_nothing(
    postgres: Postgres,
) -> None:
    url = postgres.fresh_url()
    maker = open_storage(url, partitions=4)
    await maker.open()
    await maker.close()
    async with Client.open(url) as client:
        handles = [await client.start(chain, f"k{number}") for number in range(20)]
        for round_number in range(3):
            program = PROGRAM.format(root=str(ROOT), url=url)
            host = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                program,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            )
            assert host.stdout is not None
            async with asyncio.timeout(40):
                assert await host.stdout.readline() == b"ready\n"
            await asyncio.sleep(0.05 * round_number)
            host.send_signal(signal.SIGKILL)
            await host.wait()
        async with Host(app, storage=url):
            results = await asyncio.gather(*(handle.result() for handle in handles))
        assert results == [[f"k{one}-{two}" for two in range(5)] for one in range(20)]


# --- upkeep ------------------------------------------------------------------------------------


async def test_upkeep_of_a_hub(postgres: Postgres) -> None:
    url = postgres.fresh_url()
    storage = open_storage(url, partitions=1)
    owner = await Owner.of(storage)
    raised = message("m1").message
    letters = [
        msgspec.structs.replace(letter(number), instance_id=ONE, message=raised)
        for number in range(3)
    ]
    finished = record(2, status=RuntimeStatus.COMPLETED)
    await owner.commit(
        instances=[record(1), finished],
        history=[turn(2, 0)],
        inbox=[message("waits")],
        dead_letters=letters,
    )
    upkeep = upkeep_of(url)
    found = await upkeep.examine(10_000)
    assert (found.counts, found.messages) == (
        {RuntimeStatus.PENDING: 1, RuntimeStatus.COMPLETED: 1},
        1,
    )
    assert found.is_readable
    assert (found.free_bytes, found.dead_letters, found.unseen_dead_letters) == (None, 3, 3)
    assert found.owner == "first"
    assert found.oldest_pending == 1_001
    assert [one for _, one in await upkeep.waiting()] == [ONE]
    assert await upkeep.acknowledge_letters([MessageId("m0")], 9) == 1
    assert await upkeep.acknowledge_letters(None, 9) == 2
    redriven = await upkeep.redrive_letters([MessageId("m1")])
    assert (redriven.sent, redriven.left) == ([(MessageId("m1"), ONE)], [])
    assert await upkeep.drop_letters([MessageId("m0"), MessageId("none")]) == 1
    assert await upkeep.drop_letters(None) == 1
    assert await storage.dead_letters() == []
    inbox = (await owner.loaded(1)).inbox
    assert [row.message_id for row in inbox] == ["waits", "redriven-2"]
    with pytest.raises(SettingsError, match="pg_basebackup"):
        upkeep.back_up("x", lambda: 0, force=False, told=lambda _done, _all: None)
    await storage.close()


async def test_a_connection_that_the_driver_lost_track_of_is_given_up(postgres: Postgres) -> None:
    """It says so with an error that is none of the server's: found by restarting databases."""
    connection = Connection(address_of(postgres.fresh_url()), "test")

    async def backend(session: Session) -> object:
        return await session.wire.fetchval("SELECT pg_backend_pid()")

    async def fails(session: Session) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12")

    first = await connection.do(backend, "read")
    with pytest.raises(StorageUnavailableError, match="the connection broke"):
        await connection.do(fails, "read")
    assert await connection.do(backend, "read") != first
    await connection.close()


def test_backup_refuses_and_names_what_copies_a_hub(
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["backup", "copy.db", "--storage", postgres.fresh_url()]) == 2
    assert "pg_basebackup" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
