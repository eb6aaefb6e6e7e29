"""Where the store of an Azure Functions app is: beside its ``host.json``, from wherever it runs."""

import signal
import sys
from pathlib import Path

import pytest

from tests.support.served_apps import INTERPRETERS
from tests.support.terminal import Command, tenuto

if sys.platform == "win32":
    pytest.skip("workers of Azure Functions apps", allow_module_level=True)

APP = """
import azure.durable_functions as df

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def waits(context):
    yield context.wait_for_external_event("go")
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two apps, from which they are started."""
    for name, value in INTERPRETERS.items():
        monkeypatch.setenv(name, value)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "host.json").write_text('{"version": "2.0"}')
        (tmp_path / name / "function_app.py").write_text(APP)
    return tmp_path


def serving(home: Path, *words: str) -> Command:
    host = Command(home, "start", *words, "--port", "0")
    host.until("listening ")
    return host


def test_two_apps_that_are_started_from_one_folder_have_a_store_each(home: Path) -> None:
    with serving(home, "first") as first, serving(home, "second") as second:
        for name, host in (("first", first), ("second", second)):
            root = home / name
            shown = f"store          sqlite:///{root}/tenuto.db (beside host.json;"
            assert shown in host.out
            assert (root / "tenuto.db").exists()
            started = tenuto(root, "instances", "start", "waits", "--id", name)
            assert started.returncode == 0, started.stderr
            found = tenuto(root, "instances", "list")
            assert name in found.stdout
        assert not (home / "tenuto.db").exists()
        assert not (home / ".tenuto").exists()
        found = tenuto(home, "doctor", "--app", "first")
        assert f"{home}/first/tenuto.db, schema" in found.stdout, "it knows whose store it is"
        assert "is well" in found.stdout, "and finds the host on it"
        # Another start of the first: from a supervisor it would be tried again.
        refused = tenuto(home, "start", "first", "--port", "0")
        assert refused.returncode == 1
        assert f"the store '{home}/first/tenuto.db' is owned by another host" in refused.stderr
        for host in (first, second):
            host.send(signal.SIGTERM)
            assert host.end() == 0
        assert not (home / "first" / ".tenuto").exists(), "its note goes with it"


def test_a_store_that_is_chosen_is_where_it_was_said(home: Path) -> None:
    with serving(home, "first", "--storage", "sqlite:///mine.db") as host:
        assert "store          sqlite:///mine.db\n" in host.out
        assert (home / "mine.db").exists()
        assert not (home / "first" / "tenuto.db").exists()
        # Commands in the app's folder find the host all the same.
        started = tenuto(home / "first", "instances", "start", "waits", "--id", "b")
        assert started.returncode == 0, started.stderr
        found = tenuto(home / "first", "instances", "list")
        assert f"store sqlite:///{home}/mine.db" in found.stderr
    with serving(home / "first", ".") as host:
        assert "store          sqlite:///tenuto.db (the default;" in host.out


def test_a_store_in_memory_may_be_chosen_for_an_app_elsewhere(home: Path) -> None:
    with serving(home, "first", "--storage", "sqlite://") as host:
        assert "store          sqlite://\n" in host.out
