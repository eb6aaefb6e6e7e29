"""Functions of programs behind HTTP: which one answers, what it gets, how its answer goes out."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from starlette.requests import Request

from tenuto import App, RegistrationError, SettingsError
from tenuto.engine.program import HttpRequest, HttpResponse
from tenuto.http.options import AccessKey
from tenuto.model.errors import HttpError
from tests.support.foreign_program import ForeignHttpFunction, ForeignProgram
from tests.support.http_server import (
    ADMIN_KEY,
    KEYS,
    OPERATE_KEY,
    READ_KEY,
    Serving,
    serving,
)

Answering = Callable[[HttpRequest], Awaitable[HttpResponse]]
CLOSED = b"connection: close\r\n\r\n"


def program(*functions: ForeignHttpFunction) -> ForeignProgram:
    return ForeignProgram({}, http=functions)


async def telling(request: HttpRequest) -> HttpResponse:
    """Answer with what was asked."""
    assert isinstance(request.body, bytes)
    said = {
        "method": request.method,
        "url": request.url,
        "query": request.query,
        "params": request.params,
        "body": request.body.decode(),
        "headers": [one for one in request.headers if one[0].startswith("x-")],
    }
    kind = ("content-type", "application/json")
    return HttpResponse(status=200, headers=[kind], body=json.dumps(said).encode())


def named(route: str, **options: Any) -> ForeignHttpFunction:
    """A function that says its name and what its route's parameters stand for."""
    name = options.pop("name", route)

    async def answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, body=json.dumps([name, dict(request.params)]).encode())

    return ForeignHttpFunction(name=name, function=answer, route=route, **options)


def single(answer: Answering, **options: Any) -> ForeignProgram:
    return program(ForeignHttpFunction(name="one", function=answer, route="one", **options))


# --- which one answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
async def test_what_says_most_of_a_path_answers_in_whatever_order_they_came(order: int) -> None:
    routes = [
        "items/new",
        "items/{id:int}",
        "items/{id}",
        "items/{id}/notes/{note?}",
        "items/{*rest}",
        "page/{number=1}",
        "files/{name}.{kind?}",
    ]
    async with serving(program(*map(named, routes[::order]))) as serve:
        for path, expected in {
            "items/new": ["items/new", {}],
            "Items/7": ["items/{id:int}", {"id": "7"}],
            "items/Seven%2F8": ["items/{id}", {"id": "Seven/8"}],
            "items/7/notes": ["items/{id}/notes/{note?}", {"id": "7"}],
            "items/7/NOTES/a": ["items/{id}/notes/{note?}", {"id": "7", "note": "a"}],
            "items/7/8/9": ["items/{*rest}", {"rest": "7/8/9"}],
            "items": ["items/{*rest}", {}],
            "page": ["page/{number=1}", {"number": "1"}],
            "page/2": ["page/{number=1}", {"number": "2"}],
            "files/a.b.c": ["files/{name}.{kind?}", {"name": "a.b", "kind": "c"}],
        }.items():
            answer = await serve.http.get(f"/API/{path}")
            assert (answer.status_code, answer.json()) == (200, expected), path
        for path in ("", "page/2/3", "files", "nothing"):
            answer = await serve.http.get(f"/api/{path}")
            assert answer.status_code == 404
            assert answer.json()["code"]


@pytest.mark.parametrize("prefix", ["v1", "v1/deep", "Api"])
async def test_functions_stand_below_the_prefix_of_their_program(prefix: str) -> None:
    async with serving(program(named("one", prefix=prefix))) as serve:
        assert (await serve.http.get(f"/{prefix}/one")).json() == ["one", {}]
        assert (await serve.http.get("/one")).status_code == 404


async def test_without_a_prefix_what_the_server_has_wins() -> None:
    everything = named("{*rest}", prefix="", name="everything")
    async with serving(program(everything)) as serve:
        assert (await serve.http.get("/")).json() == ["everything", {}]
        for path in ("a", "a/b", "api/one", "administration"):
            assert (await serve.http.get(f"/{path}")).json() == ["everything", {"rest": path}]
        for path in ("healthz/live", "metrics", "openapi.json", "admin/host"):
            assert '["everything"' not in (await serve.http.get(f"/{path}")).text
        for path in ("admin/nothing", "runtime", "Runtime/webhooks/durabletask/no", "callbacks/a"):
            assert (await serve.http.get(f"/{path}")).status_code == 404


