"""The log says of each function that it has run, as Core Tools does it."""

import json
import logging
import re
import sys
from pathlib import Path

import pytest

from tenuto.interop.workers.executed import FUNCTIONS, FunctionLog
from tests.support.azure_programs import LANGUAGES
from tests.support.json_requests import ask
from tests.support.served_apps import ended, served_folder, serving

if sys.platform == "win32":
    pytest.skip("workers of Azure Functions apps", allow_module_level=True)

INVOCATION = r"Id=[0-9a-f-]{36}, Duration=\d+ms\)"


@pytest.fixture(params=LANGUAGES)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return served_folder(str(request.param), tmp_path, monkeypatch)


def run(url: str, orchestrator: str) -> str:
    status, links = ask("POST", f"{url}/api/orchestrators/{orchestrator}")
    assert status == 202
    ended(links["statusQueryGetUri"])
    return str(links["id"])


def test_functions_behind_http_are_told_and_activities_that_fail(folder: Path) -> None:
    with serving(folder) as (command, url):
        run(url, "hello")
        run(url, "retry_fail")
        command.until("Executed 'Functions.start' (Succeeded")
        assert re.search(
            r" INFO    tenuto\.function\.start: Executed 'Functions\.start' \(Succeeded, "
            + INVOCATION,
            command.err,
        )
        command.until("(Failed, Id=")
        assert "Functions.say_hello" not in command.err, "that is for those who ask"
        assert "Functions.hello" not in command.err


def test_all_that_runs_is_told_to_those_who_want_to_know_everything(folder: Path) -> None:
    with serving(folder, "--verbose") as (command, url):
        known = run(url, "hello")
        command.until(f"instance {known!r} (hello) completed")
        for name in ("hello", "say_hello"):
            line = rf" DEBUG   \[{known}\] tenuto\.function\.{name}: Executed 'Functions\.{name}' "
            assert re.search(line + rf"\(Succeeded, Id={known}/\d+, Duration=", command.err)


def test_the_lines_and_the_workers_of_an_app_are_shown_to_people(folder: Path) -> None:
    with serving(folder, "--verbose") as (command, url):
        known = run(url, "hello")
        command.until(f"instance {known!r} (hello) completed")
        status, log = ask("GET", f"{url}/admin/instances/{known}/log")
        assert status == 200
        told = [one for one in log["lines"] if one["logger"] == f"{FUNCTIONS}.say_hello"]
        assert told
        assert all(one["message"].startswith("Executed 'Functions.say_hello'") for one in told)
        assert {(one["function"], one["level"]) for one in told} == {("say_hello", "debug")}
        status, overview = ask("GET", f"{url}/admin/overview")
        assert status == 200
        assert overview["workers"]
        for worker in overview["workers"]:
            assert worker["name"].endswith(" worker")
            assert (worker["state"], worker["program"]) == ("ready", str(folder))
            assert worker["pid"] > 1
        status, figures = ask("GET", f"{url}/admin/functions/figures")
        assert status == 200
        (hello,) = (one for one in figures["activities"] if one["name"] == "say_hello")
        assert (hello["completed"], hello["failed"], hello["running"]) == (len(told), 0, 0)


def test_levels_of_host_json_decide_about_these_lines(folder: Path) -> None:
    levels = {"default": "Warning", "Function.say_hello": "Information"}
    host = {"version": "2.0", "logging": {"logLevel": levels}}
    (folder / "host.json").write_text(json.dumps(host))
    with serving(folder) as (command, url):
        run(url, "hello")
        command.until("Executed 'Functions.say_hello' (Succeeded")
        assert "Functions.start" not in command.err
    with serving(folder, "--log-level", "info", "--storage", "sqlite://") as (command, url):
        run(url, "hello")
        command.until("Executed 'Functions.start' (Succeeded")


def test_nothing_is_put_together_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    class Unreadable(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise AssertionError("nobody asked")

    log = FunctionLog(logging.DEBUG)
    with caplog.at_level(logging.INFO, FUNCTIONS):
        log.executed("pay", Unreadable("id"), 5)
        assert not caplog.records
        log.executed("pay", "a/1", 12_345, error="Error: no", instance_id="a")
    (record,) = caplog.records
    assert record.getMessage() == (
        "Executed 'Functions.pay' (Failed, Id=a/1, Duration=12ms): Error: no"
    )
    assert record.name == "tenuto.function.pay"
    assert record.levelno == logging.INFO
