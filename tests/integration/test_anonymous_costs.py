"""Whoever has no key costs no more than a look-up, and finds out nothing (S3, S10, S14)."""

import asyncio
import json
import socket
import time
from datetime import timedelta

import pytest

from tenuto import App, Context
from tenuto.http.options import HttpSettings
from tenuto.http.payloads import MOUNT
from tenuto.http.server.limits import BoundedProtocol
from tenuto.http.server.socket import listen
from tenuto.model.links import FoundLink
from tenuto.model.webhook import is_genuine, signed_token
from tenuto.storage.sqlite import SqliteStorage
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, Serving, serving

BOSS = {"x-functions-key": ADMIN_KEY}
HUGE = 5 * 1024 * 1024


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator
    async def approval(ctx: Context) -> object:
        ctx.set_custom_status(await ctx.create_webhook("go", expires_in=timedelta(days=1)))
        return await ctx.wait_for_external_event("go")

    @app.orchestrator
    async def echo(ctx: Context, given: object) -> object:
        return given

    @app.http("POST", "/kept")
    async def kept(body: object) -> str:
        return "kept"

    return app


async def address(serve: Serving, instance_id: str = "a") -> str:
    """The path of a fresh instance's webhook."""
    client = serve.server.host.client
    await client.start("approval", instance_id=instance_id)
    while True:
        status = await client.get_status(instance_id)
        if status is not None and status.custom_status is not None:
            url = str(status.custom_status)
            return url.removeprefix(serve.url).partition("?")[0]
        await asyncio.sleep(0.01)


def _post(path: str, length: int = HUGE) -> bytes:
    """The head of a request whose body never comes."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


async def test_who_has_no_right_to_be_heard_is_answered_before_the_body(app: App) -> None:
    async with serving(app, keys=KEYS) as serve:
        genuine = await address(serve)
        for path, status in [
            (f"/callbacks/a/{'x' * 43}", 404),
            ("/callbacks/unknown/token", 404),
            (genuine.replace("/callbacks/a/", "/callbacks/b/"), 404),
            (genuine, 413),
            (f"{MOUNT}/orchestrators/approval", 401),
            (f"{MOUNT}/instances/a/raiseEvent/go", 401),
            ("/admin/instances", 401),
            ("/nothing", 404),
        ]:
            answer = await asyncio.wait_for(
                serve.raw(_post(path), until=b"\r\n\r\n"), timeout=5
            )  # and not only when http.request_seconds are over
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), path


async def test_an_address_that_was_made_up_asks_the_store_for_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it tell by its time whether there is such an instance, and whether it has ended."""
    asked: list[str] = []
    look = SqliteStorage.link

    async def seen_look(storage: SqliteStorage, digest: str) -> FoundLink | None:
        asked.append("link")
        return await look(storage, digest)

    monkeypatch.setattr(SqliteStorage, "link", seen_look)
    async with serving(app, keys=KEYS) as serve:
        genuine = await address(serve)
        token = genuine.rpartition("/")[2]
        swapped = ("A" if token[0] != "A" else "B") + token[1:]
        for path in (f"/callbacks/a/{swapped}", f"/callbacks/none/{token}", "/callbacks/a/short"):
            assert (await serve.http.post(path, content=b"1")).status_code == 404
        assert asked == []
        assert (await serve.http.post(genuine, content=b"1")).status_code == 202
        assert asked == ["link"]
        await serve.server.host.client.wait("a")
        assert (await serve.http.post(genuine, content=b"1")).status_code == 410
        assert asked == ["link", "link"]