async def test_functions_of_an_app_are_there_beside_them() -> None:
    app = App()

    @app.http("GET", "/native/{number:int}")
    async def native(number: int) -> int:
        return number

    beside = program(named("native/{text}"), named("other"))
    async with serving([app, beside]) as serve:
        assert (await serve.http.get("/api/native/7")).json() == 7
        assert (await serve.http.get("/api/native/x")).json() == ["native/{text}", {"text": "x"}]
        assert (await serve.http.get("/api/other")).json() == ["other", {}]
        assert (await serve.http.get("/api/nothing")).status_code == 404


async def test_methods_are_all_or_those_that_are_named() -> None:
    some = named("some", methods=["get", "POST"])
    posted = named("posted", methods=["post"])
    async with serving(program(named("all"), some, posted)) as serve:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
            answer = await serve.http.request(method, "/api/all")
            assert answer.status_code == 200
            assert bool(answer.content) is (method != "HEAD")
            assert int(answer.headers["content-length"]) > 0
        assert (await serve.http.head("/api/some")).status_code == 200
        refused = await serve.http.put("/api/some")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
        assert (await serve.http.get("/api/posted")).status_code == 405


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ([named("a/{b")], "'a/{b' cannot be served: its route 'a/{b' has a brace"),
        ([named("{id:number}")], "there is no constraint 'number'"),
        ([named("a/{b}"), named("A/{c}")], "'A/{c}' cannot be served: GET /api/A/{c} is answered"),
        ([named("a/{b?}"), named("a/{c=1}")], "is answered by 'a/{b?}' already"),
        ([named("x", prefix="admin")], "/admin/x is the server's own"),
        ([named("Runtime/x", prefix="")], "/Runtime/x is the server's own"),
        ([named("durabletask/x", prefix="")], "is the server's own"),
        ([named("x", level="everybody")], "its level is 'everybody'; there are anonymous"),
        ([named("x", methods=["FETCH"])], "'FETCH' is no method"),
        ([named("x", name="n"), named("y", name="N")], "two functions of that name"),
    ],
)
async def test_what_cannot_be_served_is_refused_at_the_start(
    functions: Sequence[ForeignHttpFunction], reason: str
) -> None:
    refused_program = program(*functions)
    with pytest.raises(RegistrationError, match="HTTP function") as refused:
        async with serving(refused_program):
            pass
    assert reason in str(refused.value)
    assert refused_program.runners == []  # nothing was begun


async def test_different_methods_and_constraints_tell_functions_apart() -> None:
    functions = [
        named("a/{b}", name="got", methods=["GET"]),
        named("a/{c}", name="posted", methods=["POST"]),
        named("b/{c:int}", name="number"),
        named("b/{c:alpha}", name="letters"),
    ]
    async with serving(program(*functions)) as serve:
        assert (await serve.http.post("/api/a/1")).json()[0] == "posted"
        assert (await serve.http.get("/api/b/7")).json()[0] == "number"
        assert (await serve.http.get("/api/b/x")).json()[0] == "letters"


@pytest.mark.parametrize(
    ("path", "name", "reason"),
    [
        ("/one", "native", "GET /api/ONE is answered by 'native'"),
        ("/other", "two", "the name is taken"),
    ],
)
async def test_a_function_of_the_app_is_not_hidden(path: str, name: str, reason: str) -> None:
    app = App()

    @app.http("GET", path, name=name)
    async def native(request: Request) -> str:
        return str(request.url)

    with pytest.raises(RegistrationError) as refused:
        async with serving([app, program(named("ONE", name="two"))]):
            pass
    assert reason in str(refused.value)


# --- what it is given -----------------------------------------------------------------------------


async def test_a_request_arrives_as_it_was_sent() -> None:
    function = ForeignHttpFunction(name="one", function=telling, route="one/{name}")
    async with serving(program(function)) as serve:
        answer = await serve.http.post(
            "/api/one/A%C3%A9%20b?A=1&b=&A=2%20x&a=3",
            content="päth".encode(),
            headers=[
                (b"X-Many", b"1"),
                (b"X-Other", b"\xe9"),
                (b"X-Many", b"2"),
            ],
        )
        assert answer.json() == {
            "method": "POST",
            "url": f"{serve.url}/api/one/A%C3%A9%20b?A=1&b=&A=2%20x&a=3",
            "query": [["A", "1"], ["b", ""], ["A", "2 x"], ["a", "3"]],
            "params": {"name": "Aé b"},
            "body": "päth",
            "headers": [["x-many", "1"], ["x-other", "é"], ["x-many", "2"]],
        }


