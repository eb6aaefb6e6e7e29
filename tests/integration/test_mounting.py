"""Other ASGI apps in our server, and our app in somebody else's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from tenuto import App, AppLoadError, Client, Context, InputError, Settings, TenutoError
from tenuto.host.embedding import EmbeddedApp
from tenuto.host.server import Server
from tenuto.http import check_status_response, wait_or_check_status_response
from tenuto.http.options import AccessKey, HttpSettings
from tenuto.http.server.mounting import Lifespan
from tests.support.http_in_process import with_state
from tests.support.http_server import serving

KEY = "a-key-of-16-characters"


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator
    async def greet(ctx: Context, name: str) -> str:
        return f"Hello {name}!"

    @app.orchestrator
    async def invite(ctx: Context) -> str:
        return await ctx.create_webhook("answer", expires_in=timedelta(days=1))

    @app.http("POST", "/greet/{name}")
    async def start(name: str, request: Request, client: Client) -> Response:
        return check_status_response(request, await client.start(greet, name))

    return app


# --- theirs in ours -------------------------------------------------------------------------------


async def test_a_mounted_app_answers_under_its_path_between_its_startup_and_shutdown(
    app: App,
) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(shop: FastAPI) -> AsyncIterator[dict[str, Any]]:
        told.append("started")
        yield {"stock": 5}
        told.append("stopped")

    shop = FastAPI(lifespan=lifespan)

    @shop.get("/")
    async def root() -> str:
        return "shop"

    @shop.get("/items/{item}")
    async def items(item: str, request: Request) -> dict[str, Any]:
        return {"path": request.url.path, "item": item, "stock": request.state.stock}

    @shop.post("/greet/{name}")
    async def greet(name: str, request: Request) -> Response:
        client: Client = request.state.tenuto_client
        return await wait_or_check_status_response(request, await client.start("greet", name))

    app.mount("/shop", shop)
    async with serving(app, keys={"boss": AccessKey(key=KEY)}) as served:
        http = served.http
        assert told == ["started"]
        assert (await http.get("/shop/")).json() == "shop"
        moved = await http.get("/shop?a=b")
        assert (moved.status_code, moved.headers["location"]) == (307, "/shop/?a=b")
        found = await http.get("/shop/items/a%2Fb c")
        assert found.status_code == 404, "a slash in a name is the mounted app's business"
        found = await http.get("/shop/items/pen")
        assert found.json() == {"path": "/shop/items/pen", "item": "pen", "stock": 5}
        assert (await http.post("/shop/greet/Ada")).json() == "Hello Ada!"
        assert (await http.get("/shopping")).status_code == 404
        assert (await http.post("/api/greet/Ada")).status_code == 401, "ours needs a key still"
    assert told == ["started", "stopped"]


async def test_the_longest_path_wins_and_apps_without_lifespan_need_none(app: App) -> None:
    def named(name: str) -> Any:  # noqa: ANN401 - an ASGI app
        async def other(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                raise RuntimeError("what is a lifespan?")
            await JSONResponse([name, scope["root_path"]])(scope, receive, send)

        return other

    app.mount("/a", named("outer"))
    app.mount("/a/b", named("inner"))
    async with serving(app) as served:
        assert (await served.http.get("/a/x")).json() == ["outer", "/a"]
        assert (await served.http.get("/a/b/x")).json() == ["inner", "/a/b"]
        assert (await served.http.get("/a/bx")).json() == ["outer", "/a"]


async def test_a_mounted_app_that_does_not_shut_down_is_named_and_left(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tenuto.http.server.mounting._SHUTDOWN_SECONDS", 0.01)

    @asynccontextmanager
    async def stubborn(_app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.Event().wait()

    app.mount("/stubborn", Starlette(lifespan=stubborn))
    async with serving(app) as served:
        await served.http.get("/healthz")
    assert "does not shut down in time and is left: " in caplog.text


async def test_a_mounted_app_that_fails_to_start_keeps_the_server_from_starting(app: App) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def fine(_app: Starlette) -> AsyncIterator[None]:
        yield
        told.append("stopped")

    @asynccontextmanager
    async def broken(_app: Starlette) -> AsyncIterator[None]:
        if not told:
            raise OSError("no database")
        yield

    app.mount("/fine-one", Starlette(lifespan=fine))
    app.mount("/broken", Starlette(lifespan=broken))
    server = Server(app, settings=Settings(storage="sqlite://", http=HttpSettings(port=0)))
    with pytest.raises(AppLoadError, match="mounted at /broken does not start: OSError: no databa"):
        await server.start()
    assert told == ["stopped"]
    with pytest.raises(TenutoError, match="not running"):
        _ = server.host.client


async def test_a_mounted_app_that_fails_to_shut_down_is_in_the_log_and_the_server_stops(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def failing(_app: Starlette) -> AsyncIterator[None]:
        yield
        raise OSError("it will not close")

    app.mount("/failing", Starlette(lifespan=failing))
    async with serving(app):
        pass
    assert "failed to shut down" in caplog.text
    assert "it will not close" in caplog.text


async def test_a_websocket_for_nobody_is_closed_and_one_for_a_mounted_app_is_passed_on(
    app: App,
) -> None:
    reached: list[str] = []

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            reached.append(scope["path"])

    app.mount("/other", other)
    durable = embedded(app)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async with durable:
        for path in ("/tenuto/nothing", "/tenuto/other/socket", "/tenuto/other"):
            scope: Scope = {
                "type": "websocket",
                "path": path,
                "root_path": "/tenuto",
                "headers": [],
                "client": ("127.0.0.1", 5000),
            }
            await durable(scope, receive, send)
    assert sent == [{"type": "websocket.close"}, {"type": "websocket.close"}]
    assert reached == ["/other/socket"]


# --- ours in theirs -------------------------------------------------------------------------------


def embedded(app: App, **http: Any) -> EmbeddedApp:
    settings = Settings(storage="sqlite://", http=HttpSettings(**http))
    return app.asgi("/tenuto", settings=settings)


@asynccontextmanager
async def calling(api: FastAPI, address: str = "127.0.0.1") -> AsyncIterator[httpx2.AsyncClient]:
    async with api.router.lifespan_context(api) as state:
        transport = httpx2.ASGITransport(with_state(api, state), client=(address, 5000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield http


async def test_our_app_runs_inside_a_fastapi_app_in_the_same_loop(app: App) -> None:
    durable = embedded(app)
    api = FastAPI(lifespan=durable.lifespan)
    api.mount(durable.path, durable)

    @api.post("/reports/{name}")
    async def report(name: str, request: Request) -> Response:
        return check_status_response(request, await durable.client.start("greet", name))

    async with calling(api) as http:
        for path in ("/reports/Ada", "/tenuto/api/greet/Ada"):
            started = await http.post(path)
            assert started.status_code == 202
            link = started.json()["statusQueryGetUri"]
            assert link.startswith(
                "http://localhost/tenuto/runtime/webhooks/durabletask/instances/"
            )
            await durable.client.wait(started.json()["id"])
            assert (await http.get(link)).json()["output"] == "Hello Ada!"
        assert (await http.get("/tenuto/nothing")).status_code == 404
        assert (await http.get("/tenuto")).status_code in {307, 404}
    with pytest.raises(TenutoError, match="not running"):
        _ = durable.client


async def test_a_server_of_ones_own_can_serve_the_app_alone(app: App, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'one.db'}"
    durable, second = (app.asgi(settings=Settings(storage=storage)) for _ in range(2))
    life = Lifespan(durable, {})
    await life.start()
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(durable), base_url="http://localhost"
    ) as http:
        started = await http.post("/api/greet/Ada")
        assert started.json()["statusQueryGetUri"].startswith("http://localhost/runtime/")
    with pytest.raises(AppLoadError, match=r"owned by another host|is owned"):
        await Lifespan(second, {}).start()
    await life.stop()
    with pytest.raises(TenutoError, match="not running"):
        _ = durable.client


async def test_webhooks_of_an_embedded_app_point_below_its_path(app: App) -> None:
    durable = embedded(app, base_url="https://example.org")
    async with durable:
        handle = await durable.client.start("invite")
        assert str(await handle.result()).startswith("https://example.org/tenuto/callbacks/")


async def test_without_keys_an_embedded_app_answers_this_machine_only(app: App) -> None:
    for keys, address, status in [
        ({}, "127.0.0.1", 202),
        ({}, "192.0.2.7", 403),
        ({"boss": AccessKey(key=KEY, functions=("start",))}, "192.0.2.7", 202),
    ]:
        durable = embedded(app, keys=keys)
        api = FastAPI(lifespan=durable.lifespan)
        api.mount(durable.path, durable)
        async with calling(api, address) as http:
            headers = {"x-functions-key": KEY}
            answer = await http.post("/tenuto/api/greet/Ada", headers=headers)
            assert answer.status_code == status


async def test_an_embedded_app_whose_lifespan_is_not_run_says_so(app: App) -> None:
    durable = embedded(app)
    api = FastAPI()
    api.mount(durable.path, durable)
    async with calling(api) as http:
        answer = await http.post("/tenuto/api/greet/Ada")
    assert answer.status_code == 500
    assert "must run its lifespan" in answer.json()["message"]


async def test_the_settings_of_an_embedded_app_are_those_of_the_program(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENUTO_STORAGE", "sqlite:///mine.db")
    async with app.asgi("/tenuto"):
        assert (tmp_path / "mine.db").exists()
    for path in ("tenuto", "/", "/tenuto/"):
        with pytest.raises(InputError, match="such as '/tenuto'"):
            app.asgi(path)
