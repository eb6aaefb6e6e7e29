"""``tenuto start .`` in the folder of an Azure Functions app, in a process of its own."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.azure_programs import MATRIX, NODE, PYTHON, copied
from tests.support.json_requests import ask
from tests.support.terminal import Command

T = TypeVar("T")

MOUNT = "/runtime/webhooks/durabletask"
INTERPRETERS = {
    "languageWorkers__node__defaultExecutablePath": str(NODE),
    "languageWorkers__python__defaultExecutablePath": str(PYTHON),
}


def served_folder(language: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app of tests with one orchestrator for each feature, and the environment it wants."""
    tries = place / "tries"
    tries.mkdir()
    for name, value in INTERPRETERS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MATRIX_FOLDER", str(tries))
    monkeypatch.setenv("MATRIX_COUNTERS", str(tries))
    return copied(MATRIX[language], place)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[Command, str]]:
    """A server on a port that is free, and its URL."""
    with Command(folder, "start", ".", "--port", "0", *options) as command:
        command.until("listening ")
        found = re.findall(r"listening +(\S+) ", command.out)
        yield command, str(found[-1])


def ended(url: str) -> dict[str, Any]:
    """The status of an instance once it has ended."""

    def status() -> dict[str, Any] | None:
        code, found = ask("GET", url)
        return found if code == 200 else None

    found = eventually(status)
    assert found is not None
    return found


def eventually(found: Callable[[], T]) -> T:
    """What is found at last; the test's own timeout ends a wait in vain."""
    while not (value := found()):
        time.sleep(0.02)
    return value
