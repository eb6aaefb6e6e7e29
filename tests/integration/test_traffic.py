"""What a server tells of its callers: access log, metrics, refusals, crowds, shortages (S9)."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from uvicorn.config import WS_PROTOCOLS

from tenuto import App, Context
from tenuto.http.payloads import MOUNT
from tenuto.http.shown_paths import without_token
from tenuto.telemetry.log_setup import HostLogHandler
from tenuto.telemetry.traffic import SeldomWarning
from tests.support.http_server import ADMIN_KEY, KEYS, READ_KEY, Serving, serving
from tests.support.nginx import answers
from tests.support.ports import held_port
from tests.support.waiting import until

INSTANCES = f"{MOUNT}/instances"
ROOT = Path(__file__).parents[2]
BOSS = {"x-functions-key": ADMIN_KEY}


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator
    async def approval(ctx: Context) -> str:
        return await ctx.create_webhook("go", expires_in=timedelta(days=1))

    @app.http("GET", "/orders/{number:int}", auth="function")
    async def order(number: int) -> str:
        return f"order {number}"

    return app


@pytest.fixture
async def serve(app: App) -> AsyncIterator[Serving]:
    async with serving(app, keys=KEYS, access_log=True) as running:
        yield running


async def figures(serve: Serving) -> dict[str, float]:
    text = (await serve.http.get("/metrics", headers=BOSS)).text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_requests_are_counted_by_the_templates_of_their_routes(serve: Serving) -> None:
    for number in range(30):
        await serve.http.get(f"{INSTANCES}/made-up-{number}", headers=BOSS)
        await serve.http.get(f"/made-up/{number}", headers=BOSS)
        await serve.http.get(f"/api/orders/{number}", headers=BOSS)
        method = ("PROPFIND", "LOCK", "MKCOL", "SEARCH", "REPORT")[number % 5]
        await serve.http.request(method, INSTANCES, headers=BOSS)
        await serve.http.get(f"/callbacks/a/{number}")
    await serve.raw(b"what is this\r\n\r\n")
    found = {
        name: value
        for name, value in (await figures(serve)).items()
        if name.startswith("tenuto_http_requests_total")
    }
    path = f'route="{INSTANCES}/{{instanceId}}"'
    order = 'route="/api/orders/{number:int}"'
    assert found == {
        f'tenuto_http_requests_total{{method="GET",{path},status="404"}}': 30,
        'tenuto_http_requests_total{method="GET",route="none",status="404"}': 30,
        f'tenuto_http_requests_total{{method="GET",{order},status="200"}}': 30,
        'tenuto_http_requests_total{method="other",route="none",status="404"}': 30,
        'tenuto_http_requests_total{method="other",route="none",status="400"}': 1,
        'tenuto_http_requests_total{method="GET",route="/callbacks/{instanceId}/{token}",'
        'status="404"}': 30,
    }
    seconds = await figures(serve)
    assert seconds[f"tenuto_http_request_seconds_count{{{path}}}"] == 30


async def test_refused_keys_are_counted_and_said_seldom(
    serve: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(200):
        wrong = {"x-functions-key": "wrong\ttext-of-the-caller"}
        assert (await serve.http.get(f"{INSTANCES}/a", headers=wrong)).status_code == 401
    assert (await figures(serve))["tenuto_http_refused_keys_total"] == 200
    said = [one.getMessage() for one in caplog.records if one.name == "tenuto.http"]
    assert len(said) == 1
    assert f"refused: GET {INSTANCES}/{{instanceId}} from 127.0.0.1" in said[0]
    assert "wrong" not in caplog.text.replace(said[0], "")


def test_what_is_said_seldom_says_how_often_it_was(caplog: pytest.LogCaptureFixture) -> None:
    moments = iter((0.0, 1.0, 9.9, 10.0, 10.1, 25.0))
    warning = SeldomWarning(lambda: next(moments))
    for _ in range(6):
        warning.say("again")
    assert [one.getMessage() for one in caplog.records] == [
        "again",
        "again (and 2 more since the last such line)",
        "again (and 1 more since the last such line)",
    ]


# --- the access log -----------------------------------------------------------------------------


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "tenuto.http.access"]


async def test_each_request_has_a_line_that_holds_no_secret(
    serve: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tenuto.http.access")
    client = serve.server.host.client
    url = str(await (await client.start("approval", instance_id="a")).result())
    token = url.rpartition("/")[2].partition("?")[0]
    link = (await serve.http.get(f"{INSTANCES}/a?code={READ_KEY}")).url
    assert READ_KEY in str(link)
    restarted = await serve.http.post(f"{INSTANCES}/a/restart?code={ADMIN_KEY}", headers=BOSS)
    code = restarted.json()["statusQueryGetUri"].partition("code=")[2]
    await serve.http.get(restarted.json()["statusQueryGetUri"])
    for path in ("/callbacks/a/", "/CALLBACKS/a/", "/%63allbacks/a/", "/callbacks/a/b/"):
        await serve.http.get(f"{path}{token}")
    await serve.http.get("/api/orders/7", headers=BOSS)
    await serve.http.get("/nothing%0d%0aforged: line%1b[31m\u202e")
    found = lines(caplog)
    assert len(found) == 9
    assert re.fullmatch(
        rf"127\.0\.0\.1 GET {INSTANCES}/a 202 \d+\.\d ms", found[0]
    ) or re.fullmatch(rf"127\.0\.0\.1 GET {INSTANCES}/a 200 \d+\.\d ms", found[0])
    for secret in (token, code, READ_KEY, ADMIN_KEY, "code="):
        assert secret not in "\n".join(found)
    assert found[-1].startswith(r"127.0.0.1 GET /nothing\r\nforged: line\x1b[31m\u202e 404")
    assert all(one.isprintable() and one.isascii() for one in found)


async def test_machines_read_the_access_log_as_json(serve: Serving) -> None:
    stream = StringIO()
    logger = logging.getLogger("tenuto.http.access")
    handler = HostLogHandler("json", stream)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        await serve.http.get("/api/orders/7?code=x", headers=BOSS)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    line = json.loads(stream.getvalue())
    assert line["logger"] == "tenuto.http.access"
    extra = line["extra"]
    assert extra.pop("milliseconds") >= 0
    assert extra == {
        "peer": "127.0.0.1",
        "method": "GET",
        "path": "/api/orders/7",
        "route": "/api/orders/{number:int}",
        "status": 200,
    }


async def test_without_the_setting_nothing_is_logged_of_a_request(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(app) as serve:
        await serve.http.get(INSTANCES)
    assert lines(caplog) == []


def test_no_token_stands_in_a_path_however_it_is_written() -> None:
    assert without_token("/CallBacks/trip-1/secret/more") == "/CallBacks/trip-1/..."
    assert without_token("/below/callbacks/trip-1/secret") == "/below/callbacks/trip-1/..."


# --- crowds and shortages -----------------------------------------------------------------------


async def test_a_peer_keeps_no_more_idle_connections_than_it_may(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app, keys=KEYS, idle_connections=10) as serve:
        crowd = [await asyncio.open_connection("127.0.0.1", serve.port) for _ in range(40)]
        for number, (_reader, writer) in enumerate(crowd):
            if number % 2:
                writer.write(b"GET /healthz HTT")  # which never comes whole
        closed = [asyncio.ensure_future(reader.read()) for reader, _ in crowd]
        await until(lambda: sum(one.done() for one in closed) >= 30)
        assert (await serve.http.get("/healthz")).status_code == 200  # one more gives way
        await asyncio.sleep(0)
        assert not any(one.done() for one in closed[-8:]), "the oldest go first"
        found = await figures(serve)
        assert found["tenuto_http_connections"] <= 11
        assert found["tenuto_http_refused_connections_total"] >= 30
        for _reader, writer in crowd:
            writer.close()
        await asyncio.gather(*closed, return_exceptions=True)
        await until(lambda: serve.server._served.traffic.connections <= 1)
    said = [
        one.getMessage() for one in caplog.records if "http.idle_connections" in one.getMessage()
    ]
    assert len(said) == 1


async def test_a_peer_by_ipv6_is_its_whole_network(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app, keys=KEYS, host="::1", idle_connections=3) as serve:
        crowd = [await asyncio.open_connection("::1", serve.port) for _ in range(4)]
        assert await crowd[0][0].read() == b"", "the oldest gives way"
        for _reader, writer in crowd:
            writer.close()
    assert [one for one in caplog.messages if one.startswith("::/64 holds more than 3 ")]


class Closing(asyncio.Protocol):
    """What speaks WebSocket, where that is installed; this one refuses all."""

    def __init__(self, **_given: object) -> None:
        """Take what uvicorn gives."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        transport.close()


