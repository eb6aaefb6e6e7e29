"""A store with many finished instances in it, and what a hello sequence then writes.

The instances are copied inside SQLite from one that really ran. Their ids and execution ids are
those that this version of Tenuto makes, in their order: whether an index grows at its end or
everywhere is what decides how many pages a commit touches.
"""

from collections.abc import Iterator
from pathlib import Path

import apsw

from bench import loads
from bench.app import app
from bench.catalogue import Plan
from bench.loads import Values
from bench.meter import Meter
from tenuto import Host
from tenuto.model.ids import new_execution_id, new_instance_id

_SLICE = 50_000
_SECONDS_APART = 0.01
"""Between one instance and the next: a store that took N / 100 seconds to fill."""

_LEFT_OUT = {"iid", "instance_id", "execution_id", "root_id"}
_TIMES = {"created_at", "updated_at", "completed_at"}


async def measure(plan: Plan, folder: Path) -> Values:
    """Fill a store with ``width`` finished instances and run the load on it."""
    store = folder / "bench.db"
    async with Host(app, storage=f"sqlite:///{store}") as host:
        await loads.warm_up(host.client, Plan(load="closed_loop", warm_up=1))
    fill(store, plan.width)
    hellos = Plan(
        load="closed_loop", count=plan.count, concurrency=plan.concurrency, warm_up=plan.warm_up
    )
    async with Host(app, storage=f"sqlite:///{store}") as host:
        await loads.warm_up(host.client, hellos)
        written = _written_bytes()
        with Meter() as meter:
            await loads.closed_loop(host.client, hellos)
        written = _written_bytes() - written
    return meter.values(plan.count) | {"written_kb": written / plan.count / 1000}


def fill(store: Path, count: int) -> None:
    """Copy the one instance of a store, so that it holds so many more that have finished."""
    connection = apsw.Connection(str(store))
    connection.pragma("synchronous", "off")
    connection.pragma("cache_size", -200_000)
    ((iid, created),) = connection.execute("SELECT iid, created_at FROM instance").fetchall()
    assert isinstance(iid, int)
    assert isinstance(created, int)
    step = int(_SECONDS_APART * 1_000_000)
    connection.execute("CREATE TEMP TABLE copy (number INTEGER PRIMARY KEY, id TEXT, run TEXT)")
    for first in range(1, count + 1, _SLICE):
        numbers = range(first, min(first + _SLICE, count + 1))
        rows = _ids(numbers, created - step * (count + 1), step)
        with connection:
            connection.execute("DELETE FROM copy")
            connection.executemany("INSERT INTO copy VALUES (?, ?, ?)", rows)
            _copy(connection, iid, step, count)
    connection.pragma("wal_checkpoint(TRUNCATE)")
    connection.close()


def _ids(numbers: range, begin: int, step: int) -> Iterator[tuple[int, str, str]]:
    for number in numbers:
        now = begin + number * step
        yield number, new_instance_id(now), new_execution_id(now)


def _copy(connection: apsw.Connection, iid: int, step: int, count: int) -> None:
    """The rows of one instance, once for each row of the table of copies.

    The one that is copied keeps the first number; the next owner counts on from the highest.
    """
    columns = [
        str(name) for _, name, *_ in connection.execute("PRAGMA table_info(instance)").fetchall()
    ]
    kept = [name for name in columns if name not in _LEFT_OUT]
    earlier = f"{step} * ({count + 1} - copy.number)"
    values = [f"{name} - {earlier}" if name in _TIMES else name for name in kept]
    connection.execute(
        f"INSERT INTO instance (iid, instance_id, execution_id, root_id, {', '.join(kept)}) "
        f"SELECT :iid + copy.number, copy.id, copy.run, copy.id, {', '.join(values)} "
        "FROM copy CROSS JOIN instance WHERE instance.iid = :iid ORDER BY copy.number",
        {"iid": iid},
    )
    connection.execute(
        "INSERT INTO history (iid, generation, turn, events) "
        "SELECT :iid + copy.number, generation, turn, events "
        "FROM copy CROSS JOIN history WHERE history.iid = :iid ORDER BY copy.number, turn",
        {"iid": iid},
    )


def _written_bytes() -> int:
    """What this process has handed to the system with ``write``, cached by it or not."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, number = line.partition(": ")
        if name == "wchar":
            return int(number)
    raise OSError("/proc/self/io does not tell what is written")
