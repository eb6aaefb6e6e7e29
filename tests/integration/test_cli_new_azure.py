"""``tenuto new --azure-js`` and ``--azure-python``: apps that load with the real packages."""

import json
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tenuto.cli.command import run_command_line
from tenuto.interop.azure_app.folder.app_folder import read_app_folder
from tenuto.interop.azure_app.folder.checking import check_app
from tenuto.interop.azure_app.folder.environment import environment_for
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_functions.command import worker_command
from tenuto.interop.workers.protocol import Datum, Loaded, Result
from tests.interop.node.node_worker import NODE, loaded_worker, with_packages
from tests.support.terminal import TENUTO, Program, tenuto
from tests.support.worker_client import WorkerClient

AZURE_PYTHON = Path(__file__).parents[2] / ".venvs" / "azure" / "bin" / "python"
BOTH = {
    ".funcignore",
    ".gitignore",
    ".vscode/extensions.json",
    ".vscode/launch.json",
    ".vscode/tasks.json",
    "README.md",
    "host.json",
    "local.settings.json",
}
PARCEL = {"number": "P-1", "street": "Elm Street 4"}


def made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str = "my parcels"
) -> Path:
    monkeypatch.chdir(folder)
    assert run_command_line(["new", option, name]) == 0
    return folder / name


def files_in(project: Path) -> set[str]:
    return {str(one.relative_to(project)) for one in project.rglob("*") if one.is_file()}


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def triggers(loaded: Loaded) -> Mapping[str, str]:
    return {one.name: one.trigger["type"] for one in loaded.functions}


def test_a_javascript_app_loads_and_its_activities_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = made(tmp_path, monkeypatch, "--azure-js")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  cd 'my parcels'",
        "  npm install",
        "  tenuto azure check",
        "  tenuto start .",
    ]
    assert files_in(project) == BOTH | {"package.json", "src/functions/parcels.js"}
    expected = {
        "startDelivery": "httpTrigger",
        "deliver": "orchestrationTrigger",
        "planRoute": "activityTrigger",
        "takeBack": "activityTrigger",
        "cleanDepot": "timerTrigger",
    }
    with_packages(project)
    report = check_app(project, {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"})
    assert [one for one in report.findings if one.level is not Level.HONOURED] == []
    assert {one.name: one.trigger["type"] for one in report.functions} == expected
    with loaded_worker(project) as (worker, loaded):
        assert triggers(loaded) == expected
        assert van_for_the_parcel(worker, loaded, "planRoute") == Datum(string="van 1")


def test_a_python_app_loads_and_its_activities_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = made(tmp_path, monkeypatch, "--azure-python")
    assert files_in(project) == BOTH | {"function_app.py", "requirements.txt"}
    expected = {
        "start_delivery": "httpTrigger",
        "deliver": "orchestrationTrigger",
        "plan_route": "activityTrigger",
        "take_back": "activityTrigger",
        "clean_depot": "timerTrigger",
    }
    setting = {"languageWorkers__python__defaultExecutablePath": str(AZURE_PYTHON)}
    report = check_app(project, {**setting, "PATH": os.environ["PATH"]})
    assert [one for one in report.findings if one.level is not Level.HONOURED] == []
    assert {one.name: one.trigger["type"] for one in report.functions} == expected
    app = read_app_folder(project, {"PATH": os.environ["PATH"]})
    variables = environment_for(app, "127.0.0.1:7071")
    with WorkerClient(worker_command(AZURE_PYTHON), variables) as worker:
        loaded = worker.load(project)
        assert isinstance(loaded, Loaded), loaded
        assert triggers(loaded) == expected
        assert van_for_the_parcel(worker, loaded, "plan_route") == Datum(json='"van 1"')


def van_for_the_parcel(worker: WorkerClient, loaded: Loaded, function: str) -> Datum | None:
    """What the activity that plans a route returns."""
    facts = next(one for one in loaded.functions if one.name == function)
    answer = worker.activity(function, facts.trigger["name"], json.dumps(PARCEL))
    assert isinstance(answer, Result), answer
    return answer.value


@pytest.mark.parametrize(
    ("option", "environment"),
    [
        ("--azure-js", {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}),
        ("--azure-python", {"languageWorkers__python__defaultExecutablePath": str(AZURE_PYTHON)}),
    ],
)
def test_a_new_app_runs_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, environment: dict[str, str]
) -> None:
    project = made(tmp_path, monkeypatch, option)
    if option == "--azure-js":
        with_packages(project)
    with Program(project, *TENUTO, "start", ".", "--port", "0", env=environment) as server:
        server.until("listening ")
        url = re.search(r"^listening +(\S+)", server.out, re.MULTILINE)
        assert url is not None
        started = httpx2.post(f"{url[1]}/api/deliveries", json=PARCEL)
        assert started.status_code == 202, started.text
        status = started.json()["statusQueryGetUri"]
        assert "taskHub=MyParcels" in status
        raised = tenuto(project, "instances", "raise-event", "P-1", "Signed", "--data", '"Ada"')
        assert raised.returncode == 0, raised.stderr
        watched = tenuto(project, "instances", "watch", "P-1")
        assert watched.returncode == 0, watched.stderr
        assert watched.stdout.splitlines()[-1] == '"P-1 was signed for by Ada"'
        done = httpx2.get(status).json()
        assert done["runtimeStatus"] == "Completed"
        assert done["customStatus"] == "on van 1"


@pytest.mark.parametrize(
    ("option", "runtime", "port"),
    [("--azure-js", "node", 9229), ("--azure-python", "python", 9091)],
)
def test_vs_code_starts_the_app_and_attaches_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, runtime: str, port: int
) -> None:
    project = made(tmp_path, monkeypatch, option)
    (attach,) = document(project / ".vscode/launch.json")["configurations"]
    assert attach["request"] == "attach"
    assert port in {attach.get("port"), attach.get("connect", {}).get("port")}
    assert attach["name"] == "Attach to my parcels"
    tasks = {one["label"]: one for one in document(project / ".vscode/tasks.json")["tasks"]}
    start = tasks[attach["preLaunchTask"]]
    assert start["command"] == f"tenuto start . --inspect {port}"
    assert start["isBackground"] is True
    assert start["dependsOn"] in tasks
    assert document(project / ".vscode/extensions.json")["recommendations"]
    app = read_app_folder(project, {})
    assert app.settings.get("FUNCTIONS_WORKER_RUNTIME") == runtime
    assert app.kind.language == runtime
    assert app.local.port == 7071


