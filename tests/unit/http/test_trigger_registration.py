"""Mistakes in functions behind HTTP are refused where they are decorated, with file and line."""

import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, NewType

import pytest
from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send

from tenuto import App, Client, Context, InputError, RegistrationError
from tenuto.client.sync_client import SyncClient
from tenuto.http.functions.parameters import Binding, Source

Handler = Callable[..., Any]
Count = NewType("Count", int)


@dataclass
class Body:
    x: int


class Strange:
    pass


class Fraction(Enum):
    HALF = 0.5


class OwnRequest(Request):
    pass


async def nothing() -> None: ...
async def takes_id(number: int) -> None: ...
async def two_bodies(first: Body, second: Body) -> None: ...
async def with_body(body: dict[str, Any]) -> None: ...
async def with_code(code: str) -> None: ...
async def strange(x: Strange) -> None: ...
async def fractions(x: Fraction) -> None: ...
async def many(*values: int) -> None: ...
async def keywords(**values: int) -> None: ...
async def path_default(number: int = 3) -> None: ...
async def path_text(number: str) -> None: ...
async def unresolved(x: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def own_request(request: OwnRequest) -> None: ...
async def mixed_keys(x: dict[Strange, int]) -> None: ...
async def blocking_client(client: SyncClient) -> None: ...


def plain_client(client: Client) -> None: ...
def generator() -> Generator[int]:
    yield 1


@pytest.mark.parametrize(
    ("methods", "path", "function", "options", "said"),
    [
        ("GET", "/{id}", nothing, {}, "its path has 'id', which it does not take"),
        ("FETCH", "/", nothing, {}, "'FETCH' is no method; there are GET, HEAD, POST"),
        ([], "/", nothing, {}, "it needs a method such as 'GET', got []"),
        (None, "/", nothing, {}, "it needs a method such as 'GET', got None"),
        ("GET", "nothing", nothing, {}, "must begin with a slash"),
        ("GET", "/", nothing, {"auth": "user"}, "auth must be one of anonymous, function, admin"),
        ("GET", "/", nothing, {"name": ""}, "its name must be a str of 1 to 256 characters"),
        ("GET", "/", nothing, {"name": "a\nb"}, "its name must be a str of 1 to 256 characters"),
        ("POST", "/", two_bodies, {}, "more than one body ('first', 'second')"),
        ("GET", "/", with_body, {}, "parameter 'body' would be the body, which GET has not"),
        (["GET", "HEAD"], "/", with_body, {}, "would be the body, which GET has not"),
        ("GET", "/", with_code, {}, "query parameter 'code' carries the key"),
        ("POST", "/", strange, {}, "parameter 'x' cannot be read from a body"),
        ("POST", "/", mixed_keys, {}, "parameter 'x' cannot be read from a body"),
        ("GET", "/", fractions, {}, "parameter 'x' cannot be read from text: Enums must"),
        ("GET", "/", many, {}, "it takes *values, which no request can fill"),
        ("GET", "/", keywords, {}, "it takes *values, which no request can fill"),
        (
            "GET",
            "/{number:int}",
            path_default,
            {},
            "'number' stands in its path, so it cannot have a default",
        ),
        (
            "GET",
            "/{number:int}",
            path_text,
            {},
            "'number' stands in its path as int, but is annotated str",
        ),
        ("GET", "/", unresolved, {}, "an annotation cannot be resolved: name 'Missing'"),
        ("GET", "/", own_request, {}, "'request' must be starlette.requests.Request itself"),
        ("GET", "/", plain_client, {}, "'client' is the client, which must be awaited"),
        ("GET", "/", blocking_client, {}, "'client' would block the host's loop; take a Client"),
        ("GET", "/", generator, {}, "it is a generator; return a StreamingResponse"),
        ("GET", "/", lambda: 1, {}, "it is a lambda"),
        ("GET", "/", Body, {}, "only functions can be decorated"),
    ],
)
def test_bad_input_is_refused_whole_with_file_and_line(
    methods: str, path: str, function: Handler, options: dict[str, Any], said: str
) -> None:
    app = App()
    with pytest.raises(RegistrationError) as refusal:
        app.http(methods, path, **options)(function)
    assert said in str(refusal.value)
    if hasattr(function, "__code__"):
        assert f"test_trigger_registration.py:{function.__code__.co_firstlineno}" in str(
            refusal.value
        )
    assert list(app.http_triggers) == []


def test_an_orchestrator_is_no_function_behind_http() -> None:
    app = App()

    @app.orchestrator
    async def hello(ctx: Context) -> None: ...

    with pytest.raises(RegistrationError, match="only functions can be decorated"):
        app.http("GET", "/")(hello)


def test_two_functions_for_one_path_are_refused_naming_the_first() -> None:
    app = App()
    app.http(["GET", "POST"], "/things/{number:int}")(takes_id)

    async def other(index: int) -> None: ...

    with pytest.raises(RegistrationError, match=r"POST /api/Things/\{index:int\} is answered by"):
        app.http(["PUT", "POST"], "/Things/{index:int}")(other)
    with pytest.raises(RegistrationError, match=r"the name 'takes_id' is taken by the one from"):
        app.http("DELETE", "/elsewhere/{number}")(takes_id)
    app.http("PUT", "/things/{index:int}")(other)
    app.http("GET", "/things/{index}", name="texts")(other)
    assert [one.name for one in app.http_triggers] == ["takes_id", "other", "texts"]


def test_a_decorated_function_stays_a_plain_function() -> None:
    app = App()

    @app.http("GET", "/double/{x:int}")
    def double(x: int) -> int:
        return 2 * x

    assert double(4) == 8


def test_each_parameter_has_one_source_by_name_and_annotation() -> None:
    async def handler(  # type: ignore[no-untyped-def]
        positional: Count,
        /,
        number: Annotated[Count, "note"],
        client: Client,
        request: Request,
        connection: HTTPConnection,
        bare,  # noqa: ANN001
        maybe: int | None,
        numbers: list[int] | None,
        pair: tuple[int, str],
        *,
        flag: bool = False,
    ) -> None: ...

    binding = Binding(handler, {"number": int})
    assert {one.name: one.source for one in binding.parameters} == {
        "positional": Source.QUERY,
        "number": Source.PATH,
        "client": Source.CLIENT,
        "request": Source.REQUEST,
        "connection": Source.REQUEST,
        "bare": Source.QUERY,
        "maybe": Source.QUERY,
        "numbers": Source.QUERY,
        "pair": Source.BODY,
        "flag": Source.QUERY,
    }
    assert [one.name for one in binding.parameters if one.is_many] == ["numbers"]
    assert [one.name for one in binding.parameters if one.by_keyword] == ["flag"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "needs a path such as '/shop'"),
        ("/", "needs a path such as '/shop'"),
        ("shop", "needs a path such as '/shop'"),
        ("/shop/", "needs a path such as '/shop'"),
        ("/Api/shop", "/api is the server's own"),
        ("/taken", "mounted at '/taken' already"),
    ],
)
def test_an_app_is_mounted_only_where_nothing_else_is(path: str, said: str) -> None:
    async def other(scope: Scope, receive: Receive, send: Send) -> None: ...

    app = App()
    app.mount("/taken", other)
    with pytest.raises(InputError) as refusal:
        app.mount(path, other)
    assert said in str(refusal.value)
    with pytest.raises(InputError, match="only ASGI apps can be mounted"):
        app.mount("/free", "no app")  # type: ignore[arg-type]


def test_programs_without_http_functions_do_not_load_the_web_framework() -> None:
    code = (
        "import sys, tenuto, tenuto.http; app = tenuto.App(); "
        "loaded = [m for m in ('starlette', 'uvicorn') if m in sys.modules]; "
        "tenuto.http.check_status_response; "
        "print(loaded, 'starlette' in sys.modules, hasattr(tenuto.http, 'nothing'))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[] True False"