async def test_its_address_is_the_one_by_which_others_know_the_server() -> None:
    async with serving(single(telling), base_url="https://flows.example.com") as serve:
        answer = await serve.http.get("/api/one?a=1")
        assert answer.json()["url"] == "https://flows.example.com/api/one?a=1"


@pytest.mark.parametrize("takes_pieces", [False, True])
@pytest.mark.parametrize("http", [{}, {"keys": KEYS}, {"base_url": "https://flows.example.com"}])
async def test_a_host_that_cannot_be_read_is_refused(
    takes_pieces: bool, http: dict[str, Any]
) -> None:
    async with serving(single(telling, takes_pieces=takes_pieces), **http) as serve:
        for host in ("[1.2.3]", "localhost:99999", "1.2.3.400", "xn--a"):
            head = f"POST /api/one HTTP/1.1\r\nhost: {host}\r\n".encode()
            assert (await serve.raw(head + CLOSED)).startswith(b"HTTP/1.1 400 "), host


async def test_a_body_that_is_too_long_never_reaches_it() -> None:
    async with serving(single(telling), body_bytes=10) as serve:
        assert (await serve.http.post("/api/one", content=b"x" * 10)).status_code == 200
        assert (await serve.http.post("/api/one", content=b"x" * 11)).status_code == 413


async def test_a_query_that_is_no_text_is_refused() -> None:
    async with serving(single(telling)) as serve:
        assert (await serve.http.get("/api/one?a=%FF")).status_code == 400
        assert (await serve.http.get("/api/%FF")).status_code == 400


# --- how its answer goes out ----------------------------------------------------------------------


async def answered(serve: Serving, method: str = "GET") -> bytes:
    head = f"{method} /api/one HTTP/1.1\r\nhost: localhost\r\n".encode()
    return await serve.raw(head + CLOSED)


async def test_headers_go_out_as_often_as_they_come() -> None:
    async def answer(_request: HttpRequest) -> HttpResponse:
        headers = [
            ("Set-Cookie", "a=1; Path=/"),
            ("Set-Cookie", "b=2; HttpOnly"),
            ("Content-Length", "999"),
            ("Transfer-Encoding", "chunked"),
            ("X-Strange", "Grüße あ"),
        ]
        return HttpResponse(status=201, headers=headers, body=b"made")

    async with serving(single(answer)) as serve:
        sent = await answered(serve)
        head, _, body = sent.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201 ")
        assert head.count(b"set-cookie: ") == 2
        assert b"content-length: 4" in head
        assert b"999" not in head
        assert b"transfer-encoding" not in head
        assert "x-strange: Grüße あ".encode() in head
        assert b"cache-control" not in head  # what it says of itself is its own business
        assert body == b"made"


@pytest.mark.parametrize("status", [204, 304])
async def test_some_answers_have_no_body(status: int) -> None:
    async def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=status, body=b"none")

    async with serving(single(answer)) as serve:
        sent = await answered(serve)
        assert sent.endswith(b"\r\n\r\n")
        assert b"content-length: 4" not in sent


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(status=99),
        HttpResponse(status=101),
        HttpResponse(status=600),
        HttpResponse(status=200, headers=[("a b", "c")]),
        HttpResponse(status=200, headers=[("a", "c\r\nset-cookie: d=e")]),
        *(HttpResponse(status=200, headers=[("a", f"b{one}c")]) for one in "\0\x01\x0b\x1f\x7f"),
        *(HttpResponse(status=200, headers=[(f"a{one}", "b")]) for one in "\x01\t\x7fé€"),
        HttpResponse(status=200, headers=[("", "b")]),
    ],
)
@pytest.mark.parametrize("takes_pieces", [False, True])
async def test_what_cannot_be_sent_is_a_fault_of_the_function(
    answer: HttpResponse, takes_pieces: bool
) -> None:
    async def give(_request: HttpRequest) -> HttpResponse:
        return answer

    async with serving(single(give, takes_pieces=takes_pieces)) as serve:
        sent = await answered(serve)
        assert sent.startswith(b"HTTP/1.1 500 ")
        assert b"set-cookie" not in sent


async def test_an_error_is_told_to_the_log_and_not_to_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(_request: HttpRequest) -> HttpResponse:
        raise ValueError("the secret reason")

    async with serving(single(fails)) as serve:
        answer = await serve.http.get("/api/one")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/json"
        assert "secret reason" not in answer.text
        assert "HTTP function 'one' failed" in caplog.text
        assert "ValueError: the secret reason" in caplog.text


