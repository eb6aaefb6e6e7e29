"""What PostgreSQL is asked for, counted: and whether it grows with instances, history or hosts.

Usage: ``python -m bench.growth [PART…]``, parts being ``instances``, ``history``, ``hosts`` and
``idle``; prints tables. Counts and no times, so that other work on the machine does not matter
much: round trips at a proxy between, commits by the server's transaction numbers (those that have
written), bytes by its log. There is one checkpoint before each row and none while it is measured;
a first block that is not counted takes the whole pages which follow a checkpoint. There is no
autovacuum: what it writes is nobody's, and what it finds out must not be needed.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias

import asyncpg
from msgspec import Struct

from bench.counting_proxy import CountingProxy
from tenuto.model.ids import new_execution_id, new_instance_id
from tests.support.postgres import Postgres, fresh_schema, running_postgres

_SETTINGS: Final[dict[str, Any]] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "checkpoint_timeout": "1h",
    "max_wal_size": "16GB",
    "autovacuum": "off",
}
_KINDS: Final = ("commits", "writes", "reads", "leases", "notifications")
_BLOCK: Final = 100
_BLOCKS: Final = 20
_SLICE: Final = 50_000
_IDLE_SECONDS: Final = 20.0
_SETTLED_SECONDS: Final = 4.0
_FLUSHED_SECONDS: Final = 1.2
"""Sessions tell the server's statistics so often."""


Counted: TypeAlias = list[float]


class Counts(Struct, frozen=True):
    """What the server and the proxies have counted."""

    commits: int
    log_bytes: int
    log_pages: int
    rows_scanned: int
    round_trips: dict[str, int]

    def since(self, before: "Counts", each: float) -> list[float]:
        """The difference, for one of so many: in the order of ``_HEADS``."""
        asked = [self.round_trips.get(kind, 0) - before.round_trips.get(kind, 0) for kind in _KINDS]
        found = (
            self.commits - before.commits,
            self.log_bytes - before.log_bytes,
            self.log_pages - before.log_pages,
            self.rows_scanned - before.rows_scanned,
            sum(asked),
            *asked,
        )
        return [one / each for one in found]


_HEADS: Final = ("commits", "log bytes", "log pages", "rows scanned", "round trips", *_KINDS)


