"""Calls of functions: what they get, and what becomes of what they return."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tenuto.interop.workers.protocol import (
    Call,
    Cancel,
    Datum,
    Failed,
    Http,
    HttpAnswer,
    Loaded,
    Log,
    Result,
    Retry,
    Trace,
)
from tests.interop.azure_functions.conftest import Start, Write, write_app
from tests.support.worker_client import WorkerClient

HEAD = """
import asyncio, json, logging, os, sys, threading
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

"""


def loaded(start: Start, root: Path, **options: Any) -> WorkerClient:
    client = start()
    answer = client.load(root, **options)
    assert isinstance(answer, Loaded), answer
    return client


def shared(start: Start, factory: pytest.TempPathFactory, text: str) -> WorkerClient:
    root = write_app(factory.mktemp("app") / "app", {"function_app.py": text})
    return loaded(start, root)


@pytest.fixture(scope="module")
def behind_http(start_shared: Start, tmp_path_factory: pytest.TempPathFactory) -> WorkerClient:
    return shared(start_shared, tmp_path_factory, HTTP)


@pytest.fixture(scope="module")
def others(start_shared: Start, tmp_path_factory: pytest.TempPathFactory) -> WorkerClient:
    return shared(start_shared, tmp_path_factory, OTHERS)


@pytest.fixture(scope="module")
def activities(start_shared: Start, tmp_path_factory: pytest.TempPathFactory) -> WorkerClient:
    return shared(start_shared, tmp_path_factory, ACTIVITIES)


def request(**given: Any) -> dict[str, Datum]:
    members = {"method": "GET", "url": "http://127.0.0.1:7071/api/x", **given}
    return {"req": Datum(http=Http(**members))}


def succeeded(answer: Result | Failed) -> Result:
    assert isinstance(answer, Result), answer
    return answer


# --------------------------------------------------------------------------------------------- http

HTTP = (
    HEAD
    + """
@app.route(route="show/{word}")
def show(req: func.HttpRequest):
    body = req.get_body()
    return func.HttpResponse(json.dumps({
        "method": req.method, "url": req.url, "params": dict(req.params),
        "route": dict(req.route_params), "accept": req.headers.get("Accept"),
        "cookie": req.headers.get("COOKIE"), "body": body.decode("latin-1"),
        "form": dict(req.form), "type": type(req).__module__,
    }), mimetype="application/json", status_code=201)

@app.route(route="cookies")
async def cookies(req):
    answer = func.HttpResponse(b"\\x00\\xff", headers={"X-One": "1"})
    answer.headers.add("Set-Cookie", "a=1; Path=/")
    answer.headers.add("Set-Cookie", "b=2; HttpOnly")
    return answer

@app.route(route="text")
def text(req): return "gr\\u00fc\\u00dfe"

@app.route(route="typed")
def typed(req): return func.HttpResponse("x", headers={"Content-Type": "text/csv"})

class OddResponse(func.HttpResponse):
    def get_body(self): return "no bytes"

@app.route(route="unsendable")
def unsendable(req): return OddResponse("x")

@app.route(route="beyond")
def beyond(req): return func.HttpResponse("x", status_code=10**30)

@app.route(route="nothing")
def nothing(req): pass

