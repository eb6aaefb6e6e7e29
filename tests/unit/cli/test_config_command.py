"""``tenuto config``: values with their sources, secrets hidden."""

import json
import os
from pathlib import Path

import pytest

from tenuto.cli.command import run_command_line

SECRET = "0123456789abcdef-secret"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TENUTO_")]:
        monkeypatch.delenv(name)
    return tmp_path


def test_each_setting_is_shown_with_its_value_and_source(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tenuto.toml").write_text("guard_every = 7")
    monkeypatch.setenv("TENUTO_HTTP_PORT", "8000")
    assert run_command_line(["config", "--storage", "sqlite:///x.db", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["guard_every"] == {"value": 7, "source": "tenuto.toml"}
    assert found["http.port"] == {"value": 8000, "source": "environment TENUTO_HTTP_PORT"}
    assert found["storage"] == {"value": "sqlite:///x.db", "source": "option --storage"}
    assert found["limits.payload_bytes"]["source"] == "default"
    assert run_command_line(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(found)
    assert lines[0].split() == ["storage", '"sqlite:///tenuto.db"', "default"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_secrets_are_hidden_and_what_they_allow_is_not(
    capsys: pytest.CaptureFixture[str], folder: Path, options: list[str]
) -> None:
    (folder / "tenuto.toml").write_text(f'[http.keys.ops]\nkey = "{SECRET}"\nrole = "operate"\n')
    assert run_command_line(["config", *options]) == 0
    out = capsys.readouterr().out
    assert SECRET not in out
    assert "(hidden)" in out
    assert "operate" in out


def test_an_unknown_setting_is_refused_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "tenuto.toml").write_text("[http]\nprot = 1")
    assert run_command_line(["config"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error TN-1104: unknown setting http.prot (tenuto.toml); did you mean")
    assert "http.port" in err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_passwords_of_urls_are_hidden(
    options: list[str],
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TENUTO_STORAGE_DIRECT", f"postgresql://me@db/orders?password={SECRET}")
    url = f"postgresql://me:{SECRET}@pooler/orders?sslmode=require"
    assert run_command_line(["config", "--storage", url, *options]) == 0
    said = capsys.readouterr().out
    assert SECRET not in said
    assert "postgresql://me:***@pooler/orders?sslmode=require" in said
    assert "postgresql://me@db/orders?password=***" in said
