"""What the dashboard costs browser and host: ``python -m bench.dashboard``. See docs/benchmarks.md.

    python -m bench.dashboard                          # all but the list of a million
    python -m bench.dashboard --store hub.db           # the list of a store that is there, too
    python -m bench.dashboard --fill 1000000           # the same of one that is made for it

Host, browser and this program are three processes. Ratios are of phases that take turns in one run.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2
from playwright.async_api import Browser, CDPSession, Page

from bench import crowded_store, loads
from bench.app import app
from bench.catalogue import Plan
from bench.machine import ROOT
from tenuto import Host
from tests.support.browser import chromium

_RUNNING: Final = 1_000
_RATE: Final = 30
_LANES: Final = 32
_SETTLE_SECONDS: Final = 2.0
_TIMES: Final = 15
_KB: Final = 1_000

_VIEWS: Final = {
    "overview": "/#/",
    "list": "/#/instances",
    "one instance": "/#/instances/pulse-0",
}
_FILTERS: Final = {
    "no filter": "",
    "status Completed (all of them)": "status=Completed",
    "status Running (none)": "status=Running",
    "status Failed (none)": "status=Failed",
    "name (all of them)": "name=hello_3",
    "name (none)": "name=none",
    "prefix (one)": "prefix={one}",
    "prefix (all of them)": "prefix={all}",
    "held (none)": "held=true",
    "not held (all of them)": "held=false",
    "created in a minute": "createdFrom={begin}&createdTo={end}",
    "oldest first": "order=oldest",
}


class HostProcess:
    """A host that does as it is told (``bench.dashboard_host``)."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    async def tell(self, line: str) -> dict[str, float]:
        """Tell it something, and hear how far it is."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n".encode())
        answer: dict[str, float] = json.loads(await self._process.stdout.readline())
        return answer


@asynccontextmanager
async def _host(storage: str) -> AsyncIterator[HostProcess]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.dashboard_host", storage),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield HostProcess(process, json.loads(await process.stdout.readline())["url"])
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


# --- the browser ----------------------------------------------------------------------------------


async def _main_thread(browser: Browser, folder: Path, seconds: float) -> None:
    """The share of time for which the page's main thread is busy, with updates and without."""
    async with _host(f"sqlite:///{folder}/live.db") as host:
        await host.tell(f"start {_RUNNING}")
        page = await browser.new_page()
        for name, address in _VIEWS.items():
            await page.goto("about:blank")
            await page.goto(host.url + address)
            quiet = await _busy(page, seconds)
            await host.tell(f"beat {_RATE} {'one' if name == 'one instance' else 'all'}")
            shares = [await _busy(page, seconds) for _ in range(3)]
            await host.tell("stop")
            each = ", ".join(f"{share:.1%}" for share in shares)
            print(f"main thread busy, {name}: {each}; without updates {quiet:.1%}", flush=True)
        await page.close()


async def _busy(page: Page, seconds: float) -> float:
    await asyncio.sleep(_SETTLE_SECONDS)
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    began = await _task_seconds(session)
    await asyncio.sleep(seconds)
    busy, at = await _task_seconds(session)
    await session.detach()
    return (busy - began[0]) / (at - began[1])


async def _task_seconds(session: CDPSession) -> tuple[float, float]:
    found = await session.send("Performance.getMetrics")
    values = {one["name"]: one["value"] for one in found["metrics"]}
    return values["TaskDuration"], values["Timestamp"]


async def _first_paint(browser: Browser, folder: Path) -> None:
    async with _host(f"sqlite:///{folder}/paint.db") as host:
        await host.tell("start 100")
        found = []
        for _ in range(_TIMES):
            context = await browser.new_context()  # with a cache of its own, which is empty
            page = await context.new_page()
            await page.goto(host.url)
            found.append(max(await _paints(page)))
            await context.close()
    print(f"first contentful paint, ms: {_spread(found)}", flush=True)


async def _paints(page: Page) -> list[float]:
    """When it was painted first, and with contents; its policy lets Playwright wait for nothing."""
    while True:
        found: list[float] = await page.evaluate(
            "() => performance.getEntriesByType('paint').map((one) => one.startTime)"
        )
        if len(found) > 1:
            return found
        await asyncio.sleep(0.05)


# --- the host -------------------------------------------------------------------------------------


