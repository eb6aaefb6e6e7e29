"""The interpreter of an app is found where its packages are, or one error says what to do."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tenuto.interop.azure_app.folder.app_folder import AppFolder
from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.interpreters import find_interpreter
from tenuto.interop.azure_app.folder.packages import check_packages
from tenuto.interop.azure_app.folder.patterns import files_of_pattern
from tenuto.model.errors import AppLoadError
from tests.interop.azure_app.folders import (
    NODE_PACKAGE,
    environment,
    installed,
    node_app,
    node_packages,
    node_that_says,
    program,
    python_app,
    read,
    write,
)

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node on this machine")


def refusal(app: AppFolder) -> str:
    with pytest.raises(AppLoadError) as refused:
        find_interpreter(app)
    return str(refused.value)


# --- Python -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".venv", "venv", "env"])
def test_an_app_is_run_by_its_own_environment(tmp_path: Path, name: str) -> None:
    environment(
        tmp_path / name,
        azure_functions="1.26.0", azure_functions_durable="1.7.0", debugpy="1.8.1"
    )  # fmt: skip
    found = find_interpreter(read(python_app(tmp_path), PATH="/nowhere"))
    assert found.path == tmp_path / name / "bin" / "python3"
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert found.found_by == f"the app's own {name}"
    assert found.packages == {
        "azure-functions": "1.26.0",
        "azure-functions-durable": "1.7.0",
        "debugpy": "1.8.1",
    }


def test_an_environment_of_the_app_without_the_package_is_not_passed_over(tmp_path: Path) -> None:
    environment(tmp_path / ".venv")
    other = environment(tmp_path / "other", azure_functions="1.26.0")
    app = read(python_app(tmp_path), VIRTUAL_ENV=str(other))
    said = refusal(app)
    assert "has no package azure-functions; run " in said
    assert f"-m pip install -r {tmp_path.resolve() / 'requirements.txt'}" in said


def test_packages_that_were_deployed_with_the_app_are_found(tmp_path: Path) -> None:
    environment(tmp_path / ".venv")
    installed(tmp_path / ".python_packages/lib/site-packages", azure_functions="1.20.0")
    found = find_interpreter(read(python_app(tmp_path)))
    assert found.packages == {"azure-functions": "1.20.0"}


def test_else_the_active_environment_and_the_path_are_looked_at(tmp_path: Path) -> None:
    app_root = python_app(tmp_path / "app")
    full = environment(tmp_path / "full", azure_functions="1.26.0")
    bare = environment(tmp_path / "bare")
    active = find_interpreter(read(app_root, VIRTUAL_ENV=str(full), PATH=f"{bare}/bin"))
    assert (active.path, active.found_by) == (full / "bin/python3", "VIRTUAL_ENV")
    on_path = find_interpreter(read(app_root, VIRTUAL_ENV=str(bare), PATH=f"{full}/bin"))
    assert (on_path.path, on_path.found_by) == (full / "bin/python3", "python3 on the PATH")


def test_no_python_with_the_package_names_all_that_were_looked_at(tmp_path: Path) -> None:
    bare = environment(tmp_path / "bare")
    said = refusal(read(python_app(tmp_path / "app"), PATH=f"{bare}/bin", VIRTUAL_ENV="/nowhere"))
    assert f"{bare}/bin/python3 (Python {sys.version_info[0]}." in said
    assert sys.executable in said
    assert "python3 -m venv .venv" in said


def test_a_python_on_the_path_that_cannot_be_run_is_passed_over(tmp_path: Path) -> None:
    broken = program(tmp_path / "bin/python", "exit 3")
    full = environment(tmp_path / "full", azure_functions="1.26.0")
    app_root = python_app(tmp_path / "app")
    assert f"{broken} (cannot be run)" in refusal(read(app_root, PATH=str(broken.parent)))
    broken.with_name("python3").symlink_to(full / "bin/python3")
    path = {"PATH": str(broken.parent), "VIRTUAL_ENV": str(full)}
    assert find_interpreter(read(app_root, **path)).found_by == "VIRTUAL_ENV"


def test_a_setting_names_the_python(tmp_path: Path) -> None:
    chosen = environment(tmp_path / "chosen", azure_functions="1.26.0") / "bin" / "python"
    environment(tmp_path / "app" / ".venv", azure_functions="1.0.0")
    app_root = python_app(tmp_path / "app")
    for name in (
        "languageWorkers:python:defaultExecutablePath",
        "languageWorkers__python__defaultExecutablePath",
    ):
        found = find_interpreter(read(app_root, **{name: str(chosen)}))
        assert found.path == chosen
    said = refusal(read(app_root, languageWorkers__python__defaultExecutablePath="s3cret"))
    expected = (
        "setting languageWorkers:python:defaultExecutablePath names no program that can be run"
    )
    assert said == expected


def test_the_app_itself_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its modules nor its packages: what they do at import is theirs to do later."""
    environment(tmp_path / ".venv", azure_functions="1.26.0")
    write(python_app(tmp_path), {"json.py": "raise RuntimeError('imported')"})
    monkeypatch.chdir(tmp_path)
    assert find_interpreter(read(tmp_path)).packages == {"azure-functions": "1.26.0"}