@pytest.mark.parametrize(
    ("name", "hub", "package"),
    [
        ("my parcels", "MyParcels", "my_parcels"),
        ("2nd try", "Hub2NdTry", "2nd_try"),
        ("Überseekisten", "Berseekisten", "berseekisten"),
        ("日本", "Hub", "tenuto"),
        ("x" * 100, "X" + "x" * 41, "x" * 100),
    ],
)
def test_what_a_project_is_called_makes_names_that_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hub: str, package: str
) -> None:
    project = made(tmp_path, monkeypatch, "--azure-js", name)
    assert read_app_folder(project, {}).host.durable.hub_name == hub
    assert document(project / "package.json")["name"] == package
    assert (project / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")


def test_nothing_is_left_to_be_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in ("--azure-js", "--azure-python"):
        project = made(tmp_path, monkeypatch, option, option.removeprefix("--"))
        for path in files_in(project):
            text = (project / path).read_text(encoding="utf-8")
            assert "{{" not in text, path
            assert text.endswith("\n"), path


def test_a_project_is_of_one_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["new", "--azure-js", "--azure-python", "parcels"]) == 2
    assert "give --azure-js or --azure-python, not both" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_project_that_is_there_is_filled_and_its_files_are_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".vscode").mkdir()
    (tmp_path / ".vscode/launch.json").write_text("mine")
    assert run_command_line(["new", "--azure-js", "--here"]) == 2
    assert ".vscode/launch.json would be overwritten" in capsys.readouterr().err
    assert files_in(tmp_path) == {".vscode/launch.json"}
    (tmp_path / ".vscode/launch.json").unlink()
    assert run_command_line(["new", "--azure-js", "--here"]) == 0
    assert files_in(tmp_path) > BOTH


def test_in_an_empty_folder_no_name_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "parcels"
    (empty / ".git").mkdir(parents=True)
    monkeypatch.chdir(empty)
    assert run_command_line(["new", "--azure-python"]) == 0
    assert (empty / "host.json").exists()
    assert '"hubName": "Parcels"' in (empty / "host.json").read_text()
    assert run_command_line(["new", "--azure-js"]) == 2
    assert "name the project, or give --here" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--azure-js", "--azure-python"])
def test_what_a_host_keeps_is_neither_committed_nor_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    project = made(tmp_path, monkeypatch, option)
    for name in (".gitignore", ".funcignore"):
        lines = (project / name).read_text().splitlines()
        for kept in ("tenuto.db", "tenuto.db-wal", "tenuto.db.owner", "tenuto.db.crash", ".tenuto"):
            assert any(fnmatch(kept, line.rstrip("/")) for line in lines), (name, kept)
    assert "https://pypi.org" not in (project / "README.md").read_text(), "it is not there yet"
