"""Keys, links that open one instance for a while, addresses in links, scripts of other origins."""

import asyncio
import string
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tenuto import App, Context, SettingsError
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.http.payloads import MOUNT
from tenuto.http.tokens import Opens, Tokens
from tenuto.model.ids import InstanceId
from tests.support.http_server import (
    ADMIN_KEY,
    KEYS,
    OPERATE_KEY,
    READ_KEY,
    Serving,
    serving,
)

_A = InstanceId("a")
INSTANCES = f"{MOUNT}/instances"
AS_READER = {"x-functions-key": READ_KEY}
AS_OPERATOR = {"x-functions-key": OPERATE_KEY}
AS_ADMIN = {"x-functions-key": ADMIN_KEY}


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator
    async def approval(ctx: Context) -> Any:  # noqa: ANN401 - any JSON
        return await ctx.wait_for_external_event("Approval")

    return app


@pytest.fixture
async def serve(app: App) -> AsyncIterator[Serving]:
    async with serving(app, keys=KEYS) as running:
        yield running


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"X-Functions-Key": READ_KEY}, ""),
        ({"Authorization": f"Bearer {READ_KEY}"}, ""),
        ({}, f"?code={READ_KEY}&taskHub=h&connection=c"),
    ],
)
async def test_a_key_may_come_in_three_ways(
    serve: Serving, headers: dict[str, str], query: str
) -> None:
    assert (await serve.http.get(f"{INSTANCES}{query}", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-functions-key": ""},
        {"x-functions-key": READ_KEY[:-1]},
        {"x-functions-key": f"{READ_KEY}x"},
        {"x-functions-key": "kéy".encode("latin-1")},
        {"authorization": f"Basic {READ_KEY}"},
        {"authorization": "Bearer"},
    ],
)
async def test_without_a_right_key_nothing_opens(
    serve: Serving, headers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = await serve.http.get(INSTANCES, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "TN-1701")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert READ_KEY[:-1] not in answer.text + caplog.text


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        (READ_KEY, ("read",)),
        (OPERATE_KEY, ("read", "operate")),
        (ADMIN_KEY, ("read", "operate", "admin")),
    ],
)
async def test_a_role_includes_those_before_it(
    serve: Serving, key: str, allowed: tuple[str, ...]
) -> None:
    for role, method, path in (
        ("read", "GET", INSTANCES),
        ("operate", "POST", f"{MOUNT}/orchestrators/approval"),
        ("admin", "DELETE", f"{INSTANCES}?createdTimeFrom=2020-01-01"),
    ):
        answer = await serve.http.request(method, path, headers={"x-functions-key": key})
        if role in allowed:
            assert answer.status_code in {200, 202, 404}
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "TN-1702")
            assert f"role {role}" in answer.json()["message"]


# --- links ----------------------------------------------------------------------------------------


async def _links(serve: Serving, headers: dict[str, str], name: str = "a") -> dict[str, str]:
    answer = await serve.start("approval", instance_id=name, headers=headers)
    assert answer.status_code == 202, answer.text
    links = answer.json()
    assert isinstance(links, dict)
    return links


async def test_links_open_their_instance_without_a_key(serve: Serving) -> None:
    links = await _links(serve, AS_OPERATOR)
    assert OPERATE_KEY not in str(links)
    assert (await serve.http.get(links["statusQueryGetUri"])).status_code == 202
    event = links["sendEventPostUri"].replace("{eventName}", "Approval")
    assert (await serve.http.post(event)).status_code == 202
    await serve.server.host.client.wait("a")
    assert (await serve.http.get(links["statusQueryGetUri"])).status_code == 200
    again = await serve.http.post(links["restartPostUri"])
    assert again.status_code == 202
    assert (await serve.http.get(again.json()["statusQueryGetUri"])).status_code == 202


