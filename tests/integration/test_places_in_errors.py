"""What callers read of a store that is away: what happened, and nothing of where it is."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tenuto import App, Client, Context, Settings
from tenuto.host.server import Server
from tenuto.http.errors import error_answer
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.model import errors
from tenuto.model.errors import StorageUnavailableError, TenutoError
from tests.support.postgres import Postgres
from tests.support.postgres_load import through_a_proxy
from tests.support.waiting import until

app = App()
KEYS = {role.value: AccessKey(key=f"a-key-of-sixteen-or-more-{role}", role=role) for role in Role}
_NOBODY = 1
"""A port on which nothing listens."""
PLACE = "postgresql://tenuto_owner@db.internal/orders?schema=h"


@app.orchestrator
async def hook(ctx: Context, given: dict[str, str] | None = None) -> None:
    url = await ctx.create_webhook("scanned", expires_in=timedelta(days=7))
    ctx.set_custom_status(url)
    await ctx.wait_for_external_event("scanned")


@app.http("GET", "/open/{id}", auth="anonymous")
async def seen(id: str, client: Client) -> str:  # noqa: A002 - what its path calls it
    status = await client.get_status(id)
    return "none" if status is None else status.runtime_status.label


@app.http("POST", "/go/{id}", auth="anonymous")
async def go(id: str, client: Client) -> str:  # noqa: A002 - as above
    await client.start(hook, None, instance_id=id)
    return "started"


def _kinds(kind: type[TenutoError] = TenutoError) -> list[type[TenutoError]]:
    below = [one for child in kind.__subclasses__() for one in _kinds(child)]
    return [kind, *below] if kind.__module__ == errors.__name__ else below


NAMES_PLACES = [
    *_kinds(errors.StorageError),
    *_kinds(errors.ConnectionFailedError),
    *_kinds(errors.AzureStorageError),
    *_kinds(errors.HttpCallError),
    *(errors.SettingsError, errors.AppLoadError, errors.TaskHubError, errors.NoSuchLinkError),
]


@pytest.mark.parametrize("kind", NAMES_PLACES)
def test_an_error_that_names_places_is_told_without_them(kind: type[TenutoError]) -> None:
    error = kind(f"cannot read {PLACE}")
    body = error_answer(error, for_sdks=True).body
    assert PLACE.encode() not in bytes(body)
    assert error.code.encode() in bytes(body)
    assert PLACE.encode() in bytes(error_answer(error, whole=True).body)


def test_what_an_error_is_told_as_stays_with_it() -> None:
    error = StorageUnavailableError(f"cannot read {PLACE}: its disk is full")
    assert error.told_as("its disk is full").for_callers == "its disk is full"
    assert PLACE in str(error)


class Away:
    """A server whose store has gone away, and what opens it."""

    def __init__(self, server: Server, http: httpx2.AsyncClient, links: dict[str, str]) -> None:
        self.server = server
        self.http = http
        self.link = links["statusQueryGetUri"]
        self.event = links["sendEventPostUri"].replace("{eventName}", "x")
        self.webhook = ""

    async def ask(self, method: str, path: str, role: Role | None = None) -> httpx2.Response:
        headers = {} if role is None else {"x-functions-key": KEYS[role.value].key}
        body = None if method == "GET" else b"{}"
        if body is not None:
            headers["content-type"] = "application/json"
        return await self.http.request(method, path, content=body, headers=headers)


@pytest.fixture
async def away(postgres: Postgres) -> AsyncIterator[Away]:
    async with through_a_proxy(postgres) as (proxy, url, _):
        settings = Settings(storage=url, http=HttpSettings(port=0, keys=KEYS))
        async with (
            Server(app, settings=settings) as server,
            httpx2.AsyncClient(base_url=server.url, timeout=5) as http,
        ):
            headers = {"x-functions-key": KEYS["operate"].key}
            path = "/runtime/webhooks/durabletask/orchestrators/hook/one"
            answer = await http.post(path, headers=headers)
            made = Away(server, http, answer.json())
            while not made.webhook:
                await asyncio.sleep(0.01)
                status = await server.host.client.get_status("one")
                made.webhook = str((status and status.custom_status) or "")
            proxy.lead_to(_NOBODY)
            path = path.removesuffix("/one")  # of a fresh id, which is in the next commit
            first = asyncio.create_task(made.ask("POST", path, Role.OPERATE))
            await until(lambda: server.host.engine.pipeline.unavailable)
            try:
                yield made
            finally:
                proxy.lead_to(postgres.port)
                with suppress(httpx2.ReadTimeout):
                    await first


def _tells_no_place(*answers: httpx2.Response) -> None:
    for answer in answers:
        for place in ("postgresql:", "postgres@", "schema=", "Errno", "PostgreSQL:"):
            assert answer.status_code < 400 or place not in answer.text, answer.text


async def test_who_has_no_key_reads_what_happened_and_not_where(away: Away) -> None:
    for method, path in (
        ("GET", away.link),
        ("POST", away.event),
        ("GET", "/api/open/one"),
        ("POST", "/api/go/three"),
        ("GET", away.webhook),
        ("POST", away.webhook),
    ):
        answer = await away.ask(method, path)
        assert answer.status_code == 503
        assert answer.json()["code"] == "TN-1601"
        assert "the store" in answer.json()["message"]
        _tells_no_place(answer)


@pytest.mark.parametrize("role", [None, Role.READ, Role.OPERATE])
async def test_no_route_tells_where_the_store_is(away: Away, role: Role | None) -> None:
    answers = []

    async def ask(method: str, path: str) -> None:
        with suppress(httpx2.ReadTimeout):  # it waits for an instance, and tells nothing
            answers.append(await away.ask(method, path, role))

    asked = [(one.method, re.sub(r"\{[^}]*\}", "one", one.path)) for one in away.server.routes]
    await asyncio.gather(*(ask(*one) for one in asked))
    _tells_no_place(*answers)
    if role is not None:
        assert sum(one.status_code == 503 for one in answers) > 10


async def test_who_may_look_reads_in_health_what_ails_the_store(away: Away) -> None:
    answer = await away.ask("GET", "/healthz", Role.READ)
    assert "the connection broke" in answer.text
    _tells_no_place(answer)


async def test_an_admin_and_the_log_have_all_of_it(
    away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    await away.ask("GET", "/api/open/one")
    assert "schema=" in caplog.text
    for path in ("/admin/hosts", "/healthz"):
        assert "schema=" in (await away.ask("GET", path, Role.ADMIN)).text


async def test_who_works_on_this_machine_without_keys_has_all_of_it(tmp_path: Path) -> None:
    settings = Settings(storage=f"sqlite:///{tmp_path / 'hub.db'}", http=HttpSettings(port=0))
    async with (
        Server(app, settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        server.host.engine.pipeline.unavailable = StorageUnavailableError(f"no {PLACE}")
        try:
            assert PLACE in (await http.post("/api/go/two")).json()["message"]
        finally:
            server.host.engine.pipeline.unavailable = None
