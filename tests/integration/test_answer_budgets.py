"""Answers that list something are bounded in bytes, and go on; no text escapes the limits (S4)."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tenuto import App, Client, Context, LimitError, RegistrationError
from tenuto.client.wire import CONTINUATION
from tenuto.http.options import HttpSettings
from tenuto.http.payloads import MOUNT
from tenuto.model.ids import InstanceId
from tests.support.http_server import KEYS, OPERATE_KEY, READ_KEY, Serving, serving

INSTANCES = f"{MOUNT}/instances"
READER = {"x-functions-key": READ_KEY}
OPERATOR = {"x-functions-key": OPERATE_KEY, "content-type": "application/json"}
TEXT = "x" * 50_000
PAGE = 250_000
COUNT = 12


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator
    async def echo(ctx: Context, given: str) -> str:
        return given

    @app.activity
    def grow(number: int) -> str:
        return TEXT

    @app.orchestrator
    async def growing(ctx: Context) -> None:
        for number in range(COUNT):
            await ctx.call_activity(grow, number)

    @app.orchestrator
    async def waiting(ctx: Context) -> None:
        await ctx.wait_for_external_event("begin")
        await ctx.wait_for_external_event("end", int)

    return app


@pytest.fixture
async def serve(app: App) -> AsyncIterator[Serving]:
    async with serving(app, keys=KEYS, page_bytes=PAGE) as running:
        yield running


def test_a_page_has_a_budget_by_default() -> None:
    assert HttpSettings().page_bytes == 16 * 1024 * 1024


@pytest.mark.parametrize("api", ["durable functions", "admin"])
async def test_a_read_key_gets_no_more_than_a_page_at_a_time(serve: Serving, api: str) -> None:
    client = serve.server.host.client
    for number in range(COUNT):
        await client.start("echo", TEXT, instance_id=f"i-{number:02}")
        await client.wait(f"i-{number:02}")
    seen: list[str] = []
    after = ""
    while True:
        if api == "admin":
            query = {"limit": "1000", **({"after": after} if after else {})}
            answer = await serve.http.get("/admin/instances", params=query, headers=READER)
            page = answer.json()
            seen += [one["instanceId"] for one in page["records"]]
            after = page["after"] or ""
        else:
            headers = {**READER, CONTINUATION: after}
            answer = await serve.http.get(f"{INSTANCES}?top=1000", headers=headers)
            seen += [one["instanceId"] for one in answer.json()]
            after = answer.headers[CONTINUATION]
        assert len(answer.content) <= PAGE
        if not after:
            break
    assert seen == [f"i-{number:02}" for number in reversed(range(COUNT))]


async def test_a_history_comes_in_pages_for_who_asks_for_them(app: App) -> None:
    async with serving(app, keys=KEYS, page_bytes=PAGE, history_bytes=PAGE) as serve:
        await serve.server.host.client.start("growing", instance_id="g")
        await serve.server.host.client.wait("g")
        address = "/admin/instances/g/history"
        whole = await serve.http.get(address, headers=READER)
        assert (whole.status_code, whole.json()["code"]) == (413, "TN-1502")
        assert "?after=" in whole.json()["message"]
        turns: list[Any] = []
        after, pages = "", 0
        while True:
            answer = await serve.http.get(address, params={"after": after}, headers=READER)
            assert len(answer.content) <= PAGE
            turns += answer.json()
            after, pages = answer.headers[CONTINUATION], pages + 1
            if not after:
                break
        assert pages > 2
        local = await serve.server.host.client.gateway.history(InstanceId("g"))
        assert turns == [json.loads(turn) for turn in local]
        async with Client(serve.url, key=READ_KEY) as client:
            assert await client.history("g") == await serve.server.host.client.history("g")
        for wrong in ("x", "0", "0.x", "-1.0", "7.0", "0.1.2"):
            refused = await serve.http.get(address, params={"after": wrong}, headers=READER)
            assert refused.status_code == 400, wrong


async def test_dead_letters_come_in_pages(serve: Serving) -> None:
    client = serve.server.host.client
    await client.start("waiting", instance_id="w")
    for number in range(COUNT):
        await client.raise_event("w", "end", f"{number:02}{TEXT}")  # which is no int
    await client.raise_event("w", "begin")
    await client.raise_event("w", "end", 1)
    await client.wait("w")
    seen: list[str] = []
    after = ""
    while True:
        query = {"limit": "1000", "after": after}
        answer = await serve.http.get("/admin/dead-letters", params=query, headers=READER)
        assert len(answer.content) <= PAGE
        seen += [json.loads(one["message"]["event"]["input"])[:2] for one in answer.json()]
        after = answer.headers[CONTINUATION]
        if not after:
            break
    assert seen == [f"{number:02}" for number in reversed(range(COUNT))]
    async with Client(serve.url, key=READ_KEY) as outside:
        assert len(await outside.dead_letters(1_000)) == COUNT
        assert len(await outside.dead_letters(5)) == 5
        letters = await outside.gateway.dead_letters(2)
    ids = {"ids": [one.message_id for one in letters]}
    path = "/admin/dead-letters/acknowledge"
    refused = await serve.http.post(path, json=ids, headers=READER)
    assert refused.status_code == 403
    for count in (2, 0):
        answer = await serve.http.post(path, json=ids, headers=OPERATOR)
        assert (answer.status_code, answer.json()) == (200, {"count": count})
    answer = await serve.http.get("/admin/dead-letters?limit=3", headers=READER)
    assert ["acknowledgedAt" in one for one in answer.json()] == [True, True, False]
    refused = await serve.http.get("/admin/dead-letters?after=x", headers=READER)
    assert refused.status_code == 400


# --- texts --------------------------------------------------------------------------------------

LONG = "t" * 4_097
FITS = "t" * 3_900


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{MOUNT}/orchestrators/waiting?version={LONG}", None),
        ("/admin/instances", {"name": "waiting", "version": LONG}),
        ("/admin/instances", {"name": "waiting", "tags": {LONG: "a"}}),
        ("/admin/instances", {"name": "waiting", "tags": {"a": LONG}}),
        ("/admin/instances", {"name": "waiting", "tags": {str(n): "x" * 40 for n in range(100)}}),
        ("/admin/instances", {"name": "waiting", "tags": {"a": FITS}, "version": "v" * 200}),
        (f"{INSTANCES}/w/terminate?reason={LONG}", None),
        (f"{INSTANCES}/w/suspend?reason={LONG}", None),
        (f"{INSTANCES}/w/resume?reason={LONG}", None),
        (f"{INSTANCES}/w/raiseEvent/{LONG}", None),
        ("/admin/instances/w/terminate", {"reason": LONG}),
        ("/admin/instances/w/suspend", {"reason": LONG}),
        ("/admin/instances/w/resume", {"reason": "\u00fc" * 2_100}),
        ("/admin/instances/w/fail", {"reason": LONG}),
        ("/admin/instances/w/raise-event", {"name": LONG}),
    ],
)
async def test_texts_that_are_no_payloads_are_short_at_every_door_of_http(
    serve: Serving, path: str, body: object
) -> None:
    client = serve.server.host.client
    await client.start("waiting", instance_id="w")
    await client.wait("w", started=True)
    if "resume" in path:
        await client.suspend("w")
    before = await client.get_status("w")
    content = None if body is None else json.dumps(body)
    refused = await serve.http.post(path, content=content, headers=OPERATOR)
    assert (refused.status_code, refused.json()["code"]) == (413, "TN-1502"), refused.text
    assert "at most 4,096" in refused.json()["message"]
    assert LONG not in refused.text
    assert await client.get_status("w") == before
    page = await serve.http.get(INSTANCES, headers=READER)
    assert [one["instanceId"] for one in page.json()] == ["w"]


async def test_texts_that_fit_are_taken_whole(serve: Serving) -> None:
    body = {"name": "waiting", "tags": {"a": FITS}, "version": "v" * 100}
    started = await serve.http.post("/admin/instances", content=json.dumps(body), headers=OPERATOR)
    assert started.status_code == 201
    instance_id = started.json()["instanceId"]
    for verb, more in [("suspend", {"reason": FITS}), ("raise-event", {"name": FITS})]:
        answer = await serve.http.post(
            f"/admin/instances/{instance_id}/{verb}", content=json.dumps(more), headers=OPERATOR
        )
        assert answer.status_code == 204, answer.text


async def test_texts_that_are_no_payloads_are_short_at_every_other_door(
    serve: Serving, app: App
) -> None:
    client = serve.server.host.client
    await client.start("waiting", instance_id="w")
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: client.start("waiting", version=LONG),
        lambda: client.start("waiting", tags={"a": LONG}),
        lambda: client.raise_event("w", LONG),
        lambda: client.suspend("w", LONG),
        lambda: client.terminate("w", LONG),
    ]
    for attempt in attempts:
        with pytest.raises(LimitError, match="at most 4,096"):
            await attempt()

    async def fine(ctx: Context) -> None:
        """Nothing."""

    with pytest.raises(RegistrationError, match="at most 4,096"):
        app.orchestrator(version=LONG)(fine)
    with pytest.raises(LimitError, match="at most 4,096"):
        app.orchestrator(fine).options(tags={"a": FITS}, version="v" * 200)


async def test_an_orchestrator_that_says_too_much_is_told_at_its_own_line() -> None:
    app = App()
    caught: list[str] = []

    @app.orchestrator
    async def talkative(ctx: Context) -> None:
        for attempt in (
            lambda: ctx.wait_for_external_event(LONG),
            lambda: ctx.send_event("other", LONG),
        ):
            try:
                attempt()
            except LimitError as error:
                caught.append(str(error))

    async with serving(app) as serve:
        await serve.server.host.client.start(talkative, instance_id="t")
        await serve.server.host.client.wait("t")
    assert len(caught) == 2
