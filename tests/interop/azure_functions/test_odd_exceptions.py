"""Exceptions whose own code raises, and texts that look like the package's: an answer comes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tenuto.interop.workers.protocol import Datum, Failed, Http, Loaded, Refused, Result, Turned
from tests.interop.azure_functions.conftest import Start, Write, write_app
from tests.interop.azure_functions.scripted_host import Execution, ScriptedHost, Way
from tests.support.worker_client import WorkerClient

ODD = """
class NoText(Exception):
    def __str__(self): return self.args[0]["detail"]

class Exits(Exception):
    def __str__(self): raise SystemExit(3)

class Another(Exception):
    def __str__(self): return 5

class Lends(Exception):
    def __getattr__(self, name): return self.args[0][name]

class NoTraceback(Lends):
    def __getattribute__(self, name):
        if name == "__traceback__": raise KeyError(name)
        return super().__getattribute__(name)

ODD = {kind.__name__: kind for kind in (NoText, Exits, Another, Lends, NoTraceback)}
"""
APP = (
    ODD
    + """
import logging
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.activity_trigger(input_name="kind")
def fails(kind): raise ODD[kind]()

@app.activity_trigger(input_name="kind")
async def fails_on_the_loop(kind): raise ODD[kind]()

@app.activity_trigger(input_name="kind")
def logs(kind):
    logging.error("%s of %d", ODD[kind](), 5)
    try:
        raise ODD[kind]()
    except Exception:
        logging.exception("it was %d", "x")

@app.orchestration_trigger(context_name="context")
def fails_at_once(context): raise ODD[context.get_input()]()

@app.orchestration_trigger(context_name="context")
def fails_later(context):
    yield context.call_activity("logs", "Another")
    raise ODD[context.get_input()]()

@app.orchestration_trigger(context_name="context")
def quotes(context):
    yield context.call_activity("logs", "Another")
    raise ValueError(context.get_input())

@app.orchestration_trigger(context_name="context")
def quotes_at_once(context): raise ValueError(context.get_input())

@app.route(route="status")
def status(req): return func.HttpResponse(status_code=int(req.params["code"]))

class OddBody(func.HttpResponse):
    def get_body(self): return "no bytes"

@app.route(route="body")
async def body(req): return OddBody()
"""
)
KINDS = ["NoText", "Exits", "Another", "Lends", "NoTraceback"]


@pytest.fixture(scope="module")
def client(start_shared: Start, tmp_path_factory: pytest.TempPathFactory) -> WorkerClient:
    client = start_shared()
    root = write_app(tmp_path_factory.mktemp("app") / "app", {"function_app.py": APP})
    assert isinstance(client.load(root), Loaded)
    return client


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", ["fails", "fails_on_the_loop"])
def test_a_function_that_raises_it_has_failed(
    client: WorkerClient, function: str, kind: str
) -> None:
    answer = client.activity(function, "kind", kind)
    assert isinstance(answer, Failed)
    assert answer.error_type == kind
    if kind in ("NoText", "Exits", "Another"):
        assert answer.message == "it could not say what it is: its own text has raised"
    if kind != "NoTraceback":
        assert "function_app.py" in answer.stack
        assert kind in answer.stack


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", ["fails_at_once", "fails_later"])
def test_an_orchestrator_that_raises_it_has_ended(
    client: WorkerClient, turned: Callable[..., Any], function: str, kind: str
) -> None:
    answer = turned(function, kind)
    assert isinstance(answer, Failed) or answer.error is not None
    assert isinstance(client.activity("fails", "kind", kind), Failed)


@pytest.fixture
def turned(client: WorkerClient) -> Callable[..., Any]:
    """The last turn of an orchestrator with an input."""

    def run(function: str, given: str) -> Turned | Failed:
        host = ScriptedHost(client, Loaded(functions=[]), Way())
        one = Execution(host, function, json.dumps(given), "i", None, "e", 0.0)
        events = [one.event(12), one.started()]
        answer = client.turn(function, one.key, events=events, history=events, start=one.start)
        if isinstance(answer, Turned) and answer.error is None:
            events = [one.event(12), one.event(5, TaskScheduledId=0, Result="null")]
            answer = client.turn(function, one.key, events=events, known=1)
        assert isinstance(answer, Turned | Failed)
        return answer

    return run


LABEL = "$OutOfProcData$:"


@pytest.mark.parametrize("text", [f"a {LABEL} b", f'{LABEL}{{"a": 1}}', f"\n\n{LABEL}x", LABEL])
@pytest.mark.parametrize("function", ["quotes", "quotes_at_once"])
def test_an_error_that_quotes_the_packages_label_is_told_whole(
    turned: Callable[..., Any], function: str, text: str
) -> None:
    answer = turned(function, text)
    assert isinstance(answer, Turned), answer
    assert answer.error == text


# One that exits ends the function that logs it, as with every other handler of logs.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "Exits"])
def test_what_cannot_be_logged_is_one_line_of_its_level(client: WorkerClient, kind: str) -> None:
    client.logs.clear()
    assert isinstance(client.activity("logs", "kind", kind), Result)
    errors = [one for one in client.logs if one.level == "error"]
    assert len(errors) == 2
    assert {one.function for one in errors} == {"logs"}
    assert errors[1].text.startswith("'it was %d' with ('x',) cannot be logged: TypeError: ")
    assert "function_app.py" in errors[1].text
    if kind in ("NoText", "Another"):
        assert "'%s of %d' with (" in errors[0].text


@pytest.mark.parametrize("code", [-1, 0, 99, 100, 101, 199, 600, 999])
def test_what_is_no_status_of_an_answer_is_the_functions_failure(
    client: WorkerClient, code: int
) -> None:
    request = Http(method="GET", url="http://h/", query=[("code", str(code))])
    answer, _ = client.call("status", inputs={"req": Datum(http=request)})
    assert isinstance(answer, Failed)
    assert f"status of 200 to 599, got {code}" in answer.message


def test_a_body_that_is_no_bytes_is_the_functions_failure(client: WorkerClient) -> None:
    answer, _ = client.call("body", inputs={"req": Datum(http=Http(method="GET", url="http://h/"))})
    assert isinstance(answer, Failed)
    assert answer.error_type == "TypeError"


@pytest.mark.parametrize("kind", KINDS)
def test_an_app_that_raises_it_while_it_is_loaded_is_refused(
    start: Start, write: Write, kind: str
) -> None:
    answer = start().load(write({"function_app.py": f"{ODD}\nraise {kind}()\n"}))
    assert isinstance(answer, Refused)
    if kind != "NoTraceback":
        assert answer.message.startswith(f"function_app.py cannot be imported: {kind}: ")