@app.route(route="thing")
def thing(req): return {"a": 1}
"""
)


def test_a_request_is_what_the_package_makes_of_it(behind_http: WorkerClient) -> None:
    client = behind_http
    given = request(
        method="post",
        url="http://127.0.0.1:7071/api/show/it?a=1&a=2&empty=",
        headers=[
            ("accept", "text/html"),
            ("accept", "text/plain"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        query=[("a", "1"), ("a", "2"), ("empty", "")],
        params={"word": "it"},
    )
    answer, body = client.call("show", b"field=v%C3%A4lue", inputs=given)
    assert succeeded(answer).value == Datum(
        answer=answered(201, [["Content-Type", "application/json"]], answer)
    )
    assert json.loads(body) == {
        "method": "POST",
        "url": "http://127.0.0.1:7071/api/show/it?a=1&a=2&empty=",
        "params": {"a": "1,2"},
        "route": {"word": "it"},
        "accept": "text/html,text/plain",
        "cookie": "a=1; b=2",
        "body": "field=v%C3%A4lue",
        "form": {"field": "välue"},
        "type": "azure.functions.http",
    }


def answered(status: int, headers: list[list[str]], answer: Result | Failed) -> HttpAnswer:
    """The answer itself, when its status and headers are these, in whatever case of names."""
    value = succeeded(answer).value
    assert value is not None
    assert value.answer is not None
    assert value.answer.status == status
    assert [[name.lower(), text] for name, text in value.answer.headers] == [
        [name.lower(), text] for name, text in headers
    ]
    return value.answer


def test_cookies_and_bytes_are_answered_as_they_are(behind_http: WorkerClient) -> None:
    client = behind_http
    answer, body = client.call("cookies", inputs=request())
    headers = [
        ["X-One", "1"],
        ["Set-Cookie", "a=1; Path=/"],
        ["Set-Cookie", "b=2; HttpOnly"],
        ["content-type", "text/plain; charset=utf-8"],
    ]
    answered(200, headers, answer)
    assert body == b"\x00\xff"


def test_a_text_is_an_answer(behind_http: WorkerClient) -> None:
    client = behind_http
    answer, body = client.call("text", inputs=request())
    answered(200, [["content-type", "text/plain; charset=utf-8"]], answer)
    assert body.decode() == "grüße"
    answer, _ = client.call("typed", inputs=request())
    answered(200, [["content-type", "text/csv"]], answer)


@pytest.mark.parametrize(("function", "kind"), [("nothing", "NoneType"), ("thing", "dict")])
def test_what_is_no_answer_is_an_error(behind_http: WorkerClient, function: str, kind: str) -> None:
    client = behind_http
    failed, _ = client.call(function, inputs=request())
    assert isinstance(failed, Failed)
    assert failed.error_type == "TypeError"
    assert f'"{kind}"' in failed.message


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        ("unsendable", "TypeError", "bytes"),
        ("beyond", "ValueError", "an answer has a status of 200 to 599, got 1000000000"),
    ],
)
def test_what_cannot_be_sent_is_an_error_too(
    behind_http: WorkerClient, function: str, kind: str, words: str
) -> None:
    failed, _ = behind_http.call(function, inputs=request())
    assert isinstance(failed, Failed)
    assert failed.error_type == kind
    assert words in failed.message


def test_apps_of_asgi_and_wsgi_answer(start: Start, write: Write) -> None:
    asgi = """
    import azure.functions as func
    from contextlib import asynccontextmanager
    from fastapi import FastAPI, Response
    @asynccontextmanager
    async def lifespan(_):
        print("begins", flush=True)
        yield
        print("ends", flush=True)
    inner = FastAPI(lifespan=lifespan)
    @inner.post("/api/items/{name}")
    async def items(name: str, q: int, body: dict, response: Response):
        response.set_cookie("seen", name)
        return {"name": name, "q": q, **body}
    app = func.AsgiFunctionApp(app=inner, http_auth_level="ANONYMOUS")
    """
    client = start()
    answer = client.load(write({"function_app.py": asgi}))
    assert isinstance(answer, Loaded)
    (facts,) = answer.functions
    assert (facts.name, facts.file, facts.trigger["route"]) == ("http_app_func", None, "/{*route}")
    for number in (1, 2):
        result, body = client.call(
            "http_app_func",
            b'{"more": true}',
            inputs=request(
                method="POST",
                url=f"http://127.0.0.1:7071/api/items/lamp?q={number}",
                headers=[("content-type", "application/json")],
            ),
        )
        assert json.loads(body) == {"name": "lamp", "q": number, "more": True}
        value = succeeded(result).value
        assert value is not None
        assert value.answer is not None
        assert dict(value.answer.headers)["set-cookie"] == "seen=lamp; Path=/; SameSite=lax"
    assert client.stop() == (0, "begins\nends\n", "")


def test_an_app_of_wsgi_answers(start: Start, write: Write) -> None:
    wsgi = """
    import azure.functions as func
    from flask import Flask, request
    inner = Flask(__name__)
    @inner.get("/api/hello")
    def hello(): return f"hello {request.args['name']}", 203
    app = func.WsgiFunctionApp(app=inner.wsgi_app)
    """
    client = loaded(start, write({"function_app.py": wsgi}))
    url = "http://127.0.0.1:7071/api/hello?name=Ada"
    result, body = client.call("http_app_func", inputs=request(url=url))
    answered(203, [["content-type", "text/html; charset=utf-8"], ["content-length", "9"]], result)
    assert body == b"hello Ada"


# ------------------------------------------------------------------------------ other triggers

OTHERS = (
    HEAD
    + """
