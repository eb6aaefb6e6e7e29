"""Many instances that sleep until one moment: what they cost while they wait, and waking up."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import apsw

from bench.app import app
from bench.catalogue import Plan
from bench.loads import Values, in_lanes
from bench.machine import memory_mib
from bench.meter import CountingObserver, Meter
from tenuto import Client, Host

_SETTLE_SECONDS = 2.0
"""Time for instances to leave memory (they do after one second) before the host counts as idle."""

_START_MARGIN = 1.5
"""Starting may take this much longer than the warm-up promised."""

_AWAKE_LIMIT_SECONDS = 150.0


class StatementCounter:
    """Counts the statements that SQLite begins to run, on every connection opened from now on."""

    def __init__(self) -> None:
        self.count = 0
        apsw.connection_hooks.append(self._watch)

    def _watch(self, connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_STMT, self._traced)

    def _traced(self, trace: dict[str, object]) -> None:
        # The statements inside a trigger belong to the one that set it off.
        if not trace["trigger"]:
            self.count += 1


async def measure(plan: Plan, folder: Path) -> Values:
    """All values of the figure, in one pass."""
    statements = StatementCounter()
    observer = CountingObserver()
    store = folder / "bench.db"
    async with Host(app, storage=f"sqlite:///{store}", observer=observer) as host:
        seconds_each = await _warm_up(host.client, plan, observer)
        values: Values = {"host_mib": memory_mib().get("rss_mib", 0.0)}

        due = time.time() + _SETTLE_SECONDS + plan.idle_seconds + 1
        due += _START_MARGIN * seconds_each * plan.count
        with Meter() as meter:
            await _start(host.client, plan, plan.count, due)
        values |= meter.values(plan.count)
        await asyncio.sleep(_SETTLE_SECONDS)

        values |= memory_mib()
        values["resident_instances"] = len(host.engine.residents)
        values |= await _idle(min(plan.idle_seconds, due - time.time() - 0.5), statements)

        await _until_ended(observer, plan.warm_up + plan.count, due)
        values["awake_seconds"] = observer.last_end - due
        values["peak_mib"] = memory_mib().get("peak_mib", 0.0)
    return values


async def _warm_up(client: Client, plan: Plan, observer: CountingObserver) -> float:
    """Start and wake a few; the seconds that each start took."""
    due = time.time() + 1
    with Meter() as meter:
        await _start(client, plan, plan.warm_up, due)
    await _until_ended(observer, plan.warm_up, due)
    return meter.seconds / plan.warm_up


async def _start(client: Client, plan: Plan, count: int, due: float) -> None:
    moment = datetime.fromtimestamp(due, UTC)
    await in_lanes(plan.concurrency, count, lambda: client.start(plan.orchestrator, moment))


async def _idle(seconds: float, statements: StatementCounter) -> Values:
    if seconds <= 0:
        raise AssertionError("starting took so long that the sleepers are due already")
    before = statements.count
    with Meter() as meter:
        await asyncio.sleep(seconds)
    return {
        "idle_seconds": meter.seconds,
        "idle_cpu": meter.cpu_seconds / meter.seconds * 100,
        "idle_queries": (statements.count - before) / meter.seconds,
    }


async def _until_ended(observer: CountingObserver, count: int, due: float) -> None:
    limit = due + _AWAKE_LIMIT_SECONDS
    while observer.ended < count:
        if time.time() > limit:
            raise AssertionError(
                f"{count - observer.ended:,} instances have not ended "
                f"{_AWAKE_LIMIT_SECONDS:.0f} s after they were due"
            )
        await asyncio.sleep(0.05)