async def test_a_link_creates_no_other_instance(serve: Serving) -> None:
    """S11: whoever holds one could else fill the store."""
    restart = (await _links(serve, AS_OPERATOR))["restartPostUri"]
    for state in ("running", "ended"):
        refused = await serve.http.post(f"{restart}&restartWithNewInstanceId=true")
        assert (refused.status_code, refused.json()["code"]) == (403, "TN-1702")
        if state == "running":
            assert (await serve.http.post(restart)).status_code == 409
            await serve.server.host.client.terminate("a")
            await serve.server.host.client.wait("a")
    again = await serve.http.post(f"{restart}&restartWithNewInstanceId=false")
    assert again.json()["id"] == "a"
    found = (await serve.http.get(INSTANCES, headers=AS_READER)).json()
    assert [one["instanceId"] for one in found] == ["a"]
    by_key = await serve.http.post(f"{INSTANCES}/a/restart", headers=AS_OPERATOR)
    assert by_key.json()["id"] != "a"


async def test_a_link_opens_nothing_else(serve: Serving) -> None:
    links = await _links(serve, AS_OPERATOR)
    await _links(serve, AS_OPERATOR, "b")
    code = links["statusQueryGetUri"].partition("code=")[2]
    assert (await serve.http.get(f"{INSTANCES}/b?code={code}")).status_code == 401
    assert (await serve.http.get(f"{INSTANCES}?code={code}")).status_code == 401
    started = await serve.http.post(f"{MOUNT}/orchestrators/approval/c?code={code}")
    assert started.status_code == 401
    assert (await serve.http.delete(f"{INSTANCES}/a?code={code}")).status_code == 401
    assert (await serve.http.get(f"{INSTANCES}/a?code={code[:-1]}")).status_code == 401
    assert (
        await serve.http.get(f"{INSTANCES}/a?code={code.replace('.o.', '.p.')}")
    ).status_code == 401


async def test_only_an_admins_purge_link_purges_and_does_nothing_else(serve: Serving) -> None:
    plain = (await _links(serve, AS_OPERATOR))["purgeHistoryDeleteUri"]
    assert (await serve.http.delete(f"{plain}?force=true")).status_code == 401
    purge = (await _links(serve, AS_ADMIN, "b"))["purgeHistoryDeleteUri"]
    assert (await serve.http.get(purge)).status_code == 401
    assert (await serve.http.delete(f"{purge}&force=true")).status_code == 200


async def test_a_readers_links_only_read(serve: Serving) -> None:
    await _links(serve, AS_OPERATOR)
    answer = await serve.http.get(f"{INSTANCES}/a", headers=AS_READER)
    link = answer.headers["location"]
    assert (await serve.http.get(link)).status_code == 202
    code = link.partition("code=")[2]
    refused = await serve.http.post(f"{INSTANCES}/a/terminate?code={code}")
    assert refused.status_code == 403


async def test_a_link_expires(app: App) -> None:
    async with serving(app, keys=KEYS, link_seconds=2) as serve:
        link = (await _links(serve, AS_OPERATOR))["statusQueryGetUri"]
        assert (await serve.http.get(link)).status_code == 202
        async with asyncio.timeout(30):
            while (await serve.http.get(link)).status_code == 202:
                pass
        assert (await serve.http.get(link)).json()["code"] == "TN-1701"
        assert (await serve.http.get(f"{INSTANCES}/a", headers=AS_READER)).status_code == 202


async def test_a_link_cannot_be_renewed_by_itself(serve: Serving) -> None:
    await _links(serve, AS_OPERATOR)
    in_an_hour = serve.server.host.clock.now() // 1_000_000 + 3600
    code = Tokens(KEYS.values(), serve.server.host.hub.secret).make(_A, Opens.OPERATE, in_an_hour)
    answer = await serve.http.get(f"{INSTANCES}/a?code={code}")
    assert answer.headers["location"] == f"{serve.url}{INSTANCES}/a?code={code}"


