"""The functions of an app are told by its files, and nothing of it is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tenuto.interop.azure_app.folder.bindings import check_functions
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.scanning import Scan, scan_functions
from tests.interop.azure_app.folders import node_app, python_app, read, write

FUNCTIONS = """
import azure.durable_functions as df
import azure.functions as func

raise RuntimeError("nobody imports this")

app = df.DFApp()


@app.function_name("Start")
@app.route(route="start")
@app.durable_client_input(client_name="client")
async def start(req, client): ...


@app.orchestration_trigger(context_name="context")
def travel(context): ...


@app.activity_trigger("city")
def book(city): ...


@app.entity_trigger(context_name="context")
def Counter(context): ...


@app.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:05")
def tick(timer): ...


@app.schedule(arg_name="timer", schedule=EVERY)
def tock(timer): ...


@app.queue_trigger(arg_name="message", queue_name="orders", connection="")
@app.blob_output(arg_name="out", path="x", connection="")
def orders(message, out): ...


@app.service_bus_topic_trigger(arg_name="message")
def topic(message): ...


@app.generic_trigger(arg_name="x", type="someTrigger")
def generic(x): ...


@app.generic_trigger(arg_name="x", type=COMPUTED)
def computed(x): ...


@functools.cache
@plain
@other()
def no_function(): ...
"""

JAVASCRIPT = """
const { app, output } = require('@azure/functions');
const df = require("durable-functions");
// app.http('commented', {});
/* app.timer('commented too', {
}); */
const text = "app.http('quoted', {})";

