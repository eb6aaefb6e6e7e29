"""``tenuto azure check``: what in an app is not supported, said before anything of it runs."""

import json
from pathlib import Path

import pytest

from tenuto.cli.command import run_command_line
from tests.interop.azure_app.folders import environment, python_app, write
from tests.support.terminal import tenuto

SOURCE = """
import azure.functions as func

app = func.FunctionApp()


@app.route(route="start")
def start(req): ...


@app.cosmos_db_trigger(arg_name="message")
def orders(message): ...
"""


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNCTIONS_WORKER_RUNTIME", raising=False)


def check(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> tuple[str, str]:
    found = run_command_line(["azure", "check", *arguments])
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    return captured.out, captured.err


def test_an_app_of_which_all_is_supported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(tmp_path / ".venv", azure_functions="1.26.0")
    host = '{\n  "version": "2.0",\n  "extensionBundle": {}\n}'
    local = {"Values": {"AzureWebJobsStorage": "AccountKey=s3cret"}}
    monkeypatch.chdir(python_app(tmp_path, host=host, local=local))
    out, err = check(capsys, code=0)
    assert not err
    lines = [" ".join(one.split()) for one in out.splitlines()]
    assert lines[0] == str(tmp_path.resolve())
    for line in (
        "ok Python, programming model v2",
        "ok AzureWebJobsStorage",
        "ok host.json:2 version",
        "ignored host.json:3 extensionBundle",
        "-> there is nothing to download: what is served is built in",
        "ok azure-functions 1.26.0",
        "function_app.py:7 hello: httpTrigger, http",
        "functions, as far as the files tell (what code computes is not seen)",
        "nothing wrong that can be told without running the app; 1 function found",
    ):
        assert line in lines, line
    assert "s3cret" not in out


def test_what_is_not_supported_is_named_and_the_exit_code_says_so(tmp_path: Path) -> None:
    environment(tmp_path / ".venv", azure_functions="1.26.0")
    python_app(tmp_path, **{"function_app.py": SOURCE})
    done = tenuto(tmp_path.parent, "azure", "check", tmp_path.name)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    wrong = [" ".join(one.split()) for one in lines if one.startswith("  WRONG")]
    text = "function 'orders' has the binding cosmosDBTrigger, which is not served"
    assert wrong == [f"WRONG function_app.py:11 {text}"]
    assert lines[-1] == "1 wrong or not supported; 2 functions found"


def test_the_same_for_machines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    environment(tmp_path / ".venv", azure_functions="1.26.0")
    python_app(tmp_path, **{"function_app.py": SOURCE})
    out, _ = check(capsys, str(tmp_path), "--json", code=1)
    document = json.loads(out)
    assert document["folder"] == str(tmp_path.resolve())
    assert document["supported"] is False
    assert document["functionsAreGuessed"] is True
    assert document["functions"][0] == {
        "name": "start",
        "bindings": ["httpTrigger", "http"],
        "file": "function_app.py",
        "line": 7,
    }
    levels = {one["level"] for one in document["findings"]}
    assert levels == {"honoured", "not supported"}


def test_functions_of_the_first_model_are_told_exactly(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    environment(tmp_path / ".venv", azure_functions="1.26.0")
    bindings = [{"name": "x", "type": "activityTrigger", "direction": "in"}]
    files = {
        "host.json": {"version": "2.0"},
        "book/function.json": {"bindings": bindings},
        "book/__init__.py": "",
    }
    out, _ = check(capsys, str(write(tmp_path, files)), code=0)
    assert "\nfunctions\n           book/function.json  book: activityTrigger\n" in out


def test_an_app_that_cannot_be_run_here_is_said_to_be_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    package = {"dependencies": {"@azure/functions": "^3.0.0"}}
    out, _ = check(capsys, str(write(tmp_path, {"package.json": package})), code=1)
    assert "WRONG    a JavaScript app of the programming model v3 (@azure/functions 3)" in out
    assert "-> Tenuto runs the model v4: move to @azure/functions 4" in out
    assert "functions" not in out.splitlines()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no Azure Functions app"),
        (
            {"function_app.py": "", "host.json": '{\n  "version": 2.0\n'},
            "host.json:3:1: not valid JSON",
        ),
    ],
)
def test_what_is_no_app_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: dict[str, object], message: str
) -> None:
    _, err = check(capsys, str(write(tmp_path, files)), code=2)
    assert err.startswith("error TN-1105: ")
    assert message in err