def test_tokens_outlive_a_restart_and_die_when_keys_change() -> None:
    keys = list(KEYS.values())
    text = Tokens(keys, "s").make(_A, Opens.READ, 100)
    assert Tokens(reversed(keys), "s").read(text, _A, 99_000_000) is not None
    assert Tokens(keys, "s").read(text, _A, 100_000_000) is None
    assert Tokens(keys, "another store's").read(text, _A, 0) is None
    assert Tokens(keys[1:], "s").read(text, _A, 0) is None
    promoted = [AccessKey(key=keys[0].key, role=Role.ADMIN), *keys[1:]]
    assert Tokens(promoted, "s").read(text, _A, 0) is None
    for other in (
        "",
        "l1",
        "l1.r.64",
        "l1.r.zz.aa",
        "l1.q.64.aa",
        f"{text}é",
        text.replace("64", "65"),
        # Other spellings of the same: whoever compares the text alone knows each token.
        text.replace(".64.", ".064."),
        text.replace(".64.", ".0x64."),
        text.replace(".64.", ".6_4."),
        text.replace(".64.", ". 64."),
        *(text[:-1] + last for last in string.ascii_letters + string.digits if last != text[-1]),
        f"{text}=",
    ):
        assert Tokens(keys, "s").read(other, _A, 0) is None, other


async def test_no_secret_stands_in_links_errors_or_logs(
    serve: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    links = await _links(serve, AS_ADMIN)
    wrong = await serve.http.get(f"{INSTANCES}?code={ADMIN_KEY}&code={ADMIN_KEY}")
    assert wrong.status_code == 400
    logged = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("http")
    )
    for text in (str(links), wrong.text, repr(KEYS), logged):
        assert ADMIN_KEY not in text


# --- addresses in links ---------------------------------------------------------------------------


async def _location(serve: Serving, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await serve.start("approval", headers={**AS_OPERATOR, **named})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"]).partition(MOUNT)[0]


async def test_links_have_the_host_of_the_request(app: App) -> None:
    async with serving(app, keys=KEYS) as serve:
        assert await _location(serve) == serve.url
        assert await _location(serve, host="localhost:9") == "http://localhost:9"
        forged = {"x_forwarded_host": "evil.example", "forwarded": "host=evil.example"}
        assert await _location(serve, **forged) == serve.url


async def test_links_follow_a_trusted_proxy(app: App) -> None:
    proxies = ("127.0.0.0/8", "::1", "10.0.0.7")
    async with serving(app, keys=KEYS, trusted_proxies=proxies) as serve:
        one = {"x_forwarded_host": "flows.example.com", "x_forwarded_proto": "https"}
        assert await _location(serve, **one) == "https://flows.example.com"
        assert (
            await _location(serve, **one, x_forwarded_prefix="/tenuto/")
            == "https://flows.example.com/tenuto"
        )
        # What came before the trusted proxies was said by anybody.
        said = "evil.example, flows.example.com, inner"
        chain = {"x_forwarded_host": said, "x_forwarded_for": "1.2.3.4, 10.0.0.7"}
        assert await _location(serve, **chain) == "http://flows.example.com"
        standard = 'for=1.2.3.4;host=evil.example, for="[2001:db8::1]";proto=https;host="a.example"'
        assert await _location(serve, forwarded=standard) == "https://a.example"


async def test_a_configured_address_wins(app: App) -> None:
    async with serving(app, base_url="https://flows.example.com/base/") as serve:
        assert await _location(serve) == "https://flows.example.com/base"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "a b"},
        {"host": 'evil"><script>'},
        {"host": "evil.example/path?"},
        {"host": "user@evil.example"},
        {"x-forwarded-host": "evil.example/x"},
        {"x-forwarded-proto": "javascript"},
        {"x-forwarded-prefix": "/a b"},
    ],
)
async def test_a_wrong_host_is_refused_before_anything_begins(
    app: App, headers: dict[str, str]
) -> None:
    async with serving(app, keys=KEYS, trusted_proxies=("127.0.0.1",)) as serve:
        answer = await serve.start("approval", headers={**AS_OPERATOR, **headers})
        assert answer.status_code == 400
        assert "evil" not in answer.text
        assert (await serve.http.get(INSTANCES, headers=AS_READER)).json() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", ("10.0.0.0/99",)),
        ("trusted_proxies", ("proxy.example.com",)),
        ("base_url", "flows.example.com"),
        ("base_url", "https://flows.example.com/?x=1"),
        ("cors_origins", ("https://app.example.com/path",)),
        ("cors_origins", ("app.example.com",)),
    ],
)
def test_bad_input_is_refused_whole_by_the_settings(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"http.{name}"):
        HttpSettings(**{name: value})  # type: ignore[arg-type]  # what a user might write


