"""All that can be said of an app before anything of it runs."""

import os
from pathlib import Path

import pytest

from tenuto.interop.azure_app.folder.checking import AppReport, check_app
from tenuto.interop.azure_app.folder.findings import Level
from tests.interop.azure_app.folders import (
    environment,
    node_app,
    node_packages,
    node_that_says,
    python_app,
    write,
)


def unsupported(report: AppReport) -> list[str]:
    return [one.text for one in report.findings if one.level is Level.UNSUPPORTED]


def test_an_app_of_which_all_is_supported(tmp_path: Path) -> None:
    environment(tmp_path / ".venv", azure_functions="1.26.0")
    report = check_app(python_app(tmp_path), {})
    assert report.is_supported
    assert report.is_guess
    assert [one.name for one in report.functions] == ["hello"]
    assert {one.topic for one in report.findings} == {"app", "host.json", "interpreter", "packages"}


def test_an_app_in_another_language_is_not_supported(tmp_path: Path) -> None:
    report = check_app(write(tmp_path, {"host.json": {"version": "2.0"}, "pom.xml": ""}), {})
    assert unsupported(report) == ["an app in Java"]
    assert not report.is_supported


def test_what_is_wrong_is_told_all_at_once(tmp_path: Path) -> None:
    source = """
@app.schedule(arg_name="t", schedule="%Every%")
def tick(t): ...

@app.schedule(arg_name="t", schedule=EVERY)
def tock(t): ...

@app.schedule(arg_name="t", schedule="nonsense")
def tack(t): ...

@app.cosmos_db_trigger(arg_name="m")
def orders(m): ...

@app.activity_trigger("x")
def off(x): ...
"""
    host = {"version": "2.0", "customHandler": {}}
    root = python_app(tmp_path / "app", host=host, **{"function_app.py": source})
    bare = environment(root / ".venv")

    report = check_app(root, {"AzureWebJobs.off.Disabled": "1"})
    handler, interpreter, setting, *rest = unsupported(report)
    assert handler == "customHandler"
    assert interpreter.startswith(f"{bare.resolve()}/bin/python3 (the app's own .venv) is Python ")
    assert setting.startswith("function 'tick' has the setting 'Every' as schedule of its binding")
    assert rest == [
        "function 'tack' has a schedule that cannot be read",
        "function 'orders' has the binding cosmosDBTrigger, which is not served",
    ]
    assert [one.name for one in report.functions] == ["tick", "tock", "tack", "orders"]
    notes = [one.text for one in report.findings if one.level is Level.NOTE]
    assert notes == ["function 'off' is not run"]


def test_a_node_that_is_no_longer_maintained_is_a_note(tmp_path: Path) -> None:
    root = node_app(tmp_path / "app")
    node_packages(root, functions="4.0.0", durable="3.0.0")
    for version, level in (("20.1.0", Level.NOTE), ("24.0.0", Level.HONOURED)):
        node = node_that_says(tmp_path / version, version)
        report = check_app(root, {"PATH": f"{node.parent}:{os.environ['PATH']}"})
        assert report.is_supported
        (found,) = [one for one in report.findings if one.topic == "interpreter"]
        assert found.level is level
        assert found.text == f"Node.js {version} at {node} (node on the PATH)"


PLAIN = '{\n  "version": "2.0"\n}'
UNPLAIN = '{\n  "version": "2.0", // for ever\n}'
DURABLE = """
@app.activity_trigger(input_name="x")
def act(x): ...
"""
IMPORTS = "import azure.durable_functions as df\n"
HTTP = """
@app.route(route="x")
def x(req): ...
"""


@pytest.mark.parametrize(
    ("host", "source", "packages", "found"),
    [
        (UNPLAIN, DURABLE, {"azure_functions_durable": "1.7.0"}, (Level.UNSUPPORTED, 2)),
        ("\ufeff" + PLAIN, DURABLE, {"azure_functions_durable": "1.7.0"}, (Level.UNSUPPORTED, 1)),
        (UNPLAIN, HTTP, {"azure_functions_durable": "1.7.0"}, (Level.NOTE, 2)),
        (UNPLAIN, IMPORTS, {"azure_functions_durable": "1.7.0"}, (Level.UNSUPPORTED, 2)),
        (UNPLAIN, HTTP, {}, None),
        (PLAIN, DURABLE, {"azure_functions_durable": "1.7.0"}, None),
    ],
)
def test_a_host_file_that_the_durable_package_does_not_read_is_named(
    tmp_path: Path,
    host: str,
    source: str,
    packages: dict[str, str],
    found: tuple[Level, int] | None,
) -> None:
    environment(tmp_path / ".venv", azure_functions="1.26.0", **packages)
    root = python_app(tmp_path, host=host, **{"function_app.py": source})
    said = [
        (one.level, one.line)
        for one in check_app(root, {}).findings
        if one.file == "host.json" and "plain JSON" in one.text
    ]
    assert said == ([] if found is None else [found])


def test_a_javascript_app_may_have_comments_in_its_host_file(tmp_path: Path) -> None:
    root = node_app(tmp_path, host=UNPLAIN)
    node_packages(root, functions="4.0.0", durable="3.0.0")
    assert not [one for one in check_app(root).findings if "plain JSON" in one.text]