async def test_a_refusal_that_is_meant_for_the_caller_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuses(_request: HttpRequest) -> HttpResponse:
        raise HttpError("no worker is there", status=503)

    async with serving(single(refuses)) as serve:
        answer = await serve.http.get("/api/one")
        assert (answer.status_code, answer.json()["message"]) == (503, "no worker is there")
        assert "Traceback" not in caplog.text


async def test_a_tab_may_stand_in_a_header() -> None:
    async def give(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, headers=[("a", "b\tc"), ("d", "\x80ÿ€")])

    async with serving(single(give)) as serve:
        sent = await answered(serve)
        assert b"\r\na: b\tc\r\n" in sent
        assert "\r\nd: \x80ÿ€\r\n".encode() in sent


# --- piece by piece -------------------------------------------------------------------------------


class Pieces:
    """An answer whose pieces a test lets go one at a time."""

    def __init__(self, *, fails: bool = False) -> None:
        self.wanted: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.is_closed = asyncio.Event()
        self._fails = fails

    async def answer(self, _request: HttpRequest) -> HttpResponse:
        kind = ("content-type", "text/event-stream")
        return HttpResponse(status=200, headers=[kind], body=self._pieces())

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            while (piece := await self.wanted.get()) is not None:
                yield piece
            if self._fails:
                raise ValueError("in the middle")
        finally:
            self.is_closed.set()


async def test_pieces_are_sent_as_they_come() -> None:
    pieces = Pieces()
    async with serving(single(pieces.answer)) as serve, serve.http.stream("GET", "/api/one") as got:
        assert "content-length" not in got.headers
        assert not got.is_closed
        chunks = got.aiter_raw()
        for piece in (b"one", b"two"):
            await pieces.wanted.put(piece)
            assert await anext(chunks) == piece
        await pieces.wanted.put(None)
        assert [chunk async for chunk in chunks] == []
        assert pieces.is_closed.is_set()


async def test_who_makes_pieces_hears_that_the_caller_has_gone() -> None:
    pieces = Pieces()
    async with serving(single(pieces.answer)) as serve:
        async with serve.http.stream("GET", "/api/one") as got:
            await pieces.wanted.put(b"one")
            assert await anext(got.aiter_raw()) == b"one"
        async with asyncio.timeout(10):
            await pieces.is_closed.wait()


async def test_pieces_that_nobody_wants_are_not_asked_for() -> None:
    pieces = Pieces()
    await pieces.wanted.put(b"never")
    async with serving(single(pieces.answer)) as serve:
        answer = await serve.http.head("/api/one")
        assert (answer.status_code, answer.content) == (200, b"")
        assert pieces.wanted.qsize() == 1


class Closable:
    """Pieces of something that must be told that no more are wanted."""

    def __init__(self) -> None:
        self.is_closed = asyncio.Event()
        self._left = [b"one"]

    def __aiter__(self) -> "Closable":
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()

    async def aclose(self) -> None:
        self.is_closed.set()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_makes_pieces_is_told_when_no_more_are_wanted(method: str) -> None:
    made = Closable()

    async def give(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, body=made)

    async with serving(single(give)) as serve:
        answer = await serve.http.request(method, "/api/one")
        assert answer.content == (b"one" if method == "GET" else b"")
        async with asyncio.timeout(10):
            await made.is_closed.wait()


async def test_an_answer_that_fails_midway_is_broken_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pieces = Pieces(fails=True)
    await pieces.wanted.put(b"one")
    await pieces.wanted.put(None)
    async with serving(single(pieces.answer)) as serve:
        sent = await answered(serve)
        assert b"one" in sent
        assert not sent.endswith(b"0\r\n\r\n")
        assert pieces.is_closed.is_set()
        assert "HTTP function 'one' failed in the middle of its answer" in caplog.text


# --- who may call it ------------------------------------------------------------------------------

OWN_KEY = "own-key-of-keyed-01234"
ALL_KEYS = {**KEYS, "own": AccessKey(key=OWN_KEY, functions=("keyed",))}


async def test_keys_open_what_their_level_says() -> None:
    functions = [
        named("open"),
        named("keyed", level="function"),
        named("other", level="Function"),
        named("admins", level="admin"),
    ]
    async with serving(program(*functions), keys=ALL_KEYS) as serve:

        async def statuses(key: str | None) -> list[int]:
            headers = {} if key is None else {"x-functions-key": key}
            query = "" if key is None else f"?code={key}"
            found = []
            for name in ("open", "keyed", "other", "admins"):
                by_header = await serve.http.get(f"/api/{name}", headers=headers)
                by_query = await serve.http.get(f"/api/{name}{query}")
                assert by_header.status_code == by_query.status_code
                found.append(by_header.status_code)
            return found

        assert await statuses(None) == [200, 401, 401, 401]
        assert await statuses(OWN_KEY) == [200, 200, 403, 401]
        assert await statuses(READ_KEY) == [200, 403, 403, 403]
        assert await statuses(OPERATE_KEY) == [200, 200, 200, 403]
        assert await statuses(ADMIN_KEY) == [200, 200, 200, 200]


