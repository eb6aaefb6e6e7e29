"""HTTP functions of apps that stream, in JavaScript and in Python.

The ones say ``app.setup({ enableHttpStream: true })``, the others import
``azurefunctions.extensions.http.fastapi``. Both apps have the same functions.
"""

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import httpx2
import pytest

from tenuto.interop.azure_app.calls import AppCaller
from tenuto.interop.azure_app.folder.app_folder import read_app_folder
from tenuto.interop.azure_app.functions import FunctionFailedError
from tenuto.interop.azure_app.inputs import Inputs
from tenuto.interop.azure_app.streaming import StreamedCall
from tenuto.interop.workers.options import PoolOptions
from tenuto.interop.workers.pool import WorkerPool
from tenuto.interop.workers.protocol import Datum, FunctionFacts
from tests.support.azure_programs import ROOT, azure_program, copied, launch_of
from tests.support.http_server import KEYS, OPERATE_KEY, Serving, serving
from tests.support.waiting import until

INTEROP = ROOT / "tests" / "interop"
APPS = {
    "javascript": INTEROP / "node" / "apps" / "streams",
    "python": INTEROP / "azure_functions" / "apps" / "streams",
}
ADDRESSES = {"javascript": "http://localhost:", "python": "http://127.0.0.1:"}
MEGABYTE = 1 << 20


