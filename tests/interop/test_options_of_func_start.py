"""What people give to ``func start``, and what apps say of their interpreter, holds here too."""

import sys
from pathlib import Path

import pytest

from tests.support.azure_programs import NODE_PACKAGES
from tests.support.json_requests import ask
from tests.support.ports import held_port
from tests.support.served_apps import INTERPRETERS
from tests.support.terminal import Command, tenuto

if sys.platform == "win32":
    pytest.skip("workers of Azure Functions apps", allow_module_level=True)

PYTHON = """
import sys
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="options")
def options(req: func.HttpRequest) -> str:
    return str(sys.flags.utf8_mode)
"""
NODE = """
const { app } = require('@azure/functions');
app.http('options', {
    authLevel: 'anonymous',
    handler: () => ({ jsonBody: process.execArgv.join(' ') }),
});
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in INTERPRETERS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(PYTHON)
    return tmp_path


def test_port_and_origins_are_given_as_to_func(folder: Path) -> None:
    with held_port() as port:
        pass
    origins = "https://a.example/, http://localhost:3000"
    with Command(folder, "start", ".", "-p", str(port), "--cors", origins) as host:
        host.until(f"listening      http://127.0.0.1:{port} ")
        host.until('"function_origins":["https://a.example","http://localhost:3000"]')


def test_a_wrong_origin_is_refused(folder: Path) -> None:
    found = tenuto(folder, "start", ".", "--port", "0", "--cors", "a.example")
    assert found.returncode == 2
    assert "setting http.function_origins cannot hold 'a.example'" in found.stderr


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("languageWorkers__python__arguments", "-X utf8=1", b"1"),
        ("languageWorkers:python:arguments", "'-X' 'utf8=0'", b"0"),
    ],
)
def test_python_gets_the_options_that_the_app_wants(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: str, said: bytes
) -> None:
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv(name, given)
    assert answer_of(folder) == said.decode()


def test_node_gets_the_options_that_the_app_wants(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "function_app.py").unlink()
    package = '{"main": "a.js", "dependencies": {"@azure/functions": "^4"}}'
    (folder / "package.json").write_text(package)
    (folder / "a.js").write_text(NODE)
    (folder / "node_modules").symlink_to(NODE_PACKAGES)
    monkeypatch.setenv("languageWorkers__node__arguments", "--max-old-space-size=256 --no-warnings")
    assert answer_of(folder) == "--max-old-space-size=256 --no-warnings"


def test_options_that_cannot_be_read_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("languageWorkers__python__arguments", "-X 'utf8")
    found = tenuto(folder, "start", ".", "--port", "0")
    assert found.returncode == 2
    assert "setting languageWorkers:python:arguments cannot be read" in found.stderr


@pytest.mark.parametrize("name", ["function_app.py", "host.json"])
def test_who_names_a_file_of_an_app_is_told_to_name_its_folder(folder: Path, name: str) -> None:
    for place, where, root in ((folder, name, "."), (folder.parent, f"{folder.name}/{name}", "")):
        found = tenuto(place, "start", where, "--port", "0")
        assert found.returncode == 2
        words = f"name its folder: tenuto start {root or folder.name}"
        assert words in found.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nothing", "the app has no function 'nothing'; it has options"),
        ("option", "the app has no function 'option'; did you mean 'options'? It has options"),
        ("OPTIONS", "function 'OPTIONS' is switched off by a setting"),
    ],
)
def test_a_function_that_cannot_be_chosen_is_told_beside_those_that_are_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: str, words: str
) -> None:
    monkeypatch.setenv("AzureWebJobs.options.Disabled", "true")
    found = tenuto(folder, "start", ".", "--port", "0", "--functions", given)
    assert found.returncode == 2
    assert words in found.stderr


def answer_of(folder: Path) -> str:
    with Command(folder, "start", ".", "--port", "0", "--storage", "sqlite://") as host:
        host.until("listening ")
        url = host.out.rpartition("listening")[2].split()[0]
        status, answer = ask("GET", f"{url}/api/options")
        assert status == 200
        return str(answer)