async def test_without_keys_all_are_open_here() -> None:
    functions = [named("keyed", level="function"), named("admins", level="admin")]
    async with serving(program(*functions)) as serve:
        for name in ("keyed", "admins"):
            assert (await serve.http.get(f"/api/{name}")).status_code == 200
        page = {"Origin": "https://evil.example"}
        assert (await serve.http.get("/api/keyed", headers=page)).status_code == 403


async def test_a_key_for_a_function_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="did you mean 'keyd'"):
        async with serving(program(named("keyd")), keys=ALL_KEYS):
            pass


# --- what the document says -----------------------------------------------------------------------


async def test_the_document_lists_them() -> None:
    functions = [
        named("items/{id:int}/{note?}", name="items", methods=["GET"], level="function"),
        named("open", prefix="", methods=["POST"]),
    ]
    async with serving(program(*functions), keys=KEYS) as serve:
        answer = await serve.http.get("/openapi.json", headers={"x-functions-key": READ_KEY})
        paths = answer.json()["paths"]
        assert set(paths["/api/items/{id}"]) == {"get"}
        assert paths["/api/items/{id}"]["get"]["summary"] == "items"
        assert "security" in paths["/api/items/{id}"]["get"]
        assert [one["name"] for one in paths["/api/items/{id}/{note}"]["get"]["parameters"]] == [
            "id",
            "note",
        ]
        assert "security" not in paths["/open"]["post"]


async def test_the_list_of_functions_has_them() -> None:
    function = named("items/{id:int}", name="items", methods=["get"], level="Function")
    async with serving(program(function)) as serve:
        shown = (await serve.http.get("/admin/functions")).json()["httpRoutes"]
        assert shown == [
            {
                "name": "items",
                "methods": ["GET"],
                "path": "/api/items/{id:int}",
                "auth": "function",
            }
        ]


async def test_an_answer_that_cannot_be_sent_has_its_pieces_closed() -> None:
    made = Closable()

    async def give(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=99, body=made)

    async with serving(single(give)) as serve:
        assert (await serve.http.get("/api/one")).status_code == 500
        assert made.is_closed.is_set()


# --- requests piece by piece ----------------------------------------------------------------------


async def counting(request: HttpRequest) -> HttpResponse:
    """Answer with how many bytes have come."""
    body = request.body
    length = len(body) if isinstance(body, bytes) else sum([len(piece) async for piece in body])
    return HttpResponse(status=200, body=str(length).encode())


async def test_a_body_that_is_taken_in_pieces_may_be_longer_than_one_that_is_kept() -> None:
    body = bytes(300_000)
    async with serving(single(counting), body_bytes=1_000) as serve:
        assert (await serve.http.post("/api/one", content=body)).status_code == 413
    async with serving(single(counting, takes_pieces=True), body_bytes=1_000) as serve:
        assert (await serve.http.post("/api/one", content=body)).text == "300000"
        assert (await serve.http.post("/api/one", content=b"")).text == "0"
        assert (await serve.http.post("/api/one")).text == "0"


async def test_a_function_that_does_not_read_its_body_answers_all_the_same() -> None:
    async def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, body=b"at once")

    async with serving(single(answer, takes_pieces=True)) as serve:
        assert (await serve.http.post("/api/one", content=bytes(3_000_000))).text == "at once"


@pytest.mark.parametrize("has_body", [True, False])
async def test_a_function_that_takes_pieces_is_ended_when_its_caller_goes(
    *, has_body: bool
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def answer(request: HttpRequest) -> HttpResponse:
        begun.set()
        try:
            if not isinstance(request.body, bytes):
                assert await anext(request.body) == b"half"
                with pytest.raises(HttpError, match="went away"):
                    await anext(request.body)
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serving(single(answer, takes_pieces=True)) as serve, asyncio.timeout(10):
        _, writer = await asyncio.open_connection("127.0.0.1", serve.port)
        head = b"POST /api/one HTTP/1.1\r\nhost: localhost\r\n"
        writer.write(head + (b"content-length: 9\r\n\r\nhalf" if has_body else b"\r\n"))
        await begun.wait()
        writer.close()
        await ended.wait()
