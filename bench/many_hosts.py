"""Hello sequences on SQLite, and on PostgreSQL with one host and with two: in one run, in turn.

Usage: ``python -m bench.many_hosts [REPETITIONS] [COUNT]``; prints medians as a table. The server
is a private one beside the hosts, fsync on for both stores. What it says of itself (commits, bytes
of its log) is counted while the load runs.
"""

import asyncio
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import asyncpg

from tests.support.postgres import Postgres, running_postgres

_CONCURRENCY = 1_000
Values = dict[str, float]


async def _host(storage: str, hosts: int, count: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.many_hosts_process", storage, str(hosts), str(count), str(_CONCURRENCY)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _line(host: asyncio.subprocess.Process) -> str:
    assert host.stdout is not None
    line = (await host.stdout.readline()).decode().strip()
    assert line, "a host has ended"
    return line


async def _go_on(host: asyncio.subprocess.Process) -> None:
    assert host.stdin is not None
    host.stdin.write(b"\n")
    await host.stdin.drain()


async def _counted(server: Postgres | None) -> tuple[int, int]:
    """Commits and bytes of the log, as the server counts them."""
    if server is None:
        return 0, 0
    wire = await asyncpg.connect(server.url("public").partition("&schema=")[0])
    try:
        await wire.execute("SELECT pg_stat_force_next_flush()")
        row = await wire.fetchrow(
            "SELECT sum(xact_commit)::bigint, (pg_current_wal_lsn() - '0/0')::bigint "
            "FROM pg_stat_database"
        )
        assert row is not None
        return int(row[0]), int(row[1])
    finally:
        await wire.close()


async def measure(storage: str, hosts: int, count: int, server: Postgres | None) -> Values:
    """One load on so many hosts."""
    started = [await _host(storage, hosts, count) for _ in range(hosts)]
    for one in started:
        assert await _line(one) == "ready"
    commits, log = await _counted(server)
    for one in started:
        await _go_on(one)
    values = [json.loads(await _line(one)) for one in started]
    await asyncio.sleep(1.1)  # sessions tell the server's statistics so often
    commits_after, log_after = await _counted(server)
    for one in started:
        await _go_on(one)
        await one.wait()
    total = hosts * count
    return {
        "rate": total / max(one["seconds"] for one in values),
        "cpu_us": statistics.mean(one["cpu_us"] for one in values),
        "commits": (commits_after - commits) / total,
        "log_bytes": (log_after - log) / total,
    }


async def main(repetitions: int, count: int) -> None:
    """Measure, and print."""
    found: defaultdict[str, list[Values]] = defaultdict(list)
    safe = running_postgres(fsync="on", synchronous_commit="on", full_page_writes="on")
    with safe as server, tempfile.TemporaryDirectory() as folder:
        for number in range(repetitions):
            file = Path(folder) / f"{number}.db"
            found["SQLite"].append(await measure(f"sqlite:///{file}", 1, count, None))
            for hosts in (1, 2):
                url = server.fresh_url()
                name = f"PostgreSQL, {hosts} host{'s' if hosts > 1 else ''}"
                found[name].append(await measure(url, hosts, count, server))
    for name, values in found.items():
        medians = {key: statistics.median(one[key] for one in values) for key in values[0]}
        shown = ", ".join(f"{key} {value:,.2f}" for key, value in medians.items())
        print(f"{name}: {shown}")


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(words + [5, 3_000][len(words) :])))
