"""The mount for processes of this host: who gets in, what it answers, what is never shown of it."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tenuto import App, Context, Settings
from tenuto.host.served_app import ServedApp
from tenuto.http.options import HttpSettings
from tenuto.http.server.callers import is_on_this_machine
from tenuto.http.shown_paths import without_token
from tenuto.testing import TestHost
from tests.interop.http.conftest import binding_of
from tests.interop.http.native_app import native_app
from tests.support.http_in_process import http_to
from tests.support.http_server import KEYS, Serving, serving


def mount_of(serve: Serving) -> str:
    found: str = json.loads(binding_of(serve))["rpcBaseUrl"]
    return found


def token_of(mount: str) -> str:
    return urlsplit(mount).path.split("/")[2]


async def test_the_mount_is_on_the_servers_own_address(serve: Serving) -> None:
    assert mount_of(serve).startswith(f"{serve.url}/durabletask/")
    assert len(token_of(mount_of(serve))) > 40


async def test_the_token_is_made_anew_at_each_start() -> None:
    served = ServedApp(
        native_app(),
        Settings(storage="sqlite://"),
        clock=None,
        observer=None,
        sources={},
    )
    found = []
    for _ in range(2):
        await served.start()
        text = served.host.client_binding(None)
        assert text is not None
        found.append(json.loads(text)["rpcBaseUrl"])
        await served.stop()
    assert found[0] != found[1]
    assert {one.rpartition("/durabletask/")[0] for one in found} == {"http://127.0.0.1:7071"}


async def test_the_mount_does_more_than_who_has_no_key_may() -> None:
    async with serving(native_app(), keys=KEYS) as serve:
        mount = mount_of(serve)
        started = await serve.http.post(f"{mount}orchestrators/counts/one")
        assert started.status_code == 202
        await serve.server.host.client.wait("one")
        assert (await serve.http.delete(f"{mount}instances/one")).json() == {"instancesDeleted": 1}


@pytest.mark.parametrize("keys", [{}, KEYS])
async def test_without_its_token_there_is_nothing(keys: dict[str, Any]) -> None:
    async with serving(native_app(), keys=keys) as serve:
        token = token_of(mount_of(serve))
        for path in (
            "instances/one",
            "/instances/one",
            f"{token[:-1]}/instances/one",
            f"{token}x/instances/one",
            f"{token.swapcase()}/instances/one",
            "%00/instances",
            "",
        ):
            answer = await serve.http.get(f"/durabletask/{path}")
            assert answer.status_code == 404, path
            assert token not in answer.text
        assert (await serve.http.get(f"/DurableTask/{token}/instances")).status_code == 200


async def test_an_application_without_a_token_has_no_mount() -> None:
    app = native_app()
    async with TestHost(app) as test, http_to(test, app) as http:
        for path in ("/durabletask//instances", "/durabletask/instances"):
            assert (await http.get(path)).status_code == 404


@asynccontextmanager
async def served_to(
    client: tuple[str, int], **http: Any
) -> AsyncIterator[tuple[httpx2.AsyncClient, str]]:
    """A client that calls from some address, and the path of the mount."""
    settings = Settings(storage="sqlite://", http=HttpSettings(keys=KEYS, **http))
    served = ServedApp(native_app(), settings, clock=None, observer=None, sources={})
    application = await served.start()
    text = served.host.client_binding(None)
    assert text is not None
    mount = json.loads(text)["rpcBaseUrl"]
    transport = httpx2.ASGITransport(application, client=client)
    async with httpx2.AsyncClient(transport=transport) as caller:
        yield caller, mount
    await served.stop()


async def test_others_are_not_let_in_though_they_know_the_token() -> None:
    for address, status in (("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 404)):
        async with served_to((address, 5)) as (http, mount):
            answer = await http.get(f"{mount}instances/")
            assert answer.status_code == status
            assert token_of(mount) not in answer.text
            through = await http.get(f"{mount}instances/", headers={"X-Forwarded-For": "1.2.3.4"})
            assert through.status_code == 404


async def test_what_the_clients_of_the_packages_send_is_no_mark_of_a_proxy() -> None:
    """The package for Python sends it wherever a function has a parameter ``context``."""
    async with served_to(("127.0.0.1", 5)) as (http, mount):
        named = {"X-Azure-Functions-InvocationId": "1"}
        assert (await http.get(f"{mount}instances/", headers=named)).status_code == 200
        proxied = {**named, "X-Azure-ClientIP": "1.2.3.4"}
        assert (await http.get(f"{mount}instances/", headers=proxied)).status_code == 404


def test_a_server_on_one_address_is_called_from_that_address() -> None:
    scope: dict[str, Any] = {"headers": [], "client": ("10.0.0.7", 5), "server": ("10.0.0.7", 80)}
    assert is_on_this_machine(scope)
    assert not is_on_this_machine({**scope, "client": ("10.0.0.8", 5)})
    assert not is_on_this_machine({**scope, "server": None})
    assert not is_on_this_machine({**scope, "client": None})


async def test_no_page_of_others_gets_in(serve: Serving) -> None:
    answer = await serve.http.get(
        f"{mount_of(serve)}instances/", headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403


# --- what it answers ------------------------------------------------------------------------------


async def test_every_body_is_json_or_empty_whatever_is_asked(serve: Serving) -> None:
    mount = mount_of(serve)
    await serve.start("waits", instance_id="w")
    json_type = {"Content-Type": "application/json"}
    asked: list[tuple[str, str, dict[str, Any], int]] = [
        ("GET", "instances/nobody", {}, 404),
        ("GET", "instances/a%23b", {}, 400),
        ("GET", "instances?top=x", {}, 400),
        ("GET", "nothing/of/the/kind", {}, 404),
        ("GET", "", {}, 404),
        ("PUT", "instances/w", {}, 405),
        ("POST", "orchestrators/nope", {}, 400),
        ("POST", "orchestrators/hello", {"content": b"{", "headers": json_type}, 400),
        ("POST", "orchestrators/waits/w", {}, 409),
        ("POST", "instances/w/raiseEvent/Go", {"content": b"{", "headers": json_type}, 400),
        ("POST", "instances/w/suspend?reason=a&b=c", {}, 202),
        ("POST", "instances/w/suspend", {}, 409),
        ("POST", "instances/w/restart?restartWithNewInstanceId=False", {}, 409),
        ("POST", "instances/w/rewind?reason=a", {}, 501),
        ("DELETE", "instances/w", {}, 404),
        ("DELETE", "instances/?createdTimeFrom=nonsense", {}, 400),
        ("DELETE", "instances/?createdTimeTo=", {}, 400),
        ("GET", "entities/Counter/a?taskHub=H&connectionName=C", {}, 501),
        ("POST", "entities/Counter/a?op=add&taskHub=H&connectionName=C", {}, 501),
    ]
    for method, path, more, status in asked:
        answer = await serve.http.request(method, f"{mount}{path}", **more)
        assert answer.status_code == status, (method, path, answer.text)
        assert token_of(mount) not in answer.text
        if answer.content:
            said = answer.json()
            if status not in {202, 501}:
                assert {"Message", "ExceptionMessage", "ExceptionType", "StackTrace"} <= said.keys()


async def test_a_fault_of_ours_is_json_too_and_its_place_stays_in_the_log(
    serve: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(serve.server.host.client.gateway, "get", fails)
    mount = mount_of(serve)
    answer = await serve.http.get(f"{mount}instances/one")
    assert answer.status_code == 500
    assert "ExceptionMessage" in answer.json()
    assert "GET /durabletask/.../instances/one failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert token_of(mount) not in caplog.text


async def test_names_and_routes_match_in_any_case(serve: Serving) -> None:
    mount = mount_of(serve)
    assert (await serve.http.post(f"{mount}ORCHESTRATORS/counts/One")).status_code == 202
    assert (await serve.http.get(f"{mount}Instances/One")).json()["instanceId"] == "One"


async def test_capital_booleans_and_a_slash_at_the_end_are_understood(serve: Serving) -> None:
    mount = mount_of(serve)
    await serve.start("counts", instance_id="one")
    await serve.server.host.client.wait("one")
    query = "?showInput=True&showHistory=True&showHistoryOutput=False"
    found = (await serve.http.get(f"{mount}instances/one{query}")).json()
    assert found["history"] == found["historyEvents"] != []
    for path in ("instances", "instances/"):
        assert len((await serve.http.get(mount + path)).json()) == 1


async def test_who_asks_for_pages_gets_pages(serve: Serving) -> None:
    mount = mount_of(serve)
    for number in range(5):
        await serve.start("counts", instance_id=f"one-{number}")
    first = await serve.http.get(f"{mount}instances/?top=3")
    token = first.headers["x-ms-continuation-token"]
    assert len(first.json()) == 3
    rest = await serve.http.get(f"{mount}instances/", headers={"x-ms-continuation-token": token})
    assert len(rest.json()) == 2
    assert rest.headers["x-ms-continuation-token"] == ""
    every = await serve.http.get(f"{mount}instances/")
    assert len(every.json()) == 5
    assert every.headers["x-ms-continuation-token"] == ""


async def test_even_one_instance_may_be_too_long_for_one_answer() -> None:
    async with serving(native_app(), page_bytes=100) as serve:
        await serve.start("counts", instance_id="one")
        await serve.server.host.client.wait("one")
        answer = await serve.http.get(f"{mount_of(serve)}instances/")
        assert answer.status_code == 413
        assert "http.page_bytes" in answer.json()["ExceptionMessage"]
        paged = await serve.http.get(f"{mount_of(serve)}instances/?top=5")
        assert len(paged.json()) == 1


async def test_waiting_for_the_end_works_on_the_mount(serve: Serving) -> None:
    answer = await serve.http.post(
        f"{mount_of(serve)}orchestrators/counts?timeout=5&pollingInterval=0.5", json=7
    )
    assert (answer.status_code, answer.json()) == (200, 7)


# --- what is never shown --------------------------------------------------------------------------


async def test_neither_the_document_nor_the_log_shows_the_mount(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(native_app(), access_log=True) as serve:
        mount = mount_of(serve)
        await serve.http.get(f"{mount}instances/one")
        await serve.http.get(f"{mount}nothing")
        assert "/durabletask/{" not in json.dumps((await serve.http.get("/openapi.json")).json())
        figures = (await serve.http.get("/metrics")).text
    ours = [one for one in caplog.records if one.name.startswith("tenuto")]
    assert any("/durabletask/.../instances/one" in one.getMessage() for one in ours)
    for text in (*(f"{one.getMessage()} {one.__dict__}" for one in ours), figures):
        assert token_of(mount) not in text
    assert "/durabletask/instances/{instanceId}" in figures


def test_only_the_token_is_left_out_of_a_path() -> None:
    assert without_token("/durabletask/secret/instances/a") == "/durabletask/.../instances/a"
    assert without_token("/below/DurableTask/secret") == "/below/DurableTask/..."
    management = "/runtime/webhooks/durabletask/instances/a"
    assert without_token(management) == management
    assert without_token("/callbacks/a/secret") == "/callbacks/a/..."


async def test_an_empty_text_is_no_input_where_it_can_be_none() -> None:
    app = App()

    @app.orchestrator
    async def needs(ctx: Context, number: int) -> int:
        return number + len(ctx.instance_id)

    async with serving(app) as serve:
        answer = await serve.http.post(f"{mount_of(serve)}orchestrators/needs", content=b'""')
        assert answer.status_code == 400
        assert "number" in answer.json()["ExceptionMessage"]


SPELLINGS = (
    *("/durabletask/{}", "/DurableTask/{}/instances/a", "/durabletask//{}/a", "//durabletask/{}"),
    *("/durabletask/./{}", "/durabletask/a/../{}", "/a/../durabletask/{}/a", "/./durabletask/{}"),
    *("/durabletask%2f{}/a", "/durabletask%2F%2f{}", "/%64urabletask/{}", "/%2564urabletask/{}"),
    *("/durabletask%252f{}", "/durabletask/%252e%252e/{}", "/runtime/webhooks//durabletask/{}"),
    *("/runtime/webhooks/../durabletask/{}", "/api/durabletask//{}", "/below/durabletask/{}"),
    *("/callbacks/a/{}", "/callbacks//a//{}", "/callbacks/a%2f{}", "/%2563allbacks/a/{}/b"),
)


async def test_no_spelling_of_a_path_shows_its_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tenuto.http.access")
    async with serving(App(), access_log=True) as serve:
        for spelling in SPELLINGS:
            head = f"GET {spelling.format('SeCrEt')} HTTP/1.1\r\nhost: localhost\r\n"
            await serve.raw(f"{head}connection: close\r\n\r\n".encode())
    lines = [one for one in caplog.records if one.name == "tenuto.http.access"]
    assert len(lines) == len(SPELLINGS)
    for line in lines:
        assert "secret" not in f"{line.getMessage()} {line.__dict__}".lower()
        assert "..." in line.getMessage()


def test_an_odd_path_that_has_no_token_is_shown() -> None:
    for path in ("/a//b", "/a/../b", "/a%20b", "/callbacks", "//callbacks/", "/runtime/50%"):
        assert without_token(path) == path
