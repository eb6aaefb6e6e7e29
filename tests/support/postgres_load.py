"""A load on one host while its database is in trouble, and what must be true of the rows after it.

Some dozen orchestrations with activities and a child, started one after the other by who starts
again what he was not told of, as clients do.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
import pytest

from tenuto import App, Context, Host
from tenuto.cli.command import run_command_line
from tenuto.host.settings import Settings
from tenuto.model.errors import InstanceExistsError, StorageUnavailableError
from tenuto.telemetry.health import health_of
from tests.support.postgres import Postgres, fresh_schema
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

STEPS: Final = 4
_PAUSE: Final = 0.02
"""Seconds between two starts."""
_LOOK: Final = 0.01
_PATIENCE: Final = 20.0

app = App()
runs: Counter[str] = Counter()


@app.activity
async def step(name: str) -> str:
    runs[name] += 1
    await asyncio.sleep(0.02)
    return name


@app.orchestrator
async def child(ctx: Context, name: str) -> str:
    return await ctx.call_activity(step, f"{name}-child")


@app.orchestrator
async def chain(ctx: Context, name: str) -> list[str]:
    done = [await ctx.call_activity(step, f"{name}-{number}") for number in range(STEPS)]
    return [*done, await ctx.call_sub_orchestrator(child, name)]


@app.orchestrator
async def patient(ctx: Context, name: str) -> str:
    await ctx.wait_for_external_event("go")
    return name


class Load:
    """The orchestrations of one test."""

    def __init__(self, host: Host, count: int, pause: float = _PAUSE) -> None:
        self.host = host
        self._pause = pause
        self.names = [f"n{number:03}" for number in range(count)]
        self.acknowledged: list[str] = []

    @property
    def health(self) -> str:
        """Why the host is not well; empty when it is."""
        return "; ".join(health_of(self.host.engine).reasons)

    async def ails(self, words: str) -> None:
        """Wait until the host says so of itself."""
        for _ in range(round(_PATIENCE / _LOOK)):
            if words in self.health:
                return
            await asyncio.sleep(_LOOK)
        raise AssertionError(f"the host does not say {words!r}, but {self.health!r}")

    async def is_well(self) -> None:
        """Wait until the host says nothing of the kind."""
        async with asyncio.timeout(_PATIENCE):
            while self.health:  # noqa: ASYNC110 - it is asked, and tells nobody
                await asyncio.sleep(0.01)

    async def half(self) -> None:
        """Wait until half of them were started."""
        await self.started(len(self.names) // 2)

    async def started(self, count: int) -> None:
        """Wait until so many were acknowledged."""
        async with asyncio.timeout(_PATIENCE):
            while len(self.acknowledged) < count:  # noqa: ASYNC110 - it is asked, and tells nobody
                await asyncio.sleep(0.005)

    async def feed(self) -> None:
        """Start them all."""
        for name in self.names:
            await self._start(name)
            self.acknowledged.append(name)
            await asyncio.sleep(self._pause)

    async def _start(self, name: str) -> None:
        while True:
            with suppress(InstanceExistsError):
                try:
                    await self.host.client.start(chain, name, instance_id=name)
                except StorageUnavailableError:
                    await asyncio.sleep(0.05)
                    continue
            return

    async def results(self) -> None:
        """Each has ended, with each of its steps once."""
        for name in self.names:
            result = await self.host.client.wait(name)
            assert result.output == [*(f"{name}-{one}" for one in range(STEPS)), f"{name}-child"]


@asynccontextmanager
async def load_on(
    url: str, count: int, settings: Settings | None = None, pause: float = _PAUSE
) -> AsyncIterator[Load]:
    """A host under load; at the end of the block all of it has to have ended as it should.

    Args:
        url: Of the store.
        count: How many orchestrations.
        settings: Of the host.
        pause: Seconds between two starts.
    """
    async with Host(app, storage=url, settings=settings) as host:
        load = Load(host, count, pause)
        feeding = asyncio.ensure_future(load.feed())
        try:
            yield load
            async with asyncio.timeout(_PATIENCE + count * 3 * pause):
                await feeding
                await load.results()
        finally:
            feeding.cancel()


async def check_rows(url: str, count: int) -> None:
    """What has to be true of a hub's rows when all has ended: nothing lost, nothing twice.

    Args:
        url: Of the store, past poolers and proxies.
        count: How many orchestrations, without their children.
    """
    dsn, _, schema = url.partition("schema=")
    wire = await asyncpg.connect(dsn.rstrip("?&"), server_settings={"statement_timeout": "0"})
    try:
        rows = await wire.fetch(f'SELECT status, instance_id FROM "{schema}".instance')
        assert [row["instance_id"] for row in rows if row["status"] != 1] == []
        assert len(rows) == 2 * count
        assert await wire.fetchval(f'SELECT count(*) FROM "{schema}".inbox') == 0
        turns = await wire.fetch(f'SELECT iid, turn, events FROM "{schema}".history')
        numbers = await wire.fetch(
            f'SELECT owner, number FROM "{schema}".landed ORDER BY owner, number'
        )
    finally:
        await wire.close()
    _check_histories(turns)
    by_owner: dict[str, list[int]] = {}
    for row in numbers:
        by_owner.setdefault(row["owner"], []).append(row["number"])
    for found in by_owner.values():
        assert found == list(range(found[0], found[0] + len(found)))


def _check_histories(turns: list[asyncpg.Record]) -> None:
    scheduled: Counter[tuple[int, int]] = Counter()
    answered: Counter[tuple[int, int]] = Counter()
    for row in turns:
        for event in json.loads(row["events"]):
            if event["type"] in {"TaskScheduled", "SubOrchestrationInstanceCreated"}:
                scheduled[row["iid"], event["eventId"]] += 1
            if event["type"] in {"TaskCompleted", "SubOrchestrationInstanceCompleted"}:
                answered[row["iid"], event["taskScheduledId"]] += 1
    assert set(scheduled.values()) == {1}
    assert answered == scheduled


@asynccontextmanager
async def through_a_proxy(postgres: Postgres) -> AsyncIterator[tuple[TcpProxy, str, str]]:
    """A proxy, and URLs of a fresh hub: through it, and past it."""
    schema = fresh_schema()
    async with tcp_proxy(postgres.port) as proxy:
        yield proxy, postgres.tcp_url(schema, proxy.port), postgres.tcp_url(schema)


async def doctor(url: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Exit code of ``tenuto doctor``, and what it says."""
    capsys.readouterr()
    code = await asyncio.to_thread(run_command_line, ["doctor", "--storage", url, *options])
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())


def nothing_ran_twice() -> None:
    """The host was there all the time, and had all of it in memory."""
    assert set(runs.values()) == {1}
