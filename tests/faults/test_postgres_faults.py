"""Rounds of faults on one living hub in PostgreSQL: one host, a steady load, and each fault again
and again. Nothing lost, nothing twice, nothing stuck.
"""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Final

import asyncpg
import pytest

from tenuto.storage.postgres.wiring import OWN_SETTINGS
from tests.support.postgres import Postgres, fresh_schema, running_postgres, running_standby
from tests.support.postgres_load import Load, check_rows, load_on, nothing_ran_twice, runs
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

pytestmark = pytest.mark.faults

ROUNDS: Final = int(os.environ.get("FAULT_ROUNDS", "50"))
_PER_ROUND: Final = 12
_SAFE: Final = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Faults:
    """What is done to a server, its line and its people's patience."""

    def __init__(self, server: Postgres, proxy: TcpProxy, schema: str) -> None:
        self._server = server
        self._proxy = proxy
        self._schema = schema
        self.kinds: list[Callable[[Load], Awaitable[None]]] = [
            self.line_is_reset,
            self.answers_are_lost,
            self.line_is_dead,
            self.backends_are_ended,
            self.backend_of_commits_hangs,
            self.server_restarts,
            self.somebody_locks,
            self.database_is_read_only,
        ]

    async def line_is_reset(self, _load: Load) -> None:
        """All connections at once."""
        self._proxy.cut()

    async def answers_are_lost(self, load: Load) -> None:
        """The requests arrive."""
        self._proxy.is_mute = True
        await load.ails("the connection broke")
        self._proxy.is_mute = False

    async def line_is_dead(self, load: Load) -> None:
        """And nobody says so."""
        self._proxy.is_frozen = True
        await load.ails("the connection broke")
        self._proxy.is_frozen = False

    async def backends_are_ended(self, _load: Load) -> None:
        """Whatever they do."""
        await asyncio.to_thread(self._server.end_backends)

    async def backend_of_commits_hangs(self, load: Load) -> None:
        """It goes on afterwards with what has been given up."""
        hanging = await asyncio.to_thread(self._server.backends, "tenuto commits")
        for pid in hanging:
            os.kill(pid, signal.SIGSTOP)
        await load.ails("the connection broke")
        for pid in hanging:
            os.kill(pid, signal.SIGCONT)

    async def server_restarts(self, load: Load) -> None:
        """As after a failure of its machine."""
        await asyncio.to_thread(self._server.stop_at_once)
        await load.ails("the store")
        await asyncio.to_thread(self._server.start)

    async def somebody_locks(self, load: Load) -> None:
        """A table that each commit writes."""
        wire = await asyncpg.connect(self._server.url("x").partition("&schema")[0])
        async with wire.transaction():
            await wire.execute(f"LOCK TABLE {self._schema}.history IN ACCESS EXCLUSIVE MODE")
            await load.ails("another transaction holds a lock")
        await wire.close()

    async def database_is_read_only(self, load: Load) -> None:
        """For connections that are made from now on."""
        change = "ALTER DATABASE postgres {} default_transaction_read_only"
        self._server.psql(change.format("SET") + " = on")
        self._server.end_backends()
        await load.ails("it is read-only")
        self._server.psql("SET default_transaction_read_only = off", change.format("RESET"))


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    runs.clear()
    monkeypatch.setattr("tenuto.storage.postgres.connection.ANSWER_SECONDS", 3.0)
    monkeypatch.setattr("tenuto.storage.postgres.wiring.CONNECT_SECONDS", 3.0)
    monkeypatch.setitem(OWN_SETTINGS, "lock_timeout", "300ms")


@pytest.mark.parametrize("seed", [1])
async def test_exactly_once_turns_in_rounds_of_faults(seed: int) -> None:
    chance = random.Random(seed)
    schema = fresh_schema()
    count = ROUNDS * _PER_ROUND
    with running_postgres("16", None, **_SAFE) as server:
        async with tcp_proxy(server.port) as proxy:
            faults = Faults(server, proxy, schema)
            url = server.tcp_url(schema, proxy.port)
            async with load_on(url, count, pause=0.05) as load:
                for number in range(ROUNDS):
                    await load.started(number * _PER_ROUND + chance.randrange(_PER_ROUND))
                    await faults.kinds[number % len(faults.kinds)](load)
                    await load.is_well()
        await check_rows(server.url(schema), count)
    nothing_ran_twice()


async def test_synchronous_standbys_are_promoted_one_after_the_other() -> None:
    """Each failover loses nothing; the next standby is made of the server that was promoted."""
    schema = fresh_schema()
    failovers = 5
    count = failovers * _PER_ROUND
    with ExitStack() as servers:
        primary = servers.enter_context(running_postgres("16", None, **_SAFE))
        async with tcp_proxy(primary.port) as proxy:
            url = primary.tcp_url(schema, proxy.port)
            async with load_on(url, count, pause=0.05) as load:
                for number in range(failovers):
                    name = f"standby_{number}"
                    standby = servers.enter_context(
                        await asyncio.to_thread(running_standby, primary, name)
                    )
                    await asyncio.to_thread(primary.synchronize_with, name)
                    await load.started((number + 1) * _PER_ROUND - 3)
                    primary.stop_at_once()
                    standby.psql("ALTER SYSTEM RESET synchronous_standby_names")
                    await asyncio.to_thread(standby.promote)
                    proxy.lead_to(standby.port)
                    await load.is_well()
                    primary = standby
        await check_rows(primary.url(schema), count)
    nothing_ran_twice()