# --- scripts of other origins ---------------------------------------------------------------------

PAGE = "https://app.example.com"
ASKS = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "x-functions-key",
}


async def test_without_the_setting_no_script_of_another_origin_may_read(serve: Serving) -> None:
    answer = await serve.http.get(INSTANCES, headers={**AS_READER, "origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers
    asked = await serve.http.options(INSTANCES, headers={"origin": PAGE, **ASKS})
    assert asked.status_code == 404


async def test_scripts_of_allowed_origins_may_call(app: App) -> None:
    async with serving(app, keys=KEYS, cors_origins=(PAGE,)) as serve:
        asked = await serve.http.options(INSTANCES, headers={"origin": PAGE, **ASKS})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == PAGE
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert asked.headers["access-control-allow-headers"] == "x-functions-key"
        assert "Origin" in asked.headers["vary"]
        read = await serve.http.get(INSTANCES, headers={**AS_READER, "origin": PAGE})
        assert read.headers["access-control-allow-origin"] == PAGE
        assert "x-ms-continuation-token" in read.headers["access-control-expose-headers"]
        assert read.headers["vary"] == "Origin"
        refused = await serve.http.get(INSTANCES, headers={"origin": PAGE})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, PAGE)
        for other in ("https://evil.example", "null"):
            asked = await serve.http.options(INSTANCES, headers={"origin": other, **ASKS})
            assert asked.status_code == 403
            read = await serve.http.get(INSTANCES, headers={**AS_READER, "origin": other})
            assert "access-control-allow-origin" not in read.headers
            assert read.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("site", "mode", "more", "status"),
    [
        ("cross-site", "cors", {}, 403),
        ("cross-site", "no-cors", {"dest": "image"}, 403),
        ("same-site", "no-cors", {"dest": "image"}, 403),  # another port of this machine
        ("cross-site", "navigate", {}, 403),
        ("cross-site", "navigate", {"dest": "document"}, 403),  # a script has set it off
        ("cross-site", "navigate", {"dest": "iframe", "user": "?1"}, 403),
        ("same-site", "navigate", {"dest": "frame", "user": "?1"}, 403),
        ("cross-site", "navigate", {"dest": "document", "user": "?1"}, 200),  # a link was followed
        ("same-origin", "cors", {}, 200),
        ("none", "navigate", {}, 200),
    ],
)
async def test_a_page_of_another_site_calls_nothing_by_get_on_a_server_without_keys(
    site: str, mode: str, more: dict[str, str], status: int
) -> None:
    app = App()

    @app.http("GET", "/")
    async def root() -> str:
        return "at the root"

    @app.http("GET", "/begin")
    async def begin() -> str:
        return "begun"

    sent = {"sec-fetch-site": site, "sec-fetch-mode": mode}
    sent |= {f"sec-fetch-{name}": value for name, value in more.items()}
    async with serving(app) as serve:
        for path in ("/api/begin", "/api", "/api/", INSTANCES, "/admin/instances", "/healthz"):
            for method in ("GET", "HEAD"):
                answer = await serve.http.request(method, path, headers=sent)
                assert answer.status_code == status, path
        posted = await serve.http.post(f"{MOUNT}/orchestrators/none", headers=sent)
        assert posted.status_code == (400 if site in {"same-origin", "none"} else 403)
    async with serving(app, cors_origins=(PAGE,)) as serve:
        answer = await serve.http.get("/api/begin", headers={**sent, "origin": PAGE})
        assert answer.status_code == 200