class Process:
    """A host or a client, and the proxy before it."""

    def __init__(self, proxy: CountingProxy, process: asyncio.subprocess.Process) -> None:
        self.proxy = proxy
        self._process = process

    async def answer(self) -> Any:  # noqa: ANN401 - JSON
        """What it says next."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "a process has ended"
        return json.loads(line)

    async def do(self, verb: str, *arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Have something done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([verb, *arguments]).encode() + b"\n")
        return await self.answer()

    async def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        self.proxy.stop()


class Bench:
    """A server and one hub in it.

    Args:
        server: Where.
        wire: For questions that are not counted.
    """

    def __init__(self, server: Postgres, wire: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.server = server
        self.wire = wire
        self.hub = fresh_schema()
        self._ports = itertools.count(10_001)
        self.processes: list[Process] = []

    async def begin(self, hosts: int, *, more: int = 0) -> list[Process]:
        """Start all hosts of the hub at once, or a client with none; ``more`` are there already."""
        begun = [await self._begun(hosts + more if hosts else 0) for _ in range(max(hosts, 1))]
        for one in begun:
            assert await one.answer() == "ready"
        self.processes += begun
        return begun

    async def _begun(self, hosts: int) -> Process:
        port = next(self._ports)
        proxy = CountingProxy(self.server.folder, self.server.port, port)
        await proxy.start()
        url = self.server.url(self.hub).replace(f"port={self.server.port}", f"port={port}")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bench.growth_process", url, str(hosts)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return Process(proxy, process)

    async def end(self) -> None:
        """End all of them."""
        await asyncio.gather(*(one.end() for one in self.processes))
        self.processes = []

    async def counts(self) -> Counts:
        """So far. What is scanned is told late by the server, which is waited for."""
        trips: dict[str, int] = {}
        for kind in _KINDS:
            trips[kind] = sum(one.proxy.round_trips[kind] for one in self.processes)
        row = await self.wire.fetchrow(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS commits, "
            "(pg_current_wal_insert_lsn() - '0/0')::bigint AS log_bytes"
        )
        assert row is not None
        await asyncio.sleep(_FLUSHED_SECONDS)
        pages = await self.wire.fetchval("SELECT wal_fpi FROM pg_stat_wal")
        scanned = await self.wire.fetchval(
            "SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables WHERE schemaname = $1 "
            "AND relname NOT IN ('hub', 'partition', 'owner', 'member')",
            self.hub,
        )
        return Counts(row["commits"], row["log_bytes"], pages, scanned, trips)

    async def measured(self, each: float, work: Callable[[], Coroutine[Any, Any, Any]]) -> Counted:
        """What a piece of work takes, for one of so many."""
        before = await self.counts()
        await work()
        return (await self.counts()).since(before, each)

    async def fill(self, count: int) -> None:
        """So many more that have ended: copies of one that ran, under ids as they are made."""
        last = await self.wire.fetchval(
            f"UPDATE {self.hub}.hub SET last_iid = last_iid + $1 RETURNING last_iid", count
        )
        ended = await self.wire.fetchrow(
            f"SELECT iid, created_at FROM {self.hub}.instance WHERE status = 1 ORDER BY iid LIMIT 1"
        )
        assert ended is not None
        iid, now = ended["iid"], ended["created_at"]
        await self.wire.execute(
            "CREATE TEMP TABLE IF NOT EXISTS copy (iid bigint, id text, run text)"
        )
        columns = await self._columns("instance", {"iid", "instance_id", "execution_id", "root_id"})
        for first in range(last - count + 1, last + 1, _SLICE):
            numbers = range(first, min(first + _SLICE, last + 1))
            await self.wire.execute("TRUNCATE copy")
            await self.wire.copy_records_to_table(
                "copy",
                records=[
                    (one, new_instance_id(now + one), new_execution_id(now + one))
                    for one in numbers
                ],
            )
            await self.wire.execute(
                f"INSERT INTO {self.hub}.instance (iid, instance_id, execution_id, root_id, "
                f"{columns}) SELECT copy.iid, copy.id, copy.run, copy.id, {columns} "
                f"FROM copy CROSS JOIN (SELECT {columns} FROM {self.hub}.instance "
                f"WHERE iid = {iid}) AS one"
            )
            await self.wire.execute(
                f"INSERT INTO {self.hub}.history (iid, generation, turn, events) "
                f"SELECT copy.iid, generation, turn, events FROM copy CROSS JOIN "
                f"(SELECT * FROM {self.hub}.history WHERE iid = {iid}) AS one "
                "ORDER BY copy.iid, turn"
            )

    async def _columns(self, table: str, but: set[str]) -> str:
        rows = await self.wire.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0",
            f"{self.hub}.{table}",
        )
        return ", ".join(row["attname"] for row in rows if row["attname"] not in but)


@asynccontextmanager
async def _bench(server: Postgres) -> AsyncIterator[Bench]:
    wire = await asyncpg.connect(server.url("public").partition("&schema=")[0])
    bench = Bench(server, wire)
    try:
        yield bench
    finally:
        await bench.end()
        await wire.close()


def _head(what: str) -> None:
    print(f"\n{what:<34} " + " ".join(f"{head:>13}" for head in _HEADS), flush=True)


def _show(what: str, found: Counted) -> None:
    print(f"{what:<34} " + " ".join(f"{value:>13,.3f}" for value in found), flush=True)


async def _hellos(hosts: list[Process], blocks: int) -> None:
    """The same load on each number of hosts, in step."""
    for _ in range(blocks):
        await asyncio.gather(*(one.do("hello", 1, _BLOCK // len(hosts)) for one in hosts))


async def _orchestrations(bench: Bench, hosts: list[Process]) -> Counted:
    await bench.wire.execute("CHECKPOINT")
    await _hellos(hosts, _BLOCKS // 4)
    return await bench.measured(_BLOCK * _BLOCKS, lambda: _hellos(hosts, _BLOCKS))


async def by_instances(server: Postgres) -> None:
    """Hello sequences in a hub with ever more instances."""
    _head("for each orchestration, in a hub of")
    async with _bench(server) as bench:
        hosts = await bench.begin(1)
        there = 0
        for ended in (0, 10_000, 50_000, 150_000):
            if ended:
                await bench.fill(ended - there)
                there = ended
            _show(f"{ended:,} ended", await _orchestrations(bench, hosts))
        await hosts[0].do("sleepers", 10_000)
        _show("the same and 10,000 open", await _orchestrations(bench, hosts))


async def by_history(server: Postgres) -> None:
    """Activities one after another, early and late in a history."""
    _head("for each activity, of a chain")
    for chains in (1, 32):
        async with _bench(server) as bench:
            (host,) = await bench.begin(1)
            # A window that is counted, and the way to the next one.
            windows = [50, 150, 900, 150, 1_350, 150] if chains == 1 else [20, 80, 900, 100]
            await host.do("chains", chains, windows)
            events = 0
            for number, length in enumerate(windows):
                if not number % 2:
                    await bench.wire.execute("CHECKPOINT")
                found = await bench.measured(length * chains, partial(host.do, "go", chains))
                if number % 2:
                    _show(f"{chains} at once, from {events:,} events on", found)
                events += 2 * length


async def by_hosts(server: Postgres) -> None:
    """The same load, on more hosts."""
    _head("for each orchestration, on")
    for count in (1, 2, 4):
        async with _bench(server) as bench:
            hosts = await bench.begin(count)
            _show(f"{count} host{'s' if count > 1 else ''}", await _orchestrations(bench, hosts))


async def idle(server: Postgres) -> None:
    """Hosts without work, alone and beside others that have some."""
    _head("each second, for each of")
    for count in (1, 2, 4, 8):
        async with _bench(server) as bench:
            await bench.begin(count)
            await asyncio.sleep(_SETTLED_SECONDS)
            seconds = _IDLE_SECONDS + _FLUSHED_SECONDS
            found = await bench.measured(seconds * count, lambda: asyncio.sleep(_IDLE_SECONDS))
            _show(f"{count} idle host{'s' if count > 1 else ''}", found)
    await _idle_beside_others(server)


async def _idle_beside_others(server: Postgres) -> None:
    """What others do to hosts that have nothing to do: three of four."""
    _head("for each orchestration of another,")
    async with _bench(server) as bench:
        busy, *others = await bench.begin(4)
        partitions = await busy.do("partitions")
        (client,) = await bench.begin(0)
        await asyncio.sleep(_SETTLED_SECONDS)
        bench.processes = others
        blocks = 50
        found = await bench.measured(
            len(others) * blocks * _BLOCK, lambda: busy.do("hello", blocks, _BLOCK)
        )
        _show("by an idle host: handed in there", found)
        starts = 1_000
        found = await bench.measured(
            len(others) * starts, lambda: client.do("start_for", partitions, 32, starts)
        )
        _show("by an idle host: started by clients", found)
        bench.processes = [busy, *others, client]


_PARTS: Final = {
    "instances": by_instances,
    "history": by_history,
    "hosts": by_hosts,
    "idle": idle,
}


async def main(parts: list[str]) -> None:
    """Measure, and print."""
    for part in parts:
        with running_postgres(**_SETTINGS) as server:
            await _PARTS[part](server)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or list(_PARTS)))
