"""One invocation: values in and out, what a function is told, what it throws."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tenuto.interop.node import WORKER
from tenuto.interop.workers.protocol import (
    Datum,
    Failed,
    Http,
    Loaded,
    Result,
    Retry,
    Trace,
)
from tests.interop.node.node_worker import copied_app, loaded_worker
from tests.support.worker_client import WorkerClient


class App:
    """An app that is loaded, and calls to it by names of functions alone."""

    def __init__(self, worker: WorkerClient, loaded: Loaded) -> None:
        self.worker = worker
        self.triggers = {one.name: str(one.trigger["name"]) for one in loaded.functions}
        self.clients = {
            one.name: str(binding["name"])
            for one in loaded.functions
            for binding in one.bindings
            if binding["type"] == "durableClient"
        }

    def activity(self, function: str, text: str | None) -> Result | Failed:
        return self.worker.activity(function, self.triggers[function], text)

    def http(self, function: str, request: Http, body: bytes = b"") -> tuple[Datum | None, bytes]:
        given = {self.triggers[function]: Datum(http=request)}
        result, attachment = self.worker.call(function, body, inputs=given)
        assert isinstance(result, Result), result
        return result.value, attachment


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = copied_app("calls", tmp_path_factory.mktemp("calls"))
    with loaded_worker(folder, WEBSITE_HOSTNAME="localhost:7071") as (worker, loaded):
        yield App(worker, loaded)


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ('"x"', 'string "x"'),
        ("plain text", 'string "plain text"'),
        ("[1, {}]", "object [1,{}]"),
        ("null", "object null"),
        (None, "nothing"),
    ],
)
def test_a_text_is_read_as_json_where_it_is_some(
    app: App, text: str | None, described: str
) -> None:
    answer = app.activity("described", text)

    assert answer == Result(id=answer.id, value=Datum(string=described))


@pytest.mark.parametrize(
    ("datum", "described"),
    [
        (Datum(json="[1]"), "object [1]"),
        (Datum(json='"1"'), 'string "1"'),
        (Datum(bytes="AAE="), 'object {"type":"Buffer","data":[0,1]}'),
    ],
)
def test_json_and_bytes_come_in_as_what_they_are(app: App, datum: Datum, described: str) -> None:
    answer, _ = app.worker.call("described", inputs={app.triggers["described"]: datum})

    assert isinstance(answer, Result)
    assert answer.value == Datum(string=described)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", Datum(string="a text")),
        ("whole", Datum(json="3")),
        ("half", Datum(json="0.5")),
        ("infinite", Datum(json="null")),
        ("truth", Datum(json="true")),
        ("nothing", None),
        ("unknown", None),
        ("object", Datum(json='{"a":[1]}')),
        ("buffer", Datum(bytes="Ynl0ZXM=")),
        ("array", Datum(bytes="AQI=")),
        ("strange", None),
    ],
)
def test_each_kind_of_result_has_its_form(app: App, name: str, value: Datum | None) -> None:
    answer = app.activity("returned", name)

    assert answer == Result(id=answer.id, value=value)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("error", "RangeError", "out of range"),
        ("text", "Error", "only a text"),
        ("object", "Error", '{"code":5}'),
        ("nothing", "Error", "undefined"),
        ("circular", "Error", "[object Object]"),
        ("json", "Error", '{"errorType": "made up"}'),
        ("braces", "Error", "{not JSON"),
        ("bare", "Error", "bare"),
        ("nearly", "Error", '{"errorType": "Own", "errorMessage": "m"}'),
        ("number_as_message", "Error", '{"message":5}'),
        ("object_as_message", "Error", '{"a":1}'),
        ("no_text_as_message", "Error", "{}"),
        ("object_as_name", "Error", "x"),
        ("number_as_stack", "Error", "x"),
        ("message_that_throws", "Error", "{}"),
        ("name_that_throws", "Error", "x"),
        ("proxy_that_throws", "Error", "a value of the type object that cannot be shown"),
    ],
)
def test_whatever_is_thrown_has_kind_and_message(
    app: App, name: str, kind: str, message: str
) -> None:
    answer = app.activity("thrown", name)

    assert isinstance(answer, Failed)
    assert (answer.error_type, answer.message, answer.details) == (kind, message, None)


def test_a_stack_says_where_an_error_was_made(app: App) -> None:
    answer = app.activity("thrown", "error")

    assert isinstance(answer, Failed)
    assert "activities.js" in answer.stack
    assert str(WORKER.parent) not in answer.stack


def test_an_error_with_properties_of_its_own_tells_them(app: App) -> None:
    answer = app.activity("thrown", "order")

    assert isinstance(answer, Failed)
    assert answer.message == "no such order"
    assert "activities.js" in answer.stack
    told = json.loads(answer.details or "")
    assert told["properties"] == {"order": 7}
    assert answer.error_type == told["errorType"]


def test_details_may_have_no_stack_of_their_own(app: App) -> None:
    answer = app.activity("thrown", "told")

    assert isinstance(answer, Failed)
    assert (answer.error_type, answer.message) == ("Own", "m")
    assert "activities.js" in answer.stack


def test_an_unknown_function_is_named(app: App) -> None:
    answer, _ = app.worker.call("gone")

    assert isinstance(answer, Failed)
    assert answer.message == 'This app has no function "gone".'


def test_a_function_is_told_of_its_invocation(app: App) -> None:
    answer, _ = app.worker.call(
        "contextual",
        inputs={app.triggers["contextual"]: Datum(string="1")},
        metadata={"Id": "abc", "DequeueCount": 2, "Properties": {"Some": 1}},
        retry=Retry(retry_count=1, max_retry_count=3),
        trace=Trace(trace_parent="00-1-2-01", trace_state="s"),
    )

    assert isinstance(answer, Result)
    assert answer.value is not None
    assert json.loads(answer.value.json or "") == {
        "invocationId": f"call-{answer.id}",
        "functionName": "contextual",
        "retryContext": {"retryCount": 1, "maxRetryCount": 3},
        "traceContext": {"traceParent": "00-1-2-01", "traceState": "s"},
        "triggerMetadata": {"id": "abc", "dequeueCount": 2, "properties": {"some": 1}},
    }


def test_contexts_that_are_not_there_are_absent(app: App) -> None:
    answer = app.activity("contextual", "1")

    assert isinstance(answer, Result)
    assert answer.value is not None
    told = json.loads(answer.value.json or "")
    assert "retryContext" not in told
    assert "traceContext" not in told


def test_what_a_function_logs_has_its_level_and_invocation(app: App) -> None:
    app.worker.logs.clear()

    answer = app.activity("contextual", '"v"')

    assert [(log.level, log.text) for log in app.worker.logs] == [
        ("information", "said { value: 'v' }"),
        ("trace", "t"),
        ("debug", "d"),
        ("information", "i"),
        ("warning", "w"),
        ("error", "e"),
    ]
    assert {(log.invocation, log.function, log.is_user) for log in app.worker.logs} == {
        (f"call-{answer.id}", "contextual", True)
    }


def test_a_timer_is_read_as_the_package_wants_it(app: App) -> None:
    timer = Datum(json='{"IsPastDue": true, "Schedule": {"AdjustForDST": true}}')

    answer, _ = app.worker.call("tick", inputs={app.triggers["tick"]: timer})

    assert isinstance(answer, Result)
    assert answer.value == Datum(json="true")


def test_further_inputs_and_outputs_go_by_their_names(app: App) -> None:
    inputs = {app.triggers["queued"]: Datum(string="hello"), "rows": Datum(json="[1, 2]")}

    answer, _ = app.worker.call("queued", inputs=inputs)

    assert isinstance(answer, Result)
    assert answer.value == Datum(string="undefined")
    assert answer.outputs == {"out": Datum(json='["hello",[1,2]]')}


def test_a_durable_client_is_made_of_its_text(app: App) -> None:
    urls = {
        name: f"http://localhost:7071/runtime/webhooks/durabletask/instances/INSTANCEID/{name}"
        for name in (
            "statusQueryGetUri",
            "sendEventPostUri",
            "terminatePostUri",
            "rewindPostUri",
            "purgeHistoryDeleteUri",
            "restartPostUri",
            "suspendPostUri",
            "resumePostUri",
        )
    }
    binding = {
        "taskHubName": "hub",
        "creationUrls": {},
        "managementUrls": {"id": "INSTANCEID", **urls},
        "rpcBaseUrl": "http://localhost:7071/durabletask/",
    }
    client = app.worker.call(
        "client",
        inputs={
            "trigger": Datum(string="x"),
            app.clients["client"]: Datum(string=json.dumps(binding)),
        },
    )[0]

    assert isinstance(client, Result), client
    assert client.value is not None
    assert json.loads(client.value.json or "")["id"] == "an-id"


REQUEST = Http(
    method="POST",
    url="http://host:1/api/things/5?id=1&id=2",
    headers=[("accept", "a"), ("accept", "b"), ("cookie", "c=1"), ("cookie", "d=2")],
    query=[("id", "1"), ("id", "2")],
    params={"id": "5"},
)


def test_a_request_comes_in_whole(app: App) -> None:
    value, body = app.http("request", REQUEST, bytes(range(256)))

    assert value is not None
    assert value.answer is not None
    assert value.answer.status == 200
    assert ("content-type", "application/json") in [tuple(one) for one in value.answer.headers]
    assert json.loads(body) == {
        "method": "POST",
        "url": REQUEST.url,
        "accept": "a, b",
        "cookie": "c=1; d=2",
        "ids": ["1", "2"],
        "params": {"id": "5"},
        "body": bytes(range(256)).decode("latin1"),
    }


def test_a_request_without_a_body_has_none(app: App) -> None:
    get = Http(method="GET", url="http://host/api/things/5")

    _, body = app.http("request", get)

    assert json.loads(body)["body"] == ""


def answer(app: App, kind: str) -> tuple[Datum | None, bytes]:
    return app.http("answer", Http(method="GET", url=f"http://host/api/answer?kind={kind}"))


def test_an_answer_has_status_headers_and_body(app: App) -> None:
    value, body = answer(app, "text")

    assert value is not None
    assert value.answer is not None
    assert value.answer.status == 201
    assert ["x-one", "1"] in [list(one) for one in value.answer.headers]
    assert body.decode() == "grüße"


def test_bytes_of_an_answer_stay_as_they_are(app: App) -> None:
    assert answer(app, "bytes")[1] == b"\x00\xff"


def test_cookies_become_headers(app: App) -> None:
    value, body = answer(app, "cookies")

    assert body == b""
    assert value is not None
    assert value.answer is not None
    assert [text for name, text in value.answer.headers if name == "set-cookie"] == [
        "plain=a%20b; Path=/",
        (
            "full=v; Max-Age=60; Domain=example.org; Path=/only; "
            "Expires=Fri, 02 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Strict"
        ),
        "open=; Path=/; SameSite=None",
    ]


@pytest.mark.parametrize(
    ("part", "given"),
    [
        ("path", "/; HttpOnly; Domain=z"),
        ("path", "/\r\nx: y"),
        ("name", "a;Path=/x"),
        ("name", "a=b"),
        ("name", ""),
        ("domain", "a.example; Secure"),
        ("domain", "a b"),
        ("maxAge", 1e300),
    ],
)
def test_a_cookie_that_would_be_more_than_it_says_is_the_functions_failure(
    app: App, part: str, given: object
) -> None:
    cookie = quote(json.dumps({"name": "a", "value": "b", part: given}))
    http = Http(method="GET", url=f"http://h/?cookie={cookie}")
    failed, _ = app.worker.call("cookie", inputs={app.triggers["cookie"]: Datum(http=http)})

    assert isinstance(failed, Failed)
    assert failed.error_type == "TypeError"
    assert part in failed.message


def test_an_answer_of_nothing_is_nothing(app: App) -> None:
    assert answer(app, "nothing") == (None, b"")


def test_an_answer_that_is_none_is_the_functions_failure(app: App) -> None:
    given = {app.triggers["answer"]: Datum(http=Http(method="GET", url="http://h/?kind=wrong"))}

    failed, _ = app.worker.call("answer", inputs=given)

    assert isinstance(failed, Failed)
    assert "HTTP response must be an object" in failed.message


def test_an_answer_under_a_name_of_its_own_is_the_answer(app: App) -> None:
    result, body = app.worker.call("answered", inputs={"trigger": Datum(string="x")})

    assert isinstance(result, Result)
    assert result.value is not None
    assert result.value.answer is not None
    assert body == b"by name"
