"""Apps that cannot be run: one clear error, with file and line, and the exit code says so.

Each is started as a person would start it, in a process: the error stands alone on standard error,
says what is wrong and what to do, and nothing is left behind, neither processes nor a store.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tenuto.cli.command import run_command_line
from tenuto.interop.azure_app.folder.app_folder import read_app_folder
from tenuto.interop.azure_app.folder.environment import environment_for
from tenuto.interop.azure_functions.command import worker_command
from tenuto.interop.node import WORKER
from tenuto.interop.workers.launching import Launch, StartedWorker
from tenuto.model.errors import AppLoadError
from tests.interop.azure_app.folders import program, write
from tests.support.azure_programs import NODE, NODE_PACKAGES, PYTHON
from tests.support.terminal import tenuto

NODE_SETTING = "languageWorkers__node__defaultExecutablePath"
PYTHON_SETTING = "languageWorkers__python__defaultExecutablePath"
INTERPRETERS = {NODE_SETTING: str(NODE), PYTHON_SETTING: str(PYTHON)}
SECRET = "marker-of-a-secret-7f3a91c2"
LOCAL = {"IsEncrypted": False, "Values": {"Secret": SECRET, "AzureWebJobsStorage": SECRET}}
HOST = {"version": "2.0"}

PYTHON_HEAD = """\
import azure.functions as func
import azure.durable_functions as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

"""
PYTHON_HTTP = """\
@app.route(route="{route}")
def {name}(req: func.HttpRequest) -> str:
    return "hello"