def test_a_python_that_is_too_old_is_refused(tmp_path: Path) -> None:
    answer = '{"version": "3.8.18", "packages": {}, "has_functions": true}'
    program(tmp_path / ".venv/bin/python3", f"echo '{answer}'")
    said = refusal(read(python_app(tmp_path), PATH=os.environ["PATH"]))
    assert "is Python 3.8.18; the app needs 3.9 or newer" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo nonsense", "cannot be run: it does not answer as such a program does"),
        ("echo first >&2; echo last >&2; exit 3", "cannot be run: last"),
        ("exit 3", "cannot be run: it ended with exit code 3"),
    ],
)
def test_a_program_that_is_no_python_is_refused(tmp_path: Path, text: str, message: str) -> None:
    program(tmp_path / ".venv/bin/python3", text)
    assert message in refusal(read(python_app(tmp_path), PATH=os.environ["PATH"]))


def test_a_program_that_cannot_be_started_is_refused(tmp_path: Path) -> None:
    program(tmp_path / ".venv/bin/python3", "").chmod(0o644)
    assert "cannot be run: Permission denied" in refusal(read(python_app(tmp_path)))


def test_a_program_that_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.interop.azure_app.folder.interpreters._PATIENCE_SECONDS", 0.2)
    program(tmp_path / ".venv/bin/python3", "exec sleep 60")
    said = refusal(read(python_app(tmp_path), PATH=os.environ["PATH"]))
    assert "did not answer within 0.2 seconds" in said


# --- Node ---------------------------------------------------------------------------------------


@needs_node
def test_node_is_found_on_the_path(tmp_path: Path) -> None:
    found = find_interpreter(read(node_app(tmp_path), PATH=os.environ["PATH"]))
    assert (str(found.path), found.found_by) == (NODE, "node on the PATH")
    assert found.numbers[0] >= 20


def test_a_setting_names_the_node(tmp_path: Path) -> None:
    node = node_that_says(tmp_path / "bin", "22.11.0")
    setting = {"languageWorkers:node:defaultExecutablePath": str(node)}
    found = find_interpreter(read(node_app(tmp_path / "app"), **setting))
    assert (found.path, found.version) == (node, "22.11.0")


def test_no_node_says_what_to_install(tmp_path: Path) -> None:
    said = refusal(read(node_app(tmp_path), PATH=str(tmp_path)))
    assert "there is no node on the PATH; install Node.js 22 or newer" in said


def test_a_node_that_is_too_old_says_which_and_where(tmp_path: Path) -> None:
    node = node_that_says(tmp_path / "bin", "18.20.4")
    said = refusal(read(node_app(tmp_path / "app"), PATH=str(node.parent)))
    assert said == (
        f"{node} (node on the PATH) is Node.js 18.20.4; the app needs 20 or newer, better 22"
    )


# --- packages -----------------------------------------------------------------------------------


def said_of_packages(root: Path, folder: Path) -> list[tuple[Level, str]]:
    node = node_that_says(folder / "bin", "22.11.0")
    app = read(root, PATH=str(node.parent))
    return [(one.level, one.text) for one in check_packages(app, find_interpreter(app))]


def test_packages_of_node_are_found_where_node_finds_them(tmp_path: Path) -> None:
    node_packages(tmp_path, functions="4.16.5")
    root = node_app(tmp_path / "apps" / "travel")
    node_packages(root, durable="3.5.0")
    assert said_of_packages(root, tmp_path) == [
        (Level.HONOURED, "@azure/functions 4.16.5"),
        (Level.HONOURED, "durable-functions 3.5.0"),
    ]


