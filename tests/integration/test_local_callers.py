"""Without keys only callers on this machine are served, whatever stands in front (S1, S2)."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from tenuto import App, Settings
from tenuto.http.payloads import MOUNT
from tests.support.embedded_app import app as embedded
from tests.support.http_server import ADMIN_KEY, KEYS, Serving, serving
from tests.support.nginx import answers, nginx
from tests.support.ports import held_port

ROOT = Path(__file__).parents[2]
INSTANCES = f"{MOUNT}/instances"
PATHS = (
    ("GET", INSTANCES),
    ("POST", f"{MOUNT}/orchestrators/greet"),
    ("GET", "/admin/info"),
    ("DELETE", "/admin/instances/a"),
    ("GET", "/api/anonymous"),
    ("GET", "/healthz"),
    ("POST", "/callbacks/a/b"),
)


async def statuses(http: httpx2.AsyncClient, **options: Any) -> set[int]:
    """How a caller is answered who tries everything."""
    return {(await http.request(*one, **options)).status_code for one in PATHS}


# --- what shows that a request is not from here -------------------------------------------------


@pytest.fixture
async def serve() -> AsyncIterator[Serving]:
    async with serving(embedded) as running:
        yield running


UNNAMED = (
    ("GET %s\r\n\r\n", 403),  # HTTP/0.9: what it asks for and nothing else
    ("GET %s HTTP/0.9\r\nHost: localhost\r\n\r\n", 403),
    ("GET %s HTTP/1.0\r\n\r\n", 403),
    ("GET %s HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
)
"""Requests that do not say whom they ask, and how they are answered."""

PROXIED = [
    ("Forwarded", "for=127.0.0.1"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-For", ""),
    ("x_forwarded_for", "127.0.0.1"),
    ("X-Forwarded-Host", "localhost"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Prefix", "/"),
    ("X-Forwarded-Anything", "1"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Client-IP", "127.0.0.1"),
    ("X-Cluster-Client-IP", "127.0.0.1"),
    ("X-Original-Host", "localhost"),
    ("X-Original-URL", "/"),
    ("X-Envoy-External-Address", "127.0.0.1"),
    ("X-Amzn-Trace-Id", "Root=1"),
    ("True-Client-IP", "127.0.0.1"),
    ("CF-Connecting-IP", "127.0.0.1"),
    ("Fly-Client-IP", "127.0.0.1"),
    ("Via", "1.1 vegur"),
    ("CDN-Loop", "cloudflare"),
    ("X-Forward-For", "127.0.0.1"),
    ("X-Forwarder-For", "127.0.0.1"),
    ("X-Scheme", "https"),
    ("X-Nginx-Proxy", "true"),
    ("X-Varnish", "32770"),
    ("Tailscale-User-Login", "ada@example.com"),
]


@pytest.mark.parametrize(("name", "value"), PROXIED)
async def test_a_request_that_came_through_a_proxy_is_not_local(
    serve: Serving, name: str, value: str
) -> None:
    assert await statuses(serve.http, headers={name: value}) == {403}
    refused = await serve.http.get(INSTANCES, headers={name: value})
    assert name.lower().replace("_", "-") in refused.json()["message"]
    assert "http.keys" in refused.json()["message"]
    assert (await serve.http.get(INSTANCES)).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "flows.example.com",
        "testserver",
        "10.0.0.7:7071",
        "0.0.0.0",
        "[2001:db8::1]",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1.nip.io",
    ],
)
async def test_a_request_for_another_name_is_not_local(serve: Serving, host: str) -> None:
    assert await statuses(serve.http, headers={"host": host}) == {403}


async def test_a_number_that_is_no_address_is_no_host(serve: Serving) -> None:
    assert await statuses(serve.http, headers={"host": "1127.0.0.1"}) == {400}


async def test_http_1_0_is_what_proxies_speak_that_leave_no_other_mark(serve: Serving) -> None:
    answer = await serve.raw(f"GET {INSTANCES} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403")


async def test_a_request_that_does_not_say_whom_it_asks_is_not_local(serve: Serving) -> None:
    for sent, status in UNNAMED:
        answer = await serve.raw((sent % "/admin/info").encode())
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), sent


async def test_with_keys_the_same_requests_are_served_to_who_has_one() -> None:
    async with serving(embedded, keys=KEYS) as serve:
        for name, value in [*PROXIED, ("host", "flows.example.com")]:
            headers = {"x-functions-key": ADMIN_KEY, name: value}
            assert (await serve.http.get(INSTANCES, headers=headers)).status_code == 200
        old = f"GET {INSTANCES}?code={ADMIN_KEY} HTTP/1.0\r\nHost: a.example\r\n\r\n"
        assert (await serve.raw(old.encode())).startswith(b"HTTP/1.1 200")


async def test_trusted_proxies_do_not_stand_for_keys() -> None:
    async with serving(embedded, trusted_proxies=("127.0.0.0/8",)) as serve:
        assert await statuses(serve.http, headers={"x-forwarded-for": "127.0.0.1"}) == {403}
        assert await statuses(serve.http, headers={"host": "flows.example.com"}) == {403}


@pytest.mark.parametrize(
    ("client", "status"),
    [
        (("127.0.0.1", 5000), 200),
        (("127.8.8.8", 5000), 200),
        (("::1", 5000), 200),
        (("::ffff:127.0.0.1", 5000), 200),
        (None, 403),
        ((), 403),
        (("", 0), 403),
        (("testclient", 50000), 403),
        (("localhost", 5000), 403),
        (("unix:", 0), 403),
        (("/tmp/socket", None), 403),
        (("192.0.2.7", 5000), 403),
        (("::ffff:192.0.2.7", 5000), 403),
        (("127.0.0.1.example.com", 5000), 403),
    ],
)
async def test_a_peer_that_is_not_known_is_not_local(client: object, status: int) -> None:
    """S1: servers give no address for a Unix socket."""
    app = App()
    reached: list[str] = []

    async def below(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("none")
        reached.append(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app.mount("/below", below)
    durable = app.asgi("/x", settings=Settings(storage="sqlite://"))
    scope = {
        "type": "http",
        "method": "GET",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "scheme": "http",
        "http_version": "1.1",
        "client": client,
        "server": ("/tmp/socket", None),
    }
    async with durable:
        for path in (f"/x{INSTANCES}", "/x/below/"):
            sent: list[Message] = []
            at = {"path": path, "raw_path": path.encode()}
            await durable({**scope, **at}, _nothing, _into(sent))
            assert sent[0]["status"] == status
        sent = []
        web = {**scope, "type": "websocket", "path": "/x/below/", "headers": []}
        await durable(web, _nothing, _into(sent))
        assert ("websocket" in reached) == (status == 200)
        assert status == 200 or sent == [{"type": "websocket.close"}]


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _into(sent: list[Message]) -> Send:
    async def send(message: Message) -> None:
        sent.append(message)

    return send


def test_a_test_client_is_local_when_it_says_so() -> None:
    durable = embedded.asgi("/x", settings=Settings(storage="sqlite://"))
    api = FastAPI(lifespan=durable.lifespan)
    api.mount(durable.path, durable)
    with TestClient(api) as stranger:
        assert stranger.get("/x/admin/info").status_code == 403
    with TestClient(api, base_url="http://localhost", client=("127.0.0.1", 1)) as local:
        assert local.get("/x/admin/info").status_code == 200


# --- real servers -------------------------------------------------------------------------------


@asynccontextmanager
async def uvicorn(*options: str, socket: Path | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """The embedded app behind uvicorn, and a client that reaches it."""
    with held_port() as port:
        base = f"http://127.0.0.1:{port}"
        where = ["--port", str(port)] if socket is None else ["--uds", str(socket)]
        transport = None if socket is None else httpx2.AsyncHTTPTransport(uds=str(socket))
        command = [sys.executable, "-m", "uvicorn", "tests.support.embedded_app:web", *where]
        command += ["--log-level", "error", *options]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
        process = subprocess.Popen(command, env=environment)  # noqa: ASYNC220 - at once
        try:
            await answers(base, process, transport)
            reach = None if socket is None else httpx2.AsyncHTTPTransport(uds=str(socket))
            async with httpx2.AsyncClient(transport=reach, base_url=base, timeout=20) as http:
                yield http
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)


async def test_behind_a_unix_socket_nobody_is_local(tmp_path: Path) -> None:
    socket = tmp_path / "s"
    async with uvicorn(socket=socket) as http:
        assert await statuses(http) == {403}
        assert await statuses(http, headers={"host": "localhost"}) == {403}
        async with (
            nginx(tmp_path / "nginx", f"http://unix:{socket}:") as address,
            httpx2.AsyncClient(base_url=address, timeout=20) as outside,
        ):
            assert await statuses(outside) == {403}


@pytest.mark.parametrize("said", ["127.0.0.1", "::1", "testclient", "localhost", "1.2.3.4", ""])
async def test_a_server_that_believes_every_proxy_makes_nobody_local(said: str) -> None:
    async with uvicorn("--proxy-headers", "--forwarded-allow-ips=*") as http:
        assert await statuses(http, headers={"x-forwarded-for": said}) == {403}
        assert (await http.get(INSTANCES)).status_code == 200


@pytest.mark.parametrize(
    "lines",
    [
        (),  # as it comes: HTTP/1.0, and the server's own name as Host
        ("proxy_http_version 1.1;", "proxy_set_header Host $host:$server_port;",
         "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"),
        ("proxy_http_version 1.1;", "proxy_set_header Host flows.example.com;"),
        ("proxy_http_version 1.1;", "proxy_set_header X-Real-IP $remote_addr;"),
        ("proxy_http_version 1.1;", "proxy_set_header Forwarded for=127.0.0.1;"),
    ],
)  # fmt: skip
async def test_behind_a_real_nginx_nobody_is_local(tmp_path: Path, lines: tuple[str, ...]) -> None:
    async with serving(embedded, base_url="https://flows.example.com") as serve:
        async with (
            nginx(tmp_path / "nginx", f"http://127.0.0.1:{serve.port}", *lines) as address,
            httpx2.AsyncClient(base_url=address, timeout=20) as outside,
        ):
            assert await statuses(outside) == {403}
        assert (await serve.http.get(INSTANCES)).json() == []


async def test_behind_a_real_nginx_a_server_with_keys_serves_who_has_one(tmp_path: Path) -> None:
    lines = ("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",)
    async with (
        serving(embedded, keys=KEYS) as serve,
        nginx(tmp_path / "nginx", f"http://127.0.0.1:{serve.port}", *lines) as address,
        httpx2.AsyncClient(base_url=address, timeout=20) as outside,
    ):
        assert (await outside.get(INSTANCES)).status_code == 401
        headers = {"x-functions-key": ADMIN_KEY}
        assert (await outside.get(INSTANCES, headers=headers)).status_code == 200
