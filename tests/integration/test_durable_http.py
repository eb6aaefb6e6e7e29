"""Durable functions behind HTTP: answers in time and later, keys, failures, repeated requests."""

import asyncio
import re
import signal
import sys
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from tenuto import App, Client, Context, HttpError, InputError, RegistrationError, Settings
from tenuto.http.options import HttpSettings
from tenuto.testing import TestHost
from tests.support.http_in_process import with_state
from tests.support.http_server import KEYS, OPERATE_KEY, READ_KEY, Serving, serving
from tests.support.terminal import Command

SOON = timedelta(seconds=0)


@dataclass
class Item:
    article: str
    count: int = 1


@dataclass
class Receipt:
    order: int
    items: list[Item]
    express: bool


@pytest.fixture
def app() -> App:  # noqa: C901 - one function of each kind
    app = App()

    @app.http("POST", "/orders/{order:int}", durable=True)
    async def place(ctx: Context, order: int, items: list[Item], express: bool = False) -> Receipt:
        return Receipt(order, items, express)

    @app.http("POST", "/slow", durable=True, wait=SOON)
    async def slow(ctx: Context, body: int = 1) -> str:
        word = await ctx.wait_for_external_event("word", str)
        return word * body

    @app.http("POST", "/open", durable=True, wait=SOON, auth="anonymous")
    async def opened(ctx: Context) -> str:
        return await ctx.wait_for_external_event("word", str)

    @app.http("POST", "/answers/{kind}", durable=True)
    async def answers(ctx: Context, kind: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        match kind:
            case "text":
                return PlainTextResponse("héllo", 201, {"X-Mark": "a"})
            case "pair":
                return {"a": 1}, 202
            case "away":
                return RedirectResponse("/elsewhere", 307)
            case "stream":
                return StreamingResponse(iter([b"x"]))
            case "refused":
                raise HttpError("no such kind", status=418)
            case "broken":
                raise ValueError("a secret of the house")
            case "odd":
                return 1, 2, 3
            case _:
                pass
        return {"kind": kind}

    @app.http("GET", "/typed", durable=True)
    async def typed(ctx: Context, bad: bool = False) -> Receipt | Response | tuple[str, int]:
        if bad:
            return "not now", 503
        return Receipt(1, [], express=False)

    @app.http("PUT", "/generated", durable=True)
    def generated(ctx: Context) -> Generator[Any, Any, Response]:
        yield ctx.create_timer(timedelta(0))
        return Response(b"\x00\xff", media_type="image/png")

    @app.http("PUT", "/nothing", durable=True)
    def nothing(ctx: Context) -> None: ...

    @app.http("PUT", "/plain", durable=True)
    def plain(ctx: Context) -> Response:
        return Response("plain")

    @app.http("POST", "/stacked", durable=True)
    @app.orchestrator
    async def stacked(ctx: Context) -> str:
        return ctx.name

    return app


async def goes_on(served: Serving, answer: httpx2.Response) -> tuple[str, str]:
    """The address of an answer that is still to come, and its instance."""
    assert answer.status_code == 303
    assert answer.headers["retry-after"] == "1"
    location = answer.headers["location"]
    assert location.startswith(served.url + "/results/")
    found = re.search(r"/results/([^?]+)", location)
    assert found is not None
    return location, found[1]


async def test_what_ends_in_time_answers_the_request_itself(app: App) -> None:
    async with serving(app) as served:
        answer = await served.http.post("/api/orders/7?express=true", json=[{"article": "pen"}])
        assert (answer.status_code, answer.json()) == (
            200,
            {"order": 7, "items": [{"article": "pen", "count": 1}], "express": True},
        )
        assert (await served.http.put("/api/nothing")).status_code == 204
        assert (await served.http.post("/api/stacked")).json() == "stacked"
        refused = await served.http.post("/api/orders/7", json=[{"count": 1}])
        assert refused.status_code == 400
        assert "missing required field `article`" in refused.json()["message"]


async def test_what_takes_longer_is_found_at_the_address_that_was_given(app: App) -> None:
    async with serving(app) as served:
        location, instance = await goes_on(served, await served.http.post("/api/slow", json=2))
        early = await served.http.get(location)
        assert (early.status_code, early.headers["retry-after"]) == (202, "1")
        assert early.json()["instanceId"] == instance
        await served.server.host.client.raise_event(instance, "word", "so")
        await served.server.host.client.wait(instance)
        for _ in range(2):
            assert (await served.http.get(location)).json() == "soso"
        assert (await served.http.get("/results/nobody")).status_code == 404


async def test_an_address_is_for_answers_of_durable_functions_alone(app: App) -> None:
    @app.orchestrator
    async def other(ctx: Context) -> int:
        return 1

    async with serving(app) as served:
        handle = await served.server.host.client.start(other)
        await handle.result()
        assert (await served.http.get(f"/results/{handle.instance_id}")).status_code == 404


async def test_responses_and_statuses_go_out_as_the_function_gave_them(app: App) -> None:
    async with serving(app) as served:
        text = await served.http.post("/api/answers/text")
        assert (text.status_code, text.text, text.headers["x-mark"]) == (201, "héllo", "a")
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        pair = await served.http.post("/api/answers/pair")
        assert (pair.status_code, pair.json()) == (202, {"a": 1})
        away = await served.http.post("/api/answers/away", follow_redirects=False)
        assert (away.status_code, away.headers["location"]) == (307, "/elsewhere")
        assert (await served.http.post("/api/answers/x")).json() == {"kind": "x"}
        assert (await served.http.get("/api/typed")).json()["order"] == 1
        bad = await served.http.get("/api/typed?bad=true")
        assert (bad.status_code, bad.json()) == (503, "not now")
        assert (await served.http.put("/api/generated")).content == b"\x00\xff"
        assert (await served.http.put("/api/plain")).text == "plain"


async def test_failures_tell_no_more_than_the_function_says(app: App) -> None:
    async with serving(app) as served:
        refused = await served.http.post("/api/answers/refused")
        assert (refused.status_code, refused.json()["message"]) == (418, "no such kind")
        for kind in ("broken", "stream", "odd"):
            broken = await served.http.post(f"/api/answers/{kind}")
            assert broken.status_code == 500
            assert "failed; see its history" in broken.json()["message"]
            assert "secret" not in broken.text
        location, instance = await goes_on(served, await served.http.post("/api/slow"))
        await served.server.host.client.terminate(instance, "enough")
        ended = await served.http.get(location)
        assert (ended.status_code, "terminated" in ended.json()["message"]) == (500, True)


async def test_a_repeated_request_meets_the_instance_of_the_first_one(app: App) -> None:
    async with serving(app) as served:
        key = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
        answers = await asyncio.gather(
            *(served.http.post("/api/slow", json=2, headers=key) for _ in range(5))
        )
        (location,) = {(await goes_on(served, answer))[0] for answer in answers}
        other = await served.http.post("/api/slow", json=3, headers=key)
        assert (other.status_code, "other content" in other.json()["message"]) == (422, True)
        elsewhere = await served.http.post("/api/orders/1", json=[], headers=key)
        assert elsewhere.json()["order"] == 1
        await served.server.host.client.raise_event(location.rpartition("/")[2], "word", "x")
        await served.server.host.client.wait(location.rpartition("/")[2])
        assert (await served.http.post("/api/slow", json=2, headers=key)).json() == "xx"
        for bad in ("", "x" * 257):
            refused = await served.http.post("/api/slow", headers={"Idempotency-Key": f'"{bad}"'})
            assert refused.status_code == 400


async def test_the_address_opens_the_answer_and_nothing_else(app: App) -> None:
    async with serving(app, keys=KEYS) as served:
        assert (await served.http.post("/api/slow")).status_code == 401
        for path, headers in (
            ("/api/slow", {"x-functions-key": OPERATE_KEY}),
            ("/api/open", {}),
        ):
            answer = await served.http.post(path, headers=headers)
            location, instance = await goes_on(served, answer)
            plain, _, code = location.partition("?code=")
            assert (await served.http.get(location)).status_code == 202
            assert (await served.http.get(plain)).status_code == 401
            assert (await served.http.get(f"{plain}?code={code}x")).status_code == 401
            with_key = await served.http.get(plain, headers={"x-functions-key": READ_KEY})
            assert with_key.status_code == 202
            for other in (
                f"/runtime/webhooks/durabletask/instances/{instance}",
                f"/admin/instances/{instance}",
                f"/admin/instances/{instance}/history",
                "/results/another",
            ):
                assert (await served.http.get(f"{other}?code={code}")).status_code in (401, 404)
            stop = f"/runtime/webhooks/durabletask/instances/{instance}/terminate?code={code}"
            assert (await served.http.post(stop)).status_code == 401


async def test_the_document_tells_of_durable_functions(app: App) -> None:
    async with serving(app) as served:
        document = (await served.http.get("/openapi.json")).json()
        slow = document["paths"]["/api/slow"]["post"]
        assert {"200", "303", "422"} <= slow["responses"].keys()
        assert "Location" in slow["responses"]["303"]["headers"]
        assert "Idempotency-Key" in [one["name"] for one in slow["parameters"]]
        assert "/results/{instanceId}" in document["paths"]


async def test_below_a_prefix_of_another_app_the_address_has_it(app: App) -> None:
    settings = Settings(storage="sqlite://", http=HttpSettings(keys=KEYS))
    durable = app.asgi("/tenuto", settings=settings)
    web = Starlette(lifespan=durable.lifespan)
    web.mount(durable.path, durable)
    async with web.router.lifespan_context(web) as state:
        transport = httpx2.ASGITransport(with_state(web, state), client=("127.0.0.1", 5000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            headers = {"x-functions-key": OPERATE_KEY}
            answer = await http.post("/tenuto/api/slow", headers=headers)
            location = answer.headers["location"]
            assert location.startswith("http://localhost/tenuto/results/")
            assert (await http.get(location)).status_code == 202


async def test_it_runs_on_the_test_host_as_any_orchestrator() -> None:
    app = App()

    @app.http("POST", "/double", durable=True)
    async def double(ctx: Context, number: int) -> int:
        await ctx.create_timer(timedelta(days=3))
        return 2 * number

    async with TestHost(app) as host:
        assert await host.run(double, 4) == 8


def test_mistakes_are_refused_at_the_decorator() -> None:
    app = App()

    async def with_client(ctx: Context, client: Client) -> None: ...

    async def with_request(ctx: Context, request: Request) -> None: ...

    async def without_context() -> None: ...

    async def fine(ctx: Context) -> None: ...

    for function in (with_client, with_request):
        with pytest.raises(RegistrationError, match="cannot be stored"):
            app.http("POST", "/x", durable=True)(function)
    decorate: Any = app.http("POST", "/x", durable=True)
    with pytest.raises(RegistrationError, match="its first parameter must be the context"):
        decorate(without_context)
    for wait in (timedelta(-1), timedelta(hours=1), 3):
        with pytest.raises(InputError, match="wait must be a timedelta"):
            app.http("POST", "/x", durable=True, wait=wait)(fine)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="wait is for durable functions"):
        app.http("POST", "/x", wait=SOON)  # type: ignore[call-overload]


def test_an_annotation_that_is_not_there_is_told_where_it_is_registered() -> None:
    app = App()

    async def lost(ctx: Context) -> "Nowhere": ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(RegistrationError, match="Nowhere"):
        app.http("POST", "/x", durable=True)(lost)


# --- a crash in between ---------------------------------------------------------------------------

SHOP = """
from datetime import timedelta

from tenuto import App, Context

app = App()


@app.activity
def log(line: str) -> None:
    with open("log.txt", "a") as file:
        file.write(line + "\\n")


@app.http("POST", "/orders", durable=True, wait=timedelta(seconds=0))
async def order(ctx: Context, body: str) -> dict[str, str]:
    await ctx.call_activity(log, f"paid {body}")
    await ctx.wait_for_external_event("packed")
    return {"sent": body}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_at_least_once_activities_and_one_answer_across_a_kill(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    key = {"Idempotency-Key": "order-1"}

    def begin(port: str) -> tuple[Command, str]:
        command = Command(tmp_path, "start", "shop.py", "--port", port)
        command.__enter__()
        command.until("listening ")
        return command, str(re.findall(r"listening +(\S+) ", command.out)[-1])

    first, url = begin("0")
    try:
        answer = httpx2.post(f"{url}/api/orders", json="book", headers=key)
        location = answer.headers["location"]
        while not (tmp_path / "log.txt").exists():
            assert httpx2.get(location).status_code == 202
        first.send(signal.SIGKILL)
        first.end()
    finally:
        first.__exit__(None, None, None)
    second, url = begin(url.rpartition(":")[2])
    try:
        again = httpx2.post(f"{url}/api/orders", json="book", headers=key)
        assert (again.status_code, again.headers["location"]) == (303, location)
        instance = location.rpartition("/")[2]
        event = f"{url}/runtime/webhooks/durabletask/instances/{instance}/raiseEvent/packed"
        httpx2.post(event, content="1", headers={"Content-Type": "application/json"})
        while (found := httpx2.get(location)).status_code == 202:
            pass
        assert found.json() == {"sent": "book"}
    finally:
        second.__exit__(None, None, None)
    # Once unless the kill came between the activity's work and its record.
    assert set((tmp_path / "log.txt").read_text().split("\n")) == {"paid book", ""}
