"""The files for running a host as a service: every path, command and setting in them exists."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tenuto import App, Settings
from tenuto.host.server import Server
from tenuto.host.settings import load_settings
from tests.support.terminal import TENUTO, Program, environment, tenuto

if sys.platform == "win32":
    pytest.skip("services of POSIX", allow_module_level=True)

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = ("tenuto.service", "tenuto-backup.service", "tenuto-on-demand.service")
_KNOWN = {
    *("FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"),
    *("HEALTHCHECK", "ENTRYPOINT", "CMD"),
}
_LONGEST_STOP = 20
"""Seconds after `drain_seconds` in which a host is sure to have ended."""


def instructions() -> list[tuple[str, str]]:
    """Those of the Dockerfile, in order."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ")
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(one[0], " ".join(one[1].split())) for one in found]


def of(name: str) -> list[str]:
    return [rest for kind, rest in instructions() if kind == name]


def variables() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(of("ENV"))))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    assert tenuto(tmp_path, "new", "trips").returncode == 0
    return tmp_path / "trips"


def test_the_image_runs_as_nobody_special_on_a_volume_and_is_stopped_gracefully() -> None:
    assert {kind for kind, _ in instructions()} == _KNOWN
    kinds = [kind for kind, _ in instructions()]
    assert kinds.index("USER") < kinds.index("ENTRYPOINT")
    (user,) = of("USER")
    assert user != "root"
    assert f"useradd --system --uid 10001 --gid {user}" in of("RUN")[0]
    assert of("STOPSIGNAL") == ["SIGTERM"]
    (volume,) = json.loads(of("VOLUME")[0])
    assert variables()["TENUTO_STORAGE"].startswith(f"sqlite:///{volume}/")
    assert f"chown {user}:{user} {volume}" in of("RUN")[0]
    assert of("EXPOSE") == [variables()["TENUTO_HTTP_PORT"]]
    load_settings(environment=variables())
    assert float(variables()["TENUTO_DRAIN_SECONDS"]) <= 5, "`docker stop` kills after 10 s"


def test_what_the_image_runs_and_copies_exists(project: Path) -> None:
    for run in of("RUN"):
        assert subprocess.run(["sh", "-n", "-c", run], check=False).returncode == 0
        for one in run.split("&&"):
            name = one.split()[0]
            assert name == "pip" or shutil.which(name), name
    for copy in of("COPY"):
        source = copy.split()[0]
        assert (project / source).exists(), source


def test_the_image_starts_a_host_that_says_that_it_is_well(project: Path) -> None:
    port = str(free_port())
    store = f"sqlite:///{project}/data.db"
    key = {"key": secrets.token_urlsafe(32), "role": "admin"}
    keys = {"TENUTO_HTTP_KEYS": json.dumps({"ops": key})}
    settings = variables() | {"TENUTO_HTTP_PORT": port, "TENUTO_STORAGE": store}
    entry = json.loads(of("ENTRYPOINT")[0])
    assert entry == ["tenuto"]
    command = [*TENUTO, *json.loads(of("CMD")[0])]
    (check,) = of("HEALTHCHECK")
    ask = json.loads(check[check.index("[") :])
    ask[0] = sys.executable

    def health() -> int:
        asked = {**environment(), **settings}
        return subprocess.run(ask, env=asked, capture_output=True, check=False).returncode

    with Program(project, *command, env=settings) as keyless:
        assert keyless.end() == 2, "it can be reached from outside, so it needs keys"
    with Program(project, *command, env=settings | keys) as host:
        host.until("listening on")
        assert health() == 0
        host.send(getattr(signal, of("STOPSIGNAL")[0]))
        assert host.end() == 0
    assert health() != 0


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_one_and_its_command_is_one(name: str, tmp_path: Path) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    (line,) = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    program, *arguments = line.split()
    done = tenuto(tmp_path, arguments[0], "--help")
    assert done.returncode == 0
    for option in (one for one in arguments if one.startswith("--")):
        assert option in done.stdout, option
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(stop) >= Settings().drain_seconds + _LONGEST_STOP
    assert "UMask=0077" in text
    assert f"RestartPreventExitStatus={2}" in text
    variable = dict(re.findall(r"^Environment=(\w+)=(\S+)$", text, re.MULTILINE))
    load_settings(environment=variable, folder=tmp_path)
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd here")
    here = tmp_path / name
    found = Path(program.replace("/srv/trips", str(tmp_path)))
    found.parent.mkdir(parents=True)
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    here.write_text(text.replace("/srv/trips", str(tmp_path)).replace("User=trips", "User=root"))
    checked = subprocess.run(
        [analyze, "verify", "--man=no", str(here)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{DEPLOY}:"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    about_it = [one for one in checked.stderr.splitlines() if name in one or "nknown" in one]
    assert (checked.returncode, about_it) == (0, []), checked.stderr


def test_the_socket_is_that_of_the_unit_of_its_name_and_needs_no_keys() -> None:
    text = (DEPLOY / "tenuto-on-demand.socket").read_text(encoding="utf-8")
    assert re.findall(r"^ListenStream=(.+)$", text, re.MULTILINE) == [
        f"{Settings().http.host}:{Settings().http.port}"
    ]
    assert (DEPLOY / "tenuto-on-demand.service").exists()


def test_the_page_shows_the_unit_as_it_is() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)[0]
    assert shown == (DEPLOY / "tenuto.service").read_text(encoding="utf-8")
    for name in ("Dockerfile", *UNITS):
        assert f"deploy/{name}" in page


async def test_the_advice_that_keda_reads_is_given() -> None:
    text = (DEPLOY / "keda.yaml").read_text(encoding="utf-8")
    (path,) = re.findall(r'url: "http://[^/"]+(/[^"]+)"', text)
    (place,) = re.findall(r"valueLocation: (\w+)", text)
    (most,) = re.findall(r"maxReplicaCount: (\d+)", text)
    assert f"most={most}" in path
    settings = load_settings(environment={}, folder=DEPLOY, storage="sqlite://", http_port=0).values
    async with (
        Server(App(), settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url) as client,
    ):
        told = (await client.get(path)).json()
        assert (told[place], told["hosts"]) == (1, 1)
        wrong = await client.get("/admin/scale?least=3&most=2")
        assert wrong.status_code == 400
        assert "most (2) must not be below least (3)" in wrong.text