@app.timer_trigger(arg_name="tick", schedule="0 * * * * *")
def on_tick(tick: func.TimerRequest) -> None:
    logging.info(json.dumps([tick.past_due, tick.schedule_status["Last"]]))

@app.queue_trigger(arg_name="message", queue_name="q", connection="c")
@app.queue_output(arg_name="out", queue_name="q2", connection="c")
@app.queue_output(arg_name="unused", queue_name="q2", connection="c")
def on_message(message: func.QueueMessage, out: func.Out[str], unused: func.Out[str]):
    assert isinstance(out, func.Out) and out.get() is None
    out.set(json.dumps([message.id, message.dequeue_count, message.get_body().decode(),
        message.insertion_time.isoformat()]))

@app.queue_trigger(arg_name="message", queue_name="q", connection="c")
def as_text(message: str): logging.info(message)

@app.queue_trigger(arg_name="message", queue_name="q", connection="c")
@app.queue_output(arg_name="$return", queue_name="q2", connection="c")
def as_bytes(message: bytes): return message + b"!"

@app.queue_trigger(arg_name="message", queue_name="q", connection="c")
@app.queue_output(arg_name="$return", queue_name="q2", connection="c")
def several(message: bytes): return ["a", func.QueueMessage(body="b")]

@app.generic_trigger(arg_name="thing", type="strangeTrigger")
@app.generic_output_binding(arg_name="out", type="strange")
@app.generic_input_binding(arg_name="more", type="strangeInput")
def strange(thing, more, out):
    out.set(b"bytes")
    return {"thing": thing, "more": more}

@app.timer_trigger(arg_name="tick", schedule="0 * * * * *")
def returns(tick): return 1

@app.blob_trigger(arg_name="blob", path="in/{name}", connection="c")
@app.blob_output(arg_name="$return", path="out/{name}", connection="c")
def on_blob(blob: func.InputStream): return blob.read() + b"!"

@app.event_grid_trigger(arg_name="event")
def on_event(event: func.EventGridEvent): logging.info(event.id)

@app.queue_trigger(arg_name="message", queue_name="q", connection="c")
@app.queue_output(arg_name="$return", queue_name="q2", connection="c")
def unsendable(message: "Unknown"): return 1.5

@app.generic_trigger(arg_name="thing", type="strangeTrigger")
@app.generic_output_binding(arg_name="out", type="strange")
@app.sql_output(arg_name="rows", command_text="t", connection_string_setting="c")
def plain(thing, out, rows):
    rows.set(func.SqlRow({"a": 1}))
    if thing is not None:
        out.set(thing)
        return thing if isinstance(thing, bytes) else thing + "!"

@app.entity_trigger(context_name="whatever")
def counter(context):
    context.set_result(context.operation_name)
