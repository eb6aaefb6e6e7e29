"""The child process: does one plan once, in a fresh interpreter, and prints its values as JSON.

Usage: ``python -m bench.child PLAN FOLDER``, with the plan as JSON. Nothing else may be printed
to standard output.
"""

import os
import sys
import time
from pathlib import Path

import msgspec

from bench import command_line, crowded_store, loads, queues, raw_store, sleepers, topics
from bench.app import app
from bench.catalogue import Plan
from bench.meter import CountingObserver, Meter
from bench.slow_fsync import ADDED_SECONDS, VARIABLE
from tenuto import Host
from tenuto.host.own_loop import run_on_fast_loop


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    folder = Path(sys.argv[2])
    if VARIABLE in os.environ:
        check_slow_fsync(folder)
    if plan.load == "sleepers":
        values = run_on_fast_loop(sleepers.measure(plan, folder))
    elif plan.load == "crowded":
        values = run_on_fast_loop(crowded_store.measure(plan, folder))
    elif plan.load == "besieged":
        from bench import besieged  # noqa: PLC0415 - a web server's modules, as below

        values = run_on_fast_loop(besieged.measure(plan, folder))
    elif plan.load == "serving":
        from bench import serving  # noqa: PLC0415 - a web server's modules, in no other figure

        values = run_on_fast_loop(serving.measure(plan, folder))
    elif plan.load == "queues":
        values = run_on_fast_loop(queues.measure(plan, folder))
    elif plan.load == "topics":
        values = run_on_fast_loop(topics.measure(plan, folder))
    elif plan.load == "azure":
        from bench import azure_apps  # noqa: PLC0415 - needs packages that only these figures need

        values = run_on_fast_loop(azure_apps.measure(plan, folder))
    elif plan.load == "command_line":
        values = command_line.measure(plan, folder)
    else:
        values = measure(plan, folder / "bench.db")
    print(msgspec.json.encode(values).decode())


def measure(plan: Plan, store: Path) -> loads.Values:
    """Run the load, then write the history rows of its measured part with the raw loop."""
    first, values = run_on_fast_loop(_run(plan, store))
    rows = raw_store.rows_after(store, first)
    if plan.load == "raw_store":
        return _raw(store, rows, plan.count)
    units = loads.units(plan)
    raw_rate = units / raw_store.seconds_as_json(store, rows)
    return values | {
        "rows_per_unit": len(rows) / units,
        "raw_rate": raw_rate,
        "raw_share": values["rate"] / raw_rate * 100,
    }


async def _run(plan: Plan, store: Path) -> tuple[int, loads.Values]:
    """The number of the last row of the warm-up, and what was measured after it."""
    load = loads.LOADS[plan.load]
    observer = CountingObserver()
    async with Host(app, storage=f"sqlite:///{store}", observer=observer) as host:
        await loads.warm_up(host.client, plan)
        last_row = raw_store.last_row(store)
        observer.commits = 0
        with Meter() as meter:
            values = await load(host.client, plan)
        units = loads.units(plan)
        return last_row, meter.values(units) | values | {"commits": observer.commits}


def _raw(store: Path, rows: list[raw_store.Row], units: int) -> loads.Values:
    with Meter() as meter:
        seconds = raw_store.seconds_as_json(store, rows)
    row_rate = len(rows) / seconds
    return meter.values(units * raw_store.PASSES) | {
        "rate": units / seconds,
        "row_rate": row_rate,
        "bound_row_rate": len(rows) / raw_store.seconds_as_values(store, rows),
    }


def check_slow_fsync(folder: Path) -> None:
    """An fsync that is not slow would make the figure a lie."""
    path = folder / "fsync"
    with path.open("wb") as file:
        began = time.perf_counter()
        os.fsync(file.fileno())
        seconds = time.perf_counter() - began
    path.unlink()
    if seconds < ADDED_SECONDS:
        raise AssertionError(f"an fsync took only {seconds * 1000:.2f} ms: nothing was added to it")


if __name__ == "__main__":
    main()
