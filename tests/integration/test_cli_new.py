"""``tenuto new``: what it makes passes its own test and runs; nothing is overwritten."""

import json
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tenuto.cli.command import run_command_line
from tests.support.terminal import Command, environment, tenuto

FILES = {
    ".gitignore",
    "README.md",
    "app.py",
    "conftest.py",
    "pytest.ini",
    "requirements.txt",
    "tenuto.toml",
    "test_app.py",
}


def command(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    found = run_command_line(["new", *arguments])
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    return captured.out, captured.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_project_passes_its_own_test_and_runs(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    out, _ = command(capsys, "my parcels")
    project = folder / "my parcels"
    assert {one.name for one in project.iterdir()} == FILES
    assert out.splitlines()[1:] == [
        "  cd 'my parcels'",
        "  pip install -r requirements.txt",
        "  pytest",
        "  tenuto start app.py",
    ]
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "2 passed" in tests.stdout
    given = '{"parcel": "P-1", "street": "Elm Street 4"}'
    with Command(project, "run", "app.py:deliver", "--input", given, "--id", "P-1") as run:
        run.until("event 'Signed'")
        done = tenuto(project, "instances", "raise-event", "P-1", "Signed", "--data", '"Ada"')
        assert done.returncode == 0, done.stderr
        assert run.end() == 0
        assert run.out.splitlines()[-1] == '"P-1 was signed for by Ada"'
    assert (project / "my_parcels.db").is_file(), "the settings are in force"


def test_the_settings_of_a_new_project_are_the_defaults_and_known(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each commented line, taken in, is one that Tenuto knows."""
    command(capsys, "orders")
    monkeypatch.chdir(folder / "orders")
    path = Path("tenuto.toml")
    lines = [
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines))
    assert run_command_line(["config", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    own = {key: one["source"] for key, one in found.items() if one["source"] != "default"}
    assert set(own.values()) == {"tenuto.toml"}
    assert {"storage", "http.port", "http.keys", "limits.payload_bytes", "log_format"} <= set(own)


def test_a_folder_that_is_there_is_left_alone(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "orders").mkdir()
    _, err = command(capsys, "orders", code=2)
    assert err.startswith("error TN-1100: 'orders' is there already; nothing was written")
    assert list((folder / "orders").iterdir()) == []


def test_here_fills_this_folder_unless_a_file_would_be_overwritten(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = folder / "orders"
    orders.mkdir()
    monkeypatch.chdir(orders)
    (orders / "app.py").write_text("mine")
    _, err = command(capsys, "--here", code=2)
    assert "app.py would be overwritten" in err
    assert [one.name for one in orders.iterdir()] == ["app.py"]
    (orders / "app.py").unlink()
    out, _ = command(capsys, "--here", "--json")
    assert set(json.loads(out)["files"]) == FILES
    assert (orders / "README.md").read_text().startswith("# orders\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the project, or give --here"),
        (["a/b"], "a project cannot be called 'a/b'"),
        ([".."], "a project cannot be called '..'"),
        ([""], "a project cannot be called ''"),
    ],
)
def test_bad_input_is_refused_whole(
    capsys: pytest.CaptureFixture[str], folder: Path, arguments: list[str], message: str
) -> None:
    _, err = command(capsys, *arguments, code=2)
    assert message in err
    assert list(folder.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_clear_error(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    _, err = command(capsys, "orders", code=2)
    assert err.startswith("error TN-1100: the project cannot be written to 'orders'")


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "tenuto>=0"),
        ('{"url": "file:///src/tenuto", "dir_info": {"editable": true}}', "tenuto @ file:///src"),
        (
            '{"url": "https://x.org/t", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "tenuto @ git+https://x.org/t@abc",
        ),
    ],
)
def test_a_new_project_asks_for_the_tenuto_that_made_it(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    origin: str | None,
    requirement: str,
) -> None:
    """Tenuto is on no index yet: its bare name would install nothing, or something else."""
    monkeypatch.setattr(PathDistribution, "read_text", lambda _self, _name: origin)
    monkeypatch.setattr("tenuto.cli.new.version", lambda _name: "0.1.0")
    command(capsys, "orders")
    first, *_ = (folder / "orders" / "requirements.txt").read_text().splitlines()
    assert first.startswith(requirement)
    assert Requirement(first).name == "tenuto"
