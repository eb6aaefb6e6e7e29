"""Azure Functions apps on two hosts of one hub: each host's workers run what that host owns."""

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.azure_programs import NODE_PACKAGES
from tests.support.json_requests import ask
from tests.support.postgres import Postgres
from tests.support.served_apps import INTERPRETERS, MOUNT, ended, eventually, serving

if sys.platform == "win32":
    pytest.skip("workers of Azure Functions apps", allow_module_level=True)

_PYTHON: Final = """
import os

import azure.durable_functions as df

app = df.DFApp()


@app.activity_trigger(input_name="name")
def step(name: str) -> int:
    return os.getpid()


@app.orchestration_trigger(context_name="context")
def chain(context):
    first = yield context.call_activity("step", "a")
    yield context.wait_for_external_event("go")
    second = yield context.call_activity("step", "b")
    return [first, second]
"""
_JAVASCRIPT: Final = """
const df = require("durable-functions");

df.app.activity("step", { handler: () => process.pid });

df.app.orchestration("chain", function* (context) {
    const first = yield context.df.callActivity("step", "a");
    yield context.df.waitForExternalEvent("go");
    const second = yield context.df.callActivity("step", "b");
    return [first, second];
});
"""
_PACKAGE: Final = {
    "main": "app.js",
    "dependencies": {"@azure/functions": "^4", "durable-functions": "^3"},
}
_COUNT: Final = 24


@pytest.fixture(params=["python", "javascript"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app, whose functions say which process ran them."""
    for name, value in INTERPRETERS.items():
        monkeypatch.setenv(name, value)
    place = tmp_path / "app"
    place.mkdir()
    (place / "tenuto.toml").write_text("lease_seconds = 2")
    (place / "host.json").write_text('{"version": "2.0"}')
    if request.param == "python":
        (place / "function_app.py").write_text(_PYTHON)
    else:
        (place / "package.json").write_text(json.dumps(_PACKAGE))
        (place / "app.js").write_text(_JAVASCRIPT)
        (place / "node_modules").symlink_to(NODE_PACKAGES)
    return place


def _is_shared(url: str) -> bool:
    code, told = ask("GET", f"{url}/admin/hosts")
    return code == 200 and all(one["partitions"] for one in told["hosts"]) and _hosts(told) == 2


def _hosts(told: dict[str, Any]) -> int:
    return sum(one["isAlive"] for one in told["hosts"])


def _waits(url: str, instance: str) -> bool:
    code, told = ask("GET", f"{url}/admin/instances/{instance}")
    return code == 200 and any(one["kind"] == "event" for one in told.get("waitingFor", ()))


def test_both_hosts_run_the_app_and_one_goes_on_without_the_other(
    folder: Path, postgres: Postgres
) -> None:
    storage = postgres.fresh_url()
    with ExitStack() as running:
        dying, first = running.enter_context(serving(folder, "--storage", storage))
        living, second = running.enter_context(serving(folder, "--storage", storage))
        eventually(lambda: _is_shared(first))
        names = [f"chain-{number}" for number in range(_COUNT)]
        for number, name in enumerate(names):
            url = (first, second)[number % 2]
            code, _ = ask("POST", f"{url}{MOUNT}/orchestrators/chain/{name}")
            assert code == 202
        eventually(lambda: all(_waits(second, name) for name in names))
        dying.send(signal.SIGKILL)
        eventually(lambda: all(_raised(second, name) for name in names))
        found = [ended(f"{second}{MOUNT}/instances/{name}") for name in names]
        assert {one["runtimeStatus"] for one in found} == {"Completed"}
        before = {one["output"][0] for one in found}
        after = {one["output"][1] for one in found}
        assert len(before) > 1, "the workers of both have run activities"
        assert len(after) == 1, "those of the one that is left"
        assert after < before
        living.send(signal.SIGTERM)
        assert living.end() == 0


def _raised(url: str, instance: str) -> bool:
    """Whether the event was taken, or has done its work; else nobody serves the instance yet."""
    code, _ = ask("POST", f"{url}{MOUNT}/instances/{instance}/raiseEvent/go", {"on": True})
    return code in {202, 410}