OPEN = (
    "/api/nothing",
    "/API/nothing",
    "/nothing",
    f"{INSTANCES}/one",
    f"{INSTANCES}/one/terminate",
)
OWN = (
    *("/admin/instances", "/admin/info", "/Admin", "/metrics", "/healthz"),
    *(
        "/openapi.json",
        INSTANCES,
        f"{MOUNT}/orchestrators/none",
        f"{MOUNT}/nothing",
        "/results/one",
    ),
    *("/callbacks/one", "/durabletask/one/instances/two", "/%61dmin/instances"),
)


@pytest.mark.parametrize("keys", [{}, KEYS])
@pytest.mark.parametrize("origins", [(PAGE,), ("*",)])
async def test_origins_of_functions_reach_those_and_their_instances_alone(
    app: App, keys: dict[str, AccessKey], origins: tuple[str, ...]
) -> None:
    sent = {"origin": PAGE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors", **AS_READER}
    async with serving(app, keys=keys, function_origins=origins) as serve:
        for path in OPEN:
            asked = await serve.http.options(path, headers={"origin": PAGE, **ASKS})
            assert asked.headers["access-control-allow-origin"] == PAGE, path
            read = await serve.http.get(path, headers=sent)
            assert read.headers["access-control-allow-origin"] == PAGE, path
            assert read.status_code != 403, path
        for path in OWN:
            asked = await serve.http.options(path, headers={"origin": PAGE, **ASKS})
            assert "access-control-allow-origin" not in asked.headers, path
            read = await serve.http.get(path, headers=sent)
            assert "access-control-allow-origin" not in read.headers, path
            if not keys and not path.startswith("/callbacks"):
                assert read.status_code == 403, path
        no_text = await serve.http.get("/%ff", headers=sent)
        assert "access-control-allow-origin" not in no_text.headers


async def test_what_may_call_everywhere_may_call_functions_too(app: App) -> None:
    other = "https://other.example"
    async with serving(app, cors_origins=(PAGE,), function_origins=(other,)) as serve:
        for path, origin, status in (
            *(("/api/nothing", PAGE, 404), ("/api/nothing", other, 404)),
            *((INSTANCES, PAGE, 200), (INSTANCES, other, 403)),
        ):
            answer = await serve.http.get(path, headers={"origin": origin})
            assert answer.status_code == status, (path, origin)


async def test_a_page_of_another_origin_starts_nothing_on_a_server_without_keys(app: App) -> None:
    async with serving(app) as serve:
        for origin in ("https://evil.example", "null"):
            answer = await serve.start("approval", headers={"origin": origin})
            assert (answer.status_code, answer.json()["code"]) == (403, "TN-1702")
        assert (await serve.http.get(INSTANCES)).json() == []
        assert (await serve.start("approval", headers={"origin": serve.url})).status_code == 202


async def test_a_server_without_keys_answers_to_the_names_of_its_own_machine_alone(
    app: App,
) -> None:
    """Else a page whose name is made to point to this machine could read everything."""

    async def status(serve: Serving, host: str) -> int:
        return (await serve.http.get(INSTANCES, headers={"host": host})).status_code

    async with serving(app) as serve:
        for own in ("localhost", "LOCALHOST:80", "flows.localhost:7071", "127.0.0.1", "[::1]:7071"):
            assert await status(serve, own) == 200, own
        for other in ("evil.example", "evil.example:7071", "127.0.0.1.evil.example", "[::2]"):
            assert await status(serve, other) == 403, other
    async with serving(app, base_url="https://flows.example.com/x") as serve:
        # Who calls it by that name may be anybody behind a proxy.
        assert await status(serve, "flows.example.com") == 403
        assert await status(serve, "localhost") == 200
    async with serving(app, keys=KEYS) as serve:
        answer = await serve.http.get(INSTANCES, headers={"host": "any.example", **AS_READER})
        assert answer.status_code == 200