"""
)


def test_timers(others: WorkerClient) -> None:
    client = others
    told = {"IsPastDue": True, "ScheduleStatus": {"Last": "yesterday"}, "Schedule": {}}
    for datum in (Datum(json=json.dumps(told)), Datum(string=json.dumps(told))):
        answer, _ = client.call("on_tick", inputs={"tick": datum})
        assert succeeded(answer).value is None
        assert client.logs.pop().text == '[true, "yesterday"]'
    failed, _ = client.call("returns", inputs={"tick": Datum(json="{}")})
    assert isinstance(failed, Failed)
    assert "without a $return binding returned a non-None value" in failed.message


def test_queues(others: WorkerClient) -> None:
    client = others
    message = {"message": Datum(string="text")}
    answer, _ = client.call(
        "on_message",
        inputs=message,
        metadata={
            "Id": "m1",
            "DequeueCount": 2,
            "InsertionTime": "2025-01-01T00:00:00+00:00",
            "Unknown": {"a": [1.5, None]},
            "Part": 0.5,
            "Nothing": None,
        },
    )
    outputs = succeeded(answer).outputs
    told = ["m1", 2, "text", "2025-01-01T00:00:00+00:00"]
    assert outputs == {"out": Datum(string=json.dumps(told))}
    client.call("as_text", inputs=message)
    assert client.logs.pop().text == "text"
    raw = base64.b64encode(b"\xff").decode()
    client.call("as_text", inputs={"message": Datum(bytes=base64.b64encode(b"x").decode())})
    assert client.logs.pop().text == "x"
    answer, _ = client.call("as_bytes", inputs={"message": Datum(bytes=raw)})
    assert succeeded(answer).value == Datum(bytes=base64.b64encode(b"\xff!").decode())
    answer, _ = client.call("as_bytes", inputs=message)
    assert succeeded(answer).value == Datum(bytes=base64.b64encode(b"text!").decode())
    answer, _ = client.call("several", inputs={"message": None})
    value = succeeded(answer).value
    assert value is not None
    assert json.loads(value.json or "") == ["a", {"id": None, "body": "b"}]


def test_bindings_that_the_package_does_not_know(others: WorkerClient) -> None:
    client = others
    inputs = {"thing": Datum(json='{"a": 1}'), "more": Datum(string="more")}
    answer, _ = client.call("strange", inputs=inputs)
    result = succeeded(answer)
    assert result.value == Datum(json='{"thing": "{\\"a\\": 1}", "more": "more"}')
    assert result.outputs == {"out": Datum(bytes=base64.b64encode(b"bytes").decode())}


def test_values_of_bindings_that_the_package_does_not_know(others: WorkerClient) -> None:
    raw = Datum(bytes=base64.b64encode(b"raw").decode())
    cases = [(None, None), (raw, raw), (Datum(string="text"), Datum(string="text!"))]
    for given, value in cases:
        answer, _ = others.call("plain", inputs={"thing": given})
        result = succeeded(answer)
        assert result.value == value
        assert result.outputs.get("out") == given
        assert json.loads(result.outputs["rows"].json or "") == [{"a": 1}]  # type: ignore[union-attr]


def test_what_a_binding_cannot_take_is_an_error(others: WorkerClient) -> None:
    failed, _ = others.call("unsendable", inputs={"message": Datum(string="x")})
    assert isinstance(failed, Failed)
    assert "unsupported type 'queue' for Python type \"float\"" in failed.message
    failed, _ = others.call("on_message", inputs={"message": None})
    assert isinstance(failed, Failed)
    assert "TypedData field 'none'" in failed.message


def test_converters_of_other_bindings(others: WorkerClient) -> None:
    client = others
    raw = Datum(bytes=base64.b64encode(b"blob").decode())
    answer, _ = client.call("on_blob", inputs={"blob": raw})
    assert succeeded(answer).value == Datum(bytes=base64.b64encode(b"blob!").decode())
    event = {"id": "e1", "topic": "t", "subject": "s", "eventType": "x", "dataVersion": "1"}
    event |= {"eventTime": "2025-01-01T00:00:00Z", "data": "{}"}
    client.call("on_event", inputs={"event": Datum(json=json.dumps(event))})
    assert client.logs.pop().text == "e1"
    failed, _ = client.call("on_event", inputs={"event": raw})
    assert isinstance(failed, Failed)
    assert "'bytes' and expected binding type 'eventGridTrigger'" in failed.message


def test_an_entity_is_called_with_its_batch(others: WorkerClient) -> None:
    client = others
    batch = {"self": {"name": "counter", "key": "k"}, "exists": False, "state": None}
    operation = {"name": "add", "input": None, "isSignal": False}
    text = json.dumps({**batch, "batch": [operation]})
    answer, _ = client.call("counter", inputs={"whatever": Datum(string=text)})
    value = succeeded(answer).value
    assert value is not None
    assert json.loads(value.json or "")["results"][0]["result"] == '"add"'


# ---------------------------------------------------------------------------------- activities

ACTIVITIES = (
    HEAD
    + """
