"""What stands between a host and PostgreSQL, or beside it: poolers and standbys."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto import Client, Host
from tenuto.engine.news import whatever
from tenuto.engine.rows import CommitResult
from tenuto.host.settings import Settings
from tenuto.model.errors import StorageLostError, StorageUnavailableError
from tenuto.storage import open_storage
from tenuto.storage.postgres.address import address_of
from tenuto.storage.postgres.listening import Listening
from tenuto.telemetry.health import health_of
from tests.conformance.storage_suite import Owner, Places, record, turn
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import Postgres, fresh_schema, running_postgres, running_standby
from tests.support.postgres_load import (
    app,
    chain,
    check_rows,
    doctor,
    load_on,
    nothing_ran_twice,
    patient,
    runs,
    through_a_proxy,
)
from tests.support.waiting import until

COUNT = 24


@pytest.fixture(autouse=True)
def _nothing_has_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs.clear()


# --- poolers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def safe() -> Iterator[Postgres]:
    """A server whose commits wait for its disk, as people's do."""
    with running_postgres(synchronous_commit="on") as one:
        yield one


async def test_behind_a_pooler_all_works_but_notifications_and_that_is_said(
    safe: Postgres,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    schema = fresh_schema()
    with pgbouncer(safe) as port:
        url = safe.tcp_url(schema, port)
        async with load_on(url, COUNT) as load:
            async with Client.open(url) as client:
                handle = await client.start(chain, "by a client", instance_id="by a client")
                async with asyncio.timeout(20):
                    await client.wait(handle.instance_id)
            listening = load.host.engine.storage._opened().listening  # type: ignore[attr-defined]
            await until(lambda: listening.is_deaf)
            assert not listening.hears
            _code, said = await doctor(url, capsys)
            assert "in transaction mode notifications do not arrive" in said
            assert "--storage-direct" in said
    assert "do not arrive: a pooler is before it" in caplog.text
    await check_rows(safe.url(schema), COUNT + 1)
    nothing_ran_twice()


async def test_past_a_pooler_notifications_arrive(
    safe: Postgres,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schema = fresh_schema()
    direct = safe.tcp_url(schema)
    with pgbouncer(safe) as port:
        url = safe.tcp_url(schema, port)
        async with load_on(url, 6, Settings(storage_direct=direct)) as load:
            listening = load.host.engine.storage._opened().listening  # type: ignore[attr-defined]
            await until(lambda: listening.hears)
            monkeypatch.setenv("TENUTO_STORAGE_DIRECT", direct)
            _code, said = await doctor(url, capsys)
            assert "pooler" not in said
        # In session mode a pooler passes everything on, and that is found out too.
        with pgbouncer(safe, "session") as patient:
            listening = Listening(address_of(safe.tcp_url(schema, patient)))
            listening.add(lambda: None, whatever)
            async with asyncio.timeout(5):
                await until(lambda: listening.hears)
            await listening.stop()
            assert not listening.is_deaf


async def test_durable_before_visible_refuses_a_pooler_that_does_not_wait_for_the_disk(
    postgres: Postgres,
) -> None:
    with pgbouncer(postgres) as port:
        storage = open_storage(postgres.tcp_url(fresh_schema(), port))
        with pytest.raises(StorageUnavailableError, match="synchronous_commit is off"):
            await storage.open()
    # Without a pooler each connection sees to it itself.
    storage = open_storage(postgres.fresh_url(), partitions=1)
    await storage.open()
    shown = await storage._opened().commits.do(  # type: ignore[attr-defined]
        lambda session: session.wire.fetchval("SHOW synchronous_commit"), "read"
    )
    assert shown == "on"
    await storage.close()


# --- standbys ----------------------------------------------------------------------------------


async def test_with_a_synchronous_standby_a_failover_loses_nothing() -> None:
    with (
        running_postgres(synchronous_commit="on") as primary,
        running_standby(primary, "second") as standby,
    ):
        primary.synchronize_with("second")
        schema = fresh_schema()
        # The first of them cannot be written to at the beginning.
        url = f"postgresql://postgres@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/postgres"
        async with load_on(f"{url}?schema={schema}", COUNT) as load:
            await load.half()
            primary.stop_at_once()
            await load.ails("the store")
            standby.psql("ALTER SYSTEM RESET synchronous_standby_names")
            standby.promote()
        await check_rows(standby.url(schema), COUNT)
        nothing_ran_twice()


async def test_with_an_asynchronous_standby_a_loss_is_detected_and_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running_postgres(synchronous_commit="on") as primary:
        schema = fresh_schema()
        await _made(primary.url(schema))
        with running_standby(primary, "second") as standby:
            url = (
                f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
                f"?schema={schema}"
            )
            async with Host(app, storage=url) as host:
                await (await host.client.start(chain, "there", instance_id="there")).result()
                _code, said = await doctor(url, capsys)
                assert "1 standby, none of them synchronous" in said
                _caught_up(primary, standby)
                standby.psql("SELECT pg_wal_replay_pause()")
                (receiver,) = standby.psql("SELECT pid FROM pg_stat_wal_receiver").split()
                os.kill(int(receiver), signal.SIGSTOP)
                await (await host.client.start(chain, "lost", instance_id="lost")).result()
                primary.stop_at_once()
                os.kill(int(receiver), signal.SIGKILL)
                standby.stop_at_once()
                standby.start()
                standby.promote()
                async with asyncio.timeout(20):  # though it has nothing to write
                    error = await host.until_lost()
                assert isinstance(error, StorageLostError)
                assert "has lost work that it had acknowledged" in str(error)
                assert "has lost work that it had acknowledged" in str(health_of(host.engine))
            # Who looks, and starts it anew, finds what is left.
            async with Host(app, storage=url) as host:
                assert (await host.client.wait("there")).output is not None
                assert await host.client.get_status("lost") is None


async def test_no_cancel_and_no_timeout_meets_a_commit_that_waits_for_its_standby(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would show what no standby has; another connection would wait beside the first."""
    monkeypatch.setattr(Places, "partitions", 1)
    with running_postgres(synchronous_commit="on") as primary:
        storage = open_storage(primary.fresh_url(), partitions=1)
        owner = await Owner.of(storage)
        with running_standby(primary, "second") as standby:
            primary.synchronize_with("second")
            await owner.commit("before", instances=[record(1)])
            standby.stop_at_once()
            monkeypatch.setattr("tenuto.storage.postgres.connection.ANSWER_SECONDS", 0.2)
            batch = owner.batch("waits", history=[turn(1, 0)])
            sent = asyncio.ensure_future(storage.commit(batch))
            waiting = await _waiting_for_standbys(primary)
            await asyncio.sleep(1)  # it is looked at again and again, and let be
            assert await _waiting_for_standbys(primary) == waiting
            assert not sent.done()
            sent.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sent
            await asyncio.sleep(0.2)
            assert await _waiting_for_standbys(primary) == waiting
            assert (await storage.load_instances([1]))[0].turns == []
            monkeypatch.undo()
            standby.start()
            assert await storage.landed(batch) == CommitResult()
        primary.psql("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        await storage.close()


async def test_a_commit_whose_wait_for_its_standby_somebody_cancels_is_in_doubt(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The server says that it is done, and that it has waited for nobody."""
    with running_postgres(synchronous_commit="on") as primary:
        url = primary.fresh_url()
        await _made(url)
        with running_standby(primary, "second") as standby:
            primary.synchronize_with("second")
            async with Host(app, storage=url) as host:
                await (await host.client.start(chain, "before")).result()
                standby.stop_at_once()
                asked = asyncio.ensure_future(
                    host.client.start(chain, "asked", instance_id="asked")
                )
                (waiting,) = await _waiting_for_standbys(primary)
                _code, said = await doctor(url, capsys)
                assert "commits wait for a synchronous standby, and none is connected" in said
                schema = url.rpartition("=")[2]
                there = f"SELECT count(*) FROM {schema}.instance WHERE instance_id = 'asked'"
                assert primary.psql(there) == "0"
                primary.psql(f"SELECT pg_cancel_backend({waiting})")
                await until(lambda: "has canceled the wait" in str(health_of(host.engine)))
                await _waiting_for_standbys(primary)  # it asks whether it has landed
                assert primary.psql(there) == "1"
                assert not asked.done()
                standby.start()
                await asyncio.wait_for(asked, 20)
                assert (await host.client.wait("asked")).output is not None


async def _made(url: str) -> None:
    storage = open_storage(url)
    await storage.open()
    await storage.close()


def _caught_up(primary: Postgres, standby: Postgres) -> None:
    written = primary.psql("SELECT pg_current_wal_insert_lsn()")
    while standby.psql(f"SELECT pg_last_wal_replay_lsn() >= '{written}'") != "t":
        time.sleep(0.02)


async def _waiting_for_standbys(primary: Postgres) -> list[str]:
    """The processes of commits that wait for a standby."""
    asked = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' "
        "AND application_name = 'tenuto commits'"
    )
    for _ in range(500):
        found = primary.psql(asked).split()
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("nothing waits for a standby")


# --- rest --------------------------------------------------------------------------------------


async def test_waiting_costs_nothing_fewer_than_two_queries_a_second(postgres: Postgres) -> None:
    async with through_a_proxy(postgres) as (proxy, url, _past), Host(app, storage=url) as host:
        waits = await host.client.start(patient, "a")
        await (await host.client.start(chain, "b")).result()
        await asyncio.sleep(1)
        before = proxy.requests
        await asyncio.sleep(5)
        assert proxy.requests - before < 10
        await host.client.raise_event(waits.instance_id, "go")
        assert await waits.result() == "a"
