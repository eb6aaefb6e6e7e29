"""A worker with a server of its own: who reaches it, and how calls and requests meet."""

import asyncio
import http.client
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tenuto.interop.azure_functions.worker import streaming
from tenuto.interop.azure_functions.worker.streaming import Exchange, Meetings
from tenuto.interop.workers.protocol import (
    Call,
    Cancel,
    Datum,
    Failed,
    Http,
    Loaded,
    Ping,
    Refused,
    Result,
    Stop,
)
from tests.interop.azure_functions.conftest import APPS, Start, Write
from tests.support.worker_client import WorkerClient

ID = "x-ms-invocation-id"


def loaded(start: Start, noted: Path) -> tuple[WorkerClient, str]:
    """A worker with the app that streams, and the address of its server."""
    client = start(NOTED=str(noted))
    answer = client.load(APPS / "streams", threads=4)
    assert isinstance(answer, Loaded), answer
    assert answer.http_uri is not None
    assert answer.http_uri.startswith("http://127.0.0.1:")
    return client, answer.http_uri.removeprefix("http://")


@pytest.fixture
def worker(start: Start, tmp_path: Path) -> tuple[WorkerClient, str]:
    return loaded(start, tmp_path / "noted")


def call(number: int, function: str, **params: str) -> Call:
    request = Http("GET", f"http://host/api/{function}", params=params)
    return Call(number, function, f"call-{number}", {"req": Datum(http=request)})


def ask(address: str, **headers: str) -> http.client.HTTPResponse:
    """Send a request; status and headers of its answer."""
    connection = http.client.HTTPConnection(address, timeout=30)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", "/api/x?a=1", headers={"connection": "close", **given})
    return connection.getresponse()


@contextmanager
def asking(address: str, invocation: str, path: str = "/api/x") -> Iterator[socket.socket]:
    """A connection over which the request of a call was sent."""
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            f"{ID}: {invocation}\r\n\r\n".encode()
        )
        yield connection


def read(connection: socket.socket) -> bytes:
    with closing(connection.makefile("rb")) as file:
        return bytes(file.read())


def test_a_request_without_an_invocation_is_turned_away(worker: tuple[WorkerClient, str]) -> None:
    _, address = worker
    answer = ask(address)
    assert (answer.status, answer.read()) == (404, b"no call waits for this request")


def test_other_machines_do_not_reach_the_server(worker: tuple[WorkerClient, str]) -> None:
    _, address = worker
    elsewhere = "127.0.0.2", int(address.partition(":")[2])  # an address of this machine as well
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(elsewhere, timeout=30)


def test_a_request_may_come_before_its_call_and_is_answered_once(
    worker: tuple[WorkerClient, str],
) -> None:
    client, address = worker
    with asking(address, "call-1") as first:
        # The worker has the first when it turns a second with the same id away.
        while b"404" not in read_of_a_second(address):
            pass
        client.send(call(1, "docs"))
        said = read(first)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b'{"path":"/api/x","function":"docs"}' in said
    answer, body = client.receive()
    assert (answer, body) == (Result(id=1), b"")


def read_of_a_second(address: str) -> bytes:
    with asking(address, "call-1") as second:
        return read(second)


def test_an_answer_says_nothing_of_the_server(worker: tuple[WorkerClient, str]) -> None:
    client, address = worker
    client.send(call(1, "nothing"))
    with asking(address, "call-1") as connection:
        said = read(connection)
    assert client.receive()[0] == Result(id=1)
    assert said.lower() == b"http/1.1 204 no content\r\nconnection: close\r\n\r\n"
    assert not [one.text for one in client.logs if "HTTP" in one.text or "vicorn" in one.text]
    assert client.stop() == (0, "", "")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/"])
