"""Apps that cannot be run: what is wrong, where, and what to do, before anything runs."""

import sys
from pathlib import Path

import pytest

from tenuto.interop.workers.protocol import Refused
from tests.interop.azure_functions.conftest import PYTHON, Start, Write

HEAD = """
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp()
"""

HOOK = ".python_packages/lib/site-packages/hook.py"

# file or files -> what the message says, file, line
DECORATED = {
    "a syntax error": (
        "import azure.functions as func\n\ndef broken(:\n    pass\n",
        ["cannot read function_app.py", "invalid syntax"],
        ("function_app.py", 3),
    ),
    "an exception while importing": (
        HEAD + "\ndef settings():\n    return {}['connection']\n\nsettings()\n",
        ["function_app.py cannot be imported: KeyError: 'connection'"],
        ("function_app.py", 6),
    ),
    "a module that exits": (
        "import sys\nsys.exit(3)\n",
        ["function_app.py cannot be imported: SystemExit: 3"],
        ("function_app.py", 2),
    ),
    "a dependency that is missing": (
        "import azure.functions as func\nimport no_such_package.part\n",
        ["imports 'no_such_package'", str(PYTHON), "pip install -r requirements.txt"],
        ("function_app.py", 2),
    ),
    "two apps": (
        HEAD + "other = func.FunctionApp()\n",
        ["more than one app: 'app' and 'other'"],
        ("function_app.py", 4),
    ),
    "no app": (
        "import azure.functions as func\nbp = func.Blueprint()\n",
        ["function_app.py has no app"],
        ("function_app.py", None),
    ),
    "duplicate names": (
        HEAD
        + """
@app.activity_trigger(input_name="a")
def same(a): return a

@app.function_name("same")
@app.activity_trigger(input_name="a")
def other(a): return a
""",
        ["Two functions are called 'same'"],
        ("function_app.py", 8),
    ),
    "names that differ only in case": (
        HEAD
        + """
@app.activity_trigger(input_name="a")
def same(a): return a

@app.activity_trigger(input_name="a")
def Same(a): return a
""",
        ["'same' and 'Same' differ only in case"],
        ("function_app.py", 8),
    ),
    "a binding without a parameter": (
        HEAD + "\n@app.route(route='x')\ndef behind_http(request): return 'x'\n",
        ["'behind_http'", "parameter 'request' without a binding"],
        ("function_app.py", 5),
    ),
    "a parameter without a binding": (
        HEAD
        + """
@app.route(route='x')
@app.queue_output(arg_name="out", queue_name="q", connection="c")
def behind_http(req): return 'x'
""",
        ["'behind_http'", "binding 'out' without a parameter"],
        ("function_app.py", 5),
    ),
    "an orchestrator called as an entity": (
        HEAD
        + """
@app.function_name("@mine")
@app.orchestration_trigger(context_name="context")
def orchestrator(context): yield
""",
        ["'@mine' must not begin with '@'"],
        ("function_app.py", 5),
    ),
    "a function without a trigger": (
        HEAD + "\n@app.function_name('lost')\ndef lost(): pass\n",
        ["function_app.py cannot be imported", "Function lost does not have a trigger"],
        (None, None),
    ),
}


@pytest.mark.parametrize("case", DECORATED)
def test_a_bad_app_is_refused(start: Start, write: Write, case: str) -> None:
    text, said, place = DECORATED[case]
    refused = refuse(start, write({"function_app.py": text}))
    for words in said:
        assert words in refused.message
    assert (refused.file, refused.line) == place