df.app.orchestration('travel', function* (context) {});
df.app.activity("book", { handler: () => {} });
df.app.entity(`Counter`, () => {});
app.http('start', { route: 'start', extraInputs: [df.input.durableClient()] });
df.app.client.http('client', { handler: async () => {} });
app . get ( 'get' , () => {});
app.timer('tick', {
  schedule: '0 */5 * * * *',
  retry: { strategy: 'fixedDelay', maxRetryCount: 2, delayInterval: 5 },
  handler: () => {},
});
app.storageQueue('orders', { queueName: 'orders', return: output.storageQueue({}) });
app.http('cosmos', { return: output.cosmosDB({}), extraInputs: [input.storageQueue({})] });
app.http(NAME, {});
app.setup('x');
app.timer('tock', { schedule: EVERY });
"""


def types(scan: Scan) -> Mapping[str, list[Any]]:
    return {one.name: [binding["type"] for binding in one.bindings] for one in scan.functions}


def test_decorators_say_the_functions_of_a_python_app(tmp_path: Path) -> None:
    scan = scan_functions(read(python_app(tmp_path, **{"function_app.py": FUNCTIONS})))
    assert scan.is_guess
    assert types(scan) == {
        "Start": ["httpTrigger", "http", "durableClient"],
        "travel": ["orchestrationTrigger"],
        "book": ["activityTrigger"],
        "Counter": ["entityTrigger"],
        "tick": ["timerTrigger"],
        "tock": ["timerTrigger"],
        "orders": ["queueTrigger", "blob"],
        "topic": ["serviceBusTrigger"],
        "generic": ["someTrigger"],
    }
    assert [one.name for one in scan.functions if one.retry] == ["tick"]
    start = scan.functions[0]
    assert (start.file, start.line) == ("function_app.py", 10)
    wrong = [one for one in check_functions(scan.functions) if one.level is Level.UNSUPPORTED]
    assert [one.text.split(",")[0] for one in wrong] == [
        "function 'topic' has the binding serviceBusTrigger",
        "function 'generic' has the binding someTrigger",
    ]


def test_blueprints_in_other_files_are_found_and_environments_are_not(tmp_path: Path) -> None:
    source = "@bp.activity_trigger(input_name='x')\ndef {}(x): ..."
    places = {
        "function_app.py": "",
        "flows/travel.py": source.format("travel"),
        ".venv/lib/a.py": source.format("a"),
        "env/b.py": source.format("b"),
        ".python_packages/c.py": source.format("c"),
        "tests/d.py": source.format("d"),
        "broken.py": "def",
    }
    scan = scan_functions(read(python_app(tmp_path, **places)))
    assert [(one.name, one.file) for one in scan.functions] == [("travel", "flows/travel.py")]
    assert scan.findings == ()


@pytest.mark.parametrize(
    ("source", "line", "text"),
    [("x = 1\ndef", 2, "invalid syntax"), ("x = '\0'", None, "null bytes")],
)
def test_a_script_that_is_no_python_is_a_finding(
    tmp_path: Path, source: str, line: int | None, text: str
) -> None:
    scan = scan_functions(read(python_app(tmp_path, **{"function_app.py": source})))
    (found,) = scan.findings
    assert found.level is Level.UNSUPPORTED
    assert found.file == "function_app.py"
    if line is not None:
        assert found.line == line
    assert found.text.startswith("not valid Python: ")
    assert text in found.text


def test_calls_say_the_functions_of_a_javascript_app(tmp_path: Path) -> None:
    scan = scan_functions(read(node_app(tmp_path, **{"src/functions/hello.js": JAVASCRIPT})))
    assert scan.is_guess
    assert types(scan) == {
        "travel": ["orchestrationTrigger"],
        "book": ["activityTrigger"],
        "Counter": ["entityTrigger"],
        "start": ["httpTrigger", "http"],
        "client": ["httpTrigger", "durableClient", "http"],
        "get": ["httpTrigger", "http"],
        "tick": ["timerTrigger"],
        "orders": ["queueTrigger"],
        "cosmos": ["httpTrigger", "http"],
        "tock": ["timerTrigger"],
    }
    by_name = {one.name: one for one in scan.functions}
    assert by_name["tick"].trigger["schedule"] == "0 */5 * * * *"
    assert by_name["tick"].line == 15
    assert [one.name for one in scan.functions if one.retry] == ["tick"]
    assert [(one.text, one.place) for one in scan.findings] == [
        (
            "output.cosmosDB(...) makes a binding that is not served",
            "src/functions/hello.js:21",
        ),
        (
            "input.storageQueue(...) makes a binding that is not served",
            "src/functions/hello.js:21",
        ),
    ]


def test_an_app_that_is_not_built_is_searched_in_its_sources(tmp_path: Path) -> None:
    package = {"main": "dist/src/functions/*.js", "dependencies": {"@azure/functions": "^4"}}
    files = {
        "package.json": package,
        "src/functions/hello.js": "// not yet",
        "src/functions/hello.ts": "app.http('hello', {});",
        "node_modules/x/y.js": "app.http('other', {});",
    }
    scan = scan_functions(read(node_app(tmp_path, **files)))
    assert [one.file for one in scan.functions] == ["src/functions/hello.ts"]


def test_a_file_that_nobody_wrote_is_not_searched(tmp_path: Path) -> None:
    bundle = "app.http('hello', {});" + " " * 1024 * 1024
    scan = scan_functions(read(node_app(tmp_path, **{"src/functions/hello.js": bundle})))
    assert scan.functions == ()


def test_function_json_says_the_functions_exactly(tmp_path: Path) -> None:
    binding = {"name": "req", "type": "httpTrigger", "direction": "in"}
    write(
        tmp_path,
        {
            "host.json": {"version": "2.0"},
            "good/function.json": {
                "scriptFile": "__init__.py",
                "bindings": [binding],
                "retry": {"maxRetryCount": 2},
            },
            "good/__init__.py": "",
            "off/function.json": {"bindings": [binding], "disabled": True},
            "off/__init__.py": "",
            "set/function.json": {"bindings": [binding], "disabled": "IsOff"},
            "set/__init__.py": "",
            "lost/function.json": {"scriptFile": "main.py", "bindings": []},
            "odd/function.json": {"bindings": {}},
            "odd/__init__.py": "",
            "retried/function.json": {"bindings": [binding], "retry": 3},
            "retried/__init__.py": "",
        },
    )
    scan = scan_functions(read(tmp_path, IsOff="true"))
    assert not scan.is_guess
    assert [(one.name, one.bindings, one.file) for one in scan.functions] == [
        ("good", [binding], "good/function.json")
    ]
    assert scan.functions[0].retry == {"maxRetryCount": 2}
    assert [one.text for one in scan.findings] == [
        "lost/function.json: there is no file 'main.py', which scriptFile names",
        "odd/function.json: bindings must be a list of objects",
        "function 'off' is not run",
        "retried/function.json: retry must be an object",
        "function 'set' is not run",
    ]
    assert [one.name for one in scan_functions(read(tmp_path)).functions] == ["good", "set"]