def test_no_path_belongs_to_the_framework(worker: tuple[WorkerClient, str], path: str) -> None:
    client, address = worker
    client.send(call(1, "docs"))
    with asking(address, "call-1", path) as connection:
        assert f'{{"path":"{path}","function":"docs"}}'.encode() in read(connection)


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_call_whose_request_does_not_come_can_be_cancelled(
    worker: tuple[WorkerClient, str], *, has_begun: bool
) -> None:
    client, address = worker
    client.send(call(1, "docs"))
    if has_begun:
        client.send(Ping(id=1))
        client.receive()
        ask(address).read()
    client.send(Cancel(id=1))
    answer, _ = client.receive()
    assert isinstance(answer, Failed)
    assert answer.error_type == "CancelledError"
    client.send(call(2, "nothing"))
    with asking(address, "call-2") as connection:
        assert read(connection).startswith(b"HTTP/1.1 204 ")
    assert client.receive()[0] == Result(id=2)
    assert client.stop() == (0, "", "")


def test_a_failure_is_told_over_the_pipe_alone(worker: tuple[WorkerClient, str]) -> None:
    client, address = worker
    client.send(call(1, "fails"))
    with asking(address, "call-1") as connection:
        answer, _ = client.receive()
        assert isinstance(answer, Failed)
        assert answer.message == "before its answer"
        assert answer.stack.count("File ") == 1
        connection.shutdown(socket.SHUT_WR)
        assert read(connection) == b""


def test_what_waits_for_the_end_of_a_connection_ends_with_it(
    worker: tuple[WorkerClient, str],
) -> None:
    """A failed call with much of its request unread: nothing is left, and the worker stops."""
    client, address = worker
    host, _, port = address.partition(":")
    client.send(call(1, "fails"))
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST / HTTP/1.1\r\nhost: x\r\n{ID}: call-1\r\ncontent-length: 5000000\r\n\r\n"
        connection.sendall(head.encode() + bytes(5_000_000))
        assert isinstance(client.receive()[0], Failed)
    assert client.stop() == (0, "", "")


def test_a_worker_that_stops_sends_what_it_answers_to_the_end(start: Start, tmp_path: Path) -> None:
    client, address = loaded(start, tmp_path / "noted")
    given = Http("GET", "http://host/api/large", params={})
    client.send(Call(1, "large", "call-1", {"req": Datum(http=given)}))
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = (
            f"GET /x?megabytes=40 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{ID}: call-1\r\n\r\n"
        )
        connection.sendall(head.encode())
        connection.recv(1)
        client.send(Stop())
        assert len(read(connection)) > 40 << 20
    answer, _ = client.receive()
    assert answer == Result(id=1)
    assert client.end() == (0, "", "")


def test_ctrl_c_is_the_affair_of_the_host(worker: tuple[WorkerClient, str]) -> None:
    client, address = worker
    os.kill(client.process.pid, signal.SIGINT)
    client.send(call(1, "handlers"))
    with asking(address, "call-1") as connection:
        said = read(connection)
    assert b"_tenuto_azure_functions_worker.worker" in said
    assert b"uvicorn" not in said
    assert client.receive()[0] == Result(id=1)
    assert client.stop() == (0, "", "")


def test_other_functions_are_called_as_ever(worker: tuple[WorkerClient, str]) -> None:
    client, _ = worker
    answer = client.activity("says", "word", '"hello"')
    assert answer == Result(id=1, value=Datum(json='"hello"'))


# --- apps that mix --------------------------------------------------------------------------------

MIXED = """
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request

{app}

@app.route(route="one")
def one(req: Request): return "one"

@app.route(route="two")
def two(req{hint}): return "two"
"""
APP = "app = func.FunctionApp()"
ASGI = "app = func.AsgiFunctionApp(app=None)"


@pytest.mark.parametrize(
    ("app", "hint", "name", "line"),
    [
        (APP, ": func.HttpRequest", "two", 9),
        (ASGI, "", "http_app_func", None),
    ],
)
def test_a_function_that_wants_its_request_whole_is_refused(
    start: Start, write: Write, app: str, hint: str, name: str, line: int | None
) -> None:
    root = write({"function_app.py": MIXED.format(app=app, hint=hint)})
    refused = start().load(root)
    assert isinstance(refused, Refused)
    assert refused.message.startswith(f"Function {name!r} has the parameter 'req' of type azure.fu")
    assert "all functions behind HTTP get a Request of that package" in refused.message
    assert refused.line == line


