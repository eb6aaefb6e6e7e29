"""What only apps in Python can do when they stream: what FastAPI makes of what they return."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.azure_programs import ROOT, azure_program, copied
from tests.support.http_server import Serving, serving
from tests.support.waiting import until

APP = ROOT / "tests" / "interop" / "azure_functions" / "apps" / "streams"
MEGABYTE = 1 << 20


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    """The file in which functions note what tests wait for."""
    path = tmp_path / "noted"
    path.touch()
    return path


@pytest.fixture
async def serve(noted: Path, tmp_path: Path) -> AsyncIterator[Serving]:
    program = azure_program(copied(APP, tmp_path), NOTED=str(noted))
    async with serving(program) as running:
        yield running


async def until_noted(noted: Path, text: str) -> None:
    await until(lambda: text in noted.read_text())


async def test_what_a_function_returns_is_answered_as_fastapi_does(serve: Serving) -> None:
    text = await serve.http.get("/api/text")
    assert (text.headers["content-type"], text.json()) == ("application/json", "as FastAPI has it")
    model = await serve.http.get("/api/model")
    assert (model.status_code, model.json()) == (200, {"number": 7})
    file = await serve.http.get("/api/file")
    assert file.content == (APP / "function_app.py").read_bytes()
    refused = await serve.http.get("/api/refused")
    assert (refused.status_code, refused.json()) == (418, {"detail": "a teapot"})
    head = await serve.http.head("/api/headed")
    assert (head.status_code, head.headers["x-own"], head.content) == (200, "headed", b"")


async def test_a_response_of_azure_functions_is_answered_too(serve: Serving) -> None:
    whole = await serve.http.get("/api/whole")
    assert (whole.status_code, whole.text) == (203, "a,b")
    assert (whole.headers["x-own"], whole.headers["content-type"]) == ("whole", "text/csv")
    output = await serve.http.get("/api/output")
    assert (output.status_code, output.text) == (202, "of the output")


async def test_what_is_to_run_after_an_answer_does(serve: Serving, noted: Path) -> None:
    assert (await serve.http.get("/api/after")).json() == {"is": "said"}
    await until_noted(noted, "the task behind it")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fails_in_a_thread", "before its answer"),
        ("none", "function 'none' has returned nothing"),
        ("unwritable", "not iterable"),
    ],
)
async def test_a_function_without_an_answer_has_failed(
    serve: Serving, name: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await serve.http.get(f"/api/{name}")
    assert answer.status_code == 500
    assert answer.json()["function"] == name
    assert why in caplog.text
    assert "Exception in ASGI application" not in caplog.text
    assert (await serve.http.get("/api/nothing")).status_code == 204


async def test_what_is_logged_while_an_answer_is_made_belongs_to_its_invocation(
    serve: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serve.http.stream("GET", "/api/events") as answer:
        await anext(answer.aiter_raw())
    await until(lambda: "about to say one" in caplog.text)
    (record,) = [one for one in caplog.records if one.getMessage() == "about to say one"]
    assert record.__dict__["function"] == "events"
    assert record.__dict__["invocation"]


@pytest.mark.parametrize("sends", ["endless_in_threads", "tight"])
async def test_an_iterator_ends_when_the_caller_goes_away(
    serve: Serving, noted: Path, sends: str
) -> None:
    async with serve.http.stream("GET", f"/api/{sends}") as answer:
        assert len(await anext(answer.aiter_raw())) > 0
    await until_noted(noted, "the end")
    assert (await serve.http.get("/api/nothing")).status_code == 204


async def test_a_function_that_has_not_answered_is_cancelled_when_its_caller_goes_away(
    serve: Serving, noted: Path
) -> None:
    raw = b"GET /api/patient HTTP/1.1\r\nhost: localhost\r\n\r\n"
    await given_up(serve, raw, noted)
    await until_noted(noted, "the end")
    assert (await serve.http.get("/api/nothing")).status_code == 204


async def test_a_function_in_a_thread_goes_on_when_its_caller_goes_away(
    serve: Serving, noted: Path
) -> None:
    await given_up(serve, b"GET /api/slow HTTP/1.1\r\nhost: localhost\r\n\r\n", noted)
    assert (await serve.http.get("/api/nothing")).status_code == 204
    with noted.open("a") as notes:
        notes.write("go on\n")
    await until_noted(noted, "the end")


async def given_up(serve: Serving, request: bytes, noted: Path) -> None:
    """Send a request, and hang up once its function waits."""
    _, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    writer.write(request)
    await until_noted(noted, "it waits")
    writer.close()


async def test_long_streams_stay_small_in_the_worker_too(serve: Serving) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(800):
            yield bytes([number % 256]) * 65_536

    await serve.http.get("/api/large?megabytes=1")
    await serve.http.post("/api/digest/short", content=b"a" * MEGABYTE)
    before = int((await serve.http.get("/api/memory")).text)
    async with serve.http.stream("GET", "/api/large?megabytes=50") as answer:
        async for _ in answer.aiter_raw():
            pass
    told = await serve.http.post("/api/digest/long", content=pieces())
    assert told.json()["length"] == 800 * 65_536
    most = int((await serve.http.get("/api/memory")).text)
    assert most - before < 16 * MEGABYTE