def test_a_token_opens_one_instance_of_one_store_and_is_spelt_in_one_way() -> None:
    token = signed_token("s", "a", b"0123456789abcdef")
    assert len(token) == 43
    assert is_genuine("s", "a", token)
    for secret, instance_id, other in [
        ("t", "a", token),
        ("s", "b", token),
        ("s", "a", token[:-1]),
        ("s", "a", f"{token}="),
        ("s", "a", f"{token}A"),
        ("s", "a", ""),
        ("s", "a", "é" * 43),
        ("s", "a", "\ud800"),
        *(("s", "a", token[:-1] + last) for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh-_"),
    ]:
        assert is_genuine(secret, instance_id, other) == (
            (secret, instance_id, other) == ("s", "a", token)
        )


async def test_a_webhook_takes_a_small_body_and_stays_open_after_a_large_one(app: App) -> None:
    async with serving(app, keys=KEYS, webhook_bytes=1000) as serve:
        path = await address(serve)
        long = json.dumps("x" * 1000)
        for headers in ({}, {"content-type": "application/x-www-form-urlencoded"}):
            refused = await serve.http.post(path, content=long, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (413, "TN-1704")
            assert "http.webhook_bytes" in refused.json()["message"]
        assert (await serve.http.post(path, content=json.dumps("x" * 900))).status_code == 202
    assert HttpSettings().webhook_bytes == 64 * 1024


async def test_a_body_for_nothing_is_taken_slowly_and_the_answer_arrives(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[object] = []
    rest = BoundedProtocol._rest

    def seen(protocol: BoundedProtocol) -> None:
        rests.append(protocol)
        rest(protocol)

    monkeypatch.setattr(BoundedProtocol, "_rest", seen)
    async with serving(app, keys=KEYS) as serve:
        started = await serve.http.post(
            f"{MOUNT}/orchestrators/echo", content=json.dumps("x" * 4_000_000), headers=BOSS
        )
        assert started.status_code == 202
        assert rests == []
        for _ in range(2):  # the connection goes on
            answer = await serve.http.post("/callbacks/a/b", content=b" " * HUGE)
            assert answer.status_code == 404
        assert len(rests) > 10


def test_an_answer_does_not_wait_for_the_callers_acknowledgement() -> None:
    """asyncio switches Nagle's algorithm off where it knows that it is TCP."""
    listening = listen(HttpSettings(port=0))
    try:
        assert listening.proto == socket.IPPROTO_TCP
    finally:
        listening.close()


# --- heads: read before a key is known ------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/admin/instances", "/api/kept", "/callbacks/a/b"])
async def test_a_head_of_many_parts_is_refused_before_they_are_looked_at(
    app: App, path: str
) -> None:
    async with serving(app, keys=KEYS) as serve:
        for target, headers, status in [
            (path, "a:\r\n" * 250, 0),
            (path, "a:\r\n" * 257, 431),
            (f"{path}?code={'%41' * 5_000}", "", 0),
            (f"{path}?code={'%41' * 6_000}", "", 414),
            (f"{path}/{'%41' * 6_000}", "", 414),
        ]:
            sent = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
            found = int((await serve.raw(sent.encode())).split()[1])
            assert found == status if status else found in {200, 401, 404, 405}, sent[:100]
            assert (await serve.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("path", ["/admin/instances", "/api/kept", f"{MOUNT}/instances/a"])
async def test_a_query_of_many_parameters_is_refused_as_a_whole(app: App, path: str) -> None:
    method = "POST" if path.startswith("/api") else "GET"
    async with serving(app, keys=KEYS) as serve:
        fits = await serve.http.request(method, f"{path}?{'a&' * 900}")
        assert fits.status_code == 401
        refused = await serve.http.request(method, f"{path}?{'a&' * 1_000}")
        assert (refused.status_code, refused.json()["code"]) == (400, "TN-1700")
        assert "1,000 parameters" in refused.json()["message"]


_READ_OF_A_HEAD = (
    *("accept", "accept-encoding", "authorization", "content-type", "cookie", "expect"),
    *("forwarded", "idempotency-key", "last-event-id", "origin", "range", "sec-fetch-site"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-proto"),
    *("x-functions-key", "x-ms-continuation-token"),
)


@pytest.mark.parametrize("name", _READ_OF_A_HEAD)
async def test_a_header_takes_no_longer_than_it_is_long(app: App, name: str) -> None:
    """A pattern that goes back and forth in it would take seconds; a proxy passes on anything."""
    length = 30_000
    fillers = (
        "a",
        " a",
        "a ",
        "=",
        "a=",
        ";",
        '"',
        'a="',
        "/",
        "/a",
        ".",
        ":",
        "[",
        "-",
        "1",
        "1,",
    )

    @app.http("POST", "/bought", durable=True, auth="anonymous", wait=timedelta(0))
    async def bought(ctx: Context) -> None:
        await ctx.wait_for_external_event("paid")

    async with serving(app, keys=KEYS, trusted_proxies=("127.0.0.1",)) as serve:
        for filler in fillers:
            value = (filler * length)[:length] + "a"
            for method, path, more in [
                ("POST", "/api/bought", {}),
                ("GET", "/admin/instances", BOSS),
                ("POST", f"{MOUNT}/orchestrators/echo", BOSS),
            ]:
                began = time.process_time()
                await serve.http.request(method, path, headers={**more, name: value.strip()})
                assert time.process_time() - began < 2, (filler, path)


# --- S14 ----------------------------------------------------------------------------------------


async def test_json_that_is_too_deep_is_refused_at_each_door(app: App) -> None:
    deep = "[" * 101 + "]" * 101
    fits = "[" * 100 + "]" * 100
    async with serving(app, keys=KEYS) as serve:
        path = await address(serve)
        as_json = {**BOSS, "content-type": "application/json"}
        for door, wrap in [
            (f"{MOUNT}/orchestrators/echo", "%s"),
            (f"{MOUNT}/instances/a/raiseEvent/other", "%s"),
            ("/admin/instances", '{"name": "echo", "input": %s}'),
            ("/admin/instances/a/raise-event", '{"name": "other", "input": %s}'),
            ("/api/kept", "%s"),
            (path, "%s"),
        ]:
            refused = await serve.http.post(door, content=wrap % deep, headers=as_json)
            assert refused.status_code == 400, door
            assert "levels deep" in refused.json()["message"]
            taken = await serve.http.post(door, content=wrap % fits, headers=as_json)
            assert taken.status_code in {200, 201, 202, 204}, taken.text


@pytest.mark.parametrize(
    "hosts",
    [
        ("localhost", "localhost"),
        ("localhost", "evil.example"),
        ("local host",),
        ("evil.example/x",),
        ("user@localhost",),
    ],
)
async def test_a_host_that_may_be_read_in_two_ways_is_400(app: App, hosts: tuple[str, ...]) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    for keys in ({}, KEYS):
        async with serving(app, keys=keys) as serve:
            sent = f"GET {MOUNT}/instances HTTP/1.1\r\n{lines}x-functions-key: {ADMIN_KEY}\r\n"
            answer = await serve.raw(f"{sent}Connection: close\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 400")
            assert b"TN-1700" in answer


async def test_no_answer_of_the_server_itself_is_kept_or_sniffed(app: App) -> None:
    async with serving(app, keys=KEYS) as serve:
        await address(serve)
        for method, path, key, status in [
            ("GET", "/admin/info", ADMIN_KEY, 200),
            ("GET", "/admin/info", OPERATE_KEY, 403),
            ("GET", "/admin/info", "", 401),
            ("GET", "/admin/instances", ADMIN_KEY, 200),
            ("GET", "/admin/instances/a", ADMIN_KEY, 200),
            ("GET", "/admin/instances/a/history", ADMIN_KEY, 200),
            ("GET", "/admin/instances/none", ADMIN_KEY, 404),
            ("PUT", "/admin/instances/a", ADMIN_KEY, 405),
            ("POST", "/admin/instances", ADMIN_KEY, 400),
            ("POST", "/admin/instances/a/suspend", ADMIN_KEY, 204),
            ("GET", "/admin/nothing", ADMIN_KEY, 404),
            ("HEAD", "/admin/events", ADMIN_KEY, 200),
            ("GET", f"{MOUNT}/instances/a", ADMIN_KEY, 202),
            ("GET", "/metrics", ADMIN_KEY, 200),
            ("GET", "/openapi.json", ADMIN_KEY, 200),
        ]:
            answer = await serve.http.request(method, path, headers={"x-functions-key": key})
            assert answer.status_code == status, path
            assert answer.headers["cache-control"] == "no-store", path
            assert answer.headers["x-content-type-options"] == "nosniff", path
        broken = await serve.raw(b"GET\r\n\r\n")
        assert b"cache-control: no-store\r\nx-content-type-options: nosniff" in broken