@pytest.fixture(params=["javascript", "python"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def app(language: str, tmp_path: Path) -> Path:
    """The folder of the app."""
    return copied(APPS[language], tmp_path)


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    """The file in which functions note what tests wait for."""
    path = tmp_path / "noted"
    path.touch()
    return path


@pytest.fixture
async def serve(noted: Path, app: Path) -> AsyncIterator[Serving]:
    program = azure_program(app, NOTED=str(noted))
    async with serving(program) as running:
        yield running


async def until_noted(noted: Path, text: str) -> None:
    await until(lambda: text in noted.read_text())


async def quiet(noted: Path) -> int:
    """How many pieces were noted when no more have come for half a second."""
    said = -1
    while said != (said := noted.read_text().count("piece")):  # noqa: ASYNC110, ASYNC240 - a file
        await asyncio.sleep(0.5)
    return said


async def told(serve: Serving, text: str) -> None:
    """Let a function go on that waits for this text."""
    await until_answered(serve, "POST", f"/api/tell/{text}", 200)


async def until_answered(serve: Serving, method: str, path: str, status: int) -> None:
    while (await serve.http.request(method, path)).status_code != status:  # noqa: ASYNC110 - over HTTP
        await asyncio.sleep(0.01)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- answers --------------------------------------------------------------------------------------


async def test_a_long_answer_passes_and_nothing_keeps_it(serve: Serving) -> None:
    await serve.http.get("/api/large?megabytes=1")
    before, most, length = resident(), 0, 0
    async with serve.http.stream("GET", "/api/large?megabytes=50") as answer:
        assert answer.headers["x-own"] == "large"
        assert len(answer.headers.get_list("date")) == 1
        async for piece in answer.aiter_raw():
            length += len(piece)
            most = max(most, resident())
    assert length == 50 * MEGABYTE
    assert most - before < 16 * MEGABYTE


async def test_a_function_waits_for_a_caller_that_does_not_read(
    serve: Serving, noted: Path
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", serve.port, limit=1024)
    writer.write(b"GET /api/endless HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await until(lambda: noted.read_text().count("piece") > 20)
    said = await quiet(noted)
    assert said < 40 * MEGABYTE / 65_536
    writer.close()
    await until_noted(noted, "the end")


async def test_an_answer_of_the_package_s_own_passes_too(serve: Serving) -> None:
    answer = await serve.http.get("/api/own")
    assert (answer.status_code, len(answer.content)) == (201, 160 * 65_536)


async def test_events_come_one_by_one(serve: Serving) -> None:
    async with serve.http.stream("GET", "/api/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = answer.aiter_text()
        for text in ("one", "two", "three"):
            assert await anext(events) == f"data: {text}\n\n"
            await told(serve, text)
        assert await anext(events, None) is None


async def test_an_answer_that_fails_in_the_middle_breaks_off(
    serve: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve.http.stream("GET", "/api/breaks") as answer:
        assert answer.status_code == 200
        pieces = answer.aiter_text()
        assert await anext(pieces) == "the beginning"
        await told(serve, "break")
        with pytest.raises(httpx2.RemoteProtocolError):
            await anext(pieces)
    assert "in the middle" in caplog.text
    assert (await serve.http.get("/api/nothing")).status_code == 204


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_function_that_fails_before_its_answer_is_an_error(
    serve: Serving, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = bytes(4 * MEGABYTE) if method == "POST" else None
    answer = await serve.http.request(method, "/api/fails", content=body)
    assert answer.status_code == 500
    assert "before its answer" in caplog.text
    assert answer.json()["function"] == "fails"
    assert answer.json()["invocationId"] in caplog.text


async def test_an_answer_of_nothing_is_204(serve: Serving) -> None:
    answer = await serve.http.get("/api/nothing")
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_call_is_not_repeated_when_its_worker_goes(
    serve: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await serve.http.get("/api/dies")
    assert answer.status_code == 500
    invocation = answer.json()["invocationId"]
    why = "the worker process that ran 'dies' has gone"
    assert (
        f"function dies failed (invocation {invocation}): WorkerCrashedError: {why}" in caplog.text
    )
    await until_answered(serve, "GET", "/api/nothing", 204)


async def test_a_call_whose_request_has_gone_by_is_offered_to_no_other_worker(
    noted: Path, app: Path, language: str
) -> None:
    folder = read_app_folder(app, {**os.environ, "NOTED": str(noted)})
    pool = WorkerPool(launch_of(folder), PoolOptions())
    caller = AppCaller(pool, Inputs(lambda: None), None)
    trigger = {"type": "httpTrigger", "name": "req"}
    function = FunctionFacts("large", [trigger])
    begun: list[str] = []

    def began(uri: str) -> None:
        begun.append(uri)
        os.kill(pool.pids[0], signal.SIGKILL)

    pool.start(None)
    try:
        with pytest.raises(FunctionFailedError, match="has gone"):
            await caller.call(function, Datum(string=""), streamed=StreamedCall("one", began))
        (uri,) = begun
        assert uri.startswith(ADDRESSES[language])
    finally:
        await pool.stop()


async def test_a_function_hears_that_its_caller_goes_away(serve: Serving, noted: Path) -> None:
    async with serve.http.stream("GET", "/api/endless") as answer:
        assert len(await anext(answer.aiter_raw())) > 0
    await until_noted(noted, "the end")
    assert (await serve.http.get("/api/nothing")).status_code == 204


async def test_links_in_an_answer_open_their_own_instance_alone(noted: Path, app: Path) -> None:
    program = azure_program(app, NOTED=str(noted))
    async with serving(program, keys=KEYS) as serve:
        answer = await serve.http.post("/api/start")
        assert answer.status_code == 202
        links = answer.json()
        binding = serve.server.host.client_binding(None)
        assert binding is not None
        key = json.loads(binding)["requiredQueryStringParameters"].removeprefix("code=")
        assert len(key) > 20
        assert key not in unquote(answer.text)
        await serve.server.host.client.wait(links["id"])
        status = await serve.http.get(links["statusQueryGetUri"])
        assert status.json()["output"] == "hello"
        assert (await serve.http.get("/api/secret")).status_code == 401
        named = {"x-functions-key": OPERATE_KEY}
        assert (await serve.http.get("/api/secret", headers=named)).text == "known"


# --- requests -------------------------------------------------------------------------------------


async def test_a_long_request_passes_and_nothing_keeps_it(serve: Serving) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(800):
            yield bytes([number % 256]) * 65_536

    expected = hashlib.sha256()
    async for piece in pieces():
        expected.update(piece)
    before = resident()
    answer = await serve.http.post("/api/digest/upload%20one?x=1&x=2", content=pieces())
    assert answer.status_code == 200
    told = answer.json()
    assert told["length"] == 800 * 65_536
    assert told["sha256"] == expected.hexdigest()
    assert told["name"] == "upload one"
    assert unquote(told["url"]) == f"{serve.url}/api/digest/upload one?x=1&x=2"
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; HttpOnly"]
    assert resident() - before < 16 * MEGABYTE


@pytest.mark.parametrize("content", [None, b"", b"known length"])
async def test_a_short_request_or_none_is_read(serve: Serving, content: bytes | None) -> None:
    answer = await serve.http.put("/api/digest/short", content=content)
    assert answer.json()["length"] == len(content or b"")
    assert answer.json()["method"] == "PUT"


async def test_an_answer_begins_before_its_request_has_ended(serve: Serving) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    head = b"POST /api/echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head + b"3\r\none\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert await reader.readuntil(b"one\r\n") == b"3\r\none\r\n"
    writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
    assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
    writer.close()


async def test_a_request_that_is_given_up_fails_its_function(
    serve: Serving, noted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", serve.port)
    head = b"POST /api/digest/half HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n"
    writer.write(head + b"half")
    await until_noted(noted, "the first piece")
    writer.close()
    assert (await serve.http.get("/api/nothing")).status_code == 204
