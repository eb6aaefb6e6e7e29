"""Nine thousand hostile requests, as a review once sent them: nobody gets in, nothing breaks.

A server with keys holds an instance, the canary. Whatever is sent without a right key, the canary
goes on, nothing else begins, and no answer is a fault of the server.
"""

import asyncio
import json
import logging
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from tenuto import App, Context, Host, RuntimeStatus, Settings
from tenuto.functions.outbound import OutboundSettings
from tenuto.http.payloads import MOUNT
from tests.support import hostile
from tests.support.answering_server import Reply, answering_server
from tests.support.hostile import CANARY, OPERATIONS
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, READ_KEY, Serving, serving
from tests.support.waiting import until

pytestmark = pytest.mark.faults

INSTANCES = f"{MOUNT}/instances"
OPERATOR = {"x-functions-key": OPERATE_KEY, "content-type": "application/json"}
ANSWERED = frozenset({200, 201, 202, 204})
AT_ONCE = 40


def make_app() -> App:
    app = App()

    @app.orchestrator
    async def work(ctx: Context, given: object = None) -> object:
        url = await ctx.create_webhook("hook", expires_in=timedelta(days=1))
        ctx.set_custom_status(url)
        return await ctx.wait_for_external_event("hook")

    @app.http("POST", "/guarded", auth="function")
    async def guarded() -> str:
        return "in"

    @app.http("POST", "/admin-only", auth="admin")
    async def admin_only() -> str:
        return "in"

    return app


@asynccontextmanager
async def besieged(**http: Any) -> AsyncIterator[Serving]:
    """A server whose canary must live, and which must not fail."""
    async with serving(make_app(), keys=KEYS, **http) as serve:
        client = serve.server.host.client
        await client.start("work", instance_id=CANARY)
        await webhook(serve)
        yield serve
        status = await client.get_status(CANARY)
        assert status is not None
        assert status.runtime_status is RuntimeStatus.RUNNING
        found = await serve.http.get(f"{INSTANCES}?top=1000", headers=OPERATOR)
        assert [one["instanceId"] for one in found.json()] == [CANARY]
        assert server_errors(serve) == {}


def server_errors(serve: Serving) -> dict[tuple[str, str, int], int]:
    """Faults of the server; 501 says that something does not exist yet."""
    counted = serve.server._served.traffic.requests
    return {key: count for key, count in counted.items() if key[2] >= 500 and key[2] != 501}


async def webhook(serve: Serving) -> str:
    client = serve.server.host.client
    while True:
        status = await client.get_status(CANARY)
        if status is not None and status.custom_status is not None:
            return str(status.custom_status).removeprefix(serve.url)
        await asyncio.sleep(0.01)


async def status_of(serve: Serving, head: str, body: bytes = b"") -> int:
    """Send a request as it is written, path and all; 0 when it is cut without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    try:
        with suppress(ConnectionError):
            writer.write(head.encode("utf-8", "surrogateescape") + body)
            line = await asyncio.wait_for(reader.readline(), 30)
            return int(line.split()[1]) if line else 0
        return 0
    finally:
        writer.close()


def written(method: str, path: str, headers: dict[str, str] | None = None, length: int = 0) -> str:
    """The head of a request."""
    said = {"Host": "localhost", "Content-Length": str(length), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"


async def all_of(serve: Serving, heads: Iterable[str]) -> list[tuple[str, int]]:
    """Send many, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(head: str) -> tuple[str, int]:
        async with places:
            return head, await status_of(serve, head)

    return await asyncio.gather(*map(one, heads))


# --- who gets in --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "wrong-key-of-length", READ_KEY])
async def test_no_shape_of_a_path_or_a_header_opens_what_needs_a_key(key: str | None) -> None:
    known = {} if key is None else {"x-functions-key": key}
    may_look = key == READ_KEY
    guarded = [
        (method, path)
        for method, path in OPERATIONS
        if not (may_look and method == "GET" and path != "/admin/info")
    ]
    async with besieged() as serve:
        heads = [
            written(method, shape, known)
            for method, path in guarded
            for shape in hostile.path_shapes(path)
        ]
        heads += [
            written(method, path, {**known, **headers})
            for method, path in guarded
            for headers in hostile.HEADER_SHAPES
            if not (may_look and "x-functions-key" in headers)
        ]
        assert len(heads) >= (1_224 if not may_look else 780)
        answered = await all_of(serve, heads)
        bypasses = [one for one in answered if one[1] in ANSWERED]
        # The page of a webhook is the same for every address, whether it exists or not.
        assert [one for one in bypasses if not one[0].startswith("GET /callbacks/")] == []


