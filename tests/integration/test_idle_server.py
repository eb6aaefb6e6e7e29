"""A server with nothing to do: ``waiting_costs_nothing``, also while people watch."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tenuto import App, Context, Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite.worker import Worker
from tests.support.terminal import Command
from tests.support.waiting import until

QUERIES_A_SECOND = 2
MOST_MIB = 80
WATCHERS = 10

APP = """
from tenuto import App, Context

app = App()


@app.orchestrator
async def waiting(ctx: Context) -> None:
    await ctx.wait_for_external_event("never")
"""


async def test_waiting_costs_nothing_an_idle_server_does_not_ask_its_store(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.orchestrator
    async def waiting(ctx: Context) -> None:
        await ctx.wait_for_external_event("never", timeout=timedelta(days=30))

    asked: list[str] = []

    def count(name: str) -> None:
        real: Callable[[Worker, Callable[[], object]], object] = getattr(Worker, name)

        def counted(worker: Worker, job: Callable[[], object]) -> object:
            asked.append(repr(job))
            return real(worker, job)

        monkeypatch.setattr(Worker, name, counted)

    count("submit")
    count("try_here")
    settings = Settings(storage=f"sqlite:///{tmp_path / 'hub.db'}", http=HttpSettings(port=0))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(app, settings=settings))
        http = await stack.enter_async_context(httpx2.AsyncClient(base_url=server.url))
        await server.host.client.start(waiting, instance_id="w-1")
        for path in ("/admin/events", "/admin/instances/w-1/events") * (WATCHERS // 2):
            answer = await stack.enter_async_context(http.stream("GET", path))
            assert (await anext(answer.aiter_lines())).startswith("id: ")
        residents = server.host.engine.residents
        # A second after its last message.
        await until(lambda: residents.named(InstanceId("w-1")) is None)
        assert asked, "what starts asks"
        seconds, counts = 1.5, []
        for _ in range(2):  # what a start has left to look at, once, may fall into the first
            before = len(asked)
            await asyncio.sleep(seconds)
            counts.append(len(asked) - before)
        assert min(counts) < QUERIES_A_SECOND * seconds, asked


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_an_idle_server_with_watchers_needs_little_memory(tmp_path: Path) -> None:
    (tmp_path / "travel.py").write_text(APP)
    with Command(tmp_path, "start", "travel.py", "--port", "0") as command:
        await asyncio.to_thread(command.until, "listening ")
        url = command.out.rpartition("listening")[2].split()[0]
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=20))
            mount = "/runtime/webhooks/durabletask"
            await http.post(f"{mount}/orchestrators/waiting/w-1")
            for _ in range(WATCHERS):
                answer = await stack.enter_async_context(http.stream("GET", "/admin/events"))
                assert (await anext(answer.aiter_lines())).startswith("id: ")
            assert peak_mib(command.process.pid) < MOST_MIB


def peak_mib(process_id: int) -> float:
    status = Path(f"/proc/{process_id}/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in status)
    return int(facts["VmHWM"].split()[0]) / 1024