class Money:
    def __init__(self, amount): self.amount = amount
    @staticmethod
    def to_json(money): return {"amount": money.amount}
    @staticmethod
    def from_json(data): return Money(data["amount"])

@app.activity_trigger(input_name="value")
def double(value): return value * 2

@app.activity_trigger(input_name="value")
def kind(value): return type(value).__name__

@app.activity_trigger(input_name="money")
def richer(money): return Money(money.amount + 1)

@app.activity_trigger(input_name="value")
def broken(value):
    raise RuntimeError("broken \\udc80")

@app.activity_trigger(input_name="value")
def leaves(value): sys.exit(3)

@app.activity_trigger(input_name="value")
async def leaves_too(value): raise KeyboardInterrupt("no")

@app.activity_trigger(input_name="value")
def unwritable(value): return object()

class SpeechlessError(Exception):
    def __str__(self): return str(1 / 0)

@app.activity_trigger(input_name="value")
def speechless(value): raise SpeechlessError

@app.activity_trigger(input_name="value")
async def told(value, context: func.Context):
    assert isinstance(context, func.Context)
    return [context.invocation_id, context.function_name, os.path.basename(
        context.function_directory), context.trace_context.trace_parent,
        context.trace_context.trace_state, context.trace_context.attributes,
        context.retry_context.retry_count, context.retry_context.max_retry_count,
        context.retry_context.exception]
"""
)


def test_activities_take_and_give_json(activities: WorkerClient) -> None:
    client = activities
    for given, expected in [("2", "4"), ('"ab"', '"abab"'), ("not json", '"not jsonnot json"')]:
        answer = succeeded(client.activity("double", "value", given))
        assert answer.value == Datum(json=expected)
    answer = succeeded(client.activity("kind", "value", None))
    assert answer.value == Datum(json='"NoneType"')
    answer = succeeded(client.activity("KIND", "value", "1.5"))
    assert answer.value == Datum(json='"float"')


def test_activities_take_and_give_objects_of_the_app(activities: WorkerClient) -> None:
    client = activities
    money = {"__class__": "Money", "__module__": "function_app"}
    given = {**money, "__data__": {"amount": 1}}
    value = succeeded(client.activity("richer", "money", json.dumps(given))).value
    assert value is not None
    assert json.loads(value.json or "") == {**money, "__data__": {"amount": 2}}


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("broken", "RuntimeError", "broken ?"),
        ("leaves", "SystemExit", "3"),
        ("leaves_too", "KeyboardInterrupt", "no"),
        ("unwritable", "ValueError", "must be json serializable"),
        ("speechless", "SpeechlessError", "its own text has raised"),
        ("nowhere", "LookupError", "the app has no function 'nowhere'"),
    ],
)
def test_whatever_is_raised_is_the_answer(
    activities: WorkerClient, function: str, kind: str, message: str
) -> None:
    client = activities
    failed = client.activity(function, "value", "1")
    assert isinstance(failed, Failed)
    assert failed.error_type == kind
    assert message in failed.message
    assert "azure_functions/worker" not in failed.stack
    # And the worker goes on.
    assert succeeded(client.activity("double", "value", "2")).value == Datum(json="4")


def test_where_an_error_came_from(activities: WorkerClient) -> None:
    client = activities
    failed = client.activity("broken", "value", "1")
    assert isinstance(failed, Failed)
    assert "function_app.py" in failed.stack
    assert "in broken" in failed.stack


def test_a_function_knows_of_its_invocation(activities: WorkerClient) -> None:
    client = activities
    trace = Trace(trace_parent="00-1-2-03", trace_state="a=b")
    inputs = {"value": Datum(string="1")}
    answer, _ = client.call("told", inputs=inputs, trace=trace, retry=Retry(2, 5))
    value = succeeded(answer).value
    assert value is not None
    first, *told = json.loads(value.json or "")
    assert first == f"call-{answer.id}"
    assert told == ["told", "app", "00-1-2-03", "a=b", {}, 2, 5, None]
    answer, _ = client.call("told", inputs=inputs)
    value = succeeded(answer).value
    assert value is not None
    assert json.loads(value.json or "")[1:] == ["told", "app", "", "", {}, 0, 0, None]


def test_a_durable_client_is_made_of_its_text(start: Start, write: Write) -> None:
    app = (
        HEAD
        + """
