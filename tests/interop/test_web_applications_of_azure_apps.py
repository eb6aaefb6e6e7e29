"""Web applications of Python as functions: ``AsgiFunctionApp`` and ``WsgiFunctionApp``."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.support.azure_programs import ROOT, azure_program
from tests.support.http_server import Serving, serving

APPS = ROOT / "tests" / "interop" / "azure_functions" / "apps"


@pytest.fixture(params=["asgi", "wsgi"])
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Serving]:
    async with serving(azure_program(APPS / str(request.param))) as running:
        yield running


async def test_each_method_reaches_the_application(serve: Serving) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        body = None if method in {"GET", "DELETE"} else b"some text"
        path = "/?a=1&a=2&b=%C3%BC"
        answer = await serve.http.request(method, path, content=body, headers={"cookie": "c=d"})
        assert answer.status_code == 200, method
        said = answer.json()
        assert said["method"] == method
        assert said["url"].startswith(f"{serve.url}/?a=1")
        assert said["cookies"] == {"c": "d"}
        assert said["body"] == (body or b"").decode()
        assert ["b", "ü"] in said["query"]
        set_cookies = answer.headers.get_list("set-cookie")
        assert [one.partition(";")[0] for one in set_cookies] == ["first=1", "second=2"]
    head = await serve.http.head("/")
    assert (head.status_code, head.content) == (200, b"")


async def test_paths_and_answers_are_those_of_the_application(serve: Serving) -> None:
    answer = await serve.http.get("/deep/a%20b/er?number=7")
    assert answer.json() == {"name": "a b", "number": 7}
    pieces = await serve.http.get("/pieces")
    assert pieces.text == "piece 0\npiece 1\npiece 2\n"
    assert pieces.headers["content-type"].startswith("text/plain")
    assert (await serve.http.get("/nowhere")).status_code == 404
    assert (await serve.http.put("/pieces")).status_code == 405


async def test_an_error_in_the_application_is_an_answer_500(serve: Serving) -> None:
    answer = await serve.http.get("/fails")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert (await serve.http.get("/pieces")).status_code == 200


async def test_the_own_paths_of_the_server_stay(serve: Serving) -> None:
    answer = await serve.http.get("/runtime/webhooks/durabletask/instances")
    assert answer.status_code == 200
    assert json.loads(answer.text) == []
