"""Health and metrics over HTTP."""

from pathlib import Path

import httpx2
import pytest

from tenuto import App, Context, Settings
from tenuto.host.server import Server
from tenuto.http.options import AccessKey, HttpSettings

app = App()


@app.activity
def hello(name: str) -> str:
    return f"Hello {name}!"


@app.orchestrator
async def greeting(ctx: Context, name: str) -> str:
    return await ctx.call_activity(hello, name)


def settings(folder: Path, **keys: AccessKey) -> Settings:
    return Settings(
        storage=f"sqlite:///{folder / 'hub.db'}", http=HttpSettings(port=0, keys=dict(keys))
    )


async def test_a_host_that_is_well_says_so_and_shows_its_figures(tmp_path: Path) -> None:
    async with (
        Server(app, settings=settings(tmp_path)) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        await (await server.host.client.start(greeting, "Ada")).result()
        for path in ("/healthz", "/healthz/live"):
            answer = await http.get(path)
            assert answer.status_code == 200
            well = {"live": True, "ready": True, "reasons": [], "held": {}}
            well |= {"silentLinks": [], "notes": []}
            assert answer.json() == well
            assert answer.headers["cache-control"] == "no-store"
        answer = await http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        assert 'tenuto_activities_total{activity="hello",outcome="completed"} 1.0' in answer.text
        assert 'tenuto_instances_ended_total{status="Completed"} 1.0' in answer.text


async def test_a_host_that_takes_nothing_new_is_alive_but_not_ready(tmp_path: Path) -> None:
    key = AccessKey(key="a-key-of-sixteen-or-more")
    async with (
        Server(app, settings=settings(tmp_path, reader=key)) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        server.host.engine.is_draining = True
        answer = await http.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["reasons"] == ["the host's log, or a request with a key, tells why"]
        told = await http.get("/healthz", headers={"x-functions-key": key.key})
        assert "stopping" in told.json()["reasons"][0]
        assert (await http.get("/healthz/live")).status_code == 200


@pytest.mark.parametrize("sent", [{}, {"x-functions-key": "wrong"}])
async def test_figures_need_a_key_where_there_are_keys(
    tmp_path: Path, sent: dict[str, str]
) -> None:
    key = AccessKey(key="a-key-of-sixteen-or-more")
    async with (
        Server(app, settings=settings(tmp_path, reader=key)) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        refused = await http.get("/metrics", headers=sent)
        assert (refused.status_code, refused.json()["code"]) == (401, "TN-1701")
        allowed = await http.get("/metrics", headers={"x-functions-key": key.key})
        assert allowed.status_code == 200