@app.route(route="x")
@app.durable_client_input(client_name="client")
async def starter(req, client: df.DurableOrchestrationClient):
    return client.create_check_status_response(req, "i1")
"""
    )
    client = loaded(start, write({"function_app.py": app}))
    urls = {"id": "INSTANCEID", "statusQueryGetUri": "http://other/instances/INSTANCEID"}
    text = {"taskHubName": "hub", "creationUrls": {}, "managementUrls": urls}
    inputs = {**request(), "client": Datum(string=json.dumps({**text, "rpcBaseUrl": "http://a/"}))}
    answer, body = client.call("starter", inputs=inputs)
    value = succeeded(answer).value
    assert value is not None
    assert value.answer is not None
    assert value.answer.status == 202
    status = "http://127.0.0.1:7071/instances/i1"
    assert json.loads(body) == {"id": "i1", "statusQueryGetUri": status}


def test_functions_in_folders_answer_through_an_output(start: Start, write: Write) -> None:
    bindings = [
        {"name": "req", "type": "httpTrigger", "direction": "in"},
        {"name": "res", "type": "http", "direction": "out"},
        {"name": "starter", "type": "orchestrationClient", "direction": "in"},
    ]
    code = """
    import azure.functions as func
    def main(req: func.HttpRequest, res: func.Out[func.HttpResponse], starter: str,
             context: func.Context):
        res.set(func.HttpResponse(f"{starter} {context.function_directory[-3:]}", status_code=202))
    """
    files = {"One/function.json": json.dumps({"bindings": bindings}), "One/__init__.py": code}
    client = loaded(start, write(files))
    answer, body = client.call("One", inputs={**request(), "starter": Datum(string="{}")})
    answered(202, [["content-type", "text/plain; charset=utf-8"]], answer)
    assert body == b"{} One"


# ----------------------------------------------------------------------- threads and the loop

RUNNING = (
    HEAD
    + """
meeting = threading.Barrier(2)
loops, gate = set(), {}

@app.activity_trigger(input_name="value")
def meets(value):
    meeting.wait(30)
    return threading.current_thread().name.split("_")[0]

@app.activity_trigger(input_name="value")
async def on_loop(value):
    loops.add(id(asyncio.get_running_loop()))
    return [len(loops), threading.current_thread() is threading.main_thread()]

@app.activity_trigger(input_name="value")
async def waits(value):
    logging.info("waits")
    gate[value] = asyncio.Event()
    try:
        await gate[value].wait()
    finally:
        logging.info("waited")
    return value

@app.activity_trigger(input_name="value")
async def opens(value): gate[value].set()

@app.activity_trigger(input_name="value")
async def parts(value): meeting.abort()

def noted():
    logging.getLogger("mine").warning("in a thread of its own")

@app.activity_trigger(input_name="value")
def logs(value, context: func.Context):
    print("printed", file=sys.stdout)
    print("\\udc80 printed", file=sys.stderr)
    for level in (5, 10, 20, 30, 40, 50):
        logging.log(level, "level %d", level)
    logging.getLogger("azure.storage").info("of the package")
    logging.info("%d", "no number")
    def thread():
        context.thread_local_storage.invocation_id = context.invocation_id
        noted()
    for one in (threading.Thread(target=thread), threading.Thread(target=noted)):
        one.start()
        one.join()
