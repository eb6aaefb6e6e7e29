"""Workers for the tests: the real program, with the real packages, in a process of its own."""

import os
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tenuto.interop.azure_functions.command import worker_command
from tenuto.interop.workers.protocol import Stop
from tests.support.worker_client import WorkerClient

ROOT = Path(__file__).resolve().parents[3]
# Another interpreter with other packages may be put to the tests by hand.
PYTHON = Path(os.environ.get("AZURE_PYTHON", ROOT / ".venvs" / "azure" / "bin" / "python"))
APPS = Path(__file__).parent / "apps"

Start = Callable[..., WorkerClient]
Write = Callable[..., Path]


def environment(**more: str) -> dict[str, str]:
    """A worker's: what it has of ours is the measuring of coverage."""
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **measured, **more}


@contextmanager
def workers() -> Iterator[Start]:
    """Starts workers; they are gone afterwards."""
    assert PYTHON.exists(), f"{PYTHON} is missing: run `make azure-python`"
    clients: list[WorkerClient] = []

    def begin(python: Path = PYTHON, **variables: str) -> WorkerClient:
        client = WorkerClient(worker_command(python), environment(**variables))
        clients.append(client)
        return client

    yield begin
    for client in clients:
        with client:
            output = client.process.stdout
            if output is not None and not output.closed:
                # It ends as it should, and writes down what it has reached.
                with suppress(OSError):
                    client.send(Stop())
                client.process.communicate(timeout=30)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a worker; it is gone when the test is over."""
    with workers() as begin:
        yield begin


@pytest.fixture(scope="module")
def start_shared() -> Iterator[Start]:
    """Start a worker that the tests of a module share."""
    with workers() as begin:
        yield begin


def write_app(root: Path, files: Mapping[str, str]) -> Path:
    """Write an app: its files by path, each a text whose common indentation does not count."""
    for path, text in {"host.json": '{"version": "2.0"}', **files}.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"))
    return root


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an app into a folder of the test's own."""
    return lambda files: write_app(tmp_path / "app", files)
