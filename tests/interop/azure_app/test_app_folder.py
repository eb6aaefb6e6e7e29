"""The folder of an Azure Functions app says what it is, or why it cannot be run."""

from pathlib import Path

import pytest

from tenuto.interop.azure_app.folder.app_folder import (
    UnsupportedApp,
    examine_app_folder,
    is_app_folder,
    read_app_folder,
)
from tenuto.interop.azure_app.folder.environment import environment_for
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.languages import Language
from tenuto.model.errors import AppLoadError
from tests.interop.azure_app.folders import NODE_PACKAGE, node_app, python_app, read, write


def function_json(script: str | None = None) -> dict[str, object]:
    content: dict[str, object] = {"bindings": []}
    return content if script is None else {**content, "scriptFile": script}


HOST: dict[str, object] = {"host.json": {"version": "2.0"}}


# --- what it is ---------------------------------------------------------------------------------


def test_a_script_in_the_folder_is_a_python_app(tmp_path: Path) -> None:
    kind = read(python_app(tmp_path)).kind
    assert (kind.language, kind.model, kind.script) == (Language.PYTHON, "v2", "function_app.py")
    assert str(kind) == "Python, programming model v2"


def test_the_script_may_have_another_name(tmp_path: Path) -> None:
    write(tmp_path, HOST | {"travel.py": ""})
    assert read(tmp_path, PYTHON_SCRIPT_FILE_NAME="travel.py").kind.script == "travel.py"
    with pytest.raises(AppLoadError, match=r"no file 'other.py' in .* PYTHON_SCRIPT_FILE_NAME"):
        read(tmp_path, PYTHON_SCRIPT_FILE_NAME="other.py")


@pytest.mark.parametrize(
    ("script", "files"),
    [("main.py", {}), (None, {"hello/__init__.py": ""}), ("../shared/hello.py", {})],
)
def test_folders_of_functions_are_a_python_app_of_the_first_model(
    tmp_path: Path, script: str | None, files: dict[str, object]
) -> None:
    write(tmp_path, HOST | {"hello/function.json": function_json(script)} | files)
    kind = read(tmp_path).kind
    assert (kind.language, kind.model) == (Language.PYTHON, "v1")


def test_a_package_that_names_azure_functions_is_a_javascript_app(tmp_path: Path) -> None:
    kind = read(node_app(tmp_path)).kind
    assert (kind.language, kind.model, kind.main) == (Language.NODE, "v4", "src/functions/*.js")
    assert str(kind) == "JavaScript, programming model v4"


@pytest.mark.parametrize("wanted", ["latest", "file:../functions", "^4.0.0", "4", "*", "~4.1"])
def test_a_version_that_says_no_number_is_taken_as_it_is(tmp_path: Path, wanted: str) -> None:
    package = {"dependencies": {"@azure/functions": wanted}}
    assert read(node_app(tmp_path, **{"package.json": package})).kind.main == ""


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"package.json": {"dependencies": {"@azure/functions": "^3.5.1"}}}, "@azure/functions 3"),
        ({"package.json": {"dependencies": {"durable-functions": "2.1.3"}}}, "durable-functions 2"),
        ({"hello/function.json": function_json("index.js")}, "v3 (folders with function.json)"),
        ({"hello/function.json": function_json(), "hello/index.js": ""}, "function.json"),
        (
            {
                "hello/function.json": function_json("../dist/hello/index.js"),
                "package.json": {"devDependencies": {"@azure/functions": "latest"}},
            },
            "a JavaScript app of the programming model v3",
        ),
        (
            {"hello/function.json": function_json("index.js"), "package.json": {}},
            "v3 (folders with function.json)",
        ),
        ({"App.csproj": "<Project/>"}, "an app in .NET"),
        ({"pom.xml": "<project/>"}, "an app in Java"),
        ({"hello/function.json": function_json(), "hello/run.ps1": ""}, "an app in PowerShell"),
        ({"hello/function.json": function_json(), "hello/run.csx": ""}, "an app in .NET"),
    ],
)
def test_other_apps_are_refused_by_name(
    tmp_path: Path, files: dict[str, object], text: str
) -> None:
    write(tmp_path, HOST | files)
    found = examine_app_folder(tmp_path, {})
    assert isinstance(found, UnsupportedApp)
    assert text in found.finding.text
    assert found.finding.level is Level.UNSUPPORTED
    with pytest.raises(AppLoadError) as refused:
        read(tmp_path)
    assert text in str(refused.value)
    assert found.finding.advice in str(refused.value)


def test_the_runtime_alone_tells_an_app_in_another_language(tmp_path: Path) -> None:
    write(tmp_path, HOST)
    with pytest.raises(AppLoadError, match="an app in another language"):
        read(tmp_path, FUNCTIONS_WORKER_RUNTIME="custom")


def test_a_folder_of_both_kinds_needs_the_runtime(tmp_path: Path) -> None:
    node_app(python_app(tmp_path))
    with pytest.raises(AppLoadError, match="both a Python and a JavaScript app"):
        read(tmp_path)
    assert read(tmp_path, FUNCTIONS_WORKER_RUNTIME="node").kind.language is Language.NODE
    assert read(tmp_path, FUNCTIONS_WORKER_RUNTIME="Python").kind.language is Language.PYTHON