"""
NODE_HEAD = """\
const { app } = require('@azure/functions');
const df = require('durable-functions');
"""
NODE_HTTP = "app.http('{name}', {{ route: '{route}', handler: () => ({{ body: 'hello' }}) }});\n"
PACKAGE = {
    "main": "src/functions/*.js",
    "dependencies": {"@azure/functions": "^4.0.0", "durable-functions": "^3.0.0"},
}


class Bad(Struct, frozen=True, kw_only=True):
    """An app, and what is to be said of it.

    Attributes:
        files: Of the app; None takes one away that it would have.
        said: Words of the error.
        place: What the error begins with: file and line, as far as they are known.
        checked: Words of `tenuto azure check`; None when it cannot know before the app is run.
        is_refused_by_check: Whether the check refuses to look at all, with the same error.
        environment: Variables.
        has_packages: Whether a JavaScript app has its packages.
    """

    files: Mapping[str, Any]
    said: Sequence[str]
    place: str = ""
    checked: Sequence[str] | None = None
    is_refused_by_check: bool = False
    environment: Mapping[str, str] = {}
    has_packages: bool = True


def python(text: str, **more: Any) -> dict[str, Any]:
    return {"function_app.py": text, **more}


def node(text: str, **more: Any) -> dict[str, Any]:
    return {"package.json": PACKAGE, "src/functions/a.js": text, **more}


def http(name: str, route: str = "hello") -> tuple[str, str]:
    """The same function in both languages."""
    return PYTHON_HTTP.format(name=name, route=route), NODE_HTTP.format(name=name, route=route)


BAD_PYTHON = {
    "a syntax error": Bad(
        files=python("import azure.functions as func\n\ndef broken(:\n    pass\n"),
        said=["Python cannot read function_app.py", "invalid syntax"],
        place="function_app.py:3: ",
        checked=["function_app.py:3", "invalid syntax"],
    ),
    "a syntax error in a module": Bad(
        files=python("import parts.one\n", **{"parts/one.py": "\n\n1 +\n"}),
        said=["Python cannot read parts/one.py"],
        place="parts/one.py:3: ",
        checked=["parts/one.py:3", "not valid Python: invalid syntax"],
    ),
    "an exception while loading": Bad(
        files=python(PYTHON_HEAD + "\ndef read():\n    return {}['url']\n\nread()\n"),
        said=["function_app.py cannot be imported: KeyError: 'url'"],
        place="function_app.py:8: ",
        checked=["function_app.py", "has no functions: nothing in it"],
    ),
    "an exception with the value of a setting": Bad(
        files=python("import os\n\nint(os.environ['Secret'])\n"),
        said=["ValueError: invalid literal for int()", "(the value of the setting Secret)"],
        place="function_app.py:3: ",
        checked=["function_app.py", "has no app: it needs one FunctionApp"],
    ),
    "a missing dependency": Bad(
        files=python("import azure.functions as func\nimport no_such_package\n"),
        said=["'no_such_package'", "-m pip install -r requirements.txt"],
        place="function_app.py:2: ",
        checked=["function_app.py:2", "imports no_such_package, which"],
    ),
    "two apps": Bad(
        files=python(PYTHON_HEAD + "other = func.FunctionApp()\n"),
        said=["more than one app: 'app' and 'other'", "Blueprints"],
        place="function_app.py:6: ",
        checked=["function_app.py", "has no functions: nothing in it"],
    ),
    "no app": Bad(
        files=python("import azure.functions as func\nbp = func.Blueprint()\n"),
        said=["function_app.py has no app", "FunctionApp"],
        place="function_app.py: ",
        checked=["function_app.py", "has no app: it needs one FunctionApp"],
    ),
    "an app without functions": Bad(
        files=python(PYTHON_HEAD),
        said=["no functions"],
        checked=["function_app.py", "has no functions: nothing in it"],
    ),
    "duplicate names": Bad(
        files=python(PYTHON_HEAD + http("same", "a")[0] + http("same", "b")[0]),
        said=["Two functions are called 'same'", "Rename one"],
        place="function_app.py:10: ",
        checked=["'same' is there twice, first in function_app.py:6", "function_app.py:10"],
    ),
    "names that differ only in case": Bad(
        files=python(PYTHON_HEAD + http("same", "a")[0] + http("Same", "b")[0]),
        said=["'same' and 'Same' differ only in case", "Rename one"],
        place="function_app.py:10: ",
        checked=["'Same' is there twice"],
    ),
    "duplicate names over files": Bad(
        files=python(
            PYTHON_HEAD
            + http("same", "a")[0]
            + "from more import bp\napp.register_functions(bp)\n",
            **{
                "more.py": "import azure.functions as func\nbp = func.Blueprint()\n\n"
                + http("same", "b")[0].replace("app", "bp")
            },
        ),
        said=["Two functions are called 'same'"],
        place="more.py:4: ",
        checked=["'same' is there twice"],
    ),
    "an unknown binding": Bad(
        files=python(
            PYTHON_HEAD
            + '@app.service_bus_queue_trigger(arg_name="m", queue_name="q", connection="c")\n'
            + "def orders(m: func.ServiceBusMessage) -> None: ...\n"
        ),
        said=[
            "function 'orders' has the binding serviceBusTrigger (m), which is not served",
            "served",
        ],
        place="function_app.py:6: ",
        checked=["serviceBusTrigger", "function_app.py:6"],
    ),
    "a missing setting": Bad(
        files=python(
            PYTHON_HEAD + '@app.schedule(arg_name="t", schedule="%Every%")\ndef tick(t): ...\n'
        ),
        said=["'Every'", "is not there or empty", "local.settings.json"],
        place="function_app.py:6: ",
        checked=["'Every'", "is not there or empty"],
    ),
    "a bad schedule": Bad(
        files=python(
            PYTHON_HEAD + '@app.schedule(arg_name="t", schedule="0 99 * * * *")\ndef tick(t): ...\n'
        ),
        said=["function 'tick' has a schedule that cannot be read", "99"],
        place="function_app.py:6: ",
        checked=["function 'tick' has a schedule that cannot be read", "99"],
    ),
    "a setting that is no schedule": Bad(
        files=python(
            PYTHON_HEAD + '@app.schedule(arg_name="t", schedule="%Secret%")\ndef tick(t): ...\n'
        ),
        said=["function 'tick' has a schedule that cannot be read", "the setting in '%Secret%'"],
        place="function_app.py:6: ",
        checked=["function 'tick' has a schedule that cannot be read"],
    ),
    "a bad route": Bad(
        files=python(PYTHON_HEAD + http("hello", "items/{id")[0]),
        said=["'hello' cannot be served", "items/{id"],
        place="function_app.py:6: ",
        checked=["function_app.py:6", "has a brace that is not closed"],
    ),
    "two functions with one route": Bad(
        files=python(PYTHON_HEAD + http("one", "items/{a}")[0] + http("two", "Items/{b}")[0]),
        said=["'two' cannot be served", "answered by 'one' (function_app.py:6) already"],
        place="function_app.py:10: ",
    ),
    "a version 1 function without its script": Bad(
        files={
            "host.json": HOST,
            "one/function.json": {"bindings": [], "scriptFile": "gone.py"},
            "one/__init__.py": "",
        },
        said=["there is no file", "gone.py"],
        place="one/function.json: ",
        checked=["gone.py"],
    ),
    "an exit while loading": Bad(
        files=python("import sys\n\nsys.exit(3)\n"),
        said=["function_app.py cannot be imported: SystemExit: 3"],
        place="function_app.py:3: ",
        checked=["function_app.py", "has no app: it needs one FunctionApp"],
    ),
    "a process that ends while loading": Bad(
        files=python("import os\n\nos._exit(3)\n"),
        said=["the Python worker ended while it loaded the app", "exit code 3"],
        checked=["function_app.py", "has no app: it needs one FunctionApp"],
    ),
    "a crash while loading": Bad(
        files=python("import ctypes\n\nctypes.string_at(0)\n"),
        said=["the Python worker ended while it loaded the app", "SIGSEGV"],
        checked=["function_app.py", "has no app: it needs one FunctionApp"],
    ),
    "packages that are not installed": Bad(
        files=python("import azure.functions\n"),
        said=["no package azure-functions", "pip install -r"],
        checked=["no package azure-functions"],
        environment={PYTHON_SETTING: sys.executable},
    ),
    "a Python that is none": Bad(
        files=python("import azure.functions\n"),
        said=["cannot be run", "setting languageWorkers:python:defaultExecutablePath"],
        checked=["cannot be run"],
        environment={PYTHON_SETTING: "true"},
    ),
    "a Python that is not there": Bad(
        files=python("import azure.functions\n"),
        said=["setting languageWorkers:python:defaultExecutablePath names no program"],
        checked=["names no program"],
        environment={PYTHON_SETTING: "/no/such/python"},
    ),
}
BAD_NODE = {
    "a syntax error": Bad(
        files=node("const one = 1;\nconst two = ;\n"),
        said=["A syntax error in src/functions/a.js: Unexpected token ';'"],
        place="src/functions/a.js:2: ",
        checked=["src/functions/a.js:2", "not valid JavaScript: SyntaxError"],
    ),
    "a syntax error in a module": Bad(
        files=node("require('../../parts/one');", **{"parts/one.js": "\n\nlet = 1 1\n"}),
        said=["A syntax error in parts/one.js"],
        place="parts/one.js:3: ",
        checked=["parts/one.js:3", "not valid JavaScript: SyntaxError"],
    ),
    "an exception while loading": Bad(
        files=node(NODE_HEAD + "\nnull.url;\n"),
        said=["Loading src/functions/a.js failed with TypeError: Cannot read properties of null"],
        place="src/functions/a.js:4: ",
        checked=["package.json", "the app has no functions: nothing in its files"],
    ),
    "an exception with the value of a setting": Bad(
        files=node("\nthrow new Error(`cannot connect to ${process.env.Secret}`);\n"),
        said=["Error: cannot connect to (the value of the setting Secret)"],
        place="src/functions/a.js:2: ",
        checked=["package.json", "the app has no functions: nothing in its files"],
    ),
    "a syntax error in what code reads": Bad(
        files=node("\nJSON.parse('{');\n"),
        said=["Loading src/functions/a.js failed with SyntaxError"],
        place="src/functions/a.js:2: ",
        checked=["package.json", "the app has no functions: nothing in its files"],
    ),
    "a missing dependency": Bad(
        files=node(NODE_HEAD + "require('no-such-package');\n"),
        said=["needs the package no-such-package", "npm install"],
        place="src/functions/a.js:3: ",
        checked=["src/functions/a.js:3", "imports no-such-package, which is not there"],
    ),
    "an app without functions": Bad(
        files=node(NODE_HEAD),
        said=["The app registers no functions", "app.http(...)"],
        place="package.json: ",
        checked=["package.json", "the app has no functions: nothing in its files"],
    ),
    "duplicate names": Bad(
        files=node(NODE_HEAD + http("same", "a")[1] + http("same", "b")[1]),
        said=["Two functions have the name", "(src/functions/a.js, line 3)", "another name"],
        place="src/functions/a.js:4: ",
        checked=["'same' is there twice", "src/functions/a.js:3"],
    ),
    "names that differ only in case": Bad(
        files=node(NODE_HEAD + http("same", "a")[1] + http("Same", "b")[1]),
        said=["Two functions have the name", '"Same"', '"same"'],
        place="src/functions/a.js:4: ",
        checked=["'Same' is there twice"],
    ),
    "duplicate names over files": Bad(
        files=node(
            NODE_HEAD + http("same", "a")[1],
            **{"src/functions/b.js": NODE_HEAD + http("same", "b")[1]},
        ),
        said=["Two functions have the name", "(src/functions/a.js, line 3)"],
        place="src/functions/b.js:3: ",
        checked=["'same' is there twice", "src/functions/a.js:3"],
    ),
    "an unknown binding": Bad(
        files=node(
            NODE_HEAD
            + "app.serviceBusQueue('orders', { queueName: 'q', connection: 'c', handler() {} });\n"
        ),
        said=[
            "function 'orders' has the binding serviceBusTrigger",
            "which is not served",
            "served",
        ],
        place="src/functions/a.js:3: ",
        checked=["serviceBusTrigger", "src/functions/a.js:3"],
    ),
    "a missing setting": Bad(
        files=node(NODE_HEAD + "app.timer('tick', { schedule: '%Every%', handler() {} });\n"),
        said=["'Every'", "is not there or empty", "local.settings.json"],
        place="src/functions/a.js:3: ",
        checked=["'Every'", "is not there or empty"],
    ),
    "a bad schedule": Bad(
        files=node(NODE_HEAD + "app.timer('tick', { schedule: '0 99 * * * *', handler() {} });\n"),
        said=["function 'tick' has a schedule that cannot be read", "99"],
        place="src/functions/a.js:3: ",
        checked=["function 'tick' has a schedule that cannot be read", "99"],
    ),
    "a bad route": Bad(
        files=node(NODE_HEAD + http("hello", "items/{id")[1]),
        said=["'hello' cannot be served", "items/{id"],
        place="src/functions/a.js:3: ",
        checked=["src/functions/a.js:3", "has a brace that is not closed"],
    ),
    "two functions with one route": Bad(
        files=node(NODE_HEAD + http("one", "items/{a}")[1] + http("two", "Items/{b}")[1]),
        said=["'two' cannot be served", "answered by 'one' (src/functions/a.js:3) already"],
        place="src/functions/a.js:4: ",
    ),
    "an exit while loading": Bad(
        files=node(NODE_HEAD + "\nprocess.exit(3);\n"),
        said=["process.exit(3)", "while it is loaded"],
        place="src/functions/a.js:4: ",
        checked=["package.json", "the app has no functions: nothing in its files"],
    ),
    "a process that ends while loading": Bad(
        files=node("process.kill(process.pid, 'SIGKILL');\nfor (;;);"),
        said=["the Node worker ended while it loaded the app", "SIGKILL"],
        checked=["package.json", "the app has no functions: nothing in its files"],
    ),
    "an exception that nobody catches": Bad(
        files=node(
            NODE_HEAD
            + http("a")[1]
            + "process.nextTick(() => {\n  throw new Error('thrown aside');\n});\n"
        ),
        said=["thrown aside"],
        place="src/functions/a.js:5: ",
    ),
    "TypeScript that is not built": Bad(
        files={
            "package.json": {**PACKAGE, "main": "dist/src/functions/*.js"},
            "tsconfig.json": {},
            "src/functions/a.ts": "",
        },
        said=["must be built first", "npm run build"],
        place="package.json: ",
        checked=["npm run build"],
    ),
    "no main": Bad(
        files=node("", **{"package.json": {**PACKAGE, "main": ""}}),
        said=['package.json has no "main"', "src/functions/*.js"],
        place="package.json: ",
        checked=["package.json has no main"],
    ),
    "a package.json that is no JSON": Bad(
        files=node("", **{"package.json": '{\n  "main" "a"\n}'}),
        said=["not valid JSON"],
        place="package.json:2:",
        is_refused_by_check=True,
    ),
    "the model v3 by its folders": Bad(
        files={
            "package.json": {"dependencies": {"durable-functions": "^2.0.0"}},
            "one/function.json": {"bindings": []},
            "one/index.js": "",
        },
        said=["programming model v3", "move to @azure/functions 4 and durable-functions 3"],
        checked=["programming model v3"],
    ),
    "the model v3 by its package": Bad(
        files=node("", **{"package.json": {"dependencies": {"@azure/functions": "^3.5.0"}}}),
        said=["programming model v3", "@azure/functions 3", "move to @azure/functions 4"],
        checked=["programming model v3"],
    ),
    "packages that are not installed": Bad(
        files=node(NODE_HEAD),
        said=["@azure/functions", "not installed", "npm install"],
        place="src/functions/a.js:1: ",
        checked=["@azure/functions is not installed", "npm install"],
        has_packages=False,
    ),
    "a Node that is none": Bad(
        files=node(""),
        said=["cannot be run", "setting languageWorkers:node:defaultExecutablePath"],
        checked=["cannot be run"],
        environment={NODE_SETTING: "true"},
    ),
}
HOSTS = {
    "no JSON": (
        '{\n  "version": "2.0"\n  "functions": []\n}',
        "host.json:3:",
        ["not valid JSON"],
    ),
    "the wrong version": ({"version": "1.0"}, "host.json:1: ", ["version", "2.0"]),
    "the wrong type": (
        '{\n  "version": "2.0",\n  "functionTimeout": 5\n}',
        "host.json:3:",
        ["functionTimeout"],
    ),
    "no object": ("[]", "host.json: ", ["must hold a JSON object"]),
    "a task hub of the wrong type": (
        '{\n "version": "2.0",\n "extensions": {\n  "durableTask": {\n   "hubName": 5}}}',
        "host.json:5: ",
        ["hubName"],
    ),
}
LOCALS = {
    "no JSON": (
        f'{{\n  "Values": {{\n    "Secret": "{SECRET}"\n    "b": 1}}}}',
        "local.settings.json:4:",
        ["not valid JSON"],
    ),
    "a text that does not end": (
        f'{{\n  "Values": {{\n    "Secret": "{SECRET}\n}}}}',
        "local.settings.json:3:",
        ["not valid JSON"],
    ),
    "an object as a value": (
        {"Values": {"Nested": {"Secret": SECRET}}},
        "local.settings.json: ",
        ["Values.Nested must be a text", "Outer__Inner"],
    ),
    "encrypted": (
        {"IsEncrypted": True, "Values": {"Secret": SECRET}},
        "local.settings.json: ",
        ["is encrypted", "func settings decrypt"],
    ),
    "a bad port": (
        {"Values": {"Secret": SECRET}, "Host": {"LocalHttpPort": "x"}},
        "local.settings.json: ",
        ["Host.LocalHttpPort"],
    ),
    "a zone that there is none of": (
        {"Values": {"Secret": SECRET, "WEBSITE_TIME_ZONE": "W. Europa Standard Time"}},
        "",
        ["WEBSITE_TIME_ZONE", "did you mean Europe/Berlin?"],
    ),
}

CASES = {
    **{f"python: {name}": one for name, one in BAD_PYTHON.items()},
    **{f"javascript: {name}": one for name, one in BAD_NODE.items()},
    **{
        f"{language}: host.json: {name}": Bad(
            files=app | {"host.json": text}, said=said, place=place, is_refused_by_check=True
        )
        for language, app in (
            ("python", python(PYTHON_HEAD + http("hello")[0])),
            ("javascript", node(NODE_HEAD + http("hello")[1])),
        )
        for name, (text, place, said) in HOSTS.items()
    },
    **{
        f"local.settings.json: {name}": Bad(
            files=python(PYTHON_HEAD + http("hello")[0], **{"local.settings.json": text}),
            said=said,
            place=place,
            is_refused_by_check=bool(place),
            checked=said if not place else None,
        )
        for name, (text, place, said) in LOCALS.items()
    },
    "an app in .NET": Bad(
        files={"host.json": HOST, "travel.csproj": "<Project/>"},
        said=["an app in .NET", "Python and JavaScript"],
        checked=["an app in .NET"],
    ),
    "an app of both languages": Bad(
        files={**python(PYTHON_HEAD), **node(NODE_HEAD)},
        said=["both a Python and a JavaScript app", "FUNCTIONS_WORKER_RUNTIME"],
        is_refused_by_check=True,
    ),
    "an empty folder": Bad(
        files={"host.json": None, "local.settings.json": None},
        said=["holds no Azure Functions app", "function_app.py", "host.json"],
        is_refused_by_check=True,
    ),
    "a folder that is no app": Bad(
        files={"host.json": None, "local.settings.json": None, "notes.txt": "", "lib/a.py": ""},
        said=["holds no Azure Functions app"],
        is_refused_by_check=True,
    ),
}


@pytest.fixture(params=CASES)
def bad(request: pytest.FixtureRequest) -> Bad:
    return CASES[request.param]


@pytest.fixture
def root(bad: Bad, tmp_path: Path) -> Path:
    return made(tmp_path / "app", bad)


def made(folder: Path, bad: Bad) -> Path:
    return made_of(folder, bad.files, has_packages=bad.has_packages)


def made_of(folder: Path, given: Mapping[str, Any], *, has_packages: bool = True) -> Path:
    """A folder with these files, and settings with a secret."""
    files = {"host.json": HOST, "local.settings.json": LOCAL, **given}
    folder.mkdir()
    write(folder, {name: text for name, text in files.items() if text is not None})
    if has_packages and "package.json" in files:
        (folder / "node_modules").symlink_to(NODE_PACKAGES)
    return folder


def test_it_is_refused_with_one_error_before_anything_is_made(bad: Bad, root: Path) -> None:
    before = contents(root)
    found = tenuto(root, "start", ".", "--port", "0", env={**INTERPRETERS, **bad.environment})
    assert (found.returncode, found.stdout) == (2, "")
    (error,) = errors(found.stderr)
    assert error.startswith(bad.place), error
    for words in bad.said:
        assert words in found.stderr
    assert "Traceback" not in found.stderr
    assert SECRET not in found.stderr
    assert contents(root) == before


def test_the_check_says_it_where_files_tell(
    bad: Bad, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(root)
    monkeypatch.chdir(root)
    for name, value in {**INTERPRETERS, **bad.environment}.items():
        monkeypatch.setenv(name, value)
    code = run_command_line(["azure", "check"])
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert contents(root) == before
    if bad.is_refused_by_check:
        assert (code, out) == (2, "")
        (error,) = errors(err)
        assert error.startswith(bad.place)
        assert all(words in error for words in bad.said)
        return
    assert err == ""
    assert code == (0 if bad.checked is None else 1), out
    for words in bad.checked or ():
        assert words in out


@pytest.mark.parametrize(
    "name",
    [
        "python: an exception with the value of a setting",
        "python: a process that ends while loading",
        "javascript: an exception with the value of a setting",
        "javascript: an unknown binding",
    ],
)
def test_everything_that_is_said_holds_no_value_of_a_setting(name: str, tmp_path: Path) -> None:
    bad = CASES[name]
    root = made(tmp_path / "app", bad)
    found = tenuto(root, "start", ".", "--port", "0", "--verbose", env=INTERPRETERS)
    assert found.returncode == 2
    assert SECRET not in found.stdout + found.stderr


NO_INTERPRETER = {
    "no Node": (node(NODE_HEAD), None, ["there is no node on the PATH", "install Node.js"]),
    "an old Node": (
        node(NODE_HEAD),
        """echo '{"version": "18.20.4"}'""",
        ["is Node.js 18.20.4", "needs 20 or newer"],
    ),
    "a Node that fails": (
        node(NODE_HEAD),
        "echo 'no such library' >&2; exit 127",
        ["(node on the PATH) cannot be run: no such library"],
    ),
    "no Python with the packages": (
        python(PYTHON_HEAD),
        None,
        [
            "no Python 3.9 or newer with the package azure-functions; looked at",
            "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        ],
    ),
}


@pytest.mark.parametrize("name", NO_INTERPRETER)
def test_without_an_interpreter_it_is_said_what_to_install(name: str, tmp_path: Path) -> None:
    files, node_text, said = NO_INTERPRETER[name]
    root = made(tmp_path / "app", Bad(files=files, said=said))
    before = contents(root)
    if node_text is not None:
        program(tmp_path / "bin" / "node", node_text)
    variables = {"PATH": str(tmp_path / "bin"), "VIRTUAL_ENV": ""}
    found = tenuto(root, "start", ".", "--port", "0", env=variables)
    assert (found.returncode, found.stdout) == (2, "")
    (error,) = errors(found.stderr)
    for words in said:
        assert words in error
    assert contents(root) == before


def test_a_node_that_is_no_program_is_named(tmp_path: Path) -> None:
    root = made(tmp_path / "app", Bad(files=node(NODE_HEAD), said=[]))
    rubbish = tmp_path / "node"
    rubbish.write_bytes(b"\x7fELF and nothing more")
    rubbish.chmod(0o755)
    found = tenuto(root, "start", ".", "--port", "0", env={NODE_SETTING: str(rubbish)})
    assert found.returncode == 2
    (error,) = errors(found.stderr)
    assert str(rubbish) in error
    assert "cannot be run: Exec format error" in error


@pytest.mark.parametrize("files", [python("for _ in iter(int, 1): pass\n"), node("for (;;);\n")])
def test_an_app_that_is_not_loaded_in_time_is_ended(files: dict[str, Any], tmp_path: Path) -> None:
    root = made(tmp_path / "app", Bad(files=files, said=[]))
    app = read_app_folder(root, {})
    command = [str(NODE), str(WORKER)] if "package.json" in files else worker_command(PYTHON)
    launch = Launch(
        what="worker",
        command=command,
        environment={**os.environ, **environment_for(app, "127.0.0.1:7071")},
        root=str(root),
        load_seconds=1.5,
    )
    with pytest.raises(AppLoadError) as refused:
        StartedWorker(launch)
    assert str(refused.value) == (
        f"the app in {root} was not loaded within 1.5 s: look at what it does while its files are "
        "read, such as calls that wait for a network"
    )


def test_the_current_folder_need_not_be_named(tmp_path: Path) -> None:
    root = made(tmp_path / "app", BAD_PYTHON["a syntax error"])
    found = tenuto(root, "start", "--port", "0", env=INTERPRETERS)
    assert found.returncode == 2
    (error,) = errors(found.stderr)
    assert error.startswith("function_app.py:3: ")
    found = tenuto(tmp_path, "start", "--port", "0")
    assert found.returncode == 2
    (error,) = errors(found.stderr)
    assert error == "Missing argument 'TARGET': the file, module or folder with the app."


def test_everything_that_is_wrong_with_functions_is_one_error(tmp_path: Path) -> None:
    text = "".join(
        f'@app.service_bus_queue_trigger(arg_name="m", queue_name="q", connection="c")\n'
        f"def orders{number}(m: func.ServiceBusMessage) -> None: ...\n"
        for number in range(3)
    )
    root = made(tmp_path / "app", Bad(files=python(PYTHON_HEAD + text), said=[]))
    found = tenuto(root, "start", ".", "--port", "0", env=INTERPRETERS)
    assert found.returncode == 2
    assert len(errors(found.stderr)) == 1
    lines = [line for line in found.stderr.splitlines() if "serviceBusTrigger" in line]
    places = [line.removeprefix("error TN-1105: ").partition(": ")[0] for line in lines]
    assert places == ["function_app.py:6", "function_app.py:8", "function_app.py:10"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = tenuto(tmp_path, "start", "./nowhere", "--port", "0")
    assert found.returncode == 2
    (error,) = errors(found.stderr)
    assert "nowhere" in error
    assert list(tmp_path.iterdir()) == []


def errors(text: str) -> list[str]:
    """The errors on standard error, without their mark; what else is there begins a line too."""
    return [
        line.partition(": ")[2] for line in text.splitlines() if line.startswith(("error", "Error"))
    ]


def contents(root: Path) -> set[str]:
    """Every file but what Python keeps of modules, and what is in packages."""
    return {
        str(one.relative_to(root))
        for one in root.rglob("*")
        if "__pycache__" not in one.parts and "node_modules" not in one.parts
    }