def test_packages_that_are_missing_or_old_are_refused(tmp_path: Path) -> None:
    root = node_app(tmp_path / "app")
    assert said_of_packages(root, tmp_path) == [
        (Level.UNSUPPORTED, "@azure/functions is not installed"),
        (Level.UNSUPPORTED, "durable-functions is not installed"),
    ]
    node_packages(root, functions="3.5.1", durable="2.1.3")
    assert said_of_packages(root, tmp_path) == [
        (Level.UNSUPPORTED, "@azure/functions 3.5.1"),
        (Level.UNSUPPORTED, "durable-functions 2.1.3"),
    ]


def test_an_app_without_durable_functions_needs_no_such_package(tmp_path: Path) -> None:
    package = {"main": "src/functions/*.js", "dependencies": {"@azure/functions": "^4"}}
    root = node_app(tmp_path / "app", **{"package.json": package})
    node_packages(root, functions="4.0.0")
    assert said_of_packages(root, tmp_path) == [(Level.HONOURED, "@azure/functions 4.0.0")]


@pytest.mark.parametrize(
    ("main", "files", "text", "advice"),
    [
        (None, {}, "package.json has no main", "name the files"),
        ("dist/*.js", {}, "main of package.json is 'dist/*.js', and there is no such", "correct"),
        ("dist/*.js", {"tsconfig.json": "{}"}, "there is no such file", "npm run build"),
    ],
)
def test_what_main_names_has_to_be_there(
    tmp_path: Path, main: str | None, files: dict[str, object], text: str, advice: str
) -> None:
    package = {name: value for name, value in NODE_PACKAGE.items() if name != "main"}
    if main is not None:
        package["main"] = main
    root = node_app(tmp_path / "app", **{"package.json": package}, **files)
    node_packages(root, functions="4.0.0", durable="3.0.0")
    app = read(root, PATH=str(node_that_says(tmp_path / "bin", "22.0.0").parent))
    (found,) = [
        one for one in check_packages(app, find_interpreter(app)) if one.level is Level.UNSUPPORTED
    ]
    assert text in found.text
    assert advice in found.advice


def test_the_package_for_streams_in_python_is_honoured(tmp_path: Path) -> None:
    streams = {"azurefunctions_extensions_http_fastapi": "1.0.1"}
    environment(tmp_path / ".venv", azure_functions="1.26.0", **streams)
    app = read(python_app(tmp_path))
    _, found = check_packages(app, find_interpreter(app))
    assert found.level is Level.HONOURED
    assert found.text == "azurefunctions-extensions-http-fastapi 1.0.1"


def test_the_second_durable_package_of_python_is_a_note(tmp_path: Path) -> None:
    environment(tmp_path / ".venv", azure_functions="2.0.0", azure_functions_durable="2.0.0rc3")
    app = read(python_app(tmp_path))
    found = check_packages(app, find_interpreter(app))
    assert [(one.level, one.text) for one in found] == [
        (Level.HONOURED, "azure-functions 2.0.0"),
        (
            Level.NOTE,
            "azure-functions-durable 2.0.0rc3 has another protocol, which is not served yet",
        ),
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("src/index.js", ["src/index.js"]),
        ("./src/index.js", ["src/index.js"]),
        ("src/functions/*.js", ["src/functions/a.js", "src/functions/b.js"]),
        ("src/**/*.js", ["src/functions/a.js", "src/functions/b.js", "src/index.js"]),
        (
            "src/{index.js,functions/{a,b}.js}",
            ["src/functions/a.js", "src/functions/b.js", "src/index.js"],
        ),
        ("src/functions", []),
        ("../*.js", []),
        ("", []),
    ],
)
def test_patterns_mean_files(tmp_path: Path, pattern: str, names: list[str]) -> None:
    root = tmp_path / "app"
    here = ("src/index.js", "src/functions/a.js", "src/functions/b.js", "src/c.ts", "../out.js")
    write(root / "made", {})
    root.mkdir(exist_ok=True)
    write(root, dict.fromkeys(here, ""))
    assert [str(one.relative_to(root)) for one in files_of_pattern(root, pattern)] == names