async def test_no_method_opens_what_needs_a_key() -> None:
    async with besieged() as serve:
        heads = [written(method, path) for _, path in OPERATIONS for method in hostile.METHODS]
        assert len(heads) >= 748
        assert [one for one in await all_of(serve, heads) if one[1] in ANSWERED] == []


async def test_no_link_can_be_tampered_with() -> None:
    chance = random.Random(1)
    async with besieged() as serve:
        await serve.server.host.client.start("work", instance_id="other")
        started = await serve.http.get(f"{INSTANCES}/{CANARY}", headers=OPERATOR)
        read = started.headers["location"].removeprefix(serve.url)
        steer = f"{INSTANCES}/{CANARY}/terminate?{read.partition('?')[2]}"
        heads = [
            written(method, one.replace(" ", "%20"))
            for method, link in (("GET", read), ("POST", steer))
            for one in hostile.tampered(link, "other", chance)
        ]
        assert len(heads) >= 210
        assert await status_of(serve, written("GET", read)) == 202
        answered = await all_of(serve, heads)
        assert [one for one in answered if one[1] in ANSWERED] == []
        await serve.server.host.client.purge("other", force=True)


async def test_no_session_can_be_forged_or_used_by_another_page() -> None:
    chance = random.Random(3)
    async with besieged() as serve:
        answer = await serve.http.post("/session", json={"key": ADMIN_KEY})
        serve.http.cookies.clear()
        cookie = answer.headers["set-cookie"].partition(";")[0]
        own = {"Sec-Fetch-Site": "same-origin", "x-tenuto-session": "1"}
        assert await status_of(serve, written("GET", INSTANCES, {"Cookie": cookie, **own})) == 200
        heads = [
            written(method, path, {"Cookie": f"tenuto-session={one}", **own})
            for one in hostile.tampered_sessions(cookie.partition("=")[2], chance)
            for method, path in (("GET", INSTANCES), ("DELETE", f"{INSTANCES}/{CANARY}"))
        ]
        heads += [
            written(method, path, {"Cookie": cookie, "x-tenuto-session": "1", **said})
            for method, path in OPERATIONS
            for said in hostile.NOT_THE_PAGE
        ]
        # Without the header that no form can send, nothing is changed; and no function is opened.
        heads += [
            written(method, path, {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"})
            for method, path in OPERATIONS
            if method != "GET"
        ]
        heads += [
            written("POST", path, {"Cookie": cookie, **own})
            for path in ("/api/guarded", "/api/admin-only")
        ]
        assert len(heads) >= 700
        assert [one for one in await all_of(serve, heads) if one[1] in ANSWERED] == []


async def test_no_webhook_can_be_forged_and_forty_who_use_one_are_one() -> None:
    async with besieged() as serve:
        path = (await webhook(serve)).partition("?")[0]
        start, _, token = path.rpartition("/")
        forged = [
            *(f"{start}/{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}"
              for place in range(0, 43, 4)),
            *(f"{start}/{text}" for text in (token[:-1], f"{token}A", token.upper(), "", "%00")),
            f"/callbacks/other/{token}",
            f"/callbacks/{CANARY.upper()}/{token}",
            f"{start}/../{CANARY}/{token}",
            f"{start}/{token}/{token}",
            f"{start}/{token}%00",
            f"{start}/{token[::-1]}",
        ]  # fmt: skip
        assert len(forged) >= 20
        answered = await all_of(serve, [written("POST", one) for one in forged])
        assert [one for one in answered if one[1] in ANSWERED] == []
        await serve.server.host.client.start("work", instance_id="race")
        async with asyncio.timeout(20):
            while True:
                status = await serve.server.host.client.get_status("race")
                if status is not None and status.custom_status is not None:
                    break
        used = str(status.custom_status).removeprefix(serve.url)
        race = [code for _, code in await all_of(serve, [written("POST", used)] * 40)]
        assert sorted(race) == [202] + [410] * 39
        await serve.server.host.client.wait("race")
        await serve.server.host.client.purge("race")


# --- what breaks --------------------------------------------------------------------------------


async def _stream(serve: Serving, sent: bytes) -> bytes:
    """All that comes back until the server closes, or nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    got = b""
    try:
        with suppress(ConnectionError, TimeoutError):
            writer.write(sent)
            if writer.can_write_eof():
                writer.write_eof()
            while part := await asyncio.wait_for(reader.read(65_536), 10):
                got += part
    finally:
        writer.close()
    return got


async def test_no_request_is_smuggled_inside_another() -> None:
    async with besieged(request_seconds=2) as serve:
        for sent in hostile.protocol_shapes():
            got = await _stream(serve, sent)
            lines = [line for line in got.split(b"\r\n") if line.startswith(b"HTTP/1.1")]
            assert not [one for one in lines if one.split()[1] in {b"200", b"202", b"500"}], sent


async def test_four_thousand_mutated_requests() -> None:
    chance = random.Random(7)
    whole = [
        written(method, path, {"x-functions-key": "wrong-key-of-length"}).encode()
        for method, path in OPERATIONS
    ]
    whole += [b"".join(hostile.protocol_shapes())[:600]]
    async with besieged(request_seconds=2) as serve:
        for start in range(0, 4_000, AT_ONCE):
            sent = [hostile.mutated(chance.choice(whole), chance) for _ in range(AT_ONCE)]
            await asyncio.gather(*(_stream(serve, one) for one in sent))
            assert server_errors(serve) == {}, start


async def test_slow_connections_cost_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with besieged(request_seconds=1, idle_connections=1_000) as serve:
        for shape in hostile.SLOW_SHAPES:
            crowd = [await asyncio.open_connection("127.0.0.1", serve.port) for _ in range(400)]
            for _reader, writer in crowd:
                writer.write(shape)
            closed = [asyncio.ensure_future(reader.read()) for reader, _ in crowd]
            took = []
            for _ in range(20):
                began = time.perf_counter()
                assert (await serve.http.get("/healthz")).status_code == 200
                took.append(time.perf_counter() - began)
            assert statistics.median(took) < 0.25
            async with asyncio.timeout(20):
                await asyncio.gather(*closed, return_exceptions=True)
            for _reader, writer in crowd:
                writer.close()
        await until(lambda: serve.server._served.traffic.connections <= 2)
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_streams_and_long_polls_by_the_thousand() -> None:
    async with besieged() as serve:
        stream = f"/admin/instances/{CANARY}/events?code={READ_KEY}"
        head = f"GET {stream} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        poll = f"GET /admin/instances/{CANARY}?wait=60&code={READ_KEY} HTTP/1.1\r\nHost: a\r\n\r\n"
        crowd = []
        for one in [head] * 2_050 + [poll] * 1_500:
            reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
            writer.write(one.encode())
            crowd.append((reader, writer))
        refused = 0
        for reader, _writer in crowd[:2_050]:
            refused += b" 503 " in await asyncio.wait_for(reader.readline(), 60)
        assert refused == 50, "http.watchers are 2,000"
        assert (await serve.http.get("/healthz")).status_code == 200
        for _reader, writer in crowd:
            writer.close()
        await until(lambda: serve.server._served.traffic.connections <= 2)
        counted = serve.server._served.traffic.requests
        path = "/admin/instances/{instanceId}/events"
        assert counted.pop(("GET", path, 503)) == 50


# --- what is taken for what ---------------------------------------------------------------------


async def test_hostile_bodies_are_refused_or_taken_to_the_letter() -> None:
    assert len(hostile.BODIES) >= 52
    async with besieged() as serve:
        doors = (f"{INSTANCES}/{CANARY}/raiseEvent/other", "/admin/instances", "/api/guarded")
        for door in doors:
            for body in hostile.BODIES:
                answer = await serve.http.post(door, content=body, headers=OPERATOR)
                assert answer.status_code < 500, (door, body[:40])
                if answer.status_code == 202 and body.strip():
                    json.loads(body)
        for body in hostile.BODIES:
            head = written("POST", (await webhook(serve)), length=len(body) or 1)
            if len(body) > 64 * 1024:
                assert await status_of(serve, head, body) == 413
        page = (await serve.http.get(INSTANCES, headers=OPERATOR)).json()
        for one in page:
            if one["instanceId"] != CANARY:
                await serve.server.host.client.purge(one["instanceId"], force=True)


async def test_hostile_ids_and_names() -> None:
    assert len(hostile.IDS) >= 60
    key = {"x-functions-key": OPERATE_KEY}
    async with besieged() as serve:
        heads = [
            written(method, path.format(one), key)
            for one in hostile.IDS
            for method, path in (
                ("GET", f"{INSTANCES}/{{}}"),
                ("POST", f"{INSTANCES}/{CANARY}/raiseEvent/{{}}"),
                ("GET", "/admin/instances/{}/history"),
                ("POST", "/callbacks/{}/token"),
            )
        ]
        answered = await all_of(serve, heads)
        assert [one for one in answered if one[1] >= 500] == []
        heads = [written("POST", f"{MOUNT}/orchestrators/work/{one}", key) for one in hostile.IDS]
        for head, code in await all_of(serve, heads):
            assert code in {202, 400, 404, 405, 409, 414, 431}, head
        page = (await serve.http.get(f"{INSTANCES}?top=1000", headers=OPERATOR)).json()
        for one in page:
            name = one["instanceId"]
            assert name not in {".", ".."}
            assert name == name.strip(" ")
            assert name.isprintable()
            if name != CANARY:
                await serve.server.host.client.purge(name, force=True)


async def test_no_line_of_the_log_can_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with besieged(access_log=True) as serve:
        await all_of(serve, [written("GET", one) for one in hostile.LOG_INJECTIONS])
    said = [one.getMessage() for one in caplog.records if one.name.startswith("tenuto.http")]
    assert len([one for one in said if "forged" in one]) == len(hostile.LOG_INJECTIONS)
    assert all(one.isascii() and one.isprintable() for one in said)


async def test_nothing_private_is_called_on_behalf_of_others() -> None:
    """SSRF: with ``outbound.block_private``, however an address is written, or redirected to."""
    assert len(hostile.PRIVATE) >= 67
    app = App()

    @app.orchestrator
    async def fetch(ctx: Context, url: str) -> int:
        return (await ctx.call_http("GET", url)).status_code

    settings = Settings(storage="sqlite://", outbound=OutboundSettings(block_private=True))
    async with (
        answering_server(lambda _asked: Reply(200, b"in")) as inside,
        Host(app, settings=settings) as host,
    ):
        for one in hostile.PRIVATE:
            port = "" if one.count(":") == 1 or "@" in one else f":{inside.port}"
            handle = await host.client.start(fetch, f"http://{one}{port}/")
            status = await host.client.wait(handle.instance_id)
            assert status.runtime_status is RuntimeStatus.FAILED, one
        assert inside.asked == []


async def test_pages_of_others_on_a_server_without_keys() -> None:
    """CORS, CSRF and rebinding by their headers; a real browser does the same elsewhere."""
    start = f"{MOUNT}/orchestrators/work"
    own, evil = "http://localhost", "https://evil.example"
    sites: tuple[dict[str, str], ...] = (
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    )
    origins = ({"Origin": evil}, {"Origin": "null"}, {"Origin": f"{own}:1"}, {"Origin": "file://"})
    attempts = [{**site, **origin} for site in sites for origin in origins]
    attempts += [
        {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        for site in ("cross-site", "same-site")
        for mode in ("navigate", "no-cors", "cors", "websocket")
    ]
    attempts += [{"Host": host} for host in ("evil.example", "localhost.evil.example", "10.0.0.1")]
    attempts += [{"Origin": own, "Host": "evil.example"}]
    assert len(attempts) >= 24
    async with serving(make_app()) as serve:
        heads = [written("POST", start, one) for one in attempts]
        assert {code for _, code in await all_of(serve, heads)} == {403}
        assert (await serve.http.get(INSTANCES)).json() == []


# --- the OpenAPI document -----------------------------------------------------------------------


async def test_no_case_that_the_document_allows_or_forbids_is_a_server_error() -> None:
    """schemathesis with its coverage, fuzzing and stateful phases, bounded."""
    async with serving(make_app()) as serve:
        await serve.server.host.client.start("work", instance_id=CANARY)
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{serve.url}/openapi.json"),
            *("--phases", "coverage,fuzzing,stateful", "--max-examples", "15", "--seed", "1"),
            *("--checks", "not_a_server_error", "--mode", "all", "--max-time", "120"),
            *("--request-timeout", "20", "--exclude-path-regex", "/events$", "--no-color"),
        ]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), 600)
        text = output.decode(errors="replace")
        assert server_errors(serve) == {}, text[-3_000:]
        assert sum(serve.server._served.traffic.requests.values()) > 745, text[-3_000:]
        for phase in ("Coverage", "Fuzzing", "Stateful"):
            assert phase in text
        assert (await serve.http.get("/healthz")).status_code == 200
