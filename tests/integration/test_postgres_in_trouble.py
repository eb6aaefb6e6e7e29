"""A host under load while its database is in trouble: nothing is lost, nothing happens twice, and
the host says what is wrong in words that one can act on.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from tenuto import Client, Host, OrchestrationHandle, Settings
from tenuto.model.errors import StorageLostError, StorageUnavailableError, StorageVersionError
from tenuto.storage.postgres.statements import NEWEST_SCHEMA
from tenuto.storage.postgres.wiring import OWN_SETTINGS, wired
from tests.support.postgres import Postgres, fresh_schema, running_postgres
from tests.support.postgres_load import (
    Load,
    app,
    check_rows,
    child,
    doctor,
    load_on,
    nothing_ran_twice,
    runs,
    through_a_proxy,
)
from tests.support.waiting import until_given

COUNT = 24
POSTGRES = "tenuto.storage.postgres"


@pytest.fixture(autouse=True)
def _nothing_has_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs.clear()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The name of a database of a test's own."""
    name = fresh_schema()
    postgres.psql(f"CREATE DATABASE {name} TEMPLATE template0")
    yield name
    postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


# --- the line ----------------------------------------------------------------------------------


async def test_exactly_once_turns_when_connections_are_reset(postgres: Postgres) -> None:
    async with through_a_proxy(postgres) as (proxy, url, past):
        async with load_on(url, COUNT) as load:
            for part in range(1, 6):
                await load.started(part * COUNT // 6)
                proxy.cut()
        await check_rows(past, COUNT)
    nothing_ran_twice()


async def test_exactly_once_turns_when_answers_are_lost(postgres: Postgres) -> None:
    """Commits that have landed, and of which the host does not know that."""
    async with through_a_proxy(postgres) as (proxy, url, past):
        async with load_on(url, COUNT) as load:
            for part in range(1, 4):
                await load.started(part * COUNT // 4)
                proxy.is_mute = True
                await load.ails("the connection broke")
                proxy.is_mute = False
                await load.is_well()
        await check_rows(past, COUNT)
    nothing_ran_twice()


async def test_exactly_once_turns_when_the_line_is_dead_and_says_nothing(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with through_a_proxy(postgres) as (proxy, url, past):
        async with load_on(url, COUNT) as load:
            await load.started(COUNT // 3)
            monkeypatch.setattr(f"{POSTGRES}.connection.ANSWER_SECONDS", 0.3)
            monkeypatch.setattr(f"{POSTGRES}.wiring.CONNECT_SECONDS", 0.5)
            await load.half()  # what is under way by then has little patience
            proxy.is_frozen = True
            await load.ails("the connection broke")
            proxy.is_frozen = False
        await check_rows(past, COUNT)
    nothing_ran_twice()


async def test_exactly_once_turns_when_backends_are_ended(postgres: Postgres) -> None:
    url = postgres.fresh_url()
    async with load_on(url, COUNT) as load:
        for part in range(1, 6):
            await load.started(part * COUNT // 6)
            for pid in postgres.backends("tenuto commits"):
                postgres.psql(f"SELECT pg_terminate_backend({pid})")
    await check_rows(url, COUNT)
    nothing_ran_twice()


async def test_exactly_once_turns_when_the_backend_of_commits_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running_postgres() as server:
        url = server.fresh_url()
        async with load_on(url, COUNT) as load:
            await load.started(COUNT // 3)
            monkeypatch.setattr(f"{POSTGRES}.connection.ANSWER_SECONDS", 0.5)
            await load.half()  # what is under way by then has little patience
            hanging = server.backends("tenuto commits")
            for pid in hanging:
                os.kill(pid, signal.SIGSTOP)
            try:
                await load.ails("the connection broke")
            finally:
                for pid in hanging:  # its commit comes through now, or is refused as a late one
                    os.kill(pid, signal.SIGCONT)
        await check_rows(url, COUNT)
    nothing_ran_twice()


# --- what the server refuses -------------------------------------------------------------------


async def test_a_read_only_database_is_named_and_waited_for(
    postgres: Postgres, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres.url("hub", database=database)
    async with load_on(url, COUNT) as load:
        await load.half()
        postgres.psql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        postgres.end_backends()
        await load.ails("it is read-only")
        code, said = await doctor(url, capsys)
        assert code == 1
        assert "the database is read-only: default_transaction_read_only is on" in said
        postgres.psql(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    await check_rows(url, COUNT)
    nothing_ran_twice()


async def test_settings_that_are_meant_for_people_do_not_meet_a_host(
    postgres: Postgres, database: str
) -> None:
    for setting in (
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "default_transaction_isolation = 'serializable'",
    ):
        postgres.psql(f"ALTER DATABASE {database} SET {setting}")
    url = postgres.url("hub", database=database)
    async with load_on(url, COUNT) as load:
        await load.half()
        shown = await load.host.engine.storage._opened().commits.do(  # type: ignore[attr-defined]
            lambda session: session.wire.fetchval("SHOW statement_timeout"), "read"
        )
        assert shown == "0"
        level = await load.host.engine.storage._opened().commits.do(  # type: ignore[attr-defined]
            lambda session: session.wire.fetchval("SHOW transaction_isolation"), "read"
        )
        assert level == "read committed"
        assert load.health == ""
    await check_rows(url, COUNT)
    nothing_ran_twice()


async def test_a_limit_for_transactions_of_people_does_not_meet_a_host() -> None:
    with running_postgres("18") as server:
        server.psql("ALTER DATABASE postgres SET transaction_timeout = '300ms'")
        wire = await wired(server.url("x").partition("&schema")[0], "tenuto test", {})
        async with wire.raw.transaction():
            await wire.raw.execute("SELECT pg_sleep(1)")
        await wire.raw.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP SCHEMA {hub} CASCADE", "tables are gone"),
        ("UPDATE {hub}.hub SET incarnation = 'another'", "has another hub where this host's was"),
        ("UPDATE {hub}.partition SET epoch = epoch - 1", "has lost work"),
    ],
)
async def test_an_idle_host_ends_when_its_hub_is_not_there_any_more(
    postgres: Postgres, change: str, words: str
) -> None:
    schema = fresh_schema()
    url = postgres.url(schema)
    async with Host(app, storage=url, settings=Settings(lease_seconds=1)) as host:
        await (await host.client.start("chain", "a")).result()
        # Not on the loop: it waits for what the host has begun.
        await asyncio.to_thread(postgres.psql, change.format(hub=schema))
        async with asyncio.timeout(20):
            lost = await host.until_lost()
        assert isinstance(lost, StorageLostError)
        assert words in str(lost)


async def test_a_lock_of_somebody_else_is_named_and_waited_for(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OWN_SETTINGS, "lock_timeout", "100ms")
    schema = fresh_schema()
    async with load_on(postgres.url(schema), COUNT) as load:
        await load.half()
        wire = await asyncpg.connect(postgres.url("x").partition("&schema")[0])
        async with wire.transaction():
            await wire.execute(f"LOCK TABLE {schema}.history IN ACCESS EXCLUSIVE MODE")
            await load.ails("another transaction holds a lock")
        await wire.close()
    await check_rows(postgres.url(schema), COUNT)
    nothing_ran_twice()


async def test_a_deadlock_with_somebody_else_is_named_and_tried_again(postgres: Postgres) -> None:
    schema = fresh_schema()
    async with load_on(postgres.url(schema), COUNT) as load:
        await load.half()
        wire = await asyncpg.connect(postgres.url("x").partition("&schema")[0])
        await wire.execute("SET deadlock_timeout = '60s'")  # so that the host's is the one ended
        async with wire.transaction():
            await wire.execute(f"LOCK TABLE {schema}.history IN ACCESS EXCLUSIVE MODE")
            # Its commit has the lock of its fence by then, and waits.
            waits = (
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tenuto commits' "
                "AND wait_event_type = 'Lock'"
            )
            await until_given(lambda: wire.fetchval(waits))
            circle = asyncio.ensure_future(
                wire.execute(f"UPDATE {schema}.partition SET epoch = epoch")
            )
            await load.ails("it ended a deadlock")
            await circle
        await wire.close()
    await check_rows(postgres.url(schema), COUNT)
    nothing_ran_twice()


async def test_a_server_without_free_connections_is_named_and_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running_postgres(max_connections="12", superuser_reserved_connections="0") as server:
        url = server.fresh_url()
        dsn = url.partition("&schema")[0]
        async with load_on(url, COUNT) as load:
            await load.half()
            others = [await asyncpg.connect(dsn)]
            while True:
                await others[0].execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name LIKE 'tenuto %'"
                )
                try:
                    others.append(await asyncpg.connect(dsn))
                except asyncpg.TooManyConnectionsError:
                    if not await others[0].fetchval(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE "
                        "'tenuto %'"
                    ):
                        break
            await load.ails("it has no connection left; raise max_connections")
            code, said = await doctor(url, capsys)
            assert code == 1
            assert "it has no connection left; raise max_connections" in said
            for one in others:
                await one.close()
        await check_rows(url, COUNT)
    nothing_ran_twice()


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts a disk that is small")
async def test_a_full_disk_is_named_and_waited_for() -> None:
    small = {"min_wal_size": "8MB", "max_wal_size": "12MB"}
    with running_postgres(most_bytes=96 * 1024 * 1024, **small) as server:
        url = server.fresh_url()
        async with load_on(url, COUNT) as load:
            await load.half()
            ballast = await asyncio.to_thread(server.fill_disk)
            await load.ails("its disk is full")
            ballast.unlink()
            if server.has_ended:
                server.start()
        await check_rows(url, COUNT)
    nothing_ran_twice()


async def test_no_silent_drop_when_a_server_gives_numbers_of_transactions_once_more() -> None:
    """It does after a crash. Who looked for what is newer than the lost ones missed the first."""
    with running_postgres("16", None, fsync="on", synchronous_commit="on") as server:
        url = server.tcp_url(fresh_schema())
        async with Host(app, url) as host, await Client.open(url, app) as client:
            await (await client.start(child, "before")).result()
            wire = await asyncpg.connect(url.partition("?")[0])
            using_up = asyncio.create_task(_use_up(wire))
            while not using_up.done():
                await host.client.wake()
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.stop_at_once)
            wire.terminate()
            await asyncio.to_thread(server.start)
            handles = [
                await _patiently(partial(client.start, child, f"n{number}")) for number in range(20)
            ]
            async with asyncio.timeout(60):
                for number, handle in enumerate(handles):
                    assert await handle.result() == f"n{number}-child"


async def _use_up(wire: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Numbers of transactions that leave no trace in the log."""
    for _ in range(3_000):
        await wire.execute("SELECT pg_current_xact_id()")


async def _patiently(
    start: Callable[[], Awaitable[OrchestrationHandle[str]]],
) -> OrchestrationHandle[str]:
    while True:
        try:
            return await start()
        except StorageUnavailableError:
            await asyncio.sleep(0.05)


async def test_a_hub_that_a_newer_tenuto_has_changed_ends_the_host_with_that_reason(
    postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = fresh_schema()
    url = postgres.url(schema)
    async with Host(app, storage=url) as host:
        load = Load(host, COUNT)
        feeding = asyncio.ensure_future(load.feed())
        await load.half()
        postgres.psql(
            f"BEGIN; UPDATE {schema}.hub SET schema = 99; "
            f"ALTER FUNCTION {schema}.write_turns RENAME TO write_turns_99; COMMIT"
        )
        lost = await host.until_lost()
        feeding.cancel()
        assert isinstance(lost, StorageVersionError)
        assert "written by a newer Tenuto" in load.health
        code, said = await doctor(url, capsys)
        assert code == 1
        assert "has schema 99" in said
    postgres.psql(
        f"BEGIN; UPDATE {schema}.hub SET schema = {NEWEST_SCHEMA}; "
        f"ALTER FUNCTION {schema}.write_turns_99 RENAME TO write_turns; COMMIT"
    )
    async with Host(app, storage=url) as host:  # nothing that was acknowledged is lost
        for name in load.acknowledged:
            assert (await host.client.wait(name)).output is not None