async def _hello_rate(
    browser: Browser, folder: Path, view: str, seconds: float, rounds: int
) -> None:
    """Hello sequences a second, and the loop's processor time for each, with a page and without."""
    async with _host(f"sqlite:///{folder}/hello-{view}.db") as host:
        await host.tell(f"hellos {_LANES}")
        await asyncio.sleep(3 * _SETTLE_SECONDS)
        found: dict[str, list[tuple[float, ...]]] = {}
        for phase in [*("nobody", view) * rounds, "nobody"]:
            page = await browser.new_page() if phase in _VIEWS else None
            if page is not None:
                await page.goto(host.url + _VIEWS[phase])
            await asyncio.sleep(_SETTLE_SECONDS)
            begin, browser_began = await host.tell("count"), _browser_seconds()
            await asyncio.sleep(seconds)
            end, browser_ended = await host.tell("count"), _browser_seconds()
            if page is not None:
                await page.close()
            done = end["done"] - begin["done"]
            found.setdefault(phase, []).append(
                (
                    done / (end["at"] - begin["at"]),
                    (end["loop"] - begin["loop"]) / done * 1e6,
                    (end["process"] - begin["process"]) / done * 1e6,
                    (browser_ended - browser_began) / seconds,
                )
            )
    medians = {
        phase: [statistics.median(column) for column in zip(*rows, strict=True)]
        for phase, rows in found.items()
    }
    alone = medians["nobody"]
    for phase, (rate, loop, process, looking) in medians.items():
        print(
            f"hellos, {phase} looks: {rate:,.0f}/s ({rate / alone[0]:.3f}), loop {loop:.0f} µs "
            f"({loop / alone[1]:.3f}), process {process:.0f} µs ({process / alone[2]:.3f}), "
            f"browser {looking:.1%} of a core, "
            f"median of {len(found[phase])}",
            flush=True,
        )


def _browser_seconds() -> float:
    """Processor time of all processes of the browser: a page is drawn in others than its own."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"/chromium" in (folder / "cmdline").read_bytes().split(b"\0")[0]:
                times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
                ticks += sum(map(int, times))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
    return ticks / os.sysconf("SC_CLK_TCK")


async def _lists(storage: str) -> None:
    async with _host(storage) as host, httpx2.AsyncClient(trust_env=False) as http:
        address = f"{host.url}/admin/instances?limit=100&payloads=false&"
        first = (await http.get(address)).json()["records"][0]
        shown = {
            "one": first["instanceId"],
            "all": first["instanceId"][:1],
            "begin": _moment(first["createdAt"] - 60_000_000),
            "end": _moment(first["createdAt"]),
        }
        for name, query in _FILTERS.items():
            found, rows = list[float](), 0
            for _ in range(_TIMES):
                began = time.perf_counter()
                answer = await http.get(address + query.format(**shown))
                found.append((time.perf_counter() - began) * 1000)
                rows = len(answer.raise_for_status().json()["records"])
            print(f"list, {name}: {rows} rows, ms: {_spread(found)}", flush=True)


def _moment(microseconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(microseconds / 1e6))


async def _fill(store: Path, count: int) -> None:
    async with Host(app, storage=f"sqlite:///{store}") as host:
        await loads.warm_up(host.client, Plan(load="closed_loop", warm_up=1))
    await asyncio.to_thread(crowded_store.fill, store, count)


# --- all together ---------------------------------------------------------------------------------


def _size() -> None:
    folder = ROOT / "src/tenuto/dashboard"
    files = [folder / "index.html", *(folder / "assets").glob("*.gz")]
    print(f"size compressed: {sum(one.stat().st_size for one in files) / _KB:.0f} kB", flush=True)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


async def _measure(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="tenuto-dashboard-", dir=options.dir))
    try:
        print(f"load average {os.getloadavg()[0]:.1f}", flush=True)
        _size()
        if not options.only_list:
            async with chromium() as browser:
                await _first_paint(browser, folder)
                await _main_thread(browser, folder, options.seconds)
                for view in ("overview", "list"):
                    await _hello_rate(browser, folder, view, options.seconds, options.rounds)
        store = options.store or folder / "crowded.db"
        if options.fill:
            await _fill(store, options.fill)
        if options.fill or options.store:
            await _lists(f"sqlite:///{store.resolve()}")
        print(f"load average {os.getloadavg()[0]:.1f}", flush=True)
    finally:
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=8.0, help="of each phase (8)")
    parser.add_argument("--rounds", type=int, default=4, help="of phases that take turns (4)")
    parser.add_argument("--dir", type=Path, help="where stores are made")
    parser.add_argument("--store", type=Path, metavar="FILE", help="list this store's instances")
    parser.add_argument("--fill", type=int, default=0, metavar="COUNT", help="with so many more")
    parser.add_argument("--only-list", action="store_true", help="measure nothing but lists")
    asyncio.run(_measure(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
