"""Signing in for the dashboard, over real HTTP: who is known, for how long, and to whom."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tenuto import App, Context, Settings
from tenuto.engine.program import HttpRequest, HttpResponse
from tenuto.host.server import Server
from tenuto.http.admin import live
from tenuto.http.options import AccessKey, HttpSettings
from tenuto.http.payloads import MOUNT
from tenuto.testing.clock import VirtualClock
from tenuto.testing.driver import EngineDriver
from tests.support.foreign_program import ForeignHttpFunction, ForeignProgram
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, READ_KEY, Serving, serving
from tests.support.nginx import nginx
from tests.support.postgres import Postgres

INSTANCES: Final = "/admin/instances"
PAGE: Final = {"sec-fetch-site": "same-origin", "x-tenuto-session": "1"}
"""What a call of the page carries beside the cookie."""

NOON: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)


def make_app() -> App:
    app = App()

    @app.orchestrator
    async def approval(ctx: Context) -> Any:  # noqa: ANN401 - any JSON
        return await ctx.wait_for_external_event("Approval")

    @app.http("GET", "/guarded", auth="function")
    async def guarded() -> str:
        return "in"

    @app.http("GET", "/headers", auth="anonymous")
    async def headers(request: Request) -> dict[str, str]:
        return dict(request.headers)

    return app


@pytest.fixture
async def serve() -> AsyncIterator[Serving]:
    async with serving(make_app(), keys=KEYS) as running:
        yield running


async def sign_in(http: httpx2.AsyncClient, key: str) -> str:
    """The cookie, as a browser sends it; the client is left without one."""
    answer = await http.post("/session", json={"key": key})
    assert answer.status_code == 204, answer.text
    http.cookies.clear()
    return answer.headers["set-cookie"].partition(";")[0]


async def page_of(http: httpx2.AsyncClient, key: str) -> dict[str, str]:
    """The headers of a page that somebody has signed in on."""
    return {**PAGE, "cookie": await sign_in(http, key)}


async def shown(http: httpx2.AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
    found = (await http.get("/session", headers=headers)).json()
    assert isinstance(found, dict)
    return found


NOBODY: Final = {"needsKey": True, "role": None, "expiresAt": None}


# --- signing in and out ---------------------------------------------------------------------------


async def test_a_key_becomes_a_session_that_no_script_can_read(serve: Serving) -> None:
    assert await shown(serve.http, PAGE) == NOBODY
    answer = await serve.http.post("/session", json={"key": OPERATE_KEY})
    assert (answer.status_code, answer.content) == (204, b"")
    cookie, *rest = answer.headers["set-cookie"].split("; ")
    assert rest == ["Path=/", "Max-Age=28800", "HttpOnly", "SameSite=Strict"]
    assert OPERATE_KEY not in cookie
    assert answer.headers["cache-control"] == "no-store"
    found = await shown(serve.http, {**PAGE, "cookie": cookie})
    assert (found["needsKey"], found["role"]) == (True, "operate")
    lasts = found["expiresAt"] / 1e6 - datetime.now(UTC).timestamp()
    assert 28_700 < lasts <= 28_800


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"key": "wrong-key-0123456789"}', 401),
        (b'{"key": ""}', 401),
        (b"", 400),
        (b"{}", 400),
        (b'{"key": 1}', 400),
        (b'{"key": "a", "role": "admin"}', 400),
        (b"[]", 400),
        (b'{"key": "' + b"a" * 70_000 + b'"}', 413),
    ],
)
async def test_what_is_no_key_signs_nobody_in(serve: Serving, body: bytes, status: int) -> None:
    answer = await serve.http.post("/session", content=body)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert "wrong-key" not in answer.text


async def test_a_session_may_do_what_its_key_may_do(serve: Serving) -> None:
    start = f"{MOUNT}/orchestrators/approval"
    purge = f"{MOUNT}/instances?createdTimeFrom=2020-01-01"
    for key, allowed in ((READ_KEY, 1), (OPERATE_KEY, 2), (ADMIN_KEY, 3)):
        headers = await page_of(serve.http, key)
        attempts = (("GET", INSTANCES), ("POST", start), ("DELETE", purge))
        for number, (method, path) in enumerate(attempts):
            answer = await serve.http.request(method, path, headers=headers)
            if number < allowed:
                assert answer.status_code in {200, 202, 404}
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "TN-1702")


async def test_a_reader_sees_no_address_that_does_something(serve: Serving) -> None:
    await serve.start("approval", instance_id="a", headers={"x-functions-key": OPERATE_KEY})
    headers = await page_of(serve.http, READ_KEY)
    answer = await serve.http.get(f"{MOUNT}/instances/a", headers=headers)
    assert "code=l1.r." in answer.headers["location"]


async def test_links_that_a_session_is_given_end_with_it(serve: Serving) -> None:
    headers = await page_of(serve.http, ADMIN_KEY)
    expires_at = (await shown(serve.http, headers))["expiresAt"] // 1_000_000
    links = (await serve.start("approval", headers=headers)).json()
    for name in ("statusQueryGetUri", "purgeHistoryDeleteUri"):
        assert int(links[name].split(".")[-2], 16) == expires_at


async def test_signing_out_makes_the_session_void(serve: Serving) -> None:
    headers = await page_of(serve.http, ADMIN_KEY)
    answer = await serve.http.delete("/session", headers=headers)
    assert answer.status_code == 204
    assert answer.headers["set-cookie"].startswith("tenuto-session=; Path=/; Max-Age=0;")
    assert await shown(serve.http, headers) == NOBODY
    refused = await serve.http.get(INSTANCES, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (401, "TN-1701")
    assert "sign in again" in refused.json()["message"]
    assert (await serve.http.delete("/session")).status_code == 204, "nobody was signed in"


async def test_signing_in_again_ends_the_session_before(serve: Serving) -> None:
    first = await page_of(serve.http, READ_KEY)
    again = await serve.http.post("/session", json={"key": ADMIN_KEY}, headers=first)
    assert again.status_code == 204
    serve.http.cookies.clear()
    assert await shown(serve.http, first) == NOBODY


async def test_without_keys_nobody_need_sign_in() -> None:
    async with serving(make_app()) as serve:
        found = await shown(serve.http, {})
        assert found == {"needsKey": False, "role": "admin", "expiresAt": None}
        answer = await serve.http.post("/session", json={"key": "any"})
        assert (answer.status_code, "set-cookie" in answer.headers) == (204, False)


# --- how long -------------------------------------------------------------------------------------


async def test_a_session_ends_in_time() -> None:
    clock = VirtualClock(NOON)
    http = HttpSettings(port=0, keys=KEYS, session_seconds=600)
    settings = Settings(storage="sqlite://", http=http)
    async with (
        Server(make_app(), settings=settings, clock=clock) as server,
        httpx2.AsyncClient(base_url=server.url) as client,
    ):
        clock.drive(EngineDriver(server.host.engine))
        headers = await page_of(client, READ_KEY)
        end = int((NOON + timedelta(seconds=600)).timestamp() * 1e6)
        assert (await shown(client, headers))["expiresAt"] == end
        await clock.advance(timedelta(seconds=599))
        assert (await client.get(INSTANCES, headers=headers)).status_code == 200
        await clock.advance(timedelta(seconds=1))
        assert (await client.get(INSTANCES, headers=headers)).status_code == 401
        assert await shown(client, headers) == NOBODY


async def test_a_stream_ends_with_its_session(
    serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    headers = await page_of(serve.http, READ_KEY)
    async with serve.http.stream("GET", "/admin/events", headers=headers) as stream:
        lines = stream.aiter_lines()
        await anext(lines)
        assert (await serve.http.delete("/session", headers=headers)).status_code == 204
        async with asyncio.timeout(20):
            async for _ in lines:
                pass


def served(storage: str, *names: str, **http: Any) -> Server:
    keys = {name: KEYS[name] for name in names}
    return Server(
        make_app(),
        settings=Settings(
            storage=storage,
            lease_seconds=1,
            drain_seconds=1,
            http=HttpSettings(port=0, keys=keys, **http),
        ),
    )


async def test_a_session_outlives_a_restart_and_ends_when_its_key_is_taken_out(
    tmp_path: Path,
) -> None:
    storage = f"sqlite:///{tmp_path / 'tenuto.db'}"
    async with (
        served(storage, "reader", "operator") as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        headers = await page_of(http, OPERATE_KEY)
    for names, status in ((("operator", "admin"), 200), (("reader",), 401), (("operator",), 200)):
        async with (
            served(storage, *names) as server,
            httpx2.AsyncClient(base_url=server.url) as http,
        ):
            assert (await http.get(INSTANCES, headers=headers)).status_code == status


async def test_every_host_of_a_hub_knows_a_session_of_any(safe_postgres: Postgres) -> None:
    storage = safe_postgres.fresh_url()
    async with (
        served(storage, "reader") as first,
        served(storage, "reader", "admin") as second,
        httpx2.AsyncClient() as http,
    ):
        answer = await http.post(f"{first.url}/session", json={"key": READ_KEY})
        http.cookies.clear()
        headers = {**PAGE, "cookie": answer.headers["set-cookie"].partition(";")[0]}
        for host in (first, second):
            found = (await http.get(f"{host.url}/session", headers=headers)).json()
            assert found["role"] == "read"
        await http.delete(f"{first.url}/session", headers=headers)
        assert (await http.get(f"{first.url}{INSTANCES}", headers=headers)).status_code == 401
        # As docs/security.md says: the other host has not heard of it.
        assert (await http.get(f"{second.url}{INSTANCES}", headers=headers)).status_code == 200


async def test_a_session_of_another_hub_opens_nothing(serve: Serving) -> None:
    headers = await page_of(serve.http, ADMIN_KEY)
    async with serving(make_app(), keys=KEYS) as other:
        assert (await other.http.get(INSTANCES, headers=headers)).status_code == 401


# --- whose calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"referer": "https://evil.example/"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-user": "?1",
         "sec-fetch-dest": "document"},
    ],
)  # fmt: skip
async def test_a_session_counts_for_no_other_page(serve: Serving, said: dict[str, str]) -> None:
    cookie = await sign_in(serve.http, ADMIN_KEY)
    headers = {"cookie": cookie, "x-tenuto-session": "1", **said}
    for method, path in (
        ("GET", INSTANCES),
        ("POST", f"{MOUNT}/orchestrators/approval"),
        ("DELETE", "/session"),
    ):
        answer = await serve.http.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "TN-1702")
    assert await shown(serve.http, headers) == NOBODY
    assert (await shown(serve.http, {**PAGE, "cookie": cookie}))["role"] == "admin"
    assert (await serve.http.get("/healthz", headers=headers)).status_code == 200


async def test_what_changes_something_needs_a_header_that_no_form_can_send(serve: Serving) -> None:
    cookie = await sign_in(serve.http, ADMIN_KEY)
    for said in ({"sec-fetch-site": "same-origin"}, {"origin": serve.url}):
        headers = {"cookie": cookie, **said}
        refused = await serve.start("approval", headers=headers)
        assert refused.status_code == 403
        assert "x-tenuto-session: 1" in refused.json()["message"]
        assert (await serve.http.delete("/session", headers=headers)).status_code == 403
        assert (await serve.http.get(INSTANCES, headers=headers)).status_code == 200
    headers = {"cookie": cookie, "origin": serve.url, "x-tenuto-session": "1"}
    assert (await serve.start("approval", headers=headers)).status_code == 202


async def test_no_other_page_signs_anybody_in(serve: Serving) -> None:
    for said in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        answer = await serve.http.post("/session", json={"key": READ_KEY}, headers=said)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_a_key_that_is_sent_counts_alone(serve: Serving) -> None:
    headers = await page_of(serve.http, ADMIN_KEY)
    start = f"{MOUNT}/orchestrators/approval"
    for key, status in ((READ_KEY, 403), ("wrong-key-0123456789", 401), (OPERATE_KEY, 202)):
        answer = await serve.http.post(start, headers={**headers, "x-functions-key": key})
        assert answer.status_code == status
        answer = await serve.http.post(f"{start}?code={key}", headers=headers)
        assert answer.status_code == status
    foreign = {"cookie": headers["cookie"], "x-functions-key": READ_KEY}
    assert (await serve.http.get(INSTANCES, headers=foreign)).status_code == 200
    found = await shown(serve.http, {**headers, "x-functions-key": READ_KEY})
    assert found == {"needsKey": True, "role": "read", "expiresAt": None}


async def test_key_and_session_are_in_no_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(0)
    async with serving(make_app(), keys=KEYS, access_log=True) as serve:
        headers = await page_of(serve.http, ADMIN_KEY)
        await serve.http.get(INSTANCES, headers=headers)
        await serve.http.get(INSTANCES, headers={**headers, "sec-fetch-site": "cross-site"})
    said = "\n".join(one.getMessage() for one in caplog.records if "tenuto" in one.name)
    assert ADMIN_KEY not in said
    assert headers["cookie"] not in said


# --- functions and apps of users ------------------------------------------------------------------


async def test_a_session_opens_no_function_and_is_not_shown_to_one(serve: Serving) -> None:
    headers = await page_of(serve.http, ADMIN_KEY)
    assert (await serve.http.get("/api/guarded", headers=headers)).status_code == 401
    headers["cookie"] = f"a=1; {headers['cookie']}; b=2"
    seen = (await serve.http.get("/api/headers", headers=headers)).json()
    assert seen["cookie"] == "a=1; b=2"


async def test_a_session_opens_no_function_of_a_program_and_is_not_shown_to_one() -> None:
    async def answer(request: HttpRequest) -> HttpResponse:
        cookies = [value for name, value in request.headers if name == "cookie"]
        return HttpResponse(status=200, headers=[], body=repr(cookies).encode())

    functions = [
        ForeignHttpFunction(name=level, function=answer, route=level, level=level)
        for level in ("anonymous", "function", "admin")
    ]
    async with serving(ForeignProgram({}, http=functions), keys=KEYS) as serve:
        headers = await page_of(serve.http, ADMIN_KEY)
        for level, status in (("anonymous", 200), ("function", 401), ("admin", 401)):
            found = await serve.http.get(f"/api/{level}", headers=headers)
            assert found.status_code == status
        assert (await serve.http.get("/api/anonymous", headers=headers)).text == "[]"


async def test_a_session_is_not_shown_to_a_mounted_app() -> None:
    app, seen = make_app(), []

    async def below(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("none")
        seen.append(dict(scope["headers"]).get(b"cookie"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app.mount("/below", below)
    async with serving(app, keys=KEYS) as serve:
        headers = await page_of(serve.http, ADMIN_KEY)
        await serve.http.get("/below/", headers=headers)
        await serve.http.get("/below/", headers={"cookie": f"{headers['cookie']}; a=1"})
    assert seen == [None, b"a=1"]


# --- switched off, behind others ------------------------------------------------------------------


async def test_without_a_dashboard_there_are_no_sessions(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'tenuto.db'}"
    async with (
        served(storage, "admin") as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        headers = await page_of(http, ADMIN_KEY)
    async with (
        served(storage, "admin", dashboard=False) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        assert (await http.get("/session", headers=headers)).status_code == 404
        assert (await http.post("/session", json={"key": ADMIN_KEY})).status_code == 404
        assert (await http.get(INSTANCES, headers=headers)).status_code == 401


async def test_a_function_key_signs_nobody_in() -> None:
    keys = {"one": AccessKey(key="function-key-0123456789", functions=("guarded",))}
    async with serving(make_app(), keys={**keys, "admin": KEYS["admin"]}) as serve:
        answer = await serve.http.post("/session", json={"key": "function-key-0123456789"})
        assert answer.status_code == 401


async def test_the_cookie_fits_where_a_trusted_proxy_says_that_the_page_is() -> None:
    said = {
        "x-forwarded-proto": "https",
        "x-forwarded-host": "flows.example.com",
        "x-forwarded-prefix": "/flows/",
    }
    for trusted, expected in (
        (("127.0.0.0/8",), ["Path=/flows", "Secure"]),
        ((), ["Path=/"]),
    ):
        async with serving(make_app(), keys=KEYS, trusted_proxies=trusted) as serve:
            answer = await serve.http.post("/session", json={"key": READ_KEY}, headers=said)
            parts = answer.headers["set-cookie"].split("; ")[1:]
            assert [one for one in parts if one.startswith(("Path", "Secure"))] == expected


async def test_a_browser_that_came_over_https_keeps_the_cookie_there(serve: Serving) -> None:
    headers = {"origin": f"https://127.0.0.1:{serve.port}"}
    answer = await serve.http.post("/session", json={"key": READ_KEY}, headers=headers)
    assert answer.headers["set-cookie"].endswith("; Secure")


async def test_signing_in_behind_a_real_nginx(tmp_path: Path) -> None:
    lines = (
        "proxy_http_version 1.1;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto https;",
        "proxy_set_header Host $host;",
    )
    async with (
        serving(make_app(), keys=KEYS, trusted_proxies=("127.0.0.1",)) as serve,
        nginx(tmp_path / "nginx", f"http://127.0.0.1:{serve.port}", *lines) as address,
        httpx2.AsyncClient(base_url=address) as http,
    ):
        answer = await http.post("/session", json={"key": READ_KEY})
        cookie, *rest = answer.headers["set-cookie"].split("; ")
        assert "Secure" in rest
        http.cookies.clear()
        headers = {**PAGE, "cookie": cookie}
        assert (await http.get(INSTANCES, headers=headers)).status_code == 200
