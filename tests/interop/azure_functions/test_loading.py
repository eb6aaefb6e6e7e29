"""What the host is told of an app."""

import json
import textwrap
from pathlib import Path
from typing import Any

from tenuto.interop.workers.protocol import FunctionFacts, Loaded
from tests.interop.azure_functions.conftest import PYTHON, Start, Write
from tests.support.worker_client import WorkerClient

DECORATED = """
import azure.functions as func
import azure.durable_functions as df
from parts import blueprint, more

app = df.DFApp(http_auth_level="ANONYMOUS")
app.register_functions(blueprint)
app.register_blueprint(more)


@app.route(route="say/{word?}", methods=["GET", "POST"])
def say(req): return "x"


@app.function_name("Renamed")
@app.activity_trigger(input_name="a")
def activity(a): return a


@app.activity_trigger(input_name="a", activity="NamedInTrigger")
def other(a): return a


@app.orchestration_trigger(context_name="ctx", orchestration="Main")
def orchestrator(ctx): yield


@app.retry(strategy="exponential_backoff", max_retry_count="4", minimum_interval="00:00:01",
           maximum_interval="00:01:00")
@app.timer_trigger(arg_name="tick", schedule="0 */5 * * * *")
def on_tick(tick): pass


@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:05")
@app.queue_trigger(arg_name="message", queue_name="q", connection="c")
def on_message(message): pass
"""

PARTS = """
import azure.functions as func
import azure.durable_functions as df
blueprint, more = func.Blueprint(), df.Blueprint()

@blueprint.route(route="part", auth_level="function")
@blueprint.durable_client_input(client_name="client")
async def part(req, client): return "part"

@more.entity_trigger(context_name="context", entity_name="Counter")
def counting(context): pass
"""


def facts_of(client: WorkerClient, root: Path, **options: Any) -> dict[str, FunctionFacts]:
    loaded = client.load(root, **options)
    assert isinstance(loaded, Loaded), loaded
    return {one.name: one for one in loaded.functions}


def test_functions_of_an_app_and_its_blueprints(start: Start, write: Write) -> None:
    root = write({"function_app.py": DECORATED, "parts.py": PARTS})
    client = start()
    loaded = client.load(root)
    assert isinstance(loaded, Loaded)
    assert loaded.packages == {"azure-functions": "1.26.0", "azure-functions-durable": "1.7.0"}
    assert loaded.notes == []
    facts = {one.name: one for one in loaded.functions}
    assert set(facts) == {
        "say", "Renamed", "other", "orchestrator", "on_tick", "on_message", "part", "counting",
    }  # fmt: skip
    (trigger, answer) = sorted(facts["say"].bindings, key=lambda one: one["direction"])
    assert trigger == {
        "type": "httpTrigger",
        "direction": "in",
        "name": "req",
        "authLevel": "anonymous",
        "methods": ["GET", "POST"],
        "route": "say/{word?}",
    }
    assert answer == {"type": "http", "direction": "out", "name": "$return"}
    assert facts["part"].trigger["authLevel"] == "function"
    assert (facts["say"].file, facts["say"].line) == ("function_app.py", 10)
    assert (facts["part"].file, facts["part"].line) == ("parts.py", 5)
    assert facts["orchestrator"].line == 23


def test_the_names_that_orchestrators_may_use(start: Start, write: Write) -> None:
    facts = facts_of(start(), write({"function_app.py": DECORATED, "parts.py": PARTS}))
    assert facts["Renamed"].aliases == ["activity"]
    assert facts["other"].aliases == ["NamedInTrigger"]
    assert facts["orchestrator"].aliases == ["Main"]
    assert facts["counting"].aliases == ["Counter"]
    assert facts["say"].aliases == ()


def test_a_name_that_stands_for_several_is_no_alias(start: Start, write: Write) -> None:
    app = """
    import azure.functions as func
    app = func.FunctionApp()
    def make(name):
        @app.function_name(name)
        @app.activity_trigger(input_name="a")
        def made(a): return name
    make("first")
    make("second")
    @app.function_name("third")
    @app.activity_trigger(input_name="a")
    def first(a): return a
    """
    client = start()
    loaded = client.load(write({"function_app.py": app}))
    assert isinstance(loaded, Loaded)
    assert [one.aliases for one in loaded.functions] == [(), (), ()]
    assert [note.split(" ")[0] for note in loaded.notes] == ["'first'", "'made'"]
    assert client.activity("second", "a", "1").value.json == '"second"'  # type: ignore[union-attr]