def test_a_request_without_an_annotation_is_the_extension_s(start: Start, write: Write) -> None:
    root = write({"function_app.py": MIXED.format(app=APP, hint="")})
    answer = start().load(root)
    assert isinstance(answer, Loaded)
    assert answer.http_uri is not None
    assert answer.notes == []


def test_folders_with_a_function_json_get_requests_whole(start: Start, write: Write) -> None:
    trigger = '{"type": "httpTrigger", "direction": "in", "name": "req"}'
    output = '{"type": "http", "direction": "out", "name": "$return"}'
    root = write(
        {
            "one/function.json": f'{{"bindings": [{trigger}, {output}]}}',
            "one/__init__.py": """
            import azurefunctions.extensions.http.fastapi
            import azure.functions as func
            def main(req: func.HttpRequest): return req.get_body().decode()
            """,
        }
    )
    client = start()
    answer = client.load(root)
    assert isinstance(answer, Loaded)
    assert answer.http_uri is None
    (note,) = answer.notes
    assert note.startswith("The app imports azurefunctions.extensions.http: it is for apps with de")
    given = {"req": Datum(http=Http("POST", "http://host/api/one"))}
    result, body = client.call("one", b"whole", inputs=given)
    assert isinstance(result, Result)
    assert body == b"whole"


def test_an_app_without_the_import_has_no_server(start: Start, write: Write) -> None:
    client = start()
    answer = client.load(
        write({"function_app.py": "import azure.functions as func\napp = func.FunctionApp()"})
    )
    assert isinstance(answer, Loaded)
    assert answer.http_uri is None


# --- when one of the two does not come ------------------------------------------------------------

SCOPE: dict[str, Any] = {
    "type": "http",
    "scheme": "http",
    "asgi": {"version": "3.0"},
    "headers": [(ID.encode(), b"one")],
}


class Sent(list[dict[str, Any]]):
    """What an application sends."""

    async def send(self, message: dict[str, Any]) -> None:
        self.append(message)


async def hung_up() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def test_a_call_waits_for_its_request_no_longer_than_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "_REQUEST_SECONDS", 0.01)
    with pytest.raises(TimeoutError, match=r"request did not come within 0.01 seconds"):
        await Meetings().exchange_of("one")


async def test_a_request_of_a_call_that_does_not_come_is_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "_CALL_SECONDS", 0.01)
    monkeypatch.setattr(streaming, "_REQUEST_SECONDS", 0.01)
    sent, meetings = Sent(), Meetings()
    await meetings(SCOPE, hung_up, sent.send)
    assert sent[0]["status"] == 404
    with pytest.raises(TimeoutError):
        await meetings.exchange_of("one")


async def test_a_request_of_no_call_does_not_wait_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_CALL_SECONDS", 1_000)
    sent = Sent()
    await asyncio.wait_for(Meetings()({**SCOPE, "headers": []}, hung_up, sent.send), 10)
    assert sent[0]["status"] == 404


async def test_a_call_that_is_cancelled_as_its_request_comes_lets_go_of_it() -> None:
    sent, meetings = Sent(), Meetings()
    waiting = asyncio.ensure_future(meetings.exchange_of("one"))
    await asyncio.sleep(0)
    coming = asyncio.ensure_future(meetings(SCOPE, hung_up, sent.send))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait_for(coming, 10)
    assert waiting.cancelled()
    assert sent == []


async def test_a_request_that_says_no_other_address_has_the_server_s_own() -> None:
    headers = [(b"host", b"127.0.0.1:1"), (b"a", b"b")]
    exchange = Exchange({**SCOPE, "headers": headers}, hung_up, Sent().send)
    assert exchange.scope["headers"] == headers
    assert exchange.scope["scheme"] == "http"
    moved = [*headers, (b"x-forwarded-host", b"host"), (b"x-forwarded-proto", b"https")]
    exchange = Exchange({**SCOPE, "headers": moved}, hung_up, Sent().send)
    assert exchange.scope["headers"] == [(b"host", b"host"), *moved[1:]]
    assert exchange.scope["scheme"] == "https"
