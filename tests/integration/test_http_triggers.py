"""Functions behind HTTP over a real socket: arguments, results, errors, keys, helpers."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx2
import msgspec
import pydantic
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tenuto import (
    App,
    Client,
    Context,
    HttpError,
    InputError,
    RegistrationError,
    SettingsError,
)
from tenuto.client.sync_client import SyncClient
from tenuto.http import check_status_response, wait_or_check_status_response
from tenuto.http.options import AccessKey, Role
from tests.support.http_server import serving

Serve = Callable[..., Awaitable[httpx2.AsyncClient]]

READ, OPERATE, ADMIN, SHOP = (f"{name}-key-of-16-characters" for name in "roas")
PERSON = '{"age": 7}'


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Item:
    name: str
    count: int


NO_ITEM = Item("none", 0)


class Order(msgspec.Struct):
    items: list[Item]
    note: str | None = None


class Person(pydantic.BaseModel):
    age: int


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(app: App, **http: Any) -> httpx2.AsyncClient:
            return (await stack.enter_async_context(serving(app, **http))).http

        yield start


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator
    async def greet(ctx: Context, name: str) -> str:
        if name == "nobody":
            raise ValueError("nobody is there")
        if name == "later":
            await ctx.wait_for_external_event("go")
        return f"Hello {name}!"

    return app


def message(response: httpx2.Response) -> str:
    return str(response.json()["message"])


# --- arguments ------------------------------------------------------------------------------------


async def test_arguments_come_from_path_query_and_body_as_their_annotated_types(
    app: App, serve: Serve
) -> None:
    seen: list[object] = []

    @app.http("POST", "/orders/{order_id:int}/{kind}")
    async def order(
        order_id: int,
        kind: Size,
        order: Order,
        when: datetime,
        day: date | None = None,
        *,
        ratio: float = 0.5,
        urgent: bool = False,
        key: UUID | None = None,
        tag: list[str] = [],  # noqa: B006 - never changed
        number: tuple[int, ...] = (),
        level: Literal["low", "high"] = "low",
    ) -> None:
        seen.extend((order_id, kind, order, when, day, ratio, urgent, key, tag, number, level))

    client = await serve(app)
    uuid = "6f2b4c1e-0f2b-4d6c-9c1e-3f2b4c1e0f2b"
    response = await client.post(
        f"/api/orders/-7/large?when=2026-01-02T03:04:05Z&RATIO=1e3&urgent=true&key={uuid}"
        "&tag=a&tag=b%20c&number=1&number=2&level=high&unknown=1",
        json={"items": [{"name": "pen", "count": 2}]},
    )
    assert response.status_code == 204
    assert seen == [
        -7,
        Size.LARGE,
        Order([Item("pen", 2)]),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        None,
        1000.0,
        True,
        UUID(uuid),
        ["a", "b c"],
        (1, 2),
        "high",
    ]


@pytest.mark.parametrize(
    ("query", "body", "said"),
    [
        ("", PERSON, "query parameter 'count' is missing"),
        ("count=x", PERSON, "query parameter 'count': expected `int`, got 'x'"),
        ("count=0", PERSON, "query parameter 'count': expected `int` >= 1, got '0'"),
        ("count=1&count=2", PERSON, "query parameter 'count' is given 2 times; give it once"),
        ("count=1&many=1&many=y", PERSON, "query parameter 'many': expected `int`, got 'y'"),
        (
            "count=1&size=huge",
            PERSON,
            "query parameter 'size': expected small or large, got 'huge'",
        ),
        (
            "count=1&ratio=nan",
            PERSON,
            "query parameter 'ratio': expected a finite number, got 'nan'",
        ),
        ("count=1", "", "the body is missing: 'person', as JSON"),
        ("count=1", "{", "body: value at $ does not fit"),
        ("count=1", '{"age": "x"}', "body: value at $.age does not fit Person"),
        ("count=1&size=" + 200 * "x", PERSON, "..."),
    ],
)
async def test_bad_input_is_refused_whole_naming_the_parameter_and_the_place(
    app: App, serve: Serve, query: str, body: str, said: str
) -> None:
    called: list[object] = []

    @app.http("POST", "/persons")
    async def persons(
        person: Person,
        count: Annotated[int, msgspec.Meta(ge=1)],
        many: list[int] = [],  # noqa: B006 - never changed
        size: Size = Size.SMALL,
        ratio: float = 1.0,
    ) -> None:
        called.append((person, count, many, size, ratio))

    client = await serve(app)
    response = await client.post(f"/api/persons?{query}", content=body)
    assert response.status_code == 400
    assert said in message(response)
    assert len(message(response)) < 300
    assert not called


async def test_a_body_may_be_left_out_when_it_has_a_default_or_may_be_none(
    app: App, serve: Serve
) -> None:
    @app.http("POST", "/default")
    async def default(item: Item = NO_ITEM) -> str:
        return item.name

    @app.http("POST", "/none")
    async def none(item: Item | None) -> str:
        return str(item)

    @app.http("POST", "/any")
    async def anything(body: object, limit: int | None) -> list[object]:
        return [body, limit]

    client = await serve(app)
    assert (await client.post("/api/default")).json() == "none"
    assert (await client.post("/api/none")).json() == "None"
    assert (await client.post("/api/any", content='[1, {"a": 2}]')).json() == [[1, {"a": 2}], None]


async def test_the_request_can_be_read_beside_the_body_and_has_the_same_limit(
    app: App, serve: Serve
) -> None:
    @app.http("POST", "/both")
    async def both(request: Request, body: list[int]) -> list[object]:
        return [(await request.body()).decode(), body, request.headers["x-mine"]]

    @app.http("POST", "/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    client = await serve(app, body_bytes=1000)
    response = await client.post("/api/both", content="[1, 2]", headers={"x-mine": "yes"})
    assert response.json() == ["[1, 2]", [1, 2], "yes"]
    assert (await client.post("/api/raw", content=b"x" * 1000)).json() == 1000
    for path in ("both", "raw"):
        response = await client.post(f"/api/{path}", content=b"x" * 1001)
        assert response.status_code == 413
        assert "http.body_bytes" in message(response)


async def test_what_anybody_may_send_is_short_unless_the_function_says_otherwise(
    app: App, serve: Serve
) -> None:
    """A body becomes objects before its function runs, so the least trusted have the least."""

    @app.http("POST", "/anybody", auth="anonymous")
    async def anybody(body: int) -> str:
        return "read"

    @app.http("POST", "/upload", auth="anonymous", body_bytes=300_000)
    async def upload(body: int) -> str:
        return "read"

    @app.http("POST", "/wide", auth="anonymous", body_bytes=10_000_000)
    async def wide(body: int) -> str:
        return "read"

    @app.http("POST", "/durable", auth="anonymous", durable=True)
    async def durable(ctx: Context, body: int) -> str:
        return "read"

    @app.http("POST", "/keyed")
    async def keyed(body: int) -> str:
        return "read"

    @app.http("POST", "/small", body_bytes=100)
    async def small(request: Request) -> int:
        return len(await request.body())

    client = await serve(app, body_bytes=400_000)
    own, whole = "body_bytes of its @app.http", "http.body_bytes"
    for path, most, says in (
        ("anybody", 262_144, own),
        ("durable", 262_144, own),
        ("upload", 300_000, own),
        ("wide", 400_000, whole),
        ("keyed", 400_000, whole),
        ("small", 100, own),
    ):
        fits = await client.post(f"/api/{path}", content=b"1".rjust(most))
        assert fits.status_code == 200, path
        response = await client.post(f"/api/{path}", content=b"1".rjust(most + 1))
        assert response.status_code == 413, path
        assert says in message(response)
        assert f"{most:,} bytes" in message(response)


@pytest.mark.parametrize("wrong", [0, -1, True, "1MB", 2.5])
def test_a_longest_body_that_is_none_is_refused(app: App, wrong: Any) -> None:  # noqa: ANN401 - what a user may give
    with pytest.raises(RegistrationError, match="body_bytes must be an int from 1"):
        app.http("POST", "/x", body_bytes=wrong)(taking)


async def taking(body: int) -> None:
    """Something to register."""


# --- paths ----------------------------------------------------------------------------------------


async def test_the_narrowest_path_answers_whatever_the_order_of_registration(
    app: App, serve: Serve
) -> None:
    def register(path: str, name: str) -> None:
        async def handler(x: str = "") -> str:
            return name

        async def with_x(x: str) -> str:
            return f"{name} {x}"

        app.http("GET", path, name=name)(handler if "{x" not in path else _typed(path, with_x))

    register("/{x:path}", "rest")
    register("/a/{x}", "text")
    register("/a/{x:float}", "float")
    register("/a/{x:uuid}", "uuid")
    register("/a/{x:int}", "int")
    register("/a/Fixed", "literal")

    client = await serve(app)
    for path, answer in {
        "a/fixed": "literal",
        "A/FIXED/": "literal",
        "a/12": "int 12",
        "a/1.5": "float 1.5",
        "a/6f2b4c1e-0f2b-4d6c-9c1e-3f2b4c1e0f2b": "uuid 6f2b4c1e-0f2b-4d6c-9c1e-3f2b4c1e0f2b",
        "a/x%2Fy%20z": "text x/y z",
        "a/b/c": "rest a/b/c",
        "zz": "rest zz",
    }.items():
        response = await client.get(f"/api/{path}")
        assert (response.status_code, response.json()) == (200, answer)
    assert (await client.get("/api/%ff")).status_code == 400


def _typed(path: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    for kind, annotation in (("int", int), ("float", float), ("uuid", UUID)):
        if f":{kind}" in path:
            handler.__annotations__["x"] = annotation
    return handler


async def test_a_path_that_fits_nothing_is_404_and_a_wrong_method_405_with_the_right_ones(
    app: App, serve: Serve
) -> None:
    @app.http(["get", "PUT"], "/things/{number:int}")
    async def things(number: int) -> int:
        return number

    client = await serve(app)
    assert (await client.get("/api/things/x")).status_code == 404
    assert (await client.get("/api/things/1/2")).status_code == 404
    assert (await client.get("/api")).status_code == 404
    wrong = await client.post("/api/things/1")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, PUT")
    head = await client.head("/api/things/1")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1")
    assert (await client.put("/api/things/1")).json() == 1


async def test_the_openapi_document_names_functions_with_the_types_of_their_parameters(
    app: App, serve: Serve
) -> None:
    @app.http("POST", "/orders/{number:int}", auth="anonymous")
    async def order(
        number: int, order: Order, limit: Annotated[int, msgspec.Meta(ge=1)], tag: str = ""
    ) -> None:
        """Take an order.

        Not shown.
        """

    @app.http(["PUT", "DELETE"], "/persons/{rest:path}")
    async def persons(
        rest: str, person: Person | None = None, size: Size | None = None
    ) -> None: ...

    client = await serve(app)
    document = (await client.get("/openapi.json")).json()
    described = document["paths"]["/api/orders/{number}"]["post"]
    assert described["summary"] == "Take an order."
    number, limit, tag = described["parameters"]
    assert (number["in"], number["schema"]) == ("path", {"type": "integer"})
    assert (limit["required"], limit["schema"]) == (True, {"type": "integer", "minimum": 1})
    assert tag["required"] is False
    body = described["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].endswith("Order")
    assert "Order" in document["components"]["schemas"]
    for method in ("put", "delete"):
        described = document["paths"]["/api/persons/{rest}"][method]
        assert described["summary"] == "persons"
        assert described["requestBody"]["content"]["application/json"]["schema"] == {}


# --- results and errors ---------------------------------------------------------------------------


async def test_results_are_json_unless_they_are_responses(app: App, serve: Serve) -> None:
    results: dict[str, object] = {
        "none": None,
        "text": "plain",
        "item": Item("pen", 2),
        "created": ({"id": 1}, 201),
        "empty": (None, 202),
        "response": PlainTextResponse("as it is", 418),
    }

    @app.http("GET", "/{name}")
    async def result(name: str) -> object:
        return results[name]

    client = await serve(app)
    answers = {name: await client.get(f"/api/{name}") for name in results}
    assert {name: (one.status_code, one.text) for name, one in answers.items()} == {
        "none": (204, ""),
        "text": (200, '"plain"'),
        "item": (200, '{"name":"pen","count":2}'),
        "created": (201, '{"id":1}'),
        "empty": (202, ""),
        "response": (418, "as it is"),
    }
    assert answers["item"].headers["content-type"] == "application/json"


@pytest.mark.parametrize(("name", "value"), [("a", "b\x01c"), ("a", "b\r\nc: d"), ("a\x7f", "b")])
async def test_a_header_that_cannot_be_sent_is_500_and_a_log_line(
    app: App, serve: Serve, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    @app.http("GET", "/head")
    async def head() -> Response:
        return PlainTextResponse("done", headers={name: value})

    response = await (await serve(app)).get("/api/head")
    assert response.status_code == 500
    assert "c" not in response.headers
    assert "header" in caplog.text


@pytest.mark.parametrize("result", [object(), (1, 2, 3), (1, 7), (1, True), (Response(), 201)])
async def test_a_result_that_cannot_be_sent_is_500_without_details_and_a_log_line_with_them(
    app: App, serve: Serve, caplog: pytest.LogCaptureFixture, result: object
) -> None:
    @app.http("GET", "/bad")
    async def bad() -> object:
        return result

    client = await serve(app)
    response = await client.get("/api/bad")
    assert response.status_code == 500
    assert "bad" not in message(response)
    assert "result of bad" in caplog.text
    assert "test_http_triggers.py:" in caplog.text


async def test_errors_of_a_function_are_answered_with_their_status_and_unknown_ones_without_details(
    app: App, serve: Serve
) -> None:
    errors: dict[str, Exception] = {
        "own": HttpError("no tea", status=418),
        "input": InputError("wrong"),
        "starlette": HTTPException(429, "too often", {"Retry-After": "3"}),
        "unknown": RuntimeError("a secret"),
    }

    @app.http("GET", "/{name}")
    def fail(name: str) -> None:
        raise errors[name]

    @app.http("POST", "/start/{name}")
    async def start(name: str, client: Client) -> None:
        await client.start(name)

    client = await serve(app)
    answers = {name: await client.get(f"/api/{name}") for name in errors}
    assert [one.status_code for one in answers.values()] == [418, 400, 429, 500]
    assert message(answers["own"]) == "no tea"
    assert answers["starlette"].headers["retry-after"] == "3"
    assert "secret" not in answers["unknown"].text
    unknown = await client.post("/api/start/gret")
    assert (unknown.status_code, unknown.json()["code"]) == (400, "TN-1103")


async def test_plain_functions_run_in_threads_and_do_not_hold_up_others(
    app: App, serve: Serve
) -> None:
    blocked, free = threading.Event(), threading.Event()

    @app.http("GET", "/block")
    def block() -> str:
        blocked.set()
        assert free.wait(10)
        return threading.current_thread().name

    @app.http("GET", "/free")
    async def release() -> bool:
        free.set()
        return blocked.is_set()

    client = await serve(app)
    waiting = asyncio.create_task(client.get("/api/block"))
    await asyncio.to_thread(blocked.wait, 10)
    assert (await client.get("/api/free")).json() is True
    assert "tenuto-http" in (await waiting).json()


# --- starting orchestrations ----------------------------------------------------------------------


@pytest.fixture
def starter(app: App) -> App:
    @app.http("POST", "/greet/{name}")
    async def start(name: str, request: Request, client: Client) -> Response:
        return check_status_response(request, await client.start("greet", name))

    @app.http("POST", "/wait/{name}")
    async def wait(
        name: str, request: Request, client: Client, seconds: float = 10, *, again: bool = False
    ) -> Response:
        if again:
            handle = client.handle(name)
        else:
            handle = await client.start("greet", name, instance_id=f"wait-{name}")
        limit = timedelta(seconds=seconds)
        return await wait_or_check_status_response(request, handle, limit)

    return app


async def test_check_status_answers_202_with_links_that_work(starter: App, serve: Serve) -> None:
    client = await serve(starter)
    response = await client.post("/api/greet/later")
    links = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == links["statusQueryGetUri"]
    assert response.headers["retry-after"] == "10"
    assert (await client.get(links["statusQueryGetUri"])).status_code == 202
    raise_uri = links["sendEventPostUri"].replace("{eventName}", "go")
    assert (await client.post(raise_uri, json=None)).status_code == 202
    waited = await client.post(f"/api/wait/{links['id']}?again=true")
    assert waited.json() == "Hello later!"


async def test_waiting_answers_the_result_the_failure_or_after_the_timeout_the_links(
    starter: App, serve: Serve
) -> None:
    client = await serve(starter)
    done = await client.post("/api/wait/Ada")
    assert (done.status_code, done.json()) == (200, "Hello Ada!")
    failed = await client.post("/api/wait/nobody")
    assert failed.status_code == 500
    assert failed.json()["runtimeStatus"] == "Failed"
    assert "nobody is there" in failed.json()["output"]
    late = await client.post("/api/wait/later?seconds=0.05")
    assert (late.status_code, late.json()["id"]) == (202, "wait-later")
    assert (await client.post("/api/wait/negative?seconds=-1")).status_code == 400
    assert (await client.post("/api/wait/Ada")).status_code == 200, "a finished id can be reused"


async def test_plain_functions_take_a_client_whose_methods_block(app: App, serve: Serve) -> None:
    @app.http("POST", "/greet/{name}")
    def start(name: str, request: Request, client: SyncClient) -> Response:
        return check_status_response(request, client.start("greet", name))

    @app.http("GET", "/greet/{name}")
    def ask(name: str, client: SyncClient) -> object:
        return client.start("greet", name).result()

    client = await serve(app)
    assert (await client.get("/api/greet/Ada")).json() == "Hello Ada!"
    started = await client.post("/api/greet/Ada")
    assert (await client.get(started.headers["location"])).status_code in {200, 202}


async def test_a_terminated_instance_is_answered_with_its_status(app: App, serve: Serve) -> None:
    @app.http("POST", "/end")
    async def end(request: Request, client: Client) -> Response:
        handle = await client.start("greet", "later")
        await handle.terminate("enough")
        return await wait_or_check_status_response(request, handle.instance_id)

    client = await serve(app)
    response = await client.post("/api/end")
    assert (response.status_code, response.json()["runtimeStatus"]) == (200, "Terminated")


def test_a_request_of_no_server_cannot_be_answered_with_links() -> None:
    request = Request({"type": "http", "headers": [], "method": "GET", "path": "/"})
    with pytest.raises(InputError, match="no addresses to link to"):
        check_status_response(request, "some-id")
    with pytest.raises(InputError, match="handle or its instance id"):
        check_status_response(request, 5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the request that is answered"):
        check_status_response({}, "some-id")  # type: ignore[arg-type]


# --- keys -----------------------------------------------------------------------------------------


async def test_keys_open_what_they_are_for(app: App, serve: Serve) -> None:
    @app.http("GET", "/open", auth="anonymous")
    async def open_one(code: str = "") -> str:
        return code

    @app.http("GET", "/shop")
    async def shop() -> None: ...

    @app.http("GET", "/other")
    async def other() -> None: ...

    @app.http("GET", "/admin", auth="admin")
    async def admin_only() -> None: ...

    client = await serve(
        app,
        keys={
            "reader": AccessKey(key=READ),
            "operator": AccessKey(key=OPERATE, role=Role.OPERATE),
            "boss": AccessKey(key=ADMIN, role=Role.ADMIN),
            "web": AccessKey(key=SHOP, functions=("shop",)),
        },
    )

    async def statuses(key: str | None) -> list[int]:
        headers = {} if key is None else {"x-functions-key": key}
        return [
            (await client.get(f"/api/{path}", headers=headers)).status_code
            for path in ("open", "shop", "other", "admin")
        ]

    assert await statuses(None) == [200, 401, 401, 401]
    assert await statuses("wrong-key-of-16-characters") == [200, 401, 401, 401]
    assert await statuses(READ) == [200, 403, 403, 403]
    assert await statuses(OPERATE) == [200, 204, 204, 403]
    assert await statuses(ADMIN) == [200, 204, 204, 204]
    assert await statuses(SHOP) == [200, 204, 403, 401]
    assert (await client.get(f"/api/shop?code={SHOP}")).status_code == 204
    assert (await client.get("/api/open?code=of-some-login")).json() == "of-some-login"
    management = "/runtime/webhooks/durabletask/instances/x"
    assert (await client.get(management, headers={"x-functions-key": SHOP})).status_code == 401


async def test_a_key_for_functions_alone_does_not_open_the_rest_to_everybody(
    app: App, serve: Serve
) -> None:
    @app.http("GET", "/shop")
    async def shop() -> None: ...

    client = await serve(app, keys={"web": AccessKey(key=SHOP, functions=("shop",))})
    assert (await client.get("/api/shop")).status_code == 401
    assert (await client.get("/runtime/webhooks/durabletask/instances/x")).status_code == 401


async def test_a_key_for_a_function_that_is_not_there_is_refused_at_the_start(
    app: App, serve: Serve
) -> None:
    @app.http("GET", "/shop")
    async def shop() -> None: ...

    with pytest.raises(SettingsError, match=r"key 'web' is for the HTTP function 'shopp'.*'shop'"):
        await serve(app, keys={"web": AccessKey(key=SHOP, functions=("shopp",))})


async def test_links_in_an_answer_open_that_instance_and_no_other(
    starter: App, serve: Serve
) -> None:
    client = await serve(starter, keys={"web": AccessKey(key=SHOP, functions=("start",))})
    response = await client.post("/api/greet/later", headers={"x-functions-key": SHOP})
    links = json.loads(response.text)
    assert SHOP not in response.text
    assert (await client.get(links["statusQueryGetUri"])).status_code == 202
    other = links["statusQueryGetUri"].replace(links["id"], "other")
    assert (await client.get(other)).status_code == 401
    assert (await client.delete(links["purgeHistoryDeleteUri"])).status_code in {401, 403}


# --- what ends programs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration],
)
async def test_a_function_that_ends_programs_is_500_and_the_server_goes_on(
    app: App, serve: Serve, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    class Picky:
        def __iter__(self) -> object:
            raise kind

    @app.http("GET", "/sync")
    def sync() -> None:
        raise kind

    @app.http("GET", "/loop")
    async def on_loop() -> None:
        await asyncio.sleep(0)
        raise kind

    @app.http("GET", "/result")
    async def result() -> object:
        return Picky()

    @app.http("GET", "/fine")
    def fine() -> str:
        return "fine"

    http = await serve(app)
    for path in ("sync", "loop", "result"):
        response = await http.get(f"/api/{path}")
        assert response.status_code == 500, path
        assert "see the host's log" in message(response)
        assert (await http.get("/api/fine")).json() == "fine"
    assert kind.__name__ in caplog.text