def test_retry_policies_are_as_in_a_function_json(start: Start, write: Write) -> None:
    facts = facts_of(start(), write({"function_app.py": DECORATED, "parts.py": PARTS}))
    assert facts["on_tick"].retry == {
        "strategy": "exponentialBackoff",
        "maxRetryCount": 4,
        "minimumInterval": "00:00:01",
        "maximumInterval": "00:01:00",
    }
    assert facts["on_message"].retry == {
        "strategy": "fixedDelay",
        "maxRetryCount": 2,
        "delayInterval": "00:00:05",
    }
    assert facts["say"].retry is None


def test_the_script_may_have_another_name(start: Start, write: Write) -> None:
    app = "import azure.functions as func\napp = func.FunctionApp()\n"
    app += "@app.route(route='x')\ndef x(req): return __name__"
    root = write({"main.py": app, "deep/er/main.py": app})
    client = start(PYTHON_SCRIPT_FILE_NAME="main.py")
    assert facts_of(client, root)["x"].file == "main.py"
    client = start(PYTHON_SCRIPT_FILE_NAME="deep/er/main.py")
    assert facts_of(client, root)["x"].file == "deep/er/main.py"


def test_packages_in_the_app_come_before_those_of_the_interpreter(
    start: Start, write: Write
) -> None:
    app = """
    import azure.functions as func
    import flask, os, sys
    app = func.FunctionApp()
    found = [flask.name, os.getcwd() == sys.path[-1] == os.path.dirname(__file__)]
    @app.activity_trigger(input_name="a")
    def activity(a): return [*found, any("azure_functions/worker" in one for one in sys.path)]
    """
    here = ".python_packages/lib/site-packages/flask.py"
    root = write({"function_app.py": app, here: "name = 'mine'"})
    client = start()
    facts_of(client, root)
    result = client.activity("activity", "a", None)
    assert json.loads(result.value.json) == ["mine", True, False]  # type: ignore[union-attr,arg-type]


NAMES_OF_MODULES = {
    "http/function.json": json.dumps(
        {"bindings": [{"name": "a", "type": "activityTrigger", "direction": "in"}]}
    ),
    "http/__init__.py": """
        import http.client, queue
        from . import sibling
        from __app__.json import text
        from own import own
        def main(a): return [sibling.X, http.client.OK, text, own, hasattr(queue, "SimpleQueue")]
        """,
    "http/sibling.py": "X = 'sibling'",
    "json/__init__.py": "text = 'json'",
    "queue.py": "raise ImportError('the app has hidden it')",
    "own.py": "own = 'own'",
}


def test_folders_of_functions_hide_no_modules(start: Start, write: Write) -> None:
    client = start()
    assert set(facts_of(client, write(NAMES_OF_MODULES))) == {"http"}
    result = client.activity("http", "a", None)
    found = ["sibling", 200, "json", "own", True]
    assert json.loads(result.value.json) == found  # type: ignore[union-attr,arg-type]


def test_what_packages_warn_of_is_noted_and_what_others_do_is_printed(
    start: Start, write: Write
) -> None:
    app = """
    import warnings
    import azure.functions as func
    warnings.warn("of the app")
    app = func.FunctionApp()
    @app.route(route="x")
    def x(req): return "x"
    """
    host = '{"extensionBundle": {"version": "[1.*, 2.0.0)"}}'
    client = start()
    root = write(
        {
            "function_app.py": "import azure.durable_functions\n" + textwrap.dedent(app),
            "host.json": host,
        }
    )
    loaded = client.load(root)
    assert isinstance(loaded, Loaded)
    (note,) = loaded.notes
    assert note.startswith("Your application is currently configured")
    code, _, err = client.stop()
    assert code == 0
    assert "UserWarning: of the app" in err


def test_only_the_package_that_is_there_has_a_version(start: Start, write: Write) -> None:
    app = """
    import importlib.metadata
    import azure.functions as func
    version = importlib.metadata.version
    def asked(package):
        if package == "azure-functions-durable":
            raise importlib.metadata.PackageNotFoundError(package)
        return version(package)
    importlib.metadata.version = asked
    app = func.FunctionApp()
    @app.route(route="x")
    def x(req): return "x"
    """
    loaded = start().load(write({"function_app.py": app}))
    assert isinstance(loaded, Loaded)
    assert list(loaded.packages) == ["azure-functions"]