"""
)


def test_sync_functions_run_in_threads(start: Start, write: Write) -> None:
    client = loaded(start, write({"function_app.py": RUNNING}), threads=2)
    for number in (1, 2):
        client.send(call(number, "meets"))
    answers = [client.receive()[0] for _ in range(2)]
    assert {one.id for one in answers if isinstance(one, Result)} == {1, 2}
    assert all(one.value == Datum(json='"function"') for one in answers if isinstance(one, Result))


def test_async_functions_run_on_one_loop(start: Start, write: Write) -> None:
    client = loaded(start, write({"function_app.py": RUNNING}))
    for _ in range(3):
        value = succeeded(client.activity("on_loop", "value", "1")).value
        assert value == Datum(json="[1, true]")


def test_async_functions_run_side_by_side(start: Start, write: Write) -> None:
    client = loaded(start, write({"function_app.py": RUNNING}))
    client.send(call(1, "waits", "1"))
    logged(client, "waits")
    client.send(call(2, "opens", "1"))
    answers = [client.receive()[0] for _ in range(2)]
    assert {one.id for one in answers if isinstance(one, Result)} == {1, 2}


def test_a_call_that_nobody_waits_for_is_cancelled(start: Start, write: Write) -> None:
    client = loaded(start, write({"function_app.py": RUNNING}))
    client.send(Cancel(id=7))
    client.send(call(1, "waits", "1"))
    logged(client, "waits")
    client.send(Cancel(id=1))
    answer, _ = client.receive()
    assert isinstance(answer, Failed)
    assert (answer.id, answer.error_type) == (1, "CancelledError")
    assert client.logs[-1].text == "waited"


def test_a_call_that_waits_for_a_thread_does_not_begin_once_it_is_cancelled(
    start: Start, write: Write
) -> None:
    client = loaded(start, write({"function_app.py": RUNNING}))
    client.send(call(1, "meets"))
    client.send(call(2, "logs", "1"))
    client.send(Cancel(id=2))
    answer, _ = client.receive()
    assert isinstance(answer, Failed)
    assert (answer.id, answer.error_type) == (2, "CancelledError")
    client.send(call(3, "parts"))
    assert {getattr(client.receive()[0], "id", None) for _ in range(2)} == {1, 3}
    assert all(one.text != "level 20" for one in client.logs)


def test_what_is_logged_says_who_and_how_loud(start: Start, write: Write) -> None:
    client = loaded(start, write({"function_app.py": RUNNING}))
    client.logs.clear()
    succeeded(client.activity("logs", "value", "1"))
    lines = [
        (one.text, one.level, one.invocation, one.function, one.is_user)
        for one in client.logs
        if "df_loads" not in one.text
    ]
    mine = ("call-1", "logs", True)
    assert lines == [
        ("level 20", "information", *mine),
        ("level 30", "warning", *mine),
        ("level 40", "error", *mine),
        ("level 50", "critical", *mine),
        ("of the package", "information", "call-1", "logs", False),
        (lines[5][0], "information", *mine),
        ("in a thread of its own", "warning", "call-1", None, True),
        ("in a thread of its own", "warning", None, None, True),
    ]
    assert lines[5][0].startswith("'%d' with ('no number',) cannot be logged: TypeError: ")
    assert client.stop() == (0, "printed\n", "\\udc80 printed\n")


def test_debug_lines_are_sent_when_they_are_asked_for(start: Start, write: Write) -> None:
    client = start(PYTHON_ENABLE_DEBUG_LOGGING="1")
    assert isinstance(client.load(write({"function_app.py": RUNNING})), Loaded)
    succeeded(client.activity("logs", "value", "1"))
    assert ("level 10", "debug") in [(one.text, one.level) for one in client.logs]
    assert not [one for one in client.logs if one.level == "trace"]


def call(number: int, function: str, text: str = "1") -> Call:
    inputs = {"value": Datum(string=text)}
    return Call(id=number, function=function, invocation=f"call-{number}", inputs=inputs)


def logged(client: WorkerClient, text: str) -> Log:
    """The next line of the log, which has this text; answers are not expected before it."""
    while not (lines := [one for one in client.logs if one.text == text]):
        receive_one(client)
    return lines[0]


def receive_one(client: WorkerClient) -> None:
    """Read what is there, without waiting for anything but the next frame."""
    piece = client._socket.recv(65_536)
    assert piece
    from tenuto.interop.workers.protocol import decode_to_host

    for text, attachment in client._frames.feed(piece):
        message = decode_to_host(text)
        if isinstance(message, Log):
            client.logs.append(message)
        else:
            client._waiting.append((message, attachment))
