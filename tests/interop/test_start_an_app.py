"""``tenuto start .`` in the folder of an Azure Functions app, as its users know ``func start``."""

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.azure_programs import LANGUAGES, MATRIX, NODE, PYTHON, copied
from tests.support.leftovers import is_running
from tests.support.terminal import Command, tenuto

T = TypeVar("T")

INTERPRETERS = {
    "languageWorkers__node__defaultExecutablePath": str(NODE),
    "languageWorkers__python__defaultExecutablePath": str(PYTHON),
}


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tries = tmp_path / "tries"
    tries.mkdir()
    for name, value in INTERPRETERS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MATRIX_FOLDER", str(tries))
    monkeypatch.setenv("MATRIX_COUNTERS", str(tries))
    return copied(MATRIX[language], tmp_path)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[Command, str]]:
    """A server on a port that is free, and its URL."""
    with Command(folder, "start", ".", "--port", "0", *options) as command:
        command.until("listening ")
        found = re.findall(r"listening +(\S+) ", command.out)
        yield command, str(found[-1])


def ask(method: str, url: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def ended(links: dict[str, str]) -> dict[str, Any]:
    """The status of an instance once it has ended."""

    def status() -> dict[str, Any] | None:
        code, found = ask("GET", links["statusQueryGetUri"])
        return found if code == 200 else None

    found = eventually(status)
    assert found is not None
    return found


def test_its_functions_are_listed_and_start_orchestrations(folder: Path) -> None:
    with serving(folder) as (command, url):
        assert f"start: [POST] {url}/api/orchestrators/{{name}}" in command.out
        assert "hello: orchestrationTrigger" in command.out
        status, links = ask("POST", f"{url}/api/orchestrators/hello")
        assert status == 202
        assert ended(links)["output"] == ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]
        # Names are found in whatever case they are written.
        status, links = ask("POST", f"{url}/API/Orchestrators/CHAIN")
        assert status == 202
        assert ended(links)["output"] == [0, 1, 2]
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
        assert ended(links)["runtimeStatus"] == "Completed"


def test_a_function_that_is_not_there_is_refused(folder: Path) -> None:
    found = tenuto(folder, "start", ".", "--port", "0", "--functions", "nothing")
    assert found.returncode == 2
    assert "no function 'nothing'" in found.stderr


def eventually(found: Callable[[], T]) -> T:
    """What is found at last; the test's own timeout ends a wait in vain."""
    while not (value := found()):
        time.sleep(0.02)
    return value


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
