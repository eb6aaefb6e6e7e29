"""``tenuto start .`` in the folder of an Azure Functions app, as its users know ``func start``."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.azure_programs import LANGUAGES
from tests.support.json_requests import ask
from tests.support.leftovers import is_running
from tests.support.served_apps import ended, eventually, served_folder, serving
from tests.support.terminal import tenuto


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return served_folder(language, tmp_path, monkeypatch)


def test_its_functions_are_listed_and_start_orchestrations(folder: Path) -> None:
    with serving(folder) as (command, url):
        assert f"start: [POST] {url}/api/orchestrators/{{name}}" in command.out
        assert "hello: orchestrationTrigger" in command.out
        status, links = ask("POST", f"{url}/api/orchestrators/hello")
        assert status == 202
        assert ended(links["statusQueryGetUri"])["output"] == [
            "Hello Tokyo!",
            "Hello Seattle!",
            "Hello London!",
        ]
        # Names are found in whatever case they are written.
        status, links = ask("POST", f"{url}/API/Orchestrators/CHAIN")
        assert status == 202
        assert ended(links["statusQueryGetUri"])["output"] == [0, 1, 2]
        command.send(signal.SIGINT)
        assert command.end() == 0


def test_an_unknown_orchestrator_is_refused_and_the_function_says_so(folder: Path) -> None:
    with serving(folder) as (command, url):
        status, answer = ask("POST", f"{url}/api/orchestrators/nobody")
        assert status == 500
        assert set(answer) == {"message", "function", "invocationId"}
        assert answer["function"] == "start"
        # Why it failed may hold secrets: it is for the log, where the invocation is found.
        assert "nobody" not in answer["message"]
        command.until(f"function start failed (invocation {answer['invocationId']})")
        command.until("nobody")


def test_what_an_orchestrator_raises_is_told_once(folder: Path) -> None:
    with serving(folder) as (_, url):
        _, links = ask("POST", f"{url}/api/orchestrators/fails")
        found = ended(links["statusQueryGetUri"])
        assert found["runtimeStatus"] == "Failed"
        assert found["output"] == "Orchestrator function 'fails' failed: bad thing"


def test_its_workers_end_with_it_also_when_it_is_killed(folder: Path) -> None:
    with serving(folder) as (command, url):
        ask("POST", f"{url}/api/orchestrators/hello")
        workers = children_of(command.process.pid)
        assert workers
        os.kill(command.process.pid, signal.SIGKILL)
        command.process.wait()
        eventually(lambda: not any(map(is_running, workers)))


def test_only_the_functions_that_are_named_are_run(folder: Path) -> None:
    with serving(folder, "--functions", "start", "hello", "say_hello") as (command, url):
        assert "chain: orchestrationTrigger" not in command.out
        status, links = ask("POST", f"{url}/api/orchestrators/hello")
        assert status == 202
        assert ended(links["statusQueryGetUri"])["runtimeStatus"] == "Completed"


def test_a_function_that_is_not_there_is_refused(folder: Path) -> None:
    found = tenuto(folder, "start", ".", "--port", "0", "--functions", "nothing")
    assert found.returncode == 2
    assert "no function 'nothing'" in found.stderr


def children_of(pid: int) -> list[int]:
    return [
        int(one.name)
        for one in Path("/proc").iterdir()
        if one.name.isdigit() and _parent_of(one) == pid
    ]


def _parent_of(place: Path) -> int:
    try:
        return int((place / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