async def test_connections_that_change_to_websocket_are_not_counted_for_ever(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WS_PROTOCOLS, "auto", f"{__name__}:{Closing.__name__}")
    head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with serving(app) as serve:
        for _ in range(5):
            answer = await serve.raw(head.encode())
            assert answer.startswith(b"HTTP/1.1 403")
        await until(lambda: serve.server._served.traffic.connections == 0)


async def test_connections_that_are_being_answered_do_not_count_as_idle(app: App) -> None:
    async with serving(app, idle_connections=3) as serve:
        streams = []
        for _ in range(12):
            reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
            writer.write(b"GET /admin/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"event: reset")
            streams.append((reader, writer))
        for _ in range(3):  # keeps its connection
            assert (await serve.http.get("/healthz")).status_code == 200
        assert not any(reader.at_eof() for reader, _ in streams)
        assert serve.server._served.traffic.refused_connections == 0
        for _reader, writer in streams:
            writer.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
async def test_a_server_says_when_file_descriptors_run_out_and_goes_on(tmp_path: Path) -> None:
    program = ROOT / "tests" / "support" / "few_descriptors.py"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    log = tmp_path / "log"
    began = time.monotonic()
    with held_port() as port, log.open("w") as output:
        command = [sys.executable, str(program), str(port), "80"]
        process = subprocess.Popen(command, env=environment, stderr=output)  # noqa: ASYNC220
        try:
            address = f"http://127.0.0.1:{port}/healthz"
            await answers(address, process)
            crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(150)]
            closed = [asyncio.ensure_future(reader.read()) for reader, _ in crowd]
            await until(lambda: any(one.done() for one in closed))
            await until(lambda: "file descriptors run out" in log.read_text())
            for _reader, writer in crowd:
                writer.close()
            await asyncio.gather(*closed, return_exceptions=True)
            await answers(address, process)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)
    said = log.read_text()
    # At most one in ten seconds, however many connections there are.
    assert 1 <= said.count("file descriptors run out") <= 1 + (time.monotonic() - began) // 10
    assert "LimitNOFILE" in said