FUNCTION = {
    "bindings": [
        {"name": "req", "type": "httpTrigger", "direction": "in", "authLevel": "Anonymous"},
        {"name": "$return", "type": "http", "direction": "OUT"},
        {"name": "starter", "type": "orchestrationClient", "direction": "in"},
    ],
    "retry": {"strategy": "fixedDelay", "maxRetryCount": 3, "delayInterval": "00:00:10"},
}
ORCHESTRATOR = {
    "scriptFile": "../shared/flow.py",
    "entryPoint": "flow",
    "bindings": [{"name": "context", "type": "orchestrationTrigger", "direction": "in"}],
}
OFF = {"disabled": True, "bindings": []}
SETTING_OFF = {"disabled": "IS_OFF", "bindings": []}
FOLDERS = {
    "Start-It/function.json": json.dumps(FUNCTION),
    "Start-It/__init__.py": """
        from ..shared.words import word
        from __app__.shared.words import word as same
        import shared.words
        def main(req, starter: str):
            return f"{word} {same} {shared.words.word} {starter}"
        """,
    "Flow/function.json": json.dumps(ORCHESTRATOR),
    "shared/words.py": "word = 'shared'",
    "shared/flow.py": """
        import azure.durable_functions as df
        def orchestrate(context):
            return (yield context.call_activity("x", 1))
        flow = df.Orchestrator.create(orchestrate)
        """,
    "Off/function.json": json.dumps(OFF),
    "SettingOff/function.json": json.dumps(SETTING_OFF),
    "not_a_function/readme.txt": "",
}


def test_functions_in_folders(start: Start, write: Write) -> None:
    client = start(IS_OFF="true")
    root = write(FOLDERS)
    loaded = client.load(root)
    assert isinstance(loaded, Loaded)
    facts = {one.name: one for one in loaded.functions}
    assert set(facts) == {"Start-It", "Flow"}
    first = facts["Start-It"]
    assert [one["direction"] for one in first.bindings] == ["in", "out", "in"]
    assert first.trigger["authLevel"] == "anonymous"
    assert first.bindings[2]["type"] == "durableClient"
    assert first.retry == FUNCTION["retry"]
    assert (first.file, first.line) == ("Start-It/__init__.py", 4)
    assert (facts["Flow"].file, facts["Flow"].line) == ("shared/flow.py", 2)
    disabled = [note for note in loaded.notes if "disabled" in note]
    assert [note.split("'")[1] for note in disabled] == ["Off", "SettingOff"]
    # The durable package has something to say to such apps.
    assert any("programming model" in note for note in loaded.notes)


def test_an_app_in_both_models_is_the_decorated_one(start: Start, write: Write) -> None:
    app = "import azure.functions as func\napp = func.FunctionApp()\n"
    app += "@app.route(route='x')\ndef x(req): return 'x'"
    loaded = start().load(write({**FOLDERS, "function_app.py": app}))
    assert isinstance(loaded, Loaded)
    assert [one.name for one in loaded.functions] == ["x"]
    assert any("Flow, Off, SettingOff, Start-It are not used" in note for note in loaded.notes)


def test_functions_of_the_next_durable_package_are_told_and_refused(
    start: Start, write: Write
) -> None:
    """Written as its decorators write it: the package needs another Python than the tests have."""
    app = """
    import azure.functions as func
    app = func.FunctionApp()
    @app.generic_trigger(arg_name="context", type="orchestrationTrigger", durableRequiresGrpc=True)
    def flow(context): return "x"
    @app.generic_trigger(arg_name="a", type="activityTrigger")
    def activity(a): return a
    """
    client = start()
    loaded = client.load(write({"function_app.py": app}))
    assert isinstance(loaded, Loaded)
    assert [one.name for one in loaded.functions] == ["flow", "activity"]
    (note,) = loaded.notes
    assert "'flow' needs the Durable Task protocol" in note
    assert str(PYTHON) in note
    failed = client.turn("flow", 1, events=[], history=[], start={})
    assert "needs the Durable Task protocol" in failed.message  # type: ignore[union-attr]
    assert client.activity("activity", "a", "1").value.json == "1"  # type: ignore[union-attr]
