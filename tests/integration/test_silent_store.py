"""A store that says nothing, locked or frozen: whoever watches the host has an answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx2

from tenuto import App, Settings
from tenuto.host.server import Server
from tenuto.http.options import AccessKey, HttpSettings, Role
from tests.support.postgres import Postgres, fresh_schema
from tests.support.waiting import until

app = App()
KEY = AccessKey(key="a-key-of-sixteen-or-more", role=Role.READ)
WITH_KEY = {"x-functions-key": KEY.key}
SOON_SECONDS = 2.5
"""Two seconds, and what a busy machine adds."""


class Quiet:
    """A server whose store answers no question unless ``answers`` is set."""

    def __init__(self, server: Server, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.counting = server.host.engine.holding.counting
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()
        storage = server.host.engine.storage
        for name in ("held_counts", "queues", "subscriptions", "failed_counts"):
            setattr(storage, name, self._held_up(getattr(storage, name)))

    def _held_up(self, ask: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def asked(*arguments: object) -> object:
            self.asked += 1
            await self.answers.wait()
            return await ask(*arguments)

        return asked

    async def get(self, path: str, *, key: bool = True) -> httpx2.Response:
        began = time.monotonic()
        answer = await self.http.get(path, headers=WITH_KEY if key else {})
        assert time.monotonic() - began < SOON_SECONDS
        return answer


@asynccontextmanager
async def quiet(tmp_path: Path) -> AsyncIterator[Quiet]:
    storage = f"sqlite:///{tmp_path / 'hub.db'}"
    settings = Settings(storage=storage, http=HttpSettings(port=0, keys={"reader": KEY}))
    async with (
        Server(app, settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=10) as http,
    ):
        made = Quiet(server, http)
        try:
            yield made
        finally:
            made.answers.set()


async def test_liveness_asks_no_store(tmp_path: Path) -> None:
    async with quiet(tmp_path) as store:
        store.answers.clear()
        for key in (True, False):
            assert (await store.get("/healthz/live", key=key)).status_code == 200
        assert store.asked == 0


async def test_readiness_and_figures_tell_of_a_store_that_says_nothing(tmp_path: Path) -> None:
    async with quiet(tmp_path) as store:
        assert (await store.get("/healthz")).status_code == 200
        store.answers.clear()
        told = await store.get("/healthz")
        assert told.status_code == 503
        assert told.json()["reasons"][0].startswith("the store has not answered a question for ")
        assert (await store.get("/healthz", key=False)).status_code == 503
        figures = await store.get("/metrics")
        assert figures.status_code == 200
        silent = next(
            float(line.split()[1])
            for line in figures.text.splitlines()
            if line.startswith("tenuto_storage_silent_seconds ")
        )
        assert silent > 1
        store.answers.set()
        await until(lambda: store.counting.open_seconds == 0)
        assert (await store.get("/healthz")).status_code == 200
        assert "tenuto_storage_silent_seconds 0.0" in (await store.get("/metrics")).text


async def test_who_has_no_key_hears_of_it_too(tmp_path: Path) -> None:
    async with quiet(tmp_path) as store:
        store.answers.clear()
        assert (await store.get("/healthz", key=False)).status_code == 503


async def test_many_probes_are_one_question(tmp_path: Path) -> None:
    async with quiet(tmp_path) as store:
        store.answers.clear()
        answers = await asyncio.gather(*(store.get("/healthz", key=n % 2 == 0) for n in range(40)))
        assert {one.status_code for one in answers} == {503}
        assert store.asked == 1


async def test_a_locked_table_keeps_nobody_who_watches_waiting(postgres: Postgres) -> None:
    schema = fresh_schema()
    settings = Settings(storage=postgres.url(schema), http=HttpSettings(port=0))
    async with (
        Server(app, settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=20) as http,
    ):
        owner = await asyncpg.connect(postgres.url("").partition("&schema")[0])
        try:
            async with owner.transaction():
                await owner.execute(f'LOCK TABLE "{schema}".instance IN ACCESS EXCLUSIVE MODE')
                for path, status in (("/healthz/live", 200), ("/healthz", 503), ("/metrics", 200)):
                    began = time.monotonic()
                    answers = await asyncio.gather(*(http.get(path) for _ in range(5)))
                    assert {one.status_code for one in answers} == {status}
                    assert time.monotonic() - began < SOON_SECONDS
        finally:
            await owner.close()