def test_a_runtime_that_does_not_fit_is_a_note(tmp_path: Path) -> None:
    """A variable that was left in a shell does not keep an app from running."""
    found = read(python_app(tmp_path), FUNCTIONS_WORKER_RUNTIME="node")
    assert found.kind.language is Language.PYTHON
    notes = [one.text for one in found.findings if one.level is Level.NOTE]
    assert notes == ["FUNCTIONS_WORKER_RUNTIME names another language"]


def test_an_app_without_a_host_file_runs_with_its_defaults(tmp_path: Path) -> None:
    write(tmp_path, {"function_app.py": ""})
    found = read(tmp_path)
    assert found.host.http.route_prefix == "api"
    assert [one.text for one in found.findings if one.level is Level.NOTE] == [
        "there is no host.json: its defaults are in force"
    ]


def test_a_folder_without_an_app_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(AppLoadError, match="holds no Azure Functions app: there is neither"):
        read(tmp_path)
    with pytest.raises(AppLoadError, match="is not there"):
        read(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(AppLoadError, match="is not a folder"):
        read(tmp_path / "file")


def test_a_folder_looks_like_an_app_or_does_not(tmp_path: Path) -> None:
    assert not is_app_folder(tmp_path)
    assert not is_app_folder(tmp_path / "nowhere")
    assert is_app_folder(write(tmp_path / "one", HOST))
    assert is_app_folder(write(tmp_path / "two", {"function_app.py": ""}))
    assert is_app_folder(write(tmp_path / "three", {"package.json": NODE_PACKAGE}))


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("{", "package.json:1:2: not valid JSON"),
        ("[]", "package.json: it must hold a JSON object"),
        ({"dependencies": []}, "package.json: dependencies must be an object"),
        ({**NODE_PACKAGE, "main": 1}, "package.json: main must be the name of a file"),
    ],
)
def test_a_package_file_that_is_wrong_is_refused(
    tmp_path: Path, package: object, message: str
) -> None:
    with pytest.raises(AppLoadError, match=message):
        read(node_app(tmp_path, **{"package.json": package}))


# --- workers and their environment --------------------------------------------------------------


def test_workers_and_threads_are_settings_with_bounds(tmp_path: Path) -> None:
    python_app(tmp_path)
    assert (read(tmp_path).workers, read(tmp_path).threads) == (1, None)
    found = read(tmp_path, FUNCTIONS_WORKER_PROCESS_COUNT="10", PYTHON_THREADPOOL_THREAD_COUNT="32")
    assert (found.workers, found.threads) == (10, 32)
    for value in ("0", "11", "four", "-1", "²"):
        with pytest.raises(AppLoadError) as refused:
            read(tmp_path, FUNCTIONS_WORKER_PROCESS_COUNT=value)
        message = "setting FUNCTIONS_WORKER_PROCESS_COUNT must be a number from 1 to 10"
        assert str(refused.value) == message
    with pytest.raises(AppLoadError, match="THREAD_COUNT must be a number from 1 to 32"):
        read(tmp_path, PYTHON_THREADPOOL_THREAD_COUNT="33")


def test_a_worker_gets_the_settings_and_what_packages_look_for(tmp_path: Path) -> None:
    local = {"Values": {"Greeting": "hello", "FUNCTIONS_WORKER_RUNTIME": "python"}}
    app = read(python_app(tmp_path, local=local), PATH="/bin", PYTHONUNBUFFERED="0")
    assert environment_for(app, "127.0.0.1:7071") == {
        "PATH": "/bin",
        "Greeting": "hello",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "AzureWebJobsScriptRoot": str(tmp_path.resolve()),
        "WEBSITE_HOSTNAME": "127.0.0.1:7071",
        "PYTHONUNBUFFERED": "0",
        "PYTHONIOENCODING": "utf-8",
    }


def test_the_app_is_run_as_what_it_is(tmp_path: Path) -> None:
    app = read(node_app(tmp_path), FUNCTIONS_WORKER_RUNTIME="python")
    variables = environment_for(app, "127.0.0.1:7071")
    assert variables["FUNCTIONS_WORKER_RUNTIME"] == "node"
    assert "PYTHONUNBUFFERED" not in variables


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "[::]", "::", ""])
def test_an_address_that_means_all_of_them_is_not_told(tmp_path: Path, everywhere: str) -> None:
    app = read(python_app(tmp_path))
    found = environment_for(app, f"{everywhere}:8080")["WEBSITE_HOSTNAME"]
    assert found == "localhost:8080"


def test_keys_of_the_host_are_not_handed_to_the_app(tmp_path: Path) -> None:
    local = {"Values": {"TENUTO_HTTP_KEY": "the app's own"}}
    app = read(
        python_app(tmp_path, local=local),
        TENUTO_HTTP_KEY="of the host",
        TENUTO_HTTP_KEYS="{}",
    )
    variables = environment_for(app, "127.0.0.1:7071")
    assert variables["TENUTO_HTTP_KEY"] == "the app's own"
    assert "TENUTO_HTTP_KEYS" not in variables


def test_the_environment_of_the_process_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNCTIONS_WORKER_PROCESS_COUNT", "3")
    assert read_app_folder(python_app(tmp_path)).workers == 3