FOLDERS = {
    "no JSON": (
        {"one/function.json": '{\n  "bindings": [,]\n}'},
        ["one/function.json is not JSON"],
        ("one/function.json", 2),
    ),
    "no bindings": (
        {"one/function.json": "{}"},
        ["one/function.json must have a list of objects"],
        ("one/function.json", None),
    ),
    "a retry policy that is none": (
        {"one/function.json": '{"bindings": [], "retry": 3}', "one/__init__.py": ""},
        ["Function 'one': its retry policy is no object."],
        ("one/function.json", None),
    ),
    "no script": (
        {"one/function.json": '{"bindings": [], "scriptFile": "main.py"}'},
        ["Function 'one': there is no file one/main.py"],
        ("one/function.json", None),
    ),
    "no entry point": (
        {"one/function.json": '{"bindings": []}', "one/__init__.py": "def other(): pass"},
        ["has no function 'main'", "one/function.json"],
        ("one/__init__.py", None),
    ),
    "an exception in a shared module": (
        {
            "one/function.json": '{"bindings": []}',
            "one/__init__.py": "from ..shared import value",
            "shared.py": "\nvalue = 1 / 0",
        },
        ["one/__init__.py cannot be imported: ZeroDivisionError"],
        ("shared.py", 1),
    ),
    "a module of its own that is missing": (
        {
            "one/function.json": '{"bindings": []}',
            "one/__init__.py": "import shared.things",
            "shared/__init__.py": "",
        },
        ["imports 'shared.things', which is not in its folder 'shared'"],
        ("one/__init__.py", 1),
    ),
    "names that differ only in case": (
        {
            "one/function.json": '{"bindings": []}',
            "one/__init__.py": "def main(): pass",
            "One/function.json": '{"bindings": []}',
            "One/__init__.py": "def main(): pass",
        },
        ["'One' and 'one' differ only in case"],
        ("one/__init__.py", 1),
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_bad_app_of_folders_is_refused(start: Start, write: Write, case: str) -> None:
    files, said, place = FOLDERS[case]
    refused = refuse(start, write(files))
    for words in said:
        assert words in refused.message
    assert (refused.file, refused.line) == place


HIDDEN = {
    "a module of its own that another one hides": (
        {"function_app.py": "from secrets import CONNECTION\n", "secrets.py": "CONNECTION = 1"},
        ["imports 'secrets', and 'secrets' is a module of ", "Rename what the app has."],
        ("function_app.py", 1),
    ),
    "a module inside one that another one hides": (
        {"function_app.py": "import xml.own\n", "xml/own.py": ""},
        ["imports 'xml.own', and 'xml' is a module of ", "as in Azure"],
        ("function_app.py", 1),
    ),
    "a built-in module": (
        {"function_app.py": "from time import own\n", "time/own.py": ""},
        ["imports 'time', and 'time' is a module of the interpreter"],
        ("function_app.py", 1),
    ),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_a_module_of_the_app_that_another_one_hides_is_named(
    start: Start, write: Write, case: str
) -> None:
    files, said, place = HIDDEN[case]
    refused = refuse(start, write(files))
    for words in said:
        assert words in refused.message
    assert (refused.file, refused.line) == place


def test_a_script_that_another_module_hides_is_refused(start: Start, write: Write) -> None:
    client = start(PYTHON_SCRIPT_FILE_NAME="calendar.py")
    refused = client.load(write({"calendar.py": HEAD}))
    assert isinstance(refused, Refused)
    assert refused.file == "calendar.py"
    assert "'calendar' is a module of " in refused.message
    assert "PYTHON_SCRIPT_FILE_NAME" in refused.message
    assert client.end()[0] == 1


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ('{\n  // our version\n  "version": "2.0"\n}', 2),
        ('{\n  "version": "2.0",\n\n}', 2),
        ('{\n  "version": "2.0",\n  "functions": [\n    "a",\n  ]\n}', 4),
        ('\ufeff{"version": "2.0"}', 1),
    ],
)
def test_a_host_file_that_the_durable_package_does_not_read_is_named(
    start: Start, write: Write, host: str, line: int
) -> None:
    refused = refuse(start, write({"host.json": host, "function_app.py": HEAD}))
    assert (refused.file, refused.line) == ("host.json", line)
    assert "azure-functions-durable" in refused.message
    assert "comments, commas at the end" in refused.message


def test_json_of_the_app_itself_is_its_own_affair(start: Start, write: Write) -> None:
    refused = refuse(start, write({"function_app.py": HEAD + "import json\njson.loads('{,}')\n"}))
    assert (refused.file, refused.line) == ("function_app.py", 5)


def test_a_folder_without_an_app_is_refused(start: Start, write: Write) -> None:
    refused = refuse(start, write({}))
    assert "no function_app.py" in refused.message
    assert "no folder with a function.json" in refused.message


def test_a_folder_that_is_not_there_is_refused(start: Start, tmp_path: Path) -> None:
    assert "no folder" in refuse(start, tmp_path / "nowhere").message


def test_packages_that_are_not_installed_are_named(start: Start, write: Write) -> None:
    """The interpreter that runs the tests has neither."""
    root = write({"function_app.py": "import azure.functions as func\napp = func.FunctionApp()"})
    refused = refuse(start, root, python=Path(sys.executable))
    assert f"The package azure-functions is not installed for {sys.executable}" in refused.message
    assert "pip install -r requirements.txt" in refused.message


def test_the_durable_package_is_named_when_it_is_missing(start: Start, write: Write) -> None:
    """It is taken away by an import hook, as an environment without it would."""
    hook = """
    import sys
    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if name == "azure.durable_functions":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, Hidden())
    """
    app = "import hook\nimport azure.functions as func\nimport azure.durable_functions as df"
    refused = refuse(start, write({HOOK: hook, "function_app.py": app}))
    assert "The package azure-functions-durable is not installed" in refused.message
    assert (refused.file, refused.line) == ("function_app.py", 3)

    plain = """
    import hook
    import azure.functions as func
    app = func.FunctionApp()
    @app.activity_trigger(input_name="a")
    def activity(a): return a
    """
    refused = refuse(start, write({HOOK: hook, "function_app.py": plain}))
    assert "install `azure-functions-durable`" in refused.message
    assert (refused.file, refused.line) == ("function_app.py", 4)


def test_a_file_in_an_environment_inside_the_app_is_not_the_apps(
    start: Start, write: Write
) -> None:
    files = {
        ".python_packages/lib/site-packages/bad.py": "raise ImportError('broken package')",
        "function_app.py": "import azure.functions as func\nimport bad\n",
    }
    refused = refuse(start, write(files))
    assert "ImportError: broken package" in refused.message
    assert (refused.file, refused.line) == ("function_app.py", 2)
    assert "broken package" in refused.stack


def refuse(start: Start, root: Path, **options: Path) -> Refused:
    """What is said of an app; the worker ends then."""
    client = start(**options)
    refused = client.load(root)
    assert isinstance(refused, Refused), refused
    code, _, err = client.end()
    assert (code, err) == (1, "")
    return refused
